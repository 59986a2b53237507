"""Rooms and tanks led to given temperatures by rules alone, within what heat pumps can do."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from controllers.evaluation import Decision
from controllers.pumps import BoolArray, IntArray
from controllers.stacked import Stacked
from ems.domain.forecasts import FloatArray

RUN_SHARE = 0.5
"""A discrete heat pump runs in a step that asks for at least this share of its capacity."""


@dataclass(slots=True, eq=False)
class _Runs:
    """Which discrete heat pumps run, and for how many steps more they must stay so."""

    on: BoolArray
    holds: IntArray

    def decide(self, model: Stacked, step: int, wanted: BoolArray) -> BoolArray:
        """Return what runs in ``step``; minimum times come before what is wanted."""
        pumps = model.pumps
        after = np.where(self.holds > 0, self.on, wanted)
        after = (after | pumps.must_on[:, step]) & ~pumps.must_off[:, step]
        lasts = np.where(after, pumps.lasts_on[:, step], pumps.lasts_off[:, step])
        self.holds = np.where(after != self.on, lasts - 1, np.maximum(self.holds - 1, 0))
        self.on = after
        return after


def follow(model: Stacked, rooms_c: FloatArray, tanks_kwh: FloatArray) -> Decision:
    """Return the decision with which each home ends each step where it is asked to, if it can.

    An ideal thermostat in the planner's own model: it gives just what is needed, hot water
    first, up to capacity, and nothing where it is warm enough. A heat pump that is on or off
    runs where half of its capacity or more is needed, or the floor is; minimum times are kept.
    The backup heater helps where the heat pump cannot. The battery rests.

    Parameters
    ----------
    rooms_c
        Asked for at each step's end [°C], shape (homes, steps).
    tanks_kwh
        The same of tanks [kWh], shape (tanks, steps).
    """
    pumps, tanks = model.pumps, model.tanks
    heat = np.zeros((model.homes, model.steps))
    on = np.zeros((model.homes, model.steps))
    pump = np.zeros((tanks.count, model.steps))
    backup = np.zeros((tanks.count, model.steps))
    runs = _Runs(pumps.on.copy(), np.zeros(model.homes, dtype=np.int64))
    room, mass, held = model.room_c, model.fabric.mass_c, tanks.energy_kwh
    asked = np.minimum(tanks_kwh, tanks.top_kwh)
    for step in range(model.steps):
        coast = model.coast(step, room, mass)
        most, gain = model.heat_max_kw[:, step], model.gain_k_per_kw[:, step]
        busy = np.zeros(model.homes)
        cooled = tanks.decay[:, step] * held + tanks.drift_kwh[:, step]
        need = np.maximum(asked[:, step] - cooled, 0.0) / tanks.gain_kwh_per_kw[:, step]
        if tanks.count:
            reach = (tanks.pump_max_kwh - cooled) / tanks.gain_kwh_per_kw[:, step]
            able = np.where(
                asked[:, step] <= tanks.pump_max_kwh,
                np.clip(reach, 0.0, tanks.heat_max_kw[:, step]),
                0.0,
            )
            pump[:, step] = np.minimum(need, able)
            busy[tanks.rows] = pump[:, step] / np.maximum(tanks.heat_max_kw[:, step], 1e-12)
        given = np.clip((rooms_c[:, step] - coast) / gain, 0.0, most * (1.0 - busy))
        if np.any(pumps.discrete):
            load = busy + given / np.maximum(most, 1e-12)
            wanted = (load >= RUN_SHARE) | ((coast < model.floor_c[:, step]) & (load > 0))
            now = runs.decide(model, step, wanted) | ~pumps.discrete
            least = np.maximum(pumps.least[:, step] - busy, 0.0) * most
            given = np.where(now, np.where(pumps.discrete, np.maximum(given, least), given), 0.0)
            on[:, step] = now & pumps.discrete
            pump[~now[tanks.rows], step] = 0.0
        heat[:, step] = given
        if tanks.count:
            # beyond its comfort only a due cycle asks for more: that, and want, is the backup's
            urgent = np.where(
                asked[:, step] > tanks.comfort_kwh[:, step], asked[:, step], tanks.min_kwh
            )
            short = (urgent - cooled) / tanks.gain_kwh_per_kw[:, step] - pump[:, step]
            backup[:, step] = np.clip(short, 0.0, tanks.backup_max_kw)
            held = cooled + tanks.gain_kwh_per_kw[:, step] * (pump[:, step] + backup[:, step])
            # what the backup heats beyond its reach the heat pump did not help with
        after = coast + gain * given
        if mass.size:
            mass = model.settle(step, room, mass, given)
        room = after
    return Decision(
        heat,
        np.zeros(model.steps),
        on=on if np.any(pumps.discrete) else None,
        pump_kw=pump if tanks.count else None,
        backup_kw=backup if tanks.count else None,
    )
