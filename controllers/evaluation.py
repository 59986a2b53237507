"""What a decision costs in the model, penalties included, and which limits gave way.

The one place that knows the penalty prices; the linear programme, the fallback and the
repaired plans are all judged by it.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from controllers.stacked import Stacked, StackedEvent
from ems.domain.forecasts import FloatArray
from ems.domain.plan_costs import PlanCosts
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
TANK_COMFORT_GBP_PER_KWH_H = 0.5
"""Of a kWh of hot water missing for an hour below what is wanted."""
TANK_MIN_GBP_PER_KWH_H = 500.0
"""The same below the least that anyone has hot water from."""
HYGIENE_GBP = 50.0
"""Of a legionella cycle that is missed."""

TOLERANCE_K = 0.01
TOLERANCE_W = 1.0
TOLERANCE_WH = 1.0
TRACE_KW = 1e-6
"""Less than this [kW] is a solver's rounding, not a flow."""


@dataclass(frozen=True, slots=True, eq=False)
class Decision:
    """What is decided.

    Attributes
    ----------
    heat_kw
        Heat to each room [kW], shape (homes, steps).
    battery_kw
        Battery power, charging positive [kW], shape (steps,).
    on
        1 where a discrete heat pump runs, shape (homes, steps); ``None``: where it gives heat.
    pump_kw, backup_kw
        What heat pump and backup heater give to each tank [kW], shape (tanks, steps); ``None``
        where there are no tanks.
    """

    heat_kw: FloatArray
    battery_kw: FloatArray
    on: FloatArray | None = None
    pump_kw: FloatArray | None = None
    backup_kw: FloatArray | None = None


@dataclass(frozen=True, slots=True, eq=False)
class Evaluation:
    """What follows from a decision.

    Attributes
    ----------
    costs
        Energy, wear and penalties, and the value of what is left at the end.
    rooms_c
        At each step's end [°C], shape (homes, steps).
    energy_kwh
        In the battery at each step's end, shape (steps,); empty without a battery.
    feeder_kw, shared_kw
        Net power at the feeder and at the meter that PV and battery share, shape (steps,).
    gave_way
        Limits that were not kept.
    power_kw
        Electricity of heat pumps and backup heaters, shape (homes, steps).
    pull_k
        What heavy parts add to each room in each step, shape (homes, steps).
    masses_c, tanks_kwh
        Heavy parts and tanks of homes that have them, at each step's end.
    """

    costs: PlanCosts
    rooms_c: FloatArray
    energy_kwh: FloatArray
    feeder_kw: FloatArray
    shared_kw: FloatArray
    gave_way: tuple[GaveWay, ...]
    power_kw: FloatArray
    pull_k: FloatArray
    masses_c: FloatArray
    tanks_kwh: FloatArray

    @property
    def objective_gbp(self) -> float:
        """Energy, wear and penalties less the value of what is left at the end [£]."""
        return self.costs.objective_gbp


def evaluate(model: Stacked, decision: Decision) -> Evaluation:
    """Return the cost of ``decision`` and all that follows from it."""
    problem = model.problem
    dt = model.dt_h
    rooms, masses = model.states(decision.heat_kw)
    power = power_of(model, decision)
    feeder = model.fixed_kw + power.sum(axis=0) + decision.battery_kw
    shared = feeder if problem.pooled else model.landlord_fixed_kw + decision.battery_kw
    electricity = float(np.sum(dt * meter_rate(model, shared)))
    if not problem.pooled:
        electricity += float(np.sum(dt * home_rate(model, power)))
    below_comfort = np.maximum(model.comfort_c - rooms, 0.0)
    below_floor = np.maximum(model.floor_c - rooms, 0.0)
    above_ceiling = np.maximum(rooms - model.ceiling_c, 0.0)
    discomfort = problem.discomfort_gbp_per_kh * float(np.sum(dt * below_comfort))
    missed = float(
        np.sum(dt * (FLOOR_GBP_PER_KH * below_floor + CEILING_GBP_PER_KH * above_ceiling))
    )
    missed += float(np.sum(dt * limit_rate(model, feeder)))
    missed += event_cost_gbp(model, power, decision.battery_kw)
    left = float(np.sum(model.terminal_gbp_per_k * (rooms[:, -1] - model.floor_c[:, -1])))
    fabric = model.fabric
    if fabric.rows.size:
        heavy = masses[:, -1] - model.floor_c[fabric.rows, -1]
        left += float(np.sum(model.mass_gbp_per_k * heavy))
    tanks = np.empty((0, model.steps))
    if model.tanks.count:
        tanks = model.tanks.energies(*tank_heat(model, decision))
        discomfort += _cold_water_gbp(model, tanks)
        missed += _no_water_gbp(model, tanks)
        left += float(np.sum(model.tanks.terminal_gbp_per_kwh * tanks[:, -1]))
    wear, energy = 0.0, np.empty(0)
    if np.any(model.pumps.start_gbp):
        starts = model.pumps.starts(running(model, decision))
        wear += float(np.sum(model.pumps.start_gbp[:, None] * starts))
    if problem.battery is not None:
        battery = problem.battery
        discharge = np.maximum(-decision.battery_kw, 0.0)
        energy = battery_energy(model, decision.battery_kw)
        wear += float(np.sum(dt * discharge)) * battery.wear_gbp_per_kwh
        left += battery.terminal_gbp_per_kwh * float(energy[-1])
    costs = PlanCosts(
        electricity_gbp=electricity,
        peak_gbp=float(sum(peak.gbp_per_kw * peak.above_kw(feeder) for peak in model.peaks)),
        carbon_gbp=float(np.sum(dt * carbon_rate(model, feeder))),
        wear_gbp=wear,
        discomfort_gbp=discomfort,
        missed_gbp=missed,
        left_gbp=left,
    )
    gave_way = (
        *_block_gave_way(model, feeder),
        *_events_gave_way(model, power, decision.battery_kw),
        *_homes_gave_way(model, below_floor, above_ceiling),
        *_tanks_gave_way(model, tanks),
    )
    pull = np.zeros(rooms.shape)
    if fabric.rows.size:
        before = np.concatenate([fabric.mass_c[:, None], masses[:, :-1]], axis=1)
        pull[fabric.rows] = fabric.from_mass * before
    return Evaluation(costs, rooms, energy, feeder, shared, gave_way, power, pull, masses, tanks)


def hopeless_gbp(model: Stacked) -> float:
    """Return the weight of floors that full heating from the start cannot hold [£]."""
    below = np.maximum(model.floor_c - model.rooms(model.heat_max_kw), 0.0)
    return FLOOR_GBP_PER_KH * float(np.sum(model.dt_h * below))


def tank_heat(model: Stacked, decision: Decision) -> tuple[FloatArray, FloatArray]:
    """Return what heat pumps and backup heaters give to tanks [kW], shape (tanks, steps)."""
    idle = np.zeros((model.tanks.count, model.steps))
    pump = idle if decision.pump_kw is None else decision.pump_kw
    return pump, idle if decision.backup_kw is None else decision.backup_kw


def power_of(model: Stacked, decision: Decision) -> FloatArray:
    """Return the electricity of heat pumps and backup heaters [kW], shape (homes, steps)."""
    power = model.pumps.power_kw(decision.heat_kw, model.heat_max_kw, model.cop)
    tanks = model.tanks
    if tanks.count:
        pump, backup = tank_heat(model, decision)
        power[tanks.rows] += pump / tanks.cop + backup
    return power


def running(model: Stacked, decision: Decision) -> FloatArray:
    """Return 1 where a discrete heat pump runs, shape (homes, steps)."""
    if decision.on is not None:
        return decision.on
    given = decision.heat_kw.copy()
    if model.tanks.count:
        given[model.tanks.rows] += tank_heat(model, decision)[0]
    return (given > TRACE_KW).astype(np.float64)


def home_rate(model: Stacked, power_kw: FloatArray) -> FloatArray:
    """Return what homes with their own supplier pay [£/h], shape (homes, steps)."""
    net = model.base_kw + power_kw
    paid = model.home_price * net
    if np.any(model.nets_off):
        netted = model.home_price * np.maximum(net, 0.0) - model.home_export * np.maximum(-net, 0.0)
        paid = np.where(model.nets_off[:, None], netted, paid)
    return np.asarray(paid, dtype=np.float64)


def _cold_water_gbp(model: Stacked, energies_kwh: FloatArray) -> float:
    short = np.maximum(model.tanks.comfort_kwh - energies_kwh, 0.0)
    return TANK_COMFORT_GBP_PER_KWH_H * float(np.sum(model.dt_h * short))


def _no_water_gbp(model: Stacked, energies_kwh: FloatArray) -> float:
    tanks = model.tanks
    empty = np.maximum(tanks.min_kwh[:, None] - energies_kwh, 0.0)
    missed = float(np.count_nonzero(tanks.missed_kwh(energies_kwh)))
    return TANK_MIN_GBP_PER_KWH_H * float(np.sum(model.dt_h * empty)) + HYGIENE_GBP * missed


def _tanks_gave_way(model: Stacked, energies_kwh: FloatArray) -> list[GaveWay]:
    tanks = model.tanks
    if not tanks.count:
        return []
    empty = (tanks.min_kwh[:, None] - energies_kwh).max(axis=1) * 1000.0
    missed = tanks.missed_kwh(energies_kwh) * 1000.0
    names = [model.problem.homes[int(row)].dwelling_id for row in tanks.rows]
    return [
        GaveWay(limit, name, float(worst), "Wh")
        for limit, excess in (("hot water", empty), ("legionella cycle", missed))
        for name, worst in zip(names, excess, strict=True)
        if worst > TOLERANCE_WH
    ]


def event_cost_gbp(model: Stacked, power_kw: FloatArray, battery_kw: FloatArray) -> float:
    """Return what falling short of events costs [£]."""
    cost = 0.0
    for event in model.events:
        short = event.shortfall_kw(power_kw, battery_kw)
        cost += event_rate(event) * float(np.sum(model.dt_h * short))
        cost += EVENT_WORST_GBP_PER_KW * float(np.max(short))
        if event.held_kwh:
            left = float(battery_energy(model, battery_kw)[event.steps[-1]])
            cost += RESERVE_GBP_PER_KWH * max(event.held_kwh - left, 0.0)
    return cost


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


def feeder_rate(model: Stacked, net_kw: FloatArray) -> FloatArray:
    """Return what flow at the feeder costs beside energy [£/h]: limits, recovery and carbon."""
    return limit_rate(model, net_kw) + carbon_rate(model, net_kw)


def limit_rate(model: Stacked, net_kw: FloatArray) -> FloatArray:
    """Return the weight of flow at the feeder beyond limits and recovery [£/h]."""
    over_physical = np.maximum(net_kw - model.physical_kw, 0.0)
    over_contracted = np.maximum(np.minimum(net_kw, model.physical_kw) - model.contracted_kw, 0.0)
    over_export = np.maximum(-net_kw - model.export_kw, 0.0)
    rate = (
        CONTRACTED_GBP_PER_KWH * over_contracted
        + PHYSICAL_GBP_PER_KWH * over_physical
        + EXPORT_GBP_PER_KWH * over_export
        + RECOVERY_GBP_PER_KWH * np.maximum(net_kw - model.recovery_kw, 0.0)
    )
    return np.asarray(rate, dtype=np.float64)


def carbon_rate(model: Stacked, net_kw: FloatArray) -> FloatArray:
    """Return what the carbon of flow at the feeder costs [£/h]."""
    return np.asarray(model.carbon_gbp_per_kwh * np.maximum(net_kw, 0.0), dtype=np.float64)


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
        "contracted import": float(np.max(feeder_kw - model.promised_kw)),
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
