"""Heat-pump power under a home's own thermostat: by hand in the steady state, and in simulation."""

import asyncio
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from ems.cli.field import field_parameters
from ems.demo.history import HistoryMaker, HistorySpan
from ems.domain.heatpump import cop, flow_temperature_c
from ems.domain.points import PointId
from ems.domain.thermal import ThermalEstimate
from ems.service.control import open_weather
from ems.settings import load_estate
from ems.store import open_store
from forecasting.block import sum_forecasts
from forecasting.interface import LEVELS, Horizon, make_forecast
from forecasting.run import (
    Setting,
    estimate_thermal,
    forecast_homes,
    points_of,
    power_scale,
    thermal_points,
)
from forecasting.thermostat import HYSTERESIS_K, PUMP_CORRELATION, own_thermostat

NOW = datetime(2023, 1, 20, 0, 2, tzinfo=UTC)
DEMO = Path(__file__).resolve().parents[2] / "config" / "demo" / "estate.yaml"
ESTIMATE = ThermalEstimate("A-01", 150.0, 12.0, 2.2e7, 3e6, 2.0, 300.0, NOW, 600.0, "fit")


def flat(target: str, value: float, spread: float = 0.0):
    horizon = Horizon.following(NOW, 48)
    quantiles = {q: np.full(48, value + np.sign(q - 0.5) * spread) for q in LEVELS}
    return make_forecast(target, "x", horizon, np.full(48, value), quantiles, model="given")


@pytest.fixture
def at_night(london, holidays):
    return Setting(london, holidays, 51.5, 0.0, NOW, 48)


def forecast(home, setting, outdoor_c=2.0, room_c=20.25, estimate=ESTIMATE, **options):
    weather = {"outdoor_c": flat("outdoor_c", outdoor_c, **options)}
    return own_thermostat(home, estimate, weather, flat("free_heat_w", 300.0), setting, room_c)


def test_a_room_that_is_held_draws_what_it_loses(dwelling, at_night):
    home = dwelling("A-01")  # asked for 20 °C all day
    made = forecast(home, at_night)
    efficiency = cop(
        home.heat_pump, np.array([2.0]), flow_temperature_c(home.heat_pump, np.array([2.0]))
    )
    steady = (150.0 * (20.0 + HYSTERESIS_K / 2 - 2.0) - 300.0) / float(efficiency[0])
    np.testing.assert_allclose(made.mean, steady, rtol=0.01)
    assert (made.quantile(0.1) <= made.mean).all() and (made.mean <= made.quantile(0.9)).all()
    scaled = forecast(home, at_night, estimate=replace(ESTIMATE, power_scale=1.2))
    np.testing.assert_allclose(scaled.mean, 1.2 * made.mean)


def test_cold_costs_more_and_a_warm_room_rests_first(dwelling, at_night):
    home = dwelling("A-01")
    mild, cold = forecast(home, at_night, 6.0), forecast(home, at_night, -3.0)
    assert (cold.mean > mild.mean).all()
    unsure = forecast(home, at_night, 6.0, spread=3.0)
    assert (unsure.quantile(0.9) > mild.quantile(0.9)).all()
    warm = forecast(home, at_night, 6.0, room_c=22.5)
    assert warm.mean[0] < 0.05 * mild.mean[0] and warm.mean[-1] == pytest.approx(
        mild.mean[-1], rel=0.05
    )
    chilled = forecast(home, at_night, 2.0, room_c=15.0)
    assert chilled.mean[0] > 1.2 * chilled.mean[-1]


def test_what_is_missing_is_said(dwelling, at_night):
    home = dwelling("A-01")
    assert own_thermostat(home, ESTIMATE, {}, flat("free_heat_w", 0.0), at_night) is None
    assert "the schedule's stands in" in forecast(home, at_night, room_c=None).lacked[-1]


def test_the_meter_tells_what_a_nameplate_does_not(dwelling):
    home = dwelling("A-01")
    index = pd.date_range(NOW - timedelta(days=20), NOW, freq="30min").floor("30min")
    outdoor = 4.0 + 3.0 * np.sin(np.arange(len(index)) / 200.0)
    frame = pd.DataFrame({"room_c": 20.0, "outdoor_c": outdoor, "irradiance_w_m2": 30.0}, index)
    heat = 150.0 * (20.0 - outdoor) - 300.0 - 2.0 * 30.0
    nominal = heat / cop(home.heat_pump, outdoor, flow_temperature_c(home.heat_pump, outdoor))
    drawn = pd.Series(1.25 * nominal, index)
    assert power_scale(home, ESTIMATE, frame, drawn, NOW) == pytest.approx(1.25, abs=0.03)
    assert power_scale(home, ESTIMATE, frame.assign(room_c=np.nan), drawn, NOW) == 1.0
    scrambled = drawn.copy()
    scrambled.loc[NOW - timedelta(hours=1) :] = 1e5
    early = NOW - timedelta(hours=1)
    assert power_scale(home, ESTIMATE, frame, scrambled, early) == power_scale(
        home, ESTIMATE, frame, drawn, early
    )


@pytest.mark.long
@pytest.mark.timeout(1800)
def test_blocks_under_their_own_thermostats_lie_within_the_band(tmp_path):
    estate, parameters = load_estate(DEMO), field_parameters(DEMO)
    end = estate.starts_at.replace(hour=0)
    with open_store(tmp_path / "past.sqlite") as store:
        span = HistorySpan(thermostat_days=26, planned_days=0, raw_h=1)
        asyncio.run(HistoryMaker(estate, parameters, store, end, span).make())
        sky = open_weather(estate)
        inside, points, energy, came = 0, 0, 0.0, 0.0
        fitted_at = end - timedelta(days=6)
        estimates = {
            home.id: estimate_thermal(
                home,
                estate.thermal_priors[home.epc_band],
                store.rollups(thermal_points(home), fitted_at - timedelta(days=20), fitted_at),
                fitted_at,
                sky.observed(fitted_at - timedelta(days=20), fitted_at),
            )
            for home in estate.dwellings()
        }
        for days in range(6, 0, -1):
            now = end - timedelta(days=days) + timedelta(minutes=2)
            setting = Setting.of(estate, now, 48)
            weather = sky.issue(now, 49)
            for block in estate.blocks:
                start = setting.horizon.start
                rollups = store.rollups(points_of(block), start - timedelta(days=20), start)
                made = forecast_homes(block.dwellings, rollups, weather, setting, estimates)
                free = {one.subject: one for one in made if one.target == "free_heat_w"}
                rooms = [PointId(home.room_sensor_id, "temperature_c") for home in block.dwellings]
                room = store.rollups(rooms, start - timedelta(hours=1), start).iloc[-1].to_numpy()
                parts = [
                    own_thermostat(
                        home, estimates[home.id], weather, free[home.id], setting,
                        float(now_c) if np.isfinite(now_c) else None,
                    )
                    for home, now_c in zip(block.dwellings, room, strict=True)
                ]  # fmt: skip
                whole = sum_forecasts(parts, block.id, PUMP_CORRELATION)
                pumps = [
                    PointId(home.heat_pump.device_id, "heating_power_w") for home in block.dwellings
                ]
                y = store.rollups(pumps, start, start + timedelta(days=1)).to_numpy().sum(axis=1)
                good = np.isfinite(y)
                low, high = whole.quantile(0.1)[good], whole.quantile(0.9)[good]
                inside += int(((y[good] >= low) & (y[good] <= high)).sum())
                points += int(good.sum())
                energy += float(whole.mean[good].sum())
                came += float(y[good].sum())
    print(f"inside {inside / points:.2f} of {points}, energy {energy / came:.2f}")
    assert 0.65 < inside / points < 0.93
    assert 0.85 < energy / came < 1.15
