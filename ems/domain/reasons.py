"""What a plan says of its own steps: how each compares with a thermostat, and all its causes."""

from __future__ import annotations

from enum import StrEnum

from ems.domain.setpoints import Cause


class Course(StrEnum):
    """What a home does beside what its own thermostat would do from the same room."""

    AHEAD = "ahead"
    """Gives more heat now, for later."""
    AS_ASKED = "as_asked"
    """Heats for the resident's schedule, and rests where the room is warm enough."""
    BEHIND = "behind"
    """Gives less heat than it would take to keep what was asked for."""


class Told:
    """Steps with a chief cause each and, where it took more than one, the further ones."""

    __slots__ = ()

    cause: tuple[Cause, ...]
    also: tuple[tuple[Cause, ...], ...]

    def causes(self, step: int) -> tuple[Cause, ...]:
        """Return all causes of a step, the chief one first."""
        return (self.cause[step], *(self.also[step] if self.also else ()))
