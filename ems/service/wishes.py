"""Residents' wishes as control needs them, from the records that pages and commands write.

A resident's choice stands above every plan and event. Several may be in force at once; of
those for a temperature the latest counts, then a schedule that goes under the floor, then
an opt-out.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Mapping
from dataclasses import replace
from datetime import datetime, time, timedelta
from zoneinfo import ZoneInfo

from ems.domain.comfort import ComfortPeriod, ComfortSchedule
from ems.domain.estate import Block, Dwelling, Estate
from ems.domain.events import EventState, FlexEvent
from ems.domain.ports import Store
from ems.domain.thermal import ThermalEstimate
from ems.domain.wishes import (
    ALL_EVENTS,
    ALL_PLANNING,
    Asked,
    Asking,
    ChosenPeriod,
    Wish,
    WishKind,
)
from ems.service.followed import Followed

ALL = frozenset({ALL_EVENTS})
"""What a home that takes part in no event is out of."""
OptOuts = Callable[[datetime], Mapping[str, frozenset[str]]]
"""Tells by home which events it is out of: ids of events, or `ALL`."""

COLD_OUTDOOR_C = -2.0
"""Warming up is reckoned for such a day [°C], whatever the weather: so its start does not move."""
CAPACITY_WHEN_COLD = 0.8
"""Share of the rated heat that a heat pump gives on such a day [-]."""
LEAST_WARM_UP_S = 3600.0
MOST_WARM_UP_S = 86400.0
START_LAG_S = 1800.0
TEMPERATURES = frozenset({Asking.WARMER, Asking.AWAY, Asking.DEVICE})
LIVE = frozenset({EventState.ACCEPTED, EventState.RUNNING})


def warm_up_s(
    estimate: ThermalEstimate | None,
    rated_heat_w: float,
    *,
    away_c: float,
    left_at_c: float,
    back_c: float,
    away_s: float,
) -> float:
    """Return how long before a return a home must start to heat [s].

    On a cold day the room first cools from ``left_at_c`` without heat, at most to ``away_c``;
    then it is heated to ``back_c`` at full output. Without an estimate: the longest.

    Parameters
    ----------
    estimate
        Thermal model of the home.
    rated_heat_w
        Nameplate of its heat pump [W].
    away_c, left_at_c, back_c
        Temperatures held while away, at the start and at the return [°C].
    away_s
        Length of the absence [s].
    """
    if estimate is None:
        return MOST_WARM_UP_S
    slope = max(estimate.loss_w_per_k, 1.0)
    time_s = max(estimate.capacity_j_per_k, 1e5) / slope
    cooled_c = COLD_OUTDOOR_C + (left_at_c - COLD_OUTDOOR_C) * math.exp(-away_s / time_s)
    from_c = max(away_c, cooled_c)
    if from_c >= back_c:
        return LEAST_WARM_UP_S
    steady_c = COLD_OUTDOOR_C + CAPACITY_WHEN_COLD * rated_heat_w / slope
    if steady_c <= back_c:
        return MOST_WARM_UP_S
    heating_s = time_s * math.log((steady_c - from_c) / (steady_c - back_c))
    return min(max(heating_s + START_LAG_S, LEAST_WARM_UP_S), MOST_WARM_UP_S)


def schedule_of(asked: Asked, base: ComfortSchedule) -> ComfortSchedule:
    """Return the comfort schedule that a resident chose, on the configured one's other terms."""

    def periods(chosen: tuple[ChosenPeriod, ...]) -> tuple[ComfortPeriod, ...]:
        return tuple(
            ComfortPeriod(time(one.start_min // 60, one.start_min % 60), one.temperature_c)
            for one in chosen
        )

    return replace(base, name="own", weekday=periods(asked.weekday), weekend=periods(asked.weekend))


def latest(asked: Iterable[Asked], kinds: Iterable[Asking]) -> Asked | None:
    """Return the one that was asked for last among these kinds."""
    wanted = frozenset(kinds)
    found = [one for one in asked if one.asking in wanted]
    return max(found, key=lambda one: (one.since, one.id), default=None)


def wish_of(
    dwelling: Dwelling,
    asked: Iterable[Asked],
    now: datetime,
    zone: ZoneInfo,
    *,
    events: Iterable[FlexEvent] = (),
    estimate: ThermalEstimate | None = None,
) -> Wish | None:
    """Return the wish that counts for a home at ``now``, ``None`` where nothing was asked.

    Parameters
    ----------
    dwelling
        The home, with the schedule that its resident chose.
    asked
        All that its residents ever asked for.
    now
        Estate time, UTC.
    zone
        The estate's time zone.
    events
        Events of its block.
    estimate
        Its thermal model: when to start to be warm at a return.
    """
    held = [one for one in asked if one.holds_at(now)]
    warmth = latest(held, TEMPERATURES)
    if warmth is not None and warmth.temperature_c is not None:
        if warmth.asking is Asking.AWAY:
            return _away(dwelling, warmth, now, zone, estimate)
        at_device = warmth.asking is Asking.DEVICE
        return Wish(dwelling.id, WishKind.ROOM, warmth.temperature_c, warmth.until, at_device)
    asked_c = dwelling.comfort.temperature_at(now, zone)
    if latest(held, {Asking.SCHEDULE}) is not None and asked_c < dwelling.floor_c:
        return Wish(dwelling.id, WishKind.ROOM, asked_c, dwelling.comfort.next_change(now, zone))
    out_of = {one.event for one in held if one.asking is Asking.OPT_OUT}
    if ALL_PLANNING in out_of:
        return Wish(dwelling.id, WishKind.OPT_OUT, asked_c, None)
    for event in events:
        end = event.ended_at or event.request.end
        touched = ALL_EVENTS in out_of or event.id in out_of
        if touched and event.state in LIVE and event.request.start <= now < end:
            return Wish(dwelling.id, WishKind.OPT_OUT, asked_c, end)
    return None


def _away(
    dwelling: Dwelling,
    asked: Asked,
    now: datetime,
    zone: ZoneInfo,
    estimate: ThermalEstimate | None,
) -> Wish:
    away_c = asked.temperature_c or 0.0
    if asked.until is None:
        return Wish(dwelling.id, WishKind.AWAY, away_c, None)
    starts = warming_from(dwelling, asked, zone, estimate)
    if now < starts:
        return Wish(dwelling.id, WishKind.AWAY, away_c, starts)
    back_c = dwelling.comfort.temperature_at(asked.until, zone)
    return Wish(dwelling.id, WishKind.ROOM, max(back_c, away_c), asked.until)


def warming_from(
    dwelling: Dwelling, asked: Asked, zone: ZoneInfo, estimate: ThermalEstimate | None
) -> datetime:
    """Return when a home starts to heat for the return of an absence with an end, UTC."""
    if asked.until is None or asked.temperature_c is None:
        raise ValueError("only an absence with a return warms up")
    lead_s = warm_up_s(
        estimate,
        dwelling.heat_pump.rated_heat_w,
        away_c=asked.temperature_c,
        left_at_c=dwelling.comfort.temperature_at(asked.since, zone),
        back_c=dwelling.comfort.temperature_at(asked.until, zone),
        away_s=(asked.until - asked.since).total_seconds(),
    )
    return asked.until - timedelta(seconds=lead_s)


class Residents:
    """What residents asked for, from the store; asked anew at every dispatch.

    Parameters
    ----------
    estate, store
        The homes, and where the records lie.
    """

    def __init__(self, estate: Estate, store: Store) -> None:
        self._estate = estate
        self._store = store
        self._asked = Followed(store, Asked)
        self._events = Followed(store, FlexEvent)

    def in_force(self, now: datetime) -> dict[str, list[Asked]]:
        """Return what is in force at ``now`` by home, oldest first."""
        found: dict[str, list[Asked]] = {}
        for one in sorted(self._asked.all().values(), key=lambda one: (one.since, one.id)):
            if one.holds_at(now):
                found.setdefault(one.dwelling_id, []).append(one)
        return found

    def home(self, dwelling: Dwelling, now: datetime) -> Dwelling:
        """Return a home with the schedule that its resident chose."""
        return self._with_choice(dwelling, self.in_force(now).get(dwelling.id, []))

    def block(self, block: Block, now: datetime) -> Block:
        """Return a block whose homes have the schedules that their residents chose."""
        held = self.in_force(now)
        homes = (self._with_choice(home, held.get(home.id, [])) for home in block.dwellings)
        return replace(block, dwellings=tuple(homes))

    def estate(self, now: datetime) -> Estate:
        """Return the estate with the schedules that residents chose."""
        blocks = tuple(self.block(block, now) for block in self._estate.blocks)
        return replace(self._estate, blocks=blocks)

    def wishes(self, now: datetime) -> dict[str, Wish]:
        """Return the wish that counts at ``now`` for each home that has one."""
        held = self.in_force(now)
        if not held:
            return {}
        events = list(self._events.all().values())
        estimates = self._store.estimates()
        found: dict[str, Wish] = {}
        for dwelling in self._estate.dwellings():
            asked = held.get(dwelling.id)
            if not asked:
                continue
            wish = wish_of(
                self._with_choice(dwelling, asked),
                asked,
                now,
                self._estate.zone,
                events=[event for event in events if event.request.block_id == dwelling.block_id],
                estimate=estimates.get(dwelling.id),
            )
            if wish is not None:
                found[dwelling.id] = wish
        return found

    def opted_out(self, now: datetime) -> dict[str, frozenset[str]]:
        """Return by home which events it is out of at ``now``: ids, or `ALL`."""
        found: dict[str, frozenset[str]] = {}
        for dwelling_id, asked in self.in_force(now).items():
            out_of = {one.event for one in asked if one.asking is Asking.OPT_OUT}
            if out_of & {ALL_EVENTS, ALL_PLANNING}:
                found[dwelling_id] = ALL
            elif out_of:
                found[dwelling_id] = frozenset(out_of)
        return found

    def _with_choice(self, dwelling: Dwelling, held: Iterable[Asked]) -> Dwelling:
        chosen = latest(held, {Asking.SCHEDULE})
        if chosen is None:
            return dwelling
        return replace(dwelling, comfort=schedule_of(chosen, dwelling.comfort))
