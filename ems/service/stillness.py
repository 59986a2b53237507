"""Room sensors that stand still: a reading that has not moved for longer than rooms do.

A frozen sensor says "20.3 °C, good" for ever, and a plan that believes it lets a home cool.
What is found here is marked ``STALE`` in the process image, so plan, dispatch and alarms all
see the same: a home without a room reading, which goes back to its own thermostat.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from datetime import datetime, timedelta

import numpy as np
import pandas as pd

from ems.domain.estate import Estate
from ems.domain.points import PointId
from ems.domain.ports import Store
from ems.domain.readings import Quality, Reading
from ems.loop.watch import FROZEN_S, USUAL_TIMES

WATCHED = "temperature_c"
"""Point that is watched: the living-room temperature."""
LEAST_READINGS = 3
"""So few readings of one value tell nothing."""
LONGEST_USUAL_S = 6 * 3600.0
"""A stretch longer than this was a fault itself, and is not what is usual [s]."""
REMEMBER = timedelta(hours=4)
KNOWN = 300
LEAST_KNOWN = 20
"""Stretches that are remembered of a sensor, and how many tell what is usual."""


@dataclass(slots=True)
class _Stretch:
    """One value of one sensor: since when, until when, read how often."""

    value: float
    since: datetime
    until: datetime
    readings: int = 1
    before_s: deque[float] = field(default_factory=lambda: deque(maxlen=KNOWN))

    @property
    def lasted_s(self) -> float:
        return (self.until - self.since).total_seconds()

    @property
    def allowed_s(self) -> float:
        """For how long this sensor may stand still [s]: coarse ones do so often."""
        if len(self.before_s) < LEAST_KNOWN:
            return FROZEN_S
        return max(FROZEN_S, USUAL_TIMES * float(np.quantile(list(self.before_s), 0.995)))

    @property
    def is_still(self) -> bool:
        long = self.readings >= LEAST_READINGS and self.lasted_s >= FROZEN_S
        return long and self.lasted_s >= self.allowed_s


class Stillness:
    """Watches every room sensor for values that do not move."""

    def __init__(self) -> None:
        self._stretches: dict[PointId, _Stretch] = {}

    def judged(self, reading: Reading) -> Reading:
        """Return a new reading, ``STALE`` where its sensor stands still."""
        if reading.point_id.point != WATCHED or not reading.is_good:
            return reading
        stretch = self._stretches.get(reading.point_id)
        if stretch is None or reading.observed_at < stretch.until:
            self._stretches[reading.point_id] = _Stretch(
                reading.value, reading.observed_at, reading.observed_at
            )
            return reading
        if reading.value != stretch.value:
            if stretch.lasted_s <= LONGEST_USUAL_S:
                stretch.before_s.append((reading.observed_at - stretch.since).total_seconds())
            stretch.value, stretch.since = reading.value, reading.observed_at
            stretch.readings = 0
        stretch.until = reading.observed_at
        stretch.readings += 1
        return replace(reading, quality=Quality.STALE) if stretch.is_still else reading

    def remember(self, estate: Estate, store: Store, now: datetime) -> None:
        """Take in the last hours from the store, so that a restart is not blind."""
        for home in estate.dwellings():
            point_id = PointId(home.room_sensor_id, WATCHED)
            frame = store.readings(point_id, now - REMEMBER, now)
            good = frame[frame["quality"] == int(Quality.GOOD)]["value"]
            times = pd.DatetimeIndex(good.index).to_pydatetime()
            for at, value in zip(times, good.tolist(), strict=True):
                self.judged(Reading(point_id, at, value))

    def since(self) -> Mapping[str, datetime]:
        """Return since when each sensor that stands still does, by device."""
        return {
            point_id.device_id: stretch.since
            for point_id, stretch in self._stretches.items()
            if stretch.is_still
        }
