from __future__ import annotations

from dataclasses import replace
from datetime import timedelta

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from ems.domain import estate as domain
from ems.domain.estate import Estate
from ems.field.days import Day
from ems.field.parameters import FieldParameters
from ems.field.physics import HomePhysics, HomeState
from ems.field.storage import (
    ACTION_PREVIOUS,
    ACTION_STANDBY,
    PASSIVE,
    SELF_USE,
    STANDBY_LOSS_W,
    BatteryPhysics,
    BatteryState,
)
from ems.field.traits import Traits, draw_traits


def still_day(homes: int, *, outdoor_c: float, gains_w: float = 0.0) -> Day:
    """Make a day on which nothing changes."""
    row, table = np.ones(1440), np.zeros((1440, homes))
    return Day(
        start_s=0,
        local_hour=12.0 * row,
        outdoor_c=outdoor_c * row,
        humidity_pct=60.0 * row,
        vapour_out=0.004 * row,
        wind_m_s=4.0 * row,
        vent_w_per_k=table,
        airing_w_per_k=table,
        solar_w=table,
        gains_w=table + gains_w,
        moisture_kg_s=table,
        household_w=table,
        draw_w=table,
        wish_c=table + 20.0,
        communal_w=np.zeros((1440, 2)),
        pv_w=np.zeros((1440, 2)),
        sensor_noise_k=table,
        mains=np.zeros((1440, 2)),
    )


@pytest.fixture(scope="module")
def traits(estate: Estate, parameters: FieldParameters) -> Traits:
    return draw_traits(estate, parameters)


def stored_j(state: HomeState, traits: Traits) -> float:
    return float(
        np.sum(
            traits.air_j_per_k * state.air_c
            + traits.fabric_j_per_k * state.fabric_c
            + traits.circuit_j_per_k * state.circuit_c
            + traits.tank_j_per_k * state.tank_c
        )
    )


def test_no_heat_is_made_or_lost_in_a_closed_block(traits: Traits) -> None:
    """With walls and panes that lose nothing, only heat pumps and gains change what is stored."""
    none = np.zeros(len(traits.ids))
    sealed = replace(traits, window_w_per_k=none, fabric_w_per_k=none)
    day = still_day(len(traits.ids), outdoor_c=3.0, gains_w=70.0)
    physics = HomePhysics(sealed)
    rooms = np.linspace(17.0, 21.0, len(traits.ids))
    state = HomeState.at_rest(sealed, rooms, 3.0)
    state.tank_c -= 8.0
    before, given_j = stored_j(state, sealed), 0.0
    for minute in range(600):
        physics.step(state, day, minute, 60.0)
        given_j += 60.0 * float(np.sum(state.heat_w + state.tank_heat_w + 70.0))
    assert given_j > 1e8  # the pumps did run
    assert stored_j(state, sealed) - before == pytest.approx(given_j, rel=1e-9)


def test_an_unheated_home_settles_where_gains_meet_losses(traits: Traits) -> None:
    alone = replace(traits, party_w_per_k=np.zeros_like(traits.party_w_per_k))
    day = still_day(len(traits.ids), outdoor_c=5.0, gains_w=500.0)
    day = replace(day, vent_w_per_k=np.tile(traits.vent_w_per_k, (1440, 1)))
    physics = HomePhysics(alone)
    state = HomeState.at_rest(alone, np.full(len(traits.ids), 9.0), 5.0)
    state.sg_mode[:] = 1.0  # blocked: no heat pump
    state.tank_c[:] = 9.0
    for minute in range(60 * 24 * 20):
        physics.step(state, day, minute % 1440, 120.0)
    expected = 5.0 + 500.0 / traits.loss_w_per_k
    warm = expected > 23.5  # there people open a window
    np.testing.assert_allclose(state.air_c[~warm], expected[~warm], atol=0.15)


@settings(max_examples=settings().max_examples // 8)
@given(
    setpoints=st.lists(st.floats(15.0, 24.0), min_size=8, max_size=40),
    outdoor=st.floats(-6.0, 12.0),
)
def test_compressors_keep_their_minimum_times_whatever_is_written(
    traits: Traits, setpoints: list[float], outdoor: float
) -> None:
    day = still_day(len(traits.ids), outdoor_c=outdoor)
    physics = HomePhysics(traits)
    state = HomeState.at_rest(traits, np.full(len(traits.ids), 19.0), outdoor)
    since = np.full(len(traits.ids), 1e9)
    was = state.compressor.copy()
    for number, setpoint in enumerate(setpoints):
        state.room_setpoint_c[:] = setpoint
        state.sg_mode[:] = 1.0 + number % 4
        for _ in range(20):
            physics.step(state, day, 0, 30.0)
            since += 30.0
            started, stopped = state.compressor & ~was, was & ~state.compressor
            assert (since[started] >= traits.min_off_s[started]).all()
            kept = stopped & (state.circuit_c < 59.0)  # overheated water may stop it early
            assert (since[kept] >= traits.min_on_s[kept]).all()
            since[started | stopped] = 0.0
            was = state.compressor.copy()


def test_heat_pumps_obey_the_second_law_and_their_nameplates(traits: Traits) -> None:
    day = still_day(len(traits.ids), outdoor_c=2.0)
    physics = HomePhysics(traits)
    state = HomeState.at_rest(traits, np.full(len(traits.ids), 18.0), 2.0)
    for minute in range(300):
        physics.step(state, day, minute, 60.0)
        on = state.compressor & (state.held_s > 300.0) & (state.defrost_s <= 0.0)
        heat = (state.heat_w + state.tank_heat_w)[on]
        electric = (state.power_w - traits.standby_w - traits.pump_w)[on]
        carnot = (state.flow_c[on] + 273.15) / (state.flow_c[on] - 2.0)
        assert (heat / electric < 0.75 * carnot).all()
        assert (heat / electric > 1.5).all()
        assert (heat <= 1.2 * traits.capacity_w[on] * traits.capacity_share[on]).all()
        least = 0.5 * traits.min_modulation * traits.capacity_w * traits.capacity_share
        assert (heat >= least[on]).all()


def test_defrosting_takes_heat_from_the_home_in_damp_frost(traits: Traits) -> None:
    day = replace(still_day(len(traits.ids), outdoor_c=0.0), humidity_pct=np.full(1440, 95.0))
    physics = HomePhysics(traits)
    state = HomeState.at_rest(traits, np.full(len(traits.ids), 15.0), 0.0)
    defrosted = np.zeros(len(traits.ids), dtype=bool)
    for minute in range(240):
        physics.step(state, day, minute, 60.0)
        now = state.compressor & (state.heat_w < 0.0)
        assert (state.power_w[now] > 0.0).all()
        defrosted |= now
    assert defrosted.mean() > 0.5


def test_sg_ready_encouraged_raises_the_target_and_blocked_stops_the_pump(traits: Traits) -> None:
    day = still_day(len(traits.ids), outdoor_c=6.0)
    physics = HomePhysics(traits)
    targets = {}
    for mode in (1, 2, 3, 4):
        state = HomeState.at_rest(traits, np.full(len(traits.ids), 19.0), 6.0)
        state.sg_mode[:] = mode
        for minute in range(60):
            physics.step(state, day, minute, 60.0)
        targets[mode] = state.target_c.copy()
        assert state.compressor.any() == (mode != 1)
    np.testing.assert_allclose(targets[3] - targets[2], 1.0)
    np.testing.assert_allclose(targets[4] - targets[2], 2.0)


PLATE = domain.Battery("X-battery", 40e3, 20e3, 20e3)


def battery(energy_wh: float = 20e3) -> BatteryPhysics:
    return BatteryPhysics(PLATE, BatteryState(energy_wh=energy_wh))


@given(st.lists(st.floats(-60e3, 60e3), min_size=1, max_size=60), st.floats(4e3, 40e3))
def test_a_battery_balances_its_energy_and_stays_within_its_bounds(
    nets: list[float], energy_wh: float
) -> None:
    one = battery(energy_wh)
    for number, net in enumerate(nets):
        before = one.state
        start = (before.energy_wh, before.charged_kwh, before.discharged_kwh)
        one.step(number * 300.0, net, 300.0)
        charged = 1000.0 * (one.state.charged_kwh - start[1])
        discharged = 1000.0 * (one.state.discharged_kwh - start[2])
        gained = one.state.energy_wh - start[0]
        lost = charged * 0.95 - discharged / 0.95 - gained
        assert lost == pytest.approx(0.0, abs=1e-6) or lost == pytest.approx(STANDBY_LOSS_W / 12.0)
        assert min(4e3 - 3.0, energy_wh) <= one.state.energy_wh <= 40e3 + 1e-6
        assert -20e3 <= one.state.power_w <= 20e3 + STANDBY_LOSS_W


def test_self_use_takes_up_surplus_and_covers_import() -> None:
    one = battery()
    assert one.step(0.0, -5000.0, 60.0) == pytest.approx(5000.0)
    assert one.step(60.0, 5000.0, 60.0) == pytest.approx(-4900.0)


def test_passive_mode_lapses_by_itself_after_its_timeout_and_not_before() -> None:
    one = battery()
    one.write("remote_timeout_s", 300.0, 0.0)
    one.write("remote_timeout_action", ACTION_PREVIOUS, 0.0)
    one.write("battery_mode", PASSIVE, 0.0)
    one.write("battery_power_setpoint_w", 8000.0, 0.0)
    for now_s in range(10, 300, 10):
        assert one.step(now_s, 3000.0, 10.0) == pytest.approx(8000.0)
    assert one.step(300, 3000.0, 10.0) == pytest.approx(-2940.0)
    assert one.state.mode == SELF_USE


def test_a_refreshed_command_does_not_lapse_and_standby_is_the_other_way_out() -> None:
    one = battery()
    one.write("remote_timeout_action", ACTION_STANDBY, 0.0)
    one.write("battery_mode", PASSIVE, 0.0)
    for now_s in range(0, 3000, 250):
        one.write("battery_power_setpoint_w", -2000.0, now_s)
        assert one.step(now_s + 249, 9000.0, 10.0) == pytest.approx(-2000.0)
    assert one.step(6000, 9000.0, 10.0) == 0.0
    assert one.state.mode == PASSIVE
    one.write("remote_timeout_s", 0.0, 6000.0)  # documented: 0 switches the timeout off
    assert one.step(6000 + 86400, 9000.0, 10.0) == pytest.approx(-2000.0)


def test_a_pump_commanded_over_the_bus_never_lapses(simulate) -> None:
    field = simulate()
    field.write("A-03-hp", "room_setpoint_c", 21.0)
    field.write("A-02-hp", "sg_mode", 3)
    field.step_to(field.now() + timedelta(days=3))
    assert field.read("A-03-hp", "room_setpoint_c") == 21.0
    assert field.read("A-02-hp", "sg_mode") == 3.0
    assert field.true_rooms()["A-03"] > 20.5
