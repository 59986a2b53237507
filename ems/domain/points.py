"""Canonical points: what a device of each class may measure and accept.

A *point* is one measured or settable quantity of one device. Its canonical name
ends in its unit. Signs are those of the glossary: positive power is consumption
seen from the grid, so a generating inverter and a discharging battery are
negative. Drivers flip signs; nothing else does. Points whose description begins with
"derived" are computed by the control process from others of the same home.
"""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum
from typing import NamedTuple


class DeviceClass(StrEnum):
    """What a device is to Hearth; it decides which points it may have."""

    METER = "meter"
    HEAT_PUMP = "heat_pump"
    ROOM_SENSOR = "room_sensor"
    INVERTER = "inverter"
    BATTERY = "battery"
    HEAT_METER = "heat_meter"


class PointKind(StrEnum):
    """How values of a point combine over time."""

    GAUGE = "gauge"
    """An instantaneous value; over time it is averaged."""
    COUNTER = "counter"
    """A running total that only rises; over time it is differenced."""
    STATE = "state"
    """A code; over time its last value stands."""


class PointId(NamedTuple):
    """One point of one device, e.g. ``PointId("a-07-hp", "power_w")``."""

    device_id: str
    point: str

    def __str__(self) -> str:
        return f"{self.device_id}.{self.point}"


@dataclass(frozen=True, slots=True)
class CanonicalPoint:
    """A point that a device class may offer.

    Attributes
    ----------
    name
        Canonical name, ending in the unit where it has one.
    kind
        Gauge, counter or state.
    unit
        Unit for display; empty for codes.
    low, high
        Plausible range; a value outside it is marked ``OUT_OF_RANGE``.
    description
        What it is, in one line.
    """

    name: str
    kind: PointKind
    unit: str
    low: float
    high: float
    description: str


def _gauge(name: str, unit: str, low: float, high: float, description: str) -> CanonicalPoint:
    return CanonicalPoint(name, PointKind.GAUGE, unit, low, high, description)


def _counter(name: str, unit: str, high: float, description: str) -> CanonicalPoint:
    return CanonicalPoint(name, PointKind.COUNTER, unit, 0.0, high, description)


def _state(name: str, low: float, high: float, description: str) -> CanonicalPoint:
    return CanonicalPoint(name, PointKind.STATE, "", low, high, description)


OPERATING_STATES = {0: "off", 1: "hot water", 2: "heating", 3: "defrost", 4: "cooling", 5: "other"}
"""Meaning of a heat pump's ``operating_state``."""

BATTERY_STATES = {0: "idle", 1: "charging", 2: "discharging", 3: "fault", 4: "asleep", 5: "working"}
"""Meaning of a battery's ``battery_state``; "working" where the maker tells no more."""

SG_READY_MODES = {1: "blocked", 2: "normal", 3: "encouraged", 4: "ordered"}
"""Meaning of a heat pump's ``sg_mode`` (SG Ready label, four states)."""

_CATALOGUE: dict[DeviceClass, tuple[CanonicalPoint, ...]] = {
    DeviceClass.METER: (
        _gauge("power_w", "W", -2e6, 2e6, "active power, import positive"),
        _gauge("household_power_w", "W", -50e3, 50e3, "derived: home meter less heat pump"),
        _gauge("power_l1_w", "W", -1e6, 1e6, "active power of phase 1, import positive"),
        _gauge("power_l2_w", "W", -1e6, 1e6, "active power of phase 2, import positive"),
        _gauge("power_l3_w", "W", -1e6, 1e6, "active power of phase 3, import positive"),
        _gauge("voltage_v", "V", 150, 300, "voltage, phase to neutral"),
        _gauge("voltage_l2_v", "V", 150, 300, "voltage of phase 2 to neutral"),
        _gauge("voltage_l3_v", "V", 150, 300, "voltage of phase 3 to neutral"),
        _gauge("current_l1_a", "A", -6000, 6000, "current of phase 1"),
        _gauge("current_l2_a", "A", -6000, 6000, "current of phase 2"),
        _gauge("current_l3_a", "A", -6000, 6000, "current of phase 3"),
        _gauge("frequency_hz", "Hz", 45, 55, "mains frequency"),
        _counter("energy_import_kwh", "kWh", 1e9, "imported energy"),
        _counter("energy_export_kwh", "kWh", 1e9, "exported energy"),
        _gauge("clock_s", "s", 0, 1e10, "the device's own clock, seconds since 1970 UTC"),
    ),
    DeviceClass.HEAT_PUMP: (
        _gauge("power_w", "W", 0, 50e3, "electric power of compressor and auxiliaries"),
        _gauge("heating_power_w", "W", 0, 50e3, "derived: electric power while heating rooms"),
        _gauge("hot_water_power_w", "W", 0, 50e3, "derived: electric power while heating water"),
        _gauge("heat_w", "W", -20e3, 50e3, "derived: heat to the rooms, from flow and its cooling"),
        _gauge("room_temperature_c", "°C", -20, 50, "room temperature at its own thermostat"),
        _gauge("outdoor_temperature_c", "°C", -40, 60, "outdoor temperature at the unit"),
        _gauge("flow_temperature_c", "°C", -20, 90, "water leaving the heat pump"),
        _gauge("return_temperature_c", "°C", -20, 90, "water coming back"),
        _gauge("flow_rate_lpm", "l/min", 0, 200, "heating water flow"),
        _gauge("tank_temperature_c", "°C", 0, 95, "hot-water tank"),
        _state("operating_state", 0, 5, "what it is doing: see OPERATING_STATES"),
        _state("compressor_on", 0, 1, "compressor running"),
        _state("hot_water_on", 0, 1, "heating the hot-water tank"),
        _state("defrost_on", 0, 1, "defrosting (some makes: or starting up)"),
        _state("fault", 0, 65535, "0 when well, else the maker's code"),
        _state("heating_on", 0, 1, "space heating allowed"),
        _state("heating_control", 0, 5, "the maker's control method of the heating circuit"),
        _state("sg_mode", 1, 4, "SG Ready mode: see SG_READY_MODES"),
        _gauge("room_setpoint_c", "°C", 5, 35, "room temperature asked for"),
        _gauge("tank_setpoint_c", "°C", 20, 85, "hot-water temperature asked for"),
        _gauge("flow_setpoint_c", "°C", 5, 80, "water temperature asked for"),
        _gauge("compressor_hz", "Hz", 0, 200, "speed of the compressor"),
        _gauge("power_limit_w", "W", 0, 50e3, "greatest electric power allowed"),
        _counter("energy_kwh", "kWh", 1e9, "electricity used since commissioning"),
        _counter("heating_heat_kwh", "kWh", 1e9, "heat to the rooms since commissioning"),
        _counter("hot_water_heat_kwh", "kWh", 1e9, "heat to the tank since commissioning"),
        _state("hot_water_allowed", 0, 1, "heating the tank allowed"),
        _state("sg_state", 1, 4, "SG Ready mode in force by the device's account"),
        _state("sg_control", 0, 1, "SG Ready is commanded over Modbus"),
        _state("link_fault", 0, 1, "its own gateway does not hear the heat pump"),
        _gauge("clock_s", "s", 0, 1e10, "the device's own clock, seconds since 1970 UTC"),
    ),
    DeviceClass.ROOM_SENSOR: (
        _gauge("temperature_c", "°C", -20, 50, "living-room temperature"),
        _gauge("humidity_pct", "%", 0, 100, "relative humidity"),
    ),
    DeviceClass.INVERTER: (
        _gauge("power_w", "W", -2e6, 2e6, "active power; generation is negative"),
        _counter("energy_generated_kwh", "kWh", 1e9, "energy generated since commissioning"),
        _state("inverter_state", 1, 8, "SunSpec operating state"),
        _gauge("frequency_hz", "Hz", 45, 55, "mains frequency"),
        _gauge("power_limit_pct", "%", 0, 100, "greatest active power, of the rated power"),
        _state("power_limit_on", 0, 1, "the limit is in force"),
        _gauge("power_limit_timeout_s", "s", 0, 65535, "how long a limit lasts unrefreshed"),
        _gauge("clock_s", "s", 0, 1e10, "the device's own clock, seconds since 1970 UTC"),
    ),
    DeviceClass.BATTERY: (
        _gauge("power_w", "W", -2e6, 2e6, "charging positive, discharging negative"),
        _gauge("soc_pct", "%", 0, 100, "state of charge"),
        _counter("energy_charged_kwh", "kWh", 1e9, "energy charged since commissioning"),
        _counter("energy_discharged_kwh", "kWh", 1e9, "energy discharged since commissioning"),
        _gauge("grid_power_w", "W", -2e6, 2e6, "at its own grid meter, import positive"),
        _gauge("pv_power_w", "W", -2e6, 2e6, "of its own panels; generation is negative"),
        _gauge("frequency_hz", "Hz", 45, 55, "mains frequency"),
        _gauge("charge_power_max_w", "W", 0, 2e6, "greatest power it can charge with now"),
        _gauge("discharge_power_max_w", "W", 0, 2e6, "greatest power it can give now"),
        _gauge("soh_pct", "%", 0, 100, "state of health"),
        _gauge("capacity_kwh", "kWh", 0, 1e6, "rated energy"),
        _state("battery_state", 0, 5, "what it is doing: see BATTERY_STATES"),
        _state("battery_mode", 0, 5, "the maker's storage mode"),
        _state("remote_control", 0, 1, "follows commands over Modbus"),
        _state("charge_command_end", 0, 10, "what ends a charge command; 0: its time"),
        _state("charge_command", 0, 7, "the maker's code for charging and discharging"),
        _gauge("charge_power_limit_w", "W", 0, 2e6, "charging power asked for or allowed"),
        _gauge("discharge_power_limit_w", "W", 0, 2e6, "discharging power asked for or allowed"),
        _gauge("reserve_soc_pct", "%", 0, 100, "charge below which it does not discharge"),
        _gauge("battery_power_setpoint_w", "W", -2e6, 2e6, "power asked for, charging positive"),
        _gauge("remote_timeout_s", "s", 0, 65535, "how long a remote command lasts unrefreshed"),
        _state("remote_timeout_action", 0, 7, "what the device does when it lapses"),
        _gauge("clock_s", "s", 0, 1e10, "the device's own clock, seconds since 1970 UTC"),
    ),
    DeviceClass.HEAT_METER: (
        _gauge("heat_w", "W", -2e6, 2e6, "heat delivered"),
        _gauge("flow_temperature_c", "°C", -20, 180, "water going to the rooms"),
        _gauge("return_temperature_c", "°C", -20, 180, "water coming back"),
        _gauge("flow_rate_lpm", "l/min", 0, 50e3, "water flow"),
        _counter("heat_kwh", "kWh", 1e9, "heat delivered since commissioning"),
        _gauge("clock_s", "s", 0, 1e10, "the device's own clock, seconds since 1970 UTC"),
    ),
}

POINTS: dict[DeviceClass, dict[str, CanonicalPoint]] = {
    device_class: {point.name: point for point in points}
    for device_class, points in _CATALOGUE.items()
}
"""Canonical points by device class and name."""
