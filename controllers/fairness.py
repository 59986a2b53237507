"""Homes that carried more than their share of events are spared in the next.

A plan is made without any sparing first. In the half-hours of a turn-down and of the way back
from it, a spared home's floor is then raised from where that plan takes its room towards what
its own thermostat would keep, and the plan is made again:

    ``floor' = max(floor, room + spared (thermostat - room))``

At 1 it is left alone, as one whose resident opted out; at 0 nothing changes. It is only ever
raised, so that no home is spared at the price of another's floor: what the home does not give,
the battery and other homes give. Where they cannot, the event's promise comes first: homes are
spared half as far, or not at all.

What homes would do without an event is told here as well, for the ledger.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from datetime import datetime, timedelta
from zoneinfo import ZoneInfo

import numpy as np

from controllers.comfort import wanted_at
from controllers.events import RECOVERY, ends_at
from controllers.room import Room, thermostat_path
from ems.domain.estate import Block
from ems.domain.events import Direction, FlexEvent
from ems.domain.fairness import ExpectedHome, ExpectedHomes
from ems.domain.forecasts import FloatArray
from ems.domain.plans import HomeProblem, Planner, Schedule, SchedulingProblem
from ems.domain.rules import ControlRules
from ems.domain.time import HALF_HOUR, HALF_HOUR_S, floor_to

Spared = Mapping[str, Mapping[str, float]]
"""Event → home → how far it is spared, from 0 to 1; homes that are not named are not."""
TRIFLE_W = 50.0
"""Less than this of a promise is not missed for the sake of sparing."""


def with_spared(
    problem: SchedulingProblem, schedule: Schedule, events: Sequence[FlexEvent], spared: Spared
) -> SchedulingProblem:
    """Return a problem whose homes are spared in turn-downs as far as ``spared`` says.

    Parameters
    ----------
    schedule
        The plan of ``problem`` as it is.
    events
        In force on this block.
    """
    down = [
        event
        for event in events
        if event.request.direction is Direction.DOWN and spared.get(event.id)
    ]
    if not down:
        return problem
    edges = np.concatenate([[0.0], np.cumsum(problem.step_s)[:-1]])
    starts = [problem.start + timedelta(seconds=float(edge)) for edge in edges]
    homes = []
    for home in problem.homes:
        share = np.zeros(len(starts))
        for event in down:
            one = spared[event.id].get(home.dwelling_id, 0.0)
            first, last = event.request.start, ends_at(event) + RECOVERY
            inside = np.array([first <= instant < last for instant in starts])
            share = np.maximum(share, np.where(inside, min(max(one, 0.0), 1.0), 0.0))
        plan = schedule.home(home.dwelling_id)
        if plan is None or not share.any():
            homes.append(home)
        else:
            homes.append(_spared(home, plan.room_c, share, problem.step_s))
    return replace(problem, homes=tuple(homes))


def _spared(
    home: HomeProblem, room_c: FloatArray, share: FloatArray, step_s: FloatArray
) -> HomeProblem:
    room = Room.of(
        home.loss_w_per_k,
        home.capacity_j_per_k,
        float(step_s[0]),
        home.outdoor_c + home.free_heat_w / home.loss_w_per_k,
    )
    path = thermostat_path(room, home.room_c, home.comfort_c, home.heat_max_w)
    raised = np.minimum(room_c, path) + share * np.maximum(path - room_c, 0.0)
    least = np.where(share > 0, raised, home.floor_c)
    return replace(home, floor_c=np.maximum(home.floor_c, least))


def plan_sparing(
    planner: Planner,
    problem: SchedulingProblem,
    events: Sequence[FlexEvent],
    spared: Spared,
    deadline_s: float,
) -> Schedule:
    """Return the plan that spares homes as far as no event's promise is missed for it.

    Where sparing costs more than `TRIFLE_W` of a promise, half of it is tried, then none.
    """
    without = planner.plan(problem, deadline_s)
    for scale in (1.0, 0.5):
        less = {
            event: {home: scale * share for home, share in homes.items()}
            for event, homes in spared.items()
        }
        eased = with_spared(problem, without, events, less)
        if eased is problem:
            break
        schedule = planner.plan(eased, deadline_s)
        if missed_w(schedule) <= missed_w(without) + TRIFLE_W:
            return schedule
    return without


def missed_w(schedule: Schedule) -> float:
    """Return by how much a plan misses its events at worst [W]; 0 where it keeps them."""
    return max((gave.worst for gave in schedule.gave_way if gave.limit == "event"), default=0.0)


def expected_homes(
    event_id: str,
    block: Block,
    problem: SchedulingProblem,
    schedule: Schedule,
    *,
    zone: ZoneInfo,
    rules: ControlRules,
    first: datetime,
    last: datetime,
) -> ExpectedHomes:
    """Return what a plan made without an event expects of homes in [first, last).

    Parameters
    ----------
    block
        With the schedules that residents chose.
    problem, schedule
        Posed and solved without the event; steps of half an hour. Half-hours that they do not
        reach are left out.
    """
    start = max(floor_to(first, HALF_HOUR_S), schedule.start)
    instants = [start + number * HALF_HOUR for number in range(max((last - start) // HALF_HOUR, 0))]
    steps = [(at, step) for at in instants if (step := schedule.index_at(at)) is not None]
    begins = {home.dwelling_id: home.room_c for home in problem.homes}
    homes = {home.id: home for home in block.dwellings}
    found = {}
    for plan in schedule.homes:
        dwelling = homes.get(plan.dwelling_id)
        if dwelling is None:
            continue
        ends = np.concatenate([[begins[plan.dwelling_id]], plan.room_c])
        means = (ends[:-1] + ends[1:]) / 2.0
        found[plan.dwelling_id] = ExpectedHome(
            room_c=tuple(round(float(means[step]), 3) for _, step in steps),
            asked_c=tuple(wanted_at(dwelling, at, zone, rules).comfort_c for at, _ in steps),
            power_w=tuple(round(float(plan.power_w[step]), 1) for _, step in steps),
        )
    return ExpectedHomes(event_id, start, found)
