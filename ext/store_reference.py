"""The readable twin of the store kernel: one store, value functions written out.

The maths and the numbers of equations are in :mod:`ext.store`.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Slope:
    """The slope of a convex, piecewise-linear function.

    ``slopes[0]`` left of ``kinks[0]``, ``slopes[k]`` between ``kinks[k-1]`` and ``kinks[k]``; both
    rise.
    """

    kinks: list[float]
    slopes: list[float]

    def plus(self, other: Slope) -> Slope:
        """Return the slope of the sum."""
        kinks = sorted({*self.kinks, *other.kinks})
        # between two kinks each slope is constant: take it just right of every kink
        after = [self.right_of(kink) + other.right_of(kink) for kink in kinks]
        return Slope(kinks, [self.slopes[0] + other.slopes[0], *after])

    def right_of(self, at: float) -> float:
        """Return the slope just right of a point."""
        return self.slopes[sum(kink <= at for kink in self.kinks)]

    def target(self, slope: float) -> float:
        """Return the least point from which on the slope is at least ``slope``."""
        if self.slopes[0] >= slope:
            return -math.inf
        for kink, after in zip(self.kinks, self.slopes[1:], strict=True):
            if after >= slope:
                return kink
        return math.inf

    def heated(self, most: float, cost: float) -> tuple[Slope, float]:
        """Return (3) for a part that lifts by at most ``most`` at ``cost`` a kelvin, and y."""
        y = self.target(-cost)
        kinks = [kink - most for kink in self.kinks if kink < y]
        slopes = self.slopes[: len(kinks) + 1]
        if math.isfinite(y):
            kinks.append(y - most)
            slopes.append(-cost)
            kinks.append(y)
            slopes.append(self.right_of(y))
        elif y < 0:
            kinks, slopes = [], [self.slopes[0]]
        later = [kink for kink in self.kinks if kink > y]
        return Slope(kinks + later, slopes + [self.right_of(kink) for kink in later]), y

    def before(self, decay: float, drift: float) -> Slope:
        """Return (4)."""
        if decay == 0:
            return Slope([], [0.0])
        kinks = [(kink - drift) / decay for kink in self.kinks]
        return Slope(kinks, [decay * slope for slope in self.slopes])


def stage_cost(temperature: float, kinks: Sequence[float], slopes: Sequence[float]) -> float:
    """Return what a temperature costs: 0 where the slopes pass 0, more on both sides."""
    cost = 0.0
    for k, kink in enumerate(kinks):
        if temperature < kink:
            cost += (min(slopes[k + 1], 0.0) - min(slopes[k], 0.0)) * (kink - temperature)
        else:
            cost += (max(slopes[k + 1], 0.0) - max(slopes[k], 0.0)) * (temperature - kink)
    return cost


def answer_one(
    start: float,
    decay: Sequence[float],
    gain: Sequence[float],
    drift: Sequence[float],
    most: Sequence[Sequence[float]],
    rate: Sequence[Sequence[float]],
    kink: Sequence[Sequence[float]],
    slope: Sequence[Sequence[float]],
    worth: float,
    price: Sequence[float],
    own: Sequence[float],
) -> tuple[list[float], list[float], list[float], float, float]:
    """Return heat, electricity, temperatures, cost and value of one store."""
    steps = range(len(decay))
    targets: list[list[float]] = [[] for _ in steps]
    value = Slope([], [-worth])
    for t in reversed(steps):
        value = value.plus(Slope(list(kink[t]), list(slope[t])))  # (1)
        for size, draws in zip(most[t], rate[t], strict=True):
            cost = (price[t] + own[t]) * draws / gain[t]
            value, y = value.heated(gain[t] * size, cost)  # (2), (3)
            targets[t].append(y)
        value = value.before(decay[t], drift[t])  # (4)

    heat, power, temperatures = [], [], []
    now, total, charged = start, 0.0, 0.0
    for t in steps:
        now = decay[t] * now + drift[t]
        heat.append(0.0)
        power.append(0.0)
        for size, draws, y in reversed(list(zip(most[t], rate[t], targets[t], strict=True))):
            given = min(max((y - now) / gain[t], 0.0), size)
            now += gain[t] * given
            heat[t] += given
            power[t] += given * draws
        temperatures.append(now)
        total += own[t] * power[t] + stage_cost(now, kink[t], slope[t])
        charged += price[t] * power[t]
    total -= worth * now
    return heat, power, temperatures, total, total + charged
