"""A minute of control: plan, floor, wishes and limits turned into setpoints."""

from __future__ import annotations

from dataclasses import replace
from datetime import timedelta

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from controllers.linear import HighsPlanner
from ems.domain.errors import InvalidInputError
from ems.domain.plans import BatteryPlan, HomePlan
from ems.domain.points import PointId
from ems.domain.reasons import Course
from ems.domain.setpoints import Cause
from ems.domain.wishes import Wish, WishKind

BATTERY = "A-battery"
COURSES = {
    Cause.CHEAP_NOW: Course.AHEAD,
    Cause.SOLAR: Course.AHEAD,
    Cause.EVENT: Course.BEHIND,
    Cause.DEAR_NOW: Course.BEHIND,
}
"""What a home does for these; for all others, what its resident asked for."""


@pytest.fixture(scope="module")
def schedule(lab):
    return HighsPlanner(lab.zone).plan(lab.demo_problem(), 10.0)


def by_device(setpoints):
    return {setpoint.point_id.device_id: setpoint for setpoint in setpoints}


def with_home(schedule, name, *, heat_w, room_c, cause):
    """The same plan, with another first step for one home."""
    steps = schedule.step_s.size
    home = HomePlan(
        name,
        np.full(steps, float(heat_w)),
        np.full(steps, heat_w / 3.0),
        np.full(steps, float(room_c)),
        (cause,) * steps,
        ("A sentence.",) * steps,
        course=(COURSES.get(cause, Course.AS_ASKED),) * steps,
    )
    others = tuple(each for each in schedule.homes if each.dwelling_id != name)
    return replace(schedule, homes=(*others, home))


def with_battery(schedule, power_w, cause, import_w=50e3):
    steps = schedule.step_s.size
    battery = BatteryPlan(
        np.full(steps, float(power_w)),
        np.full(steps, 2e4),
        (cause,) * steps,
        ("It does.",) * steps,
        surplus=(cause is Cause.SOLAR,) * steps,
    )
    return replace(schedule, battery=battery, import_w=np.full(steps, float(import_w)))


# --- following the plan ----------------------------------------------------------------------


def test_every_home_and_the_battery_get_a_setpoint_with_a_reason(lab, schedule):
    block = lab.estate().block("A")
    calm = lab.readings(block, lab.start, import_w=10e3)
    setpoints = lab.dispatch(schedule=schedule, snapshot=calm)
    assert len(setpoints) == 21
    assert len({setpoint.id for setpoint in setpoints}) == 21
    for setpoint in setpoints:
        assert setpoint.sentence.endswith(".")
        assert setpoint.plan_id == schedule.id
    later = lab.dispatch(schedule=schedule, now=lab.start + timedelta(seconds=60), previous={})
    assert max(s.id for s in setpoints) < min(s.id for s in later)


def test_a_coasting_home_gets_the_setpoint_it_coasts_down_to(lab, schedule):
    # A-04 takes half degrees, A-03 whole ones; both floors are 18 °C.
    plan = with_home(schedule, "A-04", heat_w=0, room_c=18.7, cause=Cause.DEAR_NOW)
    assert by_device(lab.dispatch(schedule=plan))["A-04-hp"].value == 18.5
    plan = with_home(schedule, "A-03", heat_w=0, room_c=19.3, cause=Cause.DEAR_NOW)
    warm = lab.readings(lab.estate().block("A"), lab.start, rooms={"A-03": 20.6})
    assert by_device(lab.dispatch(schedule=plan, snapshot=warm))["A-03-hp"].value == 19.0
    # A whole degree below could let it coast too far: the next one up, once it has.
    cool = lab.readings(lab.estate().block("A"), lab.start, rooms={"A-03": 20.1})
    assert by_device(lab.dispatch(schedule=plan, snapshot=cool))["A-03-hp"].value == 21.0
    plan = with_home(schedule, "A-04", heat_w=0, room_c=17.0, cause=Cause.DEAR_NOW)
    assert by_device(lab.dispatch(schedule=plan))["A-04-hp"].value == 18.0


def test_a_warm_room_that_cools_faster_than_planned_does_not_start_a_pump_that_is_to_rest(
    lab, schedule
):
    # A-04 asks for 19 °C at noon; the plan lets a preheated room fall from 21.5 °C to 20.8 °C.
    plan = with_home(schedule, "A-04", heat_w=0, room_c=20.8, cause=Cause.DEAR_NOW)
    assert by_device(lab.dispatch(schedule=plan))["A-04-hp"].value == 19.0


def test_heating_ahead_aims_at_the_top_of_the_rise_but_not_over_the_ceiling(lab, schedule):
    # At noon A-04 asks for 19 °C and may be preheated by 2 K.
    plan = with_home(schedule, "A-04", heat_w=4000, room_c=20.1, cause=Cause.CHEAP_NOW)
    assert by_device(lab.dispatch(schedule=plan))["A-04-hp"].value == 20.5
    plan = with_home(schedule, "A-04", heat_w=4000, room_c=23.0, cause=Cause.CHEAP_NOW)
    assert by_device(lab.dispatch(schedule=plan))["A-04-hp"].value == 21.0


def told_with(lab, schedule, **plan):
    """Return what A-03 is told at a room temperature, one after the other."""
    block = lab.estate().block("A")
    planned = with_home(schedule, "A-03", **plan)
    previous = {}

    def told(room_c, *, own_c=None):
        own = {PointId("A-03-hp", "room_temperature_c"): own_c}
        seen = lab.readings(block, lab.start, rooms={"A-03": room_c}, changes=own)
        made = lab.dispatch(schedule=planned, snapshot=seen, previous=previous)
        setpoint = by_device(made)["A-03-hp"]
        previous[setpoint.point_id] = setpoint
        return setpoint.value

    return told


def test_whole_degrees_take_turns_so_that_the_room_has_the_half_that_is_asked(lab, schedule):
    """A-03 takes whole degrees and asks for 20.5 °C at noon."""
    as_asked = {"heat_w": 1500, "room_c": 20.5, "cause": Cause.SCHEDULE}
    told = told_with(lab, schedule, **as_asked)
    values = [told(room_c) for room_c in (20.2, 20.6, 20.75, 20.85, 20.7, 20.6, 20.54, 20.7)]
    # Up until it is well above, down until it is hardly above, and as it was in between: never
    # lower than its own thermostat would let it go.
    assert values == [21.0, 21.0, 21.0, 20.0, 20.0, 20.0, 21.0, 21.0]
    # After a restart, whatever was told before, a room between the two is kept warm.
    assert told_with(lab, schedule, **as_asked)(20.7) == 21.0


def test_whole_degrees_take_turns_by_what_the_pumps_own_sensor_reads(lab, schedule):
    """Its thermostat starts at its own reading, wherever another sensor hangs."""
    told = told_with(lab, schedule, heat_w=1500, room_c=20.5, cause=Cause.SCHEDULE)
    assert told(20.85, own_c=20.7) == 21.0
    assert told(20.85, own_c=20.9) == 20.0
    assert told(20.7, own_c=20.5) == 21.0


def test_the_rise_before_a_warmer_time_is_not_held_down_to_the_schedule_of_now(lab, schedule):
    """Full power towards 21.9 °C while 20.5 °C is asked: no turn back to 20 °C on the way."""
    told = told_with(lab, schedule, heat_w=4000, room_c=21.9, cause=Cause.SCHEDULE)
    assert [told(room_c) for room_c in (20.6, 21.0, 21.6)] == [22.0, 22.0, 22.0]
    # Where the step is to end at 20.8 °C, that is what the room swings above.
    told = told_with(lab, schedule, heat_w=4000, room_c=20.8, cause=Cause.SCHEDULE)
    assert [told(room_c) for room_c in (20.6, 21.0, 21.15, 20.84)] == [21.0, 21.0, 20.0, 21.0]


def test_an_sg_ready_home_far_below_its_schedule_is_helped_until_it_is_near(lab, schedule):
    """A-02 asks for 19 °C at noon; its own thermostat would get there, only later."""
    block = lab.estate().block("A")
    plan = with_home(schedule, "A-02", heat_w=4000, room_c=18.8, cause=Cause.SCHEDULE)

    def told(room_c, previous):
        seen = lab.readings(block, lab.start, rooms={"A-02": room_c})
        return by_device(lab.dispatch(schedule=plan, snapshot=seen, previous=previous))["A-02-hp"]

    first = told(18.55, {})
    assert first.value == 3.0
    assert told(18.7, {first.point_id: first}).value == 3.0
    assert told(18.9, {first.point_id: first}).value == 2.0
    assert told(18.7, {}).value == 2.0


def test_charging_waits_where_homes_take_more_than_was_planned(lab, schedule):
    charge = with_battery(schedule, 12e3, Cause.CHEAP_NOW, import_w=25e3)
    assert battery_told(lab, charge, import_w=10e3).value == 12e3
    assert battery_told(lab, charge, import_w=18e3).value == pytest.approx(7e3)
    assert battery_told(lab, charge, import_w=30e3).value == 0.0


def test_sg_ready_is_encouraged_only_to_preheat(lab, schedule):
    ahead = with_home(schedule, "A-02", heat_w=4000, room_c=19.8, cause=Cause.CHEAP_NOW)
    assert by_device(lab.dispatch(schedule=ahead))["A-02-hp"].value == 3.0
    for cause in (Cause.SCHEDULE, Cause.DEAR_NOW, Cause.HOLD):
        plan = with_home(schedule, "A-02", heat_w=4000, room_c=19.8, cause=cause)
        assert by_device(lab.dispatch(schedule=plan))["A-02-hp"].value == 2.0


def test_without_a_fresh_plan_the_resident_s_schedule_stands(lab, schedule):
    later = lab.start + timedelta(hours=2, seconds=1)
    snapshot = lab.readings(lab.estate().block("A"), later)
    for plan in (None, schedule):
        told = by_device(lab.dispatch(schedule=plan, now=later, snapshot=snapshot))
        assert told["A-04-hp"].cause is Cause.NO_PLAN
        assert told["A-04-hp"].value == 19.0
        assert told["A-04-hp"].plan_id == ""
        assert told["A-02-hp"].value == 2.0
        assert "no fresh plan" in told["A-04-hp"].sentence


def test_a_stale_room_reading_steers_nothing(lab, schedule):
    block = lab.estate().block("A")
    silent = {("A-04-room", "temperature_c"): None}
    snapshot = lab.readings(block, lab.start, changes=silent)
    told = by_device(lab.dispatch(schedule=schedule, snapshot=snapshot))
    assert told["A-04-hp"].cause is Cause.NO_PLAN
    assert "no fresh room reading" in told["A-04-hp"].sentence
    assert told["A-01-hp"].cause is not Cause.NO_PLAN


# --- the floor and the resident --------------------------------------------------------------


def test_a_room_near_its_floor_is_heated_whatever_the_plan_says(lab, schedule):
    block = lab.estate().block("A")
    coasting = with_home(schedule, "A-04", heat_w=0, room_c=18.0, cause=Cause.DEAR_NOW)

    def told(room_c, previous=()):
        snapshot = lab.readings(block, lab.start, rooms={"A-04": room_c})
        return next(
            setpoint
            for setpoint in lab.dispatch(
                schedule=coasting,
                snapshot=snapshot,
                previous={setpoint.point_id: setpoint for setpoint in previous},
            )
            if setpoint.point_id.device_id == "A-04-hp"
        )

    assert told(18.45).cause is Cause.DEAR_NOW
    cold = told(18.1)
    assert cold.cause is Cause.COMFORT_FLOOR
    # A thermostat lets the room go 0.25 K below its setpoint: half a kelvin above the floor.
    assert cold.value == 18.5
    # It stays until the room is clear of what that thermostat reaches by itself.
    assert told(18.75, [cold]).value == 18.5
    warm = told(19.05, [cold])
    assert warm.cause is Cause.COMFORT_FLOOR
    # A reason is kept once, when it begins: the words are true at 18.1 °C and at 19.05 °C.
    assert warm.sentence == cold.sentence
    assert "18 °C" in cold.sentence and "near" not in cold.sentence
    assert told(19.15, [cold]).cause is Cause.DEAR_NOW


def test_a_pump_whose_sensor_reads_warmer_is_asked_for_more(lab, schedule):
    block = lab.estate().block("A")
    coasting = with_home(schedule, "A-04", heat_w=0, room_c=18.0, cause=Cause.DEAR_NOW)

    def told(room_c, previous):
        changes = {("A-04-hp", "room_temperature_c"): room_c + 1.0}
        snapshot = lab.readings(block, lab.start, rooms={"A-04": room_c}, changes=changes)
        return by_device(
            lab.dispatch(
                schedule=coasting,
                snapshot=snapshot,
                previous={setpoint.point_id: setpoint for setpoint in previous.values()},
            )
        )

    cold = told(18.3, {})
    assert cold["A-04-hp"].value == 18.5
    colder = told(18.05, cold)
    assert colder["A-04-hp"].value == 20.0
    assert told(18.2, colder)["A-04-hp"].value == 20.0
    assert told(18.4, colder)["A-04-hp"].value == 18.5


def test_as_asked_the_setpoint_stands_still_whether_the_pump_runs_or_rests(lab, schedule):
    for heat_w, cause in ((2000, Cause.SCHEDULE), (0, Cause.HOLD), (0, Cause.SCHEDULE)):
        plan = with_home(schedule, "A-04", heat_w=heat_w, room_c=19.0, cause=cause)
        assert by_device(lab.dispatch(schedule=plan))["A-04-hp"].value == 19.0


def test_a_wish_outranks_plan_and_floor_and_ends_when_it_ends(lab, schedule):
    until = lab.start + timedelta(hours=1)
    wishes = {
        "A-04": Wish("A-04", WishKind.ROOM, 22.3, until),
        "A-07": Wish("A-07", WishKind.AWAY, 14.0, until),
        "A-02": Wish("A-02", WishKind.ROOM, 22.0, until),
        "A-10": Wish("A-10", WishKind.OPT_OUT, 0.0, None),
    }
    told = by_device(lab.dispatch(schedule=schedule, wishes=wishes))
    assert told["A-04-hp"].value == 22.5
    assert told["A-07-hp"].value == 14.0
    assert told["A-07-hp"].release_value >= 18.0
    assert told["A-02-hp"].value == 3.0
    assert told["A-10-hp"].value == 20.5
    assert {told[f"{name}-hp"].cause for name in wishes} == {Cause.RESIDENT}
    snapshot = lab.readings(lab.estate().block("A"), until)
    told = by_device(lab.dispatch(schedule=schedule, now=until, snapshot=snapshot, wishes=wishes))
    assert told["A-04-hp"].cause is not Cause.RESIDENT
    assert told["A-10-hp"].cause is Cause.RESIDENT


@given(
    rooms=st.lists(st.floats(5, 30), min_size=20, max_size=20),
    ends=st.floats(5, 35),
    heat_w=st.floats(0, 9000),
    cause=st.sampled_from(list(Cause)),
    import_w=st.floats(-50e3, 200e3),
    minutes=st.integers(0, 24 * 60 - 1),
    planned=st.booleans(),
)
def test_no_setpoint_leaves_bounds_or_floor_and_all_expire_in_time(
    lab, schedule, rooms, ends, heat_w, cause, import_w, minutes, planned
):
    estate = lab.estate()
    block = estate.block("A")
    now = lab.start + timedelta(minutes=minutes)
    plan = replace(schedule, issued_at=now) if planned else None
    if plan is not None:
        for home in block.dwellings[::2]:
            plan = with_home(plan, home.id, heat_w=heat_w, room_c=ends, cause=cause)
    names = [home.id for home in block.dwellings]
    snapshot = lab.readings(
        block, now, rooms=dict(zip(names, rooms, strict=True)), import_w=import_w
    )
    first = lab.dispatch(schedule=plan, now=now, snapshot=snapshot)
    again = lab.dispatch(
        schedule=plan, now=now, snapshot=snapshot, previous={s.point_id: s for s in first}
    )
    for setpoints in (first, again):
        told = by_device(setpoints)
        for home in block.dwellings:
            setpoint = told[f"{home.id}-hp"]
            rule = estate.devices[f"{home.id}-hp"].profile.points[setpoint.point_id.point].write
            assert rule.low <= setpoint.value <= rule.high
            assert setpoint.value / rule.step == pytest.approx(round(setpoint.value / rule.step))
            if setpoint.point_id.point == "sg_mode":
                assert setpoint.value in (2.0, 3.0)
                assert setpoint.release_value == 2.0
                continue
            assert setpoint.value >= home.floor_c
            wanted = home.comfort.temperature_at(now, lab.zone)
            if setpoint.cause is not Cause.COMFORT_FLOOR:
                assert setpoint.value <= max(wanted, home.floor_c) + home.comfort.ceiling_k + 1
            assert setpoint.release_value >= max(home.comfort.highest_c, home.floor_c)
        for setpoint in setpoints:
            life = setpoint.expires_at - setpoint.issued_at
            assert timedelta(minutes=5) <= life < timedelta(minutes=15)
        battery = told[BATTERY]
        assert abs(battery.value) <= 20e3
        assert battery.release_value == 0.0


def test_expiries_are_spread_over_the_homes_and_stay_the_same(lab, schedule):
    first = lab.dispatch(schedule=schedule)
    again = lab.dispatch(schedule=schedule)
    assert [s.expires_at for s in first] == [s.expires_at for s in again]
    minutes = {int((s.expires_at - s.issued_at).total_seconds() // 60) for s in first}
    assert len(minutes) >= 6


def test_a_pump_that_cannot_be_written_is_a_fault_of_the_configuration(lab):
    estate = lab.estate()
    devices = dict(estate.devices)
    devices["A-04-hp"] = replace(devices["A-04-hp"], profile=devices["A-04-room"].profile)
    with pytest.raises(InvalidInputError, match=r"devices\.A-04-hp"):
        lab.dispatch(devices=devices)


# --- the battery -----------------------------------------------------------------------------


def battery_told(lab, plan, **readings):
    block = lab.estate().block("A")
    snapshot = lab.readings(block, lab.start, **readings)
    return by_device(lab.dispatch(schedule=plan, snapshot=snapshot))[BATTERY]


def test_the_battery_follows_its_plan_where_the_meter_allows(lab, schedule):
    charge = with_battery(schedule, 12e3, Cause.CHEAP_NOW)
    assert battery_told(lab, charge, import_w=20e3).value == 12e3
    # The contracted ceiling comes before 93 % of the rating.
    limits = lab.estate().block("A").limits
    assert limits.contracted_import_w < 0.93 * limits.physical_import_w
    told = battery_told(lab, charge, import_w=limits.contracted_import_w - 5e3)
    assert told.value == pytest.approx(5e3)
    assert told.cause is Cause.IMPORT_LIMIT
    over_w = limits.contracted_import_w + 10e3
    assert battery_told(lab, charge, import_w=over_w).value == pytest.approx(-10e3)
    assert battery_told(lab, charge, changes={("A-meter", "power_w"): None}).value == 0.0


def test_discharging_does_not_turn_into_export_unless_it_is_meant_to(lab, schedule):
    discharge = with_battery(schedule, -12e3, Cause.DEAR_NOW)
    assert battery_told(lab, discharge, import_w=30e3).value == -12e3
    assert battery_told(lab, discharge, import_w=4e3).value == -4e3
    export = with_battery(schedule, -12e3, Cause.DEAR_NOW, import_w=-6e3)
    assert battery_told(lab, export, import_w=4e3).value == -12e3


def test_solar_charging_takes_what_the_sun_really_gives(lab, schedule):
    solar = with_battery(schedule, 12e3, Cause.SOLAR)
    assert battery_told(lab, solar, import_w=-7e3).value == 7e3
    assert battery_told(lab, solar, import_w=3e3).value == 0.0


def test_a_battery_at_its_reserve_gives_nothing_and_a_full_one_takes_nothing(lab, schedule):
    discharge = with_battery(schedule, -12e3, Cause.DEAR_NOW)
    assert battery_told(lab, discharge, soc=10.0).value == 0.0
    charge = with_battery(schedule, 12e3, Cause.CHEAP_NOW)
    assert battery_told(lab, charge, soc=100.0).value == 0.0
    unknown = {(BATTERY, "soc_pct"): None}
    assert battery_told(lab, charge, changes=unknown).value == 0.0


def test_without_a_plan_the_battery_follows_the_building_s_own_use(lab):
    assert battery_told(lab, None, import_w=8e3).value == -8e3
    told = battery_told(lab, None, import_w=-3e3)
    assert told.value == 3e3
    assert told.cause is Cause.NO_PLAN
