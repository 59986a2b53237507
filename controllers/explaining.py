"""A planner whose plans say why: each cause found by planning again without it."""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping
from zoneinfo import ZoneInfo

from controllers.causes import Grid
from controllers.comfort import lowest_c
from controllers.intent import write_rule
from controllers.joint import JointPlanner
from controllers.telling import explained
from ems.domain.estate import Actuator, Estate
from ems.domain.plans import Planner, Schedule, SchedulingProblem

AGAIN_S = 1.0
"""What a plan without a cause does not prove within so many seconds is good enough to tell by."""


class ExplainingPlanner:
    """Fills :class:`ems.domain.plans.Planner`: plans, then finds the causes of every step.

    Parameters
    ----------
    planner
        Makes the plan; its own reasons stay where time runs out before all causes were tried.
    again
        Makes the plans without causes; it need not give reasons.
    grid
        How finely each home's heat pump is told.
    zone
        Of the times of day in sentences.
    again_s
        Seconds that each further plan may take at most.
    clock
        Seconds that never run backwards; looked at before each further plan.
    """

    def __init__(
        self,
        planner: Planner,
        again: Planner,
        *,
        grid: Mapping[str, Grid],
        zone: ZoneInfo,
        again_s: float = AGAIN_S,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._planner = planner
        self._again = again
        self._grid = grid
        self._zone = zone
        self._again_s = again_s
        self._clock = clock

    def plan(self, problem: SchedulingProblem, deadline_s: float) -> Schedule:
        """Return the best plan found within ``deadline_s`` seconds, with its causes."""
        begin = self._clock()
        plan = self._planner.plan(problem, deadline_s)

        def again(changed: SchedulingProblem) -> Schedule | None:
            left_s = deadline_s - (self._clock() - begin)
            if left_s <= 0:
                return None
            made = self._again.plan(changed, min(left_s, self._again_s))
            return None if made.status == "fallback" else made

        return explained(problem, plan, self._grid, again, self._zone)


def explaining(estate: Estate, *, again_s: float = AGAIN_S) -> ExplainingPlanner:
    """Return the joint planner of an estate with reasons that are checked.

    Raises
    ------
    InvalidInputError
        Where a heat pump's profile cannot write what its configuration says it can.
    """
    return ExplainingPlanner(
        JointPlanner(estate.zone),
        JointPlanner(None),
        grid=grid_of(estate),
        zone=estate.zone,
        again_s=again_s,
    )


def grid_of(estate: Estate) -> dict[str, Grid]:
    """Return how finely each home's heat pump is told."""
    result = {}
    for home in estate.dwellings():
        pump = home.heat_pump
        step_k = None
        if pump.actuator is Actuator.ROOM_SETPOINT:
            step_k = write_rule(estate.devices[pump.device_id], "room_setpoint_c").step
        result[home.id] = Grid(step_k, lowest_c(home), pump.rated_heat_w)
    return result
