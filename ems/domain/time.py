"""Instants, half-hours and the estate's clock.

Instants are aware and in UTC everywhere; local time exists only for tariffs,
comfort schedules and display. *Estate time* is the time of the estate, real or
simulated; *wall time* is the computer's. Code that needs the time is handed a
:class:`Clock`; pure code is handed the instant itself.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, date, datetime, timedelta
from typing import Protocol
from zoneinfo import ZoneInfo

from ems.domain.errors import InvalidInputError

HALF_HOUR = timedelta(minutes=30)
HALF_HOUR_S = 1800


class Clock(Protocol):
    """Estate time, and how long it takes to pass."""

    @property
    def speed(self) -> float:
        """Seconds of estate time that pass in one second of wall time."""
        ...

    def now(self) -> datetime:
        """Return the present instant of estate time, aware, UTC."""
        ...


@dataclass(frozen=True, slots=True)
class AnchoredClock:
    """Estate time as a straight line through one anchor.

    ``estate = estate_anchor + (wall - wall_anchor_s) * speed``. Two processes
    that hold the same anchor agree on the time without speaking to each other.

    Attributes
    ----------
    estate_anchor
        Estate time at the anchor, UTC.
    wall_anchor_s
        Wall time at the anchor [s since the epoch].
    speed
        Estate seconds per wall second, > 0.
    """

    estate_anchor: datetime
    wall_anchor_s: float
    speed: float = 1.0

    def __post_init__(self) -> None:
        require_utc(self.estate_anchor, "estate_anchor")
        if not self.speed > 0:
            raise InvalidInputError(
                "the clock's speed must be positive",
                field="speed",
                value=self.speed,
                remedy="Use 1 for real time, 60 for a minute a second.",
            )

    def at_wall(self, wall_s: float) -> datetime:
        """Return estate time at the wall time ``wall_s`` [s since the epoch]."""
        return self.estate_anchor + timedelta(seconds=(wall_s - self.wall_anchor_s) * self.speed)

    def wall_at(self, instant: datetime) -> float:
        """Return the wall time [s since the epoch] at which ``instant`` comes."""
        return self.wall_anchor_s + (instant - self.estate_anchor).total_seconds() / self.speed


def require_utc(instant: datetime, field: str) -> datetime:
    """Return ``instant`` if it is aware and in UTC, else raise `InvalidInputError`."""
    if instant.tzinfo is None or instant.utcoffset() != timedelta(0):
        raise InvalidInputError(
            "an instant must be aware and in UTC",
            field=field,
            value=instant.isoformat(),
            remedy="Attach datetime.UTC or convert with .astimezone(UTC).",
        )
    return instant


def floor_to(instant: datetime, step_s: int = HALF_HOUR_S) -> datetime:
    """Return the latest multiple of ``step_s`` [s] since the epoch at or before ``instant``."""
    epoch_s = int(instant.timestamp() // step_s) * step_s
    return datetime.fromtimestamp(epoch_s, UTC)


def ceil_to(instant: datetime, step_s: int = HALF_HOUR_S) -> datetime:
    """Return the earliest multiple of ``step_s`` [s] since the epoch at or after ``instant``."""
    floored = floor_to(instant, step_s)
    return floored if floored == instant else floored + timedelta(seconds=step_s)


def steps(start: datetime, count: int, step_s: int = HALF_HOUR_S) -> Iterator[datetime]:
    """Yield ``count`` instants from ``start``, ``step_s`` [s] apart."""
    for index in range(count):
        yield start + timedelta(seconds=index * step_s)


def local_day_bounds(day: date, zone: ZoneInfo) -> tuple[datetime, datetime]:
    """Return the UTC instants at which the local calendar ``day`` starts and ends.

    A day on which clocks change is 23 or 25 hours long.
    """
    start = datetime(day.year, day.month, day.day, tzinfo=zone)
    following = day + timedelta(days=1)
    end = datetime(following.year, following.month, following.day, tzinfo=zone)
    return start.astimezone(UTC), end.astimezone(UTC)
