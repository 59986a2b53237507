"""An afternoon of the service's own jobs with an event: its ledger beside the true burden."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path

import pytest

from ems.demo.controlled import Pace
from ems.demo.fairness_month import gather_month, true_burden_kh
from ems.demo.history import HistorySpan
from ems.demo.metering import Window
from ems.domain.events import EventState
from ems.field.parameters import load_parameters
from ems.settings import load_estate

DEMO = Path(__file__).parents[2] / "config/demo/estate.yaml"
WINDOW = Window(datetime(2023, 12, 1, 4, tzinfo=UTC), datetime(2023, 12, 1, 23, 30, tzinfo=UTC))


@pytest.mark.long
@pytest.mark.timeout(3600)
def test_a_day_with_an_event_is_entered_in_both_runs_and_in_none_without(tmp_path: Path) -> None:
    estate = load_estate(DEMO)
    one = replace(estate, blocks=estate.blocks[1:])
    month = gather_month(
        one,
        replace(load_parameters(DEMO.parent / "field.yaml"), quirks={}),
        WINDOW,
        tmp_path,
        events=1,
        span=HistorySpan(thermostat_days=3, planned_days=5),
        pace=Pace(dispatch_s=300.0),
    )
    assert month.calm.ledger.homes == ()
    for run in (month.unweighed, month.weighed):
        (event,) = run.events
        assert event.state is EventState.SETTLED
        assert len(run.ledger.homes) == len(event.participants) >= 10
        assert sum(home.fair_kh for home in run.ledger.homes) == pytest.approx(run.ledger.burden_kh)
        assert all(home.unknown == 0 for home in run.ledger.homes)
        true = true_burden_kh(one, WINDOW, run, month.calm)
        assert true.keys() == {home.id for home in one.dwellings()}
    # Nobody stood above its share yet: the first event is the same in both.
    assert [home.burden_kh for home in month.weighed.ledger.homes] == pytest.approx(
        [home.burden_kh for home in month.unweighed.ledger.homes]
    )
