"""``ems plan show``: a plan with its proof, limits, prices, and what gave way."""

from __future__ import annotations

import json
from dataclasses import replace
from datetime import timedelta
from pathlib import Path

import numpy as np
import pytest
from click.testing import CliRunner

from controllers import generate_problem
from controllers.joint import JointPlanner
from ems.cli import main
from ems.demo.start import anchor_clock
from ems.domain.events import Direction
from ems.domain.forecasts import Tightening
from ems.domain.plans import EventProblem
from ems.settings import load_estate
from ems.store import open_store

CONFIG = Path(__file__).parents[2] / "config" / "demo" / "estate.yaml"
ESTATE = load_estate(CONFIG)
NOW = ESTATE.starts_at


@pytest.fixture
def show(tmp_path: Path):
    """Run ``ems plan show`` on a store with a real plan whose event asks the impossible."""
    anchor_clock(tmp_path, NOW, 1.0)
    drawn = generate_problem(3, 8, 1, "store1", hours=4)
    asked = np.full(8, np.inf)
    asked[2:4] = -50e3
    event = EventProblem(
        "evening",
        Direction.DOWN,
        asked,
        frozenset(home.dwelling_id for home in drawn.homes),
        battery=False,
        uncontrolled_w=np.zeros(8),
        start=NOW + timedelta(hours=1),
        until=NOW + timedelta(hours=2),
    )
    posed = replace(
        drawn,
        block_id="A",
        issued_at=NOW,
        start=NOW,
        events=(event,),
        contracted_import_w=np.full(8, np.inf),
        import_margin_w=np.full(8, 500.0),
    )
    with open_store(tmp_path / "store.sqlite") as store:
        plan = JointPlanner(ESTATE.zone).plan(posed, 10.0)
        store.add_schedule(replace(plan, tightening=Tightening("A", 1.25, 1.0, 300, 12)))

    def run(*words: str) -> str:
        where = ["--config", str(CONFIG), "--state", str(tmp_path)]
        result = CliRunner().invoke(main, ["plan", "show", *words, *where])
        assert result.exit_code == 0, result.output
        return result.output

    return run


def test_a_plan_says_how_good_it_is_under_which_limits_and_what_gave_way(show) -> None:
    shown = show("--block", "A")
    assert "proven within 0.1" in shown and "can come out better. Gap 0.00%" in shown
    assert "one linear programme, solved with HiGHS" in shown
    # What is paid stands apart from the weight of the event that cannot be met.
    assert "Costs: £" in shown and "over 4 hours: electricity £" in shown
    assert "paid by nobody: " in shown and "the limits that gave way" in shown
    assert "Kept free for higher loads: 0.5 kW" in shown
    assert "Event evening: 3 homes, together at most -50.0 kW" in shown
    assert "widened to 125% of what forecasts say" in shown
    assert "12 of 96 half-hours" in shown
    assert "Gave way: event evening missed by" in shown
    assert "Contracted import" not in shown, "there is none"
    head = next(line for line in shown.splitlines() if line.startswith("from"))
    assert "keeps below kW" in head and "event evening kW" in head and "price p/kWh" in head


def test_the_same_is_told_to_programs_and_no_limit_is_null(show) -> None:
    (told,) = json.loads(show("--json"))
    assert told["solver"] == "linear programme"
    assert told["objective_gbp"] >= told["bound_gbp"]
    parts = told["costs"]
    assert parts["missed_gbp"] > parts["electricity_gbp"] > 0
    assert sum(parts.values()) - 2 * parts["left_gbp"] == pytest.approx(told["objective_gbp"])
    assert told["limits"]["contracted_import_w"] == [None] * 8
    kept, rated = told["limits"]["kept_w"], told["limits"]["physical_import_w"]
    assert kept == pytest.approx([value - 500.0 for value in rated])
    assert told["limits"]["events"][0]["limit_w"][2] == -50e3
    assert told["limits"]["events"][0]["limit_w"][0] is None
    assert told["margins_learnt"]["load"] == 1.25
    assert told["gave_way"][0]["limit"] == "event"
