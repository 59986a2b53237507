"""Measuring an event afterwards: delivery, net energy, payment.

Delivery in a half-hour is Σ over participants of baseline less actual, turned so that it is
positive in the direction asked for. A participant without a reading or a baseline in a
half-hour counts in neither of the two, and the notes say so. What is paid for is clipped at
zero and at the instructed energy of each half-hour.
"""

from __future__ import annotations

import math
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from datetime import date, datetime, timedelta
from zoneinfo import ZoneInfo

from ems.domain.estate import DRProduct
from ems.domain.events import Direction, FlexEvent, SettledSlot, Settlement
from ems.domain.time import HALF_HOUR, ceil_to, floor_to
from ems.flex.baseline import Baseline, BaselineRule, Series, rolling_average
from ems.flex.life import instructed_wh, recovered_at, slots_of

PREHEAT = timedelta(hours=2)
"""Net energy is counted from so long before the start."""
_H = 0.5
BATTERY = "battery"
"""Stands for the block's battery among participants' series."""


@dataclass(frozen=True, slots=True)
class Calendar:
    """What baselines need to know of days: zone, bank holidays, days with an event."""

    zone: ZoneInfo
    holidays: Collection[date]
    event_days: Collection[date]


def measured_span(event: FlexEvent) -> tuple[datetime, datetime]:
    """Return the half-hours [start, end) that a settlement looks at."""
    return event.request.start - PREHEAT, ceil_to(recovered_at(event))


def days_of(event: FlexEvent, zone: ZoneInfo) -> set[date]:
    """Return the local days that an event touched, preheating and recovery included."""
    first, last = measured_span(event)
    day, final = first.astimezone(zone).date(), last.astimezone(zone).date()
    days = set()
    while day <= final:
        days.add(day)
        day += timedelta(days=1)
    return days


def payment_share(ratio: float, product: DRProduct) -> float:
    """Return the share of full payment at a delivery ratio: a straight line between bounds."""
    span = product.full_payment_ratio - product.no_payment_ratio
    return min(max((ratio - product.no_payment_ratio) / span, 0.0), 1.0)


def payment_gbp(
    product: DRProduct, *, asked_kwh: float, delivered_kwh: float, earlier_ratio: float
) -> float:
    """Return what an event earns [£].

    Utilisation is paid on the instructed energy, by the table; availability on the same
    energy as power held ready, by the mean delivery of earlier events.
    """
    if asked_kwh <= 0:
        return 0.0
    ratio = min(max(delivered_kwh / asked_kwh, 0.0), 1.0)
    utilisation = product.utilisation_gbp_per_kwh * asked_kwh * payment_share(ratio, product)
    held = product.availability_gbp_per_kw_h * asked_kwh
    return utilisation + held * min(max(earlier_ratio, 0.0), 1.0)


def measure(
    event: FlexEvent,
    series: Mapping[str, Series],
    *,
    calendar: Calendar,
    rule: BaselineRule,
    product: DRProduct | None,
    earlier_ratio: float,
    now: datetime,
) -> Settlement:
    """Return the settlement of an event.

    Parameters
    ----------
    event
        Whose control has ended.
    series
        Participants' measured power by half-hour, by dwelling id, and `BATTERY`'s.
    calendar, rule
        Days, and which of them make a baseline.
    product, earlier_ratio
        What pays, and the mean delivery ratio of earlier events (1 where there is none).
    now
        When it is measured, UTC.
    """
    first, last = measured_span(event)
    count = int((last - first) / HALF_HOUR)
    grid = [first + HALF_HOUR * index for index in range(count)]
    baselines = {
        who: rolling_average(
            values,
            grid,
            zone=calendar.zone,
            holidays=calendar.holidays,
            event_days=calendar.event_days,
            rule=rule,
            event_start=event.request.start,
        )
        for who, values in series.items()
    }
    totals = {slot: _sums(slot, index, series, baselines) for index, slot in enumerate(grid)}
    sign = 1.0 if event.request.direction is Direction.DOWN else -1.0
    slots = []
    delivered_wh = 0.0
    for slot in slots_of(event):
        base, actual, _ = totals[slot]
        signed = None if base is None or actual is None else sign * (base - actual)
        slots.append(SettledSlot(slot, base, actual, signed))
        instructed = instructed_wh(event, slot, slot + HALF_HOUR)
        delivered_wh += min(max((signed or 0.0) * _H, 0.0), instructed)
    asked_wh = instructed_wh(event, first, last)
    net = [
        (base - actual) * _H
        for base, actual, _ in totals.values()
        if base is not None and actual is not None
    ]
    days = min((len(one.days) for one in baselines.values()), default=0)
    return Settlement(
        event_id=event.id,
        measured_at=now,
        slots=tuple(slots),
        delivered_kwh=delivered_wh / 1000.0,
        asked_kwh=asked_wh / 1000.0,
        net_kwh=sum(net) / 1000.0 if net else None,
        baseline_rule=rule.words,
        baseline_days=days,
        baseline_wanted=rule.days,
        payment_gbp=None
        if product is None
        else payment_gbp(
            product,
            asked_kwh=asked_wh / 1000.0,
            delivered_kwh=delivered_wh / 1000.0,
            earlier_ratio=earlier_ratio,
        ),
        notes=_notes(baselines, totals, len(net), days, rule, calendar.zone),
    )


def _sums(
    slot: datetime, index: int, series: Mapping[str, Series], baselines: Mapping[str, Baseline]
) -> tuple[float | None, float | None, int]:
    """Return baseline, actual [W] and how many participants had to be left out."""
    base = actual = 0.0
    counted = 0
    for who, values in series.items():
        measured, usual = values.get(slot, math.nan), baselines[who].power_w[index]
        if math.isnan(measured) or math.isnan(usual):
            continue
        base, actual, counted = base + usual, actual + measured, counted + 1
    if not counted:
        return None, None, len(series)
    return base, actual, len(series) - counted


def _notes(
    baselines: Mapping[str, Baseline],
    totals: Mapping[datetime, tuple[float | None, float | None, int]],
    known: int,
    days: int,
    rule: BaselineRule,
    zone: ZoneInfo,
) -> tuple[str, ...]:
    notes: list[str] = []
    if not baselines:
        notes.append("nobody took part")
    elif days < rule.days:
        notes.append(f"baseline weak: {days} of {rule.days} days")
    gaps = [(slot, missing) for slot, (_, _, missing) in totals.items() if missing]
    for start, end, missing in _stretches(gaps):
        who = f"{missing} participant{'' if missing == 1 else 's'}"
        notes.append(
            f"{who} left out from {start.astimezone(zone):%H:%M} to {end.astimezone(zone):%H:%M}: "
            "no reading or no baseline"
        )
    if known < len(totals) and baselines:
        notes.append(f"net energy from {known} of {len(totals)} half-hours")
    return tuple(notes)


def _stretches(gaps: Sequence[tuple[datetime, int]]) -> list[tuple[datetime, datetime, int]]:
    out: list[tuple[datetime, datetime, int]] = []
    for slot, missing in gaps:
        if out and out[-1][1] == slot and out[-1][2] == missing:
            out[-1] = (out[-1][0], slot + HALF_HOUR, missing)
        else:
            out.append((slot, slot + HALF_HOUR, missing))
    return out


def days_with_events(
    events: Sequence[FlexEvent], block_id: str, except_id: str, zone: ZoneInfo
) -> set[date]:
    """Return the local days that other events of a block touched."""
    days: set[date] = set()
    for event in events:
        if event.id != except_id and event.request.block_id == block_id and event.instructions:
            days |= days_of(event, zone)
    return days


def needed_from(event: FlexEvent, rule: BaselineRule) -> datetime:
    """Return the earliest half-hour that a settlement may look at."""
    return floor_to(event.request.start - timedelta(days=rule.look_back_days + 2))
