"""A block's household load by five minutes for the first four hours.

The half-hourly forecast is spread over five-minute steps so that every half-hour keeps its
mean::

    base(j, i) = m(j) + g(j) (i - 2.5) / 6,  g(j) = (m(j+1) - m(j-1)) / 2,  i = 0 ... 5     (33)

What the last quarter of an hour was above or below it fades out, by as much as it did after
earlier issues, and so do bands::

    forecast(k) = base(k) + c(k) s,     c = sum(s a(k)) / (sum(s^2) + v)                    (34)
    q90 <- q50 + f (q90 - q50),         f = P90 of (y - q50) / (q90 - q50)                  (35)

with ``s`` the deviation at issue, ``a(k)`` that of step ``k``, both of earlier issues, ``v`` one
typical squared deviation for every prior issue that the defaults count as. A band before (35) is
the half-hour's, widened by what five minutes swing within a half-hour.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import pandas as pd

from ems.domain.forecasts import FloatArray, Forecast
from ems.domain.time import HALF_HOUR_S, floor_to
from forecasting.interface import LEVELS, Z_90

TARGET = "load_5min_w"
STEP_S = 300
STEPS = 48
LOOK_BACK_STEPS = 3
"""What came so lately tells how far the forecast is off now."""
LEAST_ISSUES = 24
"""Earlier issues before fading and bands are learnt from them."""
_A_HALF_HOUR = HALF_HOUR_S // STEP_S
_GROUPS = ((0, 3), (3, 6), (6, 12), (12, 24), (24, STEPS))
"""Leads that share a fading and a band [steps]."""
_FADING = (0.3, 0.2, 0.1, 0.05, 0.0)
"""What stands in before enough was issued [-]."""
_PRIOR_ISSUES = 12.0
_SWING = 1.5
"""Standard deviation within a half-hour over the root of the load [W^0.5]."""


@dataclass(frozen=True, slots=True)
class _Path:
    """One earlier issue held against what came: arrays of shape (STEPS,) [W]."""

    base: dict[float, FloatArray]
    off: float
    came: FloatArray


def fine_forecast(
    half_hourly: Forecast, recent: pd.Series[float], earlier: Sequence[Forecast] = ()
) -> Forecast:
    """Return the next four hours by five minutes.

    Parameters
    ----------
    half_hourly
        The forecast by half-hours that is spread; its instant of issue is the fine one's.
    recent
        What came, by five minutes (UTC, regular) [W]; ``nan`` where missing, and nothing after
        the issue is looked at.
    earlier
        Half-hourly forecasts of the same subject issued before, to learn from.
    """
    issued_at = half_hourly.issued_at
    series = recent.loc[recent.index <= pd.Timestamp(issued_at) - pd.Timedelta(seconds=STEP_S)]
    known = _Known.of(series)
    swing = _swing(series)
    now = _path(half_hourly, known, swing)
    paths = [_path(one, known, swing) for one in earlier if one.issued_at < issued_at]
    told = [one for one in paths if np.isfinite(one.off) and np.isfinite(one.came).any()]
    enough = len(told) >= LEAST_ISSUES
    fading = _fading(told if enough else [])
    lacked = list(half_hourly.lacked)
    if not np.isfinite(now.off):
        lacked.append("readings of the last quarter of an hour")
    if not enough:
        lacked.append(f"earlier issues: {len(told)} of {LEAST_ISSUES} to learn bands from")
    shift = fading * (now.off if np.isfinite(now.off) else 0.0)
    middle = now.base[0.5] + shift
    low, high = _factors(told if enough else [], fading)
    quantiles = {
        0.1: middle - low * (now.base[0.5] - now.base[0.1]),
        0.5: middle,
        0.9: middle + high * (now.base[0.9] - now.base[0.5]),
    }
    return Forecast(
        target=TARGET,
        subject=half_hourly.subject,
        issued_at=issued_at,
        start=floor_to(issued_at, STEP_S),
        step_s=STEP_S,
        mean=np.maximum(spread(half_hourly, half_hourly.mean) + shift, 0.0),
        quantiles={level: np.maximum(values, 0.0) for level, values in quantiles.items()},
        lacked=tuple(dict.fromkeys(lacked)),
        model=f"five minutes: {half_hourly.model}",
    )


def spread(forecast: Forecast, values: FloatArray) -> FloatArray:
    """Return half-hourly ``values`` of a forecast by five minutes from its issue, by (33)."""
    slope = np.gradient(values) if len(values) > 1 else np.zeros(1)
    most = values * _A_HALF_HOUR / 2.5
    slope = np.clip(slope, -most, most)  # nothing falls below zero
    place = (np.arange(_A_HALF_HOUR) - (_A_HALF_HOUR - 1) / 2) / _A_HALF_HOUR
    fine = (values[:, None] + slope[:, None] * place).ravel()
    first = int((floor_to(forecast.issued_at, STEP_S) - forecast.start).total_seconds()) // STEP_S
    out = np.full(STEPS, fine[-1])
    part = fine[first : first + STEPS]
    out[: len(part)] = part
    return out


@dataclass(frozen=True, slots=True, eq=False)
class _Known:
    """What came by five minutes, and the step since the epoch of the first."""

    values: FloatArray
    first: int

    @classmethod
    def of(cls, series: pd.Series[float]) -> _Known:
        values: FloatArray = np.asarray(series, dtype=np.float64)
        if not len(values):
            return cls(values, 0)
        begin = pd.DatetimeIndex(series.index)[0].timestamp()
        return cls(values, round(begin) // STEP_S)

    def taken(self, first: int, count: int) -> FloatArray:
        """Return so many steps from ``first`` on, ``nan`` beyond the ends."""
        out = np.full(count, np.nan)
        low, high = max(first - self.first, 0), min(first - self.first + count, len(self.values))
        if high > low:
            out[low - first + self.first : high - first + self.first] = self.values[low:high]
        return out


def _path(forecast: Forecast, known: _Known, swing: float) -> _Path:
    """Return the band by five minutes before (34), and what came of it as far as known."""
    middle = spread(forecast, forecast.quantile(0.5))
    own = Z_90 * swing * np.sqrt(np.maximum(middle, 0.0))
    base = {0.5: middle}
    for level in (LEVELS[0], LEVELS[-1]):
        away = spread(forecast, forecast.quantile(level)) - middle
        base[level] = middle + np.sign(level - 0.5) * np.hypot(away, own)
    start = round(floor_to(forecast.issued_at, STEP_S).timestamp()) // STEP_S
    before = known.taken(start - LOOK_BACK_STEPS, LOOK_BACK_STEPS)
    seen = before[np.isfinite(before)]
    off = float(seen.mean()) - float(middle[0]) if seen.size else float("nan")
    return _Path(base, off, known.taken(start, STEPS))


def _swing(known: pd.Series[float]) -> float:
    """Return how five minutes swing within a half-hour, over the root of the load [W^0.5]."""
    values = known.dropna()
    if len(values) < 12 * _A_HALF_HOUR:
        return _SWING
    mean = values.groupby(pd.DatetimeIndex(values.index).floor("30min")).transform("mean")
    away = (values - mean).to_numpy(dtype=np.float64)
    scaled = away / np.sqrt(np.maximum(mean.to_numpy(dtype=np.float64), 1.0))
    return float(np.sqrt(np.mean(scaled**2) * _A_HALF_HOUR / (_A_HALF_HOUR - 1)))


def _fading(paths: Sequence[_Path]) -> FloatArray:
    """Return c of (34), shape (STEPS,)."""
    typical = float(np.mean([one.off**2 for one in paths])) if paths else 1.0
    out = np.empty(STEPS)
    for (first, last), usual in zip(_GROUPS, _FADING, strict=True):
        top, bottom = _PRIOR_ISSUES * typical * usual, _PRIOR_ISSUES * typical
        for one in paths:
            away = (one.came - one.base[0.5])[first:last]
            if np.isfinite(away).any():
                top += one.off * float(np.nanmean(away))
                bottom += one.off**2
        out[first:last] = np.clip(top / max(bottom, 1e-9), 0.0, 1.0)
    return out


def _factors(paths: Sequence[_Path], fading: FloatArray) -> tuple[FloatArray, FloatArray]:
    """Return f of (35) below and above the median, each of shape (STEPS,)."""
    low, high = np.ones(STEPS), np.ones(STEPS)
    if not paths:
        return low, high
    came = np.stack([one.came for one in paths])
    middle = np.stack([one.base[0.5] + fading * one.off for one in paths])
    for factors, level in ((low, 0.1), (high, 0.9)):
        width = np.stack([np.abs(one.base[level] - one.base[0.5]) for one in paths])
        away = np.sign(level - 0.5) * (came - middle) / np.maximum(width, 1e-9)
        for first, last in _GROUPS:
            told = away[:, first:last]
            told = told[np.isfinite(told)]
            if told.size:
                factors[first:last] = np.clip(np.quantile(told, 0.9), 0.3, 3.0)
    return low, high
