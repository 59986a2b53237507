"""A gateway on a socket: Modbus TCP, one address, many unit ids.

It answers requests as they come, from the state that the physics has reached, in the
event loop that steps the physics. An unknown unit id gets exception 0x0B, as from a
gateway whose target does not respond; a dead device gets no answer at all. It is
written against the Modbus specification rather than on the library that the drivers
use, so that both sides cannot share one misunderstanding.
"""

from __future__ import annotations

import asyncio
import struct
from collections.abc import Callable, Sequence

from ems.domain.errors import RetryableError
from ems.domain.estate import Gateway
from ems.domain.profiles import Space
from ems.field.faces import ILLEGAL_FUNCTION, ILLEGAL_VALUE, Face, ModbusRefusal

GATEWAY_TARGET_SILENT = 0x0B
HEADER = struct.Struct(">HHHB")
"""Transaction, protocol (0), length of what follows, unit id."""
MAX_PDU = 253
_READ = {1: Space.COIL, 2: Space.DISCRETE, 3: Space.HOLDING, 4: Space.INPUT}
_MOST_BITS, _MOST_REGISTERS = 2000, 125

DelayOf = Callable[[Face], float | None]
"""How late [s] a face answers now; ``None`` where it does not answer."""


class GatewayServer:
    """Serves the units of one gateway.

    Parameters
    ----------
    gateway
        Where to listen.
    faces
        What stands behind each unit id.
    delay_of
        How late each face answers now.

    Attributes
    ----------
    requests
        How many requests were answered or deliberately left unanswered.
    """

    def __init__(self, gateway: Gateway, faces: dict[int, Face], delay_of: DelayOf) -> None:
        self.gateway = gateway
        self.faces = faces
        self.delay_of = delay_of
        self.requests = 0
        self._server: asyncio.Server | None = None
        self._connections: set[_Connection] = set()

    @property
    def is_open(self) -> bool:
        """Whether it listens."""
        return self._server is not None

    @property
    def port(self) -> int:
        """The port it listens on (of use where the configuration says 0)."""
        if self._server is None:
            return self.gateway.port
        return int(self._server.sockets[0].getsockname()[1])

    async def open(self) -> None:
        """Listen; do nothing where it listens already.

        Raises
        ------
        RetryableError
            Where the address is taken.
        """
        if self._server is not None:
            return
        loop = asyncio.get_running_loop()
        try:
            self._server = await loop.create_server(
                lambda: _Connection(self), self.gateway.host, self.gateway.port
            )
        except OSError as error:
            raise RetryableError(
                f"cannot listen on {self.gateway.host}:{self.gateway.port}: {error.strerror}",
                field=f"gateways.{self.gateway.id}",
                value=self.gateway.port,
                remedy="Stop the program that uses the port, or choose another one.",
            ) from error

    async def close(self) -> None:
        """Stop listening and drop every connection."""
        server, self._server = self._server, None
        if server is None:
            return
        server.close()
        for connection in list(self._connections):
            connection.drop()
        await server.wait_closed()

    def joined(self, connection: _Connection) -> None:
        """Note a connection."""
        self._connections.add(connection)

    def left(self, connection: _Connection) -> None:
        """Forget a connection."""
        self._connections.discard(connection)

    def answer(self, unit: int, pdu: bytes) -> tuple[float, bytes] | None:
        """Return how late [s] and what to answer, or ``None`` for silence."""
        self.requests += 1
        face = self.faces.get(unit)
        if face is None:
            return 0.0, bytes((pdu[0] | 0x80, GATEWAY_TARGET_SILENT))
        delay = self.delay_of(face)
        if delay is None:
            return None
        return delay, respond(face, pdu)


class _Connection(asyncio.Protocol):
    """One client's connection: splits the stream into requests."""

    def __init__(self, server: GatewayServer) -> None:
        self._server = server
        self._buffer = bytearray()
        self._transport: asyncio.Transport | None = None

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Note the connection."""
        if isinstance(transport, asyncio.Transport):
            self._transport = transport
        self._server.joined(self)

    def connection_lost(self, exc: Exception | None) -> None:  # noqa: ARG002 - the protocol's signature
        """Forget the connection."""
        self._transport = None
        self._server.left(self)

    def drop(self) -> None:
        """Cut the connection."""
        if self._transport is not None:
            self._transport.abort()

    def data_received(self, data: bytes) -> None:
        """Answer every whole request in the stream; drop a stream that is not Modbus."""
        self._buffer += data
        while len(self._buffer) >= HEADER.size:
            transaction, protocol, length, unit = HEADER.unpack_from(self._buffer)
            if protocol != 0 or not 2 <= length <= MAX_PDU + 1:
                self.drop()
                return
            end = HEADER.size - 1 + length
            if len(self._buffer) < end:
                return
            pdu = bytes(self._buffer[HEADER.size : end])
            del self._buffer[:end]
            answer = self._server.answer(unit, pdu)
            if answer is None:
                continue
            delay, reply = answer
            frame = HEADER.pack(transaction, 0, len(reply) + 1, unit) + reply
            if delay > 0:
                asyncio.get_running_loop().call_later(delay, self._send, frame)
            else:
                self._send(frame)

    def _send(self, frame: bytes) -> None:
        if self._transport is not None:
            self._transport.write(frame)


def respond(face: Face, pdu: bytes) -> bytes:
    """Return the response PDU of a device to a request PDU, exceptions included."""
    function = pdu[0]
    try:
        if function in _READ:
            return _read(face, function, pdu)
        if function in (5, 6, 15, 16):
            return _write(face, function, pdu)
        code = ILLEGAL_FUNCTION
    except ModbusRefusal as refusal:
        code = refusal.code
    except struct.error:
        code = ILLEGAL_VALUE
    return bytes((function | 0x80, code))


def _read(face: Face, function: int, pdu: bytes) -> bytes:
    address, count = struct.unpack(">HH", pdu[1:])
    bits = function in (1, 2)
    if not 1 <= count <= (_MOST_BITS if bits else _MOST_REGISTERS):
        raise ModbusRefusal(ILLEGAL_VALUE)
    values = face.read(_READ[function], address, count)
    body = _pack_bits(values) if bits else struct.pack(f">{count}H", *values)
    return bytes((function, len(body))) + body


def _write(face: Face, function: int, pdu: bytes) -> bytes:
    address, second = struct.unpack(">HH", pdu[1:5])
    values: Sequence[int]
    if function == 5:
        if second not in (0, 0xFF00) or len(pdu) != 5:
            raise ModbusRefusal(ILLEGAL_VALUE)
        values = [int(second == 0xFF00)]
    elif function == 6:
        if len(pdu) != 5:
            raise ModbusRefusal(ILLEGAL_VALUE)
        values = [second]
    else:
        body = pdu[6:]
        size = (second + 7) // 8 if function == 15 else 2 * second
        if second < 1 or len(pdu) < 6 or pdu[5] != size or len(body) != size:
            raise ModbusRefusal(ILLEGAL_VALUE)
        if function == 15:
            values = [body[at // 8] >> at % 8 & 1 for at in range(second)]
        else:
            values = struct.unpack(f">{second}H", body)
    face.write(Space.COIL if function in (5, 15) else Space.HOLDING, address, values, function)
    return pdu[:5]


def _pack_bits(values: Sequence[int]) -> bytes:
    packed = bytearray((len(values) + 7) // 8)
    for at, value in enumerate(values):
        packed[at // 8] |= (value & 1) << at % 8
    return bytes(packed)
