"""Prices of a block's electricity, found by asking its homes round by round.

Homes answer to prices alone and exactly (:mod:`ext.store`); a master (:mod:`controllers.master`)
mixes the answers under the block's limits, and its duals are new prices. Where steps are short
or homes many, a simpler block is asked first: its prices are near. ``docs/decomposition.md`` has
the maths.
"""

from __future__ import annotations

from collections.abc import Callable

import numpy as np

from controllers.coarse import coarsened, sampled
from controllers.evaluation import hopeless_gbp
from controllers.master import Column, Master, Mixture
from controllers.stacked import Stacked, stack
from controllers.stores import constant_gbp, stores_of
from ems.domain.forecasts import FloatArray
from ext.store import Answer, answer

SMOOTH, STEADY = 0.5, 0.9
"""Weight of the best prices so far beside the master's newest ones; where the first were good."""
FADE = 0.5
"""That weight fades so as long as answers bring the master nothing new."""
GOOD = 5e-4
"""Prices of a simpler block are good when its own gap is no more."""
KEPT = 2
"""So many of them are answered in the block itself."""
NOTHING = 1e-9
"""Less than this share of the objective is no progress."""
MAX_ROUNDS = 300
ENOUGH_S = 60.0
"""A simpler block has half of the time that is left, or all but so many seconds."""


class Pricing:
    """Prices and answers of one block: ``bound_gbp`` holds at any time.

    Parameters
    ----------
    model
        The block; each home is one store.
    left
        Seconds until the deadline.
    threads
        That the kernel may use; all cores where left out.
    own
        What the homes do unasked, for the first mixture.

    Attributes
    ----------
    master
        It has mixed the answers.
    tried
        Prices that homes answered to [£/kWh], the best last; shape (patterns, steps) each.
    """

    def __init__(
        self,
        model: Stacked,
        left: Callable[[], float],
        threads: int | None,
        own: Column | None = None,
    ) -> None:
        self._model = model
        self._left = left
        self._threads = threads
        self._stores = stores_of(model)
        self._constant = constant_gbp(model)
        self._hopeless_gbp = hopeless_gbp(model)
        self.bound_gbp = -np.inf
        self.tried: list[FloatArray] = []
        self.master = Master(model)
        if own is not None:
            self.master.add(own)

    def run(self, gap: float) -> Mixture | None:
        """Let homes answer until a mixture is within ``gap`` of the bound; return the last.

        ``None`` where time was up before any.
        """
        guesses = self._guesses()
        center, weight = (guesses.pop(), STEADY) if guesses else (self._tariff(), SMOOTH)
        if self._left() <= 0:
            return None
        center_gbp = self.master.block_gbp(center, self._left())
        price, block_gbp = center, center_gbp
        mixture, best, center_bound, now = None, 0, -np.inf, weight
        for number in range(MAX_ROUNDS):
            if self._left() <= 0:
                break
            told = self.ask(price)
            self.tried.append(price / self._model.dt_h)
            bound = block_gbp + float(told.value.sum()) + self._constant
            if bound > center_bound:
                center, center_gbp, center_bound, best = price, block_gbp, bound, number
                self.bound_gbp = max(self.bound_gbp, bound)
            if mixture is not None and self._near(mixture.objective_gbp + self._constant, gap):
                break
            self.master.add(column(told))
            if not number and guesses:
                # a basis from few columns is soon found, and near the one with all
                self.master.solve(max(self._left(), 0.0))
                for guess in guesses:
                    self.master.add(column(self.ask(guess)))
            newer = self.master.solve(self._left()) if self._left() > 0 else None
            if newer is None:
                break
            moved = mixture is None or _falls(mixture.objective_gbp, newer.objective_gbp)
            now = weight if moved else now * FADE
            mixture, price, block_gbp = newer, newer.price, newer.block_gbp
            if center_gbp > -np.inf:
                # the block's least cost is concave in prices: it is at least the mean of both
                price = now * center + (1.0 - now) * price
                block_gbp = now * center_gbp + (1.0 - now) * block_gbp
        if self.tried:
            self.tried.append(self.tried.pop(best))
        return mixture

    def ask(self, price: FloatArray) -> Answer:
        """Return what homes do at prices [£/kW and step], shape (patterns, steps)."""
        return answer(self._stores, price, row=self.master.pattern, threads=self._threads)

    def _guesses(self) -> list[FloatArray]:
        """Return prices found for a simpler block, the best last; none where there is none."""
        problem = self._model.problem
        left_s = self._left()
        simpler = None if left_s <= 0 else sampled(self._model) or coarsened(problem)
        if simpler is None:
            return []
        kept_s = min(0.5 * left_s, ENOUGH_S)

        def left() -> float:
            return self._left() - kept_s

        first = Pricing(stack(simpler.problem), left, self._threads)
        first.run(GOOD)
        tried = [simpler.spread(each) * self._model.dt_h for each in first.tried[-KEPT:]]
        return [each for each in tried if each.shape[0] == self.master.patterns]

    def _tariff(self) -> FloatArray:
        """Return prices to begin with: the supplier's, carbon included, as at the feeder."""
        model = self._model
        price = model.carbon_gbp_per_kwh + 0.0
        if model.problem.pooled:
            price = price + model.problem.import_gbp_per_kwh
        return np.tile(model.dt_h * price, (self.master.patterns, 1))

    def _near(self, objective_gbp: float, gap: float) -> bool:
        scale_gbp = max(abs(objective_gbp) - self._hopeless_gbp, 1.0)
        return objective_gbp - self.bound_gbp <= gap * scale_gbp


def column(told: Answer) -> Column:
    """Return an answer as a column of a master."""
    return Column(told.heat_kw, told.power_kw, told.cost)


def _falls(before_gbp: float, after_gbp: float) -> bool:
    return after_gbp < before_gbp - NOTHING * max(abs(before_gbp), 1.0)
