"""Own thermostats and an idle battery, as a plan: what happens where nobody plans."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from controllers.course import courses
from controllers.evaluation import Decision, Evaluation, evaluate, home_rate, running, tank_heat
from controllers.model import most_export_kw, most_import_kw
from controllers.model_homes import most_power_kw
from controllers.stacked import Stacked, stack
from controllers.thermostats import follow
from ems.domain.forecasts import FloatArray
from ems.domain.plans import (
    BatteryPlan,
    EventCeiling,
    HomePlan,
    PlanLimits,
    Schedule,
    SchedulingProblem,
)
from ems.domain.setpoints import Cause

HOME_SENTENCE = "No plan was made: your heating keeps to your schedule by its own thermostat."
SURPLUS_SHARE = 0.8
"""A battery charges from generation alone where so much of its power is left over [-]."""
BATTERY_SENTENCE = "No plan was made: the battery rests."


def thermostat_decision(model: Stacked) -> Decision:
    """Return what own thermostats do with rooms and tanks, the battery at rest."""
    return follow(model, model.comfort_c, model.tanks.wanted_kwh())


def fallback_schedule(problem: SchedulingProblem, model: Stacked | None = None) -> Schedule:
    """Return "own thermostats, battery idle" as a plan of status ``fallback``.

    ``model`` is the problem as arrays, where it is at hand.

    Its prices are the plain energy prices: nothing was optimised, so no limit has a dual.

    Raises
    ------
    InvalidInputError
        Where the problem itself is broken.
    """
    model = model or stack(problem)
    decision = thermostat_decision(model)
    homes = [(Cause.NO_PLAN,) * model.steps for _ in problem.homes]
    return to_schedule(
        model,
        decision,
        evaluate(model, decision),
        status="fallback",
        solver="thermostats",
        bound_gbp=crude_bound_gbp(model),
        price=np.array(problem.import_gbp_per_kwh, dtype=np.float64),
        home_reasons=[(causes, (HOME_SENTENCE,) * model.steps) for causes in homes],
        battery_reasons=((Cause.NO_PLAN,) * model.steps, (BATTERY_SENTENCE,) * model.steps),
    )


Reasons = tuple[tuple[Cause, ...], tuple[str, ...]]


def to_schedule(
    model: Stacked,
    decision: Decision,
    found: Evaluation,
    *,
    status: str,
    solver: str,
    bound_gbp: float,
    price: FloatArray,
    home_reasons: Sequence[Reasons],
    battery_reasons: Reasons,
    heat_value: FloatArray | None = None,
    solve_s: float = 0.0,
) -> Schedule:
    """Return a decision as the `Schedule` that the service keeps and shows."""
    problem = model.problem
    power_w = found.power_kw * 1000.0
    fabric = {int(row): found.masses_c[k] for k, row in enumerate(model.fabric.rows)}
    tank = {int(row): k for k, row in enumerate(model.tanks.rows)}
    pump, backup = tank_heat(model, decision)
    on = running(model, decision) if np.any(model.pumps.discrete) else None
    course = courses(model, decision, found)
    homes = tuple(
        HomePlan(
            dwelling_id=home.dwelling_id,
            heat_w=decision.heat_kw[row] * 1000.0,
            power_w=power_w[row],
            room_c=found.rooms_c[row],
            cause=home_reasons[row][0],
            sentence=home_reasons[row][1],
            heat_value_gbp_per_kwh=None if heat_value is None else heat_value[row],
            on=on[row] if on is not None and model.pumps.discrete[row] else None,
            mass_c=fabric.get(row),
            tank_heat_w=pump[tank[row]] * 1000.0 if row in tank else None,
            backup_w=backup[tank[row]] * 1000.0 if row in tank else None,
            tank_wh=found.tanks_kwh[tank[row]] * 1000.0 if row in tank else None,
            course=course[row],
        )
        for row, home in enumerate(problem.homes)
    )
    battery = None
    if problem.battery is not None:
        battery = BatteryPlan(
            power_w=decision.battery_kw * 1000.0,
            energy_wh=found.energy_kwh * 1000.0,
            cause=battery_reasons[0],
            sentence=battery_reasons[1],
            surplus=tuple(_from_surplus(decision, found)),
        )
    return Schedule(
        id=f"{problem.issued_at:%Y%m%dT%H%M%S.%f}Z-{problem.block_id}",
        block_id=problem.block_id,
        issued_at=problem.issued_at,
        start=problem.start,
        step_s=np.array(problem.step_s, dtype=np.float64),
        homes=homes,
        battery=battery,
        import_w=found.feeder_kw * 1000.0,
        price_gbp_per_kwh=price,
        objective_gbp=found.objective_gbp,
        bound_gbp=min(bound_gbp, found.objective_gbp),
        status=status,
        gave_way=found.gave_way,
        solve_s=solve_s,
        lacked=problem.lacked,
        solver=solver,
        limits=_limits(problem),
        costs=found.costs,
    )


def _from_surplus(decision: Decision, found: Evaluation) -> list[bool]:
    """Return in which steps the battery charges from generation, all but a little."""
    flow = decision.battery_kw
    own = (flow > 0) & (flow - found.shared_kw >= SURPLUS_SHARE * flow)
    return [bool(each) for each in own]


def _limits(problem: SchedulingProblem) -> PlanLimits:
    margin = problem.import_margin_w
    return PlanLimits(
        physical_import_w=problem.physical_import_w,
        contracted_import_w=problem.contracted_import_w,
        export_w=problem.export_limit_w,
        margin_w=np.zeros(len(problem.step_s)) if margin is None else margin,
        recovery_w=problem.recovery_import_w,
        events=tuple(
            EventCeiling(
                event_id=event.event_id,
                direction=event.direction,
                limit_w=event.limit_w,
                homes=len(event.participants),
                battery=event.battery,
            )
            for event in problem.events
        ),
    )


def crude_bound_gbp(model: Stacked) -> float:
    """Return a lower bound that needs no solver [£]: every part at its own cheapest.

    Penalties are at least nothing, energy costs at least what the cheapest possible flow
    of each step costs, and what is left at the end is worth at most what full heating and
    a full battery leave.
    """
    problem = model.problem
    dt = model.dt_h
    most_in, most_out = most_import_kw(model), most_export_kw(model)
    least = np.minimum(problem.import_gbp_per_kwh * most_in, 0.0) - np.maximum(
        problem.export_gbp_per_kwh * most_out, 0.0
    )
    bound = float(np.sum(dt * least))
    if not problem.pooled:
        most = most_power_kw(model)
        edges = np.stack([home_rate(model, np.zeros_like(most)), home_rate(model, most)])
        cheapest = edges.min(axis=0)
        # where own sun is netted off, nothing drawn and nothing given may be cheaper still
        cheapest = np.where(model.nets_off[:, None], np.minimum(cheapest, 0.0), cheapest)
        bound += float(np.sum(dt * cheapest))
    if problem.battery is not None:
        battery = problem.battery
        fullest = max(battery.max_wh, battery.energy_wh) / 1000.0
        bound -= max(battery.terminal_gbp_per_kwh * fullest, 0.0)
    hottest, hot_mass = model.states(model.heat_max_kw)
    coldest, cold_mass = model.states(np.zeros_like(model.heat_max_kw))
    worth = np.maximum(
        model.terminal_gbp_per_k * (hottest - model.floor_c)[:, -1],
        model.terminal_gbp_per_k * (coldest - model.floor_c)[:, -1],
    )
    heavy = np.maximum(
        *(
            model.mass_gbp_per_k * (mass - model.floor_c[model.fabric.rows])[:, -1]
            for mass in (hot_mass, cold_mass)
        )
    )
    water = model.tanks.terminal_gbp_per_kwh * model.tanks.top_kwh[:, -1]
    return bound - float(np.sum(worth) + np.sum(heavy) + np.sum(water))
