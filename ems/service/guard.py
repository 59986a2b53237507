"""The guard: hands devices back when the control process has gone silent.

It knows nothing of plans. It reads the control process's heartbeat and the
commands that devices are under, and writes each command's release value once the
command has expired and control is silent. Expiries are spread over homes, so
devices come back one after another.
"""

from __future__ import annotations

import asyncio
from datetime import datetime

import structlog

from ems.domain.estate import ControlRules
from ems.domain.ports import ActiveCommand, FieldBus, Heartbeat, LogEntry, Store
from ems.service.commanding import release_all

log = structlog.get_logger()

CONTROL = "control"
GUARD = "guard"
SENTENCE = "Handed back to your heating's own control because our controller was silent."


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
    """

    def __init__(self, rules: ControlRules, bus: FieldBus, store: Store) -> None:
        self._rules = rules
        self._bus = bus
        self._store = store
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
        expired = to_release(commands, now, silent=silent, after_s=self._rules.guard_after_s)
        if not expired or watched_s < self._rules.guard_after_s:
            return []
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
        return standing
