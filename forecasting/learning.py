"""How the learnt forecasts learn: from series as known at one instant, to fitted models.

One fit goes through three steps, all of them before ``until``:

1. the gradient model (and for groups the ridge) learns from all but the last three weeks;
2. those weeks are forecast as they would have been then: the share of the ridge in the median
   is the one that would have been best, and each series' band is moved by what it missed
   (equation 14 of ``docs/forecasting.md``);
3. the ridge learns again from everything, and so do the first hours of groups.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import datetime, timedelta

import numpy as np
import pandas as pd

from ems.domain.forecasts import FloatArray
from forecasting.calendar import SLOTS, Calendar
from forecasting.calibration import best_share, centred, take_in, widen, widths
from forecasting.features import LEAST_SCALE_W, FeatureArray, Known, lay_out
from forecasting.first_hours import FirstHours
from forecasting.panels import MOST_ROWS, Panel, gather, joined
from forecasting.references import group_sums
from forecasting.ridge import RidgeMedians
from forecasting.shared import Boosting, Gradient

HELD_DAYS = 21
"""Days before ``until`` that calibrate."""
LEAST_DAYS = 28
"""A series with fewer days of values is forecast by its habits alone."""
LEAST_ROWS = 4000
MOST_DAYS = 365
MOST_HOMES = 120
"""Of more homes, so many chosen at random are learnt from."""
MOST_OF_A_RIDGE = 25_000
"""Rows that a series with a ridge learns from at most: of more, every so manieth origin."""


@dataclass(frozen=True, slots=True)
class Learning:
    """How a model learns.

    Attributes
    ----------
    steps
        Half-hours ahead it is made for.
    every_half_hour
        Whether it is asked at any half-hour; else it learns from origins at the same time
        of day as the one it is fitted at.
    boosting
        How trees are grown.
    extra_groups
        Random groups of homes learnt from beside those that are forecast.
    ridge
        Whether each series has a ridge median of its own, and others for its first hours.
    habits
        Part of the habits of each series in its median and mean [-].
    habit_bands
        Part of the habits in the width of its bands [-].
    seed
        Of the random groups, origins and rows.
    """

    steps: int = 48
    every_half_hour: bool = False
    boosting: Boosting = field(default_factory=Boosting)
    extra_groups: int = 0
    ridge: bool = False
    habits: float = 0.0
    habit_bands: float = 0.0
    seed: int = 0


@dataclass(slots=True, eq=False)
class Fitted:
    """What one fit has learnt.

    Attributes
    ----------
    gradient
        Trees shared over series.
    ridge
        Medians of each series by itself, or ``None``.
    share
        Part of the ridge in the median [-].
    moved
        By what the lower and upper half of each series' band is multiplied, shape (2, S).
    first
        Medians of the first hours, or ``None``.
    """

    gradient: Gradient
    ridge: RidgeMedians | None
    share: float
    moved: FloatArray = field(repr=False)
    first: FirstHours | None = None

    def predict(self, rows: FeatureArray, scale: FloatArray) -> FloatArray:
        """Return quantiles and mean of each series [W], shape (kinds, S, K)."""
        found = self.gradient.predict(rows)
        if self.ridge is not None:
            found = centred(found)
            take_in(found, self.ridge.predict(rows), self.share)
        widen(found, self.moved)
        return np.asarray(np.maximum(found, 0.0) * np.maximum(scale, LEAST_SCALE_W)[None, :, None])


@dataclass(frozen=True, slots=True, eq=False)
class Material:
    """What a fit is told.

    Attributes
    ----------
    calendar
        Local time and holidays.
    learning
        How it learns.
    members
        Group → homes; ``None`` where every home is a series by itself.
    homes, series
        Half-hours (UTC) of homes, and of what is forecast, as known [W].
    observed
        Weather seen, or ``None``.
    """

    calendar: Calendar
    learning: Learning
    members: Mapping[str, Sequence[str]] | None
    homes: pd.DataFrame = field(repr=False)
    series: pd.DataFrame = field(repr=False)
    observed: pd.DataFrame | None = field(repr=False)

    def learn(self, until: datetime) -> Fitted | None:
        """Go through the three steps; ``None`` where there is too little to learn from."""
        learning = self.learning
        if len(self.series) < (LEAST_DAYS + HELD_DAYS) * SLOTS:
            return None
        origins = self._origins(until)
        held = until - timedelta(days=HELD_DAYS)
        ahead = half_hours(learning.steps)
        early = [at for at in origins if at + ahead <= held]
        late = [at for at in origins if at >= held and at + ahead <= until]
        if learning.ridge:
            early = early[:: max(-(-len(early) * learning.steps // MOST_OF_A_RIDGE), 1)]
        if not early:
            return None
        everything = self._panel(self._learnt_from(), early)
        own = self.series.shape[1]
        gradient = self._grown(everything)
        if gradient is None:
            return None
        ridge = _ridge(everything.first(own), held) if learning.ridge else None
        calibration, found = self._checked(gradient, late)
        share, first = 0.0, None
        if ridge is not None:
            found, other = centred(found), _medians(ridge, calibration.rows)
            weight = np.broadcast_to(calibration.scale[..., None], other.shape)
            share = best_share(found, other, calibration.share, weight)
            take_in(found, other, share)
            ridge = _ridge(joined([everything.first(own), calibration]), until)
            first = self._first_hours()
        return Fitted(gradient, ridge, share, widths(found, calibration.share), first)

    def _first_hours(self) -> FirstHours:
        """Learn the first hours of the groups from everything known."""
        homes = lay_out(self.homes.iloc[-MOST_DAYS * SLOTS :], self.calendar)
        groups = lay_out(self.series.iloc[-MOST_DAYS * SLOTS :], self.calendar)
        names = [str(name) for name in self.homes.columns]
        first = FirstHours(self.calendar, self.members or {}, names, self.learning.seed)
        return first.fit(groups.local, homes.local, groups.first)

    def _origins(self, until: datetime) -> list[datetime]:
        """Return instants to learn from: one a day, at one or at random times of the day."""
        first = pd.DatetimeIndex(self.series.index)[0].to_pydatetime()
        days = min((until - first).days - LEAST_DAYS, MOST_DAYS)
        found = [until - timedelta(days=back) for back in range(days, 0, -1)]
        if self.learning.every_half_hour:
            rng = np.random.default_rng(self.learning.seed)
            moves = rng.integers(0, SLOTS, (len(found), 4))
            found = [
                at - half_hours(int(move))
                for at, some in zip(found, moves, strict=True)
                for move in sorted(set(some.tolist()), reverse=True)
            ]
        return found

    def _learnt_from(self) -> pd.DataFrame:
        """Return the series forecast and random groups of homes; of many homes, some."""
        rng = np.random.default_rng(self.learning.seed)
        if self.members is None:
            count = self.series.shape[1]
            some = rng.choice(count, min(count, MOST_HOMES), replace=False)
            return self.series.iloc[:, np.sort(some)]
        if not self.learning.extra_groups:
            return self.series
        homes = list(self.homes.columns)
        size = min(*(len(of) for of in self.members.values()), max(len(homes) // 2, 1))
        extra = {
            f"random {n}": [homes[k] for k in rng.choice(len(homes), size, replace=False)]
            for n in range(self.learning.extra_groups)
        }
        return pd.concat([self.series, group_sums(self.homes, extra)], axis=1)

    def _panel(self, series: pd.DataFrame, origins: Sequence[datetime]) -> Panel:
        known = lay_out(series, self.calendar, self.observed)
        return self._gathered(known, series, origins)

    def _gathered(self, known: Known, series: pd.DataFrame, origins: Sequence[datetime]) -> Panel:
        one = self.learning
        # A ridge belongs to one series and learns from all of it.
        return gather(
            known, series, origins, one.steps, self.calendar, whole=one.ridge, seed=one.seed
        )

    def _checked(self, gradient: Gradient, origins: Sequence[datetime]) -> tuple[Panel, FloatArray]:
        """Return what came, and what the gradient model says, shape (kinds, S, O, K).

        Only a ridge needs the rows themselves; else they are let go origin by origin, and of
        very many rows every so manieth origin is looked at.
        """
        if self.learning.ridge or not origins:
            panel = self._panel(self.series, origins)
            return panel, gradient.predict(panel.rows)
        rows = self.series.shape[1] * self.learning.steps * len(origins)
        known = lay_out(self.series, self.calendar, self.observed)
        panels, found = [], []
        for origin in origins[:: -(-rows // (2 * MOST_ROWS))]:
            panel = self._gathered(known, self.series, [origin])
            found.append(gradient.predict(panel.rows))
            panels.append(replace(panel, rows=panel.rows[..., :0]))
        return joined(panels), np.concatenate(found, axis=2)

    def _grown(self, panel: Panel) -> Gradient | None:
        good = np.isfinite(panel.share)
        if good.sum() < LEAST_ROWS:
            return None
        weight = np.where(good, panel.scale[..., None], 0.0)
        gradient = Gradient(self.learning.boosting, self.learning.seed)
        rows = panel.rows.reshape(-1, panel.rows.shape[-1])
        return gradient.fit(rows, panel.share.ravel(), weight.ravel())


def _ridge(panel: Panel, until: datetime) -> RidgeMedians | None:
    count, steps = len(panel.rows), panel.rows.shape[2]
    share = panel.share.reshape(count, -1)
    if np.isfinite(share).sum(axis=1).min() < LEAST_ROWS // 4:
        return None
    age = np.repeat([(until - at).total_seconds() / 86_400.0 for at in panel.origins], steps)
    rows = panel.rows.reshape(count, -1, panel.rows.shape[-1])
    return RidgeMedians().fit(rows, share, age)


def _medians(ridge: RidgeMedians, rows: FeatureArray) -> FloatArray:
    """Return medians over scale, shape (S, O, K), of rows of shape (S, O, K, F)."""
    count, origins, steps, width = rows.shape
    flat = rows.reshape(count, origins * steps, width)
    return ridge.predict(flat).reshape(count, origins, steps)


def half_hours(count: int) -> timedelta:
    """Return so many half-hours."""
    return timedelta(minutes=30 * count)
