"""Homes with tanks and heavy parts by prices and answers: against HiGHS, thermostats, the clock."""

from __future__ import annotations

import functools
from dataclasses import replace
from datetime import timedelta

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from controllers.checking import decided, faults
from controllers.evaluation import tank_heat
from controllers.fallback import fallback_schedule
from controllers.generate import generate
from controllers.heavy import Heavy
from controllers.hygiene import chosen, due_of, held_band, least_gbp, open_band
from controllers.joint import JointPlanner
from controllers.library import check
from controllers.linear import HighsPlanner
from controllers.stacked import stack
from controllers.states import ask, can_be_states, makes_of
from ems.domain.events import Direction
from ems.domain.heating import FabricProblem, HygieneProblem, PumpProblem
from ems.domain.plans import EventProblem, PeakProblem


def odd_block(seed):
    """A small block of homes with tanks, heavy parts or both in which anything may be odd."""
    random = np.random.default_rng(seed)
    steps = int(random.integers(2, 13))
    homes = int(random.integers(1, 6))
    problem = generate(homes, steps, seed, "store1+tank", hours=steps / 2)
    made = []
    for home in problem.homes:
        tank = replace(
            home.tank,
            energy_wh=float(random.uniform(0.0, 1.3) * home.tank.pump_max_wh),
            backup_max_w=float(random.choice([0.0, 3000.0])),
            hygiene=random.choice([None, HygieneProblem(home.tank.max_wh * 0.9, 3600 * 5, 1800)]),
        )
        fabric = FabricProblem(home.room_c - 1.0, home.capacity_j_per_k, 3 * home.loss_w_per_k)
        working = random.choice([0.0, 1.0], steps, p=[0.15, 0.85])
        made.append(
            replace(
                home,
                room_c=float(random.uniform(12, 24)),
                heat_max_w=working * home.heat_max_w,
                pump=random.choice([None, PumpProblem(part_load=((0.6, 1.2), (0.4, 0.8)))]),
                tank=random.choice([None, tank], p=[0.3, 0.7]),
                fabric=random.choice([None, fabric]),
            )
        )
    if not any(home.tank or home.fabric for home in made):
        made[0] = replace(made[0], fabric=fabric)
    cheap = np.where(random.random(steps) < 0.15, -0.1, problem.import_gbp_per_kwh)
    asked = np.where(random.random(steps) < 0.4, random.uniform(0, 10e3), np.inf)
    event = EventProblem(
        event_id="E",
        direction=Direction.DOWN,
        limit_w=asked,
        participants=frozenset(home.dwelling_id for home in made[::2]),
        battery=bool(random.integers(2)),
        uncontrolled_w=np.zeros(steps),
        start=problem.start,
        until=problem.start + timedelta(hours=1),
    )
    return replace(
        problem,
        homes=tuple(made),
        pooled=bool(random.integers(2)),
        import_gbp_per_kwh=cheap,
        contracted_import_w=random.uniform(0.4, 2.0) * problem.contracted_import_w,
        events=(event,) if random.integers(2) else (),
        peaks=(PeakProblem(random.random(steps) < 0.5, 3e3, 0.1),) if random.integers(2) else (),
    )


@settings(max_examples=15)
@given(seed=st.integers(0, 100_000))
def test_any_such_block_gets_a_valid_plan_between_its_bound_and_its_thermostats(seed):
    problem = odd_block(seed)
    model = stack(problem)
    assert can_be_states(model)
    heavy = Heavy(model, lambda: 60.0, 1)
    heavy.run(1e-3)
    own = fallback_schedule(problem)
    whole = HighsPlanner(None).plan(problem, 0.5)
    objective = heavy.objective_gbp
    near = 1e-6 * max(1.0, abs(own.objective_gbp))
    assert faults(model, heavy.decision) == ()
    assert objective <= own.objective_gbp + near
    # Its bound is below every plan, and every bound below its plan.
    assert heavy.bound_gbp <= min(objective, whole.objective_gbp) + near
    assert whole.bound_gbp <= objective + near


@pytest.mark.parametrize("kind", ["two-state", "store1+tank"])
def test_a_block_is_planned_within_a_thousandth_of_what_is_proven(kind):
    problem = generate(40, 48, 3, kind)
    found = JointPlanner(None).plan(problem, 60.0)
    assert found.solver == "decomposition"
    assert check(problem, found) == ()
    assert found.gap <= (1e-3 if kind == "two-state" else 2e-3)
    assert {gave.limit for gave in found.gave_way} <= {"contracted import"}
    if kind == "two-state":
        whole = HighsPlanner(None).plan(problem, 60.0)
        assert found.bound_gbp <= whole.objective_gbp + 1e-6
        assert whole.objective_gbp <= found.objective_gbp + 1e-6
        # What heat is worth is what the whole programme says where the heat pump runs in part.
        worth, theirs = (
            np.array([home.heat_value_gbp_per_kwh for home in plan.homes])
            for plan in (found, whole)
        )
        assert np.median(np.abs(worth - theirs)) < 0.01


def test_tanks_keep_their_comfort_and_their_cycles_and_share_one_compressor():
    problem = generate(30, 48, 9, "store1+tank")
    model = stack(problem)
    assert due_of(model.tanks).size >= 3
    found = JointPlanner(None).plan(problem, 60.0)
    decision = decided(model, found)
    pump, backup = tank_heat(model, decision)
    held = model.tanks.energies(pump, backup)
    assert not model.tanks.missed_kwh(held).any()
    assert np.all(held >= model.tanks.min_kwh[:, None] - 1e-3)
    share = decision.heat_kw / model.heat_max_kw + pump / model.tanks.heat_max_kw
    assert share.max() <= 1 + 1e-9
    # The dear backup heater works for cycles alone.
    due = model.tanks.hygiene_kwh > 0
    assert backup[due].sum() > 1.0
    assert np.sum(backup[~due] * model.dt_h) < 0.02 * np.sum(pump * model.dt_h)


def test_a_cycle_costs_at_least_what_is_said_whichever_window_is_held():
    """Each window held in turn, by HiGHS: none is cheaper than the least that was proven."""
    problem = generate(12, 24, 1, "store1+tank", hours=12.0)
    tank = replace(problem.homes[0].tank, hygiene=None)
    home = replace(problem.homes[0], tank=tank)
    asked = HygieneProblem(0.95 * tank.max_wh, by_s=12 * 3600.0, hold_s=1800.0)
    free = np.full(24, np.inf)
    alone = replace(
        problem, homes=(home,), battery=None, pooled=False,
        contracted_import_w=free, physical_import_w=free,
    )  # fmt: skip
    model = stack(replace(alone, homes=(replace(home, tank=replace(tank, hygiene=asked)),)))
    price = (model.dt_h * model.home_price)[0]
    nothing = np.zeros(24)
    without = _gbp(model, open_band(model.tanks), price)
    for squeeze in (nothing, nothing + 0.02):
        rough, fine = (least_gbp(model, 0, price, squeeze, fine=fine) for fine in (False, True))
        assert rough <= fine + 1e-9
        for window in range(len(model.tanks.windows[0])):
            band = held_band(model, 0, window)
            if band is not None:
                held, _, spent = _gbp(model, band, price)
                assert rough <= held + squeeze @ spent + 1e-6
                assert fine <= held + squeeze @ spent + 1e-6
    best = min(
        _gbp(model, band, price)[0]
        for window in range(len(model.tanks.windows[0]))
        if (band := held_band(model, 0, window)) is not None
    )
    assert without[0] < best
    # The proof is nearly tight: it is not far below the cheapest window's own cost.
    assert best - least_gbp(model, 0, price, nothing, fine=True) < 0.02


def _gbp(model, band, price):
    """What a tank alone costs within a band, the room never heated, and the compressor's time."""
    cold = replace(model, heat_max_kw=np.zeros_like(model.heat_max_kw))
    made = makes_of(cold, band)
    told = ask(
        cold, made, np.zeros((1, model.steps)), np.zeros((1, 3 * model.steps)), 1e-5,
        pattern=np.zeros(1, dtype=np.intp), left=lambda: 1.0, threads=1,
    )  # fmt: skip
    rooms = cold.rooms(np.zeros((1, model.steps)))[0]
    below = np.maximum(model.comfort_c[0] - rooms, 0) * model.problem.discomfort_gbp_per_kh
    below = below + 2000.0 * np.maximum(model.floor_c[0] - rooms, 0)
    below = below + 20.0 * np.maximum(rooms - model.ceiling_c[0], 0)
    room = np.sum(model.dt_h * below) - model.terminal_gbp_per_k[0] * rooms[-1]
    pump = told.heat_kw[0, model.steps : 2 * model.steps] / model.tanks.heat_max_kw[0]
    return told.value_gbp[0] - room, told, pump


def test_a_window_that_no_heater_can_reach_is_not_chosen():
    problem = generate(12, 24, 1, "store1+tank", hours=12.0)
    tank = problem.homes[0].tank
    cold = replace(
        tank,
        energy_wh=tank.min_wh,
        backup_max_w=0.0,
        hygiene=HygieneProblem(0.95 * tank.max_wh, by_s=12 * 3600.0, hold_s=1800.0),
    )
    model = stack(replace(problem, homes=(replace(problem.homes[0], tank=cold),)))
    price = (model.dt_h * model.home_price)[:1]
    windows, _ = chosen(model, price, np.zeros((1, 24)), lambda: 1.0)
    assert windows == {0: None}
    assert chosen(model, price, np.zeros((1, 24)), lambda: 0.0) is None


@pytest.mark.parametrize("kind", ["two-state", "store1+tank"])
def test_whenever_time_is_up_the_plan_at_hand_is_valid_and_its_bound_holds(kind):
    problem = generate(12, 24, 2, kind)
    model = stack(problem)
    own = fallback_schedule(problem)
    best = HighsPlanner(None).plan(problem, 1.0)
    reached = []
    for looks in [*range(0, 80, 8), 2_000]:
        clock = iter([0.0] * looks)
        heavy = Heavy(model, lambda left=clock: 1.0 + next(left, -1.0), 1)
        heavy.run(1e-3)
        assert faults(model, heavy.decision) == ()
        assert heavy.objective_gbp <= own.objective_gbp + 1e-9
        assert heavy.bound_gbp <= best.objective_gbp + 1e-6
        reached.append(heavy.objective_gbp)
    assert reached[0] == pytest.approx(own.objective_gbp)
    assert reached[-1] < reached[0]


def test_the_planner_looks_at_its_clock_and_tells_what_it_has():
    problem = generate(40, 24, 2, "store1+tank")
    for looks in (2, 12, 40):
        clock = functools.partial(next, iter([0.0] * looks), 10.0)
        found = JointPlanner(None, few=0, clock=clock).plan(problem, 5.0)
        assert check(problem, found) == ()
        assert found.status in ("fallback", "feasible")


def test_few_homes_with_a_cycle_that_is_due_get_the_better_of_both_plans():
    problem = generate(2, 48, 1, "store1+tank")
    model = stack(problem)
    assert due_of(model.tanks).size == 1
    found = JointPlanner(None).plan(problem, 1.0)
    heavy = Heavy(model, lambda: 60.0, 1)
    heavy.run(1e-3)
    assert found.objective_gbp <= heavy.objective_gbp + 1e-9
    assert found.bound_gbp >= heavy.bound_gbp - 1e-9
