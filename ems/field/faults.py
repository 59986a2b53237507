"""What can be broken on command."""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum

from ems.domain.errors import InvalidInputError
from ems.domain.estate import Estate
from ems.domain.points import DeviceClass


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


@dataclass(frozen=True, slots=True)
class FieldFault:
    """One fault that is switched on.

    Attributes
    ----------
    target
        A device's id, or a gateway's for ``GATEWAY_GONE``.
    kind
        What is wrong with it.
    value
        Seconds for ``SLOW``, share for ``CAPACITY``, else 0.
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
    device = estate.devices.get(fault.target)
    if device is None:
        raise InvalidInputError(
            "no such device",
            field="target",
            value=fault.target,
            remedy="Name a device of the estate, e.g. A-07-hp, A-07-room, A-battery.",
        )
    if fault.kind is FaultKind.CAPACITY:
        if device.device_class is not DeviceClass.HEAT_PUMP:
            raise InvalidInputError(
                "only a heat pump can lose capacity",
                field="target",
                value=fault.target,
                remedy="Name a heat pump, e.g. A-07-hp.",
            )
        if not 0 < fault.value <= 1:
            raise InvalidInputError(
                "the share of capacity must be above 0 and at most 1",
                field="value",
                value=fault.value,
                remedy="Use 0.35 for a pump that has a third of its capacity left.",
            )
    if fault.kind is FaultKind.SLOW and not 0 < fault.value <= 600:
        raise InvalidInputError(
            "the delay must be above 0 and at most 600 s",
            field="value",
            value=fault.value,
            remedy="Give the delay in seconds, e.g. 5.",
        )
    return fault
