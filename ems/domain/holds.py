"""What an operator has taken out of Hearth's hands, and for how long."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum


class HoldKind(StrEnum):
    """What is held."""

    HAND_BACK = "hand_back"
    """Devices are handed back to their own control and told nothing."""
    NO_EVENTS = "no_events"
    """Planning goes on; events do not touch these homes and new ones are refused or trimmed."""


@dataclass(frozen=True, slots=True)
class Hold:
    """One hold on a home, a block or the whole estate.

    Attributes
    ----------
    id
        Unique, sortable by time.
    kind
        What is held.
    scope
        ``estate``, a block's id or a home's id.
    reason, by
        Why and who; required.
    since
        Estate time, UTC.
    until
        When it ends by itself; ``None`` until it is lifted.
    lifted_at, lifted_by
        When and by whom it was undone.
    """

    id: str
    kind: HoldKind
    scope: str
    reason: str
    by: str
    since: datetime
    until: datetime | None = None
    lifted_at: datetime | None = None
    lifted_by: str = ""

    def holds_at(self, instant: datetime) -> bool:
        """Return whether it is in force at ``instant`` (UTC)."""
        if self.lifted_at is not None and instant >= self.lifted_at:
            return False
        return instant >= self.since and (self.until is None or instant < self.until)
