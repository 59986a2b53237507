"""The next half-hours of single homes: what followed when it looked alike, and a ridge of its own.

A home that heats by night, or takes its hot water by the clock, does in the next half-hour what
it did on other days when it stood as it stands now. With ``x = log(y + 60 W)`` and some of its
*states* ``s`` (the last half-hours, means of the last hours and of the last day), what followed on
the last days ``d`` around the same half-hour is weighted by how alike the states were::

    m(k) = Σ K y(t - 48 d + o + k) / Σ K,
    K = 2^(-d/10) 0.6^|o| 1.3^[same kind of day] exp(-4 Σ_s c_s |s(t) - s(t - 48 d + o)|)  (38)

Two such means, one looking at the last half-hours and one at the last day besides, the home's own
lags, its usual course and their products with the part of the day enter a ridge of each home and
half-hour ahead (`ext.ridge`). It forecasts the mean, for means add up to groups.

Everything is laid out in local half-hours, as `forecasting.features.lay_out` does.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from ems.domain.forecasts import FloatArray
from ext import ridge
from ext.ridge import FeaturePlan, Window
from forecasting.calendar import SLOTS, Calendar, DayKind, IntArray

LEADS = 6
"""Half-hours ahead that are forecast."""
KINDS = 3
"""What is told of each home: both means of (38), and the ridge's forecast."""
HALF_LIFE_DAYS = 150.0
_FORGETTING = 0.5 ** (1.0 / (SLOTS * HALF_LIFE_DAYS))
PENALTY = 20.0
_WEEK = 7 * SLOTS
DAYS = tuple((SLOTS * n, 0.5 ** (n / 5.0)) for n in range(1, 15))
WEEKS = tuple((_WEEK * n, 0.5 ** (n / 3.0)) for n in range(1, 9))
_ALIKE_DAYS = 28
_AROUND = (-1, 0, 1)
_FADE_DAYS = 10.0
_NEAR = 0.6
_SAME_KIND = 1.3
_SHARP = 4.0
_FLOOR_W = 60.0
_NOW = ((1, 0, 1.0), (1, 1, 0.5), (1, 2, 0.25))
_TODAY = ((1, 0, 0.7), (1, 1, 0.4), (4, 0, 0.3), (SLOTS, 0, 0.7))
"""States of (38): half-hours that are averaged, how many ago the last is, and c."""
_UNLIKE = 1e4
"""Stands for a state that is not known: it is like no other."""
_PARTS = 8
_FIRST = _WEEK + _ALIKE_DAYS * SLOTS
"""Columns before the first row that is learnt from."""
_LEAST_ROWS = 1000
_CHUNK = 8
"""Homes worked on at once, to bound memory."""
_JUMP_W = 500.0


class HomeHours:
    """Means of the next half-hours of some homes, each learnt from its own past.

    Parameters
    ----------
    calendar
        Local time and holidays.
    """

    def __init__(self, calendar: Calendar) -> None:
        self._calendar = calendar
        self._found: list[FloatArray] = []

    def fit(self, homes: FloatArray, first: int) -> NDArray[np.float32]:
        """Learn from everything known, and return what would have been said.

        Parameters
        ----------
        homes
            Shape (n, L), local half-hours up to the last known one [W].
        first
            Local half-hour since 1970-01-01 of the first column.

        Returns
        -------
        What is told of each half-hour so many ahead, as it is known so many before it, shape
        (`KINDS`, n, `LEADS`, L) [W], ``nan`` where it is not known.
        """
        count, length = homes.shape
        told = np.full((KINDS, count, LEADS, length), np.nan, dtype=np.float32)
        columns = np.arange(length)
        slot = self._slot(first + columns)
        self._found = [np.full((count, _plan(lead).coefficients), np.nan) for lead in _leads()]
        for start in range(0, count, _CHUNK):
            part = slice(start, start + _CHUNK)
            some = homes[part]
            alike = self._alike(some, first, columns)
            tracks = _Tracks.of(some, np.arange(length + LEADS + 1))
            late = columns[_FIRST:]
            for at, lead in enumerate(_leads()):
                # what was like the present so many half-hours before the target
                told[:2, part, at] = picked(alike[:, :, at], columns - lead)
                plan = _plan(lead)
                own = tracks.own(picked(alike[:, :, at], late - lead), late, lead, first)
                window = Window(some[:, _FIRST:], None, own, slot[_FIRST:])
                state = ridge.fit(plan, window, forgetting=_FORGETTING, threads=1)
                found = ridge.solve(state, [PENALTY], threads=1)[:, 0]
                found[state.rows < _LEAST_ROWS] = np.nan
                self._found[at][part] = found
                said = ridge.fitted(plan, window, found, threads=1)
                told[2, part, at, _FIRST:] = np.maximum(said, 0.0)
        return told

    def predict(self, homes: FloatArray, first: int) -> FloatArray:
        """Return what is told of the next half-hours, shape (`KINDS`, n, `LEADS`) [W].

        ``nan`` where too little was known, now or when it learnt. Inputs are as for `fit`, at
        least the last 64 days.
        """
        count, length = homes.shape
        out = np.full((KINDS, count, LEADS), np.nan)
        if length < _FIRST:
            return out
        alike = self._alike(homes, first, np.array([length - 1]))
        tracks = _Tracks.of(homes, np.arange(length - SLOTS - 2, length + LEADS + 1))
        for at, lead in enumerate(_leads()):
            target = np.array([length + lead - 1])
            ago = alike[:, :, at]
            out[:2, :, at] = ago[..., 0]
            own = tracks.own(ago, target, lead, first)[..., 0]
            lags = np.stack([homes[:, length - 1 + lead - lag] for lag in _plan(lead).lags], axis=1)
            x = np.concatenate([np.ones((count, 1)), own, lags], axis=1)
            found, slot = self._found[at], int(self._slot(first + target)[0])
            said = (x * found[:, : x.shape[1]]).sum(axis=1) + found[:, x.shape[1] + slot]
            out[2, :, at] = np.maximum(said, 0.0)
        return out

    def _slot(self, at: IntArray) -> IntArray:
        """Return the half-hour of a working day, or of another day."""
        return np.asarray(at % SLOTS + SLOTS * self._off(at // SLOTS))

    def _off(self, day: IntArray) -> NDArray[np.bool_]:
        return np.asarray(self._calendar.kinds(day) != DayKind.WEEKDAY)

    def _alike(self, homes: FloatArray, first: int, now: IntArray) -> FloatArray:
        """Return both means (38) as known at consecutive columns, shape (2, n, LEADS, columns)."""
        back = _ALIKE_DAYS * SLOTS + 4  # the farthest move and state
        reach = np.arange(now[0] - back, now[-1] + LEADS + 1)
        values = picked(homes, reach)
        good = np.isfinite(values).astype(np.float32)
        filled = np.nan_to_num(values).astype(np.float32)
        states = {
            many: np.log(_mean_of_last(homes, reach, many) + _FLOOR_W).astype(np.float32)
            for many, _, _ in (*_NOW, *_TODAY)
        }
        off = self._off((first + reach) // SLOTS)
        return np.stack(
            [_followed(filled, good, _states(states, which), off, len(now)) for which in _BOTH]
        )


_BOTH = (_NOW, _TODAY)


def _leads() -> range:
    return range(1, LEADS + 1)


def _plan(lead: int) -> FeaturePlan:
    lags = {lead + n for n in range(5)} | {SLOTS - 1, SLOTS, SLOTS + 1, SLOTS + lead}
    lags |= {2 * SLOTS, _WEEK}
    return FeaturePlan(lags=tuple(sorted(lags)), own=15 + 6 * _PARTS, slots=2 * SLOTS)


def _states(
    of: dict[int, NDArray[np.float32]], which: Sequence[tuple[int, int, float]]
) -> list[tuple[NDArray[np.float32], float]]:
    """Return states by column and their weights, `_UNLIKE` where one is not known."""
    found = []
    for many, ago, weight in which:
        track = np.full_like(of[many], np.nan)
        track[:, ago:] = of[many][:, : of[many].shape[1] - ago]
        found.append((np.nan_to_num(track, nan=_UNLIKE), weight))
    return found


def _followed(
    values: NDArray[np.float32],
    good: NDArray[np.float32],
    states: Sequence[tuple[NDArray[np.float32], float]],
    off: NDArray[np.bool_],
    count: int,
) -> FloatArray:
    """Return (38) for the last ``count`` columns that have `LEADS` more behind them."""
    begin = values.shape[1] - LEADS - count
    shape = (len(values), count)
    total = np.zeros((LEADS, *shape), dtype=np.float32)
    weights = np.zeros_like(total)
    now = slice(begin, begin + count)
    for day in range(1, _ALIKE_DAYS + 1):
        for move in _AROUND:
            then = begin - SLOTS * day + move
            if then < 0:
                continue
            gap = np.zeros(shape, dtype=np.float32)
            for state, weight in states:
                gap += weight * np.abs(state[:, now] - state[:, then : then + count])
            prior = 0.5 ** (day / _FADE_DAYS) * _NEAR ** abs(move)
            like = np.exp(-_SHARP * gap)
            like *= (
                prior * np.where(off[now] == off[then : then + count], _SAME_KIND, 1.0)
            ).astype(np.float32)
            for at, lead in enumerate(_leads()):
                later = slice(then + lead, then + lead + count)
                total[at] += like * values[:, later]
                weights[at] += like * good[:, later]
    known = np.ones(shape, dtype=bool)
    for state, _ in states:
        known &= state[:, now] < _UNLIKE
    held = (weights > 1e-30) & known
    found = np.where(held, total / np.maximum(weights, 1e-30), np.nan)
    return np.asarray(found.transpose(1, 0, 2), dtype=np.float64)


@dataclass(frozen=True, slots=True, eq=False)
class _Tracks:
    """What columns of a home's own are read from, each of shape (n, columns) [W]."""

    begin: int
    level: FloatArray
    by_day: FloatArray
    by_week: FloatArray
    excess: FloatArray
    hours: FloatArray
    day: FloatArray

    @classmethod
    def of(cls, homes: FloatArray, reach: IntArray) -> _Tracks:
        """Return tracks at consecutive columns of ``homes``."""
        level, by_day, by_week = (
            picked(homes, reach),
            usual(homes, reach, DAYS),
            usual(homes, reach, WEEKS),
        )
        excess = level - 0.5 * (by_day + by_week)
        means = (_mean_of_last(homes, reach, many) for many in (8, SLOTS))
        return cls(int(reach[0]), level, by_day, by_week, excess, *means)

    def own(self, alike: FloatArray, targets: IntArray, lead: int, first: int) -> FloatArray:
        """Return a home's own columns of targets, shape (n, own, columns)."""
        here = targets - self.begin
        out = np.empty((len(self.level), _plan(lead).own, len(targets)))
        now, before = self.excess[:, here - lead], self.excess[:, here - lead - 1]
        day, last = self.by_day[:, here], self.level[:, here - lead]
        columns = [
            now, before, np.maximum(now, 0.0), np.maximum(now - _JUMP_W, 0.0),
            np.minimum(now, before), day, self.by_week[:, here], self.by_day[:, here - lead],
            self.by_week[:, here - lead], self.by_day[:, here - 1], self.by_day[:, here + 1],
            *alike, self.hours[:, here - lead], self.day[:, here - lead],
        ]  # fmt: skip
        for row, one in enumerate(columns):
            out[:, row] = one
        parts = np.eye(_PARTS)[:, (first + targets) % SLOTS * _PARTS // SLOTS]
        begin = len(columns)
        yesterday, earlier = self.level[:, here - SLOTS], self.level[:, here - lead - 1]
        for one in (last, earlier, yesterday, now, day, alike[0]):
            np.multiply(one[:, None], parts, out=out[:, begin : begin + _PARTS])
            begin += _PARTS
        return out


def usual(values: FloatArray, columns: IntArray, lags: Sequence[tuple[int, float]]) -> FloatArray:
    """Return weighted means of what stands so many columns earlier, ``nan`` without any."""
    total, weights = np.zeros((len(values), len(columns))), np.zeros((len(values), len(columns)))
    for lag, weight in lags:
        earlier = picked(values, columns - lag)
        good = np.isfinite(earlier)
        total += weight * np.where(good, earlier, 0.0)
        weights += weight * good
    return np.where(weights > 0.0, total / np.maximum(weights, 1e-12), np.nan)


def _mean_of_last(values: FloatArray, last: IntArray, many: int) -> FloatArray:
    """Return means of what is there in so many columns up to ``last``, ``nan`` without any."""
    good = np.isfinite(values)
    zero = np.zeros((len(values), 1))
    summed = np.concatenate([zero, np.cumsum(np.where(good, values, 0.0), axis=1)], axis=1)
    held = np.concatenate([zero, np.cumsum(good, axis=1)], axis=1)
    end = np.clip(last + 1, 0, values.shape[1])
    start = np.clip(last + 1 - many, 0, values.shape[1])
    count = held[:, end] - held[:, start]
    mean = (summed[:, end] - summed[:, start]) / np.maximum(count, 1.0)
    return np.where((count > 0) & (last < values.shape[1]), mean, np.nan)


def picked(values: FloatArray, columns: IntArray) -> FloatArray:
    """Return columns of the last axis, ``nan`` where there is none."""
    count = values.shape[-1]
    inside = (columns >= 0) & (columns < count)
    return np.where(inside, values[..., np.clip(columns, 0, count - 1)], np.nan)
