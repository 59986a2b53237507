"""Homes of a block for the states kernel, and what follows from their answers.

Homes that have the same parts (heavy parts, a tank) are one make, and answer together. An answer
is kept as one row a home, heat for the room, of the heat pump for the tank and of the backup
heater for all steps one after the other, so that a master can mix it.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from controllers.evaluation import (
    CEILING_GBP_PER_KH,
    FLOOR_GBP_PER_KH,
    TANK_COMFORT_GBP_PER_KWH_H,
    TANK_MIN_GBP_PER_KWH_H,
    Decision,
    tank_heat,
)
from controllers.hygiene import TankBand, open_band
from controllers.model_homes import linear_price
from controllers.stacked import Stacked
from controllers.stores import constant_gbp
from ems.domain.forecasts import FloatArray
from ext.states import INPUTS, Answer, Homes, answer

TOP_GBP_PER_KWH = 20.0
"""Of a tank beyond what it may hold, in each step; what little is then beyond is taken away."""

TRACE_KWH = 1e-6
BATCH = 6_000
"""Homes times steps that answer between two looks at the clock."""

Rows = NDArray[np.intp]


def can_be_states(model: Stacked) -> bool:
    """Whether the kernel can answer for every home; whether any has tank or heavy parts."""
    parts = model.pumps.parts + 2 <= INPUTS
    simple = not (np.any(model.nets_off) or np.any(model.pumps.discrete))
    return parts and simple and bool(model.fabric.rows.size or model.tanks.count)


@dataclass(frozen=True, slots=True, eq=False)
class Make:
    """Homes with the same parts: their rows, the tanks they have (or none), and their arrays."""

    rows: Rows
    tanks: Rows
    homes: Homes


@dataclass(frozen=True, slots=True, eq=False)
class Told:
    """What all homes do at some prices.

    Attributes
    ----------
    heat_kw
        Room, heat pump to tank and backup heater one after the other, (homes, 3 × steps).
    power_kw, cost_gbp
        Electricity (homes, steps), and cost beside the prices given (homes,).
    value_gbp, bound_gbp
        With the prices: what it costs, and no heat can cost less, shape (homes,).
    spares_gbp
        What a kW of heat to the room spares later, shape (homes, steps).
    squeeze_gbp
        What more of the compressor's time would be worth, shape (homes, steps).
    """

    heat_kw: FloatArray
    power_kw: FloatArray
    cost_gbp: FloatArray
    value_gbp: FloatArray
    bound_gbp: FloatArray
    spares_gbp: FloatArray
    squeeze_gbp: FloatArray


def makes_of(model: Stacked, band: TankBand) -> tuple[Make, ...]:
    """Return the homes by make, their tanks within a band, in batches of one make each."""
    heavy = np.full(model.homes, -1)
    heavy[model.fabric.rows] = np.arange(model.fabric.rows.size)
    tank = np.full(model.homes, -1)
    tank[model.tanks.rows] = np.arange(model.tanks.count)
    kinds = (heavy >= 0) + 2 * (tank >= 0)
    result = []
    for kind in np.unique(kinds):
        every = np.flatnonzero(kinds == kind)
        for rows in np.array_split(every, -(-every.size * model.steps // BATCH)):
            tanks = tank[rows] if kind >= 2 else np.empty(0, dtype=np.intp)
            masses = heavy[rows] if kind % 2 else np.empty(0, dtype=np.intp)
            result.append(Make(rows, tanks, _homes(model, band, rows, masses, tanks)))
    return tuple(result)


def _homes(model: Stacked, band: TankBand, rows: Rows, masses: Rows, tanks: Rows) -> Homes:
    fabric, held, pumps = model.fabric, model.tanks, model.pumps
    count, steps, parts = rows.size, model.steps, pumps.parts
    states, inputs = 1 + bool(masses.size) + bool(tanks.size), parts + 2 * bool(tanks.size)
    carry = np.zeros((count, steps, states, states))
    gain = np.zeros((count, steps, states, inputs))
    drift = np.zeros((count, steps, states))
    most, rate, busy = (np.zeros((count, steps, inputs)) for _ in range(3))
    start, worth = np.zeros((count, states)), np.zeros((count, states))
    dt = model.dt_h
    carry[:, :, 0, 0], drift[:, :, 0] = model.decay[rows], model.drift_k[rows]
    gain[:, :, 0, :parts] = model.gain_k_per_kw[rows, :, None]
    start[:, 0], worth[:, 0] = model.room_c[rows], model.terminal_gbp_per_k[rows]
    able = model.heat_max_kw[rows]
    most[:, :, :parts] = pumps.share[rows, None, :] * able[:, :, None]
    rate[:, :, :parts] = pumps.rate[rows, None, :] / model.cop[rows, :, None]
    kink = [model.floor_c[rows], model.comfort_c[rows], model.ceiling_c[rows]]
    weight = [
        FLOOR_GBP_PER_KH * dt,
        model.problem.discomfort_gbp_per_kh * dt,
        CEILING_GBP_PER_KH * dt,
    ]
    of, side = [0, 0, 0], [-1.0, -1.0, 1.0]
    if masses.size:
        carry[:, :, 0, 1], carry[:, :, 1, 0] = fabric.from_mass[masses], fabric.from_room[masses]
        carry[:, :, 1, 1], drift[:, :, 1] = fabric.decay[masses], fabric.drift_k[masses]
        gain[:, :, 1, :parts] = fabric.gain_k_per_kw[masses, :, None]
        start[:, 1], worth[:, 1] = fabric.mass_c[masses], model.mass_gbp_per_k[masses]
    if tanks.size:
        last = states - 1
        carry[:, :, last, last], drift[:, :, last] = held.decay[tanks], held.drift_kwh[tanks]
        gain[:, :, last, parts:] = held.gain_kwh_per_kw[tanks, :, None]
        start[:, last], worth[:, last] = held.energy_kwh[tanks], held.terminal_gbp_per_kwh[tanks]
        most[:, :, parts], most[:, :, parts + 1] = band.pump_kw[tanks], band.backup_kw[tanks]
        rate[:, :, parts], rate[:, :, parts + 1] = 1.0 / held.cop[tanks], 1.0
        busy[:, :, :parts] = _inverse(able)[:, :, None]
        busy[:, :, parts] = _inverse(held.heat_max_kw[tanks])
        kink += [band.least_kwh[tanks], band.wanted_kwh[tanks], band.top_kwh[tanks]]
        weight += [TANK_MIN_GBP_PER_KWH_H * dt, TANK_COMFORT_GBP_PER_KWH_H * dt]
        weight += [np.full(steps, TOP_GBP_PER_KWH)]
        of, side = of + [last] * 3, [*side, -1.0, -1.0, 1.0]
    return Homes(
        start=start,
        carry=carry,
        gain=gain,
        drift=drift,
        most=most,
        rate=rate,
        busy=busy,
        kink=np.stack(kink, axis=2),
        weight=np.stack(weight, axis=1),
        of=np.array(of, dtype=np.intp),
        side=np.array(side),
        worth=worth,
        own=dt * linear_price(model)[rows],
    )


def ask(
    model: Stacked,
    makes: Sequence[Make],
    price: FloatArray,
    first_kw: FloatArray,
    near_gbp: float,
    *,
    pattern: Rows,
    left: Callable[[], float],
    threads: int | None,
) -> Told | None:
    """Return what homes do at prices [£/kW and step], shape (patterns, steps).

    ``None`` where time is up before all have answered.

    Parameters
    ----------
    first_kw
        Heat to begin with, as in `Told`.
    near_gbp
        Value and bound of a home may be so far apart.
    pattern
        Which row of the prices a home pays, shape (homes,).
    left
        Seconds until the deadline, looked at before each batch.
    """
    homes, steps = model.homes, model.steps
    heat = np.zeros((homes, 3 * steps))
    power, spares, squeeze = (np.zeros((homes, steps)) for _ in range(3))
    cost, value, bound = (np.zeros(homes) for _ in range(3))
    for make in makes:
        if left() <= 0:
            return None
        rows = make.rows
        told: Answer = answer(
            make.homes,
            price,
            _split(model, make, first_kw),
            row=pattern[rows],
            threads=threads,
            near_gbp=near_gbp,
        )
        parts = model.pumps.parts
        heat[rows, :steps] = told.heat_kw[:, :, :parts].sum(axis=2)
        if make.tanks.size:
            heat[rows, steps:] = np.concatenate(
                [told.heat_kw[:, :, parts], told.heat_kw[:, :, parts + 1]], axis=1
            )
        power[rows], spares[rows], squeeze[rows] = told.power_kw, told.spares, told.squeeze
        cost[rows], value[rows], bound[rows] = told.cost, told.value, told.bound
    return Told(heat, power, cost, value, bound, spares, squeeze)


def rooms_alone(
    model: Stacked,
    rows: Rows,
    paid: FloatArray,
    squeeze: FloatArray,
    first_kw: FloatArray,
    near_gbp: float,
    threads: int | None,
) -> FloatArray:
    """Return what homes cost at least without their tanks, the compressor's time paid for [£].

    Parameters
    ----------
    rows
        Which homes, shape (n,).
    paid
        Price of electricity at each home [£/kW and step], shape (homes, steps).
    squeeze
        Price of the compressor's time at each home [£ a step], shape (homes, steps).
    """
    heavy = np.full(model.homes, -1)
    heavy[model.fabric.rows] = np.arange(model.fabric.rows.size)
    bound = np.zeros(rows.size)
    none = np.empty(0, dtype=np.intp)
    for some in (heavy[rows] >= 0, heavy[rows] < 0):
        mine = rows[some]
        if not mine.size:
            continue
        masses = heavy[mine] if heavy[mine[0]] >= 0 else none
        plain = _homes(model, open_band(model.tanks), mine, masses, none)
        time = squeeze[mine] * _inverse(model.heat_max_kw[mine])
        homes = replace(
            plain,
            rate=plain.rate * paid[mine][:, :, None] + time[:, :, None],
            own=np.zeros_like(plain.own),
        )
        first = _split(model, Make(mine, none, homes), first_kw)
        told = answer(homes, np.ones(model.steps), first, threads=threads, near_gbp=near_gbp)
        bound[some] = told.bound
    return bound


def _split(model: Stacked, make: Make, heat_kw: FloatArray) -> FloatArray:
    """Return the inputs that give this heat, the parts of a heat pump filled in turn."""
    steps, rows = model.steps, make.rows
    left = heat_kw[rows, :steps]
    inputs = np.zeros(make.homes.most.shape)
    for part in range(model.pumps.parts):
        inputs[:, :, part] = np.clip(left, 0.0, make.homes.most[:, :, part])
        left = left - inputs[:, :, part]
    if make.tanks.size:
        inputs[:, :, -2] = heat_kw[rows, steps : 2 * steps]
        inputs[:, :, -1] = heat_kw[rows, 2 * steps :]
    return inputs


def joined(model: Stacked, decision: Decision) -> FloatArray:
    """Return the heat of a decision as in `Told`."""
    steps, rows = model.steps, model.tanks.rows
    heat = np.zeros((model.homes, 3 * steps))
    heat[:, :steps] = decision.heat_kw
    heat[rows, steps : 2 * steps], heat[rows, 2 * steps :] = tank_heat(model, decision)
    return heat


def parted(model: Stacked, band: TankBand, heat_kw: FloatArray, battery_kw: FloatArray) -> Decision:
    """Return heat as in `Told` as a decision; what would overfill a tank is taken away."""
    steps, tanks = model.steps, model.tanks
    room = np.clip(heat_kw[:, :steps], 0.0, model.heat_max_kw)
    if not tanks.count:
        return Decision(room, battery_kw)
    pump = np.clip(heat_kw[tanks.rows, steps : 2 * steps], 0.0, tanks.heat_max_kw)
    backup = np.clip(heat_kw[tanks.rows, 2 * steps :], 0.0, tanks.backup_max_kw[:, None])
    held = tanks.energy_kwh
    for step in range(steps):
        gain = tanks.gain_kwh_per_kw[:, step]
        cooled = tanks.decay[:, step] * held + tanks.drift_kwh[:, step]
        able = np.maximum(band.top_kwh[:, step] - cooled, 0.0) / gain
        backup[:, step] = np.minimum(backup[:, step], able)
        pump[:, step] = np.minimum(pump[:, step], able - backup[:, step])
        held = cooled + gain * (pump[:, step] + backup[:, step])
        # above the heat pump's reach the backup heater is alone
        hot = held > tanks.pump_max_kwh + TRACE_KWH
        pump[hot, step] = 0.0
        held = cooled + gain * (pump[:, step] + backup[:, step])
    return Decision(room, battery_kw, pump_kw=pump, backup_kw=backup)


def fixed_gbp(model: Stacked) -> float:
    """Return the part of the objective that answers leave out: base load and the ends' zero."""
    floor = model.floor_c[model.fabric.rows, -1]
    return constant_gbp(model) + float(np.sum(model.mass_gbp_per_k * floor))


def _inverse(values: FloatArray) -> FloatArray:
    return np.where(values > 0, 1.0 / np.where(values > 0, values, 1.0), 0.0)
