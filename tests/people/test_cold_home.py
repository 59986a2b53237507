"""COLD_HOME: what counts as cold, when nothing may be said, and what was chosen."""

from __future__ import annotations

import math
from datetime import UTC, datetime, timedelta

import numpy as np
import pandas as pd
import pytest
from hypothesis import given
from hypothesis import strategies as st

from ems.domain.people import ColdHomeRules, Source, Verdict
from ems.domain.time import HALF_HOUR
from ems.people.cold_home import assess, window

from .conftest import LONDON, NIGHT, RULES

SPAN = window(NIGHT, LONDON, RULES)
GRID = pd.date_range(*SPAN, freq=HALF_HOUR, inclusive="left")


def judge(rooms, asked=None, now=NIGHT, rules=RULES):
    return assess(rooms, asked or {}, window(now, LONDON, rules), LONDON, rules)


def test_the_window_is_the_last_seven_whole_local_days() -> None:
    start, end = SPAN
    assert end == datetime(2023, 12, 1, tzinfo=UTC)
    assert start == datetime(2023, 11, 24, tzinfo=UTC)
    summer = window(datetime(2023, 7, 1, 22, 59, tzinfo=UTC), LONDON, RULES)
    assert summer[1] == datetime(2023, 6, 30, 23, tzinfo=UTC)


def test_a_warm_home_is_not_found(week) -> None:
    verdict, evidence = judge(week(19.5))
    assert verdict is Verdict.WARM
    assert evidence.below_h == 0.0
    assert evidence.expected_h == evidence.measured_h == 7 * 16
    assert evidence.coverage == 1.0


def test_cold_for_half_of_the_day_time_is_found_and_one_half_hour_less_is_not(week) -> None:
    half = week(lambda at: 17.9 if at.hour < 15 else 18.5)
    verdict, evidence = judge(half)
    assert (verdict, evidence.below_h) == (Verdict.COLD, 56.0)
    warmer = half.copy()
    warmer[GRID[2 * 10]] = 18.0
    verdict, evidence = judge(warmer)
    assert (verdict, evidence.below_h) == (Verdict.WARM, 55.5)


def test_exactly_the_threshold_is_not_below_it(week) -> None:
    assert judge(week(18.0))[0] is Verdict.WARM


def test_cold_nights_alone_do_not_count(week) -> None:
    verdict, evidence = judge(week(lambda at: 19.0 if 7 <= at.hour < 23 else 12.0))
    assert verdict is Verdict.WARM
    assert evidence.lowest_c == 12.0


def test_a_home_that_never_reached_the_threshold_is_severe(week) -> None:
    verdict, evidence = judge(week(17.2))
    assert verdict is Verdict.SEVERE
    assert evidence.highest_c == pytest.approx(17.2)
    once = week(17.2)
    once[GRID[5]] = 18.0  # at night, once
    assert judge(once)[0] is Verdict.COLD


def test_below_the_least_coverage_nothing_is_said_whatever_the_rest_shows(week) -> None:
    for value in (12.0, 21.0):
        rooms = week(value)
        silent = int(0.21 * len(GRID))
        rooms.iloc[-silent:] = math.nan
        verdict, evidence = judge(rooms)
        assert verdict is Verdict.NOT_ENOUGH_DATA
        assert evidence.coverage < 0.8


def test_a_sensor_that_gave_nothing_leaves_figures_empty(week) -> None:
    verdict, evidence = judge(week(math.nan))
    assert verdict is Verdict.NOT_ENOUGH_DATA
    assert evidence.measured_h == 0.0
    assert evidence.lowest_c is evidence.highest_c is evidence.mean_c is None


def test_half_hours_that_are_absent_count_as_missing_not_as_warm(week) -> None:
    rooms = week(17.0).iloc[: len(GRID) // 2]
    assert judge(rooms)[0] is Verdict.NOT_ENOUGH_DATA


def test_the_rule_is_silent_in_summer_and_when_a_day_lies_outside_the_season(week) -> None:
    june = datetime(2023, 6, 20, 3, tzinfo=UTC)
    assert judge(week(15.0, june), now=june)[0] is Verdict.OUT_OF_SEASON
    early = datetime(2023, 10, 4, 3, tzinfo=UTC)
    assert judge(week(15.0, early), now=early)[0] is Verdict.OUT_OF_SEASON
    full = datetime(2023, 10, 8, 3, tzinfo=UTC)
    assert judge(week(15.0, full), now=full)[0] is Verdict.SEVERE


def test_the_day_on_which_clocks_change_keeps_its_sixteen_hours(week) -> None:
    now = datetime(2023, 10, 31, 3, tzinfo=UTC)
    verdict, evidence = judge(week(17.0, now), now=now)
    assert (evidence.end - evidence.start) == timedelta(days=7, hours=1)
    assert evidence.expected_h == 7 * 16
    assert verdict is Verdict.SEVERE


def test_a_dial_turned_down_explains_a_cold_room_but_does_not_hide_it(week) -> None:
    verdict, evidence = judge(week(16.2), {Source.DIAL: week(16.0), Source.SCHEDULE: week(20.0)})
    assert verdict is Verdict.SEVERE
    assert evidence.chosen == (Source.DIAL,)
    dial = next(choice for choice in evidence.choices if choice.source is Source.DIAL)
    assert (dial.asked_c, dial.explained_h) == (16.0, evidence.below_h)


def test_a_room_far_below_what_was_asked_for_was_not_chosen(week) -> None:
    _, evidence = judge(week(14.0), {Source.DIAL: week(17.0)})
    assert evidence.chosen == ()


def test_a_choice_that_explains_only_some_of_the_hours_does_not_count(week) -> None:
    dial = week(lambda at: 16.0 if at.day == 25 else 20.0)
    _, evidence = judge(week(16.5), {Source.DIAL: dial})
    assert evidence.chosen == ()
    assert 0 < evidence.choices[0].explained_h < evidence.below_h / 2


def test_a_wish_that_is_not_known_explains_nothing(week) -> None:
    _, evidence = judge(week(16.5), {Source.WISH: week(math.nan)})
    assert evidence.chosen == ()
    assert evidence.choices[0].asked_c is None


temperatures = st.lists(
    st.one_of(st.floats(5.0, 30.0), st.just(math.nan)), min_size=len(GRID), max_size=len(GRID)
)


@given(temperatures, st.floats(10.0, 25.0))
def test_evidence_adds_up_for_any_week(values, dial) -> None:
    rooms = pd.Series(values, index=GRID, dtype=float)
    asked = pd.Series(np.full(len(GRID), dial), index=GRID)
    verdict, evidence = judge(rooms, {Source.DIAL: asked})
    assert 0.0 <= evidence.below_h <= evidence.measured_h <= evidence.expected_h
    assert evidence.choices[0].explained_h <= evidence.below_h
    assert (verdict is Verdict.NOT_ENOUGH_DATA) == (evidence.coverage < RULES.min_coverage)
    if dial >= RULES.threshold_c:
        assert evidence.chosen == ()
    if verdict is Verdict.SEVERE:
        assert evidence.highest_c is not None
        assert evidence.highest_c < RULES.threshold_c


@given(temperatures, st.integers(0, len(GRID) - 1))
def test_a_colder_half_hour_never_makes_a_home_count_as_warmer(values, index) -> None:
    rooms = pd.Series(values, index=GRID, dtype=float)
    if math.isnan(rooms.iloc[index]):
        return
    colder = rooms.copy()
    colder.iloc[index] -= 10.0
    order = [Verdict.WARM, Verdict.COLD, Verdict.SEVERE]
    before, after = judge(rooms)[0], judge(colder)[0]
    if before in order:
        assert order.index(after) >= order.index(before)


def test_the_threshold_and_the_hours_are_configuration(week) -> None:
    rules = ColdHomeRules(threshold_c=21.0, day_from_h=9, day_to_h=12)
    verdict, evidence = judge(week(20.0), rules=rules)
    assert verdict is Verdict.SEVERE
    assert evidence.expected_h == 7 * 3
