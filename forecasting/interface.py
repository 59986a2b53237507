"""The one interface of all series models, and the checks that keep the future out.

A half-hour is known at ``issued_at`` when it has ended by then: its start plus thirty
minutes is at or before ``issued_at``. `known_before` is the only door through which
data enters a model.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Protocol, Self

import numpy as np
import pandas as pd

from ems.domain.errors import InvalidInputError
from ems.domain.forecasts import FloatArray, Forecast
from ems.domain.time import HALF_HOUR, HALF_HOUR_S, floor_to, require_utc

LEVELS = (0.1, 0.5, 0.9)
"""Quantile levels of every forecast."""
Z_90 = 1.2815515655446004
"""Standard normal quantile at 0.9 [-]."""


@dataclass(frozen=True, slots=True)
class Horizon:
    """Which half-hours to forecast, and what may be known.

    Attributes
    ----------
    issued_at
        Only half-hours that ended by then may be used, UTC.
    start
        Start of the first half-hour forecast, on the half-hour grid, UTC.
    steps
        Number of half-hours.
    """

    issued_at: datetime
    start: datetime
    steps: int

    def __post_init__(self) -> None:
        require_utc(self.issued_at, "issued_at")
        require_utc(self.start, "start")
        if floor_to(self.start) != self.start:
            raise InvalidInputError(
                "a forecast starts on a half-hour",
                field="start",
                value=self.start.isoformat(),
                remedy="Use ems.domain.time.floor_to(issued_at).",
            )
        if self.steps < 1:
            raise InvalidInputError(
                "a forecast needs at least one step",
                field="steps",
                value=self.steps,
                remedy="Use 48 for a day of half-hours.",
            )
        if self.start < floor_to(self.issued_at):
            raise InvalidInputError(
                "a forecast does not start in the past",
                field="start",
                value=self.start.isoformat(),
                remedy="Start at the half-hour that holds issued_at or later.",
            )

    @classmethod
    def following(cls, issued_at: datetime, steps: int) -> Horizon:
        """Return ``steps`` half-hours from the one that holds ``issued_at``."""
        return cls(issued_at, floor_to(issued_at), steps)

    @property
    def index(self) -> pd.DatetimeIndex:
        """Starts of the half-hours, UTC, shape (steps,)."""
        return pd.date_range(self.start, periods=self.steps, freq=HALF_HOUR)


class SeriesModel(Protocol):
    """Anything that learns from half-hours of some subjects and forecasts them.

    Frames have one column per subject, in the unit of the target, on a regular grid of
    half-hours (UTC); missing values are ``nan`` and never filled. ``until`` is the
    instant whose knowledge the frame holds: later half-hours are cut off.
    """

    @property
    def name(self) -> str:
        """What goes into `Forecast.model`."""
        ...

    def fit(
        self, history: pd.DataFrame, until: datetime, observed: pd.DataFrame | None = None
    ) -> Self:
        """Learn from scratch (nightly), and return the model itself.

        ``observed`` is weather seen, on the same kind of grid; a model that does not look
        at it ignores it.
        """
        ...

    def update(
        self, recent: pd.DataFrame, until: datetime, observed: pd.DataFrame | None = None
    ) -> Self:
        """Take in the newest half-hours without learning anew, and return the model itself."""
        ...

    def predict(
        self, horizon: Horizon, weather: Mapping[str, Forecast] | None = None
    ) -> list[Forecast]:
        """Return one forecast per subject, in order of the columns.

        ``weather`` holds forecasts by target; a model that does not look at it ignores it.

        Raises
        ------
        InvalidInputError
            Where the model has seen data later than ``horizon.issued_at``.
        """
        ...


def check_frame(frame: pd.DataFrame, field: str) -> pd.DataFrame:
    """Return ``frame`` if its index is a regular UTC grid of half-hours, else raise.

    An empty frame passes. Infinite values are refused: they are a fault of the caller,
    not a gap.
    """
    index = frame.index
    if not isinstance(index, pd.DatetimeIndex) or str(index.tz) != "UTC":
        raise InvalidInputError(
            "a frame must be indexed by UTC instants",
            field=f"{field}.index",
            value=str(index.dtype),
            remedy="Use frame.tz_localize('UTC') or frame.tz_convert('UTC').",
        )
    if len(index):
        seconds = epoch_s(index)
        if np.any(np.diff(seconds) != HALF_HOUR_S) or seconds[0] % HALF_HOUR_S:
            raise InvalidInputError(
                "a frame must lie on a regular grid of half-hours, each once, rising",
                field=f"{field}.index",
                value=str(index[0]),
                remedy="Reindex to the half-hour grid; leave gaps as nan.",
            )
        try:
            values = frame.to_numpy(dtype=np.float64)
        except (TypeError, ValueError) as error:
            raise InvalidInputError(
                f"values must be numbers: {error}",
                field=field,
                value=", ".join(sorted({str(one) for one in frame.dtypes})),
                remedy="Use pandas.to_numeric(..., errors='coerce'); leave gaps as nan.",
            ) from error
        if np.isinf(values).any():
            raise InvalidInputError(
                "values must be finite or nan",
                field=field,
                value=float("inf"),
                remedy="Mark what is not known as nan.",
            )
    return frame


def epoch_s(index: pd.DatetimeIndex) -> np.ndarray[tuple[int], np.dtype[np.int64]]:
    """Return seconds since the epoch, shape of ``index``."""
    return np.asarray(index.as_unit("s").asi8, dtype=np.int64)


def known_before(frame: pd.DataFrame, until: datetime) -> pd.DataFrame:
    """Return the half-hours of ``frame`` that had ended at ``until``."""
    return frame.loc[frame.index <= pd.Timestamp(until) - HALF_HOUR]


def make_forecast(
    target: str,
    subject: str,
    horizon: Horizon,
    mean: FloatArray,
    quantiles: Mapping[float, FloatArray],
    *,
    lacked: Collection[str] = (),
    model: str,
) -> Forecast:
    """Return a forecast whose quantiles rise with their level.

    ``mean`` and each of ``quantiles`` have shape (steps,), in the target's unit.
    """
    levels = sorted(quantiles)
    rising = np.maximum.accumulate(np.stack([quantiles[level] for level in levels]), axis=0)
    return Forecast(
        target=target,
        subject=subject,
        issued_at=horizon.issued_at,
        start=horizon.start,
        step_s=HALF_HOUR_S,
        mean=np.array(mean, dtype=np.float64),
        quantiles={level: rising[row].copy() for row, level in enumerate(levels)},
        lacked=tuple(dict.fromkeys(lacked)),
        model=model,
    )
