"""From an estate to a problem: what each home is to be kept at, and what stands in."""

from __future__ import annotations

from dataclasses import replace
from datetime import date, timedelta

import numpy as np
import pytest

from controllers.linear import HighsPlanner
from controllers.problem import build_problem
from ems.domain.errors import InvalidInputError
from ems.domain.tariffs import DynamicTariff
from ems.domain.time import local_day_bounds
from ems.domain.wishes import Wish, WishKind


def home_of(problem, name):
    return next((home for home in problem.homes if home.dwelling_id == name), None)


def test_a_whole_block_is_planned_and_nothing_is_lacking(lab):
    for block_id, pooled in (("A", True), ("B", False)):
        problem = lab.demo_problem(block_id)
        assert len(problem.homes) == 20
        assert problem.lacked == ()
        assert problem.pooled is pooled
        schedule = HighsPlanner(lab.zone).plan(problem, 10.0)
        assert schedule.status == "optimal"
        assert schedule.gave_way == ()
        assert len(schedule.homes) == 20


def test_a_home_asks_for_its_schedule_above_its_floor(lab):
    problem = lab.demo_problem()
    for dwelling in lab.estate().block("A").dwellings:
        home = home_of(problem, dwelling.id)
        asked = [
            dwelling.comfort.temperature_at(lab.start + timedelta(minutes=30 * k), lab.zone)
            for k in range(49)
        ]
        # Warm at both ends of each half-hour: on time in the morning, not early in the evening.
        both = np.maximum(asked[:-1], asked[1:])
        assert home.comfort_c == pytest.approx(np.maximum(both, dwelling.floor_c))
        assert np.all(home.floor_c <= home.comfort_c + 1e-9)
        assert np.all(home.ceiling_c >= home.comfort_c)
        if dwelling.heat_pump.actuator == "room_setpoint":
            assert np.all(home.floor_c >= dwelling.floor_c)
            assert np.all(home.floor_c <= dwelling.floor_c + 0.5)


def test_a_plan_misses_less_comfort_where_the_estate_prices_it_higher(lab):
    """Dear hours after cheap ones: what comfort costs decides how far rooms are let down."""

    def missed_kh(gbp_per_kh):
        rules = replace(lab.estate().control, discomfort_gbp_per_kh=gbp_per_kh)
        problem = lab.demo_problem(rules=rules)
        dear = np.where(np.arange(problem.step_s.size) < 6, 0.1, 0.7)
        problem = replace(problem, import_gbp_per_kwh=dear)
        assert problem.discomfort_gbp_per_kh == gbp_per_kh
        plan = HighsPlanner(lab.zone).plan(problem, 10.0)
        found = [
            np.maximum(home.comfort_c - planned.room_c, 0.0).sum() / 2
            for home, planned in zip(problem.homes, plan.homes, strict=True)
        ]
        return sum(found)

    assert missed_kh(0.05) > missed_kh(0.25) + 1.0 > missed_kh(2.0) + 2.0


def test_an_sg_ready_home_is_not_planned_below_its_own_thermostat(lab):
    estate = lab.estate()
    block = estate.block("A")
    rooms = {"A-02": 17.0}
    problem = lab.demo_problem(snapshot=lab.readings(block, lab.start, rooms=rooms))
    home = home_of(problem, "A-02")
    # From 17 °C its thermostat heats flat out; the floor is that way back, so it is feasible.
    assert home.floor_c[0] < home.comfort_c[0]
    assert home.floor_c[-1] == pytest.approx(home.comfort_c[-1])
    schedule = HighsPlanner(lab.zone).plan(problem, 10.0)
    assert "A-02" not in {gave.subject for gave in schedule.gave_way}
    assert np.all(schedule.home("A-02").room_c >= home.floor_c - 1e-3)


def test_a_ceiling_follows_a_room_that_coasts(lab):
    block = lab.estate().block("A")
    problem = lab.demo_problem(snapshot=lab.readings(block, lab.start, rooms={"A-03": 25.0}))
    home = home_of(problem, "A-03")
    assert home.ceiling_c[0] > 24.0
    assert np.all(np.diff(home.ceiling_c[:6]) < 0)
    schedule = HighsPlanner(lab.zone).plan(problem, 10.0)
    assert schedule.gave_way == ()


def test_a_home_at_one_rate_of_its_own_is_warmed_for_its_own_schedule_alone(lab):
    """B-15 pays its own supplier 15.1p at all hours; B-06 a price of every half-hour."""
    problem = lab.demo_problem("B", snapshot=lab.readings(lab.estate().block("B"), lab.start))
    flat, dynamic = home_of(problem, "B-15"), home_of(problem, "B-06")
    assert np.ptp(flat.price_gbp_per_kwh) == 0.0 < np.ptp(dynamic.price_gbp_per_kwh)
    # Both ask for 19 °C from 17:00, ten half-hours after noon, to 22:00; B-06 may be 21 °C.
    assert flat.comfort_c[8] == dynamic.comfort_c[8] == 18.0
    assert flat.ceiling_c[11:20] == pytest.approx(19.0)
    assert np.all(dynamic.ceiling_c >= dynamic.comfort_c + 1.9)
    # Where the landlord buys for all, tenants are credited instead.
    pooled = home_of(lab.demo_problem("A"), "A-08")
    assert np.all(pooled.ceiling_c >= pooled.comfort_c + 0.9)


@pytest.mark.parametrize("day", [date(2024, 3, 31), date(2024, 10, 27), date(2024, 6, 1)])
def test_days_on_which_clocks_change_keep_their_local_times(lab, day):
    start, end = local_day_bounds(day, lab.zone)
    steps = int((end - start) / timedelta(minutes=30))
    assert steps == {3: 46, 10: 50, 6: 48}[day.month]
    problem = lab.demo_problem(
        now=start,
        steps=steps,
        forecasts=lab.forecasts(lab.estate().block("A"), start, steps),
    )
    # A-03 is "at_home": on a weekend 20.5 °C from 07:00 to 22:30 local time.
    warm = np.flatnonzero(home_of(problem, "A-03").comfort_c == 20.5)
    first = (start + timedelta(minutes=30 * int(warm[0]))).astimezone(lab.zone)
    last = (start + timedelta(minutes=30 * int(warm[-1]))).astimezone(lab.zone)
    assert (first.hour, first.minute) == (6, 30)
    assert (last.hour, last.minute) == (22, 0)
    schedule = HighsPlanner(lab.zone).plan(problem, 10.0)
    assert schedule.home("A-03").room_c[warm[0]] >= 20.5 - 0.01


def test_a_home_without_a_room_reading_is_not_planned_but_its_load_counts(lab):
    block = lab.estate().block("A")
    silent = {(block.dwellings[0].room_sensor_id, "temperature_c"): None}
    problem = lab.demo_problem(snapshot=lab.readings(block, lab.start, changes=silent))
    assert home_of(problem, "A-01") is None
    assert np.all(problem.uncontrolled_w > 350 + 120)
    assert problem.lacked == (
        "A-01: no fresh room reading; not planned, its own thermostat's power is expected",
    )
    schedule = HighsPlanner(lab.zone).plan(problem, 10.0)
    assert schedule.lacked == problem.lacked
    assert schedule.home("A-01") is None


def test_a_home_without_an_estimate_is_taken_to_run_as_now(lab):
    estimates = lab.estimates(lab.estate())
    del estimates["A-04"]
    problem = lab.demo_problem(estimates=estimates)
    assert home_of(problem, "A-04") is None
    assert problem.uncontrolled_w == pytest.approx(350 + 120 + 900)


def test_what_is_missing_is_named_and_stood_in_for(lab):
    block = lab.estate().block("A")
    left_out = {
        ("load_w", "A-05"),
        ("hot_water_w", "A-06"),
        ("pv_w", "A"),
        ("communal_w", "A"),
        ("outdoor_c", "demo"),
        ("irradiance_w_m2", "demo"),
    }
    problem = lab.demo_problem(forecasts=lab.forecasts(block, lab.start, leave_out=left_out))
    said = " ".join(problem.lacked)
    for name in ("load of A-05", "hot water of A-06", "solar power", "communal", "outdoor", "sun"):
        assert name in said
    assert len(problem.lacked) == 6
    # The household's present 300 W and a typical tank, never nothing.
    assert home_of(problem, "A-05").base_w == pytest.approx(300 + 120)
    assert home_of(problem, "A-06").base_w == pytest.approx(350 + 120)
    assert home_of(problem, "A-05").outdoor_c == pytest.approx(4.0)


def test_a_forecast_that_ends_early_is_carried_on_and_named(lab):
    block = lab.estate().block("A")
    short = lab.forecasts(block, lab.start, steps=10)
    problem = lab.demo_problem(forecasts=short)
    assert home_of(problem, "A-05").base_w == pytest.approx(470)
    assert any("does not reach" in said for said in problem.lacked)


def test_a_tariff_that_ends_early_takes_the_median_of_what_is_known(lab):
    estate = lab.estate()
    block = estate.block("A")
    known = {lab.start + timedelta(minutes=30 * k): 0.1 * k for k in range(5)}
    account = replace(block.block_meter, tariff=DynamicTariff("short", known))
    problem = build_problem(
        replace(block, block_meter=account),
        zone=lab.zone,
        now=lab.start,
        start=lab.start,
        steps=8,
        step_s=1800,
        forecasts=lab.forecasts(block, lab.start),
        estimates=lab.estimates(estate),
        snapshot=lab.readings(block, lab.start),
        rules=estate.control,
    )
    assert problem.import_gbp_per_kwh == pytest.approx([0, 0.1, 0.2, 0.3, 0.4, 0.2, 0.2, 0.2])
    assert problem.lacked == (
        "tariff of A: no rate for 3 of 8 steps; the median of the known rates stands in",
    )


def test_an_unknown_state_of_charge_leaves_the_battery_out(lab):
    block = lab.estate().block("A")
    unknown = {(block.battery.device_id, "soc_pct"): None}
    problem = lab.demo_problem(snapshot=lab.readings(block, lab.start, changes=unknown))
    assert problem.battery is None
    assert "state of charge" in problem.lacked[0]


def test_a_wish_is_planned_for_until_it_ends(lab):
    until = lab.start + timedelta(hours=3)
    wishes = {
        "A-01": Wish("A-01", WishKind.ROOM, 23.0, until),
        "A-03": Wish("A-03", WishKind.AWAY, 14.0, until),
    }
    plain, problem = lab.demo_problem(), lab.demo_problem(wishes=wishes)
    assert np.all(home_of(problem, "A-01").comfort_c[:6] == 23.0)
    assert home_of(problem, "A-03").floor_c[0] < 16.0
    for name in wishes:
        after = home_of(problem, name).comfort_c[7:]
        assert after == pytest.approx(home_of(plain, name).comfort_c[7:])


def test_a_naive_start_is_refused(lab):
    snapshot = lab.readings(lab.estate().block("A"), lab.start)
    with pytest.raises(InvalidInputError, match="UTC"):
        lab.demo_problem(now=lab.start.replace(tzinfo=None), snapshot=snapshot, forecasts=[])
