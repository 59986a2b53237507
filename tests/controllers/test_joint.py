"""Plans by decomposition: against the whole linear programme, own thermostats and the clock."""

from __future__ import annotations

import functools
import itertools
from dataclasses import replace
from datetime import timedelta
from unittest import mock

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from controllers import coarse
from controllers.checking import decided, faults
from controllers.evaluation import evaluate
from controllers.fallback import fallback_schedule
from controllers.generate import generate
from controllers.joint import JointPlanner
from controllers.library import check
from controllers.linear import HighsPlanner
from controllers.stacked import stack
from ems.domain.events import Direction
from ems.domain.heating import PumpProblem
from ems.domain.plans import BatteryProblem, EventProblem, PeakProblem


def odd_problem(lab, seed, step_s=1800.0):
    """A small block in which anything may be at its limit, priced below nothing or missing."""
    random = np.random.default_rng(seed)
    steps = int(random.integers(1, 13))
    homes = int(random.integers(1, 6))
    problem = lab.problem(seed, homes, steps, step_s, pooled=bool(random.integers(2)))
    made = []
    for home in problem.homes:
        most = random.choice([0.0, 1.0], steps, p=[0.2, 0.8]) * home.heat_max_w
        pump = random.choice([None, PumpProblem(part_load=((0.6, 1.2), (0.4, 0.8)))])
        cold = random.uniform(8, 26)
        made.append(replace(home, room_c=cold, heat_max_w=most, pump=pump))

    def drawn(low, high):
        return np.where(random.random(steps) < 0.3, low, random.uniform(low, high, steps))

    def limit():
        return random.choice([drawn(0, 20e3), np.full(steps, np.inf)][:: random.choice([1, -1])])

    battery = BatteryProblem(
        random.uniform(0, 11e3), 2e3, 10e3, 5e3, 5e3, random.uniform(0.85, 1.0), 0.01, 0.05
    )
    names = [home.dwelling_id for home in made]
    limit_w = np.where(random.random(steps) < 0.5, drawn(-5e3, 10e3), np.inf)
    down = bool(random.integers(2))
    event = EventProblem(
        event_id="E",
        direction=Direction.DOWN if down else Direction.UP,
        limit_w=limit_w if down else np.where(np.isfinite(limit_w), limit_w, -np.inf),
        participants=frozenset(names[::2]),
        battery=bool(random.integers(2)),
        uncontrolled_w=np.zeros(steps),
        start=problem.start,
        until=problem.start + timedelta(hours=steps / 2),
        reserve_wh=random.choice([0.0, 2e3]),
    )
    peak = PeakProblem(random.random(steps) < 0.7, random.uniform(0, 9e3), random.uniform(0, 2))
    return replace(
        problem,
        homes=tuple(made),
        battery=battery if random.integers(3) else None,
        import_gbp_per_kwh=drawn(-0.3, 0.6),
        export_gbp_per_kwh=drawn(-0.2, 0.5),
        physical_import_w=limit() if random.integers(2) else np.full(steps, np.inf),
        contracted_import_w=limit() if random.integers(2) else np.full(steps, np.inf),
        export_limit_w=limit() if random.integers(2) else np.full(steps, np.inf),
        carbon_gbp_per_kwh=drawn(0, 0.2) if random.integers(2) else None,
        events=(event,) if random.integers(2) else (),
        recovery_import_w=drawn(2e3, 20e3) if random.integers(3) == 0 else None,
        peaks=(peak,) if random.integers(2) else (),
    )


def planner(lab, **changes):
    return JointPlanner(lab.zone, **{"few": 0, "threads": 1, **changes})


@settings(max_examples=60)
@given(seed=st.integers(0, 100_000))
def test_any_block_is_planned_as_well_as_by_one_linear_programme(lab, seed):
    problem = odd_problem(lab, seed)
    found = planner(lab).plan(problem, 30.0)
    whole = HighsPlanner(lab.zone).plan(problem, 30.0)
    own = fallback_schedule(problem)
    near = 1e-6 * max(1.0, abs(whole.objective_gbp))
    assert found.objective_gbp <= own.objective_gbp + near
    # Neither's bound is above what the other found.
    assert found.bound_gbp <= whole.objective_gbp + near
    assert whole.bound_gbp <= found.objective_gbp + near
    if whole.status == found.status == "optimal":
        close = 2e-3 * max(1.0, abs(whole.objective_gbp))
        assert found.objective_gbp == pytest.approx(whole.objective_gbp, abs=close)
    for home, plan in zip(problem.homes, found.homes, strict=True):
        assert np.all(plan.heat_w >= 0)
        assert np.all(plan.heat_w <= home.heat_max_w + 1e-6)
        assert len(plan.sentence) == problem.step_s.size
    if not problem.events and problem.recovery_import_w is None:
        plain = replace(problem, homes=tuple(replace(h, pump=None) for h in problem.homes))
        if all(home.pump is None for home in problem.homes):
            told = lab.referee(plain, found)
            assert found.objective_gbp == pytest.approx(told.cost, rel=1e-7, abs=1e-6)


@settings(max_examples=40)
@given(seed=st.integers(0, 100_000))
def test_prices_of_simpler_blocks_lead_to_plans_as_good(lab, seed):
    """Few homes are taken for many, steps for short ones: guesses may be poor, plans not."""
    problem = odd_problem(lab, seed, 600.0)
    with mock.patch.multiple(coarse, SAMPLE=1, FEWER=2):
        found = planner(lab).plan(problem, 30.0)
    whole = HighsPlanner(lab.zone).plan(problem, 30.0)
    near = 1e-6 * max(1.0, abs(whole.objective_gbp))
    assert check(problem, found) == ()
    assert found.objective_gbp <= fallback_schedule(problem).objective_gbp + near
    assert found.bound_gbp <= whole.objective_gbp + near
    assert whole.bound_gbp <= found.objective_gbp + near
    if whole.status == found.status == "optimal":
        close = 2e-3 * max(1.0, abs(whole.objective_gbp))
        assert found.objective_gbp == pytest.approx(whole.objective_gbp, abs=close)


@pytest.mark.parametrize(("homes", "steps"), [(40, 48), (12, 288)])
def test_a_cramped_block_is_planned_to_a_tenth_of_a_percent(lab, homes, steps):
    problem = generate(homes, steps, 3)
    found = planner(lab).plan(problem, 60.0)
    best = HighsPlanner(None).plan(problem, 60.0)
    assert found.status == "optimal"
    assert found.gap <= 1e-3
    assert found.bound_gbp <= best.objective_gbp <= found.objective_gbp + 1e-6
    assert found.objective_gbp <= best.objective_gbp * (1 + 1e-3)
    assert np.max(found.import_w - problem.contracted_import_w) < 1.0
    # Where the limit bites, electricity is worth more than it costs.
    bites = found.import_w > problem.contracted_import_w - 1.0
    assert bites.any()
    above = found.price_gbp_per_kwh - problem.import_gbp_per_kwh
    assert np.max(above[bites]) > 0.005
    assert np.all(np.abs(above[(found.import_w > 1.0) & ~bites]) < 1e-6)
    assert all(sentence for home in found.homes for sentence in home.sentence)


def test_heat_is_worth_what_the_linear_programme_says(lab):
    problem = replace(generate(3, 24, 5), contracted_import_w=np.full(24, np.inf))
    found = planner(lab, gap=1e-9).plan(problem, 30.0)
    whole = HighsPlanner(lab.zone).plan(problem, 30.0)
    for one, other in zip(found.homes, whole.homes, strict=True):
        partly = (one.heat_w > 1) & (one.heat_w < problem.homes[0].heat_max_w.min() / 2)
        assert partly.any()
        assert one.heat_value_gbp_per_kwh[partly] == pytest.approx(
            other.heat_value_gbp_per_kwh[partly], abs=0.02
        )


def test_an_event_moves_those_that_take_part_and_nobody_else(lab):
    problem = generate(30, 48, 8)
    names = [home.dwelling_id for home in problem.homes]
    free = planner(lab).plan(problem, 30.0)
    in_event = np.zeros(48, dtype=bool)
    in_event[34:37] = True

    def used(schedule, chosen):
        homes = [schedule.home(name) for name in chosen]
        base = [home.base_w for home in problem.homes if home.dwelling_id in chosen]
        return sum(home.power_w for home in homes) + sum(base)

    part = frozenset(names[:15])
    limit = np.where(in_event, used(free, part) - 1500.0, np.inf)
    event = EventProblem(
        event_id="E",
        direction=Direction.DOWN,
        limit_w=limit,
        participants=part,
        battery=False,
        uncontrolled_w=np.zeros(48),
        start=problem.start + timedelta(hours=17),
        until=problem.start + timedelta(hours=18.5),
    )
    found = planner(lab).plan(replace(problem, events=(event,)), 30.0)
    assert found.gap <= 1e-3
    whole = HighsPlanner(None).plan(replace(problem, events=(event,)), 30.0)
    over, least = (
        np.maximum(used(plan, part) - limit, 0)[in_event].sum() for plan in (found, whole)
    )
    assert over <= least + 300.0
    assert used(found, part)[in_event].sum() < used(free, part)[in_event].sum() - 2000.0
    assert found.objective_gbp <= whole.objective_gbp * (1 + 1e-3)


class Clock:
    """Each look takes a second."""

    def __init__(self):
        self.looks = 0

    def __call__(self):
        self.looks += 1
        return float(self.looks)


def test_whenever_time_is_up_there_is_a_plan_and_more_time_makes_it_no_worse(lab):
    problem = generate(20, 48, 2)
    own = fallback_schedule(problem)
    reached = []
    for seconds in itertools.chain(range(12), [20, 40, 400]):
        clock = Clock()
        found = planner(lab, clock=clock).plan(problem, float(seconds))
        assert found.bound_gbp <= found.objective_gbp <= own.objective_gbp + 1e-9
        # It looks at the clock before each piece of work, and stops soon after.
        assert clock.looks <= seconds + 6
        reached.append(found)
    assert reached[0].status == "fallback"
    assert reached[-1].status == "optimal"
    objectives = [found.objective_gbp for found in reached]
    assert objectives[-1] < objectives[0]


def test_a_battery_never_charges_and_discharges_where_prices_are_below_nothing(lab):
    problem = generate(8, 24, 4)
    price = np.where(np.arange(24) % 5 == 0, -0.2, problem.import_gbp_per_kwh)
    export = np.where(np.arange(24) % 7 == 0, price + 0.1, problem.export_gbp_per_kwh)
    problem = replace(problem, import_gbp_per_kwh=price, export_gbp_per_kwh=export)
    found = planner(lab).plan(problem, 30.0)
    whole = HighsPlanner(None).plan(problem, 30.0)
    own = fallback_schedule(problem).objective_gbp
    saved = own - whole.objective_gbp
    assert own - found.objective_gbp >= 0.98 * saved > 0.1
    energy = np.concatenate([[problem.battery.energy_wh], found.battery.energy_wh])
    flow = found.battery.power_w
    each = problem.battery.one_way_efficiency
    stored = np.where(flow > 0, flow * each, flow / each) * problem.step_s / 3600
    assert np.diff(energy) == pytest.approx(stored, abs=1e-6)


def test_heat_pumps_that_are_on_or_off_are_switched_within_their_times(lab):
    problem = generate(15, 48, 6, "onoff")
    found = planner(lab).plan(problem, 60.0)
    model = stack(problem)
    assert faults(model, decided(model, found)) == ()
    assert evaluate(model, decided(model, found)).objective_gbp == pytest.approx(
        found.objective_gbp
    )
    whole = HighsPlanner(None).plan(problem, 1.5)
    assert found.bound_gbp <= whole.objective_gbp
    assert whole.bound_gbp <= found.objective_gbp
    assert found.objective_gbp <= whole.bound_gbp + 0.06 * abs(whole.bound_gbp)
    assert "floor" not in {gave.limit for gave in found.gave_way}


@settings(max_examples=25)
@given(seed=st.integers(0, 100_000))
def test_any_block_of_switched_heat_pumps_gets_a_plan_no_worse_than_thermostats(lab, seed):
    problem = odd_problem(lab, seed)
    random = np.random.default_rng(seed)
    pumps = [
        replace(
            home,
            pump=PumpProblem(
                heat_min_w=random.choice([0.4, 1.0]) * home.heat_max_w,
                min_on_s=float(random.choice([0, 1800, 5400])),
                min_off_s=float(random.choice([0, 1800])),
                start_gbp=float(random.choice([0, 0.1])),
                on=bool(random.integers(2)),
                since_s=float(random.choice([300, 1e5])),
            )
            if random.integers(4)
            else None,
        )
        for home in problem.homes
    ]
    problem = replace(problem, homes=tuple(pumps))
    found = planner(lab).plan(problem, 30.0)
    own = fallback_schedule(problem)
    model = stack(problem)
    assert faults(model, decided(model, found)) == ()
    told = evaluate(model, decided(model, found)).objective_gbp
    assert found.objective_gbp == pytest.approx(told, abs=1e-6)
    near = 1e-6 * max(1.0, abs(own.objective_gbp))
    assert found.bound_gbp <= found.objective_gbp <= own.objective_gbp + near


def test_a_home_that_cannot_be_kept_warm_does_not_hide_what_others_could_save(lab):
    """Its floor weighs a thousand times the money; a thousandth of that is no gap to stop at."""
    problem = generate(20, 24, 1)
    cold = replace(problem.homes[3], room_c=8.0, heat_max_w=0.5 * problem.homes[3].heat_max_w)
    problem = replace(problem, homes=(*problem.homes[:3], cold, *problem.homes[4:]))
    found = planner(lab).plan(problem, 30.0)
    whole = HighsPlanner(None).plan(problem, 30.0)
    assert found.costs.missed_gbp > 1_000 * found.scale_gbp
    assert found.objective_gbp - whole.objective_gbp <= 1e-3 * found.scale_gbp
    assert found.objective_gbp - found.bound_gbp <= 1e-3 * found.scale_gbp


def test_few_homes_and_homes_with_tanks_are_planned_whole(lab):
    for problem in (generate(3, 12, 1), generate(4, 12, 1, "two-state")):
        found = JointPlanner(None, few=40).plan(problem, 20.0)
        whole = HighsPlanner(None).plan(problem, 20.0)
        assert found.objective_gbp == pytest.approx(whole.objective_gbp, rel=1e-3)


@pytest.mark.parametrize("kind", ["two-state", "store1+tank"])
def test_homes_that_are_no_single_stores_have_a_first_plan_before_the_whole_is_solved(kind):
    """Wherever the deadline strikes among the looks at the clock, the plan at hand is valid."""
    problem = generate(6, 16, 2, kind)
    own = fallback_schedule(problem)
    better = set()
    for looks in range(0, 60, 4):
        steps = iter([0.0] * looks)
        clock = functools.partial(next, steps, 10.0)
        found = JointPlanner(None, few=0, clock=clock).plan(problem, 5.0)
        assert check(problem, found) == ()
        assert found.objective_gbp <= own.objective_gbp
        if found.status == "feasible" and found.objective_gbp < own.objective_gbp:
            better.add(looks)
    assert better
