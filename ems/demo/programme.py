"""Programmes of events to try an estate with: kinds in turn, spread evenly over days."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta

from ems.domain.events import Direction


@dataclass(frozen=True, slots=True)
class Kind:
    """An event of a programme: which way, from what hour (UTC), for how long [h]."""

    direction: Direction
    hour: float
    length_h: float


def spread(
    first_day: datetime, days: int, events: int, kinds: Sequence[Kind]
) -> list[tuple[datetime, Kind]]:
    """Return starts and kinds of so many events, in order.

    Parameters
    ----------
    first_day
        Any instant of the first day (UTC).
    days, events
        Over how many days they are spread evenly, and how many there are.
    kinds
        Taken in turn.
    """
    midnight = first_day.replace(hour=0, minute=0, second=0, microsecond=0)
    found = []
    for number in range(events):
        kind = kinds[number % len(kinds)]
        day = midnight + timedelta(days=number * days // events)
        found.append((day + timedelta(hours=kind.hour), kind))
    return found
