"""House models: no heat from nowhere, the losses that were drawn, homes that can be kept warm."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime, timedelta

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from ems.domain.errors import InvalidInputError
from ems.domain.estate import Estate
from ems.field.houses import MODELS, Mixed, TwoZone, rooms_model
from ems.field.parameters import FieldParameters
from ems.field.physics import HomeState
from ems.field.rooms import Around, TwoNode
from ems.field.simulation import EstateSimulation
from ems.field.traits import Traits, draw_traits

NIGHT = datetime(2023, 1, 24, 0, 0, tzinfo=UTC)


@pytest.fixture(scope="module")
def traits(estate: Estate, parameters: FieldParameters) -> Traits:
    return draw_traits(estate, parameters)


def around(traits: Traits, outdoor_c: float, rng: np.random.Generator | None = None) -> Around:
    """Return still air outside, or what a generator makes of it."""
    count = len(traits.ids)
    none = np.zeros(count)

    def some(most: float) -> np.ndarray:
        return none if rng is None else rng.uniform(0.0, most, count)

    airing = some(60.0)
    return Around(
        outdoor_c=outdoor_c,
        wind_m_s=4.0 if rng is None else float(rng.uniform(0.0, 12.0)),
        vent_w_per_k=traits.vent_w_per_k + airing,
        airing_w_per_k=airing,
        solar_w=some(2000.0),
        gains_w=some(900.0),
        tank_w=some(60.0),
        neighbours_w=none,
        neighbours_w_per_k=none,
        loss_factor=1.0 + some(1.0),
        open_w_per_k=some(80.0),
    )


@pytest.mark.parametrize("houses", MODELS)
@given(seed=st.integers(0, 10_000), outdoor=st.floats(-8.0, 25.0), room=st.floats(12.0, 27.0))
def test_what_is_stored_changes_by_what_comes_in_and_gets_lost(
    traits: Traits, houses: str, seed: int, outdoor: float, room: float
) -> None:
    rng = np.random.default_rng(seed)
    count = len(traits.ids)
    rooms = rooms_model(houses)(traits)
    state = HomeState.at_rest(traits, room + rng.uniform(-2.0, 2.0, count), outdoor)
    rooms.rest(state, outdoor)
    state.circuit_c = rng.uniform(20.0, 50.0, count)
    for _ in range(5):
        outside = around(traits, outdoor, rng)
        state.pump_on = rng.random(count) < 0.5
        state.heat_w = np.where(state.pump_on, rng.uniform(-500.0, 6000.0, count), 0.0)
        before = rooms.stored_j(state)
        lost = rooms.step(state, outside, 60.0)
        came = state.heat_w + outside.gains_w + outside.solar_w + outside.tank_w - lost
        # A zone or a layer holds some 1e8 J; what the sum of them rounds away is far below 1 W.
        np.testing.assert_allclose(rooms.stored_j(state) - before, 60.0 * came, atol=1.0)


@pytest.mark.parametrize("houses", ["two-node", "heated-floor", "two-zone"])
def test_every_model_loses_what_the_traits_say(traits: Traits, houses: str) -> None:
    """A home that gains 400 W settles where its loss meets them; bedrooms behind doors aside."""
    rooms = rooms_model(houses)(traits)
    state = HomeState.at_rest(traits, np.full(len(traits.ids), 11.0), 5.0)
    rooms.rest(state, 5.0)
    outside = replace(around(traits, 5.0), gains_w=np.full(len(traits.ids), 400.0))
    for _ in range(24 * 40):
        for _ in range(12):
            lost = rooms.step(state, outside, 300.0)
    np.testing.assert_allclose(lost, 400.0, rtol=0.03)
    if houses == "two-node":
        np.testing.assert_allclose(state.air_c, 5.0 + 400.0 / traits.loss_w_per_k, rtol=0.03)
    else:
        loss = 400.0 / (state.air_c - 5.0)
        # Draughts of a heated floor are fewer at a small difference; bedrooms are a little colder.
        assert (np.abs(loss / traits.loss_w_per_k - 1.0) < 0.25).all()


def test_mixed_homes_are_each_of_their_own_model(traits: Traits) -> None:
    mixed = Mixed(traits, (TwoNode, TwoZone))
    alone = TwoNode(traits)
    states = []
    for rooms in (mixed, alone):
        state = HomeState.at_rest(traits, np.full(len(traits.ids), 19.0), 3.0)
        rooms.rest(state, 3.0)
        state.heat_w[:], state.pump_on[:] = 2500.0, True
        for _ in range(30):
            rooms.step(state, around(traits, 3.0), 60.0)
        states.append(state)
    together, apart = states
    np.testing.assert_array_equal(together.air_c[::2], apart.air_c[::2])
    assert (together.air_c[1::2] != apart.air_c[1::2]).all()


@pytest.mark.parametrize("houses", ["heated-floor", "two-zone", "mixed"])
def test_thermostats_keep_homes_warm_and_a_checkpoint_goes_on_exactly(
    estate: Estate, parameters: FieldParameters, houses: str
) -> None:
    well = replace(parameters, houses=houses, planted=type(parameters.planted)())
    simulation = EstateSimulation(estate, well, NIGHT - timedelta(days=1), step_s=60)
    simulation.step_to(NIGHT)
    state = simulation.state_dict()
    again = EstateSimulation(estate, well, NIGHT, step_s=60)
    again.load_state(state)
    for each in (simulation, again):
        each.step_to(NIGHT + timedelta(hours=8))
    assert again.state_dict() == simulation.state_dict()
    rooms = simulation.homes.air_c
    assert np.median(rooms) > 18.5
    assert (rooms > 15.0).all()
    assert (rooms < 24.0).all()
    other = EstateSimulation(estate, replace(well, houses="two-node"), NIGHT, step_s=60)
    with pytest.raises(InvalidInputError, match="houses"):
        other.load_state(state)


def test_an_unknown_model_is_refused_with_the_known_ones() -> None:
    with pytest.raises(InvalidInputError, match="heated-floor"):
        rooms_model("igloo")
