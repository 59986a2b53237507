"""Keeping commands alive between rounds: some devices forget within seconds.

A round of setpoints may be a minute apart; a battery that lapses after ten seconds must hear
its command in between. What was confirmed last is repeated as it was, until it expires: when
nobody renews it, because planning hangs or the process ends, the device lapses as its maker
meant it to. One task a gateway does so, and ends when there is nothing to keep.
"""

from __future__ import annotations

import asyncio
from dataclasses import dataclass, field
from datetime import datetime

import structlog

from drivers.commands import Commander
from drivers.orders import lapsing
from drivers.session import DeviceSession
from ems.domain.points import PointId
from ems.domain.setpoints import Applied, Deferred, Outcome, Setpoint
from ems.domain.time import Clock

log = structlog.get_logger(__name__)

SHORTEST_S, LONGEST_S = 0.02, 1.0
"""Between two looks at the clock [s, wall time]."""


@dataclass(slots=True, eq=False)
class _Kept:
    """A command that its device holds."""

    session: DeviceSession
    setpoint: Setpoint
    failing: bool = False

    @property
    def name(self) -> str:
        return self.setpoint.point_id.point


@dataclass(slots=True)
class Keeper:
    """Repeats confirmed commands that would lapse.

    Parameters
    ----------
    clock
        Estate time: when commands are due and when they expire.
    commander
        What writes, and knows when points were written last.
    """

    clock: Clock
    commander: Commander
    _kept: dict[PointId, _Kept] = field(default_factory=dict)
    _tasks: dict[str, asyncio.Task[None]] = field(default_factory=dict)

    @property
    def kept(self) -> frozenset[PointId]:
        """The points whose commands are kept alive."""
        return frozenset(self._kept)

    def pause(self, point_id: PointId) -> Setpoint | None:
        """Stop repeating a point's command; return it. A new one, or a release, comes next."""
        kept = self._kept.pop(point_id, None)
        return None if kept is None else kept.setpoint

    def follow(
        self,
        session: DeviceSession,
        setpoint: Setpoint,
        outcome: Outcome,
        before: Setpoint | None,
    ) -> None:
        """Keep alive what came of a setpoint.

        Parameters
        ----------
        session
            The device.
        setpoint, outcome
            What it was told. Only what it holds is repeated: confirmed, or acknowledged
            where it cannot be read back.
        before
            What it was told before, as `pause` gave it: repeated again where the new
            command waits for flash protection and the device keeps the old one.
        """
        match outcome:
            case Applied():
                keep = setpoint
            case Deferred() if before is not None:
                keep = before
            case _:
                return
        name = keep.point_id.point
        if not lapsing(session, name, keep.value):
            return
        self._kept[keep.point_id] = _Kept(session, keep)
        gateway = session.line.gateway.id
        task = self._tasks.get(gateway)
        if task is None or task.done():
            self._tasks[gateway] = asyncio.create_task(self._run(gateway))

    def close(self) -> None:
        """Repeat nothing any more."""
        self._kept.clear()
        for task in self._tasks.values():
            task.cancel()
        self._tasks.clear()

    async def _run(self, gateway: str) -> None:
        while mine := self._of(gateway):
            wait_s = LONGEST_S
            for kept in mine:
                if self._kept.get(kept.setpoint.point_id) is not kept:
                    continue
                now = self.clock.now()
                if now >= kept.setpoint.expires_at:
                    self._kept.pop(kept.setpoint.point_id)
                    continue
                due = self.commander.due(kept.session, kept.name, kept.setpoint.value)
                if due is None or due <= now:
                    if await self._repeat(kept, now):
                        wait_s = SHORTEST_S
                else:
                    wait_s = min(wait_s, (due - now).total_seconds() / self.clock.speed)
            await asyncio.sleep(max(wait_s, SHORTEST_S))

    def _of(self, gateway: str) -> list[_Kept]:
        return [kept for kept in self._kept.values() if kept.session.line.gateway.id == gateway]

    async def _repeat(self, kept: _Kept, now: datetime) -> bool:
        """Repeat one command; tell whether another try need not wait."""
        point_id = kept.setpoint.point_id
        outcome = await self.commander.repeat(
            kept.session,
            kept.name,
            kept.setpoint.value,
            now,
            wanted=lambda: self._kept.get(point_id) is kept,
        )
        if outcome is None:
            return True
        failing = not isinstance(outcome, Applied)
        if failing and not kept.failing:
            why = type(outcome).__name__.lower()
            log.warning("command_not_repeated", device=point_id.device_id, outcome=why)
        elif kept.failing and not failing:
            log.info("command_repeated_again", device=point_id.device_id)
        kept.failing = failing
        return not failing
