"""The batch ridge beside scikit-learn's, one fit a series: a year of half-hours, 17 features.

Both get the same rows: eleven shared columns of calendar and weather, six lags of 48
half-hours and more. scikit-learn's tables are built before its clock starts, the
kernel's lags are built within its own. Both may use all cores. scikit-learn is timed on some
of the series, and its time stated for all. Both are run in turn, and the least disturbed run
of each counts.
"""

from __future__ import annotations

import os
import time
from collections.abc import Callable, Iterator

import numpy as np
from harness import Row
from sklearn.linear_model import Ridge

from ext import ridge
from ext.ridge import FeaturePlan, Window

AREA = "forecasting"
SERIES = 1000
STEPS = 365 * 48
AHEAD = 48
TRIED = 40
PLAN = FeaturePlan(lags=(48, 49, 96, 144, 336, 672), shared=11)
PENALTY = 1.0


def rows() -> Iterator[Row]:
    """Measure full refits with forecasts, updates by one half-hour, and memory."""
    values, shared = estate()
    known = Window(values[:, :STEPS], shared[:, :STEPS])
    ahead = np.ascontiguousarray(shared[:, STEPS:])
    reach = PLAN.reach
    last = Window(
        values[:, STEPS - reach : STEPS + 1],
        shared[:, STEPS - reach : STEPS + 1],
        first_step=STEPS - reach,
    )

    def refit() -> np.ndarray:
        state = ridge.fit(PLAN, known)
        found = ridge.solve(state, [PENALTY], standardise=False)
        return ridge.predict(PLAN, found, known.values, steps=AHEAD, shared=ahead)

    tables = [table(values[series], shared) for series in range(TRIED)]
    targets = [values[series, reach:STEPS] for series in range(TRIED)]

    def peer() -> list[np.ndarray]:
        return [
            Ridge(alpha=PENALTY).fit(x[: STEPS - reach], y).predict(x[STEPS - reach :])
            for x, y in zip(tables, targets, strict=True)
        ]

    forecasts, theirs = refit(), peer()
    truth = values[:TRIED, STEPS:]
    error = float(np.abs(forecasts[:TRIED, 0] - truth).mean())
    their_error = float(np.abs(np.array(theirs) - truth).mean())
    taken = [(clocked(refit), clocked(peer)) for _ in range(7)]
    refitted = min(ours for ours, _ in taken)
    peer_ms = min(other for _, other in taken) * SERIES / TRIED

    threads = len(os.sched_getaffinity(0))
    state = ridge.fit(PLAN, known)
    updated = update_ms(state, last)
    yield Row(
        AREA,
        f"ridge: refit and {AHEAD} steps of {SERIES} series x 1 year, {threads} threads",
        refitted,
        "ms",
        peer="scikit-learn Ridge",
        peer_value=peer_ms,
    )
    yield Row(AREA, "ridge: refit, times as fast", peer_ms / refitted, "x", above=15)
    yield Row(
        AREA,
        f"ridge: one new half-hour for {SERIES} series, solved",
        updated,
        "ms",
        peer="scikit-learn Ridge",
        peer_value=peer_ms,
    )
    yield Row(AREA, "ridge: update, times as fast", peer_ms / updated, "x", above=300)
    yield Row(
        AREA,
        "ridge: mean absolute error of the forecasts",
        error,
        "W",
        peer="scikit-learn Ridge",
        peer_value=their_error,
    )
    yield Row(AREA, f"ridge: stored sums of {SERIES} series", state.nbytes / 1e6, "MB")
    scratch = threads * 8 * 3 * (STEPS + reach) * 8
    columns = 2 * (1 + PLAN.shared) * STEPS * 8
    yield Row(
        AREA,
        "ridge: working memory beside the values, by its arrays",
        (state.nbytes + scratch + columns) / 1e6,
        "MB",
    )


def estate() -> tuple[np.ndarray, np.ndarray]:
    """Return seeded loads [W] and shared columns, a day longer than the year."""
    random = np.random.default_rng(6)
    steps = np.arange(STEPS + AHEAD)
    day, week, year = (2 * np.pi * steps / length for length in (48, 336, STEPS))
    weather = np.cumsum(random.normal(0, 0.3, len(steps)))
    weather = 10 - 6 * np.cos(year) - 3 * np.cos(day) + weather - weather.mean()
    sun = np.maximum(0, -np.cos(day)) * random.uniform(100, 600, len(steps))
    shared = np.stack(
        [
            *(np.sin(day), np.cos(day), np.sin(2 * day), np.cos(2 * day)),
            *(np.sin(week), np.cos(week), np.sin(year), np.cos(year)),
            *((steps // 48 % 7 >= 5).astype(float), weather, sun / 100),
        ]
    )
    weights = random.normal(0, 40, (SERIES, len(shared)))
    values = np.maximum(30, 300 + weights @ shared + random.normal(0, 120, (SERIES, len(steps))))
    return values, np.ascontiguousarray(shared)


def table(values: np.ndarray, shared: np.ndarray) -> np.ndarray:
    """Return the features of a series from the first row with all lags to the last step."""
    reach = PLAN.reach
    lags = [values[reach - lag : len(values) - lag] for lag in PLAN.lags]
    return np.ascontiguousarray(np.column_stack([shared[:, reach:].T, *lags]))


def update_ms(state: ridge.RidgeState, last: Window) -> float:
    """Return the least time [ms] of an update and a solution for all series."""

    def work() -> None:
        state.end_step = STEPS
        ridge.update(state, last)
        ridge.solve(state, [PENALTY], standardise=False)

    return min(clocked(work) for _ in range(15))


def clocked(work: Callable[[], object]) -> float:
    """Return the wall time of one call [ms]."""
    begin = time.perf_counter()
    work()
    return (time.perf_counter() - begin) * 1000
