"""The planner of this version: one linear programme a block, solved by HiGHS.

Two things are not linear: a meter must not import and export at once, which would pay where
export is paid better than import costs, and a battery must not charge and discharge at once,
which would pay where burning energy is rewarded. Both are first left out. Where the solution
does either, binaries are added in just those steps and the time that is left is spent on it.
The better plan, judged by :mod:`controllers.evaluation`, is returned; never a worse one than
own thermostats with an idle battery.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from zoneinfo import ZoneInfo

import numpy as np
from highspy import Highs, HighsModelStatus, HighsSolution

from controllers.evaluation import Decision, Evaluation, evaluate
from controllers.fallback import fallback_schedule, thermostat_decision, to_schedule
from controllers.model import NO_INDEX, IndexArray, Programme, build
from controllers.reasons import Prices, battery_reasons, home_reasons
from controllers.stacked import Stacked, stack
from ems.domain.errors import InvalidInputError
from ems.domain.forecasts import FloatArray
from ems.domain.plans import Schedule, SchedulingProblem

OPTIONS: dict[str, bool | float | str] = {
    "output_flag": False,
    "presolve": "off",
    "mip_rel_gap": 1e-4,
    "mip_heuristic_effort": 0.0,
    "mip_heuristic_run_feasibility_jump": False,
    "mip_heuristic_run_rens": False,
    "mip_heuristic_run_rins": False,
    "mip_heuristic_run_root_reduced_cost": False,
    "mip_detect_symmetry": False,
    "mip_allow_restart": False,
}
"""Solver options. The model is small and tight and a plan is at hand before any binary is
added, so presolve and the search for first solutions cost more than they give."""
TRACE_KW = 1e-6
"""Less than this [kW] is a solver's rounding, not a flow."""
MAX_ROUNDS = 3
"""How often binaries are added."""


@dataclass(frozen=True, slots=True, eq=False)
class _Solution:
    status: HighsModelStatus
    columns: FloatArray
    row_duals: FloatArray
    objective_gbp: float
    bound_gbp: float
    seconds: float


@dataclass(frozen=True, slots=True, eq=False)
class _Best:
    decision: Decision
    found: Evaluation
    bound_gbp: float
    prices: Prices
    seconds: float


class HighsPlanner:
    """Fills :class:`ems.domain.plans.Planner` with HiGHS.

    Parameters
    ----------
    zone
        Time zone of the sentences.

    Examples
    --------
    >>> from zoneinfo import ZoneInfo
    >>> planner = HighsPlanner(ZoneInfo("Europe/London"))
    """

    def __init__(self, zone: ZoneInfo) -> None:
        self._zone = zone

    def plan(self, problem: SchedulingProblem, deadline_s: float) -> Schedule:
        """Return the best plan found within ``deadline_s`` seconds of solving.

        ``optimal`` within 0.1 % of the bound, ``feasible`` where time ran out before that
        was proven, ``fallback`` (own thermostats, idle battery) where it ran out before any
        plan was found.

        Raises
        ------
        InvalidInputError
            Where the problem is broken: wrong shapes, ``nan``, no physical meaning.
        """
        if np.isnan(deadline_s):
            raise InvalidInputError(
                "a deadline must be a number",
                field="deadline_s",
                value=deadline_s,
                remedy="Give seconds; 0 returns the fallback at once.",
            )
        model = stack(problem)
        best = _solve(model, deadline_s) if deadline_s > 0 else None
        if best is None:
            return fallback_schedule(problem)
        objective = best.found.objective_gbp
        proven = objective - best.bound_gbp <= 1e-3 * max(abs(objective), 1.0)
        return to_schedule(
            model,
            best.decision,
            best.found,
            status="optimal" if proven else "feasible",
            bound_gbp=best.bound_gbp,
            price=best.prices.shared,
            home_reasons=home_reasons(model, best.decision, best.found, best.prices, self._zone),
            battery_reasons=battery_reasons(
                model, best.decision, best.found, best.prices, self._zone
            ),
            heat_value=best.prices.heat,
            solve_s=best.seconds,
        )


def _solve(model: Stacked, deadline_s: float) -> _Best | None:
    programme = build(model)
    solution = _run(programme, deadline_s)
    if solution.status != HighsModelStatus.kOptimal:
        return None
    decision, at_once = _decision(model, programme, solution)
    best = _Best(
        decision,
        evaluate(model, decision),
        solution.bound_gbp,
        _prices(model, programme, solution),
        solution.seconds,
    )
    both_ways = _both_ways(programme, solution)
    if at_once.size or both_ways.size:
        best = _with_binaries(model, best, both_ways, at_once, deadline_s)
    own = thermostat_decision(model)
    own_found = evaluate(model, own)
    if own_found.objective_gbp < best.found.objective_gbp:
        best = replace(best, decision=own, found=own_found)
    return best


def _with_binaries(
    model: Stacked, best: _Best, one_way: IndexArray, exclusive: IndexArray, deadline_s: float
) -> _Best:
    """Forbid two things at once where they occurred, until they no longer do."""
    for _ in range(MAX_ROUNDS):
        left = deadline_s - best.seconds
        if left <= 0:
            break
        programme = build(model, one_way=one_way, exclusive=exclusive)
        solution = _run(programme, left)
        best = replace(
            best,
            seconds=best.seconds + solution.seconds,
            bound_gbp=max(best.bound_gbp, solution.bound_gbp),
        )
        if solution.columns.size == 0:
            break
        decision, at_once = _decision(model, programme, solution)
        found = evaluate(model, decision)
        if found.objective_gbp <= best.found.objective_gbp:
            fixed = _run(programme, max(left, 1.0), fix=solution.columns)
            best = replace(
                best, decision=decision, found=found, seconds=best.seconds + fixed.seconds
            )
            if fixed.status == HighsModelStatus.kOptimal:
                best = replace(best, prices=_prices(model, programme, fixed))
        both_ways = _both_ways(programme, solution)
        if not at_once.size and not both_ways.size:
            break
        exclusive = np.union1d(exclusive, at_once).astype(np.int32)
        one_way = np.union1d(one_way, both_ways).astype(np.int32)
    return best


def _run(programme: Programme, limit_s: float, fix: FloatArray | None = None) -> _Solution:
    """Solve; with ``fix``, as a linear programme whose binaries stand where they were."""
    solver = Highs()  # type: ignore[no-untyped-call] # highspy does not type its constructor
    solver.setOptionValue("threads", 1)
    solver.setOptionValue("time_limit", float(min(limit_s, 1e6)))
    for option, value in OPTIONS.items():
        solver.setOptionValue(option, value)
    kept = programme.binaries
    if fix is not None:
        programme.binaries = NO_INDEX
    linear = programme.binaries.size == 0 or fix is not None
    solver.passModel(programme.to_highs())
    programme.binaries = kept
    if fix is not None:
        for column in kept:
            side = float(round(fix[int(column)]))
            solver.changeColBounds(int(column), side, side)
    solver.run()
    status = solver.getModelStatus()
    info = solver.getInfo()
    solved = status == HighsModelStatus.kOptimal
    usable = solved or (not linear and np.isfinite(info.objective_function_value))
    solution: HighsSolution = solver.getSolution()
    bound = info.objective_function_value if linear else info.mip_dual_bound
    if (linear and not solved) or not np.isfinite(bound):
        bound = -np.inf
    return _Solution(
        status=status,
        columns=np.array(solution.col_value) if usable else np.empty(0),
        row_duals=np.array(solution.row_dual) if solved else np.empty(0),
        objective_gbp=float(info.objective_function_value) + programme.offset_gbp,
        bound_gbp=float(bound) + programme.offset_gbp,
        seconds=float(solver.getRunTime()),
    )


def _decision(
    model: Stacked, programme: Programme, solution: _Solution
) -> tuple[Decision, IndexArray]:
    """Return the decision, and the steps in which the battery did two things at once.

    There, the flow that stores the same energy without the detour takes their place: it
    draws less and needs no more power.
    """
    heat = np.clip(solution.columns[programme.heat], 0.0, model.heat_max_kw)
    battery = model.problem.battery
    if battery is None:
        return Decision(heat, np.zeros(model.steps)), NO_INDEX
    charge = np.clip(solution.columns[programme.charge], 0.0, battery.max_charge_w / 1000.0)
    discharge = np.clip(
        solution.columns[programme.discharge], 0.0, battery.max_discharge_w / 1000.0
    )
    at_once = np.flatnonzero(np.minimum(charge, discharge) > TRACE_KW).astype(np.int32)
    efficiency = battery.one_way_efficiency
    stored = charge * efficiency - discharge / efficiency
    flow = np.where(stored > 0, stored / efficiency, stored * efficiency)
    return Decision(heat, np.where(np.abs(flow) > TRACE_KW, flow, 0.0)), at_once


def _both_ways(programme: Programme, solution: _Solution) -> IndexArray:
    """Return the steps in which the shared meter would import and export at once."""
    bought = np.sum([solution.columns[column] for column in programme.bought], axis=0)
    sold = np.sum([solution.columns[column] for column in programme.sold], axis=0)
    return np.flatnonzero(np.minimum(bought, sold) > TRACE_KW).astype(np.int32)


def _prices(model: Stacked, programme: Programme, solution: _Solution) -> Prices:
    """Read marginal prices off the duals, for one more kWh in each place and step."""
    problem = model.problem
    dt = model.dt_h
    shared = -solution.row_duals[programme.shared_row] / dt
    limit = np.zeros(model.steps)
    if problem.pooled:
        homes = np.broadcast_to(shared, model.cop.shape)
    else:
        if programme.feeder_row.size:
            limit = -solution.row_duals[programme.feeder_row] / dt
        homes = model.home_price + limit
        shared = shared + limit
    heat = -solution.row_duals[programme.room_row] * model.gain_k_per_kw / dt
    peak = np.zeros(model.steps)
    for charge, row in zip(model.peaks, programme.peak_rows, strict=True):
        peak[charge.steps] -= solution.row_duals[row] / dt[charge.steps]
    imported = np.zeros(model.steps)
    for column in programme.into:
        imported += solution.columns[column]
    carbon = np.where(imported > TRACE_KW, model.carbon_gbp_per_kwh, 0.0)
    events = np.zeros((len(model.events), model.steps))
    for number, (event, row) in enumerate(zip(model.events, programme.event_rows, strict=True)):
        events[number, event.steps] = -solution.row_duals[row] / dt[event.steps]
    return Prices(
        shared=np.asarray(shared),
        homes=np.asarray(homes),
        heat=np.asarray(heat),
        peak=peak,
        carbon=carbon,
        events=events,
    )
