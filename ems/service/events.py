"""The event desk: demand-response events in the store, from request to settlement.

Any process may open one on the same store. The web process and the command line submit,
replace and withdraw; the control process calls `EventDesk.advance` and acts on
`EventDesk.in_force`. The desk writes records and nothing else.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta

from ems.domain.errors import InvalidInputError, PermanentError
from ems.domain.estate import Block, Estate
from ems.domain.events import (
    Direction,
    EventState,
    FlexEvent,
    FlexRequest,
    Settlement,
    Transition,
)
from ems.domain.ports import Kept, Store
from ems.flex.baseline import BaselineRule
from ems.flex.life import (
    IN_FORCE,
    Change,
    begin,
    end,
    recovered_at,
    settle,
    withdraw,
)
from ems.flex.requests import RefusedError
from ems.service.event_book import Booked, EventReference, Receipt, book, receipt_key
from ems.service.event_offers import Availability, Offers
from ems.service.flexible import Away, battery_online, nobody, offline
from ems.service.followed import Followed
from ems.service.holds import Holds
from ems.service.measuring import measured, readings_are_in
from ems.service.refusals import Refusals
from ems.service.wishes import ALL, Residents

LOOK_BACK = timedelta(days=125)
"""Events that ended longer ago than this are not looked at: twice a baseline's reach."""
OPERATOR = "operator"


class UnknownEventError(PermanentError):
    """There is no such event, or not for who asks."""


@dataclass(frozen=True, slots=True)
class Submitted:
    """An accepted event; ``fresh`` is false where an idempotency key was seen before."""

    event: FlexEvent
    fresh: bool


def away_from(residents: Residents, holds: Holds) -> Away:
    """Return who does not take part: residents who opted out, homes that operators hold."""

    def away(now: datetime, event_id: str) -> Mapping[str, str]:
        found = dict.fromkeys(holds.out_of_events(now), "held by the operator")
        for home, events in residents.opted_out(now).items():
            if events == ALL or event_id in events:
                found[home] = "opted out"
        return found

    return away


def open_desk(estate: Estate, store: Store) -> EventDesk:
    """Return the desk of an estate, with residents' opt-outs and operators' holds."""
    return EventDesk(estate, store, away=away_from(Residents(estate, store), Holds(estate, store)))


class EventDesk:
    """Keeps the events of an estate.

    Parameters
    ----------
    estate, store
        Whose events; where they lie.
    away
        Homes that do not take part: opted out, held, handed back.
    rule
        The baseline's rule.

    Attributes
    ----------
    refusals
        What was refused: listed, and nothing else.
    """

    def __init__(
        self,
        estate: Estate,
        store: Store,
        *,
        away: Away = nobody,
        rule: BaselineRule | None = None,
    ) -> None:
        self._estate = estate
        self._store = store
        self._away = away
        self._events = Followed(store, FlexEvent)
        self._offers = Offers(estate, store, away)
        self.refusals = Refusals(store)
        self._rule = rule or BaselineRule()

    # What there is

    def all(self, now: datetime) -> tuple[FlexEvent, ...]:
        """Return all events of the last months, by start."""
        events = (
            event
            for event in self._events.all().values()
            if event.state in IN_FORCE or event.request.end >= now - LOOK_BACK
        )
        return tuple(sorted(events, key=lambda event: (event.request.start, event.id)))

    def in_force(self, now: datetime) -> tuple[FlexEvent, ...]:
        """Return the events that are accepted, running or recovering, by start."""
        return tuple(event for event in self.all(now) if event.state in IN_FORCE)

    def away(self, now: datetime, event_id: str) -> Mapping[str, str]:
        """Return the homes that an event must not touch at ``now``, and why."""
        return self._away(now, event_id)

    def event(self, event_id: str, source: str | None = None) -> FlexEvent:
        """Return one event, of this source where one is named.

        Raises
        ------
        UnknownEventError
            Where there is none.
        """
        kept = self._store.kept(FlexEvent, event_id)
        if kept is None or source not in (None, kept.record.request.source):
            raise UnknownEventError(
                "there is no such event",
                field="id",
                value=event_id,
                remedy="See the ids in the list of events.",
            )
        return kept.record

    def settlement(self, event_id: str) -> Settlement | None:
        """Return what an event delivered; ``None`` until it was measured."""
        kept = self._store.kept(Settlement, event_id)
        return None if kept is None else kept.record

    def reference(self, event_id: str) -> EventReference | None:
        """Return each participant's reference, frozen at acceptance or at the last replacement."""
        kept = self._store.all_kept(EventReference, subject=event_id)
        return kept[-1].record if kept else None

    def transitions(
        self, after: int = 0, source: str | None = None, limit: int = 100
    ) -> list[Kept[Transition]]:
        """Return changes after a cursor, oldest first; each carries its own ``sequence``."""
        return self._store.all_kept(Transition, subject=source, after=after, limit=limit)

    def history(self, event_id: str) -> list[Transition]:
        """Return all changes of one event, oldest first."""
        event = self.event(event_id)
        found = self._store.all_kept(Transition, subject=event.request.source)
        return [kept.record for kept in found if kept.record.event_id == event_id]

    def availability(
        self, block_id: str, start: datetime, finish: datetime, now: datetime
    ) -> Availability:
        """Return what a block could do in [start, finish) beside the events in force.

        Raises
        ------
        RefusedError
            Where the block is not known.
        NoPlanError
            Without a fresh plan.
        """
        return self._offers.availability(block_id, start, finish, now, self.in_force(now))

    def free_homes(self, block: Block, now: datetime, event_id: str = "") -> tuple[str, ...]:
        """Return the homes of a block that could take part now: in nobody's hands, and online."""
        away = self._away(now, event_id)
        silent = offline(self._estate, self._store, block, now)
        return tuple(
            home.id for home in block.dwellings if home.id not in away and home.id not in silent
        )

    # What is asked

    def submit(self, request: FlexRequest, now: datetime) -> Submitted:
        """Accept a request, trimmed where less is available; the same key counts once.

        Raises
        ------
        RefusedError
            Where it cannot be accepted; nothing was changed.
        NoPlanError
            Where nothing can be promised now.
        """
        before: list[FlexEvent] = []

        def make(number: int) -> Booked | None:
            if seen := self._receipt(request):
                before.append(self.event(seen.event_id))
                return None
            change, reference = self._offers.offer(request, self.in_force(now), now, number)
            receipt = (
                Receipt(request.source, request.idempotency_key, change.event.id, _said(request))
                if request.idempotency_key
                else None
            )
            return Booked(change.event, 0, change.transition, reference, receipt)

        try:
            booked = book(self._store, make)
        except RefusedError as refusal:
            self.refusals.note(request, refusal, now)
            raise
        return Submitted(before[-1], False) if booked is None else Submitted(booked.event, True)

    def replace(self, event_id: str, request: FlexRequest, now: datetime) -> FlexEvent:
        """Put another request in an event's place; a running one is settled pro rata.

        Raises
        ------
        UnknownEventError
            Where the requester has no such event.
        EventOverError, RefusedError, NoPlanError
            Where it cannot be replaced; nothing was changed.
        """

        def make(_: int) -> Booked | None:
            kept = self._kept(event_id, request.source)
            change, reference = self._offers.reoffer(
                kept.record, self.reference(event_id), request, self.in_force(now), now
            )
            return Booked(change.event, kept.revision, change.transition, reference)

        try:
            booked = book(self._store, make)
        except RefusedError as refusal:
            self.refusals.log(request, refusal, now)
            raise
        return self.event(event_id) if booked is None else booked.event

    def withdraw(self, event_id: str, now: datetime, by: str) -> FlexEvent:
        """Withdraw an event; one that is over already stays as it is.

        ``by`` is its source, or ``operator``, who may withdraw any.

        Raises
        ------
        UnknownEventError
            Where they have no such event.
        """

        def make(_: int) -> Booked | None:
            kept = self._kept(event_id, None if by == OPERATOR else by)
            change = withdraw(kept.record, now, by)
            if change is None:
                return None
            return Booked(change.event, kept.revision, change.transition)

        booked = book(self._store, make)
        return self.event(event_id) if booked is None else booked.event

    # What time brings

    def advance(self, now: datetime) -> list[Transition]:
        """Move every event on that is due; return the changes, oldest first.

        Whatever was missed while nothing ran is made up, in order.
        """
        made: list[Transition] = []
        for event in self.in_force(now):
            while (change := self._move_on(event.id, now)) is not None:
                made.append(change)
        return made

    def _move_on(self, event_id: str, now: datetime) -> Transition | None:
        def make(_: int) -> Booked | None:
            kept = self._kept(event_id, None)
            event = kept.record
            if event.state is EventState.ACCEPTED and now >= event.request.start:
                change = self._begin(event, now)
            elif event.state is EventState.RUNNING and now >= event.request.end:
                change = end(event, now)
            elif event.state is EventState.RECOVERING and now >= recovered_at(event):
                if not readings_are_in(self._estate, self._store, event, now):
                    return None
                settlement = measured(
                    self._estate, self._store, event, self.all(now), self._rule, now
                )
                change = settle(event, now)
                return Booked(change.event, kept.revision, change.transition, settlement=settlement)
            else:
                return None
            return Booked(change.event, kept.revision, change.transition)

        booked = book(self._store, make)
        return None if booked is None else booked.transition

    def _begin(self, event: FlexEvent, now: datetime) -> Change:
        block = self._offers.block(event.request.block_id)
        reference = self.reference(event.id)
        free = set(self.free_homes(block, now, event.id))
        planned = reference.homes_w if reference else {}
        homes = [home.id for home in block.dwellings if home.id in free and home.id in planned]
        battery = event.battery_takes_part and battery_online(self._estate, self._store, block, now)
        rows = [planned[home] for home in homes]
        if battery and reference:
            rows.append(reference.battery_w)
        total = [sum(column) for column in zip(*rows, strict=True)]
        return begin(
            event, participants=homes, battery_takes_part=battery, reference_w=total, now=now
        )

    # How it is decided

    def _kept(self, event_id: str, source: str | None) -> Kept[FlexEvent]:
        self.event(event_id, source)
        kept = self._store.kept(FlexEvent, event_id)
        assert kept is not None  # noqa: S101 - just found; events are never deleted
        return kept

    def _receipt(self, request: FlexRequest) -> Receipt | None:
        if not request.idempotency_key:
            return None
        key = receipt_key(request.source, request.idempotency_key)
        kept = self._store.kept(Receipt, key)
        if kept is None:
            return None
        if kept.record.said != _said(request):
            raise RefusedError(
                "this key was used for another request",
                field="Idempotency-Key",
                value=request.idempotency_key,
                remedy="Use a new key for a new request.",
            )
        return kept.record


def _said(request: FlexRequest) -> str:
    """Return what a request says, but for who says it and its key."""
    return json.dumps(
        [
            request.block_id,
            str(request.direction),
            request.power_w,
            request.start.isoformat(),
            request.end.isoformat(),
            request.product_id,
        ]
    )


def parse_direction(words: str) -> Direction:
    """Return the direction that ``down`` or ``up`` means, or raise `InvalidInputError`."""
    try:
        return Direction(words)
    except ValueError:
        raise InvalidInputError(
            "the direction is down or up", field="direction", value=words, remedy="Give one."
        ) from None
