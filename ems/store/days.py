"""Roll-ups as the store keeps them: one row per series and UTC day.

A row holds 48 half-hours of mean, low, high and coverage, shape (4, 48), float64. A
half-hour that was never rolled up has ``nan`` coverage; one that was, but saw nothing
good, has coverage 0. A month of one home is 31 rows. The functions work inside a
caller's transaction.
"""

from __future__ import annotations

import sqlite3
from collections.abc import Iterable, Sequence

import numpy as np
from numpy.typing import NDArray

from ems.store.grids import SLOTS_A_DAY

FIELDS = 4
MEAN, LOW, HIGH, COVERAGE = range(FIELDS)
_SERIES_SHIFT = 20

Row = tuple[float, float, float, float]


def write(
    connection: sqlite3.Connection,
    entries: Iterable[tuple[int, int, Row]],
    *,
    replace: bool,
) -> int:
    """Keep (series, half-hour, values) entries; return how many were written.

    Without ``replace`` a half-hour that is already there stays as it is.
    """
    by_day: dict[int, list[tuple[int, Row]]] = {}
    for series, slot, values in entries:
        day, position = divmod(slot, SLOTS_A_DAY)
        by_day.setdefault((series << _SERIES_SHIFT) + day, []).append((position, values))
    written = 0
    for key, rows in sorted(by_day.items()):
        found = connection.execute("SELECT data FROM rollup_days WHERE key = ?", (key,)).fetchone()
        table = np.full((FIELDS, SLOTS_A_DAY), np.nan)
        if found is not None:
            table[:] = _table(found[0])
        before = written
        for position, values in rows:
            if replace or np.isnan(table[COVERAGE, position]):
                table[:, position] = values
                written += 1
        if written > before:
            connection.execute(
                "INSERT OR REPLACE INTO rollup_days (key, data) VALUES (?, ?)",
                (key, table.astype("<f8").tobytes()),
            )
    return written


def read(
    connection: sqlite3.Connection, series: Sequence[int | None], first: int, count: int
) -> NDArray[np.float64]:
    """Return half-hours ``first`` … of each series, shape (4, series, count); ``nan`` if absent.

    A ``None`` among the series is a column of ``nan``.
    """
    first_day, skip = divmod(first, SLOTS_A_DAY)
    days = -(-(skip + count) // SLOTS_A_DAY)
    tables = np.full((len(series), days, FIELDS, SLOTS_A_DAY), np.nan)
    for index, number in enumerate(series):
        if number is None:
            continue
        base = (number << _SERIES_SHIFT) + first_day
        for key, data in connection.execute(
            "SELECT key, data FROM rollup_days WHERE key >= ? AND key < ?", (base, base + days)
        ):
            tables[index, key - base] = _table(data)
    flat = tables.transpose(2, 0, 1, 3).reshape(FIELDS, len(series), days * SLOTS_A_DAY)
    return flat[:, :, skip : skip + count]


def _table(data: bytes) -> NDArray[np.float64]:
    return np.frombuffer(data, "<f8").reshape(FIELDS, SLOTS_A_DAY)
