"""What a command means for one device: bounds, parts, and whether it holds them. Pure."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

from drivers.session import DeviceSession, Result
from ems.domain.errors import InvalidInputError
from ems.domain.profiles import Rounding, WriteRule
from ems.domain.readings import Quality


@dataclass(frozen=True, slots=True)
class Basis:
    """What a command was decided on: whoever changes it meanwhile is not written over.

    Attributes
    ----------
    point
        The point commanded.
    expected
        What it may hold for the command to stand: what was seen, told last, and asked for.
    tolerance
        How far apart two values are still the same, in the point's unit.
    """

    point: str
    expected: tuple[float, ...]
    tolerance: float

    def overtaken_by(self, held: Result) -> float | None:
        """Return what somebody has set the point to; ``None`` where nobody has."""
        value, quality = held.values.get(self.point, (math.nan, Quality.NO_ANSWER))
        if quality in (Quality.SENTINEL, Quality.NO_ANSWER):
            return None
        if any(abs(value - each) <= self.tolerance + 1e-9 for each in self.expected):
            return None
        return value


def quantise(value: float, rule: WriteRule) -> float | None:
    """Return the permitted value nearest to ``value``, ``None`` where it is out of bounds.

    Where the rule rounds up, the result is never below ``value``. A value that is
    on a step is left as it is.
    """
    if not math.isfinite(value) or not rule.low <= value <= rule.high:
        return None
    steps = value / rule.step
    whole = math.floor(steps + 0.5)
    if rule.rounding is Rounding.UP and steps - whole > 1e-9:
        whole += 1
    return min(max(round(whole * rule.step, 9), rule.low), rule.high)


def is_write_only(session: DeviceSession, name: str) -> bool:
    """Tell whether a point cannot be read back."""
    point = session.profile.points.get(name)
    return point is not None and point.write_only


def rule_of(session: DeviceSession, name: str) -> WriteRule:
    """Return how a point may be written.

    Raises
    ------
    InvalidInputError
        Where it cannot: such a command is a bug.
    """
    rule = session.profile.write_rule(name) or session.device.profile.write_rule(name)
    if rule is None:
        raise InvalidInputError(
            "this point cannot be written",
            field=f"{session.device.id}.{name}",
            value=session.profile.id,
            remedy="Command a point for which the device's profile has a write rule.",
        )
    return rule


def lapsing(session: DeviceSession, name: str, value: float) -> tuple[tuple[str, float], ...]:
    """Return what must be told again so that ``value`` at ``name`` stays in force."""
    last = session.profile.written_as(name, value)[-1]
    entering = (entry for entry in session.profile.enter_control if entry[0] != last[0])
    return tuple(e for e in (*entering, last) if not rule_of(session, e[0]).persists)


def with_groups(session: DeviceSession, names: Sequence[str]) -> tuple[str, ...]:
    """Return points with all that is written together with them."""
    groups = session.profile.write_groups
    return tuple(
        dict.fromkeys(
            member
            for name in names
            for member in next((group for group in groups if name in group), (name,))
        )
    )


def shown(session: DeviceSession, name: str, held: Result) -> float:
    """Return what a device holds at a point, be it one register or several points."""
    return session.profile.read_as(name, {part: value for part, (value, _) in held.values.items()})


def holds(result: Result, name: str, value: float, rule: WriteRule) -> bool:
    """Tell whether a device holds a value, as far as it was read."""
    found = result.values.get(name)
    if found is None or found[1] in (Quality.SENTINEL, Quality.NO_ANSWER):
        return False
    return abs(found[0] - value) <= rule.tolerance + 1e-9
