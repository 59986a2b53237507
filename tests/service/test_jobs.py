"""Jobs happen at multiples of estate time, whatever its speed."""

from __future__ import annotations

import asyncio
from datetime import UTC, datetime, timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ems.domain.time import AnchoredClock
from ems.service.jobs import EstateTrigger, Job, due, schedule
from ems.settings.clock import ManualClock

START = datetime(2023, 12, 1, 15, 30, tzinfo=UTC)
instants = st.integers(1_577_836_800, 1_893_456_000).map(
    lambda seconds: datetime.fromtimestamp(seconds, UTC)
)


async def nothing(now: datetime) -> None:
    del now


@given(instants, st.sampled_from([5.0, 10.0, 60.0, 300.0, 1800.0]), st.sampled_from([0.0, 3.0]))
def test_the_next_run_is_the_first_multiple_after_now(
    now: datetime, period_s: float, offset_s: float
) -> None:
    following = Job("j", period_s, nothing, offset_s).next_after(now)
    assert now < following <= now + timedelta(seconds=period_s)
    assert (following.timestamp() - offset_s) % period_s == pytest.approx(0.0, abs=1e-3)


def test_a_fast_clock_shortens_the_wait_in_wall_time() -> None:
    clock = ManualClock(START, speed=60.0)
    trigger = EstateTrigger(Job("j", 1800.0, nothing), clock)
    wall_now = datetime(2026, 1, 1, tzinfo=UTC)
    assert trigger.get_next_fire_time(None, wall_now) == wall_now + timedelta(seconds=30)


def test_due_names_each_job_once_per_step() -> None:
    jobs = [Job("poll", 10.0, nothing), Job("plan", 1800.0, nothing)]
    just_before = START - timedelta(seconds=1)
    assert [job.name for job in due(jobs, just_before, START)] == ["poll", "plan"]
    assert [job.name for job in due(jobs, START, START + timedelta(seconds=30))] == ["poll"]
    assert due(jobs, START, START + timedelta(seconds=5)) == []


def test_a_failing_job_does_not_stop_its_neighbours() -> None:
    ran: list[str] = []

    async def fails(now: datetime) -> None:
        del now
        ran.append("fails")
        raise ValueError("a bug")

    async def works(now: datetime) -> None:
        del now
        ran.append("works")

    class Wall:
        """Real wall time, sixty estate seconds a second."""

        speed = 60.0

        def __init__(self) -> None:
            self._anchor = AnchoredClock(START, datetime.now(UTC).timestamp(), 60.0)

        def now(self) -> datetime:
            return self._anchor.at_wall(datetime.now(UTC).timestamp())

    async def main() -> None:
        scheduler = schedule([Job("fails", 6.0, fails), Job("works", 6.0, works)], Wall())
        scheduler.start()
        for _ in range(100):
            await asyncio.sleep(0.05)
            if ran.count("works") >= 2 and ran.count("fails") >= 2:
                break
        scheduler.shutdown(wait=False)

    asyncio.run(main())
    assert ran.count("fails") >= 2
    assert ran.count("works") >= 2
