"""What was planned at each feeder, half-hour by half-hour, by the last plan before it.

Plans do not change once they are kept, so each is read and unpacked once.
"""

from __future__ import annotations

import threading
from collections.abc import Iterable
from datetime import datetime, timedelta

from ems.domain.plans import Schedule
from ems.domain.ports import Store
from ems.domain.time import HALF_HOUR, HALF_HOUR_S
from web.charts import ORANGE, Line
from web.series import half_hour_values

LOOK_BACK = timedelta(hours=30)
KEEP = timedelta(days=3)


def plan_into(planned: dict[datetime, float], plans: Iterable[Schedule]) -> None:
    """Put plans, in order of issue, into ``planned`` [W] by half-hour.

    A plan speaks for every half-hour that had not ended when it was issued.
    """
    for plan in plans:
        values = half_hour_values(plan, plan.import_w.tolist())
        planned.update((at, value) for at, value in values if at + HALF_HOUR > plan.issued_at)


class PlannedImports:
    """Remembers planned imports of all blocks; safe for several threads."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._planned: dict[str, dict[datetime, float]] = {}
        self._read_until: dict[str, datetime] = {}

    def line(
        self, store: Store, block_id: str, start: datetime, end: datetime, now: datetime
    ) -> Line:
        """Return what was and is planned at a feeder in [start, end) [kW]."""
        with self._lock:
            planned = self._planned.setdefault(block_id, {})
            since = self._read_until.get(block_id, now - LOOK_BACK)
            fresh = store.schedules(block_id, since, now + timedelta(seconds=1))
            plan_into(planned, fresh)
            if fresh:
                self._read_until[block_id] = fresh[-1].issued_at + timedelta(microseconds=1)
            for slot in [slot for slot in planned if slot < now - KEEP]:
                del planned[slot]
            slots = [slot for slot in sorted(planned) if start - HALF_HOUR < slot < end]
            values = [planned[slot] / 1000.0 for slot in slots]
        return Line("Planned", slots, values, ORANGE, step_s=HALF_HOUR_S, dashed=True)
