"""What can be broken on command."""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum

from ems.domain.errors import InvalidInputError
from ems.domain.estate import Estate


class FaultKind(StrEnum):
    """The ways in which a device or a gateway fails."""

    DEAD = "dead"
    """The device does not answer."""
    SLOW = "slow"
    """It answers late by ``value`` [s]."""
    NAN = "nan"
    """It answers "not available" for every measurement."""
    FROZEN = "frozen"
    """Its measurements stand still."""
    GATEWAY_GONE = "gateway-gone"
    """The gateway refuses connections; everything behind it is silent."""
    CAPACITY = "capacity"
    """The heat pump has only the share ``value`` of its capacity left."""
    OFFSET = "offset"
    """A room sensor, or a heat pump's own thermostat, reads ``value`` [K] too high."""
    LOSS = "loss"
    """The home loses ``value`` times as much heat through panes, walls and draughts."""
    WINDOW = "window"
    """Windows stand open: ``value`` more is lost from the air [W/K]."""


OF_HOMES = frozenset({FaultKind.LOSS, FaultKind.WINDOW})
"""Kinds whose target is a home."""
VALUES = {
    FaultKind.CAPACITY: (0.01, 1.0, "the share of capacity that is left", "0.35"),
    FaultKind.SLOW: (0.01, 600.0, "the delay in seconds", "5"),
    FaultKind.OFFSET: (-10.0, 10.0, "kelvin that are read too much", "2"),
    FaultKind.LOSS: (0.2, 5.0, "how many times the loss", "2"),
    FaultKind.WINDOW: (1.0, 500.0, "W/K that open windows add", "100"),
}
"""What kinds need as a value: least, most, meaning, an example."""
ROLES = {
    FaultKind.CAPACITY: ("heat_pump",),
    FaultKind.OFFSET: ("room_sensor", "heat_pump"),
}
"""Devices that alone can have a fault of these kinds."""


@dataclass(frozen=True, slots=True)
class FieldFault:
    """One fault that is switched on.

    Attributes
    ----------
    target
        A device's id; a gateway's for ``GATEWAY_GONE``, a home's for `OF_HOMES`.
    kind
        What is wrong with it.
    value
        As `VALUES` says, else 0.
    """

    target: str
    kind: FaultKind
    value: float = 0.0

    def to_json(self) -> dict[str, str | float]:
        """Return plain values."""
        return {"target": self.target, "kind": self.kind.value, "value": self.value}


def check_fault(estate: Estate, fault: FieldFault) -> FieldFault:
    """Return ``fault`` if it can exist in ``estate``.

    Raises
    ------
    InvalidInputError
        Naming what does not fit and what would.
    """
    if fault.kind is FaultKind.GATEWAY_GONE:
        if fault.target not in estate.gateways:
            raise InvalidInputError(
                "no such gateway",
                field="target",
                value=fault.target,
                remedy=f"Use one of: {', '.join(estate.gateways)}.",
            )
        return fault
    if fault.kind in OF_HOMES:
        homes = [home.id for home in estate.dwellings()]
        if fault.target not in homes:
            raise InvalidInputError(
                "no such home",
                field="target",
                value=fault.target,
                remedy=f"Name a home of the estate, e.g. {homes[0]}.",
            )
    else:
        _check_device(estate, fault)
    if fault.kind in VALUES:
        least, most, meaning, example = VALUES[fault.kind]
        if not least <= fault.value <= most:
            raise InvalidInputError(
                f"the value of {fault.kind} is {meaning}, from {least:g} to {most:g}",
                field="value",
                value=fault.value,
                remedy=f"Use e.g. {example}.",
            )
    return fault


def _check_device(estate: Estate, fault: FieldFault) -> None:
    device = estate.devices.get(fault.target)
    if device is None:
        raise InvalidInputError(
            "no such device",
            field="target",
            value=fault.target,
            remedy="Name a device of the estate, e.g. A-07-hp, A-07-room, A-battery.",
        )
    roles = ROLES.get(fault.kind)
    if roles is not None and device.role not in roles:
        named = " or ".join(role.replace("_", " ") for role in roles)
        raise InvalidInputError(
            f"only a {named} can have the fault {fault.kind}",
            field="target",
            value=fault.target,
            remedy="Name one, e.g. A-07-hp.",
        )
