"""Every minute: plan and snapshot → setpoints, with reasons.

The order is that of precedence, the last word first: bounds of the device, the block's
physical rating (:mod:`controllers.safety`), the resident's wish, the comfort floor, the
plan, and where there is no fresh plan the resident's schedule. Nothing is remembered
between calls but the setpoints of the last one.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from zoneinfo import ZoneInfo

from controllers.battery import battery_intent, battery_now_w
from controllers.comfort import (
    DIAL_SAME_K,
    Wanted,
    dial_c,
    lowest_c,
    release_c,
    spread_s,
    wanted_at,
    wish_in_force,
    with_dials,
)
from controllers.events import FLOOR_MARGIN_K
from controllers.following import BAND_K, SG_ENCOURAGED, SG_NORMAL, steady, value_of
from controllers.helping import COMING_BACK, Helping, helping
from controllers.intent import Intent, up, waits, write_rule
from controllers.reasons import degrees
from controllers.safety import Home, within_bounds, within_limits
from ems.domain.estate import Actuator, Block, Device, Dwelling
from ems.domain.events import FlexEvent, Undisturbed
from ems.domain.plans import Schedule
from ems.domain.points import PointId
from ems.domain.readings import Quality, Snapshot
from ems.domain.rules import ControlRules
from ems.domain.setpoints import Cause, Setpoint
from ems.domain.thermal import ThermalEstimate
from ems.domain.wishes import FROST_LIMIT_C, Wish, WishKind

ROOM_MAX_AGE_S = 900.0
"""A room reading older than this [s] steers nothing."""
METER_MAX_AGE_S = 180.0
NEAR_FLOOR_K = 0.2
"""Heat at once when the room is this near its floor [K], plus what it loses in the time
that a heat pump takes to warm it."""
START_LAG_S = 900.0
LOST_MAX_K = 0.3
HOLD_K = 0.5
"""Near the floor a room setpoint is held so far above it [K]: a thermostat lets the room go
a quarter of a kelvin below its setpoint."""
CLEAR_K = 0.6
"""The plan has its way again when the room is so far above that setpoint [K], which its own
thermostat does not reach: so nothing is written back and forth and nothing cycles."""
SG_CLEAR_K = 1.0
"""For SG Ready, which has no setpoint: so far above the floor [K]."""
AT_FLOOR_K = 0.1
"""So near the floor [K] a heat pump should have started by itself: its sensor may read warmer
than ours, and is asked for more."""
COLD_OUTDOOR_C = -2.0
"""Stands in where no outdoor temperature is known, on the careful side [°C]."""


@dataclass(frozen=True, slots=True)
class _Now:
    """What one dispatch of a block works on."""

    now: datetime
    zone: ZoneInfo
    rules: ControlRules
    devices: Mapping[str, Device]
    snapshot: Snapshot
    schedule: Schedule | None
    step: int | None
    estimates: Mapping[str, ThermalEstimate]
    previous: Mapping[PointId, Setpoint]
    wishes: Mapping[str, Wish]
    helping: Helping


def dispatch(
    block: Block,
    schedule: Schedule | None,
    snapshot: Snapshot,
    now: datetime,
    *,
    zone: ZoneInfo,
    rules: ControlRules,
    devices: Mapping[str, Device],
    estimates: Mapping[str, ThermalEstimate],
    previous: Mapping[PointId, Setpoint],
    wishes: Mapping[str, Wish] | None = None,
    events: Sequence[FlexEvent] = (),
    before: Mapping[str, Undisturbed] | None = None,
    apart: Mapping[str, Collection[str]] | None = None,
) -> list[Setpoint]:
    """Return what each heat pump and the battery of a block is to be told now.

    Parameters
    ----------
    block
        The block.
    schedule
        Its last plan; one older than ``rules.plan_max_age_s`` counts as none.
    snapshot
        Latest readings.
    now
        Estate time, UTC.
    zone
        The estate's time zone.
    rules
        Periods and margins of control.
    devices
        Devices by id, for how they may be written.
    estimates
        Thermal estimates by home: how fast a room nears its floor.
    previous
        The last setpoint of each point, for hysteresis; empty after a cold start.
    wishes
        Residents' wishes by home; what they set at heat pumps' own dials is added here.
    events
        Events of this block that are accepted, running or recovering.
    before
        What was expected without each event.
    apart
        By event, homes that it must not touch.

    Returns
    -------
    list of Setpoint
        One per home and one for the battery, every time, changed or not: each renews the
        command's life. They expire after ``rules.command_life_s`` plus a fixed share of
        ``rules.command_spread_s`` that differs by home.

    Raises
    ------
    InvalidInputError
        Where a device's profile cannot write what its configuration says it can.
    """
    fresh = schedule if schedule is not None and _is_fresh(schedule, now, rules) else None
    held = with_dials(block, snapshot, zone, wishes or {})
    state = _Now(
        now=now,
        zone=zone,
        rules=rules,
        devices=devices,
        snapshot=snapshot,
        schedule=fresh,
        step=None if fresh is None else fresh.index_at(now),
        estimates=estimates,
        previous=previous,
        wishes=held,
        helping=helping(
            block,
            events,
            snapshot,
            now,
            rules=rules,
            wishes=held,
            before=before or {},
            apart=apart or {},
        ),
    )
    measured_w = snapshot.good(block.block_meter.device_id, "power_w", METER_MAX_AGE_S)
    homes = [_home(dwelling, state) for dwelling in block.dwellings]
    now_w = 0.0 if block.battery is None else battery_now_w(block.battery, snapshot, previous)
    battery = battery_intent(
        block,
        state.schedule,
        state.step,
        snapshot,
        devices,
        measured_w=measured_w,
        now_w=now_w,
        event=state.helping.battery,
    )
    relief_w = 0.0 if battery is None else now_w - battery.value
    homes = state.helping.rest_more(homes, previous)
    told = within_limits(
        homes,
        rating_w=block.limits.physical_import_w,
        cap_w=state.helping.recovery_cap_w,
        measured_w=measured_w,
        relief_w=relief_w,
        why_capped=COMING_BACK,
    )
    result = [_setpoint(told[home.dwelling_id], home.dwelling_id, state) for home in homes]
    if battery is not None:
        result.append(_setpoint(battery, battery.point_id.device_id, state))
    return result


def _is_fresh(schedule: Schedule, now: datetime, rules: ControlRules) -> bool:
    age_s = (now - schedule.issued_at).total_seconds()
    return 0 <= age_s <= rules.plan_max_age_s and schedule.index_at(now) is not None


def _setpoint(intent: Intent, identity: str, state: _Now) -> Setpoint:
    bounded = within_bounds(intent)
    life_s = state.rules.command_life_s + spread_s(identity, state.rules.command_spread_s)
    stamp = state.now.strftime("%Y%m%dT%H%M%S.%fZ")
    return Setpoint(
        id=f"{stamp}-{bounded.point_id.device_id}",
        point_id=bounded.point_id,
        value=bounded.value,
        issued_at=state.now,
        expires_at=state.now + timedelta(seconds=life_s),
        cause=bounded.cause,
        sentence=bounded.sentence,
        release_value=bounded.release_value,
        plan_id=bounded.plan_id,
        also=bounded.also,
    )


def _home(dwelling: Dwelling, state: _Now) -> Home:
    """Return what a home is to be told by wish, floor, plan or schedule."""
    pump = dwelling.heat_pump
    room_c = state.snapshot.good(dwelling.room_sensor_id, "temperature_c", ROOM_MAX_AGE_S)
    wish = wish_in_force(state.wishes.get(dwelling.id), state.now)
    wanted = wanted_at(dwelling, state.now, state.zone, state.rules, wish)
    by_room = pump.actuator is Actuator.ROOM_SETPOINT
    point_id = PointId(pump.device_id, "room_setpoint_c" if by_room else "sg_mode")
    last = state.previous.get(point_id)
    frame = _frame(dwelling, wanted, point_id, state)
    if wish is not None:
        intent = _wished(frame, wish, wanted, dwelling, room_c, state)
    else:
        intent = _planned(dwelling, frame, room_c, wanted, state, by_room)
        intent = state.helping.held_until_its_turn(dwelling.id, intent, room_c)
        if room_c is not None:
            intent = _above_floor(dwelling, room_c, wanted, intent, last, state)
    return Home(
        dwelling_id=dwelling.id,
        intent=intent,
        room_c=room_c,
        margin_k=None if room_c is None else room_c - wanted.floor_c,
        floor_c=wanted.floor_c,
        power_w=state.snapshot.good(pump.power_device_id, "power_w", METER_MAX_AGE_S),
        rated_w=pump.rated_heat_w / pump.rated_cop,
        waiting=waits(last),
    )


def _frame(dwelling: Dwelling, wanted: Wanted, point_id: PointId, state: _Now) -> Intent:
    """Return an intent without a decision: where it goes, how it is released and waits."""
    rule = write_rule(state.devices[point_id.device_id], point_id.point)
    if point_id.point == "sg_mode":
        return Intent(point_id, rule, SG_NORMAL, Cause.HOLD, "", SG_NORMAL, SG_NORMAL)
    # A wish may go under the floor only as long as it is held: to wait is no part of it.
    floor = up(min(wanted.floor_c, lowest_c(dwelling)), rule)
    return Intent(point_id, rule, floor, Cause.HOLD, "", up(release_c(dwelling), rule), floor)


def _wished(
    frame: Intent,
    wish: Wish,
    wanted: Wanted,
    dwelling: Dwelling,
    room_c: float | None,
    state: _Now,
) -> Intent:
    """Return what the resident chose: no plan, event, price or floor has a say in it."""
    asked = degrees(wanted.comfort_c)
    if wish.kind is WishKind.OPT_OUT:
        sentence = "You took your home out of planning: the heating keeps to your schedule."
    elif wish.kind is WishKind.AWAY:
        sentence = f"You are away: your home is kept at {asked} until you are back."
    elif wish.at_device and wanted.comfort_c <= FROST_LIMIT_C:
        sentence = "The heating was switched off at the heat pump itself."
    elif wish.at_device:
        sentence = f"You chose {asked} at the heat pump itself."
    else:
        sentence = f"You asked for {asked}."
    if dwelling.heat_pump.actuator is Actuator.ROOM_SETPOINT:
        return frame.told(up(wanted.comfort_c, frame.rule), Cause.RESIDENT, sentence)
    if room_c is not None and room_c < FROST_LIMIT_C:
        sentence = f"Heating now: your room is under {degrees(FROST_LIMIT_C)}, where pipes freeze."
        return frame.told(SG_ENCOURAGED, Cause.DEVICE_PROTECTION, sentence)
    shown_c = dial_c(dwelling, state.snapshot)
    if shown_c is None:
        shown_c = dwelling.comfort.temperature_at(state.now, state.zone)
    warmer = wish.kind is WishKind.ROOM and wanted.comfort_c > shown_c + DIAL_SAME_K
    return frame.told(SG_ENCOURAGED if warmer else SG_NORMAL, Cause.RESIDENT, sentence)


def _above_floor(
    dwelling: Dwelling,
    room_c: float,
    wanted: Wanted,
    planned: Intent,
    last: Setpoint | None,
    state: _Now,
) -> Intent:
    """Return what is planned, or more where the room is near its floor, with hysteresis."""
    by_room = planned.point_id.point == "room_setpoint_c"
    floor_c = wanted.floor_c
    held = up(floor_c + HOLD_K, planned.rule) if by_room else SG_ENCOURAGED
    clear_c = held + CLEAR_K if by_room else floor_c + SG_CLEAR_K
    if last is None or last.cause is not Cause.COMFORT_FLOOR:
        clear_c = floor_c + NEAR_FLOOR_K + _lost_k(dwelling, room_c, state)
        if state.helping.rests(dwelling.id):
            clear_c += FLOOR_MARGIN_K
    if room_c >= clear_c:
        return planned
    if by_room:
        held = max(held, _urged(dwelling, room_c, floor_c, planned, last, state))
    if planned.value >= held:
        return planned
    # Said until the room is well above: true from the first minute to the last.
    sentence = f"Your heating keeps your room clear of {degrees(floor_c)}, the least it may be."
    return planned.told(held, Cause.COMFORT_FLOOR, sentence)


def _urged(
    dwelling: Dwelling,
    room_c: float,
    floor_c: float,
    planned: Intent,
    last: Setpoint | None,
    state: _Now,
) -> float:
    """Return the setpoint [°C] that starts a pump which should have started, else the least."""
    own_c = _own_room_c(dwelling, state)
    if own_c is None or room_c >= floor_c + AT_FLOOR_K + BAND_K:
        return planned.rule.low
    highest_c = floor_c + dwelling.comfort.ceiling_k + HOLD_K
    urged = min(up(own_c + 2 * BAND_K, planned.rule), up(highest_c, planned.rule))
    if room_c < floor_c + AT_FLOOR_K:
        return urged
    # Between the two: as it was.
    return last.value if last is not None and last.value >= urged else planned.rule.low


def _own_room_c(dwelling: Dwelling, state: _Now) -> float | None:
    """Return the room as the heat pump's own thermostat sees it [°C], where it says so."""
    pump = dwelling.heat_pump.device_id
    return state.snapshot.good(pump, "room_temperature_c", ROOM_MAX_AGE_S)


def _lost_k(dwelling: Dwelling, room_c: float, state: _Now) -> float:
    """Return how much the room may cool before a heat pump that starts now warms it [K]."""
    estimate = state.estimates.get(dwelling.id)
    if estimate is None:
        return 0.0
    outdoor_c = state.snapshot.good(
        dwelling.heat_pump.device_id, "outdoor_temperature_c", ROOM_MAX_AGE_S
    )
    outside_c = COLD_OUTDOOR_C if outdoor_c is None else outdoor_c
    lost_w = estimate.loss_w_per_k * (room_c - outside_c) - estimate.free_heat_w
    lost_k = lost_w * START_LAG_S / max(estimate.capacity_j_per_k, 1e5)
    return min(max(lost_k, 0.0), LOST_MAX_K)


def _why_no_plan(dwelling: Dwelling, room_c: float | None, state: _Now) -> str:
    if room_c is not None:
        return "There is no fresh plan"
    seen = state.snapshot.readings.get(PointId(dwelling.room_sensor_id, "temperature_c"))
    if seen is not None and seen.quality is Quality.STALE:
        return "Your room sensor stands still"
    return "There is no fresh room reading"


def _planned(
    dwelling: Dwelling,
    frame: Intent,
    room_c: float | None,
    wanted: Wanted,
    state: _Now,
    by_room: bool,
) -> Intent:
    """Return what the plan says, or the resident's schedule where it says nothing."""
    plan = None if state.schedule is None else state.schedule.home(dwelling.id)
    if plan is None or room_c is None or state.step is None or state.schedule is None:
        why = _why_no_plan(dwelling, room_c, state)
        sentence = f"{why}: the heating keeps to your schedule, {degrees(wanted.comfort_c)} now."
        value = steady(dwelling, wanted, frame) if by_room else SG_NORMAL
        return frame.told(value, Cause.NO_PLAN, sentence)
    step = state.step
    value = value_of(
        plan,
        step,
        dwelling,
        wanted,
        frame,
        room_c=room_c,
        own_c=_own_room_c(dwelling, state),
        last=state.previous.get(frame.point_id),
        rests=state.helping.rests(dwelling.id),
    )
    cause, *also = plan.causes(step)
    return frame.told(value, cause, plan.sentence[step], state.schedule.id, tuple(also))
