"""Whatever a caller's data look like: a value within bounds, on its step, and plain JSON."""

from __future__ import annotations

import json
import math
from datetime import UTC, datetime, timedelta

import numpy as np
import pandas as pd
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from ems.loop import Actuator, Comfort, Device, HomeBattery, step

NOW = datetime(2023, 2, 1, 17, 43, 12, tzinfo=UTC)


@settings(max_examples=15, deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(
    actuator=st.sampled_from(list(Actuator)),
    rows=st.integers(0, 250),
    every_min=st.sampled_from([1, 7, 30, 60]),
    seed=st.integers(0, 10_000),
    shape=st.sampled_from(["noise", "constant", "holes", "nothing known", "absurd"]),
    prices=st.sampled_from(["none", "negative", "spikes", "short"]),
    lower_c=st.floats(5.0, 24.0),
    battery=st.booleans(),
)
def test_any_data_give_a_value_that_the_device_can_take(
    actuator, rows, every_min, seed, shape, prices, lower_c, battery
) -> None:
    noise = np.random.default_rng(seed)
    index = pd.date_range(NOW - timedelta(minutes=every_min * rows), NOW, periods=rows)
    room = 19.0 + np.cumsum(noise.normal(0.0, 0.2, rows))
    history = pd.DataFrame(
        {
            "room_c": {"constant": np.full(rows, 20.0), "absurd": room * 1e3}.get(shape, room),
            "outdoor_c": noise.normal(0.0, 8.0, rows),
            "power_w": noise.uniform(0.0, 3000.0, rows),
            "soc": noise.uniform(0.0, 1.0, rows),
            "pv_w": noise.uniform(0.0, 4000.0, rows),
        },
        index=index,
    )
    if shape == "holes":
        history = history.mask(noise.random(history.shape) < 0.5)
    if shape == "nothing known":
        history[:] = np.nan
    times = pd.date_range(
        NOW - timedelta(hours=1), periods=3 if prices == "short" else 60, freq="h"
    )
    level = {"negative": -0.1, "spikes": 2.0}.get(prices, 0.3)
    known = pd.Series(noise.normal(level, 0.2, len(times)), index=times)
    device = Device(
        actuator,
        6000.0,
        battery=HomeBattery(5000.0, 2500.0, 2500.0) if battery else None,
    )
    result = step(
        history,
        NOW,
        None,
        None if prices == "none" else known,
        Comfort.steady(lower_c, lower_c + 2.0),
        device,
    )
    low, high, size = device.bounds
    assert low <= result.setpoint <= high
    assert math.isclose((result.setpoint - low) / size, round((result.setpoint - low) / size))
    assert json.loads(json.dumps(result.state, allow_nan=False)) == result.state
    assert result.reason.sentence
    if battery:
        assert result.battery_w is not None
        assert abs(result.battery_w) <= 2500.0 + 1e-6
    again = step(
        history,
        NOW + timedelta(minutes=5),
        None,
        known,
        Comfort.steady(20, 22),
        device,
        result.state,
    )
    assert low <= again.setpoint <= high
