"""The same block in longer steps: what it costs to find good first prices for short ones."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ems.domain.forecasts import FloatArray
from ems.domain.plans import HomeProblem, SchedulingProblem

STEP_S = 1800.0
"""Steps are put together until they last this long."""
LEAST = 3
"""It is not worth it for fewer steps in one."""


@dataclass(frozen=True, slots=True, eq=False)
class Coarse:
    """A problem in longer steps, and the long step of each short one, shape (steps,)."""

    problem: SchedulingProblem
    step: NDArray[np.intp]

    def spread(self, values: FloatArray) -> FloatArray:
        """Return values of long steps for each short step, along the last axis."""
        return np.asarray(values[..., self.step], dtype=np.float64)


def coarsened(problem: SchedulingProblem) -> Coarse | None:
    """Return the problem in steps of about half an hour; ``None`` where that brings little.

    Flows and weather are means, limits too; a floor is the highest in the step. It is another
    problem: its plan is no plan of the first one, its prices are near.
    """
    step_s = np.asarray(problem.step_s, dtype=np.float64)
    ends = np.cumsum(step_s)
    step = np.floor((ends - 0.5 * step_s) / STEP_S).astype(np.intp)
    _, first, step = np.unique(step, return_index=True, return_inverse=True)
    if step_s.size < LEAST * first.size:
        return None
    count = np.bincount(step)

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

    coarse = replace(
        problem,
        step_s=np.add.reduceat(step_s, first),
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
    )
    return Coarse(coarse, step)


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
