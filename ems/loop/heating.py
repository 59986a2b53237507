"""What the heat pump can give, what it draws for it, and how its emitters answer."""

from __future__ import annotations

import numpy as np

from ems.domain.estate import Actuator as EstateActuator
from ems.domain.estate import HeatPump
from ems.domain.forecasts import FloatArray
from ems.domain.heatpump import cop, flow_temperature_c, heat_capacity_w
from ems.loop.optimum import Heating
from ems.loop.types import Actuator, Device
from forecasting.home_model import HomeModel

EXPONENT = 1.2
"""Heat of radiators and floors grows with the excess temperature to this power [-]."""
ROOM_C = 20.0
EPC = {
    "A": (0.8, 46.0),
    "B": (1.1, 46.0),
    "C": (1.6, 46.0),
    "D": (2.1, 46.0),
    "E": (2.6, 46.0),
    "F": (3.1, 48.0),
    "G": (3.6, 48.0),
}
"""Band → loss [W/(K·m²)] and capacity [Wh/(K·m²)], as in the rules of the demonstration."""
RUNS_SHARE = 0.05
"""A heat pump that draws more than this share of its rated power runs [-]."""
DESIGN_LIFT_K = 24.0
SIZED_SHARE = 0.75
"""Where no certificate is known: the heat pump covers the loss at -4 °C with this share of its
rated heat, and the home has this time constant [h]."""
TIME_CONSTANT_H = 35.0


def pump_of(device: Device) -> HeatPump:
    """Return the nameplate as the rest of Hearth knows it."""
    return HeatPump(
        device_id="",
        actuator=EstateActuator.ROOM_SETPOINT,
        rated_heat_w=device.rated_heat_w,
        rated_cop=device.rated_cop,
        min_modulation=device.min_modulation,
        design_flow_c=device.design_flow_c,
    )


def prior_of(device: Device) -> tuple[HomeModel, float]:
    """Return what certificate and nameplate say of the home before data, and its spread."""
    area = device.floor_area_m2
    by_size = SIZED_SHARE * device.rated_heat_w / DESIGN_LIFT_K
    if area is not None and device.epc_band in EPC:
        per_area = EPC[device.epc_band]
        loss, capacity, spread = per_area[0] * area, per_area[1] * area, 0.35
    elif area is not None:
        loss, capacity, spread = by_size, 46.0 * area, 0.5
    else:
        loss, capacity, spread = by_size, by_size * TIME_CONSTANT_H, 0.6
    size = loss / 2.0 if area is None else area
    model = HomeModel(
        loss_w_per_k=loss,
        loss_sd=spread * loss,
        air_wh_per_k=capacity,
        capacity_sd=spread * capacity,
        aperture_m2=0.03 * size,
        free_w=5.0 * size,
        note="before readings: from the certificate or the nameplate",
    )
    return model, spread


def capacity_w(device: Device, outdoor_c: FloatArray, scale: float) -> FloatArray:
    """Return the greatest heat [W]; ``scale`` is what was seen beside the nameplate."""
    return heat_capacity_w(pump_of(device), outdoor_c) * scale


def heat_from_power(device: Device, power_w: FloatArray, outdoor_c: FloatArray) -> FloatArray:
    """Return heat [W] from electricity and the nameplate's efficiency.

    Where the flow follows the heat, the efficiency is that of the flow which the emitters need
    for this heat; elsewhere of the mean between that and the heating curve's flow.
    """
    heat = power_w * _cop(device, np.maximum(power_w, 0.0) * device.rated_cop, outdoor_c)
    for _ in range(3):  # contracts: a degree of flow costs 2 % of the efficiency
        heat = power_w * _cop(device, np.maximum(heat, 0.0), outdoor_c)
    return np.asarray(heat)


def _cop(
    device: Device,
    heat_w: FloatArray,
    outdoor_c: FloatArray,
    room_c: float = ROOM_C,
    gain: float = 1.0,
) -> FloatArray:
    """Return the efficiency [-] at this heat."""
    pump = pump_of(device)
    flow = flow_for(device, heat_w, room_c, gain)
    if device.actuator not in (Actuator.MODULATION, Actuator.FLOW_SETPOINT):
        flow = 0.5 * flow + 0.5 * flow_temperature_c(pump, outdoor_c)
    return cop(pump, outdoor_c, flow)


def heat_per_w(device: Device, power_w: FloatArray, outdoor_c: FloatArray) -> FloatArray:
    """Return how much less heat each watt of standing electricity would mean [W/W]."""
    runs = power_w > RUNS_SHARE * device.rated_heat_w / device.rated_cop
    guess = heat_from_power(device, power_w, outdoor_c)
    return np.where(runs, guess / np.where(runs, power_w, 1.0), 0.0)


def flow_for(device: Device, heat_w: FloatArray, room_c: float, gain: float) -> FloatArray:
    """Return the flow temperature [°C] at which the emitters give this heat.

    ``heat = gain * rated * ((flow - 2.5 - room) / (design - 2.5 - 20)) ** 1.2``, the return
    being 5 K below the flow.
    """
    rated = (device.emitter_w or device.rated_heat_w) * gain
    excess = device.design_flow_c - 2.5 - ROOM_C
    share = np.maximum(heat_w, 0.0) / rated
    return np.asarray(room_c + 2.5 + excess * share ** (1.0 / EXPONENT))


def emitted_w(device: Device, flow_c: float, room_c: float) -> float:
    """Return the emitters' heat at this flow temperature [W], before any learnt gain."""
    rated = device.emitter_w or device.rated_heat_w
    excess = max(flow_c - 2.5 - room_c, 0.0) / (device.design_flow_c - 2.5 - ROOM_C)
    return float(rated * excess**EXPONENT)


def heating_of(
    device: Device, outdoor_c: FloatArray, room_c: float, scale: float, gain: float
) -> Heating:
    """Return the parts of the heat and their efficiency.

    A further watt is made at a higher flow: three parts, each with the efficiency of its own
    extra electricity. What is on or off has but one.
    """
    pump = pump_of(device)
    most = capacity_w(device, outdoor_c, scale)
    if device.actuator is Actuator.ON_OFF:
        efficiency = cop(pump, outdoor_c, flow_temperature_c(pump, outdoor_c))
        return Heating(most[None, :], efficiency[None, :])
    if device.actuator is Actuator.FLOW_SETPOINT:
        most = np.minimum(most, emitted_w(device, device.bounds[1], room_c) * gain)
    shares = np.array([0.4, 0.7, 1.0])
    heats = shares[:, None] * most[None, :]
    powers = np.array([heat / _cop(device, heat, outdoor_c, room_c, gain) for heat in heats])
    parts = np.diff(np.vstack([np.zeros_like(most), heats]), axis=0)
    extra = np.diff(np.vstack([np.zeros_like(most), powers]), axis=0)
    efficiency = np.minimum.accumulate(parts / np.maximum(extra, 1e-6), axis=0)
    return Heating(parts, np.maximum(efficiency, 0.8))
