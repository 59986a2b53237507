"""The dispatch job: snapshot, decide, apply, record."""

from __future__ import annotations

import asyncio
from collections import Counter
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta

import structlog

from controllers.dispatch import dispatch
from ems.domain.estate import Block, Estate
from ems.domain.events import FlexEvent, Undisturbed
from ems.domain.plans import Schedule
from ems.domain.points import PointId
from ems.domain.ports import FieldBus, LogEntry, Store
from ems.domain.setpoints import Setpoint, SetpointRecord
from ems.domain.thermal import ThermalEstimate
from ems.domain.wishes import Wish
from ems.service.commanding import apply_all, release_all
from ems.service.device_changes import DeviceWatch
from ems.service.dial_changes import DialWatch
from ems.service.image import ProcessImage
from ems.service.in_charge import InCharge
from ems.service.planning import (
    Apart,
    Events,
    Wishes,
    no_events,
    no_wishes,
    none_apart,
)

log = structlog.get_logger()

HELD_SENTENCE = "Handed back to your heating's own control by your landlord's energy team."
REMEMBER = timedelta(minutes=20)
"""After a restart, setpoints this young count as the previous ones."""


@dataclass(frozen=True, slots=True)
class _Asked:
    """Events in force, what was expected without each, and whom each must not touch."""

    events: Sequence[FlexEvent]
    before: Mapping[str, Undisturbed]
    apart: Mapping[str, Collection[str]]


class Dispatcher:
    """Turns plans and readings into setpoints for every block.

    Parameters
    ----------
    estate, store, bus, image
        What to steer, where plans lie, how devices are reached, the latest readings.
    wishes
        Residents' wishes in force, where nobody is ``charge``.
    charge
        Who decides on each home: its resident, an operator, or the plan.
    events, apart
        Events in force, and the homes that each must not touch.
    """

    def __init__(
        self,
        estate: Estate,
        store: Store,
        bus: FieldBus,
        image: ProcessImage,
        *,
        wishes: Wishes = no_wishes,
        charge: InCharge | None = None,
        events: Events = no_events,
        apart: Apart = none_apart,
    ) -> None:
        self._estate = estate
        self._store = store
        self._bus = bus
        self._image = image
        self._wishes = wishes if charge is None else charge.wishes
        self._charge = charge
        self._events = events
        self._apart = apart
        # In a dry run no device is told anything: nothing can differ from it.
        dry_run = estate.control.dry_run
        self._watches: tuple[DeviceWatch, ...] = ()
        if charge is not None and not dry_run:
            watched = (estate, store, bus, charge.residents)
            self._watches = (DeviceWatch(*watched), DialWatch(*watched))
        self._left_alone: frozenset[str] = frozenset()
        self._previous: dict[PointId, Setpoint] | None = None

    async def run(self, now: datetime) -> list[SetpointRecord]:
        """Do one dispatch of the whole estate; return what came of each setpoint."""
        if self._charge is not None and self._watches:
            held = await asyncio.to_thread(self._charge.holds.handed_back, now)
            await self._hand_back(held, now)
            left = [await watch.look(now, without=held) for watch in self._watches]
            self._left_alone = frozenset().union(*left)
        seen = {
            point_id: value for watch in self._watches for point_id, value in watch.seen.items()
        }
        records = await apply_all(
            await self.decide(now),
            self._bus,
            self._store,
            now,
            dry_run=self._estate.control.dry_run,
            seen=seen,
        )
        for watch in self._watches:
            watch.told(records)
        outcomes = Counter(type(record.outcome).__name__.lower() for record in records)
        log.info("dispatched", setpoints=len(records), **outcomes)
        return records

    async def decide(self, now: datetime) -> list[Setpoint]:
        """Return what every device is to be told at ``now``, and remember it."""
        if self._previous is None:
            self._previous = await asyncio.to_thread(self._remembered, now)
        schedules, estimates = await asyncio.to_thread(self._known)
        wishes = await asyncio.to_thread(self._wishes, now)
        blocks = await asyncio.to_thread(self._steered, now)
        asked = await asyncio.to_thread(self._asked, now)
        setpoints = self._decide(now, blocks, schedules, estimates, wishes, asked, self._previous)
        if self._charge is not None:
            setpoints = await asyncio.to_thread(self._charge.gentle.named, setpoints, now)
        self._previous = {setpoint.point_id: setpoint for setpoint in setpoints}
        return setpoints

    async def _hand_back(self, held: frozenset[str], now: datetime) -> None:
        """Release the devices that an operator took out of our hands and that are not yet."""
        listed = await asyncio.to_thread(self._store.active_commands) if held else []
        commands = [command for command in listed if command.point_id.device_id in held]
        if not commands:
            return
        records, standing = await release_all(commands, self._bus, self._store, now, HELD_SENTENCE)
        detail = {"released": len(records) - len(standing), "standing": len(standing)}
        await asyncio.to_thread(self._store.log, [LogEntry(now, "handed_back", "estate", detail)])
        log.info("handed_back", **detail)

    def _steered(self, now: datetime) -> list[Block]:
        """Return the blocks with the homes that are to be told something."""
        blocks = self._estate.blocks
        if self._charge is None:
            return list(blocks)
        return [self._charge.steered(block, now, self._left_alone) for block in blocks]

    def _known(self) -> tuple[dict[str, Schedule | None], dict[str, ThermalEstimate]]:
        schedules = {
            block.id: self._store.latest_schedule(block.id) for block in self._estate.blocks
        }
        return schedules, self._store.estimates()

    def _asked(self, now: datetime) -> _Asked:
        events = self._events(now)
        found = [self._store.kept(Undisturbed, event.id) for event in events]
        return _Asked(
            events,
            {kept.record.event_id: kept.record for kept in found if kept is not None},
            {event.id: self._apart(now, event.id) for event in events},
        )

    def _remembered(self, now: datetime) -> dict[PointId, Setpoint]:
        """Return the last setpoint of each point before a restart."""
        records = self._store.setpoints(None, now - REMEMBER, now, limit=10_000)
        return {record.setpoint.point_id: record.setpoint for record in reversed(records)}

    def _decide(
        self,
        now: datetime,
        blocks: Sequence[Block],
        schedules: Mapping[str, Schedule | None],
        estimates: Mapping[str, ThermalEstimate],
        wishes: Mapping[str, Wish],
        asked: _Asked,
        previous: Mapping[PointId, Setpoint],
    ) -> list[Setpoint]:
        snapshot = self._image.snapshot(now)
        return [
            setpoint
            for block in blocks
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
                events=[event for event in asked.events if event.request.block_id == block.id],
                before=asked.before,
                apart=asked.apart,
            )
        ]
