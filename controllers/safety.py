"""Limits that run last: the block's physical rating on measured power, then bounds.

The rating is kept in a fixed order. The battery comes first: it stops charging and then
discharges. Then homes wait their turn, the one furthest above its floor first and the
coldest last. A home that waits goes on waiting until there is room again, and a home that
has cooled below one that is running changes places with it; so nobody waits long, and
nothing chatters. All of this is read off the measurements and the last setpoints, so a
restarted process goes on where the old one stopped.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

from controllers.intent import Intent
from ems.domain.setpoints import Cause

HEADROOM_SHARE = 0.05
"""Homes are made to wait when the import comes within this share of the rating,"""
HEADROOM_STARTS = 2
"""or within so many starts of the largest heat pump, whichever is more: a pump that starts by
itself is seen a minute later, and another takes some minutes to stop."""
BAND_SHARE = 0.05
"""So many wait that the expected import falls by this share of the rating below that; and
one at a time runs again once it has fallen by twice as much."""
BATTERY_SHARE = 0.93
"""The battery keeps the import to this share."""
SWAP_K = 0.3
"""A waiting home this much nearer to its floor than a running one changes places with it."""
RUNNING_W = 150.0
"""A heat pump drawing more than this [W] is running."""
RUN_UP = 1.3
"""Power at a start beside the rated power [-]."""
ABOVE_EVENTS = frozenset({Cause.DEVICE_PROTECTION, Cause.RESIDENT, Cause.COMFORT_FLOOR})
"""What makes no home wait for the sake of an event."""


@dataclass(frozen=True, slots=True)
class Home:
    """One home as the limit sees it.

    Attributes
    ----------
    dwelling_id
        Which home.
    intent
        What it is to be told so far.
    room_c, margin_k
        Room temperature [°C] and how far it is above the floor [K]; ``None`` where unknown:
        such a home is never made to wait.
    floor_c
        Its floor [°C].
    power_w
        Measured power of its heat pump [W]; ``None`` where unknown.
    rated_w
        Electric power at full output, from the nameplate [W].
    waiting
        It was told to wait at the last dispatch.
    """

    dwelling_id: str
    intent: Intent
    room_c: float | None
    margin_k: float | None
    floor_c: float
    power_w: float | None
    rated_w: float
    waiting: bool


def battery_within(
    wanted_w: float,
    *,
    measured_w: float | None,
    battery_now_w: float,
    limit_w: float,
    max_discharge_w: float,
) -> float:
    """Return battery power [W] that keeps measured import to ``limit_w``, as far as it can.

    Parameters
    ----------
    wanted_w
        What it is to do otherwise, charging positive [W].
    measured_w
        Import of the block with the battery's present power in it; ``None`` where unknown:
        then it does not charge.
    battery_now_w
        Its present power [W].
    limit_w
        The import to keep to [W].
    max_discharge_w
        What it may discharge now [W]: nothing where it is at its reserve.
    """
    if measured_w is None:
        return min(wanted_w, 0.0)
    headroom_w = limit_w - (measured_w - battery_now_w)
    return max(min(wanted_w, headroom_w), -max_discharge_w)


def within_limits(
    homes: Sequence[Home],
    *,
    rating_w: float,
    cap_w: float | None,
    measured_w: float | None,
    relief_w: float,
    why_capped: str,
) -> dict[str, Intent]:
    """Return what each home is told, once a cap of an event and the rating have been kept.

    The cap is soft: what a resident chose and what the comfort floor asks for stand above
    it. Above them stands the rating alone.

    Parameters
    ----------
    homes, rating_w, measured_w, relief_w
        As of `take_turns`.
    cap_w
        What an event asks the import to stay under [W]; ``None`` where none does.
    why_capped
        What a home that waits for the cap is told.
    """
    if cap_w is not None and cap_w < rating_w:
        bound = [_not_asked(home) if home.intent.cause in ABOVE_EVENTS else home for home in homes]
        told = take_turns(
            bound, rating_w=cap_w, measured_w=measured_w, relief_w=relief_w, why=why_capped
        )
        homes = [
            home
            if home.intent.cause in ABOVE_EVENTS
            else replace(home, intent=told[home.dwelling_id])
            for home in homes
        ]
    return take_turns(homes, rating_w=rating_w, measured_w=measured_w, relief_w=relief_w)


def _not_asked(home: Home) -> Home:
    return replace(home, intent=replace(home.intent, waiting_value=None))


def take_turns(
    homes: Sequence[Home],
    *,
    rating_w: float,
    measured_w: float | None,
    relief_w: float,
    why: str = "because the building's supply is full",
) -> dict[str, Intent]:
    """Return what each home is told, once the rating has been kept.

    Parameters
    ----------
    homes
        All homes of the block that Hearth steers.
    rating_w
        Physical rating of the feeder [W].
    measured_w
        Import measured now [W]; ``None`` where unknown: who waits goes on waiting, nobody
        else does.
    relief_w
        How much less the battery will draw than it does now [W].
    why
        What a home that waits is told.
    """
    waiting = {home.dwelling_id for home in homes if home.waiting and _can_wait(home)}
    start_w = RUN_UP * max((home.rated_w for home in homes), default=0.0)
    headroom_w = max(HEADROOM_SHARE * rating_w, HEADROOM_STARTS * start_w)
    enter_w = max(rating_w - headroom_w, rating_w / 2)
    aim_w = enter_w - BAND_SHARE * rating_w
    leave_w = aim_w - BAND_SHARE * rating_w
    if measured_w is None:
        return _told(homes, waiting, why)
    expected_w = measured_w - relief_w
    # Those who were told to wait but still draw are about to stop. Once the rating itself
    # is broken that is no longer believed, and more homes are asked.
    pending_w = sum(_power(home) for home in homes if home.dwelling_id in waiting)
    counted_w = expected_w - (pending_w if expected_w <= rating_w else 0.0)
    if counted_w > enter_w:
        excess_w = counted_w - aim_w
        for home in _warmest_first(homes):
            if excess_w <= 0:
                break
            if home.dwelling_id not in waiting and _power(home) > RUNNING_W:
                waiting.add(home.dwelling_id)
                excess_w -= _power(home)
    elif expected_w < leave_w and waiting:
        coldest = _coldest(homes, waiting)
        if expected_w + coldest.rated_w * RUN_UP < aim_w:
            waiting.discard(coldest.dwelling_id)
    elif waiting:
        _change_places(homes, waiting)
    return _told(homes, waiting, why)


def _change_places(homes: Sequence[Home], waiting: set[str]) -> None:
    coldest = _coldest(homes, waiting)
    for home in _warmest_first(homes):
        if home.dwelling_id in waiting or _power(home) <= RUNNING_W:
            continue
        if _margin(home) > _margin(coldest) + SWAP_K:
            waiting.discard(coldest.dwelling_id)
            waiting.add(home.dwelling_id)
        return


def _can_wait(home: Home) -> bool:
    return (
        home.margin_k is not None
        and home.margin_k > 0
        and home.intent.waiting_value is not None
        and home.intent.value > home.intent.waiting_value
    )


def _warmest_first(homes: Sequence[Home]) -> list[Home]:
    able = [home for home in homes if _can_wait(home)]
    return sorted(able, key=lambda home: (-_margin(home), home.dwelling_id))


def _coldest(homes: Sequence[Home], among: set[str]) -> Home:
    return min(
        (home for home in homes if home.dwelling_id in among),
        key=lambda home: (_margin(home), home.dwelling_id),
    )


def _margin(home: Home) -> float:
    return 0.0 if home.margin_k is None else home.margin_k


def _power(home: Home) -> float:
    return 0.0 if home.power_w is None else home.power_w


def _told(homes: Sequence[Home], waiting: set[str], why: str) -> dict[str, Intent]:
    result: dict[str, Intent] = {}
    for home in homes:
        value = home.intent.waiting_value
        if home.dwelling_id not in waiting or value is None or home.room_c is None:
            result[home.dwelling_id] = home.intent
            continue
        result[home.dwelling_id] = home.intent.told(
            value,
            Cause.IMPORT_LIMIT,
            f"Waiting its turn {why}: your room is "
            f"{home.room_c:.1f} °C and is kept at {home.floor_c:g} °C at least.",
        )
    return result


def within_bounds(intent: Intent) -> Intent:
    """Return the intent with its value inside what the device's profile permits."""
    low, high = intent.rule.low, intent.rule.high
    if low <= intent.value <= high:
        return intent
    return replace(
        intent,
        value=min(max(intent.value, low), high),
        cause=Cause.DEVICE_PROTECTION,
        also=(),
        sentence=f"Kept within what the device permits. {intent.sentence}",
    )
