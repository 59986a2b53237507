"""Five-minute steps: half-hours keep their means, bands hold what comes, nothing is foreseen."""

from datetime import UTC, date, datetime, timedelta
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from hypothesis import given
from hypothesis import strategies as st

from ems.domain.forecasts import Forecast
from ems.field.parameters import load_parameters
from ems.field.simulation import EstateSimulation
from ems.settings import load_estate
from forecasting.calendar import Calendar
from forecasting.fine import STEPS, TARGET, fine_forecast, spread
from forecasting.interface import Horizon, known_before
from forecasting.load import load_model

DEMO = Path(__file__).parents[2] / "config/demo/estate.yaml"
START = datetime(2023, 11, 20, tzinfo=UTC)
DAYS = 6


def half_hourly(values, issued_at=START + timedelta(seconds=90)) -> Forecast:
    mean = np.asarray(values, dtype=float)
    bands = {0.1: mean * 0.7, 0.5: mean, 0.9: mean * 1.4}
    return Forecast("load_w", "A", issued_at, START, 1800, mean, bands, model="half-hours")


@given(st.lists(st.floats(0.0, 5e4), min_size=9, max_size=20))
def test_every_half_hour_keeps_its_mean_and_nothing_falls_below_zero(values):
    fine = spread(half_hourly(values), np.array(values))
    np.testing.assert_allclose(fine.reshape(8, 6).mean(axis=1), values[:8], atol=1e-6)
    assert (fine >= -1e-9).all()


def test_the_running_half_hour_is_cut_and_the_last_one_held():
    made = half_hourly(np.arange(1.0, 7.0), START + timedelta(minutes=11))
    fine = spread(made, made.mean)
    assert len(fine) == STEPS
    whole = spread(half_hourly(np.arange(1.0, 7.0)), made.mean)
    np.testing.assert_allclose(fine[:34], whole[2:36])
    assert (fine[34:] == fine[34]).all()


@pytest.fixture(scope="module")
def lived():
    """A block of twenty simulated homes: five minutes, and half-hourly forecasts of every issue."""
    estate = load_estate(DEMO)
    simulation = EstateSimulation(
        estate, load_parameters(DEMO.parent / "field.yaml"), START, step_s=60
    )
    first = (START.date() - date(1970, 1, 1)).days
    minutes = np.concatenate(
        [simulation.household_w(first + day)[:, :20].sum(axis=1) for day in range(DAYS)]
    )
    index = pd.date_range(START, periods=len(minutes), freq="min")
    five = pd.Series(minutes, index).resample("5min").mean()
    means = np.concatenate(
        [
            simulation.household_means_w(START.date() + timedelta(days=day))[:, :20].sum(axis=1)
            for day in range(-28, DAYS)
        ]
    )
    grid = pd.date_range(START - timedelta(days=28), periods=len(means), freq="30min")
    history = pd.DataFrame({"A": means}, index=grid)
    calendar = Calendar.of(estate.zone, estate.holidays)
    issues = []
    for number in range(0, DAYS * 48 - 9, 2):
        at = START + timedelta(minutes=30 * number, seconds=90)
        model = load_model(calendar).fit(known_before(history, at), at)
        issues += model.predict(Horizon.following(at, 12))
    return five, issues


def test_bands_hold_four_of_five_on_a_simulated_block(lived):
    five, issues = lived
    inside, points, error, plain = 0, 0, 0.0, 0.0
    for number in range(36, len(issues), 3):
        made = fine_forecast(issues[number], five, issues[:number])
        came = five.reindex(pd.date_range(made.start, periods=STEPS, freq="5min")).to_numpy()
        inside += int(((came >= made.quantile(0.1)) & (came <= made.quantile(0.9))).sum())
        error += np.abs(came - made.quantile(0.5)).sum()
        plain += np.abs(came - np.repeat(issues[number].quantile(0.5), 6)[:STEPS]).sum()
        points += STEPS
    print(f"inside {inside / points:.3f}, error to the half-hour's value {error / plain:.3f}")
    assert 0.74 < inside / points < 0.86
    assert error / plain < 1.04


def test_what_comes_after_the_issue_changes_nothing(lived):
    five, issues = lived
    at = issues[60].issued_at
    scrambled = five.copy()
    scrambled.loc[at:] = 1e6
    first = fine_forecast(issues[60], five, issues)
    second = fine_forecast(issues[60], scrambled, issues)
    assert first.target == TARGET and first.step_s == 300
    for level in (0.1, 0.5, 0.9):
        np.testing.assert_array_equal(first.quantile(level), second.quantile(level))
    np.testing.assert_array_equal(first.mean, second.mean)


def test_it_says_what_it_lacked_and_fades_out_what_is_off_now():
    made = half_hourly(np.full(12, 6000.0))
    none = fine_forecast(made, pd.Series(dtype=float, index=pd.DatetimeIndex([], tz="UTC")))
    assert "readings of the last quarter of an hour" in none.lacked
    assert "earlier issues: 0 of 24 to learn bands from" in none.lacked
    index = pd.date_range(START - timedelta(hours=3), START, freq="5min", inclusive="left")
    above = fine_forecast(made, pd.Series(8000.0, index))
    moved = above.quantile(0.5) - none.quantile(0.5)
    assert moved[0] == pytest.approx(600.0) and moved[-1] == 0.0
    assert (np.diff(moved) <= 1e-9).all()
    assert (above.quantile(0.1) < above.quantile(0.5)).all()
