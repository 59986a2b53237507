"""The sun's path against what is known of it, and panels learnt from their meter."""

from datetime import UTC, datetime, timedelta

import numpy as np
import pandas as pd
import pytest

from ems.domain.errors import InvalidInputError
from ems.domain.estate import PvArray
from ems.domain.forecasts import Forecast
from forecasting.interface import Horizon
from forecasting.pv import Place, PvModel, on_steps
from forecasting.sun import clear_sky_w_m2, on_tilted_plane_w_m2, sun_position
from forecasting.weather import PERFECT, FileWeather, read_weather

LONDON = Place(51.5, 0.0)
ARRAY = PvArray("A-pv", 20e3, 30.0, 180.0)
NOW = datetime(2023, 5, 10, tzinfo=UTC)


def at(*texts: str) -> pd.DatetimeIndex:
    return pd.DatetimeIndex([datetime.fromisoformat(text).replace(tzinfo=UTC) for text in texts])


def test_the_sun_at_solstices_and_equinox():
    sun = sun_position(
        at("2023-06-21T12:02", "2023-12-22T11:58", "2023-03-20T06:09", "2023-03-20T18:07"),
        51.5,
        0.0,
    )
    elevation = 90.0 - sun.zenith_deg
    assert elevation[0] == pytest.approx(90 - 51.5 + 23.44, abs=0.3)
    assert elevation[1] == pytest.approx(90 - 51.5 - 23.44, abs=0.3)
    assert elevation[2:] == pytest.approx([0.0, 0.0], abs=0.6)
    assert sun.azimuth_deg[:2] == pytest.approx([180.0, 180.0], abs=1.5)
    assert sun.azimuth_deg[2] == pytest.approx(90.0, abs=1.5)
    assert sun.azimuth_deg[3] == pytest.approx(270.0, abs=1.5)


def test_a_flat_plane_sees_what_lies_on_it_and_a_south_slope_sees_more_in_winter():
    index = pd.date_range("2023-01-15 09:00", periods=12, freq="30min", tz="UTC")
    sun = sun_position(index, 51.5, 0.0)
    ghi = 0.7 * clear_sky_w_m2(sun)
    flat = on_tilted_plane_w_m2(ghi, sun, 0.0, 180.0)
    np.testing.assert_allclose(flat, ghi, rtol=0.02)
    south = on_tilted_plane_w_m2(ghi, sun, 35.0, 180.0)
    north = on_tilted_plane_w_m2(ghi, sun, 35.0, 0.0)
    assert south.sum() > 1.3 * flat.sum() > 1.6 * north.sum()


def meter_and_weather(weather_file, days: int = 40) -> pd.DataFrame:
    """An array with 30 % of morning shade and dirty panels, metered in full."""
    weather = FileWeather(read_weather(weather_file), 51.5, 0.0, error=PERFECT)
    seen = weather.observed(NOW - timedelta(days=days), NOW)
    sun = sun_position(pd.DatetimeIndex(seen.index) + timedelta(minutes=15), 51.5, 0.0)
    plane = on_tilted_plane_w_m2(seen["irradiance_w_m2"].to_numpy(), sun, 30.0, 180.0)
    made = 20.0 * 0.8 * plane * np.where(sun.solar_hour < 9, 0.3, 1.0)
    return seen.assign(power_w=-made)


def issue(weather_file, error=PERFECT, steps: int = 48):
    return FileWeather(read_weather(weather_file), 51.5, 0.0, error=error).issue(NOW, steps)


def test_shade_in_the_morning_is_learnt_from_the_meter(weather_file):
    frame = meter_and_weather(weather_file)
    model = PvModel("A", ARRAY, LONDON).fit(frame, NOW)
    assert model.gain[7] < 0.6
    assert model.gain[12] == pytest.approx(1.0, abs=0.05)
    assert model.roof.tilt_deg == pytest.approx(30.0, abs=2 * model.roof.tilt_sd_deg)
    assert model.roof.azimuth_deg == pytest.approx(180.0, abs=2 * model.roof.azimuth_sd_deg)


def test_learning_beats_the_nameplate_on_the_next_day_and_night_is_zero(weather_file):
    frame = meter_and_weather(weather_file)
    weather = issue(weather_file)
    horizon = Horizon.following(NOW, 48)
    nameplate = PvModel("A", ARRAY, LONDON).fit(frame.iloc[:0], NOW).predict(horizon, weather)[0]
    learnt = PvModel("A", ARRAY, LONDON).fit(frame, NOW).predict(horizon, weather)[0]
    day = FileWeather(read_weather(weather_file), 51.5, 0.0).observed(NOW, NOW + timedelta(days=1))
    sun = sun_position(pd.DatetimeIndex(day.index) + timedelta(minutes=15), 51.5, 0.0)
    plane = on_tilted_plane_w_m2(day["irradiance_w_m2"].to_numpy(), sun, 30.0, 180.0)
    truth = 20.0 * 0.8 * plane * np.where(sun.solar_hour < 9, 0.3, 1.0)
    assert np.abs(learnt.mean - truth).sum() < 0.1 * truth.sum()
    assert np.abs(learnt.mean - truth).sum() < 0.7 * np.abs(nameplate.mean - truth).sum()
    assert learnt.mean[:6].max() == 0.0 and learnt.quantile(0.9)[:6].max() == 0.0
    assert learnt.lacked == ()
    assert nameplate.lacked == ("generation history: none, the nameplate stands in",)
    assert (learnt.quantile(0.1) <= learnt.quantile(0.9)).all()
    assert (learnt.mean >= 0).all() and learnt.mean.max() <= ARRAY.peak_w


def test_without_weather_recent_days_stand_in_and_say_so(weather_file):
    frame = meter_and_weather(weather_file)
    forecast = PvModel("A", ARRAY, LONDON).fit(frame, NOW).predict(Horizon.following(NOW, 48))[0]
    assert any("irradiance forecast: none" in lack for lack in forecast.lacked)
    fortnight = -frame["power_w"].iloc[-14 * 48 :]
    assert forecast.mean.sum() == pytest.approx(fortnight.sum() / 14, rel=0.01)


def test_gaps_in_the_meter_do_not_pull_the_gain_down(weather_file):
    frame = meter_and_weather(weather_file)
    whole = PvModel("A", ARRAY, LONDON).fit(frame, NOW).gain
    holes = frame.copy()
    holes.loc[np.random.default_rng(2).random(len(frame)) < 0.5, "power_w"] = np.nan
    half = PvModel("A", ARRAY, LONDON).fit(holes, NOW).gain
    np.testing.assert_allclose(half[7:18], whole[7:18], atol=0.03)


def test_weather_from_the_future_is_refused(weather_file):
    model = PvModel("A", ARRAY, LONDON).fit(meter_and_weather(weather_file).iloc[:0], NOW)
    late = FileWeather(read_weather(weather_file), 51.5, 0.0).issue(NOW + timedelta(hours=1), 48)
    with pytest.raises(InvalidInputError, match="future"):
        model.predict(Horizon.following(NOW, 48), late)


def test_shorter_weather_steps_are_averaged_and_a_short_forecast_is_repeated():
    values = np.arange(6.0)
    five = Forecast("irradiance_w_m2", "e", NOW, NOW, 300, values, {0.5: values})
    assert on_steps(five, Horizon.following(NOW, 3), "mean").tolist() == [2.5, 2.5, 2.5]
    late = Forecast("irradiance_w_m2", "e", NOW, NOW + timedelta(hours=2), 300, values, {})
    with pytest.raises(InvalidInputError, match="first half-hour"):
        on_steps(late, Horizon.following(NOW, 3), "mean")
