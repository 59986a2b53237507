"""How far a block's own use may differ from its plan: what a promise has to stand above.

A promise is a difference from what would have happened, and that is known from a plan only.
Plans made without an event are held against the meters afterwards:

    ``y = a + b p + r``

with ``p`` the planned power of all heat pumps in a half-hour [W] and ``y`` the measured one;
``a`` and ``b`` by least squares, ``b`` in [0, 1.5]. Quantiles of ``r`` at the stated
confidence say what heat pumps draw at least and at most. A battery is taken as planned, with
the same quantiles of measured less planned; half-hours in which it is to charge, to discharge
or to rest are held apart, for when it is full or empty is hard to foresee.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from ems.domain.forecasts import FloatArray

LEAST_PAIRS = 24
"""With fewer half-hours to learn from, the stand-ins below hold."""
UNKNOWN_PER_HOME_W = 120.0
"""Either way, for heat pumps [W a home]."""
UNKNOWN_BATTERY_SHARE = 0.15
"""Either way, of a working battery's power; a resting one has none."""
STEEPEST = 1.5
SHARED = 0.7
"""Of the heat pumps' doubt, so much is between two runs that differ by an event alone: they
come and go at other minutes, even where the event leaves them alone."""
LEAST_PER_HOME_W = 50.0
WORKS_W = 500.0
NEAR = 3
"""A battery that works within so many half-hours may work now."""


@dataclass(frozen=True, slots=True)
class Spread:
    """Measured less expected, at most so far below and above [W]; ``low <= 0 <= high``."""

    low_w: float
    high_w: float


@dataclass(frozen=True, slots=True)
class Doubt:
    """What is known of a block's plans.

    Attributes
    ----------
    offset_w, slope
        ``a`` and ``b`` for all heat pumps of the block.
    heating
        Of the heat pumps, around that line.
    resting, charging, discharging
        Of the battery, by what it is planned to do.
    pairs
        Half-hours that it was learnt from; 0 where stand-ins hold.
    """

    offset_w: float
    slope: float
    heating: Spread
    resting: Spread
    charging: Spread
    discharging: Spread
    pairs: int

    def heating_w(
        self, planned_w: FloatArray, share: float = 1.0
    ) -> tuple[FloatArray, FloatArray, FloatArray]:
        """Return the least, the expected and the greatest power of heat pumps [W].

        ``share`` is how many of the block's homes are in ``planned_w``.
        """
        middle = np.maximum(self.offset_w * share + self.slope * planned_w, 0.0)
        low = np.maximum(middle + self.heating.low_w * share, 0.0)
        return low, middle, middle + self.heating.high_w * share

    def between_runs_w(self, homes: int) -> float:
        """Return by how much homes may come and go otherwise because of an event [W]."""
        half = (self.heating.high_w - self.heating.low_w) / 2.0
        return max(SHARED * half, LEAST_PER_HOME_W * homes)

    def battery_w(self, planned_w: FloatArray) -> tuple[FloatArray, FloatArray]:
        """Return how far a battery may be below and above its plan [W], by half-hour."""
        found = {0: self.resting, 1: self.charging, -1: self.discharging}
        spreads = [found[int(one)] for one in doing(planned_w)]
        return (
            np.array([spread.low_w for spread in spreads]),
            np.array([spread.high_w for spread in spreads]),
        )


def doing(planned_w: FloatArray) -> npt.NDArray[np.int_]:
    """Return what a battery is planned to do in each half-hour: 1 charges, -1 discharges, 0 rests.

    A half-hour of rest soon before or after counts with what is near it.
    """
    planned = np.nan_to_num(planned_w)
    own = np.where(planned > WORKS_W, 1, np.where(planned < -WORKS_W, -1, 0))
    result = own.copy()
    for slot in np.flatnonzero(own == 0):
        for away in range(1, NEAR + 1):
            near = [own[other] for other in (slot - away, slot + away) if 0 <= other < own.size]
            if any(near):
                result[slot] = next(one for one in near if one)
                break
    return result


def learn(
    heating: Sequence[tuple[float, float]],
    battery: Sequence[tuple[float, float, int]],
    *,
    homes: int,
    battery_max_w: float,
    confidence: float,
) -> Doubt:
    """Return what pairs of planned and measured half-hours tell.

    Parameters
    ----------
    heating
        Planned and measured power of all heat pumps [W].
    battery
        Planned and measured power of the battery [W], and what it was to do by `doing`.
    homes, battery_max_w
        Size of the block, for stand-ins: homes, and the battery's power [W].
    confidence
        Share of half-hours that are to lie within either bound by itself, in (0.5, 1).
    """
    unknown = UNKNOWN_PER_HOME_W * homes
    offset, slope, of_heating = 0.0, 1.0, Spread(-unknown, unknown)
    enough = len(heating) >= LEAST_PAIRS
    if enough:
        planned, measured = np.array(heating, dtype=float).T
        spread = float(planned.var())
        slope = float(np.cov(planned, measured, bias=True)[0, 1]) / spread if spread > 1.0 else 0.0
        slope = min(max(slope, 0.0), STEEPEST)
        offset = float(measured.mean() - slope * planned.mean())
        of_heating = _spread(measured - np.maximum(offset + slope * planned, 0.0), confidence)
    guess = UNKNOWN_BATTERY_SHARE * battery_max_w
    of_battery = {}
    for kind, unknown_w in ((0, 0.0), (1, guess), (-1, guess)):
        missed = np.array([after - before for before, after, was in battery if was == kind])
        known = missed.size >= LEAST_PAIRS
        of_battery[kind] = _spread(missed, confidence) if known else Spread(-unknown_w, unknown_w)
    return Doubt(
        offset_w=offset,
        slope=slope,
        heating=of_heating,
        resting=of_battery[0],
        charging=of_battery[1],
        discharging=of_battery[-1],
        pairs=len(heating) if enough else 0,
    )


def _spread(rest: FloatArray, confidence: float) -> Spread:
    low, high = np.quantile(rest, [1.0 - confidence, confidence])
    return Spread(min(float(low), 0.0), max(float(high), 0.0))
