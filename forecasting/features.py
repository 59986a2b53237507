"""What models are told about a half-hour to come: a pure function of what was known at its issue.

Everything follows the clock on the wall. With ``p`` the local half-hour to be forecast and
``m`` the whole days after which the same local half-hour was last known, an *occurrence*
``b = 0, 1, ...`` is the value at ``p - 48 (m + b)``. Values are divided by the series' own
*scale*, its mean over the last 28 days, so that one model serves homes of any size.
"""

from __future__ import annotations

from dataclasses import dataclass, field

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from ems.domain.forecasts import FloatArray
from ems.domain.time import HALF_HOUR_S
from forecasting.calendar import SLOTS, Calendar, weekdays
from forecasting.interface import epoch_s

DAYS = 57
"""Occurrences looked back."""
SCALE_DAYS = 28
LEAST_SCALE_W = 10.0
"""Series below this mean are divided by it: an empty home has no pattern to scale [W]."""
_BACK_SLOTS = (DAYS + 4) * SLOTS
_CHUNK = 128
"""Series worked on at once, to bound memory."""
_LIKENESS = np.array(
    [  # how much a day of a column's kind tells about one of a row's kind
        [1.0, 0.25, 0.2, 0.2],
        [0.3, 1.0, 0.6, 0.6],
        [0.2, 0.6, 1.0, 1.0],
        [0.2, 0.6, 1.0, 1.0],
    ]
)
_HALF_LIVES = (3.0, 10.0, 40.0)
_LONG_LEVELS = (0.1, 0.25, 0.5, 0.75, 0.9)
_SHORT_LEVELS = (0.1, 0.5, 0.9)
_HABIT_LEVELS = (0.1, 0.5, 0.9)

OWN = (
    "last", "last_2", "last_3", "week", "fortnight",
    "near_last", "near_last_2", "near_week", "wide_last", "wide_week",
    "ew_3", "ew_10", "ew_40", "ew_kind", "ew_weekday",
    "q10", "q25", "q50", "q75", "q90", "r10", "r50", "r90", "h10", "h50", "h90",
    "day", "day_2", "day_week", "days_3", "two_hours", "quietest", "evening", "spread",
    "now_1", "now_2", "now_4", "now_8", "now_last",
)  # fmt: skip
"""Features in units of the series' scale, in order."""
SHARED = (
    "lead", "gap", "slot", "weekday", "kind", "kind_before", "season",
    "outdoor_c", "outdoor_24h_c", "outdoor_change_k", "outdoor_day_change_k", "humidity",
)  # fmt: skip
"""Features that all series share, in order."""
NAMES = (*OWN, "log_scale", *SHARED)
"""All features, in order of the last axis."""
COLUMN = {name: at for at, name in enumerate(NAMES)}
FeatureArray = NDArray[np.float32]


@dataclass(frozen=True, slots=True, eq=False)
class Known:
    """Series and weather as far as they are known, laid out in local half-hours.

    Attributes
    ----------
    local
        Values by series and local half-hour, shape (S, L) [W]; ``nan`` gaps.
    first
        Local half-hour since 1970-01-01 of the first column.
    local_of
        Local half-hour since 1970-01-01 of each UTC half-hour of ``utc``, rising.
    utc
        Start of each row that came in, half-hours since the epoch (UTC).
    outdoor_c, humidity
        Weather by UTC half-hour of ``utc`` and beyond, or empty.
    weather_first
        UTC half-hour of the first value of the weather.
    """

    local: FloatArray = field(repr=False)
    first: int
    outdoor_c: FloatArray = field(repr=False)
    humidity: FloatArray = field(repr=False)
    weather_first: int


def lay_out(values: pd.DataFrame, calendar: Calendar, weather: pd.DataFrame | None = None) -> Known:
    """Return series laid out by local half-hours.

    Parameters
    ----------
    values
        Regular half-hours (UTC), one column a series [W].
    calendar
        Local time.
    weather
        Regular half-hours (UTC), column ``outdoor_c`` and perhaps ``humidity``, of the past and
        of the time to come as far as it is forecast.

    Notes
    -----
    Of a local half-hour that comes twice the later stands; one that does not exist is a gap.
    """
    index = pd.DatetimeIndex(values.index)
    times = calendar.locate(index)
    at = times.day * SLOTS + times.slot
    first = int(at[0]) if len(at) else 0
    local = np.full((values.shape[1], int(at.max()) - first + 1 if len(at) else 0), np.nan)
    local[:, at - first] = values.to_numpy(dtype=np.float64).T
    empty = np.empty(0)
    if weather is None or not len(weather):
        return Known(local, first, empty, empty, 0)
    outdoor = weather["outdoor_c"].to_numpy(dtype=np.float64)
    humidity = (
        weather["humidity"].to_numpy(dtype=np.float64)
        if "humidity" in weather
        else np.full(len(outdoor), np.nan)
    )
    begin = int(epoch_s(pd.DatetimeIndex(weather.index[:1]))[0]) // HALF_HOUR_S
    return Known(local, first, outdoor, humidity, begin)


def features(
    known: Known, targets: pd.DatetimeIndex, calendar: Calendar
) -> tuple[FeatureArray, FloatArray]:
    """Return features and scales of all series for the half-hours from ``targets[0]`` on.

    Parameters
    ----------
    known
        Anything; values and weather at or after the first target are looked at only for the
        weather of the targets, never for the series.
    targets
        Consecutive half-hours (UTC), K of them.
    calendar
        Local time and holidays.

    Returns
    -------
    Features of shape (S, K, `NAMES`), ``nan`` where unknown, and scales of shape (S,) [W],
    ``nan`` where nothing was known.
    """
    times = calendar.locate(targets)
    target = times.day * SLOTS + times.slot
    now = int(target[0])  # first local half-hour that is not known
    # At a clock change backwards, the half-hours before may share local time with later ones.
    window = _window(known, now)
    count = window.shape[0]
    out = np.full((count, len(targets), len(NAMES)), np.nan, dtype=np.float32)
    shared = _shared(known, targets, calendar, now)
    scale = np.full(count, np.nan)
    for start in range(0, count, _CHUNK):
        part = slice(start, start + _CHUNK)
        own, scale[part] = _own(window[part], target, now, calendar)
        out[part, :, : len(OWN)] = own
    out[:, :, len(OWN)] = np.log(np.maximum(scale, LEAST_SCALE_W))[:, None]
    out[:, :, len(OWN) + 1 :] = shared
    return out, scale


def _window(known: Known, now: int) -> FloatArray:
    """Return the last `_BACK_SLOTS` local half-hours before ``now``, ``nan`` where absent."""
    window = np.full((known.local.shape[0], _BACK_SLOTS), np.nan)
    end = now - known.first
    low, high = max(end - _BACK_SLOTS, 0), min(end, known.local.shape[1])
    if high > low:
        at = _BACK_SLOTS - (end - low)
        window[:, at : at + high - low] = known.local[:, low:high]
    return window


def _own(
    window: FloatArray, target: NDArray[np.int64], now: int, calendar: Calendar
) -> tuple[FloatArray, FloatArray]:
    """Return the features of some series in units of their scale, and the scales."""
    recent = window[:, -SCALE_DAYS * SLOTS :]
    scale = _mean(recent, axis=1)
    with np.errstate(invalid="ignore"):
        z = window / np.maximum(scale, LEAST_SCALE_W)[:, None]
    gap = (target - now) // SLOTS + 1
    ago = gap[None, :] + np.arange(DAYS)[:, None]  # days back, (DAYS, K)
    # Three more half-hours on either side; what would lie at or after now is nan.
    padded = np.concatenate([z, np.full((z.shape[0], 4), np.nan)], axis=1)
    place = (target[None, :] - SLOTS * ago) - now + _BACK_SLOTS
    offsets = np.arange(-3, 4)
    spots = np.clip(place[:, :, None] + offsets, 0, _BACK_SLOTS)
    seen = padded[:, spots]  # (S, DAYS, K, 7)
    exact = seen[..., 3]
    near = seen[..., 2:5]
    day = target // SLOTS
    days = day[None, :] - ago
    kinds, kind = calendar.kinds(days), calendar.kinds(day)
    same_weekday = weekdays(days) == weekdays(day)[None, :]
    week = np.clip(7 - gap, 0, None)
    each = np.arange(len(target))
    columns = [
        exact[:, 0],
        exact[:, 1],
        exact[:, 2],
        exact[:, week, each],
        exact[:, week + 7, each],
    ]
    columns += [_mean(near[:, 0], -1), _mean(near[:, 1], -1), _mean(near[:, week, each], -1)]
    columns += [_mean(seen[:, 0], -1), _mean(seen[:, week, each], -1)]
    back = np.arange(DAYS)[:, None]
    for half_life in _HALF_LIVES:
        columns.append(_weighted_mean(exact, 0.5 ** (back / half_life)))
    columns.append(_weighted_mean(exact, _fading(kinds == kind[None, :], 3.0)))
    columns.append(_weighted_mean(exact, _fading(same_weekday, 2.0)))
    columns += list(_quantiles(near[:, :SCALE_DAYS], _LONG_LEVELS))
    columns += list(_quantiles(near[:, :8], _SHORT_LEVELS))
    weight = 0.5 ** (ago / 8.0) * _LIKENESS[kind[None, :], kinds] * (1.0 + 0.5 * same_weekday)
    columns += list(_habit(near, weight))
    columns += _levels_of_days(z, len(target))
    columns += _present(z, columns[OWN.index("ew_10")], target, now)
    return np.stack(np.broadcast_arrays(*columns), axis=-1), scale


def _levels_of_days(z: FloatArray, count: int) -> list[FloatArray]:
    """Return how high the last days were, the same for each of ``count`` steps."""
    days = z[:, -8 * SLOTS :].reshape(z.shape[0], 8, SLOTS)
    mean = _mean(days, axis=2)
    long = z[:, -SCALE_DAYS * SLOTS :].reshape(z.shape[0], SCALE_DAYS, SLOTS)
    centred = long - _mean(long, axis=2)[:, :, None]
    spread = np.sqrt(_mean(_mean(centred**2, axis=2), axis=1))
    ordered = np.sort(days[:, -1], axis=1)  # nan last
    levels = [
        mean[:, -1],
        mean[:, -2],
        mean[:, -7],
        _mean(mean[:, -3:], axis=1),
        _mean(z[:, -4:], axis=1),
        ordered[:, 2],
        _mean(ordered[:, 36:], axis=1),
        spread,
    ]
    return [np.broadcast_to(level[:, None], (z.shape[0], count)) for level in levels]


def _present(
    z: FloatArray, habit: FloatArray, target: NDArray[np.int64], now: int
) -> list[FloatArray]:
    """Return how far the last half-hours lay above the mean of the last days at their hours."""
    back = np.arange(1, 9)
    places = _BACK_SLOTS - back[None, :] - SLOTS * np.arange(1, 15)[:, None]
    usual = _weighted_mean(z[:, places], 0.5 ** (np.arange(14)[:, None] / 5.0))
    rest = z[:, _BACK_SLOTS - back] - usual  # (S, 8), latest first
    del habit, now
    columns = [_mean(rest[:, :many], axis=1) for many in (1, 2, 4, 8)] + [z[:, -1]]
    return [np.broadcast_to(one[:, None], (z.shape[0], len(target))) for one in columns]


def _shared(known: Known, targets: pd.DatetimeIndex, calendar: Calendar, now: int) -> FloatArray:
    """Return the features that all series share, shape (K, `SHARED`)."""
    times = calendar.locate(targets)
    day, slot = times.day, times.slot
    target = day * SLOTS + slot
    turn = 2.0 * np.pi * ((day - 172) % 365.2425) / 365.2425
    utc = epoch_s(targets) // HALF_HOUR_S
    outdoor = _weather(known.outdoor_c, known.weather_first, utc)
    back = utc[:, None] - np.arange(SLOTS)
    day_mean = _mean(_weather(known.outdoor_c, known.weather_first, back), axis=1)
    gap = (target - now) // SLOTS + 1
    before = _weather(known.outdoor_c, known.weather_first, utc - SLOTS * gap)
    week = _weather(known.outdoor_c, known.weather_first, utc[0] - 1 - np.arange(7 * SLOTS))
    week_mean = float(_mean(week, axis=0))
    columns = [
        (utc - utc[0] + 1).astype(np.float64),
        gap.astype(np.float64),
        slot.astype(np.float64),
        weekdays(day).astype(np.float64),
        calendar.kinds(day).astype(np.float64),
        calendar.kinds(day - 1).astype(np.float64),
        np.cos(turn),
        outdoor,
        day_mean,
        outdoor - before,
        day_mean - week_mean,
        _weather(known.humidity, known.weather_first, utc),
    ]
    return np.stack(columns, axis=-1)


def _weather(values: FloatArray, first: int, at: NDArray[np.int64]) -> FloatArray:
    """Return weather at UTC half-hours, ``nan`` where there is none."""
    place = at - first
    inside = (place >= 0) & (place < len(values))
    if not len(values):
        return np.full(at.shape, np.nan)
    return np.where(inside, values[np.clip(place, 0, len(values) - 1)], np.nan)


def _mean(values: FloatArray, axis: int) -> FloatArray:
    """Return the mean of what is there, ``nan`` where nothing is."""
    good = np.isfinite(values)
    total = np.where(good, values, 0.0).sum(axis=axis)
    count = good.sum(axis=axis)
    return np.asarray(np.where(count > 0, total / np.maximum(count, 1), np.nan))


def _weighted_mean(values: FloatArray, weight: FloatArray) -> FloatArray:
    """Return the weighted mean over axis 1 of (S, B, K) of what is there."""
    good = np.isfinite(values)
    w = np.where(good, weight[None], 0.0)
    total = w.sum(axis=1)
    mean = (np.where(good, values, 0.0) * w).sum(axis=1) / np.maximum(total, 1e-12)
    return np.where(total > 1e-6, mean, np.nan)


def _fading(chosen: NDArray[np.bool_], half_life: float) -> FloatArray:
    """Return weights over axis 0 that halve after so many chosen days; others weigh nothing."""
    order = np.cumsum(chosen, axis=0) - 1
    return np.where(chosen, 0.5 ** (order / half_life), 0.0)


def _quantiles(near: FloatArray, levels: tuple[float, ...]) -> FloatArray:
    """Return quantiles over days and neighbours of (S, B, K, o), shape (levels, S, K)."""
    count, days, steps, offsets = near.shape
    flat = near.transpose(0, 2, 1, 3).reshape(count, steps, days * offsets)
    ordered = np.sort(flat, axis=-1)  # nan last
    held = np.isfinite(flat).sum(axis=-1)
    out = np.empty((len(levels), count, steps))
    for row, level in enumerate(levels):
        place = level * np.maximum(held - 1, 0)
        low = np.floor(place).astype(np.int64)
        high = np.minimum(low + 1, np.maximum(held - 1, 0))
        a = np.take_along_axis(ordered, low[..., None], -1)[..., 0]
        b = np.take_along_axis(ordered, high[..., None], -1)[..., 0]
        out[row] = a + (b - a) * (place - low)
    return out


def _habit(near: FloatArray, weight: FloatArray) -> FloatArray:
    """Return weighted quantiles over days and neighbours, shape (levels, S, K)."""
    count, days, steps, offsets = near.shape
    sample = near.transpose(0, 2, 1, 3).reshape(count, steps, days * offsets)
    shares = np.array([0.5, 1.0, 0.5])
    w = (weight.T[:, :, None] * shares).reshape(steps, days * offsets)
    good = np.isfinite(sample)
    order = np.argsort(sample, axis=-1)
    ranked = np.take_along_axis(sample, order, axis=-1)
    reached = np.cumsum(np.take_along_axis(np.where(good, w[None], 0.0), order, axis=-1), axis=-1)
    total = reached[..., -1:]
    out = np.empty((len(_HABIT_LEVELS), count, steps))
    for row, level in enumerate(_HABIT_LEVELS):
        first = np.argmax(reached >= level * total - 1e-12, axis=-1)
        out[row] = np.take_along_axis(ranked, first[..., None], axis=-1)[..., 0]
    return np.where(total[None, ..., 0] > 0, out, np.nan)
