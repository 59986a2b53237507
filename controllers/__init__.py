"""Decisions about heat and charge: problem → plan → dispatch → safety, each with its reasons.

What lives here, in the order in which a decision is made:

- :mod:`controllers.problem`: estate, forecasts and readings → ``SchedulingProblem``;
- :mod:`controllers.margins`: what it keeps from floor and limit for what is not known;
- :mod:`controllers.events`: what demand-response events ask of plan and dispatch;
- :mod:`controllers.fairness`: homes that carried more than their share of events, spared;
- :mod:`controllers.stacked`: the problem as checked arrays over homes and steps, with
  :mod:`controllers.pumps`, :mod:`controllers.fabric` and :mod:`controllers.tanks`;
- :mod:`controllers.evaluation`: what any decision costs in that model, and what gave way;
- :mod:`controllers.checking`: what no decision may do;
- :mod:`controllers.fallback` and :mod:`controllers.thermostats`: own thermostats and an idle
  battery, as a plan;
- :mod:`controllers.model`, :mod:`controllers.model_homes` and :mod:`controllers.linear`: the
  programme of a block and its planner, which is also the oracle of the others;
- :mod:`controllers.joint`: the planner of many homes, with :mod:`controllers.pricing` and
  :mod:`controllers.master` (prices and answers), :mod:`controllers.coarse` (simpler blocks for
  first prices), :mod:`controllers.stores` and :mod:`controllers.switching` (homes for kernels);
- :mod:`controllers.heavy`: the same for homes with tanks or heavy parts, with
  :mod:`controllers.states` and :mod:`controllers.hygiene`;
- :mod:`controllers.course`: what each step is beside the home's own thermostat;
- :mod:`controllers.reasons`: cause and sentence of every step, from the plan's own duals;
- :mod:`controllers.explaining`: the same by planning again without each cause
  (:mod:`controllers.counterfactual`, :mod:`controllers.causes`, :mod:`controllers.telling`), and
  :mod:`controllers.proof`, which checks it;
- :mod:`controllers.dispatch`: plan and snapshot → setpoints, every minute;
- :mod:`controllers.helping`: measured power against an event's promise, and the way back;
- :mod:`controllers.safety`: limits that run last and that no plan overrides.

For other programs: :mod:`controllers.library`, problems and plans as files
(:mod:`controllers.portable`, :mod:`controllers.plan_file`) and made-up blocks
(:mod:`controllers.generate`). Names in ``__all__`` stay; ``docs/library.md`` shows their use. They
are imported when first asked for.

All of it is pure: no clock, no file, no socket, no log. It may import ``ems.domain`` and
``ext`` and knows nothing of forecasting, drivers, the store or the simulated field.
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from controllers.generate import generate as generate_problem
    from controllers.library import check, plan
    from controllers.plan_file import plan_schema, write_plan
    from controllers.portable import read_problem, write_problem
    from controllers.problem_file import problem_schema
    from ems.domain.heating import FabricProblem, HygieneProblem, PumpProblem, TankProblem
    from ems.domain.plans import (
        BatteryPlan,
        BatteryProblem,
        EventProblem,
        GaveWay,
        HomePlan,
        HomeProblem,
        PeakProblem,
        Schedule,
        SchedulingProblem,
        TerminalCase,
    )

_WHERE = {
    "BatteryPlan": "ems.domain.plans",
    "BatteryProblem": "ems.domain.plans",
    "EventProblem": "ems.domain.plans",
    "FabricProblem": "ems.domain.heating",
    "GaveWay": "ems.domain.plans",
    "HomePlan": "ems.domain.plans",
    "HomeProblem": "ems.domain.plans",
    "HygieneProblem": "ems.domain.heating",
    "PeakProblem": "ems.domain.plans",
    "PumpProblem": "ems.domain.heating",
    "Schedule": "ems.domain.plans",
    "SchedulingProblem": "ems.domain.plans",
    "TankProblem": "ems.domain.heating",
    "TerminalCase": "ems.domain.plans",
    "check": "controllers.library",
    "generate_problem": "controllers.generate",
    "plan": "controllers.library",
    "plan_schema": "controllers.plan_file",
    "problem_schema": "controllers.problem_file",
    "read_problem": "controllers.portable",
    "write_plan": "controllers.plan_file",
    "write_problem": "controllers.portable",
}

_THERE = {"generate_problem": "generate"}
"""What has another name where it lives."""

__all__ = [
    "BatteryPlan",
    "BatteryProblem",
    "EventProblem",
    "FabricProblem",
    "GaveWay",
    "HomePlan",
    "HomeProblem",
    "HygieneProblem",
    "PeakProblem",
    "PumpProblem",
    "Schedule",
    "SchedulingProblem",
    "TankProblem",
    "TerminalCase",
    "check",
    "generate_problem",
    "plan",
    "plan_schema",
    "problem_schema",
    "read_problem",
    "write_plan",
    "write_problem",
]


def __getattr__(name: str) -> Any:
    """Import a name of ``__all__`` when it is first asked for."""
    if name not in _WHERE:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(import_module(_WHERE[name]), _THERE.get(name, name))
