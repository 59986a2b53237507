"""The life of a flag: who may take which step, and what the nightly rule may do."""

from __future__ import annotations

from dataclasses import replace
from datetime import timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ems.domain.people import (
    FLAG_TRANSITIONS,
    ColdHomeEvidence,
    ColdHomeRules,
    FlagKind,
    FlagState,
    FlagStepError,
    Source,
    Verdict,
)
from ems.people.lifecycle import (
    Finding,
    after_night,
    is_spent,
    object_to,
    raise_flag,
    step,
    worklist_order,
)

from .conftest import NIGHT, RULES

DAY = timedelta(days=1)


def finding(verdict: Verdict = Verdict.COLD, now=NIGHT, below_h: float = 70.0) -> Finding:
    start = now - 7 * DAY
    evidence = ColdHomeEvidence(start, now, 112.0, 112.0, below_h, 15.0, 19.0, 17.0)
    return Finding("A-10", FlagKind.COLD_HOME, "COLD_HOME/1", verdict, evidence, {})


def taken(*states: FlagState, verdict: Verdict = Verdict.COLD):
    flag = raise_flag(finding(verdict), NIGHT)
    for number, state in enumerate(states):
        flag = step(flag, state, "olive", "spoke to the tenant", NIGHT + number * DAY)
    return flag


def test_a_whole_life_is_told_with_who_when_and_why() -> None:
    flag = taken(FlagState.REVIEWED, FlagState.CONFIRMED, FlagState.CLOSED)
    assert [one.state for one in flag.steps] == ["raised", "reviewed", "confirmed", "closed"]
    assert flag.steps[0].by == "rule COLD_HOME/1"
    assert all(one.by and one.reason for one in flag.steps)
    assert not flag.is_open


@given(st.sampled_from(FlagState), st.sampled_from(FlagState))
def test_only_the_permitted_steps_can_be_taken(before, after) -> None:
    ways = {
        FlagState.RAISED: (),
        FlagState.REVIEWED: (FlagState.REVIEWED,),
        FlagState.CONFIRMED: (FlagState.REVIEWED, FlagState.CONFIRMED),
        FlagState.DISMISSED: (FlagState.REVIEWED, FlagState.DISMISSED),
        FlagState.CLOSED: (FlagState.REVIEWED, FlagState.DISMISSED, FlagState.CLOSED),
    }
    flag = taken(*ways[before])
    if after in FLAG_TRANSITIONS[before]:
        assert step(flag, after, "olive", "spoke to the tenant", NIGHT).state is after
    else:
        with pytest.raises(FlagStepError, match="cannot become"):
            step(flag, after, "olive", "spoke to the tenant", NIGHT)


@pytest.mark.parametrize("reason", ["", "   ", "ok", "\n\t x \n", "x" * 1001])
def test_no_step_without_a_reason(reason) -> None:
    with pytest.raises(FlagStepError, match="reason"):
        step(taken(), FlagState.REVIEWED, "olive", reason, NIGHT)


def test_an_open_flag_follows_the_nights_and_keeps_what_raised_it() -> None:
    flag = taken(FlagState.REVIEWED)
    later = after_night([flag], finding(Verdict.SEVERE, NIGHT + DAY, 110.0), NIGHT + DAY, RULES)
    assert later is not None
    assert (later.id, later.state) == (flag.id, FlagState.REVIEWED)
    assert (later.verdict, later.evidence.below_h) == (Verdict.SEVERE, 110.0)
    assert later.raised_evidence == flag.evidence
    assert later.last_found_at == NIGHT + DAY


@pytest.mark.parametrize("verdict", [Verdict.WARM, Verdict.OUT_OF_SEASON])
def test_the_rule_never_takes_a_step_for_a_person(verdict) -> None:
    assert after_night([taken()], finding(verdict), NIGHT + DAY, RULES) is None
    assert after_night([], finding(verdict), NIGHT, RULES) is None


def test_a_dismissal_holds_for_its_time_unless_it_gets_worse() -> None:
    flag = taken(FlagState.REVIEWED, FlagState.DISMISSED)
    soon, late = NIGHT + 20 * DAY, NIGHT + 30 * DAY
    assert after_night([flag], finding(now=soon), soon, RULES) is None
    worse = after_night([flag], finding(Verdict.SEVERE, soon), soon, RULES)
    assert worse is not None
    assert worse.id != flag.id
    assert after_night([flag], finding(now=late), late, RULES) is not None


def test_a_closed_case_answers_for_the_week_it_was_closed_on() -> None:
    flag = taken(FlagState.REVIEWED, FlagState.CONFIRMED, FlagState.CLOSED)
    soon, late = NIGHT + 5 * DAY, NIGHT + 10 * DAY
    assert after_night([flag], finding(now=soon), soon, RULES) is None
    assert after_night([flag], finding(now=late), late, RULES) is not None


def test_a_flag_that_nobody_confirmed_is_deleted_after_its_time() -> None:
    flag = taken(FlagState.REVIEWED)
    assert not is_spent(flag, NIGHT + 89 * DAY, RULES)
    assert is_spent(flag, NIGHT + 91 * DAY, RULES)
    assert not is_spent(taken(FlagState.REVIEWED, FlagState.CONFIRMED), NIGHT + 400 * DAY, RULES)
    assert is_spent(flag, NIGHT + 11 * DAY, ColdHomeRules(keep_days=10))


def test_what_the_tenant_says_stays_with_the_flag() -> None:
    flag = object_to(taken(), "tess", "I was away all week", NIGHT)
    assert flag.objections[0].reason == "I was away all week"
    assert flag.state is FlagState.RAISED


def test_the_worklist_begins_with_the_most_pressing() -> None:
    cold, severe = taken(), taken(verdict=Verdict.SEVERE)
    silent = taken(verdict=Verdict.NOT_ENOUGH_DATA)
    closed = taken(FlagState.REVIEWED, FlagState.DISMISSED, verdict=Verdict.SEVERE)
    colder = replace(cold, evidence=replace(cold.evidence, below_h=99.0))
    chosen = replace(cold, evidence=replace(colder.evidence, chosen=(Source.DIAL,)))
    listed = sorted([silent, closed, cold, severe, chosen, colder], key=worklist_order)
    assert listed == [severe, colder, cold, chosen, silent, closed]
