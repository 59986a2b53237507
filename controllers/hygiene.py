"""Legionella cycles that are due: when each is held, and what holding it costs at least.

A cycle is a choice, so its home is not convex. Each due tank is given one window and the steps
in which it is hot (above the heat pump's reach, where the backup heater is alone): its *band*. With
that it is convex again. What any window would cost follows from the tank alone: the heat pump's
time is paid for at what it is worth (the squeeze, mu), so that room and tank part,

    home  >=  room(mu) + min over windows tank(mu, window) − sum of mu                       (1)

for any mu >= 0, and the tank alone is a store whose answer is exact (:mod:`ext.store`).
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
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
TOLD_APART = 4
"""Steps at which a tank may become hot that are told apart at once."""


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


def open_band(tanks: StackedTanks, some: Sequence[int] | None = None) -> TankBand:
    """Return the band of tanks (all, or some) without any cycle: it holds whatever they may do."""
    at = np.arange(tanks.count) if some is None else np.asarray(some, dtype=np.intp)
    top, reach, shape = tanks.top_kwh[at], tanks.pump_max_kwh[at, None], tanks.decay[at].shape
    beyond = (top > reach + NEAR_KWH) & (tanks.hygiene_kwh[at, None] <= 0)
    backup = np.broadcast_to(tanks.backup_max_kw[at, None], shape)
    return TankBand(
        pump_kw=np.where(beyond, 0.0, tanks.heat_max_kw[at]),
        backup_kw=np.where(beyond, 0.0, backup),
        least_kwh=np.array(np.broadcast_to(tanks.min_kwh[at, None], shape)),
        wanted_kwh=np.array(tanks.comfort_kwh[at]),
        top_kwh=np.array(top),
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
    one = open_band(tanks, [tank])
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
            held = max(reach, float(cooled[step - 1])) if step else float(tanks.energy_kwh[tank])
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
    top = tanks.top_kwh[tank]
    one.top_kwh[0] = np.where(hot, top, np.minimum(np.maximum(reach, cooled), top))
    return one


def chosen(
    model: Stacked, price: FloatArray, squeeze: FloatArray, left: Callable[[], float]
) -> tuple[dict[int, int | None], TankBand] | None:
    """Return the cheapest window of each due tank at prices, and the band of all tanks.

    ``None`` where time is up before all are chosen.

    Parameters
    ----------
    price
        Of electricity at each home [£/kW and step], shape (homes, steps).
    squeeze
        What the compressor's time is worth at each home [£ a step], shape (homes, steps).
    left
        Seconds until the deadline, looked at before each tank.
    """
    tanks = model.tanks
    windows: dict[int, int | None] = {}
    bands = open_band(tanks)
    for tank in (int(each) for each in due_of(tanks)):
        if left() <= 0:
            return None
        options = (None, *range(len(tanks.windows[tank])))
        tried = [(window, held_band(model, tank, window)) for window in options]
        able = [(window, band) for window, band in tried if band is not None]
        home = int(tanks.rows[tank])
        stacked = _stacked([band for _, band in able])
        cost = _tank_gbp(model, tank, stacked, price[home], squeeze[home])
        cost[0] += HYGIENE_GBP
        window, band = able[int(np.argmin(cost))]
        windows[tank] = window
        put(bands, tank, band)
    return windows, bands


def put(bands: TankBand, tank: int, band: TankBand) -> None:
    """Give a tank this band, shape (1, steps)."""
    for name in ("pump_kw", "backup_kw", "least_kwh", "wanted_kwh", "top_kwh"):
        getattr(bands, name)[tank] = getattr(band, name)[0]


def least_gbp(
    model: Stacked, tank: int, price: FloatArray, squeeze: FloatArray, *, fine: bool
) -> float:
    """Return what a due tank costs at least, whichever window is held, or none [£].

    A window's tank becomes hot, above the heat pump's reach, in the window's first step or some
    steps before it. Whenever that is, the backup heater has given what lies between reach and
    what is asked for by then: it is paid more for that, and each window is bounded at once.
    ``fine``: only where that could be cheaper than the best known is the step told apart in which
    it becomes hot.
    """
    tanks = model.tanks

    def gbp(band: TankBand, bonus: FloatArray | None = None) -> FloatArray:
        return _tank_gbp(model, tank, band, price, squeeze, bonus)

    firsts = tanks.windows[tank][:, 0]
    best = float(gbp(open_band(tanks, [tank]))[0]) + HYGIENE_GBP
    if not firsts.size:
        return best
    each = np.arange(firsts.size)
    none = np.zeros_like(each)
    best = min(best, float(np.min(gbp(_cycles(tanks, tank, each, none, exact=True)))))
    bonus = _bonus(model, tank, price, squeeze)
    reach = max(float(tanks.pump_max_kwh[tank]), float(tanks.energy_kwh[tank]))
    given = max(float(tanks.hygiene_kwh[tank]) - reach - NEAR_KWH, 0.0)
    cost = gbp(_cycles(tanks, tank, each, none, exact=False), bonus) + given * bonus.max(axis=1)
    if not fine:
        return min(best, float(np.min(cost)))
    early = 1
    while True:
        each = each[(cost[each] < best) & (firsts[each] >= early)]
        if not each.size:
            return best
        steps = np.repeat(np.arange(early, early + TOLD_APART), each.size)
        windows = np.tile(each, TOLD_APART)
        able = firsts[windows] >= steps
        band = _cycles(tanks, tank, windows[able], steps[able], exact=True)
        best = min(best, float(np.min(gbp(band))))
        early += TOLD_APART


def _bonus(model: Stacked, tank: int, price: FloatArray, squeeze: FloatArray) -> FloatArray:
    """Return what a kWh of the backup heater is paid more before each window [£], (windows, steps).

    About what it costs more than the heat pump, each in its cheapest step.
    """
    tanks = model.tanks
    gain = tanks.gain_kwh_per_kw[tank]
    able = np.maximum(tanks.heat_max_kw[tank], 1e-9)
    pump = np.minimum.accumulate((price / tanks.cop[tank] + squeeze / able) / gain)
    alone = np.minimum.accumulate(price / gain)
    more = np.clip(alone - pump, 0.0, np.maximum(alone, 0.0))
    firsts = tanks.windows[tank][:, 0]
    return np.where(np.arange(model.steps) <= firsts[:, None], more[firsts][:, None], 0.0)


def _cycles(
    tanks: StackedTanks,
    tank: int,
    windows: NDArray[np.intp],
    early: NDArray[np.intp],
    *,
    exact: bool,
) -> TankBand:
    """Return bands that hold all a tank may do which is hot so many steps before a window.

    ``exact``: it becomes hot just then; else then or before.
    """
    reach, asked = float(tanks.pump_max_kwh[tank]), float(tanks.hygiene_kwh[tank])
    band = open_band(tanks, np.full(windows.size, tank).tolist())
    steps = np.arange(tanks.decay.shape[1])
    first, last = tanks.windows[tank][windows, 0, None], tanks.windows[tank][windows, 1, None]
    inside = (steps >= first) & (steps <= last)
    band.least_kwh[inside] = asked
    band.wanted_kwh[inside] = asked
    if asked > reach + NEAR_KWH:
        begin = first - early[:, None]
        band.pump_kw[(steps >= begin) & (steps <= last)] = 0.0
        if exact:
            before = steps == begin - 1
            band.top_kwh[before] = np.minimum(band.top_kwh[before], reach + NEAR_KWH)
    return band


def _stacked(bands: Sequence[TankBand]) -> TankBand:
    return TankBand(
        *(np.concatenate([getattr(band, name) for band in bands]) for name in TankBand.__slots__)
    )


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
    band: TankBand,
    price: FloatArray,
    squeeze: FloatArray,
    bonus: FloatArray | None = None,
) -> FloatArray:
    """Return what a tank costs at least within each band, the compressor's time paid for [£].

    ``bonus`` is what a kWh of the backup heater is paid in each band and step [£].
    """
    tanks = model.tanks
    count, steps = band.pump_kw.shape
    most_kw = np.stack([band.pump_kw, band.backup_kw], axis=2)
    able = tanks.heat_max_kw[tank]
    share = np.where(able > 0, squeeze / np.where(able > 0, able, 1.0), 0.0)
    alone = np.broadcast_to(price, (count, steps))
    if bonus is not None:
        alone = alone - bonus * tanks.gain_kwh_per_kw[tank]
    pump = np.broadcast_to(price / tanks.cop[tank] + share, (count, steps))
    paid = np.stack([pump, alone], axis=2)
    # what earns even at a price below nothing is had for nothing: no dearer than it is
    gift = np.sum(np.minimum(paid, 0.0) * most_kw, axis=(1, 2))
    order = np.argsort(paid, axis=2)
    paid = np.maximum(np.take_along_axis(paid, order, axis=2), 0.0)
    least, wanted, top = band.least_kwh, band.wanted_kwh, band.top_kwh
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
        most=np.take_along_axis(most_kw, order, axis=2),
        rate=paid,
        kink=kink,
        slope=slope,
        worth=np.full(count, tanks.terminal_gbp_per_kwh[tank]),
    )
    told = answer(stores, np.ones(steps), threads=1)
    return np.asarray(told.value + gift, dtype=np.float64)
