"""Residents' wishes and operators' holds from the command line, against a real state directory."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from click.testing import CliRunner

from ems.cli import main
from ems.demo.start import anchor_clock
from ems.domain.holds import Hold
from ems.domain.wishes import Asked
from ems.field.control import take_touches
from ems.store import open_store


@pytest.fixture
def ems(estate, tmp_path: Path):
    """Run ``ems`` on a state directory with a clock and an empty store."""
    assert estate.starts_at is not None
    anchor_clock(tmp_path, estate.starts_at, 1.0)
    open_store(tmp_path / "store.sqlite").close()
    config = Path(__file__).parents[2] / "config/demo/estate.yaml"

    def run(*words: str, status: int = 0) -> str:
        where = ["--config", str(config), "--state", str(tmp_path)]
        result = CliRunner().invoke(main, [*words, *where])
        assert result.exit_code == status, result.output
        return result.output

    run.state = tmp_path
    return run


def test_a_wish_is_made_shown_and_taken_back(ems) -> None:
    made = json.loads(
        ems("comfort", "warmer", "A-07", "--temperature", "22", "--by", "tess", "--json")
    )
    shown = json.loads(ems("comfort", "show", "A-07", "--json"))
    assert [one["id"] for one in shown["in_force"]] == [made["id"]]
    assert "22 °C" in ems("comfort", "show", "A-07")
    assert "Taken back" in ems("comfort", "undo", "A-07", made["id"], "--by", "olive")
    assert "Nothing else is asked for" in ems("comfort", "show", "A-07")
    with open_store(ems.state / "store.sqlite") as store:
        (kept,) = store.all_kept(Asked)
    assert (kept.record.by, kept.record.ended_by) == ("tess", "olive")


def test_a_schedule_under_the_floor_needs_a_word(ems) -> None:
    days = ["--weekday", "00:00=16,07:00=20"]
    assert "harm your health" in ems("comfort", "set", "A-07", *days, status=2)
    ems("comfort", "set", "A-07", *days, "--below-floor")
    assert "07:00 20 °C" in ems("comfort", "show", "A-07")


def test_an_absence_and_an_opt_out_stand_side_by_side_and_go_together(ems, estate) -> None:
    day = estate.starts_at.date().replace(year=estate.starts_at.year + 1, month=1, day=3)
    assert "back" in ems("comfort", "away", "A-07", "--until", f"{day}T18:00")
    assert "all events" in ems("comfort", "opt-out", "A-07")
    assert ems("comfort", "undo", "A-07").count("Taken back") == 2
    assert "no such home" in ems("comfort", "show", "A-99", status=2)
    assert "no date" in ems("comfort", "away", "A-07", "--until", "soon", status=2)


@pytest.mark.parametrize("command", ["release", "hold"])
def test_a_hold_needs_a_reason_and_is_lifted_by_its_id(ems, command) -> None:
    assert "needs a reason" in ems(command, "--block", "A", status=2)
    assert "one scope" in ems(command, "--reason", "storm", status=2)
    (made,) = json.loads(
        ems(command, "--block", "A", "--reason", "storm", "--by", "olive", "--json")
    )
    assert "storm" in ems(command, "--list")
    ems(command, "--lift", made["id"], "--by", "oscar")
    assert "No holds" in ems(command, "--list")
    with open_store(ems.state / "store.sqlite") as store:
        (kept,) = store.all_kept(Hold)
    assert (kept.record.by, kept.record.lifted_by) == ("olive", "oscar")


def test_a_hand_at_the_heat_pump_waits_for_the_field(ems) -> None:
    ems("field", "touch", "A-07", "--temperature", "22")
    assert "10 to 30" in ems("field", "touch", "A-07", "--temperature", "50", status=2)
    assert take_touches(ems.state) == [("A-07-hp", 22.0)]
    assert take_touches(ems.state) == []
