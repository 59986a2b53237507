"""Backtest: forecasts as they would have been made at earlier instants, and their scores.

Frames in, metrics out: nothing here reads a file or a clock. A model sees only
`known_before` each origin, without stuck meters and outages (`forecasting.faults`); what came is
scored as it stands in the file. Scores are those of the estate's definitions::

    mae_ratio     = Σ |q50 - y| / Σ |naive - y|                                          (10)
    pinball_ratio = Σ_q Σ max(q (y - f_q), (q - 1)(y - f_q)) / the same of the naive     (11)
    coverage_80   = share of y with q10 <= y <= q90                                      (12)

over all scored points of a level pooled; the naive is the value 336 half-hours earlier,
else 672, else the point is left out of (10) and (11).
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import Any

import numpy as np
import pandas as pd

from ems.domain.errors import InvalidInputError
from ems.domain.forecasts import FloatArray, Forecast
from forecasting.faults import usable
from forecasting.interface import LEVELS, Horizon, SeriesModel, check_frame, known_before

WEEK = 336
"""Half-hours of a week."""
LEADS = (1, 4, 48)
"""Steps ahead that are scored by themselves where the horizon reaches them."""
SCALES = ("home", "group", "total")
"""Sizes of subjects: each home, groups of homes, all homes."""
LATE = timedelta(days=2)
"""How far back of the last origin models are given readings again."""
WeatherAt = Callable[[Horizon], Mapping[str, Forecast]]
Progress = Callable[[int, int], None]


@dataclass(frozen=True, slots=True)
class Plan:
    """What is tried.

    Attributes
    ----------
    origins
        Instants of issue, rising, on the half-hour grid, UTC.
    steps
        Half-hours ahead.
    group_size
        Homes of a group; groups are taken in order of id.
    max_missing
        Largest share of missing half-hours a home may have over the whole file [-].
    """

    origins: tuple[datetime, ...]
    steps: int = 48
    group_size: int = 20
    max_missing: float = 0.03

    def __post_init__(self) -> None:
        if not self.origins:
            raise InvalidInputError(
                "there is no origin to forecast from",
                field="origins",
                value="none",
                remedy="Give a first and a last day, e.g. 2013-10-15..2013-12-13.",
            )
        for name, value, least in (("horizon", self.steps, 1), ("group size", self.group_size, 2)):
            if value < least:
                raise InvalidInputError(
                    "too small",
                    field=name,
                    value=value,
                    remedy=f"Give {least} or more.",
                )


@dataclass(frozen=True, slots=True)
class Contest:
    """One set of models that is scored: by scale, a model over the homes' frame.

    Attributes
    ----------
    name
        What stands in the report.
    models
        Scale → model. Each is fitted to the frame of *homes*; that of ``home`` gives a
        forecast a home, that of ``group`` one a group, that of ``total`` one.
    refit_every
        Origins between two calls of ``fit``; between them ``update`` is called.
    """

    name: str
    models: Mapping[str, SeriesModel]
    refit_every: int = 14


@dataclass(frozen=True, slots=True, eq=False)
class Scored:
    """Forecasts and actuals of one scale.

    Attributes
    ----------
    subjects
        Their names, S of them.
    actual, naive
        Shape (origins, S, steps); ``nan`` where missing.
    quantiles
        Shape (levels, origins, S, steps).
    mean
        Shape (origins, S, steps).
    lacked
        Subject → what its forecasts lacked, each once.
    """

    subjects: tuple[str, ...]
    actual: FloatArray = field(repr=False)
    naive: FloatArray = field(repr=False)
    quantiles: FloatArray = field(repr=False)
    mean: FloatArray = field(repr=False)
    lacked: Mapping[str, tuple[str, ...]] = field(default_factory=dict)


class _Blank:
    """Where the forecasts of one scale are written down."""

    def __init__(self, shape: tuple[int, int, int], subjects: Collection[str]) -> None:
        self.quantiles = np.full((len(LEVELS), *shape), np.nan)
        self.mean = np.full(shape, np.nan)
        self.lacked: dict[str, list[str]] = {subject: [] for subject in subjects}

    def put(self, number: int, row: int, forecast: Forecast) -> None:
        """Write down the forecast of one subject from one origin."""
        for at, level in enumerate(LEVELS):
            self.quantiles[at, number, row] = forecast.quantile(level)
        self.mean[number, row] = forecast.mean
        held = self.lacked[forecast.subject]
        held.extend(reason for reason in forecast.lacked if reason not in held)


def chosen_homes(homes: pd.DataFrame, max_missing: float) -> pd.DataFrame:
    """Return the homes with at most this share of missing half-hours, in order of id.

    Raises
    ------
    InvalidInputError
        Where none is left.
    """
    share = homes.isna().mean()
    kept = homes.loc[:, share <= max_missing]
    if not kept.shape[1]:
        least = float(share.min()) if len(share) else 1.0
        raise InvalidInputError(
            f"no home has so few gaps; the best one misses {least:.1%}",
            field="max_missing",
            value=max_missing,
            remedy="Allow more, or give homes with fuller readings.",
        )
    return kept[sorted(kept.columns)]


def groups_of(homes: Sequence[str], size: int) -> dict[str, tuple[str, ...]]:
    """Return groups of ``size`` homes in order of id; a smaller last group is left out."""
    ordered = sorted(homes)
    return {
        f"group {1 + first // size}": tuple(ordered[first : first + size])
        for first in range(0, len(ordered) - size + 1, size)
    }


def members_of(homes: Sequence[str], size: int) -> dict[str, dict[str, tuple[str, ...]]]:
    """Return scale → subject → its homes; a scale without subjects is absent."""
    found: dict[str, dict[str, tuple[str, ...]]] = {
        "home": {home: (home,) for home in sorted(homes)},
        "group": groups_of(homes, size),
        "total": {"all homes": tuple(sorted(homes))},
    }
    return {scale: subjects for scale, subjects in found.items() if subjects}


def summed(homes: pd.DataFrame, members: Mapping[str, Sequence[str]]) -> pd.DataFrame:
    """Return one column a subject, the sum of its homes; ``nan`` where one is missing."""
    columns = {
        name: homes[list(of)].to_numpy(dtype=np.float64).sum(axis=1) for name, of in members.items()
    }
    return pd.DataFrame(columns, index=homes.index)


def naive_of(frame: pd.DataFrame) -> pd.DataFrame:
    """Return the value 336 half-hours earlier, else 672, else ``nan``."""
    return frame.shift(WEEK).fillna(frame.shift(2 * WEEK))


def run_backtest(
    homes: pd.DataFrame,
    plan: Plan,
    contests: Sequence[Contest],
    *,
    weather: WeatherAt | None = None,
    observed: pd.DataFrame | None = None,
    progress: Progress | None = None,
) -> dict[str, dict[str, Scored]]:
    """Forecast from every origin with every model.

    Parameters
    ----------
    homes
        Chosen homes, regular half-hours (UTC), one column each [W].
    plan, contests
        What is tried.
    weather
        What was forecast at an origin, by target; ``None``: nothing.
    observed
        Weather seen, half-hours; models get what was known at each origin.
    progress
        Called with origins done and origins in all.

    Returns
    -------
    Contest → scale → forecasts and actuals.
    """
    check_frame(homes, "homes")
    _require_inside(homes, plan)
    members = members_of([str(name) for name in homes.columns], plan.group_size)
    truth = {scale: summed(homes, subjects) for scale, subjects in members.items()}
    naive = {scale: naive_of(frame) for scale, frame in truth.items()}
    shapes = {scale: (len(plan.origins), len(of), plan.steps) for scale, of in members.items()}
    blank = {
        contest.name: {
            scale: _Blank(shapes[scale], members[scale])
            for scale in contest.models
            if scale in members
        }
        for contest in contests
    }
    for number, origin in enumerate(plan.origins):
        known = known_before(homes, origin)
        # The span holds all of a stuck stretch that was too short at the last origin.
        since = plan.origins[number - 1] - LATE if number else known.index[:1].min()
        recent = usable(known.loc[known.index >= since]).power_w
        if any(number % contest.refit_every == 0 for contest in contests):
            known = usable(known).power_w
        seen = None if observed is None else known_before(observed, origin)
        horizon = Horizon.following(origin, plan.steps)
        coming = {} if weather is None else weather(horizon)
        for contest in contests:
            for scale, made in blank[contest.name].items():
                model = contest.models[scale]
                if number % contest.refit_every == 0:
                    model.fit(known, origin, seen)
                else:
                    model.update(recent, origin, seen)
                for row, forecast in enumerate(model.predict(horizon, coming)):
                    made.put(number, row, forecast)
        if progress is not None:
            progress(number + 1, len(plan.origins))
    rows = _rows(homes, plan)

    def cut(frame: pd.DataFrame) -> FloatArray:
        return np.asarray(frame.to_numpy(dtype=np.float64)[rows].transpose(0, 2, 1))

    return {
        name: {
            scale: Scored(
                tuple(members[scale]),
                cut(truth[scale]),
                cut(naive[scale]),
                made.quantiles,
                made.mean,
                {subject: tuple(why) for subject, why in made.lacked.items() if why},
            )
            for scale, made in scales.items()
        }
        for name, scales in blank.items()
    }


def _rows(homes: pd.DataFrame, plan: Plan) -> np.ndarray[tuple[int, int], np.dtype[np.int64]]:
    """Return the rows of ``homes`` that each origin forecasts, shape (origins, steps)."""
    first = homes.index.get_indexer(pd.DatetimeIndex(list(plan.origins)))
    return np.asarray(first[:, None] + np.arange(plan.steps), dtype=np.int64)


def _require_inside(homes: pd.DataFrame, plan: Plan) -> None:
    rows = _rows(homes, plan)
    wrong = [
        origin
        for origin, first, last in zip(plan.origins, rows[:, 0], rows[:, -1], strict=True)
        if first < 0 or last >= len(homes)
    ]
    if wrong:
        raise InvalidInputError(
            "the readings do not hold every half-hour to be forecast: they run from "
            f"{homes.index[0]:%Y-%m-%d %H:%M} to {homes.index[-1]:%Y-%m-%d %H:%M} UTC",
            field="origins",
            value=wrong[0].isoformat(),
            remedy="Choose origins within the readings, on whole half-hours.",
        )


def scores(scored: Scored, steps: slice = slice(None)) -> dict[str, float | None]:
    """Return (10) to (12), and errors in the unit of the series, over some steps.

    ``None`` stands where there is nothing to score.
    """
    actual, naive = scored.actual[..., steps], scored.naive[..., steps]
    quantiles, mean = scored.quantiles[..., steps], scored.mean[..., steps]
    known = np.isfinite(actual) & np.isfinite(quantiles).all(axis=0)
    both = known & np.isfinite(naive)
    y, f, mu = actual[known], quantiles[:, known], mean[known]
    error = f[LEVELS.index(0.5)] - y
    own = sum(_pinball(actual[both], quantiles[at][both], q) for at, q in enumerate(LEVELS))
    theirs = sum(_pinball(actual[both], naive[both], q) for q in LEVELS)
    middle = np.abs(quantiles[LEVELS.index(0.5)][both] - actual[both]).sum()
    of_naive = np.abs(naive[both] - actual[both]).sum()
    return {
        "mae_ratio": _share(middle, of_naive),
        "pinball_ratio": _share(own, theirs),
        "coverage_80": _share(((y >= f[0]) & (y <= f[-1])).sum(), y.size),
        "mae_w": _share(np.abs(error).sum(), y.size),
        "rmse_w": None if not y.size else float(np.sqrt(np.mean((mu - y) ** 2))),
        "bias": _share((mu - y).sum(), y.sum()),
        "median_bias": _share(error.sum(), y.sum()),
        "points": int(both.sum()),
    }


def _pinball(actual: FloatArray, forecast: FloatArray, level: float) -> float:
    gap = actual - forecast
    return float(np.maximum(level * gap, (level - 1.0) * gap).sum())


def _share(part: Any, whole: Any) -> float | None:
    return float(part) / float(whole) if float(whole) > 0 else None


def peak_error(scored: Scored) -> float | None:
    """Return the mean error of each horizon's highest half-hour, as a share of it [-].

    The forecast's peak is that of its mean; horizons with a missing actual are left out.
    """
    whole = np.isfinite(scored.actual).all(axis=2) & np.isfinite(scored.mean).all(axis=2)
    if not whole.any():
        return None
    peak, guess = scored.actual[whole].max(axis=1), scored.mean[whole].max(axis=1)
    return _share(np.abs(guess - peak).sum(), peak.sum())


def metrics(scored: Scored, *, spread: bool = False) -> dict[str, Any]:
    """Return the figures of one scale.

    ``spread`` adds the lowest and highest coverage of any subject.
    """
    steps = scored.actual.shape[2]
    result: dict[str, Any] = dict(scores(scored))
    result["peak_error"] = peak_error(scored)
    result["by_lead"] = {
        str(lead): scores(scored, slice(lead - 1, lead)) for lead in LEADS if lead <= steps
    }
    result["subjects"] = len(scored.subjects)
    if spread:
        each = [one["coverage_80"] for one in by_subject(scored).values()]
        held = [value for value in each if value is not None]
        result["coverage_80_min"] = min(held, default=None)
        result["coverage_80_max"] = max(held, default=None)
    return result


def by_subject(scored: Scored) -> dict[str, dict[str, float | None]]:
    """Return the figures of each subject by itself."""
    out = {}
    for row, subject in enumerate(scored.subjects):
        one = slice(row, row + 1)
        out[subject] = scores(
            Scored(
                (subject,),
                scored.actual[:, one],
                scored.naive[:, one],
                scored.quantiles[:, :, one],
                scored.mean[:, one],
            )
        )
    return out
