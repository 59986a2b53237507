"""SG Ready by two relays: both contacts in one message, to a server of another hand."""

from __future__ import annotations

import asyncio
import logging
import time
from dataclasses import replace
from datetime import timedelta
from itertools import pairwise

import modbus_tk.defines
import modbus_tk.modbus_tcp
import pytest

from drivers.line import GatewayLine
from drivers.modbus_bus import ModbusFieldBus
from drivers.probing import recognise
from ems.domain.estate import Gateway
from ems.domain.profiles import Cadence
from ems.domain.setpoints import Applied, Deferred, NotWritten, OutOfBounds
from ems.settings.profiles import read_profile

BOARD = "sg_ready_relay_board"
PATIENCE_S = 60.0


@pytest.fixture
def board():
    """Serve eight relays; yields the coils' owner, its gateway and all requests seen."""
    logging.getLogger("modbus_tk").setLevel(logging.CRITICAL)
    server = modbus_tk.modbus_tcp.TcpServer(port=0, address="127.0.0.1", timeout_in_sec=0.2)
    slave = server.add_slave(9)
    slave.add_block("relays", modbus_tk.defines.COILS, 0, 8)
    asked: list[bytes] = []
    handle = slave.handle_request
    slave.handle_request = lambda pdu, *more, **named: (
        asked.append(bytes(pdu)),
        handle(pdu, *more, **named),
    )[1]
    server.start()
    while not server._sockets:  # it binds in a thread of its own
        time.sleep(0.01)
    port = server._sockets[0].getsockname()[1]
    yield slave, {"gw": Gateway("gw", "127.0.0.1", port, PATIENCE_S)}, asked
    server.stop()


def relays(slave):
    return tuple(slave.get_values("relays", 0, 8))


@pytest.mark.filterwarnings("ignore:isSet:DeprecationWarning")
def test_both_relays_switch_in_one_message_and_are_read_back(kit, profiles, board):
    slave, gateways, asked = board
    slave.set_values("relays", 2, [1] * 6)  # what else hangs on the board stays as it is
    device = replace(
        kit.device(profiles[BOARD], 9, name="hp"), confirmed_writes=frozenset({"sg_mode"})
    )

    async def story():
        bus = ModbusFieldBus([device], gateways)
        shown = []
        for mode, urgent in ((3.0, False), (2.0, True), (1.0, True), (4.0, True)):
            outcome = await bus.apply(kit.setpoint("hp", "sg_mode", mode), kit.NOON, urgent=urgent)
            readings = await bus.poll({Cadence.NORMAL}, kit.NOON)
            shown.append((outcome, kit.by_name(readings, "hp")["sg_mode"].value, relays(slave)))
        slave.set_values("relays", 0, [1, 0])
        (blocked,) = await bus.poll({Cadence.NORMAL}, kit.NOON)
        released = await bus.release(kit.setpoint("hp", "sg_mode", 2.0, release=2.0), kit.NOON)
        await bus.close()
        return shown, blocked.value, released

    shown, blocked, released = asyncio.run(story())
    others = (1,) * 6
    assert shown == [
        (Applied(3.0, written=True), 3.0, (0, 1, *others)),
        (Applied(2.0, written=True), 2.0, (0, 0, *others)),
        (OutOfBounds(2.0, 3.0), 2.0, (0, 0, *others)),
        (OutOfBounds(2.0, 3.0), 2.0, (0, 0, *others)),
    ]
    assert blocked == 1.0
    assert released == Applied(2.0, written=True)
    assert relays(slave) == (0, 0, *others)
    writes = [pdu for pdu in asked if pdu[0] not in (1, 2, 3, 4)]
    assert writes == [  # FC15: two coils from 0, the first in the lowest bit
        bytes([15, 0, 0, 0, 2, 1, 0b10]),
        bytes([15, 0, 0, 0, 2, 1, 0b00]),
        bytes([15, 0, 0, 0, 2, 1, 0b00]),
    ]


@pytest.mark.filterwarnings("ignore:isSet:DeprecationWarning")
def test_prices_switch_a_contact_every_five_minutes_at_most_either_way(kit, profiles, board):
    """The compressor behind it is started and stopped no oftener; residents and safety do not wait.

    Orders change every minute for half an hour; halfway control is started anew.
    """
    slave, gateways, _ = board
    device = replace(
        kit.device(profiles[BOARD], 9, name="hp"), confirmed_writes=frozenset({"sg_mode"})
    )
    book = Book()

    async def story():
        switched, at = [], kit.NOON
        for half in range(2):
            bus = ModbusFieldBus([device], gateways, book=book)
            for minute in range(15 * half, 15 * half + 15):
                at = kit.NOON + timedelta(minutes=minute)
                before = relays(slave)
                mode = 2.0 + minute % 2
                await bus.apply(kit.setpoint("hp", "sg_mode", mode), at)
                if relays(slave) != before:
                    switched.append(minute)
            await bus.close()
        bus = ModbusFieldBus([device], gateways, book=book)
        held = 3.0 if relays(slave)[1] else 2.0
        other = kit.setpoint("hp", "sg_mode", 5.0 - held)
        soon = at + timedelta(seconds=1)
        waits, now = [await bus.apply(other, soon, urgent=urgent) for urgent in (False, True)]
        await bus.close()
        return switched, waits, now

    switched, waits, now = asyncio.run(story())
    assert len(switched) > 3
    assert all(after - before >= 5 for before, after in pairwise(switched)), switched
    assert isinstance(waits, Deferred)
    assert isinstance(now, Applied) and now.written


class Book:
    """A ledger that outlives a bus."""

    def __init__(self):
        self.last = {}

    def wrote(self, point_ids, at, *, urgent):
        del urgent
        self.last |= dict.fromkeys(point_ids, at)

    def last_write(self, point_id):
        return self.last.get(point_id)


@pytest.mark.filterwarnings("ignore:isSet:DeprecationWarning")
def test_nothing_is_switched_before_an_operator_has_confirmed_the_wiring(kit, profiles, board):
    slave, gateways, asked = board

    async def story():
        bus = ModbusFieldBus([kit.device(profiles[BOARD], 9, name="hp")], gateways)
        outcome = await bus.apply(kit.setpoint("hp", "sg_mode", 3.0), kit.NOON, urgent=True)
        await bus.close()
        return outcome

    outcome = asyncio.run(story())
    assert isinstance(outcome, NotWritten)
    assert "confirmed_writes" in outcome.why
    assert [pdu for pdu in asked if pdu[0] > 4] == []
    assert relays(slave) == (0,) * 8


@pytest.mark.filterwarnings("ignore:isSet:DeprecationWarning")
def test_any_two_coils_are_not_taken_for_a_relay_board(kit, profiles, board):
    _, gateways, _ = board

    async def story():
        # Some makes answer for a part of themselves as another unit: nobody does here.
        brief = GatewayLine(replace(gateways["gw"], timeout_s=2.0), time.monotonic, None)
        among_all = await recognise(brief, 9, profiles.values(), kit.NOON)
        brief.close()
        line = GatewayLine(gateways["gw"], time.monotonic, None)
        asked_for = await recognise(line, 9, [profiles[BOARD]], kit.NOON)
        line.close()
        return among_all, asked_for

    among_all, asked_for = asyncio.run(story())
    assert BOARD not in {match.profile_id for match in among_all.matches}
    assert [match.profile_id for match in asked_for.matches] == [BOARD]


@pytest.mark.parametrize(
    ("old", "new", "place"),
    [
        ("fallback: 2", "fallback: 3", "points.sg_mode.write.fallback"),
        ("      fallback: 2\n", "", "points.sg_mode.write.fallback"),
        ("high: 3", "high: 4", "points.sg_mode.write.high"),
        ("low: 2", "low: 1", "points.sg_mode.write.low"),
        ("space: coil", "space: holding", "points.sg_mode.type"),
        ("cadence: normal", "cadence: normal\n    codes: {0: 2}", "points.sg_mode.codes"),
        ("sg_mode:\n    space", "heating_on:\n    space", "points.heating_on.type"),
    ],
)
def test_a_board_that_could_block_or_order_is_refused(kit, tmp_path, old, new, place):
    text = (kit.ROOT / "config" / "devices" / f"{BOARD}.yaml").read_text(encoding="utf-8")
    assert text.count(old) == 1
    path = tmp_path / f"{BOARD}.yaml"
    path.write_text(text.replace(old, new), encoding="utf-8")
    profile, faults = read_profile(path)
    assert profile is None
    assert any(place in fault.path for fault in faults), faults
