"""A room over the steps of a plan: where it can get to, and what it coasts down to."""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np

from ems.domain.forecasts import FloatArray


@dataclass(frozen=True, slots=True, eq=False)
class Room:
    """The room's equation over one step, as in :mod:`controllers.stacked`."""

    decay: float
    gain_k_per_w: float
    drift_k: FloatArray

    @classmethod
    def of(
        cls, loss_w_per_k: float, capacity_j_per_k: float, step_s: float, free: FloatArray
    ) -> Room:
        """``free`` is outdoor temperature plus free heat over loss [°C], shape (steps,)."""
        decay = math.exp(-step_s * loss_w_per_k / capacity_j_per_k)
        return cls(decay, (1.0 - decay) / loss_w_per_k, (1.0 - decay) * free)


def thermostat_path(
    room: Room, start_c: float, comfort: FloatArray, heat_max: FloatArray
) -> FloatArray:
    """Return the least temperature that the home's own thermostat lets it have [°C].

    An SG Ready heat pump cannot be made to coast: its thermostat heats as soon as the room
    is below the schedule, as fast as it can. Where the room is colder than that now, the
    path is its way back.
    """
    path = np.empty(comfort.size)
    now_c = start_c
    for step in range(comfort.size):
        hottest = (
            room.decay * now_c + room.gain_k_per_w * heat_max[step] + float(room.drift_k[step])
        )
        now_c = min(hottest, float(comfort[step]))
        path[step] = now_c
    return path


def coasting_ceiling(room: Room, start_c: float, ceiling: FloatArray) -> FloatArray:
    """Return the ceiling, raised to what a room that was allowed before it coasts down to.

    A room at yesterday evening's 21 °C is not above a ceiling only because the schedule has
    fallen; nor is one that the sun or its resident made warm.
    """
    result = np.empty(ceiling.size)
    allowed = start_c
    for step in range(ceiling.size):
        coasting = room.decay * allowed + float(room.drift_k[step])
        allowed = max(float(ceiling[step]), coasting)
        result[step] = allowed
    return result
