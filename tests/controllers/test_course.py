"""What a step of a plan is beside the home's own thermostat: as asked, ahead or behind."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from controllers.course import courses, in_time_c
from controllers.evaluation import Decision, evaluate
from controllers.stacked import stack
from ems.domain.reasons import Course

STEPS = 8
HALF_H = 0.5


@pytest.fixture
def home(lab):
    """Return one home at 20 °C that loses 150 W/K to 5 °C, and a function from heat to course."""
    problem = lab.problem(homes=1, steps=STEPS, battery=False)
    flat = np.ones(STEPS)
    one = replace(
        problem.homes[0],
        room_c=20.0,
        loss_w_per_k=150.0,
        capacity_j_per_k=4.0 * 3.6e6,
        outdoor_c=5.0 * flat,
        free_heat_w=0.0 * flat,
        floor_c=17.0 * flat,
        comfort_c=20.0 * flat,
        ceiling_c=22.0 * flat,
        heat_max_w=6000.0 * flat,
    )

    def told(heat_kw, **changes):
        model = stack(replace(problem, homes=(replace(one, **changes),)))
        decision = Decision(np.array([heat_kw], dtype=float), np.zeros(STEPS))
        found = evaluate(model, decision)
        return courses(model, decision, found)[0], found.rooms_c[0], in_time_c(model, found)[0]

    return told


def test_what_holds_the_schedule_is_as_asked(home):
    held = np.full(STEPS, 0.15 * 15.0)  # 150 W/K times 15 K
    course, rooms, _ = home(held)
    assert rooms == pytest.approx(20.0, abs=0.01)
    assert set(course) == {Course.AS_ASKED}


def test_more_than_the_schedule_needs_is_ahead_and_the_rest_after_it_is_behind(home):
    course, rooms, _ = home([5.0, 5.0, *[0.0] * (STEPS - 2)])
    assert course[:2] == (Course.AHEAD, Course.AHEAD)
    assert rooms[2] > 20.1 and course[2] is Course.BEHIND  # it rests above what is asked
    assert rooms[-1] < 19.5 and course[-1] is Course.BEHIND  # and then below


@pytest.mark.parametrize(
    ("less_kw", "expected"), [(0.1, Course.AS_ASKED), (0.3, Course.BEHIND), (1.5, Course.BEHIND)]
)
def test_less_than_the_thermostat_would_give_is_behind_only_by_more_than_a_trifle(
    home, less_kw, expected
):
    course, *_ = home([0.15 * 15.0 - less_kw, *[0.15 * 15.0] * (STEPS - 1)])
    assert course[0] is expected


def test_a_rise_that_the_pump_needs_to_be_in_time_is_as_asked(home):
    """Two kelvin more are asked for at the fifth step; the pump lifts some 0.4 K in a step."""
    comfort = np.where(np.arange(STEPS) < 4, 18.0, 20.0)
    start = {"room_c": 18.0, "comfort_c": comfort, "ceiling_c": comfort + 2.0}
    _, rooms, in_time = home(np.full(STEPS, 6.0), **start)
    # Backwards from 20 °C, at full heat: T before = (T after − what a step adds) / decay.
    decay = np.exp(-HALF_H * 0.15 / 4.0)
    adds = (1.0 - decay) * (5.0 + 6.0 / 0.15)
    expected = 20.0
    for step in (3, 2, 1, 0):
        expected = (expected - adds) / decay
        assert in_time[step] == pytest.approx(max(expected, 18.0), abs=1e-9)
    assert in_time[4:] == pytest.approx(20.0)
    late = np.where(np.arange(STEPS) < 2, 0.15 * 13.0, 6.0)
    course, rooms, _ = home(late, **start)
    assert rooms[3] < 20.0 and course[:5] == (Course.AS_ASKED,) * 5
    early = np.where(np.arange(STEPS) < 1, 6.0, 0.15 * 14.0)
    assert home(early, **start)[0][0] is Course.AHEAD


def test_a_heavy_part_that_warms_the_room_counts_in_time(lab):
    """Warm walls lift the room too, so less has to be begun early."""
    problem = lab.problem(homes=1, steps=STEPS, battery=False)
    comfort = np.where(np.arange(STEPS) < 6, 18.0, 21.0)
    home = replace(problem.homes[0], comfort_c=comfort, ceiling_c=comfort + 3.0)
    model = stack(replace(problem, homes=(home,)))
    decision = Decision(np.zeros((1, STEPS)), np.zeros(STEPS))
    found = evaluate(model, decision)
    warmed = replace(found, pull_k=found.pull_k + 0.2)
    cooled = replace(found, pull_k=found.pull_k - 0.2)
    assert np.all(in_time_c(model, warmed) <= in_time_c(model, cooled))
    assert np.any(in_time_c(model, warmed) < in_time_c(model, cooled))
