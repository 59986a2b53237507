"""Batteries that forget: told again between rounds, handed back when nobody asks any more.

The batteries are on real sockets and lapse as their makers say. Estate time is moved by hand;
nothing here depends on how fast the computer is.
"""

from __future__ import annotations

import asyncio
from contextlib import asynccontextmanager
from dataclasses import replace
from datetime import timedelta

import pytest

from drivers.codec import codecs
from drivers.modbus_bus import ModbusFieldBus
from ems.domain.errors import InvalidInputError
from ems.domain.estate import Gateway
from ems.domain.points import PointId
from ems.domain.profiles import Cadence
from ems.domain.setpoints import Applied, Deferred, NotWritten, OutOfBounds
from ems.field.faces import Face
from ems.field.modbus import GatewayServer
from ems.settings.clock import ManualClock
from ems.settings.profiles import read_profile

HUAWEI, SOLAREDGE = "huawei_sun2000_luna", "solaredge_storedge"
VICTRON, SMA, SOFAR = "victron_gx", "sma_sunny_island", "sofar_hyd_g3"
POWER = PointId("b", "battery_power_setpoint_w")
PATIENCE_S = 90.0
STEP_S = 4
AS_DELIVERED = {
    HUAWEI: {"charge_command_end": 1.0, "remote_timeout_s": 900.0, "charge_command": 0.0,
             "charge_power_limit_w": 0.0, "discharge_power_limit_w": 0.0},
    SOLAREDGE: {"battery_mode": 1.0, "remote_timeout_s": 3600.0, "remote_timeout_action": 0.0,
                "charge_command": 7.0, "charge_power_limit_w": 5000.0,
                "discharge_power_limit_w": 5000.0},
    VICTRON: {"battery_mode": 1.0, "battery_power_setpoint_w": 0.0},
    SMA: {"remote_control": 0.0, "battery_power_setpoint_w": 0.0},
    SOFAR: {"battery_mode": 0.0, "remote_timeout_s": 900.0, "remote_timeout_action": 0.0,
            "battery_power_setpoint_w": 0.0},
}  # fmt: skip


class Battery:
    """What stands behind the registers: it does what it is told until it forgets."""

    def __init__(self, make, profile, clock):
        self.make, self.clock = make, clock
        self.known = {PointId("b", name) for name in profile.points}
        self.values = dict.fromkeys(profile.points, 0.0) | AS_DELIVERED[make]
        self.heard_at = {}
        self.writes = []
        self.lapses = 0
        self.version = 0

    def _forgets_after_s(self):
        match self.make:
            case "huawei_sun2000_luna" | "solaredge_storedge" | "sofar_hyd_g3":
                return self.values["remote_timeout_s"]
            case "victron_gx":
                return 10.0
        return 60.0

    def _acts_on(self):
        match self.make:
            case "huawei_sun2000_luna" | "solaredge_storedge":
                return ("charge_command",)
            case "sma_sunny_island":
                return ("remote_control", "battery_power_setpoint_w")
        return ("battery_power_setpoint_w",)

    def age_s(self):
        """Return how long ago the word was heard that it forgets first [s]."""
        now = self.clock.now()
        heard = [self.heard_at.get(point) for point in self._acts_on()]
        return max(float("inf") if at is None else (now - at).total_seconds() for at in heard)

    def power_w(self):  # noqa: PLR0911 - one line a make
        """Return the commanded power that it follows; ``None`` where it goes its own way."""
        if self.age_s() >= self._forgets_after_s():
            return None
        held = self.values
        match self.make:
            case "victron_gx" | "sofar_hyd_g3":
                obeys = held["battery_mode"] == 3.0
                return held["battery_power_setpoint_w"] if obeys else None
            case "sma_sunny_island":
                return held["battery_power_setpoint_w"] if held["remote_control"] else None
            case "solaredge_storedge" if held["battery_mode"] != 4.0:
                return None
        charging = {"huawei_sun2000_luna": 1.0, "solaredge_storedge": 3.0}[self.make]
        giving = {"huawei_sun2000_luna": 2.0, "solaredge_storedge": 4.0}[self.make]
        if self.make == HUAWEI and held["charge_command_end"] != 0.0:
            return None  # it would go on until a level of charge is reached
        if held["charge_command"] == charging:
            return held["charge_power_limit_w"]
        return -held["discharge_power_limit_w"] if held["charge_command"] == giving else 0.0

    def read(self, device_id, point):  # noqa: ARG002 - what faces ask
        return self.values[point]

    def write(self, device_id, point, value):  # noqa: ARG002 - what faces ask
        if point in self._acts_on() and self.age_s() >= self._forgets_after_s():
            self.lapses += 1
        self.heard_at[point] = self.clock.now()
        self.values[point] = value
        self.writes.append((point, value))
        self.version += 1


def hurried(profile):
    """Return the profile without its maker's pauses."""
    points = {
        name: point
        if point.write is None
        else replace(point, write=replace(point.write, settle_s=0.0))
        for name, point in profile.points.items()
    }
    return replace(profile, points=points, after_connect_s=0.0, between_frames_s=0.0)


@pytest.fixture
def plant(kit, profiles):
    """Serve one battery; yields its bus, itself and the clock."""

    @asynccontextmanager
    async def opened(make, *, confirmed=True):
        profile, clock = hurried(profiles[make]), ManualClock(kit.NOON, speed=1000.0)
        battery = Battery(make, profile, clock)
        asked = profile.to_confirm(POWER.point) if confirmed else ()
        device = replace(kit.device(profile, 3, name="b"), confirmed_writes=frozenset(asked))
        faces = {}
        for codec in codecs(profile).values():
            unit = codec.point.unit_id or 3
            faces.setdefault(unit, Face(battery, lambda *_: None)).add(
                device, [codec], main=unit == 3
            )
        server = GatewayServer(Gateway("gw", "127.0.0.1", 0, PATIENCE_S), faces, lambda _: 0.0)
        await server.open()
        gateway = replace(server.gateway, port=server.port)
        bus = ModbusFieldBus([device], {"gw": gateway}, clock=clock)
        try:
            yield bus, battery, clock
        finally:
            await bus.close()
            await server.close()

    return opened


def order(kit, clock, watts, life_s=300.0):
    made = kit.setpoint("b", POWER.point, watts, release=0.0)
    return replace(made, expires_at=clock.now() + timedelta(seconds=life_s))


async def until(holds):
    """Wait for a state; the patience is the computer's, not the estate's."""
    async with asyncio.timeout(PATIENCE_S):
        while not holds():
            await asyncio.sleep(0.01)


async def minute(bus, battery, clock, refresh_s):
    """Let a minute pass in small steps; return what the battery followed meanwhile."""
    followed = []
    for _ in range(60 // STEP_S):
        clock.set(clock.now() + timedelta(seconds=STEP_S))
        await until(lambda: battery.age_s() < refresh_s)
        followed.append(battery.power_w())
    return followed


@pytest.mark.parametrize(
    ("make", "refresh_s"),
    [(VICTRON, 5.0), (SMA, 30.0), (HUAWEI, 30.0), (SOFAR, 90.0), (SOLAREDGE, 300.0)],
)
def test_a_battery_follows_orders_that_come_once_a_minute(kit, plant, make, refresh_s):
    async def story():
        async with plant(make) as (bus, battery, clock):
            seen = []
            await bus.apply(order(kit, clock, 500.0), clock.now())
            battery.lapses = 0  # the very first words came to a battery that knew of none
            for watts in (1500.0, 1500.0, -1840.0):
                outcome = await bus.apply(order(kit, clock, watts), clock.now(), urgent=True)
                seen.append((outcome, set(await minute(bus, battery, clock, refresh_s))))
            return seen, battery.lapses

    seen, lapses = asyncio.run(story())
    assert [followed for _, followed in seen] == [{1500.0}, {1500.0}, {-1840.0}]
    assert [outcome.read_back for outcome, _ in seen] == [1500.0, 1500.0, -1840.0]
    assert all(isinstance(outcome, Applied) for outcome, _ in seen)
    assert lapses == 0


@pytest.mark.parametrize(("make", "refresh_s"), [(VICTRON, 5.0), (SMA, 30.0), (HUAWEI, 30.0)])
def test_an_order_that_nobody_renews_is_repeated_until_it_expires_and_no_longer(
    kit, plant, make, refresh_s
):
    """Control's other half hangs: the loop still runs, but no round comes."""

    async def story():
        async with plant(make) as (bus, battery, clock):
            await bus.apply(order(kit, clock, -2000.0, life_s=120.0), clock.now())
            await minute(bus, battery, clock, refresh_s)
            still = battery.power_w(), bus.kept_alive
            clock.set(clock.now() + timedelta(seconds=61))
            await until(lambda: not bus.kept_alive)
            told = len(battery.writes)
            clock.set(clock.now() + timedelta(seconds=121))
            await bus.poll({Cadence.FAST}, clock.now())
            return still, told, len(battery.writes), battery.power_w()

    still, told, later, power = asyncio.run(story())
    assert still == (-2000.0, {POWER})
    assert later == told
    assert power is None


def test_nothing_is_repeated_once_the_process_that_asked_is_gone(kit, plant):
    async def story():
        async with plant(VICTRON) as (bus, battery, clock):
            await bus.apply(order(kit, clock, 3000.0), clock.now())
            await minute(bus, battery, clock, 5.0)
            followed = battery.power_w()
            await bus.close()
            clock.set(clock.now() + timedelta(seconds=11))
            return followed, battery.power_w()

    assert asyncio.run(story()) == (3000.0, None)


@pytest.mark.parametrize("make", [VICTRON, SMA, HUAWEI, SOLAREDGE])
def test_a_battery_that_was_handed_back_is_left_alone(kit, plant, make):
    async def story():
        async with plant(make) as (bus, battery, clock):
            asked = order(kit, clock, -2500.0)
            await bus.apply(asked, clock.now())
            released = await bus.release(replace(asked, value=0.0), clock.now())
            told = len(battery.writes)
            for _ in range(3):
                clock.set(clock.now() + timedelta(seconds=60))
                await bus.poll({Cadence.FAST}, clock.now())
            return released, bus.kept_alive, len(battery.writes) - told, battery

    released, kept, more, battery = asyncio.run(story())
    assert isinstance(released, Applied)
    assert (kept, more) == (frozenset(), 0)
    assert battery.power_w() is None
    for point, value in battery.writes[-1:]:
        assert battery.values[point] == value


def test_without_a_clock_a_command_is_written_once(kit, profiles, plant):
    async def story():
        async with plant(VICTRON) as (bus, battery, clock):
            gateway = bus._lines["gw"].gateway
            other = ModbusFieldBus([bus._sessions["b"].device], {"gw": gateway})
            await other.apply(order(kit, clock, 1000.0), clock.now())
            clock.set(clock.now() + timedelta(seconds=30))
            await other.poll({Cadence.FAST}, clock.now())
            kept = other.kept_alive
            await other.close()
            return kept, battery.power_w()

    assert asyncio.run(story()) == (frozenset(), None)


# --- a signed power as a direction and a power --------------------------------------------------


def test_power_goes_before_direction_and_only_what_changes_is_written(kit, plant):
    async def story():
        async with plant(HUAWEI) as (bus, battery, clock):
            told = []
            for watts, seconds in ((3000.0, 0), (3000.0, 10), (-14500.0, 10), (0.0, 10)):
                clock.set(clock.now() + timedelta(seconds=seconds))
                before = len(battery.writes)
                outcome = await bus.apply(order(kit, clock, watts), clock.now())
                told.append((outcome, battery.writes[before:], battery.power_w()))
            return told

    first, same, other, idle = asyncio.run(story())
    assert first == (
        Applied(3000.0, written=True, proven=False),
        [
            ("charge_command_end", 0.0),
            ("remote_timeout_s", 120.0),
            ("charge_power_limit_w", 3000.0),
            ("charge_command", 1.0),
        ],
        3000.0,
    )
    assert same == (Applied(3000.0, written=False, proven=False), [], 3000.0)
    assert other == (
        Applied(-14500.0, written=True, proven=False),
        [("discharge_power_limit_w", 14500.0), ("charge_command", 2.0)],
        -14500.0,
    )
    assert idle == (
        Applied(0.0, written=True, proven=False),
        [("charge_command", 0.0)],
        0.0,
    )


def test_settings_kept_in_flash_hold_an_order_back_and_the_old_one_is_kept_alive(kit, plant):
    async def story():
        async with plant(SOLAREDGE) as (bus, battery, clock):
            start = clock.now()
            await bus.apply(order(kit, clock, 3000.0, life_s=900.0), clock.now())
            clock.set(start + timedelta(seconds=60))
            later = await bus.apply(order(kit, clock, 2000.0, life_s=900.0), clock.now())
            kept = bus.kept_alive
            now = await bus.apply(order(kit, clock, 1000.0), clock.now(), urgent=True)
            return later, start, kept, now, battery.power_w()

    later, start, kept, now, power = asyncio.run(story())
    assert later == Deferred(3000.0, start + timedelta(seconds=300))
    assert kept == {POWER}
    assert now == Applied(1000.0, written=True)
    assert power == 1000.0


@pytest.mark.parametrize("make", [HUAWEI, SOLAREDGE])
def test_nothing_is_written_before_an_operator_has_confirmed_every_part(kit, plant, make):
    async def story():
        async with plant(make, confirmed=False) as (bus, battery, clock):
            outcome = await bus.apply(order(kit, clock, 1000.0), clock.now(), urgent=True)
            return outcome, battery.writes, bus.kept_alive

    outcome, writes, kept = asyncio.run(story())
    assert isinstance(outcome, NotWritten)
    assert "confirmed_writes" in outcome.why
    assert (writes, kept) == ([], frozenset())


def test_a_power_beyond_the_bounds_is_never_split(kit, plant):
    async def story():
        async with plant(HUAWEI) as (bus, battery, clock):
            outcomes = [
                await bus.apply(order(kit, clock, watts), clock.now())
                for watts in (15001.0, -20000.0, float("nan"))
            ]
            with pytest.raises(InvalidInputError):
                await bus.apply(kit.setpoint("b", "soc_pct", 50.0), clock.now())
            return outcomes, battery.writes

    outcomes, writes = asyncio.run(story())
    assert outcomes == [OutOfBounds(-15000.0, 15000.0)] * 3
    assert writes == []


def test_what_a_split_device_holds_is_read_back_as_one_signed_power(kit, plant):
    async def story():
        async with plant(SOLAREDGE) as (bus, battery, clock):
            shown = []
            for watts in (2000.0, -1500.0, 0.0):
                await bus.apply(order(kit, clock, watts), clock.now(), urgent=True)
                (reading,) = await bus.look([POWER], clock.now())
                shown.append(reading.value)
            battery.values["charge_command"] = 7.0  # somebody chose self-use
            battery.version += 1
            (unknown,) = await bus.look([POWER], clock.now())
            return shown, unknown.is_good

    shown, known = asyncio.run(story())
    assert shown == [2000.0, -1500.0, 0.0]
    assert not known


@pytest.mark.parametrize(
    ("old", "new", "place"),
    [
        ("    charge: 1\n", "    charge: 9\n", "encoded.battery_power_setpoint_w.charge"),
        ("    charge: 1\n", "    charge: 2\n", "encoded.battery_power_setpoint_w"),
        ("direction: charge_command", "direction: battery_mode", ".direction"),
        ("direction: charge_command", "direction: charge_command_end", ".direction"),
        ("    low: -15000", "    low: -16000", ".discharge_power"),
        ("    low: -15000", "    low: 100", ".low"),
        ("    step: 1\nenter", "    step: 0.5\nenter", ".step"),
        ("encoder: signed_split", "encoder: sum", "encoder"),
        ("  battery_power_setpoint_w:\n    enc", "  soc_pct:\n    enc", "encoded.soc_pct"),
    ],
)
def test_a_split_that_cannot_work_is_refused(kit, tmp_path, old, new, place):
    text = (kit.ROOT / "config" / "devices" / f"{HUAWEI}.yaml").read_text(encoding="utf-8")
    assert text.count(old) == 1, old
    path = tmp_path / f"{HUAWEI}.yaml"
    path.write_text(text.replace(old, new), encoding="utf-8")
    profile, faults = read_profile(path)
    assert profile is None
    assert any(place in fault.path for fault in faults), faults
    assert all(fault.remedy for fault in faults)
