"""A home's model learnt from its own readings: many steps ahead, shrunk to a prior.

Overlapping stretches of two days are simulated with (20); what a stretch starts from (air,
mass, and a constant that stands for wind and visitors) is fitted with it. The parameters
``z`` (logarithms) minimise

    sum_i w_i r_i(z)² / sigma² + sum_j ((z_j - z0_j) / s_j)²                             (21)

with simulation errors ``r`` of all steps up to two days ahead, weights that forget and count
overlap and memory of the errors only once, and the prior's ``z0, s``. All that enters
linearly (aperture, free heat, its daily course, the starts) is eliminated exactly for each
``z`` (Golub and Pereyra, 1973). One and two states compete on the later days, held out.
"""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np
import pandas as pd
from scipy.optimize import least_squares
from threadpoolctl import threadpool_limits

from ems.domain.errors import InvalidInputError
from ems.domain.forecasts import FloatArray
from forecasting.home_model import HARMONICS, SUN_TO_AIR, HomeModel, daily_course, matrices

STEP_H = 0.5
STRETCH = 96
"""Half-hours of a stretch."""
STRIDE = 24
"""Half-hours from one stretch's start to the next."""
AHEAD = 48
"""Half-hours ahead that held-out errors look; the half of the stretch before warms it up."""
LEAST_HOURS = 60.0
"""With fewer hours of complete data the prior stands."""
FORGETTING_D = 10.0
"""A stretch this old counts 1/e [days]: seasons, tenants and radiators change."""
MEMORY = 24.0
"""Half-hours over which a simulation error tells only once."""
FADE_H = 12.0
"""What the model does not explain is taken to fade so fast [h]."""
ERROR_FLOOR_K = 0.12
"""No home follows (20) more closely than this [K]: keeps intervals honest."""
COLUMNS = ("room_c", "outdoor_c", "heat_w", "sun_w_m2")
SHARED = 3 + len(HARMONICS)
OWN = 3
STANDING_SHARE = 1.5
"""Spread of the electricity that makes no heat, per W/K of loss [K]: a larger home has a larger
pump."""


@dataclass(frozen=True, slots=True, eq=False)
class Stretches:
    """Stretches of readings: room (n, L + 1), inputs (n, L), weight (n,)."""

    room_c: FloatArray
    heat_w: FloatArray
    outdoor_c: FloatArray
    sun_w_m2: FloatArray
    hour_utc: FloatArray
    weight: FloatArray
    per_w: FloatArray

    def take(self, which: FloatArray | slice) -> Stretches:
        """Return some of them."""
        index = which if isinstance(which, slice) else np.asarray(which, dtype=np.int64)
        return Stretches(
            self.room_c[index],
            self.heat_w[index],
            self.outdoor_c[index],
            self.sun_w_m2[index],
            self.hour_utc[index],
            self.weight[index],
            self.per_w[index],
        )

    def __len__(self) -> int:
        return len(self.room_c)


@dataclass(frozen=True, slots=True)
class Fit:
    """Result of one structure: the model, its sigma [K] and the sd of its logarithms."""

    model: HomeModel
    sigma_k: float
    log_sd: tuple[float, ...]


@dataclass(frozen=True, slots=True)
class _Beliefs:
    """What is known before data: the prior, its relative spread, the sd of its free heat [W]."""

    prior: HomeModel
    spread: float
    free_sd_w: float | None = None


def learn(
    frame: pd.DataFrame,
    prior: HomeModel,
    *,
    spread: float = 0.5,
    free_sd_w: float | None = None,
    massive: bool | None = None,
) -> HomeModel:
    """Return the model that a home's readings and the prior give together.

    Parameters
    ----------
    frame
        Half-hours (UTC, regular), columns `COLUMNS`: room at the start of the half-hour [°C];
        means over it of outdoor temperature [°C], heat of the heat pump [W] and horizontal
        irradiance [W/m²] (a column of ``nan`` where unknown); ``nan`` gaps.
    prior
        Before data, one state; always the same one: data must not count twice.
    spread
        Relative standard deviation of the prior's loss and capacity [-].
    free_sd_w
        Standard deviation of the prior's free heat [W], where a meter tells most of it.
    massive
        Whether there are two states; ``None`` lets one and two compete on the later days. Given,
        nothing is held out, and the model has no ``error_k``.

    Returns
    -------
    HomeModel
        The prior with a note where the data are too few or tell nothing.

    Raises
    ------
    InvalidInputError
        Where a column is missing.
    """
    missing = [name for name in COLUMNS if name not in frame.columns]
    if missing:
        raise InvalidInputError(
            "the frame lacks columns",
            field="frame",
            value=missing,
            remedy=f"Give the columns {', '.join(COLUMNS)}.",
        )
    hours = float(frame[["room_c", "outdoor_c", "heat_w"]].notna().all(axis=1).sum()) * STEP_H
    data = stretches(frame)
    if hours < LEAST_HOURS or len(data) < 3:
        return replace(
            prior,
            hours=hours,
            note=f"{hours:.0f} of {LEAST_HOURS:.0f} hours of complete data: the prior stands",
        )
    beliefs = _Beliefs(prior, spread, free_sd_w)
    # Matrices are small: threads of linear algebra would only wait for each other.
    with threadpool_limits(1, user_api="blas"):
        return _learnt(data, beliefs, hours, massive)


def _learnt(data: Stretches, beliefs: _Beliefs, hours: float, massive: bool | None) -> HomeModel:
    """Fit one structure, or let one and two states compete where ``massive`` is ``None``."""
    spread = beliefs.spread
    if massive is not None:
        return _told(_fit(data, beliefs, massive=massive), spread, hours)
    held = max(1, round(0.3 * len(data)))
    gap = STRETCH // STRIDE - AHEAD // STRIDE
    early = data.take(slice(0, max(len(data) - held - gap, 2)))
    late = data.take(slice(len(data) - held, len(data)))
    contest = []
    for structure in (False, True):
        fit = _fit(early, beliefs, massive=structure)
        contest.append((structure, *held_out(fit.model, late)))
    best, error, persistence = min(contest, key=lambda each: each[1] * (1.05 if each[0] else 1))
    return _told(_fit(data, beliefs, massive=best), spread, hours, error, persistence)


def _told(
    fit: Fit,
    spread: float,
    hours: float,
    error: float = float("nan"),
    persistence: float = float("nan"),
) -> HomeModel:
    model = fit.model
    notes = []
    if fit.log_sd[0] > 0.7 * spread:
        notes.append("the loss rests on the prior")
    relative = fit.log_sd[1] if not model.massive else fit.log_sd[2]
    if relative > 0.7 * spread:
        notes.append("the capacity rests on the prior: temperatures varied too little")
    return replace(
        model,
        loss_sd=fit.log_sd[0] * model.loss_w_per_k,
        capacity_sd=relative * model.capacity_wh_per_k,
        sigma_k=fit.sigma_k,
        error_k=error,
        persistence_k=persistence,
        hours=hours,
        source="two states" if model.massive else "one state",
        note="; ".join(notes),
    )


def stretches(frame: pd.DataFrame) -> Stretches:
    """Return a frame's usable stretches, oldest first; short gaps in inputs are bridged."""
    full = frame[list(COLUMNS)].astype(float)
    if full["sun_w_m2"].isna().all():
        full["sun_w_m2"] = 0.0
    full[["outdoor_c", "heat_w", "sun_w_m2"]] = full[
        ["outdoor_c", "heat_w", "sun_w_m2"]
    ].interpolate(limit=4, limit_area="inside")
    values = full.to_numpy()
    per_w = np.zeros(len(full))
    if "per_w" in frame.columns:
        per_w = np.nan_to_num(frame["per_w"].to_numpy(dtype=float))
    index = pd.DatetimeIndex(full.index)
    hours = np.asarray(index.hour + index.minute / 60.0 + STEP_H / 2, dtype=np.float64)
    last = len(values) - 1 - STRETCH
    starts = list(range(last, -1, -STRIDE))[::-1] if last >= 0 else []
    kept = []
    for start in starts:
        room = values[start : start + STRETCH + 1, 0]
        inputs = values[start : start + STRETCH, 1:]
        if np.isfinite(inputs).all() and np.isfinite(room[0]) and np.isfinite(room).mean() > 0.8:
            kept.append(start)
    rows = np.array(kept, dtype=np.int64)[:, None] + np.arange(STRETCH + 1)
    part = rows[:, :-1]
    age_d = (len(values) - 1 - rows[:, -1]) * STEP_H / 24.0
    return Stretches(
        room_c=values[rows, 0] if kept else np.empty((0, STRETCH + 1)),
        heat_w=values[part, 2],
        outdoor_c=values[part, 1],
        sun_w_m2=values[part, 3],
        hour_utc=hours[part],
        weight=np.exp(-age_d / FORGETTING_D),
        per_w=per_w[part],
    )


def _prior_logs(prior: HomeModel, spread: float, massive: bool) -> tuple[FloatArray, FloatArray]:
    """Return prior means and sds of the logarithms (of ``s``: of its odds)."""
    loss, capacity = prior.loss_w_per_k, prior.capacity_wh_per_k
    if not massive:
        return (
            np.log([loss, 0.8 * capacity, 0.4]),
            np.array([spread, spread, 0.7]),
        )
    return (
        np.array(
            [
                np.log(loss),
                np.log(0.12 * capacity),
                np.log(0.88 * capacity),
                np.log(5.0 * loss),
                0.0,
                np.log(0.4),
            ]
        ),
        np.array([spread, 0.7, spread, 0.8, 1.3, 0.7]),
    )


def _model(prior: HomeModel, logs: FloatArray, massive: bool) -> HomeModel:
    if not massive:
        loss, air, lag = (float(each) for each in np.exp(np.clip(logs, -6.0, 14.0)))
        return replace(
            prior, loss_w_per_k=loss, air_wh_per_k=air, lag_h=max(lag, 0.05), exchange_w_per_k=0.0
        )
    loss, air, mass, exchange = (float(each) for each in np.exp(np.clip(logs[:4], -6.0, 14.0)))
    return replace(
        prior,
        loss_w_per_k=loss,
        air_wh_per_k=air,
        mass_wh_per_k=mass,
        exchange_w_per_k=exchange,
        air_share=float(1.0 / (1.0 + np.exp(-logs[4]))),
        lag_h=max(float(np.exp(np.clip(logs[5], -3.0, 3.0))), 0.05),
    )


def _responses(
    model: HomeModel, data: Stretches, fades_from: int = STRETCH
) -> tuple[FloatArray, FloatArray, FloatArray]:
    """Return the room's known part (n, L), and its columns (n, L, SHARED) and (n, L, OWN).

    A stretch's own constant fades from ``fades_from`` on: yesterday's wind and visitors tell
    little of tomorrow's.
    """
    count, length = data.heat_w.shape
    answers, starts = _answers(model, length)
    to_heat, to_outdoor, to_air, to_mass = (_lower(each) for each in answers.T)
    air = SUN_TO_AIR if model.massive else 1.0
    fading = np.exp(-np.maximum(np.arange(length) - fades_from, 0) * STEP_H / FADE_H)
    before = data.heat_w[:, :8].mean(axis=1)
    over = (1.0 - model.air_share) * before / model.exchange_w_per_k if model.massive else 0.0
    begins = np.stack([data.room_c[:, 0], data.room_c[:, 0] + over, before], axis=1)
    base = data.heat_w @ to_heat + data.outdoor_c @ to_outdoor + begins @ starts.T
    shared = np.empty((count, length, SHARED))
    shared[:, :, 0] = data.sun_w_m2 @ (air * to_air + (1.0 - air) * to_mass)
    shared[:, :, 1] = answers[:, 2].cumsum()
    shared[:, :, 2] = -data.per_w @ to_heat
    # Stretches begin at few hours of day: the course of each is the same in all of them.
    _, first, which = np.unique(data.hour_utc[:, 0], return_index=True, return_inverse=True)
    course = daily_course(data.hour_utc[first]).transpose(0, 2, 1) @ to_air
    shared[:, :, 3:] = course.transpose(0, 2, 1)[which]
    own = np.empty((count, length, OWN))
    own[:, :, 0] = fading @ to_air
    own[:, :, 1:] = starts[:, :2]
    return base, shared, own


def _answers(model: HomeModel, length: int) -> tuple[FloatArray, FloatArray]:
    """Return the room's answer to one step of each input, (L, 4), and to each start, (L, 3)."""
    transition, drive = matrices(model, STEP_H)
    rows = np.empty((length + 1, 3))
    rows[0] = [1.0, 0.0, 0.0]
    for step in range(length):
        rows[step + 1] = rows[step] @ transition
    return rows[:-1] @ drive, rows[1:]


def _lower(answer: FloatArray) -> FloatArray:
    """Return the matrix (L, L) by which inputs in rows become the room they make."""
    length = len(answer)
    lag = np.arange(length)[None, :] - np.arange(length)[:, None]
    return np.where(lag >= 0, answer[np.maximum(lag, 0)], 0.0)


def _own_spread(model: HomeModel) -> FloatArray:
    """Return sds of a stretch's own constant [W] and starts [K]."""
    mass = 1.0 if model.massive else 1e-3
    return np.array([0.06 * 15.0 * model.loss_w_per_k + 20.0, 0.15, mass])


def _shared_prior(beliefs: _Beliefs) -> tuple[FloatArray, FloatArray]:
    prior = beliefs.prior
    mean = np.array([prior.aperture_m2, prior.free_w, 0.0, *([0.0] * len(HARMONICS))])
    loose = 0.25 * prior.free_w + 60.0
    standing = STANDING_SHARE * prior.loss_w_per_k
    free = 0.5 * prior.free_w + 60.0 if beliefs.free_sd_w is None else beliefs.free_sd_w
    own = [0.7 * prior.aperture_m2 + 0.3, free, standing]
    spread = np.array([*own, *([loose] * len(HARMONICS))])
    return mean, spread


def _projected(
    model: HomeModel, beliefs: _Beliefs, data: Stretches, sigma_k: float
) -> tuple[FloatArray, FloatArray, FloatArray]:
    """Return whitened residuals after elimination, raw residuals [K] and shared weights."""
    base, shared, own = _responses(model, data)
    left = data.room_c[:, 1:] - base
    overlap = STRETCH / STRIDE
    scale = np.sqrt(data.weight[:, None] / (MEMORY * overlap)) / sigma_k
    weight = np.where(np.isfinite(left), scale, 0.0)
    left = np.nan_to_num(left)
    mean, spread = _shared_prior(beliefs)
    every = np.concatenate([shared, own], axis=2) * weight[..., None]
    target = left * weight
    spans = every.transpose(0, 2, 1)
    gram, cross = spans @ every, (spans @ target[..., None])[..., 0]
    # A start is fitted as often as its stretch counts.
    root = np.sqrt(data.weight / overlap)[:, None] / _own_spread(model)
    inner = gram[:, SHARED:, SHARED:] + root[..., None] ** 2 * np.eye(OWN)
    mixed = gram[:, SHARED:, :SHARED]
    solved_mixed = np.linalg.solve(inner, mixed)
    solved_cross = np.linalg.solve(inner, cross[:, SHARED:, None])[..., 0]
    whole = gram[:, :SHARED, :SHARED] - mixed.transpose(0, 2, 1) @ solved_mixed
    right = cross[:, :SHARED] - (mixed.transpose(0, 2, 1) @ solved_cross[..., None])[..., 0]
    amounts = np.linalg.solve(
        whole.sum(axis=0) + np.diag(1.0 / spread**2), right.sum(axis=0) + mean / spread**2
    )
    starts = solved_cross - solved_mixed @ amounts
    raw = left - shared @ amounts - (own @ starts[..., None])[..., 0]
    whitened = np.concatenate(
        [(raw * weight).ravel(), (root * starts).ravel(), (amounts - mean) / spread]
    )
    return whitened, np.where(weight > 0, raw, np.nan), amounts


def _fit(data: Stretches, beliefs: _Beliefs, *, massive: bool) -> Fit:
    prior = beliefs.prior
    mean, sds = _prior_logs(prior, beliefs.spread, massive)
    logs, sigma = mean.copy(), 0.3
    covariance = np.diag(sds**2)
    for most in (10, 6):
        at_sigma = sigma

        def residuals(at: FloatArray, at_sigma: float = at_sigma) -> FloatArray:
            whitened, _, _ = _projected(_model(prior, at, massive), beliefs, data, at_sigma)
            return np.concatenate([whitened, (at - mean) / sds])

        found = least_squares(
            residuals,
            logs,
            bounds=(mean - 4.0 * sds, mean + 4.0 * sds),
            diff_step=1e-3,
            xtol=1e-3,
            ftol=1e-4,
            max_nfev=most,
        )
        logs = found.x
        covariance = np.linalg.inv(found.jac.T @ found.jac)
        _, raw, _ = _projected(_model(prior, logs, massive), beliefs, data, sigma)
        sigma = max(float(np.sqrt(np.nanmean(raw**2))), ERROR_FLOOR_K)
    model = _model(prior, logs, massive)
    _, _, shared = _projected(model, beliefs, data, sigma)
    model = replace(
        model,
        aperture_m2=float(max(shared[0], 0.0)),
        free_w=float(shared[1]),
        standing_w=float(max(shared[2], 0.0)),
        daily_w=(float(shared[3]), float(shared[4]), float(shared[5]), float(shared[6])),
    )
    return Fit(model, sigma, tuple(float(x) for x in np.sqrt(np.diag(covariance))))


def ahead(model: HomeModel, data: Stretches) -> FloatArray:
    """Return the room [°C] foreseen in the second half of each stretch, shape (n, AHEAD).

    The first half tells where mass and disturbance stand; the inputs of the second are known.
    """
    base, shared, own = _responses(model, data, STRETCH - AHEAD)
    amounts = np.array([model.aperture_m2, model.free_w, model.standing_w, *model.daily_w])
    base = base + shared @ amounts
    warm = STRETCH - AHEAD
    left = np.nan_to_num(data.room_c[:, 1 : warm + 1] - base[:, :warm])
    sds = _own_spread(model)
    # Later half-hours of the warm-up tell more of what is to come.
    weight = np.exp((np.arange(warm) - warm) / 16.0) / ERROR_FLOOR_K
    weights = np.where(np.isfinite(data.room_c[:, 1 : warm + 1]), weight, 0.0)
    result = np.empty((len(data), AHEAD))
    for each in range(len(data)):
        rows = own[each, :warm] * weights[each][:, None]
        gram = rows.T @ rows + np.diag(1.0 / sds**2)
        solved = np.linalg.solve(gram, rows.T @ (left[each] * weights[each]))
        result[each] = base[each, warm:] + own[each, warm:] @ solved
        now = data.room_c[each, warm] - (base[each, warm - 1] + own[each, warm - 1] @ solved)
        if np.isfinite(now):  # what is left fades
            result[each] += now * np.exp(-(np.arange(AHEAD) + 1) / 8.0)
    return result


def held_out(model: HomeModel, data: Stretches) -> tuple[float, float]:
    """Return root-mean-square errors over a day ahead of the model and of persistence [K]."""
    actual = data.room_c[:, STRETCH - AHEAD + 1 :]
    now = data.room_c[:, STRETCH - AHEAD]
    error = actual - ahead(model, data)
    return _rms(error), _rms(actual - now[:, None])


def _rms(error: FloatArray) -> float:
    return float(np.sqrt(np.nanmean(error**2))) if np.isfinite(error).any() else float("nan")
