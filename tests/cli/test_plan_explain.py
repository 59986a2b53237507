"""Why a home was told what it was told: the record of that time, and the plan of that time."""

from __future__ import annotations

import json
from datetime import timedelta
from pathlib import Path

import numpy as np
import pytest
from click.testing import CliRunner

from ems.cli import main
from ems.demo.start import anchor_clock
from ems.domain.plans import HomePlan, Schedule
from ems.domain.points import PointId
from ems.domain.setpoints import Applied, Cause, Setpoint, SetpointRecord
from ems.settings import load_estate
from ems.store import open_store

CONFIG = Path(__file__).parents[2] / "config" / "demo" / "estate.yaml"
ESTATE = load_estate(CONFIG)
assert ESTATE.starts_at is not None
NOW = ESTATE.starts_at
PUMP = ESTATE.dwelling("A-07").heat_pump.device_id


def record(value: float, cause: Cause, sentence: str, hours_ago: float) -> SetpointRecord:
    at = NOW - timedelta(hours=hours_ago)
    sent = Setpoint(
        f"s{hours_ago}",
        PointId(PUMP, "room_setpoint_c"),
        value,
        at,
        at + timedelta(minutes=15),
        cause,
        sentence,
        20.0,
    )
    return SetpointRecord(sent, Applied(value, written=True), at)


@pytest.fixture
def ems(tmp_path: Path):
    """Run ``ems plan explain`` on a store with two setpoints and a plan of four half-hours."""
    anchor_clock(tmp_path, NOW, 1.0)
    store = open_store(tmp_path / "store.sqlite")
    store.add_setpoint_records(
        [
            record(20.0, Cause.SCHEDULE, "As your schedule asks.", 5.0),
            record(21.5, Cause.CHEAP_NOW, "Cheap now, dear later.", 1.0),
        ]
    )
    four = np.arange(4.0)
    home = HomePlan(
        dwelling_id="A-07",
        heat_w=4000.0 - 1000.0 * four,
        power_w=1000.0 + 0.0 * four,
        room_c=21.0 + 0.1 * four,
        cause=(Cause.CHEAP_NOW, Cause.CHEAP_NOW, Cause.DEAR_NOW, Cause.DEAR_NOW),
        sentence=("Heating ahead.", "Heating ahead.", "Resting.", "Resting."),
        also=((Cause.EVENT,), (Cause.EVENT,), (), ()),
    )
    store.add_schedule(
        Schedule(
            id="p1",
            block_id="A",
            issued_at=NOW - timedelta(minutes=10),
            start=NOW - timedelta(minutes=10),
            step_s=np.full(4, 1800.0),
            homes=(home,),
            battery=None,
            import_w=0.0 * four,
            price_gbp_per_kwh=0.12 + 0.0 * four,
            objective_gbp=1.0,
            bound_gbp=1.0,
            status="optimal",
        )
    )
    store.close()

    def run(*words: str, status: int = 0) -> str:
        where = ["--config", str(CONFIG), "--state", str(tmp_path)]
        result = CliRunner().invoke(main, ["plan", "explain", *words, *where])
        assert result.exit_code == status, result.output
        return result.output

    return run


def test_now_is_explained_by_the_setpoint_in_force_and_the_plan(ems) -> None:
    shown = ems("A-07")
    assert "room_setpoint_c 21.5" in shown
    assert "Because: Cheap now, dear later." in shown
    assert "4.00 kW of heat, 21.0 °C" in shown
    assert shown.count("Heating ahead.") == 1, "steps with one reason are one line"
    assert "cheap now, event" in shown
    assert shown.index("Heating ahead.") < shown.index("Resting.")


def test_an_earlier_time_is_explained_by_what_was_known_then(ems) -> None:
    then = (NOW - timedelta(hours=3)).isoformat()
    shown = ems("A-07", then)
    assert "As your schedule asks." in shown
    assert "No plan of that time" in shown
    told = json.loads(ems("A-07", then, "--json"))
    assert told["setpoint"]["causes"] == ["schedule"]
    assert told["plan"] is None
    now = json.loads(ems("A-07", "--json"))
    assert [run["causes"] for run in now["plan"]["coming"]] == [
        ["cheap_now", "event"],
        ["dear_now"],
    ]


def test_a_home_that_does_not_exist_is_refused_with_a_remedy(ems) -> None:
    assert "named like A-01" in ems("Z-99", status=2)
    assert "Nothing was told" in ems("A-01")
