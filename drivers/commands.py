"""Commands: bounds, one fresh look, a write where needed, and the proof by reading back.

The outcome is a value of :data:`ems.domain.setpoints.Outcome`; a device's failure never
raises. A setpoint for a point that cannot be written is a bug and does.
"""

from __future__ import annotations

import asyncio
import math
from collections.abc import Mapping, Sequence
from datetime import datetime, timedelta

import structlog

from drivers.codec import WriteMessage, write_message
from drivers.line import GATEWAY_CODES, Priority
from drivers.session import DeviceSession, Result, describe
from drivers.transport import EXCEPTIONS, Answer, Broken, Malformed, Refusal, Reply, Silence
from ems.domain.errors import InvalidInputError
from ems.domain.points import PointId
from ems.domain.profiles import Rounding, WriteRule
from ems.domain.readings import Quality, Reading
from ems.domain.setpoints import (
    Applied,
    Deferred,
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
    """

    def __init__(self, write_counts: Mapping[PointId, int] | None = None) -> None:
        self.write_counts: dict[PointId, int] = dict(write_counts or {})
        self._last_write: dict[PointId, datetime] = {}
        self._known_since: dict[PointId, datetime] = {}
        self._seen: dict[PointId, float] = {}

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
        if session.judge.link_lost and not isinstance(outcome, Rejected):
            return Unreachable("its gateway answers but does not hear the device")
        return outcome

    async def _bring(
        self, session: DeviceSession, name: str, target: float, now: datetime, urgent: bool
    ) -> Outcome:
        rule = _rule(session, name)
        entering = [entry for entry in session.profile.enter_control if entry[0] != name]
        group = next((g for g in session.profile.write_groups if name in g), (name,))
        held = await _look(session, (*dict.fromkeys((*dict(entering), *group)),), now)
        if held.fault is not None:
            return _failure(held.fault)
        missing = [
            (entry, value)
            for entry, value in entering
            if not _holds(held, entry, value, _rule(session, entry))
        ]
        failed = await self._write_all(session, missing, held, now)
        if failed is not None:
            return failed
        point_id = session.point_ids[name]
        holds = _holds(held, name, target, rule) and not missing
        if holds and not self._wants_refresh(point_id, rule, now):
            return Applied(held.values[name][0], written=False)
        until = self._worn_until(point_id, rule, now)
        if until is not None and not urgent:
            return Deferred(held.values.get(name, _NOTHING)[0], until)
        failed = await self._write_all(session, [(name, target)], held, now)
        return failed or Applied(self._seen[point_id], written=True)

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
            held = await _look(session, tuple(dict.fromkeys((*names, point))), now)
            if held.fault is not None:
                return _failure(held.fault)
            if all(_holds(held, name, value, _rule(session, name)) for name, value in release):
                return Applied(held.values[names[-1]][0], written=False)
            value = quantise(setpoint.value, _rule(session, point))
            if value is not None and point not in names:
                await self._write_all(session, [(point, value)], held, now)
            failed = await self._write_all(session, release, held, now)
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
            outcome = await self._write_and_confirm(session, values, now)
            if not isinstance(outcome, Applied):
                return outcome
        return None

    async def _write_and_confirm(
        self, session: DeviceSession, values: Mapping[str, float], now: datetime
    ) -> Outcome:
        """Write one message and read it back; the outcome is that of its first point."""
        message = write_message(session.profile, values)
        reply = await _patiently(session, message)
        if isinstance(reply, Refusal) and reply.code != STILL_WORKING:
            return _failure(reply)
        # A write that was not answered may have been taken: it counts as wear.
        for name in values:
            point_id = session.point_ids[name]
            self._last_write[point_id] = now
            self.write_counts[point_id] = self.write_counts.get(point_id, 0) + 1
        if isinstance(reply, Silence | Malformed):
            session.note_failure(reply)
        if not isinstance(reply, Answer | Refusal):
            return _failure(reply)
        names = tuple(values)
        for _ in range(READ_BACK_TRIES):
            await asyncio.sleep(max(_rule(session, name).settle_s for name in names))
            seen = await _look(session, names, now)
            if seen.fault is not None:
                return _failure(seen.fault)
            for name in names:
                self._seen[session.point_ids[name]] = seen.values.get(name, _NOTHING)[0]
            if all(_holds(seen, name, values[name], _rule(session, name)) for name in names):
                return Applied(self._seen[session.point_ids[names[0]]], written=True)
        wrong = [
            name for name in names if not _holds(seen, name, values[name], _rule(session, name))
        ]
        return Unconfirmed(self._seen[session.point_ids[wrong[0]]])

    def _wants_refresh(self, point_id: PointId, rule: WriteRule, now: datetime) -> bool:
        """Tell whether the device must hear the value again although it holds it."""
        if rule.refresh_s is None:
            return False
        if rule.persists:
            # What stays by itself need not be written again because this process is new.
            last = self._last_write.get(point_id) or self._known_since.setdefault(point_id, now)
        elif (written := self._last_write.get(point_id)) is not None:
            last = written
        else:
            return True
        return (now - last).total_seconds() >= rule.refresh_s

    def _worn_until(self, point_id: PointId, rule: WriteRule, now: datetime) -> datetime | None:
        last = self._last_write.get(point_id)
        if last is None or rule.min_interval_s == 0.0:
            return None
        until = last + timedelta(seconds=rule.min_interval_s)
        return until if now < until else None


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
