"""The step as JSON: what is published is what is read, and faults are all named."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from click.testing import CliRunner

from ems.cli import main

ROOT = Path(__file__).parents[2]
REQUEST = {
    "now": "2024-01-08T06:30:00Z",
    "history": [{"at": "2024-01-08T06:30:00Z", "room_c": 17.2, "outdoor_c": 3.5, "power_w": None}],
    "comfort": {"weekday": [{"start": "00:00", "lower_c": 20, "upper_c": 23}]},
    "device": {"actuator": "room_setpoint", "rated_heat_w": 6000},
}


@pytest.mark.parametrize("which", ["request", "result"])
def test_the_published_schema_is_the_one_in_force(which: str) -> None:
    shown = CliRunner().invoke(main, ["control", "schema", which])
    published = (ROOT / "docs" / "schemas" / f"control-{which}.schema.json").read_text(
        encoding="utf-8"
    )
    assert json.loads(shown.output) == json.loads(published)


def test_a_request_on_standard_input_is_answered_and_goes_on_from_its_state() -> None:
    first = CliRunner().invoke(main, ["control", "step", "-"], input=json.dumps(REQUEST))
    assert first.exit_code == 0, first.output
    told = json.loads(first.output)
    assert told["setpoint"] == 20.0
    assert told["reason"]["released"]
    assert told["plan"] is None
    later = {**REQUEST, "now": "2024-01-08T06:40:00Z", "state": told["state"]}
    second = CliRunner().invoke(main, ["control", "step", "-"], input=json.dumps(later))
    assert second.exit_code == 0, second.output


def test_all_faults_of_a_request_are_named_at_once(tmp_path: Path) -> None:
    wrong = {
        **REQUEST,
        "now": "2024-01-08T06:30:00",
        "comfort": {"weekday": [{"start": "6 am", "lower_c": 20, "upper_c": 23}]},
        "device": {"actuator": "valve", "rated_heat_w": 6000, "colour": "red"},
    }
    path = tmp_path / "request.json"
    path.write_text(json.dumps(wrong), encoding="utf-8")
    done = CliRunner().invoke(main, ["control", "step", str(path)])
    assert done.exit_code == 2
    for word in ("now", "weekday.0.start", "device.actuator", "valve", "colour", "schema request"):
        assert word in done.output
    absent = CliRunner().invoke(main, ["control", "step", str(tmp_path / "none.json")])
    assert absent.exit_code == 2
    assert "cannot be read" in absent.output
