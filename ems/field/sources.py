"""Weather and consumption from the packaged files.

A missing half-hour of consumption is bridged by the mean of the same half-hour one
week before and one week after, whichever exist: the homes of the simulated estate
must draw some power at every instant. The file itself keeps its gaps.
"""

from __future__ import annotations

from datetime import UTC, date, datetime
from pathlib import Path

import numpy as np
import pandas as pd

from ems.domain.errors import InvalidInputError
from ems.domain.forecasts import FloatArray

WEEK = 336


class Weather:
    """Hourly weather as it was.

    Parameters
    ----------
    frame
        Columns of ``weather.csv.gz``, indexed by aware UTC hours without holes.
    source
        Named in errors.
    """

    COLUMNS = ("outdoor_c", "humidity_pct", "wind_m_s", "irradiance_w_m2", "cloud_pct")

    def __init__(self, frame: pd.DataFrame, source: str = "weather") -> None:
        self.source = source
        hours = pd.date_range(frame.index[0], frame.index[-1], freq="h")
        whole = frame.reindex(hours)[list(self.COLUMNS)]
        if whole.isna().to_numpy().any():
            first = whole.index[whole.isna().any(axis=1)][0]
            raise InvalidInputError(
                "the weather has a hole",
                field=source,
                value=str(first),
                remedy="Fill the hour in the file, or shorten the file to end before it.",
            )
        self._start_s = whole.index[0].timestamp()
        self._values = {name: whole[name].to_numpy(dtype=np.float64) for name in self.COLUMNS}

    @classmethod
    def read(cls, path: Path) -> Weather:
        """Read ``weather.csv.gz``."""
        frame = pd.read_csv(path, parse_dates=["time_utc"]).set_index("time_utc")
        return cls(frame, str(path))

    def day(self, day: date, name: str) -> FloatArray:
        """Return the 25 hourly values from 00:00 to 24:00 UTC of ``day``."""
        start_s = datetime(day.year, day.month, day.day, tzinfo=UTC).timestamp()
        first = round((start_s - self._start_s) / 3600.0)
        values = self._values[name]
        if first < 0 or first + 25 > values.size:
            raise InvalidInputError(
                "the weather does not reach this day",
                field=self.source,
                value=day.isoformat(),
                remedy="Start earlier, run for a shorter time, or add weather to the file.",
            )
        return values[first : first + 25]


class Consumption:
    """Half-hourly household energy, bridged over its gaps.

    Parameters
    ----------
    frame
        Energy [Wh], one column a home, indexed by aware UTC half-hours.
    source
        Named in errors.
    """

    def __init__(self, frame: pd.DataFrame, source: str = "consumption") -> None:
        self.source = source
        slots = pd.date_range(frame.index[0], frame.index[-1], freq="30min")
        whole = frame.reindex(slots)
        self._start_s = slots[0].timestamp()
        self._columns = {str(name): index for index, name in enumerate(whole.columns)}
        values = whole.to_numpy(dtype=np.float64, na_value=np.nan)
        self._values = _bridge(values)

    @classmethod
    def read(cls, path: Path) -> Consumption:
        """Read ``consumption.parquet``."""
        return cls(pd.read_parquet(path).set_index("start_utc"), str(path))

    def columns(self, names: list[str]) -> list[int]:
        """Return the positions of these homes' columns."""
        missing = [name for name in names if name not in self._columns]
        if missing:
            raise InvalidInputError(
                "the consumption has no column for these homes",
                field=self.source,
                value=missing,
                remedy="Name a column under `homes: HOME: consumption:` of the field's file.",
            )
        return [self._columns[name] for name in names]

    def first_day(self) -> date:
        """Return the first day (UTC) that is known from its beginning to its end."""
        return datetime.fromtimestamp(-(-self._start_s // 86400) * 86400, UTC).date()

    def last_day(self) -> date:
        """Return the last such day."""
        end_s = self._start_s + 1800.0 * len(self._values)
        return datetime.fromtimestamp(end_s // 86400 * 86400 - 1, UTC).date()

    def day(self, day: date, columns: list[int]) -> FloatArray:
        """Return the 48 half-hours of ``day`` (UTC) [Wh], shape (48, homes)."""
        start_s = datetime(day.year, day.month, day.day, tzinfo=UTC).timestamp()
        first = round((start_s - self._start_s) / 1800.0)
        if first < 0 or first + 48 > len(self._values):
            raise InvalidInputError(
                "the consumption does not reach this day",
                field=self.source,
                value=day.isoformat(),
                remedy="Start earlier or run for a shorter time.",
            )
        return self._values[first : first + 48, columns]


def _bridge(values: FloatArray) -> FloatArray:
    missing = np.isnan(values)
    if not missing.any():
        return values
    before = np.full_like(values, np.nan)
    after = np.full_like(values, np.nan)
    before[WEEK:] = values[:-WEEK]
    after[:-WEEK] = values[WEEK:]
    neighbours = np.stack([before[missing], after[missing]])
    known = ~np.isnan(neighbours)
    bridged = values.copy()
    bridged[missing] = np.where(known, neighbours, 0.0).sum(axis=0) / known.sum(axis=0)
    if np.isnan(bridged).any():
        raise InvalidInputError(
            "a half-hour is missing a week before and a week after too",
            field="consumption",
            remedy="Choose a home with fewer gaps.",
        )
    return bridged
