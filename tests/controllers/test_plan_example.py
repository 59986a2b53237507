"""A plan worked out by hand: one home, four hours, electricity dear in the middle."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from controllers.fallback import fallback_schedule
from controllers.linear import HighsPlanner
from ems.domain.errors import InvalidInputError
from ems.domain.setpoints import Cause


@pytest.fixture
def problem(lab):
    # 2 kWh/K, no loss but a steady drain of 1 kW: the room cools 0.5 K an hour. COP 2.
    one = np.ones(4)
    home = lab.home(
        np.random.default_rng(0),
        "A-01",
        4,
        3600.0,
        room_c=20.0,
        loss_w_per_k=0.0,
        capacity_j_per_k=2 * 3.6e6,
        free_heat_w=-1000 * one,
        floor_c=19 * one,
        comfort_c=20 * one,
        ceiling_c=21 * one,
        heat_max_w=3000 * one,
        cop=2 * one,
        base_w=500 * one,
        terminal_gbp_per_kwh=0.0,
    )
    prices = [0.10, 0.50, 0.50, 0.10]
    block = lab.problem(
        homes=0, steps=4, step_s=3600.0, battery=False, pv_peak_w=0.0, import_price=prices
    )
    return replace(block, homes=(home,), landlord_w=np.zeros(4))


def test_heat_is_bought_before_the_dear_hours_and_no_more_than_they_need(problem, lab):
    schedule = HighsPlanner(lab.zone).plan(problem, 5.0)
    home = schedule.homes[0]
    # First hour: 1 kWh against the drain and 2 kWh to lift 2 kWh/K by 1 K to the ceiling.
    assert home.heat_w == pytest.approx([3000, 0, 0, 1000], abs=1e-3)
    assert home.room_c == pytest.approx([21.0, 20.5, 20.0, 20.0], abs=1e-6)
    assert schedule.import_w == pytest.approx([2000, 500, 500, 1000], abs=1e-3)
    # 2 + 1 kWh at 10p and twice 0.5 kWh at 50p.
    assert schedule.objective_gbp == pytest.approx(0.80)
    assert schedule.bound_gbp == pytest.approx(0.80)
    assert schedule.status == "optimal"
    assert not schedule.gave_way


def test_own_thermostats_would_pay_for_every_hour_as_it_comes(problem):
    schedule = fallback_schedule(problem)
    assert schedule.homes[0].heat_w == pytest.approx([1000] * 4)
    assert schedule.objective_gbp == pytest.approx(1.0 * (0.10 + 0.50 + 0.50 + 0.10))
    assert schedule.bound_gbp <= 0.80
    assert schedule.status == "fallback"
    assert set(schedule.homes[0].cause) == {Cause.NO_PLAN}


def test_each_hour_says_why_in_local_time(problem, lab):
    home = HighsPlanner(lab.zone).plan(problem, 5.0).homes[0]
    assert home.cause[:2] == (Cause.CHEAP_NOW, Cause.DEAR_NOW)
    assert (
        home.sentence[0]
        == "Heating now because the building's electricity is 10p now and 50p from 13:00."
    )
    assert home.sentence[1] == (
        "Letting the room coast: the building's electricity is 50p until 15:00; "
        "your room stays at 20 °C or above."
    )
    assert home.sentence[3] == "Heating to the 20 °C you asked for."


def test_summer_time_moves_the_clock_of_the_sentence(problem, lab):
    summer = replace(problem, start=problem.start.replace(month=7))
    home = HighsPlanner(lab.zone).plan(summer, 5.0).homes[0]
    assert home.sentence[0].endswith("50p from 14:00.")


def test_the_value_of_heat_is_what_it_saves(problem, lab):
    schedule = HighsPlanner(lab.zone).plan(problem, 5.0)
    # A further kWh of heat now would only spare 0.5 kWh of electricity at the end, at 10p;
    # electricity at the feeder costs what it costs.
    assert schedule.price_gbp_per_kwh == pytest.approx(problem.import_gbp_per_kwh)
    value = schedule.homes[0].heat_value_gbp_per_kwh
    assert value[3] == pytest.approx(0.05)
    # In the second dear hour heat is worth up to half of 50p: the room is at its schedule.
    assert 0.05 <= value[2] <= 0.25 + 1e-9


def test_a_deadline_that_has_passed_gives_own_thermostats(problem, lab):
    schedule = HighsPlanner(lab.zone).plan(problem, 0.0)
    assert schedule.status == "fallback"
    assert schedule.gap > 0


@pytest.mark.parametrize(
    ("change", "field"),
    [
        ({"pv_w": np.array([0, 0, np.nan, 0])}, "pv_w"),
        ({"pv_w": np.zeros(3)}, "pv_w"),
        ({"physical_import_w": np.array([1, 1, -1, 1.0])}, "physical_import_w"),
        ({"import_gbp_per_kwh": np.full(4, np.inf)}, "import_gbp_per_kwh"),
        ({"step_s": np.zeros(4)}, "step_s"),
        ({"step_s": np.zeros(0)}, "step_s"),
        ({"discomfort_gbp_per_kh": float("nan")}, "discomfort_gbp_per_kh"),
    ],
)
def test_a_broken_problem_is_refused_with_its_field(problem, lab, change, field):
    with pytest.raises(InvalidInputError) as caught:
        HighsPlanner(lab.zone).plan(replace(problem, **change), 5.0)
    assert caught.value.field == field
    assert caught.value.remedy


def test_a_broken_home_is_refused_by_name(problem, lab):
    home = replace(problem.homes[0], cop=np.array([2, 2, 0, 2.0]))
    with pytest.raises(InvalidInputError, match=r"homes\[A-01\]\.cop: step 2"):
        HighsPlanner(lab.zone).plan(replace(problem, homes=(home,)), 5.0)
    with pytest.raises(InvalidInputError, match="deadline_s"):
        HighsPlanner(lab.zone).plan(problem, float("nan"))
