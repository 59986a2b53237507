"""Each transport against servers of other hands: libmodbus, modbus-serial, modbus_tk, umodbus.

All hold the same: holding register n holds 3 n, input register n 1000 + n, coil n is on where
n is a multiple of 3, discrete input n where n is one more than that.
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
import random
import re
import socketserver
import subprocess
import threading
import time
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path

import modbus_tk.defines
import modbus_tk.modbus_rtu
import modbus_tk.modbus_tcp
import pytest
import serial
import structlog
import trustme
from umodbus import conf
from umodbus.server.tcp import RequestHandler, get_server

from drivers.line import GatewayLine
from drivers.transport import Answer, Broken, Refusal, Silence
from ems.domain.estate import Gateway
from ems.domain.gateways import Parity, SerialLine, TlsFiles
from ems.domain.profiles import Space, Transport

pytestmark = pytest.mark.filterwarnings("ignore:isSet:DeprecationWarning")

PEERS = Path(__file__).parent / "peers"
NODE = Path(__file__).parents[2] / "build" / "peers"
PATIENCE_S = 90.0
TIMEOUT_S = 20.0  # of a request that will be answered: the machine may be busy
UNIT = 11


def awaited(found: Callable[[], object], what: str) -> None:
    """Wait until ``found`` is true; other people's programs start when they start."""
    end = time.monotonic() + PATIENCE_S
    while not found():
        assert time.monotonic() < end, f"{what} did not come"
        time.sleep(0.02)


@contextlib.contextmanager
def running(*command: object, told_on: str = "stdout") -> Iterator[subprocess.Popen[str]]:
    """Run a program until the test is over."""
    process = subprocess.Popen(
        [str(part) for part in command], text=True, **{told_on: subprocess.PIPE}
    )
    try:
        yield process
    finally:
        process.terminate()
        process.wait(PATIENCE_S)
        getattr(process, told_on).close()


def ready_port(process: subprocess.Popen[str]) -> int:
    """Return the port that a server of ours says when it listens."""
    assert process.stdout is not None
    word, port = process.stdout.readline().split()
    assert word == "ready"
    return int(port)


@contextlib.contextmanager
def converter(address: str, *, to: str) -> Iterator[int]:
    """Run socat from a free TCP port to somewhere; yield the port."""
    with running("socat", "-d", "-d", address, to, told_on="stderr") as process:
        assert process.stderr is not None
        for line in process.stderr:
            listening = re.search(r"listening on .*:(\d+)$", line)
            if listening:
                # What it says later must not fill the pipe.
                threading.Thread(target=process.stderr.read, daemon=True).start()
                yield int(listening[1])
                return
        raise AssertionError("socat ended")


@contextlib.contextmanager
def cable(folder: Path) -> Iterator[tuple[Path, Path]]:
    """Lay a serial line: two pseudo-terminals that hear each other."""
    ends = folder / "ours", folder / "theirs"
    with running("socat", *(f"PTY,link={end},raw,echo=0" for end in ends), told_on="stderr"):
        awaited(lambda: all(end.exists() for end in ends), "the serial line")
        yield ends


def serial_line(end: Path) -> SerialLine:
    """Return the settings of a pseudo-terminal, which knows no parity."""
    return SerialLine(str(end), 19200, Parity.NONE, 1)


@pytest.fixture(scope="session")
def libmodbus(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Build the server on libmodbus."""
    program = tmp_path_factory.mktemp("libmodbus") / "server"
    flags = subprocess.run(
        ["pkg-config", "--cflags", "--libs", "libmodbus"],
        capture_output=True,
        text=True,
        check=True,
    ).stdout.split()
    source = PEERS / "libmodbus_server.c"
    subprocess.run(["cc", "-O1", "-o", str(program), str(source), *flags], check=True)
    return program


def held(table: int, address: int) -> int:
    """Return what every server holds."""
    return [address % 3 == 0, address % 3 == 1, 3 * address, 1000 + address][table]


def fill(slave: modbus_tk.modbus.Slave) -> None:
    blocks = (
        (modbus_tk.defines.COILS, 0, 10, 20),
        (modbus_tk.defines.DISCRETE_INPUTS, 1, 10, 20),
        (modbus_tk.defines.HOLDING_REGISTERS, 2, 100, 20),
        (modbus_tk.defines.ANALOG_INPUTS, 3, 0, 80),
    )
    for kind, table, start, count in blocks:
        slave.add_block(str(kind), kind, start, count)
        slave.set_values(str(kind), start, [held(table, start + at) for at in range(count)])


@contextlib.contextmanager
def served_by_libmodbus(libmodbus: Path, folder: Path) -> Iterator[Gateway]:
    with running(libmodbus, "tcp") as process:
        yield Gateway("gw", "127.0.0.1", ready_port(process), TIMEOUT_S)


@contextlib.contextmanager
def served_by_modbus_serial(libmodbus: Path, folder: Path) -> Iterator[Gateway]:
    assert (NODE / ".installed").exists(), "modbus-serial is not there: run make system"
    program = NODE / "modbus_serial_server.js"
    program.write_text((PEERS / program.name).read_text(encoding="utf-8"), encoding="utf-8")
    with running("node", program) as process:
        yield Gateway("gw", "127.0.0.1", ready_port(process), TIMEOUT_S)


@contextlib.contextmanager
def served_by_umodbus(libmodbus: Path, folder: Path) -> Iterator[Gateway]:
    logging.getLogger("uModbus").setLevel(logging.CRITICAL)
    conf.SIGNED_VALUES = False
    server = get_server(socketserver.ThreadingTCPServer, ("127.0.0.1", 0), RequestHandler)
    server.daemon_threads = True
    tables = {0: range(10, 30), 1: range(10, 30), 2: range(100, 120), 3: range(80)}
    values = {table: {at: held(table, at) for at in span} for table, span in tables.items()}
    for table, span in tables.items():

        @server.route(
            slave_ids=[UNIT],
            function_codes=[table + 1 if table < 3 else 4],
            addresses=list(span),
        )
        def read(slave_id, function_code, address, table=table):
            return int(values[table][address])

    @server.route(slave_ids=[UNIT], function_codes=[5, 15], addresses=list(tables[0]))
    def switch(slave_id, function_code, address, value):
        values[0][address] = value

    @server.route(slave_ids=[UNIT], function_codes=[6, 16], addresses=list(tables[2]))
    def write(slave_id, function_code, address, value):
        values[2][address] = value

    thread = threading.Thread(target=server.serve_forever, daemon=True)
    thread.start()
    yield Gateway("gw", "127.0.0.1", server.server_address[1], TIMEOUT_S)
    server.shutdown()
    server.server_close()


@contextlib.contextmanager
def served_by_modbus_tk_on_a_serial_line(libmodbus: Path, folder: Path) -> Iterator[Gateway]:
    logging.getLogger("modbus_tk").setLevel(logging.CRITICAL)
    with cable(folder) as (ours, theirs):
        port = serial.Serial(str(theirs), 19200)
        server = modbus_tk.modbus_rtu.RtuServer(port)
        fill(server.add_slave(UNIT))
        server.start()
        line = serial_line(ours)
        yield Gateway("gw", "", 0, TIMEOUT_S, Transport.RTU, line)
        server.stop()


@contextlib.contextmanager
def served_by_libmodbus_on_a_serial_line(libmodbus: Path, folder: Path) -> Iterator[Gateway]:
    with cable(folder) as (ours, theirs), running(libmodbus, "rtu", theirs) as process:
        ready_port(process)
        yield Gateway("gw", "", 0, TIMEOUT_S, Transport.RTU, serial_line(ours))


@contextlib.contextmanager
def served_behind_a_converter(libmodbus: Path, folder: Path) -> Iterator[Gateway]:
    """RTU over TCP: socat carries bytes between a port and the line, as cheap converters do."""
    with cable(folder) as (ours, theirs), running(libmodbus, "rtu", theirs) as process:
        ready_port(process)
        listen = "TCP-LISTEN:0,bind=127.0.0.1,reuseaddr,fork"
        with converter(listen, to=f"{ours},raw,echo=0") as port:
            yield Gateway("gw", "127.0.0.1", port, TIMEOUT_S, Transport.RTU_OVER_TCP)


@pytest.fixture(scope="session")
def authority() -> trustme.CA:
    return trustme.CA()


def own_files(authority: trustme.CA, issuer: trustme.CA, folder: Path) -> TlsFiles:
    """Write Hearth's certificate, issued by ``issuer``, and whom it trusts."""
    folder.mkdir(exist_ok=True)
    files = TlsFiles(folder / "ca.pem", folder / "own.pem", folder / "key.pem")
    certificate = issuer.issue_cert("hearth.example", common_name="hearth.example")
    authority.cert_pem.write_to_path(files.ca)
    certificate.private_key_pem.write_to_path(files.key)
    for blob in certificate.cert_chain_pems:
        blob.write_to_path(files.certificate, append=True)
    return files


@contextlib.contextmanager
def secured(libmodbus: Path, folder: Path, authority: trustme.CA) -> Iterator[int]:
    """Put socat with OpenSSL before libmodbus; it lets in whom the authority vouches for."""
    site = authority.issue_cert("127.0.0.1", "gateway.example")
    pem, ca = folder / "site.pem", folder / "site-ca.pem"
    site.private_key_and_cert_chain_pem.write_to_path(pem)
    authority.cert_pem.write_to_path(ca)
    with running(libmodbus, "tcp") as process:
        to = f"TCP:127.0.0.1:{ready_port(process)}"
        options = f"bind=127.0.0.1,reuseaddr,fork,cert={pem},cafile={ca},verify=1"
        with converter(f"OPENSSL-LISTEN:0,{options}", to=to) as port:
            yield port


@contextlib.contextmanager
def served_with_tls(libmodbus: Path, folder: Path) -> Iterator[Gateway]:
    authority = trustme.CA()
    with secured(libmodbus, folder, authority) as port:
        files = own_files(authority, authority, folder / "own")
        yield Gateway("gw", "127.0.0.1", port, TIMEOUT_S, Transport.TLS, None, files)


SERVED = {
    "libmodbus": served_by_libmodbus,
    "modbus-serial": served_by_modbus_serial,
    "umodbus": served_by_umodbus,
    "modbus_tk, serial line": served_by_modbus_tk_on_a_serial_line,
    "libmodbus, serial line": served_by_libmodbus_on_a_serial_line,
    "libmodbus, RTU over TCP": served_behind_a_converter,
    "libmodbus, TLS": served_with_tls,
}


def line_to(gateway: Gateway) -> GatewayLine:
    return GatewayLine(gateway, time.monotonic, random.Random(1))


@pytest.mark.parametrize("server", SERVED)
def test_reads_writes_and_refusals(server: str, libmodbus: Path, tmp_path: Path) -> None:
    """Both bit tables and both register tables, all three writes, and an address of nothing."""
    spans = [(Space.COIL, 10, 17), (Space.DISCRETE, 10, 17)]
    spans += [(Space.HOLDING, 100, 20), (Space.INPUT, 0, 80)]

    async def story(gateway: Gateway):
        line = line_to(gateway)
        read = [await line.read(UNIT, *span) for span in spans]
        written = [
            await line.write(UNIT, Space.HOLDING, 105, [0xFFFE], single=True),
            await line.write(UNIT, Space.HOLDING, 106, [1, 65535, 2], single=False),
            await line.write(UNIT, Space.COIL, 13, [1], single=True),
        ]
        back = (
            await line.read(UNIT, Space.HOLDING, 104, 6),
            await line.read(UNIT, Space.COIL, 12, 3),
        )
        beyond = await line.read(UNIT, Space.HOLDING, 115, 10)
        after = await line.read(UNIT, Space.INPUT, 3, 2)
        line.close()
        return read, written, back, beyond, after

    with SERVED[server](libmodbus, tmp_path) as gateway:
        read, written, back, beyond, after = asyncio.run(story(gateway))
    for table, (reply, (_, start, count)) in enumerate(zip(read, spans, strict=True)):
        assert reply == Answer(tuple(held(table, start + at) for at in range(count)))
    assert written == [Answer()] * 3
    assert back == (Answer((312, 0xFFFE, 1, 65535, 2, 327)), Answer((1, 1, 0)))
    assert beyond == Refusal(2)
    assert after == Answer((1003, 1004))


def test_a_target_that_is_not_there_is_no_value(libmodbus: Path, tmp_path: Path) -> None:
    """Over TCP the gateway says so (exception 11); on a line nobody answers."""

    async def story(gateway: Gateway):
        line = line_to(gateway)
        first = await line.read(UNIT, Space.INPUT, 0, 2)
        nobody = await line.read(99, Space.INPUT, 0, 2, timeout_s=0.2)
        neighbour = await line.read(UNIT, Space.INPUT, 2, 2)
        line.close()
        return first, nobody, neighbour

    with served_by_libmodbus(libmodbus, tmp_path) as gateway:
        first, nobody, neighbour = asyncio.run(story(gateway))
        assert (first, neighbour) == (Answer((1000, 1001)), Answer((1002, 1003)))
        assert nobody in (Refusal(11), Silence(0.2))
    with served_by_modbus_tk_on_a_serial_line(libmodbus, tmp_path) as gateway:
        first, nobody, neighbour = asyncio.run(story(gateway))
        assert (first, neighbour) == (Answer((1000, 1001)), Answer((1002, 1003)))
        assert nobody == Silence(0.2)


def test_a_serial_port_that_is_not_there_or_cannot_be_set_is_a_lost_gateway(
    tmp_path: Path,
) -> None:
    async def ask(line: SerialLine):
        asked = line_to(Gateway("gw", "", 0, TIMEOUT_S, Transport.RTU, line))
        reply = await asked.read(UNIT, Space.INPUT, 0, 1)
        asked.close()
        return reply

    with cable(tmp_path) as (ours, _), structlog.testing.capture_logs() as logs:
        absent = asyncio.run(ask(serial_line(tmp_path / "none")))
        odd = asyncio.run(ask(replace(serial_line(ours), parity=Parity.ODD)))
        no_line = asyncio.run(ask(serial_line(tmp_path)))
    for reply, words in ((absent, "No such file"), (odd, "cannot be set"), (no_line, "director")):
        assert isinstance(reply, Broken)
        assert words in reply.detail
    assert [entry["event"] for entry in logs] == ["gateway_lost"] * 3


def test_tls_trusts_nobody_blindly_and_blames_no_device(
    libmodbus: Path, tmp_path: Path, authority: trustme.CA
) -> None:
    """An unknown authority, another name, a certificate that the gateway refuses, no file."""
    stranger = trustme.CA()
    with secured(libmodbus, tmp_path, authority) as port:
        well = own_files(authority, authority, tmp_path / "well")
        gateways = {
            "well": well,
            "well, other name": replace(well, server_name="gateway.example"),
            "unknown authority": own_files(stranger, authority, tmp_path / "unknown"),
            "wrong name": replace(well, server_name="elsewhere.example"),
            "refused": own_files(authority, stranger, tmp_path / "refused"),
            "no file": replace(well, certificate=tmp_path / "none.pem"),
        }

        async def ask(files: TlsFiles):
            gateway = Gateway("gw", "127.0.0.1", port, TIMEOUT_S, Transport.TLS, None, files)
            line = line_to(gateway)
            reply = await line.read(UNIT, Space.INPUT, 0, 1)
            line.close()
            return reply

        with structlog.testing.capture_logs() as logs:
            replies = {name: asyncio.run(ask(files)) for name, files in gateways.items()}
    assert replies["well"] == replies["well, other name"] == Answer((1000,))
    faults = {name: reply for name, reply in replies.items() if not name.startswith("well")}
    assert all(isinstance(reply, Broken) for reply in faults.values()), faults
    assert "not trusted" in faults["unknown authority"].detail
    assert "not trusted" in faults["wrong name"].detail
    assert "No such file" in faults["no file"].detail
    assert [entry["event"] for entry in logs] == ["gateway_lost"] * len(faults)
