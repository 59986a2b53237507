"""The skies of a case: what the field plays, what is forecast, what truly came."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from datetime import datetime
from pathlib import Path

import pandas as pd

from ems.domain.errors import InvalidInputError
from ems.domain.estate import Estate
from ems.domain.forecasts import Forecast
from ems.field.parameters import FieldParameters
from forecasting.weather import FileWeather, WeatherProvider, read_weather
from forecasting.weather_error import PERFECT

ISSUED_WITH_ERROR, REAL_PAIR, PERFECT_WEATHER = (
    "issued with error",
    "real pair",
    "perfect weather",
)


_NAMES = {
    "time": "time_utc",
    "temperature_2m": "outdoor_c",
    "relative_humidity_2m": "humidity_pct",
    "wind_speed_10m": "wind_m_s",
    "shortwave_radiation": "irradiance_w_m2",
    "cloud_cover": "cloud_pct",
}
"""Columns of a weather archive, and what the field calls them."""
_KM_H = 3.6


@dataclass(frozen=True, slots=True)
class Sky:
    """The weather of a case.

    Attributes
    ----------
    issued, true
        Who forecasts it with its error, and who foresees what came.
    parameters
        The field's, with the weather that it plays.
    label
        What forecasts of weather were, as `ems.demo.evidence.Evidence` says it.
    """

    issued: WeatherProvider
    true: WeatherProvider
    parameters: FieldParameters
    label: str


class PairWeather:
    """Forecasts as a weather service issued them, beside what was observed.

    Parameters
    ----------
    issued, observed
        Hourly tables as `forecasting.weather.read_weather` returns them.
    estate
        Where it is.
    """

    def __init__(self, issued: pd.DataFrame, observed: pd.DataFrame, estate: Estate) -> None:
        self._issued = issued
        self._estate = estate
        self._seen = FileWeather(observed, estate.latitude, estate.longitude, error=PERFECT)

    def issue(self, now: datetime, steps: int, step_s: int = 1800) -> Mapping[str, Forecast]:
        """Return what was issued, with the stated error's band at each lead."""
        estate = self._estate
        table = FileWeather(
            self._issued,
            estate.latitude,
            estate.longitude,
            subject=estate.id,
            observed=False,
            issued_at=now,
        )
        return table.issue(now, steps, step_s)

    def observed(self, start: datetime, now: datetime) -> pd.DataFrame:
        """Return half-hours of [start, now) as observed."""
        return self._seen.observed(start, now)


def sky_of(
    estate: Estate,
    parameters: FieldParameters,
    pair: tuple[Path, Path] | None,
    seed: int,
    folder: Path,
) -> Sky:
    """Return the weather of a case.

    Parameters
    ----------
    estate, parameters
        Whose files are used where no pair is given.
    pair
        Two files of a weather archive: observed, and issued. What was not observed is taken
        as it was issued.
    seed
        Of the stated error, where there is no pair.
    folder
        Where the field's weather of a pair is written.

    Raises
    ------
    InvalidInputError
        Where there is no weather, or a file cannot be read.
    """
    place = estate.latitude, estate.longitude
    if pair is not None:
        issued = _archive(pair[1])
        merged = _archive(pair[0]).reindex(index=issued.index, columns=issued.columns)
        merged = merged.fillna(issued)
        path = folder / "weather.csv"
        merged.to_csv(path, index_label="time_utc")
        true = FileWeather(merged, *place, subject=estate.id, error=PERFECT)
        paired = PairWeather(issued, merged, estate)
        return Sky(paired, true, replace(parameters, weather=path), REAL_PAIR)
    source = estate.sources.weather
    if source is None:
        raise InvalidInputError(
            "a backtest needs a file of weather",
            field="data.weather",
            remedy="Name a weather file in the configuration, or give --weather pair:….",
        )
    hourly = read_weather(source)
    is_observed = estate.sources.weather_is_observed
    given = FileWeather(hourly, *place, subject=estate.id, observed=is_observed, seed=seed)
    true = FileWeather(hourly, *place, subject=estate.id, error=PERFECT)
    return Sky(given, true, parameters, ISSUED_WITH_ERROR if is_observed else PERFECT_WEATHER)


def _archive(path: Path) -> pd.DataFrame:
    """Return an archive's hours with the field's columns, indexed by UTC hours."""
    try:
        table = pd.read_csv(path)
        known = table[[name for name in _NAMES if name in table.columns]].rename(columns=_NAMES)
        known.index = pd.DatetimeIndex(pd.to_datetime(known.pop("time_utc"), utc=True))
        known["wind_m_s"] = known["wind_m_s"] / _KM_H
    except (OSError, ValueError, KeyError) as error:
        raise InvalidInputError(
            f"the weather cannot be read: {error}",
            field="--weather",
            value=str(path),
            remedy="Give pair:OBSERVED,ISSUED, two CSV files of the archive's columns "
            f"({', '.join(_NAMES)}).",
        ) from error
    return known
