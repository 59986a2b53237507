"""The cheapest heating of many stores at once, given prices: exact and without a solver.

The arithmetic is compiled (``ext/_store.pyx``); :mod:`ext.store_reference` says the same
readably, and tests hold the two equal to rounding.

Maths
-----
A store (a room, a tank) follows ``T[t] = a[t] T[t-1] + b[t] h[t] + k[t]``. Its heat *h* is
the sum of parts ``0 <= h_j <= H_j`` that draw ``r_j h_j`` of electricity, at ``p`` a unit. Each
step's temperature costs s(T), convex with kinks; what is left at the end is worth ``w`` a
kelvin. With V[N](T) = −w T and from the last step back,

    W[t](T) = V[t](T) + s[t](T)                                                   (1)
    M_j(x)  = min over 0 <= h_j <= H_j of p r_j h_j + W(x + b h_j)                  (2)

W is convex and piecewise linear. Where its slope passes ``−p r_j / b`` lies the target y: it pays
to heat up to it and no further, so the minimum is W shifted by ``b H_j`` left of y, a piece of
slope ``−p r_j / b``, and W itself right of y:

    M_j'(x) = W'(x + b H_j) below y − b H_j,   −p r_j / b up to y,   W'(x) above     (3)

Parts are taken in turn, each M the W of the next, and at last

    V[t-1](T) = M(a T + k)                                                        (4)

Only the targets are kept. Forwards, from the start, each part gives what lifts the store to
its target, within its size. Kinks beyond what the store can reach are left out, so a step costs
little more than its new kinks. A value function is exact: there is no grid.

With a price below nothing the parts are filled in another order than a heat pump's (the least
efficient first). The value is then a lower bound of what the store can reach.
"""

from __future__ import annotations

from dataclasses import dataclass, field

import numpy as np
from numpy.typing import ArrayLike, NDArray

from ems.domain.errors import InvalidInputError
from ems.domain.forecasts import FloatArray
from ext.batch import Batch, checked, share

try:
    from ext._store import solve
except ImportError as error:
    raise ImportError(
        "the compiled kernel ext._store is missing: build it with `pip install -e .` in the "
        "project's folder (this needs a C compiler, e.g. the package build-essential)"
    ) from error


@dataclass(frozen=True, slots=True, eq=False)
class Stores(Batch):
    """Many stores over the same steps, checked once; temperatures in kelvin or °C.

    Attributes
    ----------
    start
        Temperature now, shape (stores,).
    decay, gain, drift
        a [-], b [K/kW] and k [K] above, shape (stores, steps); 0 ≤ a ≤ 1, b > 0.
    most
        Greatest heat of each part [kW], shape (stores, steps, parts), or (stores, steps) for one.
    rate
        Electricity per heat of each part [kW/kW], shape of ``most``; at least 0 and not falling
        from part to part.
    kink
        Where the cost of a temperature bends, rising, shape (stores, steps, kinks).
    slope
        That cost's slopes left of, between and right of the kinks [£/K], the same for all stores,
        shape (steps, kinks + 1): rising, the first at most 0 and the last at least 0. The cost is
        0 where they pass 0.
    worth
        Value of a kelvin left at the end [£/K], shape (stores,).
    own
        What a store's electricity costs beside the prices that it is given [£/kW and step],
        shape (stores, steps); nothing where left out.
    """

    start: FloatArray = field(repr=False)
    decay: FloatArray = field(repr=False)
    gain: FloatArray = field(repr=False)
    drift: FloatArray = field(repr=False)
    most: FloatArray = field(repr=False)
    rate: FloatArray = field(repr=False)
    kink: FloatArray = field(repr=False)
    slope: FloatArray = field(repr=False)
    worth: FloatArray = field(repr=False)
    own: FloatArray | None = field(default=None, repr=False)

    def __post_init__(self) -> None:
        stores, steps = np.shape(self.decay) if np.ndim(self.decay) == 2 else (0, 0)
        parts = np.shape(self.most)[2] if np.ndim(self.most) == 3 else 1
        kinks = np.shape(self.kink)[2] if np.ndim(self.kink) == 3 else 0
        flat = (stores, steps)
        self._keep("start", (stores,))
        self._keep("decay", flat, low=0.0, high=1.0)
        self._keep("gain", flat, low=np.nextafter(0.0, 1.0))
        self._keep("drift", flat)
        for name in ("most", "rate"):
            if np.ndim(getattr(self, name)) == 2:  # one part
                object.__setattr__(self, name, np.asarray(getattr(self, name))[:, :, None])
        self._keep("most", (*flat, parts), low=0.0)
        self._keep("rate", (*flat, parts), low=0.0, rising=True)
        self._keep("kink", (*flat, kinks), rising=True)
        self._keep("slope", (steps, kinks + 1), rising=True)
        self._keep("worth", (stores,))
        if self.own is None:
            object.__setattr__(self, "own", np.zeros(flat))
        self._keep("own", flat)
        if np.any(self.slope[:, 0] > 0) or np.any(self.slope[:, -1] < 0):
            raise InvalidInputError(
                "the cost of a temperature must have a least value",
                field="slope",
                value=(float(np.max(self.slope[:, 0])), float(np.min(self.slope[:, -1]))),
                remedy="Give a first slope of at most 0 and a last of at least 0.",
            )


@dataclass(frozen=True, slots=True, eq=False)
class Answer:
    """What stores do at given prices.

    Attributes
    ----------
    heat_kw, power_kw, temperature_c
        Heat, electricity, and temperature at each step's end, shape (stores, steps).
    cost
        Of temperatures, own electricity and what is left, without the prices given [£], shape
        (stores,).
    value
        The same with the prices: the least possible [£], shape (stores,).
    """

    heat_kw: FloatArray = field(repr=False)
    power_kw: FloatArray = field(repr=False)
    temperature_c: FloatArray = field(repr=False)
    cost: FloatArray = field(repr=False)
    value: FloatArray = field(repr=False)


def answer(
    stores: Stores,
    price: ArrayLike,
    *,
    row: NDArray[np.intp] | None = None,
    threads: int | None = None,
) -> Answer:
    """Return the cheapest heating of each store at prices.

    Parameters
    ----------
    stores
        What to heat.
    price
        Of electricity [£/kW and step], that is £/kWh times the step's hours; shape (steps,), or
        (rows, steps) with a ``row`` for each store.
    row
        Which row of the prices a store pays, shape (stores,).
    threads
        All cores where left out.

    Raises
    ------
    InvalidInputError
        Where prices have the wrong shape or are not finite, or a row does not exist.
    """
    prices = np.atleast_2d(np.asarray(price, dtype=np.float64))
    prices = checked(prices, "price", (prices.shape[0], stores.steps))
    rows = np.zeros(stores.size, dtype=np.intp) if row is None else np.asarray(row, dtype=np.intp)
    if rows.shape != (stores.size,) or np.any(rows < 0) or np.any(rows >= prices.shape[0]):
        raise InvalidInputError(
            "each store needs a row of the prices",
            field="row",
            value=rows.shape,
            remedy=f"Give {stores.size} numbers below {prices.shape[0]}.",
        )
    rows = np.ascontiguousarray(rows)
    shape = stores.decay.shape
    heat, power, temperature = np.empty(shape), np.empty(shape), np.empty(shape)
    cost, value = np.empty(stores.size), np.empty(stores.size)

    def work(begin: int, end: int) -> None:
        solve(
            begin,
            end,
            stores.start,
            stores.decay,
            stores.gain,
            stores.drift,
            stores.most,
            stores.rate,
            prices,
            rows,
            np.asarray(stores.own),
            stores.kink,
            stores.slope,
            stores.worth,
            heat,
            power,
            temperature,
            cost,
            value,
        )

    share(work, stores.size, stores.steps, threads)
    return Answer(heat, power, temperature, cost, value)
