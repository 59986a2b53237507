"""The same block in longer steps, or with fewer homes: good first prices at little cost.

Such a block is another problem: its plan is no plan of the first one, its prices are near.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from itertools import pairwise
from typing import Any

import numpy as np
from numpy.typing import NDArray

from controllers.master import patterns_of
from controllers.stacked import Stacked
from ems.domain.forecasts import FloatArray
from ems.domain.plans import EventProblem, HomeProblem, SchedulingProblem

STEPS_S = 300.0, 900.0, 1800.0
"""Steps are put together until they last so long: the shortest that brings enough."""
LEAST = 2
"""It is not worth it for fewer steps, or homes, in one."""
SAMPLE = 150
"""So many homes, or some more, stand for all."""
FEWER = 3
"""It is not worth it where one home would stand for fewer."""


@dataclass(frozen=True, slots=True, eq=False)
class Simpler:
    """A simpler problem; where its steps are longer, which of them each short one is in."""

    problem: SchedulingProblem
    step: NDArray[np.intp] | None = None

    def spread(self, values: FloatArray) -> FloatArray:
        """Return values of its steps for each step of the first problem, along the last axis."""
        return values if self.step is None else np.asarray(values[..., self.step])


def sampled(model: Stacked) -> Simpler | None:
    """Return a block with some of the homes; ``None`` where they are few as it is.

    Of homes that take part in the same events and need about as much one is chosen; battery,
    limits and other load shrink to the share of that need.
    """
    every = model.homes // SAMPLE
    if every < FEWER:
        return None
    holding = (model.comfort_c * (1.0 - model.decay) - model.drift_k) / model.gain_k_per_kw
    need = (np.clip(holding, 0.0, model.heat_max_kw) / model.cop) @ model.dt_h
    pattern, _ = patterns_of(model)
    order = np.lexsort((need, pattern))
    edges = np.searchsorted(pattern[order], np.arange(pattern.max() + 2))
    alike = [order[first:last] for first, last in pairwise(edges)]
    rows = np.sort(
        np.concatenate([each[min(every // 2, each.size - 1) :: every] for each in alike])
    )
    if LEAST * rows.size > model.homes:  # many take part in events of their own
        return None
    taken = float(need[rows].sum())
    share = taken / float(need.sum()) if taken > 0 else rows.size / model.homes
    problem = model.problem
    base_w = 1000.0 * model.base_kw
    number = {home.dwelling_id: row for row, home in enumerate(problem.homes)}

    def other_w(beside_w: FloatArray, among: NDArray[np.intp]) -> FloatArray:
        """Return load beside these homes such that both together shrink to the share [W]."""
        stay = among[np.isin(among, rows)]
        whole = beside_w + base_w[among].sum(axis=0)
        return np.asarray(share * whole - base_w[stay].sum(axis=0), dtype=np.float64)

    def event(given: EventProblem) -> EventProblem:
        among = np.array([number[each] for each in given.participants if each in number], np.intp)
        return replace(
            given,
            limit_w=share * given.limit_w,
            uncontrolled_w=other_w(given.uncontrolled_w, among),
            reserve_wh=share * given.reserve_wh,
        )

    def part(values: FloatArray | None) -> FloatArray | None:
        return None if values is None else share * values

    battery = problem.battery
    fewer = replace(
        problem,
        homes=tuple(problem.homes[row] for row in rows),
        battery=None
        if battery is None
        else replace(battery, **{name: share * getattr(battery, name) for name in _BATTERY}),
        **{name: share * getattr(problem, name) for name in _FLOWS},
        uncontrolled_w=other_w(problem.uncontrolled_w, np.arange(model.homes)),
        events=tuple(event(each) for each in problem.events),
        peaks=tuple(replace(peak, so_far_w=share * peak.so_far_w) for peak in problem.peaks),
        recovery_import_w=part(problem.recovery_import_w),
        import_margin_w=part(problem.import_margin_w),
    )
    return Simpler(fewer)


def coarsened(problem: SchedulingProblem) -> Simpler | None:
    """Return the problem in longer steps; ``None`` where that brings little.

    Flows and weather are means, limits too; a floor is the highest in the step.
    """
    step_s = np.asarray(problem.step_s, dtype=np.float64)
    middle = np.cumsum(step_s) - 0.5 * step_s
    for length in STEPS_S:
        step = np.floor(middle / length).astype(np.intp)
        _, first, step = np.unique(step, return_index=True, return_inverse=True)
        if step_s.size >= LEAST * first.size:
            return Simpler(_put_together(problem, first, np.bincount(step)), step)
    return None


def _put_together(
    problem: SchedulingProblem, first: NDArray[np.intp], count: NDArray[np.intp]
) -> SchedulingProblem:
    """Return the problem in steps that begin with these, and take so many each."""

    def mean(values: FloatArray) -> FloatArray:
        return np.asarray(np.add.reduceat(values, first) / count, dtype=np.float64)

    def mean_or_none(values: FloatArray | None) -> FloatArray | None:
        return None if values is None else mean(values)

    def means(given: object, names: tuple[str, ...]) -> dict[str, Any]:
        return {name: mean(getattr(given, name)) for name in names}

    def home(given: HomeProblem) -> HomeProblem:
        return replace(
            given,
            **means(given, _MEANS),
            floor_c=np.maximum.reduceat(given.floor_c, first),
            hot_water_w=None,
            pv_w=mean_or_none(given.pv_w),
            export_gbp_per_kwh=mean_or_none(given.export_gbp_per_kwh),
            pump=None
            if given.pump is None
            else replace(given.pump, heat_min_w=mean_or_none(given.pump.heat_min_w)),
        )

    return replace(
        problem,
        step_s=np.add.reduceat(problem.step_s, first),
        homes=tuple(home(each) for each in problem.homes),
        **means(problem, _BLOCK_MEANS),
        events=tuple(
            replace(event, limit_w=mean(event.limit_w), uncontrolled_w=mean(event.uncontrolled_w))
            for event in problem.events
        ),
        peaks=tuple(
            replace(peak, steps=np.logical_or.reduceat(peak.steps, first)) for peak in problem.peaks
        ),
        recovery_import_w=mean_or_none(problem.recovery_import_w),
        carbon_gbp_per_kwh=mean_or_none(problem.carbon_gbp_per_kwh),
        import_margin_w=mean_or_none(problem.import_margin_w),
    )


_MEANS = (
    "outdoor_c",
    "free_heat_w",
    "comfort_c",
    "ceiling_c",
    "heat_max_w",
    "cop",
    "base_w",
    "price_gbp_per_kwh",
)
_BLOCK_MEANS = (
    "pv_w",
    "landlord_w",
    "uncontrolled_w",
    "import_gbp_per_kwh",
    "export_gbp_per_kwh",
    "physical_import_w",
    "contracted_import_w",
    "export_limit_w",
)
_FLOWS = (
    "pv_w",
    "landlord_w",
    "physical_import_w",
    "contracted_import_w",
    "export_limit_w",
)
_BATTERY = "energy_wh", "min_wh", "max_wh", "max_charge_w", "max_discharge_w"
