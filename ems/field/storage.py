"""A block's battery: losses, self-consumption, and a remote mode that lapses by itself.

The remote mode is the passive mode of the Sofar map: a power setpoint rules until
nothing was written for the timeout; then, by the timeout's action, the battery either
returns to the mode it had before or stands by. A timeout of 0 switches that off.
"""

from __future__ import annotations

from dataclasses import asdict, dataclass
from typing import Any

from ems.domain import estate

SELF_USE, PASSIVE = 0, 3
ACTION_STANDBY, ACTION_PREVIOUS = 0, 1
STANDBY_LOSS_W = 25.0
REACTION_SHARE = 0.98
"""Its own regulation leaves a little import, so as not to export by accident."""


@dataclass
class BatteryState:
    """What a battery carries from step to step.

    Energy [Wh] is usable energy above empty; counters [kWh] only rise; instants are
    seconds since the epoch.
    """

    energy_wh: float
    power_w: float = 0.0
    charged_kwh: float = 0.0
    discharged_kwh: float = 0.0
    mode: int = SELF_USE
    previous_mode: int = SELF_USE
    setpoint_w: float = 0.0
    timeout_s: float = 300.0
    action: int = ACTION_PREVIOUS
    heard_s: float = 0.0
    standing_by: bool = False


class BatteryPhysics:
    """Steps one battery.

    Parameters
    ----------
    nameplate
        From the estate's configuration.
    state
        Where it starts.
    """

    def __init__(self, nameplate: estate.Battery, state: BatteryState) -> None:
        self.nameplate = nameplate
        self.state = state

    @property
    def soc_pct(self) -> float:
        """State of charge [%]."""
        return 100.0 * self.state.energy_wh / self.nameplate.capacity_wh

    def write(self, point: str, value: float, now_s: float) -> bool:
        """Take a written point; return whether the battery knows it."""
        state = self.state
        if point == "battery_mode":
            mode = int(value)
            if mode == PASSIVE and state.mode != PASSIVE:
                state.previous_mode = state.mode
            state.mode = mode
        elif point == "battery_power_setpoint_w":
            state.setpoint_w = value
        elif point == "remote_timeout_s":
            state.timeout_s = value
        elif point == "remote_timeout_action":
            state.action = int(value)
        else:
            return False
        state.heard_s = now_s
        state.standing_by = False
        return True

    def step(self, now_s: float, net_w: float, dt_s: float) -> float:
        """Advance by ``dt_s`` [s]; return power [W], charging positive.

        ``net_w`` is the power at the meter that self-consumption watches, without the
        battery [W], import positive.
        """
        state, plate = self.state, self.nameplate
        if state.mode == PASSIVE and 0 < state.timeout_s <= now_s - state.heard_s:
            if state.action == ACTION_PREVIOUS:
                state.mode = state.previous_mode
            else:
                state.standing_by = True
        if state.mode == PASSIVE:
            wanted = 0.0 if state.standing_by else state.setpoint_w
        else:
            wanted = -net_w * (REACTION_SHARE if net_w > 0 else 1.0)
        hours = dt_s / 3600.0
        room_wh = plate.max_soc * plate.capacity_wh - state.energy_wh
        left_wh = state.energy_wh - plate.min_soc * plate.capacity_wh
        efficiency = plate.one_way_efficiency
        if wanted > 0:
            power = max(min(wanted, plate.max_charge_w, room_wh / efficiency / hours), 0.0)
            state.energy_wh += power * efficiency * hours
            state.charged_kwh += power * hours / 1000.0
        else:
            power = min(max(wanted, -plate.max_discharge_w, -left_wh * efficiency / hours), 0.0)
            state.energy_wh += power / efficiency * hours
            state.discharged_kwh -= power * hours / 1000.0
        if left_wh > STANDBY_LOSS_W * hours:
            state.energy_wh -= STANDBY_LOSS_W * hours
        else:
            power += STANDBY_LOSS_W  # an empty battery lives on the mains
        state.power_w = power
        return power

    def dump(self) -> dict[str, Any]:
        """Return plain values; `restore` takes them back."""
        return asdict(self.state)

    def restore(self, dumped: dict[str, Any]) -> None:
        """Take over what `dump` returned."""
        self.state = BatteryState(**dumped)
