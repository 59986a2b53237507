"""An event's life: one state machine, each change with its cause.

Functions take the event as it stands and return what it becomes; nothing is changed in
place, and a change that :data:`ems.domain.events.TRANSITIONS` does not permit raises.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from datetime import datetime, timedelta

from ems.domain.errors import PermanentError
from ems.domain.events import (
    TRANSITIONS,
    EventState,
    FlexEvent,
    FlexRequest,
    Instruction,
    Transition,
)
from ems.domain.time import HALF_HOUR

RECOVERY = timedelta(hours=2)
"""After an event homes come back one after another; what they then use is counted until here."""

IN_FORCE = frozenset({EventState.ACCEPTED, EventState.RUNNING, EventState.RECOVERING})
"""States in which an event still matters to control."""

PROMISED = IN_FORCE | {EventState.SETTLED}
"""States of events that touched, or will touch, the days they lie on."""


class EventOverError(PermanentError):
    """The event is over: it can no longer be changed."""


@dataclass(frozen=True, slots=True)
class Change:
    """What an event became, and the record of it."""

    event: FlexEvent
    transition: Transition


def _change(before: FlexEvent, after: FlexEvent, at: datetime, cause: str) -> Change:
    if after.state not in TRANSITIONS[before.state]:
        raise EventOverError(
            f"an event that is {before.state} cannot become {after.state}",
            field="state",
            value=str(before.state),
            remedy="Send a new event.",
        )
    return Change(after, Transition(after.id, at, before.state, after.state, cause))


def accept(
    event_id: str,
    request: FlexRequest,
    *,
    accepted_w: float,
    reference_w: Sequence[float],
    battery_takes_part: bool,
    reason: str,
    now: datetime,
    margin_w: float = 0.0,
) -> Change:
    """Return a new event that was accepted; ``reason`` says why it was trimmed, if it was."""
    event = FlexEvent(
        id=event_id,
        request=request,
        state=EventState.ACCEPTED,
        accepted_w=accepted_w,
        reason=reason,
        received_at=now,
        reference_w=tuple(reference_w),
        battery_takes_part=battery_takes_part,
        instructions=(Instruction(request.start, request.end, accepted_w),),
        margin_w=margin_w,
    )
    cause = f"accepted: {reason}" if reason else "accepted as asked"
    return Change(event, Transition(event_id, now, None, EventState.ACCEPTED, cause))


def substitute(
    event: FlexEvent,
    request: FlexRequest,
    *,
    accepted_w: float,
    reference_w: Sequence[float],
    reason: str,
    now: datetime,
    margin_w: float = 0.0,
) -> Change:
    """Return the event with another request in the place of its own.

    One that runs keeps what was promised until ``now`` and goes on with the new promise.

    Raises
    ------
    EventOverError
        Where it is over.
    """
    if event.state not in (EventState.ACCEPTED, EventState.RUNNING):
        raise EventOverError(
            f"the event is {event.state} and can no longer be replaced",
            field="state",
            value=str(event.state),
            remedy="Send a new event.",
        )
    since = now if event.state is EventState.RUNNING else request.start
    kept = _until(event.instructions, since) if event.state is EventState.RUNNING else ()
    after = replace(
        event,
        request=request,
        accepted_w=accepted_w,
        reason=reason,
        received_at=now,
        reference_w=tuple(reference_w),
        instructions=(*kept, Instruction(since, request.end, accepted_w)),
        margin_w=margin_w,
    )
    cause = f"replaced by {request.source}" + (f": {reason}" if reason else "")
    return Change(after, Transition(event.id, now, event.state, event.state, cause))


def withdraw(event: FlexEvent, now: datetime, by: str) -> Change | None:
    """Return the event withdrawn; ``None`` where it is over already.

    Before it runs it is cancelled; while it runs control ends at once, and what was
    promised until then is settled.
    """
    if event.state is EventState.ACCEPTED:
        after = replace(event, state=EventState.CANCELLED, ended_at=now, instructions=())
        return _change(event, after, now, f"withdrawn by {by} before it ran")
    if event.state is EventState.RUNNING:
        after = replace(
            event,
            state=EventState.RECOVERING,
            ended_at=now,
            instructions=_until(event.instructions, now),
        )
        return _change(event, after, now, f"withdrawn by {by} while it ran")
    return None


def begin(
    event: FlexEvent,
    *,
    participants: Sequence[str],
    battery_takes_part: bool,
    reference_w: Sequence[float],
    now: datetime,
) -> Change:
    """Return the event running, its participants frozen."""
    after = replace(
        event,
        state=EventState.RUNNING,
        participants=tuple(participants),
        battery_takes_part=battery_takes_part,
        reference_w=tuple(reference_w),
    )
    homes = f"{len(participants)} home{'' if len(participants) == 1 else 's'}"
    with_battery = " with the battery" if battery_takes_part else ""
    late = "" if now < event.request.end else "; control was away until after its end"
    return _change(event, after, now, f"its start came for {homes}{with_battery}{late}")


def end(event: FlexEvent, now: datetime) -> Change:
    """Return the event recovering: its end came."""
    after = replace(event, state=EventState.RECOVERING, ended_at=event.request.end)
    return _change(event, after, now, "its end came")


def settle(event: FlexEvent, now: datetime) -> Change:
    """Return the event settled."""
    return _change(event, replace(event, state=EventState.SETTLED), now, "measured from the meters")


def recovered_at(event: FlexEvent) -> datetime:
    """Return when an event's recovery ends."""
    return (event.ended_at or event.request.end) + RECOVERY


def _until(instructions: Sequence[Instruction], instant: datetime) -> tuple[Instruction, ...]:
    return tuple(
        replace(one, end=min(one.end, instant)) for one in instructions if one.start < instant
    )


def instructed_wh(event: FlexEvent, start: datetime, finish: datetime) -> float:
    """Return the energy promised in [start, finish) [Wh]."""
    total = 0.0
    for one in event.instructions:
        hours = (min(one.end, finish) - max(one.start, start)).total_seconds() / 3600.0
        total += one.power_w * max(hours, 0.0)
    return total


def slots_of(event: FlexEvent) -> tuple[datetime, ...]:
    """Return the half-hours in which anything was promised, in order."""
    if not event.instructions:
        return ()
    slot, last = event.request.start, max(one.end for one in event.instructions)
    slots = []
    while slot < last:
        slots.append(slot)
        slot += HALF_HOUR
    return tuple(slots)
