"""What a plan must know beside forecasts and readings: peaks so far, and the grid's carbon."""

from __future__ import annotations

from datetime import UTC, date, datetime
from pathlib import Path

import numpy as np
import pandas as pd

from ems.domain.estate import Block, Estate
from ems.domain.points import PointId
from ems.domain.ports import Store
from ems.domain.rules import ControlRules
from ems.domain.time import floor_to, local_day_bounds

CARBON_COLUMN = "forecast_g_per_kwh"


def peaks_so_far(block: Block, estate: Estate, store: Store, now: datetime) -> dict[date, float]:
    """Return the highest half-hour mean at the feeder of each local day until now [W].

    From the first of the month where months are charged for, else of today alone; days
    without any reading are left out.
    """
    rules: ControlRules = estate.control
    today = now.astimezone(estate.zone).date()
    first = today.replace(day=1) if rules.peak_gbp_per_kw_month > 0 else today
    begin, _ = local_day_bounds(first, estate.zone)
    end = floor_to(now)
    if end <= begin:
        return {}
    point = PointId(block.block_meter.device_id, "power_w")
    frame = store.rollups([point], begin, end)
    found: dict[date, float] = {}
    for instant, watts in frame[str(point)].dropna().items():
        day = pd.Timestamp(str(instant)).astimezone(estate.zone).date()
        found[day] = max(found.get(day, 0.0), float(watts))
    return found


class CarbonFile:
    """The grid's forecast carbon intensity from the estate's file, read once per change.

    Parameters
    ----------
    path
        The file; ``None`` where there is none.
    """

    def __init__(self, path: Path | None) -> None:
        self._path = path
        self._read_at = np.nan
        self._values: dict[datetime, float] = {}

    def forecast(self) -> dict[datetime, float]:
        """Return the intensity by half-hour, UTC [g/kWh]; empty without a file."""
        if self._path is None or not self._path.is_file():
            return {}
        changed_at = self._path.stat().st_mtime
        if changed_at != self._read_at:
            frame = pd.read_csv(self._path, parse_dates=["start_utc"])
            known = frame.dropna(subset=[CARBON_COLUMN])
            starts = pd.DatetimeIndex(known["start_utc"]).tz_convert(UTC)
            values = known[CARBON_COLUMN].to_numpy(dtype=np.float64)
            self._values = dict(zip(starts.to_pydatetime(), values.tolist(), strict=True))
            self._read_at = changed_at
        return self._values
