"""What a plan keeps from floor and import limit for what is not known."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from controllers.linear import HighsPlanner
from controllers.margins import floor_margin_k, import_margin_w, joint_spread_w, learnt_factor
from controllers.stacked import stack
from ems.domain.forecasts import Forecast

HOME = {"loss_w_per_k": 150.0, "loss_sd": 0.0, "capacity_j_per_k": 5 * 3.6e6, "age_s": 7200.0}


def test_a_colder_night_lifts_the_floor_by_what_the_room_would_lose():
    floor, outdoor = np.full(3, 18.0), np.full(3, 4.0)
    margin = floor_margin_k(floor, outdoor, np.array([0.0, 2.0, 3.0]), **HOME)
    # Two hours of a time constant of 33 h: 5.8 % of two, and of three, kelvin.
    assert margin == pytest.approx([0.0, 0.1165, 0.1747], abs=1e-3)
    # 14 K inside above outside; 180 instead of 150 W/K take 6.95 % of it instead of 5.82 %.
    lossy = floor_margin_k(floor, outdoor, np.zeros(3), **{**HOME, "loss_sd": 30.0})
    assert lossy == pytest.approx(np.full(3, 0.157), abs=1e-3)
    unsure = floor_margin_k(floor, outdoor, np.full(3, 2.0), **{**HOME, "loss_sd": 30.0})
    alone = floor_margin_k(floor, outdoor, np.zeros(3), **{**HOME, "loss_sd": 30.0})
    assert np.all(unsure < alone + margin[1])
    assert np.all(unsure > np.maximum(alone, margin[1]))
    assert floor_margin_k(floor, outdoor, np.full(3, 99.0), **HOME).max() == 0.5


@given(spreads=st.lists(st.floats(0, 2000), min_size=1, max_size=30))
def test_a_sum_is_surer_than_its_parts_but_never_surer_than_independent_ones(spreads):
    each = [np.array([value]) for value in spreads]
    joint = joint_spread_w(each, 1)[0]
    apart = np.sqrt(np.sum(np.square(spreads)))
    assert joint <= sum(spreads) + 1e-6
    assert joint >= apart * np.sqrt(0.9) - 1e-6


def test_a_spread_that_was_too_narrow_is_widened_and_one_too_wide_narrowed():
    rng = np.random.default_rng(1)
    errors = rng.normal(0, 1000, 2000)
    right = learnt_factor(errors, np.full(2000, 1281.6))
    assert right == pytest.approx(1.0, abs=0.08)
    assert learnt_factor(errors, np.full(2000, 640.8)) == pytest.approx(2 * right, abs=0.16)
    assert learnt_factor(errors, np.full(2000, 10.0)) == 2.0
    assert learnt_factor(errors, np.full(2000, 1e6)) == 0.5
    assert learnt_factor(errors[:95], np.full(95, 10.0)) == 1.0
    gaps = np.where(np.arange(2000) < 95, errors, np.nan)
    assert learnt_factor(gaps, np.full(2000, 10.0)) == 1.0


@given(
    beyond=st.lists(st.floats(-5e3, 5e3), max_size=200),
    spread=st.floats(1.0, 5e3),
    scale=st.floats(0.1, 10.0),
)
def test_what_is_learnt_is_bounded_and_covers_nine_in_ten_where_it_may(beyond, spread, scale):
    factor = learnt_factor(beyond, [spread] * len(beyond))
    assert 0.5 <= factor <= 2.0
    if len(beyond) < 96:
        assert factor == 1.0
    elif factor < 2.0:
        within = np.mean(np.array(beyond) <= factor * spread * (1 + 1e-9))
        assert within >= 0.9 - 1.0 / len(beyond)
    assert learnt_factor([scale * each for each in beyond], [scale * spread] * len(beyond)) == (
        pytest.approx(factor)
    ), "units do not matter"


def test_the_margin_is_a_small_part_of_the_limit_and_nothing_without_one():
    spread = np.array([500.0, 5e3, 9e3])
    assert import_margin_w(spread, 1.0, np.full(3, 40e3)) == pytest.approx([500, 5e3, 6e3])
    assert import_margin_w(spread, 1.0, np.full(3, np.inf)) == pytest.approx([0, 0, 0])


def test_a_plan_leaves_the_margin_free_and_names_only_what_is_beyond_the_ceiling(lab):
    tight = lab.problem(homes=8, contracted_w=12e3, battery=False)
    free = HighsPlanner(lab.zone).plan(tight, 10.0)
    assert free.import_w.max() == pytest.approx(12e3, abs=1)
    kept = replace(tight, import_margin_w=np.full(48, 1e3))
    schedule = HighsPlanner(lab.zone).plan(kept, 10.0)
    assert schedule.import_w.max() == pytest.approx(11e3, abs=1)
    # Where the base load alone takes up the margin, the ceiling is still kept: nothing to name.
    most = replace(tight, homes=(), uncontrolled_w=np.full(48, 10e3), pv_w=np.zeros(48),
                   import_margin_w=np.full(48, 1e3))  # fmt: skip
    assert HighsPlanner(lab.zone).plan(most, 10.0).gave_way == ()
    over = HighsPlanner(lab.zone).plan(replace(most, uncontrolled_w=np.full(48, 11e3)), 10.0)
    assert [(gave.limit, round(gave.worst)) for gave in over.gave_way] == [
        ("contracted import", 500)
    ]


def test_forecasts_that_say_how_sure_they_are_give_problems_margins(lab):
    block = lab.estate().block("A")
    plain = lab.demo_problem()
    assert np.all(plain.import_margin_w == 0)

    def unsure(forecast: Forecast) -> Forecast:
        spread = {"outdoor_c": 3.0, "load_w": 400.0}.get(forecast.target)
        if spread is None:
            return forecast
        mean = forecast.mean
        return replace(forecast, quantiles={0.1: mean - spread, 0.5: mean, 0.9: mean + spread})

    made = [unsure(each) for each in lab.forecasts(block, lab.start)]
    problem = lab.demo_problem(forecasts=made)
    count = len(block.dwellings)
    assert problem.import_margin_w[0] == pytest.approx(400 * np.sqrt(0.9 * count + 0.1 * count**2))
    raised = [
        np.max(new.floor_c - old.floor_c)
        for new, old in zip(problem.homes, plain.homes, strict=True)
    ]
    assert max(raised) > 0.02
    assert (
        min(np.min(n.floor_c - o.floor_c) for n, o in zip(problem.homes, plain.homes, strict=True))
        >= -1e-9
    )
    twice = lab.demo_problem(forecasts=made, load_spread_factor=2.0)
    assert np.all(twice.import_margin_w > problem.import_margin_w)
    colder = lab.demo_problem(forecasts=made, cold_spread_factor=2.0)
    higher = [
        np.max(new.floor_c - old.floor_c)
        for new, old in zip(colder.homes, problem.homes, strict=True)
    ]
    assert max(higher) > 0.01 and min(higher) >= 0
    model = stack(problem)
    assert np.all(model.contracted_kw < model.promised_kw)
