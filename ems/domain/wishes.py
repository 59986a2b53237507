"""A resident's wish for a time: it outranks every plan and every event.

Only what control needs to know of it; who made it, and its history, is kept elsewhere.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum

FROST_LIMIT_C = 8.0
"""No wish goes below this room temperature [°C]: pipes and fabric."""


class WishKind(StrEnum):
    """What a resident can ask for."""

    ROOM = "room"
    """This room temperature: warmer or cooler than the schedule."""
    AWAY = "away"
    """Nobody is at home: this temperature until the return."""
    OPT_OUT = "opt_out"
    """No planning: the schedule and nothing else."""


@dataclass(frozen=True, slots=True)
class Wish:
    """What one home's resident asked for.

    Attributes
    ----------
    dwelling_id
        Which home.
    kind
        What kind of wish.
    temperature_c
        Room temperature asked for [°C]; not used by an opt-out.
    until
        When it ends (UTC); ``None`` until it is taken back.
    at_device
        It was set at the heat pump itself, which keeps it without being told.
    """

    dwelling_id: str
    kind: WishKind
    temperature_c: float
    until: datetime | None
    at_device: bool = False

    def holds_at(self, instant: datetime) -> bool:
        """Return whether the wish is in force at ``instant`` (UTC)."""
        return self.until is None or instant < self.until


ALL_EVENTS = "all-events"
"""An opt-out of every event; planning by price goes on."""
ALL_PLANNING = "all-planning"
"""An opt-out of planning and of events: the schedule and nothing else."""


class Asking(StrEnum):
    """How a resident asks for something."""

    WARMER = "warmer"
    """Another temperature for some hours."""
    AWAY = "away"
    """Nobody at home until an instant."""
    OPT_OUT = "opt_out"
    """Out of one event, of all, or of planning altogether."""
    SCHEDULE = "schedule"
    """Another comfort schedule."""
    DEVICE = "device"
    """A change made at the heat pump itself."""


@dataclass(frozen=True, slots=True)
class ChosenPeriod:
    """From ``start_min`` [minutes after local midnight] on: ``temperature_c`` [°C]."""

    start_min: int
    temperature_c: float


@dataclass(frozen=True, slots=True)
class Asked:
    """What a resident asked for, with who and when; kept for good.

    Attributes
    ----------
    id
        Unique, sortable by time.
    dwelling_id, asking
        Which home, and how it asks.
    by
        Account, or ``heat pump`` for a change at the device.
    since
        From when, estate time, UTC.
    until
        When it ends by itself; the return for ``AWAY``; ``None`` until it is taken back.
    temperature_c
        For ``WARMER``, ``AWAY`` and ``DEVICE`` [°C].
    event
        For ``OPT_OUT``: an event's id, :data:`ALL_EVENTS` or :data:`ALL_PLANNING`.
    weekday, weekend
        For ``SCHEDULE``.
    ended_at, ended_by
        When and by whom it was taken back.
    """

    id: str
    dwelling_id: str
    asking: Asking
    by: str
    since: datetime
    until: datetime | None = None
    temperature_c: float | None = None
    event: str = ""
    weekday: tuple[ChosenPeriod, ...] = ()
    weekend: tuple[ChosenPeriod, ...] = ()
    ended_at: datetime | None = None
    ended_by: str = ""

    def holds_at(self, instant: datetime) -> bool:
        """Return whether it is in force at ``instant`` (UTC)."""
        if self.ended_at is not None and instant >= self.ended_at:
            return False
        return self.since <= instant and (self.until is None or instant < self.until)


class Finding(StrEnum):
    """What a value at a device that nobody of ours wrote is taken for."""

    SUSPECTED = "suspected"
    """Seen once; left alone until the next look."""
    RESIDENT = "resident"
    """Someone at home changed it: respected as the resident's choice."""
    UNKNOWN = "unknown"
    """Something else may explain it: left alone for a while, and shown."""


@dataclass(frozen=True, slots=True)
class DeviceChange:
    """A heat pump's room setpoint that is not what it was told.

    Attributes
    ----------
    dwelling_id, finding
        Which home, and what the change is taken for.
    value_c, told_c
        What the device shows and what it was told [°C].
    seen_at
        When it was seen first, UTC.
    until
        For ``UNKNOWN``: until when the device is left alone.
    why
        What may explain it where it is not taken for the resident's.
    """

    dwelling_id: str
    finding: Finding
    value_c: float
    told_c: float
    seen_at: datetime
    until: datetime | None = None
    why: str = ""
