"""Records of one kind, followed: each look reads only what was written since the last."""

from __future__ import annotations

import threading
from collections.abc import Mapping
from types import MappingProxyType
from typing import Generic, TypeVar

from ems.domain.ports import Store

T = TypeVar("T")
BATCH = 1000


class Followed(Generic[T]):
    """All records of a kind by key, as they are now. Safe for several threads.

    For kinds whose records are never deleted: a deletion is not seen.

    Parameters
    ----------
    store, kind
        Where they lie, and the type of the records.
    """

    def __init__(self, store: Store, kind: type[T]) -> None:
        self._store = store
        self._kind = kind
        self._seen = 0
        self._records: dict[str, T] = {}
        self._lock = threading.Lock()

    @property
    def sequence(self) -> int:
        """The place of the newest record seen: it rises with every change."""
        return self._seen

    def all(self) -> Mapping[str, T]:
        """Return every record by key."""
        with self._lock:
            while fresh := self._store.all_kept(self._kind, after=self._seen, limit=BATCH):
                for kept in fresh:
                    self._records[kept.key] = kept.record
                self._seen = fresh[-1].sequence
            return MappingProxyType(dict(self._records))
