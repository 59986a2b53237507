"""What a device is to be told, before limits: the working form of a setpoint."""

from __future__ import annotations

import math
from dataclasses import dataclass, replace

from ems.domain.errors import InvalidInputError
from ems.domain.estate import Device
from ems.domain.points import PointId
from ems.domain.profiles import WriteRule
from ems.domain.setpoints import Cause, Setpoint

FINE = 1e-9


@dataclass(frozen=True, slots=True)
class Intent:
    """A value for one point, with what must be known to change it.

    Attributes
    ----------
    point_id, rule
        The point and how it may be written.
    value, cause, also, sentence
        As in a setpoint.
    release_value
        What hands the device back.
    waiting_value
        What makes a home wait its turn; ``None`` where it cannot be made to.
    plan_id
        The plan it follows; empty where it follows none.
    """

    point_id: PointId
    rule: WriteRule
    value: float
    cause: Cause
    sentence: str
    release_value: float
    waiting_value: float | None = None
    plan_id: str = ""
    also: tuple[Cause, ...] = ()

    def told(
        self,
        value: float,
        cause: Cause,
        sentence: str,
        plan_id: str = "",
        also: tuple[Cause, ...] = (),
    ) -> Intent:
        """Return the intent with another value and reason."""
        return replace(
            self, value=value, cause=cause, sentence=sentence, plan_id=plan_id, also=also
        )


def write_rule(device: Device, point: str) -> WriteRule:
    """Return how ``point`` of ``device`` may be written.

    Raises
    ------
    InvalidInputError
        Where its profile has no such writable point: the configuration is wrong.
    """
    rule = device.profile.write_rule(point)
    if rule is None:
        raise InvalidInputError(
            f"the profile {device.profile.id} cannot write this point",
            field=f"devices.{device.id}",
            value=point,
            remedy="Give the device a profile that can, or another actuator.",
        )
    return rule


def up(value: float, rule: WriteRule) -> float:
    """Return the least permitted value that is not below ``value``, within the bounds."""
    return _bounded(math.ceil(value / rule.step - FINE) * rule.step, rule)


def down(value: float, rule: WriteRule) -> float:
    """Return the greatest permitted value that is not above ``value``, within the bounds."""
    return _bounded(math.floor(value / rule.step + FINE) * rule.step, rule)


def toward_zero(value: float, rule: WriteRule) -> float:
    """Return the permitted value next to ``value`` that is nearer to zero."""
    return down(value, rule) if value > 0 else up(value, rule)


def _bounded(value: float, rule: WriteRule) -> float:
    low = math.ceil(rule.low / rule.step - FINE) * rule.step
    high = math.floor(rule.high / rule.step + FINE) * rule.step
    return round(min(max(value, low), high), 6)


def waits(setpoint: Setpoint | None) -> bool:
    """Return whether a setpoint is one by which a home waits its turn."""
    return setpoint is not None and setpoint.cause is Cause.IMPORT_LIMIT and not setpoint.plan_id
