"""Medians by ridge regression, each series by itself.

The median is approached by weights that fall with the residual (iteratively re-weighted
least squares)::

    b = argmin Σ_i v_i (y_i - x_i b)² + λ (Σ v_i) |b|² / 1000,   v_i = u_i / max(|r_i|, ε)   (13)

with ``u_i`` halving with the age of the row and ``r_i`` its residual one round before.
"""

from __future__ import annotations

from typing import Self

import numpy as np

from ems.domain.forecasts import FloatArray
from forecasting.calendar import SLOTS
from forecasting.features import COLUMN, OWN, FeatureArray

HALF_LIFE_DAYS = 150.0
PENALTY = 1.0
LEAST_RESIDUAL = 0.02
"""ε of (13) in units of the series' scale [-]."""
ROUNDS = 3
_PARTS = 8
"""Parts of the day over which temperature and season act differently."""
_MILD_C = 15.0
"""Above this outdoor temperature heating is off [°C]."""
_BY_PART = ("ew_3", "ew_kind", "last", "r50", "h50")
"""Features whose worth differs over the day."""


def design(rows: FeatureArray) -> FloatArray:
    """Return the regressors of features of shape (n, F), shape (n, P).

    A missing feature stands at the scale (1) or, for weather, at no effect (0): a
    regression has no branch for what is not known.
    """
    x = rows.astype(np.float64)
    own = np.nan_to_num(x[:, : len(OWN)], nan=1.0)
    own[:, COLUMN["now_1"] : COLUMN["now_8"] + 1] = np.nan_to_num(
        x[:, COLUMN["now_1"] : COLUMN["now_8"] + 1]
    )
    slot = x[:, COLUMN["slot"]].astype(np.int64)
    kind = np.minimum(x[:, COLUMN["kind"]].astype(np.int64), 2)  # a holiday is like a Sunday
    weekday = x[:, COLUMN["weekday"]].astype(np.int64)
    part = np.eye(_PARTS)[slot * _PARTS // SLOTS]
    cold = np.nan_to_num(np.maximum(_MILD_C - x[:, COLUMN["outdoor_24h_c"]], 0.0)) / 10.0
    colder = np.nan_to_num(x[:, COLUMN["outdoor_day_change_k"]]) / 5.0
    season = x[:, COLUMN["season"]]
    fade = 0.8 ** x[:, COLUMN["lead"]]
    present = own[:, COLUMN["now_1"] : COLUMN["now_8"] + 1] * fade[:, None]
    pieces = [own, present, np.eye(3 * SLOTS)[kind * SLOTS + slot], np.eye(7)[weekday]]
    pieces += [part * column[:, None] for column in (cold, colder, season)]
    pieces += [part * own[:, [COLUMN[name]]] for name in _BY_PART]
    return np.concatenate(pieces, axis=1)


class RidgeMedians:
    """Medians of some series, each with coefficients of its own."""

    def __init__(self) -> None:
        self._centre: list[FloatArray] = []
        self._spread: list[FloatArray] = []
        self._coefficients: list[FloatArray] = []

    def fit(self, rows: FeatureArray, share: FloatArray, age_days: FloatArray) -> Self:
        """Learn from all rows of each series.

        Parameters
        ----------
        rows
            Features, shape (S, n, F).
        share
            Load over scale, shape (S, n), ``nan`` where it is missing.
        age_days
            Age of each row, shape (n,) [d].
        """
        self._centre, self._spread, self._coefficients = [], [], []
        for features, y in zip(rows, share, strict=True):
            good = np.isfinite(y)
            x = design(features[good])
            centre = x.mean(axis=0)
            spread = x.std(axis=0) + 1e-6
            x = np.concatenate([(x - centre) / spread, np.ones((len(x), 1))], axis=1)
            recent = 0.5 ** (age_days[good] / HALF_LIFE_DAYS)
            self._centre.append(centre)
            self._spread.append(spread)
            self._coefficients.append(median_coefficients(x, y[good], recent))
        return self

    def predict(self, rows: FeatureArray) -> FloatArray:
        """Return medians over scale, shape (S, K), of features of shape (S, K, F)."""
        out = np.empty(rows.shape[:2])
        for at, features in enumerate(rows):
            x = (design(features) - self._centre[at]) / self._spread[at]
            out[at] = x @ self._coefficients[at][:-1] + self._coefficients[at][-1]
        return np.maximum(out, 0.0)


def median_coefficients(x: FloatArray, y: FloatArray, recent: FloatArray) -> FloatArray:
    """Return the coefficients of (13), shape (P,), of standardised columns and a constant.

    Parameters
    ----------
    x, y
        Regressors, shape (n, P), and targets, shape (n,), in units of the series' scale.
    recent
        Weight of each row before its residual is known, shape (n,).
    """
    v: FloatArray = recent
    b: FloatArray = np.zeros(x.shape[1])
    for _ in range(ROUNDS + 1):
        weighted = x * v[:, None]
        normal = weighted.T @ x
        normal[np.diag_indices_from(normal)] += PENALTY * v.sum() / 1000.0
        b = np.asarray(np.linalg.solve(normal, weighted.T @ y))
        v = np.asarray(recent / np.maximum(np.abs(y - x @ b), LEAST_RESIDUAL))
    return b
