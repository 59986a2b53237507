"""Connections to one SQLite file, shared by threads, beside other processes.

Each operation borrows a connection for one transaction, so that any thread may
call at any time. Readers never wait for writers (write-ahead log). Writers take
the write lock at once (``BEGIN IMMEDIATE``), within one process by a lock that
queues, between processes by SQLite's busy timeout.

Durability: ``synchronous=FULL``. A commit returns only after the log has been
forced to the disk. Against ``kill -9`` any setting would do, since what was
written is in the kernel's hands; but ``NORMAL`` forces the log only at
checkpoints, and a power cut would take the commits of the minutes before. A
plant room has power cuts, and a command that was recorded before the device was
written must be there afterwards. Polls are written as one transaction each, so the
price is one forced write every few seconds.
"""

from __future__ import annotations

import os
import sqlite3
import threading
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

from ems.store.errors import StoreClosedError, StoreUnreadableError, translate

_abandoned: list[sqlite3.Connection] = []
"""Connections inherited by a forked child: closing them there could harm the parent."""


class Connections:
    """A pool of connections to one file.

    Parameters
    ----------
    path
        The file; it must exist.
    busy_s
        How long to wait for another process's write lock [wall s].
    max_bytes
        Greatest size of the file; ``None`` for no limit but the disk's.
    """

    def __init__(self, path: Path, *, busy_s: float, max_bytes: int | None) -> None:
        self.path = path
        self._busy_s = busy_s
        self._max_bytes = max_bytes
        self._guard = threading.Lock()
        self._write_lock = threading.Lock()
        self._idle: list[sqlite3.Connection] = []
        self._closed = False
        self._pid = os.getpid()

    @contextmanager
    def read(self) -> Iterator[sqlite3.Connection]:
        """Borrow a connection inside one read transaction: a consistent view."""
        with self._borrowed("BEGIN") as connection:
            yield connection

    @contextmanager
    def write(self) -> Iterator[sqlite3.Connection]:
        """Borrow a connection inside one write transaction, committed at the end.

        Any error rolls it back whole.
        """
        self._forget_after_fork()
        with self._write_lock, self._borrowed("BEGIN IMMEDIATE") as connection:
            yield connection

    def close(self) -> None:
        """Close all connections; an operation under way finishes first on its own."""
        with self._guard:
            self._closed = True
            idle, self._idle = self._idle, []
        if os.getpid() != self._pid:
            _abandoned.extend(idle)
            return
        for connection in idle:
            connection.close()

    @contextmanager
    def _borrowed(self, begin: str) -> Iterator[sqlite3.Connection]:
        try:
            connection = self._take()
        except sqlite3.Error as error:
            raise translate(error, self.path) from error
        try:
            connection.execute(begin)
            yield connection
            connection.execute("COMMIT")
        except BaseException as error:
            with suppress(sqlite3.Error):
                if connection.in_transaction:
                    connection.execute("ROLLBACK")
            if isinstance(error, sqlite3.Error):
                raise translate(error, self.path) from error
            raise
        finally:
            self._give_back(connection)

    def _take(self) -> sqlite3.Connection:
        self._forget_after_fork()
        with self._guard:
            if self._closed:
                raise StoreClosedError(
                    "the store is closed",
                    field="store",
                    value=str(self.path),
                    remedy="Open it again with open_store.",
                )
            if self._idle:
                return self._idle.pop()
        return self._connect()

    def _give_back(self, connection: sqlite3.Connection) -> None:
        with self._guard:
            if not self._closed and not connection.in_transaction:
                self._idle.append(connection)
                return
        connection.close()

    def _connect(self) -> sqlite3.Connection:
        connection = sqlite3.connect(
            f"{self.path.absolute().as_uri()}?mode=rw",
            uri=True,
            timeout=self._busy_s,
            isolation_level=None,
            check_same_thread=False,
        )
        try:
            (mode,) = connection.execute("PRAGMA journal_mode = WAL").fetchone()
            if mode != "wal":
                raise StoreUnreadableError(
                    "the store's file system does not support a write-ahead log",
                    field="store",
                    value=str(self.path),
                    remedy="Keep the state directory on a local disk.",
                )
            connection.execute("PRAGMA synchronous = FULL")
            connection.execute("PRAGMA cache_size = -8000")
            connection.execute("PRAGMA journal_size_limit = 67108864")
            if self._max_bytes is not None:
                (page,) = connection.execute("PRAGMA page_size").fetchone()
                pages = max(1, self._max_bytes // int(page))
                connection.execute(f"PRAGMA max_page_count = {pages}")
        except BaseException:
            connection.close()
            raise
        return connection

    def _forget_after_fork(self) -> None:
        if os.getpid() == self._pid:
            return
        # The locks may have been held by a thread that does not exist here.
        _abandoned.extend(self._idle)
        self._guard = threading.Lock()
        self._write_lock = threading.Lock()
        self._idle = []
        self._pid = os.getpid()
