"""The cheapest heating of homes with several states, given prices: heavy parts, hot-water tanks.

The arithmetic is compiled (``ext/_states.pyx``); :mod:`ext.states_reference` says the same
readably, and tests hold the two equal to rounding. Homes of one store have a faster and exact
kernel, :mod:`ext.store`.

Maths
-----
A home's states x (room, heavy parts, what its tank holds) follow from heat u given to them,

    x[t] = A[t] x[t-1] + B[t] u[t] + d[t],   0 <= u[t] <= U[t],   Σ_i b_i[t] u_i[t] <= 1     (1)

where the last is the compressor's time, b what share of it a kW takes. A state beyond a hinge
costs w for each unit, electricity p r_i for each unit of heat, and what is left is worth v:

    value = Σ_t ( p[t] r[t]·u[t] + Σ_k w_k[t] [a_k]⁺ ) − v·x[N],   a_k = ±(x_k[t] − κ_k[t])     (2)

Forces 0 <= y <= w on the hinges pull on the states, π[N] = −v ± y, π[t−1] = A' π[t] ± y, and heat
that pays is given:

    least(t) = min over u of (p r + B' π)·u,   u as in (1)                                   (3)
    bound(y) = Σ_t ( least(t) + π·d[t] ∓ y κ ) + π[0]·x[0]  <=  value of any u               (4)

so that every y proves a bound. A path towards the best u and y is followed by Newton's method
(Mehrotra's predictor and corrector) on

    p_k − q_k = a_k,  q_k y_k = μ,  p_k (w_k − y_k) = μ,  and the same for limits on u       (5)

with μ towards nothing; each step is a linear regulator, solved back and forth in time    (6)
(Riccati). It ends where value and bound are as near as asked for. Both are then reckoned anew
from heat and forces, so they hold whatever the path was.
"""

from __future__ import annotations

from dataclasses import dataclass, field

import numpy as np
from numpy.typing import ArrayLike, NDArray

from ems.domain.errors import InvalidInputError
from ems.domain.forecasts import FloatArray
from ext.batch import Batch, checked, share

try:
    from ext._states import solve
except ImportError as error:
    raise ImportError(
        "the compiled kernel ext._states is missing: build it with `pip install -e .` in the "
        "project's folder (this needs a C compiler, e.g. the package build-essential)"
    ) from error

STATES, INPUTS = 3, 8
"""As many as the kernel has room for."""
TARGET_GBP = 0.02
"""Product of slacks and multipliers at the path's begin."""
MARGIN = 0.003
"""Share of each limit that the first heat keeps from it."""
NEAR_GBP = 1e-3
LIMIT = 60
WORK = 40
"""A home and step is so many times the work of one in :mod:`ext.store`."""


@dataclass(frozen=True, slots=True, eq=False)
class Homes(Batch):
    """Homes of the same make over the same steps, checked once.

    Attributes
    ----------
    start
        States now, shape (homes, states).
    carry, gain, drift
        A, B and d of (1), shapes (homes, steps, states, states), (…, states, inputs), (…, states).
    most
        U [kW], shape (homes, steps, inputs); an input with 0 gives nothing.
    rate
        Electricity per heat r [kW/kW], shape of ``most``.
    busy
        Share of the compressor's time that a kW takes, shape of ``most``; 0 where none.
    kink
        κ, shape (homes, steps, hinges).
    weight
        w [£], the same for all homes, shape (steps, hinges); at least 0.
    of, side
        State of each hinge, and 1 where it costs to be above it, −1 below; shape (hinges,).
    worth
        v [£ a unit], shape (homes, states).
    own
        What a home's electricity costs beside the prices that it is given [£/kW and step], shape
        (homes, steps).
    """

    start: FloatArray = field(repr=False)
    carry: FloatArray = field(repr=False)
    gain: FloatArray = field(repr=False)
    drift: FloatArray = field(repr=False)
    most: FloatArray = field(repr=False)
    rate: FloatArray = field(repr=False)
    busy: FloatArray = field(repr=False)
    kink: FloatArray = field(repr=False)
    weight: FloatArray = field(repr=False)
    of: NDArray[np.intp] = field(repr=False)
    side: FloatArray = field(repr=False)
    worth: FloatArray = field(repr=False)
    own: FloatArray = field(repr=False)

    def __post_init__(self) -> None:
        homes, steps, states, inputs = np.shape(self.gain) if np.ndim(self.gain) == 4 else (0,) * 4
        hinges = np.shape(self.kink)[2] if np.ndim(self.kink) == 3 else 0
        if not (0 < states <= STATES and 0 < inputs <= INPUTS and hinges):
            raise InvalidInputError(
                "the kernel has no room for such homes",
                field="gain",
                value=np.shape(self.gain),
                remedy=f"Give up to {STATES} states and {INPUTS} inputs, and a hinge.",
            )
        flat, each = (homes, steps), (homes, steps, inputs)
        self._keep("start", (homes, states))
        self._keep("carry", (*flat, states, states))
        self._keep("gain", (*flat, states, inputs))
        self._keep("drift", (*flat, states))
        for name in ("most", "busy"):
            self._keep(name, each, low=0.0)
        self._keep("rate", each)
        self._keep("kink", (*flat, hinges))
        self._keep("weight", (steps, hinges), low=0.0)
        self._keep("side", (hinges,), low=-1.0, high=1.0)
        self._keep("worth", (homes, states))
        self._keep("own", flat)
        of = np.ascontiguousarray(self.of, dtype=np.intp)
        if of.shape != (hinges,) or np.any(of < 0) or np.any(of >= states):
            raise InvalidInputError(
                "each hinge needs a state",
                field="of",
                value=of.tolist(),
                remedy=f"Give {hinges} numbers below {states}.",
            )
        object.__setattr__(self, "of", of)


@dataclass(frozen=True, slots=True, eq=False)
class Answer:
    """What homes do at given prices.

    Attributes
    ----------
    heat_kw
        Each input, shape (homes, steps, inputs).
    state
        At each step's end, shape (homes, steps, states).
    power_kw
        Electricity, shape (homes, steps).
    cost
        Of states, own electricity and what is left, without the prices given [£], (homes,).
    value, bound
        With the prices: what this heat costs, and what no heat can cost less [£], (homes,).
    spares
        What a kW of the first input spares later, as the bound reckons [£/kW and step], shape
        (homes, steps).
    squeeze
        What more of the compressor's time would be worth [£ a step], shape (homes, steps).
    newtons
        Steps that it took, shape (homes,).
    """

    heat_kw: FloatArray = field(repr=False)
    state: FloatArray = field(repr=False)
    power_kw: FloatArray = field(repr=False)
    cost: FloatArray = field(repr=False)
    value: FloatArray = field(repr=False)
    bound: FloatArray = field(repr=False)
    spares: FloatArray = field(repr=False)
    squeeze: FloatArray = field(repr=False)
    newtons: NDArray[np.int32] = field(repr=False)


def answer(
    homes: Homes,
    price: ArrayLike,
    first: FloatArray,
    *,
    row: NDArray[np.intp] | None = None,
    threads: int | None = None,
    near_gbp: float = NEAR_GBP,
    target_gbp: float = TARGET_GBP,
    limit: int = LIMIT,
) -> Answer:
    """Return the cheapest heating of each home at prices, as nearly as asked for.

    Parameters
    ----------
    homes
        What to heat.
    price
        Of electricity [£/kW and step], that is £/kWh times the step's hours; shape (steps,), or
        (rows, steps) with a ``row`` for each home.
    first
        Heat to begin with, shape (homes, steps, inputs): a thermostat's, or an earlier answer.
        The nearer the fewer steps; it is moved inside its limits.
    row
        Which row of the prices a home pays, shape (homes,).
    threads
        All cores where left out.
    near_gbp
        Value and bound of a home may be so far apart.
    target_gbp
        Where the path begins.
    limit
        Newton steps at most; then the best heat and bound until then are returned.

    Raises
    ------
    InvalidInputError
        Where an array has the wrong shape or is not finite, or a row does not exist.
    """
    prices = np.atleast_2d(np.asarray(price, dtype=np.float64))
    prices = checked(prices, "price", (prices.shape[0], homes.steps))
    begin = checked(first, "first", homes.most.shape, low=0.0)
    rows = np.zeros(homes.size, dtype=np.intp) if row is None else np.asarray(row, dtype=np.intp)
    if rows.shape != (homes.size,) or np.any(rows < 0) or np.any(rows >= prices.shape[0]):
        raise InvalidInputError(
            "each home needs a row of the prices",
            field="row",
            value=rows.shape,
            remedy=f"Give {homes.size} numbers below {prices.shape[0]}.",
        )
    rows = np.ascontiguousarray(rows)
    flat = homes.own.shape
    heat, state, power = np.empty(homes.most.shape), np.empty(homes.drift.shape), np.empty(flat)
    cost, value, bound = (np.empty(homes.size) for _ in range(3))
    spares, squeeze = np.zeros(flat), np.zeros(flat)
    count = np.zeros(homes.size, dtype=np.int32)

    def work(one: int, other: int) -> None:
        solve(
            one,
            other,
            homes.start,
            homes.carry,
            homes.gain,
            homes.drift,
            homes.most,
            homes.rate,
            homes.busy,
            homes.kink,
            homes.weight,
            homes.of,
            homes.side,
            homes.worth,
            prices,
            rows,
            homes.own,
            begin,
            target_gbp,
            MARGIN,
            near_gbp,
            limit,
            heat,
            state,
            power,
            cost,
            value,
            bound,
            spares,
            squeeze,
            count,
        )

    share(work, homes.size, WORK * homes.steps, threads)
    return Answer(heat, state, power, cost, value, bound, spares, squeeze, count)
