"""Readings that are no consumption: stuck meters, outages, and times that were not usual.

What is found becomes ``nan`` and is named; nothing is filled. Three rules:

- *stuck*: one value above zero in `STUCK_HALF_HOURS` half-hours on end or more. Zeros on end
  are kept, for an empty home may use nothing, but a run of them that lasts is named.
- *outage*: half-hours in which every home that reads at all reads zero, where homes that
  are independent would do so by chance less than once in a million times.
- *events*: spans in which a price or a call asked people to use less or more than usual.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from ems.domain.errors import InvalidInputError
from ems.domain.time import HALF_HOUR, require_utc
from forecasting.interface import check_frame

STUCK_HALF_HOURS = 96
"""So many equal values above zero are a stuck meter; real homes repeat one for hours, not days."""
BY_CHANCE = 1e-6
"""Zeros of all homes at once that are less likely than this are an outage [-]."""
TOLD_DAYS = 28
"""Faults that ended longer ago are taken out but not named any more."""
_MOST_NAMED = 3
BoolArray = NDArray[np.bool_]
Span = tuple[datetime, datetime]
"""From, until (UTC)."""


@dataclass(frozen=True, slots=True, eq=False)
class Usable:
    """Readings without what is no usual consumption.

    Attributes
    ----------
    power_w
        As given, ``nan`` where something was taken out.
    why
        Home → what was taken out lately, in words; homes of which nothing was are absent.
    """

    power_w: pd.DataFrame = field(repr=False)
    why: Mapping[str, tuple[str, ...]] = field(default_factory=dict)


def usable(power_w: pd.DataFrame, events: Sequence[Span] = ()) -> Usable:
    """Return readings without stuck values, outages and events.

    Parameters
    ----------
    power_w
        Half-hours (UTC) that have ended, one column a home [W], ``nan`` gaps.
    events
        Spans that are not learnt from.

    Raises
    ------
    InvalidInputError
        Where an event ends before it begins or has no time zone.
    """
    check_frame(power_w, "power_w")
    values = power_w.to_numpy(dtype=np.float64)
    index = pd.DatetimeIndex(power_w.index)
    out = _outages(values)
    called = _called(index, events)
    stuck = _runs(values, STUCK_HALF_HOURS) & (values > 0.0)
    taken = stuck | out[:, None] | called[:, None]
    kept = pd.DataFrame(np.where(taken, np.nan, values), index=index, columns=power_w.columns)
    shared = [
        *_named(index, out, "outage, every home at zero"),
        *_named(index, called, "price event, not learnt from"),
    ]
    why = {}
    idle = _runs(values[-STUCK_HALF_HOURS:], STUCK_HALF_HOURS) & (values[-STUCK_HALF_HOURS:] == 0.0)
    for column, name in enumerate(power_w.columns):
        said = _named(index, stuck[:, column], "stuck meter, one value")
        if idle.size and idle[-1, column]:
            said.append(f"readings above zero for {_zero_days(values[:, column]):.0f} days")
        if said or shared:
            why[str(name)] = (*said, *shared)
    return Usable(kept, why)


def _runs(values: NDArray[np.float64], least: int) -> BoolArray:
    """Return where a value is one of at least so many equal ones on end, shape of ``values``."""
    rows = len(values)
    inside = np.zeros(values.shape, dtype=bool)
    if rows < least:
        return inside
    same = values[1:] == values[:-1]  # nan equals nothing
    for column in np.flatnonzero(same.sum(axis=0) >= least - 1):
        edges = np.flatnonzero(~same[:, column])
        starts = np.concatenate(([0], edges + 1))
        ends = np.concatenate((edges + 1, [rows]))
        for start, end in zip(starts, ends, strict=True):
            if end - start >= least:
                inside[start:end, column] = True
    return inside


def _outages(values: NDArray[np.float64]) -> BoolArray:
    """Return the half-hours in which all homes went to zero together, shape (rows,)."""
    held = np.isfinite(values)
    zero = values == 0.0
    together: BoolArray = held.any(axis=1) & (zero | ~held).all(axis=1)
    if not together.any():
        return together
    alone = zero & ~together[:, None]
    share = (alone.sum(axis=0) + 1.0) / ((held & ~together[:, None]).sum(axis=0) + 2.0)
    chance = np.where(held, np.log(share), 0.0).sum(axis=1)
    return np.asarray(together & (chance < np.log(BY_CHANCE)))


def _called(index: pd.DatetimeIndex, events: Sequence[Span]) -> BoolArray:
    """Return the half-hours that an event touches, shape of ``index``."""
    inside = np.zeros(len(index), dtype=bool)
    for start, end in events:
        require_utc(start, "events")
        require_utc(end, "events")
        if end <= start:
            raise InvalidInputError(
                "an event ends after it begins",
                field="events",
                value=f"{start.isoformat()} to {end.isoformat()}",
                remedy="Give each event as its start and its end, UTC.",
            )
        inside |= np.asarray(
            (index > pd.Timestamp(start) - HALF_HOUR) & (index < pd.Timestamp(end))
        )
    return inside


def _named(index: pd.DatetimeIndex, taken: BoolArray, what: str) -> list[str]:
    """Return the spans that ended within `TOLD_DAYS` before the end, the latest ones in words."""
    if not taken.any():
        return []
    edges = np.flatnonzero(np.diff(np.concatenate(([False], taken, [False])).astype(np.int8)))
    recent = index[-1] - pd.Timedelta(days=TOLD_DAYS)
    spans = [
        (index[start], index[end - 1] + HALF_HOUR)
        for start, end in zip(edges[::2], edges[1::2], strict=True)
        if index[end - 1] >= recent
    ]
    said = [
        f"{what}: {start:%Y-%m-%d %H:%M} to {end:%Y-%m-%d %H:%M} UTC"
        for start, end in spans[-_MOST_NAMED:]
    ]
    if len(spans) > _MOST_NAMED:
        said.append(f"{what}: {len(spans) - _MOST_NAMED} times more in {TOLD_DAYS} days")
    return said


def _zero_days(values: NDArray[np.float64]) -> float:
    """Return for how many days up to the end a series has been zero."""
    other = np.flatnonzero(values != 0.0)
    return (len(values) - 1 - (int(other[-1]) if other.size else -1)) / 48.0
