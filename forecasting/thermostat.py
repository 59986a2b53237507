"""Heat-pump power under a home's own thermostat: what it would draw if nobody planned.

One state a home (equation 8 of ``docs/forecasting.md``) is carried forward in steps of five
minutes while the thermostat asks for what keeps the resident's schedule::

    Q = clip(C (T_asked - T) / tau + U (T - T_out) - F, 0, Q_max(T_out)),  P = s Q / COP    (36)

with free heat ``F`` (people, appliances, sun) as it is forecast, and ``s`` what the home's meter
showed over what estimate and nameplate expected of the same days. The band joins what is not known
of the weather and the home's loss with the pump's own cycling: within a half-hour it runs or
rests, so a home's power swings far more than the mean of many::

    sd^2 = ((P(q90) - P(q10)) / 2.563)^2 + P^2 ((sd_U / U)^2 + 0.2^2)
         + kappa^2 P (P_max - P)                                                          (37)
"""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np

from ems.domain.estate import Dwelling
from ems.domain.forecasts import FloatArray, Forecast
from ems.domain.heatpump import cop, flow_temperature_c, heat_capacity_w
from ems.domain.thermal import ThermalEstimate
from ems.domain.time import HALF_HOUR, steps
from forecasting.interface import LEVELS, Z_90, make_forecast
from forecasting.pv import on_steps
from forecasting.run import Setting

TARGET = "heat_pump_w"
RESPONSE_S = 2 * 3600.0
"""tau of (36): weather-compensated water brings a room back slowly [s]."""
CYCLING = 1.0
"""kappa of (37): 1 for a pump that runs or rests for whole half-hours, 0 for one that modulates."""
HYSTERESIS_K = 0.5
"""A thermostat lets the room go this far above what is asked for before it rests [K]."""
PUMP_CORRELATION = 0.05
"""Between the errors of any two homes' heat pumps: one weather, like schedules [-]."""
OWN_SHARE = 0.2
"""What windows, doors and visitors make of a home's heat, beside its loss [-]."""
_SUB_STEPS = 6
_SUB_S = 300.0


def own_thermostat(
    dwelling: Dwelling,
    estimate: ThermalEstimate,
    weather: Mapping[str, Forecast],
    free_heat: Forecast,
    setting: Setting,
    room_c: float | None = None,
) -> Forecast | None:
    """Return a home's heating power under its own thermostat from now on [W].

    Hot water, which has a forecast of its own, is not in it.

    Parameters
    ----------
    dwelling
        The home, with the schedule its resident chose.
    estimate
        What is known of its heat.
    weather
        Forecasts by target; without ``outdoor_c`` there is no forecast.
    free_heat
        The home's ``free_heat_w`` of the same issue.
    setting
        Where and when.
    room_c
        Room temperature now; without it the schedule's stands in, and the forecast says so.
    """
    outdoor = weather.get("outdoor_c")
    if outdoor is None:
        return None
    horizon = setting.horizon
    asked = np.array(
        [
            dwelling.comfort.temperature_at(at + HALF_HOUR / 2, setting.zone)
            for at in steps(horizon.start, horizon.steps)
        ]
    )
    asked += HYSTERESIS_K / 2
    start_c = float(asked[0]) if room_c is None else room_c
    free = on_steps(free_heat, horizon, "mean")

    def power(outdoor_c: FloatArray) -> FloatArray:
        heat = _heat(dwelling, estimate, asked, outdoor_c, free, start_c)
        pump = dwelling.heat_pump
        nominal = heat / cop(pump, outdoor_c, flow_temperature_c(pump, outdoor_c))
        return np.asarray(nominal * estimate.power_scale)

    mean_c = on_steps(outdoor, horizon, "mean")
    mean = power(mean_c)
    pump = dwelling.heat_pump
    most = heat_capacity_w(pump, mean_c) / cop(pump, mean_c, flow_temperature_c(pump, mean_c))
    sky = (power(on_steps(outdoor, horizon, 0.1)) - power(on_steps(outdoor, horizon, 0.9))) / (
        2.0 * Z_90
    )
    home = mean * np.hypot(estimate.loss_sd / estimate.loss_w_per_k, OWN_SHARE)
    cycling = CYCLING**2 * mean * np.maximum(most - mean, 0.0)
    away = Z_90 * np.sqrt(sky**2 + home**2 + cycling)
    lacked = [*outdoor.lacked, *free_heat.lacked]
    if room_c is None:
        lacked.append("room temperature now: the schedule's stands in")
    return make_forecast(
        TARGET,
        dwelling.id,
        horizon,
        mean,
        {level: np.clip(mean + np.sign(level - 0.5) * away, 0.0, most) for level in LEVELS},
        lacked=lacked,
        model=f"own thermostat, thermal {estimate.source}",
    )


def _heat(
    dwelling: Dwelling,
    estimate: ThermalEstimate,
    asked_c: FloatArray,
    outdoor_c: FloatArray,
    free_w: FloatArray,
    start_c: float,
) -> FloatArray:
    """Return the heat that the thermostat asks for by (36), half-hour means [W]."""
    most = heat_capacity_w(dwelling.heat_pump, outdoor_c)
    capacity, loss = estimate.capacity_j_per_k, estimate.loss_w_per_k
    out = np.zeros(len(asked_c))
    room = start_c
    for step, wanted in enumerate(asked_c.tolist()):
        for _ in range(_SUB_STEPS):
            lost = loss * (room - float(outdoor_c[step])) - float(free_w[step])
            heat = capacity * (wanted - room) / RESPONSE_S + lost
            heat = min(max(heat, 0.0), float(most[step]))
            room += (heat - lost) * _SUB_S / capacity
            out[step] += heat / _SUB_STEPS
    return out
