"""Random and adversarial problems of every class: a valid plan, or a clear refusal of the input.

A problem follows from its seed, so that a fault can be looked at again: ``problem_of(seed)``.
"""

from __future__ import annotations

from dataclasses import fields, replace
from datetime import UTC, datetime, timedelta

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from controllers import linear
from controllers.fallback import fallback_schedule
from controllers.generate import Kind, generate
from controllers.library import check, plan
from controllers.linear import HighsPlanner
from controllers.portable import read_problem, write_problem
from controllers.stacked import stack
from ems.domain.errors import InvalidInputError
from ems.domain.events import Direction
from ems.domain.heating import FabricProblem, HygieneProblem, PumpProblem, TankProblem
from ems.domain.plans import (
    BatteryProblem,
    EventProblem,
    HomeProblem,
    PeakProblem,
    SchedulingProblem,
)

SHORT_AND_LONG_DAYS = {
    46: datetime(2024, 3, 31, tzinfo=UTC),
    50: datetime(2024, 10, 27, tzinfo=UTC),
}
DEADLINE_S = 2.0


class Draws:
    """What is drawn for one problem; extremes come up often."""

    def __init__(self, seed: int) -> None:
        self.random = np.random.default_rng(seed)
        if self.maybe(0.03):
            self.steps = int(self.random.choice([46, 50]))
            self.step_s = np.full(self.steps, 1800.0)
        else:
            self.steps = int(self.random.integers(1, 13))
            self.step_s = self.random.choice([300.0, 900.0, 1800.0, 3600.0], self.steps)
        if self.maybe(0.5):
            self.step_s = np.sort(self.step_s)  # fine first, coarse later
        self.start = SHORT_AND_LONG_DAYS.get(self.steps, datetime(2024, 1, 15, tzinfo=UTC))

    def maybe(self, chance: float) -> bool:
        return bool(self.random.random() < chance)

    def number(self, low: float, high: float) -> float:
        ends = self.random.random()
        return float(low if ends < 0.1 else high if ends < 0.2 else self.random.uniform(low, high))

    def series(self, low: float, high: float) -> np.ndarray:
        if self.maybe(0.3):
            return np.full(self.steps, float(self.number(low, high)))
        return np.array([self.number(low, high) for _ in range(self.steps)])

    def limits(self, high: float) -> np.ndarray:
        return np.full(self.steps, np.inf) if self.maybe(0.5) else self.series(0.0, high)


def home_of(draw: Draws, name: str) -> HomeProblem:
    floor = draw.number(14, 20)
    comfort = floor + draw.series(-2, 4)
    home = HomeProblem(
        dwelling_id=name,
        room_c=draw.number(-5, 45),
        loss_w_per_k=draw.number(0, 400),
        capacity_j_per_k=draw.number(1, 15) * 3.6e6,
        outdoor_c=draw.series(-15, 35),
        free_heat_w=draw.series(-200, 2500),
        floor_c=np.full(draw.steps, floor),
        comfort_c=comfort,
        ceiling_c=comfort + draw.series(-1, 3),
        heat_max_w=np.zeros(draw.steps) if draw.maybe(0.1) else draw.series(0, 8000),
        cop=draw.series(1, 6),
        base_w=draw.series(0, 3000),
        price_gbp_per_kwh=draw.series(-0.3, 1),
        terminal_gbp_per_kwh=draw.number(0, 0.2),
    )
    if draw.maybe(0.4):
        half = draw.number(0.1, 0.9)
        home = replace(
            home,
            pump=PumpProblem(
                heat_min_w=None if draw.maybe(0.3) else draw.series(0, 1) * home.heat_max_w,
                min_on_s=draw.number(0, 7200),
                min_off_s=draw.number(0, 7200),
                start_gbp=draw.number(0, 0.1),
                on=draw.maybe(0.5),
                since_s=draw.number(0, 7200) if draw.maybe(0.7) else np.inf,
                part_load=((half, 1.1), (1.0 - half, 0.7)) if draw.maybe(0.5) else (),
            ),
        )
    if draw.maybe(0.3):
        fabric = FabricProblem(draw.number(-5, 40), draw.number(1, 20) * 3.6e6, draw.number(0, 900))
        home = replace(home, fabric=fabric)
    if draw.maybe(0.3):
        home = replace(home, tank=tank_of(draw))
    if draw.maybe(0.3):
        home = replace(home, pv_w=draw.series(0, 4000), export_gbp_per_kwh=draw.series(-0.1, 0.6))
    return home


def tank_of(draw: Draws) -> TankProblem:
    low, reach, top = np.sort([draw.number(0, 12e3) for _ in range(3)])
    horizon_s = float(np.sum(draw.step_s))
    due = HygieneProblem(
        draw.number(0, 14e3), draw.number(0, 1.5 * horizon_s), draw.number(0, 3600)
    )
    return TankProblem(
        energy_wh=draw.number(0, 14e3),
        min_wh=float(low),
        comfort_wh=draw.series(0, 12e3),
        pump_max_wh=float(reach),
        max_wh=float(top),
        standing_loss_per_h=draw.number(0, 0.1),
        draw_w=draw.series(0, 6000),
        heat_max_w=draw.series(0, 6000),
        cop=draw.series(1, 4),
        backup_max_w=draw.number(0, 3000),
        terminal_gbp_per_kwh=draw.number(0, 0.2),
        hygiene=due if draw.maybe(0.5) else None,
    )


def event_of(draw: Draws, number: int, names: list[str]) -> EventProblem:
    """An event in some steps; they may overlap, and ask for what nobody can give."""
    down = draw.maybe(0.6)
    inside = draw.random.random(draw.steps) < 0.6
    nothing = np.inf if down else -np.inf
    return EventProblem(
        event_id=f"E{number}",
        direction=Direction.DOWN if down else Direction.UP,
        limit_w=np.where(inside, draw.series(-30e3, 30e3), nothing),
        participants=frozenset(name for name in names if draw.maybe(0.7)),
        battery=draw.maybe(0.7),
        uncontrolled_w=draw.series(0, 2000),
        start=draw.start,
        until=draw.start + timedelta(hours=1),
        reserve_wh=draw.number(0, 5e3),
    )


def problem_of(seed: int) -> SchedulingProblem:
    draw = Draws(seed)
    names = [f"A-{number:02d}" for number in range(int(draw.random.integers(0, 4)))]
    size = 0.0 if draw.maybe(0.1) else draw.number(100, 40e3)
    battery = BatteryProblem(
        energy_wh=draw.number(0, 1.1) * size,
        min_wh=draw.number(0, 0.5) * size,
        max_wh=draw.number(0.5, 1) * size,
        max_charge_w=draw.number(0, 20e3),
        max_discharge_w=draw.number(0, 20e3),
        one_way_efficiency=draw.number(0.8, 1),
        wear_gbp_per_kwh=draw.number(0, 0.05),
        terminal_gbp_per_kwh=draw.number(0, 0.3),
    )
    events = range(int(draw.random.integers(0, 3)))
    peak = PeakProblem(draw.random.random(draw.steps) < 0.5, draw.number(0, 20e3), 0.3)
    return SchedulingProblem(
        block_id="A",
        issued_at=draw.start,
        start=draw.start,
        step_s=draw.step_s,
        homes=tuple(home_of(draw, name) for name in names),
        battery=battery if draw.maybe(0.7) else None,
        pooled=draw.maybe(0.5),
        pv_w=draw.series(0, 25e3),
        landlord_w=draw.series(0, 4e3),
        uncontrolled_w=draw.series(0, 4e3),
        import_gbp_per_kwh=draw.series(-0.4, 0.8),
        export_gbp_per_kwh=draw.series(-0.2, 0.8),
        physical_import_w=draw.limits(30e3),
        contracted_import_w=draw.limits(30e3),
        export_limit_w=draw.limits(20e3),
        events=tuple(event_of(draw, number, names) for number in events),
        recovery_import_w=draw.limits(20e3) if draw.maybe(0.2) else None,
        peaks=(peak,) if draw.maybe(0.3) else (),
        carbon_gbp_per_kwh=draw.series(0, 0.1) if draw.maybe(0.2) else None,
    )


def judge(problem: SchedulingProblem) -> None:
    schedule = plan(problem, DEADLINE_S)
    assert check(problem, schedule) == ()
    own = fallback_schedule(problem)
    assert check(problem, own) == ()
    slack = 1e-6 * max(abs(own.objective_gbp), 1.0)
    assert schedule.objective_gbp <= own.objective_gbp + slack
    assert own.bound_gbp <= schedule.objective_gbp + slack
    assert schedule.status in {"optimal", "feasible", "fallback"}
    # In a step of five minutes a promise of many kilowatts weighs more than a hundredth of a
    # kelvin at its end; where nobody asks for anything, no price is above the floor.
    if np.all(np.isinf(problem.physical_import_w)) and not problem.events:
        floor_is_held_where_it_can_be(problem, schedule)


def floor_is_held_where_it_can_be(problem, schedule) -> None:
    """Full heat from the start is the warmest that a home can be, if nothing else needs it."""
    model = stack(problem)
    warmest = model.rooms(model.heat_max_kw)
    for row, home in enumerate(problem.homes):
        if home.tank is None and not model.pumps.discrete[row]:
            reachable = np.minimum(home.floor_c, warmest[row])
            assert np.all(schedule.homes[row].room_c >= reachable - 0.02), home.dwelling_id


def broken(problem: SchedulingProblem, seed: int) -> SchedulingProblem | None:
    """The problem with one number of it made nonsense, ``None`` where it has no such part."""
    random = np.random.default_rng([seed, 1])
    bad = float(random.choice([np.nan, np.inf, -np.inf]))
    if problem.homes and random.random() < 0.6:
        home = problem.homes[0]
        names = [f.name for f in fields(home) if f.name not in {"dwelling_id", "hot_water_w"}]
        name = str(random.choice(names))
        worse = nonsense(getattr(home, name), bad, random)
        if worse is None:
            return None
        return replace(problem, homes=(replace(home, **{name: worse}), *problem.homes[1:]))
    name = str(random.choice(["step_s", "pv_w", "landlord_w", "import_gbp_per_kwh", "battery"]))
    worse = nonsense(getattr(problem, name), bad, random)
    return None if worse is None else replace(problem, **{name: worse})


ONE_OF = {
    BatteryProblem: "energy_wh",
    FabricProblem: "mass_c",
    TankProblem: "energy_wh",
    PumpProblem: "min_on_s",
}


def nonsense(value, bad, random):
    if isinstance(value, np.ndarray):
        value = value.astype(float)
        value[int(random.integers(value.size))] = bad
        return value
    if type(value) in ONE_OF:
        return replace(value, **{ONE_OF[type(value)]: bad})
    return bad if isinstance(value, float) else None


@given(seed=st.integers(0, 2**32))
def test_any_problem_gets_a_valid_plan_that_is_not_worse_than_own_thermostats(seed):
    judge(problem_of(seed))


@given(seed=st.integers(0, 2**32))
def test_nonsense_is_refused_with_its_field_and_a_remedy(seed):
    problem = broken(problem_of(seed), seed)
    if problem is None:
        return
    with pytest.raises(InvalidInputError) as caught:
        plan(problem, DEADLINE_S)
    assert caught.value.field
    assert caught.value.remedy


@pytest.mark.parametrize("seed", [50, 271, 684])
def test_a_tank_that_begins_too_full_is_not_filled_up_again_for_its_cycle(seed):
    judge(problem_of(seed))


@pytest.mark.long
@pytest.mark.timeout(3600)
def test_ten_thousand_problems_get_a_plan_or_a_clear_refusal():
    failed = {}
    for seed in range(10_000):
        try:
            judge(problem_of(seed))
            worse = broken(problem_of(seed), seed) if seed % 5 == 0 else None
            if worse is not None:
                with pytest.raises(InvalidInputError):
                    plan(worse, DEADLINE_S)
        except Exception as error:
            failed[seed] = repr(error)[:200]
    assert failed == {}


@given(seed=st.integers(0, 2**32))
def test_a_problem_survives_the_way_through_a_file(seed):
    text = write_problem(problem_of(seed))
    assert write_problem(read_problem(text)) == text


class Ticking:
    """A clock that goes on by one at each look."""

    def __init__(self) -> None:
        self.now = 0.0

    def __call__(self) -> float:
        self.now += 1.0
        return self.now


@pytest.mark.parametrize("kind", [Kind.STORE1, Kind.ONOFF, Kind.STORE1_TANK])
def test_nothing_is_begun_after_the_deadline_wherever_it_strikes(monkeypatch, kind):
    problem = generate(2, 8, 3, kind, hours=8.0)
    real, begun = linear.run, []

    def watched(programme, limit_s, **more):
        begun.append((clock.now, limit_s))
        return real(programme, 60.0, **more)

    monkeypatch.setattr(linear, "run", watched)
    statuses = set()
    for deadline_s in range(30):
        clock = Ticking()
        begun.clear()
        schedule = HighsPlanner(None, clock=clock).plan(problem, float(deadline_s))
        # The clock stood at 1 when the plan was asked for.
        assert all(at - 1.0 < deadline_s and 0 < limit <= deadline_s for at, limit in begun)
        assert check(problem, schedule) == ()
        statuses.add(schedule.status)
    assert statuses >= {"fallback", "optimal"}
