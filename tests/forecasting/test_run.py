"""From roll-ups to forecasts, as the service calls it; and nothing from the future."""

from dataclasses import replace
from datetime import UTC, datetime, timedelta

import numpy as np
import pandas as pd
import pytest

from ems.domain.errors import InvalidInputError
from ems.domain.estate import ThermalPrior
from ems.domain.points import PointId
from ems.domain.time import floor_to
from forecasting.block import sum_forecasts, summed_history
from forecasting.interface import Horizon, make_forecast
from forecasting.run import (
    Setting,
    block_points,
    communal_power,
    estimate_thermal,
    forecast_block,
    forecast_home,
    forecast_homes,
    home_points,
    thermal_frame,
    thermal_points,
)
from forecasting.thermal import prior_estimate
from forecasting.weather import FileWeather, read_weather

NOW = datetime(2023, 2, 6, 10, 7, tzinfo=UTC)
PRIOR = ThermalPrior(3.0, 70.0, 0.35)


@pytest.fixture
def setting(london, holidays) -> Setting:
    return Setting(london, holidays, 51.5, -0.1, NOW, 48)


@pytest.fixture
def weather(weather_file):
    return FileWeather(read_weather(weather_file), 51.5, -0.1)


@pytest.fixture
def rollups(block, consumption):
    """Real household load under its canonical points, the rest made up around it."""
    rng = np.random.default_rng(7)
    homes = block(3).dwellings
    # to a day beyond the present, so that a leak has something to leak
    index = pd.date_range(NOW - timedelta(days=40), NOW + timedelta(days=1), freq="30min").floor(
        "30min"
    )
    real = consumption.reindex(index)
    table = {}
    for home in homes:
        table[f"{home.meter.device_id}.household_power_w"] = real[home.id]
        table[f"{home.heat_pump.device_id}.hot_water_power_w"] = pd.Series(
            2000.0 * (rng.random(len(index)) < 0.05), index
        )
        table[f"{home.meter.device_id}.power_w"] = real[home.id] + 400.0
        room = pd.Series(19.0 + rng.normal(0, 0.5, len(index)), index)
        table[f"{home.room_sensor_id}.temperature_c"] = room
        table[f"{home.heat_pump.device_id}.heating_power_w"] = 600.0 + 200.0 * (19.5 - room)
    sun = np.maximum(np.sin((index.hour - 6) * np.pi / 12), 0.0)
    table["A-pv.power_w"] = pd.Series(-6000.0 * sun, index)
    table["A-battery.power_w"] = pd.Series(rng.normal(0, 2000.0, len(index)), index)
    table["A-landlord.power_w"] = 350.0 + table["A-pv.power_w"] + table["A-battery.power_w"]
    homes_w = sum(table[f"{home.meter.device_id}.power_w"] for home in homes)
    table["A-meter.power_w"] = homes_w + table["A-landlord.power_w"]
    return pd.DataFrame(table)


def everything(block, rollups, weather, setting):
    """All that one forecast job makes of block A."""
    one = block(3)
    seen = weather.observed(NOW - timedelta(days=40), NOW)
    estimates = {home.id: prior_estimate(home, PRIOR) for home in one.dwellings}
    issued = weather.issue(NOW, 48)
    homes = forecast_homes(one.dwellings, rollups, issued, setting, estimates)
    return homes + forecast_block(one, rollups, issued, setting, observed_weather=seen, homes=homes)


def test_one_job_forecasts_every_home_and_the_block(block, rollups, weather, setting):
    made = everything(block, rollups, weather, setting)
    assert {(f.target, f.subject) for f in made} == {
        *((target, f"A-{n:02d}") for n in (1, 2, 3) for target in ("load_w", "hot_water_w")),
        *(("free_heat_w", f"A-{n:02d}") for n in (1, 2, 3)),
        *((target, "A") for target in ("pv_w", "communal_w", "load_w", "hot_water_w")),
    }
    for forecast in made:
        assert forecast.start == datetime(2023, 2, 6, 10, tzinfo=UTC)
        assert forecast.issued_at == NOW
        assert forecast.mean.shape == (48,)
        assert sorted(forecast.quantiles) == [0.1, 0.5, 0.9]
        assert np.isfinite(forecast.mean).all() and forecast.mean.min() >= 0.0
    by_key = {(f.target, f.subject): f for f in made}
    total = sum(by_key["load_w", f"A-{n:02d}"].mean for n in (1, 2, 3))
    np.testing.assert_allclose(by_key["load_w", "A"].mean, total)
    np.testing.assert_allclose(by_key["communal_w", "A"].mean, 350.0, rtol=1e-6)
    assert by_key["pv_w", "A"].mean.max() > 500.0


def test_scrambling_everything_from_the_present_on_changes_nothing(
    block, rollups, weather, weather_file, setting
):
    rng = np.random.default_rng(11)
    future = rollups.index > pd.Timestamp(NOW) - pd.Timedelta("30min")
    assert future.sum() > 40
    scrambled = rollups.copy()
    scrambled.loc[future] = rng.normal(0.0, 1e5, (int(future.sum()), rollups.shape[1]))
    before = everything(block, rollups, weather, setting)
    after = everything(block, scrambled, weather, setting)
    for first, second in zip(before, after, strict=True):
        np.testing.assert_array_equal(first.mean, second.mean, err_msg=first.target)
        for level in (0.1, 0.5, 0.9):
            np.testing.assert_array_equal(first.quantile(level), second.quantile(level))
        assert first.lacked == second.lacked
    # and the last half-hour that had ended does count: the guard is not merely deaf
    scrambled = rollups.copy()
    last = scrambled.index[~future][-1]
    scrambled.loc[last] += 3000.0
    moved = everything(block, scrambled, weather, setting)
    assert any(
        not np.array_equal(first.mean, second.mean)
        for first, second in zip(before, moved, strict=True)
    )


def test_a_stuck_meter_in_service_counts_as_missing_and_is_named(block, rollups, setting):
    stuck, missing = rollups.copy(), rollups.copy()
    name = "A-02-meter.household_power_w"
    late = (rollups.index >= NOW - timedelta(days=3)) & (rollups.index < NOW)
    stuck.loc[late, name], missing.loc[late, name] = 777.0, np.nan
    homes = block(3).dwellings
    one, other = (forecast_homes(homes, table, {}, setting)[1] for table in (stuck, missing))
    assert one.subject == "A-02"
    np.testing.assert_array_equal(one.mean, other.mean)
    assert one.lacked[0].startswith("stuck meter, one value: 2023-02-03 10:")


def test_one_home_alone_is_forecast_as_among_others(block, rollups, weather, setting):
    issued = weather.issue(NOW, 48)
    homes = block(3).dwellings
    together = forecast_homes(homes, rollups, issued, setting)
    alone = forecast_home(homes[1], rollups, issued, setting)
    assert [f.target for f in alone] == ["load_w", "hot_water_w"]
    twin = next(f for f in together if f.subject == "A-02" and f.target == "load_w")
    np.testing.assert_array_equal(alone[0].mean, twin.mean)


def test_a_home_without_a_single_reading_is_forecast_and_says_why(dwelling, weather, setting):
    made = forecast_home(
        dwelling("B-20"), pd.DataFrame(index=pd.DatetimeIndex([], tz="UTC")), {}, setting
    )
    assert [f.lacked for f in made] == [("history: none, a typical profile stands in",)] * 2


def test_communal_load_is_what_the_meters_leave(block, rollups):
    for landlord in (False, True):
        one = block(3, landlord=landlord)
        names = [str(point) for point in block_points(one)]
        assert ("A-landlord.power_w" in names) is landlord
        assert ("A-01-meter.power_w" in names) is not landlord
        whole = communal_power(one, rollups[names])
        np.testing.assert_allclose(whole["A"].dropna(), 350.0, atol=1e-6)
    holes = rollups.copy()
    holes.iloc[5, holes.columns.get_loc("A-battery.power_w")] = np.nan
    assert np.isnan(communal_power(block(3), holes)["A"].iloc[5]), "a gap stays a gap"


def test_without_weather_free_heat_says_what_it_lacked(block, rollups, setting):
    home = block(3).dwellings[0]
    made = forecast_home(home, rollups, {}, setting, prior_estimate(home, PRIOR))
    free = made[-1]
    assert free.target == "free_heat_w"
    assert "irradiance forecast: none, no solar heat counted" in free.lacked
    assert 100.0 < free.mean.mean() < 500.0


def test_a_pump_that_reports_no_heat_gives_it_by_nameplate(block, rollups, weather):
    home = block(3).dwellings[0]
    seen = weather.observed(NOW - timedelta(days=40), NOW)
    frame, estimated = thermal_frame(home, rollups, seen)
    assert estimated
    ratio = frame["heat_w"] / rollups["A-01-hp.heating_power_w"]
    assert 1.5 < ratio.median() < 5.0
    assert frame["heat_w"].isna().equals(seen["outdoor_c"].reindex(frame.index).isna())
    measured = rollups.assign(**{"A-01-hp.heat_w": 2000.0})
    frame, estimated = thermal_frame(home, measured, seen)
    assert not estimated and frame["heat_w"].iloc[0] == 2000.0
    estimate = estimate_thermal(home, PRIOR, measured, NOW, seen)
    assert estimate.dwelling_id == "A-01" and estimate.hours > 0


def test_hours_in_which_a_room_sensor_stood_still_are_not_learnt_from(block, rollups, weather):
    home = block(3).dwellings[0]
    seen = weather.observed(NOW - timedelta(days=40), NOW)
    room = 20.0 + np.sin(np.arange(len(rollups)))
    room[100:148], room[200:204] = 20.3, 20.1  # a day; two hours
    frame, _ = thermal_frame(home, rollups.assign(**{"A-01-room.temperature_c": room}), seen)
    assert frame["room_c"].iloc[100:148].isna().all()
    assert frame["room_c"].isna().sum() == 48


def test_a_heat_meter_speaks_for_heat_in_place_of_pump_and_nameplate(block, rollups, weather):
    """By its power, and by what it has counted where it gave no power."""
    home = replace(block(3).dwellings[0], heat_meter_id="A-01-heat")
    seen = weather.observed(NOW - timedelta(days=40), NOW)
    half = len(rollups) // 2
    power = np.where(np.arange(len(rollups)) < half, 3100.0, np.nan)
    measured = rollups.assign(
        **{"A-01-hp.heat_w": 2000.0, "A-01-heat.heat_w": power, "A-01-heat.heat_kwh": 0.8}
    )
    assert PointId("A-01-heat", "heat_w") in thermal_points(home)
    assert PointId("A-01-hp", "heat_w") not in thermal_points(home)
    frame, estimated = thermal_frame(home, measured, seen)
    assert not estimated
    assert set(frame) == {"room_c", "heat_w", "outdoor_c", "household_w", "irradiance_w_m2"}
    assert set(frame["heat_w"].iloc[:half]) == {3100.0}
    np.testing.assert_allclose(frame["heat_w"].iloc[half:], 1600.0)  # 0.8 kWh in half an hour
    estimate = estimate_thermal(home, PRIOR, measured, NOW, seen)
    assert estimate.hours > 0
    silent = measured.drop(columns=["A-01-heat.heat_w", "A-01-heat.heat_kwh"])
    frame, estimated = thermal_frame(home, silent, seen)
    assert estimated, "a heat meter that never answered is stood in for, and this is said"


def test_points_are_named_as_the_store_names_them(dwelling):
    home = dwelling("A-07")
    assert home_points(home) == (
        PointId("A-07-meter", "household_power_w"),
        PointId("A-07-hp", "hot_water_power_w"),
    )
    assert PointId("A-07-room", "temperature_c") in thermal_points(home)


def test_a_sum_of_rare_draws_has_the_spread_of_the_block_and_not_of_its_homes(
    block, rollups, weather, setting
):
    """Each home's band is zero from end to end; the block's is not."""
    by_key = {(f.target, f.subject): f for f in everything(block, rollups, weather, setting)}
    home, whole = by_key["hot_water_w", "A-01"], by_key["hot_water_w", "A"]
    assert (home.quantile(0.9) == 0.0).mean() > 0.5
    assert whole.quantile(0.9).mean() > 500.0
    np.testing.assert_allclose(
        whole.mean, sum(by_key["hot_water_w", f"A-{n:02d}"].mean for n in (1, 2, 3))
    )


def test_a_missing_home_is_stood_in_for_and_too_many_are_not():
    index = pd.date_range("2023-01-01", periods=3, freq="30min", tz="UTC")
    homes = pd.DataFrame(np.full((3, 5), 100.0), index=index)
    homes.iloc[1, 0] = np.nan
    homes.iloc[2, :2] = np.nan
    np.testing.assert_array_equal(summed_history(homes, "A")["A"], [500.0, 500.0, np.nan])


def test_sums_add_means_and_are_narrower_than_their_parts_together(block, rollups, setting):
    parts = [
        f for f in forecast_homes(block(3).dwellings, rollups, {}, setting) if f.target == "load_w"
    ]
    total = sum_forecasts(parts, "A")
    np.testing.assert_allclose(total.mean, sum(part.mean for part in parts))
    parts_width = sum(part.quantile(0.9) - part.quantile(0.1) for part in parts)
    alike = sum_forecasts(parts, "A", correlation=1.0)
    assert ((total.quantile(0.9) - total.mean) < parts_width / 2).all()
    np.testing.assert_allclose(alike.quantile(0.9) - alike.mean, parts_width / 2)
    with pytest.raises(InvalidInputError, match="nothing to sum"):
        sum_forecasts([], "A")
    other = forecast_homes(block(1).dwellings, rollups, {}, setting)[1]
    with pytest.raises(InvalidInputError, match="one target"):
        sum_forecasts([parts[0], other], "A")


def test_a_sum_says_what_its_parts_lacked_and_whose_each_is():
    horizon, values = Horizon(NOW, floor_to(NOW), 2), np.ones(2)
    quantiles = dict.fromkeys((0.1, 0.5, 0.9), values)

    def total(**lacked: list[str]) -> tuple[str, ...]:
        made = [
            make_forecast("load_w", home, horizon, values, quantiles, lacked=why, model="m")
            for home, why in lacked.items()
        ]
        return sum_forecasts(made, "A").lacked

    homes = ("H1", "H2", "H3", "H4", "H5", "H6")
    unfitted = {home: ["learnt model: not fitted yet"] for home in homes}
    assert total(**unfitted) == ("learnt model: not fitted yet (all 6)",)
    unfitted["H2"] = ["history: 3 of 14 days", *unfitted["H2"]]
    unfitted["H6"] = []
    assert total(**unfitted) == (
        "learnt model: not fitted yet (H1, H2, H3 and 2 more)",
        "history: 3 of 14 days (H2)",
    )
    odd = {home: [f"history: {day} of 14 days"] for day, home in enumerate(homes)}
    assert total(**odd)[-2:] == ("history: 3 of 14 days (H4)", "and 2 things more")
    assert total(H1=[], H2=[]) == ()
