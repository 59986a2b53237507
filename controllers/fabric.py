"""Homes with heavy parts: two states a home, solved exactly over a step of constant inputs.

    d/dt (T, M) = S (T, M) + (h + g + U T_out, 0) / (C, C_m)                              (1)
    S = [[-(U + K) / C, K / C], [K / C_m, -K / C_m]]

S is symmetric after scaling by the roots of the capacities, so that its exponential and the
integral of that come from two real eigenvalues.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from controllers.checked import scalar
from ems.domain.forecasts import FloatArray
from ems.domain.plans import SchedulingProblem

J_PER_KWH = 3.6e6


@dataclass(frozen=True, slots=True, eq=False)
class StackedFabric:
    """Second states of a block; m counts homes that have one.

    Attributes
    ----------
    rows
        Their rows among the homes, shape (m,).
    mass_c
        Temperatures now [°C], shape (m,).
    from_mass, from_room, decay
        ``T' = ... + from_mass M`` and ``M' = from_room T + decay M + gain h + drift``; shape
        (m, steps).
    gain_k_per_kw, drift_k
        See above.
    capacity_kwh_per_k
        Of the heavy parts, shape (m,).
    """

    rows: NDArray[np.int32]
    mass_c: FloatArray
    from_mass: FloatArray
    from_room: FloatArray
    decay: FloatArray
    gain_k_per_kw: FloatArray
    drift_k: FloatArray
    capacity_kwh_per_k: FloatArray


def stack_fabric(
    problem: SchedulingProblem,
    dt_h: FloatArray,
    decay: FloatArray,
    gain_k_per_kw: FloatArray,
    drift_k: FloatArray,
) -> StackedFabric:
    """Return the second states; the rooms' own coefficients of their homes are set in place.

    Parameters
    ----------
    decay, gain_k_per_kw, drift_k
        Of all rooms, shape (homes, steps), as of homes with one state.

    Raises
    ------
    InvalidInputError
        Where a temperature, capacity or coupling has no meaning.
    """
    rows = [row for row, home in enumerate(problem.homes) if home.fabric is not None]
    shape = (len(rows), dt_h.size)
    from_mass, from_room, stays, gain, drift = (np.zeros(shape) for _ in range(5))
    mass_c, capacity = np.zeros(len(rows)), np.zeros(len(rows))
    for k, row in enumerate(rows):
        home = problem.homes[row]
        fabric = home.fabric
        if fabric is None:  # pragma: no cover - rows are those that have one
            continue
        name = f"homes[{home.dwelling_id}].fabric"
        mass_c[k] = scalar(fabric.mass_c, f"{name}.mass_c")
        coupling = scalar(fabric.coupling_w_per_k, f"{name}.coupling_w_per_k", 0.0) / 1000.0
        heavy = scalar(fabric.capacity_j_per_k, f"{name}.capacity_j_per_k", 1.0) / J_PER_KWH
        light, loss = home.capacity_j_per_k / J_PER_KWH, home.loss_w_per_k / 1000.0
        capacity[k] = heavy
        step, integral = _transition(dt_h, light, heavy, loss, coupling)
        gain_room, gain[k] = integral[:, 0] / light, integral[:, 1] / light
        free = loss * np.asarray(home.outdoor_c) + np.asarray(home.free_heat_w) / 1000.0
        decay[row], from_mass[k] = step[:, 0, 0], step[:, 0, 1]
        from_room[k], stays[k] = step[:, 1, 0], step[:, 1, 1]
        gain_k_per_kw[row], drift_k[row] = gain_room, gain_room * free
        drift[k] = gain[k] * free
    return StackedFabric(
        rows=np.array(rows, dtype=np.int32),
        mass_c=mass_c,
        from_mass=from_mass,
        from_room=from_room,
        decay=stays,
        gain_k_per_kw=gain,
        drift_k=drift,
        capacity_kwh_per_k=capacity,
    )


def _transition(
    dt_h: FloatArray, light: float, heavy: float, loss: float, coupling: float
) -> tuple[FloatArray, FloatArray]:
    """Return exp(S dt), shape (steps, 2, 2), and the first column of its integral, (steps, 2)."""
    root = np.sqrt(np.array([light, heavy]))
    across = coupling / (root[0] * root[1])
    symmetric = np.array([[-(loss + coupling) / light, across], [across, -coupling / heavy]])
    values, vectors = np.linalg.eigh(symmetric)
    exponent = np.minimum(values, 0.0)[None, :] * dt_h[:, None]
    grown = np.exp(exponent)
    far = np.abs(exponent) > 1e-12
    mean = np.where(far, np.expm1(exponent) / np.where(far, exponent, 1.0), 1.0)
    scale = root[None, :] / root[:, None]
    step = np.einsum("ik,tk,jk->tij", vectors, grown, vectors) * scale
    whole = np.einsum("ik,tk,jk->tij", vectors, mean * dt_h[:, None], vectors) * scale
    return step, whole[:, :, 0]
