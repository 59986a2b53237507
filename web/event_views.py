"""What operators see of events: the calendar, and one event against its target."""

from __future__ import annotations

import threading
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import date, datetime, timedelta

import numpy as np
from werkzeug.exceptions import NotFound

from ems.domain.estate import Estate
from ems.domain.events import (
    Direction,
    EventState,
    FlexEvent,
    Settlement,
    Transition,
)
from ems.domain.ports import Store
from ems.domain.time import HALF_HOUR, HALF_HOUR_S, floor_to
from ems.flex.baseline import BaselineRule
from ems.flex.life import instructed_wh, recovered_at, slots_of
from ems.flex.settlement import PREHEAT
from ems.service.events import EventDesk, UnknownEventError
from ems.service.measuring import baseline_w, points_of
from web.charts import BLUE, GREY, ORANGE, PLUM, TEAL, Line, TimeChart
from web.series import half_hours, times_of

STATES: dict[EventState, tuple[str, str]] = {
    EventState.REFUSED: ("Refused", "grey"),
    EventState.ACCEPTED: ("Accepted", "blue"),
    EventState.RUNNING: ("Running", "orange"),
    EventState.RECOVERING: ("Recovering", "yellow"),
    EventState.SETTLED: ("Settled", "green"),
    EventState.CANCELLED: ("Cancelled", "grey"),
}
WEEKS_BACK, WEEKS = 2, 4
MINUTE_S = 60
REFUSED_SHOWN = 20


@dataclass(frozen=True, slots=True)
class Day:
    """One day of the calendar."""

    day: date
    events: tuple[FlexEvent, ...]
    is_today: bool


@dataclass(frozen=True, slots=True)
class CalendarView:
    """All events: by week, by what is left of them, and refused ones; ``settled`` by event id."""

    weeks: tuple[tuple[Day, ...], ...]
    current: tuple[FlexEvent, ...]
    past: tuple[FlexEvent, ...]
    settled: dict[str, Settlement]
    refused: tuple[FlexEvent, ...]


@dataclass(frozen=True, slots=True)
class EventView:
    """One event with its history, its chart and what it delivered."""

    event: FlexEvent
    block_name: str
    transitions: tuple[Transition, ...]
    settlement: Settlement | None
    chart: TimeChart
    homes: int
    target_w: float | None
    actual_w: float | None
    can_withdraw: bool


def calendar_view(estate: Estate, desk: EventDesk, now: datetime) -> CalendarView:
    """Return the calendar around ``now``."""
    events = desk.all(now)
    today = now.astimezone(estate.zone).date()
    monday = today - timedelta(days=today.weekday() + 7 * WEEKS_BACK)

    def day(offset: int) -> Day:
        wanted = monday + timedelta(days=offset)
        own = (
            event
            for event in events
            if event.request.start.astimezone(estate.zone).date() == wanted
        )
        return Day(wanted, tuple(own), wanted == today)

    over = (EventState.SETTLED, EventState.CANCELLED)
    found = {event.id: desk.settlement(event.id) for event in events}
    return CalendarView(
        weeks=tuple(tuple(day(7 * week + one) for one in range(7)) for week in range(WEEKS)),
        current=tuple(event for event in events if event.state not in over),
        past=tuple(event for event in reversed(events) if event.state in over),
        settled={key: one for key, one in found.items() if one is not None},
        refused=tuple(reversed(desk.refusals.all(now)))[:REFUSED_SHOWN],
    )


class Baselines:
    """Remembers baselines of events: they come from earlier days, which do not change."""

    def __init__(self) -> None:
        self._known: dict[tuple[object, ...], dict[datetime, float]] = {}
        self._lock = threading.Lock()

    def of(
        self, estate: Estate, store: Store, event: FlexEvent, events: Sequence[FlexEvent]
    ) -> dict[datetime, float]:
        """Return an event's baseline [W] by half-hour."""
        key = (
            event.id,
            event.participants,
            event.battery_takes_part,
            event.request.start,
            recovered_at(event),
        )
        with self._lock:
            if key not in self._known:
                if len(self._known) > 50:
                    self._known.clear()
                self._known[key] = baseline_w(estate, store, event, events, BaselineRule())
            return self._known[key]


def event_view(
    estate: Estate,
    store: Store,
    desk: EventDesk,
    baselines: Baselines,
    event_id: str,
    now: datetime,
) -> EventView:
    """Return one event as it stands at ``now``, or answer 404."""
    try:
        event = desk.event(event_id)
    except UnknownEventError:
        raise NotFound from None
    baseline = baselines.of(estate, store, event, desk.all(now))
    chart = _chart(estate, store, event, baseline, now)
    reference = desk.reference(event_id)
    started = event.state not in (EventState.ACCEPTED, EventState.CANCELLED)
    homes = len(event.participants) if started else len(reference.homes_w) if reference else 0
    live = _minutes(estate, store, event, now)
    return EventView(
        event=event,
        block_name=estate.block(event.request.block_id).name,
        transitions=tuple(desk.history(event_id)),
        settlement=desk.settlement(event_id),
        chart=chart,
        homes=homes,
        target_w=_target_w(event, now),
        actual_w=next((1000.0 * kw for kw in reversed(live.values) if np.isfinite(kw)), None),
        can_withdraw=event.state in (EventState.ACCEPTED, EventState.RUNNING),
    )


def _target_w(event: FlexEvent, now: datetime) -> float | None:
    slots = dict(_targets(event))
    return slots.get(floor_to(now))


def _targets(event: FlexEvent) -> list[tuple[datetime, float]]:
    """Return reference less (or plus) what was promised [W] by half-hour."""
    sign = -1.0 if event.request.direction is Direction.DOWN else 1.0
    return [
        (slot, reference + sign * 2.0 * instructed_wh(event, slot, slot + HALF_HOUR))
        for slot, reference in zip(slots_of(event), event.reference_w, strict=False)
    ]


def _minutes(estate: Estate, store: Store, event: FlexEvent, now: datetime) -> Line:
    """Return the participants' import in sum by minute; a minute with one missing is a gap."""
    points = list(points_of(estate, event).values())
    start = event.request.start - PREHEAT
    end = min(floor_to(now, MINUTE_S), recovered_at(event))
    if not points or end <= start:
        return Line("Measured, by the minute", (), (), BLUE)
    frame = store.resampled(points, start, end, MINUTE_S)
    total = frame.sum(axis=1, skipna=False).to_numpy(dtype=float) / 1000.0
    return Line("Measured, by the minute", times_of(frame), total.tolist(), BLUE, gap_s=180.0)


def _chart(
    estate: Estate, store: Store, event: FlexEvent, baseline: dict[datetime, float], now: datetime
) -> TimeChart:
    start, end = event.request.start - PREHEAT, recovered_at(event)
    targets = _targets(event)
    slots = [event.request.start + HALF_HOUR * index for index in range(len(event.reference_w))]
    lines = [
        Line(
            "Reference",
            slots,
            [power / 1000.0 for power in event.reference_w],
            GREY,
            step_s=HALF_HOUR_S,
            dashed=True,
        ),
        Line(
            "Target",
            [slot for slot, _ in targets],
            [power / 1000.0 for _, power in targets],
            ORANGE,
            step_s=HALF_HOUR_S,
        ),
    ]
    if baseline:
        lines.append(
            Line(
                "Baseline",
                list(baseline),
                [power / 1000.0 for power in baseline.values()],
                PLUM,
                step_s=HALF_HOUR_S,
                dashed=True,
            )
        )
    points = list(points_of(estate, event).values())
    if points and now > start:
        frame = half_hours(store, points, start, min(now, end - timedelta(seconds=1)))
        total = frame.sum(axis=1, skipna=False).to_numpy(dtype=float) / 1000.0
        lines.append(
            Line("Measured, half-hours", times_of(frame), total.tolist(), TEAL, step_s=HALF_HOUR_S)
        )
        lines.append(_minutes(estate, store, event, now))
    return TimeChart(
        key="event",
        title="Import of those who take part",
        summary="The reference was frozen when the event was accepted; the target is what was "
        "promised against it; the baseline is the mean of earlier days.",
        unit="kW",
        start=start,
        end=end,
        zone=estate.zone,
        lines=tuple(lines),
        now=now,
    )
