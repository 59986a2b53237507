"""Half-hours from samples of a whole estate at once, derived points included."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from datetime import datetime

import numpy as np
from numpy.typing import NDArray

from ems.domain.estate import Estate
from ems.domain.forecasts import FloatArray
from ems.domain.points import POINTS, PointId, PointKind
from ems.domain.readings import Rollup
from ems.service.derive import HOT_WATER_STATE, heat_from_flow_w

IndexArray = NDArray[np.intp]
_KINDS = {point.name: point.kind for points in POINTS.values() for point in points.values()}


class DerivedColumns:
    """Computes the derived points of all homes from a vector of values.

    The same rules as :mod:`ems.service.derive`, for many instants in little time.

    Parameters
    ----------
    estate
        The estate.
    point_ids
        What the entries of a vector are.
    """

    def __init__(self, estate: Estate, point_ids: Sequence[PointId]) -> None:
        place = {point_id: index for index, point_id in enumerate(point_ids)}
        homes = list(estate.dwellings())

        def column(device_id: str, point: str) -> int:
            return place.get(PointId(device_id, point), -1)

        pumps = [home.heat_pump for home in homes]
        self._meter = self._indices([column(h.meter.device_id, "power_w") for h in homes])
        self._pump = self._indices([column(p.power_device_id, "power_w") for p in pumps])
        self._state = self._indices([column(p.device_id, "operating_state") for p in pumps])
        self._flow = self._indices([column(p.device_id, "flow_rate_lpm") for p in pumps])
        self._warm = self._indices([column(p.device_id, "flow_temperature_c") for p in pumps])
        self._cool = self._indices([column(p.device_id, "return_temperature_c") for p in pumps])
        self.point_ids = (
            [PointId(h.meter.device_id, "household_power_w") for h in homes]
            + [PointId(p.device_id, "hot_water_power_w") for p in pumps]
            + [PointId(p.device_id, "heating_power_w") for p in pumps]
            + [PointId(p.device_id, "heat_w") for p in pumps]
        )

    @staticmethod
    def _indices(columns: list[int]) -> IndexArray:
        return np.array(columns, dtype=np.intp)

    def of(self, values: FloatArray) -> FloatArray:
        """Return the derived values, ``nan`` where something they follow from is missing."""
        padded = np.append(values, np.nan)  # index -1: the device has no such point
        power, state = padded[self._pump], padded[self._state]
        for_water = state == HOT_WATER_STATE
        known = ~np.isnan(state)
        water = np.where(known, np.where(for_water, power, 0.0), np.nan)
        carried = heat_from_flow_w(1.0, 1.0, 0.0) * padded[self._flow]
        carried = carried * (padded[self._warm] - padded[self._cool])
        heat = np.where(for_water & ~np.isnan(carried), 0.0, carried)
        return np.concatenate(
            [padded[self._meter] - power, water, power - water, np.where(known, heat, np.nan)]
        )


class HalfHourRecorder:
    """Collects samples of one half-hour and closes them into roll-ups.

    Parameters
    ----------
    point_ids
        What the entries of a sample are.
    keep
        Points to keep; all of them where ``None``.
    """

    def __init__(
        self, point_ids: Sequence[PointId], keep: Collection[PointId] | None = None
    ) -> None:
        chosen = [i for i, point in enumerate(point_ids) if keep is None or point in keep]
        self._columns = np.array(chosen, dtype=np.intp)
        self._points = [point_ids[i] for i in chosen]
        kinds = [_KINDS[point.point] for point in self._points]
        self._counter = np.array([kind is PointKind.COUNTER for kind in kinds])
        self._is_state = np.array([kind is PointKind.STATE for kind in kinds])
        self._at_start: FloatArray | None = None
        self._samples: list[FloatArray] = []

    def start(self, values: FloatArray) -> None:
        """Begin a half-hour with the values at its start (for counters)."""
        self._at_start = values[self._columns]
        self._samples = []

    def sample(self, values: FloatArray) -> None:
        """Take in values within the half-hour; the last ones are those at its end."""
        self._samples.append(values[self._columns])

    def close(self, start: datetime) -> list[Rollup]:
        """Return the half-hour's roll-ups; a point without any value has none."""
        table = np.stack(self._samples)
        there = ~np.isnan(table)
        count = there.sum(axis=0)
        some = count > 0
        filled = np.where(there, table, 0.0)
        mean = np.divide(filled.sum(axis=0), count, out=np.full(len(count), np.nan), where=some)
        begun = self._at_start if self._at_start is not None else table[0]
        mean = np.where(self._counter, table[-1] - begun, mean)
        mean = np.where(self._is_state, table[-1], mean)
        low = np.where(there, table, np.inf).min(axis=0)
        high = np.where(there, table, -np.inf).max(axis=0)
        coverage = count / len(self._samples)
        kept = np.flatnonzero(some & ~np.isnan(mean))
        return [
            Rollup(
                self._points[i],
                start,
                float(mean[i]),
                float(low[i]),
                float(high[i]),
                float(coverage[i]),
            )
            for i in kept
        ]
