"""What was planned half-hour by half-hour, by the last plan before each: feeders and heating.

Plans do not change once they are kept, so each is read and unpacked once.
"""

from __future__ import annotations

import threading
from collections.abc import Collection, Iterable
from dataclasses import dataclass, field
from datetime import datetime, timedelta

from ems.domain.plans import Schedule
from ems.domain.ports import Store
from ems.domain.time import HALF_HOUR, HALF_HOUR_S
from web.charts import ORANGE, Line
from web.series import half_hour_values

LOOK_BACK = timedelta(hours=50)
KEEP = timedelta(days=3)


@dataclass(slots=True)
class Planned:
    """What plans said of a block, by half-hour [W].

    Attributes
    ----------
    imports
        At the feeder.
    heating
        Of each home's heat pump, hot water not counted.
    """

    imports: dict[datetime, float] = field(default_factory=dict)
    heating: dict[datetime, dict[str, float]] = field(default_factory=dict)


def plan_into(planned: Planned, plans: Iterable[Schedule]) -> None:
    """Put plans, in order of issue, into ``planned``.

    A plan speaks for every half-hour that had not ended when it was issued.
    """
    for plan in plans:
        values = half_hour_values(plan, plan.import_w.tolist())
        coming = [(at, value) for at, value in values if at + HALF_HOUR > plan.issued_at]
        planned.imports.update(coming)
        planned.heating.update((at, {}) for at, _ in coming)
        for home in plan.homes:
            for at, value in half_hour_values(plan, home.power_w.tolist()):
                if at + HALF_HOUR > plan.issued_at:
                    planned.heating[at][home.dwelling_id] = value


class PlannedImports:
    """Remembers what was planned of all blocks; safe for several threads."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._planned: dict[str, Planned] = {}
        self._read_until: dict[str, datetime] = {}

    def line(
        self, store: Store, block_id: str, start: datetime, end: datetime, now: datetime
    ) -> Line:
        """Return what was and is planned at a feeder in [start, end) [kW]."""
        with self._lock:
            planned = self._read(store, block_id, now).imports
            slots = [slot for slot in sorted(planned) if start - HALF_HOUR < slot < end]
            values = [planned[slot] / 1000.0 for slot in slots]
        return Line("Planned", slots, values, ORANGE, step_s=HALF_HOUR_S, dashed=True)

    def heating(
        self,
        store: Store,
        block_id: str,
        homes: Collection[str],
        start: datetime,
        end: datetime,
        now: datetime,
    ) -> Line:
        """Return the planned power of these homes' heat pumps in sum, without hot water [kW].

        A half-hour in which a home was not planned for is left out.
        """
        with self._lock:
            planned = self._read(store, block_id, now).heating
            slots = [
                slot
                for slot in sorted(planned)
                if start - HALF_HOUR < slot < end and planned[slot].keys() >= set(homes)
            ]
            values = [sum(planned[slot][home] for home in homes) / 1000.0 for slot in slots]
        return Line("Planned", slots, values, ORANGE, step_s=HALF_HOUR_S, dashed=True)

    def _read(self, store: Store, block_id: str, now: datetime) -> Planned:
        """Read what is new, let go what is old; the lock is held."""
        planned = self._planned.setdefault(block_id, Planned())
        since = self._read_until.get(block_id, now - LOOK_BACK)
        fresh = store.schedules(block_id, since, now + timedelta(seconds=1))
        plan_into(planned, fresh)
        if fresh:
            self._read_until[block_id] = fresh[-1].issued_at + timedelta(microseconds=1)
        for slot in [slot for slot in planned.imports if slot < now - KEEP]:
            del planned.imports[slot]
            del planned.heating[slot]
        return planned
