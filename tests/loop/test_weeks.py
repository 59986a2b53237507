"""Weeks in homes that are built otherwise than the model: cheaper at equal warmth, never colder."""

from __future__ import annotations

from datetime import datetime, timedelta

import pandas as pd
import pytest

from ems.loop import Actuator, Device

START_D, DAYS = 8, 15
"""Judged from the ninth day on: the first week teaches."""


def device(actuator: Actuator) -> Device:
    return Device(
        actuator,
        8000.0,
        rated_cop=3.9,
        floor_area_m2=90.0,
        epc_band="C",
        min_modulation=0.25,
        design_flow_c=48.0,
    )


def test_after_a_week_alone_a_heavy_home_pays_less_and_is_no_colder(weeks, winter) -> None:
    """A heated screed and a pump that is on or off; two days, stepped once an hour."""
    prices = weeks.daily_prices(9)
    since = weeks.START + timedelta(days=7.5)
    one = device(Actuator.ON_OFF)
    steered = weeks.days_of(
        weeks.FloorHouse(), one, 9, prices=prices, weather=winter, every_min=60, alone_days=7
    )
    alone = weeks.days_of(
        weeks.FloorHouse(), one, 9, prices=prices, weather=winter, every_min=60, shift_k=0.0
    )
    assert not steered.results[-1][1].reason.released
    assert steered.cost(since) < 0.93 * alone.cost(since)
    assert steered.cold(since) <= alone.cold(since) + 0.5
    assert steered.under_floor(since) <= alone.under_floor(since) + 0.2


@pytest.mark.long
@pytest.mark.timeout(1800)
@pytest.mark.parametrize(
    ("house", "actuator", "least_saving"),
    [
        ("RadiatorHouse", Actuator.ROOM_SETPOINT, 0.02),
        ("RadiatorHouse", Actuator.MODULATION, 0.02),
        ("RadiatorHouse", Actuator.ON_OFF, 0.02),
        ("RadiatorHouse", Actuator.FLOW_SETPOINT, 0.02),
        ("RadiatorHouse", Actuator.SG_READY, 0.0),
        ("FloorHouse", Actuator.ROOM_SETPOINT, 0.10),
        ("FloorHouse", Actuator.MODULATION, 0.10),
        ("FloorHouse", Actuator.ON_OFF, 0.10),
    ],
)
def test_it_saves_at_equal_warmth_from_no_history_on(
    weeks, winter, house: str, actuator: Actuator, least_saving: float
) -> None:
    """A cheap night and noon, a dear evening; judged at the warmth of the thermostat frontier."""
    prices = weeks.daily_prices(DAYS)
    since = weeks.START + timedelta(days=START_D)
    make, one = getattr(weeks, house), device(actuator)
    steered = weeks.days_of(make(), one, DAYS, prices=prices, weather=winter)
    frontier = {
        shift: weeks.days_of(make(), one, DAYS, prices=prices, weather=winter, shift_k=shift)
        for shift in (-0.8, -0.4, 0.0, 0.4, 0.8, 1.5)
    }
    assert all(result.reason.released for at, result in steered.results[: 2 * 48])
    cost = steered.cost(since)
    equal = weeks.frontier_cost(frontier, since, steered.cold(since))
    print(
        f"{house} {actuator}: £{cost:.2f}, thermostat at equal warmth £{equal:.2f}, "
        f"saving {1 - cost / equal:.1%}, cold {steered.cold(since):.1f} K·h "
        f"(thermostat {frontier[0.0].cold(since):.1f}), under 18 °C "
        f"{steered.under_floor(since):.1f} K·h ({frontier[0.0].under_floor(since):.1f})"
    )
    assert 1.0 - cost / equal > least_saving
    assert steered.under_floor(since) <= frontier[0.0].under_floor(since)


def _high(since: datetime):
    return lambda now, true_c: true_c + (2.0 if now >= since else 0.0)


def _frozen(since: datetime):
    held: list[float] = []

    def read(now: datetime, true_c: float) -> float:
        if not since + timedelta(days=1) <= now < since + timedelta(days=4):
            return true_c
        held.append(true_c)
        return held[0]

    return read


@pytest.mark.long
@pytest.mark.timeout(1800)
@pytest.mark.parametrize("fault", ["reads high", "frozen", "window", "half pump", "twice the loss"])
@pytest.mark.parametrize(
    ("house", "actuator"),
    [("RadiatorHouse", Actuator.ROOM_SETPOINT), ("FloorHouse", Actuator.ON_OFF)],
)
def test_what_is_wrong_costs_money_and_never_warmth(
    weeks, winter, house: str, actuator: Actuator, fault: str
) -> None:
    """No more kelvin-hours under 18 °C than the home's own thermostat with the same fault."""
    prices = weeks.daily_prices(DAYS)
    since = weeks.START + timedelta(days=START_D)

    def live(shift_k: float | None):
        home = getattr(weeks, house)()
        sensor = {"reads high": _high, "frozen": _frozen}.get(fault, lambda _: None)(since)
        if fault == "window":
            home.window = lambda at: 120.0 if at >= since and at.hour in (7, 8, 18, 19, 20) else 0.0
        if fault == "twice the loss":
            home.window = lambda at: 110.0 if at >= since else 0.0
        if fault == "half pump":
            home.share_at = lambda at: 0.5 if at >= since else 1.0
        more = {} if sensor is None else {"sensor": sensor}
        return weeks.days_of(
            home, device(actuator), DAYS, prices=prices, weather=winter, shift_k=shift_k, **more
        )

    steered, alone = live(None), live(0.0)
    print(
        f"{house} {fault}: £{steered.cost(since):.2f} ({alone.cost(since):.2f}), under 18 °C "
        f"{steered.under_floor(since):.1f} K·h ({alone.under_floor(since):.1f})"
    )
    assert steered.under_floor(since) <= alone.under_floor(since) + 0.5
    if fault == "frozen":
        froze = pd.Timestamp(since + timedelta(days=1))
        found = [at for at, result in steered.results if result.reason.released and at > froze]
        assert found[0] <= froze + timedelta(hours=2)
        assert "stands still" in dict(steered.results)[found[0]].reason.faults[0]
