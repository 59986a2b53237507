"""The event book: every change of every event, one after another, each written once.

A change is first put into the book, whole, on top of the book's last revision; then its
parts become records of their own. Whoever opens the book next finishes what a killed
process left half done. So two processes never decide on the same state, and no change is
lost or made twice.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from ems.domain.errors import RetryableError
from ems.domain.events import FlexEvent, Settlement, Transition
from ems.domain.ports import Store
from ems.store.errors import StoreConflictError

BOOK = "events"
TRIES = 50


@dataclass(frozen=True, slots=True)
class EventReference:
    """What each participant was planned to draw without the event [W], frozen at acceptance.

    ``battery_w`` is empty where the battery does not take part.
    """

    event_id: str
    homes_w: Mapping[str, tuple[float, ...]]
    battery_w: tuple[float, ...]


@dataclass(frozen=True, slots=True)
class Receipt:
    """A request that was accepted under an idempotency key, and what it said."""

    source: str
    idempotency_key: str
    event_id: str
    said: str


@dataclass(frozen=True, slots=True)
class Booked:
    """One change with all its parts; ``revision`` is that of the event it stands on."""

    event: FlexEvent
    revision: int
    transition: Transition
    reference: EventReference | None = None
    receipt: Receipt | None = None
    settlement: Settlement | None = None


@dataclass(frozen=True, slots=True)
class EventBook:
    """The newest change and its number."""

    number: int
    booked: Booked


def receipt_key(source: str, idempotency_key: str) -> str:
    """Return the key a receipt is kept under."""
    return f"{source}/{idempotency_key}"


def book(store: Store, decide: Callable[[int], Booked | None]) -> Booked | None:
    """Make one change: ``decide`` gets its number and returns it, or ``None`` for none.

    ``decide`` is asked again where another process was faster.

    Raises
    ------
    RetryableError
        Where others were faster every time.
    """
    for _ in range(TRIES):
        kept = store.kept(EventBook, BOOK)
        if kept is not None:
            _write(store, kept.record)
        number = 1 if kept is None else kept.record.number + 1
        booked = decide(number)
        if booked is None:
            return None
        entry = EventBook(number, booked)
        try:
            store.keep(
                entry,
                key=BOOK,
                subject="",
                at=booked.transition.at,
                expected=0 if kept is None else kept.revision,
            )
        except StoreConflictError:
            continue
        _write(store, entry)
        return booked
    raise RetryableError(
        "too many events change at once",
        field="events",
        remedy="Try again in a moment.",
    )


def _write(store: Store, entry: EventBook) -> None:
    booked, event = entry.booked, entry.booked.event
    ended = event.ended_at or event.request.end
    source = event.request.source

    def once(record: Any, key: str, subject: str, at: datetime, expected: int = 0) -> None:
        # Written already, by this process or by one that finished its work.
        kept = store.kept(type(record), key)
        if (0 if kept is None else kept.revision) != expected:
            return
        try:
            store.keep(record, key=key, subject=subject, at=at, expected=expected)
        except StoreConflictError:
            return

    mark = f"{event.id}/{entry.number:09d}"
    if booked.reference is not None:
        once(booked.reference, mark, event.id, booked.transition.at)
    if booked.settlement is not None:
        subject = f"{source}/{event.request.product_id}"
        once(booked.settlement, event.id, subject, booked.settlement.measured_at)
    if booked.receipt is not None:
        key = receipt_key(source, booked.receipt.idempotency_key)
        once(booked.receipt, key, source, booked.transition.at)
    once(event, event.id, event.request.block_id, ended, booked.revision)
    once(booked.transition, mark, source, booked.transition.at)
