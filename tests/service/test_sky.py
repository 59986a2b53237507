"""Without any weather forecast: pumps' sensors, the last day repeated, and plans that say so."""

from dataclasses import replace
from datetime import timedelta

import numpy as np
import pytest

from ems.domain.points import PointId
from ems.domain.readings import Rollup
from ems.service.control import open_weather
from ems.service.forecasting_job import ForecastJob
from ems.store import open_store


@pytest.fixture
def blind(estate):
    """Three homes of the first block, whose configuration names no weather."""
    block = estate.blocks[0]
    sources = replace(estate.sources, weather=None, weather_url=None)
    block = replace(block, dwellings=block.dwellings[:3])
    return replace(estate, blocks=(block,), sources=sources)


def test_outdoor_temperature_is_what_most_pumps_saw_a_day_before(blind, tmp_path):
    now = blind.starts_at
    with open_store(tmp_path / "store.sqlite") as store:
        rows = []
        for back in range(1, 4 * 48 + 1):
            at = now - back * timedelta(minutes=30)
            truth = 5.0 + 3.0 * np.sin((at.hour - 9) / 24 * 2 * np.pi)
            for home, off in zip(blind.dwellings(), (0.0, 0.2, 9.0), strict=True):
                point = PointId(home.heat_pump.device_id, "outdoor_temperature_c")
                rows.append(Rollup(point, at, truth + off, truth, truth, 1.0))
        store.add_rollups(rows)
        weather = open_weather(blind, store)
        made = weather.issue(now, 48)
        assert set(made) == {"outdoor_c"}
        outdoor = made["outdoor_c"]
        seen = weather.observed(now - timedelta(days=1), now)["outdoor_c"].to_numpy()
        np.testing.assert_allclose(outdoor.mean[:48], seen, atol=0.3)
        assert "the last day seen is repeated" in outdoor.lacked[0]
        assert 4.5 < outdoor.mean.mean() < 6.0  # the pump in the sun does not count
        job = ForecastJob(blind, store, weather)
        job.fit(now)
        issued = {(one.target, one.subject): one for one in job.run(now)}
        assert ("heat_pump_w", "A-01") in issued and ("load_w", "A") in issued
        assert outdoor.lacked[0] in issued["heat_pump_w", "A-01"].lacked
        assert all(np.isfinite(one.mean).all() for one in issued.values())
