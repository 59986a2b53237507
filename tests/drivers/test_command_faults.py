"""Commands to devices that misbehave, wear out, or are not what their profile says."""

from __future__ import annotations

import asyncio
import itertools
from contextlib import asynccontextmanager
from dataclasses import replace
from datetime import timedelta

import pytest

from drivers.codec import register_image
from drivers.dry_run import DryRunBus
from drivers.modbus_bus import ModbusFieldBus
from ems.domain.errors import InvalidInputError
from ems.domain.points import PointId
from ems.domain.profiles import Cadence, Confidence, IdentityCheck, Space
from ems.domain.setpoints import (
    Applied,
    Deferred,
    NotWritten,
    OutOfBounds,
    Rejected,
    Unconfirmed,
    Unreachable,
)

DAIKIN, LG, SOFAR = "daikin_homehub_altherma3", "lg_therma_v", "sofar_hyd_g3"
STANDING = {
    DAIKIN: {"room_setpoint_c": 20.0, "sg_mode": 2.0},
    LG: {"sg_mode": 2.0},
    SOFAR: {
        "battery_mode": 0.0,
        "remote_timeout_s": 0.0,
        "remote_timeout_action": 0.0,
        "battery_power_setpoint_w": 0.0,
    },
}
ROOM = PointId("d", "room_setpoint_c")
FIRMWARE = IdentityCheck("firmware", Space.INPUT, 990, (0x0102, 0x0103))


class Book:
    """A count of writes that outlives the bus."""

    def __init__(self):
        self.entries = []

    def wrote(self, point_ids, at, *, urgent):
        self.entries.append((tuple(point_ids), at, urgent))

    def last_write(self, point_id):
        return max((at for ids, at, _ in self.entries if point_id in ids), default=None)


@pytest.fixture
def plant(kit, profiles):
    """Open a bus to one device of a make; yields bus, unit and server."""

    @asynccontextmanager
    async def opened(
        make, *, book=None, unit=None, changed=None, rule=None, confirmed=(), timeout_s=0.3
    ):
        profile = replace(profiles[make], **changed or {})
        for name, fields in (rule or {}).items():
            point = profile.points[name]
            writing = replace(point, write=replace(point.write, **fields))
            profile = replace(profile, points={**profile.points, name: writing})
        device = replace(kit.device(profile, 41, name="d"), confirmed_writes=frozenset(confirmed))
        unit = unit or kit.Unit(register_image(profiles[make], STANDING[make]))
        async with kit.serving({41: unit}) as server:
            gateways = kit.gateway_of(server, timeout_s=timeout_s)
            bus = ModbusFieldBus([device], gateways, wall=kit.HandClock(), book=book)
            yield bus, unit, server
            await bus.close()

    return opened


# --- a device that does something else than it was told ---------------------------------------


def test_a_value_that_ramps_is_followed_until_it_has_arrived(kit, plant):
    async def story():
        async with plant(DAIKIN) as (bus, unit, server):
            unit.ramp = 1
            outcome = await bus.apply(kit.setpoint("d", "room_setpoint_c", 26.0), kit.NOON)
            return outcome, server.writes()

    outcome, writes = asyncio.run(story())
    assert outcome == Applied(26.0, written=True)
    assert writes == [(6, 5, (26,))]


def test_a_ramp_that_outlasts_our_patience_is_not_written_again_while_it_moves(
    kit, plant, monkeypatch
):
    monkeypatch.setattr("drivers.writing.RAMP_PATIENCE_S", 0.0)

    async def story():
        async with plant(DAIKIN, rule={"room_setpoint_c": {"min_interval_s": 0}}) as (
            bus,
            unit,
            server,
        ):
            unit.ramp = 1
            order = kit.setpoint("d", "room_setpoint_c", 28.0)
            outcomes = [
                await bus.apply(order, kit.NOON + timedelta(minutes=minute), urgent=True)
                for minute in range(7)
            ]
            before_stuck = len(server.writes())
            unit.image[Space.HOLDING][5], unit.targets[5] = 21, 21
            stuck = await bus.apply(order, kit.NOON + timedelta(minutes=9), urgent=True)
            return outcomes, before_stuck, stuck, len(server.writes())

    outcomes, before_stuck, _, after = asyncio.run(story())
    assert all(isinstance(outcome, Unconfirmed) for outcome in outcomes[:-1])
    assert outcomes[-1] == Applied(28.0, written=False)
    assert before_stuck == 1
    assert after == 2, "what stands still elsewhere is told again"


def test_a_device_that_silently_ignores_a_write_is_told_again_and_never_believed(kit, plant):
    async def story():
        async with plant(LG, rule={"sg_mode": {"min_interval_s": 0}}) as (bus, unit, server):
            unit.frozen = True
            order = kit.setpoint("d", "sg_mode", 3.0)
            outcomes = [
                await bus.apply(order, kit.NOON + timedelta(minutes=minute)) for minute in (0, 1)
            ]
            unit.frozen = False
            outcomes.append(await bus.apply(order, kit.NOON + timedelta(minutes=2)))
            return outcomes, len(server.writes())

    outcomes, writes = asyncio.run(story())
    assert outcomes == [Unconfirmed(2.0), Unconfirmed(2.0), Applied(3.0, written=True)]
    assert writes == 3


def test_a_write_that_was_acknowledged_too_late_counts_and_is_found_done(kit, plant):
    async def story():
        async with plant(LG, timeout_s=1.0) as (bus, unit, server):
            unit.late_writes_s = 1.5
            order = kit.setpoint("d", "sg_mode", 3.0)
            first = await bus.apply(order, kit.NOON, urgent=True)
            unit.late_writes_s = 0.0
            for _ in range(60):
                second = await bus.apply(order, kit.NOON + timedelta(minutes=1), urgent=True)
                if isinstance(second, Applied):
                    break
            return first, second, len(server.writes()), bus.write_counts()

    first, second, writes, counts = asyncio.run(story())
    assert isinstance(first, Unreachable)
    assert second == Applied(3.0, written=False)
    assert writes == 1
    assert counts == {PointId("d", "sg_mode"): 1}


def test_a_device_that_rebooted_with_another_value_is_told_again(kit, plant):
    async def story():
        async with plant(DAIKIN) as (bus, unit, server):
            order = kit.setpoint("d", "room_setpoint_c", 23.0)
            await bus.apply(order, kit.NOON)
            unit.behaviour = "mute"
            await bus.poll({Cadence.NORMAL}, kit.NOON + timedelta(minutes=1))
            unit.behaviour, unit.image[Space.HOLDING][5] = "ok", 19
            soon = await bus.apply(order, kit.NOON + timedelta(minutes=2), urgent=False)
            asked = await bus.apply(order, kit.NOON + timedelta(minutes=2), urgent=True)
            return soon, asked, [values for _, _, values in server.writes()]

    soon, asked, writes = asyncio.run(story())
    assert isinstance(soon, Unreachable | Deferred)
    assert asked == Applied(23.0, written=True)
    assert writes == [(23,), (23,)]


def test_a_device_that_refuses_is_told_apart_from_one_that_is_silent(kit, plant):
    async def story():
        async with plant(LG) as (bus, unit, _):
            unit.busy, unit.busy_function = 99, 6
            busy = await bus.apply(kit.setpoint("d", "sg_mode", 3.0), kit.NOON)
            unit.busy = 0
            del unit.image[Space.HOLDING][9]
            gone = await bus.apply(kit.setpoint("d", "sg_mode", 3.0), kit.NOON)
            return busy, gone, bus.write_counts()

    busy, gone, counts = asyncio.run(story())
    assert isinstance(busy, Unreachable)
    assert gone == Rejected(2, "illegal address")
    assert counts == {}, "what a device refused has worn nothing"


# --- wear ------------------------------------------------------------------------------------


def test_flash_protection_and_counts_outlive_a_restart(kit, plant, profiles):
    book = Book()
    unit = kit.Unit(register_image(profiles[DAIKIN], STANDING[DAIKIN]))

    async def run(seconds, value, *, urgent=False):
        async with plant(DAIKIN, book=book, unit=unit) as (bus, _, _):
            at = kit.NOON + timedelta(seconds=seconds)
            return await bus.apply(kit.setpoint("d", ROOM.point, value), at, urgent=urgent)

    assert asyncio.run(run(0, 21.0)) == Applied(21.0, written=True)
    assert asyncio.run(run(60, 22.0)) == Deferred(21.0, kit.NOON + timedelta(seconds=300))
    assert asyncio.run(run(90, 23.0, urgent=True)) == Applied(23.0, written=True)
    assert asyncio.run(run(301, 20.0)) == Deferred(23.0, kit.NOON + timedelta(seconds=390))
    assert asyncio.run(run(391, 20.0)) == Applied(20.0, written=True)
    assert [(ids, urgent) for ids, _, urgent in book.entries] == [
        ((ROOM,), False),
        ((ROOM,), True),
        ((ROOM,), False),
    ]


def test_release_bypasses_flash_protection_and_is_counted_as_such(kit, plant):
    book = Book()

    async def story():
        async with plant(SOFAR, book=book) as (bus, _, _):
            order = kit.setpoint("d", "battery_power_setpoint_w", -3000.0, release=0.0)
            await bus.apply(order, kit.NOON)
            given = len(book.entries)
            await bus.release(replace(order, value=0.0), kit.NOON)
            return given

    given = asyncio.run(story())
    assert all(not urgent for _, _, urgent in book.entries[:given])
    released = book.entries[given:]
    assert [urgent for _, _, urgent in released] == [True, True]
    assert {ids[0].point for ids, _, _ in released} == {"battery_power_setpoint_w", "battery_mode"}


def test_what_lapses_is_repeated_before_the_round_that_would_come_too_late(kit, plant):
    """Refreshed at 280 s at the latest, a value that lapses after 300 s would miss at 100 s."""
    slow = {"battery_power_setpoint_w": {"refresh_s": 280.0}}

    async def story():
        async with plant(SOFAR, rule=slow) as (bus, _, server):
            seen = []
            for seconds in range(0, 1000, 100):
                at = kit.NOON + timedelta(seconds=seconds)
                before = len(server.writes())
                await bus.apply(kit.setpoint("d", "battery_power_setpoint_w", 2000.0), at)
                if len(server.writes()) > before:
                    seen.append(seconds)
            return seen

    written = asyncio.run(story())
    assert max(b - a for a, b in itertools.pairwise(written)) < 300
    assert len(written) < 6, "and no more often than that needs"


# --- what may be written at all ----------------------------------------------------------------


def test_an_uncertain_address_is_written_only_once_an_operator_has_confirmed_it(
    kit, plant, profiles
):
    points = profiles[LG].points
    doubtful = {"sg_mode": replace(points["sg_mode"], confidence=Confidence.C)}
    changed = {"points": {**points, **doubtful}}
    order = kit.setpoint("d", "sg_mode", 3.0)

    async def story(confirmed):
        async with plant(LG, changed=changed, confirmed=confirmed) as (bus, _, server):
            outcomes = (
                await bus.apply(order, kit.NOON, urgent=True),
                await bus.release(replace(order, value=2.0), kit.NOON),
            )
            return outcomes, len(server.writes())

    refused, writes = asyncio.run(story(()))
    assert writes == 0
    assert all(isinstance(outcome, NotWritten) for outcome in refused)
    assert "confirmed_writes" in refused[0].why
    done, writes = asyncio.run(story(("sg_mode",)))
    assert (done, writes) == ((Applied(3.0, True), Applied(2.0, True)), 2)


@pytest.mark.parametrize("found", [0x0102, 0x0104, None])
def test_model_and_firmware_are_made_sure_of_before_the_first_write(kit, plant, found):
    order = kit.setpoint("d", "sg_mode", 3.0)

    async def story():
        async with plant(LG, changed={"identity": (FIRMWARE,)}) as (bus, unit, server):
            if found is not None:
                unit.image.setdefault(Space.INPUT, {})[990] = found
            first = await bus.apply(order, kit.NOON, urgent=True)
            again = await bus.apply(order, kit.NOON + timedelta(minutes=1), urgent=True)
            asked = [1 for _, _, address, _ in server.requests if address == 990]
            return first, again, len(asked), server.writes()

    first, again, asked, writes = asyncio.run(story())
    if found == 0x0102:
        assert (first, again) == (Applied(3.0, written=True), Applied(3.0, written=False))
        assert asked == 1, "once is enough"
        return
    assert writes == []
    assert isinstance(first, NotWritten)
    assert first == again
    assert "firmware" in first.why


@pytest.mark.parametrize("behaviour", ["mute", "refuse:6", "refuse:11"])
def test_a_device_that_does_not_say_what_it_is_is_asked_again(kit, plant, behaviour):
    """Silent, busy or out of a gateway's reach is no other firmware."""
    order = kit.setpoint("d", "sg_mode", 3.0)

    async def story():
        async with plant(LG, changed={"identity": (FIRMWARE,)}) as (bus, unit, server):
            unit.image.setdefault(Space.INPUT, {})[990] = 0x0102
            unit.behaviour = behaviour
            first = await bus.apply(order, kit.NOON, urgent=True)
            writes = len(server.writes())
            unit.behaviour = "ok"
            later = kit.NOON + timedelta(minutes=30)
            return first, writes, await bus.apply(order, later, urgent=True)

    first, writes, again = asyncio.run(story())
    assert not isinstance(first, Applied | NotWritten)
    assert writes == 0
    assert again == Applied(3.0, written=True)


def test_a_device_that_comes_back_with_other_firmware_is_written_no_more(kit, plant):
    order = kit.setpoint("d", "sg_mode", 3.0)

    async def story():
        async with plant(LG, changed={"identity": (FIRMWARE,)}) as (bus, unit, server):
            unit.image.setdefault(Space.INPUT, {})[990] = 0x0103
            await bus.apply(order, kit.NOON)
            unit.behaviour = "mute"
            lost = await bus.apply(order, kit.NOON, urgent=True)
            unit.behaviour, unit.image[Space.INPUT][990] = "ok", 0x0200
            back = await bus.apply(replace(order, value=2.0), kit.NOON, urgent=True)
            release = await bus.release(replace(order, value=2.0), kit.NOON)
            return lost, back, release, len(server.writes())

    lost, back, release, writes = asyncio.run(story())
    assert isinstance(lost, Unreachable)
    assert isinstance(back, NotWritten)
    assert isinstance(release, NotWritten)
    assert writes == 1


def test_a_register_that_cannot_be_read_is_written_on_change_and_never_called_proven(
    kit, plant, profiles
):
    points = profiles[LG].points
    blind = {"sg_mode": replace(points["sg_mode"], write_only=True)}
    changed = {"points": {**points, **blind}}

    async def story():
        async with plant(LG, changed=changed) as (bus, _, server):
            outcomes = []
            for minute, value in ((0, 3.0), (1, 3.0), (10, 2.0)):
                at = kit.NOON + timedelta(minutes=minute)
                outcomes.append(await bus.apply(kit.setpoint("d", "sg_mode", value), at))
            return outcomes, server.requests

    outcomes, requests = asyncio.run(story())
    assert outcomes == [
        Applied(3.0, written=True, proven=False),
        Applied(3.0, written=False, proven=False),
        Applied(2.0, written=True, proven=False),
    ]
    assert [(function, address) for _, function, address, _ in requests] == [(6, 9), (6, 9)]


def test_bounds_stand_before_everything(kit, plant):
    async def story():
        async with plant(LG, changed={"identity": (FIRMWARE,)}) as (bus, _, server):
            return await bus.apply(kit.setpoint("d", "sg_mode", 1.0), kit.NOON), server.requests

    assert asyncio.run(story()) == (OutOfBounds(2.0, 3.0), [])


def test_a_dry_run_reads_and_never_writes_a_word(kit, plant):
    async def story():
        async with plant(SOFAR) as (inner, _, server):
            device = next(iter(inner._sessions.values())).device
            bus = DryRunBus(inner, {"d": device})
            order = kit.setpoint("d", "battery_power_setpoint_w", -3000.0, release=0.0)
            outcomes = [
                await bus.apply(order, kit.NOON, urgent=True),
                await bus.apply(replace(order, value=1e6), kit.NOON),
                await bus.release(replace(order, value=0.0), kit.NOON),
            ]
            readings = await bus.look([PointId("d", "battery_mode")], kit.NOON)
            polled = await bus.poll(set(Cadence), kit.NOON)
            with pytest.raises(InvalidInputError, match="no such point"):
                await bus.apply(kit.setpoint("d", "soc_pct", 1.0), kit.NOON)
            return outcomes, readings[0].value, len(polled), server.writes()

    outcomes, mode, polled, writes = asyncio.run(story())
    assert outcomes[0] == outcomes[2] == NotWritten("dry run")
    assert isinstance(outcomes[1], OutOfBounds)
    assert mode == 0.0
    assert polled > 5
    assert writes == []
