"""The process image: the latest reading of every point, frozen on demand."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from datetime import datetime
from types import MappingProxyType

from ems.domain.points import PointId
from ems.domain.readings import Quality, Reading, Snapshot
from ems.service.stillness import Stillness


class ProcessImage:
    """Collects readings between cycles; a cycle works on one snapshot of it.

    Parameters
    ----------
    latest
        What the store remembers, so that a restarted process is not blind.

    Attributes
    ----------
    stillness
        Knows which room sensors stand still; theirs are ``STALE`` in every snapshot.
    """

    def __init__(self, latest: Mapping[PointId, Reading] | None = None) -> None:
        self._latest: dict[PointId, Reading] = dict(latest or {})
        self.stillness = Stillness()

    def update(self, readings: Iterable[Reading]) -> None:
        """Take in readings. Silence does not erase the last value, which ages instead."""
        for reading in readings:
            if reading.quality is Quality.NO_ANSWER and reading.point_id in self._latest:
                continue
            self._latest[reading.point_id] = self.stillness.judged(reading)

    def snapshot(self, now: datetime) -> Snapshot:
        """Return the image frozen at ``now``."""
        return Snapshot(taken_at=now, readings=MappingProxyType(dict(self._latest)))
