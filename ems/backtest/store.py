"""A store for one run of a backtest: weeks of half-hours and the newest forecasts in memory.

It fills the same port as the service's own store. What a run asks for thousands of times lies in
arrays and dictionaries; the rest goes to the file beneath, which ends with the run.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from datetime import datetime
from pathlib import Path
from typing import Any, Self, TypeVar

import numpy as np
import pandas as pd

from ems.domain.errors import InvalidInputError
from ems.domain.forecasts import FloatArray, Forecast
from ems.domain.plans import Schedule
from ems.domain.points import PointId
from ems.domain.ports import Kept, LogEntry
from ems.domain.readings import Rollup
from ems.domain.thermal import ThermalEstimate
from ems.domain.time import HALF_HOUR, HALF_HOUR_S, floor_to
from ems.store.connections import Connections
from ems.store.sqlite import BUSY_S, MAX_HOLD_S, SqliteStore, open_store

T = TypeVar("T")
LEAST_COVERAGE = 0.5
"""Half-hours covered less than this are kept as missing."""
PLANS_KEPT = 8
"""Newest plans of a block that can still be asked for."""


class RunStore(SqliteStore):
    """What one run knows.

    Parameters
    ----------
    path
        A file that does not exist yet.
    points
        Whose half-hours are kept; others are let go.
    begin, end
        The half-hours that can be kept, [begin, end).
    """

    def __init__(
        self, path: Path, points: Sequence[PointId], begin: datetime, end: datetime
    ) -> None:
        open_store(path).close()
        super().__init__(Connections(path, busy_s=BUSY_S, max_bytes=None), MAX_HOLD_S)
        self._begin = floor_to(begin)
        self._column = {point: number for number, point in enumerate(points)}
        slots = round((end - self._begin) / HALF_HOUR)
        self._table: FloatArray = np.full((slots, len(points)), np.nan)
        self._forecasts: dict[tuple[str, str], Forecast] = {}
        self._plans: dict[str, list[Schedule]] = {}
        self._estimates: dict[str, ThermalEstimate] = {}
        self._records: dict[type[Any], dict[str, Kept[Any]]] = {}
        self._writes = 0

    def __enter__(self) -> Self:
        return self

    def take_over(self, other: RunStore) -> None:
        """Take over the half-hours and estimates of another run's store, of the same points."""
        if list(self._column) != list(other._column) or self._begin != other._begin:
            raise InvalidInputError(
                "the two stores do not keep the same points",
                field="points",
                value=len(other._column),
                remedy="Make both with the same points and begin.",
            )
        count = min(len(self._table), len(other._table))
        self._table[:count] = other._table[:count]
        self._estimates = dict(other._estimates)

    def add_rollups(self, rollups: Sequence[Rollup]) -> None:
        """Keep half-hours of the points that are kept."""
        for rollup in rollups:
            column = self._column.get(rollup.point_id)
            row = round((rollup.start - self._begin) / HALF_HOUR)
            if column is not None and 0 <= row < len(self._table):
                known = rollup.coverage >= LEAST_COVERAGE
                self._table[row, column] = rollup.mean if known else np.nan

    def rollups(
        self,
        point_ids: Sequence[PointId],
        start: datetime,
        end: datetime,
        min_coverage: float = LEAST_COVERAGE,  # noqa: ARG002 - what is covered less is missing here
    ) -> pd.DataFrame:
        """Return half-hours of [start, end), one column per point (``str(point_id)``)."""
        points = list(dict.fromkeys(point_ids))
        first = _slots_after(self._begin, start)
        index = pd.date_range(
            self._begin + first * HALF_HOUR,
            periods=_slots_after(self._begin, end) - first,
            freq=HALF_HOUR,
        )
        low, high = max(first, 0), min(first + len(index), len(self._table))
        values = np.full((len(index), len(points)), np.nan)
        held = [
            (at, self._column[point]) for at, point in enumerate(points) if point in self._column
        ]
        if high > low and held:
            into, columns = zip(*held, strict=True)
            values[low - first : high - first, list(into)] = self._table[low:high, list(columns)]
        return pd.DataFrame(values, index=index, columns=[str(point) for point in points])

    def add_forecasts(self, forecasts: Sequence[Forecast]) -> None:
        """Keep the newest forecast of each quantity."""
        for forecast in forecasts:
            self._forecasts[forecast.target, forecast.subject] = forecast

    def latest_forecast(
        self, target: str, subject: str, issued_before: datetime | None = None
    ) -> Forecast | None:
        """Return the newest forecast, if it was issued at or before ``issued_before``."""
        found = self._forecasts.get((target, subject))
        late = found is not None and issued_before is not None and found.issued_at > issued_before
        return None if late else found

    def add_schedule(self, schedule: Schedule) -> None:
        """Keep a plan; of a block the newest few can be asked for."""
        plans = self._plans.setdefault(schedule.block_id, [])
        plans.append(schedule)
        del plans[:-PLANS_KEPT]

    def latest_schedule(self, block_id: str) -> Schedule | None:
        """Return a block's last plan."""
        plans = self._plans.get(block_id)
        return plans[-1] if plans else None

    def schedules(self, block_id: str, start: datetime, end: datetime) -> list[Schedule]:
        """Return the newest plans issued in [start, end), oldest first."""
        return [plan for plan in self._plans.get(block_id, []) if start <= plan.issued_at < end]

    def save_estimates(self, estimates: Sequence[ThermalEstimate]) -> None:
        """Replace the thermal estimates of these homes."""
        self._estimates.update({estimate.dwelling_id: estimate for estimate in estimates})

    def estimates(self) -> dict[str, ThermalEstimate]:
        """Return the thermal estimates by home."""
        return dict(self._estimates)

    def log(self, entries: Sequence[LogEntry]) -> None:
        """Let log entries go: a backtest is judged by its meters."""

    def keep(
        self, record: Any, *, key: str, subject: str, at: datetime, expected: int | None = None
    ) -> int:
        """Keep a record under its type and key; return its new revision.

        One process alone writes here, so ``expected`` cannot differ and is not looked at.
        """
        del expected
        of_kind = self._records.setdefault(type(record), {})
        old = of_kind.pop(key, None)
        self._writes += 1
        revision = 1 if old is None else old.revision + 1
        of_kind[key] = Kept(record, key, subject, at, revision, self._writes)
        return revision

    def kept(self, kind: type[T], key: str) -> Kept[T] | None:
        """Return one record, or ``None``."""
        return self._records.get(kind, {}).get(key)

    def all_kept(
        self,
        kind: type[T],
        *,
        subject: str | None = None,
        since: datetime | None = None,
        after: int = 0,
        limit: int = 10_000,
    ) -> list[Kept[T]]:
        """Return records of a kind, in order of their last write, after a cursor."""
        found = [
            kept
            for kept in self._records.get(kind, {}).values()
            if (subject is None or kept.subject == subject)
            and (since is None or kept.at >= since)
            and kept.sequence > after
        ]
        return found[:limit]

    def forget(self, kind: type[Any], key: str) -> bool:
        """Delete a record; ``False`` where there was none."""
        return self._records.get(kind, {}).pop(key, None) is not None


def _slots_after(begin: datetime, instant: datetime) -> int:
    """Return how many half-hours after ``begin`` the first one at or after ``instant`` begins."""
    return math.ceil((instant - begin).total_seconds() / HALF_HOUR_S)
