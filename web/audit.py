"""Who looked at a home's data: each view by staff leaves a row that the tenant may read.

A page that refreshes by itself continues one view and adds a row only every
`CONTINUES_S`. Refused views leave a row too.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Callable
from datetime import datetime
from typing import Protocol

from ems.domain.ports import LogEntry, Store
from ems.store.accounts import User

VIEWED = "viewed"
CONTINUES_S = 600.0
"""A self-refreshing page counts as one view for this long [wall s]."""


class Place(Protocol):
    """Where rows go, and estate time."""

    @property
    def store(self) -> Store:
        """The estate's store."""
        ...

    def now(self) -> datetime:
        """Return estate time, UTC."""
        ...


class ViewLog:
    """Writes rows of kind ``viewed`` to the store's log.

    Parameters
    ----------
    wall
        Source of wall time [s], never going back.
    """

    def __init__(self, wall: Callable[[], float] = time.monotonic) -> None:
        self._wall = wall
        self._last: dict[tuple[str, str, str], float] = {}
        self._lock = threading.Lock()

    def record(
        self,
        place: Place,
        user: User,
        subject: str,
        page: str,
        *,
        refresh: bool,
        reason: str = "",
    ) -> None:
        """Record that ``user`` saw the data of ``subject`` (a home or a block).

        ``refresh`` marks a page that refreshed itself; ``reason`` is what the reader gave on
        pages that ask for one.
        """
        key, wall = (user.name, subject, page), self._wall()
        with self._lock:
            last = self._last.get(key)
            if refresh and last is not None and wall - last < CONTINUES_S:
                return
            self._last[key] = wall
        self._write(place, user, subject, page, refused=False, reason=reason)

    def record_refusal(self, place: Place, user: User, subject: str, page: str) -> None:
        """Record that ``user`` was refused the data of ``subject``."""
        self._write(place, user, subject, page, refused=True)

    def _write(
        self,
        place: Place,
        user: User,
        subject: str,
        page: str,
        *,
        refused: bool,
        reason: str = "",
    ) -> None:
        detail = {"by": user.name, "role": user.role.value, "page": page, "refused": refused}
        if reason:
            detail["reason"] = reason
        place.store.log([LogEntry(place.now(), VIEWED, subject, detail)])
