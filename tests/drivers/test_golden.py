"""Each profile against registers and values written by hand from its sources.

Drivers and simulated field share the profiles, so only these files find a wrong address.
They go through a socket, block plan and decoder, as in service.
"""

from __future__ import annotations

import asyncio
from pathlib import Path

import pytest
import yaml

from drivers.codec import write_message
from drivers.modbus_bus import ModbusFieldBus
from ems.domain.profiles import Cadence, Space
from ems.domain.readings import Quality

GOLDEN = Path(__file__).parent / "golden"
ROOT = Path(__file__).parents[2]
FILES = sorted(GOLDEN.glob("*.yaml"))


def _load(path):
    return yaml.safe_load(path.read_text(encoding="utf-8"))


READS = [
    pytest.param(path.stem, case, id=f"{path.stem}-{index}")
    for path in FILES
    for index, case in enumerate(_load(path)["reads"])
]
WRITES = [
    pytest.param(path.stem, case, id=f"{path.stem}-{'-'.join(case['values'])}-{index}")
    for path in FILES
    for index, case in enumerate(_load(path).get("writes", []))
]


def test_every_profile_has_a_golden_file():
    profiles = {path.stem for path in (ROOT / "config" / "devices").glob("*.yaml")}
    assert {path.stem for path in FILES} == profiles


def test_every_point_of_every_profile_is_in_its_golden_file(profiles):
    for path in FILES:
        seen = set()
        for case in _load(path)["reads"]:
            seen |= set(case.get("values", {}))
        profile = profiles[path.stem]
        assert set(profile.points) | set(profile.composed or {}) <= seen, path.stem


def test_every_writable_point_is_in_its_golden_file(profiles):
    for path in FILES:
        written = {n for case in _load(path).get("writes", []) for n in case["values"]}
        writable = {n for n, p in profiles[path.stem].points.items() if p.write is not None}
        assert written == writable, path.stem


@pytest.mark.parametrize(("profile_id", "case"), READS)
def test_registers_become_the_values_of_the_source(kit, profiles, profile_id, case):
    image = {Space(space): dict(table) for space, table in case["registers"].items()}

    async def poll():
        profile = profiles[profile_id]
        unit = kit.Unit(image, gaps_answer=profile.bridge_gaps)
        async with kit.serving({7: unit}) as server:
            bus = ModbusFieldBus([kit.device(profile, 7)], kit.gateway_of(server))
            readings = await bus.poll(set(Cadence), kit.NOON)
            await bus.close()
            return {r.point_id.point: r for r in readings}

    readings = asyncio.run(poll())
    for point, value in case.get("values", {}).items():
        assert readings[point].value == value, point
        assert readings[point].quality is Quality.GOOD, point
    for point, quality in case.get("qualities", {}).items():
        assert readings[point].quality is Quality[quality], point


@pytest.mark.parametrize(("profile_id", "case"), WRITES)
def test_values_become_the_message_of_the_source(profiles, profile_id, case):
    message = write_message(profiles[profile_id], case["values"])
    assert message.space is Space(case["message"]["space"])
    assert message.address == case["message"]["address"]
    assert list(message.values) == case["message"]["registers"]
