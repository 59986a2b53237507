"""What a decision costs in the model, penalties included, and which limits gave way.

The one place that knows the penalty prices; the linear programme, the fallback and the
repaired plans are all judged by it.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from controllers.stacked import Stacked, StackedEvent
from ems.domain.forecasts import FloatArray
from ems.domain.plans import GaveWay

# The order in which limits give way is the order of these prices: comfort (the problem's
# own price), contracted ceiling, room's upper bound, floor, physical rating. They are far
# enough apart for any home whose kilowatt-hour of electricity is worth between 0.05 and 50
# kelvin-hours of warmth; docs/scheduling.md has the sum.
CONTRACTED_GBP_PER_KWH = 10.0
EXPORT_GBP_PER_KWH = 10.0
EVENT_DOWN_GBP_PER_KWH = 10.0
EVENT_UP_GBP_PER_KWH = 5.0
"""Where a ceiling and a floor of events meet, the ceiling is the more restrictive."""
EVENT_WORST_GBP_PER_KW = 5.0
"""Of the step that falls shortest: what must be missed is missed evenly."""
RESERVE_GBP_PER_KWH = 2.0
RECOVERY_GBP_PER_KWH = 4.0
CEILING_GBP_PER_KH = 20.0
FLOOR_GBP_PER_KH = 2000.0
PHYSICAL_GBP_PER_KWH = 1.0e5

TOLERANCE_K = 0.01
TOLERANCE_W = 1.0


@dataclass(frozen=True, slots=True, eq=False)
class Decision:
    """Heat of each home (homes, steps) and battery power, charging positive (steps,) [kW]."""

    heat_kw: FloatArray
    battery_kw: FloatArray


@dataclass(frozen=True, slots=True, eq=False)
class Evaluation:
    """What follows from a decision.

    Attributes
    ----------
    objective_gbp
        Energy, wear and penalties less the value of what is left at the end [£].
    rooms_c
        At each step's end [°C], shape (homes, steps).
    energy_kwh
        In the battery at each step's end, shape (steps,); empty without a battery.
    feeder_kw, shared_kw
        Net power at the feeder and at the meter that PV and battery share, shape (steps,).
    gave_way
        Limits that were not kept.
    """

    objective_gbp: float
    rooms_c: FloatArray
    energy_kwh: FloatArray
    feeder_kw: FloatArray
    shared_kw: FloatArray
    gave_way: tuple[GaveWay, ...]


def evaluate(model: Stacked, decision: Decision) -> Evaluation:
    """Return the cost of ``decision`` and all that follows from it."""
    problem = model.problem
    dt = model.dt_h
    rooms = model.rooms(decision.heat_kw)
    power = decision.heat_kw / model.cop
    feeder = model.fixed_kw + power.sum(axis=0) + decision.battery_kw
    shared = feeder if problem.pooled else model.landlord_fixed_kw + decision.battery_kw
    cost = float(np.sum(dt * meter_rate(model, shared)))
    if not problem.pooled:
        base = np.array([home.base_w for home in problem.homes]).reshape(power.shape) / 1000.0
        cost += float(np.sum(dt * model.home_price * (base + power)))
    energy = np.empty(0)
    if problem.battery is not None:
        battery = problem.battery
        discharge = np.maximum(-decision.battery_kw, 0.0)
        energy = battery_energy(model, decision.battery_kw)
        cost += float(np.sum(dt * discharge)) * battery.wear_gbp_per_kwh
        cost -= battery.terminal_gbp_per_kwh * float(energy[-1])
    below_comfort = np.maximum(model.comfort_c - rooms, 0.0)
    below_floor = np.maximum(model.floor_c - rooms, 0.0)
    above_ceiling = np.maximum(rooms - model.ceiling_c, 0.0)
    cost += float(
        np.sum(
            dt
            * (
                problem.discomfort_gbp_per_kh * below_comfort
                + FLOOR_GBP_PER_KH * below_floor
                + CEILING_GBP_PER_KH * above_ceiling
            )
        )
    )
    over_physical = np.maximum(feeder - model.physical_kw, 0.0)
    over_contracted = np.maximum(np.minimum(feeder, model.physical_kw) - model.contracted_kw, 0.0)
    over_export = np.maximum(-feeder - model.export_kw, 0.0)
    cost += float(
        np.sum(
            dt
            * (
                CONTRACTED_GBP_PER_KWH * over_contracted
                + PHYSICAL_GBP_PER_KWH * over_physical
                + EXPORT_GBP_PER_KWH * over_export
            )
        )
    )
    cost += event_cost_gbp(model, power, decision.battery_kw, feeder)
    cost += sum(peak.gbp_per_kw * peak.above_kw(feeder) for peak in model.peaks)
    cost += float(np.sum(dt * model.carbon_gbp_per_kwh * np.maximum(feeder, 0.0)))
    cost -= float(np.sum(model.terminal_gbp_per_k * (rooms[:, -1] - model.floor_c[:, -1])))
    gave_way = (
        *_block_gave_way(model, feeder),
        *_events_gave_way(model, power, decision.battery_kw),
        *_homes_gave_way(model, below_floor, above_ceiling),
    )
    return Evaluation(cost, rooms, energy, feeder, shared, gave_way)


def event_cost_gbp(
    model: Stacked, power_kw: FloatArray, battery_kw: FloatArray, feeder_kw: FloatArray
) -> float:
    """Return what falling short of events, and rising too high after them, costs [£]."""
    cost = 0.0
    for event in model.events:
        short = event.shortfall_kw(power_kw, battery_kw)
        cost += event_rate(event) * float(np.sum(model.dt_h * short))
        cost += EVENT_WORST_GBP_PER_KW * float(np.max(short))
        if event.held_kwh:
            left = float(battery_energy(model, battery_kw)[event.steps[-1]])
            cost += RESERVE_GBP_PER_KWH * max(event.held_kwh - left, 0.0)
    over = np.maximum(feeder_kw - model.recovery_kw, 0.0)
    return cost + RECOVERY_GBP_PER_KWH * float(np.sum(model.dt_h * over))


def event_rate(event: StackedEvent) -> float:
    """Return what a kWh that an event asks for and does not get costs [£/kWh]."""
    return EVENT_DOWN_GBP_PER_KWH if event.sign > 0 else EVENT_UP_GBP_PER_KWH


def _events_gave_way(model: Stacked, power_kw: FloatArray, battery_kw: FloatArray) -> list[GaveWay]:
    worst = {
        event.event_id: float(np.max(event.shortfall_kw(power_kw, battery_kw))) * 1000.0
        for event in model.events
    }
    return [
        GaveWay("event", name, short, "W") for name, short in worst.items() if short > TOLERANCE_W
    ]


def meter_rate(model: Stacked, net_kw: FloatArray) -> FloatArray:
    """Return what flow at the shared meter costs [£/h]: import bought, export sold."""
    problem = model.problem
    bought = problem.import_gbp_per_kwh * np.maximum(net_kw, 0.0)
    sold = problem.export_gbp_per_kwh * np.maximum(-net_kw, 0.0)
    return np.asarray(bought - sold, dtype=np.float64)


def battery_energy(model: Stacked, battery_kw: FloatArray) -> FloatArray:
    """Return the energy at each step's end [kWh], losses taken on the way in and out."""
    battery = model.problem.battery
    if battery is None:
        return np.empty(0)
    efficiency = battery.one_way_efficiency
    rise = np.where(battery_kw > 0, battery_kw * efficiency, battery_kw / efficiency) * model.dt_h
    return np.asarray(battery.energy_wh / 1000.0 + np.cumsum(rise), dtype=np.float64)


def _block_gave_way(model: Stacked, feeder_kw: FloatArray) -> list[GaveWay]:
    subject = model.problem.block_id
    worst = {
        "physical import": float(np.max(feeder_kw - model.physical_kw)),
        "contracted import": float(np.max(feeder_kw - model.contracted_kw)),
        "export": float(np.max(-feeder_kw - model.export_kw)),
    }
    return [
        GaveWay(limit, subject, excess * 1000.0, "W")
        for limit, excess in worst.items()
        if excess * 1000.0 > TOLERANCE_W
    ]


def _homes_gave_way(
    model: Stacked, below_floor: FloatArray, above_ceiling: FloatArray
) -> list[GaveWay]:
    result = []
    for limit, excess in (("floor", below_floor), ("ceiling", above_ceiling)):
        for home, worst in zip(model.problem.homes, excess.max(axis=1, initial=0.0), strict=True):
            if worst > TOLERANCE_K:
                result.append(GaveWay(limit, home.dwelling_id, float(worst), "K"))
    return result
