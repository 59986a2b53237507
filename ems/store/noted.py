"""Estimates, heartbeats, the log and small facts."""

from __future__ import annotations

import json
from collections.abc import Sequence
from datetime import datetime

from ems.domain.errors import InvalidInputError
from ems.domain.ports import Heartbeat, LogEntry
from ems.domain.thermal import ThermalEstimate
from ems.store.codec import from_json, from_us, to_json, to_us
from ems.store.part import Part


class Noted(Part):
    """The store's operations on estimates, heartbeats, the log and small facts."""

    def save_estimates(self, estimates: Sequence[ThermalEstimate]) -> None:
        """Replace the thermal estimates of these homes, in one transaction."""
        rows = [(estimate.dwelling_id, to_json(estimate)) for estimate in estimates]
        if not rows:
            return
        with self._connections.write() as connection:
            connection.executemany(
                "INSERT OR REPLACE INTO estimates (dwelling_id, estimate) VALUES (?, ?)", rows
            )

    def estimates(self) -> dict[str, ThermalEstimate]:
        """Return the thermal estimates by home."""
        with self._connections.read() as connection:
            rows = connection.execute("SELECT dwelling_id, estimate FROM estimates").fetchall()
        return {dwelling: from_json(ThermalEstimate, text) for dwelling, text in rows}

    def beat(self, heartbeat: Heartbeat) -> None:
        """Record a sign of life; it replaces the process's last."""
        with self._connections.write() as connection:
            connection.execute(
                "INSERT OR REPLACE INTO heartbeats (process, beat) VALUES (?, ?)",
                (heartbeat.process, to_json(heartbeat)),
            )

    def heartbeats(self) -> dict[str, Heartbeat]:
        """Return each process's last sign of life."""
        with self._connections.read() as connection:
            rows = connection.execute("SELECT process, beat FROM heartbeats").fetchall()
        return {process: from_json(Heartbeat, text) for process, text in rows}

    def log(self, entries: Sequence[LogEntry]) -> None:
        """Keep log entries in one transaction; details must be plain JSON values."""
        rows = []
        for entry in entries:
            try:
                detail = json.dumps(dict(entry.detail), separators=(",", ":"))
            except TypeError as error:
                raise InvalidInputError(
                    f"a log entry's detail must hold plain JSON values ({error})",
                    field=f"detail of {entry.kind}",
                    value=repr(entry.detail),
                    remedy="Convert instants to ISO text and arrays to lists.",
                ) from error
            rows.append((to_us(entry.at, "at"), entry.kind, entry.subject, detail))
        if not rows:
            return
        with self._connections.write() as connection:
            connection.executemany(
                "INSERT INTO log (at, kind, subject, detail) VALUES (?, ?, ?, ?)", rows
            )

    def log_entries(
        self, start: datetime, end: datetime, kind: str | None = None, limit: int = 1000
    ) -> list[LogEntry]:
        """Return log entries of [start, end), newest first."""
        stretch = (to_us(start, "start"), to_us(end, "end"))
        with self._connections.read() as connection:
            if kind is None:
                rows = connection.execute(
                    "SELECT at, kind, subject, detail FROM log WHERE at >= ? AND at < ?"
                    " ORDER BY at DESC, id DESC LIMIT ?",
                    (*stretch, limit),
                ).fetchall()
            else:
                rows = connection.execute(
                    "SELECT at, kind, subject, detail FROM log"
                    " WHERE kind = ? AND at >= ? AND at < ? ORDER BY at DESC, id DESC LIMIT ?",
                    (kind, *stretch, limit),
                ).fetchall()
        return [
            LogEntry(from_us(at), found, subject, json.loads(detail))
            for at, found, subject, detail in rows
        ]

    def set_meta(self, key: str, value: str) -> None:
        """Keep one small fact, e.g. that history is a demonstration's."""
        with self._connections.write() as connection:
            connection.execute(
                "INSERT OR REPLACE INTO meta (name, value) VALUES (?, ?)", (key, value)
            )

    def meta(self, key: str) -> str | None:
        """Return a fact kept with `set_meta`."""
        with self._connections.read() as connection:
            row = connection.execute("SELECT value FROM meta WHERE name = ?", (key,)).fetchone()
        return None if row is None else str(row[0])
