"""Bands that hold, and shares of several forecasts, from weeks that were kept from learning."""

from __future__ import annotations

import numpy as np

from ems.domain.forecasts import FloatArray
from forecasting.calendar import IntArray
from forecasting.interface import LEVELS
from forecasting.shared import KINDS

MEDIAN, MEAN = LEVELS.index(0.5), KINDS.index("mean")
_LOW, _HIGH = 0, len(LEVELS) - 1
LEAST_WIDTH = 0.005
"""Half a band is at least this wide in units of the scale before it is moved [-]."""
OWN_SHARE = 0.7
"""Part that a series' own weeks have in how its band is moved; the rest is that of all [-]."""
LEAST_ROWS = 240
"""Below so many half-hours a series' band is moved like all others."""
_SHARES = np.linspace(0.0, 1.0, 11)
STEADY = 0.8
"""A series is steady if more than this share of its readings is one value [-]."""
INSIDE_W = 0.5
"""A band that leaves a value out ends so far above it: below what a meter tells apart [W]."""
_SAME_W = 0.25
_GOLDEN = (np.sqrt(5.0) - 1.0) / 2.0


def centred(found: FloatArray) -> FloatArray:
    """Return gradient forecasts whose median is the middle of its median and its mean.

    The sum of many homes is nearly symmetric, and there the mean is the steadier estimate of
    both. ``found`` has shape (kinds, ...); quantiles still rise with their level.
    """
    middle = found.copy()
    middle[MEDIAN] = 0.5 * (found[MEDIAN] + found[MEAN])
    middle[: len(LEVELS)] = np.sort(middle[: len(LEVELS)], axis=0)
    return middle


def take_in(found: FloatArray, other: FloatArray, share: FloatArray | float) -> None:
    """Move all quantiles and the mean by another median's part, in place."""
    found += share * (other - found[MEDIAN])[None]


def best_share(
    found: FloatArray, other: FloatArray, actual: FloatArray, weight: FloatArray
) -> float:
    """Return the share of another median with the least error; all shapes but kinds alike."""
    good = np.isfinite(actual)
    off = (other - found[MEDIAN])[good]
    miss = (found[MEDIAN] - actual)[good]
    losses = [float((np.abs(miss + one * off) * weight[good]).sum()) for one in _SHARES]
    return float(_SHARES[int(np.argmin(losses))])


def widths(found: FloatArray, actual: FloatArray) -> FloatArray:
    """Return by how much each half of each series' band must be multiplied, shape (2, S).

    The factors are those that would have left a tenth of the actuals beyond either half (14).
    ``found`` has shape (kinds, S, ...), ``actual`` (S, ...), ``nan`` where missing.
    """
    good = np.isfinite(actual)
    middle = found[MEDIAN]
    below = (middle - actual) / np.maximum(middle - found[_LOW], LEAST_WIDTH)
    above = (actual - middle) / np.maximum(found[_HIGH] - middle, LEAST_WIDTH)
    moved = np.ones((2, len(actual)))
    for row, side in enumerate((below, above)):
        pooled = float(np.quantile(side[good], 0.9))
        for at, (values, held) in enumerate(zip(side, good, strict=True)):
            own = float(np.quantile(values[held], 0.9)) if held.sum() >= LEAST_ROWS else pooled
            moved[row, at] = np.clip(OWN_SHARE * own + (1.0 - OWN_SHARE) * pooled, 0.1, 3.0)
    return moved


def widen(found: FloatArray, moved: FloatArray) -> None:
    """Multiply both halves of the bands of (kinds, S, K), in place."""
    middle = found[MEDIAN]
    low = np.maximum(middle - found[_LOW], LEAST_WIDTH)
    high = np.maximum(found[_HIGH] - middle, LEAST_WIDTH)
    found[_LOW] = middle - low * moved[0, :, None]
    found[_HIGH] = middle + high * moved[1, :, None]


def leave_out_steady(found: FloatArray, readings: FloatArray, half_hours: IntArray) -> None:
    """Leave the usual value of steady series out of some of their bands, in place.

    A meter that nearly always reads one value is inside any band that holds it, however
    narrow, so that no width makes the band right four times in five. As is usual for values
    that repeat, chance decides: in a share of the half-hours, spread evenly and fixed by the
    clock alone, the band begins just above the value. The share ``d`` is such that, with ``m``
    the share of the value and at most a tenth of the actuals beyond the other end::

        d m = 0.2 - min(1 - m, 0.1)                                                      (27)

    Parameters
    ----------
    found
        Shape (kinds, S, K) [W].
    readings
        Of the last weeks, shape (rows, S) [W], ``nan`` where missing.
    half_hours
        Half-hours since the epoch that are forecast, shape (K,).
    """
    good = np.isfinite(readings)
    held = good.sum(axis=0)
    spread = _GOLDEN * half_hours % 1.0
    for at in np.flatnonzero(held >= LEAST_ROWS):
        own = readings[good[:, at], at]
        value = float(np.median(own))
        same = float(np.mean(np.abs(own - value) < _SAME_W))
        if same <= STEADY:
            continue
        share = (0.2 - min(1.0 - same, 0.1)) / same
        chosen = (spread < share) & (found[_LOW, at] <= value) & (found[_HIGH, at] >= value)
        for level in range(len(LEVELS)):
            found[level, at, chosen] = np.maximum(found[level, at, chosen], value + INSIDE_W)
