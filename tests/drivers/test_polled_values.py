"""Polling over real sockets: which values are believed, marked or left out."""

from __future__ import annotations

import asyncio
import random
import struct
from dataclasses import replace
from datetime import timedelta

import structlog

from drivers.codec import register_image
from drivers.modbus_bus import ModbusFieldBus
from ems.domain.profiles import Cadence, DataType, PointMap, Space
from ems.domain.readings import Quality

FAST, ALL = {Cadence.FAST}, set(Cadence)


def test_holes_are_learnt_once_and_asked_for_again_after_an_hour(kit, profiles):
    daikin = profiles["daikin_homehub_altherma3"]
    values = dict.fromkeys(daikin.points, 20.0)
    values |= dict.fromkeys(("compressor_on", "hot_water_on", "defrost_on", "heating_on"), 1.0)
    values |= {"fault": 0.0, "sg_mode": 2.0}
    image = register_image(daikin, values)
    for address in set(range(20, 51)) - set(image[Space.INPUT]):
        image[Space.INPUT][address] = 0
    for address in range(3, 56):
        image[Space.HOLDING].setdefault(address, 0)
    flow = image[Space.INPUT].pop(48)

    async def story():
        async with kit.serving({41: kit.Unit(image)}) as server:
            bus = ModbusFieldBus([kit.device(daikin, 41, name="hp")], kit.gateway_of(server))
            first = await bus.poll(ALL, kit.NOON)
            learning = len(server.requests)
            second = await bus.poll(ALL, kit.NOON)
            known = len(server.requests) - learning
            image[Space.INPUT][48] = flow
            third = await bus.poll(ALL, kit.NOON + timedelta(minutes=59))
            fourth = await bus.poll(ALL, kit.NOON + timedelta(minutes=61))
            await bus.close()
            return first, second, third, fourth, learning, known

    first, second, third, fourth, learning, known = asyncio.run(story())
    for readings in (first, second, third):
        found = kit.by_name(readings, "hp")
        assert found["flow_rate_lpm"].quality is Quality.NO_ANSWER
        others = [r for name, r in found.items() if name != "flow_rate_lpm"]
        assert all(reading.is_good for reading in others)
        assert len(others) == len(daikin.points)
    assert known < learning
    assert kit.by_name(fourth, "hp")["flow_rate_lpm"].value == 20.0


def test_a_device_that_refuses_everything_is_lost_not_empty(kit, meter):
    async def story():
        async with kit.serving({11: kit.Unit({})}) as server:
            clock = kit.HandClock()
            bus = ModbusFieldBus(
                [kit.device(meter, 11, name="m11")], kit.gateway_of(server), wall=clock
            )
            empty = await bus.poll(ALL, kit.NOON)
            server.units[11].image = register_image(meter, kit.METER_VALUES)
            clock.seconds += 3.0
            back = await kit.poll_found(bus, ALL, kit.NOON)
            await bus.close()
            return empty, back

    empty, back = asyncio.run(story())
    assert kit.silent(empty, "m11")
    assert kit.good(back, "m11")


def test_another_make_in_its_place_is_not_believed(kit, profiles):
    sunspec = replace(profiles["sunspec_inverter"], discovery=None)
    image = register_image(sunspec, {"power_w": -5000.0, "frequency_hz": 50.0})
    image[Space.HOLDING][40070] = 203  # a meter, not an inverter

    async def story():
        async with kit.serving({2: kit.Unit(image, gaps_answer=True)}) as server:
            bus = ModbusFieldBus([kit.device(sunspec, 2, name="pv")], kit.gateway_of(server))
            readings = await bus.poll(ALL, kit.NOON)
            await bus.close()
            return readings

    with structlog.testing.capture_logs() as logs:
        assert kit.silent(asyncio.run(story()), "pv")
    assert logs[0]["event"] == "device_lost"
    assert "register 40070 holds 203, not 103" in logs[0]["detail"]


def test_a_counter_that_falls_is_doubted_then_believed(kit, meter):
    unit = kit.Unit({})

    async def story():
        async with kit.serving({11: unit}) as server:
            bus = ModbusFieldBus([kit.device(meter, 11, name="m11")], kit.gateway_of(server))
            seen = []
            for minute, energy in enumerate((100.0, 100.1, 0.0, 0.1, 0.2)):
                unit.image = register_image(meter, kit.METER_VALUES | {"energy_import_kwh": energy})
                readings = await bus.poll(ALL, kit.NOON + timedelta(minutes=minute))
                seen.append(kit.by_name(readings, "m11")["energy_import_kwh"].quality)
            await bus.close()
            return seen

    with structlog.testing.capture_logs() as logs:
        seen = asyncio.run(story())
    assert [quality.name for quality in seen] == [
        "GOOD", "GOOD", "OUT_OF_RANGE", "OUT_OF_RANGE", "GOOD",
    ]  # fmt: skip
    assert [entry["event"] for entry in logs] == ["counter_began_anew"]


def test_broken_framing_never_gives_a_good_value(kit, homes):
    """Seeded noise instead of replies: bytes are changed, cut off or made up."""
    _, devices = homes(2)
    rng = random.Random(5)

    async def noisy(reader, writer):
        try:
            while True:
                header = await reader.readexactly(7)
                await reader.readexactly(struct.unpack(">H", header[4:6])[0] - 1)
                reply = bytearray(header[:2] + b"\x00\x00\x00\x07" + header[6:7] + b"\x04\x04")
                reply += struct.pack(">f", 1500.0)
                place = rng.randrange(2, 9)
                reply[place] ^= 1 << rng.randrange(8)
                writer.write(bytes(reply[: rng.choice((len(reply), rng.randrange(1, 13)))]))
                await writer.drain()
        except (asyncio.IncompleteReadError, ConnectionError, asyncio.CancelledError):
            writer.close()

    async def story():
        server = await asyncio.start_server(noisy, "127.0.0.1", 0)
        port = server.sockets[0].getsockname()[1]
        gateways = {"gw": replace(kit.gateway_of(kit.ScriptedGateway({}))["gw"], port=port)}
        gateways["gw"] = replace(gateways["gw"], timeout_s=0.02)
        clock = kit.HandClock()
        bus = ModbusFieldBus(devices, gateways, wall=clock)
        seen = []
        for _ in range(150):
            seen += await bus.poll(FAST, kit.NOON)
            clock.seconds += 100.0
        await bus.close()
        server.close()
        return seen

    seen = asyncio.run(story())
    assert len(seen) == 300
    assert {reading.quality for reading in seen} == {Quality.NO_ANSWER}


def test_a_device_that_says_the_same_for_too_long_is_stale_until_it_moves(kit, meter):
    """The frequency of the mains never stands still for ten minutes: what does is a cache."""
    points = dict(meter.points)
    points["voltage_v"] = replace(points["voltage_v"], moves_within_s=None)
    points["frequency_hz"] = replace(points["frequency_hz"], moves_within_s=600.0)
    watched = replace(meter, points=points)
    unit = kit.Unit(register_image(meter, kit.METER_VALUES))

    async def story():
        async with kit.serving({11: unit}) as server:
            bus = ModbusFieldBus([kit.device(watched, 11, name="m11")], kit.gateway_of(server))
            seen = []
            for minute in (0, 5, 10, 11, 12):
                if minute == 12:
                    unit.image = register_image(meter, kit.METER_VALUES | {"frequency_hz": 49.9})
                readings = await bus.poll(ALL, kit.NOON + timedelta(minutes=minute))
                seen.append({reading.quality for reading in readings})
            await bus.close()
            return seen

    with structlog.testing.capture_logs() as logs:
        seen = asyncio.run(story())
    assert seen == [{Quality.GOOD}] * 3 + [{Quality.STALE}] + [{Quality.GOOD}]
    assert [entry["event"] for entry in logs] == ["device_frozen", "device_moves_again"]


def test_a_clock_that_is_wrong_is_marked_and_said_once(kit, meter):
    clock = PointMap(
        "clock_s", Space.INPUT, 200, DataType.UINT32, offset=946684800.0, cadence=Cadence.SLOW
    )
    timed = replace(meter, points={**meter.points, "clock_s": clock})
    unit = kit.Unit({})

    async def story():
        async with kit.serving({11: unit}) as server:
            bus = ModbusFieldBus([kit.device(timed, 11, name="m11")], kit.gateway_of(server))
            seen = []
            for ahead_s in (0, 299, 3600, 3600, -301, 5):
                right_s = kit.NOON.timestamp() + ahead_s
                unit.image = register_image(timed, kit.METER_VALUES | {"clock_s": right_s})
                found = kit.by_name(await bus.poll(ALL, kit.NOON), "m11")
                assert found["power_w"].is_good
                seen.append((found["clock_s"].value - right_s, found["clock_s"].quality))
            await bus.close()
            return seen

    with structlog.testing.capture_logs() as logs:
        seen = asyncio.run(story())
    good, off = (0.0, Quality.GOOD), (0.0, Quality.OUT_OF_RANGE)
    assert seen == [good, good, off, off, off, good]
    assert [entry["event"] for entry in logs] == ["clock_off", "clock_right_again"]
