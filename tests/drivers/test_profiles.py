"""Profile files: what is refused, with place, value and remedy, all at once."""

from __future__ import annotations

import pytest
import yaml

from ems.domain.errors import ConfigurationError
from ems.settings.profiles import load_profiles

METER = """
id: meter
vendor: Maker
model: One
device_class: meter
max_block: 10
sources: [the maker's manual, a measurement on site]
points:
  power_w: {space: input, address: 12, type: float32, unit: W, cadence: fast, confidence: A}
"""
PUMP = """
id: pump
vendor: Maker
model: Two
device_class: heat_pump
max_block: 10
sources: [the maker's manual, a measurement on site]
points:
  room_setpoint_c:
    space: holding
    address: 5
    type: int16
    unit: °C
    cadence: slow
    confidence: A
    write: {low: 12, high: 30, step: 1, persists: true}
  compressor_on: {space: discrete, address: 3, type: bool, cadence: normal, confidence: A}
"""


def _faults(tmp_path, text, name="meter"):
    (tmp_path / f"{name}.yaml").write_text(text, encoding="utf-8")
    with pytest.raises(ConfigurationError) as caught:
        load_profiles(tmp_path)
    return caught.value.faults


def _changed(text, path, value):
    document = yaml.safe_load(text)
    place = document
    *parents, last = path.split("/")
    for key in parents:
        place = place.setdefault(key, {})
    if value is None:
        del place[last]
    else:
        place[last] = value
    return yaml.safe_dump(document, allow_unicode=True)


@pytest.mark.parametrize(
    ("path", "value", "where", "says"),
    [
        ("id", "other", "id", "differs from the file's name"),
        ("colour", "red", "colour", "is not a key"),
        ("sources", [], "sources", "at least 1"),
        ("vendor", None, "vendor", "is missing"),
        ("device_class", "kettle", "device_class", "'meter'"),
        ("max_block", 126, "max_block", "less than or equal to 125"),
        ("max_block", 1, "max_block", "is less than points.power_w needs"),
        ("points/power_w/unit", "kW", "points.power_w.unit", "is not the canonical unit"),
        ("points/power_w/scale", 0, "points.power_w.scale", "must not be 0"),
        ("points/power_w/sign", 2, "points.power_w.sign", "-1 or 1"),
        ("points/power_w/type", "float33", "points.power_w.type", "'float32'"),
        ("points/power_w/type", "bool", "points.power_w.type", "does not fit input"),
        ("points/power_w/address", 65535, "points.power_w.address", "leaves the address range"),
        ("points/power_w/address", -1, "points.power_w.address", "greater than or equal to 0"),
        ("points/power_w/sentinels", [2**32], "points.power_w.sentinels", "does not fit"),
        ("points/power_w/codes", {1: 1}, "points.power_w.codes", "are for states only"),
        ("points/power_w/max_rise_per_h", 5, "points.power_w.max_rise_per_h", "counters only"),
        ("points/power_w/repeat", 2, "points.power_w", "lead or repeat but no write"),
        ("points/power_w/unit_id", 300, "points.power_w.unit_id", "less than or equal to 247"),
        ("points/warmth", {"space": "input"}, "points.warmth.address", "is missing"),
        ("points/household_power_w", "copy", "points.household_power_w", "is computed by Hearth"),
        ("points/temperature_c", "copy", "points.temperature_c", "is no point of a meter"),
        ("points/energy_import_kwh", "kwh", "points.energy_import_kwh.max_rise_per_h", "missing"),
        ("constants/coil", {1: 1}, "constants.coil", "only registers"),
        ("identified_by/holding", [7], "identified_by.holding", "is no constant"),
        ("composed/operating_state", [["x", 1]], "composed.operating_state", "is no point"),
        ("link_lost", ["fault", 1], "link_lost", "names no point"),
        ("sources", ["hearsay"], "points.power_w.confidence", "on the word of one source"),
        ("points/power_w/sources", [1], "points.power_w.confidence", "on the word of one source"),
        ("points/power_w/sources", [1, 3], "points.power_w.sources", "no source of this profile"),
        ("points/power_w/write_only", True, "points.power_w.write_only", "has no write"),
        ("points/voltage_v", "13", "points.voltage_v.address", "cuts into the registers of power"),
        ("serial", "9600-8-N-1", "serial", "pattern"),
        ("transports", ["carrier pigeon"], "transports[0]", "'tcp'"),
        ("after_connect_s", 600, "after_connect_s", "less than or equal to 60"),
        ("between_frames_s", -1, "between_frames_s", "greater than or equal to 0"),
        ("timeout_s", 0, "timeout_s", "greater than 0"),
        ("unit_id", 0, "unit_id", "greater than or equal to 1"),
        ("identity", "empty", "identity[0].accepted", "at least 1"),
        ("identity", "bits", "identity[0].accepted", "outside the mask"),
        ("word_order", "middle_first", "word_order", "'low_first'"),
    ],
)
def test_a_faulty_reading_is_refused(tmp_path, path, value, where, says):
    point = yaml.safe_load(METER)["points"]["power_w"]
    if value == "copy":
        value = point
    elif value == "kwh":
        value = point | {"unit": "kWh"}
    elif value == "13":
        value = point | {"unit": "V", "address": 13}
    elif value in ("empty", "bits"):
        accepted = [] if value == "empty" else [0x100]
        check = {"what": "model", "space": "input", "address": 1}
        value = [check | {"mask": 0xFF, "accepted": accepted}]
    faults = _faults(tmp_path, _changed(METER, path, value))
    assert any(
        fault.path.startswith(f"meter.yaml: {where}") and says in fault.problem and fault.remedy
        for fault in faults
    ), faults


@pytest.mark.parametrize(
    ("path", "value", "where", "says"),
    [
        ("points/room_setpoint_c/space", "input", "write", "cannot be written"),
        ("points/room_setpoint_c/write/low", 31, "write.low", "is above high"),
        ("points/room_setpoint_c/write/low", 1, "write.low", "plausible range"),
        ("points/room_setpoint_c/write/step", 0, "write.step", "greater than 0"),
        ("points/room_setpoint_c/write/persists", None, "write.persists", "is missing"),
        ("points/room_setpoint_c/write/persists", False, "write.reverts_after_s", "given where"),
        ("points/room_setpoint_c/write/reverts_after_s", 60, "write.reverts_after_s", "absent"),
        ("points/room_setpoint_c/write/high", float("inf"), "write.high", "finite"),
        ("points/room_setpoint_c/write/high", 60, "write.high", "plausible range"),
        ("points/room_setpoint_c/write/step", 0.5, "write.step", "finer than the register"),
        ("points/room_setpoint_c/scale", 0.0001, "write.high", "does not fit the register"),
    ],
)
def test_an_unsafe_write_is_refused(tmp_path, path, value, where, says):
    faults = _faults(tmp_path, _changed(PUMP, path, value), "pump")
    wanted = f"pump.yaml: points.room_setpoint_c.{where}"
    assert any(f.path.startswith(wanted) and says in f.problem for f in faults), faults


@pytest.mark.parametrize(
    ("point", "extra", "low", "says"),
    [
        ("sg_mode", {}, 1, "cold for ever"),
        ("heating_on", {}, 0, "cold for ever"),
        ("hot_water_allowed", {}, 0, "cold for ever"),
        ("flow_setpoint_c", {"unit": "°C"}, 20, "only Hearth would undo"),
        ("power_limit_w", {"unit": "W"}, 0, "only Hearth would undo"),
    ],
)
def test_what_only_hearth_could_undo_is_refused(tmp_path, point, extra, low, says):
    holding = {"space": "holding", "address": 9, "type": "uint16", "cadence": "slow"}
    rule = {"low": low, "high": low + 1, "step": 1, "persists": True, "min_interval_s": 300}
    mapped = holding | extra | {"confidence": "B", "write": rule}
    (fault,) = _faults(tmp_path, _changed(PUMP, f"points/{point}", mapped), "pump")
    assert says in fault.problem
    assert fault.path.startswith(f"pump.yaml: points.{point}.write.")
    assert fault.remedy


@pytest.mark.parametrize("point", ["sg_mode", "heating_on"])
def test_what_switches_a_compressor_for_a_price_is_not_switched_at_will(tmp_path, point):
    holding = {"space": "holding", "address": 9, "type": "uint16", "cadence": "slow"}
    low, high = (2, 3) if point == "sg_mode" else (1, 1)
    rule = {"low": low, "high": high, "step": 1, "persists": True, "min_interval_s": 299}
    mapped = holding | {"confidence": "B", "write": rule}
    (fault,) = _faults(tmp_path, _changed(PUMP, f"points/{point}", mapped), "pump")
    assert fault.path == f"pump.yaml: points.{point}.write.min_interval_s"
    assert "compressor" in fault.problem and "300" in fault.remedy


def test_a_block_that_lapses_by_itself_is_accepted(tmp_path):
    holding = {"space": "holding", "address": 9, "type": "uint16", "cadence": "slow"}
    rule = {"low": 1, "high": 2, "step": 1, "persists": False}
    rule |= {"reverts_after_s": 600, "refresh_s": 120}
    mapped = holding | {"confidence": "B", "write": rule}
    text = _changed(PUMP, "points/sg_mode", mapped)
    (tmp_path / "pump.yaml").write_text(text, encoding="utf-8")
    assert load_profiles(tmp_path)["pump"].points["sg_mode"].write.low == 1


def test_a_state_that_may_be_written_needs_a_code(tmp_path):
    mapped = {
        "space": "holding",
        "address": 9,
        "type": "uint16",
        "cadence": "slow",
        "confidence": "B",
        "codes": {0: 2, 5: 4, 7: 9},
        "write": {"low": 2, "high": 4, "step": 1, "persists": True, "min_interval_s": 300},
    }
    faults = _faults(tmp_path, _changed(PUMP, "points/sg_mode", mapped), "pump")
    assert {(fault.path, fault.value) for fault in faults} == {
        ("pump.yaml: points.sg_mode.codes.7", 9),
        ("pump.yaml: points.sg_mode.write", 3),
    }


def test_a_lapsing_write_must_be_refreshed_before_it_lapses(tmp_path):
    text = _changed(PUMP, "points/room_setpoint_c/write/persists", False)
    text = _changed(text, "points/room_setpoint_c/write/reverts_after_s", 60)
    text = _changed(text, "points/room_setpoint_c/write/refresh_s", 60)
    (fault,) = _faults(tmp_path, text, "pump")
    assert fault.path == "pump.yaml: points.room_setpoint_c.write.refresh_s"


@pytest.mark.parametrize(
    ("key", "value", "says"),
    [
        ("enter_control", [["room_setpoint_c", 40]], "outside the limits"),
        ("release", [["compressor_on", 1]], "no writable point"),
        ("write_groups", [["room_setpoint_c", "compressor_on"]], "no writable holding point"),
        ("write_groups", [["room_setpoint_c"] * 2], "does not follow"),
        ("write_groups", [["room_setpoint_c"] * 2] * 2, "of another group"),
        ("link_lost", ["deaf", 1], "names no point"),
        ("composed", {"room_setpoint_c": [["compressor_on", 1]]}, "has a register too"),
        ("composed", {"room_temperature_c": [["compressor_on", 1]]}, "is not a state"),
    ],
)
def test_faulty_control_sequences_are_refused(tmp_path, key, value, says):
    faults = _faults(tmp_path, _changed(PUMP, key, value), "pump")
    assert any(says in fault.problem for fault in faults), faults


def test_all_faults_of_all_files_come_at_once(tmp_path):
    (tmp_path / "pump.yaml").write_text(_changed(PUMP, "vendor", ""), encoding="utf-8")
    text = _changed(METER, "points/power_w/unit", "kW")
    text = _changed(text, "points/power_w/scale", 0)
    faults = _faults(tmp_path, text)
    assert {fault.path for fault in faults} == {
        "meter.yaml: points.power_w.unit",
        "meter.yaml: points.power_w.scale",
        "pump.yaml: vendor",
    }


def test_faults_of_form_do_not_hide_faults_of_meaning(tmp_path):
    text = _changed(METER, "colour", "red")
    text = _changed(text, "max_block", 999)
    text = _changed(text, "points/voltage_v", {"space": "input", "address": "zero"})
    text = _changed(text, "points/power_w/unit", "kW")
    text = _changed(text, "identified_by/input", [7])
    places = {fault.path.removeprefix("meter.yaml: ") for fault in _faults(tmp_path, text)}
    assert places == {
        *("colour", "max_block", "identified_by.input", "points.power_w.unit"),
        *("points.voltage_v.address", "points.voltage_v.type", "points.voltage_v.cadence"),
        "points.voltage_v.confidence",
    }


def test_what_is_left_out_for_its_form_brings_up_no_second_fault(tmp_path):
    text = _changed(PUMP, "points/compressor_on/address", "three")
    text = _changed(text, "composed/operating_state", [["compressor_on", 2]])
    (fault,) = _faults(tmp_path, text, "pump")
    assert fault.path == "pump.yaml: points.compressor_on.address"
    assert fault.value == "three"


@pytest.mark.parametrize(
    ("content", "says"),
    [
        (b"id: [unclosed", "is not valid YAML"),
        (b"id: meter\nid: meter\n", "stands twice"),
        (b"? [a, b]\n: 1\n", "plain word"),
        (b"\xff\xfe\x00", "cannot be read"),
        (b"", "valid dictionary"),
        (b"- a list\n", "valid dictionary"),
        (b"!!python/object:os.system {}\n", "is not valid YAML"),
    ],
)
def test_what_is_no_profile_is_refused(tmp_path, content, says):
    (tmp_path / "meter.yaml").write_bytes(content)
    with pytest.raises(ConfigurationError) as caught:
        load_profiles(tmp_path)
    assert says in str(caught.value)


def test_a_directory_without_profiles_is_refused(tmp_path):
    for directory in (tmp_path, tmp_path / "missing"):
        with pytest.raises(ConfigurationError, match="holds no device profile"):
            load_profiles(directory)
