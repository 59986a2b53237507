"""The readable twin of the on/off kernel: one heat pump, the recursion written out.

The maths and the number of the equation are in :mod:`ext.onoff`.
"""

from __future__ import annotations

import functools
from dataclasses import dataclass

from ext.store_reference import stage_cost

State = tuple[bool, int]
"""Whether it is on, and for how many further steps it must stay so."""


@dataclass(frozen=True)
class Pump:
    """One home of :class:`ext.onoff.Pumps`, as lists; ``grid`` holds the points before each step.

    The last grid is that at the end.
    """

    start: float
    decay: list[float]
    gain: list[float]
    drift: list[float]
    heat: list[list[float]]
    charge: list[list[float]]
    kink: list[list[float]]
    slope: list[list[float]]
    worth: float
    start_cost: float
    on: bool
    must_on: list[bool]
    must_off: list[bool]
    lasts_on: list[int]
    lasts_off: list[int]
    grid: list[list[float]]

    def after(self, step: int, state: State) -> list[tuple[State, float]]:
        """Return the states that may follow in a step, the present one first, and their price."""
        on, wait = state
        found: list[tuple[State, float]] = [((on, max(wait - 1, 0)), 0.0)]
        if wait == 0:
            lasts = self.lasts_off if on else self.lasts_on
            found.append(((not on, lasts[step] - 1), 0.0 if on else self.start_cost))
        forbidden = {True: self.must_off[step], False: self.must_on[step]}
        return [(each, price) for each, price in found if not forbidden[each[0]]]

    def choices(
        self, step: int, state: State, temperature: float
    ) -> list[tuple[float, State, float, float, float]]:
        """Return what can be done: cost to the end by (1), state, temperature, heat, price."""
        coast = self.decay[step] * temperature + self.drift[step]
        found = []
        for state_after, price in self.after(step, state):
            levels = list(zip(self.heat[step], self.charge[step], strict=True))
            for heat, charge in levels if state_after[0] else [(0.0, 0.0)]:
                there = coast + self.gain[step] * heat
                cost = price + charge + stage_cost(there, self.kink[step], self.slope[step])
                ahead = self.read(step + 1, state_after, there)
                found.append((cost + ahead, state_after, there, heat, price))
        return found

    def read(self, step: int, state: State, temperature: float) -> float:
        """Return V by a line between two points of the grid, beyond it by its last piece."""
        points = self.grid[step]
        width = points[1] - points[0]
        position = (temperature - points[0]) / width
        index = min(max(int(position), 0), len(points) - 2)
        left, right = self.value(step, state, index), self.value(step, state, index + 1)
        return left + (position - index) * (right - left)

    @functools.cache  # noqa: B019 # lives as long as the one problem that it is made for
    def value(self, step: int, state: State, index: int) -> float:
        """Return V at a point of the grid."""
        at = self.grid[step][index]
        if step == len(self.decay):
            return -self.worth * at
        return min((each[0] for each in self.choices(step, state, at)), default=float("inf"))

    def __hash__(self) -> int:
        return id(self)


def best_one(pump: Pump) -> tuple[list[float], list[bool], list[float], float, float]:
    """Return heat, whether it runs, temperatures, exact cost without running, and the value."""
    state: State = (pump.on, 0)
    temperature, total = pump.start, 0.0
    heats, running, temperatures, value = [], [], [], 0.0
    for step in range(len(pump.decay)):
        found = min(pump.choices(step, state, temperature), key=lambda each: each[0])
        value = found[0] if step == 0 else value
        _, state, temperature, heat, price = found
        total += price + stage_cost(temperature, pump.kink[step], pump.slope[step])
        heats.append(heat)
        running.append(state[0])
        temperatures.append(temperature)
    return heats, running, temperatures, total - pump.worth * temperature, value
