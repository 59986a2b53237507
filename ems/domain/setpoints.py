"""Setpoints: what Hearth asks of a device, why, until when, and what came of it.

An outcome is a value of a closed union; nothing is raised when a device refuses.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum

from ems.domain.points import PointId


class Cause(StrEnum):
    """Why a setpoint is what it is; the order is the order of precedence."""

    DEVICE_PROTECTION = "device_protection"
    IMPORT_LIMIT = "import_limit"
    RESIDENT = "resident"
    COMFORT_FLOOR = "comfort_floor"
    EVENT = "event"
    PEAK = "peak"
    """The highest import of a day or month is charged for."""
    SCHEDULE = "schedule"
    """The resident's schedule asks for it; no price or event changed it."""
    CHEAP_NOW = "cheap_now"
    """Heat or charge now because energy is dearer soon."""
    DEAR_NOW = "dear_now"
    """Coast or discharge now because energy is cheaper later."""
    CARBON = "carbon"
    """Electricity is cleaner, or less clean, than at other times."""
    SOLAR = "solar"
    """Take up the block's own generation."""
    MILD_NOW = "mild_now"
    """Heat takes less electricity, or more, than at other times of the day."""
    HOT_WATER = "hot_water"
    """The heat pump is needed for hot water."""
    BATTERY_FULL = "battery_full"
    BATTERY_LOW = "battery_low"
    """The battery is down to its reserve, or will be."""
    HOLD = "hold"
    """Nothing to gain by changing."""
    GENTLE_TEST = "gentle_test"
    """A night's rest within comfort, that shows how a home keeps its warmth."""
    NO_PLAN = "no_plan"
    """No fresh plan or no fresh readings: the device's own control at the schedule."""
    RELEASE = "release"
    """Handed back to the device's own control."""


@dataclass(frozen=True, slots=True)
class Setpoint:
    """One value asked of one point.

    Attributes
    ----------
    id
        Unique, sortable by time.
    point_id
        Device and canonical point.
    value
        In the point's unit.
    issued_at, expires_at
        Estate time, UTC. After ``expires_at`` the guard writes ``release_value`` unless
        the setpoint was renewed.
    cause, sentence
        Machine-readable reason, the chief one, and one plain sentence for people.
    release_value
        What hands the device back to a state that is safe for ever.
    plan_id
        The plan it came from; empty where it came from none.
    also
        Further causes, most telling first; each was needed for the setpoint to be what it is.
    """

    id: str
    point_id: PointId
    value: float
    issued_at: datetime
    expires_at: datetime
    cause: Cause
    sentence: str
    release_value: float
    plan_id: str = ""
    also: tuple[Cause, ...] = ()

    @property
    def causes(self) -> tuple[Cause, ...]:
        """All causes, the chief one first."""
        return (self.cause, *self.also)


@dataclass(frozen=True, slots=True)
class Applied:
    """Written where needed, and read back within tolerance."""

    read_back: float
    written: bool
    """``False`` where the device already held the value and no write was needed."""
    proven: bool = True
    """``False`` where the register cannot be read: the device acknowledged the write."""


@dataclass(frozen=True, slots=True)
class OutOfBounds:
    """Not written: the profile's limits forbid the value."""

    low: float
    high: float


@dataclass(frozen=True, slots=True)
class Rejected:
    """The device answered with a Modbus exception."""

    exception_code: int
    detail: str


@dataclass(frozen=True, slots=True)
class Unreachable:
    """The device did not answer; nothing is known of its state."""

    detail: str


@dataclass(frozen=True, slots=True)
class Unconfirmed:
    """Written, but reading back gave another value."""

    read_back: float


@dataclass(frozen=True, slots=True)
class Deferred:
    """Not written: the register wears out and was written too recently.

    ``held`` is what the device holds meanwhile; from ``until`` (estate time, UTC) the
    write is permitted again.
    """

    held: float
    until: datetime


@dataclass(frozen=True, slots=True)
class Overtaken:
    """Not written: somebody changed the point between the look at it and the command.

    ``held`` is what it holds: neither what the command was decided on nor what it was told.
    """

    held: float


@dataclass(frozen=True, slots=True)
class NotWritten:
    """Not written, and nothing else done: Hearth itself keeps from it.

    ``why`` says it: a dry run, an uncertain address that nobody confirmed, or a device that
    is not what its profile says.
    """

    why: str


Outcome = (
    Applied | OutOfBounds | Rejected | Unreachable | Unconfirmed | Deferred | Overtaken | NotWritten
)
"""What came of a setpoint."""

DRY_RUN = "dry run"
"""Why nothing is written where Hearth only shows what it would do."""


@dataclass(frozen=True, slots=True)
class WriteCount:
    """How often Hearth has written a point: registers in flash memory wear out.

    Attributes
    ----------
    point_id
        Which point.
    total
        All writes, a write that was not answered too.
    urgent
        Those of them that do not wait for flash protection: the resident's, for safety, and
        to hand a device back.
    since, last_at
        First and last write, UTC.
    """

    point_id: PointId
    total: int
    urgent: int
    since: datetime
    last_at: datetime


@dataclass(frozen=True, slots=True)
class SetpointRecord:
    """A setpoint with its outcome, as the store keeps it."""

    setpoint: Setpoint
    outcome: Outcome
    finished_at: datetime
