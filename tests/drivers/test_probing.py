"""`ems devices probe` on a serial line and over TCP, and what it says of swapped words and bytes.

The meter is modbus_tk's, on a pair of pseudo-terminals or a socket; its registers are those of the
golden file, written by hand, and changed as wrong settings at a device or gateway change them.
"""

from __future__ import annotations

import contextlib
import json
import logging
import subprocess
import time
from collections.abc import Iterator
from pathlib import Path

import modbus_tk.defines
import modbus_tk.modbus_rtu
import modbus_tk.modbus_tcp
import pytest
import serial
import yaml
from click.testing import CliRunner

from ems.cli import main

ROOT = Path(__file__).parents[2]
MAKE, UNIT = "eastron_sdm120", 11
GOLDEN = yaml.safe_load((ROOT / f"tests/drivers/golden/{MAKE}.yaml").read_text("utf-8"))["reads"][0]
PATIENCE_S = 90.0

pytestmark = pytest.mark.filterwarnings("ignore:isSet:DeprecationWarning")


def image(*, words: bool, octets: bool) -> dict[int, int]:
    """The golden registers, as a device answers whose words or bytes stand the other way round."""
    found = dict(GOLDEN["registers"]["input"])
    if words:
        found = {address ^ 1: word for address, word in found.items()}  # values begin on even ones
    if octets:
        found = {address: (word & 0xFF) << 8 | word >> 8 for address, word in found.items()}
    return found


def fill(slave: modbus_tk.modbus.Slave, registers: dict[int, int]) -> None:
    slave.add_block("input", modbus_tk.defines.ANALOG_INPUTS, 0, 80)
    for address, word in registers.items():
        slave.set_values("input", address, word)


@contextlib.contextmanager
def on_a_serial_line(folder: Path, registers: dict[int, int]) -> Iterator[str]:
    """Serve the meter at one end of a line; yield the other."""
    logging.getLogger("modbus_tk").setLevel(logging.CRITICAL)
    ends = folder / "ours", folder / "theirs"
    line = subprocess.Popen(["socat", *(f"PTY,link={end},raw,echo=0" for end in ends)])
    try:
        until = time.monotonic() + PATIENCE_S
        while not all(end.exists() for end in ends):
            assert time.monotonic() < until, "the serial line did not come"
            time.sleep(0.02)
        port = serial.Serial(str(ends[1]), 19200)
        server = modbus_tk.modbus_rtu.RtuServer(port)
        fill(server.add_slave(UNIT), registers)
        server.start()
        try:
            yield str(ends[0])
        finally:
            server.stop()
    finally:
        line.terminate()
        line.wait(PATIENCE_S)


@contextlib.contextmanager
def on_a_socket(_: Path, registers: dict[int, int]) -> Iterator[str]:
    """Serve the meter over TCP; yield its address."""
    logging.getLogger("modbus_tk").setLevel(logging.CRITICAL)
    server = modbus_tk.modbus_tcp.TcpServer(port=0, address="127.0.0.1", timeout_in_sec=0.02)
    fill(server.add_slave(UNIT), registers)
    server.start()
    try:
        while not server._sockets:  # it binds in a thread of its own
            time.sleep(0.01)
        yield f"127.0.0.1:{server._sock.getsockname()[1]}"
    finally:
        server.stop()


def probed(address: str, *words: str) -> list[dict]:
    """Run the command as a person would; return what it found."""
    serial_line = ("--baud", "19200") if address.startswith("/") else ()
    run = ["devices", "probe", address, *serial_line, *words, "--json"]
    result = CliRunner().invoke(main, [*run, "--profiles", str(ROOT / "config/devices")])
    assert result.exit_code == 0, result.output
    return json.loads(result.stdout)


@pytest.mark.parametrize("serve", [on_a_serial_line, on_a_socket])
def test_a_meter_is_found_and_recognised_among_all_makes(tmp_path, serve):
    with serve(tmp_path, image(words=False, octets=False)) as address:
        [unit] = probed(address, "--units", str(UNIT), "--timeout", "2")
    assert unit["unit"] == UNIT
    best = unit["matches"][0]["score"]
    likely = [match for match in unit["matches"] if match["score"] == best]
    assert MAKE in [match["profile"] for match in likely]
    assert all(match["warning"] == "" for match in likely)


@pytest.mark.parametrize("serve", [on_a_serial_line, on_a_socket])
@pytest.mark.parametrize(
    ("words", "octets", "said"),
    [
        (False, False, ""),
        (True, False, "the words of its values look swapped"),
        (False, True, "the bytes of its values look swapped"),
        (True, True, "the words and bytes of its values look swapped"),
    ],
)
def test_swapped_values_are_told_with_their_remedy(tmp_path, serve, words, octets, said):
    with serve(tmp_path, image(words=words, octets=octets)) as address:
        [unit] = probed(address, "--units", str(UNIT), "--timeout", "60", "--profile", MAKE)
    [match] = unit["matches"]
    assert match["profile"] == MAKE
    assert match["warning"].startswith(said) and bool(match["warning"]) is bool(said)
    if said:
        assert ("word_order" if not octets else "big-endian") in match["warning"]
