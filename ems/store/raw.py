"""Raw readings: at the end of the file while fresh, packed by half-hours afterwards.

The functions here work inside a caller's transaction.
"""

from __future__ import annotations

import sqlite3
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from itertools import pairwise

import numpy as np
from numpy.typing import NDArray

from ems.store.grids import HALF_HOUR_US

_SERIES_SHIFT = 24
_READING_BYTES = 4 + 8 + 1

Columns = tuple[NDArray[np.int64], NDArray[np.float64], NDArray[np.int8]]
"""Times [µs], values and quality of one series, in order of time."""


@dataclass(frozen=True, slots=True, eq=False)
class Batch:
    """Readings of several series, one after the other, each in order of time.

    Attributes
    ----------
    times_us, values, quality
        Shape (readings,).
    offsets
        Series ``s`` is ``[offsets[s], offsets[s + 1])``, shape (series + 1,).
    """

    times_us: NDArray[np.int64]
    values: NDArray[np.float64]
    quality: NDArray[np.int8]
    offsets: NDArray[np.int64]


_NOTHING = Batch(np.empty(0, np.int64), np.empty(0), np.empty(0, np.int8), np.zeros(1, np.int64))


def key_of(series: int, slot: int) -> int:
    """Return the key of a series' half-hour ``slot`` (half-hours since the epoch)."""
    return (series << _SERIES_SHIFT) + slot


def encode(
    times_us: NDArray[np.int64], values: NDArray[np.float64], quality: NDArray[np.int8], slot: int
) -> bytes:
    """Return one half-hour of one series as bytes."""
    offsets = (times_us - slot * HALF_HOUR_US).astype("<i4")
    return offsets.tobytes() + values.astype("<f8").tobytes() + quality.astype("i1").tobytes()


def decode(data: bytes, slot: int) -> Columns:
    """Return times [µs], values and quality of one packed half-hour."""
    count = len(data) // _READING_BYTES
    times = np.frombuffer(data, "<i4", count).astype(np.int64) + slot * HALF_HOUR_US
    values = np.frombuffer(data, "<f8", count, 4 * count)
    return times, values, np.frombuffer(data, np.int8, count, 12 * count)


def store_packed(
    connection: sqlite3.Connection,
    series: int,
    slot: int,
    times_us: NDArray[np.int64],
    values: NDArray[np.float64],
    quality: NDArray[np.int8],
) -> None:
    """Add readings to a half-hour's row; a reading of the same time replaces the older."""
    key = key_of(series, slot)
    row = connection.execute("SELECT data FROM packed WHERE key = ?", (key,)).fetchone()
    if row is not None:
        old = decode(row[0], slot)
        times_us, values, quality = _merged(
            np.concatenate([old[0], times_us]),
            np.concatenate([old[1], values]),
            np.concatenate([old[2], quality]),
        )
    connection.execute(
        "INSERT OR REPLACE INTO packed (key, readings, data) VALUES (?, ?, ?)",
        (key, len(times_us), encode(times_us, values, quality, slot)),
    )


def window(
    connection: sqlite3.Connection, series: Sequence[int], from_us: int, until_us: int
) -> Batch:
    """Return the readings of [from, until) of these series, packed and recent."""
    first, last = from_us // HALF_HOUR_US, -(-until_us // HALF_HOUR_US)
    wanted = sorted(set(series))
    fresh = _recent(connection, wanted, from_us, until_us)
    by_series: dict[int, Columns] = {}
    for number in wanted:
        base = key_of(number, 0)
        rows = connection.execute(
            "SELECT key, data FROM packed WHERE key >= ? AND key < ? ORDER BY key",
            (base + first, base + last),
        ).fetchall()
        pieces = [decode(data, key - base) for key, data in rows]
        if number in fresh:
            pieces.append(fresh[number])
        if not pieces:
            continue
        times = np.concatenate([piece[0] for piece in pieces])
        values = np.concatenate([piece[1] for piece in pieces])
        quality = np.concatenate([piece[2] for piece in pieces])
        if len(times) > 1 and not bool(np.all(times[1:] > times[:-1])):
            times, values, quality = _merged(times, values, quality)
        low, high = np.searchsorted(times, (from_us, until_us))
        by_series[number] = (times[low:high], values[low:high], quality[low:high])
    empty = (_NOTHING.times_us, _NOTHING.values, _NOTHING.quality)
    parts = [by_series.get(number, empty) for number in series]
    if not parts:
        return _NOTHING
    return Batch(
        np.concatenate([part[0] for part in parts]),
        np.concatenate([part[1] for part in parts]),
        np.concatenate([part[2] for part in parts]),
        np.cumsum([0] + [len(part[0]) for part in parts], dtype=np.int64),
    )


def _recent(
    connection: sqlite3.Connection, series: Sequence[int], from_us: int, until_us: int
) -> dict[int, Columns]:
    wanted = "[" + ",".join(map(str, series)) + "]"
    rows = connection.execute(
        "SELECT series, at, value, quality FROM recent WHERE at >= ? AND at < ?"
        " AND series IN (SELECT value FROM json_each(?))",
        (from_us, until_us, wanted),
    ).fetchall()
    return grouped(rows)


def grouped(
    rows: Sequence[tuple[int, int, float | None, int]],
) -> dict[int, Columns]:
    """Return rows of (series, at, value, quality), in order of time, by series."""
    if not rows:
        return {}
    numbers, times, values, quality = zip(*rows, strict=True)
    order = np.argsort(np.array(numbers, dtype=np.int64), kind="stable")
    sorted_numbers = np.array(numbers, dtype=np.int64)[order]
    sorted_times = np.array(times, dtype=np.int64)[order]
    # None becomes nan.
    sorted_values = np.array(values, dtype=np.float64)[order]
    sorted_quality = np.array(quality, dtype=np.int8)[order]
    edges = np.flatnonzero(np.diff(sorted_numbers)) + 1
    bounds = [0, *edges.tolist(), len(rows)]
    return {
        int(sorted_numbers[low]): (
            sorted_times[low:high],
            sorted_values[low:high],
            sorted_quality[low:high],
        )
        for low, high in pairwise(bounds)
    }


def _merged(
    times: NDArray[np.int64], values: NDArray[np.float64], quality: NDArray[np.int8]
) -> Columns:
    """Return them in order of time; of two with the same time the later given stays."""
    order = np.argsort(times, kind="stable")
    ordered = times[order]
    keep = order[np.append(ordered[1:] != ordered[:-1], True)]
    return times[keep], values[keep], quality[keep]


def series_with_rows(
    connection: sqlite3.Connection, series: Iterable[int], *slots: int
) -> list[int]:
    """Return the series that have packed readings in any of these half-hours."""
    return [
        number
        for number in sorted(series)
        if any(
            connection.execute(
                "SELECT 1 FROM packed WHERE key = ?", (key_of(number, slot),)
            ).fetchone()
            for slot in slots
        )
    ]


def delete_packed(connection: sqlite3.Connection, series: Iterable[int], before: int) -> int:
    """Delete the half-hours before ``before``; return how many readings they held."""
    deleted = 0
    for number in series:
        stretch = (key_of(number, 0), key_of(number, before))
        (count,) = connection.execute(
            "SELECT total(readings) FROM packed WHERE key >= ? AND key < ?", stretch
        ).fetchone()
        if count:
            connection.execute("DELETE FROM packed WHERE key >= ? AND key < ?", stretch)
            deleted += int(count)
    return deleted
