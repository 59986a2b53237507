"""The first hours of a group of homes: what its homes do now, against what they usually do.

Each group and each of the next `LEADS` half-hours has a ridge median of its own (equation 13 of
``docs/forecasting.md``). It learns from half-hours all over the day and is told

- the group's last half-hours, and by how much they differ from the usual: the mean, half of it,
  of the last days at this half-hour, and half of the last weeks at this half-hour of the week;
- how the excess of its homes is made up. A home a little above its usual level stays so, one
  that just put a kettle on does not, so the excess of each home is cut into steps, and each step
  is summed over homes by itself; so are rises and falls, and what lasts for two and three
  half-hours.

The band comes from what the medians missed by, by part of the day (39). Everything is laid out in
local half-hours, as `forecasting.features.lay_out` does.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from itertools import pairwise
from typing import Self

import numpy as np
from numpy.typing import NDArray

from ems.domain.forecasts import FloatArray
from forecasting.calendar import SLOTS, Calendar, DayKind, IntArray
from forecasting.home_hours import DAYS, KINDS, LEADS, WEEKS, HomeHours, picked, usual
from forecasting.ridge import median_coefficients

BACK_DAYS = 64
"""Days before the present that a forecast looks at."""
HALF_LIFE_DAYS = 120.0
GROWTH = 0.75
"""Bands grow with this power of what is expected: 0.5 would be switches by chance, 1 shares [-]."""
_WEEK = 7 * SLOTS
_STEPS = tuple(pairwise((-np.inf, -600.0, -200.0, 0.0, 200.0, 600.0, 1400.0, np.inf)))
"""Ends of the steps that an excess is cut into [W]."""
_RISE_W = 400.0
_MOST_ROWS = 16_000
"""Half-hours that a group learns from at most; fewer where there are many groups."""
_ROWS_OF_ALL = 200_000
_FEW_ROWS = 4000
_CHUNK = 100
"""Homes worked on at once, to bound memory."""
_LEAST_ROWS = 1000
MOST_HOMES = 300
"""Of more homes none is followed by itself, so that a night's fit stays in time."""
_PARTS = 8
_LONGEST = _WEEK + LEADS + 1
"""Columns that a row reaches back."""
_LEAST_SHARE = 0.05
"""Bands do not grow below this share of the scale [-]."""
_ENOUGH = 0.8
"""Share of a group's homes that must have readings [-]."""


class FirstHours:
    """Ridge medians of the next half-hours of some groups, and bands about them.

    Parameters
    ----------
    calendar
        Local time and holidays.
    members
        Group → its homes.
    homes
        All homes, in order of the rows that come in.
    seed
        Of the half-hours learnt from.
    """

    def __init__(
        self,
        calendar: Calendar,
        members: Mapping[str, Sequence[str]],
        homes: Sequence[str],
        seed: int = 0,
    ) -> None:
        place = {home: at for at, home in enumerate(homes)}
        self._calendar = calendar
        self._belongs = np.zeros((len(members), len(homes)))
        for row, of in enumerate(members.values()):
            self._belongs[row, [place[home] for home in of]] = 1.0
        self._seed = seed
        self._scale: FloatArray = np.empty(0)
        self._hours = HomeHours(calendar) if len(homes) <= MOST_HOMES else None
        self._learnt: dict[tuple[int, int], _Learnt] = {}

    def fit(self, groups: FloatArray, homes: FloatArray, first: int) -> Self:
        """Learn from everything known.

        Parameters
        ----------
        groups, homes
            Shapes (S, L) and (n, L), local half-hours up to the last known one [W].
        first
            Local half-hour since 1970-01-01 of the first column.
        """
        recent = groups[:, -28 * SLOTS :]
        good = np.isfinite(recent)
        total = np.where(good, recent, 0.0).sum(axis=1)
        self._scale = np.maximum(total / np.maximum(good.sum(axis=1), 1), 1.0)
        columns = np.arange(groups.shape[1])
        tracks = self._tracks(groups, homes, columns, columns)
        expected = np.zeros((len(groups), 0, LEADS, len(columns)))
        if self._hours is not None:
            expected = self._expected(self._hours.fit(homes, first))
        rng = np.random.default_rng(self._seed)
        learnable = columns[_LONGEST:]
        most = int(np.clip(_ROWS_OF_ALL // max(len(groups), 1), _FEW_ROWS, _MOST_ROWS))
        if len(learnable) > most:
            learnable = np.sort(rng.choice(learnable, most, replace=False))
        recency = 0.5 ** ((columns[-1] + 1 - learnable) / SLOTS / HALF_LIFE_DAYS)
        self._learnt = {}
        for lead in range(1, LEADS + 1):
            shared = self._clock(first + learnable)
            for row in range(len(groups)):
                told = expected[row, :, lead - 1, learnable].T
                y = groups[row, learnable] / self._scale[row]
                for some in (told, told[:0]):  # a short history has no homes by themselves
                    x = _regressors(tracks[:, row], learnable, lead, shared, some)
                    held = np.isfinite(x).all(axis=1) & np.isfinite(y)
                    if held.sum() >= _LEAST_ROWS:
                        break
                else:
                    continue
                centre, spread = x[held].mean(axis=0), x[held].std(axis=0) + 1e-6
                rows = np.concatenate([(x[held] - centre) / spread, np.ones((held.sum(), 1))], 1)
                found = median_coefficients(rows, y[held], recency[held])
                part = _part(first + learnable[held])
                halves = _halves(y[held], rows @ found, recency[held], part)
                # They missed less in the rows that they were fitted to than they will in others.
                halves *= (len(rows) + len(found)) / (len(rows) - len(found))
                self._learnt[lead, row] = _Learnt(len(some), centre, spread, found, halves)
        return self

    def predict(self, groups: FloatArray, homes: FloatArray, first: int) -> FloatArray:
        """Return P10, P50 and P90 of the next half-hours, shape (3, S, `LEADS`) [W].

        ``nan`` where too little was known, now or when it learnt. Inputs are as for `fit`, at
        least the last `BACK_DAYS` days.
        """
        out = np.full((3, len(groups), LEADS), np.nan)
        count = groups.shape[1]
        if count <= _LONGEST:
            return out
        columns = np.arange(count - _LONGEST, count + LEADS)
        tracks = self._tracks(groups, homes, columns, np.arange(count - 2, count))
        expected = np.zeros((len(groups), 0, LEADS))
        if self._hours is not None:
            expected = self._expected(self._hours.predict(homes, first)[..., None])[..., 0]
        for lead in range(1, LEADS + 1):
            target = np.array([_LONGEST + lead - 1])
            shared = self._clock(first + columns[0] + target)
            for row in range(len(groups)):
                if (lead, row) in self._learnt:
                    one = self._learnt[lead, row]
                    told = expected[row, : one.kinds, lead - 1 : lead]
                    x = _regressors(tracks[:, row], target, lead, shared, told)[0]
                    x = (x - one.centre) / one.spread
                    middle = max(float(x @ one.found[:-1] + one.found[-1]), 0.0)
                    part = int(_part(first + columns[0] + target)[0])
                    halves = one.halves[:, part] * _grows(middle)
                    out[:, row, lead - 1] = middle + np.array([-halves[0], 0.0, halves[1]])
                    out[:, row, lead - 1] *= self._scale[row]
        return np.asarray(np.maximum(out, 0.0))

    def _clock(self, at: IntArray) -> tuple[FloatArray, FloatArray]:
        """Return indicators of the hour on working and other days, and of the part of the day."""
        slot, day = at % SLOTS, at // SLOTS
        off = self._calendar.kinds(day) != DayKind.WEEKDAY
        hours = np.eye(SLOTS)[slot // 2 + SLOTS // 2 * off]
        return hours, np.eye(_PARTS)[slot * _PARTS // SLOTS]

    def _tracks(
        self, groups: FloatArray, homes: FloatArray, columns: IntArray, newest: IntArray
    ) -> FloatArray:
        """Return what rows are read from at some columns, shape (tracks, S, columns).

        First the group's level, its usual level by days and by weeks and its excess; then the
        sums over homes, at ``newest`` alone. Columns lie side by side.
        """
        scale = self._scale[:, None]
        by_day, by_week = usual(groups, columns, DAYS), usual(groups, columns, WEEKS)
        level = picked(groups, columns)
        own = [level, by_day, by_week, level - 0.5 * (by_day + by_week)]
        summed = self._made_up(homes, newest)
        out = np.full((len(own) + len(summed), *level.shape), np.nan)
        out[: len(own)] = np.stack(own) / scale
        start = int(newest[0] - columns[0])
        out[len(own) :, :, start : start + len(newest)] = summed / scale
        return out

    def _expected(self, told: NDArray[np.floating]) -> FloatArray:
        """Return what homes are expected to use, summed and over scale, group by group.

        ``told`` has shape (kinds, n, `LEADS`, columns), the result (S, kinds, `LEADS`, columns).
        """
        good = np.isfinite(told)
        size = self._belongs.sum(axis=1)[:, None, None, None]
        held = np.einsum("gn,knlc->gklc", self._belongs, good)
        total = np.einsum("gn,knlc->gklc", self._belongs, np.where(good, told, 0.0))
        found = np.where(held >= _ENOUGH * size, total * size / np.maximum(held, 1.0), np.nan)
        return np.asarray(found / self._scale[:, None, None, None])

    def _made_up(self, homes: FloatArray, newest: IntArray) -> FloatArray:
        """Return how the excess at ``newest`` is made up, summed over each group's homes.

        A missing home is stood in for by the others, as long as enough are there.
        """
        size = self._belongs.sum(axis=1)[:, None]
        held = np.zeros((len(size), len(newest)))
        totals = np.zeros((len(_STEPS) + 6, *held.shape))
        for start in range(0, len(homes), _CHUNK):
            part = slice(start, start + _CHUNK)
            tracks = _excess_tracks(homes[part], newest)
            good = np.isfinite(tracks).all(axis=0)
            held += self._belongs[:, part] @ good
            totals += self._belongs[:, part] @ np.where(good, tracks, 0.0)
        enough = held >= _ENOUGH * size
        return np.where(enough, totals * size / np.maximum(held, 1.0), np.nan)


@dataclass(frozen=True, slots=True, eq=False)
class _Learnt:
    """What was learnt of a group and half-hour ahead.

    Attributes
    ----------
    kinds
        How many kinds of expectations of homes it is told.
    centre, spread, found
        Of regressors; coefficients, the constant last.
    halves
        How far P10 is below and P90 above the median by part of the day, shape (2, parts), in units
        that `_grows` turns into shares of the scale.
    """

    kinds: int
    centre: FloatArray
    spread: FloatArray
    found: FloatArray
    halves: FloatArray


def _part(at: IntArray) -> IntArray:
    """Return the part of the day of local half-hours."""
    return np.asarray(at % SLOTS * _PARTS // SLOTS)


def _grows(middle: FloatArray | float) -> FloatArray:
    """Return how bands grow with what is expected: between its root and itself."""
    return np.asarray(np.maximum(middle, _LEAST_SHARE) ** GROWTH)


def _halves(came: FloatArray, said: FloatArray, weight: FloatArray, part: IntArray) -> FloatArray:
    """Return both halves of the band that would have left a tenth beyond either end."""
    off = (came - said) / _grows(said)
    out = np.zeros((2, _PARTS))
    for at in range(_PARTS):
        here = part == at
        if not here.any():
            here = np.ones_like(here)
        order = np.argsort(off[here])
        passed = np.cumsum(weight[here][order]) / weight[here].sum()
        ends = off[here][order][np.searchsorted(passed, (0.1, 0.9))]
        out[:, at] = np.maximum(-ends[0], 0.0), np.maximum(ends[1], 0.0)
    return out


def _excess_tracks(homes: FloatArray, newest: IntArray) -> FloatArray:
    """Return steps of the excess, rises and falls, and what lasts, shape (tracks, n, columns)."""
    reach = np.arange(newest[0] - 3, newest[-1] + 1)
    now = picked(homes, reach)
    excess = now - 0.5 * (usual(homes, reach, DAYS) + usual(homes, reach, WEEKS))
    rise = now[:, 3:] - now[:, 2:-1]
    lasting = np.minimum(excess[:, 3:], excess[:, 2:-1])
    tracks = [
        # each step holds what of the excess lies in it, so that they add up to the excess
        *(
            np.clip(excess[:, 3:], low, high) - (low if low >= 0.0 else high)
            for low, high in _STEPS
        ),
        np.clip(rise, 0.0, _RISE_W),
        np.maximum(rise - _RISE_W, 0.0),
        np.clip(rise, -_RISE_W, 0.0),
        np.minimum(rise + _RISE_W, 0.0),
        np.maximum(lasting, 0.0),
        np.maximum(np.minimum(lasting, excess[:, 1:-2]), 0.0),
    ]
    return np.stack(tracks)


def _regressors(
    tracks: FloatArray,
    at: IntArray,
    lead: int,
    shared: tuple[FloatArray, FloatArray],
    expected: FloatArray,
) -> FloatArray:
    """Return the regressors of one group at target columns, shape (n, P).

    ``tracks`` has shape (tracks, columns); nothing within ``lead`` columns of the target is
    read but the usual level, which is made of earlier days. ``expected`` has shape
    (`KINDS`, n), or (0, n) where homes are not followed by themselves.
    """
    level, by_day, by_week, excess = tracks[:4]
    hours, parts = shared

    def ago(track: FloatArray, many: int) -> FloatArray:
        return picked(track, at - many)

    day, week = by_day[at], by_week[at]
    last = lead + np.arange(6)
    columns = [day, week]
    columns += [ago(level, int(n)) for n in last[:4]] + [ago(excess, int(n)) for n in last]
    columns += [ago(excess, n) for n in (SLOTS, SLOTS + 1, 2 * SLOTS, 3 * SLOTS, _WEEK)]
    columns += [ago(level, n) for n in (SLOTS, SLOTS + 1, _WEEK, _WEEK + 1, _WEEK - 1)]
    columns += [ago(level, n) - ago(level, n + lead) for n in (SLOTS, _WEEK)]
    columns += [_mean(excess, at - lead, n) for n in (8, 24, SLOTS, 2 * SLOTS)]
    columns += [ago(one, lead) for one in tracks[4:]]
    columns += [ago(one, lead + 1) for one in tracks[4 : 4 + len(_STEPS)]]
    columns += list(expected)
    by_part = [
        parts * one[:, None]
        for one in (ago(level, lead), day, ago(excess, lead), *expected[KINDS - 1 :])
    ]
    return np.concatenate([np.stack(columns, axis=1), hours, parts, *by_part], axis=1)


def _mean(track: FloatArray, last: IntArray, count: int) -> FloatArray:
    """Return means of what is there in so many columns up to ``last``, ``nan`` without any."""
    good = np.isfinite(track)
    summed = np.concatenate([[0.0], np.cumsum(np.where(good, track, 0.0))])
    held = np.concatenate([[0], np.cumsum(good)])
    end, start = last + 1, np.maximum(last + 1 - count, 0)
    many = held[end] - held[start]
    return np.where(many > 0, (summed[end] - summed[start]) / np.maximum(many, 1), np.nan)
