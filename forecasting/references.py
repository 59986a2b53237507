"""References that a model has to beat, and sums of them over groups of homes."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import datetime
from typing import Self

import numpy as np
import pandas as pd

from ems.domain.forecasts import FloatArray, Forecast
from forecasting.block import summed_history
from forecasting.calendar import Calendar
from forecasting.interface import Horizon, SeriesModel
from forecasting.load import load_model

Members = Mapping[str, Sequence[str]]
"""Group → its homes."""


class SummedModel:
    """A model of one series, put to the sum of each group's homes.

    Parameters
    ----------
    inner
        Forecasts the sums, one column a group.
    members
        Group → homes, columns of the frames that come in.
    """

    def __init__(self, inner: SeriesModel, members: Members) -> None:
        self._inner = inner
        self._members = members

    @property
    def name(self) -> str:
        """The inner model's name."""
        return f"sum: {self._inner.name}"

    def fit(
        self, history: pd.DataFrame, until: datetime, observed: pd.DataFrame | None = None
    ) -> Self:
        """Fit the inner model to the sums."""
        self._inner.fit(self._sums(history), until, observed)
        return self

    def update(
        self, recent: pd.DataFrame, until: datetime, observed: pd.DataFrame | None = None
    ) -> Self:
        """Give the inner model the newest sums."""
        self._inner.update(self._sums(recent), until, observed)
        return self

    def predict(
        self, horizon: Horizon, weather: Mapping[str, Forecast] | None = None
    ) -> list[Forecast]:
        """Return one forecast a group."""
        return self._inner.predict(horizon, weather)

    def _sums(self, homes: pd.DataFrame) -> pd.DataFrame:
        return group_sums(homes, self._members)


def group_sums(homes: pd.DataFrame, members: Members) -> pd.DataFrame:
    """Return the sums over groups; a home missing for a while is stood in for by the others."""
    sums = [summed_history(homes[list(of)], name) for name, of in members.items()]
    return pd.concat(sums, axis=1) if sums else pd.DataFrame(index=homes.index)


def empirical_models(
    calendar: Calendar, members: Mapping[str, Mapping[str, Sequence[str]]]
) -> dict[str, SeriesModel]:
    """Return scale → the weighted empirical distribution, of homes and of sums."""
    return {
        scale: load_model(calendar)
        if scale == "home"
        else SummedModel(load_model(calendar), subjects)
        for scale, subjects in members.items()
    }


def hourly_mean(frame: pd.DataFrame, hours: Sequence[int]) -> FloatArray:
    """Return the mean room by hour of day (UTC) at these hours [°C]: a model to compare with."""
    index = pd.DatetimeIndex(frame.index)
    means = frame["room_c"].groupby(index.hour).mean()
    return np.array([float(means.get(hour, frame["room_c"].mean())) for hour in hours])
