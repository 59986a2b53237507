"""Fuzzed replies: none crashes the poller, none that breaks a rule becomes a good value.

A forged answer that is well formed and believable cannot be told from a true one; all else
must be: framing, transaction, unit, function, length, range, rate.
"""

from __future__ import annotations

import asyncio
import contextlib
import random
import struct
from collections import Counter
from dataclasses import dataclass, field, replace
from datetime import timedelta
from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pymodbus.framer.rtu import FramerRTU

from drivers.frames import Fault, RtuFraming, SocketFraming, read_request, write_request
from drivers.modbus_bus import ModbusFieldBus
from ems.domain.estate import Gateway
from ems.domain.profiles import Cadence, Space
from ems.domain.readings import Quality

UNIT = 11

requests = st.one_of(
    st.builds(
        read_request,
        st.just(UNIT),
        st.sampled_from(Space),
        st.integers(0, 0xFF00),
        st.integers(1, 125),
    ),
    st.builds(
        lambda address, values, single: write_request(
            UNIT, Space.HOLDING, address, values[:1] if single else values, single=single
        ),
        st.integers(0, 0xFF00),
        st.lists(st.integers(0, 0xFFFF), min_size=1, max_size=100),
        st.booleans(),
    ),
)


@st.composite
def spoilt(draw, frame: bytes) -> bytes:
    """Return a frame with up to four bytes changed, lost, or put in; or something else."""
    if draw(st.booleans()) and draw(st.booleans()):
        return draw(st.binary(max_size=300))
    data = bytearray(frame)
    for _ in range(draw(st.integers(0, 4))):
        at = draw(st.integers(0, max(len(data) - 1, 0)) | st.integers(0, min(len(data), 9)))
        match draw(st.sampled_from(("change", "lose", "put in", "cut off", "twice"))):
            case "change" if at < len(data):
                data[at] = draw(st.integers(0, 255))
            case "lose":
                del data[at : at + 1]
            case "put in":
                data[at:at] = draw(st.binary(min_size=1, max_size=3))
            case "cut off":
                del data[at:]
            case "twice":
                data = data * 2
    return bytes(data)


def truth(request, draw) -> bytes:
    """Return the reply's PDU that a well-behaved device gives."""
    if not request.count:
        return request.start
    size = request.length - 2
    return request.start + draw(st.binary(min_size=size, max_size=size))


def fits(request, pdu: bytes) -> bool:
    """Judge a reply's PDU by the specification, in words of its own."""
    asked = request.pdu[0]
    if pdu[0] == asked + 0x80:
        return len(pdu) == 2
    if asked in (5, 6):
        return pdu == request.pdu
    if asked == 16:
        return pdu == request.pdu[:5]
    count = int.from_bytes(request.pdu[3:5])
    size = -(-count // 8) if asked <= 2 else 2 * count
    return len(pdu) == 2 + size and pdu[:2] == bytes([asked, size])


def in_tcp_stream(stream: bytes, request, transaction: int) -> list[bytes]:
    """Return the PDUs of whole messages that carry this transaction and unit."""
    found = []
    while len(stream) >= 8:
        number, protocol, length, unit = struct.unpack(">HHHB", stream[:7])
        if protocol or not 3 <= length <= 254 or len(stream) < 6 + length:
            break
        if number == transaction and unit == request.unit_id:
            found.append(stream[7 : 6 + length])
        stream = stream[6 + length :]
    return found


def in_rtu_stream(stream: bytes, request) -> list[bytes]:
    """Return the PDUs of all runs of bytes from this unit whose checksum is right."""
    found = []
    for start in range(len(stream)):
        if stream[start] == request.unit_id:
            for end in range(start + 4, min(len(stream), start + 260) + 1):
                checksum = int.from_bytes(stream[end - 2 : end])
                if FramerRTU.compute_CRC(stream[start : end - 2]) == checksum:
                    found.append(stream[start + 1 : end - 2])
    return found


def fed(framing, request, stream: bytes, cuts: list[int]):
    """Feed a stream in pieces; return what was taken as the reply, ``None`` for nothing."""
    received = bytearray()
    edges = sorted({0, len(stream), *(cut % (len(stream) + 1) for cut in cuts)})
    for start, end in pairwise(edges):
        received += stream[start:end]
        taken = framing.take(received, request)
        if taken is not None:
            return taken
    return None


@given(st.data(), st.lists(requests, min_size=1, max_size=25))
def test_what_tcp_framing_takes_is_a_whole_reply_to_this_very_request(data, asked):
    """A connection on which every reply may be spoilt; late ones of earlier requests follow."""
    framing = SocketFraming()
    late = b""
    for request in asked:
        sent = framing.wrap(request)
        number = int.from_bytes(sent[:2])
        pdu = truth(request, data.draw)
        frame = struct.pack(">HHHB", number, 0, len(pdu) + 1, UNIT) + pdu
        stream = late + data.draw(st.just(frame) | spoilt(frame))
        taken = fed(framing, request, stream, data.draw(st.lists(st.integers(0, 300), max_size=3)))
        if isinstance(taken, bytes):
            assert taken in in_tcp_stream(stream, request, number)
            assert fits(request, taken)
            assert len(request.values(taken)) in (0, request.count)
        elif stream == late + frame:
            assert not isinstance(taken, Fault), taken
        late = data.draw(st.sampled_from((b"", frame)))


@given(st.data(), st.lists(requests, min_size=1, max_size=8))
def test_what_rtu_framing_takes_has_this_unit_this_function_and_a_right_checksum(data, asked):
    framing = RtuFraming()
    for request in asked:
        framing.wrap(request)
        pdu = bytes([UNIT]) + truth(request, data.draw)
        frame = pdu + FramerRTU.compute_CRC(pdu).to_bytes(2)
        other = bytes([UNIT + 1]) + pdu[1:]
        other += FramerRTU.compute_CRC(other).to_bytes(2)
        late = data.draw(st.sampled_from((b"", other)))
        stream = late + data.draw(st.just(frame) | spoilt(frame))
        taken = fed(framing, request, stream, data.draw(st.lists(st.integers(0, 300), max_size=3)))
        if isinstance(taken, bytes):
            assert taken in in_rtu_stream(stream, request)
            assert fits(request, taken)
        if stream == late + frame:
            assert taken == pdu[1:]


BREAKS = (
    "well",
    "well",
    "bits flipped in the header",
    "another transaction",
    "another unit",
    "another function",
    "byte count",
    "too short",
    "too long",
    "cut off",
    "noise",
    "nothing",
    "the last reply again",
    "hang up",
    "exception",
    "exception of the wrong length",
    "out of range",
    "not a number",
    "too fast",
)


@dataclass
class Liar:
    """A meter over a raw socket that breaks one rule with most replies.

    Attributes
    ----------
    power_w
        The truth now; it changes with each round, so that a late value is a wrong one.
    last
        The true reply to the last request, whatever was given; sent late, to the same
        connection or the next one.
    """

    rng: random.Random
    power_w: float = 1000.0
    voltage_v: float = 245.0
    honest: bool = True
    told: Counter[str] = field(default_factory=Counter)
    last: bytes = b""

    def registers(self, address: int, count: int) -> bytes:
        values = {0: self.voltage_v, 12: self.power_w, 70: 50.0, 72: 100.0, 74: 7.0}
        image = {}
        for start, value in values.items():
            image[start], image[start + 1] = struct.unpack(">HH", struct.pack(">f", value))
        return struct.pack(f">{count}H", *(image.get(address + at, 0) for at in range(count)))

    async def serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        with contextlib.suppress(asyncio.IncompleteReadError, ConnectionError):
            while True:
                header = await reader.readexactly(7)
                pdu = await reader.readexactly(int.from_bytes(header[4:6]) - 1)
                reply = self.reply(header, pdu)
                if reply is None:
                    break
                writer.write(reply)
                await writer.drain()
        writer.close()

    def reply(self, header: bytes, pdu: bytes) -> bytes | None:
        """Return what to send; ``None`` to hang up."""
        way = "well" if self.honest else self.rng.choice(BREAKS)
        self.told[way] += 1
        if way == "hang up":
            return None
        number, unit = int.from_bytes(header[:2]), header[6]
        if way == "another transaction":
            number = (number + self.rng.randrange(1, 0x10000)) % 0x10000
        if way == "another unit":
            unit = (unit + self.rng.randrange(1, 256)) % 256
        body = self.body(way, pdu)
        frame = struct.pack(">HHHB", number, 0, len(body) + 1, unit) + body
        body = self.body("well", pdu)
        last, self.last = self.last, header[:4] + bytes([0, len(body) + 1, header[6]]) + body
        return last if way == "the last reply again" else self.spoil(way, frame)

    def body(self, way: str, pdu: bytes) -> bytes:
        """Return a reply's PDU, broken in this way or not at all."""
        rng = self.rng
        address, count = struct.unpack(">HH", pdu[1:5])
        data = self.registers(address, count)
        body = bytes([pdu[0], len(data)]) + data
        match way:
            case "another function":
                body = bytes([rng.choice([f for f in range(128) if f != pdu[0]])]) + body[1:]
            case "byte count":
                body = body[:1] + bytes([(body[1] + rng.randrange(1, 256)) % 256]) + body[2:]
            case "too short":
                keep = rng.randrange(len(data))
                body = bytes([pdu[0], keep]) + data[:keep]
            case "too long":
                more = rng.randbytes(rng.randrange(1, 60))
                body = bytes([pdu[0], len(data) + len(more)]) + data + more
            case "exception":
                body = bytes([pdu[0] | 0x80, rng.randrange(256)])
            case "exception of the wrong length":
                body = bytes([pdu[0] | 0x80]) + rng.randbytes(rng.choice((2, 3, 7)))
            case "out of range":
                body = body[:2] + struct.pack(">f", rng.choice((1, -1)) * 3e38) * (count // 2)
            case "not a number":
                body = body[:2] + b"\x7f\xc0\x00\x00" * (count // 2)
            case "too fast" if address == 70:
                body = body[:6] + struct.pack(">f", 100.0 + rng.uniform(1e3, 1e5)) + body[10:]
        return body

    def spoil(self, way: str, frame: bytes) -> bytes:
        """Return a whole message, broken in this way or not at all."""
        rng = self.rng
        match way:
            case "bits flipped in the header":
                at = rng.randrange(9)
                return frame[:at] + bytes([frame[at] ^ 1 << rng.randrange(8)]) + frame[at + 1 :]
            case "cut off":
                return frame[: rng.randrange(1, len(frame))]
            case "noise":
                return rng.randbytes(rng.randrange(1, 300))
            case "nothing":
                return b""
        return frame


def tell_lies(kit, profiles, replies: int, seed: int) -> None:
    """Poll a liar until it has given so many replies; then it is honest and is believed."""
    meter = kit.device(profiles["eastron_sdm120"], UNIT, name="meter")
    liar = Liar(random.Random(seed))
    clock = kit.HandClock()

    async def story() -> Counter[Quality]:
        server = await asyncio.start_server(liar.serve, "127.0.0.1", 0)
        gateway = Gateway("gw", "127.0.0.1", server.sockets[0].getsockname()[1], 5.0)
        bus = ModbusFieldBus([meter], {"gw": gateway}, wall=clock)
        now, seen = kit.NOON, Counter()
        believed = await bus.poll(set(Cadence), now)
        assert all(reading.is_good for reading in believed)
        for line in bus._lines.values():  # from here on, silence costs next to nothing
            line.gateway = replace(gateway, timeout_s=0.01)
        while sum(liar.told.values()) < replies:
            liar.honest = False
            now += timedelta(minutes=1)
            liar.power_w = 1000.0 + sum(liar.told.values()) % 4001
            liar.voltage_v = 480.0 - liar.voltage_v  # it moves, as a living mains does
            true = {"power_w": liar.power_w, "voltage_v": liar.voltage_v, "frequency_hz": 50.0}
            true |= {"energy_import_kwh": 100.0, "energy_export_kwh": 7.0}
            clock.seconds += 100.0
            readings = await bus.poll(set(Cadence), now)
            assert len(readings) >= len(true)
            for reading in readings:
                seen[reading.quality] += 1
                if reading.is_good:
                    assert reading.value == true[reading.point_id.point], (reading, liar.told)
            await bus.settle()
        liar.honest = True
        for line in bus._lines.values():
            line.gateway = gateway
        for _ in range(100):
            now += timedelta(minutes=1)
            clock.seconds += 100.0
            liar.voltage_v = 480.0 - liar.voltage_v
            if all(reading.is_good for reading in await bus.poll(set(Cadence), now)):
                break
            await bus.settle()
        else:
            raise AssertionError("an honest meter is not believed again")
        await bus.close()
        server.close()
        return seen

    seen = asyncio.run(story())
    assert set(liar.told) == set(BREAKS)
    for quality in (Quality.GOOD, Quality.NO_ANSWER, Quality.OUT_OF_RANGE, Quality.SENTINEL):
        assert seen[quality] > 0, seen


def test_no_lie_becomes_a_good_value(kit, profiles):
    tell_lies(kit, profiles, 2500, seed=5)


@pytest.mark.long
@pytest.mark.timeout(3000)
def test_no_lie_of_a_hundred_thousand_becomes_a_good_value(kit, profiles):
    tell_lies(kit, profiles, 100_000, seed=20261121)
