"""Requests as bytes, and which bytes may be believed as their reply. Pure.

A reply is compared with its request to the last byte: unit, function, length, the echo of
a write, and what the framing adds (transaction on TCP, checksum on a serial line). What
does not fit is a :class:`Fault`, never a value. What belongs to an earlier request, given
up meanwhile, is left out.

Source of the formats: MODBUS Application Protocol 1.1b3; MODBUS Messaging on TCP/IP 1.0b;
MODBUS over Serial Line 1.02.
"""

from __future__ import annotations

import struct
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Protocol

from pymodbus.framer.rtu import FramerRTU

from ems.domain.profiles import Space

READ_FUNCTION = {Space.COIL: 1, Space.DISCRETE: 2, Space.HOLDING: 3, Space.INPUT: 4}
_BIT_FUNCTIONS = (1, 2)
_ECHOED = (5, 6, 15, 16)
_HEADER = struct.Struct(">HHHB")
_LONGEST = 254
"""Greatest length in a TCP header: unit id and 253 bytes."""
_TRANSACTIONS = 0x10000
_REMEMBERED = 1024
"""Replies to so many earlier transactions count as late; others answer nothing we asked."""


@dataclass(frozen=True, slots=True)
class Request:
    """One request and what its reply must look like.

    Attributes
    ----------
    unit_id
        Whom it is for.
    pdu
        Function and data.
    start
        How the reply's PDU begins: function and byte count of a read, the echo of a write.
    length
        Bytes of the reply's PDU.
    count
        How many values a read returns; 0 for a write.
    """

    unit_id: int
    pdu: bytes
    start: bytes
    length: int
    count: int = 0

    @property
    def function(self) -> int:
        """The function asked for."""
        return self.pdu[0]

    def fault(self, pdu: bytes) -> str:
        """Return what is wrong with a reply's PDU, empty where nothing is."""
        if pdu[0] == self.pdu[0] | 0x80:
            return "" if len(pdu) == 2 else "an exception of the wrong length"
        if pdu[0] != self.pdu[0]:
            return f"function {pdu[0]} answered for function {self.pdu[0]}"
        if len(pdu) != self.length or not pdu.startswith(self.start):
            return "a reply that does not fit the request"
        return ""

    def values(self, pdu: bytes) -> tuple[int, ...]:
        """Return the registers or bits of a reply that has no fault; none after a write."""
        if not self.count:
            return ()
        if self.pdu[0] in _BIT_FUNCTIONS:
            return tuple(pdu[2 + at // 8] >> at % 8 & 1 for at in range(self.count))
        return struct.unpack_from(f">{self.count}H", pdu, 2)


def read_request(unit_id: int, space: Space, address: int, count: int) -> Request:
    """Return the request for ``count`` registers or bits from ``address``."""
    function = READ_FUNCTION[space]
    size = (count + 7) // 8 if function in _BIT_FUNCTIONS else 2 * count
    pdu = struct.pack(">BHH", function, address, count)
    return Request(unit_id, pdu, bytes((function, size)), 2 + size, count)


def write_request(
    unit_id: int, space: Space, address: int, values: Sequence[int], *, single: bool
) -> Request:
    """Return the request that writes registers or coils.

    ``single`` uses the function for one register. The reply is the request's own start.
    """
    if space is Space.COIL and len(values) > 1:
        bits = sum(bool(value) << index for index, value in enumerate(values))
        size = (len(values) + 7) // 8
        pdu = struct.pack(">BHHB", 15, address, len(values), size) + bits.to_bytes(size, "little")
    elif space is Space.COIL:
        pdu = struct.pack(">BHH", 5, address, 0xFF00 if values[0] else 0)
    elif single:
        pdu = struct.pack(">BHH", 6, address, values[0])
    else:
        count = len(values)
        pdu = struct.pack(f">BHHB{count}H", 16, address, count, 2 * count, *values)
    return Request(unit_id, pdu, pdu[:5], 5)


@dataclass(frozen=True, slots=True)
class Fault:
    """What arrived is not the reply; nothing that follows on the connection is in step.

    Attributes
    ----------
    detail
        What is wrong, for a log line.
    """

    detail: str


class Framing(Protocol):
    """How requests and replies are wrapped; holds what a link must remember."""

    numbered: bool
    """Whether a reply names its request, so that a late one can be told."""

    def wrap(self, request: Request) -> bytes:
        """Return the bytes to send; the request is then the one that `take` judges by."""
        ...

    def take(self, received: bytearray, request: Request) -> bytes | Fault | None:
        """Take the reply's PDU off ``received``; ``None`` where more must arrive."""
        ...


class SocketFraming:
    """Modbus TCP: each message has a header with a transaction number.

    Numbers go on when a gateway is connected to anew, because some gateways deliver to the
    new connection what they owed to the old one.

    Parameters
    ----------
    last
        The number before the first.
    """

    numbered = True

    def __init__(self, last: int = 0) -> None:
        self._transaction = last
        self._sent = 0

    def wrap(self, request: Request) -> bytes:
        """Return header and PDU under the next transaction number."""
        self._transaction = (self._transaction + 1) % _TRANSACTIONS
        self._sent = min(self._sent + 1, _REMEMBERED)
        header = _HEADER.pack(self._transaction, 0, len(request.pdu) + 1, request.unit_id)
        return header + request.pdu

    def take(self, received: bytearray, request: Request) -> bytes | Fault | None:
        """Take the reply off; late replies to earlier transactions are left out."""
        while len(received) >= _HEADER.size:
            transaction, protocol, length, unit_id = _HEADER.unpack_from(received)
            if protocol != 0 or not 3 <= length <= _LONGEST:
                return Fault("a reply that is not Modbus")
            end = _HEADER.size - 1 + length
            if len(received) < end:
                return None
            pdu = bytes(received[_HEADER.size : end])
            del received[:end]
            age = (self._transaction - transaction) % _TRANSACTIONS
            if age == 0:
                if unit_id != request.unit_id:
                    return Fault(f"unit {unit_id} answered for unit {request.unit_id}")
                fault = request.fault(pdu)
                return Fault(fault) if fault else pdu
            if age >= self._sent:
                return Fault("a reply to a request that was never made")
        return None


class RtuFraming:
    """Modbus RTU: unit id, PDU, checksum; nothing tells which request a reply is for."""

    numbered = False

    def wrap(self, request: Request) -> bytes:
        """Return unit id, PDU and checksum."""
        return _with_checksum(bytes((request.unit_id,)) + request.pdu)

    def take(self, received: bytearray, request: Request) -> bytes | Fault | None:
        """Take the reply off; whole frames of other units are late and left out."""
        while len(received) >= 2:
            foreign = received[0] != request.unit_id
            size = _size_of(received) if foreign else _size_expected(received, request)
            if isinstance(size, Fault):
                return size
            if size is None or len(received) < size:
                return None
            frame = bytes(received[:size])
            if _with_checksum(frame[:-2]) != frame:
                return Fault("a reply with a wrong checksum")
            del received[:size]
            if not foreign:
                fault = request.fault(frame[1:-2])
                return Fault(fault) if fault else frame[1:-2]
        return None


def _size_expected(received: bytearray, request: Request) -> int | Fault:
    """Return how long the reply's frame is."""
    function = received[1]
    if function == request.function | 0x80:
        return 5
    if function != request.function:
        return Fault(f"function {function} answered for function {request.function}")
    if request.count and len(received) > 2 and received[2] != request.start[1]:
        return Fault("a reply that does not fit the request")
    return request.length + 3


def _size_of(received: bytearray) -> int | Fault | None:
    """Return how long another unit's frame is by its own account; ``None`` if not yet told."""
    function = received[1]
    if function & 0x80:
        return 5
    if function in _ECHOED:
        return 8
    if function in READ_FUNCTION.values():
        return 5 + received[2] if len(received) > 2 else None
    return Fault(f"unit {received[0]} answered what nobody asked")


def _with_checksum(frame: bytes) -> bytes:
    return frame + FramerRTU.compute_CRC(frame).to_bytes(2, "big")
