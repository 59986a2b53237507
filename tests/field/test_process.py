"""The field as a process: resumes, keeps commands, obeys the file of faults."""

from __future__ import annotations

import asyncio
import json
import signal
import socket
import subprocess
import sys
import time
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from pymodbus.client import AsyncModbusTcpClient, ModbusTcpClient

from ems.domain.errors import InvalidInputError, RetryableError
from ems.domain.estate import Estate
from ems.domain.time import AnchoredClock
from ems.field.checkpoint import Checkpoints
from ems.field.control import clear_faults, read_faults, set_fault
from ems.field.faults import FaultKind, FieldFault
from ems.field.process import Field
from ems.settings.clock import FileClock, ManualClock, write_anchor

START = datetime(2023, 12, 1, 12, tzinfo=UTC)

RUNNER = """
import asyncio, sys
from dataclasses import replace
from pathlib import Path
from ems.field.parameters import load_parameters
from ems.field.process import run
from ems.settings.clock import FileClock
from ems.settings.estates import load_estate

demo, state, *ports = sys.argv[1:]
estate = load_estate(Path(demo) / "estate.yaml")
gateways = {
    name: replace(gateway, port=int(port))
    for (name, gateway), port in zip(estate.gateways.items(), ports)
}
estate = replace(estate, gateways=gateways)
parameters = load_parameters(Path(demo) / "field.yaml")
asyncio.run(run(estate, parameters, Path(state), FileClock(Path(state)), asyncio.Event()))
"""
DEMO = Path(__file__).parents[2] / "config" / "demo"


@pytest.fixture
def anywhere(estate: Estate) -> Estate:
    """The estate with gateways on whatever ports are free."""
    gateways = {name: replace(gateway, port=0) for name, gateway in estate.gateways.items()}
    return replace(estate, gateways=gateways)


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


def connected(port: int) -> ModbusTcpClient:
    client = ModbusTcpClient("127.0.0.1", port=port, timeout=2, retries=0)
    deadline = time.monotonic() + 30
    while not client.connect():
        assert time.monotonic() < deadline, "the field did not come up"
        time.sleep(0.1)
    return client


def imported_kwh(client: ModbusTcpClient) -> float:
    reply = client.read_input_registers(72, count=2, device_id=1)
    return float(
        client.convert_from_registers(reply.registers, client.DATATYPE.FLOAT32, word_order="big")
    )


def test_a_killed_field_goes_on_with_its_counters_and_commands(tmp_path: Path) -> None:
    write_anchor(tmp_path, AnchoredClock(START, time.time(), 60.0))
    ports = [str(free_port()), str(free_port())]
    command = [sys.executable, "-c", RUNNER, str(DEMO), str(tmp_path), *ports]
    first = subprocess.Popen(command)
    try:
        client = connected(int(ports[0]))
        time.sleep(1.5)
        assert not client.write_register(5, 22, device_id=43).isError()
        before = imported_kwh(client)
        client.close()
    finally:
        first.send_signal(signal.SIGKILL)
        first.wait()
    second = subprocess.Popen(command)
    try:
        client = connected(int(ports[0]))
        assert client.read_holding_registers(5, count=1, device_id=43).registers == [22]
        after = imported_kwh(client)
        assert after >= before
        time.sleep(1.0)
        assert imported_kwh(client) > after
        client.close()
        second.terminate()
    finally:
        second.kill()
        second.wait()


def test_journal_and_checkpoint_together_lose_nothing(simulate, tmp_path: Path) -> None:
    lost, checkpoints = simulate(), None
    checkpoints = Checkpoints(tmp_path, lost)
    checkpoints.save()

    def write(device: str, point: str, value: float) -> None:
        checkpoints.note(device, point, value)
        lost.write(device, point, value)

    write("A-03-hp", "room_setpoint_c", 22.0)
    lost.step_to(lost.now() + timedelta(minutes=20))
    checkpoints.save()
    write("A-03-hp", "room_setpoint_c", 18.0)
    lost.step_to(lost.now() + timedelta(minutes=10))
    write("A-battery", "battery_mode", 3.0)
    write("A-battery", "battery_power_setpoint_w", 4000.0)
    lost.step_to(lost.now() + timedelta(minutes=3))
    with (tmp_path / "field-writes.jsonl").open("a") as journal:
        journal.write("[9, 17014")  # killed in the middle of a line

    again = simulate()
    resumed = Checkpoints(tmp_path, again)
    assert resumed.resume()
    again.step_to(lost.now())
    assert again.state_dict() == lost.state_dict()


def test_the_first_start_has_no_checkpoint_and_a_broken_one_is_named(
    simulate, tmp_path: Path
) -> None:
    assert not Checkpoints(tmp_path, simulate()).resume()
    (tmp_path / "field.json").write_text("{", encoding="utf-8")
    with pytest.raises(InvalidInputError, match="cannot be read"):
        Checkpoints(tmp_path, simulate()).resume()


def test_a_gateway_goes_and_comes_back_by_command(
    anywhere: Estate, parameters, tmp_path: Path
) -> None:
    async def story() -> None:
        clock = ManualClock(START)
        field = Field(anywhere, parameters, tmp_path, clock)
        stop = asyncio.Event()
        task = asyncio.create_task(field.run(stop))
        server = field.servers["gw-A"]

        async def until(condition) -> None:
            for _ in range(600):
                if condition():
                    return
                assert not task.done(), task.exception()
                await asyncio.sleep(0.05)
            raise AssertionError("it did not happen")

        await until(lambda: server.is_open)
        port = server.port
        client = AsyncModbusTcpClient("127.0.0.1", port=port, timeout=1, retries=0)
        assert await client.connect()
        set_fault(tmp_path, anywhere, FieldFault("gw-A", FaultKind.GATEWAY_GONE))
        set_fault(tmp_path, anywhere, FieldFault("B-01-hp", FaultKind.CAPACITY, 0.4))
        await until(lambda: not server.is_open)
        assert field.servers["gw-B"].is_open
        assert field.simulation.physics.capacity_share[20] == pytest.approx(0.4)
        client.close()
        clear_faults(tmp_path)
        await until(lambda: server.is_open)
        back = AsyncModbusTcpClient("127.0.0.1", port=server.port, timeout=1, retries=0)
        assert await back.connect()
        assert not (await back.read_input_registers(12, count=2, device_id=11)).isError()
        back.close()
        clock.set(START + timedelta(hours=2))
        await until(lambda: field.simulation.now() == START + timedelta(hours=2))
        stop.set()
        await task
        saved = json.loads((tmp_path / "field.json").read_text())
        assert saved["state"]["now_s"] == (START + timedelta(hours=2)).timestamp()

    asyncio.run(asyncio.wait_for(story(), 60))


def test_a_taken_port_is_named(anywhere: Estate, parameters, tmp_path: Path) -> None:
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        gateways = {
            name: replace(gateway, port=taken.getsockname()[1])
            for name, gateway in anywhere.gateways.items()
        }
        field = Field(
            replace(anywhere, gateways=gateways), parameters, tmp_path, ManualClock(START)
        )
        with pytest.raises(RetryableError, match="cannot listen"):
            asyncio.run(field.run(asyncio.Event()))


def test_the_file_of_faults_is_kept_checked_and_cleared(estate: Estate, tmp_path: Path) -> None:
    dead = FieldFault("A-07-hp", FaultKind.DEAD)
    slow = FieldFault("A-07-hp", FaultKind.SLOW, 5.0)
    assert set_fault(tmp_path, estate, dead) == [dead]
    assert set_fault(tmp_path, estate, slow) == [dead, slow]
    assert read_faults(tmp_path) == [dead, slow]
    assert clear_faults(tmp_path, "A-07-hp", FaultKind.DEAD) == [slow]
    with pytest.raises(InvalidInputError, match="no such device"):
        set_fault(tmp_path, estate, FieldFault("A-77-hp", FaultKind.DEAD))
    assert read_faults(tmp_path) == [slow]
    (tmp_path / "faults.json").write_text('[{"target": 1}]', encoding="utf-8")
    with pytest.raises(InvalidInputError, match="cannot be understood"):
        read_faults(tmp_path)


def test_the_shared_clock_drives_the_field(simulate, tmp_path: Path) -> None:
    wall = [1000.0]
    write_anchor(tmp_path, AnchoredClock(START, 1000.0, 60.0))
    clock = FileClock(tmp_path, wall=lambda: wall[0])
    field = simulate(start=START, step_s=10)
    wall[0] += 2.5
    assert field.step_to(clock.now()) == 15
