"""The poll job: read what is due, derive what follows, keep it, tell who was lost."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from datetime import datetime

import structlog

from ems.domain.estate import Estate
from ems.domain.ports import FieldBus, LogEntry, Store
from ems.domain.profiles import Cadence
from ems.domain.readings import Quality, Reading
from ems.service.derive import derived_readings
from ems.service.image import ProcessImage

log = structlog.get_logger()


class DeviceWatch:
    """Tells once when a device falls silent and once when it answers again."""

    def __init__(self) -> None:
        self._silent: set[str] = set()

    def observe(self, readings: Sequence[Reading], now: datetime) -> list[LogEntry]:
        """Return what changed with this poll."""
        asked: set[str] = {reading.point_id.device_id for reading in readings}
        answered = {
            reading.point_id.device_id
            for reading in readings
            if reading.quality is not Quality.NO_ANSWER
        }
        lost = (asked - answered) - self._silent
        found = answered & self._silent
        self._silent = (self._silent | lost) - found
        return [LogEntry(now, "device_lost", device) for device in sorted(lost)] + [
            LogEntry(now, "device_found", device) for device in sorted(found)
        ]


class Poller:
    """Reads each cadence when its time has come.

    Parameters
    ----------
    estate, bus, store, image
        What to read, how, and where it goes.
    """

    def __init__(self, estate: Estate, bus: FieldBus, store: Store, image: ProcessImage) -> None:
        self._estate = estate
        self._bus = bus
        self._store = store
        self._image = image
        self._watch = DeviceWatch()
        rules = estate.control
        self._periods = {
            Cadence.FAST: rules.poll_fast_s,
            Cadence.NORMAL: rules.poll_normal_s,
            Cadence.SLOW: rules.poll_slow_s,
        }
        self._last: dict[Cadence, datetime] = {}

    def _due(self, now: datetime) -> set[Cadence]:
        slack_s = self._periods[Cadence.FAST] / 2
        return {
            cadence
            for cadence, period_s in self._periods.items()
            if cadence not in self._last
            or (now - self._last[cadence]).total_seconds() >= period_s - slack_s
        }

    async def run(self, now: datetime) -> None:
        """Poll what is due at ``now`` (estate time)."""
        if not self._last:
            await asyncio.to_thread(self._image.stillness.remember, self._estate, self._store, now)
        cadences = self._due(now)
        readings = await self._bus.poll(cadences, now)
        self._last.update(dict.fromkeys(cadences, now))
        self._image.update(readings)
        if Cadence.NORMAL in cadences:
            max_age_s = 2 * self._periods[Cadence.NORMAL]
            derived = derived_readings(self._estate, self._image.snapshot(now), max_age_s)
            self._image.update(derived)
            readings = [*readings, *derived]
        changes = self._watch.observe(readings, now)
        await asyncio.to_thread(self._keep, readings, changes)

    def _keep(self, readings: list[Reading], changes: list[LogEntry]) -> None:
        self._store.add_readings(readings)
        if changes:
            self._store.log(changes)
