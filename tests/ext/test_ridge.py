"""The ridge kernel against hand-computed figures, its readable twin and scikit-learn.

Sums run in another order than the twin's, so equality has a tolerance: what the
coefficients say for a row agrees to 1e-6 of the series' size with the twin's, which
decomposes the table itself; with scikit-learn the coefficients agree to 1e-8.
"""

import math
import subprocess
import sys
from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from sklearn.linear_model import Ridge

from ems.domain.errors import InvalidInputError
from ext import ridge
from ext.ridge import FeaturePlan, Window
from ext.ridge_reference import (
    ages,
    predict_one,
    solve_one,
    solve_quantile_one,
    table,
)

NAN = math.nan


def some_window(seed: int, plan: FeaturePlan, *, series=3, steps=120, missing=0.05) -> Window:
    """Series with a daily habit, noise and gaps; now and then one that is constant."""
    random = np.random.default_rng(seed)
    hour = np.arange(steps) % 8
    values = 3 + np.sin(hour) + random.normal(0, 1, (series, steps))
    if random.random() < 0.2:
        values[0] = 5.0
    shared = random.normal(0, 2, (plan.shared, steps))
    own = random.normal(1, 1, (series, plan.own, steps))
    values[random.random(values.shape) < missing] = NAN
    shared[random.random(shared.shape) < missing / 5] = NAN
    own[random.random(own.shape) < missing / 5] = NAN
    slot = np.arange(steps) % plan.slots if plan.slots else None
    return Window(values, shared, own, slot)


def slots_of(window: Window) -> np.ndarray:
    return np.zeros(window.values.shape[1], int) if window.slot is None else window.slot


def table_of(plan: FeaturePlan, window: Window, series: int) -> np.ndarray:
    return table(plan, window.values[series], window.shared, window.own[series], slots_of(window))


def same_fit(plan, window, found, expected, series) -> None:
    """Whether both say the same for every complete row."""
    features = table_of(plan, window, series)
    features = features[np.isfinite(features).all(axis=1)]
    if np.isnan(expected).all():
        assert np.isnan(found).all()
        return
    np.testing.assert_allclose(features @ found, features @ expected, rtol=1e-6, atol=1e-6)


def same_sums(one: ridge.RidgeState, other: ridge.RidgeState) -> None:
    np.testing.assert_allclose(one.gram, other.gram, rtol=1e-9, atol=1e-9)
    np.testing.assert_allclose(one.slot_sums, other.slot_sums, rtol=1e-9, atol=1e-9)
    assert one.rows.tolist() == other.rows.tolist()


PLANS = st.builds(
    FeaturePlan,
    lags=st.sets(st.integers(1, 12), max_size=5).map(lambda found: tuple(sorted(found))),
    shared=st.integers(0, 4),
    own=st.integers(0, 2),
    slots=st.sampled_from([0, 0, 1, 4, 8]),
)
SEEDS = st.integers(0, 10_000)


def test_a_line_by_hand():
    # y = 2 + 3x exactly; with λ = 2 and Σ(x - x̄)² = 2 the slope is 3·2/(2 + 2).
    plan = FeaturePlan(shared=1)
    window = Window([[-1.0, 2.0, 5.0]], [[-1.0, 0.0, 1.0]])
    state = ridge.fit(plan, window)
    assert state.rows.tolist() == [3]
    assert state.gram[0].tolist() == [[3, 0, 0], [0, 2, 0], [6, 6, 30]]
    found = ridge.solve(state, [0, 2], standardise=False)
    np.testing.assert_allclose(found[0], [[2, 3], [2, 1.5]])


def test_a_lag_by_hand_and_a_gap_takes_its_rows():
    # Each value is twice the one before; the gap takes its own row and the next one.
    plan = FeaturePlan(lags=(1,))
    state = ridge.fit(plan, Window([[1.0, 2.0, 4.0, NAN, 16.0, 32.0, 64.0]]))
    assert state.rows.tolist() == [4]
    found = ridge.solve(state, [0.0])
    np.testing.assert_allclose(found[0, 0], [0, 2], atol=1e-12)
    ahead = ridge.predict(plan, found, [[64.0]], steps=3)
    np.testing.assert_allclose(ahead[0, 0], [128, 256, 512])


def test_forgetting_by_hand():
    # Weights 1/4, 1/2, 1: the mean of 0, 0, 7 is 4.
    state = ridge.fit(FeaturePlan(), Window([[0.0, 0.0, 7.0]]), forgetting=0.5)
    assert ridge.solve(state, [1.0])[0, 0].tolist() == pytest.approx([4.0])


def test_the_median_by_hand():
    # A single outlier moves the mean and not the median.
    window = Window([[1.0, 2.0, 3.0, 4.0, 1000.0]])
    found = ridge.fit_quantile(FeaturePlan(), window, 0.0, passes=200, floor=1e-6)
    assert found[0, 0] == pytest.approx(3.0, abs=0.01)


@settings(max_examples=60, deadline=None)
@given(PLANS, SEEDS, st.sampled_from([0.1, 3.0]), st.booleans(), st.sampled_from([1.0, 0.97]))
def test_equals_the_twin(plan, seed, penalty, standardise, forgetting):
    window = some_window(seed, plan, missing=0.05 if seed % 3 else 0.3)
    steps = window.values.shape[1]
    until = steps - seed % 20
    state = ridge.fit(plan, window, until=until, forgetting=forgetting)
    found = ridge.solve(state, [penalty], standardise=standardise)
    for series in range(3):
        features = table_of(plan, window, series)
        weights = ages(steps, until, forgetting)
        values = window.values[series]
        expected = solve_one(plan, features, values, weights, penalty, standardise=standardise)
        same_fit(plan, window, found[series, 0], expected, series)


@settings(max_examples=25, deadline=None)
@given(PLANS, SEEDS, st.sampled_from([0.2, 0.5, 0.9]))
def test_quantiles_equal_the_twin(plan, seed, quantile):
    window = some_window(seed, plan)
    found = ridge.fit_quantile(plan, window, 1.0, quantile=quantile, passes=3)
    for series in range(3):
        values = window.values[series]
        if np.nanstd(values) == 0:
            said = ridge.fitted(plan, window, found)[series]
            np.testing.assert_allclose(said[np.isfinite(said)], 5.0)
            continue
        expected = solve_quantile_one(
            plan,
            table_of(plan, window, series),
            values,
            1.0,
            quantile=quantile,
            passes=3,
            floor=0.05,
        )
        same_fit(plan, window, found[series], expected, series)


@settings(max_examples=25, deadline=None)
@given(PLANS, SEEDS)
def test_forecasts_equal_the_twin(plan, seed):
    window = some_window(seed, plan, missing=0.02)
    found = ridge.solve(ridge.fit(plan, window), [1.0, 50.0])
    ahead = some_window(seed + 1, plan, steps=20, missing=0.0)
    said = ridge.predict(
        plan,
        found,
        window.values,
        steps=20,
        shared=ahead.shared,
        own=ahead.own,
        slot=ahead.slot,
    )
    for series in range(3):
        for index in range(2):
            expected = predict_one(
                plan,
                found[series, index],
                window.values[series],
                ahead.shared,
                ahead.own[series],
                slots_of(ahead),
            )
            np.testing.assert_allclose(said[series, index], expected, rtol=1e-9, atol=1e-9)


@settings(max_examples=25, deadline=None)
@given(PLANS, SEEDS, st.sampled_from([0.01, 5.0]), st.booleans())
def test_equals_scikit_learn(plan, seed, penalty, standardise):
    window = some_window(seed, plan, steps=200)
    found = ridge.solve(
        ridge.fit(plan, window, forgetting=0.99), [penalty], standardise=standardise
    )
    values = np.asarray(window.values)
    for series in range(3):
        features = table_of(plan, window, series)[:, 1:]
        kept = np.isfinite(features).all(axis=1) & np.isfinite(values[series])
        x, y = features[kept], values[series][kept]
        w = ages(200, 200, 0.99)[kept]
        spread = np.ones(x.shape[1])
        if standardise and x.shape[1]:
            spread = np.sqrt(np.average((x - np.average(x, 0, w)) ** 2, 0, w))
        if not x.shape[1] or np.any(spread < 1e-9) or np.ptp(y) == 0:
            continue
        peer = Ridge(alpha=penalty, solver="cholesky").fit(x / spread, y, sample_weight=w)
        expected = np.concatenate([[peer.intercept_], peer.coef_ / spread])
        np.testing.assert_allclose(found[series, 0], expected, rtol=1e-8, atol=1e-8)


@settings(max_examples=40, deadline=None)
@given(PLANS, SEEDS, st.sampled_from([1.0, 0.9]), st.lists(st.integers(0, 9), max_size=12))
def test_updates_come_to_the_same_as_a_refit(plan, seed, forgetting, new_steps):
    window = some_window(seed, plan, steps=150)
    cut = 40
    state = ridge.fit(plan, window, until=cut, forgetting=forgetting)
    for count in new_steps:
        begin = max(0, cut - plan.reach)
        cut += count
        part = Window(
            window.values[:, begin:cut],
            window.shared[:, begin:cut],
            window.own[:, :, begin:cut],
            None if window.slot is None else window.slot[begin:cut],
            first_step=begin,
        )
        ridge.update(state, part)
    assert state.end_step == cut
    same_sums(state, ridge.fit(plan, window, until=cut, forgetting=forgetting))


@settings(max_examples=40, deadline=None)
@given(PLANS, SEEDS, st.sampled_from([1.0, 0.95]))
def test_a_correction_comes_to_the_same_as_a_refit(plan, seed, forgetting):
    window = some_window(seed, plan, steps=90)
    random = np.random.default_rng(seed)
    state = ridge.fit(plan, window, until=80, forgetting=forgetting)
    values = window.values.copy()
    for _ in range(3):
        values[random.integers(0, 3), random.integers(0, 90)] = random.choice([NAN, 9.0, -2.0])
    ridge.correct(state, window, values)
    corrected = replace(window, values=values)
    same_sums(state, ridge.fit(plan, corrected, until=80, forgetting=forgetting))


@settings(max_examples=25, deadline=None)
@given(PLANS, SEEDS, st.integers(20, 110))
def test_what_comes_after_until_never_enters(plan, seed, until):
    window = some_window(seed, plan)
    random = np.random.default_rng(seed)
    scrambled = Window(
        *(np.array(part) for part in (window.values, window.shared, window.own)), window.slot
    )
    for part in (scrambled.values, scrambled.shared, scrambled.own):
        part[..., until:] = random.choice([1e9, NAN, math.inf], part[..., until:].shape)
    one = ridge.fit(plan, window, until=until)
    other = ridge.fit(plan, scrambled, until=until)
    np.testing.assert_array_equal(one.gram, other.gram)
    np.testing.assert_array_equal(one.slot_sums, other.slot_sums)
    np.testing.assert_array_equal(
        ridge.fit_quantile(plan, window, 1.0, until=until),
        ridge.fit_quantile(plan, scrambled, 1.0, until=until),
    )


def test_fitted_rows_are_those_of_the_table():
    plan = FeaturePlan(lags=(1, 5), shared=2, own=1, slots=4)
    window = some_window(3, plan)
    found = ridge.solve(ridge.fit(plan, window), [1.0])[:, 0]
    said = ridge.fitted(plan, window, found)
    for series in range(3):
        expected = table_of(plan, window, series) @ found[series]
        np.testing.assert_allclose(said[series], expected, rtol=1e-9, atol=1e-9)
    assert np.isnan(said).any()


def test_threads_and_neighbours_change_nothing():
    plan = FeaturePlan(lags=(1, 48), shared=3, slots=8)
    window = some_window(4, plan, series=40, steps=6000, missing=0.01)
    together = ridge.fit(plan, window, threads=3)
    alone = ridge.fit(plan, window, threads=1)
    same_sums(together, alone)
    single = ridge.fit(plan, replace(window, values=window.values[7:8], own=window.own[7:8]))
    np.testing.assert_allclose(single.gram[0], alone.gram[7], rtol=1e-12)


def test_a_long_outage_late_keeps_its_digits_under_forgetting():
    # What is skipped weighs far more than what is left: no difference of large sums.
    plan = FeaturePlan(lags=(2,), shared=2)
    window = some_window(5, plan, steps=400, missing=0.0)
    window.values[:, 200:] = NAN
    found = ridge.solve(ridge.fit(plan, window, forgetting=0.8), [0.0])
    for series in range(3):
        features = table_of(plan, window, series)
        expected = solve_one(
            plan,
            features[:200],
            window.values[series, :200],
            ages(200, 200, 0.8),
            0.0,
            standardise=False,
        )
        np.testing.assert_allclose(found[series, 0], expected, rtol=1e-6)


@pytest.mark.parametrize("values", [[[]], [[NAN]], [[NAN, math.inf, NAN]]])
def test_nothing_known_is_no_coefficients(values):
    plan = FeaturePlan(lags=(1,), slots=2)
    state = ridge.fit(plan, Window(values, slot=np.zeros(len(values[0]), dtype=int)))
    assert state.rows.tolist() == [0]
    assert np.isnan(ridge.solve(state, [1.0])).all()


def test_one_value_and_constants_still_say_something():
    plan = FeaturePlan(lags=(1,), shared=1, slots=3)
    constant = Window([[4.0] * 9], [[2.0] * 9], slot=np.arange(9) % 3)
    found = ridge.solve(ridge.fit(plan, constant), [0.0, 1.0])
    said = ridge.predict(plan, found, [[4.0]], steps=5, shared=[[2.0] * 5], slot=[0, 1, 2, 0, 1])
    np.testing.assert_allclose(said, 4.0)
    single = ridge.fit(FeaturePlan(), Window([[7.0]]))
    assert ridge.solve(single, [1.0]).tolist() == [[[7.0]]]


def test_read_only_arrays_are_read():
    values, shared = np.arange(6.0).reshape(1, 6), np.ones((1, 6))
    values.setflags(write=False)
    shared.setflags(write=False)
    state = ridge.fit(FeaturePlan(lags=(1,), shared=1), Window(values, shared))
    found = ridge.solve(state, [0.0])
    found.setflags(write=False)
    assert ridge.predict(FeaturePlan(lags=(1,), shared=1), found, values, steps=1, shared=[[1.0]])[
        0, 0
    ].tolist() == pytest.approx([6.0])


def test_no_series_are_no_fault():
    state = ridge.fit(FeaturePlan(lags=(1,)), Window(np.empty((0, 5))))
    assert ridge.solve(state, [1.0]).shape == (0, 1, 2)


PLAIN = FeaturePlan(lags=(2,))


def late_update() -> None:
    state = ridge.fit(PLAIN, Window(np.ones((1, 9))))
    ridge.update(state, Window(np.ones((1, 3)), first_step=9))


def short_correction() -> None:
    state = ridge.fit(PLAIN, Window(np.ones((1, 9))))
    ridge.correct(state, Window(np.ones((1, 6))), [[1, 1, 1, 1, 2, 1]])


@pytest.mark.parametrize(
    ("wrong", "field"),
    [
        (lambda: FeaturePlan(lags=(0,)), "lags"),
        (lambda: FeaturePlan(shared=-1), "shared"),
        (lambda: ridge.fit(PLAIN, Window([1.0, 2.0])), "values"),
        (lambda: ridge.fit(PLAIN, Window([["a"]])), "values"),
        (lambda: ridge.fit(PLAIN, Window([[1.0]], shared=[[1.0]])), "shared"),
        (lambda: ridge.fit(FeaturePlan(own=1), Window([[1.0]])), "own"),
        (lambda: ridge.fit(FeaturePlan(slots=2), Window([[1.0]], slot=[2])), "slot"),
        (lambda: ridge.fit(FeaturePlan(slots=2), Window([[1.0]])), "slot"),
        (lambda: ridge.fit(PLAIN, Window([[1.0]]), until=2), "until"),
        (lambda: ridge.fit(PLAIN, Window([[1.0]]), forgetting=0), "forgetting"),
        (lambda: ridge.solve(ridge.fit(PLAIN, Window([[1.0]])), [-1]), "penalties"),
        (lambda: ridge.fit_quantile(PLAIN, Window([[1.0]]), 1.0, quantile=1), "quantile"),
        (lambda: ridge.predict(PLAIN, [[[1.0]]], [[1.0]]), "coefficients"),
        (late_update, "first_step"),
        (short_correction, "before"),
    ],
)
def test_faults_are_named(wrong, field):
    with pytest.raises(InvalidInputError) as caught:
        wrong()
    assert caught.value.field.startswith(field)
    assert caught.value.remedy


def test_a_kernel_that_is_not_built_says_how_to_build_it():
    script = "import sys; sys.modules['ext._ridge_sums'] = None; import ext.ridge"
    command = [sys.executable, "-c", script]
    done = subprocess.run(command, check=False, capture_output=True, text=True)
    assert done.returncode != 0
    assert "pip install -e ." in done.stderr
