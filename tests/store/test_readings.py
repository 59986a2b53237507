"""Readings and roll-ups: what was measured comes back, and what was not is named."""

import math
from datetime import UTC, date, datetime, timedelta
from zoneinfo import ZoneInfo

import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from ems.domain.errors import InvalidInputError
from ems.domain.points import PointId, PointKind
from ems.domain.readings import Quality, Reading, Rollup
from ems.domain.time import local_day_bounds
from ems.store import open_store
from ems.store.series import kind_of
from ext.rollup_reference import roll_up_one

START = datetime(2023, 1, 5, tzinfo=UTC)
POWER = PointId("A-01-meter", "power_w")
ENERGY = PointId("A-01-meter", "energy_import_kwh")
ROOM = PointId("A-01-room", "temperature_c")
MINUTE = timedelta(minutes=1)
HALF_HOUR = timedelta(minutes=30)


def by_minute(point, values, start=START):
    return [Reading(point, start + index * MINUTE, value) for index, value in enumerate(values)]


def test_a_silent_device_has_a_latest_reading_but_no_newer_good_one(store):
    store.add_readings(by_minute(POWER, [100.0, 110.0]))
    silent = Reading(POWER, START + 2 * MINUTE, math.nan, Quality.NO_ANSWER)
    store.add_readings([silent, Reading(ROOM, START, math.nan, Quality.SENTINEL)])
    latest = store.latest(["A-01-meter"])
    assert list(latest) == [POWER]
    assert latest[POWER].quality is Quality.NO_ANSWER
    assert math.isnan(latest[POWER].value)
    assert store.last_good() == {"A-01-meter": START + MINUTE}
    assert store.last_good(["A-01-room"]) == {}


def test_an_older_reading_that_comes_late_does_not_become_the_latest(store):
    store.add_readings(by_minute(POWER, [1.0], START + HALF_HOUR))
    store.add_readings(by_minute(POWER, [2.0]))
    assert store.latest()[POWER].value == 1.0
    assert store.last_good()["A-01-meter"] == START + HALF_HOUR
    assert store.readings(POWER, START, START + 2 * HALF_HOUR)["value"].tolist() == [2.0, 1.0]


def test_half_hours_are_rolled_up_once_they_are_closed_and_only_once(store):
    store.add_readings(by_minute(POWER, range(65)))
    store.add_readings(by_minute(ENERGY, [500 + 0.01 * index for index in range(65)]))
    assert store.roll_up(START + HALF_HOUR) == 0, "late readings have a minute's grace"
    assert store.roll_up(START + HALF_HOUR + MINUTE) == 2
    assert store.roll_up(START + HALF_HOUR + MINUTE) == 0
    assert store.roll_up(START + timedelta(hours=1, minutes=5)) == 2
    frame = store.rollups([ENERGY, POWER], START, START + timedelta(hours=2))
    assert list(frame.columns) == ["A-01-meter.energy_import_kwh", "A-01-meter.power_w"]
    np.testing.assert_allclose(frame[str(ENERGY)], [0.3, 0.3, math.nan, math.nan])
    np.testing.assert_allclose(frame[str(POWER)], [14.5, 44.5, math.nan, math.nan])


def test_catching_up_after_downtime_handles_every_half_hour_and_invents_none(store):
    store.add_readings(by_minute(POWER, [100.0] * 30))
    store.add_readings(by_minute(POWER, [200.0] * 30, START + timedelta(days=40)))
    written = store.roll_up(START + timedelta(days=41))
    assert written == 4, "two half-hours, and what held for ten minutes into the next"
    frame = store.rollups([POWER], START, START + timedelta(days=41), min_coverage=0.0)
    known = frame[str(POWER)].dropna()
    assert known.tolist() == [100.0, 100.0, 200.0, 200.0]
    assert len(store.rollups([POWER], START, START + timedelta(days=41)).dropna()) == 2


def test_a_late_reading_is_kept_but_the_roll_up_stands(store):
    store.add_readings(by_minute(POWER, [100.0] * 31))
    store.roll_up(START + HALF_HOUR + MINUTE)
    late = Reading(POWER, START + timedelta(seconds=90), 9000.0)
    store.add_readings([late])
    for _ in range(2):
        readings = store.readings(POWER, START, START + HALF_HOUR)
        assert len(readings) == 31
        assert readings["value"].max() == 9000.0
        # Once fresh, once packed together with the next half-hour.
        store.roll_up(START + 2 * HALF_HOUR + MINUTE)
    assert store.rollups([POWER], START, START + HALF_HOUR)[str(POWER)].tolist() == [100.0]


def test_ready_made_half_hours_are_left_as_they_are(store):
    store.add_rollups([Rollup(POWER, START, 7.0, 6.0, 8.0, 1.0)])
    store.add_readings(by_minute(POWER, [100.0] * 30))
    assert store.roll_up(START + 2 * HALF_HOUR) == 0
    assert store.rollups([POWER], START, START + HALF_HOUR)[str(POWER)].tolist() == [7.0]
    with pytest.raises(InvalidInputError, match="half-hour"):
        store.add_rollups([Rollup(POWER, START + MINUTE, 7.0, 6.0, 8.0, 1.0)])


def test_missing_is_nan_never_zero_on_a_whole_regular_grid(store):
    readings = by_minute(POWER, [60.0] * 120)
    del readings[20:77]
    readings.append(Reading(ROOM, START, math.nan, Quality.NO_ANSWER))
    store.add_readings(readings)
    unheard = PointId("B-20-meter", "power_w")
    frame = store.resampled([POWER, ROOM, unheard], START, START + timedelta(hours=2), 300)
    assert frame.index.equals(pd.date_range(START, periods=24, freq="5min", unit="us")), (
        "every step is there, known or not"
    )
    assert frame[str(POWER)].isna().tolist() == [False] * 6 + [True] * 9 + [False] * 9
    assert frame[[str(ROOM), str(unheard)]].isna().all(axis=None)
    assert not (frame == 0).any(axis=None)
    store.roll_up(START + timedelta(hours=3))
    rolled = store.rollups([POWER, ROOM, unheard], START, START + timedelta(hours=3))
    assert rolled[str(POWER)].isna().tolist() == [False, True, True, False, True, True]
    assert rolled[[str(ROOM), str(unheard)]].isna().all(axis=None)


@pytest.mark.parametrize(("day", "hours"), [(date(2023, 3, 26), 23), (date(2023, 10, 29), 25)])
def test_days_on_which_clocks_change_have_all_their_half_hours(store, day, hours):
    start, end = local_day_bounds(day, ZoneInfo("Europe/London"))
    store.add_readings(by_minute(POWER, [float(index) for index in range(hours * 60)], start))
    store.roll_up(end + 2 * MINUTE)
    frame = store.rollups([POWER], start, end)
    assert len(frame) == 2 * hours
    assert frame[str(POWER)].tolist() == [30 * index + 14.5 for index in range(2 * hours)]
    assert frame.index.tz_convert("Europe/London").date.tolist() == [day] * (2 * hours)


def test_grids_of_one_step_share_their_instants_wherever_they_begin(store):
    store.add_readings(by_minute(POWER, [5.0] * 60))
    odd = store.resampled([POWER], START + timedelta(seconds=7), START + HALF_HOUR, 300)
    assert odd.index[0] == START + 5 * MINUTE
    assert odd.index[-1] == START + 25 * MINUTE
    assert store.resampled([POWER], START, START, 300).empty
    with pytest.raises(InvalidInputError, match="end"):
        store.resampled([POWER], START + HALF_HOUR, START, 300)
    with pytest.raises(InvalidInputError, match="step_s"):
        store.resampled([POWER], START, START + HALF_HOUR, 0)


def test_a_local_time_is_refused(store):
    with pytest.raises(InvalidInputError, match="observed_at"):
        store.add_readings([Reading(POWER, START.replace(tzinfo=None), 1.0)])
    with pytest.raises(InvalidInputError, match="start"):
        store.rollups([POWER], START.astimezone(ZoneInfo("Asia/Tokyo")), START)
    assert store.latest() == {}


def test_pruning_takes_rolled_up_readings_only_and_leaves_what_still_holds(store):
    store.add_readings(by_minute(POWER, [100.0] * 180))
    assert store.prune(START + timedelta(days=1)) == 0, "nothing is rolled up yet"
    store.roll_up(START + 4 * HALF_HOUR + MINUTE)
    assert store.prune(START + HALF_HOUR + 5 * MINUTE) == 30
    assert store.prune(START + timedelta(days=1)) == 60, "the last rolled up stays"
    left = store.readings(POWER, START, START + timedelta(days=1))
    assert left.index[0] == START + 3 * HALF_HOUR
    assert len(left) == 90
    store.roll_up(START + timedelta(hours=4))
    means = store.rollups([POWER], START, START + timedelta(hours=3))
    assert means[str(POWER)].tolist() == [100.0] * 6


@given(
    values=st.lists(
        st.tuples(
            st.integers(0, 90 * 60 * 10),
            st.one_of(st.floats(width=64), st.just(math.nan)),
            st.sampled_from(Quality),
        ),
        unique_by=lambda entry: entry[0],
    ),
    rolled=st.integers(0, 130),
    point=st.sampled_from([POWER, ENERGY, PointId("A-01-hp", "operating_state")]),
)
@settings(max_examples=settings().max_examples // 2)
def test_raw_readings_come_back_exactly_and_roll_ups_follow_the_reference(
    tmp_path_factory, values, rolled, point
):
    with open_store(tmp_path_factory.mktemp("any") / "store.sqlite") as store:
        made = [
            Reading(point, START + timedelta(microseconds=100_000 * tenth + 3), value, quality)
            for tenth, value, quality in values
        ]
        for part in (made[::2], made[1::2]):
            store.add_readings(part)
            store.roll_up(START + rolled * MINUTE)
        frame = store.readings(point, START, START + timedelta(hours=2))
        expected = sorted(made, key=lambda reading: reading.observed_at)
        assert [when.to_pydatetime() for when in frame.index] == [
            reading.observed_at for reading in expected
        ]
        np.testing.assert_array_equal(frame["value"], [reading.value for reading in expected])
        assert frame["quality"].tolist() == [reading.quality for reading in expected]

        twin = roll_up_one(
            [round(reading.observed_at.timestamp() * 1e6) for reading in expected],
            [reading.value for reading in expected],
            [int(reading.quality) for reading in expected],
            kind_of(point.point),
            start_us=round(START.timestamp() * 1e6),
            slots=24,
            step_us=300_000_000,
            max_hold_us=600_000_000,
        )
        steps = store.resampled([point], START, START + timedelta(hours=2), 300)
        # A mean is as exact as the largest value in it allows.
        largest = max((abs(v) for _, v, _ in values if math.isfinite(v)), default=0.0)
        if largest < 1e300:
            np.testing.assert_allclose(
                steps[str(point)],
                [step.mean for step in twin],
                rtol=1e-9,
                atol=1e-12 * largest,
                equal_nan=True,
            )


def test_every_point_of_one_name_combines_alike():
    assert kind_of("energy_import_kwh") is PointKind.COUNTER
    assert kind_of("operating_state") is PointKind.STATE
    assert kind_of("outdoor_c") is PointKind.GAUGE
