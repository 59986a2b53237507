"""Ridge regression of many series at once, from sums that grow with the data.

The arithmetic is compiled (``ext/_ridge_sums.pyx``, ``ext/_ridge_solve.pyx``);
:mod:`ext.ridge_reference` says the same readably, and tests hold the two equal to rounding
(sums run in another order).

Maths
-----
A row is a step *t* of a series: its target *y* and its features *x* = (1, shared
columns, own columns, lags *y(t − l)*), and, where the plan has slots, one indicator
*e* of the step's slot. With row weight *w* = forgetting^(age of the row),

    G = Σ w (x, y)(x, y)ᵀ        (columns × columns)                              (1)
    S = Σ w e (x, y)ᵀ            (slots × columns)                                (2)

are all that is kept. Both are linear in the rows: a new half-hour is added, an old
value that was corrected is taken out and put in anew. Coefficients solve

    min Σ w (y − xβ − eγ)² + λ (Σ pⱼ βⱼ² + Σ pₖ γₖ²)                              (3)

with *p* = 1, or with each column's weighted variance (``standardise``), which is
the same as λ on standardised columns. The constant is not penalised. γ is
eliminated first (its block is diagonal), β follows by Cholesky. A column that the
ones before it already say (pivot under 1e-11 of its own sum) has coefficient 0.

A row with a missing target or feature is skipped; nothing is filled in. A series
without any row has coefficients ``nan``. Columns should be of ordinary size: a
column whose mean is beyond a million times its spread loses its digits in (1).
"""

from __future__ import annotations

import numpy as np
from numpy.typing import ArrayLike

from ems.domain.errors import InvalidInputError
from ext.ridge_data import (
    AS_IS,
    Around,
    CheckedWindow,
    FeaturePlan,
    Floats,
    RidgeState,
    SharedRows,
    Window,
    check_reach,
    check_series,
    end_of,
    share,
)

try:
    from ext._ridge_sums import accumulate
    from ext.ridge_solve import fitted, predict, solve
except ImportError as error:
    raise ImportError(
        "the compiled kernels ext._ridge_sums and ext._ridge_solve are missing: build them with "
        "`pip install -e .` in the project's folder (this needs a C compiler, e.g. the package "
        "build-essential)"
    ) from error

__all__ = [
    "FeaturePlan",
    "RidgeState",
    "Window",
    "correct",
    "fit",
    "fit_quantile",
    "fitted",
    "predict",
    "solve",
    "update",
]


def fit(
    plan: FeaturePlan,
    window: Window,
    *,
    until: int | None = None,
    forgetting: float = 1.0,
    threads: int | None = None,
) -> RidgeState:
    """Accumulate (1) and (2) in one pass.

    Parameters
    ----------
    plan
        The columns.
    window
        The data. A row whose lag lies before the window is skipped.
    until
        No step from this one on enters, neither as target nor as feature; the
        window's end where left out.
    forgetting
        Weight of a row beside that of the next one, 0 < forgetting ≤ 1;
        ``0.5 ** (1 / n)`` halves it every *n* steps.
    threads
        All cores where left out.

    Raises
    ------
    InvalidInputError
        Where shapes, slots or ranges break the rules.
    """
    if not 0 < forgetting <= 1:
        raise InvalidInputError(
            "must be above 0 and at most 1",
            field="forgetting",
            value=forgetting,
            remedy="1 forgets nothing; 0.5 ** (1 / n) halves the weight every n steps.",
        )
    data = CheckedWindow(plan, window)
    end = end_of(data, until)
    series = data.values.shape[0]
    size = plan.columns + 1
    state = RidgeState(
        plan=plan,
        forgetting=forgetting,
        gram=np.zeros((series, size, size)),
        slot_sums=np.zeros((series, plan.slots, size)),
        rows=np.zeros(series, dtype=np.int64),
        begin_step=data.first_step,
        end_step=end,
    )
    _add(state, data, data.first_step, end, threads=threads)
    return state


def update(
    state: RidgeState, window: Window, *, until: int | None = None, threads: int | None = None
) -> None:
    """Add the steps from ``state.end_step`` on, in place; older rows fade.

    Parameters
    ----------
    state
        From `fit`; changed.
    window
        New steps, and before them as many as the longest lag reaches.
    until
        As for `fit`.
    threads
        As for `fit`.

    Raises
    ------
    InvalidInputError
        Where the window begins too late or the series are others.
    """
    data = CheckedWindow(state.plan, window).since(state.begin_step)
    check_series(state, data)
    end = end_of(data, until)
    if end <= state.end_step:
        return
    check_reach(state, data, state.end_step)
    keep = state.forgetting ** (end - state.end_step)
    begin, state.end_step = state.end_step, end
    _add(state, data, begin, end, keep=keep, threads=threads)


def correct(
    state: RidgeState, before: Window, values: ArrayLike, *, threads: int | None = None
) -> None:
    """Take values out that were wrong and put the right ones in, in place.

    Parameters
    ----------
    state
        Changed for the series with other values alone.
    before
        The window as it was, with the columns of that time. It reaches as far as the
        longest lag before the first and behind the last corrected step.
    values
        The window's values as they are now, ``nan`` where a value was withdrawn.
    threads
        As for `fit`.

    Raises
    ------
    InvalidInputError
        Where the window is too short or the series are others.
    """
    old = CheckedWindow(state.plan, before)
    new = CheckedWindow(state.plan, Window(values, before.shared, before.own, before.slot))
    new.first_step = old.first_step
    old, new = old.since(state.begin_step), new.since(state.begin_step)
    check_series(state, old)
    same = (old.values == new.values) | (np.isnan(old.values) & np.isnan(new.values))
    same[:, max(0, state.end_step - old.first_step) :] = True
    which = np.flatnonzero(~same.all(axis=1))
    if not len(which):
        return
    steps = old.first_step + np.flatnonzero(~same.all(axis=0))
    begin = int(steps[0])
    end = min(int(steps[-1]) + state.plan.reach + 1, state.end_step)
    check_reach(state, old, begin)
    if old.end_step < end:
        raise InvalidInputError(
            "ends before the last row that a corrected value enters as a lag",
            field="before",
            value=old.end_step,
            remedy=f"Give a window up to step {end}.",
        )
    part = RidgeState(
        plan=state.plan,
        forgetting=state.forgetting,
        gram=state.gram[which],
        slot_sums=state.slot_sums[which],
        rows=state.rows[which],
        begin_step=state.begin_step,
        end_step=state.end_step,
    )
    _add(part, old.only(which), begin, end, sign=-1, threads=threads)
    _add(part, new.only(which), begin, end, threads=threads)
    state.gram[which], state.slot_sums[which] = part.gram, part.slot_sums
    state.rows[which] = part.rows


def fit_quantile(
    plan: FeaturePlan,
    window: Window,
    penalty: float,
    *,
    quantile: float = 0.5,
    passes: int = 8,
    floor: float = 0.05,
    until: int | None = None,
    forgetting: float = 1.0,
    standardise: bool = True,
    threads: int | None = None,
) -> Floats:
    """Fit a quantile, the median by default, by iteratively re-weighted ridge.

    Each pass solves (3) with each row's weight multiplied by

        2 q sd / max(|r|, floor · sd)      (1 − q where the residual r ≤ 0)       (4)

    where *r* is the row's residual under the pass before and *sd* the spread of the
    series. The first pass is the mean.

    Returns
    -------
    ndarray
        Coefficients, shape (series, plan.coefficients).
    """
    if not 0 < quantile < 1 or floor <= 0 or passes < 0:
        raise InvalidInputError(
            "quantile must be between 0 and 1, floor above 0, passes not negative",
            field="quantile, floor, passes",
            value=(quantile, floor, passes),
            remedy="The median is 0.5; a floor of 0.05 and 8 passes are usual.",
        )
    state = fit(plan, window, until=until, forgetting=forgetting, threads=threads)
    found = solve(state, [penalty], standardise=standardise, threads=threads)[:, 0]
    spread = state.spread
    spread = np.where(spread > 0, spread, 1.0)
    data = CheckedWindow(plan, window)
    for _ in range(passes):
        state.gram[:], state.slot_sums[:], state.rows[:] = 0.0, 0.0, 0
        around = Around(np.ascontiguousarray(found), spread, floor, quantile)
        _add(state, data, state.begin_step, state.end_step, around=around, threads=threads)
        found = solve(state, [penalty], standardise=standardise, threads=threads)[:, 0]
    return np.ascontiguousarray(found)


def _add(
    state: RidgeState,
    data: CheckedWindow,
    begin_step: int,
    end_step: int,
    *,
    keep: float = 1.0,
    sign: int = 1,
    around: Around = AS_IS,
    threads: int | None = None,
) -> None:
    """Add (or, with ``sign`` -1, take out) the rows of some steps."""
    begin, end = begin_step - data.first_step, end_step - data.first_step
    ages = np.arange(state.end_step - 1 - begin_step, state.end_step - 1 - end_step, -1.0)
    rows = SharedRows(data, begin, end, sign * state.forgetting**ages)
    total, by_slot = rows.totals(state.plan.slots)

    def work(first: int, last: int) -> None:
        accumulate(
            data.values,
            data.own,
            rows.basis,
            rows.by_row,
            rows.weight,
            rows.slot,
            data.lags,
            begin,
            total,
            by_slot,
            around.coefficients,
            around.spread,
            around.floor,
            around.quantile,
            keep,
            sign,
            state.gram,
            state.slot_sums,
            state.rows,
            first,
            last,
        )

    share(work, len(state.rows), end - begin, threads)
