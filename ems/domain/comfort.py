"""Comfort: what a resident asked for, hour by hour, and the floor under it.

Times of day are local to the estate. Temperatures are of the living room [°C].
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import UTC, datetime, time, timedelta
from zoneinfo import ZoneInfo

from ems.domain.errors import InvalidInputError

FLOOR_C = 18.0
"""Default comfort floor [°C]; raised by a vulnerability marker, never lowered by a price."""


@dataclass(frozen=True, slots=True)
class ComfortPeriod:
    """From ``start`` (local time of day) until the next period: ``temperature_c`` [°C]."""

    start: time
    temperature_c: float


@dataclass(frozen=True, slots=True)
class ComfortSchedule:
    """A day's wishes, repeated; weekends may differ.

    Attributes
    ----------
    name
        Key in the configuration.
    weekday, weekend
        Periods in rising order of start; the first starts at 00:00.
    ceiling_k
        How far above the schedule preheating may go [K].
    """

    name: str
    weekday: tuple[ComfortPeriod, ...]
    weekend: tuple[ComfortPeriod, ...]
    ceiling_k: float = 2.0

    def __post_init__(self) -> None:
        for label, periods in (("weekday", self.weekday), ("weekend", self.weekend)):
            starts = [period.start for period in periods]
            if not starts or starts[0] != time(0) or starts != sorted(set(starts)):
                raise InvalidInputError(
                    "periods must start at 00:00 and rise",
                    field=f"comfort_schedules.{self.name}.{label}",
                    value=[start.strftime("%H:%M") for start in starts],
                    remedy="Begin with a period from 00:00 and list the rest in order.",
                )

    def temperature_at(self, instant: datetime, zone: ZoneInfo) -> float:
        """Return the temperature asked for [°C] at ``instant`` (UTC)."""
        local = instant.astimezone(zone)
        periods = self.weekend if local.weekday() >= 5 else self.weekday
        current = periods[0]
        for period in periods:
            if period.start > local.time():
                break
            current = period
        return current.temperature_c

    def next_change(self, instant: datetime, zone: ZoneInfo) -> datetime | None:
        """Return when the temperature asked for next changes after ``instant``, UTC.

        ``None`` where it never does.
        """
        today = instant.astimezone(zone).date()
        now_c = self.temperature_at(instant, zone)
        for ahead in range(9):
            day = today + timedelta(days=ahead)
            periods = self.weekend if day.weekday() >= 5 else self.weekday
            for period in periods:
                start = datetime.combine(day, period.start, zone).astimezone(UTC)
                if start > instant and period.temperature_c != now_c:
                    return start
        return None

    @property
    def highest_c(self) -> float:
        """The highest temperature asked for on any day [°C]: safe to hold for ever."""
        return max(period.temperature_c for period in self.weekday + self.weekend)
