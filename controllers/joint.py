"""The planner of many homes: prices from a small master, answers from a kernel.

Homes touch each other only through the block's electricity. At given prices each finds its
cheapest heating alone and exactly (:mod:`ext.store`); a master (:mod:`controllers.master`) mixes
the answers under the block's limits, together with the battery, and its duals are new prices.
Every round brings a feasible plan and a proven bound; it ends when they are close enough or time
is up. docs/scheduling.md has the maths.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from zoneinfo import ZoneInfo

import numpy as np

from controllers.evaluation import Decision, Evaluation, evaluate
from controllers.fallback import (
    Reasons,
    crude_bound_gbp,
    fallback_schedule,
    thermostat_decision,
    to_schedule,
)
from controllers.heavy import Heavy
from controllers.hygiene import due_of
from controllers.linear import HighsPlanner
from controllers.master import Master, Mixture, column_of
from controllers.pricing import Pricing, column
from controllers.reading import battery_of, both_ways_of, prices_of
from controllers.reasons import Prices, battery_reasons, home_reasons
from controllers.simplified import followed, simplified
from controllers.stacked import Stacked, stack
from controllers.states import can_be_states
from controllers.stores import can_be_stores, heat_values
from controllers.switching import Switched, can_switch
from ems.domain.errors import InvalidInputError
from ems.domain.plans import Schedule, SchedulingProblem

GAP = 1e-3
"""So near to the bound, relative to the objective, a plan is good enough."""
FEW = 1500
"""So few homes times steps are planned faster as one linear programme."""
FEWEST = 200
"""So few, with a legionella cycle that is due, are worth a search of what is left of the time."""
MAX_REPAIRS = 4
ANSWERS = 10
"""Rounds after binaries were set."""


@dataclass(frozen=True, slots=True, eq=False)
class _Plan:
    decision: Decision
    found: Evaluation
    prices: Prices | None


class JointPlanner:
    """Fills :class:`ems.domain.plans.Planner`: decomposition for many homes, HiGHS for few.

    Parameters
    ----------
    zone
        Time zone of the sentences; ``None``: no causes and no sentences.
    clock
        Seconds that never run backwards; looked at before each piece of work.
    threads
        That the kernels may use; all cores where left out.
    gap
        Relative distance from the bound at which a plan is good enough.
    few
        So few homes times steps are planned as one linear programme.

    Examples
    --------
    >>> from zoneinfo import ZoneInfo
    >>> planner = JointPlanner(ZoneInfo("Europe/London"))
    """

    def __init__(
        self,
        zone: ZoneInfo | None,
        *,
        clock: Callable[[], float] = time.monotonic,
        threads: int | None = None,
        gap: float = GAP,
        few: int = FEW,
    ) -> None:
        self._zone = zone
        self._clock = clock
        self._threads = threads
        self._gap = gap
        self._few = few

    def plan(self, problem: SchedulingProblem, deadline_s: float) -> Schedule:
        """Return the best plan found within ``deadline_s`` seconds.

        ``optimal`` within 0.1 % of the bound, ``feasible`` where that was not proven,
        ``fallback`` (own thermostats, idle battery) where time ran out before any other plan.

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
        begin = self._clock()
        model = stack(problem)
        few = model.homes * model.steps <= self._few and not can_switch(model)

        def left() -> float:
            return deadline_s - (self._clock() - begin)

        if can_be_states(model) and (not few or due_of(model.tanks).size):
            return self._heavy(model, left, begin)
        if few or not model.homes or not can_be_stores(model):
            first = None if few or not model.homes else self._first(model, left)
            if first is None or first.prices is None:
                return HighsPlanner(self._zone, clock=self._clock).plan(problem, left())
            bound = crude_bound_gbp(model)
            if left() > 0:
                whole = HighsPlanner(self._zone, clock=self._clock).plan(problem, left())
                if whole.objective_gbp <= first.found.objective_gbp:
                    return replace(whole, solve_s=self._clock() - begin)
                bound = max(bound, whole.bound_gbp)
            return self._told(model, first, first.prices, bound, begin)
        search = _Search(model, left, self._threads)
        search.run(self._gap)
        if search.best.prices is None:
            return fallback_schedule(problem, model)
        return self._told(model, search.best, search.best.prices, search.bound_gbp, begin)

    def _heavy(self, model: Stacked, left: Callable[[], float], begin: float) -> Schedule:
        """Plan homes with tanks or heavy parts."""
        heavy = Heavy(model, left, self._threads)
        heavy.run(self._gap)
        if heavy.prices is None:
            return fallback_schedule(model.problem, model)
        best = _Plan(heavy.decision, evaluate(model, heavy.decision), heavy.prices)
        told = self._told(model, best, heavy.prices, heavy.bound_gbp, begin)
        if told.status == "optimal" or model.homes * model.steps > FEWEST or left() <= 0:
            return told
        whole = HighsPlanner(self._zone, clock=self._clock).plan(model.problem, left())
        better = min(told, whole, key=lambda each: each.objective_gbp)
        bound_gbp = min(max(told.bound_gbp, whole.bound_gbp), better.objective_gbp)
        proven = better.objective_gbp - bound_gbp <= GAP * better.scale_gbp
        return replace(
            better,
            bound_gbp=bound_gbp,
            status="optimal" if proven else "feasible",
            solve_s=self._clock() - begin,
        )

    def _first(self, model: Stacked, left: Callable[[], float]) -> _Plan | None:
        """Return a plan of homes that are no single stores, by way of ones that are."""
        simple = stack(simplified(model.problem))
        search = _Search(simple, left, self._threads)
        search.run(self._gap)
        if search.best.prices is None:
            return None
        decision = followed(model, simple, search.best.decision)
        return _Plan(decision, evaluate(model, decision), search.best.prices)

    def _told(
        self, model: Stacked, best: _Plan, prices: Prices, bound_gbp: float, begin: float
    ) -> Schedule:
        objective = best.found.objective_gbp
        proven = objective - bound_gbp <= GAP * best.found.costs.scale_gbp
        solve_s = self._clock() - begin
        homes: Sequence[Reasons] = [((), ())] * model.homes
        battery: Reasons = (), ()
        if self._zone is not None:
            given = model, best.decision, best.found, prices, self._zone
            homes, battery = home_reasons(*given), battery_reasons(*given)
        return to_schedule(
            model,
            best.decision,
            best.found,
            status="optimal" if proven else "feasible",
            solver="decomposition",
            bound_gbp=bound_gbp,
            price=prices.shared,
            home_reasons=homes,
            battery_reasons=battery,
            heat_value=prices.heat,
            solve_s=solve_s,
        )


class _Search:
    """One problem on its way to a plan: ``best`` and ``bound_gbp`` hold at any time."""

    def __init__(self, model: Stacked, left: Callable[[], float], threads: int | None) -> None:
        self._model = model
        self._left = left
        self._threads = threads
        own = thermostat_decision(model)
        self.best = _Plan(own, evaluate(model, own), None)
        self.bound_gbp = crude_bound_gbp(model)

    def run(self, gap: float) -> None:
        """Improve the plan until it is within ``gap`` of the bound or time is up."""
        if self._left() <= 0:
            return
        model = self._model
        own = column_of(model, self.best.decision.heat_kw)
        self._pricing = Pricing(model, self._left, self._threads, own)
        mixture = self._pricing.run(gap)
        self.bound_gbp = max(self.bound_gbp, self._pricing.bound_gbp)
        if mixture is None:
            return
        if can_switch(model):
            self._switch(mixture)
        else:
            self._take(self._pricing.master, mixture)
            self._repair(mixture)

    def _switch(self, mixture: Mixture) -> None:
        """Switch heat pumps that are on or off; the mixture has let them run at any output."""
        if self._left() <= 0:
            return
        price = self._pricing.tried[-1][self._pricing.master.pattern] * self._model.dt_h
        relaxed = self._decision(self._pricing.master, mixture)
        switched = Switched(self._model, relaxed, price, self._left, self._threads)
        switched.improve()
        self._keep(self._pricing.master, mixture, switched.decision)

    def _decision(self, master: Master, mixture: Mixture) -> Decision:
        heat = np.minimum(master.mixed(mixture), self._model.heat_max_kw)
        battery, _ = battery_of(self._model, master.programme, mixture.columns)
        return Decision(heat, battery)

    def _take(self, master: Master, mixture: Mixture) -> None:
        """Keep a mixture's plan where it is the best one so far."""
        self._keep(master, mixture, self._decision(master, mixture))

    def _keep(self, master: Master, mixture: Mixture, decision: Decision) -> None:
        """Keep a plan where it is the best one so far, with a mixture's prices."""
        model = self._model
        found = evaluate(model, decision)
        if self.best.prices is None or found.objective_gbp < self.best.found.objective_gbp:
            prices = prices_of(model, master.programme, mixture.columns, mixture.row_duals)
            if found.objective_gbp > self.best.found.objective_gbp:
                decision, found = self.best.decision, self.best.found
            worth = heat_values(model, decision.heat_kw, found.rooms_c, prices.homes)
            self.best = _Plan(decision, found, replace(prices, heat=worth))

    def _repair(self, mixture: Mixture) -> None:
        """Forbid two things at once where they occur: in those steps by binaries."""
        master = self._pricing.master
        _, exclusive = battery_of(self._model, master.programme, mixture.columns)
        one_way = both_ways_of(master.programme, mixture.columns)
        for _ in range(MAX_REPAIRS):
            if self._left() <= 0 or not (exclusive.size or one_way.size):
                return
            before = self.best.found.objective_gbp
            strict = Master(self._model, one_way=one_way, exclusive=exclusive)
            for heat in master.heats_kw:
                strict.add(column_of(self._model, heat))
            searched = strict.solve(self._left())
            fixed = None if searched is None else strict.solve(1.0, fix=searched.columns)
            if fixed is None:
                return
            fixed = self._answered(strict, fixed)
            _, more = battery_of(self._model, strict.programme, fixed.columns)
            further = both_ways_of(strict.programme, fixed.columns)
            same = (
                not np.setdiff1d(more, exclusive).size and not np.setdiff1d(further, one_way).size
            )
            if same and self.best.found.objective_gbp > before - GAP * abs(before):
                return
            exclusive = np.union1d(exclusive, more).astype(np.int32)
            one_way = np.union1d(one_way, further).astype(np.int32)
            master = strict

    def _answered(self, master: Master, mixture: Mixture) -> Mixture:
        """Let homes answer a few times more, with the binaries where they stand."""
        for _ in range(ANSWERS):
            self._take(master, mixture)
            if self._left() <= 0:
                break
            master.add(column(self._pricing.ask(mixture.price)))
            newer = master.solve(max(self._left(), 0.0))
            if newer is None:
                break
            mixture = newer
        self._take(master, mixture)
        return mixture
