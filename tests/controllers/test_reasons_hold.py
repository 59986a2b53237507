"""Reasons are true: taken out, they move the setpoint; what they leave out does not.

Setpoints are the dispatcher's own. What a home asks for or must not fall under is taken out of
both: the problem that is planned again, and the home that dispatch reads.
"""

from __future__ import annotations

import math
from collections import Counter, defaultdict
from dataclasses import replace
from datetime import timedelta
from zoneinfo import ZoneInfo

import numpy as np
import pytest

from controllers.causes import find
from controllers.counterfactual import REMOVE, present, without
from controllers.dispatch import dispatch
from controllers.explaining import ExplainingPlanner, explaining, grid_of
from controllers.joint import JointPlanner
from controllers.proof import Proof
from ems.domain.events import Direction
from ems.domain.plans import EventProblem, PeakProblem
from ems.domain.reasons import Course
from ems.domain.setpoints import Cause

LONDON = ZoneInfo("Europe/London")
STEP_S = 1800.0
MOVED, LEFT = 0.95, 0.90


@pytest.fixture(scope="module")
def planner(lab):
    return explaining(lab.estate(), again_s=math.inf)


def again(problem):
    return JointPlanner(LONDON, threads=1).plan(problem, 600.0)


def home_without(dwelling, causes):
    """The home as dispatch would read it, were it not for these causes."""
    if Cause.COMFORT_FLOOR in causes:
        dwelling = replace(dwelling, floor_c=dwelling.floor_c - 4.0)
    if Cause.SCHEDULE in causes:
        asks = dwelling.comfort

        def at_floor(periods):
            return tuple(replace(each, temperature_c=dwelling.floor_c) for each in periods)

        comfort = replace(asks, weekday=at_floor(asks.weekday), weekend=at_floor(asks.weekend))
        dwelling = replace(dwelling, comfort=comfort)
    return dwelling


class Dispatched:
    """What the dispatcher tells homes at the start of a step, each plan's whole block at once."""

    def __init__(self, lab, problem):
        self.lab, self.problem = lab, problem
        self.block = lab.estate().block(problem.block_id)
        self.told = {}

    def __call__(self, plan, name, step, causes):
        key = (id(plan), step, frozenset(causes))
        if key not in self.told:
            self.told[key] = plan, self.setpoints(plan, step, causes)
        return self.told[key][1][f"{name}-hp"].value

    def setpoints(self, plan, step, causes=()):
        """Dispatch a step as if its plan had just been made, rooms being where it has them."""
        at = plan.start + timedelta(seconds=step * STEP_S)
        rooms = {
            home.dwelling_id: home.room_c
            if step == 0
            else float(plan.home(home.dwelling_id).room_c[step - 1])
            for home in self.problem.homes
        }
        homes = tuple(home_without(home, causes) for home in self.block.dwellings)
        seen = self.lab.readings(self.block, at, rooms=rooms, import_w=5e3)
        estate = self.lab.estate()
        told = dispatch(
            replace(self.block, dwellings=homes),
            replace(plan, issued_at=at),
            seen,
            at,
            zone=estate.zone,
            rules=estate.control,
            devices=estate.devices,
            estimates=self.lab.estimates(estate),
            previous={},
        )
        return {setpoint.point_id.device_id: setpoint for setpoint in told}


def steps_of(estate):
    return {name: grid.step_k or 1.0 for name, grid in grid_of(estate).items()}


def an_event(problem, direction, limit_w, first, last):
    limit = np.full(len(problem.step_s), math.inf if direction is Direction.DOWN else -math.inf)
    limit[first:last] = limit_w
    at = [problem.start + timedelta(seconds=step * STEP_S) for step in (first, last)]
    return EventProblem(
        event_id=f"{direction}-{first}",
        direction=direction,
        limit_w=limit,
        participants=frozenset(home.dwelling_id for home in problem.homes),
        battery=True,
        uncontrolled_w=np.zeros(len(limit)),
        start=at[0],
        until=at[1],
    )


def a_month_s_peak(problem, pounds=1.5):
    return PeakProblem(np.ones(len(problem.step_s), dtype=bool), 15e3, pounds)


def cases(lab):
    """Both supplies of the demonstration at noon and midnight, each with something of its own."""
    block = lab.estate().block("A")
    outdoor_c = 4.0 - 3.0 * np.cos(2 * np.pi * np.arange(48) / 48)
    mild = lab.forecasts(block, lab.start, outdoor=outdoor_c)
    plain = lab.demo_problem("A", forecasts=mild)
    own = lab.demo_problem("B")
    own = replace(own, export_gbp_per_kwh=np.full(48, 0.03))
    dark = lab.demo_problem("A", now=lab.start + timedelta(hours=12))
    return {
        "plain": plain,
        "own": own,
        "event": replace(plain, events=(an_event(plain, Direction.DOWN, 12e3, 3, 6),)),
        "peak": replace(dark, peaks=(a_month_s_peak(dark),)),
        "tight": replace(plain, contracted_import_w=np.full(48, 22e3)),
    }


def sampled(plan, steps, most, rng):
    """Yield (subject, step) of a plan's first steps, stratified by chief cause."""
    by_cause = defaultdict(list)
    for step in steps:
        for home in plan.homes:
            by_cause[home.cause[step]].append((home.dwelling_id, step))
        if plan.battery is not None:
            by_cause[plan.battery.cause[step]].append(("battery", step))
    for cause in sorted(by_cause):
        if cause is Cause.HOLD:
            continue
        places = by_cause[cause]
        for number in rng.permutation(len(places))[:most]:
            yield places[number]


def plan_made(dispatched, plan, subject, step):
    """Whether what is told follows the plan, and no floor, wish or limit of dispatch's own."""
    return subject == "battery" or bool(dispatched.setpoints(plan, step)[f"{subject}-hp"].plan_id)


def prove(lab, planner, problems, *, steps, most, seed=0):
    """Return a verdict on each sampled setpoint."""
    rng = np.random.default_rng(seed)
    found = []
    for problem in problems:
        plan = planner.plan(problem, 600.0)
        dispatched = Dispatched(lab, problem)
        proof = Proof(problem, plan, again, dispatched, steps_of(lab.estate()))
        for subject, step in sampled(plan, steps, most, rng):
            if not plan_made(dispatched, plan, subject, step):
                continue
            verdict = proof.battery(step) if subject == "battery" else proof.home(subject, step)
            found.append((problem, verdict))
    return found


def shares(found):
    """Return the share that moved, beyond one step too, and the share of unstated that left."""
    verdicts = [verdict for _, verdict in found]
    moved = np.mean([verdict.moved >= 1 - 1e-6 for verdict in verdicts])
    beyond = np.mean([verdict.moved > 1 + 1e-6 for verdict in verdicts])
    others = sum(len(verdict.unstated) for verdict in verdicts)
    left = sum(verdict.left for verdict in verdicts) / max(others, 1)
    return float(moved), float(beyond), left


def test_a_sample_of_setpoints_moves_without_its_causes_and_stays_without_others(lab, planner):
    made_up = cases(lab)
    found = prove(lab, planner, [made_up["event"], made_up["own"]], steps=range(3), most=3)
    assert len(found) >= 20
    chiefs = {verdict.causes[0] for _, verdict in found}
    assert {Cause.CHEAP_NOW, Cause.SCHEDULE, Cause.EVENT} <= chiefs, chiefs
    moved, _, left = shares(found)
    assert moved >= MOVED, [verdict for _, verdict in found if verdict.moved < 1]
    assert left >= LEFT


def test_what_is_taken_out_is_gone_and_all_else_stays(lab):
    problem = cases(lab)["event"]
    problem = replace(problem, carbon_gbp_per_kwh=np.linspace(0.01, 0.03, 48))
    assert set(present(problem)) | {Cause.DEAR_NOW} == set(REMOVE)
    for cause in present(problem):
        there = without(problem, (cause,))
        gone = {Cause.BATTERY_FULL, Cause.BATTERY_LOW, Cause.COMFORT_FLOOR, Cause.IMPORT_LIMIT}
        assert cause in gone or cause not in present(there), cause
        assert len(there.homes) == len(problem.homes)
        if cause is not Cause.CHEAP_NOW:
            assert np.array_equal(there.import_gbp_per_kwh, problem.import_gbp_per_kwh)
        if cause not in (Cause.COMFORT_FLOOR, Cause.EVENT):
            assert np.array_equal(there.homes[0].floor_c, problem.homes[0].floor_c)
        again(there)
    assert without(problem, (Cause.CHEAP_NOW, Cause.DEAR_NOW)).import_gbp_per_kwh == pytest.approx(
        np.full(48, problem.import_gbp_per_kwh.mean())
    )
    with pytest.raises(KeyError):
        without(problem, (Cause.RESIDENT,))


def test_a_problem_without_any_difference_of_prices_heats_no_room_ahead(lab, planner):
    problem = without(cases(lab)["plain"], (Cause.CHEAP_NOW, Cause.MILD_NOW, Cause.SOLAR))
    plan = planner.plan(replace(problem, peaks=()), 600.0)
    causes = {cause for home in plan.homes for step in range(48) for cause in home.causes(step)}
    assert not causes & {Cause.CHEAP_NOW, Cause.DEAR_NOW, Cause.SOLAR, Cause.EVENT, Cause.PEAK}
    courses = Counter(course for home in plan.homes for course in home.course)
    assert courses[Course.AHEAD] < 0.02 * courses.total()


def test_every_step_has_a_chief_cause_further_ones_and_one_sentence(lab, planner):
    plan = planner.plan(cases(lab)["event"], 600.0)
    for part in (*plan.homes, plan.battery):
        assert len(part.cause) == len(part.also) == len(part.sentence) == 48
        for step in range(48):
            told = part.causes(step)
            assert len(set(told)) == len(told)
            sentence = part.sentence[step]
            assert sentence.endswith(".")
            assert sentence.count(". ") == 0
            if len(told) > 1:
                assert "part too" in sentence
            if told[0] is Cause.HOLD:
                assert len(told) == 1
    resting = {
        sentence
        for home in plan.homes
        for cause, sentence in zip(home.cause[3:6], home.sentence[3:6], strict=True)
        if cause is Cause.EVENT
    }
    assert any(each.startswith("Resting until 15:00: your building helps") for each in resting)


def test_where_time_runs_out_the_planner_s_own_reasons_stay(lab):
    ticks = iter(range(1000))
    joint = JointPlanner(LONDON)
    grid = grid_of(lab.estate())
    slow = ExplainingPlanner(
        joint, joint, grid=grid, zone=LONDON, clock=lambda: 100.0 * next(ticks)
    )
    problem = cases(lab)["plain"]
    plan = slow.plan(problem, 300.0)
    own = joint.plan(problem, 600.0)
    assert [home.sentence for home in plan.homes] == [home.sentence for home in own.homes]
    assert find(problem, own, grid, lambda _: None) is None


def test_what_reasons_take_for_a_setpoint_is_what_dispatch_tells(lab, planner):
    problem = cases(lab)["own"]
    plan = planner.plan(problem, 600.0)
    taken = find(problem, plan, grid_of(lab.estate()), again)
    same = []
    for step in range(0, 12, 3):
        told = Dispatched(lab, problem).setpoints(plan, step)
        for row, home in enumerate(problem.homes):
            setpoint = told[f"{home.dwelling_id}-hp"]
            if setpoint.plan_id:
                same.append(setpoint.value == taken.now.homes[row, step])
                assert setpoint.causes == plan.home(home.dwelling_id).causes(step)
    assert np.mean(same) >= 0.9
