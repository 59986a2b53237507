"""Polling over real sockets: what devices and gateways do wrong, and what must follow."""

from __future__ import annotations

import asyncio
from dataclasses import replace
from datetime import timedelta

import pytest
import structlog

from drivers.codec import register_image
from drivers.modbus_bus import ModbusFieldBus
from ems.domain.profiles import Cadence
from ems.domain.readings import Quality

FAST, ALL = {Cadence.FAST}, set(Cadence)


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
        assert kit.good(readings, "m11")
        assert kit.silent(readings, "m12")
        assert kit.good(readings, "m13")
    assert left_alone
    assert all(kit.good(well, name) for name in ("m11", "m12", "m13"))
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
                assert kit.good(readings, "m12")
                clock.seconds += 1.0
            await bus.close()
            return server.reads_of(11), server.reads_of(12)

    dead, neighbour = asyncio.run(story())
    assert 5 <= dead <= 12
    assert neighbour == 200


def test_a_late_reply_is_not_taken_for_the_next_one(kit, homes, meter):
    """The late reply says 1500 W, the present one 2000 W: only the present one counts."""
    units, devices = homes(2)
    units[12].image = register_image(meter, kit.METER_VALUES | {"power_w": 2000.0})
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
            assert kit.good(await bus.poll(FAST, kit.NOON), "m15")
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
    assert all(kit.silent(readings, name) for readings in (lost, again) for name in names)
    assert quickly
    assert all(kit.good(back, name) for name in names)
    assert connections >= 2
    gateway = [entry["event"] for entry in logs if "gateway" in entry]
    assert gateway == ["gateway_lost", "gateway_returned"]


def test_a_gateway_that_reboots_costs_one_line_each_way_and_no_device_is_blamed(kit, homes):
    units, devices = homes(20)
    clock = kit.HandClock()

    async def story():
        async with kit.serving(units) as server:
            bus = ModbusFieldBus(devices, kit.gateway_of(server), wall=clock)
            assert kit.good(await bus.poll(ALL, kit.NOON), "m11")
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
        assert kit.good(asyncio.run(story()), "m11")
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
    assert [kit.good(readings, d.id) for d in devices] == [True, False, True, False]
    assert [kit.silent(readings, d.id) for d in devices] == [False, True, False, True]


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
    assert set(kit.by_name(back, "m11")) == set(kit.METER_VALUES)
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
    assert kit.good(during, "m11")
    assert kit.good(skipped, "m11")
    mine = [r for r in after if r.point_id.device_id == "m12"]
    seen = [(r.point_id.point, (r.observed_at - kit.NOON).total_seconds()) for r in mine]
    assert seen[0] == ("power_w", 10.0)
    assert sorted(seen[1:]) == sorted((name, 30.0) for name in kit.METER_VALUES)
    assert all(reading.is_good for reading in after)
