"""Looking after homes' heat for the alarms: sensors at every look, balances every few hours."""

from __future__ import annotations

from collections.abc import Set as AbstractSet
from datetime import datetime, timedelta

import numpy as np
import pandas as pd

from ems.alarms.heat_rules import balances_judged
from ems.alarms.rules import Judged
from ems.domain.estate import Dwelling, Estate
from ems.domain.points import PointId
from ems.domain.ports import Store
from ems.domain.thermal import HeatBalance, ThermalEstimate
from ems.domain.time import floor_to
from ems.service.stillness import Stillness
from forecasting.heat_balance import DAYS, heat_balance
from forecasting.run import columns_of, thermal_frame, thermal_points

LOOK = timedelta(hours=3)
"""Between two looks at the balances: they change over hours."""


class HeatWatch:
    """Tells which homes' heat and temperatures do not go together.

    Parameters
    ----------
    estate, store
        Which homes, and what was measured of them.
    stillness
        Knows which room sensors stand still.
    """

    def __init__(self, estate: Estate, store: Store, stillness: Stillness) -> None:
        self._estate = estate
        self._store = store
        self._stillness = stillness
        self._homes = {home.id: home for home in estate.dwellings()}
        self._balances: dict[str, HeatBalance] = {}
        self._looked_at: datetime | None = None

    def judge(self, now: datetime, open_keys: AbstractSet[str]) -> Judged:
        """Judge every home at ``now``."""
        if self._looked_at is None or now - self._looked_at >= LOOK:
            self._balances = self.balances(now)
            self._looked_at = now
        return balances_judged(self._homes, self._balances, self._stillness.since(), open_keys)

    def balances(self, now: datetime) -> dict[str, HeatBalance]:
        """Return the balance of every home that has an estimate, from half-hours that ended."""
        estimates = self._store.estimates()
        sky = self._sky(now)
        return {
            home.id: self._balance(home, estimates[home.id], sky, now)
            for home in self._homes.values()
            if home.id in estimates
        }

    def _balance(
        self, home: Dwelling, estimate: ThermalEstimate, sky: pd.DataFrame, now: datetime
    ) -> HeatBalance:
        pump = home.heat_pump.device_id
        beside = [PointId(pump, "room_temperature_c"), PointId(pump, "room_setpoint_c")]
        until = floor_to(now)
        points = [*thermal_points(home), *beside]
        rollups = self._store.rollups(points, until - timedelta(days=DAYS), until)
        frame, estimated = thermal_frame(home, rollups, sky)
        frame[["own_c", "told_c"]] = columns_of(rollups, beside, ["own_c", "told_c"])
        return heat_balance(frame, estimate, home.heat_pump, until, heat_is_estimated=estimated)

    def _sky(self, now: datetime) -> pd.DataFrame:
        """Return the sun as it was forecast half a day at a time: nothing keeps what it was."""
        sun: dict[pd.Timestamp, float] = {}
        for back in range(2 * DAYS, 0, -1):
            issued = now - timedelta(hours=12 * back)
            found = self._store.latest_forecast("irradiance_w_m2", self._estate.id, issued)
            if found is None or issued - found.issued_at > timedelta(days=1):
                continue
            times = pd.date_range(found.start, periods=len(found.mean), freq=f"{found.step_s}s")
            sun.update(zip(times, np.asarray(found.mean).tolist(), strict=True))
        series = pd.Series(sun, dtype=np.float64).sort_index()
        index = pd.DatetimeIndex(series.index, tz="UTC") if not len(series) else series.index
        return pd.DataFrame({"irradiance_w_m2": series.to_numpy()}, index=index)
