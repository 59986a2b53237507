"""A home that bore more than its share is asked for less, and nobody is let under the floor."""

from __future__ import annotations

from dataclasses import replace
from datetime import timedelta

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from controllers.fairness import TRIFLE_W, expected_homes, missed_w, plan_sparing, with_spared
from controllers.linear import HighsPlanner
from ems.domain.events import Direction, EventState, FlexEvent, FlexRequest
from ems.domain.plans import GaveWay

HOURS = timedelta(hours=1)
INSIDE = slice(10, 14)
"""The steps of an event from five to seven."""


def at_one_price(problem):
    """Return a frosty day's problem in which nothing but an event makes homes rest."""
    flat = np.full(problem.step_s.shape, 0.15)
    homes = tuple(replace(home, price_gbp_per_kwh=flat) for home in problem.homes)
    return replace(problem, homes=homes, import_gbp_per_kwh=flat, battery=None, peaks=())


@pytest.fixture(scope="module")
def evening(lab):
    """Block B, whose homes are to draw a tenth for two hours."""
    frost = lab.forecasts(lab.estate().block("B"), lab.start, outdoor=-6.0)
    calm = at_one_price(lab.demo_problem("B", forecasts=frost))
    plain = HighsPlanner(lab.zone).plan(calm, 10.0)
    heating_w = sum(home.power_w[INSIDE] for home in plain.homes)
    base_w = sum(home.base_w[INSIDE] for home in calm.homes)
    start = lab.start + 5 * HOURS
    asked_w = 0.6 * float(heating_w.min())
    event = FlexEvent(
        id="event-B",
        request=FlexRequest("B", Direction.DOWN, asked_w, start, start + 2 * HOURS, "operator"),
        state=EventState.ACCEPTED,
        accepted_w=asked_w,
        reason="",
        received_at=lab.start,
        reference_w=tuple((heating_w + base_w).tolist()),
        margin_w=1.0,
    )
    problem = at_one_price(lab.demo_problem("B", forecasts=frost, events=[event]))
    return event, problem, missed_kh(calm, plain)


@pytest.fixture(scope="module")
def before(lab, evening):
    """The plan that spares nobody."""
    return HighsPlanner(lab.zone).plan(evening[1], 10.0)


def missed_kh(problem, schedule):
    """Return by home the kelvin-hours below its schedule in the event and two hours after it."""
    return {
        home.dwelling_id: float(
            np.maximum(home.comfort_c - schedule.home(home.dwelling_id).room_c, 0.0)[10:18].sum()
        )
        / 2.0
        for home in problem.homes
    }


def test_a_spared_home_bears_less_and_the_promise_is_kept(lab, evening, before):
    event, problem, anyway = evening
    missed = missed_kh(problem, before)
    worst = max(missed, key=lambda home: missed[home] - anyway[home])
    assert missed[worst] - anyway[worst] > 1.0
    spared = {event.id: {worst: 1.0}}
    schedule = plan_sparing(HighsPlanner(lab.zone), problem, [event], spared, 10.0)
    then = missed_kh(problem, schedule)
    assert then[worst] - anyway[worst] < 0.6 * (missed[worst] - anyway[worst])
    assert sum(then.values()) < sum(missed.values()) + 1.0
    assert missed_w(schedule) <= missed_w(before) + TRIFLE_W


def test_sparing_gives_way_before_the_promise_does(lab, evening, before):
    event, problem, _ = evening
    planner = HighsPlanner(lab.zone)
    everybody = {event.id: {home.dwelling_id: 1.0 for home in problem.homes}}
    forced = planner.plan(with_spared(problem, before, [event], everybody), 10.0)
    assert missed_w(forced) > 500.0
    schedule = plan_sparing(planner, problem, [event], everybody, 10.0)
    assert missed_w(schedule) <= missed_w(before) + TRIFLE_W


@settings(max_examples=25)
@given(share=st.floats(0, 1), more=st.floats(0, 1))
def test_sparing_only_ever_raises_a_floor_and_never_above_the_schedule(
    evening, before, share, more
):
    event, problem, _ = evening
    names = [home.dwelling_id for home in problem.homes]
    most = min(share + more, 1.0)
    less, greater = (
        with_spared(problem, before, [event], {event.id: dict.fromkeys(names, one)})
        for one in (share, most)
    )
    for was, one, two in zip(problem.homes, less.homes, greater.homes, strict=True):
        assert np.all(was.floor_c <= one.floor_c + 1e-9)
        assert np.all(one.floor_c <= two.floor_c + 1e-9)
        assert np.all(two.floor_c <= np.maximum(was.comfort_c, was.floor_c) + 1e-9)
        # Before the event, and from two hours after it on, nothing changes.
        outside = np.r_[0:10, 18:48]
        assert np.array_equal(one.floor_c[outside], was.floor_c[outside])


def test_nobody_is_spared_in_a_turn_up_or_where_nobody_says_so(evening, before):
    event, problem, _ = evening
    up = replace(event, request=replace(event.request, direction=Direction.UP))
    names = [home.dwelling_id for home in problem.homes]
    everybody = {event.id: dict.fromkeys(names, 1.0)}
    assert with_spared(problem, before, [up], everybody) is problem
    assert with_spared(problem, before, [event], {}) is problem
    assert with_spared(problem, before, [], everybody) is problem


def test_what_homes_would_do_without_an_event_is_kept_by_half_hour(lab, evening):
    event, _, _ = evening
    problem = lab.demo_problem("B")
    schedule = HighsPlanner(lab.zone).plan(problem, 10.0)
    estate = lab.estate()
    would = expected_homes(
        event.id,
        estate.block("B"),
        problem,
        schedule,
        zone=lab.zone,
        rules=estate.control,
        first=event.request.start - 3 * HOURS,
        last=event.request.end + 4 * HOURS,
    )
    assert would.start == lab.start + 2 * HOURS
    assert set(would.homes) == {home.id for home in estate.block("B").dwellings}
    one, plan = would.homes["B-01"], schedule.home("B-01")
    assert len(one.room_c) == len(one.asked_c) == len(one.power_w) == 18
    assert one.power_w == pytest.approx(plan.power_w[4:22], abs=0.1)
    assert one.room_c == pytest.approx((plan.room_c[3:21] + plan.room_c[4:22]) / 2, abs=0.001)
    home = estate.dwelling("B-01")
    asked = [
        max(home.comfort.temperature_at(would.start + k * 0.5 * HOURS, lab.zone), home.floor_c)
        for k in range(18)
    ]
    assert list(one.asked_c) == asked


def test_what_a_plan_misses_of_its_events_is_the_worst_of_them(before):
    gave = [
        GaveWay("event", "one", 120.0, "W"),
        GaveWay("event", "other", 480.0, "W"),
        GaveWay("floor", "A-01", 900.0, "K"),
    ]
    assert missed_w(replace(before, gave_way=tuple(gave))) == 480.0
    assert missed_w(replace(before, gave_way=tuple(gave[2:]))) == 0.0
