"""The plan on a block's page: how good it is, its limits and prices, and what gave way."""

from __future__ import annotations

import re
from dataclasses import replace
from datetime import timedelta

import numpy as np
import pytest

from ems.domain.events import Direction
from ems.domain.forecasts import Tightening
from ems.domain.plan_costs import PlanCosts
from ems.domain.plans import EventCeiling, GaveWay, PlanLimits
from ems.service.plan_words import costs, gave_way, learnt, limits, proof
from web.plan_view import plan_view

from .conftest import NOW

COSTS = PlanCosts(
    electricity_gbp=37.2,
    peak_gbp=0.4,
    carbon_gbp=0.0,
    wear_gbp=0.5,
    discomfort_gbp=1.2,
    missed_gbp=23_004.0,
    left_gbp=2.1,
)


@pytest.fixture
def plan(world):
    """A plan of the first block with all that a plan can tell."""
    made = world.store.latest_schedule("A")
    steps = len(made.step_s)
    evening = np.full(steps, np.inf)
    evening[4:8] = 9e3
    return replace(
        made,
        objective_gbp=COSTS.objective_gbp,
        bound_gbp=COSTS.objective_gbp - 0.01,
        costs=COSTS,
        gave_way=(GaveWay("event", "evening", 640.0, "W"), GaveWay("floor", "A-10", 0.2, "K")),
        solver="decomposition",
        limits=PlanLimits(
            physical_import_w=np.full(steps, 55e3),
            contracted_import_w=np.full(steps, 40e3),
            export_w=np.full(steps, np.inf),
            margin_w=np.linspace(1e3, 3e3, steps),
            events=(EventCeiling("evening", Direction.DOWN, evening, 17, battery=True),),
        ),
        tightening=Tightening("A", load=1.4, cold=1.0, load_points=336, cold_points=40),
    )


def test_a_block_shows_its_plan_with_limits_prices_and_what_gave_way(world, plan) -> None:
    newest = replace(plan, id="zz", issued_at=NOW - timedelta(minutes=1))
    world.store.add_schedule(newest)
    page = world.client("olive").get("/estate/blocks/A").text
    shown = re.sub(r"<[^>]+>|\s+", " ", page)
    shown = re.sub(r"\s+", " ", shown)
    for words in (
        "Made 60 seconds ago, proven within 0.1% of the best possible plan.",
        "Costs £38.10 over 24 hours: electricity £37.20, charge on the highest import £0.40, wear",
        "Worth of what is left at the end £2.10",
        "Weighed besides, paid by nobody missing comfort £1.20 and the limits that gave way",
        "No plan for the same forecasts can come out more than £0.01 better.",
        "decomposition: homes answer to common prices",
        "event evening missed by 640 W at worst",
        "floor of A-10 by 0.20 K at worst",
        "Contracted import 40.0 kW",
        "Kept free for higher loads 1.0 to 3.0 kW",
        "17 homes and the battery, together at most 9.0 kW",
        "widened to 140% of what forecasts say, learnt from 336 half-hours",
        "40 of 96 half-hours to learn from are known",
    ):
        assert words in shown
    assert "23,0" not in page, "nobody pays the weight of a limit"
    # The chart draws both limits, and its table says them without a picture.
    assert page.count("Plan keeps below") >= 2
    assert "Event: 17 homes and the battery, together at most" in page
    told = plan_view(plan, world.estate.zone)
    assert told.heads[:3] == ("Feeder kW", "Keeps below kW", "Event evening kW")
    assert told.rows[0][2:4] == ("39.0", "–") and told.rows[4][3] == "9.0"


def test_before_the_first_plan_the_page_says_what_happens_instead(empty_world) -> None:
    page = empty_world.client("olive").get("/estate/blocks/A").text
    assert "No plan yet." in page and "own thermostats" in page
    assert "The plan by half-hour" not in page


def test_a_plan_from_before_limits_were_kept_is_shown_without_them(world) -> None:
    old = world.store.latest_schedule("B")
    told = plan_view(old, world.estate.zone)
    assert told.costs == told.limits == told.learnt == () and told.solver == ""
    assert told.heads == ("Feeder kW", "Battery kW", "Heat pumps kW", "Price p/kWh")


def test_words_do_not_promise_more_than_is_proven(plan) -> None:
    best = plan.objective_gbp
    assert "£3.20 less" in proof(replace(plan, status="feasible", bound_gbp=best - 3.2))
    # A thousandth of what is mostly the weight of a limit is no thousandth of the money.
    assert "within £20.00 of" in proof(replace(plan, bound_gbp=best - 20.0))
    assert "thermostats" in proof(replace(plan, status="fallback"))
    assert "0.05p" in proof(replace(plan, costs=None, objective_gbp=0.01, bound_gbp=0.0095))
    assert gave_way(GaveWay("legionella cycle", "A-02", 1500.0, "Wh")) == (
        "legionella cycle of A-02 by 1.5 kWh at worst"
    )
    assert [name for name, _ in limits(plan)][-1] == "Event evening"


def test_what_margins_learnt_is_said_as_what_it_is(plan) -> None:
    def said(load, points):
        return next(learnt(replace(plan, tightening=Tightening("A", load, 1.0, points))))

    assert said(1.0, 95).endswith("95 of 96 half-hours to learn from are known.")
    assert "as forecasts say, learnt from 96" in said(1.03, 96)
    assert "narrowed to 80% of" in said(0.8, 200)
    assert "narrowed to 50% of what forecasts say (no further)" in said(0.5, 200)
    assert "widened to 200% of what forecasts say (no further)" in said(2.0, 672)


def test_what_a_plan_earns_reads_as_such_and_what_is_nothing_is_left_out(plan) -> None:
    earns = replace(COSTS, electricity_gbp=-3.0, peak_gbp=0.0, discomfort_gbp=0.0, missed_gbp=0.0)
    told = dict(costs(replace(plan, costs=earns)))
    assert told["Costs"] == "−£2.50 over 24 hours: electricity −£3.00, wear £0.50"
    assert "Weighed besides, paid by nobody" not in told
