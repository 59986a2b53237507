"""The weighted empirical distribution, by hand and by invariant."""

from dataclasses import replace
from datetime import UTC, date, datetime, timedelta
from zoneinfo import ZoneInfo

import numpy as np
import pandas as pd
import pytest
from hypothesis import given
from hypothesis import strategies as st

from ems.domain.errors import InvalidInputError
from forecasting.calendar import Calendar
from forecasting.empirical import EmpiricalModel
from forecasting.hot_water import hot_water_model
from forecasting.interface import Horizon
from forecasting.levels import of_another_level
from forecasting.load import LOAD, load_model

CALENDAR = Calendar.of(ZoneInfo("Europe/London"))
MONDAY = datetime(2023, 2, 6, tzinfo=UTC)


def history(days: int, until: datetime = MONDAY, value: float = 500.0) -> pd.DataFrame:
    index = pd.date_range(until - timedelta(days=days), until, freq="30min", inclusive="left")
    return pd.DataFrame({"A-01": np.full(len(index), value)}, index=index)


def predict(frame: pd.DataFrame, until: datetime = MONDAY, steps: int = 48, model=None):
    model = model or load_model(CALENDAR)
    return model.fit(frame, until).predict(Horizon.following(until, steps))


def test_a_steady_home_is_forecast_as_it_is():
    forecast = predict(history(28))[0]
    for values in (forecast.mean, *forecast.quantiles.values()):
        np.testing.assert_allclose(values, 500.0, rtol=1e-6)
    assert forecast.lacked == ()


def test_weighted_quantiles_by_hand():
    """Three Mondays, half-life a week, nothing else counts: weights 1/2, 1/4, 1/8."""
    plain = replace(LOAD, half_life_days=7.0, near=(1.0,), same_weekday=0.0, shift=(0, 0, 0, 0))
    frame = history(21) * np.nan
    for weeks, value in ((1, 400.0), (2, 100.0), (3, 700.0)):
        frame.loc[MONDAY - timedelta(weeks=weeks)] = value
    # doubled in weight, so that the sample is not thin and no profile fills it up
    model = EmpiricalModel(replace(plain, near=(2.0,), widened=0.0), CALENDAR)
    forecast = predict(frame, steps=1, model=model)[0]
    assert forecast.quantile(0.1)[0] == 100.0
    assert forecast.quantile(0.5)[0] == 400.0
    assert forecast.quantile(0.9)[0] == 700.0
    assert forecast.mean[0] == pytest.approx((400 / 2 + 100 / 4 + 700 / 8) / (7 / 8), rel=1e-6)


def test_recent_days_weigh_more():
    frame = history(28, value=200.0)
    frame.iloc[-12 * 48 :] = 800.0
    forecast = predict(frame)[0]
    assert forecast.quantile(0.5)[-1] == 800.0
    assert 500.0 < forecast.mean[-1] <= 800.0


def test_days_of_another_level_are_found_and_single_odd_days_are_not():
    """Days of 200 W, a week of 900, ten days of 250, one odd day of 900 among them."""
    level = np.repeat([200.0] * 20 + [900.0] * 7 + [250.0] * 10, 48)
    level[-5 * 48 : -4 * 48] = 900.0
    gaps = np.where(np.arange(level.size) // 48 == 22, np.nan, level)
    found = of_another_level(np.concatenate([np.full(7, 200.0), level])[:, None])
    assert found[7 + 20 * 48 : 7 + 27 * 48].all() and found.sum() == 7 * 48
    assert of_another_level(gaps[:, None]).sum() == 4 * 48, "nothing is said of days beside a gap"
    small = of_another_level(level[:, None] / 20.0)
    assert not small.any(), "35 W more is no other life"
    assert not of_another_level(level[: 3 * 48, None]).any()
    assert not of_another_level(np.full((900, 2), np.nan)).any()


def test_a_band_is_wider_the_fewer_days_it_rests_on():
    rng = np.random.default_rng(9)
    frame = history(40)
    frame["A-01"] += rng.normal(0.0, 50.0, len(frame))
    width = {}
    for days in (2, 10, 40):
        one = predict(frame.iloc[-days * 48 :], model=EmpiricalModel(replace(LOAD), CALENDAR))[0]
        bare = EmpiricalModel(replace(LOAD, widened=0.0), CALENDAR)
        other = predict(frame.iloc[-days * 48 :], model=bare)[0]
        width[days] = np.mean(
            (one.quantile(0.9) - one.quantile(0.5)) / (other.quantile(0.9) - other.quantile(0.5))
        )
    assert width[2] > width[10] > width[40] > 1.0
    assert width[40] == pytest.approx(1.0 + 1.5 / 40, rel=1e-3)


def test_sundays_are_learnt_from_sundays():
    frame = history(42, value=200.0)
    frame.loc[pd.DatetimeIndex(frame.index).day_of_week == 6] = 900.0
    saturday = MONDAY - timedelta(days=2)
    forecast = predict(frame.loc[frame.index < saturday], saturday, steps=96)[0]
    assert forecast.mean[48:].min() > forecast.mean[:46].max() + 100.0


def test_a_bank_holiday_is_like_a_sunday():
    calendar = Calendar.of(ZoneInfo("Europe/London"), [date(2023, 2, 6)])
    frame = history(42, value=200.0)
    frame.loc[pd.DatetimeIndex(frame.index).day_of_week == 6] = 900.0
    plain = predict(frame)[0]
    holiday = predict(frame, model=load_model(calendar))[0]
    assert holiday.mean[-1] > plain.mean[-1] + 200.0


def test_gaps_are_left_out_and_never_count_as_zero():
    frame = history(28)
    rng = np.random.default_rng(1)
    frame[rng.random(len(frame)) < 0.6] = np.nan
    forecast = predict(frame)[0]
    np.testing.assert_allclose(forecast.quantile(0.1), 500.0, rtol=0.02)
    np.testing.assert_allclose(forecast.mean, 500.0, rtol=0.02)


def test_the_morning_stays_at_seven_when_the_clocks_change():
    """The kettle at 07:00 local: at 07:00 UTC in winter, at 06:00 UTC from 26 March 2023."""
    before = datetime(2023, 3, 26, tzinfo=UTC)
    frame = history(28, before, 100.0)
    index = pd.DatetimeIndex(frame.index)
    frame.loc[(index.hour == 7) & (index.minute == 0)] = 2000.0
    calm = EmpiricalModel(replace(LOAD, near=(1.0,), shift=(0, 0, 0, 0)), CALENDAR)
    forecast = predict(frame, before, steps=48, model=calm)[0]
    assert int(np.argmax(forecast.mean)) == 12
    assert forecast.mean[14] == pytest.approx(100.0, rel=1e-3)


def test_the_first_hours_follow_the_latest_residual_and_the_rest_does_not():
    usual = predict(history(28))[0]
    frame = history(28)
    frame.iloc[-2:] = 2500.0
    after = predict(frame)[0]
    lift = after.quantile(0.5) - usual.quantile(0.5)
    assert lift[0] > 300.0
    assert np.all(np.diff(lift[:12]) < 0)
    assert abs(lift[30]) < 5.0


def test_little_history_is_said_and_filled_from_a_typical_profile():
    empty = predict(history(0).reindex(columns=["A-01"]))[0]
    assert empty.lacked == ("history: none, a typical profile stands in",)
    assert empty.mean.sum() * 0.5 == pytest.approx(8000.0, rel=1e-6)
    assert (empty.quantile(0.9) > empty.quantile(0.1)).all()
    short = predict(history(3))[0]
    assert short.lacked == ("history: 3 of 14 days",)
    assert 300.0 < short.mean.mean() < 600.0


def test_a_meter_that_fell_silent_is_said():
    frame = history(28)
    frame.iloc[-10:] = np.nan
    assert any("readings since 2023-02-05 18:30" in lack for lack in predict(frame)[0].lacked)


def test_update_with_the_newest_half_hours_equals_fitting_anew():
    rng = np.random.default_rng(3)
    frame = history(40)
    frame["A-01"] = rng.gamma(1.0, 400.0, len(frame))
    horizon = Horizon.following(MONDAY, 48)
    whole = load_model(CALENDAR).fit(frame, MONDAY).predict(horizon)[0]
    early = MONDAY - timedelta(days=2)
    stepwise = load_model(CALENDAR).fit(frame, early).update(frame.iloc[-4 * 48 :], MONDAY)
    updated = stepwise.predict(horizon)[0]
    np.testing.assert_array_equal(updated.mean, whole.mean)
    np.testing.assert_array_equal(updated.quantile(0.9), whole.quantile(0.9))


def test_a_model_that_has_seen_the_future_refuses_to_forecast_the_past():
    model = load_model(CALENDAR).fit(history(28), MONDAY)
    with pytest.raises(InvalidInputError, match="known at issued_at"):
        model.predict(Horizon.following(MONDAY - timedelta(hours=1), 4))


def test_hot_water_keeps_energy_in_the_mean_though_the_median_is_zero():
    frame = history(28, value=0.0)
    index = pd.DatetimeIndex(frame.index)
    rng = np.random.default_rng(5)
    for day in np.unique(index.date):
        hour = int(rng.integers(5, 10))
        frame.loc[(index.date == day) & (index.hour == hour) & (index.minute == 0)] = 2400.0
    forecast = predict(frame, model=hot_water_model(CALENDAR))[0]
    assert forecast.quantile(0.5).max() == 0.0
    assert forecast.mean.sum() * 0.5 == pytest.approx(1200.0, rel=0.25)


@given(
    seed=st.integers(0, 10_000),
    days=st.integers(0, 30),
    gaps=st.floats(0.0, 1.0),
    minute=st.integers(0, 60 * 24 * 400),
    steps=st.integers(1, 96),
)
def test_any_history_gives_ordered_finite_forecasts_at_or_above_zero(
    seed, days, gaps, minute, steps
):
    rng = np.random.default_rng(seed)
    now = MONDAY + timedelta(minutes=minute)
    end = pd.Timestamp(now).floor("30min")
    index = pd.date_range(end - pd.Timedelta(days=days), end, freq="30min", inclusive="left")
    values = rng.gamma(0.5, 800.0, (len(index), 2))
    values[rng.random(values.shape) < gaps] = np.nan
    for forecast in predict(pd.DataFrame(values, index=index, columns=["a", "b"]), now, steps):
        low, middle, high = (forecast.quantile(level) for level in (0.1, 0.5, 0.9))
        assert np.isfinite([low, middle, high, forecast.mean]).all()
        assert (low >= 0).all() and (low <= middle).all() and (middle <= high).all()
        assert (forecast.mean >= 0).all()
        assert len(forecast.mean) == steps
