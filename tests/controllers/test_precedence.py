"""Who comes first: whatever plan, event, price and floor say, a resident's choice is followed."""

from __future__ import annotations

import math
from dataclasses import replace
from datetime import timedelta

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from controllers.linear import HighsPlanner
from ems.domain.events import Direction, EventState, FlexEvent, FlexRequest, Undisturbed
from ems.domain.plans import HomePlan
from ems.domain.points import PointId
from ems.domain.reasons import Course
from ems.domain.setpoints import Cause, Setpoint
from ems.domain.wishes import FROST_LIMIT_C, Wish, WishKind

ROOM_HOME, SG_HOME = "A-04", "A-11"
"""One steered by its room setpoint (half degrees), one by SG Ready with a dial of its own."""
RATED_SAFE_W = 20e3
CAUSES = [cause for cause in Cause if cause is not Cause.RELEASE]
EVENTS = [None, *(state for state in EventState if state is not EventState.REFUSED)]


@pytest.fixture(scope="module")
def schedule(lab):
    return HighsPlanner(lab.zone).plan(lab.demo_problem(), 10.0)


def forced(schedule, names, heat_w, room_c, cause):
    """The plan, with something else for these homes."""
    steps = schedule.step_s.size
    homes = [
        HomePlan(
            name,
            np.full(steps, heat_w),
            np.full(steps, heat_w / 3),
            np.full(steps, room_c),
            (cause,) * steps,
            ("A sentence.",) * steps,
            course=(Course.AHEAD if cause is Cause.CHEAP_NOW else Course.BEHIND,) * steps,
        )
        for name in names
    ]
    others = [home for home in schedule.homes if home.dwelling_id not in names]
    return replace(schedule, homes=(*others, *homes))


def an_event(lab, state, direction, running):
    start = lab.start - timedelta(minutes=30)
    end = lab.start + (timedelta(minutes=30) if running else -timedelta(minutes=5))
    return FlexEvent(
        id="event",
        request=FlexRequest("A", direction, 20e3, start, end, "operator"),
        state=state,
        accepted_w=20e3,
        reason="",
        received_at=lab.start,
        reference_w=(30e3,),
        battery_takes_part=True,
    )


before_event = st.floats(5e3, 60e3)


def earlier(lab, name, cause, value):
    point = PointId(f"{name}-hp", "sg_mode" if name == SG_HOME else "room_setpoint_c")
    return Setpoint("old", point, value, lab.start, lab.start, cause, "Before.", value)


situations = st.fixed_dictionaries(
    {
        "heat_w": st.sampled_from([0.0, 2000.0, 6000.0]),
        "planned_c": st.floats(15, 24),
        "cause": st.sampled_from(CAUSES),
        "room_c": st.floats(9, 26),
        "planless": st.booleans(),
        "event": st.sampled_from(EVENTS),
        "direction": st.sampled_from(list(Direction)),
        "running": st.booleans(),
        "expected_w": before_event,
        "import_w": st.floats(0, RATED_SAFE_W),
        "last": st.sampled_from(CAUSES),
    }
)


def told(lab, schedule, case, wishes=None, dial_c=None, import_w=None):
    block = lab.estate().block("A")
    rooms = {ROOM_HOME: case["room_c"], SG_HOME: case["room_c"]}
    changes = {} if dial_c is None else {PointId(f"{SG_HOME}-hp", "room_setpoint_c"): dial_c}
    flow_w = case["import_w"] if import_w is None else import_w
    snapshot = lab.readings(block, lab.start, rooms=rooms, changes=changes, import_w=flow_w)
    plan = forced(schedule, [ROOM_HOME, SG_HOME], case["heat_w"], case["planned_c"], case["cause"])
    events, before = [], {}
    if case["event"] is not None:
        event = an_event(lab, case["event"], case["direction"], case["running"])
        events = [event]
        flows = (case["expected_w"],) * 8
        start = event.request.start
        before = {"event": Undisturbed("event", start, start, flows, (0.0,) * 8, flows)}
    last = (earlier(lab, ROOM_HOME, case["last"], 18.0), earlier(lab, SG_HOME, case["last"], 2.0))
    setpoints = lab.dispatch(
        schedule=None if case["planless"] else plan,
        snapshot=snapshot,
        wishes=wishes or {},
        events=events,
        before=before,
        previous={setpoint.point_id: setpoint for setpoint in last},
    )
    return {setpoint.point_id.device_id: setpoint for setpoint in setpoints}


@given(case=situations, asked_c=st.floats(5, 32), kind=st.sampled_from(["room", "away"]))
@settings(max_examples=120, deadline=None)
def test_a_room_temperature_that_was_asked_for_is_told_whatever_else_is_wanted(
    lab, schedule, case, asked_c, kind
):
    wish = Wish(ROOM_HOME, WishKind(kind), asked_c, None)
    setpoint = told(lab, schedule, case, {ROOM_HOME: wish})[f"{ROOM_HOME}-hp"]
    rule = lab.estate().devices[f"{ROOM_HOME}-hp"].profile.points["room_setpoint_c"].write
    wanted = math.ceil(max(asked_c, FROST_LIMIT_C) * 2 - 1e-9) / 2
    assert setpoint.value == min(max(wanted, rule.low), rule.high)
    assert setpoint.cause is Cause.RESIDENT


@given(case=situations, dial_c=st.floats(10, 17.9))
@settings(max_examples=120, deadline=None)
def test_nothing_lifts_a_home_above_what_was_chosen_at_the_heat_pump_itself(
    lab, schedule, case, dial_c
):
    setpoint = told(lab, schedule, case, dial_c=dial_c)[f"{SG_HOME}-hp"]
    assert (setpoint.value, setpoint.cause) == (2.0, Cause.RESIDENT)
    assert "at the heat pump itself" in setpoint.sentence


@given(case=situations, kind=st.sampled_from(["room", "away", "opt_out"]), data=st.data())
@settings(max_examples=120, deadline=None)
def test_a_heat_pump_without_a_setpoint_is_encouraged_only_by_a_wish_for_more_than_its_dial(
    lab, schedule, case, kind, data
):
    dial_c = data.draw(st.none() | st.floats(10, 26))
    asked_c = data.draw(st.floats(8, 26))
    wishes = {SG_HOME: Wish(SG_HOME, WishKind(kind), asked_c, None)}
    setpoint = told(lab, schedule, case, wishes, dial_c=dial_c)[f"{SG_HOME}-hp"]
    scheduled_c = 18.5  # at noon on a weekday
    more = kind == "room" and asked_c > (scheduled_c if dial_c is None else dial_c) + 0.25
    assert setpoint.value == (3.0 if more else 2.0)
    assert setpoint.cause is Cause.RESIDENT


@given(case=situations, over_w=st.floats(0, 50e3))
@settings(max_examples=60, deadline=None)
def test_only_the_rating_of_the_supply_makes_a_chosen_temperature_wait(lab, schedule, case, over_w):
    limit_w = lab.estate().block("A").limits.physical_import_w
    wishes = {ROOM_HOME: Wish(ROOM_HOME, WishKind.ROOM, 25.0, None)}
    setpoint = told(lab, schedule, case, wishes, import_w=limit_w + over_w)[f"{ROOM_HOME}-hp"]
    if setpoint.cause is Cause.IMPORT_LIMIT:
        assert setpoint.value == 18.0
        assert case["room_c"] > 18.0
    else:
        assert (setpoint.value, setpoint.cause) == (25.0, Cause.RESIDENT)


def test_frost_stands_above_a_dial_that_was_turned_off(lab, schedule):
    case = {
        "heat_w": 0.0,
        "planned_c": 15.0,
        "cause": Cause.HOLD,
        "planless": False,
        "event": None,
        "import_w": 5e3,
        "last": Cause.HOLD,
        "room_c": 7.5,
    }
    setpoint = told(lab, schedule, case, dial_c=10.0)[f"{SG_HOME}-hp"]
    assert (setpoint.value, setpoint.cause) == (3.0, Cause.DEVICE_PROTECTION)


def test_a_dial_that_follows_the_home_s_own_schedule_is_no_choice_against_the_floor(lab, schedule):
    estate = lab.estate()
    home = next(each for each in estate.block("A").dwellings if each.id == SG_HOME)
    assert home.comfort.temperature_at(lab.start, lab.zone) == 18.5
    case = {
        "heat_w": 0.0,
        "planned_c": 18.0,
        "cause": Cause.DEAR_NOW,
        "planless": False,
        "event": None,
        "import_w": 5e3,
        "last": Cause.HOLD,
        "room_c": 18.0,
    }
    setpoint = told(lab, schedule, case, dial_c=18.5)[f"{SG_HOME}-hp"]
    assert (setpoint.value, setpoint.cause) == (3.0, Cause.COMFORT_FLOOR)
