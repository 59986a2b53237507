"""Electric power for hot water of each home [W].

Draws are few and large: most half-hours are zero, so the median is often zero and sums
must use the mean. A draw does not make the next more likely, so nothing is shifted by
the latest residual.
"""

from __future__ import annotations

import numpy as np

from forecasting.calendar import Calendar
from forecasting.empirical import EmpiricalModel, Settings

TYPICAL_DAILY_KWH = 1.6
"""Electricity for hot water a day before the first reading: 4 kWh of heat at a COP of 2.5."""

HOT_WATER = Settings(
    target="hot_water_w",
    name="weighted empirical, local half-hours, ±1 h",
    typical_w=np.full(48, TYPICAL_DAILY_KWH * 1000 / 24),
    typical_spread=(0.0, 0.0, 0.0, 0.0, 5.0),
    near=(1.0, 0.6, 0.3),
)
"""Settings of hot water."""


def hot_water_model(calendar: Calendar) -> EmpiricalModel:
    """Return the model of hot-water power; columns are dwelling ids, values mean W."""
    return EmpiricalModel(HOT_WATER, calendar)
