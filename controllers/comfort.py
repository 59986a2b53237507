"""What a home is to be kept at: floor, schedule and ceiling, the resident's wish included.

One place for plan and dispatch, so that they never disagree.

Most heat pumps keep their last setpoint for ever. So a night setback under the floor is
held at the floor: were everything of ours to fail that night, the home would stay there. A
schedule that is under the floor at all times is the resident's own choice and lowers the
floor; so does a wish, which the guard process takes back when it must.
"""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from zoneinfo import ZoneInfo

from ems.domain.estate import Actuator, Block, Dwelling
from ems.domain.points import PointId
from ems.domain.readings import Snapshot
from ems.domain.rules import ControlRules
from ems.domain.wishes import FROST_LIMIT_C, Wish, WishKind

SG_RAISE_K = 1.0
"""What "encouraged" adds to a heat pump's own room target, as far as makers say [K]."""


DIAL_MAX_AGE_S = 1800.0
"""What a heat pump's own dial showed counts for as long [s]."""
DIAL_SAME_K = 0.25
"""A dial within this of another temperature shows the same [K]."""


@dataclass(frozen=True, slots=True)
class Wanted:
    """Room temperatures wanted at one instant [°C]: ``floor_c <= comfort_c <= ceiling_c``."""

    floor_c: float
    comfort_c: float
    ceiling_c: float


def lowest_c(dwelling: Dwelling) -> float:
    """Return the floor [°C], or the resident's highest temperature where that is lower."""
    return min(dwelling.floor_c, dwelling.comfort.highest_c)


def release_c(dwelling: Dwelling) -> float:
    """Return a room setpoint [°C] that is right for ever: the schedule's highest."""
    return max(dwelling.comfort.highest_c, lowest_c(dwelling))


def wish_in_force(wish: Wish | None, instant: datetime) -> Wish | None:
    """Return the wish if it holds at ``instant`` (UTC)."""
    return wish if wish is not None and wish.holds_at(instant) else None


def wanted_at(
    dwelling: Dwelling,
    instant: datetime,
    zone: ZoneInfo,
    rules: ControlRules,
    wish: Wish | None = None,
) -> Wanted:
    """Return what a home is to be kept at, at ``instant`` (UTC).

    A wish for a temperature leaves no room for preheating or coasting: all three agree.
    """
    floor_c = lowest_c(dwelling)
    held = wish_in_force(wish, instant)
    if held is not None and held.kind is not WishKind.OPT_OUT:
        asked = max(held.temperature_c, FROST_LIMIT_C)
        return Wanted(min(floor_c, asked), asked, asked)
    comfort_c = max(dwelling.comfort.temperature_at(instant, zone), floor_c)
    if held is not None:
        return Wanted(floor_c, comfort_c, comfort_c)
    if dwelling.heat_pump.actuator is Actuator.SG_READY:
        preheat_k = SG_RAISE_K
    else:
        preheat_k = max(0.0, min(dwelling.comfort.ceiling_k, rules.preheat_max_k))
    return Wanted(floor_c, comfort_c, comfort_c + preheat_k)


def dial_c(dwelling: Dwelling, snapshot: Snapshot) -> float | None:
    """Return what the heat pump's own dial asks for [°C], where it is the resident's alone.

    Only SG Ready leaves the dial to the resident. Heating that is switched off there asks for
    the frost limit. ``None`` where nothing fresh is known.
    """
    if dwelling.heat_pump.actuator is not Actuator.SG_READY:
        return None
    pump = dwelling.heat_pump.device_id
    if snapshot.good(pump, "heating_on", DIAL_MAX_AGE_S) == 0.0:
        return FROST_LIMIT_C
    return snapshot.good(pump, "room_setpoint_c", DIAL_MAX_AGE_S)


def with_dials(
    block: Block, snapshot: Snapshot, zone: ZoneInfo, wishes: Mapping[str, Wish]
) -> dict[str, Wish]:
    """Return the wishes of a block's homes, those set at heat pumps' own dials included.

    A dial below the home's floor is the resident's choice to be colder, for as long as it
    shows that, unless it follows the home's own schedule. Another wish stands above it.
    """
    found = dict(wishes)
    for home in block.dwellings:
        shown_c = dial_c(home, snapshot)
        if shown_c is None or shown_c >= home.floor_c:
            continue
        if wish_in_force(found.get(home.id), snapshot.taken_at) is not None:
            continue
        seen = snapshot.readings.get(PointId(home.heat_pump.device_id, "room_setpoint_c"))
        at = snapshot.taken_at if seen is None else seen.observed_at
        if abs(shown_c - home.comfort.temperature_at(at, zone)) > DIAL_SAME_K:
            found[home.id] = Wish(home.id, WishKind.ROOM, shown_c, None, at_device=True)
    return found


def spread_s(identity: str, within_s: float) -> float:
    """Return a fixed share of ``within_s`` [s] for this id, evenly spread over ids."""
    digest = hashlib.sha256(identity.encode()).digest()
    return within_s * int.from_bytes(digest[:4], "big") / 2**32
