"""A round over one gateway's devices, and the search for those that fell silent.

A round asks healthy devices only, each once, and decodes what they answered together. Who
is quick is given little time, so that one device that falls silent delays its neighbours by
a fraction of the gateway's time-out, once. Who is silent for so short a time is doubted, not
lost: the verdict falls between rounds, with the full time-out. There, when its back-off is
over, what failed is asked again, too, be it a device or the whole gateway. Once it answers
it takes part in rounds again, and what it missed meanwhile is read at once.
"""

from __future__ import annotations

import asyncio
import math
from collections.abc import Collection, Iterable, Sequence
from datetime import datetime
from typing import NamedTuple

from drivers.images import Fetched, Values, decode
from drivers.line import GatewayLine
from drivers.session import DeviceSession
from drivers.transport import Broken, Malformed, Refusal, Silence
from ems.domain.profiles import Cadence
from ems.domain.readings import Quality, Reading

SHORT_TIMEOUT = 0.25
"""Share of the gateway's time-out that is allowed to a device that answered before."""

SHORTEST_S = 0.3
"""No device is allowed less than this [s], unless the gateway's time-out is less."""

HURRIED_S = 0.06
"""The same once a device of the round was silent."""

TIMES_SLOWEST = 5.0
"""A device is allowed so many times the slowest of late replies on its gateway."""

TIMES_TYPICAL = 8.0
"""The same, of the typical reply, once a device of the round was silent."""

FADING = 0.9
"""By this much a slow reply is forgotten with each round, a typical one with each reply."""

SEARCH_TIMEOUTS = 2.0
"""The search for what failed ends when silence took so many time-outs of the gateway."""

MANY_SILENT = 3
"""So many silent devices in a round of which none answered yet, and the gateway is doubted."""

Asked = tuple[tuple[str, ...], tuple[str, ...]]
"""The register points to read, and the points that a reading is owed for."""


def names_for(session: DeviceSession, cadences: Collection[Cadence]) -> tuple[str, ...]:
    """Return the register points of a device that belong to these cadences."""
    return tuple(
        name
        for name, point in session.profile.points.items()
        if point.cadence in cadences and not point.write_only
    )


def asked_points(session: DeviceSession, names: Sequence[str]) -> tuple[str, ...]:
    """Return the points that a reading is owed for: these, and what is composed of them."""
    composed = session.profile.composed or {}
    return (
        *names,
        *(state for state, flags in composed.items() if all(flag in names for flag, _ in flags)),
    )


class _Turn:
    """A device's part in the rounds of its gateway.

    Attributes
    ----------
    owed
        Cadences that it did not answer when they were due.
    known
        Whether it answered before.
    doubted
        Whether it was silent for a short time and no verdict has fallen yet.
    """

    def __init__(self, session: DeviceSession) -> None:
        self.session = session
        self.owed: frozenset[Cadence] = frozenset()
        self.known = False
        self.doubted = False
        self._asked: dict[tuple[int, frozenset[Cadence]], Asked] = {}

    def asked(self, cadences: frozenset[Cadence]) -> Asked:
        """Return what to read for these cadences."""
        key = id(self.session.profile), cadences
        found = self._asked.get(key)
        if found is None:
            if len(self._asked) > 2 ** len(Cadence):
                self._asked.clear()
            names = names_for(self.session, cadences)
            found = names, asked_points(self.session, names)
            self._asked[key] = found
        return found

    def sample(self) -> tuple[str, ...]:
        """Return the points by which to see whether the device answers."""
        every = (self.asked(frozenset({cadence}))[0] for cadence in Cadence)
        return next((names for names in every if names), ())


class _Part(NamedTuple):
    """What one device gave to a round, and for which cadences it was asked."""

    turn: _Turn
    wanted: frozenset[Cadence]
    fetched: Fetched


class GatewayPoller:
    """Polls the devices of one gateway.

    Parameters
    ----------
    line
        The gateway.
    sessions
        Its devices, in the order in which they are asked.

    Attributes
    ----------
    usual_s
        How long a round without a fault took last [s, wall time]; ``None`` before the first.
    """

    def __init__(self, line: GatewayLine, sessions: Iterable[DeviceSession]) -> None:
        self.usual_s: float | None = None
        self._line = line
        self._turns = tuple(_Turn(session) for session in sessions)
        self._lost = False
        self._slowest_s = self._typical_s = 0.0
        self._search: asyncio.Task[None] | None = None
        self._next = 0

    def owe(self, cadences: frozenset[Cadence]) -> None:
        """Note that these were due while an earlier round was still under way."""
        for turn in self._turns:
            turn.owed |= cadences

    async def poll(self, cadences: frozenset[Cadence], now: datetime) -> list[Reading]:
        """Read all points of these cadences; one reading for each, whatever happens.

        What devices that answer again had missed is read and returned, too.
        """
        begin_s = asyncio.get_running_loop().time()
        self._slowest_s *= FADING
        fetched: list[_Part] = []
        if not self._lost:
            fetched = await self._round(cadences, now)
        if fetched and all(part.fetched.fault is None for part in fetched):
            self.usual_s = asyncio.get_running_loop().time() - begin_s
        readings = self._readings(cadences, fetched, now)
        if self._search is None or self._search.done():
            self._search = asyncio.create_task(self._look_for_lost(now))
        return readings

    async def settle(self) -> None:
        """Wait until what failed was asked again, where that is due."""
        if self._search is not None:
            await asyncio.wait((self._search,))

    def close(self) -> None:
        """End the search for what failed."""
        if self._search is not None:
            self._search.cancel()

    async def _round(self, cadences: frozenset[Cadence], now: datetime) -> list[_Part]:
        fetched: list[_Part] = []
        silent, answered = 0, False
        for turn in self._turns:
            wanted = cadences | turn.owed
            names, _ = turn.asked(wanted)
            if not names or turn.doubted or turn.session.backoff.failing:
                continue
            limit_s = self._limit_s(turn, silent)
            one = await self._fetch(turn, names, now, limit_s)
            fetched.append(_Part(turn, wanted, one))
            if isinstance(one.fault, Broken):
                self._lost = True
                break
            answered = answered or any(one.replies) or isinstance(one.fault, Refusal)
            silent += isinstance(one.fault, Silence | Malformed)
            if silent >= MANY_SILENT and not answered:
                if limit_s >= self._line.gateway.timeout_s:
                    self._line.give_up(f"the first {silent} devices asked gave no reply")
                self._lost = True
                break
        return fetched

    async def _fetch(
        self, turn: _Turn, names: tuple[str, ...], now: datetime, limit_s: float
    ) -> Fetched:
        """Read a device and tell it well, doubted or lost."""
        loop = asyncio.get_running_loop()
        alone, begin_s = self._search is None or self._search.done(), loop.time()
        one = await turn.session.fetch(names, now, timeout_s=limit_s)
        if one.fault is None:
            turn.known, turn.doubted = True, False
            turn.session.note_success()
            if alone:
                took_s = loop.time() - begin_s
                self._slowest_s = max(self._slowest_s, took_s)
                self._typical_s += (1.0 - FADING) * (took_s - self._typical_s)
        elif isinstance(one.fault, Silence) and limit_s < self._line.gateway.timeout_s:
            turn.doubted = True
        elif not isinstance(one.fault, Broken):
            turn.doubted = False
            turn.session.note_failure(one.fault)
        return one

    def _limit_s(self, turn: _Turn, silent: int) -> float:
        """How long to wait for a device's reply in a round with so many silent ones."""
        full_s = self._line.gateway.timeout_s
        if not turn.known:
            return full_s if silent < MANY_SILENT else SHORT_TIMEOUT * full_s
        if silent:
            return min(full_s, max(HURRIED_S, TIMES_TYPICAL * self._typical_s))
        least_s = max(SHORTEST_S, SHORT_TIMEOUT * full_s)
        return min(full_s, max(least_s, TIMES_SLOWEST * self._slowest_s))

    def _readings(
        self, cadences: frozenset[Cadence], fetched: Sequence[_Part], now: datetime
    ) -> list[Reading]:
        values: dict[_Turn, Values] = {}
        wanted: dict[_Turn, frozenset[Cadence]] = {}
        for part, decoded in zip(fetched, decode([p.fetched for p in fetched]), strict=True):
            if part.fetched.replies:
                values[part.turn] = part.turn.session.interpret(decoded, now)
            if part.fetched.fault is None:
                wanted[part.turn] = part.wanted
        readings: list[Reading] = []
        nothing: Values = {}
        unknown = math.nan, Quality.NO_ANSWER
        for turn in self._turns:
            found = values.get(turn, nothing)
            ids = turn.session.point_ids
            whole = wanted.get(turn)
            turn.owed = turn.owed | cadences if whole is None else turn.owed - whole
            for point in turn.asked(whole or cadences)[1]:
                value, quality = found.get(point, unknown)
                readings.append(Reading(ids[point], now, value, quality))
        return readings

    async def _look_for_lost(self, now: datetime) -> None:
        """Ask again what was doubted or failed, between rounds."""
        if self._lost:
            await self._look_for_gateway(now)
            return
        loop = asyncio.get_running_loop()
        wall_s, full_s = self._line.wall(), self._line.gateway.timeout_s
        due = [t for t in self._turns if t.session.backoff.failing or t.doubted]
        due = [t for t in due if t.doubted or t.session.backoff.due(wall_s)]
        silent_s = 0.0
        for turn in sorted(due, key=lambda turn: turn.session.backoff.until_s):
            begin_s = loop.time()
            one = await self._fetch(turn, turn.sample(), now, full_s)
            if isinstance(one.fault, Broken):
                self._lost = True
                return
            silent_s += loop.time() - begin_s if one.fault is not None else 0.0
            if silent_s >= SEARCH_TIMEOUTS * full_s:
                return

    async def _look_for_gateway(self, now: datetime) -> None:
        """Ask some devices in turn; any answer says that the gateway is back."""
        if self._line.down:
            return
        full_s = self._line.gateway.timeout_s
        healthy = [t for t in self._turns if not t.session.backoff.failing] or [*self._turns]
        for _ in range(min(MANY_SILENT, len(healthy))):
            turn = healthy[self._next % len(healthy)]
            self._next += 1
            one = await turn.session.fetch(turn.sample(), now, timeout_s=full_s)
            if isinstance(one.fault, Broken):
                return
            if one.fault is None or any(one.replies) or isinstance(one.fault, Refusal):
                self._lost = False
                return
        self._line.give_up("no device asked gives a reply")
