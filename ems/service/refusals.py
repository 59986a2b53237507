"""Requests that were refused, kept so that who sent them can see why. They change nothing else."""

from __future__ import annotations

import math
from dataclasses import dataclass, replace
from datetime import datetime, timedelta

from ems.domain.events import EventState, FlexEvent, FlexRequest
from ems.domain.ports import LogEntry, Store
from ems.flex.requests import RefusedError

SHOWN_FOR = timedelta(days=14)
MOST = 200
"""Refusals kept of one source: the oldest go first."""
LONGEST_WORD = 80


@dataclass(frozen=True, slots=True)
class Refused:
    """A refused request, as an event that never was."""

    event: FlexEvent


class Refusals:
    """Keeps refusals in the store.

    Parameters
    ----------
    store
        Where they lie.
    """

    def __init__(self, store: Store) -> None:
        self._store = store

    def note(self, request: FlexRequest, refusal: RefusedError, now: datetime) -> None:
        """Keep one; the same request under the same idempotency key is kept once."""
        self.log(request, refusal, now)
        known = self._store.all_kept(Refused, subject=request.source)
        key = request.idempotency_key
        same = [one for one in known if key and one.record.event.request.idempotency_key == key]
        number = 1 + (known[-1].sequence if known else 0)
        fresh = f"{now:%Y%m%dT%H%M%S}-{request.source}-refused-{number}"
        refused_id = same[-1].key if same else fresh
        event = FlexEvent(
            id=refused_id,
            request=replace(
                request,
                block_id=request.block_id[:LONGEST_WORD],
                product_id=request.product_id[:LONGEST_WORD],
                power_w=request.power_w if math.isfinite(request.power_w) else 0.0,
            ),
            state=EventState.REFUSED,
            accepted_w=0.0,
            reason=f"{refusal.problem}. {refusal.remedy}",
            received_at=now,
        )
        self._store.keep(Refused(event), key=refused_id, subject=request.source, at=now)
        for one in known[: max(len(known) - MOST + 1, 0)]:
            self._store.forget(Refused, one.key)

    def log(self, request: FlexRequest, refusal: RefusedError, now: datetime) -> None:
        """Log one without keeping it: what was to replace an event, which stays as it is."""
        detail = {
            "source": request.source,
            "field": refusal.field,
            "value": str(refusal.value)[:LONGEST_WORD],
            "problem": refusal.problem,
        }
        self._store.log([LogEntry(now, "event_refused", request.block_id[:40], detail)])

    def all(self, now: datetime, source: str | None = None) -> tuple[FlexEvent, ...]:
        """Return the refusals of the last days, of one source or of all, as they came."""
        return tuple(
            kept.record.event
            for kept in self._store.all_kept(Refused, subject=source)
            if kept.record.event.received_at >= now - SHOWN_FOR
        )
