"""Measuring events from the meters' half-hours in the store."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime, timedelta

import numpy as np
import pandas as pd

from ems.domain.estate import Estate
from ems.domain.events import FlexEvent, Settlement
from ems.domain.points import PointId
from ems.domain.ports import Store
from ems.domain.time import HALF_HOUR, floor_to
from ems.flex.baseline import BaselineRule, Series, rolling_average
from ems.flex.settlement import (
    BATTERY,
    Calendar,
    days_with_events,
    measure,
    measured_span,
    needed_from,
)

PATIENCE = timedelta(hours=6)
"""An event is measured with what there is when readings are missing for so long."""


def points_of(estate: Estate, event: FlexEvent) -> dict[str, PointId]:
    """Return the meters of an event's participants: home id, or `BATTERY`, → power point."""
    block = estate.block(event.request.block_id)
    points = {
        home.id: PointId(home.meter.device_id, "power_w")
        for home in block.dwellings
        if home.id in event.participants
    }
    if event.battery_takes_part and block.battery is not None:
        points[BATTERY] = PointId(block.battery.device_id, "power_w")
    return points


def as_series(frame: pd.DataFrame, point: PointId) -> Series:
    """Return one column of half-hours as a mapping from start to power [W]."""
    column = frame[str(point)].to_numpy(dtype=float)
    starts = pd.DatetimeIndex(frame.index).to_pydatetime()
    return {
        start: float(value)
        for start, value in zip(starts, column, strict=True)
        if np.isfinite(value)
    }


def readings_are_in(estate: Estate, store: Store, event: FlexEvent, now: datetime) -> bool:
    """Tell whether an event can be measured: its last half-hour is rolled up.

    True too once readings were missing for longer than `PATIENCE`.
    """
    last = measured_span(event)[1]
    if now >= last + PATIENCE:
        return True
    points = list(points_of(estate, event).values())
    if not points:
        return now >= last
    frame = store.rollups(points, last - HALF_HOUR, last)
    return bool(np.isfinite(frame.to_numpy(dtype=float)).any())


def measured(
    estate: Estate,
    store: Store,
    event: FlexEvent,
    events: Sequence[FlexEvent],
    rule: BaselineRule,
    now: datetime,
) -> Settlement:
    """Return an event's settlement from what the store holds.

    Parameters
    ----------
    estate, store
        Whose meters; where their half-hours lie.
    event, events
        Which; and all others, whose days make no baseline.
    rule, now
        The baseline's rule; when it is measured.
    """
    points = points_of(estate, event)
    frame = store.rollups(
        list(points.values()), needed_from(event, rule), floor_to(measured_span(event)[1])
    )
    request = event.request
    product = estate.products.get(request.product_id)
    others = days_with_events(events, request.block_id, event.id, estate.zone)
    return measure(
        event,
        {who: as_series(frame, point) for who, point in points.items()},
        calendar=Calendar(estate.zone, estate.holidays, others),
        rule=rule,
        product=product,
        earlier_ratio=_earlier_ratio(store, request.source, request.product_id),
        now=now,
    )


def _earlier_ratio(store: Store, source: str, product_id: str) -> float:
    """Return the mean delivery ratio of earlier events of the same source and product."""
    ratios = [
        min(max(kept.record.delivered_kwh / kept.record.asked_kwh, 0.0), 1.0)
        for kept in store.all_kept(Settlement, subject=f"{source}/{product_id}")
        if kept.record.asked_kwh > 0
    ]
    return sum(ratios) / len(ratios) if ratios else 1.0


def baseline_w(
    estate: Estate,
    store: Store,
    event: FlexEvent,
    events: Sequence[FlexEvent],
    rule: BaselineRule,
) -> dict[datetime, float]:
    """Return the participants' baseline in sum [W] by half-hour, preheating to recovery.

    A half-hour for which any participant has no baseline is absent. It can be told before
    the event is over: nothing from the event's own time enters it.
    """
    points = points_of(estate, event)
    first, last = measured_span(event)
    grid = [first + HALF_HOUR * index for index in range(int((last - first) / HALF_HOUR))]
    if not points:
        return {}
    frame = store.rollups(list(points.values()), needed_from(event, rule), floor_to(first))
    others = days_with_events(events, event.request.block_id, event.id, estate.zone)
    made = [
        rolling_average(
            as_series(frame, point),
            grid,
            zone=estate.zone,
            holidays=estate.holidays,
            event_days=others,
            rule=rule,
            event_start=event.request.start,
        ).power_w
        for point in points.values()
    ]
    sums = [float(sum(column)) for column in zip(*made, strict=True)]
    return {slot: total for slot, total in zip(grid, sums, strict=True) if np.isfinite(total)}
