"""Gentle tests: one night in which a home's heating rests a little, to learn what it keeps.

A home that is always held at one temperature tells its loss and hides its capacity. One night
in which the schedule is up to 1 K lower, within comfort and above the floor, shows it.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum


class TestState(StrEnum):
    """Where a gentle test stands."""

    __test__ = False

    ASKED = "asked"
    """A home with a vulnerability marker was asked; without a yes nothing happens."""
    ANNOUNCED = "announced"
    """The resident was told; it happens unless they refuse."""
    REFUSED = "refused"
    """The resident said no, before or during the night."""
    RUNNING = "running"
    DONE = "done"
    DROPPED = "dropped"
    """It did not happen or ended early, for the reason that ``result`` gives."""


OPEN = frozenset({TestState.ASKED, TestState.ANNOUNCED, TestState.RUNNING})


@dataclass(frozen=True, slots=True)
class GentleTest:
    """One gentle test of one home, kept for good.

    Attributes
    ----------
    id
        Home and night, e.g. ``A-07.2023-12-05``.
    dwelling_id, state
        Which home, and where it stands.
    start, end
        When it rests, UTC.
    lowest_c
        What its schedule is lowered to at most [°C]; no period by more than 1 K.
    told_at
        When the resident was told or asked, UTC.
    began_c
        The living room when it began [°C].
    answered_at, answered_by
        When and by whom it was agreed to or refused.
    result
        One plain sentence: what was learnt, or why there was none.
    """

    id: str
    dwelling_id: str
    state: TestState
    start: datetime
    end: datetime
    lowest_c: float
    told_at: datetime
    began_c: float | None = None
    answered_at: datetime | None = None
    answered_by: str = ""
    result: str = ""

    @property
    def is_open(self) -> bool:
        """Whether it is still to come or runs."""
        return self.state in OPEN

    def rests_at(self, instant: datetime) -> bool:
        """Return whether the home rests at ``instant`` (UTC)."""
        return self.state is TestState.RUNNING and self.start <= instant < self.end
