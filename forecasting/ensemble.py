"""Learnt forecasts: a gradient model shared over series, ridge medians of groups, calibrated.

How they learn is in `forecasting.learning`. A home's forecast is averaged with its habits, for
they err differently, and the first hours of a group are moved towards medians of their own. A
series with too little history is forecast by the weighted empirical distribution, and the
forecast says so.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import datetime
from typing import Self

import numpy as np
import pandas as pd

from ems.domain.errors import InvalidInputError
from ems.domain.forecasts import FloatArray, Forecast
from ems.domain.time import HALF_HOUR_S, floor_to
from forecasting.calendar import SLOTS, Calendar
from forecasting.calibration import MEAN, MEDIAN, leave_out_steady, take_in
from forecasting.features import Known, features, lay_out
from forecasting.first_hours import BACK_DAYS
from forecasting.home_hours import LEADS
from forecasting.interface import (
    LEVELS,
    Horizon,
    check_frame,
    epoch_s,
    known_before,
    make_forecast,
)
from forecasting.learning import HELD_DAYS, LEAST_DAYS, Fitted, Learning, Material, half_hours
from forecasting.levels import of_another_level
from forecasting.load import load_model
from forecasting.references import group_sums
from forecasting.shared import Boosting

FIRST_SHARES = np.array([0.9, 0.9, 0.9, 0.9, 0.8, 0.7])
"""Part of the first hours' own medians, by half-hour ahead [-]."""
_STEADY_DAYS = 28
ANOTHER_LEVEL = 1.0 / 3.0
"""A home is forecast from days of its present level where so many of four weeks are not [-]."""


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
        self._fitted: Fitted | None = None
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
        material = Material(
            self._calendar,
            self._learning,
            self._members,
            self._homes,
            self._series,
            self._observed,
        )
        self._fitted = material.learn(floor_to(until))
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
        recent = self._series.iloc[-BACK_DAYS * SLOTS :]
        days = np.isfinite(recent.to_numpy(dtype=np.float64)).sum(axis=0) / SLOTS
        if self._members is None:
            recent = _at_this_level(recent)
        seen = _with_forecast(self._observed, weather, horizon)
        known = lay_out(recent, self._calendar, seen)
        rows, scale = features(known, horizon.index, self._calendar)
        found = self._fitted.predict(rows, scale)
        self._average(found, habits)
        self._take_in_first(self._fitted, found, known, horizon)
        readings = recent.iloc[-_STEADY_DAYS * SLOTS :].to_numpy(dtype=np.float64)
        leave_out_steady(found, readings, epoch_s(horizon.index) // HALF_HOUR_S)
        lacked = [] if seen is not None else ["weather: none"]
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
                    found[MEAN, at],
                    {level: found[row, at] for row, level in enumerate(LEVELS)},
                    lacked=(*one.lacked, *lacked),
                    model=self.name,
                )
            )
        return out

    def _sums(self, homes: pd.DataFrame) -> pd.DataFrame:
        return homes if self._members is None else group_sums(homes, self._members)

    def _take_in_first(
        self, fitted: Fitted, found: FloatArray, known: Known, horizon: Horizon
    ) -> None:
        """Move the first hours to medians and bands of their own; not over a clock change."""
        times = self._calendar.locate(horizon.index[:LEADS])
        steps = len(times.day)
        now = int(times.day[0]) * SLOTS + int(times.slot[0])
        moved = times.day * SLOTS + times.slot != now + np.arange(steps)
        if fitted.first is None or moved.any() or known.first + known.local.shape[1] != now:
            return
        homes = lay_out(self._homes.iloc[-BACK_DAYS * SLOTS :], self._calendar)
        own = fitted.first.predict(known.local, homes.local, known.first)[..., :steps]
        share = np.where(np.isfinite(own[1]), FIRST_SHARES[:steps], 0.0)
        own = np.nan_to_num(own)
        near = found[..., :steps]
        for level, halves in ((0, own[0] - own[1]), (len(LEVELS) - 1, own[2] - own[1])):
            near[level] += share * (halves - (near[level] - near[MEDIAN]))
        take_in(near, own[1], share)
        np.maximum(found, 0.0, out=found)

    def _average(self, found: FloatArray, habits: Sequence[Forecast]) -> None:
        """Average forecasts with habits by the habits' parts, in place."""
        middle, band = self._learning.habits, self._learning.habit_bands
        if not middle and not band:
            return
        rows = [np.stack([*(one.quantile(level) for level in LEVELS), one.mean]) for one in habits]
        others = np.stack(rows, axis=1)
        mean = found[MEAN] + middle * (others[MEAN] - found[MEAN])
        centre = found[MEDIAN] + middle * (others[MEDIAN] - found[MEDIAN])
        halves = (1.0 - band) * (found - found[MEDIAN]) + band * (others - others[MEDIAN])
        np.maximum(centre + halves, 0.0, out=found)
        found[MEAN] = mean


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
        parts.append(ahead.loc[ahead.index > (horizon.start - half_hours(1))])
    both = pd.concat(parts)
    both = both[~both.index.duplicated(keep="first")].sort_index()
    both = both.reindex(pd.date_range(both.index[0], both.index[-1], freq="30min"))
    return both if "outdoor_c" in both else None


def _at_this_level(recent: pd.DataFrame) -> pd.DataFrame:
    """Return half-hours without days of another level, where those are many.

    A few odd days are part of how a home is lived in; many mean that it is lived in otherwise.
    """
    other = of_another_level(recent.to_numpy(dtype=np.float64))
    other &= other[-_STEADY_DAYS * SLOTS :].mean(axis=0) >= ANOTHER_LEVEL
    return recent.mask(other) if other.any() else recent


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
            calendar,
            Learning(
                steps,
                every_half_hour,
                Boosting(100, 31, 0.1, 150, 200_000),
                habits=0.45,
                habit_bands=0.45,
            ),
        )
    }
    larger = {scale: of for scale, of in members.items() if scale != "home"}
    sums = {name: homes for of in larger.values() for name, homes in of.items()}
    boosting = Boosting(80, 15, 0.1, 100, 60_000)
    learning = Learning(
        steps, every_half_hour, boosting, extra_groups=24, ridge=True, habit_bands=0.4
    )
    whole = LearntModel(calendar, learning, sums)
    for scale, of in larger.items():
        made[scale] = PartOf(whole, list(of))
    return made


HomesOrGroups = LearntModel | PartOf
