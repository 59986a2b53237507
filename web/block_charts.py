"""Charts of blocks: feeder, solar, batteries, load and prices."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime, timedelta

import numpy as np

from ems.domain.estate import Block, Estate
from ems.domain.plans import Schedule
from ems.domain.points import PointId
from ems.domain.ports import Store
from ems.domain.tariffs import Tariff
from ems.domain.time import HALF_HOUR_S, floor_to
from web.charts import BLUE, ORANGE, PLUM, TEAL, Band, Level, Line, TimeChart
from web.condition import Condition
from web.planned import PlannedImports
from web.series import (
    band_kw,
    half_hours,
    kw_steps,
    planned_ends,
    planned_steps,
    rates,
    times_of,
)

Span = tuple[datetime, datetime]
PALETTE = (BLUE, TEAL, PLUM, ORANGE)
FINE_S = 300


def feeder_chart(
    estate: Estate,
    store: Store,
    planned: PlannedImports,
    block: Block,
    span: Span,
    now: datetime,
    *,
    limits: bool = True,
) -> TimeChart:
    """Return power at a block's feeder against its plan and, with ``limits``, its rating."""
    point = PointId(block.block_meter.device_id, "power_w")
    frame = half_hours(store, [point], span[0], now)
    levels = [Level("Rating of the feeder", block.limits.physical_import_w / 1000.0)]
    if block.limits.contracted_import_w:
        levels.append(Level("Contracted import", block.limits.contracted_import_w / 1000.0, ORANGE))
    return TimeChart(
        key=f"feeder-{block.id}",
        title=f"Power of {block.name}",
        summary="Half-hour means at the block meter, and what was planned. "
        "Below zero the block exports.",
        unit="kW",
        start=span[0],
        end=span[1],
        zone=estate.zone,
        lines=(
            kw_steps(frame, str(point), "Measured", BLUE),
            planned.line(store, block.id, *span, now),
        ),
        levels=tuple(levels) if limits else (),
        now=now,
    )


def fine_feeder_chart(
    estate: Estate, store: Store, planned: PlannedImports, block: Block, span: Span, now: datetime
) -> TimeChart:
    """Return the feeder by five minutes, where readings are that fine."""
    chart = feeder_chart(estate, store, planned, block, span, now)
    point = PointId(block.block_meter.device_id, "power_w")
    fine = store.resampled([point], floor_to(span[0], FINE_S), now, FINE_S)
    values = fine[str(point)].to_numpy(dtype=float) / 1000.0
    if not np.isfinite(values).any():
        return chart
    coarse = chart.lines[0]
    first = times_of(fine)[int(np.flatnonzero(np.isfinite(values))[0])]
    keep = [index for index, at in enumerate(coarse.times) if at < floor_to(first)]
    lines = (
        Line(
            "Measured, 5-minute means",
            times_of(fine),
            values.tolist(),
            BLUE,
            step_s=FINE_S,
            filled=True,
        ),
        *(
            [
                Line(
                    "Measured, half-hour means",
                    [coarse.times[index] for index in keep],
                    [coarse.values[index] for index in keep],
                    TEAL,
                    step_s=HALF_HOUR_S,
                    filled=True,
                )
            ]
            if keep
            else []
        ),
        chart.lines[1],
    )
    return TimeChart(
        key=chart.key,
        title=chart.title,
        summary="Power at the block meter, and what was planned. Below zero the block exports.",
        unit=chart.unit,
        start=chart.start,
        end=chart.end,
        zone=chart.zone,
        lines=lines,
        levels=chart.levels,
        now=now,
    )


def solar_chart(
    estate: Estate, store: Store, span: Span, now: datetime, only: Block | None = None
) -> TimeChart:
    """Return generation by block with the forecast's range."""
    lines, bands = [], []
    blocks = [only] if only else list(estate.blocks)
    for block, colour in zip(blocks, PALETTE, strict=False):
        if block.pv is None:
            continue
        point = PointId(block.pv.device_id, "power_w")
        frame = half_hours(store, [point], span[0], now)
        name = "Measured" if only else block.name
        lines.append(kw_steps(frame, str(point), name, colour, sign=-1.0))
        forecast = store.latest_forecast("pv_w", block.id)
        band = band_kw(forecast, "Forecast" if only else f"Forecast {block.name}", colour)
        if band:
            bands.append(band)
    return TimeChart(
        key="solar",
        title="Solar generation",
        summary="Half-hour means of what the arrays generate, and the forecast's range.",
        unit="kW",
        start=span[0],
        end=span[1],
        zone=estate.zone,
        lines=tuple(lines),
        bands=tuple(bands),
        now=now,
    )


def battery_chart(
    estate: Estate,
    store: Store,
    condition: Condition,
    span: Span,
    now: datetime,
    only: Block | None = None,
) -> TimeChart:
    """Return state of charge by block, measured and planned."""
    lines = []
    blocks = [only] if only else list(estate.blocks)
    for block, colour in zip(blocks, PALETTE, strict=False):
        if block.battery is None:
            continue
        point = PointId(block.battery.device_id, "soc_pct")
        frame = half_hours(store, [point], span[0], now)
        middle = [at + timedelta(seconds=HALF_HOUR_S / 2) for at in times_of(frame)]
        middle[-1] = now
        name, later = ("Measured", "Planned") if only else (block.name, f"{block.name}, planned")
        lines.append(Line(name, middle, frame[str(point)].tolist(), colour))
        plan = condition.plan(block.id).schedule
        if plan is not None and plan.battery is not None:
            soc = 100.0 * plan.battery.energy_wh / block.battery.capacity_wh
            lines.append(planned_ends(plan, soc.tolist(), later, colour, now))
    return TimeChart(
        key="battery",
        title="Battery charge",
        summary="State of charge, measured and planned.",
        unit="%",
        start=span[0],
        end=span[1],
        zone=estate.zone,
        lines=tuple(lines),
        now=now,
        decimals=0,
    )


def battery_power_chart(
    estate: Estate, store: Store, block: Block, plan: Schedule | None, span: Span, now: datetime
) -> TimeChart | None:
    """Return a battery's power, measured and planned; ``None`` where there is no battery."""
    if block.battery is None:
        return None
    point = PointId(block.battery.device_id, "power_w")
    frame = half_hours(store, [point], span[0], now)
    lines = [kw_steps(frame, str(point), "Measured", BLUE)]
    if plan is not None and plan.battery is not None:
        lines.append(planned_steps(plan, plan.battery.power_w.tolist(), "Planned", scale=0.001))
    return TimeChart(
        key="battery-power",
        title="Battery power",
        summary="Charging is above zero, discharging below.",
        unit="kW",
        start=span[0],
        end=span[1],
        zone=estate.zone,
        lines=tuple(lines),
        now=now,
    )


def load_chart(estate: Estate, store: Store, block: Block, span: Span, now: datetime) -> TimeChart:
    """Return the homes' household power in sum, with the forecast's range.

    A half-hour in which a home is missing is a gap.
    """
    points = [PointId(home.meter.device_id, "household_power_w") for home in block.dwellings]
    frame = half_hours(store, points, span[0], now)
    total = frame.sum(axis=1, skipna=False).to_frame("total")
    bands: list[Band] = []
    band = band_kw(store.latest_forecast("load_w", block.id), "Forecast", ORANGE)
    if band:
        bands.append(band)
    return TimeChart(
        key="load",
        title="Household use, all homes",
        summary="Everything but the heat pumps, half-hour means. "
        "A half-hour with a home missing is left out.",
        unit="kW",
        start=span[0],
        end=span[1],
        zone=estate.zone,
        lines=(kw_steps(total, "total", "Measured", BLUE),),
        bands=tuple(bands),
        now=now,
    )


def price_chart(
    estate: Estate,
    named: Sequence[tuple[str, Tariff]],
    span: Span,
    now: datetime,
    plan: Schedule | None = None,
) -> TimeChart:
    """Return the rates of tariffs, and a plan's value of a kWh at the feeder."""
    lines = []
    for (name, tariff), colour in zip(named, PALETTE, strict=False):
        slots, values = rates(tariff, *span)
        lines.append(Line(name, slots, values, colour, step_s=HALF_HOUR_S))
    if plan is not None:
        lines.append(
            planned_steps(plan, plan.price_gbp_per_kwh.tolist(), "Value in the plan", scale=100.0)
        )
    return TimeChart(
        key="prices",
        title="Price of electricity",
        summary="What a kilowatt-hour costs, now and to come.",
        unit="p/kWh",
        start=span[0],
        end=span[1],
        zone=estate.zone,
        lines=tuple(lines),
        now=now,
    )
