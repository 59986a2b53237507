"""One connection to a gateway; the only module that knows pymodbus's transports.

Modbus TCP, Modbus/TCP Security, RTU over TCP and RTU on a serial line differ in how they
connect and frame. Every outcome of a request is a value. Each reply is checked against its
request before it is believed (:mod:`drivers.frames`). Retries, back-off and reconnection
belong to :mod:`drivers.line`.
"""

from __future__ import annotations

import asyncio
import logging
import random
import ssl
import termios
from collections.abc import Sequence
from dataclasses import dataclass
from functools import partial

from pymodbus.transport import CommParams, CommType, ModbusProtocol

from drivers.frames import (
    Fault,
    Framing,
    Request,
    RtuFraming,
    SocketFraming,
    read_request,
    write_request,
)
from ems.domain.estate import Gateway
from ems.domain.gateways import Parity, TlsFiles
from ems.domain.profiles import Space, Transport

logging.getLogger("pymodbus.logging").setLevel(logging.CRITICAL)
"""The library logs each failure; the drivers write one line on loss and one on return."""

_PARITY = {Parity.NONE: "N", Parity.EVEN: "E", Parity.ODD: "O"}
_MOST_RECEIVED = 4096
"""More bytes than this without a reply among them, and the connection babbles."""

DRAIN_QUIET_S = 0.05
"""An RTU line counts as drained when it was silent for so long [s, wall time]."""

DRAIN_MOST_S = 1.0
"""A line that is not silent after so long babbles [s, wall time]."""


@dataclass(frozen=True, slots=True)
class Answer:
    """The device answered: registers or bits read; empty after a write."""

    values: tuple[int, ...] = ()


@dataclass(frozen=True, slots=True)
class Refusal:
    """The device, or the gateway for it, answered with an exception code."""

    code: int


@dataclass(frozen=True, slots=True)
class Silence:
    """No reply within the time allowed."""

    after_s: float


@dataclass(frozen=True, slots=True)
class Malformed:
    """What came back is not the reply to the request."""

    detail: str


@dataclass(frozen=True, slots=True)
class Broken:
    """There is no usable connection.

    Attributes
    ----------
    detail
        Why.
    refused
        The gateway does not want this client (its certificate), or hung up before it ever
        answered one over TLS: no unit is to blame.
    """

    detail: str
    refused: bool = False


Reply = Answer | Refusal | Silence | Malformed | Broken

EXCEPTIONS = {
    1: "illegal function",
    2: "illegal address",
    3: "illegal value",
    4: "device failure",
    5: "acknowledged, still working",
    6: "busy",
    8: "memory parity error",
    10: "gateway path unavailable",
    11: "gateway target failed to respond",
}
"""Meaning of Modbus exception codes."""


class Link:
    """A connection to one gateway; requests must not overlap.

    Parameters
    ----------
    gateway
        Where it is and how it is reached; its time-out is allowed for connecting, too.
    """

    def __init__(self, gateway: Gateway) -> None:
        self._gateway = gateway
        self._port: _Port | None = None
        # Not from 1 each time: what a gateway owes to an earlier process must not fit.
        first = random.getrandbits(16)
        tcp = gateway.transport in (Transport.TCP, Transport.TLS)
        self._framing: Framing = SocketFraming(first) if tcp else RtuFraming()
        self._serial = gateway.serial if gateway.transport is Transport.RTU else None
        # A gateway's refusal of a certificate may be lost when it hangs up in the same moment.
        self._admitted = gateway.transport is not Transport.TLS

    @property
    def connected(self) -> bool:
        """Whether the connection is open as far as this side knows."""
        return self._port is not None and self._port.is_active()

    @property
    def numbered(self) -> bool:
        """Whether replies name their request; where not, a late one could pass for another."""
        return self._framing.numbered

    async def connect(self) -> str | None:
        """Connect anew; return what went wrong, ``None`` where nothing did."""
        self.close()
        gateway = self._gateway
        try:
            port = _Port(gateway, self._framing)
            async with asyncio.timeout(gateway.timeout_s):
                await port.open()
        except TimeoutError:
            return f"no connection to {gateway.address} within {gateway.timeout_s:g} s"
        except (OSError, ValueError, termios.error) as error:
            return f"no connection to {gateway.address}: {_words(error)}"
        self._port = port
        return None

    def close(self) -> None:
        """Close the connection."""
        if self._port is not None:
            self._port.close()
            self._port = None

    async def pause(self, pause_s: float) -> None:
        """Wait until the connection was silent for ``pause_s`` [s], or what the line needs."""
        if self._port is not None:
            silence_s = self._serial.silence_s if self._serial is not None else 0.0
            wait_s = self._port.heard_s + max(pause_s, silence_s) - self._port.loop.time()
            if wait_s > 0:
                await asyncio.sleep(wait_s)

    async def drain(self, until_s: float = 0.0) -> str | None:
        """Throw away what arrives until the line fell silent.

        Parameters
        ----------
        until_s
            Not before this moment by the loop's clock [s]: until then a reply that was
            given up may still come.

        Returns
        -------
        str or None
            What is wrong where the line does not fall silent.
        """
        port = self._port
        loop = asyncio.get_running_loop()
        end_s = max(until_s, loop.time()) + DRAIN_MOST_S
        while port is not None and port.is_active():
            ready_s = max(port.heard_s + DRAIN_QUIET_S, until_s)
            # Never less than a turn of the loop, so that what waits in the system is heard.
            await asyncio.sleep(max(ready_s - loop.time(), 0.001))
            port.received.clear()
            if loop.time() >= max(port.heard_s + DRAIN_QUIET_S, until_s):
                return None
            if loop.time() >= end_s:
                return "the line does not fall silent"
        return None

    async def read(
        self, unit_id: int, space: Space, address: int, count: int, timeout_s: float
    ) -> Reply:
        """Read ``count`` registers or bits within ``timeout_s`` [s] of wall time."""
        return await self._exchange(read_request(unit_id, space, address, count), timeout_s)

    async def write(
        self,
        unit_id: int,
        space: Space,
        address: int,
        values: Sequence[int],
        single: bool,
        timeout_s: float,
    ) -> Reply:
        """Write registers or a coil; ``single`` uses the function for one register."""
        request = write_request(unit_id, space, address, values, single=single)
        return await self._exchange(request, timeout_s)

    async def _exchange(self, request: Request, timeout_s: float) -> Reply:
        port = self._port
        if port is None:
            return Broken("not connected")
        limit_s = timeout_s
        if self._serial is not None:
            limit_s += (len(request.pdu) + request.length + 6) * self._serial.character_s
        try:
            async with asyncio.timeout(limit_s):
                pdu = await port.ask(request)
        except TimeoutError:
            # What broke off would be taken for the start of the next reply.
            return Malformed("a reply that breaks off") if port.received else Silence(timeout_s)
        except OSError as error:
            refused = isinstance(error, ssl.SSLError) or not self._admitted
            return Broken(_words(error), refused=refused)
        self._admitted = True
        if isinstance(pdu, Fault):
            return Malformed(pdu.detail)
        return Refusal(pdu[1]) if pdu[0] & 0x80 else Answer(request.values(pdu))


class _Port(ModbusProtocol):
    """The library's transport for one gateway, and the reply that is being waited for.

    Attributes
    ----------
    received
        Bytes that arrived and were not yet taken.
    heard_s
        When the last byte arrived or the last request was sent, by the loop's clock [s].
    """

    def __init__(self, gateway: Gateway, framing: Framing) -> None:
        super().__init__(_parameters(gateway), is_server=False)
        if gateway.transport is Transport.TLS and gateway.tls is not None:
            self.call_create = partial(
                self.loop.create_connection,
                self.handle_new_connection,
                gateway.host,
                gateway.port,
                ssl=_context(gateway.tls),
                server_hostname=gateway.tls.server_name or gateway.host,
            )
        self._framing = framing
        self.received = bytearray()
        self.heard_s = self.loop.time()
        self._request: Request | None = None
        self._reply: asyncio.Future[bytes | Fault] | None = None
        self._loss: OSError = ConnectionError("the connection was closed")

    async def open(self) -> None:
        """Connect; raise ``OSError`` where that fails."""
        self.transport, _ = await self.call_create()
        self.heard_s = self.loop.time()

    async def ask(self, request: Request) -> bytes | Fault:
        """Send a request and wait for its reply; raise ``OSError`` where the connection ends."""
        if not self.is_active():
            raise self._loss
        if not self._framing.numbered:
            self.received.clear()
        self._request = request
        reply: asyncio.Future[bytes | Fault] = self.loop.create_future()
        self._reply = reply
        self.heard_s = self.loop.time()
        self.send(self._framing.wrap(request))
        try:
            self._judge()
            return await reply
        finally:
            self._request = self._reply = None

    def close(self, reconnect: bool = False) -> None:
        """Close at once, with what was not yet sent; end the request that is waiting."""
        transport = self.transport
        super().close(reconnect)
        if isinstance(transport, asyncio.Transport):
            transport.abort()
        self.callback_disconnected(None)

    def data_received(self, data: bytes) -> None:
        """Keep what arrived and see whether the reply is whole."""
        self.heard_s = self.loop.time()
        self.received += data
        if self._request is not None:
            self._judge()
        if len(self.received) > _MOST_RECEIVED:
            self.connection_lost(ConnectionError("it sends what nobody asked for"))

    def _judge(self) -> None:
        reply, request = self._reply, self._request
        if reply is None or request is None or reply.done():
            return
        taken = self._framing.take(self.received, request)
        if taken is not None:
            reply.set_result(taken)

    def callback_connected(self) -> None:
        """Do nothing more on connection."""

    def callback_disconnected(self, exc: Exception | None) -> None:
        """End the request that is waiting."""
        if isinstance(exc, OSError):
            self._loss = exc
        if self._reply is not None and not self._reply.done():
            self._reply.set_exception(self._loss)

    def callback_new_connection(self) -> ModbusProtocol:
        """Return itself: a client has one connection."""
        return self

    def callback_data(self, data: bytes, addr: tuple[str, int] | None = None) -> int:  # noqa: ARG002 - the library's signature
        """Take nothing: `data_received` keeps what arrives."""
        return len(data)


def _parameters(gateway: Gateway) -> CommParams:
    serial = gateway.serial
    if gateway.transport is Transport.RTU and serial is not None:
        return CommParams(
            comm_type=CommType.SERIAL,
            host=serial.device,
            baudrate=serial.baud_rate,
            bytesize=8,
            parity=_PARITY[serial.parity],
            stopbits=serial.stop_bits,
        )
    return CommParams(comm_type=CommType.TCP, host=gateway.host, port=gateway.port)


def _context(files: TlsFiles) -> ssl.SSLContext:
    """Return what a client of Modbus/TCP Security shows and asks for.

    Source: MODBUS/TCP Security 1.0: TLS 1.2 or newer, certificates on both sides.
    """
    context = ssl.create_default_context(ssl.Purpose.SERVER_AUTH, cafile=str(files.ca))
    context.minimum_version = ssl.TLSVersion.TLSv1_2
    context.load_cert_chain(str(files.certificate), str(files.key))
    return context


def _words(error: Exception) -> str:
    if isinstance(error, ssl.SSLCertVerificationError):
        return f"its certificate is not trusted ({error.verify_message})"
    if isinstance(error, ssl.SSLError):
        return f"TLS failed ({error.reason or error})"
    if isinstance(error, termios.error):
        return "this serial port cannot be set to this speed, parity and stop bits"
    return getattr(error, "strerror", None) or str(error)
