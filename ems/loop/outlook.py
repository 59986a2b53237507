"""Weather, prices and wishes over the steps to come; what is missing is stood in for, and said."""

from __future__ import annotations

from dataclasses import dataclass, field
from datetime import datetime, timedelta

import numpy as np
import pandas as pd

from ems.domain.errors import InvalidInputError
from ems.domain.forecasts import FloatArray
from ems.loop.history import Readings
from ems.loop.types import Comfort

STEP_S = 1800.0
LEAST_FIRST_S = 300.0
"""A first step shorter than this is joined to the next [s]."""
FADE_H = 12.0
"""The distance of now from yesterday fades so fast [h]."""
COOL_C = 5.0
FLAT_GBP_PER_KWH = 0.25
"""Where no price is known at all: flat, so that nothing is shifted for it."""


@dataclass(slots=True, eq=False)
class Outlook:
    """Steps to come; arrays of shape (steps,).

    ``heating_w`` is the heat pump's electricity of the last days at the same time.
    ``lower_c`` and ``upper_c`` are of each step's end: the warmer wish of before and after it.
    """

    start: list[datetime]
    step_s: FloatArray
    outdoor_c: FloatArray
    sun_w_m2: FloatArray
    pv_w: FloatArray
    base_w: FloatArray
    heating_w: FloatArray
    import_gbp: FloatArray
    export_gbp: FloatArray
    lower_c: FloatArray
    upper_c: FloatArray
    notes: list[str] = field(default_factory=list)

    @property
    def step_h(self) -> FloatArray:
        """Length of each step [h]."""
        return self.step_s / 3600.0


def steps_from(now: datetime, hours: float) -> tuple[list[datetime], FloatArray]:
    """Return starts and lengths [s]: until the next half-hour, then half-hours."""
    first = STEP_S - now.timestamp() % STEP_S
    if first < LEAST_FIRST_S:
        first += STEP_S
    count = int(hours * 3600.0 / STEP_S)
    lengths = np.array([first, *([STEP_S] * (count - 1))])
    begins = np.concatenate([[0.0], np.cumsum(lengths)[:-1]])
    return [now + timedelta(seconds=float(s)) for s in begins], lengths


def look_ahead(
    now: datetime,
    hours: float,
    readings: Readings,
    weather: pd.DataFrame | None,
    prices: pd.Series | pd.DataFrame | None,
    comfort: Comfort,
) -> Outlook:
    """Return the steps from ``now`` on."""
    starts, lengths = steps_from(now, hours)
    notes: list[str] = []
    middles = np.array([s.timestamp() for s in starts]) + lengths / 2.0
    given = pd.DataFrame() if weather is None else _indexed(weather, "weather_forecast")
    outdoor = _outdoor(given, middles, now, readings, notes)
    series = {
        name: _course(given, middles, name, readings, notes)
        for name in ("sun_w_m2", "pv_w", "base_w")
    }
    begins = np.array([s.timestamp() for s in starts])
    bought, sold = _prices(prices, begins, notes)
    wanted = [comfort.bounds_at(at) for at in starts]
    after = [*wanted[1:], comfort.bounds_at(starts[-1] + timedelta(seconds=float(lengths[-1])))]
    return Outlook(
        start=starts,
        step_s=lengths,
        outdoor_c=outdoor,
        sun_w_m2=np.maximum(series["sun_w_m2"], 0.0),
        pv_w=np.maximum(series["pv_w"], 0.0),
        base_w=series["base_w"],
        heating_w=_course(pd.DataFrame(), middles, "power_w", readings, []),
        import_gbp=bought,
        export_gbp=sold,
        lower_c=np.array([max(a[0], b[0]) for a, b in zip(wanted, after, strict=True)]),
        upper_c=np.array([max(a[1], b[1]) for a, b in zip(wanted, after, strict=True)]),
        notes=notes,
    )


def _indexed(frame: pd.DataFrame | pd.Series, name: str) -> pd.DataFrame:
    table = frame.to_frame("import_gbp_per_kwh") if isinstance(frame, pd.Series) else frame
    if table.empty:
        return pd.DataFrame()
    if not isinstance(table.index, pd.DatetimeIndex) or table.index.tz is None:
        raise InvalidInputError(
            "the index must be instants with a time zone",
            field=name,
            value=str(table.index.dtype),
            remedy="Give a DatetimeIndex in UTC, for instance with pd.to_datetime(..., utc=True).",
        )
    table = table.tz_convert("UTC").sort_index()
    return table[~table.index.duplicated(keep="last")]


def _at(index: pd.Index) -> FloatArray:
    return np.asarray(pd.DatetimeIndex(index).as_unit("ns").asi8 / 1e9, dtype=np.float64)


def _given(frame: pd.DataFrame, name: str, at: FloatArray) -> FloatArray:
    """Return a forecast's values at these times by straight lines; ``nan`` beyond it."""
    if name not in frame.columns:
        return np.full(at.size, np.nan)
    known = frame[name].dropna()
    if known.empty:
        return np.full(at.size, np.nan)
    times = _at(known.index)
    values = np.interp(at, times, known.to_numpy(dtype=float))
    return np.where((at < times[0] - STEP_S) | (at > times[-1] + 3600.0), np.nan, values)


def _outdoor(
    given: pd.DataFrame, at: FloatArray, now: datetime, readings: Readings, notes: list[str]
) -> FloatArray:
    forecast = _given(given, "outdoor_c", at)
    if np.isfinite(forecast).all():
        return forecast
    notes.append("outdoor temperature: no forecast for all steps; persistence stands in")
    past = readings.raw["outdoor_c"].dropna()
    if past.empty:
        known = forecast[np.isfinite(forecast)]
        return np.where(np.isnan(forecast), known[-1] if known.size else COOL_C, forecast)
    times, values = _at(past.index), past.to_numpy(dtype=float)
    day = 86400.0
    ago = at - day * np.ceil(np.maximum(at - times[-1], 1.0) / day)
    if ago[0] >= times[0] and times[-1] - day >= times[0]:
        now_c, then_c = values[-1], float(np.interp(times[-1] - day, times, values))
        fade = np.exp(-(at - now.timestamp()) / 3600.0 / FADE_H)
        stand_in = np.interp(ago, times, values) + (now_c - then_c) * fade
    else:
        stand_in = np.full(at.size, values[-1])
    return np.where(np.isnan(forecast), stand_in, forecast)


def _course(
    given: pd.DataFrame, at: FloatArray, name: str, readings: Readings, notes: list[str]
) -> FloatArray:
    """Return a forecast, or the mean of the last three days at the same time, or nothing."""
    forecast = _given(given, name, at)
    if np.isfinite(forecast).all():
        return forecast
    past = readings.raw[name].dropna() if name in readings.raw.columns else pd.Series(dtype=float)
    if past.empty:
        return np.nan_to_num(forecast)
    notes.append(f"{name}: no forecast for all steps; the last days stand in")
    times, values = _at(past.index), past.to_numpy(dtype=float)
    day = 86400.0
    back = np.ceil(np.maximum(at - times[-1], 1.0) / day)
    days = [
        np.interp(at - day * (back + k), times, values, left=np.nan, right=np.nan) for k in range(3)
    ]
    stack = np.array(days)
    count = np.isfinite(stack).sum(axis=0)
    mean = np.where(count > 0, np.nansum(stack, axis=0) / np.maximum(count, 1), values[-1])
    return np.where(np.isnan(forecast), mean, forecast)


def _prices(
    prices: pd.Series | pd.DataFrame | None, begins: FloatArray, notes: list[str]
) -> tuple[FloatArray, FloatArray]:
    table = pd.DataFrame() if prices is None else _indexed(prices, "prices")
    if not table.empty and "import_gbp_per_kwh" not in table.columns:
        raise InvalidInputError(
            "there is no column import_gbp_per_kwh",
            field="prices",
            value=[str(name) for name in table.columns],
            remedy="Give a series of £/kWh, or columns import_gbp_per_kwh, export_gbp_per_kwh.",
        )
    if table.empty:
        notes.append("prices: none given; planned as if they were flat")
        return np.full(begins.size, FLAT_GBP_PER_KWH), np.zeros(begins.size)
    bought = _rates(table["import_gbp_per_kwh"], begins, notes)
    if "export_gbp_per_kwh" not in table.columns:
        return bought, np.zeros(begins.size)
    return bought, _rates(table["export_gbp_per_kwh"], begins, [])


def _rates(series: pd.Series, begins: FloatArray, notes: list[str]) -> FloatArray:
    """Return the rate in force at each begin; a day before where unknown, else the median."""
    known = series.dropna()
    if known.empty:
        notes.append("prices: none given; planned as if they were flat")
        return np.full(begins.size, FLAT_GBP_PER_KWH)
    times, values = _at(known.index), known.to_numpy(dtype=float)
    spacing = float(np.median(np.diff(times))) if times.size > 1 else STEP_S
    holds = min(max(spacing, STEP_S), 3600.0)

    def rate(at: FloatArray) -> FloatArray:
        place = np.searchsorted(times, at, side="right") - 1
        inside = (place >= 0) & (at - times[np.maximum(place, 0)] < holds)
        return np.where(inside, values[np.maximum(place, 0)], np.nan)

    found = rate(begins)
    if np.isnan(found).any():
        notes.append(
            "prices: not known for all steps; those of a day before, or the median, stand in"
        )
        for days in (1.0, 2.0, 7.0):
            found = np.where(np.isnan(found), rate(begins - days * 86400.0), found)
        found = np.where(np.isnan(found), float(np.median(values)), found)
    return found
