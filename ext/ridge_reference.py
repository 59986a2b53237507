"""The batch ridge, said readably: one series, its table of features written out.

The twin of ``ext/_ridge_*.pyx`` with the rules of :mod:`ext.ridge`. It solves the
penalised equations of all columns, slots among them, at once, by an orthogonal
decomposition of the table itself and never of sums. Tests hold the two equal to
rounding; nothing else calls it.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from ext.ridge_data import FeaturePlan

Floats = NDArray[np.float64]


def table(
    plan: FeaturePlan, values: Floats, shared: Floats, own: Floats, slot: NDArray[np.int64]
) -> Floats:
    """Return all features of one series, shape (steps, plan.coefficients); ``nan`` if missing."""
    rows = []
    for step in range(len(values)):
        lags = [values[step - lag] if step >= lag else np.nan for lag in plan.lags]
        slots = [1.0 if slot[step] == which else 0.0 for which in range(plan.slots)]
        rows.append([1.0, *shared[:, step], *own[:, step], *lags, *slots])
    return np.array(rows, dtype=np.float64).reshape(len(values), plan.coefficients)


def usable(features: Floats, values: Floats) -> NDArray[np.bool_]:
    """Whether a row is complete, target and features."""
    return np.asarray(np.isfinite(features).all(axis=1) & np.isfinite(values))


def ages(steps: int, until: int, forgetting: float) -> Floats:
    """Weight of each step: 1 for the last before ``until``, 0 from there on."""
    weights = [forgetting ** (until - 1 - step) if step < until else 0.0 for step in range(steps)]
    return np.array(weights)


def solve_one(
    plan: FeaturePlan,
    features: Floats,
    values: Floats,
    weights: Floats,
    penalty: float,
    *,
    standardise: bool,
) -> Floats:
    """Return the coefficients of one series; rows of weight 0 or incomplete are left out."""
    kept = usable(features, values) & (weights > 0)
    if not kept.any():
        return np.full(plan.coefficients, np.nan)
    x, y, w = features[kept], values[kept], weights[kept]
    share = w / w.sum()
    scale = ((x - share @ x) ** 2).T @ share if standardise else np.ones(plan.coefficients)
    scale[0] = 0.0
    # A penalty is a row that asks a coefficient to be 0.
    rows = np.vstack([x * np.sqrt(w)[:, None], np.diag(np.sqrt(penalty * scale))])
    targets = np.concatenate([y * np.sqrt(w), np.zeros(plan.coefficients)])
    return np.asarray(np.linalg.lstsq(rows, targets, rcond=None)[0])


def solve_quantile_one(
    plan: FeaturePlan,
    features: Floats,
    values: Floats,
    penalty: float,
    *,
    quantile: float,
    passes: int,
    floor: float,
) -> Floats:
    """Return the coefficients of a quantile of one series by re-weighting."""
    kept = usable(features, values)
    spread = float(np.std(values[kept])) if kept.any() else 1.0
    weights = np.ones(len(values))
    found = solve_one(plan, features, values, weights, penalty, standardise=True)
    for _ in range(passes):
        rest = values - features @ found
        side = np.where(rest > 0, quantile, 1 - quantile)
        weights = 2 * side / np.maximum(np.abs(rest) / spread, floor)
        weights = np.where(kept, weights, 0.0)
        found = solve_one(plan, features, values, weights, penalty, standardise=True)
    return found


def predict_one(
    plan: FeaturePlan,
    coefficients: Floats,
    history: Floats,
    shared: Floats,
    own: Floats,
    slot: NDArray[np.int64],
) -> Floats:
    """Forecast the steps after the history, each from those before it."""
    known = list(history)
    for step in range(len(slot)):
        lags = [known[-lag] if lag <= len(known) else np.nan for lag in plan.lags]
        slots = [1.0 if slot[step] == which else 0.0 for which in range(plan.slots)]
        known.append(
            float(np.dot([1.0, *shared[:, step], *own[:, step], *lags, *slots], coefficients))
        )
    return np.array(known[len(history) :])
