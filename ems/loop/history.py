"""From whatever frame a caller has to regular half-hours that end now."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime, timedelta

import numpy as np
import pandas as pd

from ems.domain.errors import InvalidInputError
from ems.domain.forecasts import FloatArray
from ems.domain.time import require_utc

STEP_S = 1800.0
KEPT_D = 42
"""Older readings are left out [days]."""
COLUMNS = ("room_c", "outdoor_c", "power_w")
OPTIONAL = ("heat_w", "sun_w_m2", "occupancy", "pv_w", "base_w", "soc")
RANGES = {
    "room_c": (-10.0, 50.0),
    "outdoor_c": (-40.0, 50.0),
    "power_w": (-100.0, 100_000.0),
    "heat_w": (-20_000.0, 200_000.0),
    "sun_w_m2": (-20.0, 1500.0),
    "pv_w": (-100.0, 200_000.0),
    "base_w": (-50_000.0, 100_000.0),
    "soc": (0.0, 1.0),
}
"""Values outside are faults of a sensor and are left out."""
LONGEST_STEP_S = 3600.0


@dataclass(frozen=True, slots=True, eq=False)
class Readings:
    """Readings until now.

    Attributes
    ----------
    raw
        Mended rows, oldest first.
    grid
        Half-hours that end now: ``room_c`` at the start, the rest as means; ``nan`` gaps.
    room_c, room_at
        The newest room reading [°C] and when; ``None`` where there is none.
    step_s
        Usual distance of rows [s].
    notes
        What was mended.
    noise_k
        Standard deviation of a room reading, as far as its steps tell [K].
    """

    raw: pd.DataFrame
    grid: pd.DataFrame
    room_c: float | None
    room_at: datetime | None
    step_s: float
    notes: tuple[str, ...]
    noise_k: float

    def newest(self, column: str, now: datetime, within_s: float) -> float | None:
        """Return a column's newest value if it is fresh."""
        if column not in self.raw.columns:
            return None
        known = self.raw[column].dropna()
        if known.empty or (now - known.index[-1].to_pydatetime()).total_seconds() > within_s:
            return None
        return float(known.iloc[-1])


def read(history: pd.DataFrame, now: datetime) -> Readings:
    """Return a mended history.

    ``room_c`` and ``outdoor_c`` are as of a row's time; powers are means since the row before.
    Rows may be unsorted or doubled (the last stands) and later than ``now`` (left out), each
    with a note; values outside any sensible range are taken for missing.

    Raises
    ------
    InvalidInputError
        Where the index is not UTC time or a column is missing from a frame with rows.
    """
    require_utc(now, "now")
    frame = _checked(history)
    notes = []
    if not frame.index.is_monotonic_increasing:
        frame = frame.sort_index(kind="stable")
        notes.append("history: rows were not in order of time; sorted")
    if frame.index.has_duplicates:
        frame = frame[~frame.index.duplicated(keep="last")]
        notes.append("history: rows with the same time; the last of them stands")
    if len(frame) and frame.index[-1] > now:
        frame = frame[frame.index <= now]
        notes.append("history: rows later than now were left out")
    frame = frame[frame.index >= now - timedelta(days=KEPT_D)].copy()
    for name, (low, high) in RANGES.items():
        if name in frame.columns:
            wrong = (frame[name] < low) | (frame[name] > high) | np.isinf(frame[name])
            if wrong.any():
                frame.loc[wrong, name] = np.nan
                notes.append(f"history: {int(wrong.sum())} impossible values of {name} left out")
    seconds = _seconds(frame)
    step_s = float(np.median(np.diff(seconds))) if len(seconds) > 1 else STEP_S
    room = frame["room_c"].dropna() if len(frame) else pd.Series(dtype=float)
    return Readings(
        raw=frame,
        grid=_grid(frame, now, step_s),
        room_c=float(room.iloc[-1]) if len(room) else None,
        room_at=room.index[-1].to_pydatetime() if len(room) else None,
        step_s=step_s,
        notes=tuple(notes),
        noise_k=_noise_k(room.to_numpy(dtype=float)),
    )


def _noise_k(room_c: FloatArray) -> float:
    """Return a reading's error: a smallest one, and that of rounding to the steps seen."""
    moves = np.abs(np.diff(room_c[-500:]))
    moves = moves[moves > 1e-6]
    step_k = float(np.quantile(moves, 0.05)) if moves.size >= 5 else 0.0
    return float(np.hypot(0.06, min(step_k, 1.0) / np.sqrt(12.0)))


def _checked(history: pd.DataFrame) -> pd.DataFrame:
    if history.empty:
        return pd.DataFrame(
            {name: pd.Series(dtype=float) for name in COLUMNS},
            index=pd.DatetimeIndex([], tz="UTC"),
        )
    index = history.index
    if not isinstance(index, pd.DatetimeIndex) or index.tz is None:
        raise InvalidInputError(
            "the index must be instants with a time zone",
            field="history",
            value=str(index.dtype),
            remedy="Give a DatetimeIndex in UTC, for instance with pd.to_datetime(..., utc=True).",
        )
    missing = [name for name in COLUMNS if name not in history.columns]
    if missing:
        raise InvalidInputError(
            "columns are missing",
            field="history",
            value=missing,
            remedy=f"Give {', '.join(COLUMNS)}, with nan where a value is unknown.",
        )
    names = [name for name in (*COLUMNS, *OPTIONAL) if name in history.columns]
    frame = history[names].tz_convert("UTC")
    numbers: pd.DataFrame = frame.apply(pd.to_numeric, errors="coerce").astype(float)
    return numbers


def _seconds(frame: pd.DataFrame) -> FloatArray:
    index = pd.DatetimeIndex(frame.index).as_unit("ns")
    return np.asarray(index.asi8 / 1e9, dtype=np.float64)


def _grid(frame: pd.DataFrame, now: datetime, step_s: float) -> pd.DataFrame:
    seconds = _seconds(frame)
    end = now.timestamp()
    count = int((end - seconds[0]) // STEP_S) if len(seconds) else 0
    edges = np.asarray(end - STEP_S * np.arange(count, -1, -1), dtype=np.float64)
    index = pd.to_datetime(edges[:-1], unit="s", utc=True)
    gap_s = max(2.5 * step_s, 5400.0)
    columns = {}
    for name in ("room_c", "outdoor_c", "power_w", "heat_w", "sun_w_m2"):
        values = frame[name].to_numpy() if name in frame.columns else np.full(len(seconds), np.nan)
        known = np.isfinite(values)
        at, value = seconds[known], values[known]
        if name == "room_c":
            columns[name] = _points(at, value, edges[:-1], gap_s)
        else:
            columns[name] = _means(at, value, edges, gap_s)
    return pd.DataFrame(columns, index=index)


def _points(at: FloatArray, value: FloatArray, edges: FloatArray, gap_s: float) -> FloatArray:
    """Return values at the edges by straight lines; ``nan`` across gaps."""
    if at.size < 2 or not edges.size:
        return np.full(edges.size, np.nan)
    result = np.interp(edges, at, value, left=np.nan, right=np.nan)
    after = np.clip(np.searchsorted(at, edges), 1, at.size - 1)
    result[at[after] - at[after - 1] > gap_s] = np.nan
    return np.asarray(result)


def _means(at: FloatArray, value: FloatArray, edges: FloatArray, gap_s: float) -> FloatArray:
    """Return means between edges of values that hold since the row before; ``nan`` in gaps."""
    if at.size < 2 or edges.size < 2:
        return np.full(max(edges.size - 1, 0), np.nan)
    span = np.diff(at)
    held = np.minimum(span, gap_s)
    total = np.concatenate([[0.0], np.cumsum(np.where(span <= gap_s, value[1:] * span, 0.0))])
    known = np.concatenate([[0.0], np.cumsum(np.where(span <= gap_s, held, 0.0))])
    inside = np.clip(edges, at[0], at[-1])
    amount = np.diff(np.interp(inside, at, total))
    seconds = np.diff(np.interp(inside, at, known))
    enough = seconds > 0.5 * STEP_S
    return np.where(enough, amount / np.where(enough, seconds, 1.0), np.nan)
