"""Rows to learn from: what was known at many origins, beside what came."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from datetime import datetime

import numpy as np
import pandas as pd

from ems.domain.forecasts import FloatArray
from forecasting.calendar import Calendar
from forecasting.features import LEAST_SCALE_W, NAMES, FeatureArray, Known, features

MOST_ROWS = 1_000_000
"""Rows laid out at once, to bound memory and time."""


@dataclass(slots=True, eq=False)
class Panel:
    """Rows of some series at some origins: (S, O, K, F), (S, O, K), (S, O), (O,).

    Of very many series each origin may have others.
    """

    rows: FeatureArray
    share: FloatArray
    scale: FloatArray
    origins: list[datetime]

    def first(self, count: int) -> Panel:
        """Return the first series alone."""
        return Panel(self.rows[:count], self.share[:count], self.scale[:count], self.origins)


def joined(panels: Sequence[Panel]) -> Panel:
    """Return panels of the same series one after the other."""
    return Panel(
        np.concatenate([one.rows for one in panels], axis=1),
        np.concatenate([one.share for one in panels], axis=1),
        np.concatenate([one.scale for one in panels], axis=1),
        [origin for one in panels for origin in one.origins],
    )


def gather(
    known: Known,
    series: pd.DataFrame,
    origins: Sequence[datetime],
    steps: int,
    calendar: Calendar,
    *,
    whole: bool,
    seed: int,
) -> Panel:
    """Return features of so many half-hours from each origin, and what came.

    Where that is more than `MOST_ROWS`, each origin has a random part of the series, unless the
    ``whole`` is asked for.
    """
    values = series.to_numpy(dtype=np.float64).T
    starts = series.index.get_indexer(pd.DatetimeIndex(list(origins)))
    count = len(values)
    most = max(MOST_ROWS // (steps * len(origins)), 1) if origins else count
    if whole or most > count:
        most = count
    rng = np.random.default_rng(seed)
    rows = np.empty((most, len(origins), steps, len(NAMES)), dtype=np.float32)
    shares = np.empty((most, len(origins), steps))
    scales = np.empty((most, len(origins)))
    for at, (origin, start) in enumerate(zip(origins, starts, strict=True)):
        some = np.arange(count) if most == count else rng.choice(count, most, replace=False)
        index = pd.date_range(origin, periods=steps, freq="30min")
        part = known if most == count else replace(known, local=known.local[some])
        rows[:, at], scale = features(part, index, calendar)
        scales[:, at] = np.maximum(scale, LEAST_SCALE_W)
        shares[:, at] = values[some, start : start + steps] / scales[:, at, None]
    return Panel(rows, shares, scales, list(origins))
