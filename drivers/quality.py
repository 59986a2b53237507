"""What counters and live measurements may do. Pure.

A counter rises, and not faster than physics allows; a live measurement does not stand
still for longer than its profile says.

A counter that falls or jumps is marked ``OUT_OF_RANGE``. Where its next values go on from
there at a possible pace, the meter was reset or replaced: from the third such value on
it is believed again.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime

from ems.domain.readings import Quality

SLACK_S = 300.0
"""Clocks of device and service may differ, and a counter may step: this long is allowed [s]."""

AGREEING_NEEDED = 3
"""So many values in a row that fit one another make a new beginning."""


@dataclass(frozen=True, slots=True)
class CounterState:
    """What is remembered of a counter.

    Attributes
    ----------
    value, at
        The last believed value and when it was read.
    doubtful, doubtful_at
        The last value that did not fit; ``None`` where the last one did.
    agreeing
        How many doubtful values in a row fit one another.
    """

    value: float
    at: datetime
    doubtful: float | None = None
    doubtful_at: datetime | None = None
    agreeing: int = 0


def judge_counter(
    state: CounterState | None, value: float, at: datetime, max_rise_per_h: float
) -> tuple[Quality, CounterState, bool]:
    """Judge a counter's new value.

    Parameters
    ----------
    state
        What is remembered; ``None`` before the first value.
    value, at
        The new value in the point's unit, and when it was read.
    max_rise_per_h
        Greatest physical rise an hour, in the point's unit.

    Returns
    -------
    tuple[Quality, CounterState, bool]
        The quality, what to remember, and whether the counter has just begun anew.
    """
    if state is None or _fits(state.value, state.at, value, at, max_rise_per_h):
        return Quality.GOOD, CounterState(value, at), False
    agreeing = 1
    if state.doubtful is not None and state.doubtful_at is not None:
        follows = _fits(state.doubtful, state.doubtful_at, value, at, max_rise_per_h)
        agreeing = state.agreeing + 1 if follows else 1
    if agreeing >= AGREEING_NEEDED:
        return Quality.GOOD, CounterState(value, at), True
    remembered = CounterState(state.value, state.at, value, at, agreeing)
    return Quality.OUT_OF_RANGE, remembered, False


def _fits(before: float, then: datetime, value: float, at: datetime, max_rise_per_h: float) -> bool:
    elapsed_s = max((at - then).total_seconds(), 0.0) + SLACK_S
    return before <= value <= before + max_rise_per_h * elapsed_s / 3600.0


@dataclass(frozen=True, slots=True)
class StillState:
    """What is remembered of a measurement that ought to move.

    Attributes
    ----------
    value, since
        The last value and when it was first read.
    still
        Whether it has stood for longer than it may.
    """

    value: float
    since: datetime
    still: bool = False


def judge_still(
    state: StillState | None, value: float, at: datetime, within_s: float
) -> tuple[Quality, StillState]:
    """Judge a measurement that ought to change within ``within_s`` [s].

    Parameters
    ----------
    state
        What is remembered; ``None`` before the first value.
    value, at
        The new value and when it was read.
    within_s
        A live measurement of this device changes at least this often [s].

    Returns
    -------
    tuple[Quality, StillState]
        ``STALE`` where the value has stood for longer, and what to remember.
    """
    if state is None or value != state.value or at < state.since:
        return Quality.GOOD, StillState(value, at)
    if (at - state.since).total_seconds() <= within_s:
        return Quality.GOOD, state
    return Quality.STALE, state if state.still else StillState(value, state.since, True)
