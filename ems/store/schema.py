"""Tables of the store and how an older file becomes a present one.

The version is in ``PRAGMA user_version``; ``PRAGMA application_id`` tells Hearth's
files from others. Times are whole microseconds since the epoch unless said.

Readings travel: ``recent`` takes each poll at its end (few pages change), and once
their half-hour is rolled up they move to ``packed``, one row per series and
half-hour, which reads fast and small.

Keys that are one integer: ``packed.key`` is ``series * 2**24 + half-hour`` and
``rollup_days.key`` is ``series * 2**20 + day``, both counted since the epoch, so
that a stretch of one series lies together on the disk.
"""

from __future__ import annotations

import sqlite3
from pathlib import Path

from ems.store.errors import StoreUnreadableError, StoreVersionError

APPLICATION_ID = 0x48727468
"""Marks a file as Hearth's store ("Hrth")."""

_VERSION_1 = """
CREATE TABLE series (
    id INTEGER PRIMARY KEY,
    device_id TEXT NOT NULL,
    point TEXT NOT NULL,
    UNIQUE (device_id, point)
) STRICT;
CREATE TABLE recent (
    at INTEGER NOT NULL,
    series INTEGER NOT NULL,
    value REAL,
    quality INTEGER NOT NULL,
    PRIMARY KEY (at, series)
) STRICT, WITHOUT ROWID;
CREATE TABLE packed (
    key INTEGER PRIMARY KEY,
    readings INTEGER NOT NULL,
    data BLOB NOT NULL
) STRICT;
CREATE TABLE latest (
    series INTEGER PRIMARY KEY,
    at INTEGER NOT NULL,
    value REAL,
    quality INTEGER NOT NULL,
    good_at INTEGER
) STRICT;
CREATE TABLE rollup_days (
    key INTEGER PRIMARY KEY,
    data BLOB NOT NULL
) STRICT;
CREATE TABLE progress (
    name TEXT PRIMARY KEY,
    position INTEGER NOT NULL
) STRICT, WITHOUT ROWID;
CREATE TABLE forecasts (
    id INTEGER PRIMARY KEY,
    target TEXT NOT NULL,
    subject TEXT NOT NULL,
    issued_at INTEGER NOT NULL,
    data BLOB NOT NULL,
    UNIQUE (target, subject, issued_at)
) STRICT;
CREATE TABLE schedules (
    id INTEGER PRIMARY KEY AUTOINCREMENT,
    plan_id TEXT NOT NULL UNIQUE,
    block_id TEXT NOT NULL,
    issued_at INTEGER NOT NULL,
    data BLOB NOT NULL
) STRICT;
CREATE INDEX schedules_by_time ON schedules (block_id, issued_at);
CREATE TABLE commands (
    device_id TEXT NOT NULL,
    point TEXT NOT NULL,
    value REAL NOT NULL,
    release_value REAL NOT NULL,
    expires_at INTEGER NOT NULL,
    setpoint_id TEXT NOT NULL,
    confirmed INTEGER NOT NULL,
    PRIMARY KEY (device_id, point)
) STRICT, WITHOUT ROWID;
CREATE TABLE setpoints (
    id INTEGER PRIMARY KEY,
    device_id TEXT NOT NULL,
    point TEXT NOT NULL,
    issued_at INTEGER NOT NULL,
    value REAL NOT NULL,
    cause TEXT NOT NULL,
    outcome TEXT NOT NULL,
    record TEXT NOT NULL
) STRICT;
CREATE INDEX setpoints_by_point ON setpoints (device_id, point);
CREATE INDEX setpoints_by_time ON setpoints (issued_at);
CREATE TABLE estimates (
    dwelling_id TEXT PRIMARY KEY,
    estimate TEXT NOT NULL
) STRICT, WITHOUT ROWID;
CREATE TABLE heartbeats (
    process TEXT PRIMARY KEY,
    beat TEXT NOT NULL
) STRICT, WITHOUT ROWID;
CREATE TABLE log (
    id INTEGER PRIMARY KEY,
    at INTEGER NOT NULL,
    kind TEXT NOT NULL,
    subject TEXT NOT NULL,
    detail TEXT NOT NULL
) STRICT;
CREATE INDEX log_by_time ON log (at);
CREATE INDEX log_by_kind ON log (kind, at);
CREATE TABLE records (
    sequence INTEGER PRIMARY KEY AUTOINCREMENT,
    kind TEXT NOT NULL,
    key TEXT NOT NULL,
    subject TEXT NOT NULL,
    at INTEGER NOT NULL,
    revision INTEGER NOT NULL,
    data TEXT NOT NULL,
    UNIQUE (kind, key)
) STRICT;
CREATE INDEX records_by_subject ON records (kind, subject, at);
CREATE TABLE meta (
    name TEXT PRIMARY KEY,
    value TEXT NOT NULL
) STRICT, WITHOUT ROWID;
"""

MIGRATIONS = (_VERSION_1,)
"""Script ``n`` brings a file from version ``n`` to ``n + 1``."""


def prepare(connection: sqlite3.Connection, path: Path) -> None:
    """Bring the file to the present version, inside the caller's write transaction.

    Raises `StoreVersionError` for a file of a newer version and
    `StoreUnreadableError` for another program's.
    """
    (version,) = connection.execute("PRAGMA user_version").fetchone()
    (application,) = connection.execute("PRAGMA application_id").fetchone()
    (tables,) = connection.execute("SELECT count(*) FROM sqlite_schema").fetchone()
    if (tables or version) and application != APPLICATION_ID:
        raise StoreUnreadableError(
            "the file is a database, but not Hearth's store",
            field="store",
            value=str(path),
            remedy="Name another file, or move this one away.",
        )
    if version > len(MIGRATIONS):
        raise StoreVersionError(
            f"the store is of version {version}; this Hearth knows up to {len(MIGRATIONS)}",
            field="store",
            value=str(path),
            remedy="Install the newer Hearth that wrote it, or name another file.",
        )
    if version == len(MIGRATIONS):
        return
    for script in MIGRATIONS[version:]:
        # executescript would commit the caller's transaction.
        for statement in script.split(";"):
            if statement.strip():
                connection.execute(statement)
    connection.execute(f"PRAGMA application_id = {APPLICATION_ID}")
    connection.execute(f"PRAGMA user_version = {len(MIGRATIONS)}")


def is_current(connection: sqlite3.Connection) -> bool:
    """Whether the file is of the present version, so that nothing needs doing."""
    (version,) = connection.execute("PRAGMA user_version").fetchone()
    (application,) = connection.execute("PRAGMA application_id").fetchone()
    return bool(version == len(MIGRATIONS) and application == APPLICATION_ID)
