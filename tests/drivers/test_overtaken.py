"""Compare, then set: a command does not write over what somebody set a moment before.

The device is one of modbus_tk's slaves on a real socket; a hook sets its register while a
command is under way.
"""

from __future__ import annotations

import asyncio
import logging
import struct
import time
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import timedelta

import modbus_tk.defines
import modbus_tk.modbus_tcp
import pytest
from modbus_tk import hooks

from drivers.codec import register_image
from drivers.modbus_bus import ModbusFieldBus
from ems.domain.estate import Gateway
from ems.domain.points import PointId
from ems.domain.profiles import Cadence, Space
from ems.domain.setpoints import Applied, Overtaken, Unreachable

MAKE, ROOM_REGISTER = "daikin_homehub_altherma3", 5
"""Its room setpoint: whole degrees in one holding register."""
ROOM = PointId("pump", "room_setpoint_c")
PUMP, NEIGHBOUR = 41, 42
READ, WRITE = 3, 6

pytestmark = pytest.mark.filterwarnings("ignore:isSet:DeprecationWarning")


@dataclass
class HeatPump:
    """A slave, what it was asked, and a hand that sets it after so many looks at the register."""

    slave: object
    bus: ModbusFieldBus
    asked: list[tuple[int, int, int]] = field(default_factory=list)
    hands: dict[int, int] = field(default_factory=dict)

    def hear(self, unit: int, pdu: bytes) -> None:
        function, address, _ = struct.unpack(">BHH", pdu[:5])
        self.asked.append((unit, function, address))
        if (unit, function) == (PUMP, READ):
            looks = self.asked.count((PUMP, READ, address))
            if address <= ROOM_REGISTER and looks in self.hands:
                self.shows = self.hands.pop(looks)

    @property
    def shows(self) -> int:
        return self.slave.get_values("holding", ROOM_REGISTER)[0]

    @shows.setter
    def shows(self, degrees: int) -> None:
        self.slave.set_values("holding", ROOM_REGISTER, degrees)

    @property
    def written(self) -> list[tuple[int, int, int]]:
        return [each for each in self.asked if each[1] == WRITE]

    async def look(self, kit) -> float:
        (reading,) = await self.bus.look([ROOM], kit.NOON)
        return reading.value


@pytest.fixture
def pump(kit, profiles):
    """Open a heat pump that shows 20 °C, with a neighbour on the same line."""

    @contextmanager
    def opened():
        logging.getLogger("modbus_tk").setLevel(logging.CRITICAL)
        server = modbus_tk.modbus_tcp.TcpServer(port=0, address="127.0.0.1", timeout_in_sec=0.02)
        image = register_image(profiles[MAKE], {"room_setpoint_c": 20.0, "sg_mode": 2.0})
        for unit in (PUMP, NEIGHBOUR):
            slave = server.add_slave(unit)
            for space, kind in (
                (Space.HOLDING, modbus_tk.defines.HOLDING_REGISTERS),
                (Space.INPUT, modbus_tk.defines.ANALOG_INPUTS),
            ):
                slave.add_block(str(space), kind, 0, 200)
                for address, word in image.get(space, {}).items():
                    slave.set_values(str(space), address, word)
        server.start()
        while not server._sockets:  # it binds in a thread of its own
            time.sleep(0.01)
        gateway = Gateway("gw", "127.0.0.1", server._sock.getsockname()[1], timeout_s=60.0)
        devices = [
            kit.device(profiles[MAKE], PUMP, name="pump"),
            kit.device(profiles[MAKE], NEIGHBOUR, name="neighbour"),
        ]
        bus = ModbusFieldBus(devices, {"gw": gateway})
        found = HeatPump(server.get_slave(PUMP), bus)

        def hear(args):
            slave, pdu = args
            found.hear(slave._id, pdu)

        hooks.install_hook("modbus.Slave.handle_request", hear)
        try:
            yield found
        finally:
            hooks.uninstall_hook("modbus.Slave.handle_request", hear)
            server.stop()

    return opened


def command(kit, value):
    return kit.setpoint("pump", "room_setpoint_c", value)


@pytest.mark.parametrize(
    "after", [1, 2, 3], ids=["before the command", "at its first look", "at its last look"]
)
def test_a_hand_between_the_look_and_the_write_stays(kit, pump, after):
    """The first look is the dispatch's; the command looks once, and again before it writes."""

    async def story(device):
        seen = await device.look(kit)
        assert seen == 20.0
        if after == 1:
            device.shows = 24
        else:
            device.hands = {after: 24}
        outcome = await device.bus.apply(command(kit, 18.0), kit.NOON, seen=seen)
        await device.bus.close()
        return outcome

    with pump() as device:
        assert asyncio.run(story(device)) == Overtaken(24.0)
        assert (device.shows, device.written) == (24, [])


def test_what_was_seen_or_told_last_is_no_hand(kit, pump):
    async def story(device):
        seen = await device.look(kit)
        told = await device.bus.apply(command(kit, 22.0), kit.NOON, seen=seen)
        # Somebody sets it to what it was told before; the look was older than the write.
        again = await device.bus.apply(
            command(kit, 19.0), kit.NOON + timedelta(seconds=1), seen=seen, urgent=True
        )
        device.shows = 21
        same = await device.bus.apply(
            command(kit, 21.0), kit.NOON + timedelta(seconds=2), seen=19.0, urgent=True
        )
        await device.bus.close()
        return told, again, same

    with pump() as device:
        told, again, same = asyncio.run(story(device))
    assert told == Applied(22.0, written=True)
    assert again == Applied(19.0, written=True)
    assert same == Applied(21.0, written=False), "a hand set what we wanted anyway"


def test_safety_and_release_write_over_any_hand(kit, pump):
    async def story(device):
        await device.look(kit)
        device.shows = 27
        safe = await device.bus.apply(command(kit, 18.0), kit.NOON, urgent=True)
        device.shows = 27
        released = await device.bus.release(command(kit, 20.0), kit.NOON)
        await device.bus.close()
        return safe, released

    with pump() as device:
        safe, released = asyncio.run(story(device))
    assert safe == Applied(18.0, written=True)
    assert released == Applied(20.0, written=True)


def test_nobody_comes_between_the_last_look_and_the_write(kit, pump):
    """A neighbour is polled as fast as the line allows; the two requests stay side by side."""

    async def story(device):
        stop = asyncio.Event()

        async def poll():
            while not stop.is_set():
                await device.bus.poll({Cadence.FAST, Cadence.NORMAL, Cadence.SLOW}, kit.NOON)

        await device.bus.poll({Cadence.FAST}, kit.NOON)
        polling = asyncio.create_task(poll())
        outcomes = []
        for value in (18.0, 23.0, 19.0, 22.0):
            seen = await device.look(kit)
            outcomes.append(
                await device.bus.apply(command(kit, value), kit.NOON, seen=seen, urgent=True)
            )
        stop.set()
        await polling
        await device.bus.close()
        return outcomes

    with pump() as device:
        outcomes = asyncio.run(story(device))
        asked = device.asked
    assert all(isinstance(outcome, Applied) for outcome in outcomes)
    places = [index for index, each in enumerate(asked) if each == (PUMP, WRITE, ROOM_REGISTER)]
    assert len(places) == 4
    for place in places:
        assert asked[place - 1] == (PUMP, READ, ROOM_REGISTER)


@pytest.mark.parametrize("busy_turns", [0, 1, 99])
def test_without_the_last_look_nothing_is_written(kit, profiles, busy_turns):
    """Where the device falls silent or stays busy before the write, nobody knows what it holds."""
    image = register_image(profiles[MAKE], {"room_setpoint_c": 20.0, "sg_mode": 2.0})

    async def story():
        unit = kit.Unit(image)
        async with kit.serving({PUMP: unit}) as server:
            bus = ModbusFieldBus(
                [kit.device(profiles[MAKE], PUMP, name="pump")], kit.gateway_of(server)
            )
            turn, turns = bus._lines["gw"].turn, 0

            def spoilt():
                nonlocal turns
                turns += 1  # the first look is over, the last one comes in this turn
                unit.behaviour = "ok" if busy_turns else "mute"
                unit.busy = int(turns <= busy_turns)
                return turn()

            bus._lines["gw"].turn = spoilt
            outcome = await bus.apply(command(kit, 18.0), kit.NOON, seen=20.0)
            await bus.close()
            return outcome, server.writes(), bus.write_counts()

    outcome, writes, counts = asyncio.run(story())
    if busy_turns == 1:
        assert outcome == Applied(18.0, written=True), "it is asked again, look and write"
    else:
        assert isinstance(outcome, Unreachable)
        assert (writes, counts) == ([], {}), "nothing was written, so nothing wore"
