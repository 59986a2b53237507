"""The delivered profiles, and the schema that device makers write theirs by."""

from __future__ import annotations

import json
import math
from pathlib import Path

import pytest

from drivers.blocks import MAX_BIT_BLOCK, plan
from drivers.codec import codecs, register_image
from drivers.orders import quantise
from ems.domain.points import POINTS, DeviceClass, PointKind
from ems.domain.profiles import Confidence, Space, Transport
from ems.domain.readings import Quality
from ems.settings.profile_schema import profile_schema, schema_text

ROOT = Path(__file__).parents[2]
DEVICES = ROOT / "config" / "devices"
IDS = sorted(path.stem for path in DEVICES.glob("*.yaml"))
REGISTERS = (Space.HOLDING, Space.INPUT)


@pytest.fixture(params=IDS)
def profile(request, profiles):
    return profiles[request.param]


def test_the_published_schema_is_that_of_the_model():
    remedy = "run: python -m ems.settings.profile_schema > config/devices/schema.json"
    assert (DEVICES / "schema.json").read_text(encoding="utf-8") == schema_text(), remedy


def test_the_schema_describes_every_key():
    schema = json.loads(schema_text())
    parts = {"the profile": schema, **schema["$defs"]}
    undescribed = [
        f"{name}.{key}"
        for name, part in parts.items()
        for key, value in part.get("properties", {}).items()
        if not value.get("description")
    ]
    assert undescribed == []
    assert set(schema["required"]) <= set(schema["properties"])


def test_the_schema_names_the_points_of_each_class():
    for rule in profile_schema()["allOf"]:
        device_class = DeviceClass(rule["if"]["properties"]["device_class"]["const"])
        names = rule["then"]["properties"]["points"]["propertyNames"]["enum"]
        assert set(names) <= set(POINTS[device_class])
        assert "household_power_w" not in names  # derived, not read


def test_every_profile_points_editors_to_the_schema():
    for id_ in IDS:
        text = (DEVICES / f"{id_}.yaml").read_text(encoding="utf-8")
        if not id_.startswith("sunspec"):
            assert text.startswith("# yaml-language-server: $schema=schema.json\n"), id_


def test_every_class_has_a_profile(profiles):
    assert {profile.device_class for profile in profiles.values()} == set(DeviceClass)
    assert len(profiles) >= 22


def test_few_uncertain_addresses_may_be_written_at_all(profiles):
    uncertain = {
        (profile.id, name)
        for profile in profiles.values()
        for name, point in profile.points.items()
        if point.write is not None and point.confidence is Confidence.C
    }
    assert uncertain == {
        ("grant_aerona3_chofu", "room_setpoint_c"),
        ("sg_ready_relay_board", "sg_mode"),
    }


def test_reads_stay_within_what_the_device_allows(profile):
    made = plan(profile, codecs(profile), list(profile.points))
    assert made.blocks
    for block in made.blocks:
        limit = profile.max_block if block.space in REGISTERS else MAX_BIT_BLOCK
        assert 1 <= block.count <= limit
        for atom in block.atoms:
            assert block.address <= atom.address
            assert atom.address + atom.width <= block.address + block.count
    planned = {slot.point for slot in made.slots}
    write_only = {name for name, point in profile.points.items() if point.write_only}
    assert planned == set(profile.points) - write_only
    assert set(made.absent) == write_only


def _plausible(profile, name):
    """Return a value that a well device may hold."""
    point, canonical = profile.points[name], POINTS[profile.device_class][name]
    if point.write is not None:
        return point.write.high
    if point.codes is not None:
        return float(next(iter(point.codes.values())))
    if canonical.kind is PointKind.STATE:
        return max(canonical.low, 0.0)
    middle = {"W": 1200.0 * point.sign, "kWh": 12.0, "Hz": 50.0, "s": 300.0}
    return middle.get(canonical.unit, min(max(20.0, canonical.low + 1), canonical.high))


def test_a_simulated_device_shows_what_drivers_read(profile):
    truth = {name: _plausible(profile, name) for name in profile.points}
    image = register_image(profile, truth)
    for name, codec in codecs(profile).items():
        point = codec.point
        table = image[point.space]
        words = [table[point.address + at] for at in range(point.data_type.registers)]
        factor = table.get(point.scale_factor_address)
        value, quality = codec.decode(words, factor)
        resolution = abs(point.scale) * 10.0 ** (point.served_scale_factor if factor else 0)
        assert quality is Quality.GOOD, name
        assert math.isclose(value, truth[name], rel_tol=1e-6, abs_tol=0.5 * resolution), name
    for check in profile.identity:
        assert check.fits(image[check.space][check.address])


def test_writes_keep_to_the_registers_steps(profile):
    for name, point in profile.points.items():
        rule = point.write
        if rule is None:
            continue
        codec = codecs(profile)[name]
        steps = round((rule.high - rule.low) / rule.step)
        for index in {0, 1, steps // 3, steps // 2, steps}:
            value = quantise(min(rule.low + index * rule.step, rule.high), rule)
            factor = point.served_scale_factor & 0xFFFF
            read_back, quality = codec.decode(codec.encode(value), factor)
            assert quality is Quality.GOOD, (name, value)
            assert abs(read_back - value) <= rule.tolerance + 1e-9, (name, value)


def test_no_heat_pump_can_be_left_cold(profiles):
    for profile in profiles.values():
        if profile.device_class is not DeviceClass.HEAT_PUMP:
            continue
        for name, point in profile.points.items():
            if point.write is None or not point.write.persists:
                continue
            assert name in ("room_setpoint_c", "sg_mode", "sg_control", "heating_control"), name
            if name == "sg_mode":
                assert point.write.low >= 2, profile.id


def test_every_profile_says_how_it_is_reached(profiles):
    for profile in profiles.values():
        if not profile.id.startswith("sunspec"):
            assert profile.transports, profile.id
        if Transport.RTU in profile.transports:
            has_line = profile.serial or any(
                "serial" in line or "unit id" in line for line in profile.setup
            )
            assert has_line, profile.id
