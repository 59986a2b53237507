"""What a home is, learnt from its readings and shrunk to its certificate, for the service.

Planning knows one state a home, room ``T`` [°C]::

    C dT/dt = Q + F + phi (P - mean P) + A G - U (T - T_out)                             (8)

loss ``U`` [W/K], capacity ``C`` [Wh/K], aperture ``A`` [m²], free heat ``F`` [W], heat ``Q`` [W],
household electricity ``P`` [W] of which the share ``phi`` warms the rooms, irradiance ``G``
[W/m²]. The certificate gives ``U`` and ``C`` before data, and the home's own meter most of the
free heat::

    F = phi mean P + people                                                              (9)

The rest is learnt by :mod:`forecasting.grey_box`: air, mass and emitters, simulated two days in
one go; (8) takes that model's loss, aperture and free heat, and all of its capacity.
"""

from __future__ import annotations

from dataclasses import replace
from datetime import datetime

import numpy as np
import pandas as pd

from ems.domain.errors import InvalidInputError
from ems.domain.estate import Dwelling, ThermalPrior
from ems.domain.forecasts import FloatArray
from ems.domain.thermal import CAPACITY_UNTOLD, ThermalEstimate
from forecasting.grey_box import learn
from forecasting.home_model import HomeModel
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
LEAST_HOURS = 72.0
"""With fewer hours of complete data the prior stands."""
HEAT_GUESS_SPREAD = 0.15
"""Relative error of heat that is only electricity times a nameplate's efficiency [-]."""
MODEL_SPREAD = (0.13, 0.2)
"""Relative errors of loss and capacity that neighbours, wind and one planning state bring in
any case [-]."""
MISFIT_K = 1.5
"""Heat and temperature do not fit together where a fit leaves more than this [K]."""
UNTOLD = 0.8
"""The data do not tell a capacity whose spread is more than this share of the prior's [-]."""
CAUTIOUS = 0.5
"""A capacity that the data do not tell is taken so many standard deviations low [-]: a home
that keeps its warmth less than is likely is left to cool less."""
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
        Half-hours (UTC), columns `COLUMNS`: means of room and outdoor temperature [°C], heat to
        the rooms [W], irradiance [W/m²], household electricity [W]; ``nan`` gaps. The last two
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
    hours = float(known[list(COLUMNS[:3])].notna().all(axis=1).sum()) / 2.0
    if hours < LEAST_HOURS:
        return _refused(
            prior,
            hours,
            f"{hours:.0f} of {LEAST_HOURS:.0f} hours of complete data: the prior stands",
        )
    metered = with_metered_gains(prior, known)
    model = learn(
        grey_box_frame(known),
        _prior_model(metered),
        spread=prior.loss_sd / prior.loss_w_per_k,
        free_sd_w=_free_spread_w(metered, prior),
        massive=True,
    )
    if model.source == "prior":
        return _refused(prior, hours, "too few days without gaps: the prior stands")
    if model.loss_w_per_k < 0.3 * prior.loss_w_per_k or not model.sigma_k < MISFIT_K:
        return _refused(prior, hours, "heat and temperature do not fit together: the prior stands")
    return _estimate(model, prior, until, hours, _notes(known, heat_is_estimated))


def _refused(prior: ThermalEstimate, hours: float, why: str) -> ThermalEstimate:
    return replace(prior, hours=hours, note=why)


def _notes(known: pd.DataFrame, heat_is_estimated: bool) -> list[str]:
    notes = ["heat is estimated from electricity and the nameplate"] if heat_is_estimated else []
    for name, label in (("irradiance_w_m2", "irradiance"), ("household_w", "household load")):
        if name not in known.columns or known[name].isna().all():
            notes.append(f"no {label}")
    return notes


def _prior_model(metered: ThermalEstimate) -> HomeModel:
    return HomeModel(
        loss_w_per_k=metered.loss_w_per_k,
        air_wh_per_k=metered.capacity_j_per_k / _J_PER_WH,
        loss_sd=metered.loss_sd,
        capacity_sd=metered.capacity_sd / _J_PER_WH,
        aperture_m2=metered.solar_aperture_m2,
        free_w=metered.free_heat_w,
    )


def grey_box_frame(known: pd.DataFrame) -> pd.DataFrame:
    """Return the frame that :func:`forecasting.grey_box.learn` reads.

    The room at the start of a half-hour is the mean of the two beside it; household electricity
    beyond its mean is heat like any other.
    """
    full = known.reindex(columns=list(COLUMNS)).astype(float)
    beside = (full["household_w"] - full["household_w"].mean()).fillna(0.0)
    return pd.DataFrame(
        {
            "room_c": (full["room_c"] + full["room_c"].shift(1)) / 2.0,
            "outdoor_c": full["outdoor_c"],
            "heat_w": full["heat_w"] + INDOOR_SHARE * beside,
            "sun_w_m2": full["irradiance_w_m2"],
        }
    )


def _estimate(
    model: HomeModel, prior: ThermalEstimate, until: datetime, hours: float, notes: list[str]
) -> ThermalEstimate:
    guess = HEAT_GUESS_SPREAD if notes and notes[0].startswith("heat is") else 0.0
    loss = model.loss_w_per_k
    loss_sd = float(np.hypot(model.loss_sd, np.hypot(MODEL_SPREAD[0], guess) * loss))
    capacity = model.capacity_wh_per_k * _J_PER_WH
    own_sd = model.capacity_sd * _J_PER_WH
    capacity_sd = float(np.hypot(own_sd, np.hypot(MODEL_SPREAD[1], guess) * capacity))
    if loss_sd > 0.9 * prior.loss_sd:
        notes.append("the loss rests on the certificate")
    if model.capacity_sd > UNTOLD * prior.capacity_sd / prior.capacity_j_per_k * (
        model.capacity_wh_per_k
    ):
        notes.append(f"{CAPACITY_UNTOLD}, at its cautious end")
        capacity -= CAUTIOUS * min(own_sd, 0.5 * capacity)
    return ThermalEstimate(
        dwelling_id=prior.dwelling_id,
        loss_w_per_k=loss,
        loss_sd=min(loss_sd, prior.loss_sd),
        capacity_j_per_k=capacity,
        capacity_sd=min(capacity_sd, prior.capacity_sd),
        solar_aperture_m2=model.aperture_m2,
        free_heat_w=max(model.free_w, 0.0),
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
