"""Forecasts and plans: what was issued."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime

from ems.domain.forecasts import Forecast
from ems.domain.plans import Schedule
from ems.store.codec import pack, to_us, unpack
from ems.store.part import Part

_BEYOND_US = 2**62


class Issued(Part):
    """The store's operations on forecasts and plans."""

    def add_forecasts(self, forecasts: Sequence[Forecast]) -> None:
        """Keep forecasts in one transaction; the same issue again replaces the earlier."""
        rows = [
            (
                forecast.target,
                forecast.subject,
                to_us(forecast.issued_at, "issued_at"),
                pack(forecast),
            )
            for forecast in forecasts
        ]
        if not rows:
            return
        with self._connections.write() as connection:
            connection.executemany(
                "INSERT OR REPLACE INTO forecasts (target, subject, issued_at, data)"
                " VALUES (?, ?, ?, ?)",
                rows,
            )

    def latest_forecast(
        self, target: str, subject: str, issued_before: datetime | None = None
    ) -> Forecast | None:
        """Return the last forecast issued (at or before ``issued_before``)."""
        until = _BEYOND_US if issued_before is None else to_us(issued_before, "issued_before")
        with self._connections.read() as connection:
            row = connection.execute(
                "SELECT data FROM forecasts WHERE target = ? AND subject = ? AND issued_at <= ?"
                " ORDER BY issued_at DESC LIMIT 1",
                (target, subject, until),
            ).fetchone()
        return None if row is None else unpack(Forecast, row[0])

    def add_schedule(self, schedule: Schedule) -> None:
        """Keep a plan with all its steps; one of the same id is replaced."""
        row = (
            schedule.id,
            schedule.block_id,
            to_us(schedule.issued_at, "issued_at"),
            pack(schedule),
        )
        with self._connections.write() as connection:
            connection.execute(
                "INSERT OR REPLACE INTO schedules (plan_id, block_id, issued_at, data)"
                " VALUES (?, ?, ?, ?)",
                row,
            )

    def latest_schedule(self, block_id: str) -> Schedule | None:
        """Return a block's last plan."""
        with self._connections.read() as connection:
            newest = connection.execute(
                "SELECT id FROM schedules WHERE block_id = ?"
                " ORDER BY issued_at DESC, id DESC LIMIT 1",
                (block_id,),
            ).fetchone()
            if newest is None:
                return None
            held = self._newest.get(block_id)
            if held is not None and held[0] == newest[0]:
                return held[1]
            (data,) = connection.execute(
                "SELECT data FROM schedules WHERE id = ?", newest
            ).fetchone()
        schedule = unpack(Schedule, data)
        self._newest[block_id] = (newest[0], schedule)
        return schedule

    def schedule(self, plan_id: str) -> Schedule | None:
        """Return a plan by id."""
        with self._connections.read() as connection:
            row = connection.execute(
                "SELECT data FROM schedules WHERE plan_id = ?", (plan_id,)
            ).fetchone()
        return None if row is None else unpack(Schedule, row[0])

    def schedules(self, block_id: str, start: datetime, end: datetime) -> list[Schedule]:
        """Return the plans issued in [start, end), oldest first."""
        with self._connections.read() as connection:
            rows = connection.execute(
                "SELECT data FROM schedules WHERE block_id = ? AND issued_at >= ?"
                " AND issued_at < ? ORDER BY issued_at, id",
                (block_id, to_us(start, "start"), to_us(end, "end")),
            ).fetchall()
        return [unpack(Schedule, data) for (data,) in rows]

    def prune_issued(self, before: datetime) -> int:
        """Delete forecasts and plans issued before an instant; return how many.

        The newest plan of each block stays, however old.
        """
        instant = to_us(before, "before")
        with self._connections.write() as connection:
            forecasts = connection.execute("DELETE FROM forecasts WHERE issued_at < ?", (instant,))
            plans = connection.execute(
                "DELETE FROM schedules WHERE issued_at < ? AND id NOT IN"
                " (SELECT max(id) FROM schedules GROUP BY block_id)",
                (instant,),
            )
            return forecasts.rowcount + plans.rowcount
