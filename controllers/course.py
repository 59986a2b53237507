"""What each step of a plan is beside the home's own thermostat: dispatch follows it so."""

from __future__ import annotations

import numpy as np

from controllers.evaluation import Decision, Evaluation
from controllers.stacked import Stacked
from ems.domain.forecasts import FloatArray
from ems.domain.reasons import Course

NEAR_KW = 0.15
"""Heat closer to the thermostat's than this [kW] counts as the same."""
NEAR_K = 0.1
KINDS = np.array([Course.AS_ASKED, Course.BEHIND, Course.AHEAD], dtype=object)


def courses(model: Stacked, decision: Decision, found: Evaluation) -> list[tuple[Course, ...]]:
    """Return the course of each home's steps.

    Heat that a warmer time soon asks for, because the heat pump could not bring it by then, is
    as asked; a room that is warmer than asked and rests is left to coast.
    """
    before = np.concatenate([model.room_c[:, None], found.rooms_c[:, :-1]], axis=1)
    coasting = model.decay * before + model.drift_k + found.pull_k
    wanted = (model.comfort_c - coasting) / model.gain_k_per_kw
    heat = decision.heat_kw
    more = heat - np.clip(wanted, 0.0, model.heat_max_kw)
    ahead = (more > NEAR_KW) & (found.rooms_c > in_time_c(model, found) + NEAR_K)
    rests = (heat <= NEAR_KW) & (found.rooms_c > model.comfort_c + NEAR_K)
    behind = (more < -NEAR_KW) | rests
    kind = np.where(ahead, 2, behind.astype(np.intp))
    return [tuple(row) for row in KINDS[kind].tolist()]


def in_time_c(model: Stacked, found: Evaluation) -> FloatArray:
    """Return the least that rooms may have to reach all later schedules [°C], (homes, steps)."""
    result = model.comfort_c.copy()
    gained = model.drift_k + found.pull_k + model.gain_k_per_kw * model.heat_max_kw
    for step in reversed(range(model.steps - 1)):
        decay = np.maximum(model.decay[:, step + 1], 1e-6)
        needed = (result[:, step + 1] - gained[:, step + 1]) / decay
        result[:, step] = np.maximum(result[:, step], needed)
    return np.minimum(result, model.ceiling_c)
