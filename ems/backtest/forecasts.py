"""What one run of a backtest knows of the time to come: what was issued for all, and its own."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime, timedelta

from ems.backtest.issues import Issues, exact
from ems.domain.estate import Estate
from ems.domain.forecasts import Forecast
from ems.domain.ports import Store
from ems.domain.thermal import ThermalEstimate
from ems.domain.time import floor_to
from ems.service.forecasting_job import ForecastJob
from forecasting.run import HISTORY_DAYS, Setting, free_heat, home_points
from forecasting.weather import WeatherProvider


class CaseForecasts:
    """Fills `ems.demo.controlled.Forecasting` from what was issued for the whole case.

    A home's free heat rests on its thermal fit, and that on how the run itself heated it: both
    are made here, by the service's own functions.

    Parameters
    ----------
    estate, store, weather
        Whose, where forecasts go, and the sky as it is forecast.
    issued
        What no controller can move.
    steps
        Half-hours ahead.
    certain
        Whether everything is given without spread: for perfect foresight.
    """

    def __init__(
        self,
        estate: Estate,
        store: Store,
        weather: WeatherProvider,
        issued: Sequence[Issues],
        *,
        steps: int,
        certain: bool = False,
    ) -> None:
        self._estate = estate
        self._store = store
        self._weather = weather
        self._issued = issued
        self._steps = steps
        self._certain = certain
        self._job = ForecastJob(estate, store, weather)

    def run(self, now: datetime) -> list[Forecast]:
        """Return and keep everything that is forecast for the half-hour that holds ``now``."""
        start = floor_to(now)
        setting = Setting.of(self._estate, start, self._steps)
        sky = self._weather.issue(start, self._steps)
        made = [one for issues in self._issued for one in issues.at(now)]
        loads = [one for one in made if one.target == "load_w"]
        estimates = self._store.estimates()
        points = [home_points(home)[0] for home in self._estate.dwellings()]
        past = self._store.rollups(points, start - timedelta(days=HISTORY_DAYS), start)
        homes = list(self._estate.dwellings())
        made += free_heat(homes, past, sky, setting, estimates, loads)
        made += sky.values()
        if self._certain:
            made = [exact(one) for one in made]
        self._store.add_forecasts(made)
        return made

    def learn(self, now: datetime) -> None:
        """Do nothing: load was learnt for the whole case."""

    def fit(self, now: datetime) -> list[ThermalEstimate]:
        """Fit every home from what this run measured."""
        return self._job.fit(now)
