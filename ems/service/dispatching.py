"""The dispatch job: snapshot, decide, apply, record."""

from __future__ import annotations

import asyncio
from collections import Counter
from collections.abc import Mapping
from datetime import datetime, timedelta

import structlog

from controllers.dispatch import dispatch
from ems.domain.estate import Estate
from ems.domain.plans import Schedule
from ems.domain.points import PointId
from ems.domain.ports import FieldBus, Store
from ems.domain.setpoints import Setpoint, SetpointRecord
from ems.domain.thermal import ThermalEstimate
from ems.domain.wishes import Wish
from ems.service.commanding import apply_all
from ems.service.image import ProcessImage
from ems.service.planning import Wishes, no_wishes

log = structlog.get_logger()

REMEMBER = timedelta(minutes=20)
"""After a restart, setpoints this young count as the previous ones."""


class Dispatcher:
    """Turns plans and readings into setpoints for every block.

    Parameters
    ----------
    estate, store, bus, image
        What to steer, where plans lie, how devices are reached, the latest readings.
    wishes
        Residents' wishes in force.
    """

    def __init__(
        self,
        estate: Estate,
        store: Store,
        bus: FieldBus,
        image: ProcessImage,
        *,
        wishes: Wishes = no_wishes,
    ) -> None:
        self._estate = estate
        self._store = store
        self._bus = bus
        self._image = image
        self._wishes = wishes
        self._previous: dict[PointId, Setpoint] | None = None

    async def run(self, now: datetime) -> list[SetpointRecord]:
        """Do one dispatch of the whole estate; return what came of each setpoint."""
        records = await apply_all(await self.decide(now), self._bus, self._store, now)
        outcomes = Counter(type(record.outcome).__name__.lower() for record in records)
        log.info("dispatched", setpoints=len(records), **outcomes)
        return records

    async def decide(self, now: datetime) -> list[Setpoint]:
        """Return what every device is to be told at ``now``, and remember it."""
        if self._previous is None:
            self._previous = await asyncio.to_thread(self._remembered, now)
        schedules, estimates = await asyncio.to_thread(self._known)
        setpoints = self._decide(now, schedules, estimates, self._wishes(now), self._previous)
        self._previous = {setpoint.point_id: setpoint for setpoint in setpoints}
        return setpoints

    def _known(self) -> tuple[dict[str, Schedule | None], dict[str, ThermalEstimate]]:
        schedules = {
            block.id: self._store.latest_schedule(block.id) for block in self._estate.blocks
        }
        return schedules, self._store.estimates()

    def _remembered(self, now: datetime) -> dict[PointId, Setpoint]:
        """Return the last setpoint of each point before a restart."""
        records = self._store.setpoints(None, now - REMEMBER, now, limit=10_000)
        return {record.setpoint.point_id: record.setpoint for record in reversed(records)}

    def _decide(
        self,
        now: datetime,
        schedules: Mapping[str, Schedule | None],
        estimates: Mapping[str, ThermalEstimate],
        wishes: Mapping[str, Wish],
        previous: Mapping[PointId, Setpoint],
    ) -> list[Setpoint]:
        snapshot = self._image.snapshot(now)
        return [
            setpoint
            for block in self._estate.blocks
            for setpoint in dispatch(
                block,
                schedules[block.id],
                snapshot,
                now,
                zone=self._estate.zone,
                rules=self._estate.control,
                devices=self._estate.devices,
                estimates=estimates,
                previous=previous,
                wishes=wishes,
            )
        ]
