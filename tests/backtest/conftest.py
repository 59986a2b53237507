"""Small evidence made of random figures, for what only stores or reads it."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

import numpy as np
import pytest

from ems.demo.evidence import Controller, Evidence
from ems.demo.metering import HISTORY_COUNTERS, WARMTH, Measured, Stored, Window

BEGIN = datetime(2023, 1, 23, tzinfo=UTC)
SLOTS, HOMES, BLOCKS = 4, 3, 2


def some_run(rng: np.random.Generator) -> Measured:
    """Return a run of made-up figures with the shapes of a real one."""
    homes, blocks = (SLOTS, HOMES), (SLOTS, BLOCKS)
    return Measured(
        kwh={
            name: rng.random(homes if name.startswith(("home", "pump")) else blocks)
            for name in HISTORY_COUNTERS
        },
        charged_kwh=rng.random(blocks),
        discharged_kwh=rng.random(blocks),
        battery_kwh=rng.random(blocks),
        room_kwh=rng.normal(size=homes),
        tank_kwh=rng.normal(size=homes),
        room_c=rng.normal(20.0, 1.0, homes),
        missing_kh={name: rng.random(homes) for name in WARMTH},
        starts=rng.integers(0, 9, HOMES).astype(float),
        heat_kwh=rng.random(HOMES),
        begin=Stored(rng.normal(size=BLOCKS), rng.normal(size=HOMES), rng.normal(size=HOMES)),
    )


@pytest.fixture
def evidence() -> Evidence:
    """Return a case of three homes and two hours."""
    rng = np.random.default_rng(3)
    own = some_run(rng)
    return Evidence(
        seed=5,
        window=Window(BEGIN, BEGIN + timedelta(hours=2)),
        history_days=36,
        runs={
            Controller.THERMOSTAT: own,
            Controller.TIME_OF_USE: some_run(rng),
            Controller.PERFECT_FORESIGHT: some_run(rng),
        },
        frontier={-0.5: some_run(rng), 0.0: own, 0.5: some_run(rng)},
        kept=rng.random(HOMES),
        credits_gbp={"A-01": 0.1},
        tariff="agile",
        houses="heated-floor",
        weather="real pair",
        seconds={Controller.PLANNED: 61.5},
    )
