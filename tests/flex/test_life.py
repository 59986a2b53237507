"""An event's life: whatever is asked and whatever time brings, its history stays legal."""

from __future__ import annotations

from datetime import timedelta
from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ems.domain.events import TRANSITIONS, EventState, FlexEvent, Transition
from ems.domain.time import HALF_HOUR
from ems.flex.life import (
    Change,
    EventOverError,
    accept,
    begin,
    end,
    instructed_wh,
    recovered_at,
    settle,
    slots_of,
    substitute,
    withdraw,
)

from .conftest import NOW, START, request

REFERENCE = [20_000.0] * 4


def fresh() -> Change:
    return accept(
        "e1",
        request(),
        accepted_w=10_000.0,
        reference_w=REFERENCE,
        battery_takes_part=True,
        reason="",
        now=NOW,
    )


def running(event: FlexEvent) -> FlexEvent:
    return begin(
        event,
        participants=["A-01"],
        battery_takes_part=True,
        reference_w=REFERENCE,
        now=START,
    ).event


STEPS = st.lists(
    st.tuples(
        st.sampled_from(["begin", "end", "settle", "withdraw", "replace"]),
        st.integers(0, 120),
    ),
    max_size=12,
)


@given(STEPS)
def test_every_sequence_of_commands_leaves_a_legal_history(steps) -> None:
    change = fresh()
    history: list[Transition] = [change.transition]
    event, now = change.event, NOW
    for name, minutes in steps:
        now += timedelta(minutes=minutes)
        try:
            made = act(name, event, now)
        except EventOverError:
            continue
        if made is not None:
            history.append(made.transition)
            event = made.event
    assert history[0].before is None
    for earlier, later in pairwise(history):
        assert later.before is earlier.after
        if later.before is later.after:
            assert later.after in (EventState.ACCEPTED, EventState.RUNNING)
            assert later.cause.startswith("replaced")
        else:
            assert later.after in TRANSITIONS[later.before]
        assert later.at >= earlier.at
        assert later.cause
    assert [one.after for one in history].count(EventState.SETTLED) <= 1
    assert history[-1].after is event.state
    edges = [edge for one in event.instructions for edge in (one.start, one.end)]
    assert edges == sorted(edges), "promises overlap or run backwards"


def act(name: str, event: FlexEvent, now) -> Change | None:
    if name == "begin":
        return begin(
            event,
            participants=["A-01"],
            battery_takes_part=False,
            reference_w=REFERENCE,
            now=now,
        )
    if name == "end":
        return end(event, now)
    if name == "settle":
        return settle(event, now)
    if name == "withdraw":
        return withdraw(event, now, "acme")
    other = request(5.0, event.request.start, hours=12)
    return substitute(
        event, other, accepted_w=5000.0, reference_w=REFERENCE, reason="", now=max(now, START)
    )


def test_one_withdrawn_before_it_runs_promised_nothing() -> None:
    change = withdraw(fresh().event, NOW, "acme")
    assert change is not None
    assert change.event.state is EventState.CANCELLED
    assert instructed_wh(change.event, START, START + timedelta(hours=2)) == 0
    assert slots_of(change.event) == ()


def test_one_withdrawn_while_it_runs_is_settled_for_the_time_it_ran() -> None:
    now = START + timedelta(minutes=45)
    change = withdraw(running(fresh().event), now, "acme")
    assert change is not None
    assert change.event.state is EventState.RECOVERING
    assert change.event.ended_at == now
    assert instructed_wh(change.event, START, START + timedelta(hours=2)) == pytest.approx(7500)
    assert slots_of(change.event) == (START, START + HALF_HOUR)
    assert recovered_at(change.event) == now + timedelta(hours=2)


def test_one_replaced_while_it_runs_is_settled_at_both_powers() -> None:
    now = START + timedelta(minutes=30)
    event = substitute(
        running(fresh().event),
        request(4.0, hours=1),
        accepted_w=4000.0,
        reference_w=REFERENCE[:2],
        reason="",
        now=now,
    ).event
    assert event.state is EventState.RUNNING
    assert instructed_wh(event, START, START + HALF_HOUR) == pytest.approx(5000)
    assert instructed_wh(event, START + HALF_HOUR, START + 2 * HALF_HOUR) == pytest.approx(2000)
    assert instructed_wh(event, START, START + timedelta(days=1)) == pytest.approx(7000)


@pytest.mark.parametrize("command", ["withdraw", "replace", "begin", "end"])
def test_what_is_over_stays_over(command: str) -> None:
    event = end(running(fresh().event), START + timedelta(hours=2)).event
    event = settle(event, START + timedelta(hours=5)).event
    try:
        made = act(command, event, START + timedelta(hours=6))
    except EventOverError:
        made = None
    assert made is None
