"""``ems flags``: list, show with a reason, run."""

from __future__ import annotations

import json
import time
from datetime import timedelta

import pandas as pd
import pytest
from click.testing import CliRunner

from ems.cli import main
from ems.domain.points import PointId
from ems.domain.readings import Rollup
from ems.domain.time import HALF_HOUR, AnchoredClock
from ems.people.cold_home import window
from ems.settings.clock import write_anchor
from ems.store import open_store

from .conftest import DEMO, LONDON, NIGHT, RULES


@pytest.fixture
def state(tmp_path, estate):
    """A state directory whose estate time stands at a night after a cold week in one home."""
    start, end = window(NIGHT, LONDON, RULES)
    grid = pd.date_range(start, end, freq=HALF_HOUR, inclusive="left")
    rows = []
    for home in estate.dwellings():
        for at in grid:
            room = 16.0 if home.id == "A-03" else 20.0
            for point, value in (
                (PointId(home.room_sensor_id, "temperature_c"), room),
                (PointId(home.meter.device_id, "power_w"), 250.0),
            ):
                rows.append(Rollup(point, at.to_pydatetime(), value, value, value, 1.0))
    with open_store(tmp_path / "store.sqlite") as store:
        store.add_rollups(rows)
    write_anchor(tmp_path, AnchoredClock(NIGHT, time.time(), 1e-6))
    return tmp_path


def ems(state, *words: str):
    common = ["--config", str(DEMO), "--state", str(state)]
    return CliRunner().invoke(main, ["flags", *words, *common], prog_name="ems")


def test_the_rules_run_by_hand_and_the_flag_is_listed(state) -> None:
    assert "No open flags." in ems(state, "list").output
    assert "1 open flag found." in ems(state, "run").output
    listed = ems(state, "list").output
    assert "A-03" in listed
    assert "Below 18 °C for 112 of 112 hours" in listed
    (found,) = json.loads(ems(state, "list", "--json").output)
    assert (found["home"], found["found"], found["below_h"]) == ("A-03", "severe", 112.0)


def test_a_flag_is_shown_only_for_a_reason_that_the_tenant_can_read(state) -> None:
    ems(state, "run")
    assert ems(state, "show", "A-03").exit_code == 2
    assert ems(state, "show", "A-03", "--reason", "x").exit_code == 2
    shown = ems(state, "show", "A-03", "--reason", "Calling about the cold", "--by", "olive")
    assert shown.exit_code == 0, shown.output
    assert "found by the rule" in shown.output
    with open_store(state / "store.sqlite") as store:
        day = timedelta(days=1)
        (entry,) = store.log_entries(NIGHT - day, NIGHT + day, "viewed")
    assert (entry.subject, entry.detail["by"]) == ("A-03", "olive")
    assert entry.detail["reason"] == "Calling about the cold"
    missing = ems(state, "show", "A-04", "--reason", "Calling about the cold")
    assert missing.exit_code == 2
    assert "there is no such flag" in missing.output
