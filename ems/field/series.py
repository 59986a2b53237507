"""What all devices show at an instant, from the state of the physics."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from ems.domain.forecasts import FloatArray
from ems.field.days import Day
from ems.field.storage import BatteryState

if TYPE_CHECKING:
    from ems.field.simulation import EstateSimulation

_NO_BATTERY = BatteryState(energy_wh=0.0)


WATER_W_PER_LPM_K = 4180.0 / 60.0
"""Heat that a litre a minute carries for each kelvin [W]."""


def shown_series(field: EstateSimulation, day: Day, minute: int) -> list[FloatArray]:
    """Return every series in the order of `ems.field.layout.ROLES`.

    Each has shape (homes,) or (blocks,), in the unit of its point, with the signs of the
    glossary. ``minute`` is the minute of ``day`` that the physics has reached.
    """
    homes, traits, counters = field.homes, field.traits, field.counters
    count, blocks = len(traits.ids), len(field.estate.blocks)
    mains = day.mains[minute]
    frequency = 50.0 + 0.015 * mains[1]
    block_v = 242.0 + 0.7 * mains[0] - field.block_w / 1000.0 * 0.05
    home_v = field.block_of.T @ block_v - field.home_w / 1000.0 * 0.35
    hz, block_hz = np.full(count, frequency), np.full(blocks, frequency)
    none = np.zeros(count)
    tank = homes.compressor & homes.tank_wanted
    defrost = homes.compressor & (homes.defrost_s > 0.0)
    state = np.where(defrost, 3.0, np.where(tank, 1.0, np.where(homes.compressor, 2.0, 0.0)))
    written = homes.room_setpoint_c
    setpoint = np.where(np.isnan(written), day.wish_c[minute], written)
    flow = traits.flow_lpm * (homes.pump_on | tank)
    to_rooms = np.where(tank, 0.0, flow)
    batteries = [battery.state if battery else _NO_BATTERY for battery in field.batteries]
    soc = [battery.soc_pct if battery else 0.0 for battery in field.batteries]
    return [
        # home_meter
        *(field.home_w, home_v, hz, counters["home_import"], none),
        # heat_pump_meter
        *(homes.power_w, home_v, hz, counters["pump_import"], none),
        # heat_pump
        homes.power_w,
        homes.air_c + field.physics.sense_k,
        np.full(count, day.outdoor_c[minute]),
        *(homes.flow_c, homes.return_c, flow, homes.tank_c),
        *(state, homes.compressor.astype(np.float64)),
        *(tank.astype(np.float64), defrost.astype(np.float64)),
        none,
        homes.heating_on.astype(np.float64),
        *(field.control_mode, homes.sg_mode, setpoint, homes.tank_setpoint_c),
        # room_sensor
        homes.air_c + field.sensor_offset_k + day.sensor_noise_k[minute],
        field.physics.humidity_pct(homes),
        # block_meter
        *(field.block_w, *field.phase_w, block_v, block_hz),
        *(counters["block_import"], counters["block_export"]),
        # landlord_meter
        *(field.landlord_w, *([field.landlord_w / 3.0] * 3), block_v, block_hz),
        *(counters["landlord_import"], counters["landlord_export"]),
        # pv
        *(-field.pv_w, counters["generated"], np.where(field.pv_w > 5.0, 4.0, 2.0), block_hz),
        *field.pv_limits.shown,
        # battery
        np.array([battery.power_w for battery in batteries]),
        np.array(soc),
        np.array([battery.charged_kwh for battery in batteries]),
        np.array([battery.discharged_kwh for battery in batteries]),
        np.array([float(battery.mode) for battery in batteries]),
        np.array([battery.setpoint_w for battery in batteries]),
        np.array([battery.timeout_s for battery in batteries]),
        np.array([float(battery.action) for battery in batteries]),
        # heat_meter
        to_rooms * WATER_W_PER_LPM_K * (homes.flow_c - homes.return_c),
        *(homes.flow_c, homes.return_c, to_rooms),
    ]
