"""Days on which a home used power at another level than now: someone was away, or a heat pump came.

With ``D`` the mean of each whole day back from the end, ``S`` its median with the day before and
after, and ``N`` the median of the last three days, a day is of another level where::

    S > 2 N  or  S < N / 2,  and  |S - N| > 50 W                                         (15)

A single odd day moves neither median. Days with gaps in themselves or beside them are never
called so.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from ems.domain.forecasts import FloatArray

RATIO = 2.0
LEAST_W = 50.0
WINDOW = 3
"""Days of both medians."""
_DAY = 48
_LEAST_HELD = 24
"""Half-hours that a day's mean needs."""


def of_another_level(power_w: FloatArray) -> NDArray[np.bool_]:
    """Return which readings lie on days of another level than the last days, by (15).

    ``power_w`` holds consecutive half-hours [W], shape (rows, series), ``nan`` gaps; the
    result has its shape. Readings of the last `WINDOW` days are never so.
    """
    out = np.zeros(power_w.shape, dtype=bool)
    count = len(power_w) // _DAY
    if count <= WINDOW or not power_w.shape[1]:
        return out
    first = len(power_w) - _DAY * count
    days = power_w[first:].reshape(count, _DAY, -1)
    good = np.isfinite(days)
    held = good.sum(axis=1)
    total = np.where(good, days, 0.0).sum(axis=1)
    mean = np.where(held >= _LEAST_HELD, total / np.maximum(held, 1), np.nan)
    level = np.full(mean.shape, np.nan)
    level[1:-1] = np.median(np.stack([mean[:-2], mean[1:-1], mean[2:]]), axis=0)
    now = np.median(mean[-WINDOW:], axis=0)
    with np.errstate(invalid="ignore"):  # nan compares as false: such a day stays
        other = (level > RATIO * now) | (level < now / RATIO)
        other &= np.abs(level - now) > LEAST_W
    other[-WINDOW:] = False
    out[first:] = np.repeat(other, _DAY, axis=0)
    return out
