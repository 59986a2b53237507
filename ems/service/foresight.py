"""What plans foresaw, held against the meters: how much a block's own use is in doubt."""

from __future__ import annotations

from collections.abc import Collection
from datetime import datetime, timedelta

import numpy as np

from controllers.events import battery_alone_w
from ems.domain.estate import Block
from ems.domain.events import EventState, FlexEvent, Foreseen
from ems.domain.plans import Schedule, SchedulingProblem
from ems.domain.points import PointId
from ems.domain.ports import Store
from ems.domain.rules import ControlRules
from ems.domain.time import HALF_HOUR
from ems.flex.doubt import Doubt, doing, learn

REMEMBERS = timedelta(days=14)
AHEAD = 12
"""Half-hours of each plan that are kept: what is promised rests on plans hours old."""
TOUCHED = timedelta(hours=3)
"""So long before and after an event nothing is learnt."""


def foresee(store: Store, problem: SchedulingProblem, schedule: Schedule) -> None:
    """Keep what a plan that no event shapes expects of heat pumps and battery."""
    slots = min(AHEAD, len(schedule.step_s))
    water = {home.dwelling_id: home.hot_water_w for home in problem.homes}
    total = np.zeros(slots)
    for home in schedule.homes:
        hot = water.get(home.dwelling_id)
        total += home.power_w[:slots] + (0.0 if hot is None else hot[:slots])
    record = Foreseen(
        block_id=problem.block_id,
        start=schedule.start,
        homes=tuple(home.dwelling_id for home in schedule.homes),
        heating_w=tuple(total.tolist()),
        battery_w=()
        if schedule.battery is None
        else tuple(battery_alone_w(problem, schedule)[:slots].tolist()),
    )
    store.keep(
        record,
        key=_key(problem.block_id, schedule.start),
        subject=problem.block_id,
        at=problem.issued_at,
    )
    store.forget(Foreseen, _key(problem.block_id, schedule.start - REMEMBERS))


def doubt_of(store: Store, block: Block, rules: ControlRules, now: datetime) -> Doubt:
    """Return how far the block's use differed from its plans in the last days."""
    since = now - REMEMBERS
    plans = [
        kept.record
        for kept in store.all_kept(Foreseen, subject=block.id)
        if kept.record.start >= since
    ]
    heating: list[tuple[float, float]] = []
    battery: list[tuple[float, float, int]] = []
    if plans:
        pumps = {home.id: home.heat_pump.power_device_id for home in block.dwellings}
        unit = None if block.battery is None else block.battery.device_id
        devices = [*pumps.values(), *([] if unit is None else [unit])]
        first = min(plan.start for plan in plans)
        frame = store.rollups([PointId(each, "power_w") for each in devices], first, now)
        rows = {start.to_pydatetime(): row for row, start in enumerate(frame.index)}
        columns = {name: number for number, name in enumerate(frame.columns)}
        values = frame.to_numpy(dtype=float)
        eventful = _eventful(store, block)
        for plan in plans:
            mine = [
                columns[str(PointId(pumps[name], "power_w"))]
                for name in plan.homes
                if name in pumps
            ]
            does = doing(np.array(plan.battery_w))
            for ahead, planned in enumerate(plan.heating_w):
                start = plan.start + ahead * HALF_HOUR
                row = rows.get(start)
                if row is None or any(low <= start < high for low, high in eventful):
                    continue
                drawn = values[row, mine]
                seen = np.isfinite(drawn)
                if mine and seen.mean() > 0.8:
                    heating.append((planned, float(drawn[seen].mean() * len(mine))))
                if unit is not None and plan.battery_w:
                    flow = float(values[row, columns[str(PointId(unit, "power_w"))]])
                    if np.isfinite(flow):
                        battery.append((plan.battery_w[ahead], flow, int(does[ahead])))
    return learn(
        heating,
        battery,
        homes=len(block.dwellings),
        battery_max_w=0.0 if block.battery is None else block.battery.max_discharge_w,
        confidence=rules.event_confidence,
    )


def _key(block_id: str, start: datetime) -> str:
    return f"{block_id}/{start.isoformat()}"


def _eventful(store: Store, block: Block) -> Collection[tuple[datetime, datetime]]:
    return [
        (kept.record.request.start - TOUCHED, kept.record.request.end + TOUCHED)
        for kept in store.all_kept(FlexEvent, subject=block.id)
        if kept.record.state is not EventState.CANCELLED
    ]
