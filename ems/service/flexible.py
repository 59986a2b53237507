"""What a block could do for an event, read from its plan, its forecasts and its homes."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta

import numpy as np

from ems.domain.errors import RetryableError
from ems.domain.estate import Actuator, Battery, Block, Dwelling, Estate, Supply
from ems.domain.events import FlexEvent, Undisturbed
from ems.domain.forecasts import FloatArray, Forecast
from ems.domain.plans import HomePlan, Schedule
from ems.domain.ports import Store
from ems.domain.time import HALF_HOUR, HALF_HOUR_S, floor_to, steps
from ems.flex.availability import BatteryFlex, BlockFlex, HomeFlex
from ems.flex.beside import Other, beside
from ems.flex.doubt import Doubt
from ems.service.foresight import doubt_of
from ems.service.health import ONLINE_PERIODS

DROP_K = 1.0
"""An event may bring a room this far below its resident's schedule, never below the floor [K]."""
MARGIN_K = 0.2
"""Kept from either end of a room's range [K]."""
UNKNOWN_SPREAD = (0.8, 1.2)
"""Share of planned heating on a warmer and a colder day where no forecast can tell."""
TYPICAL_COP = 3.0


Away = Callable[[datetime, str], Mapping[str, str]]
"""Tells which homes do not take part, and why, at an instant; the event's id where there is one."""


def nobody(now: datetime, event_id: str) -> Mapping[str, str]:
    """Return no homes: what holds where nothing keeps opt-outs or holds."""
    del now, event_id
    return {}


class NoPlanError(RetryableError):
    """There is no fresh plan, so nothing can be promised now."""


@dataclass(frozen=True, slots=True)
class Flexibility:
    """What a block could do, and why some homes are not in it.

    Attributes
    ----------
    flex
        The participants' plan and bounds.
    issued_at
        When the plan was made: events up to then are in it.
    left_out
        Home → why it cannot take part.
    doubt
        How far the block's use may be from its plan.
    water_w
        Hot water of the participants as forecast [W], a part of their base load.
    absent_w
        Home that is offline → its expected import [W], shape (slots,): nothing is promised of
        it, and it takes part if it is back at the start.
    """

    flex: BlockFlex
    issued_at: datetime
    left_out: Mapping[str, str]
    doubt: Doubt
    water_w: FloatArray
    absent_w: Mapping[str, FloatArray]


def offline(estate: Estate, store: Store, block: Block, now: datetime) -> dict[str, str]:
    """Return the homes whose meter or heat pump does not answer, with the reason."""
    devices = {
        home.id: (home.meter.device_id, home.heat_pump.device_id) for home in block.dwellings
    }
    seen = store.last_good([device for pair in devices.values() for device in pair])
    oldest = now - timedelta(seconds=ONLINE_PERIODS * estate.control.poll_normal_s)
    return {
        home: "offline"
        for home, pair in devices.items()
        if any(device not in seen or seen[device] < oldest for device in pair)
    }


def battery_online(estate: Estate, store: Store, block: Block, now: datetime) -> bool:
    """Tell whether the block has a battery that answers."""
    if block.battery is None:
        return False
    seen = store.last_good([block.battery.device_id]).get(block.battery.device_id)
    oldest = now - timedelta(seconds=ONLINE_PERIODS * estate.control.poll_normal_s)
    return seen is not None and seen >= oldest


def fresh_plan(estate: Estate, store: Store, block: Block, now: datetime) -> Schedule:
    """Return a block's plan, or raise `NoPlanError` where there is none that is fresh."""
    plan = store.latest_schedule(block.id)
    max_age = timedelta(seconds=estate.control.plan_max_age_s)
    if plan is None or now - plan.issued_at > max_age:
        raise NoPlanError(
            "the block has no fresh plan, so nothing can be promised",
            field="block",
            value=block.id,
            remedy="Try again in half an hour; if it stays so, the operator must look.",
        )
    return plan


def flexibility(
    estate: Estate,
    store: Store,
    block: Block,
    now: datetime,
    away: Mapping[str, str],
    others: Sequence[FlexEvent] = (),
) -> Flexibility:
    """Return what the block could do without the homes in ``away`` and beside other events.

    Raises
    ------
    NoPlanError
        Without a fresh plan.
    """
    plan = fresh_plan(estate, store, block, now)
    left_out = {home: why for home, why in away.items() if home in _ids(block)}
    silent = {
        home: why
        for home, why in offline(estate, store, block, now).items()
        if home not in left_out
    }
    slots = list(steps(floor_to(plan.start), _half_hours(plan)))
    outdoor = store.latest_forecast("outdoor_c", estate.id, now)
    estimates = store.estimates()
    homes: list[HomeFlex] = []
    absent: dict[str, FloatArray] = {}
    water = np.zeros(len(slots))
    for home in block.dwellings:
        if home.id in left_out:
            continue
        planned = plan.home(home.id)
        load = store.latest_forecast("load_w", home.id, now)
        if load is None or (planned is None and home.id not in silent):
            left_out[home.id] = "not planned"
            continue
        hot_water = store.latest_forecast("hot_water_w", home.id, now)
        mine = at_slots(hot_water, slots) if hot_water else np.zeros(len(slots))
        base = at_slots(load, slots) + mine
        if not np.isfinite(base).all():
            left_out[home.id] = "no forecast"
            continue
        if home.id in silent or planned is None:
            left_out[home.id] = silent[home.id]
            absent[home.id] = base
            continue
        estimate = estimates.get(home.id)
        capacity = (
            estimate.capacity_j_per_k
            if estimate
            else estate.thermal_priors[home.epc_band].capacity_wh_per_k_m2
            * 3600.0
            * home.floor_area_m2
        )
        water = water + mine
        homes.append(_home(estate, home, plan, planned, slots, base, outdoor, capacity))
    heating = sum((home.power_w for home in homes), np.zeros(len(slots)))
    # One that is silent is expected to heat like the mean of the others.
    absent = {name: base + heating / max(len(homes), 1) for name, base in absent.items()}
    battery = (
        _battery(block.battery, plan, slots, _meter_takes_w(store, block, slots, now))
        if block.battery and plan.battery and battery_online(estate, store, block, now)
        else None
    )
    doubt = doubt_of(store, block, estate.control, now)
    margin_down, margin_up = _margins(doubt, homes, battery, len(slots))
    limits = block.limits
    contracted = limits.contracted_import_w or limits.physical_import_w
    flex = BlockFlex(
        block_id=block.id,
        start=slots[0],
        homes=tuple(homes),
        battery=battery,
        import_w=on_slots(plan, plan.import_w, slots),
        import_limit_w=min(contracted, limits.physical_import_w),
        export_limit_w=limits.export_w,
        current=max(round((floor_to(now) - slots[0]) / HALF_HOUR), 0),
        margin_down_w=margin_down,
        margin_up_w=margin_up,
        load_doubt_w=_load_doubt(doubt, homes, water, len(block.dwellings)),
        home_share=1.0 if battery is None else 0.0,
    )
    flex = beside(flex, _others(store, block, others, plan.issued_at), heating + water)
    return Flexibility(flex, plan.issued_at, left_out, doubt, water, absent)


def _others(
    store: Store, block: Block, events: Sequence[FlexEvent], planned_at: datetime
) -> list[Other]:
    found = []
    for event in events:
        if event.request.block_id == block.id and event.battery_takes_part:
            kept = store.kept(Undisturbed, event.id)
            before = None if kept is None else kept.record
            found.append(Other(event, event.received_at <= planned_at, before))
    return found


def _load_doubt(
    doubt: Doubt, homes: Sequence[HomeFlex], water: FloatArray, all_homes: int
) -> FloatArray:
    """Return what heat pumps may draw beyond the plan [W], by half-hour."""
    planned = sum((home.power_w for home in homes), water)
    return np.maximum(doubt.heating_w(planned, len(homes) / max(all_homes, 1))[2] - planned, 0.0)


def _margins(
    doubt: Doubt, homes: Sequence[HomeFlex], battery: BatteryFlex | None, slots: int
) -> tuple[FloatArray, FloatArray]:
    """Return what is kept back from a turn-down and a turn-up in each half-hour [W]."""
    if battery is None:
        # Homes alone: their own doubt stands against the promise.
        return np.full(slots, -doubt.heating.low_w), np.full(slots, doubt.heating.high_w)
    low, high = doubt.battery_w(battery.power_w)
    between = doubt.between_runs_w(len(homes))
    return between - low, between + high


def _ids(block: Block) -> set[str]:
    return {home.id for home in block.dwellings}


def _half_hours(plan: Schedule) -> int:
    return int(float(plan.step_s.sum()) // HALF_HOUR_S)


def on_slots(plan: Schedule, values: FloatArray, slots: list[datetime]) -> FloatArray:
    """Return a plan's values at the middle of half-hours; ``nan`` outside the plan."""
    indices = [plan.index_at(slot + HALF_HOUR / 2) for slot in slots]
    return np.array([np.nan if index is None else float(values[index]) for index in indices])


def at_slots(
    forecast: Forecast, slots: list[datetime], values: FloatArray | None = None
) -> FloatArray:
    """Return a forecast's mean (or ``values``) at half-hours; ``nan`` outside it."""
    wanted = forecast.mean if values is None else values
    out = np.full(len(slots), np.nan)
    for row, slot in enumerate(slots):
        index = int((slot - forecast.start).total_seconds() // forecast.step_s)
        if 0 <= index < len(wanted):
            out[row] = wanted[index]
    if len(slots) > 1 and np.isnan(out[0]) and np.isfinite(out[1]):
        out[0] = out[1]  # a forecast that begins with the next half-hour
    return out


def _home(
    estate: Estate,
    home: Dwelling,
    plan: Schedule,
    planned: HomePlan,
    slots: list[datetime],
    base: FloatArray,
    outdoor: Forecast | None,
    capacity_j_per_k: float,
) -> HomeFlex:
    power = on_slots(plan, planned.power_w, slots)
    heat = on_slots(plan, planned.heat_w, slots)
    room = on_slots(plan, planned.room_c, slots)
    running = power > 50.0
    usual = float(np.median(heat[running] / power[running])) if running.any() else TYPICAL_COP
    cop = np.maximum(np.where(running, heat / np.where(running, power, 1.0), usual), 1.0)
    asked = np.array([home.comfort.temperature_at(slot, estate.zone) for slot in slots])
    low = np.maximum(home.floor_c, asked - DROP_K) + MARGIN_K
    high = asked + min(home.comfort.ceiling_k, estate.control.preheat_max_k) - MARGIN_K
    warmer, colder = _spread(room, outdoor, slots)
    per_k = capacity_j_per_k / 3600.0 / cop
    return HomeFlex(
        dwelling_id=home.id,
        base_w=base,
        power_w=power,
        low_power_w=power * warmer,
        high_power_w=power * colder,
        max_power_w=home.heat_pump.rated_heat_w / cop,
        spare_wh=np.maximum(room - low, 0.0) * per_k,
        room_wh=np.maximum(high - room, 0.0) * per_k,
        can_turn_down=home.heat_pump.actuator is Actuator.ROOM_SETPOINT,
    )


def _spread(
    room: FloatArray, outdoor: Forecast | None, slots: list[datetime]
) -> tuple[FloatArray, FloatArray]:
    """Return heating on a warmer (90 %) and a colder (10 %) day as shares of the plan's."""
    ones = np.ones(len(slots))
    if outdoor is None or not outdoor.quantiles:
        return ones * UNKNOWN_SPREAD[0], ones * UNKNOWN_SPREAD[1]
    levels = sorted(outdoor.quantiles)
    mean = at_slots(outdoor, slots)
    warm = at_slots(outdoor, slots, outdoor.quantiles[levels[-1]])
    cold = at_slots(outdoor, slots, outdoor.quantiles[levels[0]])
    span = np.maximum(room - mean, 1.0)
    warmer = np.nan_to_num((room - warm) / span, nan=UNKNOWN_SPREAD[0])
    colder = np.nan_to_num((room - cold) / span, nan=UNKNOWN_SPREAD[1])
    return np.clip(warmer, 0.0, 1.0), np.clip(colder, 1.0, 2.0)


def _meter_takes_w(
    store: Store, block: Block, slots: list[datetime], now: datetime
) -> FloatArray | None:
    """Return the load that the battery's own meter takes [W]; ``None`` behind a pooled one."""
    if block.supply is Supply.BOUNDARY:
        return None
    found = [store.latest_forecast(name, block.id, now) for name in ("communal_w", "pv_w")]
    load, sun = (np.zeros(len(slots)) if one is None else at_slots(one, slots) for one in found)
    return np.nan_to_num(np.maximum(load - sun, 0.0))


def _battery(
    battery: Battery, plan: Schedule, slots: list[datetime], takes_w: FloatArray | None
) -> BatteryFlex:
    assert plan.battery is not None  # noqa: S101 - asked by the caller; for the type checker
    power = on_slots(plan, plan.battery.power_w, slots)
    energy = on_slots(plan, plan.battery.energy_wh, slots)
    if takes_w is not None:
        # Dispatch lets it give no more than that: what it keeps stays in it.
        given = np.maximum(power, -takes_w)
        kept_wh = np.cumsum(given - power) / battery.one_way_efficiency * HALF_HOUR_S / 3600.0
        energy = np.minimum(energy + kept_wh, battery.max_soc * battery.capacity_wh)
        power = given
    return BatteryFlex(
        power_w=power,
        energy_wh=energy,
        min_wh=battery.min_soc * battery.capacity_wh,
        max_wh=battery.max_soc * battery.capacity_wh,
        max_charge_w=battery.max_charge_w,
        max_discharge_w=battery.max_discharge_w,
        one_way_efficiency=battery.one_way_efficiency,
    )
