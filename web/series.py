"""Series for charts and sums: half-hours from the roll-ups, completed with the newest readings.

Missing half-hours stay ``nan``.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from zoneinfo import ZoneInfo

import numpy as np
import pandas as pd

from ems.domain.estate import Dwelling
from ems.domain.forecasts import Forecast
from ems.domain.plans import Schedule
from ems.domain.points import PointId
from ems.domain.ports import Store
from ems.domain.tariffs import NoRateError, Tariff
from ems.domain.time import HALF_HOUR, HALF_HOUR_S, ceil_to, floor_to, steps
from web.charts import ORANGE, TEAL, Band, Line

ROLL_UP_LAG = timedelta(minutes=5)
"""A half-hour may wait this long for its roll-up; until then its raw readings stand in."""


def half_hours(
    store: Store, points: Sequence[PointId], start: datetime, now: datetime
) -> pd.DataFrame:
    """Return half-hour means of gauges from ``start`` to the running half-hour.

    One column per point (``str(point_id)``), indexed by UTC starts; ``nan`` where there
    is no value. The running half-hour holds the mean so far.
    """
    first, end = floor_to(start), floor_to(now) + HALF_HOUR
    frame = store.rollups(points, first, end)
    recent_from = max(floor_to(now - ROLL_UP_LAG), first)
    recent = store.resampled(points, recent_from, end, HALF_HOUR_S)
    grid = pd.DatetimeIndex(list(steps(first, int((end - first) / HALF_HOUR))))
    columns = [str(point) for point in points]
    return frame.combine_first(recent).reindex(index=grid, columns=columns).astype(float)


def times_of(frame: pd.DataFrame) -> list[datetime]:
    """Return a frame's index as instants."""
    return [stamp.to_pydatetime() for stamp in pd.DatetimeIndex(frame.index)]


def kw_steps(
    frame: pd.DataFrame,
    column: str,
    name: str,
    colour: str,
    *,
    sign: float = 1.0,
    filled: bool = True,
) -> Line:
    """Return a column of half-hour powers [W] as a stepped line in kW."""
    values = (sign * frame[column].to_numpy(dtype=float) / 1000.0).tolist()
    return Line(name, times_of(frame), values, colour, step_s=HALF_HOUR_S, filled=filled)


@dataclass(frozen=True, slots=True)
class Energy:
    """Energy over a time, and how much of it was measured.

    ``kwh`` per half-hour (``nan`` where missing), indexed by ``starts``; the last may be
    running still.
    """

    starts: tuple[datetime, ...]
    kwh: tuple[float, ...]

    @property
    def total_kwh(self) -> float | None:
        """Sum of what was measured; ``None`` where nothing was."""
        known = [value for value in self.kwh if np.isfinite(value)]
        return float(sum(known)) if known else None

    @property
    def missing(self) -> int:
        """How many half-hours were not measured."""
        return sum(not np.isfinite(value) for value in self.kwh)

    def cost_gbp(self, tariff: Tariff | None) -> float | None:
        """Return what the measured energy cost; ``None`` without a rate for all of it."""
        if tariff is None or self.total_kwh is None:
            return None
        try:
            return float(
                sum(
                    value * tariff.rate_gbp_per_kwh(start)
                    for start, value in zip(self.starts, self.kwh, strict=True)
                    if np.isfinite(value)
                )
            )
        except NoRateError:
            return None


def imported(store: Store, meter_id: str, start: datetime, now: datetime) -> Energy:
    """Return a meter's imported energy by half-hours over [start, now].

    From the counter's roll-ups; where the counter has none, from mean power.
    """
    counter, power = PointId(meter_id, "energy_import_kwh"), PointId(meter_id, "power_w")
    if now <= start:
        return Energy((), ())
    frame = half_hours(store, [power], start, now)
    from_power = frame[str(power)].clip(lower=0.0) / 2000.0
    running = floor_to(now)
    share = (now - running) / HALF_HOUR
    counted = store.rollups([counter], floor_to(start), running)
    kwh = (
        counted[str(counter)].reindex(from_power.index).combine_first(from_power)
        if str(counter) in counted
        else from_power
    )
    kwh.loc[kwh.index >= running] *= share
    if share == 0.0:
        kwh = kwh[kwh.index < running]
    return Energy(tuple(times_of(kwh.to_frame())), tuple(float(value) for value in kwh))


def half_hour_values(plan: Schedule, values: Sequence[float]) -> list[tuple[datetime, float]]:
    """Return a plan's values by half-hours: means weighted by time, whatever its steps."""
    sums: dict[datetime, tuple[float, float]] = {}
    for begin, seconds, value in zip(step_starts(plan), plan.step_s, values, strict=True):
        end = begin + timedelta(seconds=float(seconds))
        slot = floor_to(begin)
        while slot < end:
            inside_s = (min(end, slot + HALF_HOUR) - max(begin, slot)).total_seconds()
            total, weight = sums.get(slot, (0.0, 0.0))
            sums[slot] = (total + float(value) * inside_s, weight + inside_s)
            slot += HALF_HOUR
    return [(slot, total / weight) for slot, (total, weight) in sums.items()]


def planned_steps(
    plan: Schedule, values: Sequence[float], name: str, *, scale: float = 1.0, colour: str = ORANGE
) -> Line:
    """Return a plan's values as a dashed, stepped line."""
    pairs = half_hour_values(plan, values)
    return Line(
        name,
        [at for at, _ in pairs],
        [value * scale for _, value in pairs],
        colour,
        step_s=HALF_HOUR_S,
        dashed=True,
    )


def planned_ends(
    plan: Schedule, values: Sequence[float], name: str, colour: str, now: datetime
) -> Line:
    """Return a plan's values at the ends of its steps still to come, as a dashed line."""
    ends = [
        start + timedelta(seconds=float(seconds))
        for start, seconds in zip(step_starts(plan), plan.step_s, strict=True)
    ]
    pairs = [(at, float(value)) for at, value in zip(ends, values, strict=True)]
    coming = [pair for pair in pairs if pair[0] > now]
    past = [pair for pair in pairs if pair[0] <= now]
    if past and coming:
        (before, low), (after, high) = past[-1], coming[0]
        coming.insert(0, (now, low + (high - low) * ((now - before) / (after - before))))
    return Line(
        name,
        [at for at, _ in coming],
        [value for _, value in coming],
        colour,
        dashed=True,
        gap_s=float("inf"),
    )


def step_starts(plan: Schedule) -> list[datetime]:
    """Return the instants at which a plan's steps begin."""
    starts, edge = [], plan.start
    for seconds in plan.step_s:
        starts.append(edge)
        edge += timedelta(seconds=float(seconds))
    return starts


def band_kw(forecast: Forecast | None, name: str, colour: str, sign: float = 1.0) -> Band | None:
    """Return a forecast's 10 % to 90 % range in kW, or ``None`` where there is none."""
    if forecast is None:
        return None
    levels = sorted(forecast.quantiles)
    if not levels or levels[0] > 0.2 or levels[-1] < 0.8:
        return None
    low = sign * np.asarray(forecast.quantiles[levels[0]], dtype=float) / 1000.0
    high = sign * np.asarray(forecast.quantiles[levels[-1]], dtype=float) / 1000.0
    times = list(steps(forecast.start, len(low), forecast.step_s))
    words = f"{name} ({levels[0]:.0%} to {levels[-1]:.0%})"
    return Band(words, times, low.tolist(), high.tolist(), float(forecast.step_s), colour)


def asked_line(home: Dwelling, zone: ZoneInfo, start: datetime, end: datetime) -> Line:
    """Return what the resident's schedule asks for in [start, end) [°C], by half-hours."""
    first = floor_to(start)
    times = list(steps(first, int((ceil_to(end) - first) / HALF_HOUR)))
    values = [home.comfort.temperature_at(instant, zone) for instant in times]
    return Line("Asked for", times, values, TEAL, step_s=HALF_HOUR_S)


def rates(tariff: Tariff, start: datetime, end: datetime) -> tuple[list[datetime], list[float]]:
    """Return half-hour starts of [start, end) and rates in pence; ``nan`` without a rate."""
    first = floor_to(start)
    slots = list(steps(first, int((ceil_to(end) - first) / HALF_HOUR)))
    values = []
    for slot in slots:
        try:
            values.append(tariff.rate_gbp_per_kwh(slot) * 100.0)
        except NoRateError:
            values.append(float("nan"))
    return slots, values


def rate_now(tariff: Tariff | None, now: datetime) -> float | None:
    """Return the present rate [£/kWh], or ``None`` where there is none."""
    if tariff is None:
        return None
    try:
        return tariff.rate_gbp_per_kwh(now)
    except NoRateError:
        return None


def next_change(tariff: Tariff, now: datetime) -> tuple[datetime, float] | None:
    """Return when the rate changes within a day, and to what [£/kWh]; ``None`` if it does not."""
    here = rate_now(tariff, now)
    for slot in steps(ceil_to(now + timedelta(seconds=1)), 48):
        there = rate_now(tariff, slot)
        if there is not None and here is not None and abs(there - here) > 1e-9:
            return slot, there
    return None
