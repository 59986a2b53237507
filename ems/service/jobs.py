"""When things happen: jobs at multiples of estate time.

A job is a coroutine that is handed the instant it runs for. Two things can drive
a table of jobs: APScheduler, in a process that lives in real or accelerated time,
and :func:`due`, for whoever steps a manual clock.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta

import structlog
from apscheduler.schedulers.asyncio import AsyncIOScheduler
from apscheduler.triggers.base import BaseTrigger

from ems.domain.time import Clock, floor_to

log = structlog.get_logger()


@dataclass(frozen=True, slots=True)
class Job:
    """Something to do at every multiple of a period.

    Attributes
    ----------
    name
        As shown in logs.
    period_s, offset_s
        Runs when estate time is ``k * period_s + offset_s`` since the epoch [s].
    run
        The work; gets the present estate time.
    """

    name: str
    period_s: float
    run: Callable[[datetime], Awaitable[None]]
    offset_s: float = 0.0

    def next_after(self, instant: datetime) -> datetime:
        """Return the first run strictly after ``instant``."""
        shifted = instant - timedelta(seconds=self.offset_s)
        periods = int(shifted.timestamp() // self.period_s) + 1
        return datetime.fromtimestamp(periods * self.period_s + self.offset_s, UTC)


class EstateTrigger(BaseTrigger):  # type: ignore[misc]  # APScheduler 3 has no types
    """Fires when estate time reaches a job's next multiple, whatever the clock's speed."""

    def __init__(self, job: Job, clock: Clock) -> None:
        self._job = job
        self._clock = clock

    def get_next_fire_time(self, previous_fire_time: datetime | None, now: datetime) -> datetime:
        """Return the next firing in wall time; ``previous_fire_time`` plays no part."""
        del previous_fire_time
        estate_now = self._clock.now()
        wait_s = (self._job.next_after(estate_now) - estate_now).total_seconds()
        return now + timedelta(seconds=wait_s / self._clock.speed)


async def _guarded(job: Job, clock: Clock) -> None:
    """Run a job; a bug in one job must not stop the others."""
    try:
        await job.run(clock.now())
    except asyncio.CancelledError:
        raise
    except Exception:
        log.exception("job_failed", job=job.name)


def schedule(jobs: Sequence[Job], clock: Clock) -> AsyncIOScheduler:
    """Return a scheduler, not yet started, that runs ``jobs`` on ``clock``.

    A job that is still running is not started again; runs that were missed are made
    up by one.
    """
    scheduler = AsyncIOScheduler(timezone=UTC)
    for job in jobs:
        scheduler.add_job(
            _guarded,
            EstateTrigger(job, clock),
            args=[job, clock],
            name=job.name,
            max_instances=1,
            coalesce=True,
            misfire_grace_time=None,
        )
    return scheduler


def due(jobs: Sequence[Job], before: datetime, now: datetime) -> list[Job]:
    """Return the jobs that have a run in (before, now], in order of the table."""
    return [job for job in jobs if job.next_after(before) <= now]


def align(period_s: float, instant: datetime) -> datetime:
    """Return the latest multiple of a whole-second period at or before ``instant``."""
    return floor_to(instant, int(period_s))
