"""What can go wrong with the store's file, each with its remedy."""

from __future__ import annotations

import sqlite3
from pathlib import Path

from ems.domain.errors import HearthError, PermanentError, RetryableError


class StoreBusyError(RetryableError):
    """Another process held the store for longer than the busy timeout."""


class StoreConflictError(RetryableError):
    """A record was changed by someone else since it was read."""


class StoreFullError(PermanentError):
    """The disk, or the store's own size limit, is full; what was written before is safe."""


class StoreCorruptError(PermanentError):
    """The file is damaged or is not a database."""


class StoreUnreadableError(PermanentError):
    """The file cannot be opened, read or written, or is another program's."""


class StoreVersionError(PermanentError):
    """The file was written by a newer version of Hearth."""


class StoreClosedError(PermanentError):
    """The store was used after `close`."""


_FIELD = "store"
_BUSY = {sqlite3.SQLITE_BUSY, sqlite3.SQLITE_LOCKED}
_CORRUPT = {sqlite3.SQLITE_CORRUPT, sqlite3.SQLITE_NOTADB}


def translate(error: sqlite3.Error, path: Path) -> HearthError | sqlite3.Error:
    """Return the error to raise for what SQLite reported; a bug comes back unchanged."""
    # The low byte is the primary code; the rest tells details of it.
    code = getattr(error, "sqlite_errorcode", 0) & 0xFF
    value = str(path)
    if code in _BUSY:
        return StoreBusyError(
            "another process holds the store",
            field=_FIELD,
            value=value,
            remedy="Try again; if it lasts, see which process has the file open.",
        )
    if code == sqlite3.SQLITE_FULL:
        return StoreFullError(
            "no space is left for the store",
            field=_FIELD,
            value=value,
            remedy="Free space on the disk or raise the store's size limit; nothing is lost.",
        )
    if code in _CORRUPT:
        return StoreCorruptError(
            f"the store is damaged or not a database ({error})",
            field=_FIELD,
            value=value,
            remedy="Move the file and its -wal and -shm aside, then restore a backup or "
            "start with an empty store.",
        )
    if code in {sqlite3.SQLITE_READONLY, sqlite3.SQLITE_PERM, sqlite3.SQLITE_AUTH}:
        return StoreUnreadableError(
            "the store may not be written",
            field=_FIELD,
            value=value,
            remedy="Give this user the right to write the file and its folder.",
        )
    if code in {sqlite3.SQLITE_CANTOPEN, sqlite3.SQLITE_IOERR}:
        return StoreUnreadableError(
            f"the store cannot be opened or read ({error})",
            field=_FIELD,
            value=value,
            remedy="Check that the folder exists, that the disk is well and that this user "
            "may read and write there.",
        )
    return error
