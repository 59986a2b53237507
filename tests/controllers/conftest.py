"""Problems for the tests of plans: a generator of winter days, and an evaluator of its own."""

from __future__ import annotations

import functools
import math
from datetime import UTC, datetime
from pathlib import Path
from types import SimpleNamespace
from zoneinfo import ZoneInfo

import numpy as np
import pytest

from controllers.dispatch import dispatch
from controllers.evaluation import (
    CEILING_GBP_PER_KH,
    CONTRACTED_GBP_PER_KWH,
    EXPORT_GBP_PER_KWH,
    FLOOR_GBP_PER_KH,
    PHYSICAL_GBP_PER_KWH,
)
from controllers.problem import build_problem
from ems.domain.forecasts import Forecast
from ems.domain.plans import BatteryProblem, HomeProblem, SchedulingProblem
from ems.domain.points import PointId
from ems.domain.readings import Reading, Snapshot
from ems.domain.thermal import ThermalEstimate
from ems.settings import load_estate

LONDON = ZoneInfo("Europe/London")
START = datetime(2023, 12, 1, 12, tzinfo=UTC)


def make_home(rng, name, steps, step_s, **changes):
    hours = np.arange(steps) * step_s / 3600
    loss = rng.uniform(60, 200)
    day = (hours % 24 > 5) & (hours % 24 < 11)
    comfort = np.where(day, 20.5, 18.5)
    fields = {
        "dwelling_id": name,
        "room_c": rng.uniform(18.5, 21.0),
        "loss_w_per_k": loss,
        "capacity_j_per_k": rng.uniform(2, 8) * 3.6e6,
        "outdoor_c": 4 + 3 * np.sin(hours / 24 * 6.28) + rng.normal(0, 0.3),
        "free_heat_w": rng.uniform(100, 500, steps),
        "floor_c": np.full(steps, 18.0),
        "comfort_c": comfort,
        "ceiling_c": comfort + 2,
        "heat_max_w": np.full(steps, loss * 25 + 1500),
        "cop": 2.5 + rng.uniform(0, 1, steps),
        "base_w": rng.uniform(150, 900, steps),
        "price_gbp_per_kwh": np.where((hours % 24 > 4) & (hours % 24 < 8), 0.30, 0.15),
        "terminal_gbp_per_kwh": 0.03,
    }
    fields.update(changes)
    return HomeProblem(**fields)


def make_problem(
    seed=0,
    homes=20,
    steps=48,
    step_s=1800.0,
    *,
    pooled=True,
    battery=True,
    physical_w=80e3,
    contracted_w=60e3,
    import_price=None,
    export_price=0.045,
    pv_peak_w=24e3,
):
    rng = np.random.default_rng(seed)
    hours = np.arange(steps) * step_s / 3600
    if import_price is None:
        import_price = np.where((hours % 24 > 4) & (hours % 24 < 8), 0.6720, 0.1176)
        import_price = np.where((hours % 24 > 12) & (hours % 24 < 18), 0.0399, import_price)
    return SchedulingProblem(
        block_id="A",
        issued_at=START,
        start=START,
        step_s=np.full(steps, step_s),
        homes=tuple(make_home(rng, f"A-{n:02d}", steps, step_s) for n in range(1, homes + 1)),
        battery=BatteryProblem(20e3, 4e3, 40e3, 20e3, 20e3, 0.95, 0.02, 0.08) if battery else None,
        pooled=pooled,
        pv_w=pv_peak_w * np.clip(np.sin((hours - 18) / 8 * np.pi), 0, 1) * (hours % 24 > 18),
        landlord_w=np.full(steps, 1500.0),
        uncontrolled_w=np.zeros(steps),
        import_gbp_per_kwh=np.broadcast_to(np.asarray(import_price, float), (steps,)).copy(),
        export_gbp_per_kwh=np.broadcast_to(np.asarray(export_price, float), (steps,)).copy(),
        physical_import_w=np.full(steps, physical_w),
        contracted_import_w=np.full(steps, contracted_w),
        export_limit_w=np.full(steps, 50e3),
    )


# --- an evaluator that shares no code with the planner --------------------------------------


def referee(problem, schedule):
    """Recompute a plan's rooms, flows and objective home by home, step by step."""
    hours = [float(seconds) / 3600 for seconds in problem.step_s]
    feeder = [
        (problem.landlord_w[k] + problem.uncontrolled_w[k] - problem.pv_w[k]) / 1000
        for k in range(len(hours))
    ]
    shared = [(problem.landlord_w[k] - problem.pv_w[k]) / 1000 for k in range(len(hours))]
    cost, rooms = 0.0, {}
    for home in problem.homes:
        plan = schedule.home(home.dwelling_id)
        room, path = home.room_c, []
        for k, dt in enumerate(hours):
            heat = plan.heat_w[k] + home.free_heat_w[k]
            if home.loss_w_per_k > 0:
                rest = home.outdoor_c[k] + heat / home.loss_w_per_k
                tau = home.capacity_j_per_k / home.loss_w_per_k / 3600
                room = rest + (room - rest) * math.exp(-dt / tau)
            else:
                room += heat * dt * 3600 / home.capacity_j_per_k
            path.append(room)
            used = (home.base_w[k] + plan.heat_w[k] / home.cop[k]) / 1000
            feeder[k] += used
            if not problem.pooled:
                cost += used * dt * home.price_gbp_per_kwh[k]
            comfort = max(home.comfort_c[k], home.floor_c[k])
            ceiling = max(home.ceiling_c[k], comfort)
            cost += dt * problem.discomfort_gbp_per_kh * max(comfort - room, 0)
            cost += dt * FLOOR_GBP_PER_KH * max(home.floor_c[k] - room, 0)
            cost += dt * CEILING_GBP_PER_KH * max(room - ceiling, 0)
        left = (room - home.floor_c[-1]) * home.capacity_j_per_k / 3.6e6
        cost -= home.terminal_gbp_per_kwh * left
        rooms[home.dwelling_id] = path
    energy = []
    if problem.battery is not None:
        battery, stored = problem.battery, problem.battery.energy_wh / 1000
        for k, dt in enumerate(hours):
            flow = schedule.battery.power_w[k] / 1000
            if flow > 0:
                stored += flow * dt * battery.one_way_efficiency
            else:
                stored += flow * dt / battery.one_way_efficiency
                cost += -flow * dt * battery.wear_gbp_per_kwh
            feeder[k] += flow
            shared[k] += flow
            energy.append(stored)
        cost -= battery.terminal_gbp_per_kwh * stored
    for k, dt in enumerate(hours):
        net = feeder[k] if problem.pooled else shared[k]
        price = problem.import_gbp_per_kwh[k] if net > 0 else problem.export_gbp_per_kwh[k]
        cost += net * dt * price
        physical = problem.physical_import_w[k] / 1000
        contracted = min(problem.contracted_import_w[k] / 1000, physical)
        cost += dt * PHYSICAL_GBP_PER_KWH * max(feeder[k] - physical, 0)
        cost += dt * CONTRACTED_GBP_PER_KWH * max(min(feeder[k], physical) - contracted, 0)
        cost += dt * EXPORT_GBP_PER_KWH * max(-feeder[k] - problem.export_limit_w[k] / 1000, 0)
        if problem.carbon_gbp_per_kwh is not None:
            cost += dt * problem.carbon_gbp_per_kwh[k] * max(feeder[k], 0)
    for charge in problem.peaks:
        highest = max((feeder[k] for k in range(len(hours)) if charge.steps[k]), default=0)
        cost += charge.gbp_per_kw * max(highest - charge.so_far_w / 1000, 0)
    return SimpleNamespace(cost=cost, rooms=rooms, feeder=feeder, energy=energy)


# --- the demonstration estate, with readings and forecasts made up by the test ------------

CONFIG = Path(__file__).resolve().parents[2] / "config" / "demo" / "estate.yaml"


@functools.cache
def demo_estate():
    return load_estate(CONFIG)


def readings(block, now, *, rooms=20.0, changes=None, pump_w=900.0, import_w=30e3, soc=50.0):
    """Fresh readings of a whole block; ``rooms`` may name homes; ``changes`` may remove any."""
    values = {}
    for home in block.dwellings:
        room = rooms.get(home.id, 20.0) if isinstance(rooms, dict) else rooms
        power = pump_w.get(home.id, 900.0) if isinstance(pump_w, dict) else pump_w
        values[PointId(home.room_sensor_id, "temperature_c")] = room
        values[PointId(home.heat_pump.power_device_id, "power_w")] = power
        values[PointId(home.heat_pump.device_id, "outdoor_temperature_c")] = 4.0
        values[PointId(home.meter.device_id, "household_power_w")] = 300.0
    values[PointId(block.block_meter.device_id, "power_w")] = import_w
    if block.landlord_meter is not None:
        values[PointId(block.landlord_meter.device_id, "power_w")] = 2e3
    values[PointId(block.battery.device_id, "soc_pct")] = soc
    values[PointId(block.battery.device_id, "power_w")] = 0.0
    values.update(changes or {})
    return Snapshot(now, {key: Reading(key, now, v) for key, v in values.items() if v is not None})


def prior_estimates(estate):
    result = {}
    for home in estate.dwellings():
        prior = estate.thermal_priors[home.epc_band]
        loss = prior.loss_w_per_k_m2 * home.floor_area_m2
        capacity = prior.capacity_wh_per_k_m2 * home.floor_area_m2 * 3600
        result[home.id] = ThermalEstimate(
            home.id, loss, loss * prior.spread, capacity, capacity * prior.spread, 2.0, 200.0
        )
    return result


def make_forecasts(block, start, steps=48, *, outdoor=4.0, leave_out=()):
    def flat(target, subject, value):
        mean = np.broadcast_to(np.asarray(value, float), (steps,)).copy()
        return Forecast(target, subject, start, start, 1800, mean, {0.5: mean})

    hours = np.arange(steps) / 2
    made = [
        flat("outdoor_c", "demo", outdoor),
        flat("irradiance_w_m2", "demo", 0.0),
        flat("pv_w", block.id, 8e3 * np.clip(np.sin((hours - 20) / 6 * np.pi), 0, 1)),
        flat("communal_w", block.id, 1200.0),
    ]
    for home in block.dwellings:
        made += [flat("load_w", home.id, 350.0), flat("hot_water_w", home.id, 120.0)]
    return [each for each in made if (each.target, each.subject) not in leave_out]


def demo_problem(block_id="A", *, now=START, snapshot=None, forecasts=None, steps=48, **changes):
    estate = demo_estate()
    block = estate.block(block_id)
    given = {
        "zone": estate.zone,
        "now": now,
        "start": now,
        "steps": steps,
        "step_s": 1800,
        "forecasts": make_forecasts(block, now) if forecasts is None else forecasts,
        "estimates": prior_estimates(estate),
        "snapshot": snapshot or readings(block, now),
        "rules": estate.control,
    }
    given.update(changes)
    return build_problem(block, **given)


def demo_dispatch(block_id="A", *, schedule=None, snapshot=None, now=START, **changes):
    estate = demo_estate()
    block = estate.block(block_id)
    given = {
        "zone": estate.zone,
        "rules": estate.control,
        "devices": estate.devices,
        "estimates": prior_estimates(estate),
        "previous": {},
    }
    given.update(changes)
    return dispatch(block, schedule, snapshot or readings(block, now), now, **given)


@pytest.fixture(scope="session")
def lab():
    """Everything above, for tests that cannot import this file."""
    return SimpleNamespace(
        zone=LONDON,
        start=START,
        home=make_home,
        problem=make_problem,
        referee=referee,
        estate=demo_estate,
        readings=readings,
        estimates=prior_estimates,
        forecasts=make_forecasts,
        demo_problem=demo_problem,
        dispatch=demo_dispatch,
    )
