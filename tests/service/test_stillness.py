"""A room sensor that stands still is believed by nobody, and a coarse one is left in peace."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

import numpy as np
import pytest

from ems.domain.points import PointId
from ems.domain.readings import Quality, Reading
from ems.service.image import ProcessImage
from ems.service.stillness import Stillness
from ems.store import open_store

START = datetime(2023, 12, 5, 6, 0, tzinfo=UTC)
ROOM = PointId("A-07-room", "temperature_c")
MINUTE = timedelta(minutes=1)


def fed(
    image: ProcessImage, values, start: datetime = START, every: timedelta = MINUTE
) -> datetime:
    """Give one reading after the other; return when the last one came."""
    now = start
    for number, value in enumerate(values):
        now = start + number * every
        image.update([Reading(ROOM, now, float(value))])
    return now


def test_a_frozen_sensor_is_found_within_two_hours_and_trusted_again_when_it_moves() -> None:
    noise = np.random.default_rng(1)
    image = ProcessImage()
    moved = fed(image, 20.0 + noise.normal(0, 0.05, 600))
    frozen_at = moved + MINUTE
    found = None
    for minute in range(180):
        now = frozen_at + minute * MINUTE
        image.update([Reading(ROOM, now, 20.3)])
        if image.snapshot(now).good("A-07-room", "temperature_c", 900.0) is None:
            found = now
            break
    assert found is not None and timedelta(hours=1) < found - frozen_at < timedelta(hours=2)
    assert image.snapshot(found).readings[ROOM].quality is Quality.STALE
    assert image.stillness.since() == {"A-07-room": frozen_at}
    image.update([Reading(ROOM, found + MINUTE, 20.2)])
    assert image.snapshot(found + MINUTE).good("A-07-room", "temperature_c", 900.0) == 20.2
    assert image.stillness.since() == {}


def test_a_coarse_sensor_in_a_steady_room_is_not_called_frozen() -> None:
    """Half-kelvin steps stand for two hours at a time, day after day."""
    image = ProcessImage()
    minutes = np.arange(5 * 1440)
    steps = np.round(20.0 + np.sin(minutes / 240.0) * 2.0, 0)
    now = fed(image, steps)
    assert image.stillness.since() == {}
    last = float(steps[-1])
    fed(image, [last] * 1000, now + MINUTE)
    assert "A-07-room" in image.stillness.since()


def test_other_points_may_stand_for_ever() -> None:
    image = ProcessImage()
    point = PointId("A-07-hp", "room_setpoint_c")
    for minute in range(600):
        image.update([Reading(point, START + minute * MINUTE, 20.0)])
    assert image.snapshot(START + 599 * MINUTE).readings[point].is_good


@pytest.mark.parametrize("gap_min", [1, 30])
def test_few_readings_in_a_row_tell_nothing(gap_min: int) -> None:
    image = ProcessImage()
    fed(image, [20.0, 20.0], every=timedelta(minutes=90 * gap_min))
    assert image.stillness.since() == {}


def test_a_restart_does_not_forget_a_sensor_that_stands(estate, tmp_path) -> None:
    with open_store(tmp_path / "store.sqlite") as store:
        store.add_readings([Reading(ROOM, START + n * MINUTE, 20.3) for n in range(100)])
        again = Stillness()
        again.remember(estate, store, START + 100 * MINUTE)
    assert again.since() == {"A-07-room": START}
