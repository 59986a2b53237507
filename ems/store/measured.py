"""Readings and roll-ups: what was measured."""

from __future__ import annotations

import math
import sqlite3
from collections.abc import Collection, Sequence
from datetime import datetime

import numpy as np
import pandas as pd

from ems.domain.errors import InvalidInputError
from ems.domain.points import PointId
from ems.domain.readings import Quality, Reading, Rollup
from ems.domain.time import require_utc
from ems.store import days, raw
from ems.store.codec import from_us, to_us
from ems.store.grids import HALF_HOUR_US, frame, grid, instants
from ems.store.part import Part
from ems.store.series import kind_of
from ext.rollup import roll_up

GRACE_US = 60_000_000
"""A half-hour is rolled up this long after its end, so that late readings are in [µs]."""

_ROLLED = "rolled_until"


class Measured(Part):
    """The store's operations on readings and roll-ups."""

    def add_readings(self, readings: Sequence[Reading]) -> None:
        """Keep readings in one transaction; they are on the disk when this returns.

        A second reading of the same point and instant replaces the first.
        """
        if not readings:
            return
        rows = []
        newest: dict[PointId, tuple[int, float | None, int]] = {}
        newest_good: dict[PointId, int] = {}
        for reading in readings:
            at = to_us(reading.observed_at, "observed_at")
            point = reading.point_id
            number = float(reading.value)
            value = None if math.isnan(number) else number
            quality = int(reading.quality)
            rows.append((at, point, value, quality))
            if point not in newest or at >= newest[point][0]:
                newest[point] = (at, value, quality)
            if quality == Quality.GOOD and math.isfinite(number):
                newest_good[point] = max(at, newest_good.get(point, at))
        with self._connections.write() as connection:
            numbers = self._series.numbered(connection, newest)
            connection.executemany(
                "INSERT OR REPLACE INTO recent (at, series, value, quality) VALUES (?, ?, ?, ?)",
                [(at, numbers[point], value, quality) for at, point, value, quality in rows],
            )
            connection.executemany(
                "INSERT INTO latest (series, at, value, quality, good_at) VALUES (?, ?, ?, ?, ?)"
                " ON CONFLICT (series) DO UPDATE SET"
                " value = iif(excluded.at >= at, excluded.value, value),"
                " quality = iif(excluded.at >= at, excluded.quality, quality),"
                " good_at = max(ifnull(good_at, excluded.good_at),"
                " ifnull(excluded.good_at, good_at)),"
                " at = max(at, excluded.at)",
                [
                    (numbers[point], *entry, newest_good.get(point))
                    for point, entry in newest.items()
                ],
            )

    def latest(self, device_ids: Collection[str] | None = None) -> dict[PointId, Reading]:
        """Return the latest reading of each point (of these devices), whatever its quality."""
        with self._connections.read() as connection:
            rows = connection.execute("SELECT series, at, value, quality FROM latest").fetchall()
            points = self._series.all(connection, (row[0] for row in rows))
        found = {}
        wanted = None if device_ids is None else set(device_ids)
        for number, at, value, quality in rows:
            point = points[number]
            if wanted is None or point.device_id in wanted:
                known = math.nan if value is None else value
                found[point] = Reading(point, from_us(at), known, Quality(quality))
        return found

    def last_good(self, device_ids: Collection[str] | None = None) -> dict[str, datetime]:
        """Return when each device last gave a good value; devices that never did are absent."""
        with self._connections.read() as connection:
            rows = connection.execute(
                "SELECT device_id, max(good_at) FROM latest JOIN series ON id = series"
                " WHERE good_at IS NOT NULL GROUP BY device_id"
            ).fetchall()
        wanted = None if device_ids is None else set(device_ids)
        return {device: from_us(at) for device, at in rows if wanted is None or device in wanted}

    def readings(self, point_id: PointId, start: datetime, end: datetime) -> pd.DataFrame:
        """Return raw readings of [start, end): columns ``value``, ``quality``."""
        from_time, until = to_us(start, "start"), to_us(end, "end")
        with self._connections.read() as connection:
            numbers = self._series.known(connection, [point_id])
            batch = raw.window(connection, list(numbers.values()), from_time, until)
        return pd.DataFrame(
            {"value": batch.values, "quality": batch.quality}, index=instants(batch.times_us)
        )

    def resampled(
        self, point_ids: Sequence[PointId], start: datetime, end: datetime, step_s: int
    ) -> pd.DataFrame:
        """Return the steps that begin in [start, end), one column per point (``str(point_id)``).

        A gauge's time-weighted mean of good readings, a state's last value, a counter's
        rise: the rules of :mod:`ext.rollup`. Steps are multiples of ``step_s`` [s] since
        the epoch; one without good readings is ``nan``.
        """
        if step_s < 1:
            raise InvalidInputError(
                "must be at least 1 s",
                field="step_s",
                value=step_s,
                remedy="Give whole seconds, e.g. 300.",
            )
        step_us = int(step_s) * 1_000_000
        first, count = grid(start, end, step_us)
        begin = first * step_us
        with self._connections.read() as connection:
            numbers = self._series.known(connection, point_ids)
            present = [point for point in dict.fromkeys(point_ids) if point in numbers]
            batch = raw.window(
                connection,
                [numbers[point] for point in present],
                begin - self._max_hold_us,
                begin + count * step_us + 1,
            )
        means = roll_up(
            batch.times_us,
            batch.values,
            batch.quality,
            [kind_of(point.point) for point in present],
            start_us=begin,
            slots=count,
            step_us=step_us,
            max_hold_us=self._max_hold_us,
            offsets=batch.offsets,
        ).mean
        rows = {point: index for index, point in enumerate(present)}
        columns = np.full((len(point_ids), count), np.nan)
        for index, point in enumerate(point_ids):
            if point in rows:
                columns[index] = means[rows[point]]
        return frame(point_ids, first, step_us, columns)

    def roll_up(self, now: datetime) -> int:
        """Roll up every closed half-hour not yet rolled up; return how many rows it wrote.

        A half-hour is closed 60 s after its end. Each is handled once, in a transaction
        of its own that also packs its readings, so that any process may call this at any
        time and a kill loses nothing. A reading later than that is kept and seen by
        `readings` and `resampled`; the roll-up stands.
        """
        closed = (to_us(now, "now") - GRACE_US) // HALF_HOUR_US
        written = 0
        while True:
            with self._connections.read() as connection:
                if self._next_slot(connection, closed) is None:
                    return written
            with self._connections.write() as connection:
                # Another process may have been faster.
                slot = self._next_slot(connection, closed)
                if slot is not None:
                    written += self._roll_slot(connection, slot)

    def _next_slot(self, connection: sqlite3.Connection, closed: int) -> int | None:
        """Return the next half-hour to roll up among those before ``closed``, if any."""
        rolled = _rolled_until(connection)
        (oldest,) = connection.execute("SELECT min(at) FROM recent").fetchone()
        upcoming = closed if oldest is None else int(oldest) // HALF_HOUR_US
        if rolled is None:
            slot = upcoming
        elif upcoming <= rolled or self._packed_series(connection, rolled - 1):
            # What was heard may still hold; late readings are packed on the way.
            slot = rolled
        else:
            # Nothing was heard for a while: go on where something was.
            slot = upcoming
        return slot if slot < closed else None

    def _packed_series(self, connection: sqlite3.Connection, *slots: int) -> list[int]:
        return raw.series_with_rows(connection, self._series.all(connection, ()), *slots)

    def _roll_slot(self, connection: sqlite3.Connection, slot: int) -> int:
        begin, end = slot * HALF_HOUR_US, (slot + 1) * HALF_HOUR_US
        rows = connection.execute(
            "SELECT series, at, value, quality FROM recent WHERE at < ? ORDER BY at", (end,)
        ).fetchall()
        for number, (times, values, quality) in raw.grouped(rows).items():
            slots = times // HALF_HOUR_US
            for own in np.unique(slots):
                part = slots == own
                raw.store_packed(
                    connection, number, int(own), times[part], values[part], quality[part]
                )
        connection.execute("DELETE FROM recent WHERE at < ?", (end,))
        points = self._series.all(connection, {row[0] for row in rows})
        numbers = self._packed_series(connection, slot - 1, slot)
        batch = raw.window(connection, numbers, begin - self._max_hold_us, end + 1)
        result = roll_up(
            batch.times_us,
            batch.values,
            batch.quality,
            [kind_of(points[number].point) for number in numbers],
            start_us=begin,
            slots=1,
            max_hold_us=self._max_hold_us,
            offsets=batch.offsets,
        )
        table = np.hstack([result.mean, result.low, result.high, result.coverage])
        # A series whose last value no longer holds has nothing to say of this half-hour.
        heard = [
            index
            for index in range(len(numbers))
            if batch.offsets[index + 1] > batch.offsets[index]
        ]
        written = days.write(
            connection,
            [(numbers[index], slot, tuple(table[index])) for index in heard],
            replace=False,
        )
        connection.execute(
            "INSERT OR REPLACE INTO progress (name, position) VALUES (?, ?)", (_ROLLED, slot + 1)
        )
        return written

    def add_rollups(self, rollups: Sequence[Rollup]) -> None:
        """Keep ready-made half-hours (history, imports) in one transaction.

        They replace what is there, and `roll_up` leaves them as they are.
        """
        if not rollups:
            return
        entries = []
        for rollup in rollups:
            slot, rest = divmod(to_us(rollup.start, "start"), HALF_HOUR_US)
            if rest or not 0.0 <= rollup.coverage <= 1.0:
                raise InvalidInputError(
                    "a roll-up starts on a half-hour and covers 0 to 1 of it",
                    field=f"rollups[{rollup.point_id}]",
                    value=(rollup.start.isoformat(), rollup.coverage),
                    remedy="Use floor_to for the start and a share for the coverage.",
                )
            values = (rollup.mean, rollup.low, rollup.high, rollup.coverage)
            entries.append((rollup.point_id, slot, values))
        with self._connections.write() as connection:
            numbers = self._series.numbered(connection, (entry[0] for entry in entries))
            days.write(
                connection,
                [(numbers[point], slot, values) for point, slot, values in entries],
                replace=True,
            )

    def rollups(
        self,
        point_ids: Sequence[PointId],
        start: datetime,
        end: datetime,
        min_coverage: float = 0.5,
    ) -> pd.DataFrame:
        """Return half-hours that start in [start, end), one column per point (``str(point_id)``).

        Half-hours covered less than ``min_coverage`` are ``nan``.
        """
        first, count = grid(start, end, HALF_HOUR_US)
        with self._connections.read() as connection:
            numbers = self._series.known(connection, point_ids)
            tables = days.read(
                connection, [numbers.get(point) for point in point_ids], first, count
            )
        # A comparison with nan is false, so half-hours that are absent stay nan.
        columns = np.where(tables[days.COVERAGE] >= min_coverage, tables[days.MEAN], np.nan)
        return frame(point_ids, first, HALF_HOUR_US, columns)

    def prune(self, raw_before: datetime) -> int:
        """Delete raw readings before an instant that are rolled up; return how many.

        Whole half-hours only, and the newest that is rolled up stays: the next one
        begins with the values that it left standing.
        """
        before = to_us(require_utc(raw_before, "raw_before"), "raw_before") // HALF_HOUR_US
        with self._connections.write() as connection:
            rolled = _rolled_until(connection)
            if rolled is None:
                return 0
            series = self._series.all(connection, ())
            return raw.delete_packed(connection, series, min(before, rolled - 1))


def _rolled_until(connection: sqlite3.Connection) -> int | None:
    row = connection.execute("SELECT position FROM progress WHERE name = ?", (_ROLLED,)).fetchone()
    return None if row is None else int(row[0])
