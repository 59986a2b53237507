"""The linear programme of a block: columns, rows and costs as arrays for HiGHS.

A room's temperature is one convex cost along a line, so it is written as segments of that
line rather than as a variable with slack rows:

    T = floor - below + band + spare + above                                       (2)

with ``below`` dear, ``band`` (up to the schedule) rewarded with the discomfort avoided,
``spare`` (up to the ceiling) free and ``above`` dear. Net power at a meter is split the
same way. One row per home and step (the room), one per step and meter (the balance) and
one per step for the battery remain. What homes have beyond one store and a heat pump that runs
at any output is added by :mod:`controllers.model_homes`.
"""

from __future__ import annotations

import numpy as np

from controllers.evaluation import (
    CEILING_GBP_PER_KH,
    CONTRACTED_GBP_PER_KWH,
    EVENT_WORST_GBP_PER_KW,
    EXPORT_GBP_PER_KWH,
    FLOOR_GBP_PER_KH,
    PHYSICAL_GBP_PER_KWH,
    RECOVERY_GBP_PER_KWH,
    RESERVE_GBP_PER_KWH,
    event_rate,
)
from controllers.model_homes import add_homes, linear_price, most_power_kw
from controllers.programme import NO_INDEX, Draw, IndexArray, Programme
from controllers.stacked import Stacked
from ems.domain.forecasts import FloatArray


def build(
    model: Stacked, *, one_way: IndexArray = NO_INDEX, exclusive: IndexArray = NO_INDEX
) -> Programme:
    """Return the programme of a block.

    Parameters
    ----------
    one_way
        Steps in which import and export at the shared meter exclude each other by a binary.
    exclusive
        Steps in which charging and discharging exclude each other by a binary.
    """
    programme = Programme(one_way=one_way, exclusive=exclusive)
    _rooms(programme, model)
    add_homes(programme, model)
    add_block(programme, model)
    return programme


def add_block(programme: Programme, model: Stacked) -> None:
    """Add battery, meters and events to a programme that has what homes draw."""
    _battery(programme, model, programme.exclusive)
    _shared_meter(programme, model, programme.one_way)
    _events(programme, model)


def _rooms(programme: Programme, model: Stacked) -> None:
    problem = model.problem
    dt = np.broadcast_to(model.dt_h, model.decay.shape)
    discomfort = problem.discomfort_gbp_per_kh * dt
    width = model.comfort_c - model.floor_c
    ends = np.zeros(model.decay.shape)
    ends[:, -1] = model.terminal_gbp_per_k
    rate = model.pumps.rate[:, :1] / model.cop
    most = model.pumps.share[:, :1] * model.heat_max_kw
    heat = programme.add_columns(dt * linear_price(model) * rate, most)
    programme.draws.append(Draw("room", np.arange(model.homes, dtype=np.int32), heat, rate))
    segments = (
        (programme.add_columns(FLOOR_GBP_PER_KH * dt + discomfort + ends, np.inf), -1.0),
        (programme.add_columns(-discomfort - ends, width), 1.0),
        (programme.add_columns(-ends, model.ceiling_c - model.comfort_c), 1.0),
        (programme.add_columns(CEILING_GBP_PER_KH * dt - ends, np.inf), 1.0),
    )
    programme.offset_gbp += float(np.sum(discomfort * width))
    before = np.concatenate([model.room_c[:, None], model.floor_c[:, :-1]], axis=1)
    known = model.drift_k + model.decay * before - model.floor_c
    fabric = model.fabric
    known[fabric.rows, 0] += fabric.from_mass[:, 0] * fabric.mass_c
    row = programme.room_row = programme.add_rows(known, known)
    programme.put(row, heat, -model.gain_k_per_kw)
    programme.segments = list(segments)
    for column, sign in segments:
        programme.put(row, column, sign)
        programme.put(row[:, 1:], column[:, :-1], -sign * model.decay[:, 1:])
    programme.offset_gbp += float(np.sum(dt * linear_price(model) * model.base_kw))


def _battery(programme: Programme, model: Stacked, exclusive: IndexArray) -> None:
    battery = model.problem.battery
    if battery is None:
        return
    dt = model.dt_h
    start = battery.energy_wh / 1000.0
    charge_max = battery.max_charge_w / 1000.0
    discharge_max = battery.max_discharge_w / 1000.0
    programme.charge = programme.add_columns(np.zeros_like(dt), charge_max)
    programme.discharge = programme.add_columns(battery.wear_gbp_per_kwh * dt, discharge_max)
    value = np.zeros_like(dt)
    value[-1] = -battery.terminal_gbp_per_kwh
    # A start outside the permitted range is kept as the range's new end, never refused.
    energy = programme.energy = programme.add_columns(
        value,
        upper=max(battery.max_wh / 1000.0, start),
        lower=min(battery.min_wh / 1000.0, start),
    )
    known = np.zeros_like(dt)
    known[0] = start
    row = programme.add_rows(known, known)
    programme.put(row, energy, 1.0)
    programme.put(row[1:], energy[:-1], -1.0)
    programme.put(row, programme.charge, -battery.one_way_efficiency * dt)
    programme.put(row, programme.discharge, dt / battery.one_way_efficiency)
    if exclusive.size:
        charging = programme.charging = programme.add_columns(np.zeros(exclusive.size), 1.0)
        programme.decide(charging)
        zero, one = np.zeros(exclusive.size), np.full(exclusive.size, discharge_max)
        row = programme.add_rows(zero - np.inf, zero)
        programme.put(row, programme.charge[exclusive], 1.0)
        programme.put(row, charging, -charge_max)
        row = programme.add_rows(zero - np.inf, one)
        programme.put(row, programme.discharge[exclusive], 1.0)
        programme.put(row, charging, discharge_max)


def _shared_meter(programme: Programme, model: Stacked, one_way: IndexArray) -> None:
    """Add the balance of the meter that PV and battery share, and of the feeder."""
    problem = model.problem
    dt = model.dt_h
    buy = problem.import_gbp_per_kwh * dt
    sell = -problem.export_gbp_per_kwh * dt
    greatest = most_import_kw(model), most_export_kw(model)
    if problem.pooled:
        bought, sold = _feeder_segments(programme, model, buy, sell, greatest)
        _peaks(programme, model, bought)
    else:
        bought = [programme.add_columns(buy, greatest[0])]
        sold = [programme.add_columns(sell, greatest[1])]
    programme.bought, programme.sold = bought, sold
    row = _balance(programme, model.landlord_fixed_kw, bought, sold)
    programme.shared_row = row
    _steer(programme, row, with_homes=problem.pooled)
    if problem.pooled:
        programme.feeder_row = row
    elif _feeder_limited(model) or model.peaks or np.any(model.carbon_gbp_per_kwh):
        free = np.zeros_like(dt)
        whole = most_import_kw(model, feeder=True), most_export_kw(model, feeder=True)
        into, out = _feeder_segments(programme, model, free, free, whole)
        _peaks(programme, model, into)
        programme.feeder_row = _balance(programme, model.fixed_kw, into, out)
        _steer(programme, programme.feeder_row, with_homes=True)
    _no_round_trip(programme, model)
    if one_way.size:
        _one_way(programme, one_way, greatest)


def _peaks(programme: Programme, model: Stacked, into: list[IndexArray]) -> None:
    """Charge the highest import at the feeder, ``into``, as far as it exceeds what was before.

    n - peak <= so far                                                            (5)
    """
    programme.into = into
    for charge in model.peaks:
        peak = programme.add_columns(np.full(1, charge.gbp_per_kw), np.inf)
        count = charge.steps.size
        row = programme.add_rows(np.full(count, -np.inf), np.full(count, charge.so_far_kw))
        programme.peak_rows.append(row)
        programme.put(row, np.repeat(peak, count), -1.0)
        for column in into:
            programme.put(row, column[charge.steps], 1.0)


def _events(programme: Programme, model: Stacked) -> None:
    """Keep participants to an event's limit, and the feeder to what is wanted after events.

    sign (sum heat / cop + c - d) - short <= sign (limit - fixed)              (4)
    """
    for event in model.events:
        steps = event.steps
        short = programme.add_columns(event_rate(event) * model.dt_h[steps], np.inf)
        row = programme.add_rows(np.full(steps.size, -np.inf), event.room_kw)
        programme.event_rows.append(row)
        programme.put(row, short, -1.0)
        worst = programme.add_columns(np.full(1, EVENT_WORST_GBP_PER_KW), np.inf)
        at_most = programme.add_rows(np.full(steps.size, -np.inf), np.zeros(steps.size))
        programme.put(at_most, short, 1.0)
        programme.put(at_most, np.repeat(worst, steps.size), -1.0)
        for draw in programme.draws:
            taking = np.isin(draw.rows, event.homes)
            if np.any(taking):
                columns, rate = draw.columns[taking][:, steps], draw.rate[taking][:, steps]
                programme.put(row[None, :], columns, event.sign * rate)
        if event.battery:
            programme.put(row, programme.charge[steps], event.sign)
            programme.put(row, programme.discharge[steps], -event.sign)
        if event.held_kwh:
            missing = programme.add_columns(np.full(1, RESERVE_GBP_PER_KWH), np.inf)
            last = programme.add_rows(np.full(1, event.held_kwh), np.full(1, np.inf))
            programme.put(last, programme.energy[steps[-1:]], 1.0)
            programme.put(last, missing, 1.0)
    steps = np.flatnonzero(np.isfinite(model.recovery_kw)).astype(np.int32)
    if not steps.size:
        return
    over = programme.add_columns(RECOVERY_GBP_PER_KWH * model.dt_h[steps], np.inf)
    row = programme.add_rows(
        np.full(steps.size, -np.inf), (model.recovery_kw - model.fixed_kw)[steps]
    )
    programme.put(row, over, -1.0)
    for draw in programme.draws:
        programme.put(row[None, :], draw.columns[:, steps], draw.rate[:, steps])
    if programme.charge.size:
        programme.put(row, programme.charge[steps], 1.0)
        programme.put(row, programme.discharge[steps], -1.0)


def _no_round_trip(programme: Programme, model: Stacked) -> None:
    """Where export is paid better than import costs, let only what is there be exported.

    A meter that runs one way at a time exports at most what the battery discharges and what
    generation leaves of the fixed load:

        sold <= discharge + max(-fixed, 0)                                         (3)

    True of every real flow, it takes the profit out of buying and selling in one step, so
    that binaries are hardly ever needed.
    """
    problem = model.problem
    inverted = np.flatnonzero(problem.export_gbp_per_kwh > problem.import_gbp_per_kwh)
    if not inverted.size or not programme.discharge.size:
        return
    left_over = np.maximum(-model.landlord_fixed_kw[inverted], 0.0)
    row = programme.add_rows(np.full(inverted.size, -np.inf), left_over)
    for column in programme.sold:
        programme.put(row, column[inverted], 1.0)
    programme.put(row, programme.discharge[inverted], -1.0)


def _one_way(
    programme: Programme, steps: IndexArray, greatest: tuple[FloatArray, FloatArray]
) -> None:
    """Let the shared meter run one way at a time in these steps."""
    importing = programme.importing = programme.add_columns(np.zeros(steps.size), 1.0)
    programme.decide(importing)
    zero = np.zeros(steps.size)
    row = programme.add_rows(zero - np.inf, zero)
    for column in programme.bought:
        programme.put(row, column[steps], 1.0)
    programme.put(row, importing, -greatest[0][steps])
    row = programme.add_rows(zero - np.inf, greatest[1][steps])
    for column in programme.sold:
        programme.put(row, column[steps], 1.0)
    programme.put(row, importing, greatest[1][steps])


def _feeder_segments(
    programme: Programme,
    model: Stacked,
    buy: FloatArray,
    sell: FloatArray,
    greatest: tuple[FloatArray, FloatArray],
) -> tuple[list[IndexArray], list[IndexArray]]:
    """Add import and export at the feeder, split where a limit begins to cost."""
    dt = model.dt_h
    into, out = greatest
    buy = buy + dt * model.carbon_gbp_per_kwh
    bought = [programme.add_columns(buy, np.minimum(model.contracted_kw, into))]
    if np.any(model.contracted_kw < into):
        span = np.clip(np.minimum(model.physical_kw, into) - model.contracted_kw, 0.0, None)
        bought.append(programme.add_columns(buy + CONTRACTED_GBP_PER_KWH * dt, span))
    if np.any(model.physical_kw < into):
        span = np.clip(into - model.physical_kw, 0.0, None)
        # Over the rating, the whole contracted band below it has been used up as well.
        bought.append(programme.add_columns(buy + PHYSICAL_GBP_PER_KWH * dt, span))
    sold = [programme.add_columns(sell, np.minimum(model.export_kw, out))]
    if np.any(model.export_kw < out):
        span = np.clip(out - model.export_kw, 0.0, None)
        sold.append(programme.add_columns(sell + EXPORT_GBP_PER_KWH * dt, span))
    return bought, sold


def _balance(
    programme: Programme, fixed_kw: FloatArray, bought: list[IndexArray], sold: list[IndexArray]
) -> IndexArray:
    row = programme.add_rows(-fixed_kw, -fixed_kw)
    for column in bought:
        programme.put(row, column, -1.0)
    for column in sold:
        programme.put(row, column, 1.0)
    return row


def _steer(programme: Programme, row: IndexArray, *, with_homes: bool) -> None:
    """Let heat pumps and battery flow into a balance."""
    if with_homes:
        for draw in programme.draws:
            programme.put(row[None, :], draw.columns, draw.rate)
    if programme.charge.size:
        programme.put(row, programme.charge, 1.0)
        programme.put(row, programme.discharge, -1.0)


def _feeder_limited(model: Stacked) -> bool:
    return bool(
        np.any(model.contracted_kw < most_import_kw(model, feeder=True))
        or np.any(model.export_kw < most_export_kw(model, feeder=True))
    )


def most_import_kw(model: Stacked, *, feeder: bool = False) -> FloatArray:
    """Return the greatest import that any decision can cause [kW], shape (steps,)."""
    feeder = feeder or model.problem.pooled
    fixed = model.fixed_kw if feeder else model.landlord_fixed_kw
    heating = most_power_kw(model).sum(axis=0) if feeder else 0.0
    battery = model.problem.battery
    charge = 0.0 if battery is None else battery.max_charge_w / 1000.0
    return np.maximum(fixed + heating + charge, 0.0)


def most_export_kw(model: Stacked, *, feeder: bool = False) -> FloatArray:
    """Return the greatest export that any decision can cause [kW], shape (steps,)."""
    fixed = model.fixed_kw if feeder or model.problem.pooled else model.landlord_fixed_kw
    battery = model.problem.battery
    discharge = 0.0 if battery is None else battery.max_discharge_w / 1000.0
    return np.maximum(discharge - fixed, 0.0)
