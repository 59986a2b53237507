"""Baselines: what the participants would have drawn.

The rolling average. For a half-hour of an event, ``U`` is the mean of the same local
half-hour of the last ``days`` days of the same kind (working days, or weekends with bank
holidays), going back no further than ``look_back_days``; days with an event and days with a
missing reading in the half-hours needed are passed over. With an in-day adjustment
``IDA = mean(M - U)`` over the 3 hours that end 1 hour before the event's first half-hour,
the baseline is ``B = U + k IDA``; ``k`` is 0 unless a rule says otherwise.

Only readings from before the event's day go into ``U``, and only readings from before its
start into ``IDA``.
"""

from __future__ import annotations

import math
from collections.abc import Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, date, datetime, timedelta
from zoneinfo import ZoneInfo

from ems.domain.time import HALF_HOUR

ADJUST_SLOTS = 6
ADJUST_GAP = timedelta(hours=1)

Series = Mapping[datetime, float]
"""Mean power [W] by half-hour (UTC start); absent or ``nan`` where it was not measured."""


@dataclass(frozen=True, slots=True)
class BaselineRule:
    """Which days count, and how much of the day's own level.

    Attributes
    ----------
    days, look_back_days
        How many days are wanted, and how far back they may lie.
    adjust
        ``k`` of the in-day adjustment.
    """

    days: int = 10
    look_back_days: int = 61
    adjust: float = 0.0

    @property
    def words(self) -> str:
        """The rule in words."""
        adjusted = f", adjusted by {self.adjust:g} of the day's own level" if self.adjust else ""
        return (
            f"mean of the same half-hours of the last {self.days} days of the same kind "
            f"without an event, within {self.look_back_days} days{adjusted}"
        )


@dataclass(frozen=True, slots=True)
class Baseline:
    """One participant's baseline.

    Attributes
    ----------
    power_w
        Per half-hour asked for [W]; ``nan`` where no day can tell.
    days
        The days it is made of, newest first.
    """

    power_w: tuple[float, ...]
    days: tuple[date, ...]


def is_weekend(day: date, holidays: Collection[date]) -> bool:
    """Tell whether a local day counts with weekends: Saturday, Sunday or bank holiday."""
    return day.weekday() >= 5 or day in holidays


def local_slot(day: date, like: datetime, zone: ZoneInfo) -> datetime | None:
    """Return the half-hour (UTC) of a local day at the local time of day of ``like``.

    ``None`` where clocks skip that time on that day.
    """
    local = like.astimezone(zone)
    naive = datetime.combine(day, local.time())
    instant = naive.replace(tzinfo=zone, fold=local.fold).astimezone(UTC)
    return instant if instant.astimezone(zone).replace(tzinfo=None) == naive else None


def earlier_days(
    first: date, rule: BaselineRule, holidays: Collection[date], excluded: Collection[date]
) -> Iterator[date]:
    """Yield earlier local days of the same kind as ``first``, newest first."""
    kind = is_weekend(first, holidays)
    for back in range(1, rule.look_back_days + 1):
        day = first - timedelta(days=back)
        if day not in excluded and is_weekend(day, holidays) is kind:
            yield day


def rolling_average(
    series: Series,
    slots: Sequence[datetime],
    *,
    zone: ZoneInfo,
    holidays: Collection[date],
    event_days: Collection[date],
    rule: BaselineRule,
    event_start: datetime | None = None,
) -> Baseline:
    """Return the baseline of one participant.

    Parameters
    ----------
    series
        Its measured power by half-hour; nothing at or after ``event_start`` is looked at.
    slots
        Half-hours wanted (UTC), in order.
    zone, holidays
        Of the estate.
    event_days
        Local days to pass over.
    rule
        Which days, how many.
    event_start
        First half-hour of the event; the first of ``slots`` unless given.
    """
    start = event_start or slots[0]
    first = min(slots[0], start).astimezone(zone).date()
    offsets = [(slot.astimezone(zone).date() - first).days for slot in slots]
    rows: list[list[float]] = []
    days: list[date] = []
    before = [start - ADJUST_GAP - HALF_HOUR * (back + 1) for back in range(ADJUST_SLOTS)]
    for day in earlier_days(first, rule, holidays, event_days):
        row = [
            _value(series, local_slot(day + timedelta(days=offset), slot, zone))
            for slot, offset in zip(slots, offsets, strict=True)
        ]
        if any(math.isnan(value) for value in row):
            continue
        rows.append(row)
        days.append(day)
        if len(days) == rule.days:
            break
    if not rows:
        return Baseline((math.nan,) * len(slots), ())
    usual = [sum(column) / len(rows) for column in zip(*rows, strict=True)]
    shift = rule.adjust * _in_day(series, before, days, zone) if rule.adjust else 0.0
    return Baseline(tuple(value + shift for value in usual), tuple(days))


def _in_day(
    series: Series, before: Sequence[datetime], days: Sequence[date], zone: ZoneInfo
) -> float:
    """Return the mean of measured less usual over the half-hours before an event [W].

    A half-hour that was not measured counts in neither; 0 where none was.
    """
    differences = []
    for slot in before:
        usual = [
            value
            for day in days
            if not math.isnan(value := _value(series, local_slot(day, slot, zone)))
        ]
        measured = _value(series, slot)
        if usual and not math.isnan(measured):
            differences.append(measured - sum(usual) / len(usual))
    return sum(differences) / len(differences) if differences else 0.0


def _value(series: Series, slot: datetime | None) -> float:
    return math.nan if slot is None else series.get(slot, math.nan)
