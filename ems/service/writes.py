"""How often each register was written, kept for good: flash memory wears out.

Control and guard both write; each adds what it did to the same records, so that neither
forgets what the other has worn. Writes are noted at once and kept after each round: a
process that is killed in between loses the count of that round.
"""

from __future__ import annotations

import threading
from collections.abc import Collection
from dataclasses import dataclass
from datetime import datetime

import structlog

from ems.domain.errors import RetryableError
from ems.domain.points import PointId
from ems.domain.ports import Store
from ems.domain.setpoints import WriteCount

log = structlog.get_logger()

TRIES = 8
"""How often a record is tried anew where the other process wrote it at the same moment."""


@dataclass(frozen=True, slots=True)
class _Write:
    """One write of one point."""

    point_id: PointId
    at: datetime
    urgent: bool


class WriteLedger:
    """Fills :class:`ems.domain.ports.WriteBook` over the store.

    Parameters
    ----------
    store
        Where the counts are kept.
    """

    def __init__(self, store: Store) -> None:
        self._store = store
        self._lock = threading.Lock()
        self._new: list[_Write] = []
        self._last = {point_id: count.last_at for point_id, count in write_counts(store).items()}

    def wrote(self, point_ids: Collection[PointId], at: datetime, *, urgent: bool) -> None:
        """Note one write message at ``at`` (UTC) to these points; `keep` keeps it."""
        with self._lock:
            for point_id in point_ids:
                self._new.append(_Write(point_id, at, urgent))
                self._last[point_id] = max(at, self._last.get(point_id, at))

    def last_write(self, point_id: PointId) -> datetime | None:
        """Return when a point was written last, as far as this process has seen."""
        with self._lock:
            return self._last.get(point_id)

    def keep(self) -> int:
        """Keep what was noted; return how many writes. Blocks: call it on a thread."""
        with self._lock:
            new, self._new = self._new, []
        points: dict[PointId, list[_Write]] = {}
        for write in new:
            points.setdefault(write.point_id, []).append(write)
        for point_id, writes in points.items():
            try:
                self._add(point_id, writes)
            except Exception:
                with self._lock:
                    self._new += writes
                log.exception("writes_not_counted", point=str(point_id), writes=len(writes))
        return len(new)

    def _add(self, point_id: PointId, writes: list[_Write]) -> None:
        for attempt in range(TRIES):
            kept = self._store.kept(WriteCount, str(point_id))
            before = None if kept is None else kept.record
            first, last = (pick(write.at for write in writes) for pick in (min, max))
            urgent = sum(write.urgent for write in writes)
            count = WriteCount(
                point_id,
                len(writes) + (before.total if before else 0),
                urgent + (before.urgent if before else 0),
                min(first, before.since) if before else first,
                max(last, before.last_at) if before else last,
            )
            try:
                self._store.keep(
                    count,
                    key=str(point_id),
                    subject=point_id.device_id,
                    at=count.last_at,
                    expected=0 if kept is None else kept.revision,
                )
            except RetryableError:
                if attempt == TRIES - 1:
                    raise
                continue
            with self._lock:
                self._last[point_id] = max(count.last_at, self._last.get(point_id, last))
            return


def write_counts(store: Store, device_id: str | None = None) -> dict[PointId, WriteCount]:
    """Return how often points were written (of one device), by point."""
    found = store.all_kept(WriteCount, subject=device_id)
    return {kept.record.point_id: kept.record for kept in found}
