"""The field bus over Modbus: all gateways and devices of an estate."""

from __future__ import annotations

import asyncio
import random
import time
from collections.abc import Callable, Collection, Iterable, Mapping
from datetime import datetime

from drivers.codec import PointCodec, codecs
from drivers.commands import Commander
from drivers.dry_run import DryRunBus
from drivers.keeping import Keeper
from drivers.line import Backoff, GatewayLine
from drivers.poller import GatewayPoller
from drivers.session import DeviceSession
from ems.domain.errors import InvalidInputError
from ems.domain.estate import Device, Estate, Gateway
from ems.domain.points import PointId
from ems.domain.ports import FieldBus, HoleBook, WriteBook
from ems.domain.profiles import Cadence
from ems.domain.readings import Reading
from ems.domain.setpoints import Outcome, Setpoint
from ems.domain.time import Clock

DEVICE_BACKOFF_S = (2.0, 60.0)
"""First and longest wait before a silent device is asked again [s, wall time]."""

LEAST_PATIENCE_S = 1.0
"""No gateway is thought late before this [s, wall time]."""

TIMES_USUAL = 2.0
"""A gateway is late when its round takes so many times what the slowest one usually takes."""


class ModbusFieldBus:
    """Fills :class:`ems.domain.ports.FieldBus` over Modbus TCP.

    Gateways are polled side by side, the devices of one gateway one after another. All
    calls must come from one event loop; connections open with the first request.

    Parameters
    ----------
    devices
        The devices to serve, each on one of ``gateways``.
    gateways
        By id.
    wall
        Wall clock [s], monotonic; times back-off.
    seed
        Of the jitter that keeps retries of many devices apart.
    write_counts
        Writes so far by point, to go on counting from.
    book
        Counts writes for good.
    clock
        Estate time; with it, commands that devices forget sooner than they are renewed are
        repeated until they expire. Without it every command is written once.
    holes
        Keeps over restarts which registers devices do not have.

    Examples
    --------
    >>> bus = open_bus(estate)  # doctest: +SKIP
    >>> readings = await bus.poll({Cadence.FAST}, clock.now())  # doctest: +SKIP
    """

    def __init__(
        self,
        devices: Iterable[Device],
        gateways: Mapping[str, Gateway],
        *,
        wall: Callable[[], float] = time.monotonic,
        seed: int = 0,
        write_counts: Mapping[PointId, int] | None = None,
        book: WriteBook | None = None,
        clock: Clock | None = None,
        holes: HoleBook | None = None,
    ) -> None:
        rng = random.Random(seed)  # noqa: S311 - jitter, not a secret
        made: dict[str, dict[str, PointCodec]] = {}
        self._lines: dict[str, GatewayLine] = {}
        self._sessions: dict[str, DeviceSession] = {}
        by_gateway: dict[str, list[DeviceSession]] = {}
        for device in devices:
            gateway = gateways[device.gateway_id]
            line = self._lines.setdefault(gateway.id, GatewayLine(gateway, wall, rng))
            profile = device.profile
            shared = made.setdefault(profile.id, codecs(profile))
            session = DeviceSession(device, shared, line, Backoff(*DEVICE_BACKOFF_S, rng), holes)
            self._sessions[device.id] = session
            by_gateway.setdefault(gateway.id, []).append(session)
        self._pollers = [
            GatewayPoller(self._lines[gateway_id], sessions)
            for gateway_id, sessions in by_gateway.items()
        ]
        self._polling = asyncio.Lock()
        self._late: dict[GatewayPoller, asyncio.Task[list[Reading]]] = {}
        self._commander = Commander(write_counts, book)
        self._keeper = None if clock is None else Keeper(clock, self._commander)

    async def poll(self, cadences: Collection[Cadence], now: datetime) -> list[Reading]:
        """Read all points of these cadences from all devices; never raises for a device.

        A gateway that takes much longer than it usually does holds up nobody else: its
        readings come with the poll after it is done.
        """
        async with self._polling:
            return await self._poll(frozenset(cadences), now)

    async def _poll(self, wanted: frozenset[Cadence], now: datetime) -> list[Reading]:
        readings: list[Reading] = []
        rounds: dict[GatewayPoller, asyncio.Task[list[Reading]]] = {}
        for poller in self._pollers:
            late = self._late.get(poller)
            if late is not None and not late.done():
                poller.owe(wanted)
                continue
            if late is not None:
                readings += self._late.pop(poller).result()
            rounds[poller] = asyncio.create_task(poller.poll(wanted, now))
        try:
            if rounds:
                await asyncio.wait(rounds.values(), timeout=self._patience_s())
        except asyncio.CancelledError:
            for task in rounds.values():
                task.cancel()
            raise
        for poller, task in rounds.items():
            if task.done():
                readings += task.result()
            else:
                self._late[poller] = task
        return readings

    def _patience_s(self) -> float | None:
        """How long to wait for a round; ``None`` while not all gateways were asked once."""
        usual = [poller.usual_s for poller in self._pollers]
        if all(seconds is None for seconds in usual):
            return None
        return max(LEAST_PATIENCE_S, *(TIMES_USUAL * (seconds or 0.0) for seconds in usual))

    async def settle(self) -> None:
        """Wait until rounds under way are done and what failed was asked again, where due."""
        if self._late:
            await asyncio.wait(self._late.values())
        for poller in self._pollers:
            await poller.settle()

    async def apply(
        self,
        setpoint: Setpoint,
        now: datetime,
        *,
        urgent: bool = False,
        seen: float | None = None,
    ) -> Outcome:
        """Write one setpoint where the device does not hold it yet, and read it back.

        With ``seen``, what the point showed when the setpoint was decided, nothing is written
        where somebody has changed it since.

        Raises
        ------
        InvalidInputError
            Where the device is unknown or the point cannot be written.
        """
        session = self._session(setpoint.point_id)
        if self._keeper is None:
            return await self._commander.apply(session, setpoint, now, urgent=urgent, seen=seen)
        before = self._keeper.pause(setpoint.point_id)
        outcome = await self._commander.apply(session, setpoint, now, urgent=urgent, seen=seen)
        self._keeper.follow(session, setpoint, outcome, before)
        return outcome

    async def release(self, setpoint: Setpoint, now: datetime) -> Outcome:
        """Hand a device back to its own control; ``setpoint.value`` is the release value.

        Raises
        ------
        InvalidInputError
            As in `apply`.
        """
        if self._keeper is not None:
            self._keeper.pause(setpoint.point_id)
        return await self._commander.release(self._session(setpoint.point_id), setpoint, now)

    async def look(self, point_ids: Collection[PointId], now: datetime) -> list[Reading]:
        """Read these points now, ahead of polls; never raises for a device's failure.

        Raises
        ------
        InvalidInputError
            Where a device is unknown.
        """
        looks = (
            self._commander.look(self._session(point_id), point_id.point, now)
            for point_id in point_ids
        )
        return list(await asyncio.gather(*looks))

    @property
    def kept_alive(self) -> frozenset[PointId]:
        """The points whose commands are repeated between rounds."""
        return frozenset() if self._keeper is None else self._keeper.kept

    def write_counts(self) -> dict[PointId, int]:
        """Return how often each point was written."""
        return dict(self._commander.write_counts)

    async def close(self) -> None:
        """Close all connections. What devices were told stays as it is, or lapses."""
        if self._keeper is not None:
            self._keeper.close()
        for task in self._late.values():
            task.cancel()
        self._late.clear()
        for poller in self._pollers:
            poller.close()
        for line in self._lines.values():
            line.close()

    def _session(self, point_id: PointId) -> DeviceSession:
        try:
            return self._sessions[point_id.device_id]
        except KeyError:
            raise InvalidInputError(
                "there is no such device",
                field="point_id.device_id",
                value=point_id.device_id,
                remedy="Use the id of a device of the estate.",
            ) from None


def open_bus(
    estate: Estate,
    book: WriteBook | None = None,
    *,
    clock: Clock | None = None,
    holes: HoleBook | None = None,
) -> FieldBus:
    """Return a bus to all devices of an estate; ``book`` counts its writes for good.

    With a ``clock`` commands are kept alive between rounds until they expire; ``holes`` keeps
    what devices refuse. In a dry run it writes nothing, whatever is asked of it.
    """
    bus = ModbusFieldBus(
        estate.devices.values(), estate.gateways, book=book, clock=clock, holes=holes
    )
    return DryRunBus(bus, estate.devices) if estate.control.dry_run else bus
