"""Weather files for ``ems forecast``: what was forecast, or what came."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
import pandas as pd

from ems.domain.errors import InvalidInputError
from ems.domain.forecasts import Forecast
from ems.domain.time import HALF_HOUR
from forecasting.interface import LEVELS, Horizon, make_forecast
from forecasting.meters import instants

NAMES = {
    "time": ("time_utc", "time"),
    "issued": ("issued_utc",),
    "outdoor_c": ("outdoor_c", "temperature"),
    "humidity": ("humidity",),
}
"""Columns that are understood; of each the first one found is read."""
_LONGEST_GAP = 12
"""Half-hours that a straight line bridges at most; the rest of a longer gap stays."""


@dataclass(frozen=True, slots=True, eq=False)
class GivenWeather:
    """Weather of a file.

    Attributes
    ----------
    what
        For the report.
    observed
        By half-hour of validity (UTC): ``outdoor_c`` [°C] and perhaps ``humidity`` [-].
    issues
        The same by instant of issue; empty where a half-hour has only one value.
    """

    what: str
    observed: pd.DataFrame = field(repr=False)
    issues: Mapping[pd.Timestamp, pd.DataFrame] = field(repr=False, default_factory=dict)

    def forecast(self, horizon: Horizon) -> dict[str, Forecast]:
        """Return what was forecast for these steps; a target with a gap says so."""
        frame = self.observed
        if self.issues:
            known = [at for at in self.issues if at <= pd.Timestamp(horizon.issued_at)]
            frame = self.issues[max(known)] if known else self.observed.iloc[:0]
        made = {}
        for target in frame.columns:
            values = frame[target].reindex(horizon.index).to_numpy(dtype=np.float64)
            if np.isfinite(values).any():
                gaps = int(np.isnan(values).sum())
                made[str(target)] = make_forecast(
                    str(target),
                    "weather",
                    horizon,
                    values,
                    dict.fromkeys(LEVELS, values),
                    lacked=[f"weather for {gaps} half-hours"] if gaps else [],
                    model=self.what,
                )
        return made


def read_given(path: Path, *, observed: bool) -> GivenWeather:
    """Read an hourly CSV file, plain or compressed.

    ``observed`` says that it holds the weather as it came, which is then taken as the
    forecast. Otherwise it holds forecasts; with a column ``issued_utc`` each origin sees the
    newest issue, without one the file's one value for each hour.
    """
    option = "--weather-observed" if observed else "--weather"
    remedy = "Give an hourly CSV file with columns time_utc and outdoor_c."
    try:
        table = pd.read_csv(path)
    except (OSError, ValueError, UnicodeError) as error:
        raise InvalidInputError(
            f"the weather cannot be read: {error}", field=option, value=str(path), remedy=remedy
        ) from error
    found = {
        key: next((name for name in names if name in table.columns), None)
        for key, names in NAMES.items()
    }
    if found["time"] is None or found["outdoor_c"] is None:
        raise InvalidInputError(
            f"the weather lacks a time or a temperature; it has: {', '.join(map(str, table))}",
            field=option,
            value=path.name,
            remedy=remedy,
        )
    at, _ = instants(table[found["time"]], "UTC", option)
    values = pd.DataFrame(
        {
            key: pd.to_numeric(table[found[key]], errors="coerce").to_numpy(dtype=np.float64)
            for key in ("outdoor_c", "humidity")
            if found[key] is not None
        },
        index=at,
    )
    values = values.where(np.isfinite(values))
    if found["issued"] is not None and not observed:
        issued, _ = instants(table[found["issued"]], "UTC", option)
        issues = {
            pd.Timestamp(one): _half_hours(values[np.asarray(issued == one)])
            for one in issued.dropna().unique()
        }
        first = values[~np.asarray(issued.isna())]
        return GivenWeather("as forecast, newest issue at each origin", _half_hours(first), issues)
    what = "observed weather as forecast: perfect weather" if observed else "as forecast"
    return GivenWeather(what, _half_hours(values))


def _half_hours(values: pd.DataFrame) -> pd.DataFrame:
    """Return values on the grid of half-hours; straight lines over at most six hours."""
    values = values[~np.asarray(values.index.isna())]
    values = values[~values.index.duplicated(keep="last")].sort_index()
    if not len(values):
        return values
    grid = pd.date_range(values.index[0].floor("30min"), values.index[-1], freq=HALF_HOUR)
    both = values.reindex(values.index.union(grid))
    return both.interpolate(method="time", limit=_LONGEST_GAP, limit_area="inside").reindex(grid)
