"""Prices and answers for blocks whose homes have tanks or heavy parts.

As :mod:`controllers.pricing` does for single stores, with three differences. The first prices and
paths come from the same block as single stores (:mod:`controllers.simplified`). Homes answer as
nearly as asked for and each with a bound of its own (:mod:`ext.states`); the block's bound is made
of those. A legionella cycle that is due is held in a window chosen at the prices, and once more
at better ones; the bound counts the cheapest of all windows (:mod:`controllers.hygiene`).
docs/decomposition.md has the maths.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

import numpy as np

from controllers.evaluation import HYGIENE_GBP, Decision, evaluate
from controllers.fallback import crude_bound_gbp, thermostat_decision
from controllers.hygiene import chosen, due_of, least_gbp, open_band
from controllers.master import Column, Master, Mixture
from controllers.pricing import Pricing
from controllers.reading import battery_of, both_ways_of, prices_of
from controllers.reasons import Prices
from controllers.simplified import followed, simplified
from controllers.stacked import Stacked, stack
from controllers.states import Told, ask, fixed_gbp, joined, makes_of, parted, rooms_alone
from controllers.stores import heat_values
from ems.domain.forecasts import FloatArray

KEEP = 0.8
"""Weight of the best prices so far: the first are good."""
FADE = 0.5
"""That weight fades so as long as answers bring the master nothing new."""
NEAR = 0.1
"""Share of the gap that answers may be short of their bounds, in sum."""
ROUGH = 5.0
"""So much more in the first rounds."""
PROOF = 0.2
"""Share of the time that is kept for proving a bound where cycles are due."""
ROUNDS = 60
NOTHING = 1e-9


class Heavy:
    """One block on its way to a plan: ``decision`` and ``bound_gbp`` hold at any time.

    Parameters
    ----------
    model
        The block; `controllers.states.can_be_states` of it.
    left
        Seconds until the deadline.
    threads
        That the kernels may use; all cores where left out.

    Attributes
    ----------
    decision, objective_gbp
        The best plan so far; own thermostats at first.
    prices
        Of the newest mixture; ``None`` where time was up before any.
    bound_gbp
        No plan costs less.
    """

    def __init__(self, model: Stacked, left: Callable[[], float], threads: int | None) -> None:
        self._model = model
        self._left = left
        self._threads = threads
        self._fixed = fixed_gbp(model)
        self.decision = thermostat_decision(model)
        self.prices: Prices | None = None
        self.bound_gbp = crude_bound_gbp(model)
        costs = evaluate(model, self.decision).costs
        self.objective_gbp, self._scale_gbp = costs.objective_gbp, costs.scale_gbp
        self._told: Told | None = None
        self._free: Told | None = None

    def run(self, gap: float) -> None:
        """Improve the plan until it is within ``gap`` of the bound or time is up."""
        if not self._begin(gap):
            return
        due = bool(due_of(self._model.tanks).size)
        enough = self._left() * PROOF if due else 0.0
        told = self._ask(self._center, ROUGH * self._near_gbp)
        if told is None:
            return
        if due:
            # without any cycle: a first bound, the better ones come last
            self._center_gbp = Master(self._model).block_gbp(self._center, self._left())
            self._proven = told.bound_gbp
            self._proof()
            if not self._choose(told):
                return
        self._rounds(gap, enough)
        if not due or self._told is None:
            return
        self._prove(gap, fine=False)
        before = self._windows
        if self._left() > enough and self._choose(self._told) and self._windows != before:
            self._rounds(gap, enough)
            self._prove(gap, fine=False)
        self._prove(gap, fine=True)

    def _begin(self, gap: float) -> bool:
        """Find first prices and a first plan by way of single stores; whether time sufficed."""
        model = self._model
        if self._left() <= 0:
            return False
        simple = stack(simplified(model.problem))
        first = Pricing(simple, self._left, self._threads)
        mixture = first.run(gap)
        if mixture is None:
            return False
        heat = np.minimum(first.master.mixed(mixture), simple.heat_max_kw)
        battery, _ = battery_of(simple, first.master.programme, mixture.columns)
        decision = followed(model, simple, Decision(heat, battery))
        self._heat = joined(model, decision)
        self._pattern = first.master.pattern
        prices = prices_of(simple, first.master.programme, mixture.columns, mixture.row_duals)
        worth = heat_values(simple, heat, simple.rooms(heat), prices.homes)
        self._keep(decision, replace(prices, heat=worth))
        self._center, self._center_gbp = first.tried[-1] * model.dt_h, -np.inf
        self._gap = gap
        self._band, self._missed = open_band(model.tanks), 0.0
        self._makes = makes_of(model, self._band)
        return self._left() > 0

    @property
    def _near_gbp(self) -> float:
        """How far a home's answer may be from its bound [£]."""
        return NEAR * self._gap * self._scale_gbp / self._model.homes

    def _near(self, gap: float) -> bool:
        return self.objective_gbp - self.bound_gbp <= gap * self._scale_gbp

    def _choose(self, told: Told) -> bool:
        """Choose the windows of cycles that are due, at the prices that were answered."""
        paid = self._paid(self._center)
        found = chosen(self._model, paid, told.squeeze_gbp, self._left)
        if found is None:
            return False
        self._windows, self._band = found
        self._missed = HYGIENE_GBP * sum(each is None for each in self._windows.values())
        return True

    def _paid(self, price: FloatArray) -> FloatArray:
        own = np.zeros((self._model.homes, self._model.steps))
        for make in self._makes:
            own[make.rows] = make.homes.own
        return price[self._pattern] + own

    def _rounds(self, gap: float, enough: float) -> None:
        """Let homes answer to the master's prices until the mixture is good enough.

        ``enough`` seconds are left for what comes after.
        """
        model = self._model
        if self._left() <= 0:
            return
        self._makes = makes_of(model, self._band)
        master = Master(model)
        fixed = self._fixed + self._missed
        self._center_gbp = master.block_gbp(self._center, self._left())
        price, block_gbp = self._center, self._center_gbp
        mixture: Mixture | None = None
        best_gbp, rough, weight = -np.inf, ROUGH, KEEP
        columns: list[Column] = []
        self._told = None
        for _ in range(ROUNDS):
            told = self._ask(price, rough * self._near_gbp) if self._left() > enough else None
            if told is None:
                break
            bound = block_gbp + float(told.bound_gbp.sum()) + fixed
            if bound > best_gbp:
                best_gbp, self._told = bound, told
                self._center, self._center_gbp = price, block_gbp
                if not due_of(model.tanks).size:
                    self.bound_gbp = max(self.bound_gbp, bound)
            if mixture is not None:
                reached_gbp = mixture.objective_gbp + fixed
                self._scale_gbp = min(self._scale_gbp, max(abs(reached_gbp), 1.0))
                apart = (reached_gbp - best_gbp) / (gap * self._scale_gbp)
                if apart <= 1.0:
                    break
                rough = 1.0 if apart < ROUGH else ROUGH
            columns.append(Column(told.heat_kw, told.power_kw, told.cost_gbp))
            master.add(columns[-1])
            newer = master.solve(self._left()) if self._left() > 0 else None
            if newer is None:
                break
            moved = mixture is None or newer.objective_gbp < mixture.objective_gbp - NOTHING * max(
                abs(mixture.objective_gbp), 1.0
            )
            weight = KEEP if moved else weight * FADE
            mixture = newer
            price = weight * self._center + (1.0 - weight) * mixture.price
            block_gbp = weight * self._center_gbp + (1.0 - weight) * mixture.block_gbp
        if mixture is not None:
            self._take(master, mixture)
            self._repair(master, mixture, columns)

    def _ask(self, price: FloatArray, near_gbp: float) -> Told | None:
        told = ask(
            self._model,
            self._makes,
            price,
            self._heat,
            near_gbp,
            pattern=self._pattern,
            left=self._left,
            threads=self._threads,
        )
        if told is not None:
            self._heat = told.heat_kw
        return told

    def _take(self, master: Master, mixture: Mixture) -> None:
        """Keep what homes do together in a mixture, with the battery that it has."""
        model = self._model
        battery, _ = battery_of(model, master.programme, mixture.columns)
        decision = parted(model, self._band, master.mixed(mixture), battery)
        prices = prices_of(model, master.programme, mixture.columns, mixture.row_duals)
        if self._told is not None:
            prices = replace(prices, heat=self._told.spares_gbp / model.dt_h)
        self._keep(decision, prices)

    def _keep(self, decision: Decision, prices: Prices) -> None:
        """Keep a plan where it is the best one so far, and the newest prices."""
        costs = evaluate(self._model, decision).costs
        self.prices = prices
        if costs.objective_gbp < self.objective_gbp:
            self.decision, self.objective_gbp = decision, costs.objective_gbp
            self._scale_gbp = costs.scale_gbp

    def _repair(self, master: Master, mixture: Mixture, columns: list[Column]) -> None:
        """Forbid two things at once where they occur: in those steps by binaries."""
        _, exclusive = battery_of(self._model, master.programme, mixture.columns)
        one_way = both_ways_of(master.programme, mixture.columns)
        if self._left() <= 0 or not (exclusive.size or one_way.size):
            return
        strict = Master(self._model, one_way=one_way, exclusive=exclusive)
        for column in columns:
            strict.add(column)
        searched = strict.solve(self._left())
        fixed = None if searched is None else strict.solve(1.0, fix=searched.columns)
        if fixed is not None:
            self._take(strict, fixed)

    def _prove(self, gap: float, *, fine: bool) -> None:
        """Prove a bound that counts the cheapest window of each cycle that is due."""
        model, tanks = self._model, self._model.tanks
        if not fine:
            self._free = None
            if self._left() <= 0 or self._near(gap):
                return
            held, self._makes = self._makes, makes_of(model, open_band(tanks))
            told = self._ask(self._center, self._near_gbp)
            self._makes = held
            if told is None:
                return
            self._free, self._proven = told, told.bound_gbp.copy()
            self._rooms = np.full(due_of(tanks).size, -np.inf)
            self._proof()
        if self._free is None:
            return
        due = due_of(tanks)
        rows = tanks.rows[due].astype(np.intp)
        paid, squeeze = self._paid(self._center), self._free.squeeze_gbp
        if not fine and self._left() > 0:
            near, threads = self._near_gbp, self._threads
            rooms = rooms_alone(model, rows, paid, squeeze, self._heat, near, threads)
            self._rooms = rooms - squeeze[rows].sum(axis=1)
        for place, (tank, home) in enumerate(zip(due, rows, strict=True)):
            if self._left() <= 0 or self._near(gap):
                break
            water = least_gbp(model, int(tank), paid[home], squeeze[home], fine=fine)
            self._proven[home] = max(self._proven[home], self._rooms[place] + water)
            self._proof()

    def _proof(self) -> None:
        bound = self._center_gbp + float(self._proven.sum()) + self._fixed
        self.bound_gbp = max(self.bound_gbp, bound)
