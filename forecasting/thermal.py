"""One thermal state a home, learnt from its readings and shrunk to its certificate.

Over a window of ``n`` half-hours the room's change is a straight function of mean
inputs (overbars) [K/h]::

    dT/dt = a (T_out - T) + b (Q + phi (P - mean P)) + c G + d                       (8)

with ``a = U / C``, ``b = 1 / C``, ``c = A / C``, ``d = F / C``: loss ``U`` [W/K],
capacity ``C`` [Wh/K], solar aperture ``A`` [m²], free heat ``F`` [W]; ``Q`` is heat to
the rooms, ``P`` household electricity of which the share ``phi`` warms the room, ``G``
horizontal irradiance. The certificate gives a normal prior on (U, C, A, F), carried
over to (a, b, c, d) to first order, and the estimate is the mode of the posterior of a
normal linear regression. Windows overlap, so the data count as often as windows would
that do not.

A home held at one temperature tells nothing of its capacity: its thermostat hides
``b``. Then the daily balance is fitted with the certificate's capacity::

    Q + phi (P - mean P) - C dT/dt = U (T - T_out) - A G - F                         (9)

and the note says so.
"""

from __future__ import annotations

from dataclasses import replace
from datetime import datetime

import numpy as np
import pandas as pd

from ems.domain.errors import InvalidInputError
from ems.domain.estate import Dwelling, ThermalPrior
from ems.domain.forecasts import FloatArray
from ems.domain.thermal import ThermalEstimate
from forecasting.interface import check_frame, known_before

INDOOR_SHARE = 0.85
"""phi in (8): share of household electricity that warms the rooms [-]; the rest leaves with
waste water, cooking vapours and what is plugged in outdoors."""
PEOPLE_SHARE = 0.4
"""Share of the free heat before data that is not the household's electricity: people, the
tank's standing loss [-]."""
METERED_SPREAD = 0.10, 15.0
"""Error of free heat whose electricity is metered: a share of it, and so many watts."""
FREE_HEAT_W_PER_M2 = 5.0
"""People and appliances before data [W/m²]."""
APERTURE_PER_M2 = 0.03
"""Solar aperture before data, per floor area [-]."""
WINDOWS = (24, 12, 6)
"""Half-hours over which a change of temperature is taken in (8), best first.

Half a day sees the structure of a home move and not only its air; shorter windows stand
in where gaps leave too few.
"""
LEAST_WINDOWS = 96
"""Windows that are enough."""
DAY = 48
"""Half-hours of the balance (9)."""
LEAST_HOURS = 72.0
"""With fewer hours of complete data the prior stands."""
HEAT_GUESS_SPREAD = 0.15
"""Relative error of heat that is only electricity times a nameplate's efficiency [-]."""
MODEL_SPREAD = (0.13, 0.2)
"""Relative errors of loss and capacity that one state, and no wind, bring in any case [-]."""
_J_PER_WH = 3600.0
COLUMNS = ("room_c", "outdoor_c", "heat_w", "irradiance_w_m2", "household_w")
"""Columns of the frame that `fit_thermal` reads."""


def prior_estimate(dwelling: Dwelling, prior: ThermalPrior) -> ThermalEstimate:
    """Return what the certificate's band and the floor area say of a home before data."""
    area = dwelling.floor_area_m2
    loss = prior.loss_w_per_k_m2 * area
    capacity = prior.capacity_wh_per_k_m2 * area * _J_PER_WH
    return ThermalEstimate(
        dwelling_id=dwelling.id,
        loss_w_per_k=loss,
        loss_sd=loss * prior.spread,
        capacity_j_per_k=capacity,
        capacity_sd=capacity * prior.spread,
        solar_aperture_m2=APERTURE_PER_M2 * area,
        free_heat_w=FREE_HEAT_W_PER_M2 * area,
        note="before readings: from the certificate's band and the floor area",
    )


def fit_thermal(
    frame: pd.DataFrame,
    prior: ThermalEstimate,
    until: datetime,
    *,
    heat_is_estimated: bool = False,
) -> ThermalEstimate:
    """Return the estimate that readings known at ``until`` and the prior give together.

    Parameters
    ----------
    frame
        Half-hours (UTC), columns `COLUMNS`: room and outdoor temperature [°C], heat to the
        rooms [W], irradiance [W/m²], household electricity [W]; ``nan`` gaps. The last two
        may be missing altogether.
    prior
        From `prior_estimate`, never an earlier fit: data must not count twice.
    until
        Later half-hours are not used.
    heat_is_estimated
        ``heat_w`` is electricity times a nameplate's efficiency: wider errors.

    Returns
    -------
    ``source`` is ``fit`` where the data told something; else the prior, with a note.
    """
    missing = [name for name in COLUMNS[:3] if name not in frame.columns]
    if missing:
        raise InvalidInputError(
            "the frame lacks columns",
            field="frame",
            value=missing,
            remedy=f"Give the columns {', '.join(COLUMNS)}.",
        )
    known = known_before(check_frame(frame, "frame"), until)
    notes = []
    if heat_is_estimated:
        notes.append("heat is estimated from electricity and the nameplate")
    for window in WINDOWS:
        change, inputs, hours, absent = _windows(known, window)
        if len(change) >= LEAST_WINDOWS:
            break
    notes.extend(f"no {name}" for name in absent)
    if hours < LEAST_HOURS:
        return replace(
            prior,
            hours=hours,
            note=f"{hours:.0f} of {LEAST_HOURS:.0f} hours of complete data: the prior stands",
        )
    metered = with_metered_gains(prior, known)
    mean, precision = _prior_line(metered, _free_spread_w(metered, prior))
    line, covariance = _posterior(change, inputs, mean, precision, window)
    if 0.25 * mean[1] < line[1] < 4.0 * mean[1] and line[0] > 0.0:
        theta, spread = _physical(line, covariance)
    else:
        theta, spread = _balance(known, metered, _free_spread_w(metered, prior))
    if theta[0] < 0.3 * prior.loss_w_per_k or spread[0] > 0.5 * theta[0]:
        return replace(
            prior, hours=hours, note="heat and temperature do not fit together: the prior stands"
        )
    guess = HEAT_GUESS_SPREAD if heat_is_estimated else 0.0
    loss_sd = float(np.hypot(spread[0], np.hypot(MODEL_SPREAD[0], guess) * theta[0]))
    capacity_sd = float(np.hypot(spread[1], np.hypot(MODEL_SPREAD[1], guess) * theta[1]))
    capacity_sd *= _J_PER_WH
    if loss_sd > 0.9 * prior.loss_sd and capacity_sd > 0.9 * prior.capacity_sd:
        return replace(
            prior,
            hours=hours,
            note="temperatures and heat varied too little to tell: the prior stands",
        )
    if loss_sd > 0.9 * prior.loss_sd:
        notes.append("the loss rests on the certificate")
    if capacity_sd > 0.9 * prior.capacity_sd:
        notes.append("the capacity rests on the certificate")
    return ThermalEstimate(
        dwelling_id=prior.dwelling_id,
        loss_w_per_k=float(theta[0]),
        loss_sd=min(loss_sd, prior.loss_sd),
        capacity_j_per_k=float(theta[1]) * _J_PER_WH,
        capacity_sd=min(capacity_sd, prior.capacity_sd),
        solar_aperture_m2=float(max(theta[2], 0.0)),
        free_heat_w=float(max(theta[3], 0.0)),
        fitted_at=until,
        hours=hours,
        source="fit",
        note="; ".join(notes),
    )


def with_metered_gains(prior: ThermalEstimate, known: pd.DataFrame) -> ThermalEstimate:
    """Return the prior with the free heat that the household's own meter tells.

    ``F = phi mean P + people``. Loss and free heat can hardly be told apart from temperatures
    alone: in a month of winter both take the same from a room, and what is too little in one is
    too little in the other. Most of the free heat is metered, however.
    """
    if "household_w" not in known.columns or known["household_w"].isna().all():
        return prior
    mean_w = max(float(known["household_w"].mean()), 0.0)
    return replace(prior, free_heat_w=INDOOR_SHARE * mean_w + PEOPLE_SHARE * prior.free_heat_w)


def _free_spread_w(metered: ThermalEstimate, prior: ThermalEstimate) -> float:
    """Return the standard deviation of free heat before the fit [W]."""
    if metered is prior:
        return 0.5 * prior.free_heat_w + 50.0
    share, least = METERED_SPREAD
    return share * metered.free_heat_w + least


def simulate(
    estimate: ThermalEstimate,
    room_c: float,
    outdoor_c: FloatArray,
    heat_w: FloatArray,
    step_s: float,
) -> FloatArray:
    """Return the room temperature [°C] at the end of each step, shape (steps,).

    ``heat_w`` is all heat: from the heat pump, the sun, people and appliances. Exact for
    inputs that are constant over each step.
    """
    decay = np.exp(-estimate.loss_w_per_k * step_s / estimate.capacity_j_per_k)
    rest = outdoor_c + heat_w / estimate.loss_w_per_k
    out = np.empty(len(outdoor_c))
    room = room_c
    for step, aim in enumerate(rest):
        room = aim + (room - aim) * decay
        out[step] = room
    return out


def _windows(known: pd.DataFrame, window: int) -> tuple[FloatArray, FloatArray, float, list[str]]:
    """Return changes [K/h] (n,), mean inputs (n, 4), hours of complete data, absent inputs."""
    full = known.reindex(columns=list(COLUMNS))
    absent = []
    for name, label in (("irradiance_w_m2", "irradiance"), ("household_w", "household load")):
        if full[name].isna().all():
            full[name] = 0.0  # the input is left out, and the note says so
            absent.append(label)
    complete = full.notna().all(axis=1).to_numpy()
    hours = float(complete.sum()) / 2.0
    if len(full) <= window:
        return np.zeros(0), np.zeros((0, 4)), hours, absent
    values = full.to_numpy(dtype=np.float64)
    household = values[:, 4] - np.nanmean(values[:, 4]) if complete.any() else values[:, 4]
    columns = np.stack(
        [
            values[:, 1] - values[:, 0],
            values[:, 2] + INDOOR_SHARE * household,
            values[:, 3],
            np.ones(len(values)),
        ],
        axis=1,
    )
    weights = np.ones(window + 1)
    weights[[0, -1]] = 0.5  # readings are means of half-hours: ends count half
    spans = np.lib.stride_tricks.sliding_window_view(columns, window + 1, axis=0)
    inputs = spans @ (weights / window)
    change = (values[window:, 0] - values[:-window, 0]) / (window / 2.0)
    usable = np.isfinite(inputs).all(axis=1) & np.isfinite(change)
    return change[usable], inputs[usable], hours, absent


def _prior_line(prior: ThermalEstimate, free_sd_w: float) -> tuple[FloatArray, FloatArray]:
    """Return mean (4,) and precision (4, 4) of (a, b, c, d) in (8), per hour."""
    loss, capacity = prior.loss_w_per_k, prior.capacity_j_per_k / _J_PER_WH
    aperture, free = prior.solar_aperture_m2, prior.free_heat_w
    spread = np.array(
        [prior.loss_sd, prior.capacity_sd / _J_PER_WH, 0.7 * aperture + 0.2, free_sd_w]
    )
    slope = np.zeros((4, 4))
    slope[0] = [1.0 / capacity, -loss / capacity**2, 0.0, 0.0]
    slope[1] = [0.0, -1.0 / capacity**2, 0.0, 0.0]
    slope[2] = [0.0, -aperture / capacity**2, 1.0 / capacity, 0.0]
    slope[3] = [0.0, -free / capacity**2, 0.0, 1.0 / capacity]
    mean = np.array([loss, 1.0, aperture, free]) / capacity
    precision = np.linalg.inv(slope @ np.diag(spread**2) @ slope.T)
    return mean, np.asarray(precision, dtype=np.float64)


def _posterior(
    change: FloatArray,
    inputs: FloatArray,
    mean: FloatArray,
    precision: FloatArray,
    window: int,
) -> tuple[FloatArray, FloatArray]:
    """Return mode (k,) and covariance (k, k) of the regression's coefficients."""
    if not len(change):
        return mean, np.asarray(np.linalg.inv(precision), dtype=np.float64)
    gram, cross = inputs.T @ inputs, inputs.T @ change
    line = mean
    covariance = np.linalg.inv(precision)
    for _ in range(5):
        residual = change - inputs @ line
        noise = max(float(np.mean(residual**2)), 1e-6) * max(window, _memory(residual))
        covariance = np.linalg.inv(precision + gram / noise)
        line = covariance @ (precision @ mean + cross / noise)
    return line, np.asarray(covariance, dtype=np.float64)


def _memory(residual: FloatArray) -> float:
    """Return over how many half-hours a residual tells only once: 1 + 2 sum of its correlations.

    The sum ends where the correlation first falls below a twentieth, at five days at most.
    """
    centred = residual - residual.mean()
    power = float(centred @ centred)
    memory = 1.0
    for lag in range(1, min(5 * DAY, len(centred) - 1)):
        correlation = float(centred[lag:] @ centred[:-lag]) / max(power, 1e-12)
        if correlation < 0.05:
            break
        memory += 2.0 * correlation
    return memory


def _balance(
    known: pd.DataFrame, prior: ThermalEstimate, free_sd_w: float
) -> tuple[FloatArray, FloatArray]:
    """Return (U, C, A, F) and their standard deviations from (9), C being the prior's."""
    capacity = prior.capacity_j_per_k / _J_PER_WH
    change, inputs, _, _ = _windows(known, DAY)
    mean = np.array([prior.loss_w_per_k, prior.solar_aperture_m2, prior.free_heat_w])
    spread = np.array([prior.loss_sd, 0.7 * mean[1] + 0.2, free_sd_w])
    heat = inputs[:, 1] - capacity * change
    line, covariance = _posterior(heat, -inputs[:, [0, 2, 3]], mean, np.diag(1.0 / spread**2), DAY)
    known_to = np.sqrt(np.diag(covariance))
    return (
        np.array([line[0], capacity, line[1], line[2]]),
        np.array([known_to[0], prior.capacity_sd / _J_PER_WH, known_to[1], known_to[2]]),
    )


def _physical(line: FloatArray, covariance: FloatArray) -> tuple[FloatArray, FloatArray]:
    """Return (U, C, A, F) and their standard deviations from (a, b, c, d), to first order."""
    a, b, c, d = line
    theta = np.array([a / b, 1.0 / b, c / b, d / b])
    slope = np.zeros((4, 4))
    slope[0] = [1.0 / b, -a / b**2, 0.0, 0.0]
    slope[1] = [0.0, -1.0 / b**2, 0.0, 0.0]
    slope[2] = [0.0, -c / b**2, 1.0 / b, 0.0]
    slope[3] = [0.0, -d / b**2, 0.0, 1.0 / b]
    variance = np.diag(slope @ covariance @ slope.T)
    return theta, np.sqrt(np.maximum(variance, 0.0))
