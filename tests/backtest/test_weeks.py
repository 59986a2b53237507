"""Four weeks of a whole estate under plans: how long that takes, and that its meters agree."""

from __future__ import annotations

import json
from datetime import date
from pathlib import Path

import numpy as np
import pytest

from ems.backtest.case import Case, Setting, run_case
from ems.demo.evidence import Controller

DEMO = Path(__file__).parents[2] / "config/demo/estate.yaml"
FIGURES = Path(__file__).parents[2] / "build" / "backtest-weeks.json"


@pytest.mark.long
@pytest.mark.timeout(3600)
@pytest.mark.parametrize("houses", ["two-node", "mixed"])
def test_four_weeks_of_forty_homes(tmp_path: Path, houses: str) -> None:
    setting = Setting(
        DEMO, tmp_path, houses=houses, controllers=(Controller.THERMOSTAT, Controller.PLANNED)
    )
    evidence = run_case(Case(date(2023, 1, 23), 28 * 24, 1), setting)
    planned = evidence.runs[Controller.PLANNED]
    assert planned.room_c.shape == (28 * 48, 40)
    for run in evidence.runs.values():
        kwh = run.kwh
        homes = kwh["home_import"].reshape(-1, 2, 20).sum(axis=2)
        landlord = kwh["landlord_import"] - kwh["landlord_export"]
        block = kwh["block_import"] - kwh["block_export"]
        # Counters of tens of thousands of kWh, each half-hour a difference of two of them.
        np.testing.assert_allclose(homes + landlord, block, atol=1e-6)
        assert np.isfinite(run.room_c).all()
    missing = [
        evidence.runs[one].missing_kh["below_schedule"].sum()
        for one in (Controller.PLANNED, Controller.THERMOSTAT)
    ]
    assert missing[0] <= missing[1]
    FIGURES.parent.mkdir(exist_ok=True)
    found = json.loads(FIGURES.read_text()) if FIGURES.is_file() else {}
    found[houses] = {one.value: round(taken, 1) for one, taken in evidence.seconds.items()}
    FIGURES.write_text(json.dumps(found, indent=1) + "\n")
