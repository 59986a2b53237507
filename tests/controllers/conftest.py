"""Problems for the tests of plans: a generator of winter days, and an evaluator of its own."""

from __future__ import annotations

from datetime import UTC, datetime
from zoneinfo import ZoneInfo

import numpy as np

from ems.domain.plans import BatteryProblem, HomeProblem, SchedulingProblem

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
