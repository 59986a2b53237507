"""The highest half-hour and the grid's carbon have a price; a flat rate has nothing to shift."""

from __future__ import annotations

from dataclasses import replace
from datetime import date, timedelta

import numpy as np
import pytest

from controllers.linear import HighsPlanner
from ems.domain.errors import InvalidInputError
from ems.domain.plans import PeakProblem
from ems.domain.setpoints import Cause


def plan(lab, problem):
    return HighsPlanner(lab.zone).plan(problem, 10.0)


def charge(problem, so_far_w=0.0, gbp_per_kw=0.1):
    every = np.ones(problem.step_s.size, dtype=bool)
    return replace(problem, peaks=(PeakProblem(every, so_far_w, gbp_per_kw),))


def bought_gbp(problem, schedule):
    flow = schedule.import_w / 1000 * problem.step_s / 3600
    price = np.where(flow > 0, problem.import_gbp_per_kwh, problem.export_gbp_per_kwh)
    return float(flow @ price)


@pytest.mark.parametrize("pooled", [True, False])
def test_a_modest_charge_flattens_the_block_and_costs_little(lab, pooled):
    problem = lab.problem(homes=10, pooled=pooled)
    free, charged = plan(lab, problem), plan(lab, charge(problem))
    assert np.max(charged.import_w) < 0.9 * np.max(free.import_w)
    # What the lower peak costs in energy is less than what the charge would have been.
    saved_kw = (np.max(free.import_w) - np.max(charged.import_w)) / 1000
    without = charged.objective_gbp - 0.1 * np.max(charged.import_w) / 1000
    assert free.objective_gbp - 1e-6 <= without <= free.objective_gbp + 0.1 * saved_kw + 1e-6


def test_a_peak_that_has_been_is_no_reason_to_hold_back(lab):
    problem = lab.problem(homes=10)
    free = plan(lab, problem)
    had = plan(lab, charge(problem, so_far_w=float(np.max(free.import_w)), gbp_per_kw=5.0))
    assert had.objective_gbp == pytest.approx(free.objective_gbp, rel=1e-6)


def test_homes_that_wait_for_the_peak_are_told_so_and_not_that_the_supply_is_full(lab):
    problem = charge(lab.problem(homes=12, battery=False, physical_w=1e6, contracted_w=1e6))
    problem = replace(problem, import_gbp_per_kwh=np.full(problem.step_s.size, 0.15))
    schedule = plan(lab, replace(problem, peaks=(replace(problem.peaks[0], gbp_per_kw=5.0),)))
    said = {
        text
        for home in schedule.homes
        for cause, text in zip(home.cause, home.sentence, strict=True)
        if cause is Cause.IMPORT_LIMIT
    }
    assert any("uses most" in text for text in said)
    assert not any("supply is full" in text for text in said)


@pytest.mark.parametrize("pooled", [True, False])
def test_a_carbon_price_moves_import_to_cleaner_hours(lab, pooled):
    problem = lab.problem(homes=6, pooled=pooled, import_price=0.15)
    problem = replace(
        problem, homes=tuple(replace(h, price_gbp_per_kwh=np.full(48, 0.15)) for h in problem.homes)
    )
    grams = np.where(np.arange(48) % 16 < 8, 60.0, 300.0)

    def carbon_kg(price):
        priced = replace(problem, carbon_gbp_per_kwh=grams * price / 1e6)
        schedule = plan(lab, priced)
        return np.maximum(schedule.import_w, 0) / 1000 * problem.step_s / 3600 @ grams / 1000

    assert carbon_kg(300.0) < 0.9 * carbon_kg(0.0)


@pytest.mark.parametrize("seed", range(4))
def test_a_flat_rate_buys_no_more_than_its_own_thermostat(lab, seed):
    """With its own supplier, room to spare and nothing to gain, a home is not preheated."""
    problem = lab.problem(seed=seed, homes=5, pooled=False, physical_w=1e6, contracted_w=1e6)
    steps = problem.step_s.size
    problem = replace(
        problem,
        homes=tuple(
            replace(
                home,
                room_c=18.6,
                comfort_c=np.full(steps, 18.5),
                cop=np.full(steps, 3.0),
                price_gbp_per_kwh=np.full(steps, 0.151),
                terminal_gbp_per_kwh=0.0,
            )
            for home in problem.homes
        ),
    )
    planned, own = plan(lab, problem), HighsPlanner(lab.zone).plan(problem, 0.0)
    assert own.status == "fallback"
    for home in problem.homes:
        used = planned.home(home.dwelling_id).power_w.sum()
        assert used <= own.home(home.dwelling_id).power_w.sum() * 1.001 + 1.0


def test_days_and_months_of_the_horizon_are_charged_apart(lab):
    estate = lab.estate()
    rules = replace(estate.control, peak_p_per_kw_day=10.0, peak_gbp_per_kw_month=4.0)
    eve = lab.start - timedelta(days=1)  # 30 November, noon
    problem = lab.demo_problem(
        now=eve,
        rules=rules,
        peaks_w={date(2023, 11, 12): 33e3, date(2023, 11, 30): 21e3},
        snapshot=lab.readings(estate.block("A"), eve),
        forecasts=lab.forecasts(estate.block("A"), eve),
    )
    found = {(p.so_far_w, p.gbp_per_kw): int(p.steps.sum()) for p in problem.peaks}
    assert found == {(21e3, 0.1): 24, (33e3, 4.0): 24, (0.0, 0.1): 24, (0.0, 4.0): 24}


def test_carbon_that_is_not_known_is_named(lab):
    rules = replace(lab.estate().control, carbon_gbp_per_t=100.0)
    none = lab.demo_problem(rules=rules)
    assert none.carbon_gbp_per_kwh is None
    assert any("carbon" in text for text in none.lacked)
    half = lab.start + timedelta(minutes=30)
    some = lab.demo_problem(rules=rules, carbon_g_per_kwh={lab.start: 100.0, half: 300.0})
    assert some.carbon_gbp_per_kwh[:3] == pytest.approx([0.01, 0.03, 0.02])
    assert any("46 of 48" in text for text in some.lacked)


def test_a_charge_without_meaning_is_refused(lab):
    problem = lab.problem(homes=1)
    with pytest.raises(InvalidInputError, match="gbp_per_kw"):
        plan(lab, charge(problem, gbp_per_kw=float("nan")))
    short = PeakProblem(np.ones(3, dtype=bool), 0.0, 1.0)
    with pytest.raises(InvalidInputError, match="one value per step"):
        plan(lab, replace(problem, peaks=(short,)))
