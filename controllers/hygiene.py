"""Legionella cycles that are due: when each is held, and what holding it costs at least.

A cycle is a choice, so its home is not convex. Each due tank is given one window and the steps
in which it is hot (above the heat pump's reach, where the backup heater is alone): its *band*. With
that it is convex again. What any window would cost follows from the tank alone: the heat pump's
time is paid for at what it is worth (the squeeze, mu), so that room and tank part,

    home  >=  room(mu) + min over windows tank(mu, window) − sum of mu                       (1)

for any mu >= 0, and the tank alone is a store whose answer is exact (:mod:`ext.store`).
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from controllers.evaluation import (
    HYGIENE_GBP,
    TANK_COMFORT_GBP_PER_KWH_H,
    TANK_MIN_GBP_PER_KWH_H,
)
from controllers.stacked import Stacked
from controllers.tanks import NEAR_KWH, StackedTanks
from ems.domain.forecasts import FloatArray
from ext.store import Stores, answer

HELD_KWH = 1e-3
"""Above what a cycle asks for, so that rounding misses none."""
OVER_GBP_PER_KWH = 20.0
LATE = 2
"""Steps that a tank is hot before its window and that are told apart in the bound."""


@dataclass(frozen=True, slots=True, eq=False)
class TankBand:
    """What tanks may do in each step, shape (tanks, steps) each.

    Attributes
    ----------
    pump_kw, backup_kw
        Most that heat pump and backup heater may give.
    least_kwh, wanted_kwh, top_kwh
        Held at each step's end.
    """

    pump_kw: FloatArray
    backup_kw: FloatArray
    least_kwh: FloatArray
    wanted_kwh: FloatArray
    top_kwh: FloatArray


def open_band(tanks: StackedTanks) -> TankBand:
    """Return the band of tanks without any cycle: no less than any choice of windows leaves."""
    due = tanks.hygiene_kwh > 0
    beyond = (tanks.top_kwh > tanks.pump_max_kwh[:, None] + NEAR_KWH) & ~due[:, None]
    shape = tanks.decay.shape
    backup = np.broadcast_to(tanks.backup_max_kw[:, None], shape)
    return TankBand(
        pump_kw=np.where(beyond, 0.0, tanks.heat_max_kw),
        backup_kw=np.where(beyond, 0.0, backup),
        least_kwh=np.array(np.broadcast_to(tanks.min_kwh[:, None], shape)),
        wanted_kwh=tanks.comfort_kwh.copy(),
        top_kwh=tanks.top_kwh.copy(),
    )


def due_of(tanks: StackedTanks) -> NDArray[np.intp]:
    """Return the tanks whose cycle is due."""
    return np.flatnonzero(tanks.hygiene_kwh > 0)


def held_band(model: Stacked, tank: int, window: int | None) -> TankBand | None:
    """Return a due tank's band (1, steps) with a window held, or none; ``None``: it cannot be.

    The tank is hot from when the backup heater must begin until it has cooled to the heat pump's
    reach.
    """
    tanks = model.tanks
    one = _only(open_band(tanks), tank)
    reach = float(tanks.pump_max_kwh[tank])
    cooled = _idle(tanks, tank, float(tanks.energy_kwh[tank]), 0)
    hot = cooled > reach + NEAR_KWH
    asked = float(tanks.hygiene_kwh[tank]) + HELD_KWH
    if window is not None:
        first, last = (int(each) for each in tanks.windows[tank][window])
        needed, begin = asked, first
        for step in range(first, -1, -1):
            given = float(tanks.gain_kwh_per_kw[tank, step] * tanks.backup_max_kw[tank])
            before = (needed - given - float(tanks.drift_kwh[tank, step])) / float(
                tanks.decay[tank, step]
            )
            begin = step
            held = float(tanks.energy_kwh[tank]) if step == 0 else reach
            if before <= held or (step == 0 and asked <= reach):
                break
            if step == 0:
                return None
            needed = before
        one.least_kwh[0, first : last + 1] = asked
        one.wanted_kwh[0, first : last + 1] = asked
        if asked > reach:
            hot[begin : last + 1] = True
            after = _idle(tanks, tank, asked, last + 1)
            hot[last + 1 :] |= after > reach
            cooled[last + 1 :] = np.maximum(cooled[last + 1 :], after)
    one.pump_kw[0, hot] = 0.0
    full = float(tanks.top_kwh[tank].max())
    one.top_kwh[0] = np.where(hot, full, np.maximum(reach, cooled))
    return one


def chosen(
    model: Stacked, price: FloatArray, squeeze: FloatArray
) -> tuple[dict[int, int | None], TankBand]:
    """Return the cheapest window of each due tank at prices, and the band of all tanks.

    Parameters
    ----------
    price
        Of electricity at each home [£/kW and step], shape (homes, steps).
    squeeze
        What the compressor's time is worth at each home [£ a step], shape (homes, steps).
    """
    tanks = model.tanks
    windows: dict[int, int | None] = {}
    bands = open_band(tanks)
    for tank in (int(each) for each in due_of(tanks)):
        options = (None, *range(len(tanks.windows[tank])))
        tried = [(window, held_band(model, tank, window)) for window in options]
        able = [(window, band) for window, band in tried if band is not None]
        home = int(tanks.rows[tank])
        cost = _tank_gbp(model, tank, [band for _, band in able], price[home], squeeze[home])
        cost[0] += HYGIENE_GBP
        window, band = able[int(np.argmin(cost))]
        windows[tank] = window
        put(bands, tank, band)
    return windows, bands


def put(bands: TankBand, tank: int, band: TankBand) -> None:
    """Give a tank this band, shape (1, steps)."""
    for name in ("pump_kw", "backup_kw", "least_kwh", "wanted_kwh", "top_kwh"):
        getattr(bands, name)[tank] = getattr(band, name)[0]


def least_gbp(model: Stacked, tank: int, price: FloatArray, squeeze: FloatArray) -> float:
    """Return what a due tank costs at least, whichever window is held, or none [£]."""
    bands = [_only(open_band(model.tanks), tank), *_relaxed(model.tanks, tank)]
    cost = _tank_gbp(model, tank, bands, price, squeeze)
    cost[0] += HYGIENE_GBP
    return float(np.min(cost))


def _relaxed(tanks: StackedTanks, tank: int) -> Iterator[TankBand]:
    """Yield bands of which, whenever a cycle is held, at least one contains what the tank does.

    A window whose tank is above reach from some step on: from the window's first, from the one
    before it, or from an earlier one.
    """
    reach, asked = float(tanks.pump_max_kwh[tank]), float(tanks.hygiene_kwh[tank])
    for first, last in tanks.windows[tank]:
        for early in range(LATE + 1) if asked > reach + NEAR_KWH else range(1):
            one = _only(open_band(tanks), tank)
            one.least_kwh[0, first : last + 1] = asked
            one.wanted_kwh[0, first : last + 1] = asked
            begin = int(first) - early
            if begin < 0:
                break
            if asked > reach + NEAR_KWH:
                one.pump_kw[0, begin : last + 1] = 0.0
                if early < LATE and begin > 0:
                    one.top_kwh[0, begin - 1] = min(one.top_kwh[0, begin - 1], reach + NEAR_KWH)
            yield one


def _only(band: TankBand, tank: int) -> TankBand:
    each = {
        name: getattr(band, name)[tank : tank + 1].copy()
        for name in ("pump_kw", "backup_kw", "least_kwh", "wanted_kwh", "top_kwh")
    }
    return TankBand(**each)


def _idle(tanks: StackedTanks, tank: int, held: float, begin: int) -> FloatArray:
    """Return what an unheated tank holds at each step's end from step ``begin`` on [kWh]."""
    result = np.empty(tanks.decay.shape[1] - begin)
    for k, step in enumerate(range(begin, tanks.decay.shape[1])):
        held = float(tanks.decay[tank, step]) * held + float(tanks.drift_kwh[tank, step])
        result[k] = held
    return result


def _tank_gbp(
    model: Stacked,
    tank: int,
    bands: list[TankBand],
    price: FloatArray,
    squeeze: FloatArray,
) -> FloatArray:
    """Return what a tank costs at least within each band, the compressor's time paid for [£]."""
    tanks = model.tanks
    count, steps = len(bands), price.size
    most_kw = np.stack(
        [
            np.concatenate([getattr(band, name) for band in bands])
            for name in ("pump_kw", "backup_kw")
        ],
        axis=2,
    )
    able = tanks.heat_max_kw[tank]
    share = np.where(able > 0, squeeze / np.where(able > 0, able, 1.0), 0.0)
    # what earns even at a price below nothing is bought for nothing: no dearer than it is
    paid = np.stack([price / tanks.cop[tank] + share, price], axis=1)
    gift = np.minimum(paid, 0.0)
    order = np.argsort(paid, axis=1)
    paid = np.maximum(np.take_along_axis(paid, order, axis=1), 0.0)
    full = np.broadcast_to(paid, (count, steps, 2))
    least = np.concatenate([band.least_kwh for band in bands])
    wanted = np.concatenate([band.wanted_kwh for band in bands])
    top = np.concatenate([band.top_kwh for band in bands])
    low, high = np.minimum(least, wanted), np.maximum(least, wanted)
    kink = np.stack([np.minimum(low, top), np.minimum(high, top), top], axis=2)
    each = -np.array(
        [TANK_MIN_GBP_PER_KWH_H + TANK_COMFORT_GBP_PER_KWH_H, TANK_COMFORT_GBP_PER_KWH_H]
    )
    ones = np.ones((count, 1))
    slope = np.concatenate([model.dt_h[:, None] * each, np.zeros((steps, 1))], axis=1)
    slope = np.concatenate([slope, np.full((steps, 1), OVER_GBP_PER_KWH)], axis=1)
    stores = Stores(
        start=np.full(count, tanks.energy_kwh[tank]),
        decay=ones * tanks.decay[tank],
        gain=ones * tanks.gain_kwh_per_kw[tank],
        drift=ones * tanks.drift_kwh[tank],
        most=np.take_along_axis(most_kw, np.broadcast_to(order, (count, steps, 2)), axis=2),
        rate=full,
        kink=kink,
        slope=slope,
        worth=np.full(count, tanks.terminal_gbp_per_kwh[tank]),
    )
    told = answer(stores, np.ones(steps), threads=1)
    return np.asarray(told.value + np.sum(gift * most_kw, axis=(1, 2)), dtype=np.float64)
