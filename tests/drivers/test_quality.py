"""Counters: what may be believed."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

from hypothesis import given
from hypothesis import strategies as st

from drivers.quality import judge_counter, judge_still
from ems.domain.readings import Quality

START = datetime(2022, 12, 27, tzinfo=UTC)
GOOD, BAD = Quality.GOOD, Quality.OUT_OF_RANGE


def _judge(values, step_s=60.0, max_rise_per_h=12.0):
    state, qualities, begun = None, [], []
    for index, value in enumerate(values):
        at = START + timedelta(seconds=index * step_s)
        quality, state, anew = judge_counter(state, value, at, max_rise_per_h)
        qualities.append(quality)
        begun.append(anew)
    return qualities, begun


@given(st.lists(st.floats(0, 0.2), min_size=1, max_size=30))
def test_a_possible_rise_is_believed(rises):
    total, values = 1000.0, []
    for rise in rises:
        values.append(total)
        total += rise
    assert set(_judge(values)[0]) == {GOOD}


def test_one_fall_and_one_jump_are_marked_and_forgotten():
    qualities, begun = _judge([100.0, 0.0, 100.1, 9999.0, 100.2])
    assert qualities == [GOOD, BAD, GOOD, BAD, GOOD]
    assert not any(begun)


def test_a_reset_is_believed_from_the_third_value_that_fits():
    qualities, begun = _judge([100.0, 0.0, 0.1, 0.2, 0.3])
    assert qualities == [GOOD, BAD, BAD, GOOD, GOOD]
    assert begun == [False, False, False, True, False]


def test_noise_is_never_taken_for_a_reset():
    qualities, begun = _judge([100.0, 5.0, 900.0, 5.0, 900.0, 5.0, 900.0, 5.0])
    assert qualities == [GOOD] + [BAD] * 7
    assert not any(begun)


def test_after_an_outage_the_rise_may_be_as_long_as_the_outage():
    assert _judge([100.0, 110.0], step_s=3600.0)[0] == [GOOD, GOOD]
    assert _judge([100.0, 110.0], step_s=60.0)[0] == [GOOD, BAD]


@given(st.lists(st.tuples(st.integers(0, 2), st.integers(1, 400)), min_size=1, max_size=40))
def test_a_measurement_is_stale_exactly_while_it_has_stood_for_too_long(steps):
    state, at, since, before = None, START, START, None
    for value, seconds in steps:
        at += timedelta(seconds=seconds)
        since = since if value == before else at
        before = value
        quality, state = judge_still(state, float(value), at, 600.0)
        assert (quality is Quality.STALE) == ((at - since).total_seconds() > 600.0)
