"""Weather from a service on the network, as far as that is pure: its answer, and what it tells.

The answer is JSON in the manner of Open-Meteo: ``hourly`` holds ``time`` [s since the epoch],
``temperature_2m`` [°C] and ``shortwave_radiation`` (mean of the hour that ends then, [W/m²]).
Fetching is :mod:`ems.service.online_weather`'s.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from itertools import pairwise
from typing import Any

import numpy as np
import pandas as pd

from ems.domain.errors import InvalidInputError
from ems.domain.forecasts import Forecast
from ems.domain.weather import WeatherIssue
from forecasting.weather import WEATHER_COLUMNS, FileWeather, PersistenceWeather

FIELDS = {"outdoor_c": "temperature_2m", "irradiance_w_m2": "shortwave_radiation"}
"""Our names and those of the answer."""
PLAUSIBLE = {"outdoor_c": (-60.0, 60.0), "irradiance_w_m2": (-5.0, 1500.0)}
"""Values outside count as not given."""
LATE = timedelta(hours=3)
"""An issue older than this is named as old."""
SPENT = timedelta(hours=36)
"""An issue older than this is no forecast any more."""
LEAST_AHEAD = timedelta(hours=24)
"""An answer that reaches less far is refused."""
LONGEST_HOURS = 24 * 120
_HOUR_S = 3600
_REMEDY = "Name a service that answers as Open-Meteo's forecast does, with timeformat=unixtime."


def decode_answer(answer: Any, source: str, fetched_at: datetime) -> WeatherIssue:
    """Return what a service answered, checked.

    Raises
    ------
    InvalidInputError
        Where it is not such an answer, has gaps in its hours, or does not reach a day ahead.
    """
    hourly = answer.get("hourly") if isinstance(answer, Mapping) else None
    times = hourly.get("time") if isinstance(hourly, Mapping) else None
    if not isinstance(hourly, Mapping) or not isinstance(times, Sequence) or not times:
        raise _refused("it holds no hourly times", type(answer).__name__)
    if len(times) > LONGEST_HOURS or not all(type(time) is int for time in times):
        raise _refused("its times are not seconds since the epoch", str(times[0])[:40])
    if times[0] % _HOUR_S or any(b - a != _HOUR_S for a, b in pairwise(times)):
        raise _refused("its times are not hour after hour", str(times[0]))
    if abs(times[-1] - fetched_at.timestamp()) > _HOUR_S * LONGEST_HOURS:
        raise _refused("its times are not about now", str(times[-1]))
    if times[-1] - fetched_at.timestamp() < LEAST_AHEAD.total_seconds():
        ends = f"{datetime.fromtimestamp(times[-1], UTC):%Y-%m-%d %H:%M} UTC"
        raise _refused("it does not reach a day ahead", ends)
    columns = {name: _column(hourly, name, len(times)) for name in FIELDS}
    return WeatherIssue(
        source=source,
        fetched_at=fetched_at,
        first_hour=datetime.fromtimestamp(times[0], UTC),
        outdoor_c=columns["outdoor_c"],
        irradiance_w_m2=columns["irradiance_w_m2"],
    )


def _column(hourly: Mapping[str, Any], name: str, count: int) -> tuple[float | None, ...]:
    values = hourly.get(FIELDS[name])
    if not isinstance(values, Sequence) or len(values) != count:
        raise _refused(f"it holds no {FIELDS[name]} for each hour", FIELDS[name])
    low, high = PLAUSIBLE[name]

    def one(value: Any) -> float | None:
        if type(value) not in (int, float) or not math.isfinite(value) or not low <= value <= high:
            return None
        return float(value) if name == "outdoor_c" else max(float(value), 0.0)

    kept = tuple(one(value) for value in values)
    if sum(value is None for value in kept) > count // 2:
        raise _refused(f"most of its {FIELDS[name]} is missing or not plausible", FIELDS[name])
    return kept


def _refused(problem: str, value: str) -> InvalidInputError:
    return InvalidInputError(
        f"the weather service's answer cannot be used: {problem}",
        field="data.weather_url",
        value=value,
        remedy=_REMEDY,
    )


class IssuedWeather:
    """Forecasts and observations from one issue, however old it has become.

    Up to `LATE` it is a forecast like any other. Older, `lacked` names its age, and its band
    is that of its true lead. After `SPENT`, or with no issue at all, the last day seen is
    repeated, as far as there is one.

    Parameters
    ----------
    issue
        The last answer, ``None`` where none came yet.
    latitude, longitude
        Degrees north and east.
    subject
        Id that goes into the forecasts.
    """

    def __init__(
        self,
        issue: WeatherIssue | None,
        latitude: float,
        longitude: float,
        subject: str = "estate",
    ) -> None:
        self._issue = issue
        self._place = (latitude, longitude)
        self._subject = subject

    def issue(self, now: datetime, steps: int, step_s: int = 1800) -> Mapping[str, Forecast]:
        """Return the forecasts; see `forecasting.weather.WeatherProvider`."""
        last = self._issue
        if last is None or last.fetched_at > now:
            return {}
        age = now - last.fetched_at
        said = (f"weather forecast: the last one is {_hours(age)} old",) if age > LATE else ()
        if age > SPENT:
            seen = self.observed(last.fetched_at - timedelta(days=3), now)
            # the last day seen counts as just seen: nothing newer is known
            past = PersistenceWeather(_carried(seen, last.fetched_at, now), self._subject)
            return {
                target: replace(one, lacked=(*said, *one.lacked))
                for target, one in past.issue(now, steps, step_s).items()
            }
        table = self._table(last)
        made = FileWeather(
            table, *self._place, subject=self._subject, observed=False, issued_at=last.fetched_at
        ).issue(now, steps, step_s)
        name = f"{last.source}, fetched {last.fetched_at:%Y-%m-%d %H:%M} UTC"
        return {
            target: replace(one, lacked=(*said, *one.lacked), model=name)
            for target, one in made.items()
        }

    def observed(self, start: datetime, now: datetime) -> pd.DataFrame:
        """Return half-hours of [start, now); ``nan`` after the last issue was fetched."""
        grid = FileWeather(_empty(), *self._place).observed(start, now)
        last = self._issue
        if last is None:
            return grid
        until = min(now, last.fetched_at)
        if until <= start:
            return grid
        seen = FileWeather(self._table(last), *self._place).observed(start, until)
        return seen.reindex(grid.index)

    @staticmethod
    def _table(last: WeatherIssue) -> pd.DataFrame:
        index = pd.date_range(last.first_hour, periods=len(last.outdoor_c), freq="h")
        columns = {name: np.array(getattr(last, name), dtype=np.float64) for name in FIELDS}
        return pd.DataFrame(columns, index=index)


def _carried(seen: pd.DataFrame, fetched_at: datetime, now: datetime) -> pd.DataFrame:
    """Return what was seen, moved by whole days so that it ends within the day before now."""
    days = max((now - fetched_at).days, 0)
    return seen.set_axis(pd.DatetimeIndex(seen.index) + pd.Timedelta(days=days))


def _empty() -> pd.DataFrame:
    return pd.DataFrame(columns=list(WEATHER_COLUMNS), index=pd.DatetimeIndex([], tz="UTC"))


def _hours(age: timedelta) -> str:
    hours = age.total_seconds() / 3600.0
    return f"{hours:.0f} hours" if hours < 48 else f"{hours / 24:.0f} days"
