"""One home's cheapest plan on a linear model of any order, by HiGHS.

With the room's response to each step's heat, ``T = T_free + G q``, over steps ``k`` of ``h``
hours::

    min  sum h (p+ m - p- e) + wear h b-  - v E                                       (22)
         + sum h (D below + D above) + B under
    with m - e = base - pv + sum_i q_i / cop_i + b+ - b-
         T + below >= lower, T - above <= upper, T + under >= floor
         soc_k = soc_k-1 + h (eta b+ - b- / eta)

``q_i`` are parts of the heat whose efficiency falls with output, ``E`` the heat left in the
home at the end, worth ``v``. Everything is linear, so the optimum is exact for the model.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from scipy.optimize import linprog
from scipy.sparse import bmat, csr_matrix, diags, eye

from ems.domain.forecasts import FloatArray
from ems.loop.outlook import Outlook
from ems.loop.types import HomeBattery
from forecasting.home_model import HomeModel, gains, matrices, run

DISCOMFORT_GBP_PER_KH = 1.0
FLOOR_GBP_PER_KH = 20.0
HEAT_LEFT_SHARE = 0.75
"""What heat left in the home is worth beside what making it costs on a typical step [-]."""
STEP_H = 0.5
MOST_W = 2e5
"""No home's meter carries more [W]."""


@dataclass(frozen=True, slots=True, eq=False)
class Optimum:
    """Heat (steps,), its electricity, room at each step's end, battery power, cost."""

    heat_w: FloatArray
    power_w: FloatArray
    room_c: FloatArray
    battery_w: FloatArray | None
    cost_gbp: float


@dataclass(frozen=True, slots=True, eq=False)
class Heating:
    """What the heat pump can do in each step: parts [W] and their efficiency, (parts, steps)."""

    parts_w: FloatArray
    cop: FloatArray

    @property
    def most_w(self) -> FloatArray:
        """Greatest heat [W], shape (steps,)."""
        return np.asarray(self.parts_w.sum(axis=0))


def model_inputs(model: HomeModel, outlook: Outlook, unexplained_w: FloatArray) -> FloatArray:
    """Return the inputs without heating, shape (steps, 4)."""
    hours = np.array([at.hour + at.minute / 60.0 for at in outlook.start]) + outlook.step_h / 2.0
    to_air, to_mass = gains(model, hours % 24.0, outlook.sun_w_m2)
    count = len(outlook.start)
    return np.stack([np.zeros(count), outlook.outdoor_c, to_air + unexplained_w, to_mass], axis=1)


def response(model: HomeModel, first_h: float, count: int) -> tuple[FloatArray, FloatArray]:
    """Return the room's and the stored heat's response to a watt in each step.

    Shapes (steps, steps) [K/W], rows being ends of steps, and (steps,) [Wh/W].
    """
    transition, drive = matrices(model, STEP_H)
    _, early = matrices(model, first_h)
    unit, first = drive[:, 0], early[:, 0]
    line, line_first = np.empty((count, 3)), np.empty((count, 3))
    for step in range(count):
        line[step], line_first[step] = unit, first
        unit, first = transition @ unit, transition @ first
    lag = np.arange(count)[:, None] - np.arange(count)[None, :]
    room = np.where(lag >= 0, line[np.maximum(lag, 0), 0], 0.0)
    room[:, 0] = line_first[:, 0]
    mass = model.mass_wh_per_k if model.massive else 0.0
    kept = line @ np.array([model.air_wh_per_k, mass, model.lag_h])
    stored = kept[::-1].copy()
    stored[0] = line_first[-1] @ np.array([model.air_wh_per_k, mass, model.lag_h])
    return room, stored


def solve(
    model: HomeModel,
    state: FloatArray,
    unexplained_w: FloatArray,
    outlook: Outlook,
    heating: Heating,
    *,
    lower_c: FloatArray,
    floor_c: float,
    battery: HomeBattery | None = None,
    soc: float = 0.5,
) -> Optimum | None:
    """Return the optimum of (22), or ``None`` where HiGHS finds none (it always should)."""
    count = len(outlook.start)
    hours = outlook.step_h
    given = model_inputs(model, outlook, unexplained_w)
    free = run(model, state, given, STEP_H, float(hours[0]))[:, 0]
    matrix, stored = response(model, float(hours[0]), count)
    parts = len(heating.parts_w)
    typical = np.median(outlook.import_gbp / heating.cop[0])
    value = HEAT_LEFT_SHARE * max(float(typical), 0.0) / 1000.0
    sold_at = np.minimum(outlook.export_gbp, outlook.import_gbp - 1e-4)
    # Columns: heat parts, below, above, under, import, export, then those of the battery.
    cost = np.concatenate(
        [
            np.tile(-value * stored, parts),
            DISCOMFORT_GBP_PER_KH * hours,
            DISCOMFORT_GBP_PER_KH * hours,
            FLOOR_GBP_PER_KH * hours,
            outlook.import_gbp * hours / 1000.0,
            -sold_at * hours / 1000.0,
        ]
    )
    upper = np.concatenate([heating.parts_w.ravel(), np.full(3 * count, np.inf)])
    upper = np.concatenate([upper, np.full(2 * count, MOST_W)])
    none, one = csr_matrix((count, count)), eye(count, format="csr")
    heat = csr_matrix(np.where(np.abs(matrix) > 1e-9, matrix, 0.0))
    electric = [diags(1.0 / cop) for cop in heating.cop]
    parted = [heat] * parts
    below = [[-each for each in parted], parted, [-each for each in parted]]
    slack = [[-one, none, none], [none, -one, none], [none, none, -one]]
    rows = [[*left, *right, none, none] for left, right in zip(below, slack, strict=True)]
    equal = [[*electric, none, none, none, -one, one]]
    right_side = outlook.pv_w - outlook.base_w
    lower = np.zeros(upper.size)
    if battery is not None:
        cells = _cells(battery, outlook, soc)
        cost = np.concatenate([cost, cells.cost])
        lower = np.concatenate([lower, cells.lower])
        upper = np.concatenate([upper, cells.upper])
        rows = [[*row, none, none, none] for row in rows]
        equal = [[*equal[0], one, -one, none], [*([none] * (parts + 5)), *cells.row]]
        right_side = np.concatenate([right_side, cells.right])
    found = linprog(
        cost,
        A_ub=bmat(rows, format="csc"),
        b_ub=np.concatenate([free - lower_c, outlook.upper_c - free, free - floor_c]),
        A_eq=bmat(equal, format="csc"),
        b_eq=right_side,
        bounds=np.stack([lower, upper], axis=1),
        method="highs",
    )
    if found.x is None:
        return None
    split = found.x[: parts * count].reshape(parts, count)
    total, power = split.sum(axis=0), (split / heating.cop).sum(axis=0)
    flow = found.x[(parts + 5) * count : (parts + 7) * count].reshape(-1, count)
    return Optimum(
        heat_w=total,
        power_w=power,
        room_c=free + matrix @ total,
        battery_w=None if battery is None else flow[0] - flow[1],
        cost_gbp=float(np.sum(outlook.import_gbp * hours * power) / 1000.0),
    )


@dataclass(frozen=True, slots=True, eq=False)
class _Cells:
    """The battery's columns (charge, discharge, energy) and its one row of blocks."""

    cost: FloatArray
    lower: FloatArray
    upper: FloatArray
    row: list[Any]
    right: FloatArray


def _cells(battery: HomeBattery, outlook: Outlook, soc: float) -> _Cells:
    count, hours = len(outlook.start), outlook.step_h
    held = float(np.clip(soc, 0.0, 1.0)) * battery.capacity_wh
    eta = battery.one_way_efficiency
    worth = max(float(np.median(outlook.import_gbp)) - battery.wear_gbp_per_kwh, 0.0)
    end = np.zeros(count)
    end[-1] = -0.9 * worth * eta / 1000.0
    low = min(battery.min_soc * battery.capacity_wh, held)
    high = max(battery.max_soc * battery.capacity_wh, held)
    right = np.zeros(count)
    right[0] = held
    return _Cells(
        cost=np.concatenate([np.zeros(count), battery.wear_gbp_per_kwh * hours / 1000.0, end]),
        lower=np.concatenate([np.zeros(2 * count), np.full(count, low)]),
        upper=np.concatenate(
            [
                np.full(count, battery.max_charge_w),
                np.full(count, battery.max_discharge_w),
                np.full(count, high),
            ]
        ),
        row=[
            diags(-eta * hours),
            diags(hours / eta),
            diags([np.ones(count), -np.ones(count - 1)], [0, -1]),
        ],
        right=right,
    )
