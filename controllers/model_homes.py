"""Rows and columns of homes that have more than one store and a heat pump of any output.

- *Part load*: one column of heat for each part, the cheapest filled first by itself (convex).
- *Heavy parts*: one column and one row a step for the second state.
- *On or off*: binaries ``on``, with ``start`` and ``stop`` columns; minimum times in the form

      sum of starts that still hold at t <= on[t],   sum of stops that still hold <= 1 - on[t]   (1)

  which is the convex hull of the run patterns of one heat pump.
- *Tank*: segments ``E = min - below + band + spare`` as rooms have them; one compressor:
  ``h / H + w / W <= on`` (or 1). A legionella cycle chooses one window by a binary each, and
  where the backup heater may heat beyond the heat pump's reach one binary a step keeps them
  apart.
- *Own sun*: a balance of the home's own meter.
"""

from __future__ import annotations

import numpy as np

from controllers.evaluation import HYGIENE_GBP, TANK_COMFORT_GBP_PER_KWH_H, TANK_MIN_GBP_PER_KWH_H
from controllers.programme import Draw, IndexArray, Programme
from controllers.stacked import Stacked
from controllers.tanks import NEAR_KWH
from ems.domain.forecasts import FloatArray


def linear_price(model: Stacked) -> FloatArray:
    """Return what a kWh at each home's own meter costs wherever it is linear (homes, steps)."""
    if model.problem.pooled:
        return np.zeros(model.home_price.shape)
    return np.where(model.nets_off[:, None], 0.0, model.home_price)


def most_power_kw(model: Stacked) -> FloatArray:
    """Return the greatest electricity of heat pumps and backup heaters [kW], (homes, steps)."""
    most = model.pumps.power_kw(model.heat_max_kw, model.heat_max_kw, model.cop)
    tanks = model.tanks
    if tanks.count:
        water = tanks.heat_max_kw / tanks.cop
        most[tanks.rows] = np.maximum(most[tanks.rows], water) + tanks.backup_max_kw[:, None]
    return most


def add_homes(programme: Programme, model: Stacked) -> None:
    """Add all that homes of this block have beyond the plain."""
    if model.plain:
        return
    _part_load(programme, model)
    _fabric(programme, model)
    _tanks(programme, model)
    _on_off(programme, model)
    _own_sun(programme, model)


def _part_load(programme: Programme, model: Stacked) -> None:
    pumps = model.pumps
    for part in range(1, pumps.parts):
        rows = np.flatnonzero(pumps.share[:, part] > 0).astype(np.int32)
        rate = pumps.rate[rows, part, None] / model.cop[rows]
        price = model.dt_h * linear_price(model)[rows] * rate
        most = pumps.share[rows, part, None] * model.heat_max_kw[rows]
        heat = programme.add_columns(price, most)
        programme.put(programme.room_row[rows], heat, -model.gain_k_per_kw[rows])
        programme.draws.append(Draw("room", rows, heat, rate))


def _fabric(programme: Programme, model: Stacked) -> None:
    fabric = model.fabric
    rows = fabric.rows
    if not rows.size:
        return
    cost = np.zeros(fabric.decay.shape)
    cost[:, -1] = -model.mass_gbp_per_k
    programme.offset_gbp += float(np.sum(model.mass_gbp_per_k * model.floor_c[rows, -1]))
    mass = programme.mass = programme.add_columns(cost, np.inf, -np.inf)
    room = programme.room_row[rows]
    programme.put(room[:, 1:], mass[:, :-1], -fabric.from_mass[:, 1:])
    before = np.concatenate([model.room_c[rows][:, None], model.floor_c[rows, :-1]], axis=1)
    known = fabric.drift_k + fabric.from_room * before
    known[:, 0] += fabric.decay[:, 0] * fabric.mass_c
    row = programme.add_rows(known, known)
    programme.put(row, mass, 1.0)
    programme.put(row[:, 1:], mass[:, :-1], -fabric.decay[:, 1:])
    for column, sign in programme.segments:
        programme.put(row[:, 1:], column[rows][:, :-1], -sign * fabric.from_room[:, 1:])
    for draw in programme.draws:
        place = {int(each): k for k, each in enumerate(rows)}
        mine = [k for k, each in enumerate(draw.rows) if int(each) in place]
        own = [place[int(draw.rows[k])] for k in mine]
        programme.put(row[own], draw.columns[mine], -fabric.gain_k_per_kw[own])


def _tanks(programme: Programme, model: Stacked) -> None:
    tanks = model.tanks
    if not tanks.count:
        return
    rows = tanks.rows
    dt = np.broadcast_to(model.dt_h, tanks.decay.shape)
    price = dt * linear_price(model)[rows]
    # Beyond the heat pump's reach nothing is pumped; only a due cycle leaves a choice.
    due = tanks.hygiene_kwh > 0
    beyond = (tanks.top_kwh > tanks.pump_max_kwh[:, None] + NEAR_KWH) & ~due[:, None]
    rate = 1.0 / tanks.cop
    pump = programme.add_columns(price * rate, np.where(beyond, 0.0, tanks.heat_max_kw))
    alone = np.broadcast_to(tanks.backup_max_kw[:, None], dt.shape)
    backup = programme.add_columns(price * np.ones_like(rate), np.where(beyond, 0.0, alone))
    programme.draws.append(Draw("pump", rows, pump, rate))
    programme.draws.append(Draw("backup", rows, backup, np.ones_like(rate)))
    low = np.broadcast_to(tanks.min_kwh[:, None], dt.shape)
    wanted = np.minimum(np.maximum(tanks.comfort_kwh, low), tanks.top_kwh)
    never = np.maximum(tanks.comfort_kwh - wanted, 0.0)
    ends = np.zeros(dt.shape)
    ends[:, -1] = tanks.terminal_gbp_per_kwh
    short = TANK_COMFORT_GBP_PER_KWH_H * dt
    # Where comfort is below the least that is held, falling below it is missing from there on.
    band = np.where(tanks.comfort_kwh > low, short, 0.0)
    programme.offset_gbp += float(np.sum(band * (wanted - low) + short * never))
    programme.offset_gbp -= float(np.sum(tanks.terminal_gbp_per_kwh * tanks.min_kwh))
    segments = (
        (programme.add_columns(TANK_MIN_GBP_PER_KWH_H * dt + band + ends, np.inf), -1.0),
        (programme.add_columns(-band - ends, wanted - low), 1.0),
        (programme.add_columns(-ends, tanks.top_kwh - wanted), 1.0),
    )
    programme.tank = list(segments)
    before = np.concatenate([tanks.energy_kwh[:, None], low[:, :-1]], axis=1)
    known = tanks.drift_kwh + tanks.decay * before - low
    row = programme.add_rows(known, known)
    programme.put(row, pump, -tanks.gain_kwh_per_kw)
    programme.put(row, backup, -tanks.gain_kwh_per_kw)
    for column, sign in segments:
        programme.put(row, column, sign)
        programme.put(row[:, 1:], column[:, :-1], -sign * tanks.decay[:, 1:])
    plain = np.flatnonzero(~model.pumps.discrete[rows])
    if plain.size:
        ones = np.ones((plain.size, model.steps))
        share = programme.add_rows(ones - np.inf, ones)
        _load(programme, model, rows[plain], share)
    for tank in np.flatnonzero(due):
        _hygiene(programme, model, int(tank), pump[tank])


def _load(programme: Programme, model: Stacked, rows: IndexArray, into: IndexArray) -> None:
    """Put shares of the compressor's time, h / H + w / W, of homes into rows (n, steps)."""
    for draw in programme.draws:
        if draw.kind == "backup":
            continue
        place = {int(each): k for k, each in enumerate(draw.rows)}
        mine = [(place[int(row)], k) for k, row in enumerate(rows) if int(row) in place]
        if not mine:
            continue
        own, target = (np.array(each) for each in zip(*mine, strict=True))
        most = (
            model.heat_max_kw[draw.rows[own]]
            if draw.kind == "room"
            else model.tanks.heat_max_kw[own]
        )
        share = np.where(most > 0, 1.0 / np.where(most > 0, most, 1.0), 0.0)
        programme.put(into[target], draw.columns[own], share)


def _hygiene(programme: Programme, model: Stacked, tank: int, pump: IndexArray) -> None:
    """Let one window of a due legionella cycle be held, or pay for missing it."""
    tanks, steps = model.tanks, model.steps
    windows = tanks.windows[tank]
    missed = programme.add_columns(np.full(1, HYGIENE_GBP), 1.0)
    chosen = programme.add_columns(np.zeros(len(windows)), 1.0)
    one = programme.add_rows(np.ones(1), np.ones(1))
    programme.put(one, missed, 1.0)
    programme.put(np.repeat(one, len(windows)), chosen, 1.0)
    programme.decide(missed)
    programme.windows.append((tank, np.concatenate([missed, chosen])))
    programme.decide(chosen)
    low, top = float(tanks.min_kwh[tank]), tanks.top_kwh[tank]
    # Nothing is asked where no window is chosen: an empty tank falls to `lowest` at worst.
    asked = float(tanks.hygiene_kwh[tank])
    idle = np.zeros(tanks.decay.shape)
    lowest = min(float(np.min(tanks.energies(idle, idle)[tank])), 0.0)
    held = programme.add_rows(np.full(steps, lowest - low), np.full(steps, np.inf))
    for column, sign in programme.tank:
        programme.put(held, column[tank], sign)
    for window, (first, last) in enumerate(windows):
        inside = held[first : last + 1]
        programme.put(inside, np.repeat(chosen[window], inside.size), lowest - asked)
    if np.all(top <= tanks.pump_max_kwh[tank] + NEAR_KWH):
        return
    hot = programme.add_columns(np.zeros(steps), 1.0)
    programme.decide(hot)
    programme.hot.append((tank, hot))
    most = tanks.heat_max_kw[tank]
    row = programme.add_rows(np.zeros(steps) - np.inf, most)
    programme.put(row, pump, 1.0)
    programme.put(row, hot, most)
    reach = np.full(steps, float(tanks.pump_max_kwh[tank]))
    row = programme.add_rows(np.zeros(steps) - np.inf, reach - low)
    for column, sign in programme.tank:
        programme.put(row, column[tank], sign)
    programme.put(row, hot, -(top - reach))


def _on_off(programme: Programme, model: Stacked) -> None:
    pumps = model.pumps
    rows = programme.discrete = np.flatnonzero(pumps.discrete).astype(np.int32)
    if not rows.size:
        return
    shape = (rows.size, model.steps)
    nothing = np.zeros(shape)
    on = programme.on = programme.add_columns(
        nothing, np.where(pumps.must_off[rows], 0.0, 1.0), np.where(pumps.must_on[rows], 1.0, 0.0)
    )
    programme.decide(on)
    start = programme.add_columns(nothing + pumps.start_gbp[rows, None], 1.0)
    stop = programme.add_columns(nothing, 1.0)
    known = nothing.copy()
    known[:, 0] = pumps.on[rows]
    change = programme.add_rows(known, known)
    programme.put(change, on, 1.0)
    programme.put(change[:, 1:], on[:, :-1], -1.0)
    programme.put(change, start, -1.0)
    programme.put(change, stop, 1.0)
    runs = programme.add_rows(nothing - np.inf, nothing)
    rests = programme.add_rows(nothing - np.inf, nothing + 1.0)
    programme.put(runs, on, -1.0)
    programme.put(rests, on, 1.0)
    for into, change_at, lasts in (
        (runs, start, pumps.lasts_on[rows]),
        (rests, stop, pumps.lasts_off[rows]),
    ):
        for ahead in range(int(lasts.max())):
            home, step = np.nonzero(lasts > ahead)
            inside = step + ahead < model.steps
            home, step = home[inside], step[inside]
            programme.put(into[home, step + ahead], change_at[home, step], 1.0)
    # one compressor: between the least and all of it while on, nothing while off
    able = programme.add_rows(nothing - np.inf, nothing)
    programme.put(able, on, -1.0)
    _load(programme, model, rows, able)
    least = pumps.least[rows]
    if np.any(least > 0):
        given = programme.add_rows(nothing, nothing + np.inf)
        programme.put(given, on, -least)
        _load(programme, model, rows, given)


def _own_sun(programme: Programme, model: Stacked) -> None:
    """Balance the own meters of homes with own sun and an own supplier."""
    rows = programme.own_rows = np.flatnonzero(model.nets_off).astype(np.int32)
    if not rows.size:
        return
    base, dt = model.base_kw[rows], model.dt_h
    most = most_power_kw(model)[rows]
    into, out = np.maximum(base + most, 0.0), np.maximum(-base, 0.0)
    buy, sell = model.home_price[rows], model.home_export[rows]
    bought = programme.add_columns(dt * buy, into)
    sold = programme.add_columns(-dt * sell, out)
    row = programme.own_meter = programme.add_rows(-base, -base)
    programme.put(row, bought, -1.0)
    programme.put(row, sold, 1.0)
    for draw in programme.draws:
        for k, home in enumerate(draw.rows):
            place = np.flatnonzero(rows == home)
            if place.size:
                programme.put(row[place[0]], draw.columns[k], draw.rate[k])
    # Where export is paid better than import costs, both at once would earn from nothing.
    home, step = np.nonzero((sell > buy) & (into > 0) & (out > 0))
    if not home.size:
        return
    way = programme.add_columns(np.zeros(home.size), 1.0)
    programme.decide(way)
    programme.own_way = [
        (int(rows[k]), int(t), int(column)) for k, t, column in zip(home, step, way, strict=True)
    ]
    free, full = np.zeros(home.size) - np.inf, out[home, step]
    row = programme.add_rows(free, np.zeros(home.size))
    programme.put(row, bought[home, step], 1.0)
    programme.put(row, way, -into[home, step])
    row = programme.add_rows(free, full)
    programme.put(row, sold[home, step], 1.0)
    programme.put(row, way, full)
