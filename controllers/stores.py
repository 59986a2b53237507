"""Homes of a block as stores for the kernel, and what follows from their answers."""

from __future__ import annotations

import numpy as np

from controllers.evaluation import CEILING_GBP_PER_KH, FLOOR_GBP_PER_KH
from controllers.model_homes import linear_price
from controllers.stacked import Stacked
from ems.domain.forecasts import FloatArray
from ext.store import Stores

FORGOTTEN = 1e-12
"""Less than this share of a temperature left after a step is none."""


def can_be_stores(model: Stacked) -> bool:
    """Whether each home is one store; heat pumps that are on or off are so when relaxed."""
    return not (model.fabric.rows.size or model.tanks.count or np.any(model.nets_off))


def slopes_of(model: Stacked) -> FloatArray:
    """Return the slopes of a temperature's cost below, in and above the band [£/K], (steps, 4)."""
    discomfort = model.problem.discomfort_gbp_per_kh
    each = np.array([-(FLOOR_GBP_PER_KH + discomfort), -discomfort, 0.0, CEILING_GBP_PER_KH])
    return np.asarray(model.dt_h[:, None] * each, dtype=np.float64)


def kinks_of(model: Stacked) -> FloatArray:
    """Return floor, schedule and ceiling [°C], shape (homes, steps, 3)."""
    return np.stack([model.floor_c, model.comfort_c, model.ceiling_c], axis=2)


def stores_of(model: Stacked) -> Stores:
    """Return the homes as stores whose heat pumps run at any output."""
    pumps = model.pumps
    return Stores(
        start=model.room_c,
        decay=np.where(model.decay < FORGOTTEN, 0.0, model.decay),
        gain=model.gain_k_per_kw,
        drift=model.drift_k,
        most=pumps.share[:, None, :] * model.heat_max_kw[:, :, None],
        rate=pumps.rate[:, None, :] / model.cop[:, :, None],
        kink=kinks_of(model),
        slope=slopes_of(model),
        worth=model.terminal_gbp_per_k,
        own=model.dt_h * linear_price(model),
    )


def constant_gbp(model: Stacked) -> float:
    """Return the part of the objective that stores leave out: base load and the ends' zero."""
    base = np.sum(model.dt_h * linear_price(model) * model.base_kw)
    return float(base + np.sum(model.terminal_gbp_per_k * model.floor_c[:, -1]))


def costs_of(model: Stacked, rooms_c: FloatArray, power_kw: FloatArray) -> FloatArray:
    """Return what the kernel calls a store's cost, for any paths [£], shape (homes,)."""
    below = np.maximum(model.comfort_c - rooms_c, 0.0) * model.problem.discomfort_gbp_per_kh
    below += np.maximum(model.floor_c - rooms_c, 0.0) * FLOOR_GBP_PER_KH
    above = np.maximum(rooms_c - model.ceiling_c, 0.0) * CEILING_GBP_PER_KH
    paid = linear_price(model) * power_kw
    ends = model.terminal_gbp_per_k * rooms_c[:, -1]
    return np.asarray((model.dt_h * (below + above + paid)).sum(axis=1) - ends, dtype=np.float64)


def heat_values(
    model: Stacked, heat_kw: FloatArray, rooms_c: FloatArray, price: FloatArray
) -> FloatArray:
    """Return what one more kWh of heat in a room would save from then on [£/kWh].

    Where a heat pump runs below its capacity that is what its own heat costs. Elsewhere it is
    the cost that a warmer room spares at the step's end, and what is left of it later.

    Parameters
    ----------
    heat_kw, rooms_c
        The plan, shape (homes, steps).
    price
        Of electricity at each home, limits included [£/kWh], shape (homes, steps).
    """
    slopes = slopes_of(model)
    result = np.empty(heat_kw.shape)
    worth = model.terminal_gbp_per_k.copy()
    for step in reversed(range(model.steps)):
        room = rooms_c[:, step]
        passed = [edge[:, step] <= room for edge in (model.floor_c, model.comfort_c)]
        zone = np.add.reduce([*passed, model.ceiling_c[:, step] < room], dtype=np.intp)
        worth = worth - slopes[step][zone]
        gain = model.gain_k_per_kw[:, step]
        heat, most = heat_kw[:, step], model.heat_max_kw[:, step]
        partly = (heat > 1e-6 * most) & (heat < (1 - 1e-6) * most)
        cost = price[:, step] * model.dt_h[step] / model.cop[:, step]
        worth = np.where(partly, cost / gain, worth)
        result[:, step] = worth * gain / model.dt_h[step]
        worth = worth * model.decay[:, step]
    return result
