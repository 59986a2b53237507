"""From a step of the plan to the setpoint under which a thermostat follows it."""

from __future__ import annotations

import math

from controllers.comfort import Wanted
from controllers.intent import Intent, down, up
from ems.domain.estate import Dwelling
from ems.domain.plans import HomePlan
from ems.domain.reasons import Course
from ems.domain.setpoints import Setpoint

BAND_K = 0.25
"""Half of a usual room thermostat's band [K]: it starts so far below its setpoint."""
IDLE_SHARE = 0.05
"""Planned heat below this share of the nameplate's is none."""
COARSE_STEP_K = 0.5
"""A setpoint in coarser steps than this [K] is alternated between two of them."""
FINE_K = 0.05
SWING_K = 0.3
"""So far above what is asked the lower of the two is written [K]: together with the few
hundredths that a room goes on, less than the half kelvin that the device's own thermostat lets
it swing upwards."""
COASTS_K = 0.3
"""A device of coarse steps heats again when coasting took the room so far below [K]."""
SHORT_K = 0.4
"""An SG Ready home this far below its schedule is encouraged [K], until it is half as far."""
RISES_K = 0.1
"""An SG Ready home is encouraged for a planned rise so far above its schedule [K]."""
SG_NORMAL, SG_ENCOURAGED = 2.0, 3.0


def course_at(plan: HomePlan, step: int) -> Course:
    """Return the course of a step; as asked where the plan does not say."""
    return plan.course[step] if plan.course else Course.AS_ASKED


def value_of(
    plan: HomePlan,
    step: int,
    dwelling: Dwelling,
    wanted: Wanted,
    frame: Intent,
    *,
    room_c: float,
    own_c: float | None,
    last: Setpoint | None,
    rests: bool,
) -> float:
    """Return what a heat pump is told so that its home follows a step of the plan.

    Parameters
    ----------
    plan, step
        The home's plan.
    dwelling, wanted, frame
        The home, what its resident asked for, and how its heat pump is written.
    room_c, own_c
        The room, and the room as the heat pump's own thermostat sees it [°C].
    last
        What it was told before.
    rests
        Whether an event makes the home rest now.
    """
    heating = float(plan.heat_w[step]) > IDLE_SHARE * dwelling.heat_pump.rated_heat_w
    course = course_at(plan, step)
    ahead = heating and course is Course.AHEAD and not rests
    if frame.point_id.point == "sg_mode":
        rises = float(plan.room_c[step]) > wanted.comfort_c + RISES_K
        behind = lags(room_c, wanted, course, last)
        return SG_ENCOURAGED if (ahead and rises) or behind else SG_NORMAL
    value = room_setpoint(plan, step, heating, ahead, wanted, frame, dwelling)
    if ahead or rests:
        return value
    return whole_degrees(
        value,
        room_c if own_c is None else own_c,
        wanted,
        frame,
        ends_c=ends_as_asked(plan, step, heating, wanted),
        last=last,
    )


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
    elif course_at(plan, step) is Course.AS_ASKED:
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


def lags(room_c: float, wanted: Wanted, course: Course, last: Setpoint | None) -> bool:
    """Return whether an SG Ready home needs help to reach what its resident asked for."""
    if course is not Course.AS_ASKED:
        return False
    helped = last is not None and last.value == SG_ENCOURAGED
    return room_c < wanted.comfort_c - (SHORT_K / 2 if helped else SHORT_K)


def whole_degrees(
    value: float,
    own_c: float,
    wanted: Wanted,
    frame: Intent,
    *,
    ends_c: float | None,
    last: Setpoint | None,
) -> float:
    """Return a setpoint under which a device of coarse steps keeps what is asked.

    Where what is asked lies between two steps of more than half a degree, the one above holds
    until the room is a little warmer than asked, then the one below until it is hardly warmer;
    in between it stays as it was, so that each turn of the room takes one write. So the room
    swings as high as under the device's own thermostat and no lower. Where the plan lets the
    room coast, the step below could let it coast too far: not past `COASTS_K`. Never below
    the floor.

    Parameters
    ----------
    value
        The setpoint as the plan has it, rounded to the device's steps [°C].
    own_c
        The room as the device's own thermostat sees it, where that is known [°C].
    wanted, frame
        What the resident asked for; how the device is written.
    ends_c
        The room at the end of the step where the plan heats to what is asked, the rise
        before a warmer time included [°C]; ``None`` where it lets the room coast.
    last
        What the device was told before.
    """
    rule = frame.rule
    asked_c = max(wanted.comfort_c, wanted.floor_c + BAND_K)
    held_c = asked_c if ends_c is None else max(asked_c, ends_c)
    highest = max(down(wanted.ceiling_c, rule), up(wanted.comfort_c, rule))
    lower, upper = down(held_c, rule), min(up(held_c, rule), highest)
    if rule.step <= COARSE_STEP_K or upper - held_c < FINE_K or lower < wanted.floor_c:
        return value
    if ends_c is None:
        return max(value, upper) if own_c <= held_c - COASTS_K else value
    if own_c >= held_c + SWING_K:
        return lower
    if own_c <= held_c + FINE_K or last is None or last.value != lower:
        return upper
    return lower


def ends_as_asked(plan: HomePlan, step: int, heating: bool, wanted: Wanted) -> float | None:
    """Return where a step leads that heats as asked [°C]; ``None`` where the room coasts."""
    if course_at(plan, step) is not Course.AS_ASKED:
        return None
    return float(plan.room_c[step]) if heating else wanted.comfort_c


def steady(dwelling: Dwelling, wanted: Wanted, frame: Intent) -> float:
    """Return the setpoint [°C] of the schedule, high enough for a thermostat to hold the floor."""
    asked_c = wanted.comfort_c
    if wanted.floor_c >= dwelling.floor_c:
        asked_c = max(asked_c, wanted.floor_c + BAND_K)
    return up(asked_c, frame.rule)


def _top_of_rise(plan: HomePlan, step: int, dwelling: Dwelling) -> float:
    idle_w = IDLE_SHARE * dwelling.heat_pump.rated_heat_w
    top_c = -math.inf
    for later in range(step, len(plan.heat_w)):
        if float(plan.heat_w[later]) <= idle_w or course_at(plan, later) is not Course.AHEAD:
            break
        top_c = max(top_c, float(plan.room_c[later]))
    return top_c
