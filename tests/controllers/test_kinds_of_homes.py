"""Homes with on/off heat pumps, heavy parts, hot-water tanks and own sun: model and plans."""

from __future__ import annotations

import itertools
from dataclasses import replace

import numpy as np
import pytest

from controllers.checking import decided, faults
from controllers.evaluation import Decision, evaluate
from controllers.fallback import fallback_schedule, thermostat_decision
from controllers.generate import Kind, generate
from controllers.linear import HighsPlanner, run
from controllers.model import build
from controllers.reading import decision_of
from controllers.stacked import stack
from ems.domain.errors import InvalidInputError
from ems.domain.heating import FabricProblem, HygieneProblem, PumpProblem, TankProblem

J = 3.6e6


@pytest.mark.parametrize("kind", list(Kind))
def test_plans_of_every_class_do_what_they_say_and_beat_own_thermostats(kind):
    problem = generate(4, 24, 7, kind)
    schedule = HighsPlanner(None).plan(problem, 0.7)
    model = stack(problem)
    decision = decided(model, schedule)
    own = fallback_schedule(problem)
    assert faults(model, decision) == ()
    assert faults(model, decided(model, own)) == ()
    assert evaluate(model, decision).objective_gbp == pytest.approx(schedule.objective_gbp)
    assert schedule.bound_gbp <= schedule.objective_gbp <= own.objective_gbp
    assert own.bound_gbp <= schedule.bound_gbp
    assert "floor" not in {gave.limit for gave in schedule.gave_way}
    power = sum(home.power_w for home in schedule.homes) + schedule.battery.power_w
    fixed = problem.landlord_w - problem.pv_w + sum(home.base_w for home in problem.homes)
    assert schedule.import_w == pytest.approx(power + fixed)


@pytest.mark.parametrize("kind", list(Kind))
def test_made_up_blocks_are_the_same_for_the_same_seed_and_cramped(kind):
    one, same, other = (generate(6, 48, seed, kind) for seed in (5, 5, 6))
    assert one.homes[3].base_w == pytest.approx(same.homes[3].base_w, abs=0)
    assert one.homes[3].loss_w_per_k == same.homes[3].loss_w_per_k
    assert one.homes[3].loss_w_per_k != other.homes[3].loss_w_per_k
    free = replace(
        one,
        contracted_import_w=np.full(48, np.inf),
        physical_import_w=np.full(48, np.inf),
    )
    highest = HighsPlanner(None).plan(free, 0.5).import_w.max()
    assert highest > one.contracted_import_w[0]


@pytest.mark.parametrize(
    ("change", "field"),
    [({"homes": 0}, "homes"), ({"seed": -1}, "seed"), ({"kind": "igloo"}, "kind"),
     ({"hours": float("nan")}, "hours")],
)  # fmt: skip
def test_a_block_that_cannot_be_made_up_is_refused(change, field):
    with pytest.raises(InvalidInputError) as caught:
        generate(**{"homes": 2, "steps": 4, "seed": 0, "kind": "store1", **change})
    assert caught.value.field == field


def test_two_states_follow_their_equations(lab):
    fabric = FabricProblem(mass_c=17.0, capacity_j_per_k=6 * J, coupling_w_per_k=350.0)
    steps = 6
    rng = np.random.default_rng(3)
    home = lab.home(rng, "A-01", steps, 1800.0, capacity_j_per_k=0.8 * J, fabric=fabric)
    step_s = np.array([300.0, 300, 900, 1800, 3600, 3600])
    problem = replace(lab.problem(homes=0, steps=steps), homes=(home,), step_s=step_s)
    heat_kw = rng.uniform(0, 4, (1, steps))
    rooms, masses = stack(problem).states(heat_kw)
    room, mass = home.room_c, fabric.mass_c
    for step in range(steps):
        fine = 4000
        for _ in range(fine):
            given = 1e3 * heat_kw[0, step] + home.free_heat_w[step]
            lost = home.loss_w_per_k * (room - home.outdoor_c[step])
            across = fabric.coupling_w_per_k * (room - mass)
            room += (given - lost - across) / home.capacity_j_per_k * step_s[step] / fine
            mass += across / fabric.capacity_j_per_k * step_s[step] / fine
        assert rooms[0, step] == pytest.approx(room, abs=2e-3)
        assert masses[0, step] == pytest.approx(mass, abs=2e-3)


def on_off_home(lab, steps, **pump):
    ones = np.ones(steps)
    limits = {"heat_min_w": 3000 * ones, "min_on_s": 7200.0, "min_off_s": 3600.0}
    return lab.home(
        np.random.default_rng(0),
        "A-01",
        steps,
        3600.0,
        room_c=19.4,
        loss_w_per_k=120.0,
        capacity_j_per_k=3 * J,
        heat_max_w=3000 * ones,
        comfort_c=19.5 * ones,
        ceiling_c=21 * ones,
        terminal_gbp_per_kwh=0.05,
        pump=PumpProblem(**{**limits, "start_gbp": 0.03, **pump}),
    )


@pytest.mark.parametrize(
    "pump",
    [{}, {"on": True, "since_s": 1800.0}, {"on": False, "since_s": 0.0, "min_off_s": 7200.0},
     {"on": True, "min_off_s": 10800.0, "min_on_s": 0.0}],
)  # fmt: skip
def test_an_on_off_plan_is_as_good_as_trying_every_pattern(lab, pump):
    steps = 8
    home = on_off_home(lab, steps, **pump)
    price = [0.1, 0.4, 0.4, 0.1, 0.1, 0.5, 0.3, 0.2]
    problem = replace(
        lab.problem(homes=0, steps=steps, step_s=3600.0, battery=False, import_price=price),
        homes=(home,),
    )
    model = stack(problem)
    tried = []
    for pattern in itertools.product((0.0, 1.0), repeat=steps):
        on = np.array([pattern])
        decision = Decision(3.0 * on, np.zeros(steps), on)
        if not faults(model, decision):
            tried.append(evaluate(model, decision).objective_gbp)
    schedule = HighsPlanner(None).plan(problem, 20.0)
    assert 3 < len(tried) < 2**steps
    assert schedule.objective_gbp == pytest.approx(min(tried), abs=1e-3)
    assert schedule.bound_gbp <= min(tried) + 1e-6


def test_minimum_times_are_seen_in_seconds_whatever_the_steps(lab):
    steps = 5
    step_s = np.array([600.0, 600, 600, 1800, 3600])
    home = on_off_home(lab, steps, min_on_s=1500.0, on=False, since_s=np.inf)
    model = stack(replace(lab.problem(homes=0, steps=steps), homes=(home,), step_s=step_s))
    assert model.pumps.lasts_on[0].tolist() == [3, 3, 2, 1, 1]

    def allowed(*pattern):
        on = np.array([pattern], dtype=float)
        return not faults(model, Decision(3.0 * on, np.zeros(steps), on))

    assert allowed(1, 1, 1, 0, 0)
    assert not allowed(1, 1, 0, 0, 0)
    assert allowed(0, 1, 1, 1, 0)
    assert not allowed(0, 1, 1, 0, 0)
    assert allowed(0, 0, 0, 0, 1)


def test_a_heat_pump_that_works_harder_is_less_efficient(lab):
    """Two parts: up to half the heat at COP 3.6, beyond that at 2.4 more."""
    ones = np.ones(2)
    pump = PumpProblem(part_load=((0.5, 1.2), (0.5, 0.8)))
    home = lab.home(
        np.random.default_rng(0), "A-01", 2, 3600.0, heat_max_w=4000 * ones, cop=3 * ones, pump=pump
    )
    problem = replace(lab.problem(homes=0, steps=2, step_s=3600.0, battery=False), homes=(home,))
    model = stack(problem)
    found = evaluate(model, Decision(np.array([[1.8, 3.0]]), np.zeros(2)))
    assert found.power_kw[0] == pytest.approx([1.8 / 3.6, 2.0 / 3.6 + 1.0 / 2.4])
    schedule = HighsPlanner(None).plan(problem, 5.0)
    assert schedule.bound_gbp == pytest.approx(schedule.objective_gbp, abs=1e-6)
    worse = replace(pump, part_load=((0.5, 0.8), (0.5, 1.2)))
    with pytest.raises(InvalidInputError, match="part_load"):
        stack(replace(problem, homes=(replace(home, pump=worse),)))
    short = replace(pump, part_load=((0.5, 1.0),))
    with pytest.raises(InvalidInputError, match="add up to 1"):
        stack(replace(problem, homes=(replace(home, pump=short),)))


def tank(steps, **changes):
    ones = np.ones(steps)
    fields = {
        "energy_wh": 5000.0,
        "min_wh": 1500.0,
        "comfort_wh": 4000 * ones,
        "pump_max_wh": 7000.0,
        "max_wh": 10000.0,
        "standing_loss_per_h": 0.01,
        "draw_w": 500 * ones,
        "heat_max_w": 3000 * ones,
        "cop": 2.2 * ones,
        "backup_max_w": 3000.0,
        "terminal_gbp_per_kwh": 0.05,
    }
    return TankProblem(**{**fields, **changes})


def tank_problem(lab, steps=12, **changes):
    home = lab.home(np.random.default_rng(0), "A-01", steps, 3600.0, tank=tank(steps, **changes))
    block = lab.problem(homes=0, steps=steps, step_s=3600.0, battery=False)
    return replace(block, homes=(home,))


def test_hot_water_is_made_in_cheap_hours_and_never_runs_out(lab):
    problem = tank_problem(lab)
    home = HighsPlanner(None).plan(problem, 10.0).homes[0]
    assert np.all(home.tank_wh >= 1500.0 - 1)
    held = 5000.0
    for step in range(12):
        # a day of fine steps: the tank's equation by hand
        for _ in range(3600):
            flow = home.tank_heat_w[step] + home.backup_w[step] - 500.0 - 0.01 * held
            held += flow / 3600.0
        assert home.tank_wh[step] == pytest.approx(held, abs=2.0)
    cheap = problem.import_gbp_per_kwh < 0.2
    assert home.tank_heat_w[cheap].sum() > home.tank_heat_w[~cheap].sum()
    assert np.all(home.tank_heat_w / 3000 + home.heat_w / problem.homes[0].heat_max_w <= 1 + 1e-4)
    drawn = home.heat_w / problem.homes[0].cop + home.tank_heat_w / 2.2 + home.backup_w
    assert home.power_w == pytest.approx(drawn)


def test_a_due_legionella_cycle_is_done_in_time_by_the_backup_heater(lab):
    due = HygieneProblem(energy_wh=9000.0, by_s=8 * 3600.0, hold_s=3600.0)
    problem = tank_problem(lab, hygiene=due)
    schedule = HighsPlanner(None).plan(problem, 20.0)
    home = schedule.homes[0]
    hot = home.tank_wh >= 9000.0 - 1
    assert any(hot[k] and hot[k + 1] for k in range(7))
    assert np.all(home.tank_heat_w[home.tank_wh > 7001] == 0)
    assert schedule.gave_way == ()
    assert faults(stack(problem), decided(stack(problem), schedule)) == ()
    own = {gave.limit for gave in fallback_schedule(problem).gave_way}
    assert not own & {"legionella cycle", "hot water"}


def test_a_cycle_that_nothing_can_reach_is_named(lab):
    due = HygieneProblem(energy_wh=9000.0, by_s=3600.0, hold_s=0.0)
    problem = tank_problem(lab, hygiene=due, backup_max_w=0.0)
    schedule = HighsPlanner(None).plan(problem, 10.0)
    assert {gave.limit for gave in schedule.gave_way} == {"legionella cycle"}
    assert schedule.gave_way[0].worst > 1000


def test_a_tank_that_is_hotter_than_the_pump_reaches_is_left_to_cool(lab):
    problem = tank_problem(lab, energy_wh=9500.0)
    schedule = HighsPlanner(None).plan(problem, 10.0)
    assert faults(stack(problem), decided(stack(problem), schedule)) == ()
    assert schedule.homes[0].tank_wh[0] == pytest.approx((9500 + 5e4) * np.exp(-0.01) - 5e4, abs=1)


def test_a_home_uses_its_own_sun_before_it_sells_it(lab):
    steps = 4
    home = lab.home(
        np.random.default_rng(0),
        "A-01",
        steps,
        3600.0,
        base_w=np.full(steps, 300.0),
        pv_w=np.array([0.0, 2000, 2000, 0]),
        price_gbp_per_kwh=np.full(steps, 0.3),
        export_gbp_per_kwh=np.full(steps, 0.05),
    )
    block = lab.problem(homes=0, steps=steps, step_s=3600.0, battery=False, pooled=False)
    problem = replace(block, homes=(home,))
    schedule = HighsPlanner(None).plan(problem, 5.0)
    model = stack(problem)
    decision = decided(model, schedule)
    assert schedule.bound_gbp == pytest.approx(schedule.objective_gbp, abs=1e-6)
    used = schedule.homes[0].power_w
    assert used[1:3].sum() > 1.5 * (used[0] + used[3])
    net = (home.base_w - home.pv_w + used) / 1e3
    paid = np.where(net > 0, 0.3 * net, 0.05 * net).sum()
    without = replace(problem, homes=(replace(home, price_gbp_per_kwh=np.zeros(steps),
                                              export_gbp_per_kwh=np.zeros(steps)),))  # fmt: skip
    rest = evaluate(stack(without), decision).objective_gbp
    assert evaluate(model, decision).objective_gbp == pytest.approx(paid + rest)


def test_selling_dear_and_buying_cheap_earns_nothing_at_one_own_meter(lab):
    home = lab.home(
        np.random.default_rng(0),
        "A-01",
        3,
        3600.0,
        base_w=np.full(3, 200.0),
        pv_w=np.full(3, 900.0),
        price_gbp_per_kwh=np.full(3, 0.1),
        export_gbp_per_kwh=np.full(3, 0.4),
    )
    block = lab.problem(homes=0, steps=3, step_s=3600.0, battery=False, pooled=False)
    problem = replace(block, homes=(home,))
    schedule = HighsPlanner(None).plan(problem, 5.0)
    grid = np.linspace(0, home.heat_max_w[0] / 1e3, 12)
    model = stack(problem)
    tried = min(
        evaluate(model, Decision(np.array([heat]), np.zeros(3))).objective_gbp
        for heat in itertools.product(grid, repeat=3)
    )
    assert schedule.objective_gbp <= tried + 1e-6
    assert schedule.bound_gbp <= schedule.objective_gbp


@pytest.mark.parametrize("kind", list(Kind))
def test_the_programme_and_the_evaluator_agree(kind):
    """What HiGHS says a solution of the whole programme costs is what it costs."""
    problem = generate(2, 12, 11, kind)
    model = stack(problem)
    programme = build(model)
    solution = run(programme, 10.0, options={"output_flag": False, "mip_rel_gap": 1e-3})
    decision, _ = decision_of(model, programme, solution.columns)
    cost = evaluate(model, decision).objective_gbp
    assert cost == pytest.approx(solution.objective_gbp, abs=1e-3)


def test_own_thermostats_rest_as_long_as_they_must(lab):
    home = on_off_home(lab, 6, min_on_s=0.0, min_off_s=10800.0, on=True)
    cold = replace(home, room_c=22.0, outdoor_c=np.full(6, -10.0), ceiling_c=np.full(6, 30.0))
    problem = replace(lab.problem(homes=0, steps=6, step_s=3600.0), homes=(cold,), battery=None)
    model = stack(problem)
    decision = thermostat_decision(model)
    assert faults(model, decision) == ()
    on = decision.on[0]
    stopped = int(np.argmax(on == 0))
    assert np.all(on[stopped : stopped + 3] == 0)
    assert on[-1] == 1
