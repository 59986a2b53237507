"""Weeks and seeds drawn anew: what a figure could have been."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from ems.backtest.bootstrap import Cell, Interval, interval, weights

CELLS = [
    Cell(window, week, seed) for window in ("a", "b", "c") for week in range(4) for seed in range(5)
]


def test_weeks_are_drawn_whole_and_shared_by_all_seeds_of_a_window() -> None:
    found = weights(CELLS, draws=50)
    table = found.reshape(51, 3, 4, 5)  # draws, windows, weeks, seeds
    np.testing.assert_array_equal(found[0], 1.0)
    # Three weeks of four are drawn and count 4/3, whoever lives there: the weights are a product.
    seeds = table.sum(axis=(1, 2)) / 12.0
    weeks = table.sum(axis=3) / 5.0
    np.testing.assert_allclose(table, weeks[..., None] * seeds[:, None, None, :])
    np.testing.assert_allclose(weeks.sum(axis=2), 4.0)
    drawn = weeks[1:] * 3 / 4
    np.testing.assert_allclose(drawn, np.round(drawn), atol=1e-9)
    # The windows' weeks are drawn apart.
    assert not np.array_equal(weeks[:, 0], weeks[:, 1])


def test_a_single_week_gives_a_figure_but_no_interval() -> None:
    found = weights([Cell("a", 0, 1), Cell("b", 0, 1), Cell("b", 1, 1)])
    assert found.shape == (1, 3)
    alone = interval(found @ np.array([1.0, 2.0, 3.0]))
    assert alone.value == 6.0
    assert np.isnan([alone.low, alone.high]).all()


def test_weights_do_not_depend_on_the_order_of_cells() -> None:
    order = np.random.default_rng(4).permutation(len(CELLS))
    shuffled = weights([CELLS[at] for at in order], draws=30)
    np.testing.assert_array_equal(shuffled, weights(CELLS, draws=30)[:, order])


@given(st.floats(-1e6, 1e6), st.integers(2, 6), st.integers(1, 4))
def test_what_is_the_same_in_every_week_has_an_interval_of_no_width(
    figure: float, weeks: int, seeds: int
) -> None:
    cells = [Cell("a", week, seed) for week in range(weeks) for seed in range(seeds)]
    drawn = weights(cells, draws=40)
    found = interval((drawn @ np.full(len(cells), figure)) / drawn.sum(axis=1))
    assert found.low == pytest.approx(figure, rel=1e-9, abs=1e-9)
    assert found.high == pytest.approx(figure, rel=1e-9, abs=1e-9)


def test_the_spread_of_a_mean_over_weeks_is_the_textbook_one() -> None:
    y = np.array([3.0, 5.0, 11.0, 1.0])
    drawn = weights([Cell("a", week, 1) for week in range(4)], draws=20_000)
    spread = (drawn[1:] @ y / 4.0).var()
    assert spread == pytest.approx(y.var(ddof=1) / 4.0, rel=0.05)


def test_intervals_hold_the_truth_about_as_often_as_they_say() -> None:
    """Twelve weeks and five seeds whose true mean is zero, three hundred times over."""
    rng = np.random.default_rng(1)
    drawn = weights(CELLS, draws=400)
    size = drawn.sum(axis=1)
    hits = 0
    for _ in range(300):
        weeks, seeds = rng.normal(size=(3, 4, 1)), 0.5 * rng.normal(size=(1, 1, 5))
        y = (weeks + seeds + 0.5 * rng.normal(size=(3, 4, 5))).ravel()
        found = interval(drawn @ y / size)
        hits += found.low <= 0.0 <= found.high
    assert 0.90 <= hits / 300 <= 0.98


def test_draws_that_give_no_figure_are_left_out_as_long_as_they_are_few() -> None:
    figures = np.concatenate([[2.0], np.linspace(1.0, 3.0, 95), np.full(5, np.nan)])
    assert interval(figures).low == pytest.approx(1.05)
    many = np.concatenate([[2.0], np.linspace(1.0, 3.0, 80), np.full(20, np.nan)])
    assert np.isnan(interval(many).low)
    assert interval(np.array([2.0, 2.0, 2.0])) == Interval(2.0, 2.0, 2.0)
