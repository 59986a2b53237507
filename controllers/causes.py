"""Which causes a plan's setpoints have, found by planning again without each.

A cause is stated where, without it, the plan would tell the device something else. What does not
bind cannot be one and is not tried: taking away a limit that nothing touches leaves an optimum as
it is. Where several causes would each move a setpoint, all are stated; where only two together
would, these two. docs/explanations.md says more.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace

import numpy as np
from numpy.typing import NDArray

from controllers.counterfactual import LOWER_K, present, without
from controllers.following import (
    BAND_K,
    COARSE_STEP_K,
    COASTS_K,
    FINE_K,
    IDLE_SHARE,
    RISES_K,
    SG_ENCOURAGED,
    SG_NORMAL,
    SWING_K,
)
from controllers.intent import FINE
from controllers.linear import run
from controllers.model import build
from controllers.reading import battery_of
from controllers.stacked import stack
from ems.domain.forecasts import FloatArray
from ems.domain.plans import HomePlan, HomeProblem, Schedule, SchedulingProblem
from ems.domain.reasons import Course
from ems.domain.setpoints import Cause

BATTERY_STEP_SHARE = 0.01
"""A battery's step is this share of its greatest power."""
MOVED = 1.0 - 1e-6
"""A setpoint that is a device step or more away has moved."""
TOWARDS_GBP_PER_KWH = 1e-4
"""So little draws a battery's power to what was planned: less than it costs to use it."""
SHORT_S = 1.0
SOON = 4
RANK = {cause: number for number, cause in enumerate(Cause)}
NEAR_W = 25.0
NEAR_K = 0.05
NEAR_WH = 20.0
PAIRS: tuple[tuple[Cause, Cause], ...] = (
    (Cause.COMFORT_FLOOR, Cause.SCHEDULE),
    (Cause.CHEAP_NOW, Cause.EVENT),
    (Cause.CHEAP_NOW, Cause.IMPORT_LIMIT),
    (Cause.CHEAP_NOW, Cause.MILD_NOW),
    (Cause.CHEAP_NOW, Cause.SOLAR),
    (Cause.EVENT, Cause.IMPORT_LIMIT),
)
"""Tried together where no cause alone moves a setpoint, in this order."""

BATTERY_ONLY = frozenset({Cause.BATTERY_FULL, Cause.BATTERY_LOW})
"""What a battery can hold is a cause of its own power alone;"""
HOMES_ONLY = frozenset({Cause.COMFORT_FLOOR, Cause.SCHEDULE, Cause.MILD_NOW, Cause.HOT_WATER})
"""and what homes are and ask for, of their own setpoints."""

Again = Callable[[SchedulingProblem], Schedule | None]
"""Plans a problem again; ``None`` where there is no time for it."""


@dataclass(frozen=True, slots=True)
class Grid:
    """How a home's heat pump is told.

    ``step_k``: in steps of so many kelvins, ``None`` where it is SG Ready; ``floor_c``: its room
    setpoint is never below, ``None``: the problem's floor; ``rated_heat_w``: its nameplate.
    """

    step_k: float | None = 0.5
    floor_c: float | None = None
    rated_heat_w: float = 0.0


@dataclass(frozen=True, slots=True, eq=False)
class Setpoints:
    """What a plan means devices to be told.

    ``homes``: room setpoints [°C] or SG Ready modes, shape (homes, steps); ``battery_w``: shape
    (steps,), ``None`` without one.
    """

    homes: FloatArray
    battery_w: FloatArray | None


@dataclass(frozen=True, slots=True, eq=False)
class Found:
    """The causes of a plan's steps.

    Attributes
    ----------
    homes, battery
        Causes of each home's steps and of the battery's, the most telling first; none where
        nothing that was tried moves the setpoint.
    now, otherwise
        Setpoints as planned, and as they would be without each cause that was tried.
    """

    homes: tuple[tuple[tuple[Cause, ...], ...], ...]
    battery: tuple[tuple[Cause, ...], ...]
    now: Setpoints
    otherwise: Mapping[tuple[Cause, ...], Setpoints]


def setpoints_of(
    problem: SchedulingProblem,
    plan: Schedule,
    grid: Mapping[str, Grid],
    *,
    lower_k: float = 0.0,
) -> Setpoints:
    """Return what each step of a plan would have devices told, by the rules of dispatch.

    Each step by itself, from the planned room: without what a device was told before. Floors
    are ``lower_k`` below the homes' own.
    """
    homes = np.full((len(problem.homes), len(problem.step_s)), np.nan)
    for row, home in enumerate(problem.homes):
        own = plan.home(home.dwelling_id)
        if own is not None:
            how = grid.get(home.dwelling_id, Grid())
            homes[row] = _told(home, own, how, lower_k)
    return Setpoints(homes, None if plan.battery is None else plan.battery.power_w)


def _told(home: HomeProblem, own: HomePlan, how: Grid, lower_k: float) -> FloatArray:
    """Return a home's setpoints, as :mod:`controllers.following` has them, shape (steps,)."""
    heating = own.heat_w > IDLE_SHARE * (how.rated_heat_w or float(np.max(home.heat_max_w)))
    course = np.array([str(each) for each in own.course])
    ahead = heating & (course == Course.AHEAD)
    as_asked = course == Course.AS_ASKED
    comfort = np.maximum(home.comfort_c, home.floor_c)
    if how.step_k is None:
        return np.where(ahead & (own.room_c > comfort + RISES_K), SG_ENCOURAGED, SG_NORMAL)
    step_k = how.step_k
    floor = home.floor_c if how.floor_c is None else np.full(comfort.shape, how.floor_c - lower_k)
    asked = np.maximum(comfort, floor + BAND_K) if lower_k <= 0 else comfort
    ends = np.where(heating, own.room_c, -np.inf)
    steady = np.maximum(_up(asked, step_k), _up(np.maximum(ends, floor), step_k))
    coasting = _down(np.minimum(own.room_c, comfort), step_k)
    value = np.where(heating, _up(own.room_c, step_k), coasting)
    value = np.where(as_asked, steady, value)
    value = np.where(ahead, _up(_tops(own.room_c, ahead) + BAND_K, step_k), value)
    if step_k > COARSE_STEP_K:
        held = np.maximum(asked, np.where(as_asked, ends, -np.inf))
        room = np.concatenate([[home.room_c], own.room_c[:-1]])
        swings = np.where(room >= held + SWING_K, _down(held, step_k), _up(held, step_k))
        coasts = np.where(room <= held - COASTS_K, np.maximum(value, _up(held, step_k)), value)
        between = (_up(held, step_k) - held >= FINE_K) & (_down(held, step_k) >= floor) & ~ahead
        value = np.where(between, np.where(as_asked, swings, coasts), value)
    highest = np.maximum(_down(home.ceiling_c, step_k), _up(comfort, step_k))
    return np.maximum(np.minimum(value, highest), _up(floor, step_k))


def binding(problem: SchedulingProblem, plan: Schedule) -> tuple[Cause, ...]:
    """Return the causes in ``problem`` that can matter to ``plan`` at all."""
    import_w = plan.import_w
    full = low = False
    if problem.battery is not None and plan.battery is not None:
        full = bool(np.any(plan.battery.energy_wh >= problem.battery.max_wh - NEAR_WH))
        low = bool(np.any(plan.battery.energy_wh <= problem.battery.min_wh + NEAR_WH))
    pairs = [(home, own) for home in problem.homes if (own := plan.home(home.dwelling_id))]
    loose = {
        Cause.IMPORT_LIMIT: not (
            plan.limits is None
            or bool(np.any(import_w >= plan.limits.kept_w - NEAR_W))
            or bool(np.any(-import_w >= problem.export_limit_w - NEAR_W))
        ),
        Cause.COMFORT_FLOOR: not any(
            bool(np.any(own.room_c <= home.floor_c + NEAR_K)) for home, own in pairs
        ),
        Cause.HOT_WATER: not any(
            home.tank is not None or bool(np.any(own.heat_w >= home.heat_max_w - NEAR_W))
            for home, own in pairs
        ),
        Cause.BATTERY_FULL: not full,
        Cause.BATTERY_LOW: not low,
    }
    return tuple(cause for cause in present(problem) if not loose.get(cause, False))


def find(
    problem: SchedulingProblem, plan: Schedule, grid: Mapping[str, Grid], again: Again
) -> Found | None:
    """Return the causes of each step, planning again with ``again``.

    ``None`` where there was no time to try each cause alone: what is untried may be one.

    Parameters
    ----------
    problem, plan
        What was asked, and the plan in force.
    grid
        How finely each home's heat pump is told.
    again
        Plans a problem; nothing where time is up.
    """
    now = setpoints_of(problem, plan, grid)
    scale = _scale(problem, grid)
    otherwise: dict[tuple[Cause, ...], Setpoints] = {}
    bound = binding(problem, plan)
    # A floor that no room touches changes no plan, but still what a thermostat is told.
    floors = Cause.COMFORT_FLOOR in bound
    first = bound if floors else (Cause.COMFORT_FLOOR, *bound)
    tried = [cause for cause in first if cause is not Cause.SCHEDULE]

    def moved(causes: tuple[Cause, ...]) -> Setpoints | None:
        """Return by how many steps setpoints are above those without these causes."""
        causes = tuple(sorted(causes, key=RANK.__getitem__))
        if causes not in otherwise:
            changed = without(problem, causes)
            made = plan if causes == (Cause.COMFORT_FLOOR,) and not floors else again(changed)
            if made is None:
                return None
            lower_k = LOWER_K if Cause.COMFORT_FLOOR in causes else 0.0
            there = setpoints_of(changed, made, grid, lower_k=lower_k)
            flow = there.battery_w
            if flow is not None and plan.battery is not None and made is not plan:
                flow = nearest_w(changed, made, plan.battery.power_w)
            otherwise[causes] = Setpoints(there.homes, flow)
        there = otherwise[causes]
        flow = None
        if now.battery_w is not None and there.battery_w is not None:
            flow = (now.battery_w - there.battery_w) / scale.battery_w
        return Setpoints((now.homes - there.homes) / scale.homes, flow)

    count = len(problem.step_s)
    homes = [[_Step() for _ in range(count)] for _ in problem.homes]
    battery = [_Step() for _ in range(count)]
    for cause in tried:
        steps = moved((cause,))
        if steps is None:
            return None
        _add(homes, battery, steps, (cause,), lambda _: True)
    for causes in ((Cause.SCHEDULE,), *PAIRS):
        alone = [step for row in homes for step in row] + battery
        if not set(causes) <= {*tried, Cause.SCHEDULE} or all(step.causes for step in alone):
            continue
        steps = moved(causes)
        if steps is None:
            break
        _add(homes, battery, steps, causes, lambda step: not step.causes)
    _settle(homes, battery, moved)
    return Found(
        homes=tuple(tuple(step.ordered for step in row) for row in homes),
        battery=tuple(step.ordered for step in battery),
        now=now,
        otherwise=otherwise,
    )


@dataclass(slots=True)
class _Step:
    """By how many device steps each cause lifts a setpoint."""

    causes: dict[Cause, float] = field(default_factory=dict)

    @property
    def ordered(self) -> tuple[Cause, ...]:
        """Causes by how far they move the setpoint, and then by precedence."""
        return tuple(
            sorted(self.causes, key=lambda one: (-round(abs(self.causes[one]), 3), RANK[one]))
        )

    @property
    def opposed(self) -> bool:
        """Whether some lift the setpoint and others lower it."""
        return min(self.causes.values(), default=0.0) < 0 < max(self.causes.values(), default=0.0)


def _add(
    homes: list[list[_Step]],
    battery: list[_Step],
    steps: Setpoints,
    causes: tuple[Cause, ...],
    takes: Callable[[_Step], bool],
) -> None:
    """Add causes to the setpoints that they move."""
    if BATTERY_ONLY.isdisjoint(causes):
        for row, step in np.argwhere(np.abs(steps.homes) >= MOVED):
            if takes(homes[row][step]):
                homes[row][step].causes.update(dict.fromkeys(causes, float(steps.homes[row, step])))
    if steps.battery_w is not None and HOMES_ONLY.isdisjoint(causes):
        for step in np.flatnonzero(np.abs(steps.battery_w) >= MOVED):
            if takes(battery[step]):
                battery[step].causes.update(dict.fromkeys(causes, float(steps.battery_w[step])))


def _settle(
    homes: list[list[_Step]],
    battery: list[_Step],
    moved: Callable[[tuple[Cause, ...]], Setpoints | None],
) -> None:
    """Leave the causes on the chief one's side where opposed ones outweigh each other.

    Only for the steps that are told before there is a newer plan.
    """
    soon = [(row, step) for row in range(len(homes)) for step in range(len(homes[row][:SOON]))]
    for row, step in [*soon, *((None, step) for step in range(len(battery[:SOON])))]:
        one = battery[step] if row is None else homes[row][step]
        if not one.opposed:
            continue
        steps = moved(one.ordered)
        if steps is None:
            return
        moves = steps.battery_w if row is None else steps.homes[row]
        if moves is None or abs(moves[step]) < MOVED:
            chief = one.causes[one.ordered[0]]
            one.causes = {cause: by for cause, by in one.causes.items() if by * chief > 0}


@dataclass(frozen=True, slots=True, eq=False)
class _Scale:
    homes: FloatArray
    battery_w: float


def _scale(problem: SchedulingProblem, grid: Mapping[str, Grid]) -> _Scale:
    """Return one device step of each home's heat pump, shape (homes, 1), and of the battery."""
    steps = [grid.get(home.dwelling_id, Grid()).step_k or 1.0 for home in problem.homes]
    battery = problem.battery
    power_w = 1.0
    if battery is not None:
        power_w = BATTERY_STEP_SHARE * max(battery.max_charge_w, battery.max_discharge_w, 1.0)
    return _Scale(np.array(steps).reshape(-1, 1), power_w)


def nearest_w(problem: SchedulingProblem, plan: Schedule, flow_w: FloatArray) -> FloatArray:
    """Return the battery's power nearest to ``flow_w`` of those as good as the plan's [W].

    Hours of one price are alike to a battery: which of them it uses is the solver's whim and no
    effect of anything. Homes stay as planned.
    """
    loads = {
        home.dwelling_id: home.base_w + own.power_w
        for home in problem.homes
        if (own := plan.home(home.dwelling_id)) is not None
    }
    nothing = np.zeros(len(problem.step_s))
    events = tuple(
        replace(
            event,
            uncontrolled_w=event.uncontrolled_w
            + sum((loads[name] for name in event.participants & loads.keys()), nothing),
        )
        for event in problem.events
    )
    uncontrolled = problem.uncontrolled_w + sum(loads.values(), nothing)
    model = stack(replace(problem, homes=(), uncontrolled_w=uncontrolled, events=events))
    programme = build(model)
    away = TOWARDS_GBP_PER_KWH * model.dt_h
    above, below = programme.add_columns(away, np.inf), programme.add_columns(away, np.inf)
    row = programme.add_rows(flow_w / 1000.0, flow_w / 1000.0)
    programme.put(row, programme.charge, 1.0)
    programme.put(row, programme.discharge, -1.0)
    programme.put(row, above, -1.0)
    programme.put(row, below, 1.0)
    solution = run(programme, SHORT_S, integral=False)
    if plan.battery is None or not solution.columns.size:
        return flow_w if plan.battery is None else plan.battery.power_w
    return battery_of(model, programme, solution.columns)[0] * 1000.0


def _up(value: FloatArray, step: float) -> FloatArray:
    return np.asarray(np.ceil(value / step - FINE) * step, dtype=np.float64)


def _down(value: FloatArray, step: float) -> FloatArray:
    return np.asarray(np.floor(value / step + FINE) * step, dtype=np.float64)


def _tops(room_c: FloatArray, ahead: NDArray[np.bool_]) -> FloatArray:
    """Return where each run of heating ahead leads to at its highest [°C], seen from its steps."""
    result = room_c.copy()
    for step in reversed(range(room_c.size - 1)):
        if ahead[step] and ahead[step + 1]:
            result[step] = max(result[step], result[step + 1])
    return result
