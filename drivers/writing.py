"""Writing to a device and proving it: one message, read back, followed while it moves."""

from __future__ import annotations

import asyncio
import math
from collections.abc import Mapping, Sequence
from datetime import datetime

from drivers.codec import write_message
from drivers.exchange import failure, look, patiently
from drivers.orders import Basis, holds, is_write_only, rule_of
from drivers.session import DeviceSession, Result
from drivers.transport import Answer, Malformed, Refusal, Silence
from drivers.write_memory import WriteMemory
from ems.domain.points import PointId
from ems.domain.readings import Quality
from ems.domain.setpoints import (
    Applied,
    Outcome,
    Overtaken,
    Rejected,
    Unconfirmed,
    Unreachable,
)

STILL_WORKING = 5
"""Exception of a device that took a write and needs time for it."""

NOTHING = (math.nan, Quality.NO_ANSWER)

READ_BACK_TRIES = 2
"""A device may settle late: the value is read back once more before it counts as refused."""

RAMP_PATIENCE_S = 5.0
RAMP_PAUSE_S = 0.05
"""A value on its way to what was asked is followed for as long, looked at so often [s, wall]."""


class Writer:
    """Writes points and looks what came of it.

    Parameters
    ----------
    memory
        When and how often points were written.

    Attributes
    ----------
    shown
        What points showed when they were read back last.
    """

    def __init__(self, memory: WriteMemory) -> None:
        self.memory = memory
        self.shown: dict[PointId, float] = {}
        self._ramps: dict[PointId, tuple[float, float]] = {}

    def is_moving(self, point_id: PointId) -> bool:
        """Tell whether a point was on its way to what it was told when it was seen last."""
        return point_id in self._ramps

    def forget_ramp(self, point_id: PointId) -> None:
        """Follow a point no more."""
        self._ramps.pop(point_id, None)

    async def write_all(
        self,
        session: DeviceSession,
        writes: Sequence[tuple[str, float]],
        held: Result,
        now: datetime,
        urgent: bool,
        basis: Basis | None = None,
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
                kept = held.values.get(member, NOTHING)[0]
                values[member] = remaining.pop(member, kept)
                if math.isnan(values[member]):
                    return Unreachable(f"{member}, written together with {name}, is unknown")
            outcome = await self._write_and_confirm(session, values, now, urgent, basis)
            if not isinstance(outcome, Applied):
                return outcome
        return None

    async def _write_and_confirm(
        self,
        session: DeviceSession,
        values: Mapping[str, float],
        now: datetime,
        urgent: bool,
        basis: Basis | None,
    ) -> Outcome:
        """Write one message and read it back; the outcome is that of its first point."""
        message = write_message(session.profile, values)
        basis = basis if basis is not None and basis.point in values else None
        reply = await patiently(session, message, now, basis)
        if isinstance(reply, Overtaken | Rejected | Unreachable):
            return reply
        if isinstance(reply, Refusal) and reply.code != STILL_WORKING:
            return failure(reply)
        # A write that was not answered may have been taken: it counts as wear.
        told = {session.point_ids[name]: value for name, value in values.items()}
        self.memory.note(told, now, urgent=urgent)
        for point_id in told:
            self._ramps.pop(point_id, None)
        if isinstance(reply, Silence | Malformed):
            session.note_failure(reply)
        if not isinstance(reply, Answer | Refusal):
            return failure(reply)
        return await self._read_back(session, values, now)

    async def _read_back(
        self, session: DeviceSession, values: Mapping[str, float], now: datetime
    ) -> Outcome:
        """Wait until the device shows what it was told; follow a value that is on its way."""
        names, settle_s = tuple(values), max(rule_of(session, name).settle_s for name in values)
        loop = asyncio.get_running_loop()
        until_s = loop.time() + settle_s + RAMP_PATIENCE_S
        before: dict[str, float] = {}
        looks = 0
        while True:
            await asyncio.sleep(
                settle_s if looks < READ_BACK_TRIES else max(settle_s, RAMP_PAUSE_S)
            )
            seen = await self.held(session, names, now)
            if seen.fault is not None:
                return failure(seen.fault)
            looks += 1
            for name in names:
                self.shown[session.point_ids[name]] = seen.values.get(name, NOTHING)[0]
            wrong = [
                name
                for name in names
                if not holds(seen, name, values[name], rule_of(session, name))
            ]
            if not wrong:
                return Applied(self.shown[session.point_ids[names[0]]], written=True)
            off = self._off(session, values, wrong)
            moving = _all_nearer(wrong, before, off)
            if looks >= READ_BACK_TRIES and (not moving or loop.time() >= until_s):
                break
            before = off
        if moving:
            self._ramps |= {session.point_ids[name]: (values[name], off[name]) for name in wrong}
        return Unconfirmed(self.shown[session.point_ids[wrong[0]]])

    def _off(
        self, session: DeviceSession, values: Mapping[str, float], names: Sequence[str]
    ) -> dict[str, float]:
        """Return how far each point was from what it was told when it was seen last."""
        return {
            name: abs(self.shown.get(session.point_ids[name], math.nan) - values[name])
            for name in names
        }

    def is_on_its_way(self, point_id: PointId, target: float, shown: float) -> bool:
        """Tell whether the device still moves towards what it was told: no second write."""
        told, off_before = self._ramps.pop(point_id, (math.nan, math.nan))
        off = abs(shown - target)
        if told != target or not off < off_before - 1e-9:
            return False
        self._ramps[point_id] = target, off
        return True

    async def held(self, session: DeviceSession, names: Sequence[str], now: datetime) -> Result:
        """Return what points hold; of one that cannot be read, what it was told last."""
        blind = [name for name in names if is_write_only(session, name)]
        readable = tuple(name for name in names if name not in blind)
        result = await look(session, readable, now)
        told = {
            name: (self.memory.told[session.point_ids[name]], Quality.GOOD)
            for name in blind
            if session.point_ids[name] in self.memory.told
        }
        return Result({**result.values, **told}, result.fault) if told else result


def _all_nearer(
    names: Sequence[str], before: Mapping[str, float], after: Mapping[str, float]
) -> bool:
    """Tell whether each of these points has come nearer to what it was told."""
    return all(after[name] < before.get(name, math.nan) - 1e-9 for name in names)
