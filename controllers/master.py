"""The small linear programme that mixes the answers of homes under a block's limits.

Homes are put into groups. What a group does, taken together, at some prices is a column: its
electricity over the steps, and its cost. Convex mixtures of a group's columns are feasible, for
homes are convex:

    sum over columns k of group g:  alpha[g, k] = 1                                 (1)
    P[j, t] = sum over groups g of pattern j:  alpha[g, k] p[g, k, t]               (2)

A pattern is a set of homes that take part in the same events; its electricity P enters battery,
meters, events and peaks as heat pumps do in the whole programme. The dual of (2) is the price that
the homes of a pattern see. Where P enters nothing but the feeder's balance, it is put into that
row, whose dual is the price, and (2) is left out.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from highspy import Highs, HighsModelStatus
from numpy.typing import NDArray

from controllers.linear import OPTIONS
from controllers.model import add_block
from controllers.programme import NO_INDEX, Draw, IndexArray, Programme
from controllers.stacked import Stacked
from controllers.stores import costs_of
from ems.domain.forecasts import FloatArray

GROUPS = 10
"""Groups of a pattern: more of them take fewer rounds, each of which takes longer."""


@dataclass(frozen=True, slots=True, eq=False)
class Column:
    """What homes do: heat and electricity [kW], (homes, steps), and their cost [£], (homes,)."""

    heat_kw: FloatArray
    power_kw: FloatArray
    cost_gbp: FloatArray


def column_of(model: Stacked, heat_kw: FloatArray) -> Column:
    """Return what homes do that heat so, shape (homes, steps)."""
    power = model.pumps.power_kw(heat_kw, model.heat_max_kw, model.cop)
    return Column(heat_kw, power, costs_of(model, model.rooms(heat_kw), power))


@dataclass(frozen=True, slots=True, eq=False)
class Mixture:
    """A solved master.

    Attributes
    ----------
    objective_gbp
        Of the mixture, without what no column carries; never below the mixture's true cost.
    block_gbp
        The least cost of battery, meters and events when homes are paid ``price``.
    price
        What the homes of each pattern see [£/kW and step], shape (patterns, steps).
    columns, row_duals
        HiGHS's own values.
    share
        alpha, shape (columns a group, groups).
    """

    objective_gbp: float
    block_gbp: float
    price: FloatArray
    columns: FloatArray
    row_duals: FloatArray
    share: FloatArray


class Master:
    """The master of one block.

    Parameters
    ----------
    model
        The block.
    one_way, exclusive
        As in :func:`controllers.model.build`.
    """

    def __init__(
        self, model: Stacked, *, one_way: IndexArray = NO_INDEX, exclusive: IndexArray = NO_INDEX
    ) -> None:
        self._pattern, first = patterns_of(model)
        homes = np.arange(model.homes)
        self._group = self._pattern * GROUPS + homes % GROUPS
        _, self._group = np.unique(self._group, return_inverse=True)
        self._order = np.argsort(self._group, kind="stable")
        self._groups = int(self._group.max()) + 1
        self._edges = np.searchsorted(self._group[self._order], np.arange(self._groups))
        shape = first.size, model.steps
        programme = self.programme = Programme(one_way=one_way, exclusive=exclusive)
        apart = bool(model.events) or bool(np.any(np.isfinite(model.recovery_kw)))
        if apart:
            taken = programme.add_columns(np.zeros(shape), np.inf, -np.inf)
            programme.draws.append(Draw("room", first, taken, np.ones(shape)))
            self._link = programme.add_rows(np.zeros(shape), np.zeros(shape))
            programme.put(self._link, taken, 1.0)
        one = np.ones(self._groups)
        self._whole = programme.add_rows(one, one)
        add_block(programme, model)
        if not apart:
            self._link = programme.feeder_row[None, :]
            if not programme.feeder_row.size:  # nothing limits what homes draw
                self._link = programme.add_rows(np.full(shape, -np.inf), np.full(shape, np.inf))
        self._sign = -1.0 if apart else 1.0
        self._solver = Highs()  # type: ignore[no-untyped-call] # highspy does not type it
        # the simplex method that suits the basis: primal after columns were added
        options = {**OPTIONS, "threads": 1, "simplex_strategy": 0}
        for option, value in options.items():
            self._solver.setOptionValue(option, value)
        self._bare = programme.to_highs()
        self._solver.passModel(self._bare)
        self._searches = bool(programme.binaries.size)
        self._heats: list[FloatArray] = []

    @property
    def pattern(self) -> NDArray[np.intp]:
        """The pattern of each home, shape (homes,)."""
        return self._pattern.astype(np.intp)

    @property
    def patterns(self) -> int:
        """Number of patterns."""
        return int(self._link.shape[0])

    @property
    def heats_kw(self) -> list[FloatArray]:
        """Heat of the homes in each column added so far, the rest being let go."""
        return self._heats

    def add(self, column: Column) -> None:
        """Add what homes do, as one column a group."""
        power = np.add.reduceat(column.power_kw[self._order], self._edges, axis=0)
        cost = np.add.reduceat(column.cost_gbp[self._order], self._edges)
        groups, steps = power.shape
        link = self._link[self._pattern[self._order[self._edges]]]
        rows = np.concatenate([link, self._whole[:, None]], axis=1)
        values = np.concatenate([self._sign * power, np.ones((groups, 1))], axis=1)
        self._solver.addCols(
            groups,
            cost,
            np.zeros(groups),
            np.full(groups, np.inf),
            rows.size,
            (np.arange(groups) * (steps + 1)).astype(np.int32),
            rows.ravel().astype(np.int32),
            values.ravel(),
        )
        self._heats.append(column.heat_kw)

    def block_gbp(self, price: FloatArray, limit_s: float) -> float:
        """Return the least cost of battery, meters and events when homes are paid ``price``.

        Minus infinity where ``limit_s`` came first.
        """
        solver = Highs()  # type: ignore[no-untyped-call] # highspy does not type it
        for option, value in OPTIONS.items():
            solver.setOptionValue(option, value)
        solver.setOptionValue("time_limit", limit_s)
        solver.passModel(self._bare)
        free = np.full(price.size, np.inf)
        solver.addCols(
            price.size,
            -price.ravel(),
            -free,
            free,
            price.size,
            np.arange(price.size, dtype=np.int32),
            self._link.ravel().astype(np.int32),
            np.full(price.size, self._sign),
        )
        rows = self._whole.astype(np.int32)
        free = np.full(rows.size, np.inf)
        solver.changeRowsBounds(  # type: ignore[attr-defined] # highspy's stub forgets it
            rows.size, rows, -free, free
        )
        solver.run()
        if solver.getModelStatus() != HighsModelStatus.kOptimal:
            return -np.inf
        return float(solver.getInfo().objective_function_value) + self.programme.offset_gbp

    def solve(self, limit_s: float, *, fix: FloatArray | None = None) -> Mixture | None:
        """Return the best mixture; ``None`` where ``limit_s`` came before any.

        With binaries, ``price`` and duals mean nothing until ``fix`` has said where they stand
        from then on.
        """
        solver, programme = self._solver, self.programme
        binaries = programme.binaries
        if fix is not None and binaries.size:
            self._searches = False
            at = np.clip(np.round(fix[binaries]), 0.0, 1.0)
            kinds = np.zeros(binaries.size, dtype=np.uint8)
            solver.changeColsIntegrality(binaries.size, binaries, kinds)
            solver.changeColsBounds(binaries.size, binaries, at, at)
        # HiGHS's clock runs on over calls
        solver.setOptionValue("time_limit", float(solver.getRunTime() + limit_s))
        solver.run()
        info = solver.getInfo()
        solved = solver.getModelStatus() == HighsModelStatus.kOptimal
        found = self._searches and np.isfinite(info.objective_function_value)
        if not solved and not found:
            return None
        solution = solver.getSolution()
        columns, duals = np.array(solution.col_value), np.array(solution.row_dual)
        objective = float(info.objective_function_value) + programme.offset_gbp
        if self._searches:
            duals = np.zeros(programme.rows)
        share = columns[programme.columns :].reshape(-1, self._groups)
        return Mixture(
            objective_gbp=objective,
            block_gbp=objective - float(np.sum(duals[self._whole])),
            price=-self._sign * duals[self._link],
            columns=columns,
            row_duals=duals,
            share=share,
        )

    def mixed(self, mixture: Mixture) -> FloatArray:
        """Return the heat of each home in a mixture [kW], shape (homes, steps)."""
        share = np.maximum(mixture.share, 0.0)
        share = (share / share.sum(axis=0))[:, self._group]
        result = np.zeros(self._heats[0].shape)
        for weight, heat in zip(share, self._heats[: len(share)], strict=True):
            if np.any(weight > 0):
                result += weight[:, None] * heat
        return result


def patterns_of(model: Stacked) -> tuple[IndexArray, IndexArray]:
    """Return each home's pattern, and the first home of each."""
    takes_part = np.zeros((model.homes, len(model.events)), dtype=bool)
    for number, event in enumerate(model.events):
        takes_part[event.homes, number] = True
    if not model.events:
        return np.zeros(model.homes, dtype=np.int32), np.zeros(1, dtype=np.int32)
    _, first, pattern = np.unique(takes_part, axis=0, return_index=True, return_inverse=True)
    return pattern.ravel().astype(np.int32), first.astype(np.int32)
