"""The guide to device profiles: complete, and its worked example works."""

from __future__ import annotations

import re
from pathlib import Path

import yaml

from drivers.codec import codecs, write_message
from ems.domain.points import POINTS
from ems.domain.profiles import DataType, Space
from ems.domain.readings import Quality
from ems.settings.profile_schema import profile_schema
from ems.settings.profiles import read_profile

ROOT = Path(__file__).parents[2]
GUIDE = (ROOT / "docs" / "device-profiles.md").read_text(encoding="utf-8")
EXAMPLES = re.findall(r"```yaml\n(.*?)```", GUIDE, re.DOTALL)


def test_the_worked_example_is_a_well_profile(tmp_path):
    path = tmp_path / "example_h1.yaml"
    path.write_text(EXAMPLES[0], encoding="utf-8")
    profile, faults = read_profile(path)
    assert faults == []
    assert profile.points["sg_mode"].write.low == 2


def test_the_worked_examples_golden_file_agrees_with_it(tmp_path):
    path = tmp_path / "example_h1.yaml"
    path.write_text(EXAMPLES[0], encoding="utf-8")
    profile, _ = read_profile(path)
    golden = yaml.safe_load(EXAMPLES[1])
    made = codecs(profile)
    (case,) = golden["reads"]
    for name in (*case["values"], *case["qualities"]):
        point = profile.points[name]
        table = case["registers"][str(point.space)]
        words = [table[point.address + at] for at in range(point.data_type.registers)]
        value, quality = made[name].decode(words)
        assert value == case["values"].get(name, value), name
        assert quality is Quality[case["qualities"].get(name, "GOOD")], name
    (write,) = golden["writes"]
    message = write_message(profile, write["values"])
    assert message.space is Space(write["message"]["space"])
    assert message.address == write["message"]["address"]
    assert list(message.values) == write["message"]["registers"]


def test_every_profile_is_in_the_table_of_makes():
    for path in sorted((ROOT / "config" / "devices").glob("*.yaml")):
        assert f"| `{path.stem}` |" in GUIDE, path.stem


def test_every_key_is_explained():
    schema = profile_schema()
    for part in (schema, *schema["$defs"].values()):
        for key in part.get("properties", {}):
            assert f"`{key}`" in GUIDE, key


def test_every_decoder_is_named():
    for data_type in DataType:
        assert f"`{data_type}`" in GUIDE, data_type


def test_every_point_that_a_device_may_have_is_listed_with_its_unit():
    for device_class, points in POINTS.items():
        heading = f"### {str(device_class).replace('_', ' ').capitalize()}\n"
        assert heading in GUIDE
        section = GUIDE.split(heading, 1)[1].split("\n### ", 1)[0]
        listed = dict(re.findall(r"^\| `(\w+)` \| (\S+) \|", section, re.MULTILINE))
        assert listed == {
            name: point.unit or "code"
            for name, point in points.items()
            if not point.description.startswith("derived")
        }
