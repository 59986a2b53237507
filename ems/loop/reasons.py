"""Why a step is what it is, from the plan's own prices and bounds."""

from __future__ import annotations

from zoneinfo import ZoneInfo

import numpy as np

from ems.domain.forecasts import FloatArray
from ems.domain.setpoints import Cause
from ems.loop.optimum import Optimum
from ems.loop.outlook import Outlook
from ems.loop.types import Comfort

NEAR_K = 0.2
STEP_GBP = 0.02
STEP_SHARE = 0.15
"""A price is dearer than another by two pence and 15 % at least."""
IDLE_SHARE = 0.05


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
