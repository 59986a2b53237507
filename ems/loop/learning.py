"""What a step learns before it plans: the home's model, and how the last step came out."""

from __future__ import annotations

from dataclasses import replace
from datetime import datetime

import numpy as np
import pandas as pd

from ems.domain.errors import InvalidInputError
from ems.domain.forecasts import FloatArray
from ems.loop.actuators import learnt
from ems.loop.heating import capacity_w, heat_from_power, heat_per_w
from ems.loop.history import Readings
from ems.loop.memory import Memory
from ems.loop.outlook import Outlook
from ems.loop.types import Actuator, Device
from forecasting.grey_box import learn
from forecasting.home_model import HomeModel, gains, run, where_it_stands

REFIT_S = 86400.0
"""A model is fitted anew after so long [s]."""
CHECK_S = 7200.0
"""The model is checked against so long, so often [s]."""


def with_heat(grid: pd.DataFrame, device: Device) -> pd.DataFrame:
    """Return the grid with heat from electricity where none is metered."""
    if grid.empty:
        return grid
    power, outdoor = grid["power_w"].to_numpy(), grid["outdoor_c"].to_numpy()
    guess = heat_from_power(device, power, outdoor)
    heat = grid["heat_w"].to_numpy()
    metered = np.isfinite(heat).sum() >= 0.8 * np.isfinite(power).sum()
    if metered:
        return grid.assign(heat_w=heat, per_w=0.0)
    return grid.assign(heat_w=guess, per_w=heat_per_w(device, power, outdoor))


def learnt_again(
    memory: Memory, grid: pd.DataFrame, prior: HomeModel, spread: float, now: datetime
) -> Memory:
    """Return the memory with a model fitted anew where the last fit is a day old."""
    fitted = memory.fitted_at
    young = memory.model is None or memory.model.source == "prior"
    wait_s = REFIT_S / 4 if young else REFIT_S
    if fitted is not None and 0 <= (now - fitted).total_seconds() < wait_s:
        return memory
    if len(grid) < 2:
        return memory
    model = learn(grid, prior, spread=spread)
    return replace(memory, model=model, fitted_at=now)


def taught(
    memory: Memory,
    readings: Readings,
    now: datetime,
    device: Device,
    outlook: Outlook,
    room_c: float | None,
) -> Memory:
    """Return the memory with what happened since the last step."""
    if memory.at is None:
        return memory
    if memory.at > now:
        raise InvalidInputError(
            "the state is from a later time",
            field="now",
            value=now.isoformat(),
            remedy="Steps go forward; begin anew with no state.",
        )
    elapsed_s = (now - memory.at).total_seconds()
    since = readings.raw[readings.raw.index > memory.at]
    measured_w = None
    if len(since) and elapsed_s <= 7200.0:
        name = (
            "heat_w" if "heat_w" in since.columns and since["heat_w"].notna().any() else "power_w"
        )
        mean_w = float(since[name].mean())
        if np.isfinite(mean_w):
            measured_w = mean_w
            if name == "power_w":
                power, outdoor = np.array([mean_w]), outlook.outdoor_c[:1]
                lost_w = 0.0 if memory.model is None else memory.model.standing_w
                heat = heat_from_power(device, power, outdoor)
                heat -= lost_w * heat_per_w(device, power, outdoor)
                measured_w = max(float(heat[0]), 0.0)
    nominal_w = float(capacity_w(device, outlook.outdoor_c[:1], 1.0)[0])
    if room_c is not None:
        memory = learnt(device, memory, room_c, measured_w, nominal_w, elapsed_s)
    if measured_w is not None and device.actuator in (Actuator.ON_OFF, Actuator.MODULATION):
        memory = replace(memory, asked_w=measured_w)
    return memory


def checked(
    memory: Memory,
    model: HomeModel,
    edges: FloatArray,
    inputs: FloatArray,
    now: datetime,
    noise_k: float,
) -> Memory:
    """Return the memory with how the last two hours came out beside what the model says of them.

    The heat is what was given, not what was planned: a thermostat that does as it likes is no
    fault of the model.
    """
    due = memory.checked_at is None or (now - memory.checked_at).total_seconds() >= CHECK_S
    back = round(CHECK_S / 1800.0)
    last = inputs[-back:]
    if not due or len(inputs) < 3 * back or not np.isfinite(last[:, :2]).all():
        return memory
    stands, unexplained_w = where_it_stands(model, edges[:-back], inputs[:-back], 0.5, noise_k)
    given = np.nan_to_num(last)
    given[:, 2] += unexplained_w
    error_k = float(edges[-1] - run(model, stands, given, 0.5)[-1, 0])
    return replace(memory, checked_at=now, answer=memory.answer.after(error_k))


def inputs_of(grid: pd.DataFrame, model: HomeModel) -> FloatArray:
    """Return the model's inputs of the half-hours of a grid, shape (steps, 4)."""
    index = pd.DatetimeIndex(grid.index)
    hours = np.asarray(index.hour + index.minute / 60.0 + 0.25, dtype=np.float64)
    to_air, to_mass = gains(model, hours, grid["sun_w_m2"].to_numpy())
    heat_w = grid["heat_w"].to_numpy() - model.standing_w * grid["per_w"].to_numpy()
    return np.stack([np.maximum(heat_w, 0.0), grid["outdoor_c"].to_numpy(), to_air, to_mass], 1)


def cautious(model: HomeModel) -> HomeModel:
    """Return the model at the cautious end: a home that stores less than is likely."""
    relative = model.capacity_sd / max(model.capacity_wh_per_k, 1.0)
    less = max(1.0 - 0.5 * relative, 0.6)
    return replace(
        model, air_wh_per_k=model.air_wh_per_k * less, mass_wh_per_k=model.mass_wh_per_k * less
    )
