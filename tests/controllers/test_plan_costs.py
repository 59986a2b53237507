"""What an objective is made of: money apart from weights, by hand and in sum."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from controllers import generate_problem, plan
from controllers.evaluation import (
    CONTRACTED_GBP_PER_KWH,
    FLOOR_GBP_PER_KH,
    Decision,
    evaluate,
)
from controllers.generate import Kind
from controllers.stacked import stack
from ems.domain.plans import PeakProblem

HALF = 0.5
"""Hours of a step."""


def test_a_home_that_cannot_be_kept_warm_costs_what_its_meter_says_and_weighs_more():
    problem = generate_problem(1, 4, 3, hours=2.0)
    home = problem.homes[0]
    nothing = np.zeros(4)
    home = replace(
        home,
        room_c=10.0,
        loss_w_per_k=0.0,
        free_heat_w=nothing,
        heat_max_w=nothing + 3000.0,
        cop=nothing + 3.0,
        base_w=nothing + 500.0,
        floor_c=nothing + 18.0,
        comfort_c=nothing + 20.0,
        capacity_j_per_k=6.0 * 3.6e6,
        terminal_gbp_per_kwh=0.06,
    )
    problem = replace(
        problem,
        homes=(home,),
        battery=None,
        pv_w=nothing,
        landlord_w=nothing,
        import_gbp_per_kwh=nothing + 0.3,
        contracted_import_w=nothing + 1400.0,
        physical_import_w=nothing + 9e3,
        peaks=(PeakProblem(np.array([True] * 4), 500.0, 0.1),),
        carbon_gbp_per_kwh=nothing + 0.01,
    )
    model = stack(problem)
    found = evaluate(model, Decision(np.full((1, 4), 3.0), nothing)).costs
    # 1.5 kW for two hours; 3 kW of heat lift 6 kWh/K by a quarter of a kelvin each half-hour.
    rooms = 10.0 + 0.25 * np.arange(1, 5)
    assert found.electricity_gbp == pytest.approx(1.5 * 2 * 0.3)
    assert found.carbon_gbp == pytest.approx(1.5 * 2 * 0.01)
    assert found.peak_gbp == pytest.approx(1.0 * 0.1)
    assert found.wear_gbp == 0.0
    assert found.paid_gbp == pytest.approx(0.9 + 0.03 + 0.1)
    assert found.discomfort_gbp == pytest.approx(
        problem.discomfort_gbp_per_kh * HALF * np.sum(20.0 - rooms)
    )
    below = FLOOR_GBP_PER_KH * HALF * np.sum(18.0 - rooms)
    assert found.missed_gbp == pytest.approx(below + CONTRACTED_GBP_PER_KWH * 0.1 * 2)
    assert found.left_gbp == pytest.approx(0.06 * 6.0 * (11.0 - 18.0))


@pytest.mark.parametrize("kind", list(Kind))
def test_the_parts_of_every_plan_add_up_to_its_objective(kind):
    schedule = plan(generate_problem(3, 8, 4, kind), 5.0)
    found = schedule.costs
    assert found.objective_gbp == schedule.objective_gbp
    weighed = found.discomfort_gbp + found.missed_gbp
    assert found.paid_gbp + weighed - found.left_gbp == pytest.approx(found.objective_gbp)
    assert found.electricity_gbp > 0 and found.left_gbp > 0
