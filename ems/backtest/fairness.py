"""How evenly homes share what planning saves, and who is worse off.

A home's gain is its bill under own thermostats less its bill under planning, credits taken
off. Gains can be losses, for which the usual Gini coefficient has no bounds.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import ArrayLike

from ems.demo.book import Figures
from ems.demo.figures import WORSE_KH_PER_WEEK

PENNY = 0.005
"""A bill is higher from this on [£]."""


def signed_gini(gains: ArrayLike) -> float:
    """Return how unevenly gains and losses are spread: 0 all alike, 1 as uneven as can be.

    ``G = Σ_i Σ_j |y_i − y_j| / (2 (N − 1) Σ_i |y_i|)``: the mean difference over the greatest
    that the same gains and losses in sum allow, when one home has all gains and another all
    losses. For gains alone it is the usual coefficient times N / (N − 1).

    References
    ----------
    E. Raffinetti, E. Siletti and A. Vernizzi (2015), On the Gini coefficient normalization
    when attributes with negative values are considered, Statistical Methods & Applications
    24(3).

    Examples
    --------
    >>> signed_gini([1, 1, 1, 1]), signed_gini([4, 0, 0, 0]), signed_gini([3, -1])
    (0.0, 1.0, 1.0)
    """
    y = np.sort(np.asarray(gains, dtype=np.float64))
    whole = float(np.abs(y).sum())
    if y.size < 2 or whole <= 0.0:
        return 0.0
    # Of sorted values, each pair's difference is counted once by these factors.
    pairs = float((np.arange(1 - y.size, y.size, 2) * y).sum())
    return min(max(pairs / ((y.size - 1) * whole), 0.0), 1.0)


def fairness(
    own: Sequence[Figures], other: Sequence[Figures], change_kh_per_week: Figures
) -> Figures:
    """Return how a controller's savings and warmth are spread over homes.

    Parameters
    ----------
    own, other
        Homes' figures under own thermostats and under the controller, in one order.
    change_kh_per_week
        By home, missing warmth under the controller less that under own thermostats.
    """
    gains = {
        home["id"]: before["bill_gbp"] - (home["bill_gbp"] - home["credit_gbp"])
        for before, home in zip(own, other, strict=True)
    }
    bills = {before["id"]: before["bill_gbp"] for before in own}
    loser = min(gains, key=lambda home: (gains[home], home))
    coldest = max(change_kh_per_week, key=lambda home: (change_kh_per_week[home], home))
    return {
        "gini": signed_gini(list(gains.values())),
        "mean_gain_gbp": float(np.mean(list(gains.values()))),
        "homes_paying_more": sum(gain < -PENNY for gain in gains.values()),
        "largest_loser": {
            "id": loser,
            "gain_gbp": gains[loser],
            "gain_pct": 100.0 * gains[loser] / bills[loser] if bills[loser] > 0 else np.nan,
        },
        "homes_worse": sorted(
            home for home, change in change_kh_per_week.items() if change > WORSE_KH_PER_WEEK
        ),
        "largest_loss_of_warmth": {"id": coldest, "kh_per_week": change_kh_per_week[coldest]},
    }
