"""Weather where no forecast comes in: what pumps measure outside, and the last day repeated."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime, timedelta

import numpy as np
import pandas as pd

from ems.domain.estate import Estate
from ems.domain.forecasts import Forecast
from ems.domain.points import PointId
from ems.domain.ports import Store
from ems.domain.time import floor_to
from forecasting.weather import PersistenceWeather

_SEEN = timedelta(days=3)


class SensorWeather:
    """Fills `forecasting.weather.WeatherProvider` from the outdoor sensors of heat pumps.

    The temperature is the middle one of all pumps that answer, so that one in the sun does not
    count. Nothing is known of the sun.

    Parameters
    ----------
    estate, store
        Whose heat pumps, and where their readings lie.
    """

    def __init__(self, estate: Estate, store: Store) -> None:
        self._estate = estate
        self._store = store

    def issue(self, now: datetime, steps: int, step_s: int = 1800) -> Mapping[str, Forecast]:
        """Return the last day seen, repeated; nothing where no pump knows the outdoor air."""
        seen = PersistenceWeather(self.observed(now - _SEEN, now), self._estate.id)
        return seen.issue(now, steps, step_s)

    def observed(self, start: datetime, now: datetime) -> pd.DataFrame:
        """Return half-hours of [start, now) that have ended, as the pumps saw them."""
        points = [
            PointId(home.heat_pump.device_id, "outdoor_temperature_c")
            for home in self._estate.dwellings()
        ]
        frame = self._store.rollups(points, floor_to(start), floor_to(now))
        return pd.DataFrame(
            {"outdoor_c": frame.median(axis=1), "irradiance_w_m2": np.nan}, index=frame.index
        )
