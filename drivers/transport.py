"""One Modbus TCP connection; the only module that knows pymodbus.

Every outcome of a request is a value. Each reply is checked against its request before it
is believed: protocol, unit, function, length, and the echo of a write. Retries, back-off
and reconnection belong to :mod:`drivers.line`.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Awaitable, Sequence
from dataclasses import dataclass

from pymodbus.client import AsyncModbusTcpClient
from pymodbus.exceptions import ConnectionException, ModbusException, ModbusIOException
from pymodbus.pdu import ModbusPDU

from ems.domain.profiles import Space

logging.getLogger("pymodbus.logging").setLevel(logging.CRITICAL)
"""The library logs each failure; the drivers write one line on loss and one on return."""

_READ_FUNCTION = {Space.COIL: 1, Space.DISCRETE: 2, Space.HOLDING: 3, Space.INPUT: 4}
_BIT_SPACES = (Space.COIL, Space.DISCRETE)
_HEADER = 7


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
    """There is no usable connection."""

    detail: str


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


class TcpLink:
    """A connection to one gateway; requests must not overlap.

    Parameters
    ----------
    host, port
        The gateway.
    timeout_s
        Wall time allowed for connecting [s].
    """

    def __init__(self, host: str, port: int, timeout_s: float) -> None:
        self._client: AsyncModbusTcpClient | None = None
        self._host, self._port, self._timeout_s = host, port, timeout_s
        self._expected = _Expected(0, 0, b"", 0)
        self._malformed = ""
        self._sent_id = b""
        self._waiting = False

    @property
    def connected(self) -> bool:
        """Whether the connection is open as far as this side knows."""
        return self._client is not None and self._client.connected

    async def connect(self) -> str | None:
        """Connect anew; return what went wrong, ``None`` where nothing did."""
        self.close()
        client = AsyncModbusTcpClient(
            self._host,
            port=self._port,
            retries=0,
            reconnect_delay=0,
            timeout=self._timeout_s,
            trace_packet=self._inspect,
            trace_connect=self._on_connection,
        )
        if not await client.connect():
            client.close()
            return f"no connection to {self._host}:{self._port}"
        # A request is timed by `_exchange`; the library's own limit must never come first.
        client.ctx.comm_params.timeout_connect = 3600.0
        self._client = client
        return None

    def close(self) -> None:
        """Close the connection."""
        if self._client is not None:
            self._client.close()
            self._client = None

    async def read(
        self, unit_id: int, space: Space, address: int, count: int, timeout_s: float
    ) -> Reply:
        """Read ``count`` registers or bits within ``timeout_s`` [s] of wall time."""
        function = _READ_FUNCTION[space]
        size = (count + 7) // 8 if space in _BIT_SPACES else 2 * count
        self._expected = _Expected(unit_id, function, bytes([size]), 1 + size)
        client = self._client
        if client is None:
            return Broken("not connected")
        request = {
            Space.COIL: client.read_coils,
            Space.DISCRETE: client.read_discrete_inputs,
            Space.HOLDING: client.read_holding_registers,
            Space.INPUT: client.read_input_registers,
        }[space]
        reply = await self._exchange(request(address, count=count, device_id=unit_id), timeout_s)
        if not isinstance(reply, ModbusPDU):
            return reply
        values = reply.bits[:count] if space in _BIT_SPACES else reply.registers
        if len(values) != count:
            return Malformed(f"asked for {count} values, given {len(values)}")
        return Answer(tuple(map(int, values)))

    async def write(
        self,
        unit_id: int,
        space: Space,
        address: int,
        values: Sequence[int],
        single: bool,
        timeout_s: float,
    ) -> Reply:
        """Write registers or coils; ``single`` uses the function for one value."""
        client = self._client
        if client is None:
            return Broken("not connected")
        where = address.to_bytes(2)
        if space is Space.COIL:
            value = b"\xff\x00" if values[0] else b"\x00\x00"
            self._expected = _Expected(unit_id, 5, where + value, 4)
            request = client.write_coil(address, bool(values[0]), device_id=unit_id)
        elif single:
            self._expected = _Expected(unit_id, 6, where + values[0].to_bytes(2), 4)
            request = client.write_register(address, values[0], device_id=unit_id)
        else:
            self._expected = _Expected(unit_id, 16, where + len(values).to_bytes(2), 4)
            request = client.write_registers(address, list(values), device_id=unit_id)
        reply = await self._exchange(request, timeout_s)
        return Answer() if isinstance(reply, ModbusPDU) else reply

    async def _exchange(
        self, request: Awaitable[ModbusPDU], timeout_s: float
    ) -> ModbusPDU | Refusal | Silence | Malformed | Broken:
        self._malformed = ""
        try:
            async with asyncio.timeout(timeout_s):
                self._waiting = True
                reply = await request
        except TimeoutError:
            return Silence(timeout_s)
        except ModbusIOException as error:
            return Malformed(self._malformed or str(error))
        except (ModbusException, OSError) as error:
            return Broken(str(error))
        finally:
            self._waiting = False
        if reply.isError():
            return Refusal(reply.exception_code)
        return reply

    def _inspect(self, sending: bool, data: bytes) -> bytes:
        """Judge what arrives before the library decodes it.

        The library accepts short replies and trips over inconsistent ones, so a reply to
        the present request that is not exactly what was asked for ends the request here.
        """
        if sending:
            self._sent_id = data[:2]
            return data
        rest = data
        while len(rest) > _HEADER:
            end = 6 + int.from_bytes(rest[4:6])
            if rest[2:4] != b"\x00\x00" or end < _HEADER + 2:
                return self._give_up("a reply that is not Modbus")
            if len(rest) < end:
                break
            if rest[:2] == self._sent_id:
                fault = self._expected.fault(rest[6], rest[_HEADER:end])
                if fault:
                    return self._give_up(fault)
            rest = rest[end:]
        return data

    def _on_connection(self, is_open: bool) -> None:
        """End a request at once when the peer closes the connection under it."""
        if not is_open:
            self._fail(ConnectionException("the connection was closed"))

    def _give_up(self, fault: str) -> bytes:
        self._malformed = fault
        self._fail(ModbusIOException(fault))
        return b""

    def _fail(self, error: ModbusException) -> None:
        client = self._client
        if self._waiting and client is not None and not client.ctx.response_future.done():
            client.ctx.response_future.set_exception(error)


@dataclass(frozen=True, slots=True)
class _Expected:
    """What the reply to the present request must look like."""

    unit_id: int
    function: int
    start: bytes
    """How its data begins: byte count of a read, echo of a write."""
    length: int
    """Bytes of data after the function code."""

    def fault(self, unit_id: int, pdu: bytes) -> str:
        """Return what is wrong with a reply, empty where nothing is."""
        if unit_id != self.unit_id:
            return f"unit {unit_id} answered for unit {self.unit_id}"
        if pdu[0] == self.function | 0x80:
            return "" if len(pdu) == 2 else "an exception of the wrong length"
        if pdu[0] != self.function:
            return f"function {pdu[0]} answered for function {self.function}"
        if len(pdu) != 1 + self.length or not pdu[1:].startswith(self.start):
            return "a reply that does not fit the request"
        return ""
