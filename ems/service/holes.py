"""What devices taught by refusing reads, kept over restarts.

Noted at once and kept after each round of polls: a control process that starts again does not
ask hundreds of devices for registers that they refused a minute ago.
"""

from __future__ import annotations

import threading

from ems.domain.holes import Holes
from ems.domain.ports import Store


class HoleLedger:
    """Fills :class:`ems.domain.ports.HoleBook` over the store.

    Parameters
    ----------
    store
        Where they are kept.
    """

    def __init__(self, store: Store) -> None:
        self._store = store
        self._lock = threading.Lock()
        self._known = {kept.key: kept.record for kept in store.all_kept(Holes)}
        self._changed: set[str] = set()

    def known(self, device_id: str) -> Holes | None:
        """Return what a device taught; ``None`` where it taught nothing that still counts."""
        with self._lock:
            return self._known.get(device_id)

    def learnt(self, holes: Holes) -> None:
        """Note what a device taught, all of it."""
        with self._lock:
            self._known[holes.device_id] = holes
            self._changed.add(holes.device_id)

    def forgotten(self, device_id: str) -> None:
        """Note that what a device taught no longer counts."""
        with self._lock:
            if self._known.pop(device_id, None) is not None:
                self._changed.add(device_id)

    def keep(self) -> int:
        """Keep what was noted; return of how many devices. Blocks: call it on a thread."""
        with self._lock:
            changed, self._changed = self._changed, set()
            found = {device_id: self._known.get(device_id) for device_id in changed}
        for device_id, holes in found.items():
            if holes is None:
                self._store.forget(Holes, device_id)
            else:
                self._store.keep(holes, key=device_id, subject=device_id, at=holes.learnt_at)
        return len(found)
