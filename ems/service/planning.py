"""The plan job: one joint plan a block, from what is known now."""

from __future__ import annotations

from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import replace
from datetime import datetime

import numpy as np
import structlog

from controllers.comfort import with_dials
from controllers.events import (
    carried_over,
    ends_at,
    participants,
    undisturbed,
    with_promises,
    with_recovery,
)
from controllers.fairness import Spared, expected_homes, plan_sparing
from controllers.joint import JointPlanner
from controllers.problem import build_problem
from ems.domain.estate import Block, Estate
from ems.domain.events import EventState, FlexEvent, Undisturbed
from ems.domain.forecasts import Forecast
from ems.domain.plans import Planner, Schedule, SchedulingProblem
from ems.domain.ports import LogEntry, Store
from ems.domain.time import HALF_HOUR, HALF_HOUR_S, floor_to
from ems.domain.wishes import Wish
from ems.flex.doubt import Doubt
from ems.service.fairness import AFTER, PREPARES, no_sparing
from ems.service.foresight import doubt_of, foresee
from ems.service.image import ProcessImage
from ems.service.standing import CarbonFile, peaks_so_far
from ems.service.tightening import tightening_of

log = structlog.get_logger()

DEADLINE_S = 5.0
"""Wall seconds a planner may take for one block."""

Wishes = Callable[[datetime], Mapping[str, Wish]]
"""Tells which wishes of residents are in force, by dwelling id."""

Blocks = Callable[[Block, datetime], Block]
"""Returns a block as it is to be planned now: with the schedules that residents chose."""


Events = Callable[[datetime], Sequence[FlexEvent]]
"""Tells which events are accepted, running or recovering."""

Apart = Callable[[datetime, str], Collection[str]]
"""Tells which homes an event, by its id, must not touch: opted out of it, or held."""

Sparing = Callable[[Sequence[FlexEvent]], Spared]
"""Tells how far each event is to spare homes that carried more than their share."""


def no_events(now: datetime) -> Sequence[FlexEvent]:
    """Return no events: what holds where nobody asks for any."""
    del now
    return ()


def none_apart(now: datetime, event_id: str) -> Collection[str]:
    """Return no homes: what holds where nothing keeps opt-outs or holds."""
    del now, event_id
    return ()


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
        Turns a problem into a plan; the joint planner unless given.
    wishes
        Residents' wishes in force.
    blocks
        Returns blocks as they are to be planned now.
    events, apart
        Events in force, and the homes that each must not touch.
    sparing
        How far events are to spare homes that carried more than their share.
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
        events: Events = no_events,
        apart: Apart = none_apart,
        sparing: Sparing = no_sparing,
    ) -> None:
        self._estate = estate
        self._store = store
        self._image = image
        self._planner = planner or JointPlanner(estate.zone)
        self._wishes = wishes
        self._blocks = blocks
        self._events = events
        self._apart = apart
        self._sparing = sparing
        self._carbon = CarbonFile(estate.sources.carbon)
        self._planned_for: dict[str, tuple[object, ...]] = {}

    def run(self, now: datetime) -> list[Schedule]:
        """Plan every block at ``now``, keep the plans and return them."""
        events = self._events(now)
        return [self._plan(block, now, events) for block in self._estate.blocks]

    def catch_up(self, now: datetime) -> list[Schedule]:
        """Plan the blocks whose events are others than their plans were made for.

        To be called before each dispatch: an event that is new, changed or withdrawn, begins
        or ends is planned for at once. Returns the plans that were made.
        """
        events = self._events(now)
        return [
            self._plan(block, now, events)
            for block in self._estate.blocks
            if self._mark(block, now, events) != self._planned_for.get(block.id, ())
        ]

    def _mark(self, block: Block, now: datetime, events: Sequence[FlexEvent]) -> tuple[object, ...]:
        """Return what of a block's events its plan depends on."""
        return tuple(
            (
                event.id,
                event.request,
                event.accepted_w,
                event.participants,
                event.battery_takes_part,
                event.instructions,
                event.request.start <= now,
                ends_at(event) <= now,
                frozenset(self._apart(now, event.id)),
            )
            for event in events
            if event.request.block_id == block.id
        )

    def _forecasts(self, block: Block, now: datetime) -> list[Forecast]:
        wanted = [("outdoor_c", self._estate.id), ("irradiance_w_m2", self._estate.id)]
        wanted += [(target, block.id) for target in ("pv_w", "communal_w", "load_w")]
        wanted += [
            (target, home.id)
            for home in block.dwellings
            for target in ("load_w", "hot_water_w", "free_heat_w")
        ]
        found = (self._store.latest_forecast(target, subject, now) for target, subject in wanted)
        return [forecast for forecast in found if forecast is not None]

    def _before(
        self, block: Block, problem: SchedulingProblem, events: Sequence[FlexEvent], now: datetime
    ) -> dict[str, Undisturbed]:
        """Return what is expected without each event; kept once its preparation begins.

        For hours that another event shapes already, what was kept for that one is taken.
        """
        found = {event.id: self._store.kept(Undisturbed, event.id) for event in events}
        kept = {
            event.id: one.record
            for event in events
            if (one := found[event.id]) is not None and _still_holds(event, one.record, now)
        }
        shaped = [
            one.record
            for event in events
            if (one := found[event.id]) is not None and now >= event.request.start - PREPARES
        ]
        missing = [event for event in events if event.id not in kept]
        if not missing:
            return kept
        running = tuple(one for one in problem.events if one.start <= now)
        plain = self._planner.plan(replace(problem, events=running), DEADLINE_S)
        doubt = doubt_of(self._store, block, self._estate.control, now)
        for event in missing:
            apart = self._apart(now, event.id)
            homes = participants(event, block, wishes=self._wishes(now), apart=apart, now=now)
            fresh = undisturbed(event, problem, plain, homes)
            share = fresh.homes / max(len(block.dwellings), 1)
            kept[event.id] = carried_over(_doubted(fresh, doubt, share), shaped)
            self._store.keep(kept[event.id], key=event.id, subject=block.id, at=now)
            would = expected_homes(
                event.id,
                block,
                problem,
                plain,
                zone=self._estate.zone,
                rules=self._estate.control,
                first=event.request.start - PREPARES,
                last=event.request.end + AFTER,
            )
            self._store.keep(would, key=event.id, subject=block.id, at=now)
        return kept

    def _plan(self, block: Block, now: datetime, all_events: Sequence[FlexEvent]) -> Schedule:
        rules = self._estate.control
        self._planned_for[block.id] = self._mark(block, now, all_events)
        events = [event for event in all_events if event.request.block_id == block.id]
        block = self._blocks(block, now)
        snapshot = self._image.snapshot(now)
        learnt = tightening_of(self._store, block.id)
        problem = build_problem(
            block,
            zone=self._estate.zone,
            now=now,
            start=floor_to(now, HALF_HOUR_S),
            steps=int(rules.plan_horizon_s // HALF_HOUR_S),
            step_s=HALF_HOUR_S,
            forecasts=self._forecasts(block, now),
            estimates=self._store.estimates(),
            snapshot=snapshot,
            rules=rules,
            wishes=with_dials(block, snapshot, self._estate.zone, self._wishes(now)),
            events=events,
            apart={event.id: self._apart(now, event.id) for event in events},
            peaks_w=peaks_so_far(block, self._estate, self._store, now),
            carbon_g_per_kwh=self._carbon.forecast() if rules.carbon_gbp_per_t > 0 else None,
            load_spread_factor=learnt.load,
            cold_spread_factor=learnt.cold,
        )
        if events:
            before = self._before(block, problem, events, now)
            problem = with_promises(problem, events, before)
            problem = with_recovery(problem, events, before, rules)
            spared = self._sparing(events)
            schedule = plan_sparing(self._planner, problem, events, spared, DEADLINE_S)
        else:
            schedule = self._planner.plan(problem, DEADLINE_S)
        schedule = replace(schedule, tightening=learnt)
        if not events:
            foresee(self._store, problem, schedule)
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


def _still_holds(event: FlexEvent, kept: Undisturbed, now: datetime) -> bool:
    """Tell whether what was kept for an event is to stay: it prepares, and covers its hours."""
    ahead = event.state is EventState.ACCEPTED
    if ahead and now < event.request.start - PREPARES:
        return False
    reach = kept.start + HALF_HOUR * len(kept.heating_w)
    return (not ahead or kept.start == event.request.start) and reach >= event.request.end


def _doubted(fresh: Undisturbed, doubt: Doubt, share: float) -> Undisturbed:
    """Return a record with the least and the most that heat pumps draw."""
    low, _, high = doubt.heating_w(np.array(fresh.heating_w), share)
    return replace(
        fresh,
        heating_low_w=tuple(low.tolist()),
        heating_high_w=tuple(high.tolist()),
    )
