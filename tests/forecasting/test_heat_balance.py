"""What a home's last day says beside the fortnight before, when something has gone wrong."""

from __future__ import annotations

from dataclasses import replace
from datetime import timedelta

import numpy as np
import pandas as pd
import pytest

from ems.domain.estate import ThermalPrior
from forecasting.heat_balance import heat_balance
from forecasting.thermal import INDOOR_SHARE, fit_thermal, prior_estimate

PRIOR = ThermalPrior(loss_w_per_k_m2=3.0, capacity_wh_per_k_m2=70.0, spread=0.35)


@pytest.fixture(scope="module")
def lived(half_hourly_weather, two_state_home, dwelling):
    """Return a home's days until something happens, and the days after by what happened."""
    weather = half_hourly_weather.iloc[: 30 * 48]
    well = two_state_home(window_w_per_k=0.0)
    frame = well.live(weather, seed=5)
    at = frame.index[28 * 48].to_pydatetime()
    until = frame.index[29 * 48 + 24].to_pydatetime()
    home = dwelling("A-01")
    estimate = fit_thermal(frame, prior_estimate(home, PRIOR), at)
    frame = frame.assign(own_c=frame["room_c"] - 0.2, told_c=16.0)

    def balance(changed: pd.DataFrame | None = None, **fields):
        table = frame.copy()
        for name, value in fields.items():
            table.loc[at:, name] = value(table.loc[at:]) if callable(value) else value
        if changed is not None:
            table.loc[at:, ["room_c", "heat_w"]] = changed.loc[at:, ["room_c", "heat_w"]]
        return heat_balance(table, estimate, home.heat_pump, until)

    draughty = replace(well, air_loss=well.air_loss + 120.0)
    return balance, draughty.live(weather, seed=5), frame, at


def test_a_home_that_is_well_goes_together(lived) -> None:
    balance, *_ = lived
    found = balance()
    assert abs(found.unexplained_w) < 0.15 * found.loss_w
    assert found.beside_own_k == pytest.approx(0.0, abs=0.1)
    assert found.short_h == 0.0 and found.full_share is None


def test_what_is_the_same_every_day_needs_no_explanation(lived, dwelling) -> None:
    """A neighbour's warm wall, or a meter that always reads low: 600 W are nobody's fault."""
    _, _, frame, at = lived
    home = dwelling("A-01")
    estimate = fit_thermal(frame, prior_estimate(home, PRIOR), at)
    until = frame.index[29 * 48 + 24].to_pydatetime()
    less = frame.assign(heat_w=frame["heat_w"] - 600.0)
    found, plain = (heat_balance(t, estimate, home.heat_pump, until) for t in (less, frame))
    assert found.unexplained_w == pytest.approx(plain.unexplained_w, abs=1e-6)
    assert found.spread_w == pytest.approx(plain.spread_w, abs=1e-6)


def test_heat_of_appliances_explains_a_day_of_much_use(lived) -> None:
    """A kilowatt of ovens and lamps all day, and a heat pump that gave so much less for it."""
    balance, *_ = lived
    heated = balance(
        household_w=lambda day: day["household_w"].fillna(0.0) + 1000.0,
        heat_w=lambda day: day["heat_w"] - 1000.0 * INDOOR_SHARE,
    )
    unseen = balance(heat_w=lambda day: day["heat_w"] - 1000.0 * INDOOR_SHARE)
    assert abs(heated.unexplained_w) < abs(unseen.unexplained_w) - 500.0


def test_open_windows_take_heat_that_nothing_explains(lived) -> None:
    balance, draughty, *_ = lived
    found = balance(draughty)
    assert found.unexplained_w < -0.4 * found.loss_w
    assert found.unexplained_w < -5.0 * found.spread_w


def test_a_sensor_that_reads_high_shows_beside_the_pumps_own(lived) -> None:
    balance, *_ = lived
    assert balance(room_c=lambda day: day["room_c"] + 2.0).beside_own_k == pytest.approx(
        2.0, abs=0.2
    )
    alone = balance(room_c=lambda day: day["room_c"] + 2.0, own_c=np.nan)
    assert alone.beside_own_k is None
    assert alone.unexplained_w > 0.0


def test_a_weak_pump_gives_less_while_its_room_is_short_of_heat(lived) -> None:
    balance, *_ = lived
    found = balance(
        room_c=lambda day: day["room_c"] - 1.5,
        told_c=20.5,
        heat_w=lambda day: day["heat_w"].clip(upper=2000.0),
    )
    assert found.short_h > 8.0
    assert found.full_share < 0.7
    assert found.short_share < 0.45


def test_a_young_home_and_a_silent_sensor_tell_nothing(lived, dwelling) -> None:
    balance, _, frame, at = lived
    silent = balance(room_c=np.nan)
    assert silent.unexplained_w is None and silent.beside_own_k is None
    before = prior_estimate(dwelling("A-01"), PRIOR)
    until = at + timedelta(days=1)
    young = heat_balance(
        frame.loc[at - timedelta(days=3) :], before, dwelling("A-01").heat_pump, until
    )
    assert young.unexplained_w is None and young.full_share is None
