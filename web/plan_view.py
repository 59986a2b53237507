"""A plan as operators see it: how good it is, its limits and prices, and what gave way."""

from __future__ import annotations

from dataclasses import dataclass, replace
from datetime import datetime
from zoneinfo import ZoneInfo

import numpy as np

from ems.domain.forecasts import FloatArray
from ems.domain.plans import Schedule
from ems.domain.time import HALF_HOUR_S
from ems.service.plan_words import (
    SOLVERS,
    by_step,
    costs,
    event_words,
    gave_way,
    how_good,
    learnt,
    limits,
    proof,
)
from web.charts import GREY, TEAL, Line, TimeChart
from web.format import day_time, number
from web.series import half_hour_values


@dataclass(frozen=True, slots=True)
class PlanView:
    """One plan in words and rows.

    Attributes
    ----------
    proof, how_good, solver
        How near it is to the best possible plan, in short and in money, and what made it.
    costs
        Names and values of what it costs, weighs and leaves; empty for a plan that kept none.
    limits
        Names and values of what it was made under; empty for a plan that kept none.
    learnt
        What its margins have learnt, a sentence each.
    gave_way, lacked
        Limits that were not kept, and inputs that were missing.
    heads, rows
        The plan by half-hour; each row with its time first.
    """

    proof: str
    how_good: str
    solver: str
    costs: tuple[tuple[str, str], ...]
    limits: tuple[tuple[str, str], ...]
    learnt: tuple[str, ...]
    gave_way: tuple[str, ...]
    lacked: tuple[str, ...]
    heads: tuple[str, ...]
    rows: tuple[tuple[str, ...], ...]


def plan_view(plan: Schedule | None, zone: ZoneInfo) -> PlanView | None:
    """Return what a page says of a plan; ``None`` where there is none yet."""
    if plan is None:
        return None
    columns = by_step(plan)
    times = [at for at, _ in half_hour_values(plan, plan.import_w.tolist())]
    by_half_hour = {
        name: [value for _, value in half_hour_values(plan, values.tolist())]
        for name, values in columns.items()
    }
    return PlanView(
        proof=proof(plan),
        how_good=how_good(plan),
        solver=SOLVERS.get(plan.solver, ""),
        costs=tuple(costs(plan)),
        limits=tuple(limits(plan)),
        learnt=tuple(learnt(plan)),
        gave_way=tuple(gave_way(each) for each in plan.gave_way),
        lacked=plan.lacked,
        heads=tuple(name[:1].upper() + name[1:] for name in columns),
        rows=tuple(
            (day_time(at, zone), *(_cell(values[row]) for values in by_half_hour.values()))
            for row, at in enumerate(times)
        ),
    )


def _cell(value: float) -> str:
    return number(value, 1) if np.isfinite(value) else "–"


def with_limits(chart: TimeChart, plan: Schedule | None, now: datetime) -> TimeChart:
    """Return a feeder's chart with what its plan keeps below, and what events ask for."""
    if plan is None or plan.limits is None:
        return chart
    found = plan.limits
    lines = [_line("Plan keeps below", plan, found.kept_w, GREY, now)]
    lines += [
        _line(f"Event: {event_words(event)}", plan, event.limit_w, TEAL, now)
        for event in found.events
        if np.isfinite(event.limit_w).any()
    ]
    return replace(chart, lines=(*chart.lines, *lines))


def _line(name: str, plan: Schedule, limit_w: FloatArray, colour: str, now: datetime) -> Line:
    """Return a limit in the coming half-hours [kW]; a gap where it is not in force."""
    known = np.where(np.isfinite(limit_w), limit_w, np.nan).tolist()
    coming = [
        (at, value / 1000.0)
        for at, value in half_hour_values(plan, known)
        if at.timestamp() + HALF_HOUR_S > now.timestamp()
    ]
    return Line(
        name,
        [at for at, _ in coming],
        [value for _, value in coming],
        colour,
        step_s=HALF_HOUR_S,
        dashed=True,
    )
