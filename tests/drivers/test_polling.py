"""Polling over real sockets: what devices and gateways do wrong, and what must follow."""

from __future__ import annotations

import asyncio
import math
import random
import struct
from dataclasses import replace
from datetime import timedelta

import pytest
import structlog

from drivers.codec import register_image
from drivers.modbus_bus import ModbusFieldBus
from ems.domain.profiles import Cadence, DataType, PointMap, Space
from ems.domain.readings import Quality

FAST, ALL = {Cadence.FAST}, set(Cadence)
METER_VALUES = {
    "power_w": 1500.0,
    "voltage_v": 230.0,
    "frequency_hz": 50.0,
    "energy_import_kwh": 100.0,
    "energy_export_kwh": 0.0,
}


@pytest.fixture
def meter(profiles):
    return profiles["eastron_sdm120"]


@pytest.fixture
def homes(kit, meter):
    """Return units and devices of ``count`` meters, unit ids from 11."""

    def make(count):
        units = {11 + n: kit.Unit(register_image(meter, METER_VALUES)) for n in range(count)}
        return units, [kit.device(meter, unit_id, name=f"m{unit_id}") for unit_id in units]

    return make


def _good(readings, device_id):
    mine = [reading for reading in readings if reading.point_id.device_id == device_id]
    assert mine
    return all(reading.is_good for reading in mine)


def _silent(readings, device_id):
    mine = [reading for reading in readings if reading.point_id.device_id == device_id]
    assert mine
    return all(r.quality is Quality.NO_ANSWER and math.isnan(r.value) for r in mine)


def test_every_point_asked_for_comes_back_once(kit, homes):
    units, devices = homes(3)

    async def story():
        async with kit.serving(units) as server:
            bus = ModbusFieldBus(devices, kit.gateway_of(server))
            fast = await bus.poll(FAST, kit.NOON)
            everything = await bus.poll(ALL, kit.NOON)
            await bus.close()
            return fast, everything, server.connections

    fast, everything, connections = asyncio.run(story())
    assert [str(r.point_id) for r in fast] == ["m11.power_w", "m12.power_w", "m13.power_w"]
    assert {(r.value, r.quality, r.observed_at) for r in fast} == {(1500.0, Quality.GOOD, kit.NOON)}
    assert len(everything) == len({r.point_id for r in everything}) == 15
    assert connections == 1


@pytest.mark.parametrize(
    "behaviour",
    [
        "mute",
        "short",
        "lying byte count",
        "wrong unit",
        "wrong transaction",
        "wrong function",
        "not modbus",
        "cut off",
        "hang up",
        "refuse:4",
        "refuse:6",
        "refuse:10",
        "refuse:11",
    ],
)
def test_a_misbehaving_device_gives_no_value_and_leaves_its_neighbours_alone(kit, homes, behaviour):
    units, devices = homes(3)
    units[12].behaviour = behaviour
    clock = kit.HandClock()

    async def story():
        async with kit.serving(units) as server:
            bus = ModbusFieldBus(devices, kit.gateway_of(server), wall=clock)
            sick = await bus.poll(ALL, kit.NOON)
            asked = server.reads_of(12)
            again = await bus.poll(ALL, kit.NOON)
            left_alone = server.reads_of(12) == asked
            units[12].behaviour = "ok"
            clock.seconds += 3.0
            well = await kit.poll_found(bus, ALL, kit.NOON)
            await bus.close()
            return sick, again, left_alone, well

    with structlog.testing.capture_logs() as logs:
        sick, again, left_alone, well = asyncio.run(story())
    for readings in (sick, again):
        assert _good(readings, "m11")
        assert _silent(readings, "m12")
        assert _good(readings, "m13")
    assert left_alone
    assert all(_good(well, name) for name in ("m11", "m12", "m13"))
    events = [entry["event"] for entry in logs if entry.get("device") == "m12"]
    assert events == ["device_lost", "device_returned"]
    assert len(logs) == 2


def test_a_dead_device_is_asked_ever_more_rarely(kit, homes):
    units, devices = homes(2)
    units[11].behaviour = "mute"
    clock = kit.HandClock()

    async def story():
        async with kit.serving(units) as server:
            bus = ModbusFieldBus(devices, kit.gateway_of(server, timeout_s=0.4), wall=clock)
            for _ in range(200):
                readings = await bus.poll(FAST, kit.NOON)
                await bus.settle()
                assert _good(readings, "m12")
                clock.seconds += 1.0
            await bus.close()
            return server.reads_of(11), server.reads_of(12)

    dead, neighbour = asyncio.run(story())
    assert 5 <= dead <= 12
    assert neighbour == 200


def test_a_late_reply_is_not_taken_for_the_next_one(kit, homes, meter):
    """The late reply says 1500 W, the present one 2000 W: only the present one counts."""
    units, devices = homes(2)
    units[12].image = register_image(meter, METER_VALUES | {"power_w": 2000.0})
    units[11].delay_s = 0.15

    async def story():
        async with kit.serving(units) as server:
            bus = ModbusFieldBus(devices, kit.gateway_of(server, timeout_s=0.1))
            first = await bus.poll(FAST, kit.NOON)
            await asyncio.sleep(0.2)
            second = await bus.poll(FAST, kit.NOON)
            await bus.close()
            return first, second

    for readings in asyncio.run(story()):
        by = {r.point_id.device_id: r for r in readings}
        assert by["m11"].quality is Quality.NO_ANSWER
        assert (by["m12"].value, by["m12"].quality) == (2000.0, Quality.GOOD)


def test_a_half_open_connection_is_dropped_and_made_anew(kit, homes):
    units, devices = homes(5)
    clock = kit.HandClock()

    async def story():
        async with kit.serving(units) as server:
            bus = ModbusFieldBus(devices, kit.gateway_of(server, timeout_s=0.1), wall=clock)
            assert _good(await bus.poll(FAST, kit.NOON), "m15")
            server.half_open = True
            lost = await bus.poll(FAST, kit.NOON)
            await bus.settle()
            asked = len(server.requests)
            again = await bus.poll(FAST, kit.NOON)
            quickly = len(server.requests) == asked
            server.half_open = False
            clock.seconds += 60.0
            await kit.poll_found(bus, FAST, kit.NOON)
            clock.seconds += 60.0
            back = await kit.poll_found(bus, FAST, kit.NOON)
            await bus.close()
            return lost, again, quickly, back, server.connections

    with structlog.testing.capture_logs() as logs:
        lost, again, quickly, back, connections = asyncio.run(story())
    names = [f"m{n}" for n in range(11, 16)]
    assert all(_silent(readings, name) for readings in (lost, again) for name in names)
    assert quickly
    assert all(_good(back, name) for name in names)
    assert connections >= 2
    gateway = [entry["event"] for entry in logs if "gateway" in entry]
    assert gateway == ["gateway_lost", "gateway_returned"]


def test_a_gateway_that_reboots_costs_one_line_each_way_and_no_device_is_blamed(kit, homes):
    units, devices = homes(20)
    clock = kit.HandClock()

    async def story():
        async with kit.serving(units) as server:
            bus = ModbusFieldBus(devices, kit.gateway_of(server), wall=clock)
            assert _good(await bus.poll(ALL, kit.NOON), "m11")
            await server.stop()
            for _ in range(5):
                down = await bus.poll(ALL, kit.NOON)
                assert len(down) == 100
                assert all(r.quality is Quality.NO_ANSWER for r in down)
            await server.start()
            clock.seconds += 30.0
            back = await kit.poll_found(bus, ALL, kit.NOON)
            await bus.close()
            return back

    with structlog.testing.capture_logs() as logs:
        back = asyncio.run(story())
    assert all(reading.is_good for reading in back)
    assert [entry["event"] for entry in logs] == ["gateway_lost", "gateway_returned"]


def test_an_idle_connection_that_was_closed_is_no_failure(kit, homes):
    units, devices = homes(1)

    async def story():
        async with kit.serving(units) as server:
            bus = ModbusFieldBus(devices, kit.gateway_of(server))
            await bus.poll(FAST, kit.NOON)
            await server.stop()
            await server.start()
            again = await bus.poll(FAST, kit.NOON)
            await bus.close()
            return again

    with structlog.testing.capture_logs() as logs:
        assert _good(asyncio.run(story()), "m11")
    assert logs == []


def test_a_dead_gateway_does_not_touch_the_other(kit, homes):
    units, devices = homes(4)
    devices = [
        replace(device, gateway_id="dead" if index % 2 else "gw")
        for index, device in enumerate(devices)
    ]

    async def story():
        async with kit.serving(units) as server, kit.serving({}) as dead:
            gateways = kit.gateway_of(server)
            gateways["dead"] = replace(gateways["gw"], id="dead", port=dead.port)
            await dead.stop()
            bus = ModbusFieldBus(devices, gateways)
            readings = await bus.poll(ALL, kit.NOON)
            await bus.close()
            return readings

    readings = asyncio.run(story())
    assert [_good(readings, d.id) for d in devices] == [True, False, True, False]
    assert [_silent(readings, d.id) for d in devices] == [False, True, False, True]


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
            server.units[11].image = register_image(meter, METER_VALUES)
            clock.seconds += 3.0
            back = await kit.poll_found(bus, ALL, kit.NOON)
            await bus.close()
            return empty, back

    empty, back = asyncio.run(story())
    assert _silent(empty, "m11")
    assert _good(back, "m11")


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
        assert _silent(asyncio.run(story()), "pv")
    assert logs[0]["event"] == "device_lost"
    assert "register 40070 holds 203, not 103" in logs[0]["detail"]


def test_a_counter_that_falls_is_doubted_then_believed(kit, meter):
    unit = kit.Unit({})

    async def story():
        async with kit.serving({11: unit}) as server:
            bus = ModbusFieldBus([kit.device(meter, 11, name="m11")], kit.gateway_of(server))
            seen = []
            for minute, energy in enumerate((100.0, 100.1, 0.0, 0.1, 0.2)):
                unit.image = register_image(meter, METER_VALUES | {"energy_import_kwh": energy})
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


def test_two_polls_at_once_share_the_gateway_and_one_connection(kit, homes):
    units, devices = homes(10)

    async def story():
        async with kit.serving(units) as server:
            bus = ModbusFieldBus(devices, kit.gateway_of(server))
            both = await asyncio.gather(bus.poll(ALL, kit.NOON), bus.poll(FAST, kit.NOON))
            await bus.close()
            return both, server.connections

    both, connections = asyncio.run(story())
    assert all(reading.is_good for readings in both for reading in readings)
    assert connections == 1


def test_what_a_device_missed_while_silent_is_read_as_soon_as_it_answers(kit, homes):
    """Settings are read every five minutes; nobody waits for the next time they are due."""
    units, devices = homes(2)
    units[11].behaviour = "mute"
    clock = kit.HandClock()

    async def story():
        async with kit.serving(units) as server:
            bus = ModbusFieldBus(devices, kit.gateway_of(server, 0.1), wall=clock)
            await bus.poll(ALL, kit.NOON)
            units[11].behaviour = "ok"
            clock.seconds += 60.0
            back = await kit.poll_found(bus, FAST, kit.NOON)
            after = await bus.poll(FAST, kit.NOON)
            await bus.close()
            return back, after

    back, after = asyncio.run(story())
    assert set(kit.by_name(back, "m11")) == set(METER_VALUES)
    assert set(kit.by_name(back, "m12")) == {"power_w"}
    assert all(reading.is_good for reading in back)
    assert set(kit.by_name(after, "m11")) == {"power_w"}


def test_a_gateway_that_is_late_holds_up_no_other_and_its_readings_come_later(kit, homes):
    units, devices = homes(2)
    slow = {12: units.pop(12)}
    devices = [devices[0], replace(devices[1], gateway_id="slow")]

    async def story():
        async with kit.serving(units) as server, kit.serving(slow) as other:
            gateways = kit.gateway_of(server)
            gateways["slow"] = replace(gateways["gw"], id="slow", port=other.port, timeout_s=60.0)
            bus = ModbusFieldBus(devices, gateways)
            await bus.poll(FAST, kit.NOON)
            slow[12].held.clear()
            during = await bus.poll(FAST, kit.NOON + timedelta(seconds=10))
            skipped = await bus.poll(ALL, kit.NOON + timedelta(seconds=20))
            slow[12].held.set()
            await bus.settle()
            after = await bus.poll(FAST, kit.NOON + timedelta(seconds=30))
            await bus.close()
            return during, skipped, after

    during, skipped, after = asyncio.run(story())
    assert [r.point_id.device_id for r in during] == ["m11"]
    assert _good(during, "m11")
    assert _good(skipped, "m11")
    mine = [r for r in after if r.point_id.device_id == "m12"]
    seen = [(r.point_id.point, (r.observed_at - kit.NOON).total_seconds()) for r in mine]
    assert seen[0] == ("power_w", 10.0)
    assert sorted(seen[1:]) == sorted((name, 30.0) for name in METER_VALUES)
    assert all(reading.is_good for reading in after)


def test_a_device_that_says_the_same_for_too_long_is_stale_until_it_moves(kit, meter):
    """The frequency of the mains never stands still for ten minutes: what does is a cache."""
    points = dict(meter.points)
    points["voltage_v"] = replace(points["voltage_v"], moves_within_s=None)
    points["frequency_hz"] = replace(points["frequency_hz"], moves_within_s=600.0)
    watched = replace(meter, points=points)
    unit = kit.Unit(register_image(meter, METER_VALUES))

    async def story():
        async with kit.serving({11: unit}) as server:
            bus = ModbusFieldBus([kit.device(watched, 11, name="m11")], kit.gateway_of(server))
            seen = []
            for minute in (0, 5, 10, 11, 12):
                if minute == 12:
                    unit.image = register_image(meter, METER_VALUES | {"frequency_hz": 49.9})
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
                unit.image = register_image(timed, METER_VALUES | {"clock_s": right_s})
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
