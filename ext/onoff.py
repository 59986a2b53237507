"""When heat pumps that are on or off are best run, given what each step of running costs.

The arithmetic is compiled (``ext/_onoff.pyx``); :mod:`ext.onoff_reference` says the same
readably, and tests hold the two equal to rounding and both against trying every pattern.

Maths
-----
A room follows ``T[t] = a[t] T[t-1] + b[t] h[t] + k[t]`` as in :mod:`ext.store`. While its heat pump
runs, *h* is one of few levels, each at a cost c; else it is 0. A start costs S. Once started at
step t it runs for ``lasts_on[t]`` steps at least, once stopped it rests for ``lasts_off[t]``.
The state q is on or off and for how many further steps it must stay so; with the least cost V from
a step on,

    V[t](T, q) = min over what q allows of  c + S (a start) + s(T') + V[t+1](T', q')    (1)

V is kept on a grid of temperatures that a step can reach, and read between its points by a line.
The plan is then made forwards by (1) from the true temperature, so that what is returned (heat,
temperatures, cost) is exact for its pattern; the pattern is the best one but for what the grid
blurs. ``value`` is what the grid says, and no bound.
"""

from __future__ import annotations

from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray

from ems.domain.errors import InvalidInputError
from ems.domain.forecasts import FloatArray
from ext.batch import Batch, checked, share

try:
    from ext._onoff import solve
except ImportError as error:
    raise ImportError(
        "the compiled kernel ext._onoff is missing: build it with `pip install -e .` in the "
        "project's folder (this needs a C compiler, e.g. the package build-essential)"
    ) from error

POINTS = 64
"""Points of a grid."""
BEYOND_K = 1.5
"""A grid reaches so far below and above the kinks of a step's cost, where a room can go."""
HEAVY = 20
"""A store's step costs about so many times less than one of these."""

BoolArray = NDArray[np.bool_]
IntArray = NDArray[np.int64]


@dataclass(frozen=True, slots=True, eq=False)
class Pumps(Batch):
    """Heat pumps that are on or off, and their rooms, checked once.

    Attributes
    ----------
    start, decay, gain, drift, kink, slope, worth
        As in :class:`ext.store.Stores`.
    heat
        Levels of heat while on [kW], shape (homes, steps, levels).
    start_cost
        Of a start [£], shape (homes,).
    on
        Whether it runs before the first step, shape (homes,).
    must_on, must_off
        Steps in which it has to run, or rest, shape (homes, steps).
    lasts_on, lasts_off
        For how many steps a start, or stop, at a step holds, at least 1; same shape.
    """

    start: FloatArray = field(repr=False)
    decay: FloatArray = field(repr=False)
    gain: FloatArray = field(repr=False)
    drift: FloatArray = field(repr=False)
    heat: FloatArray = field(repr=False)
    kink: FloatArray = field(repr=False)
    slope: FloatArray = field(repr=False)
    worth: FloatArray = field(repr=False)
    start_cost: FloatArray = field(repr=False)
    on: BoolArray = field(repr=False)
    must_on: BoolArray = field(repr=False)
    must_off: BoolArray = field(repr=False)
    lasts_on: IntArray = field(repr=False)
    lasts_off: IntArray = field(repr=False)

    def __post_init__(self) -> None:
        homes, steps = np.shape(self.decay) if np.ndim(self.decay) == 2 else (0, 0)
        levels = np.shape(self.heat)[2] if np.ndim(self.heat) == 3 else 0
        kinks = np.shape(self.kink)[2] if np.ndim(self.kink) == 3 else 0
        flat = (homes, steps)
        self._keep("start", (homes,))
        self._keep("decay", flat, low=0.0, high=1.0)
        self._keep("gain", flat, low=np.nextafter(0.0, 1.0))
        self._keep("drift", flat)
        self._keep("heat", (*flat, levels), low=0.0)
        self._keep("kink", (*flat, kinks), rising=True)
        self._keep("slope", (steps, kinks + 1), rising=True)
        self._keep("worth", (homes,))
        self._keep("start_cost", (homes,), low=0.0)
        for name, shape in (("on", (homes,)), ("must_on", flat), ("must_off", flat)):
            object.__setattr__(
                self, name, np.ascontiguousarray(checked(getattr(self, name), name, shape), bool)
            )
        for name in ("lasts_on", "lasts_off"):
            whole = checked(getattr(self, name), name, flat, low=1.0, high=float(max(steps, 1)))
            object.__setattr__(self, name, np.ascontiguousarray(whole, dtype=np.int64))
        if np.any(self.must_on & self.must_off):
            raise InvalidInputError(
                "a heat pump cannot have to run and to rest in one step",
                field="must_on",
                value=True,
                remedy="Let one of must_on and must_off be false.",
            )

    def grid(self, points: int = POINTS) -> tuple[FloatArray, FloatArray]:
        """Return the first point of each step's grid and their distance, (homes, steps + 1).

        Of the temperatures before a step; the last is that at the end.
        """
        shape = (self.size, self.steps + 1)
        low, high = np.empty(shape), np.empty(shape)
        low[:, 0] = high[:, 0] = self.start
        most = self.heat.max(axis=2, initial=0.0)
        for step in range(self.steps):
            least = self.decay[:, step] * low[:, step] + self.drift[:, step]
            hot = self.decay[:, step] * high[:, step] + self.drift[:, step]
            hot = hot + self.gain[:, step] * most[:, step]
            if self.kink.shape[2]:
                # in between, where it matters: beyond it the last piece of the grid goes on
                first = self.kink[:, step, 0] - BEYOND_K
                last = self.kink[:, step, -1] + BEYOND_K
                inside = (hot > first) & (least < last)
                least = np.where(inside, np.maximum(least, first), least)
                hot = np.where(inside, np.minimum(hot, last), hot)
            low[:, step + 1], high[:, step + 1] = least, hot
        return low, np.maximum((high - low) / (points - 1), 1e-9)


@dataclass(frozen=True, slots=True, eq=False)
class Pattern:
    """How heat pumps run: shapes (homes, steps), or (homes,) for ``cost`` and ``value``.

    ``cost`` is of temperatures, starts and what is left [£], exact; running is not in it.
    ``value`` is the least cost with running, as the grid says.
    """

    heat_kw: FloatArray = field(repr=False)
    on: FloatArray = field(repr=False)
    temperature_c: FloatArray = field(repr=False)
    cost: FloatArray = field(repr=False)
    value: FloatArray = field(repr=False)


class Switching:
    """Finds patterns of the same heat pumps at costs that change.

    Parameters
    ----------
    pumps
        What runs.
    points
        Of a grid, at least 2.
    threads
        All cores where left out.
    """

    def __init__(self, pumps: Pumps, *, points: int = POINTS, threads: int | None = None) -> None:
        if points < 2:
            raise InvalidInputError(
                "a grid needs two points", field="points", value=points, remedy="Give 2 or more."
            )
        self._pumps = pumps
        self._points = points
        self._threads = threads
        self._low, self._width = (np.ascontiguousarray(each) for each in pumps.grid(points))
        rises = np.diff(np.minimum(pumps.slope, 0.0), axis=1)
        self._below = np.ascontiguousarray(rises)
        self._above = np.ascontiguousarray(np.diff(np.maximum(pumps.slope, 0.0), axis=1))
        self._states_on = int(pumps.lasts_on.max(initial=1))
        self._states_off = int(pumps.lasts_off.max(initial=1))

    def best(self, charge: FloatArray, *, first: int = 0, last: int | None = None) -> Pattern:
        """Return the best patterns of the homes ``first`` to ``last``, and of no others.

        Parameters
        ----------
        charge
            What running at each level costs in each step [£], for these homes alone, shape
            (last − first, steps, levels).

        Raises
        ------
        InvalidInputError
            Where charges have the wrong shape or are not finite.
        """
        pumps = self._pumps
        end = pumps.size if last is None else last
        costs = checked(charge, "charge", (end - first, *pumps.heat.shape[1:]))
        shape = (end - first, pumps.steps)
        given, running, temperature = np.empty(shape), np.empty(shape), np.empty(shape)
        cost, value = np.empty(end - first), np.empty(end - first)

        def work(begin: int, until: int) -> None:
            solve(
                begin,
                until,
                first,
                self._points,
                pumps.start,
                pumps.decay,
                pumps.gain,
                pumps.drift,
                pumps.heat,
                costs,
                pumps.kink,
                self._below,
                self._above,
                pumps.worth,
                pumps.start_cost,
                pumps.on.view(np.uint8),
                pumps.must_on.view(np.uint8),
                pumps.must_off.view(np.uint8),
                pumps.lasts_on,
                pumps.lasts_off,
                self._low,
                self._width,
                self._states_on,
                self._states_off,
                given,
                running,
                temperature,
                cost,
                value,
            )

        share(work, end - first, HEAVY * pumps.steps, self._threads)
        return Pattern(given, running, temperature, cost, value)
