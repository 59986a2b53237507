"""What a simulated heat pump takes of what is written to it."""

from __future__ import annotations

from ems.domain.errors import InvalidInputError
from ems.domain.forecasts import FloatArray
from ems.field.physics import HomeState

ROOM_LIMITS_C = (10.0, 30.0)
TANK_LIMITS_C = (30.0, 60.0)
WRITABLE_STATES = {"sg_mode": (1, 4), "heating_on": (0, 1), "heating_control": (0, 5)}


def write_pump(
    state: HomeState, control_mode: FloatArray, home: int, point: str, value: float
) -> bool:
    """Write a point of one home's heat pump; return whether there is such a settable point.

    Parameters
    ----------
    state, control_mode
        Of all homes; changed in place. Temperatures beyond the pump's limits are limited.
    home
        The home's number.
    point, value
        What is written: a temperature [°C], a mode's code, or 1 for on.

    Raises
    ------
    InvalidInputError
        Where a code has no meaning.
    """
    if point in WRITABLE_STATES:
        low, high = WRITABLE_STATES[point]
        if not low <= value <= high or value != int(value):
            raise InvalidInputError(
                "the code has no meaning",
                field=point,
                value=value,
                remedy=f"Write a whole number from {low} to {high}.",
            )
    if point == "room_setpoint_c":
        state.room_setpoint_c[home] = min(max(value, ROOM_LIMITS_C[0]), ROOM_LIMITS_C[1])
    elif point == "tank_setpoint_c":
        state.tank_setpoint_c[home] = min(max(value, TANK_LIMITS_C[0]), TANK_LIMITS_C[1])
    elif point == "sg_mode":
        state.sg_mode[home] = value
    elif point == "heating_on":
        state.heating_on[home] = bool(value)
    elif point == "heating_control":
        control_mode[home] = value
    else:
        return False
    return True
