"""Tilt, azimuth and losses of a roof, learnt from what its meter counted.

With generation ``y``, irradiance on the plane ``G`` at tilt ``t`` and azimuth ``a``, the share
``k`` that reaches the meter and the nameplate's peak ``P``, half-hours are guessed as::

    g = k P G / 1000 (1 - 0.004 (T - 25)),   T = 10 + 25 G / 800                           (5)

(PVWatts, panels warmed by the sun in air of 10 °C), and the estimate is the mode of::

    sum of rho((y - g) / (s (g + P / 20))) / m
        + ((t - t0) / 20°)² + ((a - a0) / 60°)² + ((k - k0) / 0.15)²                      (17)

``t0``, ``a0`` are the nameplate's; ``rho`` grows slowly for large residuals (clouds over one
place and not the other, snow, shade); ``s`` is the spread of residuals and ``m`` counts how
many half-hours tell one thing, by the residuals' memory. Errors come from leaving out one
sixth of the days after the other, and never fall below `LEAST_SD`: the sky's own light is not
measured apart from the sun's.

A tree in the east looks much like a roof to the west. What one plane cannot say, a gain per
solar hour ``b`` does::

    gain[b] = (sum(y g) + r) / (sum(g g) + r)                                            (18)

with ``r`` two sunny half-hours. Only where gains over the learnt roof explain the meter better
than gains over the nameplate's, by `BETTER`, is the learnt one taken.
"""

from __future__ import annotations

from dataclasses import dataclass, fields

import numpy as np
from numpy.typing import NDArray

from ems.domain.estate import PvArray
from ems.domain.forecasts import FloatArray
from forecasting.sun import Light, SunPosition, on_plane_w_m2

SYSTEM_SHARE = 0.86
"""k0: share of the panels' power that reaches the meter, until the meter tells otherwise [-]."""
PRIOR_SD = (20.0, 60.0, 0.15)
"""Of tilt [°], azimuth [°] and share [-]: how far a nameplate may be wrong."""
TOLD = 0.6
"""A figure is learnt where its error has shrunk to this share of `PRIOR_SD`."""
LEAST_ROWS = 40
"""Half-hours of daylight below which nothing is fitted."""
LEAST_SD = (9.0, 15.0, 0.05)
"""No error is smaller, however many the days [°, °, -]."""
AIR_C, NOCT_C, PER_K = 10.0, 45.0, -0.004
"""Air, cells in test light [°C], and what a kelvin takes away [1/K]."""
BETTER = 0.03
"""Share of the error that a learnt tilt and azimuth must take away [-]."""
_GAIN_COUNTS_AS = 2.0
"""r in (18), in half-hours at a quarter of the peak."""
_PARTS = 6
_BOUNDS = ((0.0, -np.inf, 0.2), (90.0, np.inf, 1.0))
_STARTS_TILT = (10.0, 30.0, 50.0, 75.0)
_STARTS_AZIMUTH = 12
_SOFT = 1.5
"""Residuals of more spreads than this count less [-]."""
_NAMES = ("tilt", "azimuth", "loss")


@dataclass(frozen=True, slots=True)
class Roof:
    """How panels lie and what they lose, with standard errors.

    Attributes
    ----------
    tilt_deg, tilt_sd_deg
        0 is flat, 90 upright.
    azimuth_deg, azimuth_sd_deg
        Clockwise from north.
    loss, loss_sd
        Share lost between panels and meter [-].
    days
        Days with daylight that the estimate rests on.
    untold
        Which of tilt, azimuth and loss the meter does not tell: for those the nameplate stands,
        or nearly so.
    """

    tilt_deg: float
    tilt_sd_deg: float
    azimuth_deg: float
    azimuth_sd_deg: float
    loss: float
    loss_sd: float
    days: int = 0
    untold: tuple[str, ...] = _NAMES

    @property
    def share(self) -> float:
        """Share that reaches the meter [-]."""
        return 1.0 - self.loss


def nameplate(array: PvArray) -> Roof:
    """Return what the nameplate says, as uncertain as nameplates are."""
    tilt_sd, azimuth_sd, share_sd = PRIOR_SD
    return Roof(
        array.tilt_deg, tilt_sd, array.azimuth_deg, azimuth_sd, 1.0 - SYSTEM_SHARE, share_sd
    )


def made_w(roof: Roof, peak_w: float, light: Light, sun: SunPosition) -> FloatArray:
    """Return what the roof makes of ``light`` [W], at most ``peak_w``, by (5)."""
    per_peak = _per_peak(light, sun, roof.tilt_deg, roof.azimuth_deg)
    return np.asarray(np.minimum(per_peak * roof.share, 1.0) * peak_w)


def _per_peak(light: Light, sun: SunPosition, tilt_deg: float, azimuth_deg: float) -> FloatArray:
    """Return what panels make of ``light`` over their peak, before losses [-]."""
    from pvlib import pvsystem, temperature

    plane = on_plane_w_m2(light, sun, tilt_deg, azimuth_deg)
    warm = temperature.ross(plane, AIR_C, noct=NOCT_C)
    return np.asarray(pvsystem.pvwatts_dc(plane, warm, 1.0, PER_K), dtype=np.float64)


@dataclass(frozen=True, slots=True, eq=False)
class Metered:
    """Half-hours of daylight in order of time, nothing missing, each of shape (n,).

    Attributes
    ----------
    generated_w
        At the meter [W], 0 or more.
    light, sun
        At the same half-hours.
    day
        Number of the day, rising.
    """

    generated_w: FloatArray
    light: Light
    sun: SunPosition
    day: NDArray[np.int64]

    def part(self, rows: NDArray[np.bool_]) -> Metered:
        """Return some of the rows."""
        return Metered(
            self.generated_w[rows],
            Light(*(getattr(self.light, name)[rows] for name in _LIGHT)),
            SunPosition(*(getattr(self.sun, name)[rows] for name in _SUN)),
            self.day[rows],
        )


_LIGHT = tuple(one.name for one in fields(Light))
_SUN = tuple(one.name for one in fields(SunPosition))


def fit_roof(array: PvArray, metered: Metered) -> Roof:
    """Return the estimate (17); the nameplate where there is hardly any daylight."""
    days = np.unique(metered.day)
    if len(metered.generated_w) < LEAST_ROWS or len(days) < 2:
        return nameplate(array)
    sd = np.array(PRIOR_SD)
    at = _mode(array, metered, _coarse(array, metered))
    parts = min(_PARTS, len(days))
    group = np.searchsorted(days, metered.day) * parts // len(days)
    others = np.array([_mode(array, metered.part(group != one), at) for one in range(parts)])
    moved = others - others.mean(axis=0)
    spread = np.sqrt((parts - 1) / parts * (moved**2).sum(axis=0))
    errors = np.clip(spread, LEAST_SD, sd)
    untold = tuple(
        name for name, error, was in zip(_NAMES, errors, sd, strict=True) if error > TOLD * was
    )
    learnt = Roof(
        tilt_deg=float(at[0]),
        tilt_sd_deg=float(errors[0]),
        azimuth_deg=float(at[1] % 360.0),
        azimuth_sd_deg=float(errors[1]),
        loss=float(1.0 - at[2]),
        loss_sd=float(errors[2]),
        days=len(days),
        untold=untold,
    )
    plate = _as_on_the_plate(array, metered, learnt)
    off, before = (_error(array, metered, roof) for roof in (learnt, plate))
    return learnt if off < (1.0 - BETTER) * before else plate


def _as_on_the_plate(array: PvArray, metered: Metered, learnt: Roof) -> Roof:
    """Return the nameplate's tilt and azimuth with the loss that the meter tells."""
    full = _per_peak(metered.light, metered.sun, array.tilt_deg, array.azimuth_deg) * array.peak_w
    high = full >= np.quantile(full, 0.5)
    share = float(np.median(metered.generated_w[high] / np.maximum(full[high], 1.0)))
    tilt_sd, azimuth_sd, _ = PRIOR_SD
    return Roof(
        array.tilt_deg,
        tilt_sd,
        array.azimuth_deg,
        azimuth_sd,
        1.0 - float(np.clip(share, 0.2, 1.0)),
        learnt.loss_sd,
        learnt.days,
        tuple(name for name in _NAMES if name != "loss" or "loss" in learnt.untold),
    )


def hour_gains(
    generated_w: FloatArray, guess_w: FloatArray, solar_hour: FloatArray, peak_w: float
) -> FloatArray:
    """Return the gains (18) over a guess by solar hour [-], shape (24,)."""
    hour = solar_hour.astype(np.int64)
    prior = _GAIN_COUNTS_AS * (0.25 * peak_w) ** 2
    over = np.bincount(hour, generated_w * guess_w, 24) + prior
    under = np.bincount(hour, guess_w**2, 24) + prior
    return np.asarray(np.clip(over / under, 0.1, 2.0))


def _error(array: PvArray, metered: Metered, roof: Roof) -> float:
    """Return what is left unexplained by a roof with its gains, mean of the absolute [W]."""
    guess = made_w(roof, array.peak_w, metered.light, metered.sun)
    gain = hour_gains(metered.generated_w, guess, metered.sun.solar_hour, array.peak_w)
    fitted = gain[metered.sun.solar_hour.astype(np.int64)] * guess
    return float(np.abs(metered.generated_w - fitted).mean())


def _mode(array: PvArray, metered: Metered, start: FloatArray) -> FloatArray:
    """Return tilt, azimuth and share at the mode of (17), sought from ``start``."""
    from scipy.optimize import least_squares

    prior = np.array([array.tilt_deg, array.azimuth_deg, SYSTEM_SHARE])
    sd, peak = np.array(PRIOR_SD), array.peak_w

    def guess(at: FloatArray) -> FloatArray:
        per_peak = _per_peak(metered.light, metered.sun, float(at[0]), float(at[1]))
        return np.asarray(np.minimum(per_peak * at[2], 1.0) * peak)

    def residuals(at: FloatArray, scale: FloatArray, spread: float, weight: float) -> FloatArray:
        off = (metered.generated_w - guess(at)) / (spread * scale)
        # soft: sqrt(2 c² (sqrt(1 + (r / c)²) - 1)), so that squares sum to the slow growth
        soft = np.sqrt(2.0) * _SOFT * np.sqrt(np.sqrt(1.0 + (off / _SOFT) ** 2) - 1.0)
        return np.concatenate([np.sqrt(weight) * np.sign(off) * soft, _from_prior(at, prior, sd)])

    at, weight = start, 0.2
    for _ in range(2):
        scale = guess(at) + 0.05 * peak
        off = (metered.generated_w - guess(at)) / scale
        spread = max(float(1.4826 * np.median(np.abs(off))), 0.01)
        weight = _independent(np.clip(off / spread, -3.0, 3.0))
        given = (scale, spread, weight)
        at = least_squares(
            residuals, at, args=given, bounds=_BOUNDS, x_scale=sd, max_nfev=30, xtol=1e-4
        ).x
    return np.asarray(at, dtype=np.float64)


def _from_prior(at: FloatArray, prior: FloatArray, sd: FloatArray) -> FloatArray:
    """Return how many standard deviations each parameter lies from the nameplate."""
    off = at - prior
    off[1] = (off[1] + 180.0) % 360.0 - 180.0
    return np.asarray(off / sd)


def _coarse(array: PvArray, metered: Metered) -> FloatArray:
    """Return the best of some tilts and azimuths all round, so that no side hill holds the fit."""
    best, least = np.array([array.tilt_deg, array.azimuth_deg, SYSTEM_SHARE]), float("inf")
    around = array.azimuth_deg + np.arange(_STARTS_AZIMUTH) * 360.0 / _STARTS_AZIMUTH
    for tilt in (array.tilt_deg, *_STARTS_TILT):
        for azimuth in around:
            full = _per_peak(metered.light, metered.sun, tilt, float(azimuth)) * array.peak_w
            top = float(full @ full) or 1.0
            share = float(np.clip(float(full @ metered.generated_w) / top, 0.3, 0.99))
            off = float(np.abs(metered.generated_w - share * full).sum())
            if off < least:
                least, best = off, np.array([tilt, azimuth, share])
    return best


def _independent(off: FloatArray) -> float:
    """Return the share of residuals that tell something new, by the memory of the first lag."""
    centred = off - off.mean()
    power = float(centred @ centred)
    if power <= 0.0:
        return 1.0
    memory = float(np.clip((centred[1:] @ centred[:-1]) / power, 0.0, 0.98))
    return (1.0 - memory) / (1.0 + memory)
