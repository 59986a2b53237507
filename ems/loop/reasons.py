"""Why a step is what it is, from the plan's own prices and bounds."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from zoneinfo import ZoneInfo

import numpy as np

from ems.domain.forecasts import FloatArray
from ems.domain.setpoints import Cause
from ems.loop.optimum import Heating, Optimum
from ems.loop.outlook import Outlook
from ems.loop.types import Actuator, Comfort, Device

NEAR_K = 0.2
STEP_GBP = 0.02
STEP_SHARE = 0.15
"""A price is dearer than another by two pence and 15 % at least."""
IDLE_SHARE = 0.05
LOWER_K = 4.0
"""A floor that is taken away is so much lower [K]."""
SHARE_STEP = 0.05
"""A step of what is told as a share of the greatest heat [-]; no finer than the device's own."""
FLOW_STEP_K = 1.0
"""The same for a flow temperature [K]."""
ROOM_STEP_K = 0.5
"""And for a room's."""


@dataclass(frozen=True, slots=True, eq=False)
class Case:
    """What a plan is made for, as far as causes can be taken out of it."""

    outlook: Outlook
    heating: Heating
    lower_c: FloatArray
    floor_c: float


def _flat_prices(case: Case) -> Case:
    outlook = case.outlook
    bought, sold = outlook.import_gbp, outlook.export_gbp
    flat = replace(
        outlook,
        import_gbp=np.full_like(bought, float(np.mean(bought))),
        export_gbp=np.full_like(sold, float(np.mean(sold))),
    )
    return replace(case, outlook=flat)


def _no_sun(case: Case) -> Case:
    dark = replace(case.outlook, pv_w=np.zeros_like(case.outlook.pv_w))
    return replace(case, outlook=dark)


def _one_efficiency(case: Case) -> Case:
    cop = case.heating.cop
    mean = np.repeat(cop.mean(axis=1, keepdims=True), cop.shape[1], axis=1)
    return replace(case, heating=replace(case.heating, cop=mean))


def _no_schedule(case: Case) -> Case:
    return replace(case, lower_c=np.minimum(case.lower_c, case.floor_c))


def _no_floor(case: Case) -> Case:
    floor_c = case.floor_c - LOWER_K
    at_floor = case.lower_c <= case.floor_c + NEAR_K
    lower_c = np.where(at_floor, np.minimum(case.lower_c, floor_c), case.lower_c)
    return replace(case, lower_c=lower_c, floor_c=floor_c)


def causes_of(
    case: Case, device: Device, value: float, again: Callable[[Case], float | None]
) -> list[tuple[Cause, bool]]:
    """Return the causes of what is told, each with whether it makes it more.

    Each candidate is taken out and the home planned again; a cause is one without which the
    device would be told something else. The resident's schedule is tried last: every plan
    heats for it.

    Parameters
    ----------
    case, device
        What was planned for, and what can be told.
    value
        What is told.
    again
        Plans another case; returns what would be told.
    """
    least = {
        Actuator.ROOM_SETPOINT: ROOM_STEP_K,
        Actuator.FLOW_SETPOINT: FLOW_STEP_K,
        Actuator.MODULATION: SHARE_STEP,
    }.get(device.actuator, 0.5)
    step = max(device.bounds[2], least) * (1.0 - 1e-6)
    tried: list[tuple[Cause, Callable[[Case], Case]]] = []
    if float(np.ptp(case.outlook.import_gbp)) > 1e-9:
        tried.append((Cause.CHEAP_NOW, _flat_prices))
    if np.any(case.outlook.pv_w > 0):
        tried.append((Cause.SOLAR, _no_sun))
    if float(np.ptp(case.heating.cop[0])) > 1e-9:
        tried.append((Cause.MILD_NOW, _one_efficiency))
    found: list[tuple[float, Cause]] = []
    for cause, remove in tried:
        there = again(remove(case))
        if there is not None and abs(value - there) >= step:
            found.append((value - there, cause))
    for cause, remove in ((Cause.SCHEDULE, _no_schedule), (Cause.COMFORT_FLOOR, _no_floor)):
        if found:
            break
        there = again(remove(case))
        if there is not None and abs(value - there) >= step:
            found.append((value - there, cause))
    found.sort(key=lambda each: -abs(each[0]))
    return [
        (Cause.DEAR_NOW if cause is Cause.CHEAP_NOW and more < 0 else cause, more > 0)
        for more, cause in found
    ]


def told_again(
    cause: Cause,
    sentence: str,
    causes: list[tuple[Cause, bool]],
    plan: Optimum,
    case: Case,
    room_c: float,
    comfort: Comfort,
) -> tuple[Cause, tuple[Cause, ...], str]:
    """Return chief cause, further causes and the sentence, once causes have been found.

    Where the chief cause is what the plan's prices said, its sentence stays.
    """
    if not causes:
        resting = float(plan.heat_w[0]) <= IDLE_SHARE * float(case.heating.most_w[0])
        if cause in (Cause.HOLD, Cause.SCHEDULE):
            return Cause.HOLD, (), sentence
        how = "Resting now" if resting else "Heating now"
        return (
            Cause.HOLD,
            (),
            f"{how}: the room is {room_c:.1f} °C, and nothing else would be told.",
        )
    (chief, more), *rest = causes
    also = tuple(each for each, _ in rest)
    if chief is cause:
        return chief, also, sentence
    return chief, also, _sentence(chief, more, plan, case, room_c, comfort)


def _sentence(  # noqa: PLR0911 - one return a cause
    cause: Cause, more: bool, plan: Optimum, case: Case, room_c: float, comfort: Comfort
) -> str:
    price = case.outlook.import_gbp
    heating = float(plan.heat_w[0]) > IDLE_SHARE * float(case.heating.most_w[0])
    how = "Heating now" if heating else "Resting now"
    step = max(STEP_GBP, STEP_SHARE * abs(float(price[0])))
    if cause in (Cause.CHEAP_NOW, Cause.DEAR_NOW):
        other = np.flatnonzero(price >= price[0] + step if more else price <= price[0] - step)
        if not other.size:
            return f"{how}, as electricity is {_pence(price[0])} now."
        at = _clock(case.outlook, int(other[0]), comfort)
        later = f"{_pence(price[other[0]])} from {at}"
        return f"{how}: electricity is {_pence(price[0])} now and {later}."
    if cause is Cause.SOLAR:
        when = "with" if more and heating else "and waiting for"
        return f"{how} {when} the home's own solar power."
    if cause is Cause.MILD_NOW:
        when = "while it is milder outside" if more else "until it is milder outside"
        return f"{how}, {when}: the same heat takes less electricity."
    if cause is Cause.COMFORT_FLOOR:
        return f"{how} so that the room stays at {comfort.lowest_c:g} °C, the least it may be."
    if heating:
        return f"Heating to keep the room at {case.outlook.lower_c[0]:g} °C."
    return f"Resting now: the room is {room_c:.1f} °C and warm enough."


def told_why(
    plan: Optimum,
    outlook: Outlook,
    most_w: FloatArray,
    lower_c: FloatArray,
    room_c: float,
    comfort: Comfort,
) -> tuple[Cause, str]:
    """Return cause and sentence of the plan's first step."""
    price = outlook.import_gbp
    heating = float(plan.heat_w[0]) > IDLE_SHARE * float(most_w[0])
    step = max(STEP_GBP, STEP_SHARE * abs(float(price[0])))
    rising = float(plan.room_c[: min(8, len(price))].max()) > float(lower_c[0]) + NEAR_K
    if heating and outlook.pv_w[0] > outlook.base_w[0] + plan.power_w[0]:
        return Cause.SOLAR, "Heating now with the home's own solar power."
    if heating and rising:
        dearer = np.flatnonzero(price >= price[0] + step)
        if dearer.size:
            at = _clock(outlook, int(dearer[0]), comfort)
            return Cause.CHEAP_NOW, (
                f"Heating now because electricity is {_pence(price[0])} now and "
                f"{_pence(price[dearer[0]])} from {at}."
            )
        warmer = np.flatnonzero(lower_c > lower_c[0] + NEAR_K)
        if warmer.size:
            at = _clock(outlook, int(warmer[0]), comfort)
            return Cause.SCHEDULE, (
                f"Heating now, so that the room has {lower_c[warmer[0]]:.1f} °C by {at}."
            )
    if heating:
        return Cause.SCHEDULE, f"Heating to keep the room at {outlook.lower_c[0]:g} °C."
    cheaper = np.flatnonzero(price <= price[0] - step)
    if room_c > outlook.lower_c[0] + NEAR_K / 2 and cheaper.size:
        at = _clock(outlook, int(cheaper[0]), comfort)
        return Cause.DEAR_NOW, (
            f"Resting now: the room is {room_c:.1f} °C, and electricity costs "
            f"{_pence(price[cheaper[0]])} from {at} instead of {_pence(price[0])}."
        )
    return Cause.HOLD, f"Resting now: the room is {room_c:.1f} °C and warm enough."


def _clock(outlook: Outlook, step: int, comfort: Comfort) -> str:
    zone = ZoneInfo(comfort.zone)
    at, now = outlook.start[step].astimezone(zone), outlook.start[0].astimezone(zone)
    days = (at.date() - now.date()).days
    return f"{at:%H:%M}" + ("" if days == 0 else " tomorrow" if days == 1 else f" on {at:%A}")


def _pence(price_gbp: float) -> str:
    rounded = round(float(price_gbp) * 100)
    return f"{'minus ' if rounded < 0 else ''}{abs(rounded)}p"
