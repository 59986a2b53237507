"""What forecasts lately missed widens or narrows what plans keep from floor and limit."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime, timedelta

import numpy as np
import pytest

from ems.domain.forecasts import ScoredIssue, Tightening
from ems.domain.points import PointId
from ems.domain.readings import Rollup
from ems.service.control import open_weather
from ems.service.forecasting_job import ForecastJob
from ems.service.image import ProcessImage
from ems.service.planning import PlanJob
from ems.service.tightening import tightening_of
from ems.store import open_store

NOW = datetime(2023, 11, 1, 2, 10, tzinfo=UTC)
HALF_HOUR = timedelta(minutes=30)
GUESTS = NOW + timedelta(hours=8)
"""From then on every home uses more than it ever did, now and again."""


@pytest.fixture
def few(estate):
    """Three homes of the first block."""
    block = estate.blocks[0]
    return replace(estate, blocks=(replace(block, dwellings=block.dwellings[:3]),))


def meters(estate, begin, end):
    random = np.random.default_rng(3)
    rows, at = [], begin
    while at < end:
        for home in estate.dwellings():
            value = float(random.uniform(250.0, 450.0))
            if at >= GUESTS and at.hour % 2:
                value += 900.0
            point = PointId(home.meter.device_id, "household_power_w")
            rows.append(Rollup(point, at, value, value, value, 1.0))
        at += HALF_HOUR
    return rows


def test_loads_above_every_forecast_widen_the_margin_of_the_next_plan(few, tmp_path):
    with open_store(tmp_path / "store.sqlite") as store:
        begin = NOW.replace(minute=0) - timedelta(days=15)
        store.add_rollups(meters(few, begin, NOW + timedelta(days=5)))
        forecasts = ForecastJob(few, store, open_weather(few))
        plans = PlanJob(few, store, ProcessImage())

        forecasts.run(NOW)
        (young,) = plans.run(NOW)
        assert young.tightening == Tightening("A"), "nothing is known yet: plans stay as they are"

        now = NOW
        for _ in range(13):
            now += timedelta(hours=6)
            forecasts.run(now)
        known = tightening_of(store, "A")
        issues = [kept.record for kept in store.all_kept(ScoredIssue) if kept.record.done]
        assert len(issues) == 9
        assert known.load_points == sum(
            len(one.beyond) for each in issues for one in each.missed if one.target == "load_w"
        )
        assert known.load > 1.2, "every other hour was above what was thought possible"
        assert 0.5 <= known.cold <= 2.0 and known.cold_points >= 96

        (wide,) = plans.run(now)
        assert wide.tightening == known and store.latest_schedule("A").tightening == known
        store.forget(Tightening, "A")
        (plain,) = plans.run(now)
        most = 0.15 * min(plain.limits.contracted_import_w[0], plain.limits.physical_import_w[0])
        np.testing.assert_allclose(
            wide.limits.margin_w, np.minimum(known.load * plain.limits.margin_w, most)
        )
        assert np.all(plain.limits.margin_w > 0)
        assert np.all(wide.limits.kept_w < plain.limits.kept_w)

        # A new control process on the same store learns on where this one ended.
        again = ForecastJob(few, store, open_weather(few))
        again.run(now + timedelta(hours=6))
        assert tightening_of(store, "A").load_points > known.load_points
