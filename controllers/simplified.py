"""A block whose homes have heavy parts, tanks or own sun, as one of single stores: a first plan.

The simpler block is planned in a fraction of the time. Its rooms are then followed by rules in
the real one, tanks keep to their comfort, the battery does as planned. Not the best plan, but one
at hand long before the whole programme is solved.
"""

from __future__ import annotations

from dataclasses import replace

import numpy as np

from controllers.evaluation import Decision
from controllers.stacked import Stacked
from controllers.thermostats import follow
from ems.domain.plans import HomeProblem, SchedulingProblem

BUSY_MAX = 0.8
"""Share of its time that a compressor is taken to spend on hot water at most."""


def simplified(problem: SchedulingProblem) -> SchedulingProblem:
    """Return the problem with each home as one store whose heat pump runs at any output."""
    return replace(problem, homes=tuple(_simple(home) for home in problem.homes))


def _simple(home: HomeProblem) -> HomeProblem:
    base, most = np.array(home.base_w), np.array(home.heat_max_w)
    capacity, room = home.capacity_j_per_k, home.room_c
    pump = home.pump
    if home.fabric is not None:
        heavy = home.fabric.capacity_j_per_k
        room = (capacity * room + heavy * home.fabric.mass_c) / (capacity + heavy)
        capacity += heavy
    if home.tank is not None:
        # what is drawn is made as it is drawn, as far as the compressor's time allows
        able = np.maximum(home.tank.heat_max_w, 1.0)
        busy = np.minimum(home.tank.draw_w / able, BUSY_MAX)
        base = base + busy * able / home.tank.cop
        most = most * (1.0 - busy)
    if home.pv_w is not None:
        base = base - home.pv_w
    if pump is not None:
        pump = replace(
            pump, heat_min_w=None, min_on_s=0.0, min_off_s=0.0, start_gbp=0.0, since_s=np.inf
        )
    return replace(
        home,
        room_c=room,
        capacity_j_per_k=capacity,
        base_w=base,
        heat_max_w=most,
        pump=pump,
        fabric=None,
        tank=None,
        pv_w=None,
        export_gbp_per_kwh=None,
    )


def followed(model: Stacked, simple: Stacked, decision: Decision) -> Decision:
    """Return what follows a decision of the ``simple`` block in the real one."""
    rooms = np.maximum(simple.rooms(decision.heat_kw), model.floor_c)
    led = follow(model, rooms, model.tanks.wanted_kwh())
    return replace(led, battery_kw=decision.battery_kw)
