"""How far a plan keeps from floor and import limit for what is not known.

Both rest on the spread of forecasts and are learnt from how well that spread held lately. The
floor's margin is how much more the room would cool from it while a plan may be in force

    m² = (of a home that loses more than estimated)² + (of a colder night than expected)²     (1)

and the import's is what the block's load may be above its mean.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from ems.domain.forecasts import FloatArray

COLD, HIGH = 0.1, 0.9
"""Quantiles of outdoor temperature and load that plans hold against."""
SHARED = 0.1
"""Share of the variance of homes' forecast errors that they have in common."""
LEAST_ERRORS = 96
"""From so many recent errors on (two days of half-hours) a spread is learnt from."""
FACTOR_MIN, FACTOR_MAX = 0.5, 2.0
MARGIN_MAX_K = 0.5
IMPORT_MARGIN_MAX = 0.15
"""A plan gives up at most this share of the import limit."""


def floor_margin_k(
    floor_c: FloatArray,
    outdoor_c: FloatArray,
    colder_k: FloatArray,
    *,
    loss_w_per_k: float,
    loss_sd: float,
    capacity_j_per_k: float,
    age_s: float,
) -> FloatArray:
    """Return how far the plan keeps above the floor [K], shape (steps,).

    Parameters
    ----------
    floor_c, outdoor_c
        Floor and expected outdoor temperature [°C], shape (steps,).
    colder_k
        How much colder than expected it may be outside [K], shape (steps,).
    loss_w_per_k, loss_sd, capacity_j_per_k
        The home as estimated, and one standard deviation of its loss.
    age_s
        For how long a plan may be in force [s].
    """
    rate = age_s / capacity_j_per_k
    kept = np.exp(-rate * loss_w_per_k)
    lossy = (floor_c - outdoor_c) * (kept - np.exp(-rate * (loss_w_per_k + max(loss_sd, 0.0))))
    cold = np.maximum(colder_k, 0.0) * (1.0 - kept)
    margin = np.hypot(np.maximum(lossy, 0.0), cold)
    return np.asarray(np.minimum(margin, MARGIN_MAX_K), dtype=np.float64)


def joint_spread_w(spreads_w: Sequence[FloatArray], steps: int) -> FloatArray:
    """Return how far the sum of homes' loads may be above its mean [W], shape (steps,).

    Of errors e_i with a tenth of their variance in common the sum's spread is
    ``sqrt(0.9 Σ s_i² + 0.1 (Σ s_i)²)``: quantiles of a sum are not the sums of quantiles.
    """
    if not spreads_w:
        return np.zeros(steps)
    each = np.maximum(np.stack(list(spreads_w)), 0.0)
    apart, together = np.sum(each**2, axis=0), np.sum(each, axis=0) ** 2
    return np.asarray(np.sqrt((1.0 - SHARED) * apart + SHARED * together), dtype=np.float64)


def learnt_factor(errors_w: Sequence[float], spreads_w: Sequence[float]) -> float:
    """Return by what a forecast's spread is to be multiplied, for how it did lately.

    With it, nine tenths of the recent errors would have been within the spread; 0.5 to 2, and 1
    where there are fewer than 96.

    Parameters
    ----------
    errors_w
        Actual load less its forecast mean in recent half-hours [W]; ``nan`` where not known.
    spreads_w
        The spread that was forecast for them [W].
    """
    errors, spreads = (
        np.asarray(errors_w, dtype=np.float64),
        np.asarray(spreads_w, dtype=np.float64),
    )
    known = np.isfinite(errors) & np.isfinite(spreads) & (spreads > 0)
    if np.count_nonzero(known) < LEAST_ERRORS:
        return 1.0
    needed = float(np.quantile(errors[known] / spreads[known], HIGH))
    return float(np.clip(needed, FACTOR_MIN, FACTOR_MAX))


def import_margin_w(spread_w: FloatArray, factor: float, limit_w: FloatArray) -> FloatArray:
    """Return what a plan leaves free below the import limit [W], shape (steps,)."""
    most = np.where(np.isfinite(limit_w), IMPORT_MARGIN_MAX * limit_w, 0.0)
    return np.asarray(np.minimum(factor * np.maximum(spread_w, 0.0), most), dtype=np.float64)
