"""Accepting, trimming and refusing: the rules, as values.

A request is refused for what it says (`check`), or for what the block can do (`decide`).
Overlapping events of one block share what there is: earlier ones keep what they were
promised, a later one in the same direction gets at most what is left, one in the other
direction is refused.
"""

from __future__ import annotations

import math
from collections.abc import Iterable
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

from ems.domain.errors import HearthError
from ems.domain.estate import Block, DRProduct
from ems.domain.events import Direction, FlexEvent, FlexRequest
from ems.domain.time import HALF_HOUR, floor_to
from ems.flex.life import IN_FORCE

LEAST_W = 2000.0
"""Least power of an event, where nothing else is configured [W]."""
LONGEST = timedelta(hours=4)
"""Longest event without a product: heating is off for no longer."""
FURTHEST = timedelta(days=7)
"""No event is taken further ahead."""


class RefusedError(HearthError):
    """A request was refused; nothing was changed.

    ``conflict`` tells that the request itself is sound, but not at this time.
    """

    def __init__(
        self, problem: str, *, field: str, value: Any, remedy: str, conflict: bool = False
    ) -> None:
        super().__init__(problem, field=field, value=value, remedy=remedy)
        self.conflict = conflict


@dataclass(frozen=True, slots=True)
class Offer:
    """What can be promised: power [W], and why it is less than asked where it is."""

    accepted_w: float
    reason: str


def check(
    request: FlexRequest,
    block: Block,
    product: DRProduct | None,
    now: datetime,
    *,
    running_since: datetime | None = None,
    least_w: float = LEAST_W,
) -> None:
    """Refuse a request that breaks a rule whatever the block could do.

    Parameters
    ----------
    request, block, product
        What is asked; of whom; by which rules (``least_w`` and `LONGEST` without a product).
    now
        UTC.
    running_since
        Start of the running event that it is to replace: its start stays.
    least_w
        Least power without a product [W].

    Raises
    ------
    RefusedError
        Naming the field, its value and the remedy.
    """
    _check_power(request, block, product, least_w)
    _check_times(request, product, now, running_since)


def _check_power(
    request: FlexRequest, block: Block, product: DRProduct | None, least_w: float
) -> None:
    asked, shown = request.power_w, request.power_w / 1000.0
    if not math.isfinite(asked) or asked <= 0:
        raise RefusedError(
            "the power must be above zero",
            field="power_kw",
            value=shown if math.isfinite(asked) else str(asked),
            remedy="Give the size of the change; the direction says which way.",
        )
    rating = block.limits.physical_import_w
    if asked > rating:
        raise RefusedError(
            f"this is more than the block's feeder carries ({rating / 1000:g} kW)",
            field="power_kw",
            value=shown,
            remedy="Ask for no more than /flex/v1/availability offers; the unit is kW.",
        )
    least = product.min_power_w if product else least_w
    if asked < least:
        raise RefusedError(
            f"this is less than the least power of {least / 1000:g} kW",
            field="power_kw",
            value=shown,
            remedy=f"Ask for {least / 1000:g} kW or more.",
        )
    if product is not None and product.direction != request.direction:
        raise RefusedError(
            f"the product {product.id} is for {product.direction}",
            field="direction",
            value=str(request.direction),
            remedy="Choose another product, or the product's direction.",
        )


def _check_times(
    request: FlexRequest, product: DRProduct | None, now: datetime, running_since: datetime | None
) -> None:
    for name, instant in (("start", request.start), ("end", request.end)):
        if floor_to(instant) != instant:
            raise RefusedError(
                "events start and end on half-hours",
                field=name,
                value=instant.isoformat(),
                remedy="Give minute 00 or 30.",
            )
    length = request.end - request.start
    if length <= timedelta(0):
        raise RefusedError(
            "the event ends before it starts",
            field="end",
            value=request.end.isoformat(),
            remedy="Give an end after the start.",
        )
    shortest = timedelta(seconds=product.min_duration_s) if product else HALF_HOUR
    longest = timedelta(seconds=product.max_duration_s) if product else LONGEST
    if not shortest <= length <= longest:
        raise RefusedError(
            f"events last from {_minutes(shortest)} to {_minutes(longest)}",
            field="end",
            value=_minutes(length),
            remedy="Change the end.",
        )
    if running_since is not None:
        _check_running(request, now, running_since)
        return
    if request.start < now:
        raise RefusedError(
            "the start has passed",
            field="start",
            value=request.start.isoformat(),
            remedy=f"Give a start to come; it is {now.isoformat(timespec='seconds')}.",
        )
    notice = timedelta(seconds=product.min_notice_s) if product else timedelta(0)
    if request.start - now < notice:
        raise RefusedError(
            f"the notice is shorter than {_minutes(notice)}",
            field="start",
            value=request.start.isoformat(),
            remedy=f"Give a start at or after {(now + notice).isoformat(timespec='seconds')}.",
        )
    if request.start - now > FURTHEST:
        raise RefusedError(
            f"this is more than {FURTHEST.days} days ahead",
            field="start",
            value=request.start.isoformat(),
            remedy="Send it nearer to its start.",
        )


def _check_running(request: FlexRequest, now: datetime, running_since: datetime) -> None:
    if request.start != running_since:
        raise RefusedError(
            "the event runs: its start cannot be changed",
            field="start",
            value=request.start.isoformat(),
            remedy=f"Give its start, {running_since.isoformat()}; power and end may change.",
        )
    if request.end <= now:
        raise RefusedError(
            "the end has passed",
            field="end",
            value=request.end.isoformat(),
            remedy="Give an end to come, or withdraw the event.",
        )


def _minutes(length: timedelta) -> str:
    return f"{length.total_seconds() / 60:g} min"


def promised_w(
    events: Iterable[FlexEvent], request: FlexRequest, since: datetime, except_id: str = ""
) -> float:
    """Return what overlapping events that arrived after ``since`` were promised [W].

    Events up to ``since`` are in the plan that availability is read from already.

    Raises
    ------
    RefusedError
        Where one of them, whenever it arrived, has the other direction.
    """
    total = 0.0
    for event in events:
        if (
            event.id == except_id
            or event.state not in IN_FORCE
            or event.request.block_id != request.block_id
            or event.ended_at is not None
            or event.request.end <= request.start
            or event.request.start >= request.end
        ):
            continue
        if event.request.direction is not request.direction:
            raise RefusedError(
                "another event moves this block the other way at that time",
                field="start",
                value=request.start.isoformat(),
                remedy="Choose another time.",
                conflict=True,
            )
        if event.received_at > since:
            total += event.accepted_w
    return total


def decide(
    request: FlexRequest,
    available_w: float,
    product: DRProduct | None,
    *,
    least_w: float = LEAST_W,
    noise_w: float = 0.0,
) -> Offer:
    """Return what can be promised of a sound request.

    Parameters
    ----------
    request, product
        What is asked, and by which rules.
    available_w
        What holds at the stated confidence [W].
    least_w, noise_w
        Least power without a product; and least power of any event, for less could not be
        told from what the block's use differs by anyway [W].

    Raises
    ------
    RefusedError
        Where less is available than the least power.
    """
    least = max(product.min_power_w if product else least_w, noise_w)
    if request.power_w < least:
        raise RefusedError(
            f"a change below {least / 1000:.1f} kW could not be told from what the block's own "
            "use may differ by at that time",
            field="power_kw",
            value=request.power_w / 1000.0,
            remedy=f"Ask for {math.ceil(least / 100.0) / 10.0:g} kW or more, or for another time.",
            conflict=True,
        )
    if available_w >= request.power_w:
        return Offer(request.power_w, "")
    offered = math.floor(max(available_w, 0.0) / 100.0) * 100.0
    if offered < least:
        raise RefusedError(
            f"{max(available_w, 0.0) / 1000:.1f} kW is left for that time beyond what the "
            f"block's own use may differ by, and the least power is {least / 1000:.3g} kW",
            field="power_kw",
            value=request.power_w / 1000.0,
            remedy="Ask /flex/v1/availability for a time at which there is more.",
            conflict=True,
        )
    word = "turn down" if request.direction is Direction.DOWN else "turn up"
    return Offer(
        offered,
        f"trimmed from {request.power_w / 1000:g} to {offered / 1000:g} kW, "
        f"what can be counted on to {word} for all of that time",
    )
