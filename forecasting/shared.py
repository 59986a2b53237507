"""One gradient model for all series: quantiles and mean of load in units of each series' scale.

Rows are drawn with a chance that grows with their series' scale, so that what is small is the
error in watts, not in shares; drawing is far faster than weighting the trees' histograms.
Trees take a missing feature as a branch of its own; nothing is filled.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Self

import numpy as np
from sklearn.ensemble import HistGradientBoostingRegressor

from ems.domain.forecasts import FloatArray
from forecasting.features import COLUMN, FeatureArray
from forecasting.interface import LEVELS

_LEFT_OUT = ("season", "log_scale")
"""Features that would let trees tell one stretch of the year, or one series, from another."""
_TAKEN = [at for name, at in COLUMN.items() if name not in _LEFT_OUT]
KINDS = (*LEVELS, "mean")
"""What is learnt, in order of the first axis of a prediction."""


@dataclass(frozen=True, slots=True)
class Boosting:
    """How the trees are grown.

    Attributes
    ----------
    trees, leaves
        Number of trees and leaves of each.
    rate
        Share of each tree that is taken [-].
    least_rows
        Rows that a leaf holds at least.
    rows
        Rows drawn at most, with replacement.
    """

    trees: int = 130
    leaves: int = 31
    rate: float = 0.09
    least_rows: int = 150
    rows: int = 120_000


class Gradient:
    """Quantiles and mean by histogram gradient boosting.

    Parameters
    ----------
    boosting
        How the trees are grown.
    seed
        Same rows and seed give the same trees.
    """

    def __init__(self, boosting: Boosting, seed: int = 0) -> None:
        self._boosting = boosting
        self._seed = seed
        self._trees: list[HistGradientBoostingRegressor] = []
        self._held: list[int] = []

    def fit(self, rows: FeatureArray, share: FloatArray, weight: FloatArray) -> Self:
        """Learn from rows.

        Parameters
        ----------
        rows
            Features, shape (n, F).
        share
            Load over scale, shape (n,), finite where the row has a weight.
        weight
            Chance of each row to be drawn, to a common factor, shape (n,).
        """
        b = self._boosting
        some = np.random.default_rng(self._seed).choice(
            len(rows), min(b.rows, int(np.count_nonzero(weight))), p=weight / weight.sum()
        )
        rows, share = rows[some], share[some]
        held = [at for at in _TAKEN if np.isfinite(rows[:, at]).any()]
        rows = rows[:, held]
        self._held = held
        self._trees = []
        for kind in KINDS:
            loss = (
                {"loss": "squared_error"}
                if isinstance(kind, str)
                else {"loss": "quantile", "quantile": kind}
            )
            trees = HistGradientBoostingRegressor(
                **loss,
                learning_rate=b.rate,
                max_iter=b.trees,
                max_leaf_nodes=b.leaves,
                min_samples_leaf=b.least_rows,
                max_features=0.5,
                l2_regularization=5.0,
                max_bins=127,
                early_stopping=False,
                random_state=self._seed,
            )
            self._trees.append(trees.fit(rows, share))
        return self

    def predict(self, rows: FeatureArray) -> FloatArray:
        """Return quantiles in order of `KINDS` over scale, shape (kinds, ...).

        ``rows`` has shape (..., F). Quantiles rise with their level; nothing is negative.
        """
        flat = rows.reshape(-1, rows.shape[-1])[:, self._held]
        found = np.stack([trees.predict(flat) for trees in self._trees])
        found[: len(LEVELS)] = np.sort(found[: len(LEVELS)], axis=0)
        return np.asarray(np.maximum(found, 0.0).reshape(len(KINDS), *rows.shape[:-1]))
