"""Homes that are built otherwise than the model that is learnt of them, and their weeks."""

from __future__ import annotations

import sys
from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import UTC, datetime, time, timedelta
from pathlib import Path
from types import ModuleType

import numpy as np
import pandas as pd
import pytest

from ems.loop import Actuator, Comfort, Device, Period, StepResult, step
from forecasting.weather import read_weather

DATA = Path(__file__).parents[2] / "config" / "demo" / "data"
TICK_S = 120.0
START = datetime(2023, 1, 9, tzinfo=UTC)
DAYS = Comfort(
    weekday=(
        Period(time(0), 18.0, 22.0),
        Period(time(6), 20.0, 23.0),
        Period(time(22, 30), 18.0, 22.0),
    )
)


@dataclass
class House:
    """A home with a heat pump; subclasses bring their own structure."""

    seed: int = 0
    capacity_w: float = 8000.0
    window: Callable[[datetime], float] = lambda _: 0.0
    """Extra loss by time [W/K]."""
    share_at: Callable[[datetime], float] = lambda _: 1.0
    """Share of its nameplate that the heat pump gives, by time."""
    now: datetime = START
    heating: bool = False
    state: list[float] = field(default_factory=list)

    def pump(self, share: float, outdoor_c: float, flow_c: float) -> tuple[float, float]:
        """Return heat and electricity [W] at this share of full output."""
        if share <= 0.0:
            return 0.0, 8.0
        most = self.capacity_w * self.share_at(self.now) * (1.0 + 0.025 * (outdoor_c - 7.0))
        heat = max(share, 0.25) * most
        lift = max(flow_c + 3.0 - (outdoor_c - 6.0), 12.0)
        cop = 0.45 * (flow_c + 276.0) / lift * (0.92 + 0.08 * share)
        return heat, heat / cop + 25.0

    def live(self, actuator: Actuator, value: float, wanted_c: float, weather: Weather) -> float:
        """Let a tick pass; return the heat pump's electricity [W]."""
        raise NotImplementedError

    def thermostat(self, target_c: float, band_k: float) -> bool:
        """Return whether a thermostat with a band heats."""
        room_c = self.room_c
        self.heating = room_c < target_c + (band_k if self.heating else -band_k)
        return self.heating

    @property
    def room_c(self) -> float:
        """Room temperature [°C]."""
        return self.state[0]


@dataclass(frozen=True)
class Weather:
    """Weather of a tick."""

    at: datetime
    outdoor_c: float
    sun_w_m2: float


@dataclass
class RadiatorHouse(House):
    """Five states: air, furnishing, inner walls, outer walls, radiator water. Steered by flow.

    Radiators follow a power law; the heat pump has its own curve and a thermostat with a band.
    """

    def __post_init__(self) -> None:
        self.state = [19.0, 19.0, 19.0, 14.0, 30.0]

    def live(self, actuator: Actuator, value: float, wanted_c: float, weather: Weather) -> float:
        air, things, inner, outer, water = self.state
        out = weather.outdoor_c
        share = 0.0
        flow_wish = 30.0 + 0.75 * max(18.0 - out, 0.0)
        if actuator in (Actuator.ROOM_SETPOINT, Actuator.SG_READY):
            target = value if actuator is Actuator.ROOM_SETPOINT else wanted_c + (value - 2.0)
            on = self.thermostat(target, 0.3)
            share = min(max(0.25 + (flow_wish - water) / 6.0, 0.25), 1.0) if on else 0.0
        elif actuator is Actuator.FLOW_SETPOINT:
            share = min(0.25 + (value - water) / 6.0, 1.0) if value > water - 1.0 > 20 else 0.0
            share = 0.4 if share <= 0.0 and value > 26.0 and water < value - 3.0 else share
        elif actuator is Actuator.MODULATION:
            share = value if value >= 0.25 else 0.0
        else:
            share = 1.0 if value > 0.5 else 0.0
        heat, power = self.pump(share, out, water + 3.0)
        emitted = 80.0 * max(water - air, 0.0) ** 1.28
        sun = 2.5 * weather.sun_w_m2
        h = weather.at.hour
        free = 220.0 + (280.0 if 17 <= h < 22 else 120.0 if 6 <= h < 8 else 0.0)
        loss = 55.0 + self.window(weather.at)
        dt = TICK_S / 3600.0
        flows = (
            (
                0.7 * emitted
                + 0.7 * free
                + 0.2 * sun
                - loss * (air - out)
                - 420.0 * (air - things)
                - 260.0 * (air - inner)
                - 180.0 * (air - outer),
                180.0,
            ),
            (420.0 * (air - things) + 0.3 * sun + 0.3 * free, 900.0),
            (260.0 * (air - inner) + 0.3 * emitted + 0.5 * sun, 3200.0),
            (180.0 * (air - outer) - 110.0 * (outer - out), 2600.0),
            (heat - emitted, 95.0),
        )
        self.state = [
            now + flow * dt / size for now, (flow, size) in zip(self.state, flows, strict=True)
        ]
        return power


@dataclass
class FloorHouse(House):
    """A heavy home with a heated screed and a pump that is on or off: hours of lag."""

    def __post_init__(self) -> None:
        self.state = [19.5, 22.0, 21.0, 19.0, 16.0]

    def live(self, actuator: Actuator, value: float, wanted_c: float, weather: Weather) -> float:
        air, screed, slab, inner, outer = self.state
        out = weather.outdoor_c
        if actuator in (Actuator.ROOM_SETPOINT, Actuator.SG_READY):
            target = value if actuator is Actuator.ROOM_SETPOINT else wanted_c + (value - 2.0)
            share = 1.0 if self.thermostat(target, 0.3) else 0.0
        elif actuator is Actuator.MODULATION:
            share = value if value >= 0.25 else 0.0
        else:
            share = 1.0 if value > 0.5 else 0.0
        heat, power = self.pump(share, out, screed + 9.0 * share)
        sun = 4.0 * weather.sun_w_m2
        loss = 70.0 + self.window(weather.at)
        dt = TICK_S / 3600.0
        flows = (
            (
                300.0
                + 0.2 * sun
                - loss * (air - out)
                - 900.0 * (air - screed)
                - 300.0 * (air - inner)
                - 150.0 * (air - outer),
                350.0,
            ),
            (heat + 0.5 * sun + 900.0 * (air - screed) - 700.0 * (screed - slab), 2400.0),
            (700.0 * (screed - slab) - 12.0 * (slab - 10.0), 3500.0),
            (300.0 * (air - inner) + 0.3 * sun, 4000.0),
            (150.0 * (air - outer) - 90.0 * (outer - out), 3000.0),
        )
        self.state = [
            now + flow * dt / size for now, (flow, size) in zip(self.state, flows, strict=True)
        ]
        return power


@dataclass
class Lived:
    """What came of some days: one row a tick."""

    rows: pd.DataFrame
    results: list[tuple[datetime, StepResult]]

    def cost(self, since: datetime) -> float:
        """Cost of heating from then on [£]."""
        part = self.rows[self.rows.index >= since]
        return float((part.power_w * part.price).sum() * TICK_S / 3.6e6)

    def energy(self, since: datetime) -> float:
        """Electricity of heating [kWh]."""
        return float(self.rows.power_w[self.rows.index >= since].sum() * TICK_S / 3.6e6)

    def cold(self, since: datetime, below_k: float = 0.5) -> float:
        """Kelvin-hours below the schedule less ``below_k``."""
        part = self.rows[self.rows.index >= since]
        return float((part.wanted_c - below_k - part.true_c).clip(lower=0).sum() * TICK_S / 3600)

    def under_floor(self, since: datetime, floor_c: float = 18.0) -> float:
        """Kelvin-hours below the floor."""
        part = self.rows[self.rows.index >= since]
        return float((floor_c - part.true_c).clip(lower=0).sum() * TICK_S / 3600)


Sensor = Callable[[datetime, float], float]


def days_of(
    house: House,
    device: Device,
    days: float,
    *,
    prices: pd.Series,
    weather: pd.DataFrame,
    comfort: Comfort = DAYS,
    shift_k: float | None = None,
    every_min: int = 30,
    sensor: Sensor = lambda _, true_c: true_c,
    start: datetime = START,
    alone_days: float = 0.0,
) -> Lived:
    """Let a home live; with ``shift_k``, under its own thermostat at the shifted schedule.

    For ``alone_days`` it is under its own thermostat in any case, and only looked at.
    """
    noise = np.random.default_rng(house.seed)
    rows: list[tuple[float, ...]] = []
    seen: list[dict[str, float]] = []
    seen_at: list[datetime] = []
    results: list[tuple[datetime, StepResult]] = []
    times = weather.index.as_unit("ns").asi8 / 1e9
    outdoor, sun = weather["outdoor_c"].to_numpy(), weather["irradiance_w_m2"].to_numpy()
    price_at, price_of = prices.index.as_unit("ns").asi8 / 1e9, prices.to_numpy()
    state, value, mean_w, count = None, device.bounds[0], 0.0, 0
    released_on = False
    for tick in range(int(days * 86400 / TICK_S)):
        now = start + timedelta(seconds=tick * TICK_S)
        unix = now.timestamp()
        true_c = house.room_c
        out_c = float(np.interp(unix, times, outdoor))
        sun_w = float(np.interp(unix + 1800.0, times, sun))
        wanted_c = comfort.bounds_at(now)[0]
        read_c = sensor(now, round(true_c + noise.normal(0.0, 0.02), 2))
        if tick % (every_min * 60 // int(TICK_S)) == 0:
            seen_at.append(now)
            seen.append(
                {
                    "room_c": read_c,
                    "outdoor_c": out_c,
                    "power_w": mean_w / max(count, 1),
                    "sun_w_m2": sun_w,
                }
            )
            mean_w, count = 0.0, 0
            if shift_k is None and now >= start + timedelta(days=alone_days):
                frame = pd.DataFrame(seen[-2016:], index=pd.DatetimeIndex(seen_at[-2016:]))
                coming = weather[
                    (weather.index >= now) & (weather.index <= now + timedelta(hours=40))
                ]
                coming = coming.rename(columns={"irradiance_w_m2": "sun_w_m2"})
                ends = now.replace(hour=23, minute=0) + timedelta(days=1 if now.hour >= 16 else 0)
                known = prices[(prices.index >= now - timedelta(days=2)) & (prices.index < ends)]
                result = step(frame, now, coming, known, comfort, device, state, explain=False)
                state, value = result.state, result.setpoint
                results.append((now, result))
        actuator = device.actuator
        if shift_k is not None or now < start + timedelta(days=alone_days):
            target = wanted_c + (shift_k or 0.0)
            if actuator in (Actuator.ROOM_SETPOINT, Actuator.SG_READY):
                actuator, value = Actuator.ROOM_SETPOINT, target
            elif actuator is Actuator.ON_OFF:
                released_on = read_c < target + (0.3 if released_on else -0.3)
                value = float(released_on)
            else:
                actuator, value = Actuator.ROOM_SETPOINT, target
        if actuator in (Actuator.ROOM_SETPOINT, Actuator.SG_READY) and read_c != true_c:
            value_now = value - (read_c - true_c)  # its own thermostat has the same sensor
        else:
            value_now = value
        house.now = now
        power = house.live(actuator, value_now, wanted_c, Weather(now, out_c, sun_w))
        mean_w, count = mean_w + power, count + 1
        price = float(price_of[np.searchsorted(price_at, unix, side="right") - 1])
        rows.append((true_c, wanted_c, power, price, out_c, value))
    index = pd.date_range(start, periods=len(rows), freq=f"{int(TICK_S)}s")
    names = ["true_c", "wanted_c", "power_w", "price", "outdoor_c", "value"]
    return Lived(pd.DataFrame(rows, columns=names, index=index), results)


def frontier_cost(lived: dict[float, Lived], since: datetime, cold: float) -> float:
    """Return what the thermostat pays at this many kelvin-hours of cold, by straight lines."""
    points = sorted((each.cold(since), each.cost(since)) for each in lived.values())
    return float(np.interp(cold, [p[0] for p in points], [p[1] for p in points]))


@pytest.fixture(scope="session")
def weeks() -> ModuleType:
    """All of this module."""
    return sys.modules[__name__]


@pytest.fixture(scope="session")
def winter() -> pd.DataFrame:
    """London's winter, hourly."""
    frame = read_weather(DATA / "weather.csv.gz")
    return frame[["outdoor_c", "irradiance_w_m2"]].dropna()


def daily_prices(days: int, start: datetime = START) -> pd.Series:
    """Return a tariff with a cheap night, a cheap noon and a dear evening [£/kWh]."""
    index = pd.date_range(start - timedelta(days=3), periods=48 * (days + 6), freq="30min")
    hour = index.hour
    price = np.select(
        [(hour >= 16) & (hour < 19), (hour >= 1) & (hour < 5), (hour >= 12) & (hour < 14)],
        [0.42, 0.14, 0.19],
        0.27,
    )
    return pd.Series(price, index=index)
