"""Homes with two thermal states and a thermostat: unlike the one-state model that is fitted."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from datetime import UTC, date, time
from pathlib import Path
from zoneinfo import ZoneInfo

import numpy as np
import pandas as pd
import pytest
import yaml

from ems.domain.comfort import ComfortPeriod, ComfortSchedule
from ems.domain.estate import (
    Actuator,
    Battery,
    Block,
    BlockLimits,
    Dwelling,
    HeatPump,
    MeterAccount,
    Payer,
    PvArray,
    Supply,
)
from forecasting.weather import read_weather

LONDON = ZoneInfo("Europe/London")
DATA = Path(__file__).parents[2] / "config" / "demo" / "data"


@dataclass(frozen=True)
class TwoStateHome:
    """Air and structure: losses [W/K], capacities [Wh/K], the rest as it acts on a home."""

    air_loss: float = 60.0
    structure_loss: float = 80.0
    coupling: float = 500.0
    air_capacity: float = 800.0
    structure_capacity: float = 6000.0
    aperture: float = 2.0
    free: float = 200.0
    pump_heat: float = 6000.0
    window_w_per_k: float = 40.0

    @property
    def loss(self) -> float:
        """Steady loss [W/K] seen from the air."""
        in_series = self.structure_loss * self.coupling / (self.structure_loss + self.coupling)
        return self.air_loss + in_series

    @property
    def capacity(self) -> float:
        """Whole capacity [Wh/K]."""
        return self.air_capacity + self.structure_capacity

    def live(self, weather: pd.DataFrame, seed: int, wanted_c=None) -> pd.DataFrame:
        """Return half-hour readings of a thermostat-kept home under ``weather`` (half-hours)."""
        rng = np.random.default_rng(seed)
        outdoor = weather["outdoor_c"].to_numpy()
        sun = weather["irradiance_w_m2"].to_numpy()
        air, structure, rows = 19.0, 18.5, []
        for step, instant in enumerate(weather.index):
            hour = instant.hour + instant.minute / 60
            wanted = wanted_c if wanted_c is not None else (20.5 if 6.5 <= hour < 22 else 17.5)
            household = 150 + 500 * (17 <= hour < 23) + rng.gamma(1.0, 120.0)
            window = self.window_w_per_k * (rng.random() < 0.08)
            seen, heat_sum = 0.0, 0.0
            for _ in range(15):
                heat = self.pump_heat * float(np.clip((wanted - air) * 1.2 + 0.25, 0.0, 1.0))
                gain = self.free + 0.7 * household + 0.3 * self.aperture * sun[step]
                exchange = self.coupling * (air - structure)
                loss = (self.air_loss + window) * (air - outdoor[step])
                air += (heat + gain - loss - exchange) / self.air_capacity / 30
                out = self.structure_loss * (structure - outdoor[step])
                inside = exchange + 0.7 * self.aperture * sun[step]
                structure += (inside - out) / self.structure_capacity / 30
                seen += air / 15
                heat_sum += heat / 15
            rows.append((round(seen + rng.normal(0, 0.03), 2), heat_sum, household))
        frame = pd.DataFrame(rows, index=weather.index, columns=["room_c", "heat_w", "household_w"])
        return frame.assign(outdoor_c=outdoor, irradiance_w_m2=sun)


@pytest.fixture(scope="session")
def half_hourly_weather() -> pd.DataFrame:
    """Real London weather of a winter by half-hours."""
    hourly = read_weather(DATA / "weather.csv.gz")
    grid = pd.date_range("2022-12-27", "2023-02-10", freq="30min", tz=UTC, inclusive="left")
    return hourly.resample("30min").interpolate().reindex(grid)


@pytest.fixture(scope="session")
def consumption() -> pd.DataFrame:
    """The demonstration's real homes: mean power by half-hour [W], one column per home."""
    table = pd.read_parquet(DATA / "consumption.parquet").set_index("start_utc")
    table.index = pd.DatetimeIndex(table.index).tz_convert("UTC")
    return table.astype(np.float64) * 2.0


def make_dwelling(name: str, area_m2: float = 60.0) -> Dwelling:
    """A home as configuration knows it."""
    schedule = ComfortSchedule(
        "steady", (ComfortPeriod(time(0), 20.0),), (ComfortPeriod(time(0), 20.0),)
    )
    return Dwelling(
        id=name,
        name=name,
        block_id=name[0],
        epc_band="C",
        floor_area_m2=area_m2,
        comfort=schedule,
        meter=MeterAccount(f"{name}-meter", Payer.TENANT, None, "home"),
        heat_pump=HeatPump(f"{name}-hp", Actuator.ROOM_SETPOINT, 6000.0, 4.0),
        room_sensor_id=f"{name}-room",
    )


def make_block(homes: int = 3, *, landlord: bool = False) -> Block:
    """A block with panels and a battery, with or without a landlord's meter."""
    return Block(
        id="A",
        name="Block A",
        supply=Supply.INDIVIDUAL if landlord else Supply.BOUNDARY,
        limits=BlockLimits(80e3),
        dwellings=tuple(make_dwelling(f"A-{n:02d}") for n in range(1, homes + 1)),
        block_meter=MeterAccount("A-meter", Payer.LANDLORD, None, "block"),
        landlord_meter=MeterAccount("A-landlord", Payer.LANDLORD, None, "landlord")
        if landlord
        else None,
        pv=PvArray("A-pv", 20e3, 30.0, 180.0),
        battery=Battery("A-battery", 20e3, 10e3, 10e3),
    )


@pytest.fixture(scope="session")
def dwelling() -> Callable[..., Dwelling]:
    """Make a home from its id and floor area."""
    return make_dwelling


@pytest.fixture
def block() -> Callable[..., Block]:
    """Make a block of so many homes."""
    return make_block


@pytest.fixture(scope="session")
def two_state_home() -> type[TwoStateHome]:
    """The simulated home's class."""
    return TwoStateHome


@pytest.fixture(scope="session")
def weather_file() -> Path:
    """The demonstration's hourly weather."""
    return DATA / "weather.csv.gz"


@pytest.fixture(scope="session")
def london() -> ZoneInfo:
    """The estate's time zone."""
    return LONDON


@pytest.fixture(scope="session")
def holidays() -> frozenset[date]:
    """The demonstration's bank holidays."""
    rows = yaml.safe_load((DATA / "holidays.yaml").read_text())["holidays"]
    return frozenset(date.fromisoformat(row["date"]) for row in rows)
