"""Forecasts that all runs of a case share know nothing of what comes after their issue."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from ems.backtest.case import Case
from ems.backtest.controllers import kept_points
from ems.backtest.issues import LoadIssuer, OtherIssuer, collected, instants_of
from ems.backtest.store import RunStore
from ems.demo.recorder import DerivedColumns
from ems.domain.estate import Estate
from ems.domain.forecasts import Forecast
from ems.domain.readings import Rollup
from ems.domain.time import HALF_HOUR
from ems.field.parameters import load_parameters
from ems.field.simulation import EstateSimulation
from ems.service.control import open_weather
from ems.settings import load_estate

DEMO = Path(__file__).parents[2] / "config/demo/estate.yaml"
BEGIN = datetime(2023, 1, 2, tzinfo=UTC)
NOW = datetime(2023, 1, 20, 9, 0, tzinfo=UTC)
STEPS = 49


@pytest.fixture(scope="module")
def estate() -> Estate:
    return load_estate(DEMO)


def assert_same(left: list[Forecast], right: list[Forecast]) -> None:
    assert [(one.target, one.subject) for one in left] == [
        (one.target, one.subject) for one in right
    ]
    for mine, its in zip(left, right, strict=True):
        np.testing.assert_array_equal(mine.mean, its.mean)
        for level, values in mine.quantiles.items():
            np.testing.assert_array_equal(values, its.quantiles[level])


def test_load_forecasts_do_not_look_at_what_has_not_ended(estate: Estate) -> None:
    index = pd.date_range(BEGIN, NOW + timedelta(days=3), freq=HALF_HOUR)
    ids = [home.id for home in estate.dwellings()]
    rng = np.random.default_rng(4)
    known = pd.DataFrame(rng.gamma(1.5, 200.0, (len(index), len(ids))), index, ids)
    changed = known.copy()
    changed.loc[pd.Timestamp(NOW) :] = 9999.0
    made = [
        LoadIssuer(estate, open_weather(estate), table, timedelta(days=7), STEPS).issue(NOW)
        for table in (known, changed)
    ]
    assert_same(*made)
    subjects = {one.subject for one in made[0]}
    assert subjects == {*ids, "A", "B"}
    assert all(one.issued_at == NOW and len(one.mean) == STEPS for one in made[0])


def test_other_forecasts_do_not_look_at_what_has_not_ended(estate: Estate, tmp_path: Path) -> None:
    probe = EstateSimulation(estate, load_parameters(DEMO.parent / "field.yaml"), BEGIN, step_s=60)
    derived = DerivedColumns(estate, probe.point_ids)
    points = kept_points(estate, [*probe.point_ids, *derived.point_ids])
    made = []
    for number, later in enumerate((50.0, 9000.0)):
        rng = np.random.default_rng(5)
        path = tmp_path / f"{number}.sqlite"
        with RunStore(path, points, BEGIN, NOW + timedelta(days=2)) as store:
            start = NOW - timedelta(days=4)
            while start < NOW + timedelta(days=1):
                drawn = rng.gamma(1.0, 200.0, len(points))
                means = drawn if start < NOW else drawn + later
                store.add_rollups(
                    [
                        Rollup(point, start, float(mean), float(mean), float(mean), 1.0)
                        for point, mean in zip(points, means, strict=True)
                    ]
                )
                start += HALF_HOUR
            made.append(OtherIssuer(estate, store, open_weather(estate), STEPS).issue(NOW))
    assert_same(*made)
    assert {one.target for one in made[0]} == {"hot_water_w", "pv_w", "communal_w"}


def test_issues_cover_a_window_and_hand_out_the_newest(estate: Estate) -> None:
    window = Case(NOW.date(), 5, 1).window
    instants = instants_of(window, 7200)
    assert [at.hour for at in instants] == [0, 2, 4]
    home = next(estate.dwellings()).id

    def issue(now: datetime) -> list[Forecast]:
        values = np.full(STEPS, float(now.hour))
        quantiles = {0.1: values - 1.0, 0.5: values, 0.9: values + 1.0}
        return [Forecast("load_w", home, now, now, 1800, values, quantiles, (f"{now.hour} h",))]

    issues = collected(instants, 7200, issue)
    (found,) = issues.at(window.start + timedelta(hours=3, minutes=59))
    assert found.mean.tolist() == [2.0] * STEPS
    assert found.quantile(0.9).tolist() == [3.0] * STEPS
    assert found.lacked == ("2 h",)
