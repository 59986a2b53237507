"""Truth and issued forecast are different series."""

from datetime import UTC, datetime, timedelta

import numpy as np
import pandas as pd
import pytest

from ems.domain.errors import InvalidInputError
from forecasting.weather import PERFECT, FileWeather, PersistenceWeather, read_weather

NOW = datetime(2023, 1, 20, 10, 7, tzinfo=UTC)


def provider(weather_file, **options) -> FileWeather:
    return FileWeather(read_weather(weather_file), 51.5, -0.1, **options)


def test_the_error_grows_with_lead_as_stated(weather_file):
    weather = provider(weather_file, seed=4)
    exact = provider(weather_file, error=PERFECT)
    starts = [datetime(2022, 12, 28, tzinfo=UTC) + timedelta(hours=19 * k) for k in range(250)]
    errors = np.array(
        [
            weather.issue(at, 40, 3600)["outdoor_c"].mean
            - exact.issue(at, 40, 3600)["outdoor_c"].mean
            for at in starts
        ]
    )
    spread = errors.std(axis=0)
    assert 0.4 < spread[2] < 0.6  # the middle of this step has a lead of 2.5 h
    assert 1.7 < spread[36] < 2.3
    assert np.abs(errors.mean(axis=0)).max() < 0.5
    ahead = np.corrcoef(errors[:, 20], errors[:, 22])[0, 1]
    assert ahead > 0.6, "the error is autocorrelated over lead"


def test_the_stated_spread_covers_the_truth(weather_file):
    weather, exact = provider(weather_file, seed=9), provider(weather_file, error=PERFECT)
    for target in ("outdoor_c", "irradiance_w_m2"):
        inside = []
        for k in range(120):
            at = datetime(2023, 3, 1, tzinfo=UTC) + timedelta(hours=29 * k)
            issued = weather.issue(at, 72)[target]
            truth = exact.issue(at, 72)[target].mean
            light = truth > 20.0 if target == "irradiance_w_m2" else np.ones(72, dtype=bool)
            within = (truth >= issued.quantile(0.1)) & (truth <= issued.quantile(0.9))
            inside.extend(within[light])
        assert 0.72 < np.mean(inside) < 0.9, target


def test_one_issue_an_hour_the_same_for_all_who_ask(weather_file):
    first = provider(weather_file, seed=4).issue(NOW, 48)["outdoor_c"]
    again = provider(weather_file, seed=4).issue(NOW.replace(minute=20), 48)["outdoor_c"]
    other = provider(weather_file, seed=5).issue(NOW, 48)["outdoor_c"]
    np.testing.assert_array_equal(first.mean, again.mean)
    assert not np.allclose(first.mean, other.mean)


def test_a_later_issue_corrects_an_earlier_one_rather_than_starting_anew(weather_file):
    """Successive issues share most of their error at the same instant."""
    weather, exact = provider(weather_file), provider(weather_file, error=PERFECT)
    first, second = [], []
    for k in range(150):
        at = datetime(2023, 1, 2, tzinfo=UTC) + timedelta(hours=31 * k)
        truth = exact.issue(at, 49)["outdoor_c"].mean[48]
        first.append(weather.issue(at, 49)["outdoor_c"].mean[48] - truth)
        second.append(weather.issue(at + timedelta(hours=2), 45)["outdoor_c"].mean[44] - truth)
    assert np.corrcoef(first, second)[0, 1] > 0.8


def test_nothing_but_the_stated_error_of_the_future_gets_through(weather_file):
    """What has not happened shifts the forecast by itself and nothing else."""
    hourly = read_weather(weather_file)
    warmer = hourly.copy()
    warmer.loc[warmer.index > NOW + timedelta(hours=10), "outdoor_c"] += 5.0
    a = FileWeather(hourly, 51.5, -0.1).issue(NOW, 48)["outdoor_c"].mean
    b = FileWeather(warmer, 51.5, -0.1).issue(NOW, 48)["outdoor_c"].mean
    np.testing.assert_allclose(a[:18], b[:18])
    np.testing.assert_allclose(b[24:] - a[24:], 5.0)


def test_observations_stop_at_the_present(weather_file):
    weather = provider(weather_file)
    scrambled = read_weather(weather_file)
    scrambled.loc[scrambled.index > NOW] = -99.0
    seen = weather.observed(NOW - timedelta(days=1), NOW)
    pd.testing.assert_frame_equal(
        seen, FileWeather(scrambled, 51.5, -0.1).observed(NOW - timedelta(days=1), NOW)
    )
    assert seen.index[-1] == pd.Timestamp("2023-01-20 09:30", tz="UTC")
    assert seen.notna().all().all()


def test_half_hours_keep_the_hours_irradiance(weather_file):
    hourly = read_weather(weather_file)
    weather = FileWeather(hourly, 51.5, -0.1)
    day = weather.observed(datetime(2023, 6, 1, tzinfo=UTC), datetime(2023, 6, 2, tzinfo=UTC))
    sums = day["irradiance_w_m2"].to_numpy().reshape(24, 2).mean(axis=1)
    ends = hourly.loc["2023-06-01 01:00":"2023-06-02 00:00", "irradiance_w_m2"].to_numpy()
    np.testing.assert_allclose(sums, ends, rtol=0.02, atol=2.0)


def test_where_the_file_ends_earlier_days_are_repeated_and_it_is_said(weather_file):
    hourly = read_weather(weather_file)
    short = hourly.loc[hourly.index <= NOW + timedelta(hours=6)]
    issued = FileWeather(short, 51.5, -0.1).issue(NOW, 48)
    assert len(issued) == 2
    for forecast in issued.values():
        assert "weather from 2023-01-20 16:00 UTC: earlier days repeated" in forecast.lacked[0]
        assert np.isfinite(forecast.mean).all()
    outdoor = issued["outdoor_c"]
    width = outdoor.quantile(0.9) - outdoor.quantile(0.1)
    assert width[-1] > 2 * width[5]
    assert issued["irradiance_w_m2"].mean[20:36].max() == 0.0, "night stays night"


def test_a_file_that_holds_nothing_near_gives_no_forecast_at_all(weather_file):
    hourly = read_weather(weather_file)
    assert FileWeather(hourly.loc[hourly.index < "2022-12-01"], 51.5, -0.1).issue(NOW, 48) == {}
    assert FileWeather(hourly.iloc[:0], 51.5, -0.1).issue(NOW, 48) == {}


def test_a_file_of_forecasts_is_handed_on_as_it_is(weather_file):
    hourly = read_weather(weather_file)
    issued = FileWeather(hourly, 51.5, -0.1, observed=False).issue(NOW.replace(minute=0), 2, 1800)
    at_ten, at_eleven = hourly.loc["2023-01-20 10:00":"2023-01-20 11:00", "outdoor_c"]
    expected = [0.75 * at_ten + 0.25 * at_eleven, 0.25 * at_ten + 0.75 * at_eleven]
    assert issued["outdoor_c"].mean == pytest.approx(expected)
    assert issued["outdoor_c"].model == "file"


def test_persistence_repeats_the_last_day_and_says_so():
    index = pd.date_range(NOW - timedelta(days=2), periods=96, freq="30min").floor("30min")
    seen = pd.DataFrame({"outdoor_c": 5.0 + np.sin(np.arange(96) * np.pi / 24)}, index=index)
    seen.iloc[60:64] = np.nan
    issued = PersistenceWeather(seen).issue(NOW, 48)
    assert set(issued) == {"outdoor_c"}
    assert "none" in issued["outdoor_c"].lacked[0]
    np.testing.assert_allclose(issued["outdoor_c"].mean[:5], seen["outdoor_c"].iloc[48:53])
    assert PersistenceWeather(seen.iloc[:0]).issue(NOW, 48) == {}


@pytest.mark.parametrize("text", ["", "time_utc,outdoor_c\n2023-01-01T00:00Z,4\n"])
def test_an_unreadable_file_names_itself_and_the_remedy(tmp_path, text):
    path = tmp_path / "weather.csv"
    path.write_text(text)
    with pytest.raises(InvalidInputError) as caught:
        read_weather(path)
    assert caught.value.field == "sources.weather"
    assert "irradiance_w_m2" in caught.value.remedy
    with pytest.raises(InvalidInputError, match="cannot be read"):
        read_weather(tmp_path / "absent.csv")
