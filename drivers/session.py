"""One device on its gateway: reads by plan, learns holes, judges counters.

A session knows nothing of rounds or commands; it turns names of points into values with
quality, or into the reply that stopped it.
"""

from __future__ import annotations

import asyncio
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime

import structlog

from drivers.blocks import Block, BlockPlan, identity_blocks, plan
from drivers.codec import PointCodec, WriteMessage
from drivers.holes import Lessons, identity_of
from drivers.images import Fetched, Values, decode
from drivers.judging import Judge
from drivers.line import GATEWAY_CODES, Backoff, GatewayLine, Priority
from drivers.sunspec import BODIES, DISCOVERY, Discovery, discover
from drivers.sunspec_walk import BASES, Layout, walk
from drivers.transport import EXCEPTIONS, Answer, Broken, Malformed, Refusal, Reply, Silence
from ems.domain.estate import Device
from ems.domain.points import PointId
from ems.domain.ports import HoleBook
from ems.domain.profiles import DeviceProfile, Space
from ems.domain.readings import Quality

log = structlog.get_logger(__name__)

LAYOUT_TRIES = 2
"""A device whose models moved is walked anew once before it counts as faulty."""

ILLEGAL = (1, 2, 3)
"""Exceptions that speak of the request, not of the device's state."""


@dataclass(frozen=True, slots=True)
class Result:
    """What came of reading some points.

    Attributes
    ----------
    values
        By point; what could not be read is absent.
    fault
        The reply that stopped the reading; ``None`` where nothing did.
    """

    values: Values
    fault: Reply | None = None


def describe(reply: Reply) -> str:
    """Return a reply in words, for a log line or an outcome."""
    match reply:
        case Refusal(code):
            return f"exception {code}: {EXCEPTIONS.get(code, 'not defined')}"
        case Silence(after_s):
            return f"no reply within {after_s:g} s"
        case Malformed(detail) | Broken(detail):
            return detail
        case Answer():
            return "answered"


class DeviceSession:
    """One device.

    Parameters
    ----------
    device
        What it is and where it answers.
    codecs
        Of its profile, shared between devices of one make.
    line
        Its gateway.
    backoff
        How long it is left alone after it failed.
    holes
        Keeps over restarts what it refused.
    """

    def __init__(
        self,
        device: Device,
        codecs: Mapping[str, PointCodec],
        line: GatewayLine,
        backoff: Backoff,
        holes: HoleBook | None = None,
    ) -> None:
        self.device = device
        self.line = line
        self.backoff = backoff
        self.commanding = asyncio.Lock()
        own_s, line_s = device.profile.timeout_s or 0.0, line.gateway.timeout_s
        self._patience = max(own_s / line_s, 1.0)
        line.allow(device.profile.after_connect_s)
        self.point_ids = {
            name: PointId(device.id, name)
            for name in (
                *device.profile.points,
                *(device.profile.composed or {}),
                *(device.profile.encoded or {}),
            )
        }
        self._codecs = codecs
        self._holes = Lessons(device.id, holes)
        self._plans: dict[tuple[str, ...], BlockPlan] = {}
        self.judge = Judge(device.id)
        self._discovers = device.profile.discovery == DISCOVERY
        self._discovery: Discovery | None = None
        self._bases: tuple[int, ...] = BASES
        self._identified = not (device.profile.identified_by or self._discovers)
        self._answered = False
        self.losses = 0
        """How often it did not answer: what was known of it may no longer be so."""

    @property
    def profile(self) -> DeviceProfile:
        """The device's register map: its own where that was discovered."""
        return self._discovery.profile if self._discovery else self.device.profile

    @property
    def discovery(self) -> Discovery | None:
        """What was found on a device whose addresses are discovered; ``None`` before that."""
        return self._discovery

    async def read(
        self,
        names: tuple[str, ...],
        now: datetime,
        *,
        priority: Priority = Priority.READ,
        timeout_s: float | None = None,
    ) -> Result:
        """Read these points; values come with quality.

        Blocks that the device refuses as illegal are split and tried again at once, so
        that one missing register costs one value.
        """
        fetched = await self.fetch(names, now, priority=priority, timeout_s=timeout_s)
        return Result(self.interpret(decode([fetched])[0], now), fetched.fault)

    async def fetch(
        self,
        names: tuple[str, ...],
        now: datetime,
        *,
        priority: Priority = Priority.READ,
        timeout_s: float | None = None,
    ) -> Fetched:
        """Read the registers of these points; decoding them is left to the caller."""
        for _ in range(LAYOUT_TRIES):
            fault = await self.identify(priority, timeout_s)
            if fault is not None:
                return Fetched(None, (), fault)
            fetched = await self._fetch(names, now, priority, timeout_s)
            if fetched is not None:
                return fetched
            log.warning("device_changed", device=self.device.id)
            self._forget()
            self._identified = False
        return Fetched(None, (), Malformed("its models are not where they were"))

    async def _fetch(
        self, names: tuple[str, ...], now: datetime, priority: Priority, timeout_s: float | None
    ) -> Fetched | None:
        """Read by plan; ``None`` where a discovered device has another layout now."""
        if self._holes.review(self._identity, now):
            self._plans.clear()
        refusal: Reply | None = None
        while True:
            current = self._plan(names)
            replies: list[tuple[int, ...] | None] = []
            fault: Reply | None = None
            refused: Block | None = None
            for block in current.blocks:
                reply = await self._read_block(block, priority, timeout_s)
                match reply:
                    case Answer(values):
                        self._answered = True
                        replies.append(values)
                    case Refusal(code) if code in ILLEGAL:
                        refused, refusal = block, reply
                        break
                    case Refusal(code) if code not in GATEWAY_CODES and any(replies):
                        replies.append(None)
                    case _:
                        fault = reply
                        break
            if refused is None:
                if not self._answered and not current.blocks:
                    fault = refusal
                if self._discovery and fault is None and not self._in_place(current, replies):
                    return None
                return Fetched(current, replies, fault)
            self._holes.learn(refused, self._identity, now)
            self._plans.clear()
            if len(refused.atoms) == 1:
                log.info(
                    "register_absent",
                    device=self.device.id,
                    space=str(refused.space),
                    address=refused.address,
                )

    async def register(self, space: Space, address: int, priority: Priority) -> Reply:
        """Read one register that is no point, e.g. one that tells the firmware."""
        return await self._read_block(Block(None, space, address, 1, ()), priority, None)

    async def write(self, message: WriteMessage) -> Reply:
        """Send one write request."""
        single = len(message.values) == 1 and self.profile.write_function == "auto"
        return await self.line.write(
            message.unit_id or self.device.unit_id,
            message.space,
            message.address,
            message.values,
            single=single,
            timeout_s=self.line.gateway.timeout_s * self._patience,
            pause_s=self.profile.between_frames_s,
        )

    def note_success(self) -> None:
        """End the back-off of a device that answered; say so where it had been lost."""
        if self.backoff.succeed():
            lasted_s = round(self.line.wall() - self.backoff.since_s, 1)
            log.info("device_returned", device=self.device.id, after_s=lasted_s)

    def note_failure(self, reply: Reply) -> None:
        """Leave a device that failed alone for a while; say so once.

        It may come back with another firmware: what was learnt is forgotten.
        """
        self._forget()
        self._answered = False
        self.losses += 1
        self._identified = not (self.device.profile.identified_by or self._discovers)
        if self.backoff.fail(self.line.wall()):
            log.warning("device_lost", device=self.device.id, detail=describe(reply))

    def _forget(self) -> None:
        self._holes.forget()
        self._plans.clear()

    def _identity(self) -> str:
        layout = None if self._discovery is None else self._discovery.layout
        return identity_of(self.device, self.line.gateway, self.profile, layout)

    async def _read_block(self, block: Block, priority: Priority, timeout_s: float | None) -> Reply:
        allowed_s = timeout_s or self.line.gateway.timeout_s
        return await self.line.read(
            block.unit_id or self.device.unit_id,
            block.space,
            block.address,
            block.count,
            priority=priority,
            timeout_s=allowed_s * self._patience,
            pause_s=self.profile.between_frames_s,
        )

    async def identify(
        self, priority: Priority = Priority.READ, timeout_s: float | None = None
    ) -> Reply | None:
        """Make sure once that this is such a device, and find its addresses where need be.

        Returns the reply that stopped it, ``None`` where nothing did or it was done before.
        """
        if self._identified:
            return None
        if self._discovers:
            return await self._discover(priority, timeout_s)
        return await self._identify(priority, timeout_s)

    async def _discover(self, priority: Priority, timeout_s: float | None) -> Reply | None:
        async def read(address: int, count: int) -> Reply:
            block = Block(None, Space.HOLDING, address, count, ())
            return await self._read_block(block, priority, timeout_s)

        found = await walk(read, BODIES, self._bases)
        if not isinstance(found, Layout):
            if isinstance(found, Silence):
                # Some devices do not answer for an address that they lack: look elsewhere next.
                self._bases = (*self._bases[1:], self._bases[0])
            return found
        before = self._discovery
        if before is None or before.layout.models != found.models:
            log.info(
                "device_discovered",
                device=self.device.id,
                base=found.base,
                models=[model.id for model in found.models],
            )
        self._discovery = discover(self.device.profile, found)
        self._bases = (found.base, *(base for base in BASES if base != found.base))
        self._codecs = self._discovery.codecs
        self.point_ids |= {
            name: PointId(self.device.id, name) for name in self._discovery.profile.points
        }
        self._plans.clear()
        self._identified = True
        return None

    async def _identify(self, priority: Priority, timeout_s: float | None) -> Reply | None:
        for block in identity_blocks(self.profile):
            reply = await self._read_block(block, priority, timeout_s)
            if not isinstance(reply, Answer):
                return reply
            expected = (self.profile.constants or {})[block.space]
            for atom in block.atoms:
                found = reply.values[atom.address - block.address]
                if found != expected[atom.address]:
                    return Malformed(
                        f"not a {self.profile.id}: register {atom.address} holds {found}, "
                        f"not {expected[atom.address]}"
                    )
        self._identified = True
        return None

    def _plan(self, names: tuple[str, ...]) -> BlockPlan:
        found = self._plans.get(names)
        if found is None:
            profile, asked = self.profile, names
            if self._discovery is not None:
                profile, asked = self._discovery.readable, self._discovery.expand(names)
            found = plan(profile, self._codecs, asked, self._holes.knowledge)
            self._plans[names] = found
        return found

    def interpret(self, values: Values, now: datetime) -> Values:
        """Judge decoded values by what came before them, and compose states from flags."""
        if self._discovery is not None:
            values = self._discovery.collapse(values)
        return self.judge.interpret(self.profile, values, now)

    def _in_place(self, current: BlockPlan, replies: Sequence[tuple[int, ...] | None]) -> bool:
        """Tell whether the models of a discovered device are where the walk found them."""
        found = self._discovery
        if found is None:
            return True
        headers = [slot for slot in current.slots if found.is_header(slot.point)]
        absent = any(found.is_header(name) for name in current.absent)
        for slot in headers:
            registers = replies[slot.value.block] if slot.value.block < len(replies) else None
            if registers is not None:
                start = slot.value.offset
                _, quality = slot.codec.decode(registers[start : start + slot.value.width])
                absent = absent or quality is not Quality.GOOD
        return not absent
