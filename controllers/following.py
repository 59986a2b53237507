"""From a step of the plan to the setpoint under which a thermostat follows it."""

from __future__ import annotations

import math

from controllers.comfort import Wanted
from controllers.intent import Intent, down, up
from ems.domain.estate import Dwelling
from ems.domain.plans import HomePlan
from ems.domain.setpoints import Cause, Setpoint

BAND_K = 0.25
"""Half of a usual room thermostat's band [K]: it starts so far below its setpoint."""
IDLE_SHARE = 0.05
"""Planned heat below this share of the nameplate's is none."""
COARSE_STEP_K = 0.5
"""A setpoint in coarser steps than this [K] is alternated between two of them."""
FINE_K = 0.05
SWING_K = 0.25
"""So far above what is asked the lower of the two is written [K]; the upper one as soon as the
room is `FINE_K` below, for a heat pump takes its time."""
COASTS_K = 0.3
"""A device of coarse steps heats again when coasting took the room so far below [K]."""
SHORT_K = 0.4
"""An SG Ready home this far below its schedule is encouraged [K], until it is half as far."""
AHEAD = frozenset({Cause.CHEAP_NOW, Cause.SOLAR, Cause.IMPORT_LIMIT})
AS_ASKED = frozenset({Cause.SCHEDULE, Cause.HOLD})
SG_NORMAL, SG_ENCOURAGED = 2.0, 3.0


def room_setpoint(
    plan: HomePlan,
    step: int,
    heating: bool,
    ahead: bool,
    wanted: Wanted,
    frame: Intent,
    dwelling: Dwelling,
) -> float:
    """Return the room setpoint [°C] under which a thermostat follows the planned room.

    As asked: the schedule, which the pump's own thermostat keeps best by itself. Heating
    ahead: the end of the planned rise at once, for a thermostat does not start for a tenth of
    a kelvin. Coasting on purpose: the schedule, or what the room is to coast down to where that
    is lower; not the end of this step, for a room that cools faster than planned would start
    the pump that is to be off. It depends on the plan alone, so it stays the same within a step
    and spares the device's memory.
    """
    ends_c = float(plan.room_c[step])
    if ahead:
        value = up(_top_of_rise(plan, step, dwelling) + BAND_K, frame.rule)
    elif plan.cause[step] in AS_ASKED:
        value = steady(dwelling, wanted, frame)
        if heating:
            value = max(value, up(ends_c, frame.rule))
    elif heating:
        value = up(ends_c, frame.rule)
    else:
        value = down(min(ends_c, wanted.comfort_c), frame.rule)
    highest = max(down(wanted.ceiling_c, frame.rule), up(wanted.comfort_c, frame.rule))
    lowest = up(wanted.floor_c, frame.rule)
    return max(min(value, highest), lowest)


def lags(room_c: float, wanted: Wanted, cause: Cause, last: Setpoint | None) -> bool:
    """Return whether an SG Ready home needs help to reach what its resident asked for."""
    if cause not in AS_ASKED:
        return False
    helped = last is not None and last.value == SG_ENCOURAGED
    return room_c < wanted.comfort_c - (SHORT_K / 2 if helped else SHORT_K)


def whole_degrees(
    value: float,
    room_c: float,
    wanted: Wanted,
    frame: Intent,
    *,
    as_asked: bool,
    last: Setpoint | None,
) -> float:
    """Return a setpoint under which a device of coarse steps keeps the mean that is asked.

    Where the schedule lies between two steps of more than half a degree, the one above holds
    until the room is a little warmer than asked, then the one below until it is just colder;
    in between it stays as it was, so that each turn of the room takes one write. Where the
    plan lets the room coast, the step below could let it coast too far: not past `COASTS_K`.
    Never below the floor.
    """
    rule = frame.rule
    asked_c = max(wanted.comfort_c, wanted.floor_c + BAND_K)
    lower, upper = down(asked_c, rule), up(asked_c, rule)
    if rule.step <= COARSE_STEP_K or upper - asked_c < FINE_K or lower < wanted.floor_c:
        return value
    if not as_asked:
        return max(value, upper) if room_c <= asked_c - COASTS_K else value
    if room_c >= asked_c + SWING_K:
        return lower
    if room_c <= asked_c - FINE_K or last is None or last.value != lower:
        return max(value, upper)
    return lower


def steady(dwelling: Dwelling, wanted: Wanted, frame: Intent) -> float:
    """Return the setpoint [°C] of the schedule, high enough for a thermostat to hold the floor."""
    asked_c = wanted.comfort_c
    if wanted.floor_c >= dwelling.floor_c:
        asked_c = max(asked_c, wanted.floor_c + BAND_K)
    return up(asked_c, frame.rule)


def _top_of_rise(plan: HomePlan, step: int, dwelling: Dwelling) -> float:
    idle_w = IDLE_SHARE * dwelling.heat_pump.rated_heat_w
    top_c = -math.inf
    for later in range(step, len(plan.cause)):
        if float(plan.heat_w[later]) <= idle_w or plan.cause[later] not in AHEAD | {Cause.EVENT}:
            break
        top_c = max(top_c, float(plan.room_c[later]))
    return top_c
