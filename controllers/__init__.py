"""Decisions about heat and charge: problem → plan → dispatch → safety, each with its reasons.

What lives here, in the order in which a decision is made:

- :mod:`controllers.problem`: estate, forecasts and readings → ``SchedulingProblem``;
- :mod:`controllers.events`: what demand-response events ask of plan and dispatch;
- :mod:`controllers.stacked`: the problem as checked arrays over homes and steps;
- :mod:`controllers.evaluation`: what any decision costs in that model, and what gave way;
- :mod:`controllers.fallback`: own thermostats and an idle battery, as a plan;
- :mod:`controllers.model` and :mod:`controllers.linear`: the linear programme and its planner;
- :mod:`controllers.reasons`: cause and sentence of every step of a plan;
- :mod:`controllers.dispatch`: plan and snapshot → setpoints, every minute;
- :mod:`controllers.helping`: measured power against an event's promise, and the way back;
- :mod:`controllers.safety`: limits that run last and that no plan overrides.

All of it is pure: no clock, no file, no socket, no log. It may import ``ems.domain`` and
``ext`` and knows nothing of forecasting, drivers, the store or the simulated field.
"""
