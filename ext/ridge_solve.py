"""Ridge regression, second half: coefficients from sums, and what they say.

Call it through :mod:`ext.ridge`, which holds the maths.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import ArrayLike

from ems.domain.errors import InvalidInputError
from ext._ridge_solve import predict_all, solve_all
from ext._ridge_sums import fitted_rows
from ext.ridge_data import (
    CheckedWindow,
    FeaturePlan,
    Floats,
    RidgeState,
    SharedRows,
    Window,
    as_floats,
    as_rows,
    as_shape,
    share,
)


def solve(
    state: RidgeState,
    penalties: Sequence[float],
    *,
    standardise: bool = True,
    threads: int | None = None,
) -> Floats:
    """Solve (3) for each strength of regularisation.

    Parameters
    ----------
    state
        From `fit`; left alone.
    penalties
        λ, each at least 0.
    standardise
        Whether λ counts for columns of spread 1.
    threads
        As for `fit`.

    Returns
    -------
    ndarray
        Coefficients, shape (series, penalties, plan.coefficients), in the order
        constant, shared, own, lags, slots; ``nan`` for a series without rows.
    """
    strengths = np.array(penalties, dtype=np.float64)
    if strengths.ndim != 1 or not np.all(np.isfinite(strengths) & (strengths >= 0)):
        raise InvalidInputError(
            "must be numbers of at least 0",
            field="penalties",
            value=penalties,
            remedy="Give one strength of regularisation or several.",
        )
    series = len(state.rows)
    found = np.empty((series, len(strengths), state.plan.coefficients))

    def work(begin: int, end: int) -> None:
        solve_all(
            state.gram, state.slot_sums, state.rows, strengths, standardise, found, begin, end
        )

    share(work, series, state.plan.columns**2 * len(strengths), threads)
    return found


def fitted(
    plan: FeaturePlan,
    window: Window,
    coefficients: ArrayLike,
    *,
    threads: int | None = None,
) -> Floats:
    """Return what the coefficients say for each step from its true lags.

    ``coefficients`` has shape (series, plan.coefficients). The result has the shape of
    the window's values, ``nan`` where a feature is missing; targets are not needed.
    """
    data = CheckedWindow(plan, window)
    series, steps = data.values.shape
    given = as_shape(coefficients, (series, plan.coefficients), "coefficients")
    columns = SharedRows(data, 0, steps, np.ones(steps))
    result = np.empty((series, steps))

    def work(begin: int, end: int) -> None:
        fitted_rows(
            data.values,
            data.own,
            columns.basis,
            columns.weight,
            columns.slot,
            data.lags,
            0,
            given,
            result,
            plan.slots > 0,
            begin,
            end,
        )

    share(work, series, steps, threads)
    return result


def predict(
    plan: FeaturePlan,
    coefficients: ArrayLike,
    history: ArrayLike,
    *,
    steps: int = 48,
    shared: ArrayLike | None = None,
    own: ArrayLike | None = None,
    slot: ArrayLike | None = None,
    threads: int | None = None,
) -> Floats:
    """Forecast the steps after the history.

    A lag that is shorter than the lead takes the forecast of the step it points to.

    Parameters
    ----------
    coefficients
        Shape (series, penalties, plan.coefficients), from `solve`.
    history
        Values up to the last one known, shape (series, past); as many as the longest
        lag reaches are used.
    shared, own, slot
        Columns of the steps ahead, shapes as in `Window`.

    Returns
    -------
    ndarray
        Shape (series, penalties, steps); ``nan`` where a feature is missing.
    """
    past = as_rows(history, "history")[:, -max(plan.reach, 1) :]
    series = past.shape[0]
    given = as_floats(coefficients, 3, "coefficients")
    given = as_shape(given, (series, given.shape[1], plan.coefficients), "coefficients")
    data = CheckedWindow(plan, Window(np.full((series, steps), np.nan), shared, own, slot))
    basis = np.ones((1 + plan.shared, steps))
    basis[1:] = data.shared
    result = np.empty((series, given.shape[1], steps))

    def work(begin: int, end: int) -> None:
        predict_all(
            past,
            data.own,
            basis,
            data.slot,
            data.lags,
            given,
            result,
            plan.slots > 0,
            begin,
            end,
        )

    share(work, series, steps * given.shape[1], threads)
    return result
