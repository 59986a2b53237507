"""What holds of every plan, however odd the problem."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from controllers.fallback import fallback_schedule
from controllers.linear import HighsPlanner
from ems.domain.plans import BatteryProblem, HomeProblem, PeakProblem


def values(low, high, count):
    number = st.one_of(st.sampled_from([low, high]), st.floats(low, high))
    return st.lists(number, min_size=count, max_size=count).map(np.array)


@st.composite
def homes(draw, name, steps):
    floor = draw(st.floats(14, 20))
    comfort = floor + draw(values(-2, 4, steps))
    return HomeProblem(
        dwelling_id=name,
        room_c=draw(st.floats(3, 33)),
        loss_w_per_k=draw(st.one_of(st.just(0.0), st.floats(20, 400))),
        capacity_j_per_k=draw(st.floats(1, 15)) * 3.6e6,
        outdoor_c=draw(values(-12, 30, steps)),
        free_heat_w=draw(values(0, 2500, steps)),
        floor_c=np.full(steps, floor),
        comfort_c=comfort,
        ceiling_c=comfort + draw(values(-1, 3, steps)),
        heat_max_w=draw(st.one_of(st.just(np.zeros(steps)), values(0, 8000, steps))),
        cop=draw(values(1, 6, steps)),
        base_w=draw(values(0, 3000, steps)),
        price_gbp_per_kwh=draw(values(-0.3, 1, steps)),
        terminal_gbp_per_kwh=draw(st.floats(0, 0.2)),
    )


@st.composite
def batteries(draw):
    capacity = draw(st.one_of(st.just(0.0), st.floats(100, 40e3)))
    return BatteryProblem(
        energy_wh=draw(st.floats(0, 1.1)) * capacity,
        min_wh=draw(st.floats(0, 0.5)) * capacity,
        max_wh=draw(st.floats(0.5, 1)) * capacity,
        max_charge_w=draw(st.floats(0, 20e3)),
        max_discharge_w=draw(st.floats(0, 20e3)),
        one_way_efficiency=draw(st.floats(0.8, 1)),
        wear_gbp_per_kwh=draw(st.floats(0, 0.05)),
        terminal_gbp_per_kwh=draw(st.floats(0, 0.3)),
    )


@st.composite
def peaks(draw, steps):
    return PeakProblem(
        steps=np.array(draw(st.lists(st.booleans(), min_size=steps, max_size=steps))),
        so_far_w=draw(st.floats(0, 20e3)),
        gbp_per_kw=draw(st.floats(0, 5)),
    )


@st.composite
def changes(draw, most_homes=3, battery=None):
    """Return what to replace in a problem of as many steps."""
    steps = draw(st.integers(1, 8))
    limits = st.one_of(st.just(np.full(steps, np.inf)), values(0, 30e3, steps))
    return {
        "step_s": draw(values(300, 3600, steps)),
        "homes": tuple(
            draw(homes(f"A-{n:02d}", steps)) for n in range(draw(st.integers(0, most_homes)))
        ),
        "battery": draw(st.none() | batteries() if battery is None else battery),
        "pooled": draw(st.booleans()),
        "pv_w": draw(values(0, 25e3, steps)),
        "landlord_w": draw(values(0, 5e3, steps)),
        "uncontrolled_w": draw(values(0, 5e3, steps)),
        "import_gbp_per_kwh": draw(values(-0.5, 1, steps)),
        "export_gbp_per_kwh": draw(values(-0.3, 0.6, steps)),
        "physical_import_w": draw(limits),
        "contracted_import_w": draw(limits),
        "export_limit_w": draw(limits),
        "peaks": draw(st.lists(peaks(steps), max_size=2).map(tuple)),
        "carbon_gbp_per_kwh": draw(st.none() | values(0, 0.2, steps)),
    }


def close(scale, relative=1e-6):
    return relative * max(1.0, abs(scale))


@given(change=changes())
def test_every_problem_gets_a_plan_that_adds_up(lab, change):
    problem = replace(lab.problem(homes=0), **change)
    schedule = HighsPlanner(lab.zone).plan(problem, 10.0)
    told = lab.referee(problem, schedule)

    assert schedule.status in ("optimal", "feasible")
    assert schedule.objective_gbp == pytest.approx(told.cost, rel=1e-7, abs=1e-6)
    assert schedule.import_w / 1000 == pytest.approx(told.feeder, abs=1e-6)
    for home in problem.homes:
        plan = schedule.home(home.dwelling_id)
        assert plan.room_c == pytest.approx(told.rooms[home.dwelling_id], abs=1e-6)
        assert np.all(plan.heat_w >= 0)
        assert np.all(plan.heat_w <= home.heat_max_w + 1e-6)
        assert len(plan.sentence) == len(plan.cause) == problem.step_s.size
    if problem.battery is not None:
        battery = problem.battery
        # The energy follows from one flow a step: it never charges and discharges at once.
        assert schedule.battery.energy_wh / 1000 == pytest.approx(told.energy, abs=1e-6)
        assert np.all(schedule.battery.power_w <= battery.max_charge_w + 1e-3)
        assert np.all(schedule.battery.power_w >= -battery.max_discharge_w - 1e-3)
        assert np.all(schedule.battery.energy_wh >= min(battery.min_wh, battery.energy_wh) - 0.1)
        assert np.all(schedule.battery.energy_wh <= max(battery.max_wh, battery.energy_wh) + 0.1)


@given(change=changes())
def test_no_plan_is_worse_than_own_thermostats_nor_better_than_its_bound(lab, change):
    problem = replace(lab.problem(homes=0), **change)
    schedule = HighsPlanner(lab.zone).plan(problem, 10.0)
    own = fallback_schedule(problem)
    assert lab.referee(problem, own).cost == pytest.approx(own.objective_gbp, rel=1e-7, abs=1e-6)
    assert schedule.objective_gbp <= own.objective_gbp + close(own.objective_gbp, 1e-9)
    assert schedule.bound_gbp <= schedule.objective_gbp
    assert own.bound_gbp <= schedule.objective_gbp + close(schedule.objective_gbp)
    # With few binaries and time to spare the optimum is proven.
    assert schedule.objective_gbp - schedule.bound_gbp <= close(schedule.objective_gbp, 1e-3)


@given(change=changes())
def test_limits_are_kept_or_named_with_the_worst_excess(lab, change):
    problem = replace(lab.problem(homes=0), **change)
    schedule = HighsPlanner(lab.zone).plan(problem, 10.0)
    named = {(gave.limit, gave.subject): gave.worst for gave in schedule.gave_way}
    excess = {
        ("physical import", "A"): np.max(schedule.import_w - problem.physical_import_w),
        ("export", "A"): np.max(-schedule.import_w - problem.export_limit_w),
    }
    for home in problem.homes:
        room = schedule.home(home.dwelling_id).room_c
        excess["floor", home.dwelling_id] = np.max(home.floor_c - room)
    for key, worst in excess.items():
        if key in named:
            assert named[key] == pytest.approx(worst, rel=1e-6)
        else:
            assert worst <= (0.0101 if key[0] == "floor" else 1.01)


@given(change=changes(battery=st.none()))
def test_the_floor_is_held_whenever_full_heating_could_hold_it(lab, change):
    """Without a feeder limit a home is on its own: full heat from the start is its best."""
    steps = change["step_s"].size
    free = dict.fromkeys(
        ("physical_import_w", "contracted_import_w", "export_limit_w"), np.full(steps, np.inf)
    )
    problem = replace(lab.problem(homes=0), **{**change, **free})
    schedule = HighsPlanner(lab.zone).plan(problem, 10.0)
    for home in problem.homes:
        plan = schedule.home(home.dwelling_id)
        flat_out = replace(plan, heat_w=np.array(home.heat_max_w))
        best = lab.referee(replace(problem, homes=(home,)), replace(schedule, homes=(flat_out,)))
        reachable = np.minimum(home.floor_c, best.rooms[home.dwelling_id])
        assert np.all(plan.room_c >= reachable - 0.01)


@given(
    bought=values(-0.5, 0.5, 3),
    sold=values(-0.3, 0.6, 3),
    fixed=values(-6, 6, 3),
    start=st.floats(0, 10),
)
def test_a_battery_at_odd_prices_is_as_good_as_trying_everything(lab, bought, sold, fixed, start):
    """Negative prices, and export paid better than import costs: no money from nothing."""
    battery = BatteryProblem(start * 1e3, 1e3, 9e3, 5e3, 5e3, 0.9, 0.02, 0.05)
    problem = replace(
        lab.problem(homes=0, steps=3, step_s=3600.0, physical_w=1e9, contracted_w=1e9),
        battery=battery,
        landlord_w=np.maximum(fixed, 0) * 1e3,
        pv_w=np.maximum(-fixed, 0) * 1e3,
        import_gbp_per_kwh=bought,
        export_gbp_per_kwh=sold,
        export_limit_w=np.full(3, np.inf),
    )
    schedule = HighsPlanner(lab.zone).plan(problem, 10.0)
    flows = np.linspace(-5, 5, 41)
    tried = np.array(np.meshgrid(flows, flows, flows, indexing="ij")).reshape(3, -1)
    stored = start + np.cumsum(np.where(tried > 0, tried * 0.9, tried / 0.9), axis=0)
    inside = (stored >= min(1, start)) & (stored <= max(9, start))
    net = fixed[:, None] + tried
    cost = np.where(net > 0, net * bought[:, None], net * sold[:, None]).sum(axis=0)
    cost += 0.02 * np.maximum(-tried, 0).sum(axis=0) - 0.05 * stored[-1]
    best = cost[inside.all(axis=0)].min()
    assert schedule.objective_gbp <= best + 1e-6
    # And it is no better than the neighbourhood of what was tried allows: 0.25 kW a step.
    assert schedule.objective_gbp >= best - 3 * 0.25 * 1.2


@pytest.mark.parametrize("pooled", [True, False])
def test_a_block_over_its_contract_trims_comfort_before_it_breaks_the_rating(lab, pooled):
    problem = lab.problem(homes=8, physical_w=9e3, contracted_w=7e3, pooled=pooled, battery=False)
    schedule = HighsPlanner(lab.zone).plan(problem, 10.0)
    assert np.max(schedule.import_w) <= 9e3 + 1
    assert "physical import" not in {gave.limit for gave in schedule.gave_way}
    # Where the limit bites, electricity at the feeder is worth more than it costs.
    assert np.any(schedule.price_gbp_per_kwh > problem.import_gbp_per_kwh + 0.01)


def test_a_rating_below_the_bare_load_is_named_and_nothing_is_made_worse(lab):
    problem = lab.problem(homes=4, physical_w=1e3, contracted_w=1e3, battery=False, pv_peak_w=0)
    schedule = HighsPlanner(lab.zone).plan(problem, 10.0)
    bare = problem.landlord_w + sum(home.base_w for home in problem.homes)
    worst = {gave.limit: gave.worst for gave in schedule.gave_way}
    assert worst["physical import"] == pytest.approx(np.max(bare - 1e3), abs=1.0)
