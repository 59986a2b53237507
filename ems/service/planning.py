"""The plan job: one joint plan a block, from what is known now."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from datetime import datetime

import structlog

from controllers.linear import HighsPlanner
from controllers.problem import build_problem
from ems.domain.estate import Block, Estate
from ems.domain.forecasts import Forecast
from ems.domain.plans import Planner, Schedule
from ems.domain.ports import LogEntry, Store
from ems.domain.time import HALF_HOUR_S, floor_to
from ems.domain.wishes import Wish
from ems.service.image import ProcessImage

log = structlog.get_logger()

DEADLINE_S = 5.0
"""Wall seconds a planner may take for one block."""

Wishes = Callable[[datetime], Mapping[str, Wish]]
"""Tells which wishes of residents are in force, by dwelling id."""

Blocks = Callable[[Block, datetime], Block]
"""Returns a block as it is to be planned now: with the schedules that residents chose."""


def no_wishes(now: datetime) -> Mapping[str, Wish]:
    """Return no wishes: what holds where nothing keeps any."""
    del now
    return {}


def as_configured(block: Block, now: datetime) -> Block:
    """Return a block as it is: what holds where nobody chose anything."""
    del now
    return block


class PlanJob:
    """Plans every block from the newest forecasts, estimates and readings.

    Parameters
    ----------
    estate, store, image
        What to plan for, where forecasts lie and plans go, the latest readings.
    planner
        Turns a problem into a plan; HiGHS unless given.
    wishes
        Residents' wishes in force.
    blocks
        Returns blocks as they are to be planned now.
    """

    def __init__(
        self,
        estate: Estate,
        store: Store,
        image: ProcessImage,
        *,
        planner: Planner | None = None,
        wishes: Wishes = no_wishes,
        blocks: Blocks = as_configured,
    ) -> None:
        self._estate = estate
        self._store = store
        self._image = image
        self._planner = planner or HighsPlanner(estate.zone)
        self._wishes = wishes
        self._blocks = blocks

    def run(self, now: datetime) -> list[Schedule]:
        """Plan every block at ``now``, keep the plans and return them."""
        return [self._plan(self._blocks(block, now), now) for block in self._estate.blocks]

    def _forecasts(self, block: Block, now: datetime) -> list[Forecast]:
        wanted = [("outdoor_c", self._estate.id), ("irradiance_w_m2", self._estate.id)]
        wanted += [(target, block.id) for target in ("pv_w", "communal_w")]
        wanted += [
            (target, home.id)
            for home in block.dwellings
            for target in ("load_w", "hot_water_w", "free_heat_w")
        ]
        found = (self._store.latest_forecast(target, subject, now) for target, subject in wanted)
        return [forecast for forecast in found if forecast is not None]

    def _plan(self, block: Block, now: datetime) -> Schedule:
        rules = self._estate.control
        problem = build_problem(
            block,
            zone=self._estate.zone,
            now=now,
            start=floor_to(now, HALF_HOUR_S),
            steps=int(rules.plan_horizon_s // HALF_HOUR_S),
            step_s=HALF_HOUR_S,
            forecasts=self._forecasts(block, now),
            estimates=self._store.estimates(),
            snapshot=self._image.snapshot(now),
            rules=rules,
            wishes=self._wishes(now),
        )
        schedule = self._planner.plan(problem, DEADLINE_S)
        self._store.add_schedule(schedule)
        entries = [
            LogEntry(
                now,
                "plan_gave_way",
                block.id,
                {
                    "limit": gave.limit,
                    "subject": gave.subject,
                    "worst": gave.worst,
                    "unit": gave.unit,
                },
            )
            for gave in schedule.gave_way
        ]
        if entries:
            self._store.log(entries)
        log.info(
            "planned",
            block=block.id,
            status=schedule.status,
            solve_ms=round(schedule.solve_s * 1000),
            gap=f"{schedule.gap:.1e}",
            gave_way=len(schedule.gave_way),
            lacked=len(schedule.lacked),
        )
        return schedule
