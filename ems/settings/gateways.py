"""How gateways are reached: the `gateways` section and its checks."""

from __future__ import annotations

import ipaddress
import re
from collections.abc import Callable
from pathlib import Path
from typing import Annotated

from pydantic import BaseModel, ConfigDict, Field

from ems.domain.estate import Gateway
from ems.domain.gateways import Parity, SerialLine, TlsFiles
from ems.domain.profiles import Transport
from ems.settings.nodes import Node
from ems.settings.quantities import Between, Choice, FilePath, Port, Text, Whole

_TRANSPORTS = tuple(str(each) for each in Transport if each is not Transport.VENDOR)
_LINE = SerialLine("")

_ADDRESS = {"host": "Host name or IP address.", "port": "TCP port, mostly 502; 802 with TLS."}
_SERIAL = {"serial_port": "Device file of the serial line, e.g. /dev/ttyUSB0."}
_SERIAL_MORE = ("baud_rate", "parity", "stop_bits")
_TLS = {
    "tls_ca": "PEM file of those who may vouch for the gateway.",
    "tls_certificate": "PEM file of Hearth's own certificate.",
    "tls_key": "PEM file of that certificate's key, readable by Hearth alone.",
}
_TLS_MORE = ("tls_server_name",)


class GatewaySection(BaseModel):
    """One address or serial line."""

    model_config = ConfigDict(extra="forbid", frozen=True, validate_default=False)

    transport: Annotated[str, Choice(_TRANSPORTS)] = Field(
        "tcp", description="Modbus TCP, with TLS, RTU in a TCP connection, RTU on a serial line."
    )
    host: Text | None = Field(None, description=_ADDRESS["host"])
    port: Port | None = Field(None, description=_ADDRESS["port"])
    timeout_s: Annotated[float, Between("s", 0.1, 60)] = Field(
        3.0, description="How long to wait for an answer."
    )
    serial_port: Text | None = Field(None, description=_SERIAL["serial_port"])
    baud_rate: Annotated[int, Whole("a speed in bit/s", 300, 1_000_000)] = Field(
        _LINE.baud_rate, description="Speed of the serial line in bit/s."
    )
    parity: Annotated[str, Choice(tuple(str(each) for each in Parity))] = Field(
        str(_LINE.parity), description="Parity on the serial line."
    )
    stop_bits: Annotated[int, Whole("the number of stop bits", 1, 2)] = Field(
        _LINE.stop_bits, description="Stop bits on the serial line."
    )
    tls_ca: FilePath | None = Field(None, description=_TLS["tls_ca"])
    tls_certificate: FilePath | None = Field(None, description=_TLS["tls_certificate"])
    tls_key: FilePath | None = Field(None, description=_TLS["tls_key"])
    tls_server_name: Text | None = Field(
        None, description="Name in the gateway's certificate, if it is not its host."
    )


def gateway_of(name: str, part: GatewaySection, folder: Path) -> Gateway:
    """Return a section that passed `check_gateways`; its files are relative to ``folder``."""
    transport = Transport(part.transport)
    serial = tls = None
    if transport is Transport.RTU and part.serial_port is not None:
        serial = SerialLine(part.serial_port, part.baud_rate, Parity(part.parity), part.stop_bits)
    if part.tls_ca is not None and part.tls_certificate is not None and part.tls_key is not None:
        tls = TlsFiles(
            folder / part.tls_ca,
            folder / part.tls_certificate,
            folder / part.tls_key,
            part.tls_server_name,
        )
    return Gateway(name, part.host or "", part.port or 0, part.timeout_s, transport, serial, tls)


def check_gateways(root: Node, folder: Path) -> None:
    """Check that each gateway has what its transport needs, and an address of its own."""
    gateways = root["gateways"]
    simulated = root["estate"]["demonstration"].truth() is True
    known: dict[tuple[str, float], str] = {}
    for name, gateway in gateways.entries():
        if not isinstance(gateway.value, dict):
            continue
        transport = gateway["transport"].text() if gateway["transport"].exists else "tcp"
        if transport not in _TRANSPORTS:
            continue
        if simulated and transport != Transport.TCP:
            problem = "a demonstration simulates its gateways, and those speak Modbus TCP only"
            gateway["transport"].refuse(problem, "Write tcp, or leave it out.")
        _check_keys(gateway, transport)
        if transport == Transport.RTU:
            _own_line(name, gateway, known)
        else:
            _own_address(name, gateway, known)
        for key in _TLS:
            _check_file(gateway[key], folder)
    if gateways.value == {}:
        gateways.refuse("there is no gateway", "Add at least one.", show=False)


def _check_keys(gateway: Node, transport: str) -> None:
    serial, tls = transport == Transport.RTU, transport == Transport.TLS
    needed = (_SERIAL if serial else _ADDRESS) | (_TLS if tls else {})
    for key, meaning in needed.items():
        if not gateway[key].exists:
            gateway[key].refuse("this key is missing", f"Add it: {meaning}", show=False)
    idle: set[str] = set(_ADDRESS) if serial else {*_SERIAL, *_SERIAL_MORE}
    if not tls:
        idle |= {*_TLS, *_TLS_MORE}
    for key in idle:
        if gateway[key].exists:
            belongs = "rtu" if key in (*_SERIAL, *_SERIAL_MORE) else "tls"
            belongs = "tcp, tls and rtu_over_tcp" if key in _ADDRESS else belongs
            problem = f"this means nothing with transport {transport}"
            gateway[key].refuse(problem, f"Take it out; it belongs to {belongs}.")


def _own_line(name: str, gateway: Node, known: dict[tuple[str, float], str]) -> None:
    port = gateway["serial_port"].text()
    if port is None:
        return
    if not Path(port).is_absolute():
        remedy = "Give its whole path, best one that stays: /dev/serial/by-id/…"
        gateway["serial_port"].refuse("this is not the path of a device file", remedy)
        return
    remedy = "Keep one gateway for one line; blocks may share it."
    _own(name, (port, 0), f"the serial line {port}", gateway["serial_port"].refuse, remedy, known)


_HOST_NAME = re.compile(r"(?=.{1,253}$)[A-Za-z0-9]([A-Za-z0-9-]{0,62})(\.[A-Za-z0-9-]{1,63})*\.?")


def _own_address(name: str, gateway: Node, known: dict[tuple[str, float], str]) -> None:
    host, port = gateway["host"].text(), gateway["port"].number()
    if host is not None and not _is_host(host):
        remedy = "Give a host name or an IP address alone, e.g. 192.168.10.20."
        gateway["host"].refuse("this is not a host", remedy, show="@" not in host)
        return
    if host is None or port is None:
        return
    address = ("127.0.0.1" if host.lower() == "localhost" else host.lower(), port)
    remedy = "Keep one gateway for one address; blocks may share it."
    where = f"the address {host}:{port:g}"
    _own(name, address, where, gateway["host"].refuse, remedy, known)


def _own(
    name: str,
    key: tuple[str, float],
    where: str,
    refuse: Callable[[str, str], None],
    remedy: str,
    known: dict[tuple[str, float], str],
) -> None:
    if key in known:
        refuse(f"{known[key]} already has {where}", remedy)
    known.setdefault(key, name)


def _is_host(host: str) -> bool:
    try:
        ipaddress.ip_address(host)
    except ValueError:
        return _HOST_NAME.fullmatch(host) is not None and not re.fullmatch(r"[0-9.]+", host)
    return True


def _check_file(node: Node, folder: Path) -> None:
    name = node.text()
    if name is None or not name.strip() or not name.isprintable():
        return
    try:
        found = (folder / name).is_file()
    except (OSError, ValueError):
        found = False
    if not found:
        node.refuse("there is no such file", "Check the path; it is relative to this file.")
