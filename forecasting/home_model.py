"""A home as air, mass and emitters: simulation, and where it stands now.

Three states: room ``T`` [°C], mass ``M`` [°C] (walls, a heated floor) and the heat ``E`` that
the emitters give off [W]::

    Ca dT/dt = U (T_out - T) + X (M - T) + s E + F + r A G + d                          (20)
    Cm dM/dt = X (T - M) + (1 - s) E + (1 - r) A G
     l dE/dt = Q - E

``Q`` heat from the heat pump [W], ``G`` horizontal irradiance [W/m²], ``F`` free heat with a
smooth daily course [W], ``d`` what the model does not explain [W]. With ``X = 0`` and ``s = 1``
the mass takes no part: one state and a lag.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime

import numpy as np
from scipy.linalg import expm

from ems.domain.forecasts import FloatArray

STATES = 3
INPUTS = 4
"""Heat [W], outdoor temperature [°C], gains to the air [W], gains to the mass [W]."""
SUN_TO_AIR = 0.3
"""r in (20) where there is a mass [-]."""
HARMONICS = (1.0, 1.0, 2.0, 2.0)
"""Cycles a day of the daily course of free heat: cosine and sine each."""
DRIFT_W_PER_SQRT_H = 40.0
"""How fast what is not explained may change [W/√h]."""
ROOM_NOISE_K = 0.06
"""Noise of a room reading, and of the room's own movement in half an hour [K]."""


@dataclass(frozen=True, slots=True)
class HomeModel:
    """Parameters of (20), and how well they are known.

    Attributes
    ----------
    loss_w_per_k, loss_sd
        ``U`` and its standard deviation [W/K].
    air_wh_per_k, mass_wh_per_k
        ``Ca``, ``Cm`` [Wh/K].
    capacity_sd
        Standard deviation of ``Ca + Cm`` (of one state: ``Ca``) [Wh/K].
    exchange_w_per_k
        ``X`` [W/K].
    air_share
        ``s`` [-].
    lag_h
        ``l`` [h].
    aperture_m2, free_w
        ``A`` [m²], the mean of ``F`` [W].
    daily_w
        Amplitudes of the daily course of ``F`` (`HARMONICS`, hours in UTC) [W].
    standing_w
        Electricity of a running heat pump that makes no heat, where heat is guessed from
        electricity [W].
    sigma_k
        Root mean square of what the fit leaves of two days simulated in one go [K]; ``nan``
        before any.
    error_k
        Held-out error of the room a day ahead, root mean square [K]; ``nan`` before any.
    persistence_k
        The same of "as it is now" [K].
    hours
        Hours of complete data used.
    source
        ``prior``, ``one state`` or ``two states``.
    note
        What the data could not tell.
    """

    loss_w_per_k: float
    air_wh_per_k: float
    mass_wh_per_k: float = 1000.0
    exchange_w_per_k: float = 0.0
    air_share: float = 1.0
    lag_h: float = 0.3
    aperture_m2: float = 0.0
    free_w: float = 0.0
    daily_w: tuple[float, float, float, float] = (0.0, 0.0, 0.0, 0.0)
    standing_w: float = 0.0
    loss_sd: float = 0.0
    capacity_sd: float = 0.0
    sigma_k: float = float("nan")
    error_k: float = float("nan")
    persistence_k: float = float("nan")
    hours: float = 0.0
    source: str = "prior"
    note: str = ""

    @property
    def massive(self) -> bool:
        """Whether the mass takes part."""
        return self.exchange_w_per_k > 0.0

    @property
    def capacity_wh_per_k(self) -> float:
        """All heat capacity that takes part [Wh/K]."""
        return self.air_wh_per_k + (self.mass_wh_per_k if self.massive else 0.0)


def matrices(model: HomeModel, step_h: float) -> tuple[FloatArray, FloatArray]:
    """Return transition (3, 3) and input matrix (3, 4) over ``step_h`` hours.

    Exact for inputs that are constant over the step.
    """
    u, x = model.loss_w_per_k, model.exchange_w_per_k
    air, mass = model.air_wh_per_k, model.mass_wh_per_k
    share = model.air_share
    whole = np.zeros((STATES + INPUTS, STATES + INPUTS))
    whole[0, :7] = [-(u + x) / air, x / air, share / air, 0.0, u / air, 1.0 / air, 0.0]
    whole[1, :7] = [x / mass, -x / mass, (1.0 - share) / mass, 0.0, 0.0, 0.0, 1.0 / mass]
    whole[2, :4] = [0.0, 0.0, -1.0 / model.lag_h, 1.0 / model.lag_h]
    exact = np.asarray(expm(whole * step_h), dtype=np.float64)
    return exact[:STATES, :STATES], exact[:STATES, STATES:]


def daily_course(hour_utc: FloatArray) -> FloatArray:
    """Return the columns of the daily course, shape (..., 4), at these hours of day (UTC)."""
    angle = 2.0 * np.pi * np.asarray(hour_utc)[..., None] * np.array(HARMONICS) / 24.0
    return np.asarray(np.where(np.arange(4) % 2 == 0, np.cos(angle), np.sin(angle)))


def gains(
    model: HomeModel, hour_utc: FloatArray, sun_w_m2: FloatArray
) -> tuple[FloatArray, FloatArray]:
    """Return free and solar heat to the air and to the mass [W], shape (steps,) each."""
    sun = model.aperture_m2 * np.nan_to_num(sun_w_m2)
    to_air = SUN_TO_AIR if model.massive else 1.0
    free = model.free_w + daily_course(hour_utc) @ np.array(model.daily_w)
    return np.asarray(free + to_air * sun), np.asarray((1.0 - to_air) * sun)


def run(
    model: HomeModel, start: FloatArray, inputs: FloatArray, step_h: float, first_h: float = 0.0
) -> FloatArray:
    """Return the states at the end of each step, shape (steps, 3).

    ``inputs`` has shape (steps, 4). The first step lasts ``first_h`` hours where that is
    above zero, all others ``step_h``.
    """
    transition, drive = matrices(model, step_h)
    states = np.empty((len(inputs), STATES))
    state = np.asarray(start, dtype=np.float64)
    for step, given in enumerate(inputs):
        if step == 0 and first_h > 0.0:
            early, early_drive = matrices(model, first_h)
            state = early @ state + early_drive @ given
        else:
            state = transition @ state + drive @ given
        states[step] = state
    return states


def where_it_stands(
    model: HomeModel,
    room_c: FloatArray,
    inputs: FloatArray,
    step_h: float,
    noise_k: float = ROOM_NOISE_K,
) -> tuple[FloatArray, float]:
    """Return the states now (3,) and what the model does not explain [W], by a Kalman filter.

    Parameters
    ----------
    room_c
        Room at the edges of the steps until now [°C], shape (steps + 1,); ``nan`` where
        unknown.
    inputs
        Shape (steps, 4), of the steps between; ``nan`` where unknown: the mean stands in.
    noise_k
        Standard deviation of a reading [K].
    """
    transition, drive = matrices(model, step_h)
    whole = np.eye(STATES + 1)
    whole[:STATES, :STATES] = transition
    whole[:STATES, STATES] = drive[:, 2]
    noise = np.diag(
        [
            ROOM_NOISE_K**2,
            (0.5 * ROOM_NOISE_K) ** 2,
            (0.05 * 1000.0) ** 2,
            DRIFT_W_PER_SQRT_H**2 * step_h,
        ]
    )
    known = room_c[np.isfinite(room_c)]
    first = float(known[0]) if known.size else 20.0
    mean = np.nanmean(inputs, axis=0) if len(inputs) else np.zeros(INPUTS)
    mean = np.nan_to_num(mean)
    filled = np.where(np.isfinite(inputs), inputs, mean)
    heat = float(filled[:12, 0].mean()) if len(filled) else 0.0
    over = (1.0 - model.air_share) * heat / model.exchange_w_per_k if model.massive else 0.0
    state = np.array([first, first + over, heat, 0.0])
    spread = np.diag([1.0, 1.0, (0.5 * heat + 200.0) ** 2, 150.0**2])
    for step, measured in enumerate(room_c):
        if np.isfinite(measured):
            gain = spread[:, 0] / (spread[0, 0] + noise_k**2)
            state = state + gain * (float(measured) - state[0])
            spread = spread - np.outer(gain, spread[0])
        if step < len(filled):
            state = whole @ state
            state[:STATES] += drive @ filled[step]
            spread = whole @ spread @ whole.T + noise
    return state[:STATES], float(state[STATES])


def hours_utc(start: datetime, steps: int, step_h: float) -> FloatArray:
    """Return the hour of day (UTC) in the middle of each step from ``start`` on."""
    at = start.hour + start.minute / 60.0 + start.second / 3600.0
    return np.asarray((at + (np.arange(steps) + 0.5) * step_h) % 24.0, dtype=np.float64)
