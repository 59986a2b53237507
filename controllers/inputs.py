"""Forecasts laid onto a plan's steps; what is missing gets a named stand-in.

Nothing is filled silently: each stand-in appends one sentence to ``lacked``, which travels
with the problem and the plan.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from datetime import date, datetime, timedelta
from zoneinfo import ZoneInfo

import numpy as np

from ems.domain.credits import CHEAPER_SHARE
from ems.domain.errors import InvalidInputError
from ems.domain.forecasts import FloatArray, Forecast
from ems.domain.plans import PeakProblem
from ems.domain.rules import ControlRules
from ems.domain.tariffs import NoRateError, Tariff
from ems.domain.time import HALF_HOUR_S, floor_to, require_utc

UNKNOWN_PRICE_GBP_PER_KWH = 0.15
"""Stands in where a tariff has no rate at all: flat, so that nothing is shifted for it."""
RISES_WITHIN_S = 7200.0
"""A home that gains nothing by heating ahead is warmed for a warmer time from so long before
it on [s]."""


@dataclass(slots=True)
class Horizon:
    """Steps of a plan, the forecasts at hand, and what was missing.

    Attributes
    ----------
    start
        First step, UTC.
    steps, step_s
        Number of steps and their length [s].
    forecasts
        By target and subject.
    lacked
        Grows with each stand-in.
    """

    start: datetime
    steps: int
    step_s: int
    forecasts: dict[tuple[str, str], Forecast]
    lacked: list[str] = field(default_factory=list)

    @classmethod
    def of(cls, start: datetime, steps: int, step_s: int, forecasts: Iterable[Forecast]) -> Horizon:
        """Return a horizon; of two forecasts for one thing the later issued stands."""
        require_utc(start, "start")
        if steps < 1 or step_s < 1:
            raise InvalidInputError(
                "a plan needs at least one step of at least a second",
                field="steps, step_s",
                value=(steps, step_s),
                remedy="Give for instance 48 steps of 1800 s.",
            )
        table: dict[tuple[str, str], Forecast] = {}
        for forecast in sorted(forecasts, key=lambda each: each.issued_at):
            table[forecast.target, forecast.subject] = forecast
        return cls(start, steps, step_s, table)

    @property
    def instants(self) -> list[datetime]:
        """Start of each step, UTC."""
        return [self.start + timedelta(seconds=k * self.step_s) for k in range(self.steps)]

    def find(self, target: str, subject: str | None) -> Forecast | None:
        """Return a forecast; with no subject, the first of its target (weather)."""
        if subject is not None:
            return self.forecasts.get((target, subject))
        return next((each for key, each in self.forecasts.items() if key[0] == target), None)

    def series(
        self, target: str, subject: str | None, name: str, stand_in: float, said: str
    ) -> FloatArray:
        """Return a forecast's mean on the plan's steps, shape (steps,).

        Steps that it does not reach take the value of a day before, or its last value; where
        there is no forecast at all, ``stand_in`` holds for all steps and ``said`` tells so.
        """
        forecast = self.find(target, subject)
        mean = np.empty(0) if forecast is None else np.asarray(forecast.mean, dtype=np.float64)
        if forecast is None or not np.isfinite(mean).any():
            self.lacked.append(f"{name}: no forecast; {said}")
            return np.full(self.steps, stand_in)
        offset_s = (self.start - forecast.start).total_seconds()
        at_s = offset_s + np.arange(self.steps) * float(self.step_s)
        index = np.floor(at_s / forecast.step_s).astype(np.int64)
        a_day = round(86400 / forecast.step_s)
        result = _at(mean, index)
        if np.isnan(result).any():
            self.lacked.append(
                f"{name}: the forecast does not reach over the whole plan; "
                "the day before or its last value stands in"
            )
            day_before = _at(mean, index - a_day)
            result = np.where(np.isnan(result), day_before, result)
            known = mean[np.isfinite(mean)]
            result = np.where(np.isnan(result), known[0 if index[0] < 0 else -1], result)
        return result

    def spread(self, target: str, subject: str | None, level: float) -> FloatArray:
        """Return how far a forecast's quantile is from its mean, shape (steps,).

        Never to the other side; nothing where the quantile was not forecast, and in steps that
        the forecast does not reach its last value.
        """
        forecast = self.find(target, subject)
        values = None if forecast is None else forecast.quantiles.get(level)
        if forecast is None or values is None:
            return np.zeros(self.steps)
        side = -1.0 if level < 0.5 else 1.0
        away = side * np.maximum(side * (np.asarray(values) - np.asarray(forecast.mean)), 0.0)
        offset_s = (self.start - forecast.start).total_seconds()
        at_s = offset_s + np.arange(self.steps) * float(self.step_s)
        index = np.clip(np.floor(at_s / forecast.step_s).astype(np.int64), 0, away.size - 1)
        return np.nan_to_num(_at(away.astype(np.float64), index))

    def rates(self, tariff: Tariff | None, name: str) -> FloatArray:
        """Return a tariff's rate in each step [£/kWh], shape (steps,).

        Steps without a rate take the median of the known ones.
        """
        result = np.full(self.steps, np.nan)
        if tariff is not None:
            for step, instant in enumerate(self.instants):
                try:
                    result[step] = tariff.rate_gbp_per_kwh(instant)
                except NoRateError:
                    continue
        missing = np.isnan(result)
        if missing.all():
            self.lacked.append(f"{name}: no rates; planned at a flat price, so nothing is shifted")
            return np.full(self.steps, UNKNOWN_PRICE_GBP_PER_KWH)
        if missing.any():
            self.lacked.append(
                f"{name}: no rate for {int(missing.sum())} of {self.steps} steps; "
                "the median of the known rates stands in"
            )
            result[missing] = float(np.median(result[~missing]))
        return result


def peak_charges(
    horizon: Horizon, zone: ZoneInfo, rules: ControlRules, peaks_w: Mapping[date, float]
) -> tuple[PeakProblem, ...]:
    """Return the charges on the highest import of each local day and month of a horizon.

    ``peaks_w`` is each day's highest half-hour mean so far [W]; days without one had none.
    """
    days = [instant.astimezone(zone).date() for instant in horizon.instants]
    charges = []
    for day in dict.fromkeys(days):
        of_day = np.array([other == day for other in days])
        charges.append((of_day, peaks_w.get(day, 0.0), rules.peak_p_per_kw_day / 100.0))
    for month in dict.fromkeys(day.replace(day=1) for day in days):
        of_month = np.array([day.replace(day=1) == month for day in days])
        so_far = [watts for day, watts in peaks_w.items() if day.replace(day=1) == month]
        charges.append((of_month, max(so_far, default=0.0), rules.peak_gbp_per_kw_month))
    return tuple(
        PeakProblem(steps, max(so_far_w, 0.0), charge)
        for steps, so_far_w, charge in charges
        if charge > 0
    )


def carbon_rates(
    horizon: Horizon, rules: ControlRules, g_per_kwh: Mapping[datetime, float]
) -> FloatArray | None:
    """Return the price of a kWh's carbon in each step [£/kWh]; ``None`` where it has none.

    ``g_per_kwh`` is the grid's forecast intensity by half-hour (UTC). Steps without one take
    the median of the known ones.
    """
    if rules.carbon_gbp_per_t <= 0:
        return None
    halves = [floor_to(instant, HALF_HOUR_S) for instant in horizon.instants]
    grams = np.array([g_per_kwh.get(half, np.nan) for half in halves])
    missing = np.isnan(grams)
    if missing.all():
        horizon.lacked.append("carbon intensity: no forecast; planned without its price")
        return None
    if missing.any():
        horizon.lacked.append(
            f"carbon intensity: none for {int(missing.sum())} of {horizon.steps} steps; "
            "the median of the known ones stands in"
        )
        grams[missing] = float(np.median(grams[~missing]))
    return np.asarray(grams * rules.carbon_gbp_per_t / 1e6, dtype=np.float64)


def without_gain_ahead(
    price: FloatArray, comfort_c: FloatArray, ceiling_c: FloatArray, step_s: float
) -> FloatArray:
    """Return the ceiling of a home that pays its own supplier [°C], shape (steps,).

    At one rate all along, heating ahead would cost its tenant and save others: such a home is
    warmed for its own schedule alone, from `RISES_WITHIN_S` before a warmer time on.
    """
    if float(np.max(price)) > float(np.min(price)) * (1.0 + CHEAPER_SHARE):
        return ceiling_c
    ahead = max(1, round(RISES_WITHIN_S / step_s))
    padded = np.concatenate([comfort_c, np.full(ahead, comfort_c[-1])])
    soon = np.lib.stride_tricks.sliding_window_view(padded, ahead + 1).max(axis=1)
    return np.asarray(np.minimum(soon, np.maximum(ceiling_c, comfort_c)), dtype=np.float64)


def _at(values: FloatArray, index: np.ndarray[tuple[int], np.dtype[np.int64]]) -> FloatArray:
    inside = (index >= 0) & (index < values.size)
    return np.where(inside, values[np.clip(index, 0, values.size - 1)], np.nan)
