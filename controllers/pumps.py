"""Heat pumps of a block as checked arrays: part load, least output, minimum times.

Electricity of heat h is convex and piecewise linear: the part j of the heat, up to a share s_j
of the greatest heat H, takes 1 / (cop r_j) of electricity, with r_1 >= r_2 >= ...        (1)

A discrete heat pump is on or off in a step. While on, the shares of its capacity that go to the
room and to the tank add up to at least H_min / H and at most 1; a change at the edge of step t
holds for ``lasts`` steps from it, counted so that they cover the minimum time.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from controllers.checked import checked, scalar
from ems.domain.errors import InvalidInputError
from ems.domain.forecasts import FloatArray
from ems.domain.heating import PumpProblem
from ems.domain.plans import SchedulingProblem

BoolArray = NDArray[np.bool_]
IntArray = NDArray[np.int64]
NEAR_H = 1e-9
NEAR_SHARE = 1e-6


@dataclass(frozen=True, slots=True, eq=False)
class StackedPumps:
    """Arrays of shape (homes, parts), (homes, steps) or (homes,).

    Attributes
    ----------
    share, rate
        Part of the greatest heat, and electricity of it as a multiple of 1 / cop; shape
        (homes, parts).
    discrete
        Homes whose heat pump is on or off.
    least
        H_min / H while on [-], shape (homes, steps).
    start_gbp
        Price of a start.
    on
        Whether it runs before the first step.
    must_on, must_off
        Steps that the time in its present state still decides, shape (homes, steps).
    lasts_on, lasts_off
        How many steps a change at the edge of each step holds, cut at the end.
    """

    share: FloatArray
    rate: FloatArray
    discrete: BoolArray
    least: FloatArray
    start_gbp: FloatArray
    on: BoolArray
    must_on: BoolArray
    must_off: BoolArray
    lasts_on: IntArray
    lasts_off: IntArray

    @property
    def parts(self) -> int:
        """Greatest number of parts that any home has."""
        return int(self.share.shape[1])

    def power_kw(self, heat_kw: FloatArray, heat_max_kw: FloatArray, cop: FloatArray) -> FloatArray:
        """Return the electricity of ``heat_kw`` for rooms [kW]; all shapes (homes, steps)."""
        if self.parts == 1 and np.all(self.rate == 1.0):
            return np.asarray(heat_kw / cop, dtype=np.float64)
        result = np.zeros(heat_kw.shape)
        below = np.zeros(heat_kw.shape)
        for part in range(self.parts):
            width = self.share[:, part, None] * heat_max_kw
            taken = np.clip(heat_kw - below, 0.0, width)
            if part == self.parts - 1:
                taken = np.maximum(heat_kw - below, 0.0)
            result += taken * self.rate[:, part, None]
            below = below + width
        return np.asarray(result / cop, dtype=np.float64)

    def starts(self, on: FloatArray) -> FloatArray:
        """Return 1 where a discrete heat pump starts, shape of ``on`` (homes, steps)."""
        before = np.concatenate([self.on[:, None], on[:, :-1] > 0.5], axis=1)
        begins = (on > 0.5) & ~before & self.discrete[:, None]
        return np.asarray(begins, dtype=np.float64)


def stack_pumps(
    problem: SchedulingProblem, dt_h: FloatArray, heat_max_kw: FloatArray
) -> StackedPumps:
    """Return the heat pumps of a problem; homes without ``pump`` run at any output.

    Raises
    ------
    InvalidInputError
        Where part-load shares do not add up to 1 or a further part is more efficient than the
        one before, a time is negative or ``nan``.
    """
    homes, steps = heat_max_kw.shape
    plain = PumpProblem()
    pumps = [home.pump or plain for home in problem.homes]
    names = [f"homes[{home.dwelling_id}].pump" for home in problem.homes]
    loads = {
        row: _part_load(pump, names[row]) for row, pump in enumerate(pumps) if pump is not plain
    }
    parts = max((len(load) for load in loads.values()), default=1)
    share, rate = np.zeros((homes, parts)), np.ones((homes, parts))
    share[:, 0] = 1.0
    for row, load in loads.items():
        for part, (width, ratio) in enumerate(load):
            share[row, part], rate[row, part] = width, 1.0 / ratio
        rate[row, len(load) :] = 1.0 / load[-1][1]
    starts_h = np.concatenate([[0.0], np.cumsum(dt_h)[:-1]])
    held = {True: np.zeros((homes, steps), dtype=bool), False: np.zeros((homes, steps), dtype=bool)}
    lasts = {state: np.ones((homes, steps), dtype=np.int64) for state in (True, False)}
    least = np.zeros((homes, steps))
    discrete = np.zeros(homes, dtype=bool)
    for row, (pump, name) in enumerate(zip(pumps, names, strict=True)):
        if pump is plain:
            continue
        since_h = scalar(pump.since_s, f"{name}.since_s", 0.0, inf=True) / 3600.0
        scalar(pump.start_gbp, f"{name}.start_gbp", 0.0)
        for state, limit in ((True, "min_on_s"), (False, "min_off_s")):
            needed_h = scalar(getattr(pump, limit), f"{name}.{limit}", 0.0) / 3600.0
            lasts[state][row] = _lasts(dt_h, needed_h)
            if pump.on is state:
                held[state][row] = starts_h < needed_h - since_h - NEAR_H
        if pump.heat_min_w is not None:
            low_kw = checked(pump.heat_min_w, f"{name}.heat_min_w", steps, low=0.0) / 1000.0
            able = heat_max_kw[row] > 0
            most = np.where(able, heat_max_kw[row], 1.0)
            least[row] = np.where(able, np.clip(low_kw / most, 0.0, 1.0), 0.0)
        discrete[row] = (
            bool(np.any(least[row] > 0)) or max(pump.min_on_s, pump.min_off_s, pump.start_gbp) > 0.0
        )
    return StackedPumps(
        share=share,
        rate=rate,
        discrete=discrete,
        least=least,
        start_gbp=np.array([pump.start_gbp for pump in pumps]),
        on=np.array([pump.on for pump in pumps], dtype=bool),
        must_on=held[True],
        must_off=held[False],
        lasts_on=lasts[True],
        lasts_off=lasts[False],
    )


def _lasts(dt_h: FloatArray, needed_h: float) -> IntArray:
    """Return for each step how many steps from it cover ``needed_h``, cut at the end."""
    edges = np.concatenate([[0.0], np.cumsum(dt_h)])
    steps = dt_h.size
    until = np.searchsorted(edges, edges[:-1] + needed_h - NEAR_H, side="left")
    first = np.arange(steps)
    return np.asarray(np.maximum(np.minimum(until, steps) - first, 1), dtype=np.int64)


def _part_load(pump: PumpProblem, name: str) -> tuple[tuple[float, float], ...]:
    load = pump.part_load or ((1.0, 1.0),)
    ratio_before = np.inf
    for number, (share, ratio) in enumerate(load):
        scalar(share, f"{name}.part_load[{number}] share", 0.0)
        scalar(ratio, f"{name}.part_load[{number}] marginal COP", 0.05)
        if ratio > ratio_before:
            raise InvalidInputError(
                "a further part of the heat cannot take less electricity than the one before",
                field=f"{name}.part_load[{number}]",
                value=(share, ratio),
                remedy="Give the most efficient part first.",
            )
        ratio_before = ratio
    total = sum(share for share, _ in load)
    if abs(total - 1.0) > NEAR_SHARE:
        raise InvalidInputError(
            "the shares of the greatest heat do not add up to 1",
            field=f"{name}.part_load",
            value=total,
            remedy="Give shares that add up to 1.",
        )
    return load
