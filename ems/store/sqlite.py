"""The store's one adapter: SQLite, embedded, for several processes.

`SqliteStore` fills :class:`ems.domain.ports.Store`. What was committed when a call
returned is on the disk: neither ``kill -9`` nor a power cut takes it
(:mod:`ems.store.connections` says why). How readings and roll-ups lie in the file is
told in :mod:`ems.store.schema`.
"""

from __future__ import annotations

import os
import time
from contextlib import suppress
from pathlib import Path

from ems.domain.errors import InvalidInputError
from ems.store.commanded import Commanded
from ems.store.connections import Connections
from ems.store.errors import StoreBusyError, StoreUnreadableError
from ems.store.issued import Issued
from ems.store.measured import Measured
from ems.store.noted import Noted
from ems.store.records import Records
from ems.store.schema import is_current, prepare
from ems.store.series import SeriesNumbers

BUSY_S = 10.0
"""How long an operation waits for another process's write before `StoreBusyError` [wall s]."""

MAX_HOLD_S = 600.0
"""How long a good value stands without a newer reading [estate s]: two slow polls."""


class SqliteStore(Measured, Issued, Commanded, Noted, Records):
    """All that Hearth keeps of an estate, in one file.

    Any thread may call any method at any time; each call is one transaction. Use
    `open_store` to get one.
    """

    def __init__(self, connections: Connections, max_hold_s: float) -> None:
        self._connections = connections
        self._series = SeriesNumbers()
        self._max_hold_us = round(max_hold_s * 1_000_000)
        self._newest = {}

    @property
    def path(self) -> Path:
        """The file."""
        return self._connections.path

    def close(self) -> None:
        """Close the connections; later calls raise `StoreClosedError`."""
        self._connections.close()

    def __enter__(self) -> SqliteStore:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()


def open_store(
    path: Path,
    *,
    max_hold_s: float = MAX_HOLD_S,
    busy_s: float = BUSY_S,
    max_bytes: int | None = None,
) -> SqliteStore:
    """Open the store, making the file on first opening.

    Several processes may open a new file at once. The folder must exist; the file is
    readable and writable by its owner alone, since it tells when people are at home.

    Parameters
    ----------
    path
        The file, on a local disk.
    max_hold_s
        How long a good value stands without a newer one, at most 1,800 [estate s].
    busy_s
        How long to wait for another process's write [wall s].
    max_bytes
        Greatest size of the file; ``None`` for no limit but the disk's.

    Raises
    ------
    StoreVersionError
        The file was written by a newer Hearth.
    StoreCorruptError
        The file is damaged or no database.
    StoreUnreadableError
        The file cannot be opened or is another program's.
    StoreFullError
        No space is left.
    StoreBusyError
        Another process holds the file for longer than ``busy_s``.
    """
    if not 0 < max_hold_s <= 1800:
        raise InvalidInputError(
            "must be above 0 and at most 1,800 s",
            field="max_hold_s",
            value=max_hold_s,
            remedy="Use about twice the slowest poll.",
        )
    _make_file(path)
    connections = Connections(path, busy_s=busy_s, max_bytes=max_bytes)
    deadline = time.monotonic() + busy_s
    try:
        while True:
            try:
                _bring_up(connections, path)
                break
            except StoreBusyError:
                # While the file changes to a write-ahead log, SQLite does not wait.
                if time.monotonic() > deadline:
                    raise
                time.sleep(0.02)
    except BaseException:
        connections.close()
        raise
    return SqliteStore(connections, max_hold_s)


def _bring_up(connections: Connections, path: Path) -> None:
    with connections.read() as connection:
        current = is_current(connection)
    if not current:
        with connections.write() as connection:
            prepare(connection, path)


def _make_file(path: Path) -> None:
    try:
        with suppress(FileExistsError):
            os.close(os.open(path, os.O_CREAT | os.O_EXCL | os.O_RDWR, 0o600))
    except OSError as error:
        raise StoreUnreadableError(
            f"the store cannot be made ({error.strerror})",
            field="store",
            value=str(path),
            remedy="Name a file in a folder that exists and that this user may write to.",
        ) from error
