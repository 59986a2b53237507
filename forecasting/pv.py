"""Generation of a block's panels from irradiance, by a roof learnt from the meter.

The roof and its gains by solar hour, equations (5), (17) and (18), are those of
:mod:`forecasting.roof`; the band joins the spread of the irradiance forecast with that of past
residuals.

Sign: readings of ``power_w`` are negative when generating; the forecast ``pv_w`` is
generation and positive, as in :class:`ems.domain.plans.SchedulingProblem`.
"""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime
from functools import lru_cache
from typing import Self

import numpy as np
import pandas as pd

from ems.domain.errors import InvalidInputError
from ems.domain.estate import PvArray
from ems.domain.forecasts import FloatArray, Forecast
from ems.domain.time import HALF_HOUR
from forecasting.interface import (
    LEVELS,
    Z_90,
    Horizon,
    check_frame,
    epoch_s,
    known_before,
    make_forecast,
)
from forecasting.roof import Metered, Roof, fit_roof, hour_gains, made_w, nameplate
from forecasting.sun import Light, SunPosition, clear_sky_w_m2, light_of, sun_position

FULL_DAYS = 14
"""With fewer days of sun a forecast says what the meter does not tell yet."""
_LOWEST_SUN_DEG = 85.0
"""Half-hours with the sun's zenith beyond this teach nothing [°]."""
_LEAST_LIGHT_W_M2 = 15.0
_DAY_S = 86_400
_WITHOUT_WEATHER = "irradiance forecast: none, recent days stand in"


@dataclass(frozen=True, slots=True)
class Place:
    """Where the panels are, degrees north and east."""

    latitude: float
    longitude: float


@dataclass(frozen=True, slots=True)
class _Days:
    """Whole days of one array; two are the same where nameplate and readings are."""

    array: PvArray
    digest: bytes
    metered: Metered = field(compare=False, repr=False)

    @classmethod
    def of(cls, array: PvArray, metered: Metered) -> _Days:
        seen = hashlib.sha256(metered.day.tobytes())
        seen.update(metered.generated_w.tobytes())
        seen.update(metered.light.horizontal.tobytes())
        seen.update(metered.sun.azimuth_deg.tobytes())
        return cls(array, seen.digest(), metered)


@lru_cache(maxsize=256)
def _learnt(days: _Days) -> Roof:
    """Return the roof; whole days are fitted once and not with every half-hour."""
    return fit_roof(days.array, days.metered)


class PvModel:
    """Generation of one array.

    Parameters
    ----------
    block_id
        Subject of the forecast.
    array
        Nameplate.
    place
        Where the panels are.
    """

    name = "roof learnt from its meter"

    def __init__(self, block_id: str, array: PvArray, place: Place) -> None:
        self._block_id = block_id
        self._array = array
        self._place = place
        self._roof = nameplate(array)
        self._gain = np.ones(24)
        self._residual = 0.25
        self._recent = pd.Series(dtype=np.float64)
        self._days = 0
        self._until: datetime | None = None

    @property
    def roof(self) -> Roof:
        """Tilt, azimuth and loss as learnt, with their errors."""
        return self._roof

    @property
    def gain(self) -> FloatArray:
        """Gain over the roof by solar hour [-], shape (24,)."""
        return self._gain.copy()

    def fit(self, history: pd.DataFrame, until: datetime) -> Self:
        """Learn the roof and the gains.

        ``history`` holds ``power_w`` (as read: generation negative) and
        ``irradiance_w_m2`` (horizontal, mean of the half-hour) with ``nan`` gaps.
        """
        known = known_before(check_frame(history, "history"), until)
        self._until = until
        self._roof, self._gain = nameplate(self._array), np.ones(24)
        self._residual, self._days = 0.25, 0
        self._recent = pd.Series(dtype=np.float64)
        if not len(known):
            return self
        made = -known["power_w"].to_numpy(dtype=np.float64)
        self._recent = pd.Series(np.maximum(made, 0.0), index=known.index).iloc[-14 * 48 :]
        self._days = int(np.isfinite(made).sum() // 48)
        metered = self._daylight(known, made)
        if metered is None:
            return self
        whole = metered.part(metered.day < int(until.timestamp()) // _DAY_S)
        self._roof = _learnt(_Days.of(self._array, whole))
        self._learn_gains(metered.generated_w, metered.light, metered.sun)
        return self

    def _daylight(self, known: pd.DataFrame, made: FloatArray) -> Metered | None:
        """Return the half-hours with both readings and a sun that stands high enough."""
        irradiance = known["irradiance_w_m2"].to_numpy(dtype=np.float64)
        bright = np.isfinite(made) & np.isfinite(irradiance) & (irradiance > _LEAST_LIGHT_W_M2)
        if not bright.any():
            return None
        index = pd.DatetimeIndex(known.index[bright])
        sun = self._sun(index)
        light = light_of(irradiance[bright], sun)
        metered = Metered(np.maximum(made[bright], 0.0), light, sun, epoch_s(index) // _DAY_S)
        high = sun.zenith_deg < _LOWEST_SUN_DEG
        return metered.part(high) if high.any() else None

    def _learn_gains(self, made: FloatArray, light: Light, sun: SunPosition) -> None:
        """Learn what the roof leaves open, and how far off it is then."""
        guess = made_w(self._roof, self._array.peak_w, light, sun)
        self._gain = hour_gains(made, guess, sun.solar_hour, self._array.peak_w)
        hour = sun.solar_hour.astype(np.int64)
        fitted = self._gain[hour] * guess
        spread = float(np.sqrt(np.mean((made - fitted) ** 2) / np.mean(fitted**2 + 1.0)))
        share = made.size / (made.size + 20.0)
        self._residual = float(np.clip(share * spread + (1 - share) * 0.25, 0.02, 0.6))

    def update(self, recent: pd.DataFrame, until: datetime) -> Self:
        """Take in the newest generation; roof and gains stay until the next `fit`."""
        known = known_before(check_frame(recent, "recent"), until)
        made = pd.Series(np.maximum(-known["power_w"], 0.0), index=known.index)
        if len(made):
            old = self._recent.loc[self._recent.index < made.index[0]]
            self._recent = pd.concat([old, made]).iloc[-14 * 48 :]
        self._until = until
        return self

    def predict(
        self, horizon: Horizon, weather: Mapping[str, Forecast] | None = None
    ) -> list[Forecast]:
        """Return one forecast of generation [W], positive, from the forecast ``irradiance_w_m2``.

        Without one, the same half-hours of the last fortnight stand in, and the
        forecast says so.
        """
        if self._until is None or self._until > horizon.issued_at:
            raise InvalidInputError(
                "the model has not been fitted to what was known at issued_at",
                field="issued_at",
                value=horizon.issued_at.isoformat(),
                remedy="Call fit with until at or before issued_at first.",
            )
        sun = self._sun(horizon.index)
        lacked = self._lacked()
        irradiance = (weather or {}).get("irradiance_w_m2")
        if irradiance is None:
            mean, quantiles = self._from_recent_days(horizon, sun)
            lacked.append(_WITHOUT_WEATHER)
        else:
            lacked.extend(irradiance.lacked)
            gain = self._gain[sun.solar_hour.astype(np.int64)]

            def at(what: float | str) -> FloatArray:
                return np.asarray(gain * self._made(on_steps(irradiance, horizon, what), sun))

            mean = at("mean")
            own = Z_90 * self._residual * mean
            quantiles = {}
            for level in LEVELS:
                away = at(level) - mean
                sign = np.sign(level - 0.5)
                quantiles[level] = mean + away if sign == 0 else mean + sign * np.hypot(away, own)
        top = self._array.peak_w
        made = make_forecast(
            "pv_w",
            self._block_id,
            horizon,
            np.clip(mean, 0.0, top),
            {level: np.clip(values, 0.0, top) for level, values in quantiles.items()},
            lacked=lacked,
            model=self._model(),
        )
        return [made]

    def _lacked(self) -> list[str]:
        if not self._days:
            return ["generation history: none, the nameplate stands in"]
        roof = self._roof
        if not roof.untold or roof.days >= FULL_DAYS:
            return []
        return [f"sun on the meter: {roof.days} days do not tell {' and '.join(roof.untold)} yet"]

    def _model(self) -> str:
        """Return the name with what was learnt."""
        roof = self._roof
        if "tilt" in roof.untold:
            return f"roof by its nameplate, {roof.loss:.0%} loss"
        tilt, azimuth = f"{roof.tilt_deg:.0f}°", f"{roof.azimuth_deg:.0f}°"
        return f"{self.name}: tilt {tilt}, azimuth {azimuth}, {roof.loss:.0%} loss"

    def _sun(self, index: pd.DatetimeIndex) -> SunPosition:
        return sun_position(index + HALF_HOUR / 2, self._place.latitude, self._place.longitude)

    def _made(self, irradiance_w_m2: FloatArray, sun: SunPosition) -> FloatArray:
        return made_w(self._roof, self._array.peak_w, light_of(irradiance_w_m2, sun), sun)

    def _from_recent_days(
        self, horizon: Horizon, sun: SunPosition
    ) -> tuple[FloatArray, dict[float, FloatArray]]:
        """Return the spread of the last fortnight at the same half-hours of the day (UTC)."""
        clear = self._made(clear_sky_w_m2(sun), sun)
        mean = 0.3 * clear
        quantiles = {0.1: 0.05 * clear, 0.5: 0.25 * clear, 0.9: 0.7 * clear}
        slots = {name: part.dropna() for name, part in _by_time_of_day(self._recent)}
        for step, instant in enumerate(horizon.index):
            part = slots.get(instant.hour * 2 + instant.minute // 30)
            if part is not None and len(part) >= 3:
                mean[step] = float(part.mean())
                for level in LEVELS:
                    quantiles[level][step] = float(part.quantile(level))
        return mean, quantiles


def _by_time_of_day(series: pd.Series[float]) -> list[tuple[int, pd.Series[float]]]:
    if not len(series):
        return []
    index = pd.DatetimeIndex(series.index)
    key = np.asarray(index.hour * 2 + index.minute // 30)
    return [(int(slot), series[key == slot]) for slot in np.unique(key)]


def on_steps(forecast: Forecast, horizon: Horizon, what: float | str) -> FloatArray:
    """Return a forecast's ``"mean"`` or a quantile on the horizon's half-hours.

    Its own steps may be shorter or start earlier; they are averaged. Steps beyond its
    end repeat its last day.

    Raises
    ------
    InvalidInputError
        Where it does not cover even the first half-hour, or was issued later than the
        horizon allows.
    """
    if forecast.issued_at > horizon.issued_at:
        raise InvalidInputError(
            "a weather forecast from the future may not be used",
            field=f"{forecast.target}.issued_at",
            value=forecast.issued_at.isoformat(),
            remedy="Use the last one issued at or before issued_at.",
        )
    values = forecast.mean if what == "mean" else np.asarray(forecast.quantiles[float(what)])
    starts = forecast.start.timestamp() + forecast.step_s * np.arange(len(values))
    bins = ((starts - horizon.start.timestamp()) // 1800).astype(np.int64)
    inside = (bins >= 0) & (bins < horizon.steps)
    count = np.bincount(bins[inside], minlength=horizon.steps)
    total = np.bincount(bins[inside], values[inside], horizon.steps)
    if not count[0]:
        raise InvalidInputError(
            "the weather forecast does not cover the first half-hour",
            field=f"{forecast.target}.start",
            value=forecast.start.isoformat(),
            remedy="Ask the provider for a forecast from the horizon's start.",
        )
    out = np.where(count > 0, total / np.maximum(count, 1), np.nan)
    for step in np.flatnonzero(count == 0):
        out[step] = out[step - 48] if step >= 48 else out[step - 1]
    return out
