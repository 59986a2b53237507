"""A round over one gateway's devices.

Healthy devices come first and at every round; those that failed come after them, when
their back-off is over, and only until one of them costs a timeout. So a dead device never
delays its neighbours by more than the one timeout by which it is found dead.
"""

from __future__ import annotations

import math
from collections.abc import Collection, Iterable, Sequence
from datetime import datetime

from drivers.line import GatewayLine
from drivers.session import DeviceSession, Result
from drivers.transport import Broken, Malformed, Silence
from ems.domain.profiles import Cadence
from ems.domain.readings import Quality, Reading

SHORT_TIMEOUT = 0.25
"""Share of the gateway's timeout that is allowed to a device that was silent before."""

MANY_SILENT = 3
"""So many silent devices in a round shorten the time allowed to the rest of it; and if none
has answered until then, the gateway is taken for dead."""


def names_for(session: DeviceSession, cadences: Collection[Cadence]) -> tuple[str, ...]:
    """Return the register points of a device that belong to these cadences."""
    return tuple(
        name for name, point in session.device.profile.points.items() if point.cadence in cadences
    )


def asked_points(session: DeviceSession, names: Sequence[str]) -> tuple[str, ...]:
    """Return the points that a reading is owed for: these, and what is composed of them."""
    composed = session.device.profile.composed or {}
    return (
        *names,
        *(state for state, flags in composed.items() if all(flag in names for flag, _ in flags)),
    )


class GatewayPoller:
    """Polls the devices of one gateway.

    Parameters
    ----------
    line
        The gateway.
    sessions
        Its devices, in the order in which they are asked.
    """

    def __init__(self, line: GatewayLine, sessions: Iterable[DeviceSession]) -> None:
        self._line = line
        self._sessions = tuple(sessions)
        self._names: dict[frozenset[Cadence], list[tuple[tuple[str, ...], tuple[str, ...]]]] = {}

    async def poll(self, cadences: frozenset[Cadence], now: datetime) -> list[Reading]:
        """Read all points of these cadences; one reading for each, whatever happens."""
        asked = dict(zip(self._sessions, self._points(cadences), strict=True))
        wall_s = self._line.wall()
        healthy = [session for session in self._sessions if not session.backoff.failing]
        due = sorted(
            (s for s in self._sessions if s.backoff.failing and s.backoff.due(wall_s)),
            key=lambda session: session.backoff.until_s,
        )
        results: dict[DeviceSession, Result] = {}
        silent = 0
        for session in healthy:
            if not asked[session][0]:
                continue
            result = await self._read(session, asked[session][0], now, silent >= MANY_SILENT)
            results[session] = result
            if isinstance(result.fault, Broken):
                break
            silent += isinstance(result.fault, Silence | Malformed)
            if silent >= MANY_SILENT and not any(r.values for r in results.values()):
                self._line.give_up(f"the first {silent} devices asked gave no reply")
                break
        else:
            for session in due:
                if not asked[session][0]:
                    continue
                result = await self._read(session, asked[session][0], now, True)
                results[session] = result
                if isinstance(result.fault, Silence | Broken):
                    break
        readings: list[Reading] = []
        for session, (_, points) in asked.items():
            found = results.get(session)
            values = found.values if found is not None else {}
            for point in points:
                value, quality = values.get(point, (math.nan, Quality.NO_ANSWER))
                readings.append(Reading(session.point_ids[point], now, value, quality))
        return readings

    def _points(
        self, cadences: frozenset[Cadence]
    ) -> list[tuple[tuple[str, ...], tuple[str, ...]]]:
        found = self._names.get(cadences)
        if found is None:
            found = []
            for session in self._sessions:
                names = names_for(session, cadences)
                found.append((names, asked_points(session, names)))
            self._names[cadences] = found
        return found

    async def _read(
        self, session: DeviceSession, names: tuple[str, ...], now: datetime, short: bool
    ) -> Result:
        timeout_s = self._line.gateway.timeout_s * (SHORT_TIMEOUT if short else 1.0)
        result = await session.read(names, now, timeout_s=timeout_s)
        if result.fault is None:
            session.note_success()
        elif not isinstance(result.fault, Broken):
            session.note_failure(result.fault)
        return result
