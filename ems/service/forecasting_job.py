"""The forecast job: roll-ups and weather in, forecasts into the store; the nightly fit."""

from __future__ import annotations

from datetime import datetime, timedelta

import pandas as pd
import structlog

from ems.domain.estate import Estate
from ems.domain.forecasts import Forecast
from ems.domain.ports import Store
from ems.domain.thermal import ThermalEstimate
from ems.domain.time import HALF_HOUR_S, floor_to
from forecasting.run import (
    HISTORY_DAYS,
    Setting,
    block_points,
    estimate_thermal,
    forecast_block,
    forecast_homes,
    home_points,
    thermal_points,
)
from forecasting.weather import WeatherProvider

log = structlog.get_logger()

FIT_DAYS = 28
"""Days of half-hours that a thermal fit looks at."""


class ForecastJob:
    """Makes forecasts of every home and block, and fits homes once a day.

    Parameters
    ----------
    estate, store, weather
        What to forecast, where history lies and forecasts go, and the sky.
    """

    def __init__(self, estate: Estate, store: Store, weather: WeatherProvider) -> None:
        self._estate = estate
        self._store = store
        self._weather = weather
        self._steps = int(estate.control.plan_horizon_s // HALF_HOUR_S) + 1

    def run(self, now: datetime) -> list[Forecast]:
        """Forecast everything from what is known at ``now``, keep it and return it."""
        setting = Setting.of(self._estate, now, self._steps)
        start = floor_to(now) - timedelta(days=HISTORY_DAYS)
        weather = self._weather.issue(now, self._steps)
        sky = self._weather.observed(start, now)
        estimates = self._store.estimates()
        made: list[Forecast] = list(weather.values())
        for block in self._estate.blocks:
            points = [point for home in block.dwellings for point in home_points(home)]
            points += [point for point in block_points(block) if point not in points]
            rollups = self._store.rollups(points, start, floor_to(now))
            homes = forecast_homes(block.dwellings, rollups, weather, setting, estimates)
            made += homes
            made += forecast_block(
                block, rollups, weather, setting, observed_weather=sky, homes=homes
            )
        self._store.add_forecasts(made)
        return made

    def fit(self, now: datetime) -> list[ThermalEstimate]:
        """Fit every home's thermal model from its last weeks, keep and return the estimates."""
        start = floor_to(now) - timedelta(days=FIT_DAYS)
        sky = self._weather.observed(start, now)
        estimates: list[ThermalEstimate] = []
        for home in self._estate.dwellings():
            rollups: pd.DataFrame = self._store.rollups(thermal_points(home), start, floor_to(now))
            prior = self._estate.thermal_priors[home.epc_band]
            estimates.append(estimate_thermal(home, prior, rollups, now, sky))
        self._store.save_estimates(estimates)
        fitted = sum(estimate.source == "fit" for estimate in estimates)
        log.info("homes_fitted", fitted=fitted, homes=len(estimates))
        return estimates

    def fit_is_due(self, now: datetime) -> bool:
        """Tell whether a home has no estimate younger than a day."""
        estimates = self._store.estimates()
        for home in self._estate.dwellings():
            estimate = estimates.get(home.id)
            if estimate is None or estimate.fitted_at is None:
                return True
            if now - estimate.fitted_at > timedelta(days=1):
                return True
        return False
