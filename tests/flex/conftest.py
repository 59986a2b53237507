"""Block A of the demonstration on a winter afternoon: meters, a plan, forecasts."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path

import numpy as np
import pytest

from ems.domain.estate import Aggregator, Block, Estate
from ems.domain.events import Direction, FlexRequest
from ems.domain.forecasts import Forecast
from ems.domain.plans import BatteryPlan, HomePlan, Schedule
from ems.domain.points import PointId
from ems.domain.ports import Store
from ems.domain.readings import Reading, Rollup
from ems.domain.setpoints import Cause
from ems.domain.thermal import ThermalEstimate
from ems.domain.time import HALF_HOUR
from ems.service.events import EventDesk
from ems.service.tokens import hash_token
from ems.settings import load_estate
from ems.settings.clock import ManualClock
from ems.store import open_store
from ems.store.accounts import open_accounts
from web import create_app

from .interface import OTHER, TOKEN, Interface

NOW = datetime(2023, 12, 5, 15, 40, tzinfo=UTC)
"""A Tuesday; local time is UTC."""
START = datetime(2023, 12, 5, 17, 0, tzinfo=UTC)
DEMO = Path(__file__).parents[2] / "config" / "demo" / "estate.yaml"
HEAT_W, BASE_W = 600.0, 400.0
"""Planned heating and household use of every home."""


def request(
    power_kw: float = 10.0,
    start: datetime = START,
    hours: float = 2.0,
    *,
    direction: Direction = Direction.DOWN,
    source: str = "acme",
    key: str = "",
    product: str = "",
    block: str = "A",
) -> FlexRequest:
    """An ordinary request: 10 kW less from five to seven."""
    end = start + timedelta(hours=hours)
    return FlexRequest(block, direction, power_kw * 1000, start, end, source, product, key)


@pytest.fixture(scope="session")
def estate() -> Estate:
    return load_estate(DEMO)


def plan(block: Block, issued_at: datetime, hours: float = 24.0) -> Schedule:
    """Every home heats with 600 W, the battery rests three quarters full."""
    start = issued_at.replace(minute=30 if issued_at.minute >= 30 else 0, second=0)
    steps = int(hours * 2)

    def flat(value: float) -> np.ndarray:
        return np.full(steps, value)

    homes = tuple(
        HomePlan(
            home.id,
            heat_w=flat(3 * HEAT_W),
            power_w=flat(HEAT_W),
            room_c=flat(21.0),
            cause=(Cause.CHEAP_NOW,) * steps,
            sentence=("",) * steps,
        )
        for home in block.dwellings
    )
    total = len(homes) * (HEAT_W + BASE_W)
    return Schedule(
        id=f"{issued_at:%Y%m%dT%H%M}-{block.id}",
        block_id=block.id,
        issued_at=issued_at,
        start=start,
        step_s=flat(1800.0),
        homes=homes,
        battery=BatteryPlan(flat(0.0), flat(30_000.0), (Cause.HOLD,) * steps, ("",) * steps),
        import_w=flat(total),
        price_gbp_per_kwh=flat(0.2),
        objective_gbp=1.0,
        bound_gbp=1.0,
        status="optimal",
    )


def forecasts(estate: Estate, block: Block, now: datetime) -> list[Forecast]:
    start = now.replace(minute=30 if now.minute >= 30 else 0, second=0)
    ones = np.ones(60)

    def make(target: str, subject: str, mean: float, low: float, high: float) -> Forecast:
        bands = {0.1: low * ones, 0.5: mean * ones, 0.9: high * ones}
        return Forecast(target, subject, now, start, 1800, mean * ones, bands)

    made = [make("outdoor_c", estate.id, 5.0, 3.0, 7.0)]
    made += [make("load_w", home.id, BASE_W, 200.0, 800.0) for home in block.dwellings]
    return made


def readings(block: Block, now: datetime) -> list[Reading]:
    made = []
    for home in block.dwellings:
        made.append(Reading(PointId(home.meter.device_id, "power_w"), now, HEAT_W + BASE_W))
        made.append(Reading(PointId(home.heat_pump.device_id, "outdoor_temperature_c"), now, 5.0))
    assert block.battery is not None
    made.append(Reading(PointId(block.battery.device_id, "soc_pct"), now, 75.0))
    return made


def half_hours(
    block: Block, first: datetime, last: datetime, watts: Callable[[datetime, str], float | None]
) -> list[Rollup]:
    """Half-hour means of every home's meter and of the battery; ``None`` leaves a gap."""
    rows, at = [], first
    devices = [home.meter.device_id for home in block.dwellings]
    devices.append(block.battery.device_id if block.battery else "")
    while at < last:
        for device in devices:
            value = watts(at, device)
            if value is not None:
                rows.append(Rollup(PointId(device, "power_w"), at, value, value, value, 1.0))
        at += HALF_HOUR
    return rows


@pytest.fixture
def block(estate: Estate) -> Block:
    return estate.block("A")


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "store.sqlite"


@pytest.fixture
def store(path: Path, estate: Estate, block: Block) -> Iterator[Store]:
    """What the running estate would have put there by `NOW`."""
    with open_store(path) as opened:
        fill(opened, estate, block)
        yield opened


def fill(store: Store, estate: Estate, block: Block) -> None:
    store.add_schedule(plan(block, NOW - timedelta(minutes=10)))
    store.add_forecasts(forecasts(estate, block, NOW - timedelta(minutes=10)))
    store.add_readings(readings(block, NOW))
    store.save_estimates(
        [
            ThermalEstimate(home.id, 150.0, 10.0, 2e7, 1e6, 2.0, 250.0, NOW, 500.0, "fit")
            for home in block.dwellings
        ]
    )


@pytest.fixture
def interface(estate, store, tmp_path) -> Interface:
    parties = {
        "acme": Aggregator("acme", "Acme", hash_token(TOKEN), ("A",)),
        "other": Aggregator("other", "Other", hash_token(OTHER), ("A", "B")),
    }
    known = replace(estate, aggregators=parties)
    clock = ManualClock(NOW)
    app = create_app(known, tmp_path, clock, store, open_accounts(tmp_path), secret_key="tests")
    for limiter in app.extensions["limiter"]:
        limiter.enabled = False
    return Interface(app, store, clock, EventDesk(known, store))
