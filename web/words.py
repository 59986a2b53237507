"""Words for codes: causes, outcomes, points, qualities, roles, supplies."""

from __future__ import annotations

from collections.abc import Sequence
from zoneinfo import ZoneInfo

from ems.domain.estate import Block, Supply
from ems.domain.points import OPERATING_STATES, POINTS, SG_READY_MODES, DeviceClass
from ems.domain.readings import Quality, Reading
from ems.domain.setpoints import (
    Applied,
    Cause,
    Deferred,
    NotWritten,
    Outcome,
    OutOfBounds,
    Overtaken,
    Rejected,
    Setpoint,
    Unconfirmed,
    Unreachable,
)
from web.format import NO_DATA, clock_time, number, power

CAUSES = {
    Cause.DEVICE_PROTECTION: "Device protection",
    Cause.IMPORT_LIMIT: "Import limit",
    Cause.RESIDENT: "Resident's choice",
    Cause.COMFORT_FLOOR: "Comfort floor",
    Cause.EVENT: "Demand event",
    Cause.PEAK: "Peak charge",
    Cause.SCHEDULE: "Schedule",
    Cause.CHEAP_NOW: "Cheap now",
    Cause.DEAR_NOW: "Dear now",
    Cause.CARBON: "Carbon",
    Cause.SOLAR: "Own solar",
    Cause.MILD_NOW: "Milder outside",
    Cause.HOT_WATER: "Hot water",
    Cause.BATTERY_FULL: "Battery full",
    Cause.BATTERY_LOW: "Battery low",
    Cause.HOLD: "Hold",
    Cause.GENTLE_TEST: "Gentle test",
    Cause.NO_PLAN: "No plan",
    Cause.RELEASE: "Handed back",
}


def cause_words(causes: Sequence[Cause]) -> str:
    """Return causes as people read them, the chief one first: ``Cheap now, hot water``."""
    chief, *also = (CAUSES[cause] for cause in causes)
    return ", ".join([chief, *(f"{each[0].lower()}{each[1:]}" for each in also)])


QUALITIES = {
    Quality.GOOD: "good",
    Quality.STALE: "unchanged too long",
    Quality.SENTINEL: "not available, says the device",
    Quality.OUT_OF_RANGE: "out of range",
    Quality.NO_ANSWER: "no answer",
}
SUPPLIES = {
    Supply.BOUNDARY: "One supply: the landlord buys at the block meter and resells to homes",
    Supply.INDIVIDUAL: "Individual supplies: each home has its own supplier",
}
CLASSES = {
    DeviceClass.METER: "Meter",
    DeviceClass.HEAT_PUMP: "Heat pump",
    DeviceClass.ROOM_SENSOR: "Room sensor",
    DeviceClass.INVERTER: "Solar inverter",
    DeviceClass.BATTERY: "Battery",
    DeviceClass.HEAT_METER: "Heat meter",
}
ROLES = {
    "home_meter": "Home's meter",
    "heat_pump_meter": "Heat pump's meter",
    "heat_pump": "Heat pump",
    "room_sensor": "Living-room sensor",
    "heat_meter": "Home's heat meter",
    "block_heat_meter": "Block's heat meter",
    "block_meter": "Block meter",
    "landlord_meter": "Landlord's meter",
    "pv": "Solar inverter",
    "battery": "Battery",
}
STATUSES = {
    "optimal": "optimal",
    "feasible": "good, not proven best",
    "fallback": "fallback: own thermostats",
}


def outcome_words(outcome: Outcome, zone: ZoneInfo) -> str:
    """Return what came of a setpoint."""
    match outcome:
        case Applied(proven=False):
            words = "Written and acknowledged; the device cannot be asked what it holds"
        case Overtaken(held=value):
            words = f"Not written: somebody has set it to {value:g} at that moment"
        case NotWritten(why=why):
            words = f"Not written: {why}"
        case Applied(written=written):
            words = f"{'Written' if written else 'Held already'} and confirmed by read-back"
        case OutOfBounds(low=low, high=high):
            words = f"Not written: only {low:g} to {high:g} is permitted"
        case Rejected(exception_code=code):
            words = f"Refused by the device (Modbus exception {code})"
        case Unreachable():
            words = "The device did not answer"
        case Unconfirmed(read_back=value):
            words = f"Written, but it read back as {value:g}"
        case Deferred(until=until):
            words = f"Waits until {clock_time(until, zone)} to spare the device's memory"
    return words


def outcome_is_good(outcome: Outcome) -> bool:
    """Tell whether a setpoint is in force."""
    return isinstance(outcome, Applied)


def setpoint_words(setpoint: Setpoint) -> str:
    """Return what a setpoint asks for, e.g. "room at 21.0 °C"."""
    return command_words(setpoint.point_id.point, setpoint.value)


def command_words(point: str, value: float) -> str:
    """Return what a command on a point asks for."""
    match point:
        case "room_setpoint_c":
            return f"Room {number(value, 1, '°C')}"
        case "tank_setpoint_c":
            return f"Hot water {number(value, 0, '°C')}"
        case "sg_mode":
            return f"SG Ready {SG_READY_MODES.get(int(value), f'{value:g}')}"
        case "battery_power_setpoint_w":
            return (
                f"{'Charge' if value > 0 else 'Discharge'} {power(abs(value))}" if value else "Idle"
            )
    return f"{point.replace('_', ' ')}: {value:g}"


def reading_words(device_class: DeviceClass, reading: Reading) -> str:
    """Return a reading's value with its unit, codes in words."""
    point = POINTS[device_class].get(reading.point_id.point)
    if reading.value != reading.value:
        return NO_DATA
    if reading.point_id.point == "operating_state":
        return OPERATING_STATES.get(int(reading.value), f"{reading.value:g}")
    if reading.point_id.point == "sg_mode":
        return SG_READY_MODES.get(int(reading.value), f"{reading.value:g}")
    if point is None or not point.unit:
        return f"{reading.value:g}"
    decimals = {"W": 0, "kWh": 2, "Hz": 2, "s": 0}.get(point.unit, 1)
    return number(reading.value, decimals, point.unit)


def supply_words(block: Block) -> str:
    """Return how a block is supplied."""
    return SUPPLIES[block.supply]
