"""Each SunSpec model against an image laid by hand: found on a walk, every offset, every factor.

The images stand in ``sunspec/models.yaml``. They are served by modbus_tk behind a common model and
before another one, so that a wrong length shows, too.
"""

from __future__ import annotations

import asyncio
import json
import logging
import random
import struct
import time
from contextlib import contextmanager
from pathlib import Path

import modbus_tk.defines
import modbus_tk.modbus_tcp
import pytest
import structlog
import yaml
from click.testing import CliRunner

from drivers.line import GatewayLine
from drivers.modbus_bus import ModbusFieldBus
from drivers.sunspec_values import points_of
from drivers.sunspec_walk import Layout, PlacedModel, walk
from ems.cli import main
from ems.domain.estate import Gateway
from ems.domain.profiles import Cadence, Space
from ems.domain.readings import Quality

CASES = {
    case["model"]: case
    for case in yaml.safe_load(
        (Path(__file__).parent / "sunspec" / "models.yaml").read_text(encoding="utf-8")
    )
}
BASE, UNIT = 40000, 126
FIRST = BASE + 2 + 68
"""Where the model of a case begins: behind the marker and the common model."""

pytestmark = pytest.mark.filterwarnings("ignore:isSet:DeprecationWarning")


def laid(case) -> list[int]:
    """Marker, common model, the case's model, a maker's own of three registers, the end."""
    body = [0xFFFF] * (case["length"] + 2)
    body[:2] = case["model"], case["length"]
    for offset, word in case["registers"].items():
        body[offset] = word
    common = [1, 66, *struct.unpack(">16H", b"Acme".ljust(32, b"\0")), *[0] * 50]
    return [0x5375, 0x6E53, *common, *body, 64001, 3, 1, 2, 3, 0xFFFF, 0]


@contextmanager
def served(words):
    """Serve these registers from the base on; yields the port."""
    logging.getLogger("modbus_tk").setLevel(logging.CRITICAL)
    server = modbus_tk.modbus_tcp.TcpServer(port=0, address="127.0.0.1", timeout_in_sec=0.02)
    slave = server.add_slave(UNIT)
    slave.add_block("all", modbus_tk.defines.HOLDING_REGISTERS, BASE, len(words))
    slave.set_values("all", BASE, words)
    server.start()
    try:
        while not server._sockets:  # it binds in a thread of its own
            time.sleep(0.01)
        yield server._sock.getsockname()[1]
    finally:
        server.stop()


@pytest.mark.parametrize("case", CASES.values(), ids=map(str, CASES))
def test_a_model_is_found_and_every_point_has_its_value(case):
    async def story(port):
        gateway = Gateway("gw", "127.0.0.1", port, timeout_s=60.0)
        line = GatewayLine(gateway, time.monotonic, random.Random(0))

        async def read(address, count):
            return await line.read(UNIT, Space.HOLDING, address, count)

        found = await walk(read, {case["model"]})
        line.close()
        return found

    with served(laid(case)) as port:
        layout = asyncio.run(story(port))
    assert isinstance(layout, Layout)
    here = PlacedModel(case["model"], FIRST, case["length"])
    behind = PlacedModel(64001, FIRST + case["length"] + 2, 3)
    assert layout.models == (PlacedModel(1, BASE + 2, 66), here, behind)
    points = {point.name: point for point in points_of(here, layout.registers)}
    found = {name: points[name].value for name in case["values"]}
    for name, expected in case["values"].items():
        near = pytest.approx(expected, rel=1e-6) if isinstance(expected, float) else expected
        assert found[name] == near, name
    last = max(points.values(), key=lambda point: point.address)
    assert last.address < behind.address


@pytest.mark.parametrize(
    ("case", "device_class"),
    [
        pytest.param(case, device_class, id=f"{model}-{device_class}")
        for model, case in CASES.items()
        for device_class in ("inverter", "meter", "battery")
        if device_class in case
    ],
)
def test_its_canonical_points_are_polled(kit, profiles, case, device_class):
    async def story(port):
        gateways = {"gw": Gateway("gw", "127.0.0.1", port, timeout_s=60.0)}
        device = kit.device(profiles[f"sunspec_{device_class}"], UNIT, name="d")
        bus = ModbusFieldBus([device], gateways)
        readings = await bus.poll(set(Cadence), kit.NOON)
        await bus.close()
        return kit.by_name(readings, "d")

    with served(laid(case)) as port:
        found = asyncio.run(story(port))
    for name, expected in case[device_class].items():
        assert found[name].quality is Quality.GOOD, name
        assert found[name].value == pytest.approx(expected, rel=1e-6), name


def test_energy_comes_from_the_status_model_where_no_other_has_it(kit, profiles):
    """Model 122 behind a 101 that keeps no energy: it is asked for in its stead."""
    bare = CASES[101] | {"registers": {**CASES[101]["registers"], 24: 0, 25: 0}}
    both = laid(bare)[:-2]
    both += laid(CASES[122])[2 + 68 :]

    async def story(port):
        gateways = {"gw": Gateway("gw", "127.0.0.1", port, timeout_s=60.0)}
        bus = ModbusFieldBus([kit.device(profiles["sunspec_inverter"], UNIT, name="d")], gateways)
        readings = await bus.poll(set(Cadence), kit.NOON)
        await bus.close()
        return kit.by_name(readings, "d")

    with served(both) as port:
        found = asyncio.run(story(port))
    assert found["energy_generated_kwh"].value == 123.456
    assert found["power_w"].value == -3672.0


def test_a_clock_that_the_device_keeps_is_checked(kit, profiles):
    """Model 122 tells the time: nineteen minutes slow at first, then set right."""
    case = CASES[122]
    right = case["registers"] | {41: 0x2B3D, 42: 0x9AC0}  # 725457600 s after 2000: NOON

    def words(registers):
        return laid(CASES[101])[:-2] + laid(case | {"registers": registers})[2 + 68 :]

    async def story(port):
        gateways = {"gw": Gateway("gw", "127.0.0.1", port, timeout_s=60.0)}
        bus = ModbusFieldBus([kit.device(profiles["sunspec_inverter"], UNIT, name="d")], gateways)
        await bus.poll(set(Cadence), kit.NOON)  # finds the models
        readings = await bus.poll(set(Cadence), kit.NOON)
        await bus.close()
        return kit.by_name(readings, "d")

    found = []
    for registers in (case["registers"], right):
        with structlog.testing.capture_logs() as logs, served(words(registers)) as port:
            readings = asyncio.run(story(port))
        said = [entry["ahead_s"] for entry in logs if entry["event"] == "clock_off"]
        assert readings["power_w"].is_good
        found.append((readings["clock_s"].quality, said))
    assert readings["clock_s"].value == kit.NOON.timestamp()
    assert found == [(Quality.OUT_OF_RANGE, [-1152]), (Quality.GOOD, [])]


def test_an_installer_sees_a_model_as_the_device_has_it():
    with served(laid(CASES[705])) as port:
        where = [f"127.0.0.1:{port}", "--unit", str(UNIT), "--profile", "sunspec_inverter"]
        run = ["devices", "read", *where, "--timeout", "60"]
        shown = CliRunner().invoke(main, [*run, "--model", "705", "--json"])
        plain = CliRunner().invoke(main, [*run, "--model", "705"])
        absent = CliRunner().invoke(main, [*run, "--model", "712"])
    assert shown.exit_code == 0, shown.output
    points = {point["point"]: point for point in json.loads(shown.output)}
    assert points["Crv[1].Pt[2].Var"]["value"] == -44.0
    assert points["Crv[1].Pt[2].Var"]["register"] == f"holding {FIRST + 28}"
    assert points["Crv[2].Pt[2].V"]["value"] is None
    assert "Crv[1].VRef" in plain.output
    assert absent.exit_code == 2
    assert "It has models 1, 705, 64001." in absent.output
