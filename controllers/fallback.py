"""Own thermostats and an idle battery, as a plan: what happens where nobody plans."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from controllers.evaluation import Decision, Evaluation, evaluate
from controllers.model import most_export_kw, most_import_kw
from controllers.stacked import Stacked, stack
from ems.domain.forecasts import FloatArray
from ems.domain.plans import BatteryPlan, HomePlan, Schedule, SchedulingProblem
from ems.domain.setpoints import Cause

HOME_SENTENCE = "No plan was made: your heating keeps to your schedule by its own thermostat."
BATTERY_SENTENCE = "No plan was made: the battery rests."


def thermostat_decision(model: Stacked) -> Decision:
    """Return the heat with which each room ends each step at its schedule, where it can.

    An ideal thermostat in the planner's own model: it gives just what is needed, up to
    capacity, and nothing where the room is warm enough.
    """
    heat = np.empty((model.homes, model.steps))
    room = model.room_c
    for step in range(model.steps):
        coasting = model.decay[:, step] * room + model.drift_k[:, step]
        wanted = (model.comfort_c[:, step] - coasting) / model.gain_k_per_kw[:, step]
        heat[:, step] = np.clip(wanted, 0.0, model.heat_max_kw[:, step])
        room = coasting + model.gain_k_per_kw[:, step] * heat[:, step]
    return Decision(heat, np.zeros(model.steps))


def fallback_schedule(problem: SchedulingProblem) -> Schedule:
    """Return "own thermostats, battery idle" as a plan of status ``fallback``.

    Its prices are the plain energy prices: nothing was optimised, so no limit has a dual.

    Raises
    ------
    InvalidInputError
        Where the problem itself is broken.
    """
    model = stack(problem)
    decision = thermostat_decision(model)
    homes = [(Cause.NO_PLAN,) * model.steps for _ in problem.homes]
    return to_schedule(
        model,
        decision,
        evaluate(model, decision),
        status="fallback",
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
    bound_gbp: float,
    price: FloatArray,
    home_reasons: Sequence[Reasons],
    battery_reasons: Reasons,
    heat_value: FloatArray | None = None,
    solve_s: float = 0.0,
) -> Schedule:
    """Return a decision as the `Schedule` that the service keeps and shows."""
    problem = model.problem
    power_w = decision.heat_kw / model.cop * 1000.0
    homes = tuple(
        HomePlan(
            dwelling_id=home.dwelling_id,
            heat_w=decision.heat_kw[row] * 1000.0,
            power_w=power_w[row],
            room_c=found.rooms_c[row],
            cause=home_reasons[row][0],
            sentence=home_reasons[row][1],
            heat_value_gbp_per_kwh=None if heat_value is None else heat_value[row],
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
        base = np.array([home.base_w for home in problem.homes]).reshape(model.cop.shape) / 1000.0
        heating = np.minimum(model.home_price * model.heat_max_kw / model.cop, 0.0)
        bound += float(np.sum(dt * (model.home_price * base + heating)))
    if problem.battery is not None:
        battery = problem.battery
        fullest = max(battery.max_wh, battery.energy_wh) / 1000.0
        bound -= max(battery.terminal_gbp_per_kwh * fullest, 0.0)
    hottest = model.rooms(model.heat_max_kw)[:, -1]
    coldest = model.rooms(np.zeros_like(model.heat_max_kw))[:, -1]
    worth = np.maximum(
        model.terminal_gbp_per_k * (hottest - model.floor_c[:, -1]),
        model.terminal_gbp_per_k * (coldest - model.floor_c[:, -1]),
    )
    return bound - float(np.sum(worth))
