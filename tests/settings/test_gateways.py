"""How a gateway is reached: each transport has what it needs, and nothing that means nothing."""

from __future__ import annotations

import pytest

from ems.domain.gateways import Parity, SerialLine
from ems.domain.profiles import Transport
from ems.settings import load_estate

from .conftest import Site

FIRST = "gw-A: {host: 127.0.0.1, port: 15021, timeout_s: 3}"
SECOND = "gw-B: {host: 127.0.0.1, port: 15022, timeout_s: 3}"
TLS = (
    "gw-A: {transport: tls, host: plant.example, port: 802, tls_ca: data/ca.pem, "
    "tls_certificate: data/own.pem, tls_key: data/own-key.pem}"
)


@pytest.fixture
def real(site: Site) -> Site:
    """The estate as a real one: its gateways need not be simulated."""
    site.replace("demonstration: true\n  starts_at: 2023-12-01T12:00:00Z", "demonstration: false")
    token = "sha256:" + 64 * "0"
    site.replace("name: Example aggregator", f"name: Example\n    token_hash: {token}")
    for name in ("ca", "own", "own-key"):
        (site.data / f"{name}.pem").write_text("read by the connection, not by the loader")
    assert site.faults() == ()
    return site


def test_a_serial_line_a_transparent_converter_and_tls(real: Site) -> None:
    real.replace(
        FIRST,
        "gw-A: {transport: rtu, serial_port: /dev/ttyUSB0, baud_rate: 9600, parity: none, "
        "stop_bits: 2, timeout_s: 1}",
    )
    real.replace(SECOND, "gw-B: {transport: rtu_over_tcp, host: 10.0.0.7, port: 4001}")
    line, converter = load_estate(real.file).gateways.values()
    assert (line.transport, line.timeout_s, line.address) == (Transport.RTU, 1.0, "/dev/ttyUSB0")
    assert line.serial == SerialLine("/dev/ttyUSB0", 9600, Parity.NONE, 2)
    assert (converter.transport, converter.address) == (Transport.RTU_OVER_TCP, "10.0.0.7:4001")
    assert converter.serial is converter.tls is None

    real.replace("transport: rtu_over_tcp, host: 10.0.0.7, port: 4001", TLS[7:-1])
    secure = load_estate(real.file).gateways["gw-B"]
    assert secure.tls is not None
    assert secure.transport is Transport.TLS
    assert secure.tls.key == real.data / "own-key.pem"
    assert secure.tls.server_name is None


def test_a_serial_line_is_as_modbus_has_it_unless_told_otherwise(real: Site) -> None:
    """Even parity, one stop bit, eleven bits a character; 3.5 characters between frames."""
    real.replace(FIRST, "gw-A: {transport: rtu, serial_port: /dev/ttyUSB0}")
    line = load_estate(real.file).gateways["gw-A"].serial
    assert line == SerialLine("/dev/ttyUSB0", 19200, Parity.EVEN, 1)
    assert line.character_s == pytest.approx(11 / 19200)
    assert line.silence_s == pytest.approx(3.5 * 11 / 19200)
    assert SerialLine("/dev/ttyUSB0", 115200).silence_s == 0.00175


@pytest.mark.parametrize(
    ("gateway", "key", "problem", "remedy"),
    [
        ("{port: 502}", "host", "this key is missing", "Host name or IP address"),
        ("{host: , port: 502}", "host", "this key is missing", "Host name or IP address"),
        ("{transport: rtu}", "serial_port", "this key is missing", "/dev/ttyUSB0"),
        ("{transport: rtu, serial_port: ttyUSB0}", "serial_port", "not the path", "/dev/serial"),
        (
            "{transport: rtu, serial_port: /dev/ttyUSB0, port: 502}",
            "port",
            "means nothing with transport rtu",
            "tcp, tls and rtu_over_tcp",
        ),
        (
            "{host: 10.0.0.7, port: 502, baud_rate: 9600}",
            "baud_rate",
            "means nothing with transport tcp",
            "belongs to rtu",
        ),
        (
            "{transport: rtu, serial_port: /dev/ttyUSB0, parity: mark}",
            "parity",
            "not one of those allowed",
            "none, even, odd",
        ),
        ("{transport: udp, host: 10.0.0.7, port: 502}", "transport", "not one", "tcp, rtu"),
        (TLS[6:].replace(", tls_key: data/own-key.pem", ""), "tls_key", "missing", "readable"),
        (TLS[6:].replace("own.pem", "other.pem"), "tls_certificate", "no such file", "relative"),
        (TLS[6:].replace("tls,", "tcp,"), "tls_ca", "means nothing", "belongs to tls"),
    ],
)
def test_what_a_transport_needs_or_cannot_use_is_named(
    real: Site, gateway: str, key: str, problem: str, remedy: str
) -> None:
    real.replace(FIRST, f"gw-A: {gateway}")
    found = [fault for fault in real.faults() if fault.path == f"gateways.gw-A.{key}"]
    assert len(found) == 1
    assert problem in found[0].problem
    assert remedy in found[0].remedy


def test_two_gateways_cannot_have_one_line(real: Site) -> None:
    for before, name in ((FIRST, "gw-A"), (SECOND, "gw-B")):
        real.replace(before, f"{name}: {{transport: rtu, serial_port: /dev/ttyUSB0}}")
    (fault,) = real.faults()
    assert fault.path == "gateways.gw-B.serial_port"
    assert "gw-A already has the serial line /dev/ttyUSB0" in fault.problem


def test_a_demonstration_simulates_modbus_tcp_only(site: Site) -> None:
    site.replace(FIRST, "gw-A: {transport: rtu, serial_port: /dev/ttyUSB0}")
    assert [fault.path for fault in site.faults()] == ["gateways.gw-A.transport"]
