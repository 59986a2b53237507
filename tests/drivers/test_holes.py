"""Registers that a device refuses are remembered over restarts, by that device alone.

A process of its own polls the device once and ends, as `ems serve` would; the next one finds in
the store what the first was taught.
"""

from __future__ import annotations

import asyncio
import json
import sys
from dataclasses import replace
from datetime import timedelta

import pytest

from drivers.codec import register_image
from drivers.modbus_bus import ModbusFieldBus
from ems.domain.holes import Holes
from ems.domain.profiles import Cadence, Space
from ems.domain.readings import Quality
from ems.service.holes import HoleLedger
from ems.store import open_store

ALL = set(Cadence)
FLOW = 48
"""The input register that the heat pump lacks."""

ONE_ROUND = """
import asyncio, json, sys
from datetime import datetime
from pathlib import Path
from drivers.modbus_bus import ModbusFieldBus
from ems.domain.estate import Device, Gateway
from ems.domain.profiles import Cadence
from ems.service.holes import HoleLedger
from ems.settings.profiles import load_profiles
from ems.store import open_store

port, state, at = int(sys.argv[1]), Path(sys.argv[2]), datetime.fromisoformat(sys.argv[3])
profile = load_profiles(Path("config/devices"))["daikin_homehub_altherma3"]

async def round_():
    with open_store(state) as store:
        holes = HoleLedger(store)
        device = Device("hp", profile.device_class, profile, "gw", 41, "A", None, "")
        gateway = Gateway("gw", "127.0.0.1", port, 60.0)
        bus = ModbusFieldBus([device], {"gw": gateway}, holes=holes)
        readings = await bus.poll(set(Cadence), at)
        holes.keep()
        await bus.close()
    print(json.dumps(sorted(r.point_id.point for r in readings if not r.is_good)))

asyncio.run(round_())
"""


@pytest.fixture
def daikin(profiles):
    return profiles["daikin_homehub_altherma3"]


@pytest.fixture
def image(daikin):
    """All its registers but one; gaps between them answer."""
    values = dict.fromkeys(daikin.points, 20.0)
    values |= dict.fromkeys(("compressor_on", "hot_water_on", "defrost_on", "heating_on"), 1.0)
    found = register_image(daikin, values | {"fault": 0.0, "sg_mode": 2.0})
    for space, last in ((Space.INPUT, 60), (Space.HOLDING, 60)):
        for address in range(last):
            found[space].setdefault(address, 0)
    del found[Space.INPUT][FLOW]
    return found


def test_a_new_process_does_not_ask_again_for_what_was_refused(kit, image, tmp_path):
    state = tmp_path / "store.sqlite"

    async def story():
        async with kit.serving({41: kit.Unit(image)}) as server:

            async def process(at):
                before = len(server.requests)
                running = await asyncio.create_subprocess_exec(
                    *(sys.executable, "-c", ONE_ROUND, str(server.port), str(state)),
                    at.isoformat(),
                    cwd=kit.ROOT,
                    stdout=asyncio.subprocess.PIPE,
                )
                out, _ = await running.communicate()
                assert running.returncode == 0
                return json.loads(out.splitlines()[-1]), server.requests[before:]

            first = await process(kit.NOON)
            second = await process(kit.NOON + timedelta(minutes=30))
            image[Space.INPUT][FLOW] = 150
            third = await process(kit.NOON + timedelta(minutes=61))
            return first, second, third

    (lacks, learning), (lacks_still, knowing), (lacks_no_more, _) = asyncio.run(story())
    assert lacks == lacks_still == ["flow_rate_lpm"]
    assert lacks_no_more == [], "after an hour it is asked again"

    def touches_the_hole(request):
        _, function, address, (count, *_) = request
        return function == 4 and address <= FLOW < address + count

    assert any(map(touches_the_hole, learning))
    assert not any(map(touches_the_hole, knowing))
    assert len(knowing) < len(learning)


@pytest.mark.parametrize("change", ["profile", "place", "lost", "clock"])
def test_what_another_device_taught_does_not_count(kit, daikin, image, tmp_path, change):
    """Another map, another place, a loss, or a clock set back: all is asked for anew."""

    def bus(server, holes, unit, profile, max_block):
        made = replace(profile, max_block=max_block)
        return ModbusFieldBus(
            [kit.device(made, unit, name="hp")], kit.gateway_of(server), holes=holes
        )

    async def story(store):
        units = {41: kit.Unit(image), 42: kit.Unit(image)}
        async with kit.serving(units) as server:
            holes = HoleLedger(store)
            before = bus(server, holes, 41, daikin, 60)
            await before.poll(ALL, kit.NOON)
            if change == "lost":
                units[41].behaviour = "mute"
                await before.poll(ALL, kit.NOON)
                await before.settle()
                units[41].behaviour = "ok"
            await before.close()
            holes.keep()
            kept = store.all_kept(Holes)
            image[Space.INPUT][FLOW] = 150  # the device, or its successor, has it now
            after = bus(
                server,
                HoleLedger(store),
                42 if change == "place" else 41,
                daikin,
                50 if change == "profile" else 60,
            )
            at = kit.NOON - timedelta(days=1) if change == "clock" else kit.NOON
            readings = await after.poll(ALL, at)
            await after.close()
            return kept, kit.by_name(readings, "hp")["flow_rate_lpm"].quality

    with open_store(tmp_path / "store.sqlite") as store:
        kept, quality = asyncio.run(story(store))
    assert bool(kept) is (change != "lost")
    assert quality is Quality.GOOD


def test_nothing_is_kept_twice(tmp_path, kit):
    with open_store(tmp_path / "store.sqlite") as store:
        ledger = HoleLedger(store)
        assert ledger.known("hp") is None
        ledger.forgotten("hp")
        assert ledger.keep() == 0
        ledger.learnt(Holes("hp", "as it is", kit.NOON, (), ()))
        assert (ledger.keep(), ledger.keep()) == (1, 0)
        ledger.forgotten("hp")
        assert ledger.keep() == 1
        assert store.all_kept(Holes) == []
