"""From estate, forecasts, estimates and readings to a scheduling problem.

Temperatures are those at the end of a step. So that a room is warm when its resident's
period begins and still warm when it ends, a step asks for the warmer of the schedules at
its start and at its end.
"""

from __future__ import annotations

import math
from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import date, datetime, timedelta
from zoneinfo import ZoneInfo

import numpy as np

from controllers.comfort import wanted_at
from controllers.events import event_problem, participants, rested_floor_c
from controllers.inputs import Horizon, carbon_rates, peak_charges, without_gain_ahead
from controllers.margins import COLD, HIGH, floor_margin_k, import_margin_w, joint_spread_w
from controllers.room import Room, coasting_ceiling, thermostat_path
from ems.domain.estate import Actuator, Battery, Block, Dwelling, Supply
from ems.domain.events import FlexEvent
from ems.domain.forecasts import FloatArray, Forecast
from ems.domain.heatpump import cop, flow_temperature_c, heat_capacity_w
from ems.domain.plans import BatteryProblem, HomeProblem, SchedulingProblem
from ems.domain.readings import Snapshot
from ems.domain.rules import ControlRules
from ems.domain.thermal import ThermalEstimate
from ems.domain.wishes import Wish

READING_MAX_AGE_S = 900.0
"""A reading older than this does not start a plan."""
BATTERY_MAX_AGE_S = 3600.0
TYPICAL_HOUSEHOLD_W = 350.0
TYPICAL_HOT_WATER_W = 120.0
COOL_OUTDOOR_C = 5.0
"""Stands in for an unknown outdoor temperature in the heating season [°C]."""
USEFUL_AFTER_S = 6 * 3600.0
"""Heat left at the end is taken to be used so long afterwards on average."""
HOT_WATER_SHARE_MAX = 0.8
UNKNOWN_RUN_SHARE = 0.4
"""Share of its rated power that a heat pump is taken to draw where nothing is known of it."""


@dataclass(frozen=True, slots=True, eq=False)
class _Setting:
    """What all homes of a block share."""

    zone: ZoneInfo
    now: datetime
    horizon: Horizon
    rules: ControlRules
    snapshot: Snapshot
    outdoor_c: FloatArray
    irradiance_w_m2: FloatArray
    cold_spread_factor: float


def build_problem(
    block: Block,
    *,
    zone: ZoneInfo,
    now: datetime,
    start: datetime,
    steps: int,
    step_s: int,
    forecasts: Iterable[Forecast],
    estimates: Mapping[str, ThermalEstimate],
    snapshot: Snapshot,
    rules: ControlRules,
    wishes: Mapping[str, Wish] | None = None,
    events: Sequence[FlexEvent] = (),
    apart: Mapping[str, Collection[str]] | None = None,
    peaks_w: Mapping[date, float] | None = None,
    carbon_g_per_kwh: Mapping[datetime, float] | None = None,
    load_spread_factor: float = 1.0,
    cold_spread_factor: float = 1.0,
) -> SchedulingProblem:
    """Return the scheduling problem of a block.

    Parameters
    ----------
    block
        Homes, battery, limits and accounts; tariffs are those of its accounts.
    zone
        The estate's time zone, for comfort schedules.
    now, start
        When the problem is posed; first step (UTC).
    steps, step_s
        Number of steps and their length [s].
    forecasts
        Targets ``load_w``, ``hot_water_w`` and ``free_heat_w`` (sun not included) by home;
        ``pv_w`` and ``communal_w`` by block; ``outdoor_c`` and ``irradiance_w_m2`` for all.
    estimates
        Thermal estimates by home.
    snapshot
        Latest readings.
    rules
        Periods and margins of control.
    wishes
        Residents' wishes by home.
    events
        Events of this block that are accepted, running or recovering.
    apart
        By event, homes that it must not touch: opted out of it, or held by an operator.
    peaks_w
        Highest half-hour mean at the feeder of local days until now [W]; a day that is not
        named has had none.
    carbon_g_per_kwh
        The grid's forecast carbon intensity by half-hour [g/kWh].
    load_spread_factor
        By what the spread of load forecasts is to be multiplied, as
        :func:`controllers.margins.learnt_factor` learns it from recent errors.
    cold_spread_factor
        The same for how much colder than forecast it may be outside.

    Returns
    -------
    SchedulingProblem
        A home without a fresh room reading or a thermal estimate is not planned: the power
        that its thermostat is expected to draw is part of ``uncontrolled_w``. Each such
        home and each other stand-in is named in ``lacked``.
    """
    horizon = Horizon.of(start, steps, step_s, forecasts)
    setting = _Setting(
        zone=zone,
        now=now,
        horizon=horizon,
        rules=rules,
        snapshot=snapshot,
        outdoor_c=_outdoor(block, horizon, snapshot),
        irradiance_w_m2=np.maximum(
            horizon.series("irradiance_w_m2", None, "sun", 0.0, "planned without sun"), 0.0
        ),
        cold_spread_factor=cold_spread_factor,
    )
    pooled = block.supply is Supply.BOUNDARY
    account = block.block_meter if pooled or block.landlord_meter is None else block.landlord_meter
    bought = horizon.rates(account.tariff, f"tariff of {block.id}")
    planned: list[HomeProblem] = []
    loose: dict[str, FloatArray] = {}
    held, kept_apart = wishes or {}, apart or {}
    touched = frozenset(name for names in kept_apart.values() for name in names)
    for dwelling in block.dwellings:
        base_w = _base_w(dwelling, setting)
        estimate = estimates.get(dwelling.id)
        room_c = snapshot.good(dwelling.room_sensor_id, "temperature_c", READING_MAX_AGE_S)
        if estimate is None or room_c is None:
            loose[dwelling.id] = base_w[0] + _expected_power_w(dwelling, estimate, setting)
            why = "no fresh room reading" if room_c is None else "no thermal estimate"
            horizon.lacked.append(
                f"{dwelling.id}: {why}; not planned, its own thermostat's power is expected"
            )
            continue
        price = (
            bought if pooled else horizon.rates(dwelling.meter.tariff, f"tariff of {dwelling.id}")
        )
        wish = held.get(dwelling.id)
        home = _home(
            dwelling,
            room_c,
            estimate,
            base_w,
            price,
            wish,
            setting,
            alone=not pooled and not events,
        )
        wishing = wish is not None and wish.holds_at(now)
        if events and (wishing or dwelling.id in touched):
            home = _left_alone(home, setting.horizon.step_s)
        elif events:
            floor = rested_floor_c(home.floor_c, home.comfort_c, events, horizon.instants)
            home = replace(home, floor_c=floor)
        planned.append(home)
    carbon = carbon_rates(horizon, rules, carbon_g_per_kwh or {})
    contracted = block.limits.contracted_import_w
    asked = tuple(
        event_problem(
            event,
            participants(event, block, wishes=held, apart=kept_apart.get(event.id, ()), now=now),
            horizon.instants,
            step_s,
            {home.dwelling_id: home.base_w for home in planned},
            loose,
        )
        for event in events
    )
    limit_w = block.limits.physical_import_w if contracted is None else contracted
    spread_w = _load_spread_w(block, horizon)
    return SchedulingProblem(
        block_id=block.id,
        issued_at=now,
        start=start,
        step_s=np.full(steps, float(step_s)),
        homes=tuple(planned),
        battery=_battery(block.battery, snapshot, bought, horizon.lacked),
        pooled=pooled,
        pv_w=_pv_w(block, horizon),
        landlord_w=np.maximum(
            horizon.series(
                "communal_w", block.id, f"communal load of {block.id}", 0.0, "planned without it"
            ),
            0.0,
        ),
        uncontrolled_w=sum(loose.values(), np.zeros(steps)),
        import_gbp_per_kwh=bought,
        export_gbp_per_kwh=np.full(steps, account.export_gbp_per_kwh),
        physical_import_w=np.full(steps, block.limits.physical_import_w),
        contracted_import_w=np.full(steps, math.inf if contracted is None else contracted),
        export_limit_w=np.full(steps, block.limits.export_w),
        discomfort_gbp_per_kh=rules.discomfort_gbp_per_kh,
        lacked=tuple(dict.fromkeys(horizon.lacked)),
        events=asked,
        peaks=peak_charges(horizon, zone, rules, peaks_w or {}),
        carbon_gbp_per_kwh=carbon,
        import_margin_w=import_margin_w(spread_w, load_spread_factor, np.full(steps, limit_w)),
    )


def _load_spread_w(block: Block, horizon: Horizon) -> FloatArray:
    """Return how far the block's load may be above its mean [W]: its own forecast, else homes'."""
    own = horizon.spread("load_w", block.id, HIGH)
    if np.any(own > 0):
        return own
    homes = [horizon.spread("load_w", home.id, HIGH) for home in block.dwellings]
    return joint_spread_w(homes, horizon.steps)


def _outdoor(block: Block, horizon: Horizon, snapshot: Snapshot) -> FloatArray:
    seen = [
        value
        for home in block.dwellings
        if (
            value := snapshot.good(
                home.heat_pump.device_id, "outdoor_temperature_c", READING_MAX_AGE_S
            )
        )
        is not None
    ]
    stand_in = float(np.median(seen)) if seen else COOL_OUTDOOR_C
    how = "the heat pumps' reading now" if seen else "a cool day"
    return horizon.series(
        "outdoor_c", None, "outdoor temperature", stand_in, f"{how} stands in: {stand_in:g} °C"
    )


def _pv_w(block: Block, horizon: Horizon) -> FloatArray:
    if block.pv is None:
        return np.zeros(horizon.steps)
    name = f"solar power of {block.id}"
    return np.maximum(horizon.series("pv_w", block.id, name, 0.0, "planned without it"), 0.0)


def _base_w(dwelling: Dwelling, setting: _Setting) -> tuple[FloatArray, FloatArray]:
    """Return household and hot-water power together, and hot water alone [W]."""
    now_w = setting.snapshot.good(dwelling.meter.device_id, "household_power_w", READING_MAX_AGE_S)
    stand_in = TYPICAL_HOUSEHOLD_W if now_w is None else max(now_w, 0.0)
    how = "a typical home's" if now_w is None else "its present"
    load = setting.horizon.series(
        "load_w",
        dwelling.id,
        f"load of {dwelling.id}",
        stand_in,
        f"{how} {stand_in:.0f} W stands in",
    )
    water = setting.horizon.series(
        "hot_water_w",
        dwelling.id,
        f"hot water of {dwelling.id}",
        TYPICAL_HOT_WATER_W,
        f"a typical {TYPICAL_HOT_WATER_W:.0f} W stands in",
    )
    water = np.maximum(water, 0.0)
    return np.maximum(load, 0.0) + water, water


def _free_heat_w(dwelling: Dwelling, estimate: ThermalEstimate, setting: _Setting) -> FloatArray:
    """Return people's, appliances' and the sun's heat [W]: the forecast holds all three."""
    horizon = setting.horizon
    if horizon.find("free_heat_w", dwelling.id) is not None:
        name = f"free heat of {dwelling.id}"
        return horizon.series("free_heat_w", dwelling.id, name, estimate.free_heat_w, "")
    return np.asarray(estimate.free_heat_w + estimate.solar_aperture_m2 * setting.irradiance_w_m2)


def _pump(
    dwelling: Dwelling, water_w: FloatArray, setting: _Setting
) -> tuple[FloatArray, FloatArray]:
    """Return efficiency [-] and the greatest heat for rooms [W] in each step.

    Hot water takes the one compressor for as long as its power takes at full output.
    """
    pump = dwelling.heat_pump
    efficiency = cop(pump, setting.outdoor_c, flow_temperature_c(pump, setting.outdoor_c))
    capacity = heat_capacity_w(pump, setting.outdoor_c)
    busy = np.clip(water_w * efficiency / np.maximum(capacity, 1.0), 0.0, HOT_WATER_SHARE_MAX)
    return efficiency, np.asarray(capacity * (1.0 - busy), dtype=np.float64)


def _wanted(
    dwelling: Dwelling, wish: Wish | None, setting: _Setting
) -> tuple[FloatArray, FloatArray, FloatArray]:
    """Return floor, comfort and ceiling of each step [°C]."""
    horizon = setting.horizon
    edges = [*horizon.instants, horizon.start + timedelta(seconds=horizon.steps * horizon.step_s)]
    wanted = [wanted_at(dwelling, edge, setting.zone, setting.rules, wish) for edge in edges]
    floor = np.array([each.floor_c for each in wanted])
    comfort = np.array([each.comfort_c for each in wanted])
    ceiling = np.array([each.ceiling_c for each in wanted])
    return (
        np.minimum(floor[:-1], floor[1:]),
        np.maximum(comfort[:-1], comfort[1:]),
        np.maximum(ceiling[:-1], ceiling[1:]),
    )


def _home(
    dwelling: Dwelling,
    room_c: float,
    estimate: ThermalEstimate,
    base: tuple[FloatArray, FloatArray],
    price: FloatArray,
    wish: Wish | None,
    setting: _Setting,
    *,
    alone: bool,
) -> HomeProblem:
    """Return a home's part; ``alone``: it pays its own supplier and no event is near."""
    loss = max(estimate.loss_w_per_k, 1.0)
    capacity = max(estimate.capacity_j_per_k, 1e5)
    free_heat = _free_heat_w(dwelling, estimate, setting)
    efficiency, heat_max = _pump(dwelling, base[1], setting)
    floor, comfort, ceiling = _wanted(dwelling, wish, setting)
    if alone:
        ceiling = without_gain_ahead(price, comfort, ceiling, setting.horizon.step_s)
    room = Room.of(loss, capacity, setting.horizon.step_s, setting.outdoor_c + free_heat / loss)
    if dwelling.heat_pump.actuator is Actuator.SG_READY:
        floor = thermostat_path(room, room_c, comfort, heat_max)
    else:
        margin = floor_margin_k(
            floor,
            setting.outdoor_c,
            -setting.cold_spread_factor * setting.horizon.spread("outdoor_c", None, COLD),
            loss_w_per_k=estimate.loss_w_per_k,
            loss_sd=estimate.loss_sd,
            capacity_j_per_k=capacity,
            age_s=setting.rules.plan_max_age_s,
        )
        floor = np.minimum(floor + margin, np.maximum(comfort, floor))
    return HomeProblem(
        dwelling_id=dwelling.id,
        room_c=room_c,
        loss_w_per_k=loss,
        capacity_j_per_k=capacity,
        outdoor_c=setting.outdoor_c,
        free_heat_w=free_heat,
        floor_c=floor,
        comfort_c=comfort,
        ceiling_c=coasting_ceiling(room, room_c, ceiling),
        heat_max_w=heat_max,
        cop=efficiency,
        base_w=base[0],
        price_gbp_per_kwh=price,
        terminal_gbp_per_kwh=_heat_value(price, efficiency, loss, capacity),
        hot_water_w=base[1],
    )


def _left_alone(home: HomeProblem, step_s: int) -> HomeProblem:
    """Return a home that no event makes rest: its resident's wish is its floor."""
    loss, capacity = home.loss_w_per_k, home.capacity_j_per_k
    room = Room.of(loss, capacity, step_s, home.outdoor_c + home.free_heat_w / loss)
    path = thermostat_path(room, home.room_c, home.comfort_c, home.heat_max_w)
    return replace(home, floor_c=path)


def _heat_value(
    price: FloatArray, efficiency: FloatArray, loss_w_per_k: float, capacity_j_per_k: float
) -> float:
    """Return the value of a kWh of heat left in the room [£/kWh].

    ``median(price / COP) * exp(-6 h * U / C)``: what making it would cost on a typical step,
    less what leaks away until it is used.
    """
    kept = math.exp(-USEFUL_AFTER_S * loss_w_per_k / capacity_j_per_k)
    return max(float(np.median(price / efficiency)) * kept, 0.0)


def _battery(
    battery: Battery | None, snapshot: Snapshot, price: FloatArray, lacked: list[str]
) -> BatteryProblem | None:
    """Return the battery now; none where its charge is unknown.

    A kWh left is worth ``efficiency * (median(price) - wear)``: what it would replace on a
    typical step.
    """
    if battery is None:
        return None
    soc_pct = snapshot.good(battery.device_id, "soc_pct", BATTERY_MAX_AGE_S)
    if soc_pct is None:
        lacked.append(f"{battery.device_id}: no fresh state of charge; planned without a battery")
        return None
    efficiency = battery.one_way_efficiency
    value = efficiency * (float(np.median(price)) - battery.wear_gbp_per_kwh)
    return BatteryProblem(
        energy_wh=battery.capacity_wh * soc_pct / 100.0,
        min_wh=battery.capacity_wh * battery.min_soc,
        max_wh=battery.capacity_wh * battery.max_soc,
        max_charge_w=battery.max_charge_w,
        max_discharge_w=battery.max_discharge_w,
        one_way_efficiency=efficiency,
        wear_gbp_per_kwh=battery.wear_gbp_per_kwh,
        terminal_gbp_per_kwh=max(value, 0.0),
    )


def _expected_power_w(
    dwelling: Dwelling, estimate: ThermalEstimate | None, setting: _Setting
) -> FloatArray:
    """Return what an unplanned home's heating will draw [W], shape (steps,)."""
    pump = dwelling.heat_pump
    if estimate is None:
        rated_w = pump.rated_heat_w / pump.rated_cop
        now_w = setting.snapshot.good(pump.power_device_id, "power_w", READING_MAX_AGE_S)
        expected = UNKNOWN_RUN_SHARE * rated_w if now_w is None else max(now_w, 0.0)
        return np.full(setting.horizon.steps, expected)
    _, comfort, _ = _wanted(dwelling, None, setting)
    efficiency, heat_max = _pump(dwelling, np.zeros(setting.horizon.steps), setting)
    needed = estimate.loss_w_per_k * (comfort - setting.outdoor_c)
    heat = np.clip(needed - _free_heat_w(dwelling, estimate, setting), 0.0, heat_max)
    return np.asarray(heat / efficiency, dtype=np.float64)
