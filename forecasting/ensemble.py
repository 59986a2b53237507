"""Learnt forecasts: a gradient model shared over series, ridge medians of groups, calibrated.

One fit goes through three steps, all of them before ``until``:

1. the gradient model (and for groups the ridge) learns from all but the last three weeks;
2. those weeks are forecast as they would have been then: the share of the ridge in the median
   is the one that would have been best, and each series' band is moved by what it missed
   (equation 14 of ``docs/forecasting.md``);
3. the ridge learns again from everything.

A series with too little history is forecast by the weighted empirical distribution, and the
forecast says so.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import datetime, timedelta
from typing import Self

import numpy as np
import pandas as pd

from ems.domain.errors import InvalidInputError
from ems.domain.forecasts import FloatArray, Forecast
from ems.domain.time import floor_to
from forecasting.calendar import SLOTS, Calendar
from forecasting.features import LEAST_SCALE_W, FeatureArray, Known, features, lay_out
from forecasting.interface import (
    LEVELS,
    Horizon,
    check_frame,
    known_before,
    make_forecast,
)
from forecasting.load import load_model
from forecasting.panels import MOST_ROWS, Panel, gather, joined
from forecasting.references import group_sums
from forecasting.ridge import RidgeMedians
from forecasting.shared import KINDS, Boosting, Gradient

HELD_DAYS = 21
"""Days before ``until`` that calibrate."""
LEAST_DAYS = 28
"""A series with fewer days of values is forecast by its habits alone."""
LEAST_ROWS = 4000
MOST_DAYS = 365
MOST_HOMES = 120
"""Of more homes, so many chosen at random are learnt from."""
_SHARES = np.linspace(0.0, 1.0, 11)
_MEDIAN, _MEAN = LEVELS.index(0.5), KINDS.index("mean")


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
        Whether each series has a ridge median of its own.
    seed
        Of the random groups, origins and rows.
    """

    steps: int = 48
    every_half_hour: bool = False
    boosting: Boosting = field(default_factory=Boosting)
    extra_groups: int = 0
    ridge: bool = False
    seed: int = 0


@dataclass(slots=True, eq=False)
class _Fitted:
    gradient: Gradient
    ridge: RidgeMedians | None
    share: float
    moved: FloatArray  # (2, S): of the lower and upper half of the band, in its own width


class LearntModel:
    """Household load of homes, or of groups of homes.

    Parameters
    ----------
    calendar
        Local time and holidays.
    learning
        How it learns.
    members
        Group → homes; ``None`` forecasts every home by itself.
    """

    def __init__(
        self,
        calendar: Calendar,
        learning: Learning,
        members: Mapping[str, Sequence[str]] | None = None,
    ) -> None:
        self._calendar = calendar
        self._learning = learning
        self._members = members
        self._homes = pd.DataFrame()
        self._series = pd.DataFrame()
        self._observed: pd.DataFrame | None = None
        self._until: datetime | None = None
        self._fitted: _Fitted | None = None
        self._habits = load_model(calendar)

    @property
    def name(self) -> str:
        """The model's name."""
        return "gradient and ridge" if self._learning.ridge else "gradient"

    def fit(
        self, history: pd.DataFrame, until: datetime, observed: pd.DataFrame | None = None
    ) -> Self:
        """Learn from everything known at ``until``."""
        if until == self._until and self._fitted is not None:
            return self
        self._homes = known_before(check_frame(history, "history"), until)
        self._observed = None if observed is None else known_before(observed, until)
        self._until = until
        self._series = self._sums(self._homes)
        self._habits.fit(self._series, until)
        self._fitted = self._learn(floor_to(until))
        return self

    def update(
        self, recent: pd.DataFrame, until: datetime, observed: pd.DataFrame | None = None
    ) -> Self:
        """Take in newer half-hours; coefficients, trees and calibration stay."""
        if until == self._until:
            return self
        known = known_before(check_frame(recent, "recent"), until)
        if len(known):
            old = self._homes.loc[self._homes.index < known.index[0]]
            both = pd.concat([old, known.reindex(columns=self._homes.columns)])
            grid = pd.date_range(both.index[0], both.index[-1], freq="30min")
            self._homes = both.reindex(grid)
            sums = self._sums(known.reindex(columns=self._homes.columns))
            before = self._series.loc[self._series.index < known.index[0]]
            self._series = pd.concat([before, sums]).reindex(grid)
            self._habits.update(sums, until)
        if observed is not None:
            self._observed = known_before(observed, until)
        self._until = until
        return self

    def predict(
        self, horizon: Horizon, weather: Mapping[str, Forecast] | None = None
    ) -> list[Forecast]:
        """Return one forecast a home or group, in order."""
        if self._until is None or self._until > horizon.issued_at:
            raise InvalidInputError(
                "the model has not been fitted to what was known at issued_at",
                field="issued_at",
                value=horizon.issued_at.isoformat(),
                remedy="Call fit with until at or before issued_at first.",
            )
        habits = self._habits.predict(horizon)
        if self._fitted is None:
            why = f"history: under {LEAST_DAYS + HELD_DAYS} days to learn from, habits alone"
            return [_renamed(one, (*one.lacked, why), one.model) for one in habits]
        recent = self._series.iloc[-64 * SLOTS :]
        seen = _with_forecast(self._observed, weather, horizon)
        known = lay_out(recent, self._calendar, seen)
        rows, scale = features(known, horizon.index, self._calendar)
        found = self._combined(self._fitted, rows, scale)
        lacked = [] if seen is not None else ["weather: none"]
        days = np.isfinite(recent.to_numpy(dtype=np.float64)).sum(axis=0) / SLOTS
        out = []
        for at, one in enumerate(habits):
            if days[at] < LEAST_DAYS or not np.isfinite(found[:, at]).all():
                out.append(_renamed(one, one.lacked, f"{one.model} (short history)"))
                continue
            out.append(
                make_forecast(
                    one.target,
                    one.subject,
                    horizon,
                    found[_MEAN, at],
                    {level: found[row, at] for row, level in enumerate(LEVELS)},
                    lacked=(*one.lacked, *lacked),
                    model=self.name,
                )
            )
        return out

    def _sums(self, homes: pd.DataFrame) -> pd.DataFrame:
        return homes if self._members is None else group_sums(homes, self._members)

    def _learn(self, until: datetime) -> _Fitted | None:
        """Go through the three steps; ``None`` where there is too little to learn from."""
        learning = self._learning
        if len(self._series) < (LEAST_DAYS + HELD_DAYS) * SLOTS:
            return None
        origins = self._origins(until)
        held = until - timedelta(days=HELD_DAYS)
        early = [at for at in origins if at + _half_hours(learning.steps) <= held]
        late = [at for at in origins if at >= held and at + _half_hours(learning.steps) <= until]
        if not early:
            return None
        everything = self._panel(self._learnt_from(), early)
        own = self._series.shape[1]
        gradient = self._grown(everything)
        if gradient is None:
            return None
        ridge = None
        if learning.ridge:
            ridge = _ridge(everything.first(own), held)
        calibration, found = self._checked(gradient, late)
        share, moved = _calibrate(found, ridge, calibration)
        if ridge is not None:
            ridge = _ridge(joined([everything.first(own), calibration]), until)
        return _Fitted(gradient, ridge, share, moved)

    def _origins(self, until: datetime) -> list[datetime]:
        """Return instants to learn from: one a day, at one or at random times of the day."""
        first = pd.DatetimeIndex(self._series.index)[0].to_pydatetime()
        days = min((until - first).days - LEAST_DAYS, MOST_DAYS)
        found = [until - timedelta(days=back) for back in range(days, 0, -1)]
        if self._learning.every_half_hour:
            rng = np.random.default_rng(self._learning.seed)
            moves = rng.integers(0, SLOTS, (len(found), 4))
            found = [
                at - _half_hours(int(move))
                for at, some in zip(found, moves, strict=True)
                for move in sorted(set(some.tolist()), reverse=True)
            ]
        return found

    def _learnt_from(self) -> pd.DataFrame:
        """Return the series forecast and random groups of homes; of many homes, some."""
        rng = np.random.default_rng(self._learning.seed)
        if self._members is None:
            count = self._series.shape[1]
            some = rng.choice(count, min(count, MOST_HOMES), replace=False)
            return self._series.iloc[:, np.sort(some)]
        if not self._learning.extra_groups:
            return self._series
        homes = list(self._homes.columns)
        size = min(*(len(of) for of in self._members.values()), max(len(homes) // 2, 1))
        extra = {
            f"random {n}": [homes[k] for k in rng.choice(len(homes), size, replace=False)]
            for n in range(self._learning.extra_groups)
        }
        return pd.concat([self._series, group_sums(self._homes, extra)], axis=1)

    def _panel(self, series: pd.DataFrame, origins: Sequence[datetime]) -> Panel:
        known = lay_out(series, self._calendar, self._observed)
        return self._gathered(known, series, origins)

    def _gathered(self, known: Known, series: pd.DataFrame, origins: Sequence[datetime]) -> Panel:
        one = self._learning
        # A ridge belongs to one series and learns from all of it.
        return gather(
            known, series, origins, one.steps, self._calendar, whole=one.ridge, seed=one.seed
        )

    def _checked(self, gradient: Gradient, origins: Sequence[datetime]) -> tuple[Panel, FloatArray]:
        """Return what came, and what the gradient model says, shape (kinds, S, O, K).

        Only a ridge needs the rows themselves; else they are let go origin by origin, and of
        very many rows every so manieth origin is looked at.
        """
        if self._learning.ridge or not origins:
            panel = self._panel(self._series, origins)
            return panel, gradient.predict(panel.rows)
        rows = self._series.shape[1] * self._learning.steps * len(origins)
        known = lay_out(self._series, self._calendar, self._observed)
        panels, found = [], []
        for origin in origins[:: -(-rows // (2 * MOST_ROWS))]:
            panel = self._gathered(known, self._series, [origin])
            found.append(gradient.predict(panel.rows))
            panels.append(replace(panel, rows=panel.rows[..., :0]))
        return joined(panels), np.concatenate(found, axis=2)

    def _grown(self, panel: Panel) -> Gradient | None:
        good = np.isfinite(panel.share)
        if good.sum() < LEAST_ROWS:
            return None
        weight = np.where(good, panel.scale[..., None], 0.0)
        gradient = Gradient(self._learning.boosting, self._learning.seed)
        rows = panel.rows.reshape(-1, panel.rows.shape[-1])
        return gradient.fit(rows, panel.share.ravel(), weight.ravel())

    @staticmethod
    def _combined(fitted: _Fitted, rows: FeatureArray, scale: FloatArray) -> FloatArray:
        """Return `KINDS` of each series [W], shape (kinds, S, K)."""
        found = fitted.gradient.predict(rows)
        if fitted.ridge is not None:
            _take_in(found, fitted.ridge.predict(rows), fitted.share)
        low, middle, high = found[0], found[_MEDIAN], found[len(LEVELS) - 1]
        found[0] = middle - np.maximum(middle - low, _LEAST_WIDTH) * fitted.moved[0, :, None]
        found[len(LEVELS) - 1] = (
            middle + np.maximum(high - middle, _LEAST_WIDTH) * fitted.moved[1, :, None]
        )
        return np.asarray(np.maximum(found, 0.0) * np.maximum(scale, LEAST_SCALE_W)[None, :, None])


_LEAST_WIDTH = 0.005
"""Half a band is at least this wide in units of the scale before it is moved [-]."""


def _ridge(panel: Panel, until: datetime) -> RidgeMedians | None:
    count, steps = len(panel.rows), panel.rows.shape[2]
    share = panel.share.reshape(count, -1)
    if np.isfinite(share).sum(axis=1).min() < LEAST_ROWS // 4:
        return None
    age = np.repeat([(until - at).total_seconds() / 86_400.0 for at in panel.origins], steps)
    rows = panel.rows.reshape(count, -1, panel.rows.shape[-1])
    return RidgeMedians().fit(rows, share, age)


def _take_in(found: FloatArray, ridge: FloatArray, share: float) -> None:
    """Move all quantiles and the mean by the ridge's part of the median, in place."""
    found += share * (ridge - found[_MEDIAN])[None]


def _calibrate(
    found: FloatArray, ridge: RidgeMedians | None, panel: Panel
) -> tuple[float, FloatArray]:
    """Return the ridge's best share of the median, and how each band must be widened.

    ``found`` is what the gradient model said, shape (kinds, S, O, K); changed. The factors are
    those that would have left a tenth of the actuals on either side (14).
    """
    good = np.isfinite(panel.share)
    weight = np.broadcast_to(panel.scale[..., None], good.shape)[good]
    share = 0.0
    if ridge is not None:
        count, origins, steps, width = panel.rows.shape
        flat = panel.rows.reshape(count, origins * steps, width)
        other = ridge.predict(flat).reshape(count, origins, steps)
        off = other - found[_MEDIAN]
        miss = (found[_MEDIAN] - panel.share)[good]
        losses = [float((np.abs(miss + one * off[good]) * weight).sum()) for one in _SHARES]
        share = float(_SHARES[int(np.argmin(losses))])
        _take_in(found, other, share)
    middle = found[_MEDIAN]
    below = (middle - panel.share) / np.maximum(middle - found[0], _LEAST_WIDTH)
    above = (panel.share - middle) / np.maximum(found[len(LEVELS) - 1] - middle, _LEAST_WIDTH)
    moved = np.ones((2, len(panel.rows)))
    for row, side in enumerate((below, above)):
        pooled = float(np.quantile(side[good], 0.9))
        for at, (values, held) in enumerate(zip(side, good, strict=True)):
            own = float(np.quantile(values[held], 0.9)) if held.sum() >= 240 else pooled
            moved[row, at] = np.clip(0.7 * own + 0.3 * pooled, 0.1, 3.0)
    return share, moved


def _with_forecast(
    observed: pd.DataFrame | None, weather: Mapping[str, Forecast] | None, horizon: Horizon
) -> pd.DataFrame | None:
    """Return weather seen, followed by what is forecast; ``None`` without any."""
    coming = {
        name: pd.Series(
            one.mean, index=pd.date_range(one.start, periods=len(one.mean), freq="30min")
        )
        for name, one in (weather or {}).items()
        if name in {"outdoor_c", "humidity"}
    }
    if observed is None and "outdoor_c" not in coming:
        return None
    parts = [] if observed is None else [observed.iloc[-10 * SLOTS :]]
    if coming:
        ahead = pd.DataFrame(coming)
        parts.append(ahead.loc[ahead.index > (horizon.start - _half_hours(1))])
    both = pd.concat(parts)
    both = both[~both.index.duplicated(keep="first")].sort_index()
    both = both.reindex(pd.date_range(both.index[0], both.index[-1], freq="30min"))
    return both if "outdoor_c" in both else None


def _half_hours(count: int) -> timedelta:
    return timedelta(minutes=30 * count)


def _renamed(one: Forecast, lacked: Sequence[str], model: str) -> Forecast:
    return Forecast(
        target=one.target,
        subject=one.subject,
        issued_at=one.issued_at,
        start=one.start,
        step_s=one.step_s,
        mean=one.mean,
        quantiles=one.quantiles,
        lacked=tuple(lacked),
        model=model,
    )


class PartOf:
    """Some of a model's subjects, so that scales can share one fit.

    Parameters
    ----------
    whole
        Fitted once for all of them.
    subjects
        Those that are given back.
    """

    def __init__(self, whole: LearntModel, subjects: Sequence[str]) -> None:
        self._whole = whole
        self._subjects = set(subjects)

    @property
    def name(self) -> str:
        """The whole model's name."""
        return self._whole.name

    def fit(
        self, history: pd.DataFrame, until: datetime, observed: pd.DataFrame | None = None
    ) -> Self:
        """Fit the whole model; a second fit to the same instant does nothing."""
        self._whole.fit(history, until, observed)
        return self

    def update(
        self, recent: pd.DataFrame, until: datetime, observed: pd.DataFrame | None = None
    ) -> Self:
        """Update the whole model."""
        self._whole.update(recent, until, observed)
        return self

    def predict(
        self, horizon: Horizon, weather: Mapping[str, Forecast] | None = None
    ) -> list[Forecast]:
        """Return the forecasts of these subjects."""
        return [
            one for one in self._whole.predict(horizon, weather) if one.subject in self._subjects
        ]


def learnt_models(
    calendar: Calendar,
    members: Mapping[str, Mapping[str, Sequence[str]]],
    *,
    steps: int,
    every_half_hour: bool,
) -> dict[str, HomesOrGroups]:
    """Return scale → model of homes and of groups; all groups share one fit."""
    made: dict[str, HomesOrGroups] = {
        "home": LearntModel(
            calendar, Learning(steps, every_half_hour, Boosting(100, 31, 0.1, 150, 100_000))
        )
    }
    larger = {scale: of for scale, of in members.items() if scale != "home"}
    sums = {name: homes for of in larger.values() for name, homes in of.items()}
    boosting = Boosting(80, 15, 0.1, 100, 60_000)
    learning = Learning(steps, every_half_hour, boosting, extra_groups=24, ridge=True)
    whole = LearntModel(calendar, learning, sums)
    for scale, of in larger.items():
        made[scale] = PartOf(whole, list(of))
    return made


HomesOrGroups = LearntModel | PartOf
