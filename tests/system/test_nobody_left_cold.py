"""Control, guard and a gateway killed in turn and left for a day: homes stay warm.

Everything is real but the sockets: physics, store, control and guard, stepped together.
The homes' own thermostats over the same day are the measure.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta

import pytest

from ems.demo.stepping import step_through
from ems.domain.setpoints import Cause
from ems.field.faults import FaultKind, FieldFault
from ems.service.guard import GUARD
from ems.service.jobs import Job
from ems.service.runtime import heartbeat

from .conftest import Running

DAY = timedelta(hours=24)
TOLERANCE_K = 0.3


@dataclass
class Day:
    """What a day did to rooms and feeders."""

    coldest_c: dict[str, float] = field(default_factory=dict)
    peak_w: dict[str, float] = field(default_factory=dict)

    def watch(self, running: Running) -> Callable[[datetime], None]:
        def observe(now: datetime) -> None:
            del now
            for home, room_c in running.simulation.true_rooms().items():
                self.coldest_c[home] = min(self.coldest_c.get(home, 99.0), room_c)
            for row, block in enumerate(running.estate.blocks):
                power = float(running.simulation.block_w[row])
                self.peak_w[block.id] = max(self.peak_w.get(block.id, 0.0), power)

        return observe


def jobs_of(running: Running, *, control: bool, guard: bool) -> Callable[[], Sequence[Job]]:
    async def round_(now: datetime) -> None:
        await running.guard.run(now)
        running.store.beat(heartbeat(GUARD, now))

    table = [Job(GUARD, running.estate.control.guard_period_s, round_)] if guard else []
    return lambda: [*(running.control.jobs() if control else []), *table]


def live(
    running: Running, duration: timedelta, *, control: bool, guard: bool, day: Day | None = None
) -> Day:
    day = day or Day()
    asyncio.run(
        step_through(
            running.simulation,
            jobs_of(running, control=control, guard=guard),
            running.simulation.now() + duration,
            observe=day.watch(running),
        )
    )
    return day


@pytest.fixture
def thermostats(start: Callable[[], Running]) -> Day:
    """The same day with nobody in control but the homes' own thermostats."""
    running = start()
    now = running.simulation.now()
    asyncio.run(running.control.hand_back(now))
    return live(running, DAY, control=False, guard=False)


def assert_nobody_was_left_cold(running: Running, day: Day, thermostats: Day) -> None:
    for home in running.estate.dwellings():
        bound = min(home.floor_c, home.comfort.highest_c, thermostats.coldest_c[home.id])
        assert day.coldest_c[home.id] >= bound - TOLERANCE_K, home.id
    for block in running.estate.blocks:
        assert day.peak_w[block.id] <= block.limits.physical_import_w


def test_control_dead_for_a_day(start: Callable[[], Running], thermostats: Day) -> None:
    running = start()
    live(running, timedelta(minutes=10), control=True, guard=True)
    under_command = {command.point_id for command in running.store.active_commands()}
    assert under_command
    killed_at = running.simulation.now()

    day = live(running, DAY, control=False, guard=True)

    assert running.store.active_commands() == []
    released = [
        record.setpoint
        for record in running.store.setpoints(None, killed_at, killed_at + DAY, 10_000)
        if record.setpoint.cause is Cause.RELEASE
    ]
    assert {setpoint.point_id for setpoint in released} == under_command
    waits = sorted((setpoint.issued_at - killed_at).total_seconds() for setpoint in released)
    assert waits[-1] <= 16 * 60
    assert len({wait // 60 for wait in waits}) >= 5, "releases are spread over minutes"
    assert_nobody_was_left_cold(running, day, thermostats)


def test_guard_dead_for_a_day(start: Callable[[], Running], thermostats: Day) -> None:
    running = start()
    day = live(running, DAY, control=True, guard=False)
    assert_nobody_was_left_cold(running, day, thermostats)


def test_gateway_dead_for_a_day(start: Callable[[], Running], thermostats: Day) -> None:
    running = start()
    live(running, timedelta(minutes=10), control=True, guard=True)
    running.simulation.set_fault(FieldFault("gw-A", FaultKind.GATEWAY_GONE))

    day = live(running, DAY, control=True, guard=True)

    assert_nobody_was_left_cold(running, day, thermostats)
    kinds = {
        e.kind
        for e in running.store.log_entries(running.simulation.now() - DAY, running.simulation.now())
    }
    assert "device_lost" in kinds
