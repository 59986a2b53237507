"""A store filled with synthetic days of the demonstration estate, and signed-in clients."""

from __future__ import annotations

import math
import re
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from pathlib import Path

import numpy as np
import pytest
from argon2 import PasswordHasher
from flask import Flask
from flask.testing import FlaskClient
from werkzeug.test import TestResponse

from ems.domain.estate import Block, Dwelling, Estate
from ems.domain.forecasts import Forecast
from ems.domain.plans import BatteryPlan, GaveWay, HomePlan, Schedule
from ems.domain.points import PointId
from ems.domain.ports import Heartbeat, Store
from ems.domain.readings import Quality, Reading, Rollup
from ems.domain.setpoints import Applied, Cause, Setpoint, SetpointRecord, Unreachable
from ems.domain.thermal import ThermalEstimate
from ems.domain.time import HALF_HOUR
from ems.settings import load_estate
from ems.settings.clock import ManualClock
from ems.store import open_store
from ems.store.accounts import Accounts, Role
from web import create_app

NOW = datetime(2023, 12, 5, 15, 42, tzinfo=UTC)
"""A Tuesday afternoon in winter; local time is UTC."""
DEMO = Path(__file__).parents[2] / "config" / "demo" / "estate.yaml"
PASSWORDS = {"olive": "correct horse battery", "tess": "staple anvil lantern", "bob": "x" * 12}
TENANT_HOME = "A-07"
OTHER_HOME = "B-07"
LONG_HISTORY = (TENANT_HOME, OTHER_HOME)

Rows = list[Rollup]


@pytest.fixture(scope="session")
def estate() -> Estate:
    return load_estate(DEMO)


def room_c(home: Dwelling, at: datetime) -> float:
    """A plausible living room: warmer in the evening, a little different in each home."""
    number = int(home.id[2:])
    hour = at.hour + at.minute / 60.0
    return 19.6 + 0.05 * (number % 9) + 0.9 * math.sin((hour - 10.0) / 24.0 * 2.0 * math.pi)


def pump_w(home: Dwelling, at: datetime) -> float:
    hour = at.hour + at.minute / 60.0
    return max(
        0.0, 420.0 + 12.0 * int(home.id[2:]) + 380.0 * math.cos((hour - 6.0) / 12.0 * math.pi)
    )


def household_w(home: Dwelling, at: datetime) -> float:
    hour = at.hour + at.minute / 60.0
    evening = math.exp(-(((hour - 18.5) / 2.2) ** 2))
    return 140.0 + 8.0 * int(home.id[2:]) + 620.0 * evening


def sun_w(block: Block, at: datetime) -> float:
    hour = at.hour + at.minute / 60.0
    peak = block.pv.peak_w if block.pv else 0.0
    return max(0.0, 0.35 * peak * math.sin((hour - 8.0) / 8.0 * math.pi)) if 8 < hour < 16 else 0.0


def battery_w(at: datetime) -> float:
    return -6000.0 if 16 <= at.hour < 19 else (4000.0 if 1 <= at.hour < 5 else 0.0)


def block_w(block: Block, at: datetime) -> float:
    homes = sum(pump_w(home, at) + household_w(home, at) for home in block.dwellings)
    return homes + 1500.0 - sun_w(block, at) + battery_w(at)


def _gauge(device: str, point: str, at: datetime, value: float) -> Rollup:
    return Rollup(PointId(device, point), at, value, value * 0.9, value * 1.1, 1.0)


def history(estate: Estate, home: Dwelling, days: int) -> Rows:
    rows: Rows = []
    at = (NOW - timedelta(days=days)).replace(minute=0)
    while at + HALF_HOUR <= NOW:
        middle = at + HALF_HOUR / 2
        heat, rest = pump_w(home, middle), household_w(home, middle)
        meter = home.meter.device_id
        rows += [
            _gauge(home.room_sensor_id, "temperature_c", at, room_c(home, middle)),
            _gauge(home.room_sensor_id, "humidity_pct", at, 52.0),
            _gauge(home.heat_pump.power_device_id, "power_w", at, heat),
            _gauge(meter, "household_power_w", at, rest),
            _gauge(meter, "power_w", at, heat + rest),
            _gauge(meter, "energy_import_kwh", at, (heat + rest) / 2000.0),
        ]
        at += HALF_HOUR
    return rows


def block_history(block: Block, days: int) -> Rows:
    rows: Rows = []
    at = (NOW - timedelta(days=days)).replace(minute=0)
    while at + HALF_HOUR <= NOW:
        middle = at + HALF_HOUR / 2
        rows.append(_gauge(block.block_meter.device_id, "power_w", at, block_w(block, middle)))
        if block.pv:
            rows.append(_gauge(block.pv.device_id, "power_w", at, -sun_w(block, middle)))
        if block.battery:
            soc = 55.0 + 30.0 * math.sin((middle.hour - 2.0) / 24.0 * 2.0 * math.pi)
            rows.append(_gauge(block.battery.device_id, "power_w", at, battery_w(middle)))
            rows.append(_gauge(block.battery.device_id, "soc_pct", at, soc))
        at += HALF_HOUR
    return rows


def home_values(home: Dwelling, at: datetime) -> dict[PointId, float]:
    heat, rest = pump_w(home, at), household_w(home, at)
    meter, pump = home.meter.device_id, home.heat_pump
    values = {
        PointId(home.room_sensor_id, "temperature_c"): room_c(home, at),
        PointId(home.room_sensor_id, "humidity_pct"): 52.0,
        PointId(meter, "power_w"): heat + rest,
        PointId(meter, "household_power_w"): rest,
        PointId(meter, "voltage_v"): 238.4,
        PointId(pump.power_device_id, "power_w"): heat,
        PointId(pump.device_id, "operating_state"): 2.0 if heat > 50 else 0.0,
        PointId(pump.device_id, "outdoor_temperature_c"): 4.5,
        PointId(pump.device_id, "flow_temperature_c"): 38.0,
    }
    if pump.actuator.value == "sg_ready":
        values[PointId(pump.device_id, "sg_mode")] = 2.0
    else:
        values[PointId(pump.device_id, "room_setpoint_c")] = 20.0
    return values


def block_values(block: Block, at: datetime) -> dict[PointId, float]:
    values = {PointId(block.block_meter.device_id, "power_w"): block_w(block, at)}
    if block.landlord_meter:
        values[PointId(block.landlord_meter.device_id, "power_w")] = 1500.0 + battery_w(at)
    if block.pv:
        values[PointId(block.pv.device_id, "power_w")] = -sun_w(block, at)
    if block.battery:
        values[PointId(block.battery.device_id, "power_w")] = battery_w(at)
        values[PointId(block.battery.device_id, "soc_pct")] = 61.0
    return values


def recent(estate: Estate, minutes: int, without: frozenset[str] = frozenset()) -> list[Reading]:
    """Readings by the minute until now, but for devices that do not answer."""
    rows = []
    for back in range(minutes, -1, -1):
        at = NOW - timedelta(minutes=back)
        for block in estate.blocks:
            values = block_values(block, at)
            for home in block.dwellings:
                values |= home_values(home, at)
            rows += [
                Reading(point, at, value)
                for point, value in values.items()
                if point.device_id not in without
            ]
            rows += [
                Reading(point, at, math.nan, Quality.NO_ANSWER)
                for point in values
                if point.device_id in without
            ]
    return rows


def plan_of(estate: Estate, block: Block, issued_at: datetime) -> Schedule:
    """A plan of 48 half-hours whose reasons are easy to recognise."""
    start = issued_at.replace(minute=30 if issued_at.minute >= 30 else 0)
    times = [start + HALF_HOUR * index for index in range(48)]
    steps = len(times)
    homes = []
    for home in block.dwellings:
        power = np.array([pump_w(home, at) for at in times])
        cheap = np.array([at.hour < 16 or at.hour >= 19 for at in times])
        power = np.where(cheap, power, 0.0)
        homes.append(
            HomePlan(
                home.id,
                heat_w=power * 3.2,
                power_w=power,
                room_c=np.array([room_c(home, at) + 0.2 for at in times]),
                cause=tuple(Cause.CHEAP_NOW if one else Cause.DEAR_NOW for one in cheap),
                sentence=tuple(
                    "Heating now, because electricity is cheaper than later."
                    if one
                    else "Resting, because electricity is dear until 19:00 and the room is warm."
                    for one in cheap
                ),
            )
        )
    battery = None
    if block.battery:
        battery = BatteryPlan(
            power_w=np.array([battery_w(at) for at in times]),
            energy_wh=np.linspace(24_000.0, 12_000.0, steps),
            cause=(Cause.HOLD,) * steps,
            sentence=("Waiting.",) * steps,
        )
    return Schedule(
        id=f"{issued_at:%Y%m%dT%H%M}-{block.id}",
        block_id=block.id,
        issued_at=issued_at,
        start=start,
        step_s=np.full(steps, 1800.0),
        homes=tuple(homes),
        battery=battery,
        import_w=np.array([block_w(block, at) for at in times]),
        price_gbp_per_kwh=np.array([0.25 if 16 <= at.hour < 19 else 0.12 for at in times]),
        objective_gbp=41.2,
        bound_gbp=41.2,
        status="optimal",
        gave_way=(GaveWay("contracted import", block.id, 1200.0, "W"),) if block.id == "B" else (),
        solve_s=0.21,
    )


def setpoints_of(estate: Estate, at: datetime) -> list[SetpointRecord]:
    records = []
    for home in estate.dwellings():
        sg = home.heat_pump.actuator.value == "sg_ready"
        asked = home.comfort.temperature_at(at, estate.zone)
        setpoint = Setpoint(
            id=f"{at:%Y%m%dT%H%M%S}-{home.id}",
            point_id=PointId(home.heat_pump.device_id, "sg_mode" if sg else "room_setpoint_c"),
            value=3.0 if sg else asked,
            issued_at=at,
            expires_at=at + timedelta(minutes=10),
            cause=Cause.CHEAP_NOW,
            sentence="Heating now, because electricity is cheaper than later.",
            release_value=2.0 if sg else home.comfort.highest_c,
            plan_id="",
        )
        records.append(SetpointRecord(setpoint, Applied(setpoint.value, written=True), at))
    return records


def forecasts(block: Block) -> list[Forecast]:
    start = NOW.replace(minute=30)
    times = [start + HALF_HOUR * index for index in range(48)]
    load = np.array([sum(household_w(home, at) for home in block.dwellings) for at in times])
    sun = np.array([sun_w(block, at) for at in times])
    return [
        Forecast(
            target,
            block.id,
            NOW - timedelta(minutes=5),
            start,
            1800,
            mean,
            {0.1: mean * 0.8, 0.5: mean, 0.9: mean * 1.25},
        )
        for target, mean in (("load_w", load), ("pv_w", sun))
    ]


def fill(store: Store, estate: Estate, without: frozenset[str] = frozenset()) -> None:
    """Fill a store as a running demonstration would have."""
    rows: Rows = []
    for block in estate.blocks:
        rows += block_history(block, 2)
        for home in block.dwellings:
            rows += history(estate, home, 29 if home.id in LONG_HISTORY else 2)
    store.add_rollups(rows)
    store.add_readings(recent(estate, 15, without))
    for block in estate.blocks:
        for hours in (6, 4, 2, 0):
            store.add_schedule(plan_of(estate, block, NOW - timedelta(hours=hours, minutes=10)))
        store.add_forecasts(forecasts(block))
    for minutes in (180, 2):
        records = setpoints_of(estate, NOW - timedelta(minutes=minutes))
        store.open_commands([record.setpoint for record in records])
        store.add_setpoint_records(records)
    beat(store, NOW)
    store.save_estimates(
        [
            ThermalEstimate(home.id, 148.0, 14.0, 1.6e7, 2e6, 2.0, 250.0, NOW, 500.0, "fit")
            for home in estate.dwellings()
        ]
    )


def beat(store: Store, at: datetime) -> None:
    for index, process in enumerate(("control", "guard", "field")):
        store.beat(Heartbeat(process, at - timedelta(seconds=20), 1.7e9, 100 + index))


def unreachable(estate: Estate, dwelling_id: str) -> SetpointRecord:
    (record,) = [
        one
        for one in setpoints_of(estate, NOW - timedelta(minutes=1))
        if one.setpoint.id.endswith(dwelling_id)
    ]
    return SetpointRecord(record.setpoint, Unreachable("no answer"), record.finished_at)


@dataclass
class World:
    """A site under test: everything that its pages are made from."""

    estate: Estate
    store: Store
    accounts: Accounts
    clock: ManualClock
    app: Flask
    wall: list[float] = field(default_factory=lambda: [1.7e9])

    def client(self, name: str | None = None) -> FlaskClient:
        """A browser without cookies, signed in as ``name`` where given."""
        client = self.app.test_client()
        if name:
            answer = sign_in(client, name, PASSWORDS[name])
            assert answer.status_code == 302, answer.text
        return client


def token_in(page: str) -> str:
    found = re.search(r'name="csrf_token" value="([^"]+)"', page)
    assert found, "the page has no form"
    return found.group(1)


def sign_in(client: FlaskClient, name: str, password: str, **args: str) -> TestResponse:
    page = client.get("/sign-in", query_string=args).text
    return client.post(
        "/sign-in",
        query_string=args,
        data={"csrf_token": token_in(page), "name": name, "password": password},
    )


WorldMaker = Callable[..., World]


@pytest.fixture(scope="session")
def make_world(estate: Estate, tmp_path_factory: pytest.TempPathFactory) -> Iterator[WorldMaker]:
    """Make sites; each has its own store, filled or empty."""
    stores: list[Store] = []

    def make(
        *, filled: bool = True, limited: bool = False, without: frozenset[str] = frozenset()
    ) -> World:
        state = tmp_path_factory.mktemp("state")
        store = open_store(state / "store.sqlite")
        stores.append(store)
        if filled:
            fill(store, estate, without)
        wall = [1.7e9]
        quick = PasswordHasher(time_cost=1, memory_cost=64, parallelism=1)
        accounts = Accounts(state / "accounts.sqlite", lambda: wall[0], quick)
        accounts.upsert_user("olive", PASSWORDS["olive"], Role.OPERATOR)
        accounts.upsert_user("tess", PASSWORDS["tess"], Role.TENANT, TENANT_HOME)
        accounts.upsert_user("bob", PASSWORDS["bob"], Role.TENANT, OTHER_HOME)
        clock = ManualClock(NOW)
        app = create_app(estate, state, clock, store, accounts, secret_key="only for tests")
        for limiter in app.extensions["limiter"]:
            limiter.enabled = limited
        return World(estate, store, accounts, clock, app, wall)

    yield make
    for store in stores:
        store.close()


@pytest.fixture(scope="module")
def world(make_world: WorldMaker) -> World:
    """A site whose store is full and well."""
    return make_world()


@pytest.fixture(scope="module")
def empty_world(make_world: WorldMaker) -> World:
    """A site that has just been installed."""
    return make_world(filled=False)


@pytest.fixture(scope="session")
def passwords() -> dict[str, str]:
    """Passwords of the people under test, by name."""
    return PASSWORDS
