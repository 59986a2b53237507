"""A resident's wish for a time: it outranks every plan and every event.

Only what control needs to know of it; who made it, and its history, is kept elsewhere.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum

FROST_LIMIT_C = 8.0
"""No wish goes below this room temperature [°C]: pipes and fabric."""


class WishKind(StrEnum):
    """What a resident can ask for."""

    ROOM = "room"
    """This room temperature: warmer or cooler than the schedule."""
    AWAY = "away"
    """Nobody is at home: this temperature until the return."""
    OPT_OUT = "opt_out"
    """No planning: the schedule and nothing else."""


@dataclass(frozen=True, slots=True)
class Wish:
    """What one home's resident asked for.

    Attributes
    ----------
    dwelling_id
        Which home.
    kind
        What kind of wish.
    temperature_c
        Room temperature asked for [°C]; not used by an opt-out.
    until
        When it ends (UTC); ``None`` until it is taken back.
    """

    dwelling_id: str
    kind: WishKind
    temperature_c: float
    until: datetime | None

    def holds_at(self, instant: datetime) -> bool:
        """Return whether the wish is in force at ``instant`` (UTC)."""
        return self.until is None or instant < self.until
