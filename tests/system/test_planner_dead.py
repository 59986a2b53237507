"""A planner that fails or hangs never keeps homes from being steered."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable
from datetime import datetime, timedelta
from typing import Any

import pytest

from ems.service import control as control_module
from ems.service.guard import CONTROL

from .conftest import Running

DEMO_SEED = 1


def fail(now: datetime) -> Any:
    raise RuntimeError("the planner is broken")


def hang(now: datetime) -> Any:
    time.sleep(3.0)
    return []


@pytest.mark.parametrize("broken", [fail, hang])
def test_homes_are_steered_without_a_planner(
    start: Callable[[int], Running], monkeypatch: pytest.MonkeyPatch, broken: Callable[..., Any]
) -> None:
    monkeypatch.setattr(control_module, "CATCH_UP_WALL_S", 0.2)
    running = start(DEMO_SEED)
    monkeypatch.setattr(running.control._plans, "catch_up", broken)

    async def two_rounds() -> None:
        now = running.simulation.now()
        for _ in range(2):
            now += timedelta(minutes=1)
            running.simulation.step_to(now)
            await running.control.poll(now)
            await running.control.dispatch(now)

    asyncio.run(two_rounds())
    assert running.store.heartbeats()[CONTROL].at == running.simulation.now()
    assert len(running.store.active_commands()) == 42
