"""`mbpoll`, a client of another hand, reads the simulated devices and agrees."""

from __future__ import annotations

import asyncio
import re
from dataclasses import replace

import pytest

from drivers.codec import codecs
from ems.domain.profiles import Space
from ems.field.faces import build_faces
from ems.field.modbus import GatewayServer

TABLE = {Space.COIL: "0", Space.DISCRETE: "1", Space.INPUT: "3:hex", Space.HOLDING: "4:hex"}
WORD = re.compile(r"^\[\d+\]:\s+(0x[0-9A-Fa-f]{4}|[01])$", re.M)


async def mbpoll(port: int, unit: int, space: Space, address: int, count: int) -> list[int]:
    """Return what mbpoll shows of some registers or bits; none where it shows a fault."""
    command = f"mbpoll -0 -1 -q -o 10 -a {unit} -r {address} -c {count} -t {TABLE[space]}"
    process = await asyncio.create_subprocess_exec(
        *command.split(), "-p", str(port), "127.0.0.1", stdout=-1, stderr=-1
    )
    out, _ = await process.communicate()
    return [int(word, 0) for word in WORD.findall(out.decode())]


def test_mbpoll_reads_each_make_and_agrees(estate, simulate) -> None:
    """One device of each profile, every point, scale factors included."""
    field, compared = simulate(), set()
    faces = build_faces(estate, field, lambda *_: None)
    one_each = {device.profile.id: device for device in estate.devices.values()}

    async def story() -> None:
        servers = {
            name: GatewayServer(replace(gateway, port=0), faces[name], lambda _: 0.0)
            for name, gateway in estate.gateways.items()
        }
        for server in servers.values():
            await server.open()
        for make, device in one_each.items():
            port = servers[device.gateway_id].port
            for name, codec in codecs(device.profile).items():
                point = codec.point
                unit, width = point.unit_id or device.unit_id, point.data_type.registers
                words = await mbpoll(port, unit, point.space, point.address, width)
                assert len(words) == width, (make, name)
                factor = None
                if point.scale_factor_address is not None:
                    (factor,) = await mbpoll(port, unit, point.space, point.scale_factor_address, 1)
                value, _ = codec.decode(words, factor)
                exponent = point.served_scale_factor if factor is not None else 0
                true = field.read(device.id, name)
                step = 0.51 * abs(point.scale) * 10.0**exponent
                assert value == pytest.approx(true, rel=1e-6, abs=step), (make, name)
                compared.add((make, name))
        stranger = next(unit for unit in range(1, 248) if unit not in faces["gw-A"])
        assert await mbpoll(servers["gw-A"].port, stranger, Space.HOLDING, 0, 1) == []
        for server in servers.values():
            await server.close()

    asyncio.run(story())
    assert len({make for make, _ in compared}) == len(one_each) >= 7
    assert len(compared) > 40
