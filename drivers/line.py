"""One gateway's shared connection: turns, reconnection, back-off, one log line each way.

All devices behind a gateway share one connection, because many gateways take only one
and throw the older out. Requests go one at a time; a waiting write goes before waiting
reads, and equals in the order in which they came.

A reply on an RTU line does not name its request. So after a request without a proper
reply the line is drained before the next one, and the unit that was silent is not asked
again before its late reply can no longer come.
"""

from __future__ import annotations

import asyncio
import heapq
import random
from collections.abc import AsyncIterator, Callable, Coroutine, Sequence
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from dataclasses import dataclass, field
from enum import IntEnum
from typing import Any

import structlog

from drivers.transport import Answer, Broken, Link, Malformed, Refusal, Reply, Silence
from ems.domain.estate import Gateway
from ems.domain.profiles import Space

log = structlog.get_logger(__name__)

SILENCES_BEFORE_RECONNECT = 3
"""So many requests in a row without a reply, and the connection counts as half open."""

NOISE_RETRIES = 1
"""So often a read is repeated at once where noise spoilt the reply on an RTU line."""

GATEWAY_CODES = (10, 11)
"""Exceptions by which a gateway says that it cannot reach the device."""


class Priority(IntEnum):
    """Who goes first on a gateway."""

    WRITE = 0
    READ = 1


@dataclass(slots=True)
class Backoff:
    """How long to leave alone what failed: doubling, with jitter, in wall seconds.

    Attributes
    ----------
    first_s, most_s
        Shortest and longest wait [s].
    rng
        Source of the jitter, a fifth of the wait either way.
    """

    first_s: float
    most_s: float
    rng: random.Random
    failures: int = 0
    until_s: float = 0.0
    since_s: float = 0.0

    @property
    def failing(self) -> bool:
        """Whether the last attempt failed."""
        return self.failures > 0

    def due(self, wall_s: float) -> bool:
        """Whether another attempt may be made."""
        return wall_s >= self.until_s

    def fail(self, wall_s: float) -> bool:
        """Note a failed attempt; return whether it is the first after a success."""
        first = self.failures == 0
        if first:
            self.since_s = wall_s
        wait_s = min(self.first_s * 2.0 ** min(self.failures, 30), self.most_s)
        self.failures += 1
        self.until_s = wall_s + wait_s * self.rng.uniform(0.8, 1.2)
        return first

    def succeed(self) -> bool:
        """Note a success; return whether it ends a failure."""
        ended = self.failures > 0
        self.failures = 0
        self.until_s = 0.0
        return ended


@dataclass(slots=True)
class Turns:
    """A lock that is handed on by priority, then by order of arrival."""

    _busy: bool = False
    _holder: asyncio.Task[Any] | None = None
    _count: int = 0
    _waiting: list[tuple[int, int, asyncio.Future[None]]] = field(default_factory=list)

    @asynccontextmanager
    async def take(self, priority: Priority) -> AsyncIterator[None]:
        """Wait for one's turn and hold it; who holds it already goes on."""
        if self._holder is not None and self._holder is asyncio.current_task():
            yield
            return
        if self._busy:
            future: asyncio.Future[None] = asyncio.get_running_loop().create_future()
            self._count += 1
            heapq.heappush(self._waiting, (priority, self._count, future))
            try:
                await future
            except asyncio.CancelledError:
                if future.done() and not future.cancelled():
                    self._hand_on()
                raise
        self._busy, self._holder = True, asyncio.current_task()
        try:
            yield
        finally:
            self._holder = None
            self._hand_on()

    def _hand_on(self) -> None:
        while self._waiting:
            _, _, future = heapq.heappop(self._waiting)
            if not future.done():
                future.set_result(None)
                return
        self._busy = False


class GatewayLine:
    """Requests to one gateway.

    Parameters
    ----------
    gateway
        Address and time allowed for a reply.
    wall
        Wall clock [s], monotonic.
    rng
        Source of jitter.
    """

    def __init__(self, gateway: Gateway, wall: Callable[[], float], rng: random.Random) -> None:
        self.gateway = gateway
        self.wall = wall
        self._link = Link(gateway)
        self._after_connect_s = 0.0
        self._in_step = True
        self._out_of_reach = False
        self._late_s: dict[int, float] = {}
        self._turns = Turns()
        self._backoff = Backoff(0.5, 10.0, rng)
        self._silences = 0

    @property
    def down(self) -> bool:
        """Whether the gateway failed and is being left alone."""
        return self._backoff.failing and not self._backoff.due(self.wall())

    def allow(self, after_connect_s: float) -> None:
        """Wait at least so long after connecting [s, wall time]: a device here needs it."""
        self._after_connect_s = max(self._after_connect_s, after_connect_s)

    def turn(self) -> AbstractAsyncContextManager[None]:
        """Hold the line for several requests of one command: nobody else's come between."""
        return self._turns.take(Priority.WRITE)

    async def read(
        self,
        unit_id: int,
        space: Space,
        address: int,
        count: int,
        *,
        priority: Priority = Priority.READ,
        timeout_s: float | None = None,
        pause_s: float = 0.0,
    ) -> Reply:
        """Read registers or bits.

        The time allowed is the gateway's unless given [s]; ``pause_s`` is how long the
        connection is silent before [s]. What noise spoilt on a line is asked for once more.
        """
        limit_s = timeout_s or self.gateway.timeout_s
        await self._let_late_reply_pass(unit_id)
        async with self._turns.take(priority):
            for _ in range(1 + NOISE_RETRIES):
                reply = await self._request(
                    unit_id,
                    pause_s,
                    lambda: self._link.read(unit_id, space, address, count, limit_s),
                )
                if self._link.numbered or not isinstance(reply, Malformed):
                    break
            return reply

    async def write(
        self,
        unit_id: int,
        space: Space,
        address: int,
        values: Sequence[int],
        *,
        single: bool,
        timeout_s: float | None = None,
        pause_s: float = 0.0,
    ) -> Reply:
        """Write registers or coils; asked again only where an idle connection had closed."""
        limit_s = timeout_s or self.gateway.timeout_s
        await self._let_late_reply_pass(unit_id)
        async with self._turns.take(Priority.WRITE):
            return await self._request(
                unit_id,
                pause_s,
                lambda: self._link.write(unit_id, space, address, values, single, limit_s),
            )

    def close(self) -> None:
        """Close the connection."""
        self._link.close()

    async def _let_late_reply_pass(self, unit_id: int) -> None:
        """Wait, without holding the line, while a reply that was given up may still come."""
        if not self._link.numbered and unit_id in self._late_s:
            wait_s = self._late_s[unit_id] - asyncio.get_running_loop().time()
            if wait_s > 0:
                await asyncio.sleep(wait_s)

    async def _request(
        self, unit_id: int, pause_s: float, call: Callable[[], Coroutine[Any, Any, Reply]]
    ) -> Reply:
        fresh = not self._link.connected
        reply = await self._ask(unit_id, pause_s, call)
        if isinstance(reply, Broken) and not fresh and not reply.refused:
            # Gateways close idle connections: once, this is no failure.
            self._link.close()
            reply = await self._ask(unit_id, pause_s, call)
        if isinstance(reply, Broken) and reply.refused:
            self.give_up(reply.detail)
        elif isinstance(reply, Broken) and not self._out_of_reach:
            # Some gateways hang up when a unit is dead: that is the unit's failure.
            reply = Malformed("the connection was closed during the request")
        self._account(unit_id, reply)
        return reply

    async def _ask(
        self, unit_id: int, pause_s: float, call: Callable[[], Coroutine[Any, Any, Reply]]
    ) -> Reply:
        self._out_of_reach = False
        if not self._link.connected:
            fault = await self._connect()
            if fault:
                self._out_of_reach = True
                return Broken(fault)
        if not self._link.numbered:
            babble = await self._drain(unit_id)
            if babble:
                return Malformed(babble)
        await self._link.pause(pause_s)
        return await call()

    async def _drain(self, unit_id: int) -> str | None:
        """Make sure that no reply to an earlier request can be taken for the next one's."""
        now_s = asyncio.get_running_loop().time()
        until_s = self._late_s.pop(unit_id, 0.0)
        if self._in_step and until_s <= now_s:
            return None
        babble = await self._link.drain(until_s)
        self._in_step = babble is None
        return babble

    async def _connect(self) -> str | None:
        if not self._backoff.due(self.wall()):
            return f"gateway {self.gateway.id} is out of reach"
        fault = await self._link.connect()
        if fault:
            self._fail(fault)
        elif self._after_connect_s:
            await asyncio.sleep(self._after_connect_s)
        self._silences = 0
        return fault

    def _account(self, unit_id: int, reply: Reply) -> None:
        match reply:
            case Answer() | Refusal():
                self._silences = 0
                if self._backoff.succeed():
                    lasted_s = round(self.wall() - self._backoff.since_s, 1)
                    log.info("gateway_returned", gateway=self.gateway.id, after_s=lasted_s)
            case Silence():
                self._silences += 1
                if not self._link.numbered:
                    self._in_step = False
                    loop_s = asyncio.get_running_loop().time()
                    self._late_s[unit_id] = loop_s + self.gateway.timeout_s
                if self._silences >= SILENCES_BEFORE_RECONNECT:
                    self._link.close()
            case Malformed() | Broken():
                # What follows on this connection can no longer be trusted to be in step.
                self._in_step = False
                if self._link.numbered:
                    self._link.close()

    def _fail(self, detail: str) -> None:
        if self._backoff.fail(self.wall()):
            log.warning("gateway_lost", gateway=self.gateway.id, detail=detail)

    def give_up(self, detail: str) -> None:
        """Leave the gateway alone for a while: none of its devices answers."""
        self._link.close()
        self._fail(detail)
