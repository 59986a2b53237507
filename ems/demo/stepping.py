"""The service's processes in one process, stepped on a manual clock.

What APScheduler does in a running estate, a loop does here: physics first, then every
job that is due, in order of the table. Hours pass in seconds, and two runs with the
same seed are the same.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from datetime import datetime, timedelta

from ems.field.simulation import EstateSimulation
from ems.service.jobs import Job, due

TICK_S = 60


async def step_through(
    simulation: EstateSimulation,
    jobs: Callable[[], Sequence[Job]],
    until: datetime,
    *,
    tick_s: int = TICK_S,
    observe: Callable[[datetime], None] = lambda _: None,
) -> None:
    """Advance physics and jobs together until ``until``.

    Parameters
    ----------
    simulation
        The estate's physics; its present is where time goes on.
    jobs
        Asked at every tick which jobs there are, so that a caller can kill a process by
        leaving its jobs out.
    until
        Where to stop, UTC.
    tick_s
        Step of time [s]; a job is run at most once a tick.
    observe
        Called at the end of every tick.
    """
    now = simulation.now()
    while now < until:
        before, now = now, now + timedelta(seconds=tick_s)
        simulation.step_to(now)
        for job in due(jobs(), before, now):
            await job.run(now)
        observe(now)
