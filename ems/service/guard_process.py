"""The guard as a process."""

from __future__ import annotations

import asyncio
from datetime import datetime
from pathlib import Path

import structlog

from drivers import open_bus
from ems.domain.estate import Estate
from ems.domain.ports import Store
from ems.domain.time import Clock
from ems.service.alarm_job import guard_alarms
from ems.service.guard import GUARD, Guard
from ems.service.holds import Holds
from ems.service.jobs import Job, schedule
from ems.service.runtime import heartbeat, only_one, stop_on_signals
from ems.service.starting import note_start
from ems.service.writes import WriteLedger

log = structlog.get_logger()


async def run_guard(estate: Estate, store: Store, clock: Clock, state_dir: Path) -> None:
    """Run until SIGINT or SIGTERM.

    Raises
    ------
    RetryableError
        Where another guard runs on the same state directory.
    """
    with only_one(state_dir, GUARD):
        stop = stop_on_signals()
        note_start(store, GUARD, clock.now())
        ledger = WriteLedger(store)
        bus = open_bus(estate, ledger)
        holds = Holds(estate, store)
        guard = Guard(estate.control, bus, store, handed_back=holds.handed_back_since)

        async def round_(now: datetime) -> None:
            await guard.run(now)
            await asyncio.to_thread(ledger.keep)
            await asyncio.to_thread(store.beat, heartbeat(GUARD, now))

        await round_(clock.now())
        jobs = [Job("guard", estate.control.guard_period_s, round_)]
        scheduler = schedule([*jobs, guard_alarms(estate, store, state_dir)], clock)
        scheduler.start()
        log.info("guard_started", estate=estate.id)
        await stop.wait()
        scheduler.shutdown(wait=False)
        await bus.close()
        store.close()
        log.info("guard_stopped")
