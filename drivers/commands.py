"""Commands: bounds, one fresh look, a write where needed, and the proof by reading back.

The outcome is a value of :data:`ems.domain.setpoints.Outcome`; a device's failure never
raises. A setpoint for a point that cannot be written is a bug and does.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from datetime import datetime, timedelta

from drivers.exchange import failure, look, stopped
from drivers.line import Priority
from drivers.orders import (
    Basis,
    holds,
    is_write_only,
    lapsing,
    quantise,
    rule_of,
    shown,
    with_groups,
)
from drivers.permission import Identities, uncertain
from drivers.session import DeviceSession, Result
from drivers.write_memory import WriteMemory
from drivers.writing import NOTHING, Writer
from ems.domain.points import PointId
from ems.domain.ports import WriteBook
from ems.domain.readings import Quality, Reading
from ems.domain.setpoints import (
    Applied,
    Deferred,
    NotWritten,
    Outcome,
    OutOfBounds,
    Overtaken,
    Rejected,
    Setpoint,
    Unconfirmed,
    Unreachable,
)


class Commander:
    """Writes setpoints and remembers when and how often.

    Parameters
    ----------
    write_counts
        Writes so far by point, to go on counting from: registers wear out.
    book
        Is told of each write, and knows when points were written last, by any process.
    """

    def __init__(
        self,
        write_counts: Mapping[PointId, int] | None = None,
        book: WriteBook | None = None,
    ) -> None:
        self._memory = WriteMemory(write_counts, book)
        self._writer = Writer(self._memory)
        self._identities = Identities()

    @property
    def write_counts(self) -> Mapping[PointId, int]:
        """How often each point was written."""
        return self._memory.counts

    async def apply(
        self,
        session: DeviceSession,
        setpoint: Setpoint,
        now: datetime,
        *,
        urgent: bool,
        seen: float | None = None,
    ) -> Outcome:
        """Bring one point to a value; see :class:`ems.domain.ports.FieldBus`."""
        name = setpoint.point_id.point
        failed = await _found(session, name, urgent)
        if failed is not None:
            return failed
        rule = rule_of(session, name)
        target = quantise(setpoint.value, rule)
        if target is None:
            return OutOfBounds(rule.low, rule.high)
        refused = _left_alone(session, urgent)
        if refused is not None:
            return refused
        async with session.commanding:
            basis = self._basis(session, name, target, seen)
            outcome = await self._bring(session, name, target, now, urgent, basis)
        if session.judge.link_lost and not isinstance(outcome, Rejected | NotWritten | Overtaken):
            return Unreachable("its gateway answers but does not hear the device")
        return outcome

    def _basis(
        self, session: DeviceSession, name: str, target: float, seen: float | None
    ) -> Basis | None:
        """Return what must still be so when a point is written; ``None`` where nothing need be."""
        point_id = session.point_ids[name]
        if seen is None or self._writer.is_moving(point_id) or is_write_only(session, name):
            return None
        told = self._memory.told.get(point_id, seen)
        return Basis(name, (seen, told, target), rule_of(session, name).tolerance)

    async def _bring(
        self,
        session: DeviceSession,
        name: str,
        target: float,
        now: datetime,
        urgent: bool,
        basis: Basis | None,
    ) -> Outcome:
        parts = session.profile.written_as(name, target)
        own = [part for part, _ in parts]
        entering = [entry for entry in session.profile.enter_control if entry[0] not in own]
        names = with_groups(session, (*dict(entering), *own))
        refused = await self._may_write(session, name, names)
        if refused is not None:
            return refused
        held = await self._writer.held(session, names, now)
        kept = stopped(held, basis)
        if kept is not None:
            return kept
        missing = [entry for entry in entering if self._wants(session, entry, held, now)]
        failed = await self._writer.write_all(session, missing, held, now, urgent)
        if failed is None and not missing:
            failed = self._needs_no_write(session, name, parts, held, now)
        if failed is not None:
            return failed
        # The last part is what the device acts on: it hears it whatever else has changed.
        changed = [
            (part, value)
            for part, value in parts
            if part == own[-1] or not holds(held, part, value, rule_of(session, part))
        ]
        until = self._worn_until(session, [part for part, _ in changed], now)
        if until is not None and not urgent:
            return Deferred(shown(session, name, held), until)
        failed = await self._writer.write_all(session, changed, held, now, urgent, basis)
        if failed is not None:
            return failed
        seen = {
            part: self._writer.shown.get(session.point_ids[part], value) for part, value in parts
        }
        proven = not any(is_write_only(session, part) for part in own)
        return Applied(session.profile.read_as(name, seen), written=True, proven=proven)

    def _wants(
        self, session: DeviceSession, entry: tuple[str, float], held: Result, now: datetime
    ) -> bool:
        """Tell whether the device must be told what takes it under control."""
        name, value = entry
        rule = rule_of(session, name)
        if not holds(held, name, value, rule):
            return True
        # Of a register that can be read it shows that it has lapsed.
        blind = is_write_only(session, name)
        return blind and self._memory.wants_refresh(session.point_ids[name], rule, now)

    def _worn_until(
        self, session: DeviceSession, names: Sequence[str], now: datetime
    ) -> datetime | None:
        """Return until when flash protection forbids writing any of these points."""
        until = [
            self._memory.worn_until(session.point_ids[name], rule_of(session, name), now)
            for name in names
        ]
        return max((instant for instant in until if instant is not None), default=None)

    def _needs_no_write(
        self,
        session: DeviceSession,
        name: str,
        parts: Sequence[tuple[str, float]],
        held: Result,
        now: datetime,
    ) -> Outcome | None:
        """Return what is to be said where the device holds the value, or moves towards it."""
        last, target = parts[-1]
        point_id, rule = session.point_ids[last], rule_of(session, last)
        found = shown(session, name, held)
        if all(holds(held, part, value, rule_of(session, part)) for part, value in parts):
            self._writer.forget_ramp(point_id)
            if self._memory.wants_refresh(point_id, rule, now):
                return None
            proven = not any(is_write_only(session, part) for part, _ in parts)
            return Applied(found, written=False, proven=proven)
        moves = last == name and self._writer.is_on_its_way(point_id, target, found)
        return Unconfirmed(found) if moves else None

    async def repeat(
        self,
        session: DeviceSession,
        name: str,
        value: float,
        now: datetime,
        *,
        wanted: Callable[[], bool],
    ) -> Outcome | None:
        """Tell a device again what it was told, where it would lapse; nothing else.

        ``wanted`` is asked once it is this command's turn: by then another one may have
        replaced it. Returns ``None`` where it has.
        """
        refused = _left_alone(session, urgent=False)
        if refused is not None:
            return refused
        target = quantise(value, rule_of(session, name))
        async with session.commanding:
            if not wanted() or target is None:
                return None
            writes = lapsing(session, name, target)
            names = with_groups(session, [part for part, _ in writes])
            failed = await self._may_write(session, name, names)
            if failed is not None:
                return failed
            grouped = tuple(part for part in names if part not in dict(writes))
            held = await self._writer.held(session, grouped, now) if grouped else Result({})
            failed = await self._writer.write_all(session, writes, held, now, urgent=False)
            return failed or Applied(value, written=True)

    def due(self, session: DeviceSession, name: str, value: float) -> datetime | None:
        """Return by when a command must be told again; ``None`` where it lasts or is unknown."""
        found = []
        for part, _ in lapsing(session, name, value):
            at = self._memory.last_write(session.point_ids[part])
            refresh_s = rule_of(session, part).refresh_s
            if at is not None and refresh_s is not None:
                found.append(at + timedelta(seconds=refresh_s))
        return min(found, default=None)

    async def _may_write(
        self, session: DeviceSession, name: str, names: Sequence[str]
    ) -> Outcome | None:
        """Refuse uncertain addresses, and a device that is not what its profile says."""
        refused = uncertain(session, (name, *names))
        if refused is not None:
            return refused
        wrong = await self._identities.check(session)
        if wrong is None or isinstance(wrong, NotWritten):
            return wrong
        return failure(wrong)

    async def release(self, session: DeviceSession, setpoint: Setpoint, now: datetime) -> Outcome:
        """Hand a device back to its own control.

        Where the profile knows a release, that is written, after the release value (so
        that no old command waits for the next time) and its outcome counts. Elsewhere
        the release value is all there is.
        """
        failed = await _found(session, setpoint.point_id.point, urgent=True)
        if failed is not None:
            return failed
        release = session.profile.release
        if not release:
            return await self.apply(session, setpoint, now, urgent=True)
        async with session.commanding:
            names = tuple(name for name, _ in release)
            point = setpoint.point_id.point
            value = quantise(setpoint.value, rule_of(session, point))
            parts = () if value is None else session.profile.written_as(point, value)
            every = tuple(dict.fromkeys((*names, *(part for part, _ in parts))))
            refused = await self._may_write(session, point, every)
            if refused is not None:
                return refused
            held = await self._writer.held(session, every, now)
            if held.fault is not None:
                return failure(held.fault)
            if all(holds(held, name, value, rule_of(session, name)) for name, value in release):
                return Applied(held.values[names[-1]][0], written=False)
            self._writer.forget_ramp(setpoint.point_id)
            first = [part for part in parts if part[0] not in names]
            await self._writer.write_all(session, first, held, now, urgent=True)
            failed = await self._writer.write_all(session, release, held, now, urgent=True)
            return failed or Applied(self._writer.shown[session.point_ids[names[-1]]], written=True)

    async def look(self, session: DeviceSession, name: str, now: datetime) -> Reading:
        """Return what one point holds now; ``NO_ANSWER`` where the device was silent."""
        point_id = session.point_ids[name]
        if _left_alone(session, urgent=False) is not None:
            return Reading(point_id, now, math.nan, Quality.NO_ANSWER)
        async with session.commanding:
            split = (session.profile.encoded or {}).get(name)
            if split is not None:
                held = await self._writer.held(session, split.parts, now)
                value = shown(session, name, held)
                quality = Quality.NO_ANSWER if math.isnan(value) else Quality.GOOD
                return Reading(point_id, now, value, quality)
            held = await look(session, (name,), now)
        if held.fault is not None or session.judge.link_lost:
            return Reading(point_id, now, math.nan, Quality.NO_ANSWER)
        return Reading(point_id, now, *held.values.get(name, NOTHING))


async def _found(session: DeviceSession, name: str, urgent: bool) -> Outcome | None:
    """Find a device's own addresses and bounds, where they are discovered, before a command."""
    rule_of(session, name)
    if session.device.profile.discovery is None:
        return None
    refused = _left_alone(session, urgent)
    if refused is not None:
        return refused
    fault = await session.identify(Priority.WRITE)
    if fault is not None:
        return failure(fault)
    if session.profile.write_rule(name) is None:
        return Rejected(2, "its models offer no such point to write")
    return None


def _left_alone(session: DeviceSession, urgent: bool) -> Unreachable | None:
    """Refuse at once where the device or its gateway is known to be dead.

    Urgent writes are always tried, unless the gateway itself is out of reach.
    """
    if session.line.down:
        return Unreachable(f"gateway {session.line.gateway.id} is out of reach")
    backoff = session.backoff
    if not urgent and backoff.failing and not backoff.due(session.line.wall()):
        return Unreachable("the device did not answer before and is left alone for a while")
    return None
