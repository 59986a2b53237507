"""The guard: hands devices back when the control process has gone silent.

It knows nothing of plans. It reads the control process's heartbeat and the
commands that devices are under, and writes each command's release value once the
command has expired and control is silent. Expiries are spread over homes, so
devices come back one after another. What an operator has handed back it releases
at once where control has not done so within two dispatches, alive or not.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from datetime import datetime, timedelta

import structlog

from ems.domain.ports import ActiveCommand, FieldBus, Heartbeat, LogEntry, Store
from ems.domain.rules import ControlRules
from ems.service.commanding import release_all

log = structlog.get_logger()

CONTROL = "control"
GUARD = "guard"
SENTENCE = "Handed back to your heating's own control because our controller was silent."
HELD_SENTENCE = "Handed back to your heating's own control by your landlord's energy team."
HELD_DISPATCHES = 2.0
"""Control has so many dispatches to hand back what is held, before the guard does."""

HandedBack = Callable[[datetime, datetime], frozenset[str]]
"""Tells which devices holds that began by a first instant hand back at a second."""


def nothing_handed_back(before: datetime, now: datetime) -> frozenset[str]:
    """Return no devices: what holds where nobody keeps holds."""
    del before, now
    return frozenset()


def control_is_silent(heartbeat: Heartbeat | None, now: datetime, after_s: float) -> bool:
    """Tell whether the control process has not completed a cycle for ``after_s`` [s]."""
    return heartbeat is None or (now - heartbeat.at).total_seconds() > after_s


def to_release(
    commands: list[ActiveCommand], now: datetime, *, silent: bool, after_s: float
) -> list[ActiveCommand]:
    """Return the commands that the guard must release now.

    With control silent, those that have expired. With control alive, those that
    expired more than ``after_s`` ago: control has forgotten them.
    """
    grace_s = 0.0 if silent else after_s
    return [c for c in commands if (now - c.expires_at).total_seconds() >= grace_s]


class Guard:
    """One round: look at the heartbeat, release what has expired.

    Parameters
    ----------
    rules
        ``guard_after_s`` is how long control may be silent [s].
    bus, store
        The field and what is known of it.
    handed_back
        Devices that operators have taken out of our hands.
    """

    def __init__(
        self,
        rules: ControlRules,
        bus: FieldBus,
        store: Store,
        *,
        handed_back: HandedBack = nothing_handed_back,
    ) -> None:
        self._rules = rules
        self._bus = bus
        self._store = store
        self._handed_back = handed_back
        self._was_silent = False
        self._watching_since: datetime | None = None

    async def run(self, now: datetime) -> list[ActiveCommand]:
        """Do one round at ``now``; return the commands that should be released and are not."""
        self._watching_since = self._watching_since or now
        heartbeats = await asyncio.to_thread(self._store.heartbeats)
        # A guard that has just started gives control the time to start as well.
        watched_s = (now - self._watching_since).total_seconds()
        silent = watched_s >= self._rules.guard_after_s and control_is_silent(
            heartbeats.get(CONTROL), now, self._rules.guard_after_s
        )
        if silent != self._was_silent:
            log.warning("control_silent" if silent else "control_back", estate_time=now.isoformat())
            self._was_silent = silent
        commands = await asyncio.to_thread(self._store.active_commands)
        commands, held_standing = await self._release_held(commands, now)
        expired = to_release(commands, now, silent=silent, after_s=self._rules.guard_after_s)
        if not expired or watched_s < self._rules.guard_after_s:
            return held_standing
        records, standing = await release_all(expired, self._bus, self._store, now, SENTENCE)
        entry = LogEntry(
            now,
            "guard_released",
            "estate",
            {
                "released": len(records) - len(standing),
                "standing": [str(command.point_id) for command in standing],
                "control_silent": silent,
            },
        )
        await asyncio.to_thread(self._store.log, [entry])
        log.warning("guard_released", released=len(records) - len(standing), standing=len(standing))
        return held_standing + standing

    async def _release_held(
        self, commands: list[ActiveCommand], now: datetime
    ) -> tuple[list[ActiveCommand], list[ActiveCommand]]:
        """Release what operators hold; return the commands on others, and what would not go."""
        patience = timedelta(seconds=HELD_DISPATCHES * self._rules.dispatch_s)
        held = await asyncio.to_thread(self._handed_back, now - patience, now)
        theirs = [command for command in commands if command.point_id.device_id in held]
        if not theirs:
            return commands, []
        records, standing = await release_all(theirs, self._bus, self._store, now, HELD_SENTENCE)
        detail = {"released": len(records) - len(standing), "standing": len(standing)}
        await asyncio.to_thread(self._store.log, [LogEntry(now, "handed_back", "estate", detail)])
        log.info("handed_back", **detail)
        return [command for command in commands if command not in theirs], standing
