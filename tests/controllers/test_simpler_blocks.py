"""Simpler blocks, from whose prices a large one is planned: fewer homes, longer steps."""

from __future__ import annotations

from dataclasses import replace
from datetime import timedelta

import numpy as np
import pytest

from controllers.coarse import SAMPLE, coarsened, sampled
from controllers.generate import generate
from controllers.joint import JointPlanner
from controllers.library import check
from controllers.linear import HighsPlanner
from controllers.stacked import stack
from ems.domain.events import Direction
from ems.domain.plans import EventProblem, PeakProblem


def asked(problem, names, limit_w):
    """An event of three steps in which these homes are to take no more than this."""
    steps = problem.step_s.size
    limits = np.full(steps, np.inf)
    limits[4:7] = limit_w
    return EventProblem(
        event_id="E",
        direction=Direction.DOWN,
        limit_w=limits,
        participants=frozenset(names),
        battery=True,
        uncontrolled_w=np.full(steps, 700.0),
        start=problem.start,
        until=problem.start + timedelta(hours=14),
        reserve_wh=3e3,
    )


def crowd(homes=600, steps=12, seed=4):
    """A crowded block in which every ninth home takes part in an event."""
    problem = generate(homes, steps, seed)
    names = [home.dwelling_id for home in problem.homes[::9]]
    return replace(
        problem,
        events=(asked(problem, names, 60e3),),
        peaks=(PeakProblem(np.ones(steps, dtype=bool), 2e5, 0.1),),
        import_margin_w=np.full(steps, 5e3),
    )


def test_the_homes_chosen_stand_for_all_and_leave_them_the_same_room():
    problem = crowd()
    model = stack(problem)
    fewer = sampled(model)
    assert fewer is not None
    small = stack(fewer.problem)
    assert SAMPLE <= small.homes < 2 * SAMPLE
    share = fewer.problem.battery.max_wh / problem.battery.max_wh
    assert share == pytest.approx(small.homes / model.homes, rel=0.05)
    assert small.fixed_kw == pytest.approx(share * model.fixed_kw)
    assert small.contracted_kw == pytest.approx(share * model.contracted_kw)
    assert small.physical_kw == pytest.approx(share * model.physical_kw)
    assert small.peaks[0].so_far_kw == pytest.approx(share * model.peaks[0].so_far_kw)
    (event,), (whole,) = small.events, model.events
    assert event.homes.size == pytest.approx(share * whole.homes.size, abs=1.5)
    assert event.room_kw == pytest.approx(share * whole.room_kw)
    # What these homes would draw to be as warm as they wish is that share of what all would.
    drawn = [float((np.asarray(each.heat_max_kw) / each.cop).sum()) for each in (small, model)]
    assert drawn[0] == pytest.approx(share * drawn[1], rel=0.03)


def test_a_home_that_takes_part_alone_is_among_the_chosen():
    problem = generate(500, 6, 1)
    alone = problem.homes[321].dwelling_id
    problem = replace(problem, events=(asked(problem, [alone], 900.0),))
    fewer = sampled(stack(problem))
    assert fewer is not None
    assert alone in {home.dwelling_id for home in fewer.problem.homes}


def test_homes_that_each_take_part_in_an_event_of_their_own_are_not_thinned_out():
    problem = generate(3 * SAMPLE, 4, 1)
    names = [home.dwelling_id for home in problem.homes]
    # Each home's number in events of its digits: no two take part in the same ones.
    events = [
        EventProblem(
            event_id=f"E{bit}",
            direction=Direction.DOWN,
            limit_w=np.full(4, 9e4),
            participants=frozenset(name for row, name in enumerate(names) if row >> bit & 1),
            battery=False,
            uncontrolled_w=np.zeros(4),
            start=problem.start,
            until=problem.start + timedelta(hours=24),
        )
        for bit in range(9)
    ]
    assert sampled(stack(replace(problem, events=tuple(events)))) is None


def test_few_homes_are_not_thinned_out():
    assert sampled(stack(generate(3 * SAMPLE - 1, 2, 1))) is None


@pytest.mark.parametrize(("length_s", "longer_s"), [(60.0, 300.0), (300.0, 900.0), (900.0, 1800.0)])
def test_short_steps_are_put_together_in_turn(length_s, longer_s):
    steps = 120
    problem = generate(2, steps, 1, hours=steps * length_s / 3600.0)
    problem = replace(problem, import_margin_w=np.linspace(0.0, 1e3, steps))
    simple = coarsened(problem)
    assert simple is not None
    assert simple.problem.step_s == pytest.approx(longer_s)
    model, small = stack(problem), stack(simple.problem)
    energy = (model.fixed_kw * model.dt_h).sum()
    assert (small.fixed_kw * small.dt_h).sum() == pytest.approx(energy)
    prices = np.arange(float(small.steps))
    assert simple.spread(prices).size == steps
    assert np.all(np.diff(simple.spread(prices)) >= 0)


def test_half_hours_and_mixed_steps_that_are_long_stay_as_they_are():
    assert coarsened(generate(2, 48, 1)) is None
    problem = generate(2, 6, 1, hours=3.0)
    mixed = np.array([900.0, 900.0, 1800.0, 1800.0, 3600.0, 3600.0])
    assert coarsened(replace(problem, step_s=mixed)) is None


def test_a_crowd_is_planned_to_a_tenth_of_a_percent():
    problem = crowd()
    found = JointPlanner(None, threads=1).plan(problem, 60.0)
    whole = HighsPlanner(None).plan(problem, 60.0)
    assert check(problem, found) == ()
    assert found.status == "optimal"
    assert found.gap <= 1e-3
    near = 1e-6 * abs(whole.objective_gbp)
    assert found.bound_gbp <= whole.objective_gbp + near
    assert found.objective_gbp <= whole.objective_gbp * (1 + 1e-3) + near
    assert found.objective_gbp >= whole.bound_gbp - near
