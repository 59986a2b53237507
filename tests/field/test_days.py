from __future__ import annotations

from dataclasses import replace
from datetime import UTC, date, datetime
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from ems.domain.errors import InvalidInputError
from ems.domain.estate import Estate
from ems.field import sun
from ems.field.days import DayMaker
from ems.field.parameters import FieldParameters
from ems.field.sources import Consumption, Weather
from ems.field.traits import draw_traits

DATA = Path(__file__).parents[2] / "config" / "demo" / "data"


def day_number(day: date) -> int:
    return (day - date(1970, 1, 1)).days


@pytest.fixture(scope="session")
def maker(
    estate: Estate, parameters: FieldParameters, weather: Weather, consumption: Consumption
) -> DayMaker:
    return DayMaker(estate, draw_traits(estate, parameters), parameters, weather, consumption)


def test_household_electricity_keeps_the_real_energy_of_each_half_hour(
    maker: DayMaker, estate: Estate
) -> None:
    day = date(2023, 12, 1)
    made = maker.day(day_number(day)).household_w.reshape(48, 30, -1).mean(axis=1) / 2.0
    real = pd.read_parquet(DATA / "consumption.parquet").set_index("start_utc")
    real = real.loc["2023-12-01", [home.id for home in estate.dwellings()]]
    known = real.notna().to_numpy()
    assert known.mean() > 0.99
    expected = real.to_numpy(dtype=float, na_value=np.nan)
    np.testing.assert_allclose(made[known], expected[known], rtol=1e-9, atol=1e-9)


def test_a_missing_half_hour_takes_the_mean_of_the_weeks_beside_it() -> None:
    slots = pd.date_range("2023-01-01", periods=3 * 336, freq="30min", tz="UTC")
    frame = pd.DataFrame({"H": np.arange(3 * 336, dtype=float)}, index=slots)
    frame.iloc[400, 0] = np.nan
    frame.iloc[5, 0] = np.nan
    read = Consumption(frame)
    assert read.day(date(2023, 1, 9), [0])[400 - 384, 0] == pytest.approx((64 + 736) / 2)
    assert read.day(date(2023, 1, 1), [0])[5, 0] == pytest.approx(341)


def test_irradiance_keeps_each_hours_mean_and_stays_dark_at_night(
    maker: DayMaker, weather: Weather
) -> None:
    day = date(2023, 11, 29)
    horizontal, *_ = maker._light(
        day, day_number(day) * 86400.0 + np.arange(1440) * 60.0, np.random.default_rng(1)
    )
    hourly = weather.day(day, "irradiance_w_m2")[1:]
    np.testing.assert_allclose(horizontal.reshape(24, 60).mean(axis=1), hourly, atol=1e-9)
    assert horizontal[:300].max() == 0.0
    assert horizontal.max() > 100.0


def test_the_sun_stands_in_the_south_at_noon_and_low_in_winter() -> None:
    noon = np.array([datetime(2023, 12, 21, 12, tzinfo=UTC).timestamp()])
    cosine, azimuth = sun.position(noon, 51.5, 0.0)
    assert np.degrees(np.arccos(cosine[0])) == pytest.approx(51.5 + 23.44, abs=0.5)
    assert np.degrees(azimuth[0]) == pytest.approx(180.0, abs=1.5)
    morning = noon - 3 * 3600
    cosine, azimuth = sun.position(morning, 51.5, 0.0)
    assert 120 < np.degrees(azimuth[0]) < 160


def test_the_same_seed_makes_the_same_day_and_another_seed_another(
    estate: Estate, parameters: FieldParameters, weather: Weather, consumption: Consumption
) -> None:
    def made(seed: int) -> DayMaker:
        hidden = replace(parameters, seed=seed)
        traits = draw_traits(estate, hidden)
        return DayMaker(estate, traits, hidden, weather, consumption)

    number = day_number(date(2023, 12, 2))
    one, same, other = made(1).day(number), made(1).day(number), made(2).day(number)
    for name in ("household_w", "draw_w", "gains_w", "vent_w_per_k", "solar_w", "pv_w"):
        np.testing.assert_array_equal(getattr(one, name), getattr(same, name))
    assert not np.array_equal(one.draw_w, other.draw_w)


def test_the_residents_timer_follows_local_time_over_a_clock_change(maker: DayMaker) -> None:
    winter = maker.day(day_number(date(2023, 10, 30)))
    summer = maker.day(day_number(date(2023, 10, 27)))
    assert winter.local_hour[0] == 0.0
    assert summer.local_hour[0] == 1.0
    change = maker.day(day_number(date(2023, 10, 29)))  # clocks go back at 01:00 UTC
    assert change.local_hour[59] == pytest.approx(1 + 59 / 60)
    assert change.local_hour[60] == 1.0
    home = [h.id for h in maker._estate.dwellings()].index("A-01")  # 20.0 from 06:00 local
    assert winter.wish_c[6 * 60 - 1, home] == 18.0
    assert winter.wish_c[6 * 60, home] == 20.0
    assert summer.wish_c[5 * 60, home] == 20.0


def test_beyond_the_data_the_error_says_so(maker: DayMaker) -> None:
    with pytest.raises(InvalidInputError, match="does not reach this day"):
        maker.day(day_number(date(2023, 12, 27)))


def test_homes_differ_from_their_certificates_and_from_each_other(
    estate: Estate, parameters: FieldParameters
) -> None:
    traits = draw_traits(estate, parameters)
    homes = list(estate.dwellings())
    per_m2 = traits.loss_w_per_k / [home.floor_area_m2 for home in homes]
    band_c = per_m2[[home.epc_band == "C" for home in homes]]
    assert band_c.std() > 0.1 and 1.2 < band_c.mean() < 1.8
    by_band = {
        band: np.mean(
            [loss for loss, home in zip(per_m2, homes, strict=True) if home.epc_band == band]
        )
        for band in "BCDE"
    }
    assert by_band["B"] < by_band["C"] < by_band["D"] < by_band["E"]
    np.testing.assert_array_equal(traits.party_w_per_k, traits.party_w_per_k.T)
    across = traits.block[:, None] != traits.block[None, :]
    assert traits.party_w_per_k[across].max() == 0.0


def test_adding_a_home_does_not_change_the_others(
    estate: Estate, parameters: FieldParameters
) -> None:
    whole = draw_traits(estate, parameters)
    smaller = replace(
        estate,
        blocks=(
            replace(estate.blocks[0]),
            replace(estate.blocks[1], dwellings=estate.blocks[1].dwellings[:12]),
        ),
    )
    fewer = draw_traits(smaller, parameters)
    np.testing.assert_array_equal(whole.air_j_per_k[:32], fewer.air_j_per_k)
