"""The alarms job of the control process and of the guard: look, keep, let the courier send."""

from __future__ import annotations

import asyncio
import os
from datetime import datetime
from pathlib import Path

from ems.domain.estate import Estate
from ems.domain.ports import Store
from ems.service.alarms import ControlWatch, GuardWatch
from ems.service.image import ProcessImage
from ems.service.jobs import Job
from ems.service.notify import Courier, open_channels
from ems.service.planning import Wishes

PERIOD_S = 60.0
CONTROL_OFFSET_S = 25.0
GUARD_OFFSET_S = 40.0
"""After a round of dispatch, and apart from each other."""
GRACE_WALL_S = 15.0
"""Processes start together; none is called silent before this has passed [wall s]."""


def alarm_job(watch: ControlWatch | GuardWatch, courier: Courier, offset_s: float) -> Job:
    """Return the job that looks once a minute; sending goes on beside it."""

    async def run(now: datetime) -> None:
        await asyncio.to_thread(watch.run, now)
        courier.wake(now)

    return Job("alarms", PERIOD_S, run, offset_s)


def control_alarms(
    estate: Estate, store: Store, image: ProcessImage, state_dir: Path, wishes: Wishes
) -> Job:
    """Return the control process's alarms job."""
    courier = Courier(store, estate, open_channels(estate, os.environ))
    watch = ControlWatch(
        estate,
        store,
        image,
        wishes=wishes,
        state_dir=state_dir,
        on_trouble=courier.tell_directly,
        grace_wall_s=GRACE_WALL_S,
    )
    return alarm_job(watch, courier, CONTROL_OFFSET_S)


def guard_alarms(estate: Estate, store: Store, state_dir: Path) -> Job:
    """Return the guard's alarms job."""
    courier = Courier(store, estate, open_channels(estate, os.environ))
    watch = GuardWatch(
        estate,
        store,
        state_dir=state_dir,
        on_trouble=courier.tell_directly,
        grace_wall_s=GRACE_WALL_S,
    )
    return alarm_job(watch, courier, GUARD_OFFSET_S)
