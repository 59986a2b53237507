"""The forecast job: roll-ups and weather in, forecasts into the store; the nightly fits."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime, timedelta

import pandas as pd
import structlog

from ems.domain.estate import Block, Estate
from ems.domain.forecasts import Forecast
from ems.domain.points import PointId
from ems.domain.ports import Store
from ems.domain.readings import Quality
from ems.domain.thermal import ThermalEstimate
from ems.domain.time import HALF_HOUR_S, floor_to
from ems.service.fine_loads import FineLoads
from ems.service.fits import Fits
from ems.service.forecast_quality import QualityDesk
from ems.service.learning import Learner
from forecasting.block import sum_forecasts
from forecasting.candidates import Candidates
from forecasting.issue import block_candidates, home_candidates, issue
from forecasting.run import (
    HISTORY_DAYS,
    Setting,
    estimate_thermal,
    free_heat,
    points_of,
    thermal_points,
)
from forecasting.thermostat import PUMP_CORRELATION, own_thermostat
from forecasting.weather import WeatherProvider

log = structlog.get_logger()

ROOM_MAX_AGE = timedelta(hours=1)
FIT_DAYS = 28
"""Days of half-hours that a thermal fit looks at."""


class ForecastJob:
    """Makes forecasts of every home and block, fits homes and learns from them once a day.

    Parameters
    ----------
    estate, store, weather
        What to forecast, where history lies and forecasts go, and the sky.
    fits
        Where models of household load are learnt; ``None`` forecasts by habits alone.
    """

    def __init__(
        self, estate: Estate, store: Store, weather: WeatherProvider, fits: Fits | None = None
    ) -> None:
        self._estate = estate
        self._store = store
        self._weather = weather
        self._steps = int(estate.control.plan_horizon_s // HALF_HOUR_S) + 1
        self._quality = QualityDesk(estate, store)
        self._fine = FineLoads(store)
        self._learner = None if fits is None else Learner(estate, store, fits, self._steps)

    def run(self, now: datetime) -> list[Forecast]:
        """Forecast everything from what is known at ``now``, keep it and return it."""
        setting = Setting.of(self._estate, now, self._steps)
        start = floor_to(now) - timedelta(days=HISTORY_DAYS)
        weather = self._weather.issue(now, self._steps)
        sky = self._weather.observed(start, now)
        estimates = self._store.estimates()
        rollups = {
            block.id: self._store.rollups(points_of(block), start, floor_to(now))
            for block in self._estate.blocks
        }
        learnt, missing = self._learnt(rollups, setting, weather, sky)
        standings = self._quality.standings()
        candidates: Candidates = {}
        made: list[Forecast] = list(weather.values())
        for block in self._estate.blocks:
            own = rollups[block.id]
            of_homes = home_candidates(block.dwellings, own, setting, learnt)
            homes = issue(of_homes, standings, missing)
            loads = [one for one in homes if one.target == "load_w"]
            homes += free_heat(block.dwellings, own, weather, setting, estimates, loads)
            of_block = block_candidates(
                block, own, weather, setting, observed_weather=sky, homes=homes, learnt=learnt
            )
            made += homes + issue(of_block, standings, missing)
            made += self._own_thermostats(block, homes, weather, setting, estimates)
            candidates |= of_homes | of_block
        made += self._fine.forecasts(self._estate.blocks, made, now)
        self._store.add_forecasts(made)
        if self._quality.mark(candidates, now):
            self._quality.settle(now, sky)
        return made

    def _learnt(
        self,
        rollups: Mapping[str, pd.DataFrame],
        setting: Setting,
        weather: Mapping[str, Forecast],
        sky: pd.DataFrame,
    ) -> tuple[list[Forecast], str]:
        if self._learner is None:
            return [], ""
        return self._learner.forecasts(rollups, setting, weather, sky)

    def _own_thermostats(
        self,
        block: Block,
        homes: list[Forecast],
        weather: Mapping[str, Forecast],
        setting: Setting,
        estimates: Mapping[str, ThermalEstimate],
    ) -> list[Forecast]:
        """Return what homes would draw for heating if nobody planned, and their sum."""
        free = {one.subject: one for one in homes if one.target == "free_heat_w"}
        rooms = self._store.latest([home.room_sensor_id for home in block.dwellings])
        made = []
        for home in block.dwellings:
            room = rooms.get(PointId(home.room_sensor_id, "temperature_c"))
            if room is not None and (
                room.quality is not Quality.GOOD
                or setting.issued_at - room.observed_at > ROOM_MAX_AGE
            ):
                room = None
            if home.id in free and home.id in estimates:
                made.append(
                    own_thermostat(
                        home,
                        estimates[home.id],
                        weather,
                        free[home.id],
                        setting,
                        None if room is None else room.value,
                    )
                )
        parts = [one for one in made if one is not None]
        if len(parts) == len(block.dwellings):
            parts.append(sum_forecasts(parts, block.id, PUMP_CORRELATION))
        return parts

    def learn(self, now: datetime) -> None:
        """Begin to learn household load anew from what is known at ``now``."""
        if self._learner is not None:
            self._learner.begin(now, self._weather)

    def close(self) -> None:
        """End a fit that is under way."""
        if self._learner is not None:
            self._learner.close()

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
