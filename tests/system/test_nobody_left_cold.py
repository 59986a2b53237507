"""Control, guard and a gateway killed in turn and left alone: homes stay warm.

Everything is real but the sockets: physics, store, control and guard, stepped together.
The homes' own thermostats over the same hours are the measure. A run begins before the
evening peak; where control goes on working, which takes a minute of computing a day, four
hours are in the gate and the day is a long run. What was measured goes into ``build/``.
"""

from __future__ import annotations

import asyncio
import functools
from collections.abc import Callable, Sequence
from datetime import datetime, timedelta
from typing import Any

import numpy as np
import pytest

from ems.demo.stepping import step_through
from ems.domain.setpoints import Cause
from ems.field.faults import FaultKind, FieldFault
from ems.service.guard import GUARD
from ems.service.jobs import Job
from ems.service.runtime import heartbeat

from .conftest import Running

DAY = timedelta(hours=24)
SETTLED = timedelta(minutes=10)
TOLERANCE_K = 0.3
DEMO_SEED = 1
OTHER_SEEDS = [pytest.param(seed, marks=pytest.mark.long) for seed in range(2, 6)]
EVENING_OR_DAY = [4, pytest.param(24, marks=pytest.mark.long)]

Start = Callable[[int], Running]


class Watch:
    """What some hours did to rooms and feeders, minute by minute."""

    def __init__(self, running: Running) -> None:
        self._running = running
        self.homes = list(running.simulation.true_rooms())
        self.times: list[datetime] = []
        self.rooms_c: list[list[float]] = []
        self.power_w: list[list[float]] = []

    def __call__(self, now: datetime) -> None:
        self.times.append(now)
        self.rooms_c.append(list(self._running.simulation.true_rooms().values()))
        self.power_w.append(self._running.simulation.block_w.tolist())

    def during(self, times: Sequence[datetime]) -> tuple[np.ndarray, np.ndarray]:
        """Rooms [°C] and block powers [W] at these minutes, a row a minute."""
        rows = [self.times.index(times[0]) + k for k in range(len(times))]
        assert self.times[rows[-1]] == times[-1]
        return np.array(self.rooms_c)[rows], np.array(self.power_w)[rows]


def jobs_of(running: Running, *, control: bool, guard: bool) -> Callable[[], Sequence[Job]]:
    async def round_(now: datetime) -> None:
        await running.guard.run(now)
        running.store.beat(heartbeat(GUARD, now))

    table = [Job(GUARD, running.estate.control.guard_period_s, round_)] if guard else []
    return lambda: [*(running.control.jobs() if control else []), *table]


def live(running: Running, duration: timedelta, *, control: bool, guard: bool) -> Watch:
    watch = Watch(running)
    asyncio.run(
        step_through(
            running.simulation,
            jobs_of(running, control=control, guard=guard),
            running.simulation.now() + duration,
            observe=watch,
        )
    )
    return watch


@pytest.fixture(scope="session")
def thermostats(start: Start) -> Callable[[int], Watch]:
    """The same day with nobody in control but the homes' own thermostats, once a seed."""

    @functools.cache
    def run(seed: int) -> Watch:
        running = start(seed)
        asyncio.run(running.control.hand_back(running.simulation.now()))
        return live(running, SETTLED + DAY, control=False, guard=False)

    return run


def compared(running: Running, watch: Watch, thermostats: Watch) -> dict[str, Any]:
    """The five homes nearest to their bound, and the blocks' peaks beside their ratings."""
    rooms, power = watch.during(watch.times)
    native_rooms, native_power = thermostats.during(watch.times)
    homes = []
    for home in running.estate.dwellings():
        column = watch.homes.index(home.id)
        coldest, native = float(rooms[:, column].min()), float(native_rooms[:, column].min())
        bound = min(home.floor_c, home.comfort.highest_c, native)
        homes.append(
            {
                "home": home.id,
                "coldest_c": round(coldest, 3),
                "at": watch.times[int(rooms[:, column].argmin())].isoformat(),
                "floor_c": home.floor_c,
                "by_own_thermostat_c": round(native, 3),
                "above_bound_k": round(coldest - bound, 3),
            }
        )
    blocks = [
        {
            "block": block.id,
            "highest_minute_w": round(float(power[:, row].max())),
            "by_own_thermostats_w": round(float(native_power[:, row].max())),
            "rating_w": block.limits.physical_import_w,
        }
        for row, block in enumerate(running.estate.blocks)
    ]
    return {
        "from": watch.times[0].isoformat(),
        "until": watch.times[-1].isoformat(),
        "homes": sorted(homes, key=lambda one: one["above_bound_k"])[:5],
        "blocks": blocks,
    }


def assert_nobody_was_left_cold(measured: dict[str, Any]) -> None:
    for home in measured["homes"]:
        assert home["above_bound_k"] >= -TOLERANCE_K, home
    for block in measured["blocks"]:
        assert block["highest_minute_w"] <= block["rating_w"], block


@pytest.mark.parametrize("seed", [DEMO_SEED, *OTHER_SEEDS])
def test_control_dead_for_a_day(
    seed: int, start: Start, thermostats: Callable[[int], Watch], figures: dict[str, Any]
) -> None:
    running = start(seed)
    live(running, SETTLED, control=True, guard=True)
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
    measured = compared(running, day, thermostats(seed))
    figures[f"control dead for 24 h, seed {seed}"] = measured
    assert_nobody_was_left_cold(measured)


@pytest.mark.parametrize("hours", EVENING_OR_DAY)
def test_guard_dead(
    hours: int, start: Start, thermostats: Callable[[int], Watch], figures: dict[str, Any]
) -> None:
    running = start(DEMO_SEED)
    watch = live(running, timedelta(hours=hours), control=True, guard=False)
    measured = compared(running, watch, thermostats(DEMO_SEED))
    figures[f"guard dead for {hours} h"] = measured
    assert_nobody_was_left_cold(measured)


@pytest.mark.parametrize("hours", EVENING_OR_DAY)
def test_gateway_dead(
    hours: int, start: Start, thermostats: Callable[[int], Watch], figures: dict[str, Any]
) -> None:
    running = start(DEMO_SEED)
    live(running, SETTLED, control=True, guard=True)
    running.simulation.set_fault(FieldFault("gw-A", FaultKind.GATEWAY_GONE))
    gone_at = running.simulation.now()

    watch = live(running, timedelta(hours=hours), control=True, guard=True)

    kinds = {e.kind for e in running.store.log_entries(gone_at, running.simulation.now())}
    assert "device_lost" in kinds
    measured = compared(running, watch, thermostats(DEMO_SEED))
    figures[f"gateway gone for {hours} h"] = measured
    assert_nobody_was_left_cold(measured)
