"""Generation of a block's panels from irradiance, with gains learnt from the meter.

The nameplate gives a first guess ``g`` of each half-hour's generation from horizontal
irradiance, tilt and azimuth. The meter corrects it by a gain per solar hour ``b``::

    gain[b] = (sum(y g) + r gain) / (sum(g g) + r)                                   (5)

over the half-hours of that solar hour, where ``gain`` is that of all hours and ``r``
what it counts against the meter. Shade in the morning or a wrong azimuth shows up as gains that
differ over the day.

Sign: readings of ``power_w`` are negative when generating; the forecast ``pv_w`` is
generation and positive, as in :class:`ems.domain.plans.SchedulingProblem`.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Self

import numpy as np
import pandas as pd

from ems.domain.errors import InvalidInputError
from ems.domain.estate import PvArray
from ems.domain.forecasts import FloatArray, Forecast
from ems.domain.time import HALF_HOUR
from forecasting.interface import LEVELS, Z_90, Horizon, check_frame, known_before, make_forecast
from forecasting.sun import SunPosition, clear_sky_w_m2, on_tilted_plane_w_m2, sun_position

SYSTEM_LOSS = 0.14
"""Share lost before the meter until the meter tells otherwise [-]."""
_NAMEPLATE_COUNTS_AS = 1.0
"""r in (5), in half-hours at a quarter of the peak."""
_WITHOUT_WEATHER = "irradiance forecast: none, recent days stand in"


@dataclass(frozen=True, slots=True)
class Place:
    """Where the panels are, degrees north and east."""

    latitude: float
    longitude: float


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

    name = "nameplate × gain by solar hour"

    def __init__(self, block_id: str, array: PvArray, place: Place) -> None:
        self._block_id = block_id
        self._array = array
        self._place = place
        self._gain = np.ones(24)
        self._residual = 0.25
        self._recent = pd.Series(dtype=np.float64)
        self._days = 0
        self._until: datetime | None = None

    @property
    def gain(self) -> FloatArray:
        """Gain over the nameplate by solar hour [-], shape (24,)."""
        return self._gain.copy()

    def fit(self, history: pd.DataFrame, until: datetime) -> Self:
        """Learn the gains.

        ``history`` holds ``power_w`` (as read: generation negative) and
        ``irradiance_w_m2`` (horizontal, mean of the half-hour) with ``nan`` gaps.
        """
        known = known_before(check_frame(history, "history"), until)
        self._until = until
        self._gain, self._residual, self._days = np.ones(24), 0.25, 0
        self._recent = pd.Series(dtype=np.float64)
        if not len(known):
            return self
        made = -known["power_w"].to_numpy(dtype=np.float64)
        self._recent = pd.Series(np.maximum(made, 0.0), index=known.index).iloc[-14 * 48 :]
        self._days = int(np.isfinite(made).sum() // 48)
        sun = self._sun(pd.DatetimeIndex(known.index))
        guess = self._nameplate(known["irradiance_w_m2"].to_numpy(dtype=np.float64), sun)
        usable = np.isfinite(made) & np.isfinite(guess) & (guess > 0.01 * self._array.peak_w)
        if not usable.any():
            return self
        made, guess = np.maximum(made[usable], 0.0), guess[usable]
        hour = sun.solar_hour[usable].astype(np.int64)
        prior = _NAMEPLATE_COUNTS_AS * (0.25 * self._array.peak_w) ** 2
        overall = (np.sum(made * guess) + prior) / (np.sum(guess**2) + prior)
        over = np.bincount(hour, made * guess, 24) + overall * prior
        under = np.bincount(hour, guess**2, 24) + prior
        self._gain = np.clip(over / under, 0.1, 2.0)
        fitted = self._gain[hour] * guess
        spread = float(np.sqrt(np.mean((made - fitted) ** 2) / np.mean(fitted**2)))
        share = usable.sum() / (usable.sum() + 20.0)
        self._residual = float(np.clip(share * spread + (1 - share) * 0.25, 0.02, 0.6))
        return self

    def update(self, recent: pd.DataFrame, until: datetime) -> Self:
        """Take in the newest generation; the gains stay until the next `fit`."""
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
        lacked = [] if self._days else ["generation history: none, the nameplate stands in"]
        irradiance = (weather or {}).get("irradiance_w_m2")
        if irradiance is None:
            mean, quantiles = self._from_recent_days(horizon, sun)
            lacked.append(_WITHOUT_WEATHER)
        else:
            lacked.extend(irradiance.lacked)
            gain = self._gain[sun.solar_hour.astype(np.int64)]
            mean = gain * self._nameplate(on_steps(irradiance, horizon, "mean"), sun)
            own = Z_90 * self._residual * mean
            quantiles = {}
            for level in LEVELS:
                at = gain * self._nameplate(on_steps(irradiance, horizon, level), sun)
                away = at - mean
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
            model=self.name,
        )
        return [made]

    def _sun(self, index: pd.DatetimeIndex) -> SunPosition:
        return sun_position(index + HALF_HOUR / 2, self._place.latitude, self._place.longitude)

    def _nameplate(self, irradiance_w_m2: FloatArray, sun: SunPosition) -> FloatArray:
        plane = on_tilted_plane_w_m2(
            irradiance_w_m2, sun, self._array.tilt_deg, self._array.azimuth_deg
        )
        return np.minimum(
            plane / 1000.0 * self._array.peak_w * (1.0 - SYSTEM_LOSS), self._array.peak_w
        )

    def _from_recent_days(
        self, horizon: Horizon, sun: SunPosition
    ) -> tuple[FloatArray, dict[float, FloatArray]]:
        """Return the spread of the last fortnight at the same half-hours of the day (UTC)."""
        clear = self._nameplate(clear_sky_w_m2(sun), sun)
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
