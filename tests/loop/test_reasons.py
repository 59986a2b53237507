"""What a step says of itself is true: without its causes it would tell something else."""

from __future__ import annotations

from collections import Counter
from datetime import UTC, datetime, time, timedelta

import numpy as np
import pandas as pd
import pytest

from ems.domain.setpoints import Cause
from ems.loop import Actuator, Comfort, Device, Period, StepResult, step

START = datetime(2023, 1, 20, 0, 10, tzinfo=UTC)
PRICES = {Cause.CHEAP_NOW, Cause.DEAR_NOW}
DAY = Comfort(
    (
        Period(time(0), 18.5, 22.0),
        Period(time(6, 30), 20.5, 22.5),
        Period(time(22), 18.5, 22.0),
    )
)
AT_FLOOR = Comfort.steady(18.0, 22.5)
STEPS = {Actuator.MODULATION: 0.05, Actuator.ROOM_SETPOINT: 0.5, Actuator.SG_READY: 1.0}


def lived(until: datetime) -> pd.DataFrame:
    """A plain home (one state, 150 W/K, 6 kWh/K) under a night setback."""
    noise = np.random.default_rng(1)
    index = pd.date_range(until - timedelta(days=9), until, freq="30min")
    room, rows, power = 20.0, [], 0.0
    for at in index:
        out = 5.0 + 4.0 * np.sin(2 * np.pi * (at.hour - 9) / 24) + 2.0 * np.sin(at.day / 2.0)
        rows.append((room + noise.normal(0, 0.02), out, power))
        wanted = 20.3 if 6 <= at.hour < 22 else 18.5
        heat = float(np.clip(2100.0 + 4000.0 * (wanted - room), 0.0, 7000.0))
        power = heat / 3.5
        room += 0.5 * (heat + 350.0 - 150.0 * (room - out)) / 6000.0
    return pd.DataFrame(rows, columns=["room_c", "outdoor_c", "power_w"], index=index)


def weather(now: datetime) -> pd.DataFrame:
    index = pd.date_range(now.replace(minute=0), periods=60, freq="h")
    swing = 3.0 * np.sin(2 * np.pi * (index.hour.to_numpy() - 9) / 24)
    return pd.DataFrame({"outdoor_c": 4.0 + swing}, index=index)


def tariff(now: datetime) -> pd.Series:
    """Cheap at night and early in the afternoon, dear in the evening."""
    index = pd.date_range(now.replace(hour=0, minute=0), periods=150, freq="30min")
    hour = index.hour.to_numpy()
    price = np.where((hour < 5) | ((hour >= 12) & (hour < 15)), 0.09, 0.22)
    return pd.Series(np.where((hour >= 16) & (hour < 19), 0.48, price), index=index)


def told(
    now: datetime,
    actuator: Actuator,
    comfort: Comfort = DAY,
    prices: pd.Series | None = None,
    **other: bool,
) -> StepResult:
    prices = tariff(now) if prices is None else prices
    return step(
        lived(now), now, weather(now), prices, comfort, Device(actuator, 7000.0), None, **other
    )


@pytest.fixture(scope="module")
def steps() -> list[tuple[datetime, Actuator, StepResult]]:
    """A day of steps, five hours apart, with three actuators."""
    return [
        (now, actuator, told(now, actuator))
        for actuator in STEPS
        for now in (START + timedelta(hours=hour) for hour in range(0, 24, 5))
    ]


def test_prices_are_a_cause_where_without_their_differences_something_else_is_told(
    steps: list[tuple[datetime, Actuator, StepResult]],
) -> None:
    """Asked of the whole step from outside: the same home at the mean of its own prices."""
    right = Counter[tuple[bool, bool]]()
    for now, actuator, result in steps:
        if result.reason.cause is Cause.COMFORT_FLOOR and result.plan is None:
            continue
        assert result.plan is not None
        mean = float(np.mean(result.plan.price_gbp_per_kwh))
        flat = told(now, actuator, prices=tariff(now) * 0.0 + mean, explain=False)
        moves = abs(flat.setpoint - result.setpoint) >= STEPS[actuator] - 1e-6
        if moves and result.reason.cause in PRICES:
            assert (result.setpoint > flat.setpoint) is (result.reason.cause is Cause.CHEAP_NOW)
            assert "p " in result.reason.sentence
        stated = not PRICES.isdisjoint(result.reason.causes)
        right[stated, moves] += 1
    assert right[True, True] >= 5, right
    assert right[True, True] >= 0.95 * (right[True, True] + right[True, False]), right
    assert right[False, False] >= 0.9 * (right[False, False] + right[False, True]), right


def test_the_schedule_is_named_where_prices_do_not_matter_and_it_is_true() -> None:
    noon = START + timedelta(hours=7)
    flat = tariff(noon) * 0.0 + 0.2
    result = told(noon, Actuator.ROOM_SETPOINT, prices=flat)
    assert result.reason.causes == (Cause.SCHEDULE,)
    without = told(noon, Actuator.ROOM_SETPOINT, AT_FLOOR, flat)
    assert without.setpoint <= result.setpoint - 0.5


def test_explaining_changes_nothing_but_the_reason() -> None:
    now = START + timedelta(hours=4)
    for actuator in (Actuator.MODULATION, Actuator.ROOM_SETPOINT):
        with_reasons, without = (told(now, actuator, explain=each) for each in (True, False))
        assert with_reasons.setpoint == without.setpoint
        assert with_reasons.state == without.state
        assert without.reason.also == ()
