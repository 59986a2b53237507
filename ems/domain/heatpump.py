"""What a nameplate says about a heat pump at other temperatures.

Control knows a heat pump only by its nameplate until it has readings. Efficiency
follows the share of the Carnot limit that the nameplate reaches at its rating
point; capacity falls with outdoor temperature by a fixed share per kelvin, the
middle of what makers of small air-water units publish.
"""

from __future__ import annotations

import numpy as np

from ems.domain.estate import HeatPump
from ems.domain.forecasts import FloatArray

RATING_OUTDOOR_C = 7.0
RATING_FLOW_C = 35.0
CAPACITY_SHARE_PER_K = 0.02
LIFT_LOSS_K = 8.0
"""Refrigerant is about 4 K hotter than the water and 4 K colder than the air [K]."""


def flow_temperature_c(pump: HeatPump, outdoor_c: FloatArray) -> FloatArray:
    """Return the weather-compensated flow temperature [°C], shape of ``outdoor_c``.

    A straight line from 25 °C at 20 °C outdoor to the design flow at -2 °C outdoor.
    """
    share = np.clip((20.0 - outdoor_c) / 22.0, 0.0, 1.2)
    return np.asarray(25.0 + share * (pump.design_flow_c - 25.0), dtype=np.float64)


def _carnot(outdoor_c: FloatArray, flow_c: FloatArray) -> FloatArray:
    hot_k = flow_c + 273.15 + LIFT_LOSS_K / 2
    return np.asarray(hot_k / np.maximum(flow_c - outdoor_c + LIFT_LOSS_K, 5.0), dtype=np.float64)


def cop(pump: HeatPump, outdoor_c: FloatArray, flow_c: FloatArray) -> FloatArray:
    """Return the coefficient of performance [-], between 1 and 7."""
    rated = float(_carnot(np.array([RATING_OUTDOOR_C]), np.array([RATING_FLOW_C]))[0])
    quality = pump.rated_cop / rated
    return np.asarray(np.clip(quality * _carnot(outdoor_c, flow_c), 1.0, 7.0), dtype=np.float64)


def heat_capacity_w(pump: HeatPump, outdoor_c: FloatArray) -> FloatArray:
    """Return the greatest heat output [W] at these outdoor temperatures."""
    share = 1.0 + CAPACITY_SHARE_PER_K * (outdoor_c - RATING_OUTDOOR_C)
    return np.asarray(pump.rated_heat_w * np.clip(share, 0.5, 1.2), dtype=np.float64)
