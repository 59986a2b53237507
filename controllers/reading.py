"""From columns and duals of a solved programme to a decision and its prices, and back."""

from __future__ import annotations

import numpy as np

from controllers.evaluation import TRACE_KW, Decision, Evaluation, running
from controllers.programme import NO_INDEX, IndexArray, Programme
from controllers.reasons import Prices
from controllers.stacked import Stacked
from controllers.tanks import NEAR_KWH
from ems.domain.forecasts import FloatArray


def decision_of(
    model: Stacked, programme: Programme, columns: FloatArray
) -> tuple[Decision, IndexArray]:
    """Return the decision, and the steps in which the battery did two things at once.

    There, the flow that stores the same energy without the detour takes their place: it
    draws less and needs no more power.
    """
    heat = np.zeros((model.homes, model.steps))
    pump = backup = None
    for draw in programme.draws:
        given = np.maximum(columns[draw.columns], 0.0)
        if draw.kind == "room":
            heat[draw.rows] += given
        elif draw.kind == "pump":
            pump = np.minimum(np.where(given > TRACE_KW, given, 0.0), model.tanks.heat_max_kw)
        else:
            backup = np.minimum(given, model.tanks.backup_max_kw[:, None])
    heat = np.minimum(heat, model.heat_max_kw)
    on = None
    if programme.discrete.size:
        on = np.zeros(heat.shape)
        on[programme.discrete] = np.round(columns[programme.on])
    flow, at_once = battery_of(model, programme, columns)
    return Decision(heat, flow, on, pump, backup), at_once


def battery_of(
    model: Stacked, programme: Programme, columns: FloatArray
) -> tuple[FloatArray, IndexArray]:
    """Return the battery's power, and the steps in which it did two things at once."""
    battery = model.problem.battery
    if battery is None:
        return np.zeros(model.steps), NO_INDEX
    charge = np.clip(columns[programme.charge], 0.0, battery.max_charge_w / 1000.0)
    discharge = np.clip(columns[programme.discharge], 0.0, battery.max_discharge_w / 1000.0)
    at_once = np.flatnonzero(np.minimum(charge, discharge) > TRACE_KW).astype(np.int32)
    efficiency = battery.one_way_efficiency
    stored = charge * efficiency - discharge / efficiency
    flow = np.where(stored > 0, stored / efficiency, stored * efficiency)
    return np.where(np.abs(flow) > TRACE_KW, flow, 0.0), at_once


def both_ways_of(programme: Programme, columns: FloatArray) -> IndexArray:
    """Return the steps in which the shared meter would import and export at once."""
    bought = np.sum([columns[column] for column in programme.bought], axis=0)
    sold = np.sum([columns[column] for column in programme.sold], axis=0)
    return np.flatnonzero(np.minimum(bought, sold) > TRACE_KW).astype(np.int32)


def sides(
    model: Stacked, programme: Programme, decision: Decision, found: Evaluation
) -> FloatArray:
    """Return values of all columns in which every binary stands as in ``decision``."""
    values = np.zeros(programme.columns)
    if programme.discrete.size:
        values[programme.on] = running(model, decision)[programme.discrete]
    tanks = model.tanks
    for tank, columns in programme.windows:
        held, windows = found.tanks_kwh[tank], tanks.windows[tank]
        hit = [
            k
            for k, (first, last) in enumerate(windows)
            if np.min(held[first : last + 1]) >= tanks.hygiene_kwh[tank] - NEAR_KWH
        ]
        values[columns[hit[0] + 1 if hit else 0]] = 1.0
    for tank, columns in programme.hot:
        values[columns] = found.tanks_kwh[tank] > tanks.pump_max_kwh[tank] + NEAR_KWH
    for home, step, column in programme.own_way:
        values[column] = model.base_kw[home, step] + found.power_kw[home, step] > 0
    if programme.charging.size:
        values[programme.charging] = decision.battery_kw[programme.exclusive] > 0
    if programme.importing.size:
        values[programme.importing] = found.shared_kw[programme.one_way] > 0
    return values


def prices_of(
    model: Stacked, programme: Programme, columns: FloatArray, row_duals: FloatArray
) -> Prices:
    """Read marginal prices off the duals, for one more kWh in each place and step."""
    problem = model.problem
    dt = model.dt_h
    shared = -row_duals[programme.shared_row] / dt
    limit = np.zeros(model.steps)
    if problem.pooled:
        homes = np.broadcast_to(shared, model.cop.shape)
    else:
        if programme.feeder_row.size:
            limit = -row_duals[programme.feeder_row] / dt
        homes = model.home_price + limit
        if programme.own_rows.size:
            homes[programme.own_rows] = -row_duals[programme.own_meter] / dt + limit
        shared = shared + limit
    heat = np.zeros(model.cop.shape)
    if programme.room_row.size:
        heat = -row_duals[programme.room_row] * model.gain_k_per_kw / dt
    peak = np.zeros(model.steps)
    for charge, row in zip(model.peaks, programme.peak_rows, strict=True):
        peak[charge.steps] -= row_duals[row] / dt[charge.steps]
    imported = np.zeros(model.steps)
    for column in programme.into:
        imported += columns[column]
    carbon = np.where(imported > TRACE_KW, model.carbon_gbp_per_kwh, 0.0)
    events = np.zeros((len(model.events), model.steps))
    for number, (event, row) in enumerate(zip(model.events, programme.event_rows, strict=True)):
        events[number, event.steps] = -row_duals[row] / dt[event.steps]
    return Prices(
        shared=np.asarray(shared),
        homes=np.asarray(homes),
        heat=np.asarray(heat),
        peak=peak,
        carbon=carbon,
        events=events,
    )
