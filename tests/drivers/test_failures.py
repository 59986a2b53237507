"""Failures of lines and gateways over raw sockets; `test_failure_table` says what is where."""

from __future__ import annotations

import asyncio
import contextlib
import random
import struct
import time
from collections.abc import AsyncIterator, Callable
from dataclasses import replace
from itertools import pairwise

import pytest
import structlog
import trustme
from pymodbus.framer.rtu import FramerRTU

from drivers.codec import register_image
from drivers.line import GatewayLine
from drivers.modbus_bus import ModbusFieldBus
from drivers.transport import Answer, Broken, Malformed, Refusal, Silence
from ems.domain.estate import Gateway
from ems.domain.gateways import TlsFiles
from ems.domain.profiles import Cadence, Space, Transport

LONG_S = 20.0  # for a reply that will come: the machine may be busy
SHORT_S = 0.1  # for a reply that will not

METER = {
    "power_w": 1500.0,
    "voltage_v": 230.0,
    "frequency_hz": 50.0,
    "energy_import_kwh": 100.0,
    "energy_export_kwh": 7.0,
}


def rtu(unit: int, *body: int) -> bytes:
    frame = bytes([unit, *body])
    return frame + FramerRTU.compute_CRC(frame).to_bytes(2)


def registers(unit: int, *values: int) -> bytes:
    return rtu(unit, 3, 2 * len(values), *struct.pack(f">{len(values)}H", *values))


Line = Callable[[asyncio.StreamWriter, int, int], object]


@contextlib.asynccontextmanager
async def converter(answer: Line, timeout_s: float = LONG_S) -> AsyncIterator[GatewayLine]:
    """RTU in a TCP connection: ``answer(writer, unit, address)`` is told of each request."""
    writers = []

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        writers.append(writer)
        with contextlib.suppress(asyncio.IncompleteReadError, ConnectionError):
            while True:
                request = await reader.readexactly(8)
                answer(writer, request[0], int.from_bytes(request[2:4]))

    server = await asyncio.start_server(serve, "127.0.0.1", 0)
    port = server.sockets[0].getsockname()[1]
    gateway = Gateway("gw", "127.0.0.1", port, timeout_s, Transport.RTU_OVER_TCP)
    line = GatewayLine(gateway, time.monotonic, random.Random(1))
    try:
        yield line
    finally:
        line.close()
        server.close()
        for writer in writers:
            writer.close()


def test_a_late_reply_on_a_line_is_drained_before_the_next_request_of_the_same_length():
    """Nothing in it says that it answers the first request: only the silence before can."""
    asked = []

    def answer(writer, unit, address):
        asked.append(address)
        if address == 100:  # the device thinks for longer than it is given
            loop = asyncio.get_running_loop()
            loop.call_later(3 * SHORT_S, writer.write, registers(unit, 1, 1))
        else:
            writer.write(registers(unit, 2, 2))

    async def story():
        async with converter(answer, timeout_s=10 * SHORT_S) as line:
            late = await line.read(11, Space.HOLDING, 100, 2, timeout_s=SHORT_S)
            line.gateway = replace(line.gateway, timeout_s=LONG_S)
            return late, [await line.read(11, Space.HOLDING, at, 2) for at in (200, 300)]

    late, replies = asyncio.run(story())
    assert late == Silence(SHORT_S)
    assert replies == [Answer((2, 2))] * 2
    assert asked == [100, 200, 300]


def test_a_reply_owed_to_an_old_connection_does_not_fit_a_request_on_the_new_one():
    """The gateway hangs up, is connected to anew, and first delivers what it owed."""
    owed = []

    async def serve(reader, writer):
        with contextlib.suppress(asyncio.IncompleteReadError, ConnectionError):
            while True:
                request = await reader.readexactly(12)
                value = len(owed)
                header = request[:4] + b"\x00\x05" + request[6:7]
                owed.append(header + struct.pack(">BBH", 3, 2, value))
                if value == 0:
                    break
                writer.write(b"".join(owed))
        writer.close()

    async def story():
        server = await asyncio.start_server(serve, "127.0.0.1", 0)
        gateway = Gateway("gw", "127.0.0.1", server.sockets[0].getsockname()[1], LONG_S)
        line = GatewayLine(gateway, time.monotonic, random.Random(1))
        replies = [await line.read(11, Space.HOLDING, at, 1) for at in range(3)]
        line.close()
        server.close()
        return replies

    hung_up, *replies = asyncio.run(story())
    assert hung_up == Malformed("the connection was closed during the request")
    assert replies == [Answer((1,)), Answer((2,))]


def test_a_neighbours_late_reply_is_left_out_and_costs_nothing():
    """It comes while the next unit is being asked, before that one's own reply."""

    def answer(writer, unit, address):
        if unit == 12:
            writer.write(registers(11, 1, 1) + registers(12, 2, 2))

    async def story():
        async with converter(answer) as line:
            dead = await line.read(11, Space.HOLDING, 0, 2, timeout_s=SHORT_S)
            return dead, await line.read(12, Space.HOLDING, 0, 2)

    assert asyncio.run(story()) == (Silence(SHORT_S), Answer((2, 2)))


@pytest.mark.parametrize(("spoilt", "tries"), [(1, 2), (2, 2)])
def test_noise_on_a_line_is_asked_again_once(spoilt, tries):
    asked = []

    def answer(writer, unit, address):
        asked.append(address)
        reply = bytearray(registers(unit, 7, 8))
        if len(asked) <= spoilt:
            reply[4] ^= 0x10
        writer.write(bytes(reply))

    async def story():
        async with converter(answer) as line:
            first = await line.read(11, Space.HOLDING, 0, 2)
            noisy = len(asked)
            return first, noisy, await line.read(11, Space.HOLDING, 0, 2)

    first, noisy, second = asyncio.run(story())
    assert first == (Answer((7, 8)) if spoilt == 1 else Malformed("a reply with a wrong checksum"))
    assert noisy == tries
    assert second == Answer((7, 8))


def test_a_spoilt_echo_of_a_write_is_not_written_again():
    asked = []

    def answer(writer, unit, address):
        asked.append(address)
        writer.write(rtu(unit, 6, 0, 100, 0, 4))

    async def story():
        async with converter(answer) as line:
            return await line.write(11, Space.HOLDING, 100, [5], single=True)

    assert asyncio.run(story()) == Malformed("a reply that does not fit the request")
    assert asked == [100]


def test_a_line_that_babbles_ends_in_a_fault_and_not_in_waiting():
    loops = []

    def answer(writer, unit, address):
        async def babble():
            with contextlib.suppress(ConnectionError):
                while True:
                    writer.write(b"\x55" * 32)
                    await writer.drain()
                    await asyncio.sleep(0.005)

        if not loops:
            loops.append(asyncio.create_task(babble()))

    async def story():
        async with converter(answer) as line:
            reply = await line.read(11, Space.HOLDING, 0, 2)
            loops[0].cancel()
            return reply

    assert isinstance(asyncio.run(asyncio.wait_for(story(), 90.0)), Malformed)


def test_a_device_gets_its_pause_after_connecting_and_between_frames(kit, profiles):
    """Only lower bounds are looked at: what is late on a busy machine is no fault."""
    meter = replace(profiles["eastron_sdm120"], after_connect_s=0.3, between_frames_s=0.15)
    arrived = []

    class Watched(kit.ScriptedGateway):
        async def _serve(self, reader, writer):
            arrived.append(asyncio.get_running_loop().time())
            await super()._serve(reader, writer)

        async def _answer(self, writer, tid, unit_id, pdu):
            arrived.append(asyncio.get_running_loop().time())
            await super()._answer(writer, tid, unit_id, pdu)

    async def story():
        server = Watched({11: kit.Unit(register_image(meter, METER))})
        await server.start()
        bus = ModbusFieldBus([kit.device(meter, 11)], kit.gateway_of(server, LONG_S))
        readings = await bus.poll(set(Cadence), kit.NOON)
        await bus.close()
        await server.stop()
        return readings

    assert all(reading.is_good for reading in asyncio.run(story()))
    pauses = [after - before for before, after in pairwise(arrived)]
    assert len(pauses) >= 3
    assert pauses[0] >= 0.25  # 0.3 s less what accepting the connection took
    assert min(pauses[1:]) >= 0.14


def test_a_busy_device_is_left_alone_and_never_a_zero(kit, profiles):
    """Exceptions 6, 10 and 11: no value, and the value again when the device has time."""
    meter = profiles["eastron_sdm120"]
    image = register_image(meter, METER)
    clock = kit.HandClock()

    async def story(code):
        unit = kit.Unit(image, behaviour=f"refuse:{code}")
        async with kit.serving({11: unit}) as server:
            bus = ModbusFieldBus(
                [kit.device(meter, 11)], kit.gateway_of(server, LONG_S), wall=clock
            )
            busy = await bus.poll(set(Cadence), kit.NOON)
            asked = len(server.requests)
            await bus.poll(set(Cadence), kit.NOON)
            left_alone = len(server.requests) == asked
            unit.behaviour = "ok"
            clock.seconds += 600.0
            await bus.poll(set(Cadence), kit.NOON)
            await bus.settle()
            back = await bus.poll(set(Cadence), kit.NOON)
            await bus.close()
            return busy, left_alone, back

    for code in (6, 10, 11):
        busy, left_alone, back = asyncio.run(story(code))
        assert not any(reading.is_good or reading.value == 0.0 for reading in busy)
        assert left_alone
        assert {reading.point_id.point: reading.value for reading in back} == METER
        assert all(reading.is_good for reading in back)


def test_a_second_client_that_throws_hearth_out_costs_no_value(kit, profiles):
    """A gateway with room for one: each new connection ends the one before it."""
    meter = profiles["eastron_sdm120"]
    image = register_image(meter, METER)

    class RoomForOne(kit.ScriptedGateway):
        async def _serve(self, reader, writer):
            for other in list(self._writers):
                other.transport.abort()
            await super()._serve(reader, writer)

    async def story():
        server = RoomForOne({11: kit.Unit(image), 12: kit.Unit(image)})
        await server.start()
        devices = [kit.device(meter, unit) for unit in (11, 12)]
        bus = ModbusFieldBus(devices, kit.gateway_of(server, LONG_S))
        readings, connections = await bus.poll(set(Cadence), kit.NOON), server.connections
        for _ in range(3):
            _, other = await asyncio.open_connection("127.0.0.1", server.port)
            while server.connections == connections:
                await asyncio.sleep(0.01)
            readings += await bus.poll(set(Cadence), kit.NOON)
            connections = server.connections
            other.close()
        await bus.close()
        await server.stop()
        return readings

    with structlog.testing.capture_logs() as logs:
        readings = asyncio.run(story())
    assert len(readings) == 40
    assert all(reading.is_good for reading in readings)
    assert logs == []


def test_a_tls_gateway_that_never_shakes_hands_is_lost_within_its_time_out(tmp_path):
    authority = trustme.CA()
    own = authority.issue_cert("hearth.example")
    files = TlsFiles(tmp_path / "ca", tmp_path / "own", tmp_path / "key")
    authority.cert_pem.write_to_path(files.ca)
    own.cert_chain_pems[0].write_to_path(files.certificate)
    own.private_key_pem.write_to_path(files.key)

    async def story():
        async def mute(reader, writer):
            await reader.read()
            writer.close()

        server = await asyncio.start_server(mute, "127.0.0.1", 0)
        port = server.sockets[0].getsockname()[1]
        gateway = Gateway("gw", "127.0.0.1", port, SHORT_S, Transport.TLS, None, files)
        line = GatewayLine(gateway, time.monotonic, random.Random(1))
        reply = await line.read(11, Space.HOLDING, 0, 1)
        line.close()
        server.close()
        return reply

    reply = asyncio.run(asyncio.wait_for(story(), 90.0))
    assert isinstance(reply, Broken)
    assert "no connection" in reply.detail


def test_an_exception_on_a_line_is_a_refusal():
    async def story():
        def answer(writer, unit, address):
            writer.write(rtu(unit, 0x83, 2))

        async with converter(answer) as line:
            return await line.read(11, Space.HOLDING, 0, 1)

    assert asyncio.run(story()) == Refusal(2)
