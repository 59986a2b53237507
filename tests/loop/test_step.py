"""One closed-loop step: what it needs, what it returns, and what it never does."""

from __future__ import annotations

import json
from datetime import UTC, datetime, timedelta

import numpy as np
import pandas as pd
import pytest

from ems.domain.errors import InvalidInputError
from ems.domain.setpoints import Cause
from ems.loop import Actuator, Comfort, Device, HomeBattery, step

NOW = datetime(2023, 1, 20, 11, 10, tzinfo=UTC)
EMPTY = pd.DataFrame()
MODERATE = Comfort.steady(20.0, 23.0)


def device(actuator: Actuator = Actuator.MODULATION, **other: object) -> Device:
    return Device(actuator, 7000.0, **other)  # type: ignore[arg-type] # keywords of a test


def lived(
    days: float = 8.0, every_min: int = 30, until: datetime = NOW, seed: int = 0
) -> pd.DataFrame:
    """A plain home (one state, 150 W/K, 6 kWh/K) under a night setback."""
    noise = np.random.default_rng(seed)
    index = pd.date_range(until - timedelta(days=days), until, freq=f"{every_min}min")
    room, dt, rows = 20.0, every_min / 60.0, []
    power = 0.0
    for at in index:
        out = 6.0 + 4.0 * np.sin(2 * np.pi * (at.hour - 9) / 24) + 2.0 * np.sin(at.day / 2.0)
        rows.append((room + noise.normal(0, 0.02), out, power))
        wanted = 20.3 if 6 <= at.hour < 22 else 18.5
        heat = float(np.clip(2100.0 + 4000.0 * (wanted - room), 0.0, 7000.0))
        power = heat / 3.5
        room += dt * (heat + 350.0 - 150.0 * (room - out)) / 6000.0
    return pd.DataFrame(rows, columns=["room_c", "outdoor_c", "power_w"], index=index)


def weather() -> pd.DataFrame:
    index = pd.date_range(NOW.replace(minute=0), periods=48, freq="h")
    return pd.DataFrame({"outdoor_c": 5.0}, index=index)


def cheap_until(hour: int) -> pd.Series:
    index = pd.date_range(NOW.replace(hour=0, minute=0), periods=96, freq="30min")
    return pd.Series(np.where(index.hour < hour, 0.10, 0.45), index=index)


@pytest.mark.parametrize(
    ("actuator", "expected"),
    [(Actuator.ROOM_SETPOINT, 20.0), (Actuator.SG_READY, 2.0)],
)
def test_with_no_history_a_home_keeps_to_its_own_thermostat(
    actuator: Actuator, expected: float
) -> None:
    result = step(EMPTY, NOW, None, None, MODERATE, device(actuator))
    assert result.setpoint == expected
    assert result.reason.released
    assert result.reason.cause is Cause.NO_PLAN
    assert result.plan is None
    assert result.model.source == "prior"


@pytest.mark.parametrize("actuator", list(Actuator))
def test_a_cold_home_that_is_not_known_yet_is_heated(actuator: Actuator) -> None:
    one_row = pd.DataFrame(
        {"room_c": [17.0], "outdoor_c": [3.0], "power_w": [0.0]}, index=pd.DatetimeIndex([NOW])
    )
    resting, heating = {
        Actuator.ROOM_SETPOINT: (17.0, 20.0),
        Actuator.SG_READY: (1.0, 2.0),
        Actuator.ON_OFF: (0.0, 1.0),
        Actuator.MODULATION: (0.5, 1.0),
        Actuator.FLOW_SETPOINT: (35.0, 55.0),
    }[actuator]
    result = step(one_row, NOW, None, None, MODERATE, device(actuator))
    assert resting < result.setpoint <= heating


@pytest.mark.parametrize("every_min", [5, 30, 60])
def test_after_a_week_a_home_is_steered_and_heats_while_it_is_cheap(every_min: int) -> None:
    history = lived(every_min=every_min)
    cheap = step(history, NOW, weather(), cheap_until(13), MODERATE, device())
    dear = step(history, NOW, weather(), 0.55 - cheap_until(13), MODERATE, device())
    assert not cheap.reason.released
    assert cheap.reason.cause is Cause.CHEAP_NOW
    assert "10p" in cheap.reason.sentence
    assert "45p" in cheap.reason.sentence
    assert cheap.setpoint > dear.setpoint
    assert cheap.plan is not None
    ends = cheap.plan.room_c
    assert (ends >= cheap.plan.lower_c - 0.05)[2:].all(), "never planned under the schedule"
    assert cheap.plan.step_s[0] == 20 * 60, "the first step ends with the half-hour"
    assert cheap.model.loss_w_per_k == pytest.approx(150.0, rel=0.2)


def test_the_state_travels_as_json_and_a_step_is_pure() -> None:
    history = lived()
    first = step(history, NOW, weather(), cheap_until(13), MODERATE, device())
    state = json.loads(json.dumps(first.state))
    again = step(history, NOW, weather(), cheap_until(13), MODERATE, device())
    assert again.state == first.state
    later = step(
        history, NOW + timedelta(minutes=5), weather(), cheap_until(13), MODERATE, device(), state
    )
    assert later.model == first.model, "not fitted anew within a day"
    with pytest.raises(InvalidInputError, match="state"):
        step(history, NOW, weather(), None, MODERATE, device(), {"version": 7})


def test_a_room_near_its_floor_is_heated_at_once_whatever_the_price() -> None:
    history = lived()
    history.loc[history.index[-1], "room_c"] = 18.1
    dear = pd.Series(5.0, index=cheap_until(13).index)
    dear.iloc[40:] = 0.01
    result = step(history, NOW, weather(), dear, Comfort.steady(18.0, 23.0), device())
    assert result.reason.cause is Cause.COMFORT_FLOOR
    assert result.setpoint == 1.0


def test_a_sensor_that_stands_still_hands_the_home_back_within_two_hours() -> None:
    history = lived(every_min=10)
    stuck = history.copy()
    stuck.loc[stuck.index >= NOW - timedelta(minutes=115), "room_c"] = 21.4
    result = step(stuck, NOW, weather(), cheap_until(13), MODERATE, device(Actuator.ROOM_SETPOINT))
    assert result.reason.released
    assert result.setpoint == 20.0
    assert "stands still" in result.reason.faults[0]
    fine = step(history, NOW, weather(), cheap_until(13), MODERATE, device(Actuator.ROOM_SETPOINT))
    assert not fine.reason.released


def test_a_coarse_sensor_that_always_stood_for_hours_is_not_taken_for_broken() -> None:
    coarse = lived(every_min=10)
    coarse["room_c"] = (coarse["room_c"] * 2).round() / 2
    coarse.loc[coarse.index >= NOW - timedelta(minutes=115), "room_c"] = 20.0
    result = step(coarse, NOW, weather(), cheap_until(13), MODERATE, device())
    assert not any("stands still" in fault for fault in result.reason.faults)


def test_rows_out_of_order_doubled_late_or_absurd_are_mended_and_named() -> None:
    history = lived()
    messy = pd.concat([history.iloc[200:], history.iloc[:210], history.iloc[-1:]])
    late = history.iloc[-1:].copy()
    late.index = late.index + timedelta(hours=3)
    messy = pd.concat([messy, late])
    messy.iloc[120, 0] = 85.0
    result = step(messy, NOW, weather(), cheap_until(13), MODERATE, device())
    said = " ".join(result.reason.notes)
    for word in ("not in order", "same time", "later than now", "impossible"):
        assert word in said
    assert not result.reason.released


def test_a_week_with_holes_still_teaches() -> None:
    history = lived(days=10)
    holes = pd.concat([history.iloc[:150], history.iloc[170:300], history.iloc[305:]])
    result = step(holes, NOW, weather(), cheap_until(13), MODERATE, device())
    assert result.model.source != "prior"
    assert result.model.loss_w_per_k == pytest.approx(150.0, rel=0.25)


def test_missing_forecasts_and_prices_are_stood_in_for_and_named() -> None:
    result = step(lived(), NOW, None, cheap_until(13).iloc[:30], MODERATE, device())
    said = " ".join(result.reason.notes)
    assert "persistence" in said
    assert "day before" in said
    bare = step(lived(), NOW, None, None, MODERATE, device())
    assert any("as if they were flat" in note for note in bare.reason.notes)
    assert bare.plan is not None


def test_what_is_wrong_in_an_input_is_named_with_a_remedy() -> None:
    naive = lived()
    naive.index = naive.index.tz_localize(None)
    with pytest.raises(InvalidInputError, match=r"history.*utc=True"):
        step(naive, NOW, None, None, MODERATE, device())
    with pytest.raises(InvalidInputError, match="power_w"):
        step(lived().drop(columns="power_w"), NOW, None, None, MODERATE, device())
    with pytest.raises(InvalidInputError, match="UTC"):
        step(EMPTY, NOW.replace(tzinfo=None), None, None, MODERATE, device())
    with pytest.raises(InvalidInputError, match="import_gbp_per_kwh"):
        step(lived(), NOW, None, cheap_until(13).to_frame("price"), MODERATE, device())
    with pytest.raises(InvalidInputError, match="lower_c"):
        Comfort.steady(22.0, 20.0)
    with pytest.raises(InvalidInputError, match="rated_heat_w"):
        Device(Actuator.ON_OFF, 7.0)


def test_a_battery_charges_while_it_is_cheap_and_serves_while_it_is_dear() -> None:
    cells = HomeBattery(8000.0, 3000.0, 3000.0)
    history = lived().assign(soc=0.5, base_w=400.0)
    cheap = step(history, NOW, weather(), cheap_until(12), MODERATE, device(battery=cells))
    dear = step(history, NOW, weather(), 0.55 - cheap_until(15), MODERATE, device(battery=cells))
    assert cheap.battery_w is not None
    assert cheap.battery_w > 1000.0
    assert dear.battery_w is not None
    assert dear.battery_w < 0.0
    young = step(
        history.iloc[-20:], NOW, weather(), cheap_until(12), MODERATE, device(battery=cells)
    )
    assert young.reason.released
    assert young.battery_w is not None
    assert young.battery_w > 1000.0, "a battery needs no week to be known"
    unknown = step(
        history.drop(columns="soc"), NOW, weather(), None, MODERATE, device(battery=cells)
    )
    assert unknown.battery_w == 0.0
    assert any("no fresh soc" in note for note in unknown.reason.notes)


def test_on_and_off_keep_their_shortest_run_and_rest() -> None:
    history, state, values = lived(), None, []
    one = device(Actuator.ON_OFF, min_on_s=1200.0, min_off_s=900.0)
    for minute in range(0, 180, 5):
        now = NOW + timedelta(minutes=minute)
        row = history.iloc[-1:].copy()
        row.index = pd.DatetimeIndex([now])
        row["room_c"] = 20.3 + 0.1 * np.sin(minute)
        history = pd.concat([history[history.index < now], row])
        result = step(history, now, weather(), None, MODERATE, one, state)
        state = result.state
        values.append(result.setpoint)
    runs = "".join(str(int(value)) for value in values).strip("0")
    assert all(len(run) >= 4 for run in runs.split("0")[:-1] if run), values
    assert all(len(rest) >= 3 for rest in runs.split("1") if rest), values
