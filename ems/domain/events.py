"""Demand-response events: what was asked, what was promised, how it went.

One state machine (see :data:`TRANSITIONS`); each change is a :class:`Transition` with its
cause. Power is electric [W] at the participants' meters; *down* means less import.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum


class Direction(StrEnum):
    """Which way the participants' import is to move."""

    DOWN = "down"
    UP = "up"


class EventState(StrEnum):
    """Where an event stands."""

    REFUSED = "refused"
    ACCEPTED = "accepted"
    RUNNING = "running"
    RECOVERING = "recovering"
    """Over, homes come back one after another under a cap."""
    SETTLED = "settled"
    CANCELLED = "cancelled"
    """Withdrawn before it started; one withdrawn while it ran goes on to be settled pro rata."""


TRANSITIONS: dict[EventState, frozenset[EventState]] = {
    EventState.REFUSED: frozenset(),
    EventState.ACCEPTED: frozenset({EventState.RUNNING, EventState.CANCELLED}),
    EventState.RUNNING: frozenset({EventState.RECOVERING}),
    EventState.RECOVERING: frozenset({EventState.SETTLED}),
    EventState.SETTLED: frozenset(),
    EventState.CANCELLED: frozenset(),
}
"""Permitted changes of state."""


@dataclass(frozen=True, slots=True)
class FlexRequest:
    """What an aggregator or an operator asks for.

    Attributes
    ----------
    block_id
        Which block.
    direction, power_w
        Change of the participants' import against the reference frozen at acceptance [W], > 0.
    start, end
        UTC, on half-hours unless the product says otherwise.
    source
        Aggregator's id, or ``operator``.
    product_id
        Product of the configuration; empty for an operator's own.
    idempotency_key
        Sent twice, it counts once.
    """

    block_id: str
    direction: Direction
    power_w: float
    start: datetime
    end: datetime
    source: str
    product_id: str = ""
    idempotency_key: str = ""


@dataclass(frozen=True, slots=True)
class Instruction:
    """What was promised over a stretch of time: ``power_w`` [W] in [start, end), UTC.

    An event that was replaced or withdrawn while it ran has several, or a shortened one.
    """

    start: datetime
    end: datetime
    power_w: float


@dataclass(frozen=True, slots=True)
class FlexEvent:
    """An event and its present state.

    Attributes
    ----------
    id
        Unique, sortable by time.
    request
        As it was asked (a replacing PUT puts a new one here and keeps the id).
    state
        Where it stands.
    accepted_w
        Promised change [W]; less than asked where it was trimmed; 0 where refused.
    reason
        Why it was trimmed or refused, for the sender; empty otherwise.
    received_at
        Estate time, UTC.
    reference_w
        Participants' import without the event, per half-hour from ``request.start``, frozen at
        acceptance [W].
    participants
        Homes frozen at the start, in order; empty before. The block's battery takes part where
        ``battery_takes_part``.
    battery_takes_part
        Whether the battery is among the participants.
    ended_at
        When control ended: the end, or earlier where it was withdrawn.
    instructions
        What was promised when, in order and without overlap; settled pro rata.
    margin_w
        How much more than promised control aims at, for what cannot be foreseen [W].
    """

    id: str
    request: FlexRequest
    state: EventState
    accepted_w: float
    reason: str
    received_at: datetime
    reference_w: tuple[float, ...] = ()
    participants: tuple[str, ...] = ()
    battery_takes_part: bool = False
    ended_at: datetime | None = None
    instructions: tuple[Instruction, ...] = ()
    margin_w: float = 0.0


@dataclass(frozen=True, slots=True)
class Foreseen:
    """What a plan that no event shaped expected of a block's next half-hours.

    Attributes
    ----------
    block_id, start
        Which block; the first half-hour, UTC.
    homes
        Which were planned.
    heating_w
        Their heat pumps in sum, hot water included, per half-hour [W].
    battery_w
        The block's battery, charging positive [W]; empty without one.
    """

    block_id: str
    start: datetime
    homes: tuple[str, ...]
    heating_w: tuple[float, ...]
    battery_w: tuple[float, ...]


@dataclass(frozen=True, slots=True)
class Undisturbed:
    """What a plan without an event expects of its hours, kept before the event shapes them.

    Attributes
    ----------
    event_id
        Which event.
    issued_at, start
        When it was planned; first half-hour, UTC.
    heating_w
        Heat pumps of the homes that may take part, hot water included, per half-hour [W].
    battery_w
        The block's battery, charging positive [W].
    block_import_w
        Net power at the feeder [W], until two hours after the event.
    heating_low_w, heating_high_w
        What those heat pumps draw at least and at most, at the stated confidence [W]; empty
        where that is not known.
    homes
        Of how many homes the heat pumps are; 0 where that was not kept.
    """

    event_id: str
    issued_at: datetime
    start: datetime
    heating_w: tuple[float, ...]
    battery_w: tuple[float, ...]
    block_import_w: tuple[float, ...]
    heating_low_w: tuple[float, ...] = ()
    heating_high_w: tuple[float, ...] = ()
    homes: int = 0


@dataclass(frozen=True, slots=True)
class Transition:
    """One change of an event, with its cause; never rewritten.

    ``before`` equals ``after`` where the event was replaced and stayed where it was.
    """

    event_id: str
    at: datetime
    before: EventState | None
    after: EventState
    cause: str


@dataclass(frozen=True, slots=True)
class SettledSlot:
    """One half-hour of a settlement; ``None`` where the meters cannot tell [W]."""

    start: datetime
    baseline_w: float | None
    actual_w: float | None
    delivered_w: float | None
    """Signed: positive in the direction that was asked for."""


@dataclass(frozen=True, slots=True)
class Settlement:
    """What an event delivered, measured from the meters afterwards.

    Attributes
    ----------
    event_id, measured_at
        Which event; when.
    slots
        Half-hours of the event.
    delivered_kwh
        Sum of the signed deliveries clipped at zero and at the instructed energy.
    asked_kwh
        Instructed energy, pro rata where it was withdrawn.
    net_kwh
        Baseline less actual from the start of preheating to the end of recovery, signed.
    baseline_rule, baseline_days, baseline_wanted
        Which baseline, from how many earlier days of how many wanted.
    payment_gbp
        By the product's table; ``None`` without a product.
    notes
        What was weak or missing, in words.
    """

    event_id: str
    measured_at: datetime
    slots: tuple[SettledSlot, ...]
    delivered_kwh: float
    asked_kwh: float
    net_kwh: float | None
    baseline_rule: str
    baseline_days: int
    baseline_wanted: int
    payment_gbp: float | None
    notes: tuple[str, ...] = ()
