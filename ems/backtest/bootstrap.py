"""How far a figure over weeks and seeds could be off: a bootstrap of whole weeks.

A *cell* is one week of one case. Weeks follow weather and prices, which every seed of a
window meets alike; seeds are other homes, which every window meets alike. Both are drawn
anew and a cell's weight is the product of the two, so that neither is taken for more than
it is:

    ω_wsk = n/(n−1) · #{week k of window w drawn}  ·  m/(m−1) · #{seed s drawn}

with n − 1 draws, with replacement, from the n weeks of each window and m − 1 from the m
seeds. Drawing one less and weighing the more makes the variance of a sum come out right
for few weeks, where drawing n would make it too small by (n−1)/n. Windows were chosen, not
drawn, and stay.

References
----------
E. Carlstein (1986), The use of subseries values for estimating the variance of a general
statistic from a stationary sequence, Annals of Statistics 14(3): whole blocks.
J. N. K. Rao and C. F. J. Wu (1988), Resampling inference with complex survey data, Journal
of the American Statistical Association 83(401): n − 1 draws in each stratum.
A. B. Owen (2007), The pigeonhole bootstrap, Annals of Applied Statistics 1(2): the product
of draws of two crossed factors.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from ems.domain.forecasts import FloatArray

DRAWS = 2000
LEVEL = 0.95
SEED = 20231201
LEAST_DEFINED = 0.9
"""No interval where fewer of the draws than this give a figure at all."""


@dataclass(frozen=True, slots=True, order=True)
class Cell:
    """One week of one case: which window, which week of it from 0, which seed."""

    window: str
    week: int
    seed: int


@dataclass(frozen=True, slots=True)
class Interval:
    """A figure and between what it lies.

    Attributes
    ----------
    value
        From all cells as they are; NaN where it has no meaning.
    low, high
        Percentiles of the draws; NaN where there are too few weeks to draw from.
    """

    value: float
    low: float
    high: float


def weights(cells: Sequence[Cell], draws: int = DRAWS, seed: int = SEED) -> FloatArray:
    """Return how often each cell counts: once in row 0, by lot in the others.

    Parameters
    ----------
    cells
        In any order; the weights of a cell do not depend on it.
    draws
        How many.
    seed
        Of the lots.

    Returns
    -------
    FloatArray
        Shape (1 + draws, cells). Row 0 alone where any window has a single week.
    """
    found = np.ones((1 + draws, len(cells)))
    if not enough_weeks(cells):
        return found[:1]
    rng = np.random.default_rng(seed)
    windows = {
        window: sorted({c.week for c in cells if c.window == window}) for window in _named(cells)
    }
    for window, weeks in windows.items():
        counts = _counts(rng, len(weeks), draws)
        for column, cell in enumerate(cells):
            if cell.window == window:
                found[1:, column] *= counts[:, weeks.index(cell.week)]
    seeds = sorted({cell.seed for cell in cells})
    if len(seeds) > 1:
        counts = _counts(rng, len(seeds), draws)
        for column, cell in enumerate(cells):
            found[1:, column] *= counts[:, seeds.index(cell.seed)]
    return found


def enough_weeks(cells: Sequence[Cell]) -> bool:
    """Return whether every window has two weeks at least, so that weeks can be drawn."""
    return bool(cells) and all(
        len({cell.week for cell in cells if cell.window == window}) > 1 for window in _named(cells)
    )


def _named(cells: Sequence[Cell]) -> list[str]:
    return sorted({cell.window for cell in cells})


def _counts(rng: np.random.Generator, of: int, draws: int) -> FloatArray:
    """Return how often each of ``of`` things is drawn in ``of − 1`` draws, scaled up to ``of``."""
    drawn = rng.multinomial(of - 1, np.full(of, 1.0 / of), size=draws)
    return np.asarray(drawn * (of / (of - 1)))


def interval(figures: FloatArray) -> Interval:
    """Return the figure of row 0 and the percentiles of the other rows.

    Parameters
    ----------
    figures
        One figure for each row of :func:`weights`, shape (1 + draws,); NaN where a draw
        gives none.
    """
    value, drawn = float(figures[0]), figures[1:]
    drawn = drawn[np.isfinite(drawn)]
    if not np.isfinite(value) or drawn.size < max(LEAST_DEFINED * (figures.size - 1), 1):
        return Interval(value, np.nan, np.nan)
    low, high = np.quantile(drawn, [(1.0 - LEVEL) / 2, (1.0 + LEVEL) / 2])
    return Interval(value, float(low), float(high))
