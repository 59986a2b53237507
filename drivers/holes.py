"""What a device teaches by refusing reads: learnt, kept over restarts, forgotten in time.

It counts for that device alone: another place, other addresses in its profile, or another
model or firmware by its own word, and it is asked for everything anew. So it is after a loss,
and once in a while: a gateway may have misspoken.
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable
from datetime import datetime, timedelta

from drivers.blocks import Block, Knowledge, learn
from drivers.sunspec_walk import Layout
from ems.domain.estate import Device, Gateway
from ems.domain.holes import Holes
from ems.domain.ports import HoleBook
from ems.domain.profiles import DeviceProfile

RELEARN_AFTER = timedelta(hours=1)
"""Holes are asked for again after this long (estate time)."""


def identity_of(
    device: Device, gateway: Gateway, profile: DeviceProfile, layout: Layout | None
) -> str:
    """Return what must be the same for a lesson to count: a digest of place, map and models."""
    points = sorted(
        (name, at.unit_id, at.space, at.address, at.data_type, at.scale_factor_address)
        for name, at in profile.points.items()
    )
    found = None if layout is None else (layout.models, sorted(layout.identity.items()))
    place = gateway.address, device.unit_id, profile.id
    known = repr((place, profile.max_block, profile.bridge_gaps, points, found))
    return hashlib.sha256(known.encode()).hexdigest()[:16]


class Lessons:
    """One device's holes.

    Parameters
    ----------
    device_id
        Whose.
    book
        Where they are kept over restarts; ``None`` where they are not.

    Attributes
    ----------
    knowledge
        What it taught so far.
    """

    def __init__(self, device_id: str, book: HoleBook | None) -> None:
        self.knowledge = Knowledge()
        self._device_id = device_id
        self._book = book
        self._recalled = book is None
        self._learnt_at: datetime | None = None

    def review(self, identity: Callable[[], str], now: datetime) -> bool:
        """Recall what an earlier process kept, drop what is old; return whether that changed."""
        if not self._recalled:
            self._recalled = True
            return self._recall(identity(), now)
        if self._learnt_at is None or now - self._learnt_at <= RELEARN_AFTER:
            return False
        self.forget()
        return True

    def learn(self, refused: Block, identity: Callable[[], str], now: datetime) -> None:
        """Take in that a device refused a block as an illegal address."""
        self.knowledge = learn(self.knowledge, refused)
        self._learnt_at = self._learnt_at or now
        if self._book is not None:
            spans = tuple(self.knowledge.splits), tuple(self.knowledge.absent)
            self._book.learnt(Holes(self._device_id, identity(), self._learnt_at, *spans))

    def forget(self) -> None:
        """Drop all, for good."""
        self.knowledge = Knowledge()
        self._learnt_at = None
        self._recalled = True
        if self._book is not None:
            self._book.forgotten(self._device_id)

    def _recall(self, identity: str, now: datetime) -> bool:
        kept = None if self._book is None else self._book.known(self._device_id)
        if kept is None:
            return False
        if kept.identity != identity or not kept.learnt_at <= now <= kept.learnt_at + RELEARN_AFTER:
            self.forget()
            return False
        self.knowledge = Knowledge(frozenset(kept.splits), frozenset(kept.absent))
        self._learnt_at = kept.learnt_at
        return True
