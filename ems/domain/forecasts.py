"""Forecasts: quantiles over regular steps, made from what was known at one instant."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any

import numpy as np
from numpy.typing import NDArray

FloatArray = NDArray[np.float64]


@dataclass(frozen=True, slots=True, eq=False)
class Forecast:
    """One quantity of one subject over the coming steps.

    Attributes
    ----------
    target
        ``load_w``, ``pv_w`` (generation, positive here), ``communal_w``, ``outdoor_c``,
        ``irradiance_w_m2``, ``hot_water_w`` or ``free_heat_w``.
    subject
        Dwelling, block or estate id.
    issued_at
        Only data available then was used, estate time, UTC.
    start, step_s
        First step and their length [s].
    mean
        Expected value of each step, shape (steps,), in the unit the target names.
    quantiles
        Level (0 to 1) → values, each shape (steps,), rising with the level.
    lacked
        Inputs that were missing, in words; empty where all were there.
    model
        Which model made it.
    """

    target: str
    subject: str
    issued_at: datetime
    start: datetime
    step_s: int
    mean: FloatArray = field(repr=False)
    quantiles: Mapping[float, FloatArray] = field(repr=False)
    lacked: tuple[str, ...] = ()
    model: str = ""

    def quantile(self, level: float) -> Any:
        """Return the values at ``level``; `KeyError` where it was not forecast."""
        return self.quantiles[level]
