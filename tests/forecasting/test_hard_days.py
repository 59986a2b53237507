"""Days on which forecasts go wrong elsewhere, each told through ``forecast_meters``.

The homes are made up, so that what should come is known: they rise at seven on weekdays and at
nine on Sundays and holidays by the clock on the wall, and cook in the evening.
"""

from datetime import UTC, date, datetime, timedelta

import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from threadpoolctl import threadpool_limits

from forecasting import forecast_meters

ZONE = "Europe/London"
MODELS = ("weighted empirical", pytest.param("learnt", marks=pytest.mark.long))


@pytest.fixture(scope="module", autouse=True)
def one_thread():
    """Keep small trees from waiting for one another on a busy machine."""
    with threadpool_limits(1):
        yield


def life(first: str, days: float, homes: int = 6, holidays=(), seed: int = 1) -> pd.DataFrame:
    """Homes of different size that keep the same hours by local time [W]."""
    index = pd.date_range(first, periods=int(days * 48), freq="30min", tz="UTC")
    local = index.tz_convert(ZONE)
    hour = local.hour + local.minute / 60.0
    off = (local.day_of_week == 6) | np.isin(local.date, list(holidays))
    rise = np.where(off, 9.0, 7.0)
    shape = 0.4 + 2.0 * ((hour >= rise) & (hour < rise + 1.5)) + 3.0 * ((hour >= 18) & (hour < 21))
    rng = np.random.default_rng(seed)
    size = 150.0 * (1.0 + 0.3 * np.arange(homes))
    noise = rng.gamma(12.0, 1.0 / 12.0, (len(index), homes))
    names = [f"home {n}" for n in range(homes)]
    return pd.DataFrame(np.asarray(shape)[:, None] * size * noise, index=index, columns=names)


def forecast(power_w, at: datetime, steps: int = 48, model="weighted empirical", **more):
    """Forecast from ``at`` what `life` will bring; homes by name."""
    found = forecast_meters(power_w, issued_at=at, steps=steps, model=model, **more)
    assert np.isfinite(found[["mean_w", "p10_w", "p50_w", "p90_w"]].to_numpy()).all()
    return {name: part.reset_index(drop=True) for name, part in found.groupby("subject")}


def off_by(part: pd.DataFrame, truth: pd.Series, shift: int = 0) -> float:
    """Mean error of the median if all of it came so many half-hours later, over the mean."""
    values = np.roll(part["p50_w"].to_numpy(), shift)
    actual = truth.loc[part["start"]].to_numpy()
    inner = slice(2, -2)
    return float(np.abs(values - actual)[inner].mean() / actual[inner].mean())


@pytest.mark.parametrize("model", MODELS)
@pytest.mark.parametrize(
    ("change", "half_hours"), [(date(2013, 3, 31), 46), (date(2013, 10, 27), 50)]
)
def test_when_clocks_change_people_rise_by_the_clock_on_the_wall(model, change, half_hours):
    """The day itself has 46 or 50 half-hours; on the Monday and Tuesday, seven is still seven."""
    power = life(str(change - timedelta(days=70)), 75)
    midnight = pd.Timestamp(change, tz=ZONE).tz_convert("UTC").to_pydatetime()
    part = forecast(power, midnight, half_hours + 48, model)["home 2"]
    local = part["start"].dt.tz_convert(ZONE)
    assert (local.dt.date == change).sum() == half_hours
    monday = part[local.dt.date > change]
    later = forecast(power, midnight + timedelta(days=2), 48, model)["home 2"]
    for one in (monday, later):
        right = off_by(one, power["home 2"])
        assert right < 0.35
        for hour in (-2, 2):
            assert off_by(one, power["home 2"], hour) > 1.5 * right, "an hour off would be worse"


@pytest.mark.parametrize("model", MODELS)
def test_a_bank_holiday_is_spent_like_a_sunday_if_it_is_known(model):
    holidays = {date(2013, 4, 1), date(2013, 5, 6), date(2013, 5, 27)}
    power = life("2013-03-10", 80, holidays=holidays)
    at = datetime(2013, 5, 26, 23, tzinfo=UTC)
    known = forecast(power, at, model=model, holidays=holidays)["home 1"]
    unknown = forecast(power, at, model=model)["home 1"]
    print(model, off_by(known, power["home 1"]), off_by(unknown, power["home 1"]))
    assert off_by(known, power["home 1"]) < 0.95 * off_by(unknown, power["home 1"])


@pytest.mark.parametrize("model", MODELS)
def test_a_new_home_with_three_days_is_forecast_from_them_and_says_so(model):
    power = life("2013-01-01", 70)
    at = datetime(2013, 3, 10, tzinfo=UTC)
    truth = power.loc[at : at + timedelta(hours=23.5), "home 5"]
    power.loc[power.index < at - timedelta(days=3), "home 5"] = np.nan
    part = forecast(power, at, model=model)["home 5"]
    assert "history: 3 of 14 days" in part["lacked"].iloc[0]
    assert part["mean_w"].mean() == pytest.approx(truth.mean(), rel=0.35)
    within = (truth.to_numpy() >= part["p10_w"]) & (truth.to_numpy() <= part["p90_w"])
    assert within.mean() > 0.6


@pytest.mark.parametrize("model", MODELS)
def test_a_home_left_for_two_weeks_is_soon_forecast_low_and_soon_high_again(model):
    power = life("2013-01-01", 100)
    gone, back = datetime(2013, 3, 11, tzinfo=UTC), datetime(2013, 3, 25, tzinfo=UTC)
    usual = power["home 3"].mean()
    away = (power.index >= gone) & (power.index < back)
    fridge = 40.0 + 10.0 * np.random.default_rng(3).random(int(away.sum()))
    power.loc[away, "home 3"] = fridge

    def expected(at: datetime) -> float:
        return float(forecast(power, at, model=model)["home 3"]["p50_w"].mean()) / usual

    week, home_again = expected(gone + timedelta(days=8)), expected(back + timedelta(days=5))
    print(f"{model}: after eight days away {week:.2f}, five days home {home_again:.2f} of usual")
    assert expected(gone) > 0.7
    assert week < 0.3
    assert home_again > 0.6


@pytest.mark.parametrize("model", MODELS)
def test_after_a_long_gap_the_habits_before_it_stand_and_the_gap_is_named(model):
    power = life("2013-01-01", 100)
    at = datetime(2013, 4, 1, tzinfo=UTC)
    whole = forecast(power, at, model=model)["home 0"]
    power.loc[at - timedelta(days=21) :, "home 0"] = np.nan
    part = forecast(power, at, model=model)["home 0"]
    assert "readings since 2013-03-10 23:30 UTC" in part["lacked"].iloc[0]
    assert part["p50_w"].mean() == pytest.approx(whole["p50_w"].mean(), rel=0.25)


def test_a_stuck_meter_counts_as_missing_and_is_named():
    power = life("2013-01-01", 60)
    at = datetime(2013, 2, 28, tzinfo=UTC)
    stuck, missing = power.copy(), power.copy()
    span = slice(at - timedelta(days=4), at - timedelta(minutes=30))
    stuck.loc[span, "home 2"] = 2345.0
    missing.loc[span, "home 2"] = np.nan
    one, other = forecast(stuck, at)["home 2"], forecast(missing, at)["home 2"]
    np.testing.assert_array_equal(one["p50_w"], other["p50_w"])
    assert (
        one["lacked"]
        .iloc[0]
        .startswith("stuck meter, one value: 2013-02-24 00:00 to 2013-02-28 00:00 UTC")
    )
    assert "stuck" not in forecast(stuck, at)["home 1"]["lacked"].iloc[0]


def test_a_night_with_the_same_small_value_is_no_stuck_meter_and_zeros_may_be_an_empty_home():
    power = life("2013-01-01", 60).round(0)
    at = datetime(2013, 2, 28, tzinfo=UTC)
    power.loc[at - timedelta(hours=20) : at, "home 1"] = 12.0
    power.loc[at - timedelta(days=10) : at, "home 4"] = 0.0
    found = forecast(power, at)
    assert found["home 1"]["lacked"].iloc[0] == ""
    assert "readings above zero for 10 days" in found["home 4"]["lacked"].iloc[0]
    assert found["home 4"]["p50_w"].mean() < 60


def test_an_outage_of_all_homes_is_no_consumption():
    power = life("2013-01-01", 60)
    at = datetime(2013, 2, 28, tzinfo=UTC)
    dark, missing = power.copy(), power.copy()
    span = slice(datetime(2013, 2, 27, 6, tzinfo=UTC), datetime(2013, 2, 27, 19, 30, tzinfo=UTC))
    dark.loc[span] = 0.0
    missing.loc[span] = np.nan
    groups = {"all": list(power.columns)}
    one, other = forecast(dark, at, groups=groups), forecast(missing, at, groups=groups)
    for name in one:
        np.testing.assert_array_equal(one[name]["mean_w"], other[name]["mean_w"])
        assert one[name]["lacked"].iloc[0] == (
            "outage, every home at zero: 2013-02-27 06:00 to 2013-02-27 20:00 UTC"
        )


def test_homes_that_often_use_nothing_have_no_outage_when_they_do_so_together():
    power = life("2013-01-01", 60, homes=3)
    rng = np.random.default_rng(4)
    power = power.where(rng.random(power.shape) < 0.5, 0.0)
    found = forecast(power, datetime(2013, 2, 28, tzinfo=UTC))
    assert all(part["lacked"].iloc[0] == "" for part in found.values())


@pytest.mark.parametrize("model", MODELS)
def test_a_heat_pump_newly_installed_lifts_the_forecast_within_days(model):
    """The last days lead: 900 W more since eight days, and the days before still count a little."""
    power = life("2013-01-01", 100)
    at = datetime(2013, 4, 1, tzinfo=UTC)
    since = power.index >= at - timedelta(days=8)
    pump = 900.0 * np.random.default_rng(5).gamma(20.0, 1.0 / 20.0, len(power))
    power["home 1"] += np.where(since, pump, 0.0)
    truth = power.loc[at : at + timedelta(hours=23.5), "home 1"].mean()
    before = power.loc[~since, "home 1"].mean()
    part = forecast(power, at, model=model)["home 1"]
    lifted = (part["p50_w"].mean() - before) / (truth - before)
    print(f"{model}: the median went {lifted:.0%} of the way after eight days")
    assert lifted > 0.75
    assert "history: 8 of 14 days" in part["lacked"].iloc[0]
    assert part["p90_w"].mean() > truth


def test_days_of_price_events_do_not_become_habits():
    power = life("2013-01-01", 60)
    at = datetime(2013, 2, 27, tzinfo=UTC)  # a Wednesday
    called = [
        (at - timedelta(days=back, hours=-18), at - timedelta(days=back, hours=-21))
        for back in (1, 2, 5, 6, 7)
    ]
    answered, missing = power.copy(), power.copy()
    for start, end in called:
        inside = (power.index >= start) & (power.index < end)
        answered.loc[inside] *= 0.1
        missing.loc[inside] = np.nan
    learnt = forecast(answered, at)["home 1"]
    told = forecast(answered, at, events=called)["home 1"]
    np.testing.assert_array_equal(told["p50_w"], forecast(missing, at)["home 1"]["p50_w"])
    evening = told["start"].dt.hour.between(18, 20)
    assert told["p50_w"][evening].mean() > 1.5 * learnt["p50_w"][evening].mean()
    assert (
        "price event, not learnt from: 2013-02-26 18:00 to 2013-02-26 21:00 UTC"
        in (told["lacked"].iloc[0])
    )


@settings(max_examples=12, deadline=None)
@given(st.lists(st.tuples(st.integers(0, 1400), st.integers(1, 300)), max_size=8))
def test_no_gap_wherever_it_lies_is_ever_counted_as_zero(gaps):
    """A home that never uses less than 300 W is never forecast to, whatever is missing."""
    power = 300.0 + life("2013-01-01", 30, homes=1)
    for start, length in gaps:
        power.iloc[start : start + length] = np.nan
    at = power.index[-1].to_pydatetime() + timedelta(minutes=30)
    part = forecast(power, at)["home 0"]
    days = np.isfinite(power.iloc[:, 0]).sum() // 48
    if days >= 14:
        assert part["p10_w"].min() >= 300.0
    else:
        assert "history: " in part["lacked"].iloc[0]
