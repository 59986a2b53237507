"""Days and half-hours as residents live them: local time, day kinds, clock changes.

A household's habits follow the clock on the wall, so lags are taken in local time:
the same local half-hour of an earlier day. On the day clocks go forward two local
half-hours do not exist; on the day they go back two exist twice.
"""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import dataclass, field
from datetime import date
from enum import IntEnum
from zoneinfo import ZoneInfo

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from forecasting.interface import epoch_s

SLOTS = 48
"""Local half-hours of a day of usual length."""
_DAY_S = 86_400
IntArray = NDArray[np.int64]


class DayKind(IntEnum):
    """Days that people spend alike."""

    WEEKDAY = 0
    SATURDAY = 1
    SUNDAY = 2
    HOLIDAY = 3


@dataclass(frozen=True, slots=True, eq=False)
class LocalTimes:
    """Where instants lie in local days.

    Attributes
    ----------
    day
        Local days since 1970-01-01, shape (n,).
    slot
        Local half-hour of the day, 0 to 47, shape (n,). Of a day whose clocks go back,
        two slots come twice.
    """

    day: IntArray = field(repr=False)
    slot: IntArray = field(repr=False)


@dataclass(frozen=True, slots=True)
class Calendar:
    """Local time and holidays of an estate.

    Attributes
    ----------
    zone
        The estate's time zone.
    holidays
        Local dates that count as bank holidays.
    """

    zone: ZoneInfo
    holidays: frozenset[date] = frozenset()

    @classmethod
    def of(cls, zone: ZoneInfo, holidays: Collection[date] = ()) -> Calendar:
        """Return a calendar from any collection of holidays."""
        return cls(zone, frozenset(holidays))

    def locate(self, index: pd.DatetimeIndex) -> LocalTimes:
        """Return the local day and half-hour of each instant of ``index`` (UTC)."""
        wall_s = epoch_s(index.tz_convert(self.zone).tz_localize(None))
        return LocalTimes(wall_s // _DAY_S, wall_s % _DAY_S // (_DAY_S // SLOTS))

    def kinds(self, days: IntArray) -> IntArray:
        """Return the `DayKind` of local days since 1970-01-01, shape of ``days``."""
        weekday = weekdays(days)
        kinds = np.full(days.shape, DayKind.WEEKDAY, dtype=np.int64)
        kinds[weekday == 5] = DayKind.SATURDAY
        kinds[weekday == 6] = DayKind.SUNDAY
        if self.holidays:
            first = date(1970, 1, 1)
            off = np.array([(day - first).days for day in self.holidays], dtype=np.int64)
            kinds[np.isin(days, off)] = DayKind.HOLIDAY
        return kinds


def weekdays(days: IntArray) -> IntArray:
    """Return the weekday (Monday 0) of days since 1970-01-01, shape of ``days``."""
    return (days + 3) % 7  # 1970-01-01 was a Thursday


def by_local_day(
    values: NDArray[np.float64], times: LocalTimes, days: IntArray
) -> NDArray[np.float64]:
    """Lay series out by local day and half-hour.

    Parameters
    ----------
    values
        Shape (instants, series).
    times
        Their local times, n instants.
    days
        The consecutive local days wanted, shape (D,).

    Returns
    -------
    Shape (series, D, 48); ``nan`` where there is no value. Of a half-hour that comes
    twice the later stands; a half-hour that does not exist is ``nan``.
    """
    out = np.full((values.shape[1], days.size, SLOTS), np.nan)
    row = times.day - days[0]
    inside = (row >= 0) & (row < days.size)
    out[:, row[inside], times.slot[inside]] = values[inside].T
    return out
