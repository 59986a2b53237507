"""A gateway on a real socket whose units can be told to misbehave, and buses to it."""

from __future__ import annotations

import asyncio
import math
import struct
import sys
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path

import pytest

from drivers.codec import register_image
from drivers.modbus_bus import ModbusFieldBus
from ems.domain.estate import Device, Gateway
from ems.domain.points import PointId
from ems.domain.profiles import Cadence, DeviceProfile, Space
from ems.domain.readings import Quality, Reading
from ems.domain.setpoints import Cause, Setpoint
from ems.settings.profiles import load_profiles

ROOT = Path(__file__).parents[2]
NOON = datetime(2022, 12, 27, 12, tzinfo=UTC)
METER_VALUES = {
    "power_w": 1500.0,
    "voltage_v": 230.0,
    "frequency_hz": 50.0,
    "energy_import_kwh": 100.0,
    "energy_export_kwh": 0.0,
}
TABLE = {1: Space.COIL, 2: Space.DISCRETE, 3: Space.HOLDING, 4: Space.INPUT}


def _open() -> asyncio.Event:
    event = asyncio.Event()
    event.set()
    return event


@dataclass
class Unit:
    """One unit id: its registers, and how it behaves (``ok`` unless told otherwise)."""

    image: dict[Space, dict[int, int]]
    behaviour: str = "ok"
    delay_s: float = 0.0
    gaps_answer: bool = False
    frozen: bool = False
    """Writes are acknowledged and forgotten."""
    ramp: int = 0
    """Registers move to what was written by so much a read, instead of at once."""
    late_writes_s: float = 0.0
    """Writes are done at once and acknowledged only so much later."""
    targets: dict[int, int] = field(default_factory=dict)
    busy: int = 0
    busy_function: int = 0
    """The next so many requests are refused with "busy": of this function, or of any."""
    held: asyncio.Event = field(default_factory=_open)
    """While it is cleared, requests wait for their answer."""


@dataclass
class ScriptedGateway:
    """A Modbus TCP server written from the protocol's description, without a library."""

    units: dict[int, Unit]
    port: int = 0
    requests: list[tuple[int, int, int, tuple[int, ...]]] = field(default_factory=list)
    connections: int = 0
    half_open: bool = False
    _writers: set[asyncio.StreamWriter] = field(default_factory=set)
    _server: asyncio.Server | None = None

    async def start(self) -> None:
        self._server = await asyncio.start_server(self._serve, "127.0.0.1", self.port)
        self.port = self._server.sockets[0].getsockname()[1]

    @property
    def is_open(self) -> bool:
        return self._server is not None

    async def stop(self) -> None:
        if self._server is not None:
            self._server.close()
            for writer in list(self._writers):
                writer.transport.abort()
            await self._server.wait_closed()
            self._server = None

    def writes(self) -> list[tuple[int, int, tuple[int, ...]]]:
        """Return (function, address, values) of all writes."""
        return [(f, a, v) for _, f, a, v in self.requests if f in (5, 6, 16)]

    def reads_of(self, unit: int) -> int:
        return sum(1 for u, f, _, _ in self.requests if u == unit and f <= 4)

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.connections += 1
        self._writers.add(writer)
        try:
            while True:
                header = await reader.readexactly(7)
                tid, _, length, unit = struct.unpack(">HHHB", header)
                pdu = await reader.readexactly(length - 1)
                await self._answer(writer, tid, unit, pdu)
        except (asyncio.IncompleteReadError, ConnectionError, asyncio.CancelledError):
            pass
        finally:
            self._writers.discard(writer)
            writer.close()

    async def _answer(
        self, writer: asyncio.StreamWriter, tid: int, unit_id: int, pdu: bytes
    ) -> None:
        function, address = pdu[0], int.from_bytes(pdu[1:3])
        values = (int.from_bytes(pdu[3:5]),)
        if function == 16:
            values = struct.unpack(f">{len(pdu[6:]) // 2}H", pdu[6:])
        self.requests.append((unit_id, function, address, values))
        unit = self.units.get(unit_id) or Unit({}, "refuse:11")
        if self.half_open or unit.behaviour == "mute":
            return
        if unit.behaviour == "hang up":
            writer.transport.abort()
            return
        await unit.held.wait()
        await asyncio.sleep(unit.delay_s)
        late_s = unit.late_writes_s if function in (5, 6, 16) else 0.0
        if unit.behaviour.startswith("refuse:"):
            reply = bytes([function | 0x80, int(unit.behaviour.removeprefix("refuse:"))])
        elif unit.busy and unit.busy_function in (0, function):
            unit.busy -= 1
            reply = bytes([function | 0x80, 6])
        else:
            reply = _execute(unit, function, address, values, pdu)
        await asyncio.sleep(late_s)
        writer.write(_frame(unit.behaviour, tid, unit_id, reply))
        await writer.drain()


def _frame(behaviour: str, tid: int, unit_id: int, reply: bytes) -> bytes:
    """Wrap a reply as the behaviour has it."""
    protocol = 0x4854 if behaviour == "not modbus" else 0
    match behaviour:
        case "short":
            reply = reply[:1] + bytes([2]) + reply[2:4]
        case "lying byte count":
            reply = reply[:1] + bytes([reply[1] + 2]) + reply[2:]
        case "wrong unit":
            unit_id = unit_id % 247 + 1
        case "wrong transaction":
            tid = tid + 1 & 0xFFFF
        case "wrong function":
            reply = bytes([4 if reply[0] == 3 else 3]) + reply[1:]
    frame = struct.pack(">HHHB", tid, protocol, len(reply) + 1, unit_id) + reply
    return frame[:-1] if behaviour == "cut off" else frame


def _execute(unit: Unit, function: int, address: int, values: tuple[int, ...], pdu: bytes) -> bytes:
    if function <= 4:
        table = unit.image.get(TABLE[function], {})
        count = values[0]
        addresses = range(address, address + count)
        for place in [place for place in addresses if place in unit.targets]:
            far = unit.targets[place] - table[place]
            table[place] += max(-unit.ramp, min(unit.ramp, far))
        if not unit.gaps_answer and any(a not in table for a in addresses):
            return bytes([function | 0x80, 2])
        found = [table.get(a, 0) for a in addresses]
        if function <= 2:
            packed = sum(bool(bit) << index for index, bit in enumerate(found))
            data = packed.to_bytes((count + 7) // 8, "little")
        else:
            data = struct.pack(f">{count}H", *found)
        return bytes([function, len(data)]) + data
    table = unit.image.setdefault(Space.COIL if function == 5 else Space.HOLDING, {})
    if any(address + index not in table for index in range(len(values))):
        return bytes([function | 0x80, 2])
    if unit.ramp:
        unit.targets.update({address + index: value for index, value in enumerate(values)})
    elif not unit.frozen:
        for index, value in enumerate(values):
            table[address + index] = int(value == 0xFF00) if function == 5 else value
    return pdu[:5]


@asynccontextmanager
async def serving(units: dict[int, Unit]) -> AsyncIterator[ScriptedGateway]:
    """Run a scripted gateway."""
    gateway = ScriptedGateway(units)
    await gateway.start()
    try:
        yield gateway
    finally:
        await gateway.stop()


@dataclass
class HandClock:
    """A wall clock that a test moves by hand [s]."""

    seconds: float = 0.0

    def __call__(self) -> float:
        return self.seconds


def device(profile: DeviceProfile, unit_id: int, gateway_id: str = "gw", name: str = "") -> Device:
    return Device(
        name or f"{profile.id}-{unit_id}",
        profile.device_class,
        profile,
        gateway_id,
        unit_id,
        "A",
        None,
        "",
    )


def gateway_of(server: ScriptedGateway, timeout_s: float = 0.3) -> dict[str, Gateway]:
    return {"gw": Gateway("gw", "127.0.0.1", server.port, timeout_s)}


def setpoint(device_id: str, point: str, value: float, release: float = 20.0) -> Setpoint:
    return Setpoint(
        "s1", PointId(device_id, point), value, NOON, NOON, Cause.SCHEDULE, "Because.", release
    )


async def poll_found(bus: ModbusFieldBus, cadences: set[Cadence], now: datetime) -> list[Reading]:
    """Poll once more after what was lost has been asked again between rounds."""
    await bus.poll(cadences, now)
    await bus.settle()
    return await bus.poll(cadences, now)


def by_name(readings: list[Reading], device_id: str) -> dict[str, Reading]:
    return {r.point_id.point: r for r in readings if r.point_id.device_id == device_id}


def good(readings: list[Reading], device_id: str) -> bool:
    """Tell whether a device gave good values only."""
    mine = [reading for reading in readings if reading.point_id.device_id == device_id]
    assert mine
    return all(reading.is_good for reading in mine)


def silent(readings: list[Reading], device_id: str) -> bool:
    """Tell whether it gave none at all."""
    mine = [reading for reading in readings if reading.point_id.device_id == device_id]
    assert mine
    return all(r.quality is Quality.NO_ANSWER and math.isnan(r.value) for r in mine)


@pytest.fixture(scope="session")
def profiles() -> dict[str, DeviceProfile]:
    return load_profiles(ROOT / "config" / "devices")


@pytest.fixture(scope="session")
def kit() -> object:
    """These helpers; test modules cannot import a conftest by name."""
    return sys.modules[__name__]


@pytest.fixture
def meter(profiles: dict[str, DeviceProfile]) -> DeviceProfile:
    return profiles["eastron_sdm120"]


@pytest.fixture
def homes(meter: DeviceProfile) -> object:
    """Return units and devices of ``count`` meters, unit ids from 11."""

    def make(count: int) -> tuple[dict[int, Unit], list[Device]]:
        units = {11 + n: Unit(register_image(meter, METER_VALUES)) for n in range(count)}
        return units, [device(meter, unit_id, name=f"m{unit_id}") for unit_id in units]

    return make
