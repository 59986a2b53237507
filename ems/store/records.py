"""Records of any frozen dataclass: wishes, events, flags, alarms, and what comes later.

A record lies under its type's name and a key. Each write raises its revision and gives
it a new place in one sequence over all records, so that a reader can ask for what came
after a cursor, and a writer can refuse to overwrite what it has not seen.
"""

from __future__ import annotations

import sqlite3
from datetime import datetime
from typing import Any, TypeVar

from ems.domain.ports import Kept
from ems.store.codec import from_json, from_us, to_json, to_us
from ems.store.errors import StoreConflictError
from ems.store.part import Part

T = TypeVar("T")
_COLUMNS = "key, subject, at, revision, sequence, data"


class Records(Part):
    """The store's operations on records."""

    def keep(
        self, record: Any, *, key: str, subject: str, at: datetime, expected: int | None = None
    ) -> int:
        """Keep a record under its type and key, committed when this returns.

        Parameters
        ----------
        record
            A frozen dataclass of plain values, instants, enumerations and dataclasses.
        key, subject
            Its name among its kind, and whom or what it is about.
        at
            Estate time it belongs to, UTC.
        expected
            Revision that must be there now: 0 for none. ``None`` overwrites anything.

        Returns
        -------
        The new revision, from 1.

        Raises
        ------
        StoreConflictError
            Where another revision is there than expected.
        """
        kind = type(record).__name__
        data = to_json(record)
        instant = to_us(at, "at")
        with self._connections.write() as connection:
            row = connection.execute(
                "SELECT revision FROM records WHERE kind = ? AND key = ?", (kind, key)
            ).fetchone()
            revision = 0 if row is None else int(row[0])
            if expected is not None and expected != revision:
                raise StoreConflictError(
                    f"the {kind} was changed meanwhile: it is at revision {revision}",
                    field=f"{kind} {key}",
                    value=expected,
                    remedy="Read it again and repeat the change.",
                )
            connection.execute("DELETE FROM records WHERE kind = ? AND key = ?", (kind, key))
            connection.execute(
                "INSERT INTO records (kind, key, subject, at, revision, data)"
                " VALUES (?, ?, ?, ?, ?, ?)",
                (kind, key, subject, instant, revision + 1, data),
            )
        return revision + 1

    def kept(self, kind: type[T], key: str) -> Kept[T] | None:
        """Return one record, or ``None`` where there is none."""
        with self._connections.read() as connection:
            row = connection.execute(
                f"SELECT {_COLUMNS} FROM records WHERE kind = ? AND key = ?",  # noqa: S608 - constants
                (kind.__name__, key),
            ).fetchone()
        return None if row is None else _kept(kind, row)

    def all_kept(
        self,
        kind: type[T],
        *,
        subject: str | None = None,
        since: datetime | None = None,
        after: int = 0,
        limit: int = 10_000,
    ) -> list[Kept[T]]:
        """Return records of a kind in the order in which they were last written.

        ``subject`` and ``since`` narrow them; ``after`` is a cursor: the sequence of the
        last record already seen.
        """
        clauses, values = ["kind = ?", "sequence > ?"], [kind.__name__, after]
        if subject is not None:
            clauses.append("subject = ?")
            values.append(subject)
        if since is not None:
            clauses.append("at >= ?")
            values.append(to_us(since, "since"))
        where = " AND ".join(clauses)
        with self._connections.read() as connection:
            rows = connection.execute(
                f"SELECT {_COLUMNS} FROM records WHERE {where} ORDER BY sequence LIMIT ?",  # noqa: S608 - constants
                (*values, limit),
            ).fetchall()
        return [_kept(kind, row) for row in rows]

    def forget(self, kind: type[Any], key: str) -> bool:
        """Delete a record; ``False`` where there was none."""
        with self._connections.write() as connection:
            gone = connection.execute(
                "DELETE FROM records WHERE kind = ? AND key = ?", (kind.__name__, key)
            )
            return gone.rowcount > 0


def _kept(kind: type[T], row: sqlite3.Row | tuple[Any, ...]) -> Kept[T]:
    key, subject, at, revision, sequence, data = row
    return Kept(from_json(kind, data), key, subject, from_us(at), revision, sequence)
