"""Several forecasts of one quantity, of which one is issued.

Candidates stand in order of preference: what was learnt from many homes, a home's own habits,
the same half-hour of earlier weeks (or days, for the sun). The last are the references that
the others have to beat.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from ems.domain.forecasts import FloatArray, Forecast, Standing
from ems.domain.time import HALF_HOUR
from forecasting.interface import LEVELS, Horizon, known_before, make_forecast
from forecasting.quality import Key

LEARNT = "learnt"
HABITS = "habits"
ADDED = "homes added up"
PANELS = "panels and sky"
WEEKS = "earlier weeks"
DAYS = "earlier days"
ORDER = {
    "load_w": (LEARNT, HABITS, ADDED, WEEKS),
    "hot_water_w": (HABITS, ADDED, WEEKS),
    "communal_w": (HABITS, WEEKS),
    "pv_w": (PANELS, DAYS),
}
"""Candidates of each quantity that is watched, the preferred one first."""
_WEEKS_BACK = (7, 14, 21, 28)
_DAYS_BACK = (1, 2, 3, 4, 5, 6, 7, 8)
_LEAST_SAMPLES = 3

Candidates = dict[Key, dict[str, Forecast]]
"""Target and subject → candidate → its forecast, the preferred one first."""


def earlier(history: pd.DataFrame, target: str, horizon: Horizon) -> list[Forecast]:
    """Return what was there at the same half-hours of earlier weeks, or days for the sun.

    The sample of a step is its half-hour (UTC) and the two beside it, one to four weeks
    before; for the sun the half-hour alone, on each of the last eight days that are known.
    A subject with fewer than three values in any step has no forecast.
    """
    known = known_before(history, horizon.issued_at)
    sun = target == "pv_w"
    back, near = (_DAYS_BACK, (0,)) if sun else (_WEEKS_BACK, (-1, 0, 1))
    parts = [
        known.reindex(horizon.index - days * 48 * HALF_HOUR + beside * HALF_HOUR).to_numpy(
            dtype=np.float64
        )
        for days in back
        for beside in near
    ]
    sample = np.sort(np.stack(parts), axis=0)  # (samples, steps, subjects), nan last
    held = np.isfinite(sample).sum(axis=0)
    mean = np.nan_to_num(sample).sum(axis=0) / np.maximum(held, 1)
    quantiles = {level: _quantile(sample, held, level) for level in LEVELS}
    return [
        make_forecast(
            target,
            str(history.columns[int(at)]),
            horizon,
            mean[:, at],
            {level: values[:, at] for level, values in quantiles.items()},
            model=DAYS if sun else WEEKS,
        )
        for at in np.flatnonzero((held >= _LEAST_SAMPLES).all(axis=0))
    ]


def _quantile(ordered: FloatArray, held: NDArray[np.int64], level: float) -> FloatArray:
    """Return a quantile over axis 0 of values in rising order, of which ``held`` are there."""
    place = level * np.maximum(held - 1, 0)
    low = np.floor(place).astype(np.int64)
    high = np.minimum(low + 1, np.maximum(held - 1, 0))
    below = np.take_along_axis(ordered, low[None], 0)[0]
    above = np.take_along_axis(ordered, high[None], 0)[0]
    return np.asarray(below + (above - below) * (place - low))


def put(into: Candidates, candidate: str, forecasts: Sequence[Forecast]) -> None:
    """Add one candidate's forecasts behind those that are there."""
    for one in forecasts:
        into.setdefault((one.target, one.subject), {})[candidate] = one


def issued(
    candidates: Mapping[str, Forecast], standing: Standing | None, missing: str = ""
) -> Forecast:
    """Return the forecast to issue: the standing candidate's, or else the most preferred one's.

    Parameters
    ----------
    candidates
        In order of preference, at least one.
    standing
        Whose turn it is; ``None`` for the most preferred.
    missing
        Why a preferred one could not be made; goes into what the forecast lacked.
    """
    names = list(candidates)
    chosen = names[0]
    if standing is not None and standing.candidate in candidates:
        chosen = standing.candidate
    made = candidates[chosen]
    if chosen != names[0]:
        return replace(made, lacked=(*made.lacked, f"{names[0]} stood back, {chosen} did better"))
    # A sum of homes may say it already, of them.
    if missing and not any(one.startswith(missing) for one in made.lacked):
        return replace(made, lacked=(*made.lacked, missing))
    return made
