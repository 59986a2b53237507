"""What events ask of a block: limits for the plan, and targets for dispatch.

An event's promise is relative to the reference frozen at its acceptance. A plan gets it as a
limit on the participants' import in each step; dispatch as a target for the power that is
measured now. Who takes part is decided here for both.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import datetime, timedelta

import numpy as np

from ems.domain.estate import Block
from ems.domain.events import Direction, EventState, FlexEvent, Undisturbed
from ems.domain.forecasts import FloatArray
from ems.domain.plans import EventProblem, Schedule, SchedulingProblem
from ems.domain.rules import ControlRules
from ems.domain.time import HALF_HOUR, HALF_HOUR_S
from ems.domain.wishes import Wish, WishKind

RECOVERY = timedelta(hours=2)
"""So long after an event its homes come back under a cap."""
MARGIN_SHARE = 0.1
MARGIN_PER_HOME_W = 100.0
"""Plans aim at so much more than was promised, for heat pumps that come and go as they do: a
share of it and so much a home, together at most as much again."""
RESERVE_SHARE = 0.15
"""And keep so much of the participants' expected base load in the battery for its end."""
FLOOR_MARGIN_K = 0.3
"""A home that an event makes rest is planned to stay so far above its floor [K]."""


def ends_at(event: FlexEvent) -> datetime:
    """Return when control for an event ends, or ended."""
    return min(event.request.end, event.ended_at or event.request.end)


def promised_w(event: FlexEvent, instant: datetime) -> float:
    """Return the change that is promised at ``instant`` [W]; 0 outside the event."""
    if not event.request.start <= instant < ends_at(event):
        return 0.0
    if not event.instructions:
        return event.accepted_w
    holding = [one.power_w for one in event.instructions if one.start <= instant < one.end]
    return holding[-1] if holding else 0.0


def margin_w(event: FlexEvent, instant: datetime, homes: int) -> float:
    """Return how much more than promised is aimed at [W], with so many homes.

    As the event says; one that says nothing gets a share of its promise and so much a home.
    """
    promised = promised_w(event, instant)
    if event.margin_w > 0:
        return event.margin_w if promised > 0 else 0.0
    return min(MARGIN_SHARE * promised + MARGIN_PER_HOME_W * homes, promised)


def limit_w(event: FlexEvent, instant: datetime, *, margin: float = 0.0) -> float | None:
    """Return the limit on the participants' import at ``instant`` [W].

    The reference less what is promised (for *up*: plus) and ``margin`` [W]. ``None`` where
    nothing is promised, or no reference was frozen for that half-hour.
    """
    promised = promised_w(event, instant)
    slot = int((instant - event.request.start) // HALF_HOUR)
    if promised <= 0 or not 0 <= slot < len(event.reference_w):
        return None
    sign = 1.0 if event.request.direction is Direction.DOWN else -1.0
    return event.reference_w[slot] - sign * (promised + margin)


def participants(
    event: FlexEvent,
    block: Block,
    *,
    wishes: Mapping[str, Wish],
    apart: Collection[str],
    now: datetime,
) -> frozenset[str]:
    """Return the homes whose import counts: those frozen at the start, before it all who may.

    Who opted out or is held apart does not take part in an event that has yet to start.
    """
    if event.participants:
        return frozenset(event.participants)
    return frozenset(
        home.id
        for home in block.dwellings
        if home.id not in apart and not _opted_out(wishes.get(home.id), now)
    )


def steered(
    event: FlexEvent,
    block: Block,
    *,
    wishes: Mapping[str, Wish],
    apart: Collection[str],
    now: datetime,
) -> frozenset[str]:
    """Return the participants that an event may still steer: no wish, not held apart."""
    taking = participants(event, block, wishes=wishes, apart=apart, now=now)
    return frozenset(
        name
        for name in taking
        if name not in apart and not (name in wishes and wishes[name].holds_at(now))
    )


def _opted_out(wish: Wish | None, now: datetime) -> bool:
    return wish is not None and wish.kind is WishKind.OPT_OUT and wish.holds_at(now)


def event_problem(
    event: FlexEvent,
    taking_part: frozenset[str],
    instants: Sequence[datetime],
    step_s: float,
    base_w: Mapping[str, FloatArray],
    loose_w: Mapping[str, FloatArray],
) -> EventProblem:
    """Return an event as a limit on the steps that begin at ``instants``.

    Parameters
    ----------
    taking_part
        Homes whose import counts.
    step_s
        Length of a step [s].
    base_w
        Base load of homes [W], shape (steps,) each.
    loose_w
        Expected load of homes that are not planned [W], shape (steps,) each.
    """
    down = event.request.direction is Direction.DOWN
    nothing = np.inf if down else -np.inf
    limits = [
        limit_w(event, instant, margin=margin_w(event, instant, len(taking_part)))
        for instant in instants
    ]
    active = np.array([limit is not None for limit in limits])
    load = np.sum([base_w[name] for name in sorted(taking_part & base_w.keys())], axis=0)
    reserve_wh = RESERVE_SHARE * float(np.sum(load * active)) * step_s / 3600.0 if down else 0.0
    others = [load for name, load in loose_w.items() if name in taking_part]
    return EventProblem(
        event_id=event.id,
        direction=event.request.direction,
        limit_w=np.array([nothing if limit is None else limit for limit in limits]),
        participants=taking_part,
        battery=event.battery_takes_part,
        uncontrolled_w=np.sum(others, axis=0) if others else np.zeros(len(instants)),
        start=event.request.start,
        until=ends_at(event),
        reserve_wh=reserve_wh,
    )


def rested_floor_c(
    floor_c: FloatArray,
    comfort_c: FloatArray,
    events: Sequence[FlexEvent],
    instants: Sequence[datetime],
) -> FloatArray:
    """Return a home's floor with a margin while events make it rest [°C], shape (steps,)."""
    resting = np.array(
        [
            any(
                event.request.direction is Direction.DOWN and promised_w(event, instant) > 0
                for event in events
            )
            for instant in instants
        ]
    )
    higher = np.minimum(floor_c + FLOOR_MARGIN_K, np.maximum(comfort_c, floor_c))
    return np.where(resting, higher, floor_c)


def recovery_cap_w(
    event: FlexEvent, before: Undisturbed | None, rules: ControlRules
) -> float | None:
    """Return what the block's import is to stay under after an event [W].

    So many times the highest half-hour of the same two hours without the event; ``None``
    where that is not known, or the event asked for more and not for less.
    """
    if before is None or event.request.direction is not Direction.DOWN:
        return None
    ended = ends_at(event)
    hours = [
        power
        for slot, power in enumerate(before.block_import_w)
        if ended <= before.start + slot * HALF_HOUR < ended + RECOVERY
    ]
    return rules.recovery_ratio * max(*hours, 0.0) if hours else None


def recovering(event: FlexEvent, now: datetime) -> bool:
    """Return whether the homes of an event are coming back at ``now``."""
    began = event.state in (EventState.RUNNING, EventState.RECOVERING)
    return began and ends_at(event) <= now < ends_at(event) + RECOVERY


def with_recovery(
    problem: SchedulingProblem,
    events: Sequence[FlexEvent],
    before: Mapping[str, Undisturbed],
    rules: ControlRules,
) -> SchedulingProblem:
    """Return a problem with the soft ceiling at the feeder after its events.

    Parameters
    ----------
    before
        What was expected without each event.
    """
    edges = np.concatenate([[0.0], np.cumsum(problem.step_s)[:-1]])
    instants = [problem.start + timedelta(seconds=float(edge)) for edge in edges]
    result = np.full(len(instants), np.inf)
    for event in events:
        cap = recovery_cap_w(event, before.get(event.id), rules)
        if cap is None:
            continue
        ended = ends_at(event)
        for step, instant in enumerate(instants):
            if ended <= instant < ended + RECOVERY:
                result[step] = min(result[step], cap)
    return replace(problem, recovery_import_w=result if np.isfinite(result).any() else None)


def slot_at(before: Undisturbed, instant: datetime) -> int | None:
    """Return which of its half-hours holds ``instant``, ``None`` outside them."""
    slot = int((instant - before.start) // HALF_HOUR)
    return slot if 0 <= slot < len(before.heating_w) else None


def carried_over(fresh: Undisturbed, known: Sequence[Undisturbed]) -> Undisturbed:
    """Return a record that keeps what was expected before other events began to shape it.

    ``fresh`` was planned from a state that events in ``known`` have changed: for the
    half-hours that they tell of, their figures take its place.
    """
    known = [one for one in known if one.heating_w]

    def row(name: str) -> tuple[float, ...]:
        figures: list[float] = list(getattr(fresh, name))
        for slot in range(len(figures)):
            instant = fresh.start + slot * HALF_HOUR
            for one in known:
                place, before = slot_at(one, instant), getattr(one, name)
                if place is not None and place < len(before):
                    figures[slot] = before[place]
                    break
        return tuple(figures)

    return replace(
        fresh,
        heating_w=row("heating_w"),
        battery_w=row("battery_w"),
        block_import_w=row("block_import_w"),
        heating_low_w=row("heating_low_w"),
        heating_high_w=row("heating_high_w"),
    )


def with_promises(
    problem: SchedulingProblem, events: Sequence[FlexEvent], before: Mapping[str, Undisturbed]
) -> SchedulingProblem:
    """Return a problem whose limits are what is expected without events, less the promises.

    Base load is the newest forecast's, so that only what can be steered is asked to change.
    Promises of one direction that overlap add up. For a turn-down the battery keeps what homes
    would have to give, as far as plans count on them, for homes may give less. A turn-up is the
    battery's alone where there is one: homes that heat ahead in it would draw less before it ends.

    Parameters
    ----------
    before
        What was expected without each event; a limit without it stays as it is.
    """
    edges = np.concatenate([[0.0], np.cumsum(problem.step_s)[:-1]])
    instants = [problem.start + timedelta(seconds=float(edge)) for edge in edges]
    by_id = {event.id: event for event in events}
    asked = []
    for each in problem.events:
        found, event = before.get(each.event_id), by_id.get(each.event_id)
        if found is None or event is None:
            asked.append(each)
            continue
        sign = 1.0 if event.request.direction is Direction.DOWN else -1.0
        taking = frozenset[str]() if sign < 0 and each.battery else each.participants
        homes = [home for home in problem.homes if home.dwelling_id in taking]
        loose = each.uncontrolled_w if taking else np.zeros(len(instants))
        limit, reserve_wh = each.limit_w.copy(), 0.0
        for step, instant in enumerate(instants):
            slot = slot_at(found, instant)
            if slot is None or not promised_w(event, instant):
                continue
            alike = [one for one in events if one.request.direction is event.request.direction]
            asked_w = sum(promised_w(one, instant) for one in alike)
            asked_w += margin_w(event, instant, len(each.participants))
            flow = found.battery_w[slot] if each.battery else 0.0
            flow += found.heating_w[slot] if taking else 0.0
            for home in homes:
                water = 0.0 if home.hot_water_w is None else float(home.hot_water_w[step])
                flow += float(home.base_w[step]) - water
            limit[step] = flow + float(loose[step]) - sign * asked_w
            reserve_wh += min(found.heating_w[slot], asked_w) * float(problem.step_s[step]) / 3600.0
        kept_wh = reserve_wh if sign > 0 else 0.0
        mine = replace(each, participants=taking, uncontrolled_w=loose)
        asked.append(replace(mine, limit_w=limit, reserve_wh=kept_wh))
    return replace(problem, events=tuple(asked))


def battery_alone_w(problem: SchedulingProblem, schedule: Schedule) -> FloatArray:
    """Return what dispatch makes of a planned battery that no event asks for anything [W].

    Behind a meter of its own it gives no more than that meter takes, for the plan cannot say
    there that it means to export (:mod:`controllers.battery`).
    """
    if schedule.battery is None:
        return np.zeros(len(schedule.step_s))
    planned = schedule.battery.power_w
    if problem.pooled:
        return planned
    return np.maximum(planned, -np.maximum(problem.landlord_w - problem.pv_w, 0.0))


def undisturbed(
    event: FlexEvent,
    problem: SchedulingProblem,
    schedule: Schedule,
    taking_part: frozenset[str],
) -> Undisturbed:
    """Return what a plan made without the event expects of its hours.

    Parameters
    ----------
    problem, schedule
        Posed and solved without the event; steps of half an hour that reach over it.
    """
    start = event.request.start
    edges = [start + k * HALF_HOUR for k in range(_slots(start, event.request.end + RECOVERY))]
    steps = [step for edge in edges if (step := schedule.index_at(edge)) is not None]
    expected = np.zeros(len(schedule.step_s))
    water = {home.dwelling_id: home.hot_water_w for home in problem.homes}
    for home in schedule.homes:
        if home.dwelling_id in taking_part:
            hot = water[home.dwelling_id]
            expected = expected + home.power_w + (0.0 if hot is None else hot)
    battery = battery_alone_w(problem, schedule)
    return Undisturbed(
        event_id=event.id,
        issued_at=problem.issued_at,
        start=start,
        heating_w=tuple(float(expected[step]) for step in steps),
        battery_w=tuple(float(battery[step]) for step in steps),
        block_import_w=tuple(float(schedule.import_w[step]) for step in steps),
        homes=sum(home.dwelling_id in taking_part for home in schedule.homes),
    )


def reference_w(
    problem: SchedulingProblem,
    schedule: Schedule,
    start: datetime,
    end: datetime,
    taking_part: Collection[str],
    *,
    battery: bool,
) -> tuple[float, ...]:
    """Return the participants' import that a plan expects, per half-hour of [start, end) [W].

    Homes that are not planned count with nothing: leave them out of ``taking_part``.
    """
    result = []
    base = {home.dwelling_id: home.base_w for home in problem.homes}
    for slot in range(_slots(start, end)):
        step = schedule.index_at(start + slot * HALF_HOUR)
        if step is None:
            break
        power = sum(
            float(home.power_w[step] + base[home.dwelling_id][step])
            for home in schedule.homes
            if home.dwelling_id in taking_part
        )
        if battery and schedule.battery is not None:
            power += float(schedule.battery.power_w[step])
        result.append(power)
    return tuple(result)


def _slots(start: datetime, end: datetime) -> int:
    return max(0, -int(-(end - start).total_seconds() // HALF_HOUR_S))


@dataclass(frozen=True, slots=True)
class Target:
    """What an event asks at one instant.

    Attributes
    ----------
    event
        Which.
    homes, steered
        Whose import counts; which of them may be made to rest.
    promised_w, margin_w
        The change that is promised now, and how much more is aimed at [W].
    limit_w
        For their import with the battery's [W], by the reference frozen at acceptance: what
        is gone by where no plan without the event is at hand.
    before
        What a plan without the event expected.
    """

    event: FlexEvent
    homes: frozenset[str]
    steered: frozenset[str]
    promised_w: float
    margin_w: float
    limit_w: float | None
    before: Undisturbed | None

    @property
    def down(self) -> bool:
        """Whether less import is asked for."""
        return self.event.request.direction is Direction.DOWN


def target_at(
    event: FlexEvent,
    now: datetime,
    *,
    homes: frozenset[str],
    may_steer: frozenset[str],
    before: Undisturbed | None,
) -> Target | None:
    """Return an event's target at ``now``, ``None`` where it asks nothing."""
    promised = promised_w(event, now)
    if promised <= 0:
        return None
    margin = margin_w(event, now, len(homes))
    known = before if before is not None and slot_at(before, now) is not None else None
    limit = limit_w(event, now, margin=margin)
    if known is None and limit is None:
        return None
    return Target(event, homes, may_steer, promised, margin, limit, known)
