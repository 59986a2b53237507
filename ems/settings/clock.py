"""The clock that all processes of an estate share.

A real estate runs on the computer's clock. A demonstration has an anchor in
``clock.json`` of its state directory: estate time, wall time and speed. Each
process reads it and computes the same estate time without asking another one.
"""

from __future__ import annotations

import json
import os
import time
from collections.abc import Callable
from datetime import UTC, datetime
from pathlib import Path

from ems.domain.errors import InvalidInputError
from ems.domain.time import AnchoredClock, Clock

CLOCK_FILE = "clock.json"


class SystemClock:
    """The computer's clock: estate time is wall time."""

    speed = 1.0

    def now(self) -> datetime:
        """Return the present instant, UTC."""
        return datetime.now(UTC)


class ManualClock:
    """A clock that moves only when told: for histories, reports and tests."""

    def __init__(self, start: datetime, speed: float = 1.0) -> None:
        self._now = start
        self.speed = speed

    def now(self) -> datetime:
        """Return the instant last set."""
        return self._now

    def set(self, instant: datetime) -> None:
        """Move to ``instant``; time never goes back."""
        if instant < self._now:
            raise InvalidInputError(
                "estate time cannot go back",
                field="instant",
                value=instant.isoformat(),
                remedy=f"Give an instant at or after {self._now.isoformat()}.",
            )
        self._now = instant


class FileClock:
    """Estate time from the anchor in a state directory.

    Parameters
    ----------
    state_dir
        Directory that holds ``clock.json``.
    wall
        Source of wall time [s since the epoch].

    Raises
    ------
    InvalidInputError
        Where the file is missing or unreadable.
    """

    def __init__(self, state_dir: Path, wall: Callable[[], float] = time.time) -> None:
        self._anchor = read_anchor(state_dir)
        self._wall = wall

    @property
    def speed(self) -> float:
        """Estate seconds per wall second."""
        return self._anchor.speed

    def now(self) -> datetime:
        """Return the present instant of estate time, UTC."""
        return self._anchor.at_wall(self._wall())


def read_anchor(state_dir: Path) -> AnchoredClock:
    """Read the anchor that `write_anchor` left in ``state_dir``."""
    path = state_dir / CLOCK_FILE
    try:
        raw = json.loads(path.read_text(encoding="utf-8"))
        return AnchoredClock(
            estate_anchor=datetime.fromisoformat(raw["estate_anchor"]),
            wall_anchor_s=float(raw["wall_anchor_s"]),
            speed=float(raw["speed"]),
        )
    except FileNotFoundError:
        raise InvalidInputError(
            "the estate's clock has not been started",
            field=str(path),
            remedy="Start the demonstration with `ems demo`, or name its state directory "
            "with --state.",
        ) from None
    except (ValueError, KeyError, TypeError) as error:
        raise InvalidInputError(
            f"the estate's clock file cannot be read: {error}",
            field=str(path),
            remedy="Delete the file and start the demonstration again.",
        ) from error


def write_anchor(state_dir: Path, anchor: AnchoredClock) -> None:
    """Write the anchor so that a reader sees the old or the new one, never a part."""
    path = state_dir / CLOCK_FILE
    fresh = path.with_suffix(f".{os.getpid()}.new")
    fresh.write_text(
        json.dumps(
            {
                "estate_anchor": anchor.estate_anchor.isoformat(),
                "wall_anchor_s": anchor.wall_anchor_s,
                "speed": anchor.speed,
            }
        ),
        encoding="utf-8",
    )
    fresh.replace(path)


def open_clock(state_dir: Path, *, demonstration: bool) -> Clock:
    """Return the clock of an estate: shared anchor in a demonstration, else the computer's."""
    return FileClock(state_dir) if demonstration else SystemClock()
