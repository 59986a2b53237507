"""One clock for all processes: an anchor in a file."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from ems.domain.errors import InvalidInputError
from ems.domain.time import AnchoredClock
from ems.settings.clock import FileClock, ManualClock, write_anchor

START = datetime(2023, 12, 1, 15, 30, tzinfo=UTC)


def test_two_processes_read_the_same_time(tmp_path: Path) -> None:
    write_anchor(tmp_path, AnchoredClock(START, 1000.0, 60.0))
    first = FileClock(tmp_path, wall=lambda: 1010.0)
    second = FileClock(tmp_path, wall=lambda: 1010.0)
    assert first.now() == second.now() == START + timedelta(minutes=10)


def test_a_missing_clock_says_how_to_start_it(tmp_path: Path) -> None:
    with pytest.raises(InvalidInputError, match="ems demo"):
        FileClock(tmp_path)


@pytest.mark.parametrize("content", ["", "{", "[]", '{"estate_anchor": "yesterday"}'])
def test_a_broken_clock_file_is_named(tmp_path: Path, content: str) -> None:
    (tmp_path / "clock.json").write_text(content, encoding="utf-8")
    with pytest.raises(InvalidInputError, match=r"clock\.json"):
        FileClock(tmp_path)


@pytest.mark.parametrize("speed", [0.0, -1.0])
def test_time_must_pass(speed: float) -> None:
    with pytest.raises(InvalidInputError, match="speed"):
        AnchoredClock(START, 0.0, speed)


def test_time_never_goes_back() -> None:
    clock = ManualClock(START)
    clock.set(START + timedelta(hours=1))
    with pytest.raises(InvalidInputError, match="cannot go back"):
        clock.set(START)
