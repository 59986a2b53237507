"""What is offered for a request: the plan's flexibility, less what is promised already."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta

from ems.domain.estate import Block, DRProduct, Estate
from ems.domain.events import Direction, EventState, FlexEvent, FlexRequest
from ems.domain.forecasts import FloatArray
from ems.domain.ports import Store
from ems.domain.time import HALF_HOUR, floor_to
from ems.flex.availability import each_slot_w, longest_slots, sustained_w
from ems.flex.life import RECOVERY, Change, EventOverError, accept, substitute
from ems.flex.requests import Offer, RefusedError, check, decide, promised_w
from ems.service.event_book import EventReference
from ems.service.flexible import Away, Flexibility, flexibility


@dataclass(frozen=True, slots=True)
class AvailableSlot:
    """What could be changed in one half-hour by itself [W], and for how long it could last."""

    start: datetime
    down_w: float
    up_w: float
    down_longest: timedelta
    up_longest: timedelta


@dataclass(frozen=True, slots=True)
class Availability:
    """What a block could do over a time.

    Attributes
    ----------
    block_id, plan_issued_at
        Which block, by which plan.
    homes
        How many homes could take part.
    slots
        Half-hours; those beyond the plan are not there.
    sustained_down_w, sustained_up_w
        What could be kept over the whole time asked for [W]; 0 where the plan does not
        reach so far.
    recovery
        How long homes take to come back after an event.
    """

    block_id: str
    plan_issued_at: datetime
    homes: int
    slots: tuple[AvailableSlot, ...]
    sustained_down_w: float
    sustained_up_w: float
    recovery: timedelta = RECOVERY


class Offers:
    """Decides on requests from what the store holds; it writes nothing.

    Parameters
    ----------
    estate, store, away
        As of :class:`ems.service.events.EventDesk`.
    """

    def __init__(self, estate: Estate, store: Store, away: Away) -> None:
        self._estate = estate
        self._store = store
        self._away = away

    def availability(
        self,
        block_id: str,
        start: datetime,
        finish: datetime,
        now: datetime,
        events: Sequence[FlexEvent] = (),
    ) -> Availability:
        """Return what a block could do in [start, finish) beside ``events``.

        Raises
        ------
        RefusedError
            Where the block is not known or the time has no length.
        NoPlanError
            Without a fresh plan.
        """
        found = self._flexibility(self.block(block_id), now, events)
        flex = found.flex
        first = max(round((floor_to(start) - flex.start) / HALF_HOUR), 0)
        last = round((floor_to(finish) - flex.start) / HALF_HOUR)
        current = round((floor_to(now) - flex.start) / HALF_HOUR)
        down, up = each_slot_w(flex, Direction.DOWN), each_slot_w(flex, Direction.UP)
        slots = tuple(
            AvailableSlot(
                flex.start + HALF_HOUR * index,
                down[index],
                up[index],
                longest_slots(flex, Direction.DOWN, index, down[index]) * HALF_HOUR,
                longest_slots(flex, Direction.UP, index, up[index]) * HALF_HOUR,
            )
            for index in range(max(first, current), min(last, flex.slots))
        )
        whole = (
            sustained_w(flex, Direction.DOWN, first, last - first),
            sustained_w(flex, Direction.UP, first, last - first),
        )
        return Availability(block_id, found.issued_at, len(flex.homes), slots, *whole)

    def block(self, block_id: str) -> Block:
        """Return a block, or raise `RefusedError` where there is none."""
        try:
            return self._estate.block(block_id)
        except KeyError:
            raise RefusedError(
                "there is no such block",
                field="block",
                value=block_id,
                remedy="Give the id of a block that you may dispatch.",
            ) from None

    def _product(self, request: FlexRequest) -> DRProduct | None:
        if not request.product_id:
            return None
        product = self._estate.products.get(request.product_id)
        if product is None:
            listed = ", ".join(sorted(self._estate.products)) or "none"
            raise RefusedError(
                "there is no such product",
                field="product",
                value=request.product_id,
                remedy=f"Products: {listed}.",
            )
        return product

    def _flexibility(
        self, block: Block, now: datetime, events: Sequence[FlexEvent], event_id: str = ""
    ) -> Flexibility:
        away = self._away(now, event_id)
        others = [event for event in events if event.id != event_id]
        return flexibility(self._estate, self._store, block, now, away, others)

    def offer(
        self, request: FlexRequest, events: Sequence[FlexEvent], now: datetime, number: int
    ) -> tuple[Change, EventReference]:
        """Return the event that a request becomes, with its reference.

        Parameters
        ----------
        request, now
            What is asked, and when.
        events
            Those in force.
        number
            Of the change, for the event's id.

        Raises
        ------
        RefusedError, NoPlanError
            Where it cannot be accepted.
        """
        block, product = self.block(request.block_id), self._product(request)
        check(request, block, product, now, least_w=self._least_w)
        found = self._flexibility(block, now, events)
        first, count = _window(found, request.start, request.end)
        available = _available_w(found, request, events, first, count)
        margin = found.flex.margin_w(request.direction, first, count)
        offer = self._decide(request, available, product, margin)
        event_id = f"{now:%Y%m%dT%H%M%S}-{block.id}-{number}"
        reference = _reference(event_id, found, first, count)
        change = accept(
            event_id,
            request,
            accepted_w=offer.accepted_w,
            reference_w=_total(reference),
            battery_takes_part=bool(reference.battery_w),
            reason=offer.reason,
            now=now,
            margin_w=float(margin.max()),
        )
        return change, reference

    @property
    def _least_w(self) -> float:
        return self._estate.control.event_least_kw * 1000.0

    def _decide(
        self,
        request: FlexRequest,
        available_w: float,
        product: DRProduct | None,
        margin_w: FloatArray,
    ) -> Offer:
        share = self._estate.control.event_least_share
        noise = share * float(margin_w.max())
        return decide(request, available_w, product, least_w=self._least_w, noise_w=noise)

    def reoffer(
        self,
        event: FlexEvent,
        old: EventReference | None,
        request: FlexRequest,
        events: Sequence[FlexEvent],
        now: datetime,
    ) -> tuple[Change, EventReference | None]:
        """Return what an event becomes with another request in its place.

        Parameters
        ----------
        event, old
            As it stands, and the reference frozen before.
        request, now
            What is asked instead, and when.
        events
            Those in force.

        Raises
        ------
        EventOverError, RefusedError, NoPlanError
            Where it cannot be replaced.
        """
        if event.state not in (EventState.ACCEPTED, EventState.RUNNING):
            raise EventOverError(
                f"the event is {event.state} and can no longer be replaced",
                field="state",
                value=str(event.state),
                remedy="Send a new event.",
            )
        running = event.state is EventState.RUNNING
        if request.block_id != event.request.block_id:
            raise RefusedError(
                "an event stays in its block",
                field="block",
                value=request.block_id,
                remedy="Withdraw it and send a new event.",
            )
        if running and request.direction is not event.request.direction:
            raise RefusedError(
                "a running event keeps its direction",
                field="direction",
                value=str(request.direction),
                remedy="Withdraw it and send a new event.",
            )
        block, product = self.block(request.block_id), self._product(request)
        check(
            request,
            block,
            product,
            now,
            running_since=event.request.start if running else None,
            least_w=self._least_w,
        )
        found = self._flexibility(block, now, events, event.id)
        since = max(floor_to(now), request.start) if running else request.start
        first, count = _window(found, since, request.end)
        available = _available_w(found, request, events, first, count, event.id)
        if found.issued_at >= event.received_at and request.direction is event.request.direction:
            # The plan spends on this event already: that can be spent on it again.
            shared = min(event.request.end, request.end) - max(event.request.start, since)
            available += event.accepted_w * max(shared / (request.end - since), 0.0)
        margin = found.flex.margin_w(request.direction, first, count)
        offer = self._decide(request, available, product, margin)
        reference = _carried_on(
            old, event, _reference(event.id, found, first, count), since, request, running
        )
        members = event.participants if running else tuple(reference.homes_w)
        with_battery = event.battery_takes_part if running else bool(reference.battery_w)
        rows = [reference.homes_w[home] for home in members if home in reference.homes_w]
        if with_battery and reference.battery_w:
            rows.append(reference.battery_w)
        change = substitute(
            event,
            request,
            accepted_w=offer.accepted_w,
            reference_w=[sum(column) for column in zip(*rows, strict=True)],
            reason=offer.reason,
            now=now,
            margin_w=float(margin.max()),
        )
        return change, reference


def _window(found: Flexibility, start: datetime, finish: datetime) -> tuple[int, int]:
    """Return the place of a time among the plan's half-hours: first and how many."""
    flex = found.flex
    first = round((start - flex.start) / HALF_HOUR)
    count = round((finish - start) / HALF_HOUR)
    reach = flex.start + HALF_HOUR * flex.slots
    if first < 0 or finish > reach:
        raise RefusedError(
            f"plans reach until {reach.isoformat()}, and nothing is promised beyond",
            field="end",
            value=finish.isoformat(),
            remedy="Send it nearer to its start.",
            conflict=True,
        )
    return first, count


def _available_w(
    found: Flexibility,
    request: FlexRequest,
    events: Sequence[FlexEvent],
    first: int,
    count: int,
    except_id: str = "",
) -> float:
    """Return what is left for a request beside other events [W]."""
    taken = promised_w(events, request, found.issued_at, except_id)
    whole = sustained_w(found.flex, request.direction, first, count)
    # What the others take of a battery is taken off there already.
    return whole - taken if found.flex.battery is None else whole


def _reference(event_id: str, found: Flexibility, first: int, count: int) -> EventReference:
    span = slice(first, first + count)
    flex = found.flex
    planned = sum((home.power_w for home in flex.homes), found.water_w)
    share = len(flex.homes) / max(len(flex.homes) + len(found.left_out), 1)
    heating = found.doubt.heating_w(planned, share)[1]
    # What plans have missed lately is shared out evenly: it is known of the block only.
    missed = (heating - planned) / max(len(flex.homes), 1)
    homes = {home.dwelling_id: home.base_w + home.power_w for home in flex.homes}
    return EventReference(
        event_id,
        {
            name: tuple((expected + missed)[span].tolist())
            for name, expected in sorted((homes | dict(found.absent_w)).items())
        },
        () if flex.battery is None else tuple(flex.battery.power_w[span].tolist()),
    )


def _total(reference: EventReference) -> list[float]:
    rows = list(reference.homes_w.values())
    if reference.battery_w:
        rows.append(reference.battery_w)
    return [sum(column) for column in zip(*rows, strict=True)]


def _carried_on(
    old: EventReference | None,
    event: FlexEvent,
    fresh: EventReference,
    since: datetime,
    request: FlexRequest,
    running: bool,
) -> EventReference:
    """Return a reference over the new request's half-hours that keeps what was frozen before.

    Half-hours of the old request keep its figures; others take those of the present plan,
    the last figure where the plan does not reach back.
    """
    if old is None:
        return fresh
    count = round((request.end - request.start) / HALF_HOUR)
    skip = round((since - request.start) / HALF_HOUR)
    shift = round((request.start - event.request.start) / HALF_HOUR)

    def join(before: tuple[float, ...], after: tuple[float, ...]) -> tuple[float, ...]:
        row = []
        for slot in range(count):
            if 0 <= slot + shift < len(before):
                row.append(before[slot + shift])
            else:
                row.append(after[max(slot - skip, 0)] if after else before[-1])
        return tuple(row)

    homes = old.homes_w if running else fresh.homes_w
    battery = old.battery_w if running else fresh.battery_w
    return EventReference(
        event.id,
        {home: join(old.homes_w.get(home, ()), fresh.homes_w.get(home, ())) for home in homes},
        join(old.battery_w, fresh.battery_w) if battery else (),
    )
