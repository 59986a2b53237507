"""The roll-up, said readably: one series, one step at a time.

The twin of ``ext/_rollup.pyx`` with the rules of :mod:`ext.rollup`. It looks at each
step by itself and visits every reading for each, which is slow and easy to follow.
Tests hold the two equal; nothing else calls it.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

from ems.domain.points import PointKind


@dataclass(frozen=True, slots=True)
class Step:
    """One step of one series; fields as in `ext.rollup.RollupArrays`."""

    mean: float
    low: float
    high: float
    coverage: float


UNKNOWN = Step(math.nan, math.nan, math.nan, 0.0)
"""Nothing good was read: named, never zero."""


@dataclass(frozen=True, slots=True)
class Value:
    """A reading: when [µs since the epoch], what, and whether it is good."""

    at: int
    number: float
    good: bool


def roll_up_one(
    times_us: Sequence[int],
    values: Sequence[float],
    quality: Sequence[int],
    kind: PointKind,
    *,
    start_us: int,
    slots: int,
    max_hold_us: int,
    step_us: int,
) -> list[Step]:
    """Roll one series up; parameters as in `ext.rollup.roll_up`."""
    series = [
        Value(at, number, mark == 0 and math.isfinite(number))
        for at, number, mark in zip(times_us, values, quality, strict=True)
    ]
    begins = [start_us + index * step_us for index in range(slots)]
    if kind is PointKind.COUNTER:
        counted = without_glitches([value for value in series if value.good], max_hold_us)
        return [risen(counted, begin, begin + step_us, max_hold_us) for begin in begins]
    return [held(series, kind, begin, begin + step_us, max_hold_us) for begin in begins]


def held(series: Sequence[Value], kind: PointKind, begin: int, end: int, max_hold_us: int) -> Step:
    """Return the step [begin, end) of a gauge or a state."""
    spans: list[tuple[float, int]] = []
    for index, value in enumerate(series):
        until = value.at + max_hold_us
        if index + 1 < len(series):
            until = min(until, series[index + 1].at)
        span = min(until, end) - max(value.at, begin)
        if value.good and span > 0:
            spans.append((value.number, span))
    if not spans:
        return UNKNOWN
    numbers = [number for number, _ in spans]
    known = sum(span for _, span in spans)
    if kind is PointKind.STATE:
        mean = numbers[-1]
    else:
        mean = math.fsum(number * (span / known) for number, span in spans)
    return Step(mean, min(numbers), max(numbers), known / (end - begin))


def without_glitches(good: Sequence[Value], max_hold_us: int) -> list[Value]:
    """Return the counter's good values without those that what follows contradicts."""
    kept: list[Value] = []
    for index, value in enumerate(good):
        following = good[index + 1 :]
        if kept and is_glitch(kept[-1], value, following, max_hold_us):
            continue
        kept.append(value)
    return kept


def is_glitch(before: Value, value: Value, following: Sequence[Value], max_hold_us: int) -> bool:
    """Whether a counter's value is contradicted by what follows it."""
    if value.number >= before.number:
        # A jump that the very next good value takes back.
        return bool(following) and before.number <= following[0].number < value.number
    # A fall from which the counter soon comes back was no reset.
    soon = (later for later in following if later.at - before.at <= max_hold_us)
    return any(later.number >= before.number for later in soon)


def risen(counted: Sequence[Value], begin: int, end: int, max_hold_us: int) -> Step:
    """Return the step (begin, end]."""
    rises: list[float] = []
    known = 0
    for index, before in enumerate(counted):
        value = counted[index + 1] if index + 1 < len(counted) else None
        if value is not None and begin < value.at <= end:
            if value.number < before.number:
                continue
            if before.at < begin and value.at - before.at > max_hold_us:
                continue
            rises.append(value.number - before.number)
            known += value.at - max(before.at, begin)
        else:
            # The value that closes this stretch comes in a later step, or not at all.
            until = min(before.at + max_hold_us, end)
            if value is not None:
                until = min(until, value.at)
            known += max(0, until - max(before.at, begin))
    low, high = _extremes(counted, begin, end)
    if not rises or not known:
        # Known and covered go together.
        return Step(math.nan, low, high, 0.0)
    return Step(math.fsum(rises), low, high, known / (end - begin))


def _extremes(counted: Sequence[Value], begin: int, end: int) -> tuple[float, float]:
    numbers = [value.number for value in counted if begin < value.at <= end]
    return (min(numbers), max(numbers)) if numbers else (math.nan, math.nan)
