"""Readings: values with a time and a quality, and the snapshot a cycle works on."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from enum import IntEnum

from ems.domain.points import PointId


class Quality(IntEnum):
    """How far a value may be trusted. Only ``GOOD`` values enter roll-ups and plans."""

    GOOD = 0
    STALE = 1
    """Unchanged for longer than physics allows, or older than its cadence allows."""
    SENTINEL = 2
    """The device said "not available" by its own code."""
    OUT_OF_RANGE = 3
    """Outside the plausible range, or a counter that fell or jumped."""
    NO_ANSWER = 4
    """The device did not answer; there is no value."""


@dataclass(frozen=True, slots=True)
class Reading:
    """One value of one point.

    Attributes
    ----------
    point_id
        Device and canonical point.
    observed_at
        When it was read, estate time, UTC.
    value
        In the point's unit; ``nan`` where the quality says there is none.
    quality
        How far it may be trusted.
    """

    point_id: PointId
    observed_at: datetime
    value: float
    quality: Quality = Quality.GOOD

    @property
    def is_good(self) -> bool:
        """Whether the value may be used."""
        return self.quality is Quality.GOOD


@dataclass(frozen=True, slots=True)
class Snapshot:
    """The latest readings, frozen for one cycle.

    A cycle reads one snapshot, decides, then writes; it never looks twice.

    Attributes
    ----------
    taken_at
        Estate time, UTC.
    readings
        Latest reading of each point, whatever its quality.
    """

    taken_at: datetime
    readings: Mapping[PointId, Reading]

    def good(self, device_id: str, point: str, max_age_s: float) -> float | None:
        """Return the value if it is good and at most ``max_age_s`` [s] old, else ``None``."""
        reading = self.readings.get(PointId(device_id, point))
        if reading is None or not reading.is_good:
            return None
        if (self.taken_at - reading.observed_at).total_seconds() > max_age_s:
            return None
        return reading.value


@dataclass(frozen=True, slots=True)
class Rollup:
    """One point over one half-hour.

    Attributes
    ----------
    point_id
        Device and canonical point.
    start
        Start of the half-hour, UTC.
    mean
        Time-weighted mean of a gauge, last value of a state, rise of a counter over
        the half-hour (in the counter's unit); ``nan`` where nothing good was read.
    low, high
        Extremes of the good values; ``nan`` where there were none.
    coverage
        Share of the half-hour that good values cover, 0 to 1.
    """

    point_id: PointId
    start: datetime
    mean: float
    low: float
    high: float
    coverage: float
