"""When and how often points were written: flash protection, refreshing, counts.

Registers in flash memory wear out, so price-driven writes keep their distance, over
restarts too. What lapses by itself is repeated before it does.
"""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime, timedelta

from ems.domain.points import PointId
from ems.domain.ports import WriteBook
from ems.domain.profiles import WriteRule

CYCLES_AHEAD = 1.5
"""A value that lapses is repeated so many rounds of commands before it would."""


class WriteMemory:
    """What was written.

    Parameters
    ----------
    counts
        Writes so far by point, to go on counting from.
    book
        Is told of each write, and knows when points were written last, by any process.
    """

    def __init__(self, counts: Mapping[PointId, int] | None, book: WriteBook | None) -> None:
        self.counts: dict[PointId, int] = dict(counts or {})
        self.told: dict[PointId, float] = {}
        self._book = book
        self._last_write: dict[PointId, datetime] = {}
        self._last_asked: dict[PointId, datetime] = {}
        self._known_since: dict[PointId, datetime] = {}

    def last_write(self, point_id: PointId) -> datetime | None:
        """Return when this process wrote a point last."""
        return self._last_write.get(point_id)

    def note(self, values: Mapping[PointId, float], now: datetime, *, urgent: bool) -> None:
        """Count one write message."""
        for point_id, value in values.items():
            self.told[point_id] = value
            self._last_write[point_id] = now
            self.counts[point_id] = self.counts.get(point_id, 0) + 1
        if self._book is not None:
            self._book.wrote(list(values), now, urgent=urgent)

    def wants_refresh(self, point_id: PointId, rule: WriteRule, now: datetime) -> bool:
        """Tell whether the device must hear a value again although it holds it."""
        asked = self._last_asked.get(point_id)
        self._last_asked[point_id] = now
        if rule.refresh_s is None:
            return False
        written = self._last_write.get(point_id)
        if rule.persists:
            # What stays by itself need not be written again because this process is new.
            last = written or self._known_since.setdefault(point_id, now)
        elif written is not None:
            last = written
        else:
            return True
        due_s = rule.refresh_s
        if rule.reverts_after_s is not None and asked is not None:
            # Not at the last moment: the next round of commands would come too late.
            ahead_s = CYCLES_AHEAD * (now - asked).total_seconds()
            due_s = min(due_s, rule.reverts_after_s - ahead_s)
        return (now - last).total_seconds() >= due_s

    def worn_until(self, point_id: PointId, rule: WriteRule, now: datetime) -> datetime | None:
        """Return until when flash protection forbids a write; ``None`` where it does not."""
        if rule.min_interval_s == 0.0:
            return None
        known = [self._last_write.get(point_id)]
        if self._book is not None:
            known.append(self._book.last_write(point_id))
        last = max((at for at in known if at is not None), default=None)
        if last is None or last > now:
            return None
        until = last + timedelta(seconds=rule.min_interval_s)
        return until if now < until else None
