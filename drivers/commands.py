"""Commands: bounds, one fresh look, a write where needed, and the proof by reading back.

The outcome is a value of :data:`ems.domain.setpoints.Outcome`; a device's failure never
raises. A setpoint for a point that cannot be written is a bug and does.
"""

from __future__ import annotations

import asyncio
import math
from collections.abc import Mapping, Sequence
from datetime import datetime

import structlog

from drivers.codec import WriteMessage, write_message
from drivers.line import GATEWAY_CODES, Priority
from drivers.permission import Identities, uncertain
from drivers.session import DeviceSession, Result, describe
from drivers.transport import EXCEPTIONS, Answer, Broken, Malformed, Refusal, Reply, Silence
from drivers.write_memory import WriteMemory
from ems.domain.errors import InvalidInputError
from ems.domain.points import PointId
from ems.domain.ports import WriteBook
from ems.domain.profiles import Rounding, WriteRule
from ems.domain.readings import Quality, Reading
from ems.domain.setpoints import (
    Applied,
    Deferred,
    NotWritten,
    Outcome,
    OutOfBounds,
    Rejected,
    Setpoint,
    Unconfirmed,
    Unreachable,
)

log = structlog.get_logger(__name__)

NOT_NOW = (4, 6, *GATEWAY_CODES)
"""Exceptions that speak of the device's state, not of the request."""

STILL_WORKING = 5
"""Exception of a device that took a write and needs time for it."""

BUSY_TRIES = 3
BUSY_WAIT_S = 0.2
"""How often a busy device is asked, and how long it is left in between [s, wall time]."""

_NOTHING = (math.nan, Quality.NO_ANSWER)

READ_BACK_TRIES = 2
"""A device may settle late: the value is read back once more before it counts as refused."""

RAMP_PATIENCE_S = 5.0
RAMP_PAUSE_S = 0.05
"""A value on its way to what was asked is followed for as long, looked at so often [s, wall]."""


def quantise(value: float, rule: WriteRule) -> float | None:
    """Return the permitted value nearest to ``value``, ``None`` where it is out of bounds.

    Where the rule rounds up, the result is never below ``value``. A value that is
    on a step is left as it is.
    """
    if not math.isfinite(value) or not rule.low <= value <= rule.high:
        return None
    steps = value / rule.step
    whole = math.floor(steps + 0.5)
    if rule.rounding is Rounding.UP and steps - whole > 1e-9:
        whole += 1
    return min(max(round(whole * rule.step, 9), rule.low), rule.high)


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
        self._identities = Identities()
        self._seen: dict[PointId, float] = {}
        self._ramps: dict[PointId, tuple[float, float]] = {}

    @property
    def write_counts(self) -> Mapping[PointId, int]:
        """How often each point was written."""
        return self._memory.counts

    async def apply(
        self, session: DeviceSession, setpoint: Setpoint, now: datetime, *, urgent: bool
    ) -> Outcome:
        """Bring one point to a value; see :class:`ems.domain.ports.FieldBus`."""
        name = setpoint.point_id.point
        failed = await _found(session, name, urgent)
        if failed is not None:
            return failed
        rule = _rule(session, name)
        target = quantise(setpoint.value, rule)
        if target is None:
            return OutOfBounds(rule.low, rule.high)
        refused = _left_alone(session, urgent)
        if refused is not None:
            return refused
        async with session.commanding:
            outcome = await self._bring(session, name, target, now, urgent)
        if session.judge.link_lost and not isinstance(outcome, Rejected | NotWritten):
            return Unreachable("its gateway answers but does not hear the device")
        return outcome

    async def _bring(
        self, session: DeviceSession, name: str, target: float, now: datetime, urgent: bool
    ) -> Outcome:
        entering = [entry for entry in session.profile.enter_control if entry[0] != name]
        group = next((g for g in session.profile.write_groups if name in g), (name,))
        names = tuple(dict.fromkeys((*dict(entering), *group)))
        refused = await self._may_write(session, names)
        if refused is not None:
            return refused
        held = await self._held(session, names, now)
        if held.fault is not None:
            return _failure(held.fault)
        missing = [
            (entry, value)
            for entry, value in entering
            if not _holds(held, entry, value, _rule(session, entry))
        ]
        failed = await self._write_all(session, missing, held, now, urgent)
        if failed is None and not missing:
            failed = self._needs_no_write(session, name, target, held, now)
        if failed is not None:
            return failed
        point_id, proven = session.point_ids[name], not _is_write_only(session, name)
        until = self._memory.worn_until(point_id, _rule(session, name), now)
        if until is not None and not urgent:
            return Deferred(held.values.get(name, _NOTHING)[0], until)
        failed = await self._write_all(session, [(name, target)], held, now, urgent)
        return failed or Applied(self._seen[point_id], written=True, proven=proven)

    def _needs_no_write(
        self, session: DeviceSession, name: str, target: float, held: Result, now: datetime
    ) -> Outcome | None:
        """Return what is to be said where the device holds the value, or moves towards it."""
        point_id, rule = session.point_ids[name], _rule(session, name)
        shown = held.values.get(name, _NOTHING)[0]
        if _holds(held, name, target, rule):
            self._ramps.pop(point_id, None)
            if self._memory.wants_refresh(point_id, rule, now):
                return None
            return Applied(shown, written=False, proven=not _is_write_only(session, name))
        return Unconfirmed(shown) if self._is_on_its_way(point_id, target, shown) else None

    async def _may_write(self, session: DeviceSession, names: Sequence[str]) -> Outcome | None:
        """Refuse uncertain addresses, and a device that is not what its profile says."""
        refused = uncertain(session, names)
        if refused is not None:
            return refused
        wrong = await self._identities.check(session)
        if wrong is None or isinstance(wrong, NotWritten):
            return wrong
        return _failure(wrong)

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
            every = tuple(dict.fromkeys((*names, point)))
            refused = await self._may_write(session, every)
            if refused is not None:
                return refused
            held = await self._held(session, every, now)
            if held.fault is not None:
                return _failure(held.fault)
            if all(_holds(held, name, value, _rule(session, name)) for name, value in release):
                return Applied(held.values[names[-1]][0], written=False)
            self._ramps.pop(setpoint.point_id, None)
            value = quantise(setpoint.value, _rule(session, point))
            if value is not None and point not in names:
                await self._write_all(session, [(point, value)], held, now, urgent=True)
            failed = await self._write_all(session, release, held, now, urgent=True)
            return failed or Applied(self._seen[session.point_ids[names[-1]]], written=True)

    async def look(self, session: DeviceSession, name: str, now: datetime) -> Reading:
        """Return what one point holds now; ``NO_ANSWER`` where the device was silent."""
        point_id = session.point_ids[name]
        if _left_alone(session, urgent=False) is not None:
            return Reading(point_id, now, math.nan, Quality.NO_ANSWER)
        async with session.commanding:
            held = await _look(session, (name,), now)
        if held.fault is not None or session.judge.link_lost:
            return Reading(point_id, now, math.nan, Quality.NO_ANSWER)
        return Reading(point_id, now, *held.values.get(name, _NOTHING))

    async def _write_all(
        self,
        session: DeviceSession,
        writes: Sequence[tuple[str, float]],
        held: Result,
        now: datetime,
        urgent: bool,
    ) -> Outcome | None:
        """Write points in order, members of a group together; return the first failure.

        A member of a group that is not to be changed keeps the value in ``held``.
        """
        remaining = dict(writes)
        while remaining:
            name = next(iter(remaining))
            group = next((g for g in session.profile.write_groups if name in g), (name,))
            values: dict[str, float] = {}
            for member in group:
                kept = held.values.get(member, _NOTHING)[0]
                values[member] = remaining.pop(member, kept)
                if math.isnan(values[member]):
                    return Unreachable(f"{member}, written together with {name}, is unknown")
            outcome = await self._write_and_confirm(session, values, now, urgent)
            if not isinstance(outcome, Applied):
                return outcome
        return None

    async def _write_and_confirm(
        self, session: DeviceSession, values: Mapping[str, float], now: datetime, urgent: bool
    ) -> Outcome:
        """Write one message and read it back; the outcome is that of its first point."""
        message = write_message(session.profile, values)
        reply = await _patiently(session, message)
        if isinstance(reply, Refusal) and reply.code != STILL_WORKING:
            return _failure(reply)
        # A write that was not answered may have been taken: it counts as wear.
        told = {session.point_ids[name]: value for name, value in values.items()}
        self._memory.note(told, now, urgent=urgent)
        for point_id in told:
            self._ramps.pop(point_id, None)
        if isinstance(reply, Silence | Malformed):
            session.note_failure(reply)
        if not isinstance(reply, Answer | Refusal):
            return _failure(reply)
        return await self._read_back(session, values, now)

    async def _read_back(
        self, session: DeviceSession, values: Mapping[str, float], now: datetime
    ) -> Outcome:
        """Wait until the device shows what it was told; follow a value that is on its way."""
        names, settle_s = tuple(values), max(_rule(session, name).settle_s for name in values)
        loop = asyncio.get_running_loop()
        until_s = loop.time() + settle_s + RAMP_PATIENCE_S
        before: dict[str, float] = {}
        looks = 0
        while True:
            await asyncio.sleep(
                settle_s if looks < READ_BACK_TRIES else max(settle_s, RAMP_PAUSE_S)
            )
            seen = await self._held(session, names, now)
            if seen.fault is not None:
                return _failure(seen.fault)
            looks += 1
            for name in names:
                self._seen[session.point_ids[name]] = seen.values.get(name, _NOTHING)[0]
            wrong = [
                name for name in names if not _holds(seen, name, values[name], _rule(session, name))
            ]
            if not wrong:
                return Applied(self._seen[session.point_ids[names[0]]], written=True)
            off = self._off(session, values, wrong)
            moving = _all_nearer(wrong, before, off)
            if looks >= READ_BACK_TRIES and (not moving or loop.time() >= until_s):
                break
            before = off
        if moving:
            self._ramps |= {session.point_ids[name]: (values[name], off[name]) for name in wrong}
        return Unconfirmed(self._seen[session.point_ids[wrong[0]]])

    def _off(
        self, session: DeviceSession, values: Mapping[str, float], names: Sequence[str]
    ) -> dict[str, float]:
        """Return how far each point was from what it was told when it was seen last."""
        return {
            name: abs(self._seen.get(session.point_ids[name], math.nan) - values[name])
            for name in names
        }

    def _is_on_its_way(self, point_id: PointId, target: float, shown: float) -> bool:
        """Tell whether the device still moves towards what it was told: no second write."""
        told, off_before = self._ramps.pop(point_id, (math.nan, math.nan))
        off = abs(shown - target)
        if told != target or not off < off_before - 1e-9:
            return False
        self._ramps[point_id] = target, off
        return True

    async def _held(self, session: DeviceSession, names: Sequence[str], now: datetime) -> Result:
        """Return what points hold; of one that cannot be read, what it was told last."""
        blind = [name for name in names if _is_write_only(session, name)]
        readable = tuple(name for name in names if name not in blind)
        result = await _look(session, readable, now)
        told = {
            name: (self._memory.told[session.point_ids[name]], Quality.GOOD)
            for name in blind
            if session.point_ids[name] in self._memory.told
        }
        return Result({**result.values, **told}, result.fault) if told else result


def _all_nearer(
    names: Sequence[str], before: Mapping[str, float], after: Mapping[str, float]
) -> bool:
    """Tell whether each of these points has come nearer to what it was told."""
    return all(after[name] < before.get(name, math.nan) - 1e-9 for name in names)


def _is_write_only(session: DeviceSession, name: str) -> bool:
    point = session.profile.points.get(name)
    return point is not None and point.write_only


async def _found(session: DeviceSession, name: str, urgent: bool) -> Outcome | None:
    """Find a device's own addresses and bounds, where they are discovered, before a command."""
    _rule(session, name)
    if session.device.profile.discovery is None:
        return None
    refused = _left_alone(session, urgent)
    if refused is not None:
        return refused
    fault = await session.identify(Priority.WRITE)
    if fault is not None:
        return _failure(fault)
    point = session.profile.points.get(name)
    if point is None or point.write is None:
        return Rejected(2, "its models offer no such point to write")
    return None


def _rule(session: DeviceSession, name: str) -> WriteRule:
    point = session.profile.points.get(name, session.device.profile.points.get(name))
    if point is None or point.write is None:
        raise InvalidInputError(
            "this point cannot be written",
            field=f"{session.device.id}.{name}",
            value=session.profile.id,
            remedy="Command a point for which the device's profile has a write rule.",
        )
    return point.write


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


def _holds(result: Result, name: str, value: float, rule: WriteRule) -> bool:
    found = result.values.get(name)
    if found is None or found[1] in (Quality.SENTINEL, Quality.NO_ANSWER):
        return False
    return abs(found[0] - value) <= rule.tolerance + 1e-9


async def _look(session: DeviceSession, names: tuple[str, ...], now: datetime) -> Result:
    """Read points ahead of waiting polls, and whether a caching gateway hears the device."""
    link = session.profile.link_lost
    if link is not None:
        names = tuple(dict.fromkeys((*names, link[0])))
    result = await session.read(names, now, priority=Priority.WRITE)
    for _ in range(BUSY_TRIES - 1):
        if not _is_busy(result.fault):
            break
        await asyncio.sleep(BUSY_WAIT_S)
        result = await session.read(names, now, priority=Priority.WRITE)
    if result.fault is None:
        session.note_success()
    elif not isinstance(result.fault, Broken | Refusal):
        session.note_failure(result.fault)
    return result


def _is_busy(reply: Reply | None) -> bool:
    return isinstance(reply, Refusal) and reply.code == 6


async def _patiently(session: DeviceSession, message: WriteMessage) -> Reply:
    reply: Reply = await session.write(message)
    for _ in range(BUSY_TRIES - 1):
        if not _is_busy(reply):
            break
        await asyncio.sleep(BUSY_WAIT_S)
        reply = await session.write(message)
    return reply


def _failure(reply: Reply) -> Rejected | Unreachable:
    if isinstance(reply, Refusal) and reply.code not in NOT_NOW:
        return Rejected(reply.code, EXCEPTIONS.get(reply.code, "not defined"))
    return Unreachable(describe(reply))
