"""Each profile against registers and values written by hand from its sources.

Drivers and simulated field share the profiles, so only these files find a wrong address.
They go through a socket, block plan and decoder, as in service.
"""

from __future__ import annotations

import asyncio
from dataclasses import replace
from pathlib import Path

import pytest
import yaml

from drivers.codec import codecs, write_message
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
        readable = {name for name, point in profile.points.items() if not point.write_only}
        assert readable | set(profile.composed or {}) <= seen, path.stem


def test_every_writable_point_is_in_its_golden_file(profiles):
    for path in FILES:
        written = {n for case in _load(path).get("writes", []) for n in case["values"]}
        writable = {n for n, p in profiles[path.stem].points.items() if p.write is not None}
        assert written == writable, path.stem


@pytest.mark.parametrize(("profile_id", "case"), READS)
def test_registers_become_the_values_of_the_source(kit, profiles, profile_id, case):
    images = {7: case["registers"], **case.get("other_units", {})}

    async def poll():
        # The pauses that a device needs are for another test.
        profile = replace(profiles[profile_id], after_connect_s=0.0, between_frames_s=0.0)
        units = {
            number: kit.Unit(
                {Space(space): dict(table) for space, table in image.items()},
                gaps_answer=profile.bridge_gaps,
            )
            for number, image in images.items()
        }
        async with kit.serving(units) as server:
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
    assert message.unit_id == case["message"].get("unit_id")


def test_what_is_written_as_several_points_becomes_the_messages_of_the_source(profiles):
    told = set()
    for path in FILES:
        profile = profiles[path.stem]
        for case in _load(path).get("encoded", []):
            ((name, value),) = case["values"].items()
            told.add((profile.id, name))
            messages = [write_message(profile, {p: v}) for p, v in profile.written_as(name, value)]
            assert [
                {"address": message.address, "registers": list(message.values)}
                for message in messages
            ] == case["messages"], (profile.id, value)
            assert {message.space for message in messages} == {Space.HOLDING}
    assert told == {(p.id, name) for p in profiles.values() for name in p.encoded or {}}
    assert len(told) >= 2


def _decoded(profile, case):
    """Return the values that a case's registers give by this profile, straight from the codec."""
    values = {}
    images = {None: case["registers"], **case.get("other_units", {})}
    for name, codec in codecs(profile).items():
        point = codec.point
        table = images.get(point.unit_id, {}).get(str(point.space), {})
        words = [table.get(point.address + at) for at in range(point.data_type.registers)]
        factor = table.get(point.scale_factor_address)
        if None not in words and (factor is not None or point.scale_factor_address is None):
            values[name] = codec.decode(words, factor)[0]
    return values


def _agrees(profile, cases, name):
    return all(
        _decoded(profile, case).get(name) == case["values"][name]
        for case in cases
        if name in case.get("values", {})
    )


SLIPS = {
    "the next address": lambda point: {"address": point.address + 1},
    "the address before": lambda point: {"address": point.address - 1},
    "the other table": lambda point: {"space": _OTHER[point.space]},
    "ten times the scale": lambda point: {"scale": 10 * point.scale},
    "the other sign": lambda point: {"sign": -point.sign},
}
_OTHER = {
    Space.HOLDING: Space.INPUT,
    Space.INPUT: Space.HOLDING,
    Space.COIL: Space.DISCRETE,
    Space.DISCRETE: Space.COIL,
}


@pytest.mark.parametrize("slip", SLIPS)
def test_a_slip_in_a_profile_shows_in_its_golden_file(profiles, slip):
    for path in FILES:
        profile = profiles[path.stem]
        cases = _load(path)["reads"]
        for name, point in profile.points.items():
            if point.write_only or profile.discovery:
                continue
            only_zero = all(case["values"].get(name, 0) == 0 for case in cases if "values" in case)
            if slip in ("ten times the scale", "the other sign") and only_zero:
                continue
            assert _agrees(profile, cases, name), (path.stem, name)
            change = SLIPS[slip](point)
            if change.get("address", 0) < 0:
                continue
            slipped = replace(profile, points={**profile.points, name: replace(point, **change)})
            assert not _agrees(slipped, cases, name), (path.stem, name, slip)


def test_swapped_words_show_in_the_golden_files(profiles):
    for path in FILES:
        profile = profiles[path.stem]
        swapped = replace(profile, high_word_first=not profile.high_word_first)
        cases = _load(path)["reads"]
        for name, point in profile.points.items():
            if point.space is Space.COIL:
                continue  # relays have no words
            if point.data_type.registers > 1 and not point.write_only and not profile.discovery:
                assert not _agrees(swapped, cases, name), (path.stem, name)
