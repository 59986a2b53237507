"""The life of a flag: raised by a rule, then each step by a person with a reason.

``raised → reviewed → confirmed | dismissed → closed``. The nightly rule adds what it finds to
an open flag; it never takes a step for a person.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import datetime, timedelta

from ems.domain.people import (
    FLAG_TRANSITIONS,
    ColdHomeEvidence,
    ColdHomeRules,
    Flag,
    FlagKind,
    FlagState,
    FlagStep,
    FlagStepError,
    Verdict,
)

MIN_REASON = 5
"""Least length of a reason: a word, not a key press."""
MAX_REASON = 1000
SEVERITY = {Verdict.NOT_ENOUGH_DATA: 0, Verdict.COLD: 1, Verdict.SEVERE: 2}


@dataclass(frozen=True, slots=True)
class Finding:
    """What a rule found in one home on one night."""

    dwelling_id: str
    kind: FlagKind
    rule_version: str
    verdict: Verdict
    evidence: ColdHomeEvidence
    inputs: Mapping[str, str]


def raise_flag(finding: Finding, now: datetime) -> Flag:
    """Return a new flag for a finding."""
    step = FlagStep(now, FlagState.RAISED, f"rule {finding.rule_version}", "found by the rule")
    return Flag(
        id=f"{now:%Y%m%dT%H%M%S}-{finding.dwelling_id}-{finding.kind}",
        dwelling_id=finding.dwelling_id,
        kind=finding.kind,
        rule_version=finding.rule_version,
        verdict=finding.verdict,
        evidence=finding.evidence,
        raised_evidence=finding.evidence,
        inputs=finding.inputs,
        steps=(step,),
        last_found_at=now,
    )


def after_night(
    flags: Sequence[Flag], finding: Finding, now: datetime, rules: ColdHomeRules
) -> Flag | None:
    """Return the flag to keep after a night, new or brought up to date; ``None`` for none.

    Parameters
    ----------
    flags
        All earlier flags of the same home and rule.
    finding
        What the rule says tonight, found or not.
    now
        When, UTC.
    rules
        How long a dismissal holds.
    """
    if not finding.verdict.is_found:
        return None
    open_flag = next((flag for flag in flags if flag.is_open), None)
    if open_flag is not None:
        return replace(
            open_flag,
            verdict=finding.verdict,
            evidence=finding.evidence,
            rule_version=finding.rule_version,
            inputs=finding.inputs,
            last_found_at=now,
        )
    if any(_still_answers(flag, finding, now, rules) for flag in flags):
        return None
    return raise_flag(finding, now)


def _still_answers(flag: Flag, finding: Finding, now: datetime, rules: ColdHomeRules) -> bool:
    """Tell whether a person's decision on an earlier flag also answers tonight's finding."""
    if SEVERITY[finding.verdict] > SEVERITY.get(flag.verdict, 0):
        return False
    dismissed = next((step for step in flag.steps if step.state is FlagState.DISMISSED), None)
    if dismissed is not None:
        return now < dismissed.at + timedelta(days=rules.dismissed_days)
    return finding.evidence.start < flag.steps[-1].at


def step(flag: Flag, state: FlagState, by: str, reason: str, now: datetime) -> Flag:
    """Return the flag one step further.

    Raises
    ------
    FlagStepError
        Where its life does not permit the step, or the reason is missing.
    """
    permitted = FLAG_TRANSITIONS[flag.state]
    if state not in permitted:
        names = ", ".join(sorted(permitted)) or "nothing: it is closed"
        raise FlagStepError(
            f"a flag that is {flag.state} cannot become {state}",
            field="state",
            value=str(state),
            remedy=f"From here it may become: {names}.",
        )
    return replace(flag, steps=(*flag.steps, FlagStep(now, state, by, checked_reason(reason))))


def object_to(flag: Flag, by: str, words: str, now: datetime) -> Flag:
    """Return the flag with what the tenant says against it."""
    said = FlagStep(now, flag.state, by, checked_reason(words))
    return replace(flag, objections=(*flag.objections, said))


def checked_reason(reason: str) -> str:
    """Return a reason without spare blanks, or raise `FlagStepError`."""
    words = " ".join(reason.split())
    if not MIN_REASON <= len(words) <= MAX_REASON:
        raise FlagStepError(
            "a reason is needed" if len(words) < MIN_REASON else "the reason is too long",
            field="reason",
            value=words[:40],
            remedy=f"Write {MIN_REASON} to {MAX_REASON} characters.",
        )
    return words


def is_spent(flag: Flag, now: datetime, rules: ColdHomeRules) -> bool:
    """Tell whether a flag that nobody confirmed is old enough to be deleted."""
    confirmed = any(step.state is FlagState.CONFIRMED for step in flag.steps)
    last = max(flag.last_found_at, flag.steps[-1].at)
    return not confirmed and now - last > timedelta(days=rules.keep_days)


def worklist_order(flag: Flag) -> tuple[int, int, int, float, str]:
    """Sort flags: open first, the worst, what was not chosen, the most cold hours, the home."""
    return (
        0 if flag.is_open else 1,
        -SEVERITY.get(flag.verdict, 0),
        len(flag.evidence.chosen),
        -flag.evidence.below_h,
        flag.dwelling_id,
    )
