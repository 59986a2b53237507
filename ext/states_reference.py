"""The readable twin of the states kernel: one home, its Newton steps written out with matrices.

The maths and the numbers of equations are in :mod:`ext.states`.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, fields

import numpy as np

from ems.domain.forecasts import FloatArray

SHORT = 0.9
"""Share of the way to a boundary that a step goes at least; all of it as products get small."""


@dataclass(eq=False)
class Home:
    """One home's arrays, as in :class:`ext.states.Homes` without their first axis.

    ``price`` is what a kW of electricity costs in each step, its own part included.
    """

    start: FloatArray
    carry: FloatArray
    gain: FloatArray
    drift: FloatArray
    most: FloatArray
    rate: FloatArray
    busy: FloatArray
    kink: FloatArray
    weight: FloatArray
    of: tuple[int, ...]
    side: tuple[float, ...]
    worth: FloatArray
    price: FloatArray

    def path(self, heat: FloatArray) -> FloatArray:
        """Return the states at each step's end, shape (steps, states)."""
        states, now = [], self.start
        for t, given in enumerate(heat):
            now = self.carry[t] @ now + self.gain[t] @ given + self.drift[t]
            states.append(now)
        return np.array(states)

    def excess(self, states: FloatArray) -> FloatArray:
        """Return how far each hinge is passed, shape (steps, hinges)."""
        return np.array(self.side) * (states[:, list(self.of)] - self.kink)

    def value(self, heat: FloatArray) -> float:
        """Return (2): what this heat costs."""
        states = self.path(heat)
        over = np.maximum(self.excess(states), 0.0)
        drawn = np.sum(self.price[:, None] * self.rate * heat)
        return float(drawn + np.sum(self.weight * over) - self.worth @ states[-1])

    def bound(self, force: FloatArray) -> float:
        """Return (4): no heat can cost less, whatever the forces on the hinges are."""
        steps = len(self.price)
        total = -float(np.sum(force * np.array(self.side) * self.kink))
        pull = -self.worth
        for t in reversed(range(steps)):
            pull = pull.copy()
            for k, state in enumerate(self.of):
                pull[state] += self.side[k] * force[t, k]
            left = self.price[t] * self.rate[t] + pull @ self.gain[t]
            total += float(pull @ self.drift[t]) + self._cheapest(t, left)
            pull = pull @ self.carry[t]
        return total + float(pull @ self.start)

    def _cheapest(self, t: int, cost: FloatArray) -> float:
        """Return the least of cost·u: what earns most a share of the compressor goes first."""
        total, left = 0.0, 1.0
        earns = [i for i in range(len(cost)) if cost[i] < 0 and self.most[t, i] > 0]
        for i in sorted(earns, key=lambda i: cost[i] / max(self.busy[t, i], 1e-300)):
            share = self.busy[t, i]
            given = self.most[t, i] if share == 0 else min(self.most[t, i], left / share)
            left -= share * given
            total += cost[i] * given
        return total


@dataclass(eq=False)
class Point:
    """Slacks and multipliers of (5), or a step of them.

    ``p``, ``q`` and ``y`` of the hinges; ``low`` and ``high`` of what lies below ``heat`` and above
    it (``room``); ``squeeze`` of the compressor's ``idle`` share.
    """

    p: FloatArray
    q: FloatArray
    y: FloatArray
    heat: FloatArray
    room: FloatArray
    low: FloatArray
    high: FloatArray
    idle: FloatArray
    squeeze: FloatArray

    def moved(self, by: Point, primal: float, dual: float) -> Point:
        """Return the point so far along a step."""
        far = {name: dual if name in DUAL else primal for name in NAMES}
        return Point(
            **{name: getattr(self, name) + far[name] * getattr(by, name) for name in NAMES}
        )

    def products(self, home: Home) -> list[FloatArray]:
        """Return slacks times multipliers."""
        y, rest = self.y, home.weight - self.y
        limits = self.low * self.heat, self.high * self.room
        return [y * self.q, rest * self.p, *limits, self.squeeze * self.idle]


NAMES = tuple(field.name for field in fields(Point))
DUAL = ("y", "low", "high", "squeeze")


def middle(weight: FloatArray, excess: FloatArray, target: float) -> tuple[FloatArray, FloatArray]:
    """Return p and q of (5) on the central path at a given excess p - q."""
    root = np.sqrt(weight * weight * excess * excess + 4.0 * target * target)
    # the larger of both without cancellation, the other from it
    big = (2.0 * target + weight * np.abs(excess) + root) / (2.0 * weight)
    small = target * big / (weight * big - target)
    return np.where(excess > 0, big, small), np.where(excess > 0, small, big)


def begun(home: Home, first: FloatArray, target: float, margin: float) -> Point:
    """Return the point on the central path at a heat near the first one, strictly inside."""
    free = home.most > 0
    heat = np.clip(first, margin * home.most, (1.0 - margin) * home.most)
    load = np.sum(home.busy * heat, axis=1, keepdims=True)
    full = (load > 1.0 - margin) & (home.busy > 0)
    heat = np.where(full, heat * (1.0 - margin) / np.where(full, load, 1.0), heat)
    idle = 1.0 - np.minimum(load[:, 0], 1.0 - margin)
    p, q = middle(home.weight, home.excess(home.path(heat)), target)
    room = np.where(free, home.most - heat, 1.0)
    return Point(
        p=p,
        q=q,
        y=target / q,
        heat=heat,
        room=room,
        low=np.where(free, target / np.where(free, heat, 1.0), 0.0),
        high=np.where(free, target / room, 0.0),
        idle=idle,
        squeeze=np.where(np.any((home.busy > 0) & free, axis=1), target / idle, 0.0),
    )


def answer_one(
    home: Home, first: FloatArray, target: float, margin: float, near: float, limit: int = 60
) -> tuple[FloatArray, float, float, int]:
    """Return heat (steps, inputs), value and bound of one home, and how many steps it took.

    Parameters
    ----------
    first
        Heat to begin with.
    target
        The product of a slack and its multiplier to begin with [£].
    margin
        Share of each limit that the first heat keeps from it.
    near
        Value and bound may be so far apart [£].
    """
    at = begun(home, first, target, margin)
    pairs = 2 * at.y.size + 2 * int(np.sum(home.most > 0)) + int(np.sum(at.squeeze > 0))
    heat, value, bound, count = at.heat, home.value(at.heat), home.bound(at.y), 0
    while count < limit and value - bound > near:
        count += 1
        mean = _sum(at.products(home)) / pairs
        # (6) as if every product could be nothing at once, to see how far that leads
        step = newton(home, at, [np.zeros_like(each) for each in at.products(home)])
        primal, dual = lengths(home, at, step)
        found = _sum(at.moved(step, min(primal, 1.0), min(dual, 1.0)).products(home)) / pairs
        aim = mean * (found / mean) ** 3
        second = step.y * step.q, -step.y * step.p
        limits = step.low * step.heat, step.high * step.room
        idle = step.squeeze * step.idle
        step = newton(home, at, [aim - each for each in (*second, *limits, idle)])
        primal, dual = lengths(home, at, step)
        short = max(SHORT, 1.0 - mean)
        at = at.moved(step, min(short * primal, 1.0), min(short * dual, 1.0))
        if home.value(at.heat) < value:
            heat, value = at.heat, home.value(at.heat)
        bound = max(bound, home.bound(at.y))
        if not (primal > 1e-9 and dual > 1e-9):
            break
    return heat, value, bound, count


def newton(home: Home, at: Point, aims: list[FloatArray]) -> Point:
    """Return the step of (5) towards these products: a linear regulator, back and forth in time."""
    steps, inputs = home.rate.shape
    states, side, free = home.start.size, np.array(home.side), home.most > 0
    aim_y, aim_p, aim_low, aim_high, aim_idle = aims
    rest = home.weight - at.y
    spread = at.p / rest + at.q / at.y
    stays = (at.p - at.q + aim_y / at.y - aim_p / rest) / spread
    heat = np.where(free, at.heat, 1.0)
    value, slope = np.zeros((states, states)), -home.worth
    back, feed = np.zeros((steps, inputs, states)), np.zeros((steps, inputs))
    for t in reversed(range(steps)):
        value, slope = value.copy(), slope.copy()
        for k, state in enumerate(home.of):
            value[state, state] += 1.0 / spread[t, k]
            slope[state] += side[k] * (at.y + stays)[t, k]
        cost = np.diag(at.low[t] / heat[t] + at.high[t] / at.room[t])
        cost += at.squeeze[t] / at.idle[t] * np.outer(home.busy[t], home.busy[t])
        cost += home.gain[t].T @ value @ home.gain[t]
        push = home.price[t] * home.rate[t] - aim_low[t] / heat[t] + aim_high[t] / at.room[t]
        push += home.busy[t] * (aim_idle[t] / at.idle[t] if at.squeeze[t] > 0 else 0.0)
        push += home.gain[t].T @ slope
        cross = home.gain[t].T @ value @ home.carry[t]
        for i in np.flatnonzero(~free[t]):
            cost[i], cost[:, i], cross[i], push[i] = 0.0, 0.0, 0.0, 0.0
            cost[i, i] = 1.0
        back[t], feed[t] = np.linalg.solve(cost, cross), np.linalg.solve(cost, push)
        slope = home.carry[t].T @ slope - cross.T @ feed[t]
        value = home.carry[t].T @ value @ home.carry[t] - cross.T @ back[t]
    now = np.zeros(states)
    dheat, moves = np.zeros((steps, inputs)), np.zeros(at.y.shape)
    for t in range(steps):
        dheat[t] = -back[t] @ now - feed[t]
        now = home.carry[t] @ now + home.gain[t] @ dheat[t]
        moves[t] = side * now[list(home.of)]
    dy = moves / spread + stays
    didle = -np.sum(home.busy * dheat, axis=1)
    return Point(
        p=(aim_p + at.p * dy) / rest - at.p,
        q=(aim_y - at.q * dy) / at.y - at.q,
        y=dy,
        heat=dheat,
        room=-dheat,
        low=np.where(free, (aim_low - at.low * dheat) / heat - at.low, 0.0),
        high=np.where(free, (aim_high + at.high * dheat) / at.room - at.high, 0.0),
        idle=didle,
        squeeze=np.where(
            at.squeeze > 0, (aim_idle - at.squeeze * didle) / at.idle - at.squeeze, 0.0
        ),
    )


def lengths(home: Home, at: Point, step: Point) -> tuple[float, float]:
    """Return how far slacks, and multipliers, may go along a step before one is nothing."""
    free, shared = home.most > 0, at.squeeze > 0

    def far(pairs: Iterator[tuple[FloatArray, FloatArray]]) -> float:
        ends = [np.min(-one[by < 0] / by[by < 0], initial=1e6) for one, by in pairs]
        return float(min(ends))

    where = {"heat": free, "room": free, "low": free, "high": free}
    where |= {"idle": shared, "squeeze": shared}
    kept = {name: where.get(name, np.ones(at.y.shape, dtype=bool)) for name in NAMES}

    def pairs(*names: str) -> Iterator[tuple[FloatArray, FloatArray]]:
        for name in names:
            yield getattr(at, name)[kept[name]], getattr(step, name)[kept[name]]

    dual = min(far(pairs(*DUAL)), far(iter([(home.weight - at.y, -step.y)])))
    return far(pairs("p", "q", "heat", "room", "idle")), dual


def _sum(arrays: list[FloatArray]) -> float:
    return float(sum(np.sum(each) for each in arrays))
