"""The planner of this version: one linear or mixed-integer programme a block, solved by HiGHS.

What is not linear is first left out: a meter must not import and export at once, which would pay
where export is paid better than import costs; a battery must not charge and discharge at once,
which would pay where burning energy is rewarded; a heat pump may be on or off; a legionella
cycle chooses its time. The relaxation gives the bound and the prices. Where homes have discrete
parts, its rooms are followed by rules, the linear programme is solved again with what these
switched, and HiGHS's search starts from there; for the first two, binaries are added in just the
steps where the solution does both at once.

The better plan, judged by :mod:`controllers.evaluation`, is returned; never a worse one than
own thermostats with an idle battery. It is the oracle of tests and benches for every class.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from zoneinfo import ZoneInfo

import numpy as np
from highspy import Highs, HighsModelStatus, HighsSolution

from controllers.evaluation import Decision, Evaluation, evaluate
from controllers.fallback import Reasons, fallback_schedule, thermostat_decision, to_schedule
from controllers.model import build
from controllers.programme import IndexArray, Programme
from controllers.reading import both_ways_of, decision_of, prices_of, sides
from controllers.reasons import Prices, battery_reasons, home_reasons
from controllers.stacked import Stacked, stack
from controllers.thermostats import follow
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
SEARCH: dict[str, bool | float | str] = {
    "output_flag": False,
    "mip_rel_gap": 1e-4,
    "mip_heuristic_run_feasibility_jump": False,
}
"""Options where homes have discrete parts: there HiGHS's own search and presolve are worth it, but
for a heuristic that looks at no clock and finds a first solution, which is given."""
MAX_ROUNDS = 3
"""How often binaries are added."""


@dataclass(frozen=True, slots=True, eq=False)
class Solution:
    """What HiGHS found; ``bound_gbp`` is minus infinity where it proved none."""

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


class _Time:
    """What is left of a deadline: by a clock, or without one by the solver's own seconds."""

    def __init__(self, deadline_s: float, clock: Callable[[], float] | None) -> None:
        self._clock = clock
        self._begin = 0.0 if clock is None else clock()
        self._deadline_s = deadline_s
        self._solver_s = 0.0

    def add(self, solver_s: float) -> None:
        """Count seconds that the solver took."""
        self._solver_s += solver_s

    @property
    def spent(self) -> float:
        """Seconds since the start."""
        return self._solver_s if self._clock is None else self._clock() - self._begin

    @property
    def left(self) -> float:
        """Seconds until the deadline; not above a million, which is no deadline."""
        return min(self._deadline_s - self.spent, 1e6)


class HighsPlanner:
    """Fills :class:`ems.domain.plans.Planner` with HiGHS.

    Parameters
    ----------
    zone
        Time zone of the sentences; ``None``: no causes and no sentences.
    clock
        Seconds that never run backwards, looked at before each piece of work; ``None``: only the
        solver's own seconds count.
    threads
        That HiGHS may use.

    Examples
    --------
    >>> from zoneinfo import ZoneInfo
    >>> planner = HighsPlanner(ZoneInfo("Europe/London"))
    """

    def __init__(
        self,
        zone: ZoneInfo | None,
        *,
        clock: Callable[[], float] | None = None,
        threads: int = 1,
    ) -> None:
        self._zone = zone
        self._clock = clock
        self._threads = threads

    def plan(self, problem: SchedulingProblem, deadline_s: float) -> Schedule:
        """Return the best plan found within ``deadline_s`` seconds.

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
        time = _Time(deadline_s, self._clock)
        model = stack(problem)
        best = _Search(model, time, self._threads).best()
        if best is None:
            return fallback_schedule(problem, model)
        objective = best.found.objective_gbp
        proven = objective - best.bound_gbp <= 1e-3 * best.found.costs.scale_gbp
        told: tuple[Sequence[Reasons], Reasons] = [((), ())] * model.homes, ((), ())
        if self._zone is not None:
            given = model, best.decision, best.found, best.prices, self._zone
            told = home_reasons(*given), battery_reasons(*given)
        return to_schedule(
            model,
            best.decision,
            best.found,
            status="optimal" if proven else "feasible",
            solver="linear programme",
            bound_gbp=best.bound_gbp,
            price=best.prices.shared,
            home_reasons=told[0],
            battery_reasons=told[1],
            heat_value=best.prices.heat,
            solve_s=time.spent,
        )


class _Search:
    """One problem on its way to a plan."""

    def __init__(self, model: Stacked, time: _Time, threads: int) -> None:
        self._model = model
        self._time = time
        self._threads = threads
        self._relaxed_s = 0.0

    def best(self) -> _Best | None:
        """Return the best plan; ``None`` where time ran out before any."""
        model = self._model
        programme = build(model)
        relaxed = self._run(programme, integral=False)
        if relaxed.status != HighsModelStatus.kOptimal:
            return None
        self._relaxed_s = relaxed.seconds
        discrete = bool(programme.binaries.size)
        decision, at_once = decision_of(model, programme, relaxed.columns)
        if discrete:
            decision = self._switched(decision)
        best = _Best(
            decision,
            evaluate(model, decision),
            relaxed.bound_gbp,
            prices_of(model, programme, relaxed.columns, relaxed.row_duals),
        )
        both_ways = both_ways_of(programme, relaxed.columns)
        if discrete:
            best = self._fixed(programme, best)
        if discrete or at_once.size or both_ways.size:
            best = self._with_binaries(best, both_ways, at_once)
        own = thermostat_decision(model)
        own_found = evaluate(model, own)
        if own_found.objective_gbp < best.found.objective_gbp:
            best = replace(best, decision=own, found=own_found)
        return best

    def _switched(self, relaxed: Decision) -> Decision:
        """Return a decision whose heat pumps are on or off, near a relaxed one."""
        model = self._model
        rooms = model.rooms(relaxed.heat_kw)
        wanted = model.tanks.wanted_kwh()
        if relaxed.pump_kw is not None and relaxed.backup_kw is not None:
            held = model.tanks.energies(relaxed.pump_kw, relaxed.backup_kw)
            due = model.tanks.hygiene_kwh > 0
            wanted = np.where(due[:, None], wanted, held)
        return replace(follow(model, rooms, wanted), battery_kw=relaxed.battery_kw)

    def _fixed(self, programme: Programme, best: _Best) -> _Best:
        """Return the best plan in which all that is discrete stands as in ``best``."""
        values = sides(self._model, programme, best.decision, best.found)
        return self._better(programme, best, self._run(programme, fix=values))

    def _better(self, programme: Programme, best: _Best, solution: Solution) -> _Best:
        if solution.columns.size == 0:
            return best
        decision, _ = decision_of(self._model, programme, solution.columns)
        found = evaluate(self._model, decision)
        if found.objective_gbp > best.found.objective_gbp:
            return best
        best = replace(best, decision=decision, found=found)
        if solution.row_duals.size:
            prices = prices_of(self._model, programme, solution.columns, solution.row_duals)
            best = replace(best, prices=prices)
        return best

    def _with_binaries(self, best: _Best, one_way: IndexArray, exclusive: IndexArray) -> _Best:
        """Decide what is discrete; forbid two things at once where they occur."""
        for _ in range(MAX_ROUNDS):
            programme = build(self._model, one_way=one_way, exclusive=exclusive)
            start = sides(self._model, programme, best.decision, best.found)
            solution = self._run(programme, start=start)
            best = replace(best, bound_gbp=max(best.bound_gbp, solution.bound_gbp))
            if solution.columns.size == 0:
                break
            before = best
            best = self._better(programme, best, solution)
            if best is not before:
                # again with the binaries where they stand, for the prices
                best = self._better(programme, best, self._run(programme, fix=solution.columns))
            _, at_once = decision_of(self._model, programme, solution.columns)
            both_ways = both_ways_of(programme, solution.columns)
            if not at_once.size and not both_ways.size:
                break
            exclusive = np.union1d(exclusive, at_once).astype(np.int32)
            one_way = np.union1d(one_way, both_ways).astype(np.int32)
        return best

    def _run(
        self,
        programme: Programme,
        *,
        integral: bool = True,
        fix: FloatArray | None = None,
        start: FloatArray | None = None,
    ) -> Solution:
        """Solve; with ``fix``, as a linear programme whose binaries stand where they were.

        Nothing is begun after the deadline. With ``start``, HiGHS first solves a linear programme
        that its limit does not count; it takes about as long as the relaxation took.
        """
        left = self._time.left - (0.0 if start is None else self._relaxed_s)
        if left <= 0:
            return NOTHING
        solution = run(
            programme,
            left,
            integral=integral,
            fix=fix,
            start=start,
            threads=self._threads,
            options=OPTIONS if self._model.plain or not integral or fix is not None else SEARCH,
        )
        self._time.add(solution.seconds)
        return solution


NOTHING = Solution(HighsModelStatus.kTimeLimit, np.empty(0), np.empty(0), np.inf, -np.inf, 0.0)


def run(
    programme: Programme,
    limit_s: float,
    *,
    integral: bool = True,
    fix: FloatArray | None = None,
    start: FloatArray | None = None,
    threads: int = 1,
    options: Mapping[str, bool | float | str] = OPTIONS,
) -> Solution:
    """Pass a programme to HiGHS and return what it found within ``limit_s``.

    Parameters
    ----------
    integral
        Whether binaries count; without, the relaxation is solved.
    fix
        Values of all columns; binaries are fixed there and the rest is linear.
    start
        Values of all columns, of which those of binaries are tried first.
    """
    integral = integral and fix is None and bool(programme.binaries.size)
    solver = Highs()  # type: ignore[no-untyped-call] # highspy does not type its constructor
    solver.setOptionValue("threads", threads)
    solver.setOptionValue("time_limit", float(limit_s))
    for option, value in options.items():
        solver.setOptionValue(option, value)
    solver.passModel(programme.to_highs(integral=integral))
    binaries = programme.binaries
    if fix is not None and binaries.size:
        at = np.clip(np.round(fix[binaries]), 0.0, 1.0)
        solver.changeColsBounds(binaries.size, binaries, at, at)
    if integral and start is not None:
        solver.setSolution(binaries.size, binaries, np.round(start[binaries]))
    solver.run()
    status = solver.getModelStatus()
    info = solver.getInfo()
    solved = status == HighsModelStatus.kOptimal
    usable = solved or (integral and np.isfinite(info.objective_function_value))
    solution: HighsSolution = solver.getSolution()
    bound = info.mip_dual_bound if integral else info.objective_function_value
    if (not integral and not solved) or fix is not None or not np.isfinite(bound):
        bound = -np.inf
    return Solution(
        status=status,
        columns=np.array(solution.col_value) if usable else np.empty(0),
        row_duals=np.array(solution.row_dual) if solved and not integral else np.empty(0),
        objective_gbp=float(info.objective_function_value) + programme.offset_gbp,
        bound_gbp=float(bound) + programme.offset_gbp,
        seconds=float(solver.getRunTime()),
    )
