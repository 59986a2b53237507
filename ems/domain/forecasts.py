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
        ``irradiance_w_m2``, ``hot_water_w``, ``free_heat_w``, ``load_5min_w`` (of blocks, four
        hours by five minutes) or ``heat_pump_w`` (heating under the home's own thermostat).
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


ISSUED = "issued"
"""Stands for whatever was issued, beside the candidates themselves."""


@dataclass(frozen=True, slots=True)
class Scored:
    """One candidate's forecast held against what came; sums over its scored half-hours.

    Attributes
    ----------
    target, subject, candidate, issued_at
        Which forecast, and by whom; `ISSUED` for what was issued.
    points
        Half-hours with an actual and a value a week or two before.
    error, naive_error
        Absolute error of the median, and of the value a week or two before [unit of the target].
    inside
        Points within P10 to P90.
    came, expected
        Actuals, and means forecast [unit of the target].
    loss
        Pinball loss, mean over the levels [unit of the target].
    """

    target: str
    subject: str
    candidate: str
    issued_at: datetime
    points: int
    error: float
    naive_error: float
    inside: int
    came: float
    expected: float
    loss: float


@dataclass(frozen=True, slots=True)
class Standing:
    """Whose forecast of one quantity is issued, and how that has gone lately.

    Attributes
    ----------
    target, subject
        Which quantity.
    candidate
        Whose forecast is issued where it can be made.
    since
        Since when, estate time, UTC.
    fell_back
        Whether it stands in for a better kind of model that did worse lately.
    points
        Half-hours that the figures below rest on; 0 where nothing was judged yet.
    ratio
        Error of the median to that of the value a week before [-].
    coverage
        Share of actuals within P10 to P90 [-].
    drifted, coverage_lost
        Whether either is out of bounds.
    """

    target: str
    subject: str
    candidate: str
    since: datetime
    fell_back: bool = False
    points: int = 0
    ratio: float = 0.0
    coverage: float = 0.0
    drifted: bool = False
    coverage_lost: bool = False


@dataclass(frozen=True, slots=True)
class Missed:
    """How far what came was beyond a forecast's mean, on the side that plans guard against.

    Attributes
    ----------
    target, subject
        Which forecast.
    beyond
        By half-hour, the nearest ones of the issue: load above its mean, warmth below it [unit
        of the target]; those that are not known are left out.
    spread
        How far the quantile that plans hold against was beyond the mean, for the same half-hours.
    """

    target: str
    subject: str
    beyond: tuple[float, ...]
    spread: tuple[float, ...]


@dataclass(frozen=True, slots=True)
class Tightening:
    """By what plans of a block multiply the spread of forecasts, learnt from how it did lately.

    Attributes
    ----------
    block_id
        Whose plans.
    load, cold
        Factors on the spread of the block's load upwards and of the outdoor temperature
        downwards [-]; 1 until enough half-hours are known.
    load_points, cold_points
        Half-hours that they rest on.
    """

    block_id: str
    load: float = 1.0
    cold: float = 1.0
    load_points: int = 0
    cold_points: int = 0


@dataclass(frozen=True, slots=True)
class ScoredIssue:
    """All that was issued at one instant, to be scored or scored.

    Attributes
    ----------
    issued_at
        Estate time, UTC.
    done
        Whether the time it speaks of has passed and it was scored.
    scores
        One a quantity and candidate; empty until then.
    missed
        Of what plans keep a margin for; empty until then.
    """

    issued_at: datetime
    done: bool = False
    scores: tuple[Scored, ...] = ()
    missed: tuple[Missed, ...] = ()
