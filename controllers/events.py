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

from ems.domain.estate import Block, ControlRules
from ems.domain.events import Direction, EventState, FlexEvent, Undisturbed
from ems.domain.forecasts import FloatArray
from ems.domain.plans import EventProblem, Schedule, SchedulingProblem
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
    """Return how much more than promised is aimed at [W], with so many homes."""
    promised = promised_w(event, instant)
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


def undisturbed(
    event: FlexEvent, problem: SchedulingProblem, schedule: Schedule, taking_part: frozenset[str]
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
    battery = np.zeros(len(expected)) if schedule.battery is None else schedule.battery.power_w
    return Undisturbed(
        event_id=event.id,
        issued_at=problem.issued_at,
        start=start,
        heating_w=tuple(float(expected[step]) for step in steps),
        battery_w=tuple(float(battery[step]) for step in steps),
        block_import_w=tuple(float(schedule.import_w[step]) for step in steps),
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
    limit_w
        For their measured import and the battery's, where it takes part [W]; half of the
        plan's margin is kept between two plans.
    flexible_w
        For their heat pumps and the battery alone [W]: what a plan without the event expects
        of them, less what is promised. Base load that is lower than forecast does not make
        delivery easier. ``None`` where there is no such plan.
    """

    event: FlexEvent
    homes: frozenset[str]
    steered: frozenset[str]
    limit_w: float
    flexible_w: float | None

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
    margin = margin_w(event, now, len(homes)) / 2.0
    limit = limit_w(event, now, margin=margin)
    if limit is None:
        return None
    flexible = None
    if before is not None:
        slot = int((now - before.start) // HALF_HOUR)
        if 0 <= slot < len(before.heating_w):
            expected = before.heating_w[slot]
            if event.battery_takes_part:
                expected += before.battery_w[slot]
            sign = 1.0 if event.request.direction is Direction.DOWN else -1.0
            flexible = expected - sign * (promised_w(event, now) + margin)
    return Target(event, homes, may_steer, limit, flexible)
