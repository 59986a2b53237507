"""The weighted empirical distribution: what this home did at this hour on such days.

Equations (numbers as in ``docs/forecasting.md``). For a step on local day ``d`` at
local half-hour ``s`` the sample is every value ``y[d', s + o]`` of earlier days ``d'``
and near half-hours ``o``, with weight::

    w = 2**(-(d - d') / half_life) * K[kind(d), kind(d')] * (1 + same_weekday) * n[|o|]   (1)

The quantile at level q is the value at which the summed weight reaches q (2), the mean
is the weighted mean (3). Where the weight of a slot is thin, a typical profile fills
up as a few pseudo-samples, and the forecast says so. The first hours are shifted by
the latest residual, which fades (4).
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime
from typing import Self

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from ems.domain.errors import InvalidInputError
from ems.domain.forecasts import FloatArray, Forecast
from forecasting.calendar import SLOTS, Calendar, by_local_day, weekdays
from forecasting.interface import LEVELS, Horizon, check_frame, epoch_s, known_before, make_forecast
from forecasting.levels import of_another_level

_LIKENESS = np.array(
    [  # to a target's kind (row), days of kind weekday, Saturday, Sunday, holiday
        [1.0, 0.25, 0.2, 0.2],
        [0.3, 1.0, 0.6, 0.6],
        [0.2, 0.6, 1.0, 1.0],
        [0.2, 0.6, 1.0, 1.0],
    ]
)
"""K in (1): how much a day of one kind says about a day of another."""
FULL_HISTORY_DAYS = 14
"""With fewer days of data a forecast says that its history is short."""


@dataclass(frozen=True, slots=True)
class Settings:
    """What sets one use of the model apart from another.

    Attributes
    ----------
    target, name
        Go into the forecast.
    history_days
        Days looked back.
    half_life_days
        After so many days a value weighs half.
    same_weekday
        Extra weight of the same day of the week [-].
    near
        Weight of half-hours 0, 1, ... away [-].
    typical_w
        Profile that stands in before data, by local half-hour [W], shape (48,).
    typical_spread
        Multiples of it that stand in as a distribution [-].
    shift
        Shares of the latest residual that move the quantiles and the mean, in order of
        `LEVELS`, then the mean; zeros switch the correction off.
    shift_fade
        Share of the shift that is left after each further half-hour [-].
    widened
        Half a band is widened by this over the days of data: few days do not show all.
    one_level
        Whether days at another level of use than now are left out, see `forecasting.levels`.
    """

    target: str
    name: str
    typical_w: FloatArray = field(repr=False)
    typical_spread: tuple[float, ...]
    history_days: int = 56
    half_life_days: float = 8.0
    same_weekday: float = 0.5
    near: tuple[float, ...] = (1.0, 0.5)
    shift: tuple[float, float, float, float] = (0.0, 0.0, 0.0, 0.0)
    shift_fade: float = 0.8
    widened: float = 0.0
    one_level: bool = False


class EmpiricalModel:
    """Weighted empirical distribution of each subject's own history.

    Parameters
    ----------
    settings, calendar
        See their classes.
    """

    def __init__(self, settings: Settings, calendar: Calendar) -> None:
        self._settings = settings
        self._calendar = calendar
        self._given = pd.DataFrame()
        self._history = pd.DataFrame()  # without what lies below zero
        self._usual = np.empty((0, 0))  # history without days of another level
        self._negative = np.empty(0, dtype=np.int64)  # half-hours of each subject below zero
        self._until: datetime | None = None

    @property
    def name(self) -> str:
        """The model's name."""
        return self._settings.name

    @property
    def target(self) -> str:
        """What it forecasts."""
        return self._settings.target

    def fit(
        self,
        history: pd.DataFrame,
        until: datetime,
        observed: pd.DataFrame | None = None,  # noqa: ARG002 - habits only, no weather
    ) -> Self:
        """Keep the half-hours known at ``until``, without those below zero, which are no use."""
        known = known_before(check_frame(history, "history"), until)
        self._given = known.iloc[-(self._settings.history_days + 1) * SLOTS :]
        below = self._given.to_numpy(dtype=np.float64) < 0.0
        self._negative = below.sum(axis=0)
        self._history = self._given.mask(below) if below.any() else self._given
        self._usual = self._history.to_numpy(dtype=np.float64)
        if self._settings.one_level:
            self._usual = np.where(of_another_level(self._usual), np.nan, self._usual)
        self._until = until
        return self

    def update(
        self,
        recent: pd.DataFrame,
        until: datetime,
        observed: pd.DataFrame | None = None,  # noqa: ARG002 - habits only, no weather
    ) -> Self:
        """Put newer half-hours in place of, and after, those already held."""
        known = known_before(check_frame(recent, "recent"), until)
        if len(self._given) and len(known):
            old = self._given.loc[self._given.index < known.index[0]]
            both = pd.concat([old, known.reindex(columns=self._given.columns)])
            grid = pd.date_range(both.index[0], both.index[-1], freq="30min")
            return self.fit(both.reindex(grid), until)
        return self.fit(known if len(known) else self._given, until)

    def predict(
        self,
        horizon: Horizon,
        weather: Mapping[str, Forecast] | None = None,  # noqa: ARG002 - habits only, no weather
    ) -> list[Forecast]:
        """Return one forecast per column of the history; ``weather`` is not looked at."""
        if self._until is None or self._until > horizon.issued_at:
            raise InvalidInputError(
                "the model has not been fitted to what was known at issued_at",
                field="issued_at",
                value=horizon.issued_at.isoformat(),
                remedy="Call fit with until at or before issued_at first.",
            )
        history, settings = self._history, self._settings
        if not len(history.columns):
            return []
        mean, quantiles, days = self._distribution(horizon.index)
        middle = quantiles[LEVELS.index(0.5)].copy()
        wider = 1.0 + settings.widened / np.maximum(days, 1.0)
        quantiles = np.maximum(middle + (quantiles - middle) * wider[:, None], 0.0)
        shift = self._latest_residual()
        if any(settings.shift) and shift is not None:
            residual, age = shift
            ahead = age + np.arange(horizon.steps) + self._gap(horizon)
            fade = residual[:, None] * settings.shift_fade**ahead
            for row, share in enumerate(settings.shift[:-1]):
                quantiles[row] = np.maximum(quantiles[row] + share * fade, 0.0)
            mean = np.maximum(mean + settings.shift[-1] * fade, 0.0)
        known = np.isfinite(history.to_numpy(dtype=np.float64))
        out = []
        for row, subject in enumerate(history.columns):
            out.append(
                make_forecast(
                    settings.target,
                    str(subject),
                    horizon,
                    mean[row],
                    {level: quantiles[q, row] for q, level in enumerate(LEVELS)},
                    lacked=self._lacked(int(days[row]), row, known[:, row], horizon),
                    model=settings.name,
                )
            )
        return out

    def _distribution(self, targets: pd.DatetimeIndex) -> tuple[FloatArray, FloatArray, FloatArray]:
        """Return mean (series, n), quantiles (levels, series, n) and days of data (series,)."""
        settings, calendar = self._settings, self._calendar
        values = self._usual
        count = values.shape[1]
        wanted = calendar.locate(targets)
        mean = np.empty((count, len(targets)))
        quantiles = np.empty((len(LEVELS), count, len(targets)))
        if len(values):
            times = calendar.locate(pd.DatetimeIndex(self._history.index))
            last = int(times.day[-1])
            days = np.arange(last - settings.history_days, last + 1, dtype=np.int64)
            sheets = [
                by_local_day(_moved(values, offset), times, days)
                for offset in range(1 - len(settings.near), len(settings.near))
            ]
        else:
            days = np.arange(1, dtype=np.int64)
            sheets = [np.full((count, 1, SLOTS), np.nan)] * (2 * len(settings.near) - 1)
        near = [settings.near[abs(k)] for k in range(1 - len(settings.near), len(settings.near))]
        kinds = calendar.kinds(days)
        present = np.asarray(np.isfinite(sheets[len(settings.near) - 1]).sum(axis=(1, 2)) / SLOTS)
        for day in np.unique(wanted.day):
            at = np.flatnonzero(wanted.day == day)
            slot = wanted.slot[at]
            kind = int(calendar.kinds(np.array([day]))[0])
            weight = 0.5 ** ((day - days) / settings.half_life_days) * _LIKENESS[kind, kinds]
            weight = weight * (1.0 + settings.same_weekday * (weekdays(days) == (day + 3) % 7))
            weight = np.where(days < day, weight, 0.0)
            sample = np.concatenate([sheet[:, :, slot] for sheet in sheets], axis=1)
            spread = np.array(settings.typical_spread)
            typical = np.broadcast_to(
                spread[None, :, None] * settings.typical_w[slot],
                (count, spread.size, at.size),
            )
            weights = np.concatenate([share * weight for share in near])[None, :, None]
            weights = np.where(np.isfinite(sample), weights, 0.0)
            thin = np.clip(1.0 - weights.sum(axis=1, keepdims=True) / 1.5, 0.0, 1.0)
            filler = np.broadcast_to(np.maximum(thin, 1e-9) / spread.size, typical.shape)
            sample = np.concatenate([np.nan_to_num(sample), typical], axis=1)
            weights = np.concatenate([weights, filler], axis=1)
            mean[:, at], quantiles[:, :, at] = _weighted(sample, weights)
        return mean, quantiles, present

    def _latest_residual(self) -> tuple[FloatArray, FloatArray] | None:
        """Return the latest residual of each series [W] and its age [half-hours], or ``None``.

        Zero where the last four half-hours hold nothing: then nothing is shifted.
        """
        recent = self._history.iloc[-4:]
        if not any(self._settings.shift) or not len(recent):
            return None
        _, quantiles, _ = self._distribution(pd.DatetimeIndex(recent.index))
        residual = recent.to_numpy(dtype=np.float64).T - quantiles[LEVELS.index(0.5)]
        weight = np.where(np.isfinite(residual), 0.5 ** np.arange(len(recent))[::-1], 0.0)
        total = weight.sum(axis=1)
        value = (np.nan_to_num(residual) * weight).sum(axis=1) / np.maximum(total, 1e-12)
        return np.where(total > 0, value, 0.0), np.zeros((len(value), 1))

    def _gap(self, horizon: Horizon) -> int:
        """Return half-hours between the last one held and the first one forecast."""
        last = int(epoch_s(pd.DatetimeIndex(self._history.index[-1:]))[0])
        return max((int(horizon.start.timestamp()) - last) // 1800 - 1, 0)

    def _lacked(self, days: int, row: int, known: NDArray[np.bool_], horizon: Horizon) -> list[str]:
        below = int(self._negative[row])
        lacked = [f"{below} negative half-hours, taken as missing"] if below else []
        if not known.any() or days == 0:
            return [*lacked, "history: none, a typical profile stands in"]
        if days < FULL_HISTORY_DAYS:
            usual = np.isfinite(self._usual[:, row]).sum()
            why = " at this level of use" if usual < known.sum() else ""
            lacked.append(f"history: {days} of {FULL_HISTORY_DAYS} days{why}")
        last = pd.DatetimeIndex(self._history.index)[np.flatnonzero(known)[-1]]
        if (horizon.issued_at - last).total_seconds() > 3 * 3600:
            lacked.append(f"readings since {last:%Y-%m-%d %H:%M} UTC")
        return lacked


def _moved(values: FloatArray, offset: int) -> FloatArray:
    """Return ``out[t] = values[t + offset]``, ``nan`` beyond the ends."""
    if offset == 0:
        return values
    out = np.full_like(values, np.nan)
    if offset > 0:
        out[:-offset] = values[offset:]
    else:
        out[-offset:] = values[:offset]
    return out


def _weighted(sample: FloatArray, weights: FloatArray) -> tuple[FloatArray, FloatArray]:
    """Return the weighted mean and quantiles along axis 1 of (series, samples, n)."""
    total = weights.sum(axis=1)
    mean = (sample * weights).sum(axis=1) / total
    order = np.argsort(sample, axis=1)
    ranked = np.take_along_axis(sample, order, axis=1)
    reached = np.cumsum(np.take_along_axis(weights, order, axis=1), axis=1) / total[:, None]
    rows = []
    for level in LEVELS:
        first = np.argmax(reached >= level - 1e-12, axis=1)
        rows.append(np.take_along_axis(ranked, first[:, None], axis=1)[:, 0])
    return mean, np.stack(rows)
