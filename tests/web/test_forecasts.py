"""What was forecast against what came: pictures, figures, and who forecast it."""

from __future__ import annotations

from datetime import timedelta

import numpy as np
import pytest

from ems.domain.forecasts import Forecast, Standing
from web.forecast_views import heating_chart, home_forecasts, model_words
from web.planned import PlannedImports

from .conftest import NOW

MIDNIGHT = NOW.replace(hour=0, minute=0, second=0, microsecond=0)


def day(subject: str, start, level: float, model: str, lacked=()) -> Forecast:
    mean = np.full(49, level)
    bands = {0.1: mean - 100.0, 0.5: mean, 0.9: mean + 100.0}
    issued_at = start + timedelta(minutes=1)
    return Forecast("load_w", subject, issued_at, start, 1800, mean, bands, lacked, model)


@pytest.fixture(scope="module")
def site(make_world):
    """A home that a reference stands in for, and one whose forecast lacked something."""
    world = make_world()
    yesterday = MIDNIGHT - timedelta(days=1)
    world.store.add_forecasts(
        [
            day("A-07", yesterday, 700.0, "gradient"),
            day("A-07", MIDNIGHT, 900.0, "gradient"),
            day("A-07", MIDNIGHT + timedelta(hours=9), 5000.0, "earlier weeks"),
            day("A-08", MIDNIGHT, 400.0, "weighted empirical", ("history: 3 of 14 days",)),
        ]
    )
    standing = Standing(
        "load_w", "A-07", "earlier weeks", NOW - timedelta(days=2), fell_back=True, points=2000,
        ratio=1.31, coverage=0.7, drifted=True,
    )  # fmt: skip
    world.store.keep(standing, key="load_w/A-07", subject="A-07", at=NOW)
    return world


def test_a_home_is_shown_with_each_midnights_forecast_and_what_came(site) -> None:
    home = site.estate.dwelling("A-07")
    views = home_forecasts(site.estate, site.store, site.estate.block("A"), home, NOW)
    chart = views[0].chart
    middle, band = chart.lines[1], chart.bands[0]
    by_time = dict(zip(middle.times, middle.values, strict=True))
    assert by_time[MIDNIGHT - timedelta(hours=2)] == pytest.approx(0.7)
    assert by_time[MIDNIGHT + timedelta(hours=12)] == pytest.approx(0.9)  # not the later issue
    assert len(band.times) == 96 and band.high[0] == pytest.approx(0.8)
    assert np.isfinite(chart.lines[0].values).any()


def test_the_page_says_who_forecast_it_and_how_that_went(site) -> None:
    page = site.client("olive").get("/estate/homes/A-07/forecasts").text
    assert "the same half-hours of earlier weeks" in page and "Stands in" in page
    assert "1.31 times as far off" in page and "70% of what came" in page and "Drifted" in page
    assert "issued at midnight, by what was learnt from many homes (gradient)." in page
    assert "figures as a table" in page and 'role="img"' in page
    other = site.client("olive").get("/estate/homes/A-08/forecasts").text
    assert "It lacked: history: 3 of 14 days." in other and "Not judged yet" in other
    block = site.client("olive").get("/estate/blocks/A/forecasts").text
    assert "1.31" in block and "habits of the past weeks" in block
    assert "/estate/homes/A-07/forecasts" in block


def test_heating_is_shown_beside_the_last_plan_before_it(site) -> None:
    block = site.estate.block("A")
    two = block.dwellings[:2]
    chart = heating_chart(site.estate, site.store, PlannedImports(), block, two, NOW)
    plan = site.store.latest_schedule("A")
    assert plan is not None
    by_time = dict(zip(chart.lines[1].times, chart.lines[1].values, strict=True))
    expected = sum(plan.home(home.id).power_w[0] for home in two) / 1000.0
    assert by_time[plan.start] == pytest.approx(expected)


def test_models_have_plain_names() -> None:
    assert (
        model_words("gradient and ridge") == "what was learnt from many homes (gradient and ridge)"
    )
    assert model_words("something new") == "something new"
