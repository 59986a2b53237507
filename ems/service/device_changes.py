"""Changes made at a heat pump itself: told apart from lapses, restarts and outages.

Before each dispatch the room setpoints of all commanded heat pumps are looked at. A value
that is not what the device was told stays untouched until a second look. It counts as the
resident's only where nothing else can explain it; otherwise it is unknown, left alone for
a while and shown.
"""

from __future__ import annotations

import asyncio
import secrets
from collections.abc import Collection, Iterable, Mapping
from dataclasses import dataclass, replace
from datetime import datetime, timedelta

import structlog

from controllers.comfort import spread_s
from ems.domain.estate import Actuator, Dwelling, Estate
from ems.domain.points import PointId
from ems.domain.ports import ActiveCommand, FieldBus, LogEntry, Store
from ems.domain.profiles import WriteRule
from ems.domain.setpoints import (
    Applied,
    Cause,
    Deferred,
    Overtaken,
    Setpoint,
    SetpointRecord,
    Unconfirmed,
    Unreachable,
)
from ems.domain.wishes import Asked, Asking, DeviceChange, Finding
from ems.service.wishes import Residents

log = structlog.get_logger()

BY_DEVICE = "heat pump"
"""Who asked, in the record of a change at the device."""
LOOKS_MISSED = 3
"""After a gap of so many dispatches a change cannot be told from what a restart left."""
SAME_C = 1e-6
POINT = "room_setpoint_c"


@dataclass(frozen=True, slots=True)
class Sighting:
    """What one look at a device found.

    Attributes
    ----------
    dwelling_id, at
        Which home, and when (UTC).
    value_c, told_c
        What the device shows and what it was told last [°C].
    rule
        How the point may be written: tolerance, time to settle, the device's own fallback.
    release_c
        What hands the device back [°C].
    excuse
        What else may have changed it; empty where nothing did.
    """

    dwelling_id: str
    at: datetime
    value_c: float
    told_c: float
    rule: WriteRule
    release_c: float
    excuse: str = ""


def judge(
    seen: Sighting,
    before: DeviceChange | None,
    *,
    unknown_for: timedelta,
) -> DeviceChange | None:
    """Return what a device's value is taken for; ``None`` where it is as it was told.

    Parameters
    ----------
    seen
        The present look.
    before
        What was found at the last look.
    unknown_for
        How long a device is left alone where the change is nobody's we know.
    """
    tolerance = seen.rule.tolerance + SAME_C
    if abs(seen.value_c - seen.told_c) <= tolerance:
        return None
    if (
        before is not None
        and before.finding is Finding.UNKNOWN
        and (_lasts(before, seen.at) or abs(before.value_c - seen.value_c) <= tolerance)
    ):
        # Once its time is up it stays what it is: told again, not taken for someone's hand.
        return before
    known = before is not None and before.finding is Finding.SUSPECTED
    if before is None or not known or abs(before.value_c - seen.value_c) > tolerance:
        return DeviceChange(
            seen.dwelling_id,
            Finding.SUSPECTED,
            seen.value_c,
            seen.told_c,
            seen.at,
            why=seen.excuse,
        )
    if (seen.at - before.seen_at).total_seconds() < seen.rule.settle_s:
        return before
    why = before.why or seen.excuse or _own_value(seen, tolerance)
    if why:
        return replace(before, finding=Finding.UNKNOWN, until=seen.at + unknown_for, why=why)
    return replace(before, finding=Finding.RESIDENT)


def _lasts(change: DeviceChange, at: datetime) -> bool:
    return change.until is not None and at < change.until


def _own_value(seen: Sighting, tolerance: float) -> str:
    fallback = seen.rule.fallback
    if fallback is not None and abs(seen.value_c - fallback) <= tolerance:
        return "it is the value that the heat pump starts with"
    if abs(seen.value_c - seen.release_c) <= tolerance:
        return "it is the value that we hand it back with"
    return ""


class DeviceWatch:
    """Looks at room setpoints before each dispatch and remembers what it found.

    Parameters
    ----------
    estate, store, bus
        The homes, where findings are kept, and how devices are reached.
    residents
        What residents asked for: a change at the device becomes part of it.

    Attributes
    ----------
    seen
        What the points that are commanded showed at the last look: what comes between it and
        a command is somebody's hand.
    """

    def __init__(self, estate: Estate, store: Store, bus: FieldBus, residents: Residents) -> None:
        self._estate = estate
        self._store = store
        self._bus = bus
        self._residents = residents
        self._homes = self._watched()
        self._told: dict[PointId, float] = {}
        self.seen: dict[PointId, float] = {}
        self._looked: datetime | None = None
        self._silent: set[PointId] = set()
        mine = {home.id for home in self._homes.values()}
        self._found = {
            kept.key: kept.record for kept in store.all_kept(DeviceChange) if kept.key in mine
        }

    def _watched(self) -> dict[PointId, Dwelling]:
        """Return the homes to look at, by the point that they are commanded by."""
        return {
            PointId(home.heat_pump.device_id, POINT): home
            for home in self._estate.dwellings()
            if home.heat_pump.actuator is Actuator.ROOM_SETPOINT
        }

    def told(self, records: Iterable[SetpointRecord]) -> None:
        """Remember what devices hold after a dispatch."""
        for record in records:
            point_id, outcome = record.setpoint.point_id, record.outcome
            if point_id not in self._homes:
                continue
            if isinstance(outcome, Applied | Unconfirmed):
                self._told[point_id] = outcome.read_back
            elif isinstance(outcome, Deferred):
                # Nothing was told: what it shows beside what it was told is for the next look.
                self._told.setdefault(point_id, outcome.held)
            elif isinstance(outcome, Overtaken):
                self._told.setdefault(point_id, self.seen[point_id])
            elif isinstance(outcome, Unreachable):
                # What it holds is what it held, or what it was just asked for.
                self._silent.add(point_id)

    async def look(self, now: datetime, *, without: Collection[str] = ()) -> frozenset[str]:
        """Look at every commanded heat pump; return the homes that are to be left alone.

        Parameters
        ----------
        now
            Estate time, UTC.
        without
            Devices that are handed back: nobody asks them.
        """
        listed = await asyncio.to_thread(self._store.active_commands)
        commands = {
            command.point_id: command
            for command in listed
            if command.point_id in self._homes and command.point_id.device_id not in without
        }
        await asyncio.to_thread(self._drop_released, {command.point_id for command in listed}, now)
        expected = {
            point_id: told
            for point_id, command in commands.items()
            if (told := self._expected(command)) is not None
        }
        readings = await self._bus.look(list(expected), now)
        self.seen = {one.point_id: one.value for one in readings if one.is_good}
        gap = self._gap(now)
        seen_before, self._looked = self._looked, now
        sightings: list[Sighting] = []
        for reading in readings:
            point_id = reading.point_id
            if not reading.is_good:
                self._silent.add(point_id)
                continue
            excuse = gap or self._excuse(commands[point_id], now)
            self._silent.discard(point_id)
            device = self._estate.devices[point_id.device_id]
            rule = device.profile.points[POINT].write
            if rule is None:
                continue
            told_c, asked_c = expected[point_id], commands[point_id].value
            if abs(reading.value - asked_c) <= rule.tolerance + SAME_C:
                told_c = asked_c  # a write that was not answered had arrived
            elif self._is_timer_switch(self._homes[point_id], reading.value, seen_before, now):
                self._told[point_id] = told_c = reading.value  # the next dispatch puts it right
            sightings.append(
                Sighting(
                    self._homes[point_id].id,
                    now,
                    reading.value,
                    told_c,
                    rule,
                    commands[point_id].release_value,
                    excuse,
                )
            )
        await asyncio.to_thread(self._judge_all, sightings, seen_before, now)
        left = self.left_alone(now)
        renewed = [
            self._renewed(command, now)
            for point_id, command in commands.items()
            if self._homes[point_id].id in left
        ]
        await asyncio.to_thread(self._store.open_commands, renewed)
        return left

    def left_alone(self, now: datetime) -> frozenset[str]:
        """Return the homes whose heat pump is told nothing at ``now``.

        What a resident asked for since the change ends the wait: their word explains more
        than the device can.
        """
        alone = [
            change
            for change in self._found.values()
            if change.finding is Finding.SUSPECTED
            or (change.finding is Finding.UNKNOWN and _lasts(change, now))
        ]
        asked = self._residents.in_force(now) if alone else {}
        return frozenset(
            change.dwelling_id
            for change in alone
            if not any(one.since >= change.seen_at for one in asked.get(change.dwelling_id, ()))
        )

    def _is_timer_switch(
        self, home: Dwelling, value_c: float, before: datetime | None, now: datetime
    ) -> bool:
        """Tell whether the heat pump's own timer, set to the home's schedule, explains a value."""
        if before is None:
            return False
        zone = self._estate.zone
        change = home.comfort.next_change(before, zone)
        wanted_c = home.comfort.temperature_at(now, zone)
        return change is not None and change <= now and abs(value_c - wanted_c) <= SAME_C

    def _expected(self, command: ActiveCommand) -> float | None:
        told = self._told.get(command.point_id)
        if told is not None:
            return told
        return command.value if command.confirmed else None

    def _gap(self, now: datetime) -> str:
        longest_s = LOOKS_MISSED * self._estate.control.dispatch_s
        if self._looked is None or (now - self._looked).total_seconds() > longest_s:
            return "our controller was not running"
        return ""

    def _excuse(self, command: ActiveCommand, now: datetime) -> str:
        if command.point_id in self._silent:
            return "the heat pump was out of reach"
        if command.expires_at <= now:
            return "our last setpoint had expired"
        return ""

    def _outage(self, device_id: str, since: datetime, now: datetime) -> str:
        entries = self._store.log_entries(since, now + timedelta(seconds=1), "device_lost")
        lost = any(entry.subject == device_id for entry in entries)
        return "the heat pump was out of reach" if lost else ""

    def _drop_released(self, commanded: Collection[PointId], now: datetime) -> None:
        """Forget suspicions about devices that were released since: nobody expects a value there.

        The guard or an operator may hand a device back between two looks; without a command
        it is looked at no more, and a suspicion that stood would keep it alone for ever.
        """
        for point_id, home in self._homes.items():
            if point_id in commanded:
                continue
            self._told.pop(point_id, None)
            change = self._found.get(home.id)
            if change is not None and change.finding is Finding.SUSPECTED:
                self._over(change, now)

    def _judge_all(self, sightings: list[Sighting], looked: datetime | None, now: datetime) -> None:
        unknown_for = timedelta(seconds=self._estate.control.plan_s)
        for seen in sightings:
            before = self._found.get(seen.dwelling_id)
            sighting = seen
            if not seen.excuse and abs(seen.value_c - seen.told_c) > seen.rule.tolerance:
                pump = self._estate.dwelling(seen.dwelling_id).heat_pump.device_id
                sighting = replace(seen, excuse=self._outage(pump, looked or now, now))
            found = judge(sighting, before, unknown_for=unknown_for)
            if found == before:
                continue
            if found is None:
                self._over(before, now)
                continue
            self._keep(found, now)
            if found.finding is Finding.RESIDENT:
                self._respect(found, now)

    def _over(self, before: DeviceChange | None, now: datetime) -> None:
        """Forget a suspicion or an unknown change that is gone; the resident's stays on record."""
        if before is None or before.finding is Finding.RESIDENT:
            return
        del self._found[before.dwelling_id]
        self._store.forget(DeviceChange, before.dwelling_id)
        log.info("device_change_over", home=before.dwelling_id, estate_time=now.isoformat())

    def _keep(self, found: DeviceChange, now: datetime) -> None:
        self._found[found.dwelling_id] = found
        home = found.dwelling_id
        self._store.keep(found, key=home, subject=home, at=now)
        if found.finding is Finding.SUSPECTED:
            return
        detail = {"finding": str(found.finding), "value_c": found.value_c, "told_c": found.told_c}
        self._store.log([LogEntry(now, "device_changed", home, {**detail, "why": found.why})])
        log.info("device_changed", home=home, **detail)

    def _respect(self, found: DeviceChange, now: datetime) -> None:
        """Take a change at the device for what the resident asks, until the schedule changes."""
        home = self._residents.home(self._estate.dwelling(found.dwelling_id), now)
        until = now + timedelta(seconds=self._estate.control.touch_hold_s)
        change = home.comfort.next_change(now, self._estate.zone)
        asked = Asked(
            id=f"{now:%Y%m%dT%H%M%S.%f}-{home.id}-{Asking.DEVICE}-{secrets.token_hex(2)}",
            dwelling_id=home.id,
            asking=Asking.DEVICE,
            by=BY_DEVICE,
            since=found.seen_at,
            until=until if change is None else min(until, change),
            temperature_c=found.value_c,
        )
        self._store.keep(asked, key=asked.id, subject=home.id, at=now, expected=0)

    def _renewed(self, command: ActiveCommand, now: datetime) -> Setpoint:
        """Return a command with new life: the guard must not take back what is left alone."""
        rules = self._estate.control
        home = self._homes[command.point_id]
        life_s = rules.command_life_s + spread_s(home.id, rules.command_spread_s)
        return Setpoint(
            id=command.setpoint_id,
            point_id=command.point_id,
            value=command.value,
            issued_at=now,
            expires_at=now + timedelta(seconds=life_s),
            cause=Cause.RESIDENT,
            sentence="",
            release_value=command.release_value,
        )


def changes_now(store: Store, now: datetime) -> Mapping[str, DeviceChange]:
    """Return by home the changes that are left alone at ``now``, for pages."""
    return {
        kept.key: kept.record
        for kept in store.all_kept(DeviceChange)
        if kept.record.finding is Finding.UNKNOWN and _lasts(kept.record, now)
    }
