"""How good what was issued turned out to be, and whose forecast is issued next. Pure.

Every few hours all candidates for one quantity are kept and, once the time has passed, held
against what came. Sums over the last fortnight say which candidate to issue. Changing costs
trust, so a candidate that others beat by little stays::

    fall back:  L(best other) (1 + 0.03) < L(preferred)                                 (31)
    return:     L(preferred) <= L(now issued)                                           (32)

with L the pinball loss over .1 .5 .9, summed over the points that all of them were scored on.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import datetime, timedelta

import numpy as np
import pandas as pd

from ems.domain.forecasts import FloatArray, Forecast, Missed, Scored, Standing
from ems.domain.time import HALF_HOUR
from forecasting.interface import LEVELS

WINDOW = timedelta(days=14)
"""What is judged."""
SCORED_STEPS = 48
"""Half-hours of each issue that are scored."""
LEAST_POINTS = 5 * 4 * SCORED_STEPS
"""Points before anything is judged: five days of four issues."""
FALL_BACK = 0.03
"""By so much another must have been better [-]."""
DRIFT, DRIFT_OVER = 1.15, 1.05
"""Error of the median to last week's at which drift begins and ends [-]."""
COVERAGE_LOST, COVERAGE_BACK = 0.62, 0.68
"""Share within P10 to P90 at which coverage is lost and found again [-]."""
NEAREST_STEPS = 12
"""Half-hours of each issue that tell how wide margins must be: until the next one is judged."""
_WEEK = timedelta(days=7)

Key = tuple[str, str]
"""Target and subject."""


@dataclass(frozen=True, slots=True)
class Quality:
    """Sums of one candidate over the window.

    Attributes
    ----------
    points
        Half-hours scored.
    ratio
        Error of the median to that of last week's value; ``nan`` without either.
    coverage
        Share of actuals within P10 to P90, ends included [-].
    bias
        Sum of the means over what came, less one [-].
    loss
        Mean pinball loss over the levels, in the target's unit.
    """

    points: int
    ratio: float
    coverage: float
    bias: float
    loss: float


def score(forecast: Forecast, candidate: str, actual: pd.Series[float]) -> Scored | None:
    """Hold a forecast against what came.

    Parameters
    ----------
    forecast
        By half-hours.
    candidate
        Who made it.
    actual
        Half-hours (UTC) of what came and of the fortnight before; ``nan`` where missing.

    Returns
    -------
    Its score, or ``None`` where nothing came to hold it against.
    """
    steps = min(SCORED_STEPS, len(forecast.mean))
    came = _taken(actual, forecast.start, steps)
    before = _taken(actual, forecast.start - _WEEK, steps)
    earlier = _taken(actual, forecast.start - 2 * _WEEK, steps)
    naive = np.where(np.isfinite(before), before, earlier)
    good = np.isfinite(came) & np.isfinite(naive)
    if not good.any():
        return None
    made = {level: forecast.quantile(level)[:steps][good] for level in LEVELS}
    y = came[good]
    loss = sum(float(np.maximum(q * (y - f), (q - 1.0) * (y - f)).sum()) for q, f in made.items())
    return Scored(
        target=forecast.target,
        subject=forecast.subject,
        candidate=candidate,
        issued_at=forecast.issued_at,
        points=int(good.sum()),
        error=float(np.abs(made[0.5] - y).sum()),
        naive_error=float(np.abs(naive[good] - y).sum()),
        inside=int(((y >= made[0.1]) & (y <= made[0.9])).sum()),
        came=float(y.sum()),
        expected=float(forecast.mean[:steps][good].sum()),
        loss=loss / len(LEVELS),
    )


def missed(forecast: Forecast, level: float, actual: pd.Series[float]) -> Missed:
    """Return how far what came was beyond a forecast's mean in its nearest half-hours.

    Parameters
    ----------
    forecast
        By half-hours.
    level
        The quantile that plans hold against; below 0.5 what came lower counts as beyond.
    actual
        Half-hours (UTC) of what came; ``nan`` where missing.

    Returns
    -------
    Half-hours whose actual is known and for which the forecast left any room.
    """
    steps = min(NEAREST_STEPS, len(forecast.mean))
    side = -1.0 if level < 0.5 else 1.0
    mean = forecast.mean[:steps]
    beyond = side * (_taken(actual, forecast.start, steps) - mean)
    made = forecast.quantiles.get(level)
    spread = np.zeros(steps) if made is None else side * (made[:steps] - mean)
    good = np.isfinite(beyond) & np.isfinite(spread) & (spread > 0)
    return Missed(
        forecast.target,
        forecast.subject,
        tuple(beyond[good].tolist()),
        tuple(spread[good].tolist()),
    )


def _taken(series: pd.Series[float], start: datetime, steps: int) -> FloatArray:
    """Return so many half-hours of a regular series from ``start`` on, ``nan`` beyond its ends."""
    out = np.full(steps, np.nan)
    if len(series):
        values = series.to_numpy(dtype=np.float64)
        begin = pd.DatetimeIndex(series.index)[0].to_pydatetime()
        first = round((start - begin) / HALF_HOUR)
        low, high = max(first, 0), min(first + steps, len(values))
        if high > low:
            out[low - first : high - first] = values[low:high]
    return out


def summed(scores: Iterable[Scored], now: datetime) -> dict[Key, dict[str, Quality]]:
    """Return what each candidate came to in the last fortnight.

    Where several were scored, only issues on which all of the newest issue's candidates were
    count, so that they are compared over the same half-hours.
    """
    issues: dict[Key, dict[datetime, dict[str, Scored]]] = {}
    for one in scores:
        if now - WINDOW <= one.issued_at <= now:
            of = issues.setdefault((one.target, one.subject), {})
            of.setdefault(one.issued_at, {})[one.candidate] = one
    found = {}
    for key, by_issue in issues.items():
        newest = by_issue[max(by_issue)]
        alike = [each for each in by_issue.values() if newest.keys() <= each.keys()]
        found[key] = {name: _sum([each[name] for each in alike]) for name in newest}
    return found


def _sum(scores: Sequence[Scored]) -> Quality:
    points = sum(one.points for one in scores)
    naive = sum(one.naive_error for one in scores)
    came = sum(one.came for one in scores)
    return Quality(
        points=points,
        ratio=sum(one.error for one in scores) / naive if naive > 0 else float("nan"),
        coverage=sum(one.inside for one in scores) / points,
        bias=sum(one.expected for one in scores) / came - 1.0 if came > 0 else float("nan"),
        loss=sum(one.loss for one in scores) / points,
    )


def choose(
    standing: Standing, order: Sequence[str], found: Mapping[str, Quality], now: datetime
) -> Standing:
    """Return whose forecast is issued from now on, by (31) and (32).

    Parameters
    ----------
    standing
        As it is.
    order
        Candidates, the preferred one first.
    found
        What each came to; those with too few points say nothing.
    """
    told = {name: found[name] for name in order if name in found}
    told = {name: one for name, one in told.items() if one.points >= LEAST_POINTS}
    if len(told) < 2:
        return standing
    preferred = next(iter(told))
    current = standing.candidate if standing.candidate in told else preferred
    best = min(told, key=lambda name: (told[name].loss, order.index(name)))
    beaten = {name for name, one in told.items() if told[best].loss * (1 + FALL_BACK) < one.loss}
    level = told[preferred].loss <= told[current].loss
    if current != preferred and level and preferred not in beaten:
        return replace(standing, candidate=preferred, since=now, fell_back=False)
    if current in beaten:
        return replace(standing, candidate=best, since=now, fell_back=best != preferred)
    return standing


def judged(standing: Standing, issued: Quality | None) -> Standing:
    """Return a standing with what its issued forecasts came to; nothing told changes nothing.

    Drift and lost coverage begin later than they end, so that a figure on the edge does not
    open and close an alarm each day.
    """
    if issued is None or issued.points < LEAST_POINTS:
        return standing
    ratio, coverage = issued.ratio, issued.coverage
    return replace(
        standing,
        points=issued.points,
        ratio=ratio,
        coverage=coverage,
        drifted=ratio > (DRIFT_OVER if standing.drifted else DRIFT),
        coverage_lost=coverage < (COVERAGE_BACK if standing.coverage_lost else COVERAGE_LOST),
    )
