"""Commands over real sockets: what is written, what is not, and what came of it."""

from __future__ import annotations

import asyncio
from contextlib import asynccontextmanager
from dataclasses import replace
from datetime import timedelta

import pytest

from drivers.codec import register_image
from drivers.modbus_bus import ModbusFieldBus
from drivers.orders import quantise
from ems.domain.errors import InvalidInputError
from ems.domain.points import PointId
from ems.domain.profiles import Cadence, Rounding, Space, WriteRule
from ems.domain.setpoints import (
    Applied,
    Deferred,
    OutOfBounds,
    Rejected,
    Unconfirmed,
    Unreachable,
)

DAIKIN, ECODAN, LG, SOFAR = (
    "daikin_homehub_altherma3",
    "mitsubishi_ecodan_a1m",
    "lg_therma_v",
    "sofar_hyd_g3",
)
STANDING = {
    DAIKIN: {"room_setpoint_c": 20.0, "sg_mode": 2.0},
    ECODAN: {"room_setpoint_c": 20.0, "heating_control": 0.0, "fault": 0.0},
    LG: {"sg_mode": 2.0},
    SOFAR: {
        "battery_mode": 0.0,
        "remote_timeout_s": 0.0,
        "remote_timeout_action": 0.0,
        "battery_power_setpoint_w": 0.0,
    },
}


@pytest.fixture
def plant(kit, profiles):
    """Open a bus to one device of a make; yields bus, unit and server."""

    @asynccontextmanager
    async def opened(make, **changes):
        unit = kit.Unit(register_image(profiles[make], STANDING[make] | changes))
        async with kit.serving({41: unit}) as server:
            bus = ModbusFieldBus(
                [kit.device(profiles[make], 41, name="d")],
                kit.gateway_of(server, timeout_s=0.15),
                wall=kit.HandClock(),
            )
            yield bus, unit, server
            await bus.close()

    return opened


def test_a_change_is_written_once_and_proven_by_reading_back(kit, plant):
    async def story():
        async with plant(DAIKIN) as (bus, _, server):
            first = await bus.apply(kit.setpoint("d", "room_setpoint_c", 21.0), kit.NOON)
            later = kit.NOON + timedelta(minutes=1)
            second = await bus.apply(kit.setpoint("d", "room_setpoint_c", 21.0), later)
            return first, second, server.writes(), bus.write_counts()

    first, second, writes, counts = asyncio.run(story())
    assert first == Applied(21.0, written=True)
    assert second == Applied(21.0, written=False)
    assert writes == [(6, 5, (21,))]
    assert counts == {PointId("d", "room_setpoint_c"): 1}


@pytest.mark.parametrize("value", [11.9, 30.5, float("nan"), float("inf"), -5.0])
def test_values_outside_the_limits_never_reach_the_wire(kit, plant, value):
    async def story():
        async with plant(DAIKIN) as (bus, _, server):
            outcome = await bus.apply(kit.setpoint("d", "room_setpoint_c", value), kit.NOON)
            return outcome, server.requests

    assert asyncio.run(story()) == (OutOfBounds(12.0, 30.0), [])


@pytest.mark.parametrize(("make", "mode"), [(LG, 1.0), (LG, 4.0), (DAIKIN, 1.0)])
def test_a_heat_pump_that_never_lapses_is_never_blocked(kit, plant, make, mode):
    async def story():
        async with plant(make) as (bus, _, server):
            outcome = await bus.apply(kit.setpoint("d", "sg_mode", mode), kit.NOON, urgent=True)
            return outcome, server.writes()

    assert asyncio.run(story()) == (OutOfBounds(2.0, 3.0), [])


def test_room_setpoints_round_up_so_that_no_floor_is_broken(kit, plant):
    async def story():
        async with plant(DAIKIN) as (bus, _, _), plant(ECODAN) as (other, _, server):
            whole = await bus.apply(kit.setpoint("d", "room_setpoint_c", 18.2), kit.NOON)
            half = await other.apply(kit.setpoint("d", "room_setpoint_c", 18.2), kit.NOON)
            return whole, half, server.writes()

    whole, half, writes = asyncio.run(story())
    assert whole == Applied(19.0, written=True)
    assert half == Applied(18.5, written=True)
    assert writes == [(6, 32, (1850,))]


def test_steps_are_kept_as_they_are():
    rule = WriteRule(-1.0, 1.0, 0.1, rounding=Rounding.UP)
    for tenths in range(-10, 11):
        assert quantise(tenths / 10, rule) == pytest.approx(tenths / 10, abs=1e-12)
    nearest = replace(rule, rounding=Rounding.NEAREST)
    assert quantise(0.14, nearest) == pytest.approx(0.1)
    assert quantise(0.14, rule) == pytest.approx(0.2)


def test_price_driven_writes_to_flash_are_deferred_and_urgent_ones_are_not(kit, plant):
    async def story():
        async with plant(DAIKIN) as (bus, _, server):
            outcomes = []
            for seconds, value, urgent in ((0, 21, False), (60, 22, False), (61, 23, True),
                                           (400, 20, False)):  # fmt: skip
                outcomes.append(
                    await bus.apply(
                        kit.setpoint("d", "room_setpoint_c", value),
                        kit.NOON + timedelta(seconds=seconds),
                        urgent=urgent,
                    )
                )
            return outcomes, server.writes(), bus.write_counts()

    outcomes, writes, counts = asyncio.run(story())
    assert outcomes == [
        Applied(21.0, written=True),
        Deferred(21.0, kit.NOON + timedelta(seconds=300)),
        Applied(23.0, written=True),
        Applied(20.0, written=True),
    ]
    assert [values for _, _, values in writes] == [(21,), (23,), (20,)]
    assert counts == {PointId("d", "room_setpoint_c"): 3}


def test_a_lasting_value_is_repeated_only_after_its_refresh_time(kit, plant):
    """The hub's maker advises repetition; a process that restarts must not add to it."""

    async def story():
        async with plant(DAIKIN, room_setpoint_c=21.0) as (bus, _, server):
            for minute in (0, 30, 59, 61, 90):
                outcome = await bus.apply(
                    kit.setpoint("d", "room_setpoint_c", 21.0),
                    kit.NOON + timedelta(minutes=minute),
                )
                assert isinstance(outcome, Applied)
            return server.writes()

    assert asyncio.run(story()) == [(6, 5, (21,))]


def test_the_battery_gets_its_timeout_before_it_listens_and_then_its_power(kit, plant):
    async def story():
        async with plant(SOFAR) as (bus, _, server):
            outcome = await bus.apply(
                kit.setpoint("d", "battery_power_setpoint_w", -3000.0), kit.NOON
            )
            return outcome, server.writes()

    outcome, writes = asyncio.run(story())
    assert outcome == Applied(-3000.0, written=True)
    assert writes == [
        (16, 4484, (300, 1)),
        (16, 4368, (3,)),
        (16, 4487, (0, 0, 0xFFFF, 0xF448, 0xFFFF, 0xF448)),
    ]


def test_the_battery_is_told_again_before_it_lapses(kit, plant):
    async def story():
        async with plant(SOFAR) as (bus, _, server):
            for seconds in (0, 60, 120, 180, 240, 300):
                await bus.apply(
                    kit.setpoint("d", "battery_power_setpoint_w", 2000.0),
                    kit.NOON + timedelta(seconds=seconds),
                )
            return [address for _, address, _ in server.writes()]

    addresses = asyncio.run(story())
    assert addresses == [4484, 4368, 4487, 4487, 4487]


def test_a_battery_that_lapsed_is_taken_back_under_control(kit, plant):
    async def story():
        async with plant(SOFAR) as (bus, unit, server):
            order = kit.setpoint("d", "battery_power_setpoint_w", 2000.0)
            await bus.apply(order, kit.NOON)
            unit.image[Space.HOLDING][4368] = 0
            seen = len(server.writes())
            outcome = await bus.apply(order, kit.NOON + timedelta(seconds=10))
            return outcome, server.writes()[seen:]

    outcome, writes = asyncio.run(story())
    assert outcome == Applied(2000.0, written=True)
    assert [(address, values[0]) for _, address, values in writes] == [(4368, 3), (4487, 0)]


def test_release_hands_the_battery_back_and_leaves_no_old_order(kit, plant):
    async def story():
        async with plant(SOFAR) as (bus, unit, server):
            order = kit.setpoint("d", "battery_power_setpoint_w", -3000.0, release=0.0)
            await bus.apply(order, kit.NOON)
            release = replace(order, value=0.0)
            first = await bus.release(release, kit.NOON)
            seen = len(server.writes())
            second = await bus.release(release, kit.NOON)
            table = unit.image[Space.HOLDING]
            return first, second, len(server.writes()) - seen, table[4368], table[4490]

    first, second, more, mode, low_word = asyncio.run(story())
    assert first == Applied(0.0, written=True)
    assert second == Applied(0.0, written=False)
    assert (more, mode, low_word) == (0, 0, 0)


def test_release_of_a_heat_pump_writes_its_release_value_whatever_flash_says(kit, plant):
    async def story():
        async with plant(DAIKIN) as (bus, _, server):
            await bus.apply(kit.setpoint("d", "room_setpoint_c", 18.0), kit.NOON)
            outcome = await bus.release(kit.setpoint("d", "room_setpoint_c", 21.0), kit.NOON)
            return outcome, server.writes()[-1]

    assert asyncio.run(story()) == (Applied(21.0, written=True), (6, 5, (21,)))


def test_the_ecodan_is_brought_into_room_control_before_a_room_temperature(kit, plant):
    """In flow control the same register would mean water of 20 °C: a cold home."""

    async def story():
        async with plant(ECODAN, room_setpoint_c=20.5) as (bus, unit, server):
            unit.image[Space.HOLDING][28] = 1
            outcome = await bus.apply(kit.setpoint("d", "room_setpoint_c", 20.5), kit.NOON)
            return outcome, server.writes()

    outcome, writes = asyncio.run(story())
    assert outcome == Applied(20.5, written=True)
    assert writes == [(6, 28, (0,)), (6, 32, (2050,))]


def test_an_adapter_that_does_not_hear_its_heat_pump_confirms_nothing(kit, plant):
    async def story():
        async with plant(ECODAN, fault=6999.0) as (bus, _, _):
            return await bus.apply(kit.setpoint("d", "room_setpoint_c", 21.0), kit.NOON)

    outcome = asyncio.run(story())
    assert isinstance(outcome, Unreachable)
    assert "does not hear" in outcome.detail


def test_what_reads_back_otherwise_is_unconfirmed(kit, plant):
    async def story():
        async with plant(DAIKIN) as (bus, unit, server):
            unit.frozen = True
            outcome = await bus.apply(kit.setpoint("d", "room_setpoint_c", 21.0), kit.NOON)
            return outcome, len(server.writes())

    assert asyncio.run(story()) == (Unconfirmed(20.0), 1)


def test_a_refusal_is_told_with_its_code(kit, plant):
    async def story():
        async with plant(LG) as (bus, unit, _):
            del unit.image[Space.HOLDING][9]
            outcome = await bus.apply(kit.setpoint("d", "sg_mode", 3.0), kit.NOON)
            unit.behaviour = "refuse:11"
            dead = await bus.apply(kit.setpoint("d", "sg_mode", 3.0), kit.NOON, urgent=True)
            return outcome, dead

    outcome, dead = asyncio.run(story())
    assert outcome == Rejected(2, "illegal address")
    assert dead == Unreachable("exception 11: gateway target failed to respond")


@pytest.mark.parametrize("function", [3, 6])
def test_a_busy_device_is_given_time(kit, plant, function):
    async def story():
        async with plant(LG) as (bus, unit, server):
            unit.busy, unit.busy_function = 2, function
            outcome = await bus.apply(kit.setpoint("d", "sg_mode", 3.0), kit.NOON)
            return outcome, [f for _, f, _, _ in server.requests]

    outcome, functions = asyncio.run(story())
    assert outcome == Applied(3.0, written=True)
    assert functions == ([3, 3, 3, 6, 3] if function == 3 else [3, 6, 6, 6, 3])


def test_a_mute_device_is_unreachable_at_once_the_second_time_unless_urgent(kit, plant):
    async def story():
        async with plant(LG) as (bus, unit, server):
            unit.behaviour = "mute"
            order = kit.setpoint("d", "sg_mode", 3.0)
            first = await bus.apply(order, kit.NOON)
            asked = len(server.requests)
            second = await bus.apply(order, kit.NOON)
            spared = len(server.requests) == asked
            unit.behaviour = "ok"
            third = await bus.apply(order, kit.NOON, urgent=True)
            return first, second, spared, third

    first, second, spared, third = asyncio.run(story())
    assert isinstance(first, Unreachable)
    assert isinstance(second, Unreachable)
    assert spared
    assert third == Applied(3.0, written=True)


def test_a_gateway_that_is_away_is_unreachable(kit, plant):
    async def story():
        async with plant(LG) as (bus, _, server):
            await server.stop()
            order = kit.setpoint("d", "sg_mode", 3.0)
            return [await bus.apply(order, kit.NOON, urgent=urgent) for urgent in (False, True)]

    assert all(isinstance(outcome, Unreachable) for outcome in asyncio.run(story()))


def test_writes_go_before_waiting_reads(kit, profiles):
    meter, lg = profiles["eastron_sdm120"], profiles["lg_therma_v"]
    units = {n: kit.Unit(register_image(meter, {"power_w": 1.0})) for n in range(11, 31)}
    units[41] = kit.Unit(register_image(lg, STANDING[LG]))
    devices = [kit.device(meter, n) for n in range(11, 31)] + [kit.device(lg, 41, name="d")]

    async def story():
        async with kit.serving(units) as server:
            bus = ModbusFieldBus(devices, kit.gateway_of(server))
            poll = asyncio.create_task(bus.poll({Cadence.FAST}, kit.NOON))
            while len(server.requests) < 3:
                await asyncio.sleep(0)
            await bus.apply(kit.setpoint("d", "sg_mode", 3.0), kit.NOON)
            await poll
            await bus.close()
            return [unit for unit, _, _, _ in server.requests]

    asked = asyncio.run(story())
    look = asked.index(41)
    assert look <= 4
    assert 41 in asked[look + 1 : look + 3]
    assert sorted(set(asked)) == [*range(11, 31), 41]


def test_what_cannot_be_written_is_a_fault_of_the_caller(kit, plant):
    async def story():
        async with plant(LG) as (bus, _, _):
            with pytest.raises(InvalidInputError, match="cannot be written"):
                await bus.apply(kit.setpoint("d", "tank_setpoint_c", 50.0), kit.NOON)
            with pytest.raises(InvalidInputError, match="no such device"):
                await bus.apply(kit.setpoint("nobody", "sg_mode", 3.0), kit.NOON)

    asyncio.run(story())
