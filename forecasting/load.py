"""Household load: everything a home uses but its heat pump [W]."""

from __future__ import annotations

from dataclasses import replace

import numpy as np

from forecasting.calendar import Calendar
from forecasting.empirical import EmpiricalModel, Settings

TYPICAL_DAILY_KWH = 8.0
"""Stands in before the first reading; about a medium home's yearly use over 365."""

TYPICAL_COMMUNAL_W_PER_HOME = 25.0
"""Communal load before the first reading [W per home]."""

_NIGHT = (0.55, 0.5, 0.45, 0.45, 0.45, 0.55)
_MORNING = (0.8, 1.0, 1.0, 0.95, 0.9, 0.95)
_AFTERNOON = (1.0, 0.95, 0.9, 1.0, 1.3, 1.7)
_EVENING = (1.8, 1.7, 1.6, 1.5, 1.15, 0.8)
_SHAPE = np.repeat((*_NIGHT, *_MORNING, *_AFTERNOON, *_EVENING), 2)

LOAD = Settings(
    target="load_w",
    name="weighted empirical, local half-hours",
    typical_w=np.asarray(_SHAPE / _SHAPE.mean() * TYPICAL_DAILY_KWH * 1000 / 24),
    typical_spread=(0.4, 0.65, 0.9, 1.2, 1.85),
    shift=(0.1, 0.5, 0.6, 0.5),
    shift_fade=0.8,
    widened=1.5,
    one_level=True,
)
"""Settings of household load."""


def load_model(calendar: Calendar) -> EmpiricalModel:
    """Return the model of household load; columns are dwelling ids, values mean W."""
    return EmpiricalModel(LOAD, calendar)


def communal_model(calendar: Calendar, homes: int) -> EmpiricalModel:
    """Return the model of a block's communal load (lighting, lift, pumps).

    The column is the block's id; ``homes`` sizes what stands in before data. A lift's ride
    does not foretell the next, so nothing is shifted by the latest residual.
    """
    typical = np.full(48, TYPICAL_COMMUNAL_W_PER_HOME * homes)
    settings = replace(LOAD, target="communal_w", typical_w=typical, shift=(0.0, 0.0, 0.0, 0.0))
    return EmpiricalModel(settings, calendar)
