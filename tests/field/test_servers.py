"""Over a real socket, with an independent client."""

from __future__ import annotations

import asyncio
import math
import struct
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from dataclasses import replace
from datetime import timedelta

import numpy as np
import pytest
from pymodbus.client import AsyncModbusTcpClient

from drivers.codec import codecs
from ems.domain.estate import Estate
from ems.domain.profiles import Space
from ems.field.faces import build_faces
from ems.field.faults import FaultKind, FieldFault
from ems.field.modbus import GatewayServer, respond
from ems.field.simulation import EstateSimulation

Writes = list[tuple[str, str, float]]


def in_loop(story: Callable[[], Awaitable[None]]) -> None:
    asyncio.run(asyncio.wait_for(story(), 30.0))


@asynccontextmanager
async def serving(
    estate: Estate, field: EstateSimulation, gateway: str = "gw-A", writes: Writes | None = None
) -> AsyncIterator[AsyncModbusTcpClient]:
    noted = [] if writes is None else writes
    faces = build_faces(estate, field, lambda *write: noted.append(write))

    def delay_of(face) -> float | None:
        if field.is_silent(face.device.id):
            return None
        slow = field.faults.get((face.device.id, FaultKind.SLOW))
        return slow.value if slow else 0.0

    address = replace(estate.gateways[gateway], port=0)
    server = GatewayServer(address, faces[gateway], delay_of)
    await server.open()
    client = AsyncModbusTcpClient("127.0.0.1", port=server.port, timeout=1, retries=0)
    await client.connect()
    try:
        yield client
    finally:
        client.close()
        await server.close()


async def read(client: AsyncModbusTcpClient, space: Space, address: int, count: int, unit: int):
    call = {
        Space.COIL: client.read_coils,
        Space.DISCRETE: client.read_discrete_inputs,
        Space.HOLDING: client.read_holding_registers,
        Space.INPUT: client.read_input_registers,
    }[space]
    return await call(address, count=count, device_id=unit)


def test_every_point_of_a_block_reads_as_the_physics_has_it(estate, simulate) -> None:
    field = simulate()
    field.step_to(field.now() + timedelta(minutes=20))

    async def story() -> None:
        async with serving(estate, field) as client:
            compared = 0
            for device in estate.devices.values():
                if device.gateway_id != "gw-A":
                    continue
                for name, codec in codecs(device.profile).items():
                    point = codec.point
                    width = point.data_type.registers
                    reply = await read(client, point.space, point.address, width, device.unit_id)
                    assert not reply.isError(), (device.id, name, reply)
                    raw = reply.bits[:1] if reply.function_code in (1, 2) else reply.registers
                    factor = None
                    if point.scale_factor_address is not None:
                        answer = await read(
                            client, point.space, point.scale_factor_address, 1, device.unit_id
                        )
                        factor = answer.registers[0]
                    value, _ = codec.decode([int(word) for word in raw], factor)
                    true = field.read(device.id, name)
                    exponent = point.served_scale_factor if factor is not None else 0
                    step = abs(point.scale) * 10.0**exponent
                    room = 1e-6 * abs(true) if point.data_type == "float32" else 0.51 * step
                    assert value == pytest.approx(true, abs=room), (device.id, name)
                    compared += 1
            assert compared > 400

    in_loop(story)


def test_a_setpoint_written_over_the_socket_reaches_the_physics(estate, simulate) -> None:
    field, writes = simulate(), []

    async def story() -> None:
        async with serving(estate, field, writes=writes) as client:
            reply = await client.write_register(5, 21, device_id=43)
            assert not reply.isError()
            assert (await client.read_holding_registers(5, count=1, device_id=43)).registers == [21]
            await client.write_register(9, 3, device_id=42)  # LG: on recommendation
            await client.write_register(32, 1950, device_id=41)  # Mitsubishi: hundredths

    in_loop(story)
    assert field.read("A-03-hp", "room_setpoint_c") == 21.0
    assert field.read("A-02-hp", "sg_mode") == 3.0
    assert field.read("A-01-hp", "room_setpoint_c") == 19.5
    assert writes == [
        ("A-03-hp", "room_setpoint_c", 21.0),
        ("A-02-hp", "sg_mode", 3.0),
        ("A-01-hp", "room_setpoint_c", 19.5),
    ]


def test_the_battery_takes_its_setpoints_only_as_its_maker_says(estate, simulate) -> None:
    field = simulate()
    power = list(struct.unpack(">HH", struct.pack(">i", -6000)))

    async def story() -> None:
        async with serving(estate, field) as client:

            async def refused(address: int, values: list[int]) -> int:
                reply = await client.write_registers(address, values, device_id=3)
                return reply.exception_code if reply.isError() else 0

            assert await refused(4489, power) == 3  # least and greatest only together
            assert await refused(4484, [300]) == 3  # timeout only with its action
            single = await client.write_register(4368, 3, device_id=3)
            assert single.exception_code == 1  # all writes are function 16
            assert await refused(4484, [300, 1]) == 0
            assert await refused(4368, [3]) == 0
            assert await refused(4487, [0, 0, *power, *power]) == 0

    in_loop(story)
    field.step_to(field.now() + timedelta(minutes=4))
    assert field.read("A-battery", "power_w") == pytest.approx(-6000.0)
    field.step_to(field.now() + timedelta(minutes=2))
    assert field.read("A-battery", "battery_mode") == 0.0


def test_holes_unknown_units_and_odd_requests_get_their_exception(estate, simulate) -> None:
    field = simulate()

    async def story() -> None:
        async with serving(estate, field) as client:

            async def code(call: Awaitable) -> int:
                return (await call).exception_code

            assert await code(client.read_input_registers(2, count=1, device_id=11)) == 2
            assert await code(client.read_input_registers(0, count=4, device_id=11)) == 2
            assert await code(client.read_holding_registers(0, count=1, device_id=11)) == 2
            assert await code(client.read_input_registers(0, count=2, device_id=99)) == 0x0B
            assert await code(client.read_input_registers(0, count=100, device_id=11)) == 3
            assert await code(client.write_register(12, 1, device_id=11)) == 2
            assert await code(client.write_register(5, 99, device_id=43)) == 3
            assert await code(client.mask_write_register(address=5, device_id=43)) == 1
            reply = await client.read_input_registers(0, count=2, device_id=11)
            assert not reply.isError()

    in_loop(story)


def test_the_inverter_can_be_walked_as_sunspec(estate, simulate) -> None:
    field = simulate()

    async def story() -> None:
        async with serving(estate, field) as client:
            marker = await client.read_holding_registers(40000, count=2, device_id=2)
            assert b"".join(w.to_bytes(2) for w in marker.registers) == b"SunS"
            models, address = [], 40002
            while True:
                model, length = (
                    await client.read_holding_registers(address, count=2, device_id=2)
                ).registers
                if model == 0xFFFF:
                    break
                models.append(model)
                address += 2 + length
            assert models == [1, 103, 123]

    in_loop(story)


def test_dead_slow_and_nan_devices_leave_their_neighbours_alone(estate, simulate) -> None:
    field = simulate()
    field.set_fault(FieldFault("A-01-meter", FaultKind.DEAD))
    field.set_fault(FieldFault("A-02-meter", FaultKind.SLOW, 1.0))
    field.set_fault(FieldFault("A-03-meter", FaultKind.NAN))

    async def story() -> None:
        async with serving(estate, field) as client:
            other = AsyncModbusTcpClient(
                "127.0.0.1", port=client.comm_params.port, timeout=20, retries=0
            )
            await other.connect()
            slow = asyncio.create_task(other.read_input_registers(12, count=2, device_id=12))
            well = await client.read_input_registers(12, count=2, device_id=14)
            assert not well.isError() and not slow.done()
            assert not (await slow).isError()
            other.close()
            nan = await client.read_input_registers(12, count=2, device_id=13)
            words = b"".join(word.to_bytes(2) for word in nan.registers)
            assert math.isnan(struct.unpack(">f", words)[0])
            with pytest.raises(Exception, match="No response"):
                await client.read_input_registers(12, count=2, device_id=11)

    in_loop(story)


def test_requests_may_come_in_pieces_or_together_and_nonsense_is_cut_off(estate, simulate) -> None:
    field = simulate()
    request = struct.pack(">HHHBBHH", 7, 0, 6, 14, 4, 12, 2)
    other = struct.pack(">HHHBBHH", 8, 0, 6, 14, 4, 72, 2)

    async def story() -> None:
        async with serving(estate, field) as client:
            port = client.comm_params.port
            reader, writer = await asyncio.open_connection("127.0.0.1", port)
            writer.write(request[:5])
            await writer.drain()
            await asyncio.sleep(0.05)
            writer.write(request[5:] + other + other)
            got = [await reader.readexactly(13) for _ in range(3)]
            assert [int.from_bytes(frame[:2]) for frame in got] == [7, 8, 8]
            writer.write(b"GET / HTTP/1.1\r\n\r\n")
            assert await reader.read() == b""
            writer.close()

    in_loop(story)


@pytest.mark.parametrize(
    "pdu",
    [
        bytes.fromhex("03"),
        bytes.fromhex("0300"),
        bytes.fromhex("0300050000"),
        bytes.fromhex("030005ffff"),
        bytes.fromhex("1000050001"),
        bytes.fromhex("10000500010300"),
        bytes.fromhex("0500001234"),
        bytes.fromhex("2b0e0100"),
    ],
)
def test_malformed_requests_are_refused_and_change_nothing(estate, simulate, pdu: bytes) -> None:
    field = simulate()
    before = field.values()
    face = build_faces(estate, field, lambda *_: None)["gw-A"][43]
    reply = respond(face, pdu)
    assert reply[0] == pdu[0] | 0x80 and reply[1] in (1, 3)
    np.testing.assert_array_equal(field.values(), before)
