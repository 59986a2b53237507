"""Planning for other programs: arrays in, arrays out, nothing else needed.

``docs/library.md`` shows it. Names here and those that :mod:`controllers` exports stay.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import replace
from zoneinfo import ZoneInfo

import numpy as np

from controllers.checking import decided, faults
from controllers.evaluation import evaluate, power_of
from controllers.joint import JointPlanner
from controllers.stacked import stack
from ems.domain.plans import Planner, Schedule, SchedulingProblem, TerminalCase

TERMINAL_SCALES = (0.75, 1.25)
FIRST_HOURS = 2.0
TOLERANCE_GBP = 1e-6
TOLERANCE_W = 0.1
TOLERANCE_K = 1e-6


def plan(
    problem: SchedulingProblem,
    deadline_s: float = 5.0,
    *,
    zone: ZoneInfo | None = None,
    sensitivity: bool = False,
    clock: Callable[[], float] = time.monotonic,
    threads: int | None = None,
) -> Schedule:
    """Return the best plan of a block that is found within a deadline.

    Parameters
    ----------
    problem
        What is to be planned.
    deadline_s
        Wall seconds; when they are over the best plan so far is returned. It never ends
        without one: at worst own thermostats with an idle battery (status ``fallback``).
    zone
        Where the homes are, for a sentence a step and home that says why; ``None``: none.
    sensitivity
        Whether to tell how the plan would change with other values of what is left at the end;
        of a problem that takes all the time there is, a part is kept for that.
    clock
        Seconds that never run backwards.
    threads
        That may be used; all cores where left out.

    Raises
    ------
    InvalidInputError
        Where the problem is broken: wrong shapes, ``nan``, no physical meaning. A start outside
        its band, an event that cannot be met or a capacity of zero is no fault.
    """
    begin = clock()
    planner = JointPlanner(zone, clock=clock, threads=threads)
    share = 0.6 if sensitivity else 1.0
    schedule = planner.plan(problem, share * deadline_s)
    if not sensitivity:
        return schedule
    quick = JointPlanner(None, clock=clock, threads=threads)
    return with_sensitivity(
        problem, schedule, quick, lambda: deadline_s - (clock() - begin), TERMINAL_SCALES
    )


def with_sensitivity(
    problem: SchedulingProblem,
    schedule: Schedule,
    planner: Planner,
    left_s: Callable[[], float],
    scales: tuple[float, ...] = TERMINAL_SCALES,
) -> Schedule:
    """Return a plan with its sensitivity to the values of what is left at the end.

    The block is planned again with all of them scaled; cases for which time does not suffice
    are left out.

    Parameters
    ----------
    left_s
        Wall seconds that may still be spent.
    """
    model = stack(problem)
    first = decided(model, schedule)
    hours = np.cumsum(model.dt_h) - model.dt_h
    early = hours < FIRST_HOURS
    weight = model.dt_h[early] / np.sum(model.dt_h[early])
    cases = []
    for number, scale in enumerate(scales):
        share = left_s() / (len(scales) - number)
        if share <= 0 or schedule.status == "fallback":
            break
        other = planner.plan(scaled(problem, scale), share)
        if other.status == "fallback":
            break
        decision = decided(model, other)
        change = np.abs(power_of(model, decision) - power_of(model, first)).sum(axis=0)
        change = 1000.0 * (change + np.abs(decision.battery_kw - first.battery_kw))
        cases.append(
            TerminalCase(
                scale=scale,
                objective_gbp=other.objective_gbp,
                kept_gbp=evaluate(model, decision).objective_gbp,
                first_change_w=float(np.sum(change[early] * weight)),
            )
        )
    return replace(schedule, terminal=tuple(cases))


def scaled(problem: SchedulingProblem, scale: float) -> SchedulingProblem:
    """Return a problem whose values of what is left at the end are multiplied by ``scale``."""
    homes = tuple(
        replace(
            home,
            terminal_gbp_per_kwh=scale * home.terminal_gbp_per_kwh,
            tank=None
            if home.tank is None
            else replace(home.tank, terminal_gbp_per_kwh=scale * home.tank.terminal_gbp_per_kwh),
        )
        for home in problem.homes
    )
    battery = problem.battery
    if battery is not None:
        battery = replace(battery, terminal_gbp_per_kwh=scale * battery.terminal_gbp_per_kwh)
    return replace(problem, homes=homes, battery=battery)


def check(problem: SchedulingProblem, schedule: Schedule) -> tuple[str, ...]:
    """Return in words what is wrong with a plan of ``problem``; nothing where it is valid.

    Everything is reckoned anew from what the plan decides: rooms, tanks, battery, import and
    objective must be what the plan says they are, and nothing may be done that is physically or
    by rule impossible. Limits that gave way are no fault if the plan names them.
    """
    model = stack(problem)
    decision = decided(model, schedule)
    found = evaluate(model, decision)
    told = list(faults(model, decision))
    scale = max(abs(found.objective_gbp), 1.0)
    if abs(schedule.objective_gbp - found.objective_gbp) > TOLERANCE_GBP * scale:
        told.append(f"objective: {schedule.objective_gbp:g}, reckoned {found.objective_gbp:g}")
    if schedule.bound_gbp > found.objective_gbp + TOLERANCE_GBP * scale:
        told.append(f"bound: {schedule.bound_gbp:g} is above {found.objective_gbp:g}")
    if np.max(np.abs(schedule.import_w - 1000.0 * found.feeder_kw)) > TOLERANCE_W:
        told.append("import: not what follows from the decisions")
    for row, home in enumerate(schedule.homes):
        if np.max(np.abs(home.room_c - found.rooms_c[row])) > TOLERANCE_K:
            told.append(f"{home.dwelling_id}: room is not what follows from its heat")
    if {(g.limit, g.subject) for g in found.gave_way} != {
        (g.limit, g.subject) for g in schedule.gave_way
    }:
        told.append("gave_way: not the limits that were not kept")
    return tuple(told)
