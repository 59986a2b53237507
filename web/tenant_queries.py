"""What a tenant's pages show: today, the own past, warmth, and what the heating does.

A home is compared with its own past only. Where no rate covers a time there is no £.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import date, datetime, timedelta

import numpy as np

from ems.domain.estate import Dwelling, Estate
from ems.domain.points import PointId
from ems.domain.ports import Store
from ems.domain.time import HALF_HOUR_S, local_day_bounds
from web.charts import BLUE, PLUM, TEAL, BarChart, Bars, Level, Line, TimeChart
from web.home_queries import (
    HomeNow,
    Period,
    SetpointRow,
    home_device_ids,
    homes_now,
    hours_below,
    periods,
    room_chart,
    setpoint_rows,
)
from web.series import asked_line, half_hours, imported, next_change, rate_now, rates, times_of

WEEKS = 4
DAYS_SHOWN = 14
ENOUGH = 0.95
"""A day counts where at least this share of its half-hours was measured."""


@dataclass(frozen=True, slots=True)
class Usual:
    """What the same weekday used by the same time in recent weeks, on average."""

    kwh: float
    days: int
    weekday: str

    def words(self, today_kwh: float) -> str:
        """Return the comparison in plain words."""
        change = today_kwh - self.kwh
        size = abs(change)
        if size < max(0.05 * self.kwh, 0.2):
            return "about the same as"
        return f"{size:.1f} kWh {'more' if change > 0 else 'less'} than"


@dataclass(frozen=True, slots=True)
class Money:
    """Cost of today so far [£]; every part is ``None`` where no rate covers it."""

    used_gbp: float | None
    standing_gbp: float | None

    @property
    def total_gbp(self) -> float | None:
        """Both together."""
        if self.used_gbp is None or self.standing_gbp is None:
            return None
        return self.used_gbp + self.standing_gbp


@dataclass(frozen=True, slots=True)
class TodayView:
    """A tenant's first page."""

    state: HomeNow
    kwh: float | None
    heating_kwh: float | None
    missing_half_hours: int
    money: Money
    rate_gbp: float | None
    change: tuple[datetime, float] | None
    usual: Usual | None
    next_periods: tuple[Period, ...]
    room: TimeChart
    prices: TimeChart | None


@dataclass(frozen=True, slots=True)
class PastView:
    """A tenant's use over the last weeks."""

    days: BarChart
    last_week_kwh: float | None
    week_before_kwh: float | None
    usual: Usual | None
    today_kwh: float | None


@dataclass(frozen=True, slots=True)
class WarmthView:
    """A tenant's living room over the last week."""

    state: HomeNow
    week: TimeChart
    hours: tuple[float, float] | None
    lowest_c: float | None
    highest_c: float | None


@dataclass(frozen=True, slots=True)
class HeatingView:
    """What a tenant's heating does next and did lately, and why."""

    state: HomeNow
    periods: tuple[Period, ...]
    room: TimeChart
    past: tuple[SetpointRow, ...]
    plan_made_at: datetime | None


def _midnight(day: date, estate: Estate) -> datetime:
    return local_day_bounds(day, estate.zone)[0]


def usual_by_now(estate: Estate, store: Store, home: Dwelling, now: datetime) -> Usual | None:
    """Return the mean use by this time of day on the same weekday of the last four weeks."""
    local = now.astimezone(estate.zone)
    known = []
    for weeks in range(1, WEEKS + 1):
        start, end = local_day_bounds(local.date() - timedelta(weeks=weeks), estate.zone)
        until = min(start + (now - _midnight(local.date(), estate)), end)
        used = imported(store, home.meter.device_id, start, until)
        if used.total_kwh is not None and used.missing <= (1 - ENOUGH) * len(used.kwh):
            known.append(used.total_kwh)
    if not known:
        return None
    return Usual(float(np.mean(known)), len(known), f"{local:%A}")


def today_view(estate: Estate, store: Store, home: Dwelling, now: datetime) -> TodayView:
    """Return a tenant's first page at ``now``."""
    plan = store.latest_schedule(home.block_id)
    midnight = _midnight(now.astimezone(estate.zone).date(), estate)
    used = imported(store, home.meter.device_id, midnight, now)
    tariff = home.meter.tariff
    change = next_change(tariff, now) if tariff else None
    state = homes_now(estate, store, (home,), now)[0]
    return TodayView(
        state=state,
        kwh=used.total_kwh,
        heating_kwh=_pump_kwh(store, home, midnight, now),
        missing_half_hours=used.missing,
        money=Money(used.cost_gbp(tariff), tariff.standing_gbp_per_day if tariff else None),
        rate_gbp=rate_now(tariff, now),
        change=change,
        usual=usual_by_now(estate, store, home, now),
        next_periods=tuple(periods(plan, home, now, estate, limit=4)),
        room=room_chart(
            estate,
            store,
            home,
            plan,
            (now - timedelta(hours=12), now + timedelta(hours=12)),
            state,
            now,
        ),
        prices=_price_chart(estate, home, now) if change else None,
    )


def _pump_kwh(store: Store, home: Dwelling, start: datetime, now: datetime) -> float | None:
    point = PointId(home.heat_pump.power_device_id, "power_w")
    if now <= start:
        return None
    values = half_hours(store, [point], start, now)[str(point)].to_numpy(dtype=float)
    hours = np.full(len(values), 0.5)
    hours[-1] = ((now - start).total_seconds() % HALF_HOUR_S) / 3600.0
    known = np.isfinite(values)
    return float(np.sum(values[known] * hours[known]) / 1000.0) if known.any() else None


def _price_chart(estate: Estate, home: Dwelling, now: datetime) -> TimeChart | None:
    if home.meter.tariff is None:
        return None
    span = (now - timedelta(hours=3), now + timedelta(hours=24))
    slots, values = rates(home.meter.tariff, *span)
    return TimeChart(
        key="prices",
        title="Your price",
        summary="What a kilowatt-hour costs you, now and over the coming day.",
        unit="p/kWh",
        start=span[0],
        end=span[1],
        zone=estate.zone,
        lines=(Line("Your price", slots, values, BLUE, step_s=HALF_HOUR_S, filled=True),),
        now=now,
    )


def past_view(estate: Estate, store: Store, home: Dwelling, now: datetime) -> PastView:
    """Return a tenant's use of the last two weeks, by day."""
    today = now.astimezone(estate.zone).date()
    days = [today - timedelta(days=back) for back in range(DAYS_SHOWN, 0, -1)]
    pump, other = [], []
    for day in days:
        total, heating = _day_kwh(estate, store, home, day)
        pump.append(heating)
        other.append(total - heating)
    totals = np.asarray(pump) + np.asarray(other)
    used = imported(store, home.meter.device_id, _midnight(today, estate), now)
    return PastView(
        days=BarChart(
            key="days",
            title="Your electricity by day",
            summary="Heating and hot water, and everything else. "
            "A day that was not measured in full has no bar.",
            unit="kWh",
            labels=tuple(f"{day:%a} {day.day}" for day in days),
            long_labels=tuple(f"{day:%A} {day.day} {day:%B}" for day in days),
            layers=(
                Bars("Heating and hot water", pump, BLUE),
                Bars("Everything else", other, TEAL),
            ),
        ),
        last_week_kwh=_whole(totals[-7:]),
        week_before_kwh=_whole(totals[-14:-7]),
        usual=usual_by_now(estate, store, home, now),
        today_kwh=used.total_kwh,
    )


def _whole(values: np.ndarray) -> float | None:
    return float(values.sum()) if np.isfinite(values).all() else None


def _day_kwh(estate: Estate, store: Store, home: Dwelling, day: date) -> tuple[float, float]:
    start, end = local_day_bounds(day, estate.zone)
    used = imported(store, home.meter.device_id, start, end)
    point = PointId(home.heat_pump.power_device_id, "power_w")
    pump = store.rollups([point], start, end)[str(point)].to_numpy(dtype=float)
    enough = used.missing <= (1 - ENOUGH) * len(used.kwh) and np.isfinite(pump).mean() >= ENOUGH
    if used.total_kwh is None or not enough:
        return float("nan"), float("nan")
    heating = float(np.nansum(pump)) / 2000.0
    return used.total_kwh, min(heating, used.total_kwh)


def warmth_view(estate: Estate, store: Store, home: Dwelling, now: datetime) -> WarmthView:
    """Return a tenant's living room over the last seven days."""
    span = (now - timedelta(days=7), now)
    point = PointId(home.room_sensor_id, "temperature_c")
    frame = half_hours(store, [point], span[0], now)
    measured = Line("Your living room", times_of(frame), frame[str(point)].tolist(), BLUE)
    asked = asked_line(home, estate.zone, span[0], now + timedelta(minutes=30))
    known = [value for value in measured.values if np.isfinite(value)]
    return WarmthView(
        state=homes_now(estate, store, (home,), now)[0],
        week=TimeChart(
            key="week",
            title="Your living room, last 7 days",
            summary="Half-hour means, beside what your schedule asks for.",
            unit="°C",
            start=span[0],
            end=span[1],
            zone=estate.zone,
            lines=(measured, asked),
            levels=(Level("The lowest we plan for", home.floor_c, PLUM),),
            from_zero=False,
        ),
        hours=hours_below(measured, asked, home.floor_c),
        lowest_c=min(known) if known else None,
        highest_c=max(known) if known else None,
    )


def heating_view(estate: Estate, store: Store, home: Dwelling, now: datetime) -> HeatingView:
    """Return what a tenant's heating does next and did in the last day, and why."""
    plan = store.latest_schedule(home.block_id)
    since = now - timedelta(hours=24)
    state = homes_now(estate, store, (home,), now)[0]
    return HeatingView(
        state=state,
        periods=tuple(periods(plan, home, now, estate, limit=12)),
        room=room_chart(
            estate,
            store,
            home,
            plan,
            (now - timedelta(hours=12), now + timedelta(hours=24)),
            state,
            now,
        ),
        past=_told_apart(setpoint_rows(estate, store, home_device_ids(estate, home), since, now)),
        plan_made_at=plan.issued_at if plan else None,
    )


def _told_apart(rows: tuple[SetpointRow, ...]) -> tuple[SetpointRow, ...]:
    """Leave out rows (newest first) that only repeat the reason of the one before in time."""
    return tuple(
        row
        for index, row in enumerate(rows)
        if index + 1 == len(rows) or row.sentence != rows[index + 1].sentence or not row.good
    )
