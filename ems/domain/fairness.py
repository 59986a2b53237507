"""Who bore what for demand-response events: one entry per home and event, and their sum.

*Burden* is extra kelvin-hours below the resident's schedule that an event caused, *share* the
part of an event's burden that a home would bear were it spread fairly, *benefit* the change of
its bill together with its part of what the event was paid. ``docs/metrics.md`` has the formulas.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum


class PaymentRule(StrEnum):
    """How the tenants' part of an event's payment is divided among its homes."""

    EQUAL = "equal"
    """By the time that each took part."""
    BURDEN = "burden"
    """By the burden that each bore; equally where nobody bore any."""


@dataclass(frozen=True, slots=True)
class ExpectedHome:
    """What one home would do without an event, a value per half-hour.

    Attributes
    ----------
    room_c
        Mean room temperature that the plan without the event expects [°C].
    asked_c
        What its resident's schedule asks for, or its floor where that is higher [°C].
    power_w
        Its heat pump for rooms, hot water left out [W].
    """

    room_c: tuple[float, ...]
    asked_c: tuple[float, ...]
    power_w: tuple[float, ...]


@dataclass(frozen=True, slots=True)
class ExpectedHomes:
    """What homes would do in an event's hours without it, kept before it shapes them.

    Attributes
    ----------
    event_id
        Which event.
    start
        First half-hour, UTC: when its preparation may begin.
    homes
        Home → its half-hours, until some hours after the event.
    """

    event_id: str
    start: datetime
    homes: Mapping[str, ExpectedHome]


@dataclass(frozen=True, slots=True)
class EventBurden:
    """One home's entry of one event; written once.

    Attributes
    ----------
    event_id, block_id, dwelling_id
        Which event and which home.
    started_at, ended_at
        Of the event, UTC.
    burden_kh
        Extra kelvin-hours below the schedule [K·h], never negative; ``None`` where the room's
        readings or what was expected are missing.
    cold_hours
        Of those hours, how many the room was more than half a kelvin below its schedule and
        would not have been [h]; ``None`` as above.
    share
        The home's fair part of the event's burden; shares of an event sum to one, and a home
        that took no part has none.
    bill_gbp
        Change of its bill [£], negative is a saving; ``None`` where readings or rates are
        missing.
    payment_gbp
        Its part of what the event was paid [£].
    """

    event_id: str
    block_id: str
    dwelling_id: str
    started_at: datetime
    ended_at: datetime
    burden_kh: float | None
    cold_hours: float | None
    share: float
    bill_gbp: float | None
    payment_gbp: float


@dataclass(frozen=True, slots=True)
class EventEntered:
    """Marks an event whose homes all have their entries.

    ``why_not`` says why it has none, where it has none.
    """

    event_id: str
    at: datetime
    why_not: str = ""


@dataclass(frozen=True, slots=True)
class Standing:
    """Where one home stands over a stretch of time.

    Attributes
    ----------
    dwelling_id
        Which home.
    events
        In how many events it took part.
    burden_kh
        What it bore [K·h].
    fair_kh
        What its fair share of the burden of the same events would be [K·h].
    cold_hours
        Hours more than half a kelvin below its schedule because of events [h].
    bill_gbp, payment_gbp
        Change of its bill, and its part of payments [£].
    unknown
        Events in which its burden could not be told.
    """

    dwelling_id: str
    events: int
    burden_kh: float
    fair_kh: float
    cold_hours: float
    bill_gbp: float
    payment_gbp: float
    unknown: int = 0

    @property
    def ratio(self) -> float | None:
        """Burden over fair share [-]; ``None`` where nobody bore anything."""
        return self.burden_kh / self.fair_kh if self.fair_kh > 0 else None

    @property
    def benefit_gbp(self) -> float:
        """What it gained: its part of payments less the change of its bill [£]."""
        return self.payment_gbp - self.bill_gbp


@dataclass(frozen=True, slots=True)
class MonthLedger:
    """All homes' standings over a stretch of time, and how evenly the burden lies.

    Attributes
    ----------
    since, until
        Events that ended in [since, until), UTC.
    events
        How many there were.
    homes
        Standings of the homes that took part in any, in the order of the estate.
    """

    since: datetime
    until: datetime
    events: int
    homes: tuple[Standing, ...]

    @property
    def burden_kh(self) -> float:
        """The burden of all homes [K·h]."""
        return sum(home.burden_kh for home in self.homes)

    @property
    def most_burdened(self) -> Standing | None:
        """The home that stands highest above its fair share; ``None`` without any burden."""
        known = [home for home in self.homes if home.ratio is not None]
        return max(known, key=lambda home: (home.ratio or 0.0, home.dwelling_id), default=None)

    def of(self, dwelling_id: str) -> Standing | None:
        """Return one home's standing, or ``None`` where it took part in nothing."""
        return next((home for home in self.homes if home.dwelling_id == dwelling_id), None)
