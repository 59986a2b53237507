"""Made-up blocks of flats on a winter's day, for tests, benches and other people's solvers.

Everything follows from the seed. Ranges are those of British flats: 60 to 250 W/K, 2 to
12 kWh/K, heat pumps sized for -3 °C, a supply price with two cheap spells and an evening peak, a
battery, sun, and a contracted ceiling below what the block's own thermostats would draw.
"""

from __future__ import annotations

import math
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from enum import StrEnum

import numpy as np

from controllers.stacked import J_PER_KWH
from ems.domain.errors import InvalidInputError
from ems.domain.forecasts import FloatArray
from ems.domain.heating import FabricProblem, HygieneProblem, PumpProblem, TankProblem
from ems.domain.plans import BatteryProblem, HomeProblem, SchedulingProblem

START = datetime(2024, 1, 15, tzinfo=UTC)
"""A Monday at midnight, in winter time."""
WATER_KWH_PER_L_K = 1.163e-3
COLD_WATER_C = 10.0
WEEK_DAYS = 7


class Kind(StrEnum):
    """What homes have, in the words of ``ems plan generate --class``."""

    STORE1 = "store1"
    STORE1_TANK = "store1+tank"
    TWO_STATE = "two-state"
    ONOFF = "onoff"


@dataclass(frozen=True, slots=True, eq=False)
class _Day:
    """What all homes share, shape (steps,): local hour at the middle of each step, weather."""

    hour: FloatArray
    step_s: FloatArray
    outdoor_c: FloatArray
    sun: FloatArray
    price: FloatArray


def generate(
    homes: int, steps: int, seed: int, kind: Kind | str = Kind.STORE1, *, hours: float = 24.0
) -> SchedulingProblem:
    """Return a problem of so many homes, the same for the same arguments.

    Parameters
    ----------
    homes, steps
        How many; steps are of one length and cover ``hours``.
    seed
        Of all that is drawn.
    kind
        What homes have: one store (``store1``), a hot-water tank besides (``store1+tank``), room
        and heavy parts (``two-state``), or a heat pump that is on or off (``onoff``).
    hours
        Length of the horizon [h], from midnight.

    Raises
    ------
    InvalidInputError
        Where a number has no meaning or the kind is not known.
    """
    for name, value in (("homes", homes), ("steps", steps)):
        if value < 1:
            raise InvalidInputError(
                "a block needs at least one", field=name, value=value, remedy="Give 1 or more."
            )
    if seed < 0:
        raise InvalidInputError(
            "a seed counts from nothing", field="seed", value=seed, remedy="Give 0 or more."
        )
    if not 0 < hours < math.inf or hours * 3600.0 / steps < 1.0:
        raise InvalidInputError(
            "steps must last at least a second each",
            field="hours",
            value=hours,
            remedy="Give the horizon's length in hours, for instance 24.",
        )
    try:
        kind = Kind(kind)
    except ValueError:
        raise InvalidInputError(
            "there is no such class of problems",
            field="kind",
            value=str(kind),
            remedy=f"Give one of {', '.join(Kind)}.",
        ) from None
    day = _day(np.random.default_rng([seed, 0]), steps, hours)
    planned = tuple(
        _home(np.random.default_rng([seed, 1, number]), f"H-{number:05d}", day, kind)
        for number in range(1, homes + 1)
    )
    return _block(np.random.default_rng([seed, 2]), day, planned, f"{kind}-{homes}x{steps}-{seed}")


def _day(random: np.random.Generator, steps: int, hours: float) -> _Day:
    length = hours * 3600.0 / steps
    middle_h = (np.arange(steps, dtype=np.float64) + 0.5) * length / 3600.0
    hour: FloatArray = np.mod(middle_h, 24.0).astype(np.float64)
    mean = random.uniform(2.0, 7.0)
    outdoor = mean + 2.5 * np.cos((hour - 14.5) / 24.0 * 2.0 * np.pi)
    sun = np.clip(np.sin((hour - 8.0) / 8.5 * np.pi), 0.0, 1.0) * random.uniform(0.3, 1.0)
    price = np.full(steps, 0.245)
    price[(hour >= 0.5) & (hour < 4.5)] = 0.125
    price[(hour >= 12.0) & (hour < 15.0)] = 0.155
    price[(hour >= 16.0) & (hour < 19.0)] = 0.385
    ripple = random.normal(0.0, 0.008, 48)  # one value a half-hour, as a half-hourly tariff has
    return _Day(
        hour=hour,
        step_s=np.full(steps, length),
        outdoor_c=outdoor,
        sun=sun,
        price=np.round(price + ripple[np.floor(hour * 2.0).astype(int) % 48], 4),
    )


def _home(random: np.random.Generator, name: str, day: _Day, kind: Kind) -> HomeProblem:
    steps = day.hour.size
    loss = random.uniform(60.0, 250.0)
    capacity = random.uniform(2.0, 12.0)
    heat_max = 500.0 * math.ceil(max(loss * 24.0 * 1.15, 2500.0) / 500.0)
    efficiency = (3.1 + 0.075 * (day.outdoor_c - 5.0)) * random.uniform(0.88, 1.12)
    wakes, leaves, returns, sleeps = (
        random.uniform(low, low + 2.0) for low in (5.5, 8.0, 15.5, 21.0)
    )
    home = (day.hour >= wakes) & (day.hour < sleeps)
    if random.random() < 0.4:
        home &= ~((day.hour >= leaves) & (day.hour < returns))
    warm = 0.5 * round(random.uniform(20.0, 21.5) / 0.5)
    comfort = np.where(home, warm, 18.5)
    awake = 0.35 + 0.65 * home + 0.8 * ((day.hour >= 17.0) & (day.hour < 21.0))
    base = random.uniform(180.0, 420.0) * awake * random.lognormal(0.0, 0.25, steps)
    result = HomeProblem(
        dwelling_id=name,
        room_c=float(np.clip(random.normal(19.0, 0.5), 18.2, 20.5)),
        loss_w_per_k=loss,
        capacity_j_per_k=capacity * J_PER_KWH,
        outdoor_c=day.outdoor_c,
        free_heat_w=random.uniform(100.0, 300.0) + random.uniform(100.0, 900.0) * day.sun,
        floor_c=np.full(steps, 18.0),
        comfort_c=comfort,
        ceiling_c=np.full(steps, warm + 1.5),
        heat_max_w=np.full(steps, heat_max),
        cop=efficiency,
        base_w=base,
        price_gbp_per_kwh=day.price,
        terminal_gbp_per_kwh=float(np.median(day.price / efficiency))
        * math.exp(-6.0 * loss / 1000.0 / capacity),
    )
    if kind is Kind.STORE1_TANK:
        return replace(result, tank=_tank(random, day, result))
    if kind is Kind.TWO_STATE:
        air = random.uniform(0.12, 0.2) * capacity
        fabric = FabricProblem(
            mass_c=result.room_c - random.uniform(0.0, 0.6),
            capacity_j_per_k=(capacity - air) * J_PER_KWH,
            coupling_w_per_k=random.uniform(2.0, 4.0) * loss,
        )
        return replace(result, capacity_j_per_k=air * J_PER_KWH, fabric=fabric)
    if kind is Kind.ONOFF:
        running = bool(random.random() < 0.4)
        pump = PumpProblem(
            heat_min_w=result.heat_max_w,
            min_on_s=3600.0,
            min_off_s=1800.0,
            start_gbp=0.01,
            on=running,
            since_s=float(600 * random.integers(1, 12)) + (0.0 if running else 1800.0),
        )
        return replace(result, pump=pump)
    return result


def _tank(random: np.random.Generator, day: _Day, home: HomeProblem) -> TankProblem:
    litres = random.choice([120.0, 150.0, 180.0, 210.0])

    def held_wh(water_c: float) -> float:
        return float(litres * WATER_KWH_PER_L_K * (water_c - COLD_WATER_C) * 1000.0)

    morning = np.exp(-(((day.hour - random.uniform(6.5, 8.5)) / 0.8) ** 2))
    evening = np.exp(-(((day.hour - random.uniform(18.0, 21.5)) / 1.0) ** 2))
    shape = (morning + 0.8 * evening + 0.05) * random.lognormal(0.0, 0.3, day.hour.size)
    hours = day.step_s / 3600.0
    daily_wh = random.uniform(2.0, 5.5) * 1000.0 * float(np.sum(hours)) / 24.0
    busy = ((day.hour >= 5.5) & (day.hour < 9.0)) | ((day.hour >= 17.0) & (day.hour < 22.0))
    due = bool(random.random() < 1.0 / WEEK_DAYS)
    horizon_s = float(np.sum(day.step_s))
    hygiene = HygieneProblem(held_wh(60.0), by_s=horizon_s, hold_s=1800.0)
    return TankProblem(
        energy_wh=held_wh(random.uniform(42.0, 50.0)),
        min_wh=held_wh(24.0),
        comfort_wh=np.where(busy, held_wh(38.0), held_wh(32.0)),
        pump_max_wh=held_wh(52.0),
        max_wh=held_wh(65.0),
        standing_loss_per_h=random.uniform(0.006, 0.012),
        draw_w=shape * daily_wh / float(np.sum(shape * hours)),
        heat_max_w=0.85 * home.heat_max_w,
        cop=0.74 * home.cop,
        backup_max_w=3000.0,
        terminal_gbp_per_kwh=0.8 * float(np.median(day.price / (0.74 * home.cop))),
        hygiene=hygiene if due else None,
    )


def _block(
    random: np.random.Generator, day: _Day, homes: tuple[HomeProblem, ...], name: str
) -> SchedulingProblem:
    count, steps = len(homes), day.hour.size
    pv_w = count * random.uniform(500.0, 900.0) * day.sun
    landlord_w = np.full(steps, 40.0 * count + 200.0)
    fixed_w = landlord_w + np.sum([home.base_w for home in homes], axis=0) - pv_w
    # What heating takes on average to hold every home at its schedule, and hot water.
    steady_w = np.zeros(steps)
    for home in homes:
        need = home.loss_w_per_k * (home.comfort_c - home.outdoor_c) - home.free_heat_w
        steady_w += np.clip(need, 0.0, home.heat_max_w) / home.cop
        if home.tank is not None:
            steady_w += float(np.mean(home.tank.draw_w / home.tank.cop))
    contracted_w = 1.12 * float(np.max(fixed_w + steady_w)) + 1500.0 / math.sqrt(count)
    capacity_wh = 2000.0 * count
    wear = 0.02
    efficiency = 0.95
    return SchedulingProblem(
        block_id=name,
        issued_at=START,
        start=START,
        step_s=day.step_s,
        homes=homes,
        battery=BatteryProblem(
            energy_wh=0.35 * capacity_wh,
            min_wh=0.1 * capacity_wh,
            max_wh=capacity_wh,
            max_charge_w=0.4 * capacity_wh,
            max_discharge_w=0.4 * capacity_wh,
            one_way_efficiency=efficiency,
            wear_gbp_per_kwh=wear,
            terminal_gbp_per_kwh=efficiency * (float(np.median(day.price)) - wear),
        ),
        pooled=True,
        pv_w=pv_w,
        landlord_w=landlord_w,
        uncontrolled_w=np.zeros(steps),
        import_gbp_per_kwh=day.price,
        export_gbp_per_kwh=np.full(steps, 0.055),
        physical_import_w=np.full(steps, 1.5 * contracted_w),
        contracted_import_w=np.full(steps, contracted_w),
        export_limit_w=np.full(steps, 600.0 * count + 2000.0),
    )
