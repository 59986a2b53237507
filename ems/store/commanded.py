"""Setpoints, their outcomes, and the commands that devices are under."""

from __future__ import annotations

import json
import sqlite3
from collections.abc import Collection, Sequence
from datetime import datetime

from ems.domain.points import PointId
from ems.domain.ports import ActiveCommand
from ems.domain.setpoints import Applied, NotWritten, Setpoint, SetpointRecord
from ems.store.codec import from_json, from_us, require_finite, to_json, to_us
from ems.store.part import Part


class Commanded(Part):
    """The store's operations on setpoints and commands."""

    def open_commands(self, setpoints: Sequence[Setpoint]) -> None:
        """Record, before devices are written, what each is told and how it is released.

        All in one transaction, on the disk when this returns. A command for the same
        point replaces the earlier one; it stays confirmed where it asks for the value
        that the device was last seen to hold.
        """
        rows = [
            (
                *setpoint.point_id,
                require_finite(setpoint.value, f"setpoints[{setpoint.point_id}].value"),
                require_finite(
                    setpoint.release_value, f"setpoints[{setpoint.point_id}].release_value"
                ),
                to_us(setpoint.expires_at, "expires_at"),
                setpoint.id,
            )
            for setpoint in setpoints
        ]
        if not rows:
            return
        with self._connections.write() as connection:
            connection.executemany(
                "INSERT INTO commands"
                " (device_id, point, value, release_value, expires_at, setpoint_id, confirmed)"
                " VALUES (?, ?, ?, ?, ?, ?, 0)"
                " ON CONFLICT (device_id, point) DO UPDATE SET"
                " confirmed = confirmed AND value = excluded.value,"
                " value = excluded.value, release_value = excluded.release_value,"
                " expires_at = excluded.expires_at, setpoint_id = excluded.setpoint_id",
                rows,
            )

    def add_setpoint_records(self, records: Sequence[SetpointRecord]) -> None:
        """Keep outcomes and mark the commands confirmed that were applied, in one transaction.

        A record also renews its point's command; where the point was released meanwhile,
        or is told another value by now, commands are left alone. A record that repeats
        the last value, cause and kind of outcome of its point adds no row.
        """
        _require_finite_values(records)
        if not records:
            return
        with self._connections.write() as connection:
            for record in records:
                _keep(connection, record)

    def active_commands(self) -> list[ActiveCommand]:
        """Return the commands that devices are under, by device and point."""
        with self._connections.read() as connection:
            rows = connection.execute(
                "SELECT device_id, point, value, release_value, expires_at, setpoint_id, confirmed"
                " FROM commands ORDER BY device_id, point"
            ).fetchall()
        return [
            ActiveCommand(
                PointId(device, point), value, release, from_us(expires), setpoint, bool(confirmed)
            )
            for device, point, value, release, expires, setpoint, confirmed in rows
        ]

    def close_commands(
        self, released: Sequence[ActiveCommand], records: Sequence[SetpointRecord] = ()
    ) -> None:
        """Forget commands whose devices were released and keep the records, in one transaction.

        A command that has replaced one of them meanwhile is left alone. Records are kept as
        by `add_setpoint_records`; a released command's always adds a row, for its device may
        have been told another value that nobody lived to record.
        """
        _require_finite_values(records)
        if not released and not records:
            return
        with self._connections.write() as connection:
            # First forgotten, then recorded: a record of a standing command would renew it.
            ended = {command.point_id for command in released if _forgotten(connection, command)}
            for record in records:
                _keep(connection, record, repeated=record.setpoint.point_id in ended)

    def setpoints(
        self,
        device_ids: Collection[str] | None,
        start: datetime,
        end: datetime,
        limit: int = 1000,
    ) -> list[SetpointRecord]:
        """Return setpoints issued in [start, end) with outcome, last recorded first.

        A round that took long is recorded after a release that was issued and made meanwhile:
        what was done last counts, whenever it was decided.
        """
        wanted = None if device_ids is None else json.dumps(sorted(device_ids))
        with self._connections.read() as connection:
            rows = connection.execute(
                "SELECT record FROM setpoints WHERE issued_at >= ? AND issued_at < ?"
                " AND (? IS NULL OR device_id IN (SELECT value FROM json_each(?)))"
                " ORDER BY id DESC LIMIT ?",
                (to_us(start, "start"), to_us(end, "end"), wanted, wanted, max(0, limit)),
            ).fetchall()
        return [from_json(SetpointRecord, record) for (record,) in rows]


def _require_finite_values(records: Sequence[SetpointRecord]) -> None:
    for record in records:
        require_finite(record.setpoint.value, f"setpoints[{record.setpoint.point_id}].value")


def _forgotten(connection: sqlite3.Connection, command: ActiveCommand) -> bool:
    """Forget a command; tell whether it was still there."""
    ended = connection.execute(
        "DELETE FROM commands WHERE device_id = ? AND point = ? AND setpoint_id = ?",
        (*command.point_id, command.setpoint_id),
    )
    return ended.rowcount > 0


def _keep(
    connection: sqlite3.Connection, record: SetpointRecord, *, repeated: bool = False
) -> None:
    setpoint = record.setpoint
    if not isinstance(record.outcome, NotWritten):
        _renew(connection, record)
    now = (setpoint.value, str(setpoint.cause), type(record.outcome).__name__)
    last = connection.execute(
        "SELECT value, cause, outcome FROM setpoints WHERE device_id = ? AND point = ?"
        " ORDER BY id DESC LIMIT 1",
        tuple(setpoint.point_id),
    ).fetchone()
    if last == now and not repeated:
        return
    connection.execute(
        "INSERT INTO setpoints (device_id, point, issued_at, value, cause, outcome, record)"
        " VALUES (?, ?, ?, ?, ?, ?, ?)",
        (
            *setpoint.point_id,
            to_us(setpoint.issued_at, "issued_at"),
            *now,
            to_json(record),
        ),
    )


def _renew(connection: sqlite3.Connection, record: SetpointRecord) -> None:
    setpoint = record.setpoint
    connection.execute(
        "UPDATE commands SET confirmed = ?, setpoint_id = ?, expires_at = max(expires_at, ?)"
        " WHERE device_id = ? AND point = ? AND value = ?",
        (
            isinstance(record.outcome, Applied),
            setpoint.id,
            to_us(setpoint.expires_at, "expires_at"),
            *setpoint.point_id,
            setpoint.value,
        ),
    )
