"""Derived points: what follows from several readings of one home.

Household power is the home's meter less its heat pump; the heat pump's power is
split by what it was doing; heat to the rooms follows from flow and its cooling, at the
heat pump and at a heat meter that reports no heat itself.
A derived value exists only where everything it follows from is good and fresh.
"""

from __future__ import annotations

from collections.abc import Iterator
from datetime import datetime

from ems.domain.estate import Device, Dwelling, Estate
from ems.domain.points import DeviceClass, PointId
from ems.domain.readings import Reading, Snapshot

WATER_J_PER_L_K = 4180.0
HOT_WATER_STATE = 1
"""Canonical ``operating_state`` of hot-water production."""


def heat_from_flow_w(flow_lpm: float, flow_c: float, return_c: float) -> float:
    """Return heat carried by water [W]: ``m c ΔT`` with 4.18 kJ/(l·K)."""
    return flow_lpm / 60.0 * WATER_J_PER_L_K * (flow_c - return_c)


def _of_heat_meter(device: Device, snapshot: Snapshot, max_age_s: float) -> Iterator[Reading]:
    if "heat_w" in device.profile.points:
        return
    names = ("flow_rate_lpm", "flow_temperature_c", "return_temperature_c")
    values = [snapshot.good(device.id, name, max_age_s) for name in names]
    flow, warm, cool = values
    if flow is not None and warm is not None and cool is not None:
        heat = heat_from_flow_w(flow, warm, cool)
        yield Reading(PointId(device.id, "heat_w"), snapshot.taken_at, heat)


def _of_home(home: Dwelling, snapshot: Snapshot, max_age_s: float) -> Iterator[Reading]:
    now: datetime = snapshot.taken_at
    pump = home.heat_pump
    power = snapshot.good(pump.power_device_id, "power_w", max_age_s)
    total = snapshot.good(home.meter.device_id, "power_w", max_age_s)
    state = snapshot.good(pump.device_id, "operating_state", max_age_s)
    if power is not None and total is not None:
        yield Reading(PointId(home.meter.device_id, "household_power_w"), now, total - power)
    if power is not None and state is not None:
        for_water = int(state) == HOT_WATER_STATE
        water_w = power if for_water else 0.0
        yield Reading(PointId(pump.device_id, "hot_water_power_w"), now, water_w)
        yield Reading(PointId(pump.device_id, "heating_power_w"), now, power - water_w)
    if state is None:
        return
    flow = snapshot.good(pump.device_id, "flow_rate_lpm", max_age_s)
    warm = snapshot.good(pump.device_id, "flow_temperature_c", max_age_s)
    cool = snapshot.good(pump.device_id, "return_temperature_c", max_age_s)
    if flow is None or warm is None or cool is None:
        return
    to_rooms = 0.0 if int(state) == HOT_WATER_STATE else heat_from_flow_w(flow, warm, cool)
    yield Reading(PointId(pump.device_id, "heat_w"), now, to_rooms)


def derived_readings(estate: Estate, snapshot: Snapshot, max_age_s: float) -> list[Reading]:
    """Return the derived readings of all homes at the snapshot's instant.

    Parameters
    ----------
    estate
        The estate.
    snapshot
        Latest readings.
    max_age_s
        Readings older than this are not used [s].
    """
    homes = [
        reading for home in estate.dwellings() for reading in _of_home(home, snapshot, max_age_s)
    ]
    heat_meters = [
        reading
        for device in estate.devices.values()
        if device.device_class is DeviceClass.HEAT_METER
        for reading in _of_heat_meter(device, snapshot, max_age_s)
    ]
    return homes + heat_meters
