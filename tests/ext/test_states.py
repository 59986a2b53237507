"""The states kernel: against its readable twin, the store kernel, HiGHS and figures by hand."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from highspy import Highs, HighsLp, MatrixFormat
from hypothesis import given, settings
from hypothesis import strategies as st

from ems.domain.errors import InvalidInputError
from ext import store
from ext.states import MARGIN, Answer, Homes, answer
from ext.states_reference import Home, answer_one


def drawn(seed: int, count: int = 4, steps: int = 6, mass: bool = True, tank: bool = True) -> Homes:
    """Homes with anything: cold or hot starts, steps in which the heat pump gives nothing."""
    random = np.random.default_rng(seed)
    states, inputs = 1 + mass + tank, 1 + 2 * tank
    flat = (count, steps)
    carry, gain = np.zeros((*flat, states, states)), np.zeros((*flat, states, inputs))
    drift = random.uniform(0.0, 1.0, (*flat, states))
    carry[:, :, 0, 0] = random.uniform(0.6, 0.99, flat)
    gain[:, :, 0, 0] = random.uniform(0.1, 0.5, flat)
    kink = [
        random.uniform(14, 18, flat),
        random.uniform(18, 21, flat),
        random.uniform(21, 23, flat),
    ]
    weight, of, side = [1000.0, random.choice([0.0, 0.25]), 10.0], [0, 0, 0], [-1.0, -1.0, 1.0]
    busy = np.zeros((*flat, inputs))
    if mass:
        carry[:, :, 0, 1] = 0.98 - carry[:, :, 0, 0]
        carry[:, :, 1, 0], carry[:, :, 1, 1] = 0.1, 0.89
        gain[:, :, 1, 0] = 0.01
    if tank:
        carry[:, :, -1, -1], gain[:, :, -1, 1:] = 0.98, 0.5
        drift[:, :, -1] = -random.uniform(0.0, 1.0, flat)
        kink += [np.full(flat, 1.0), random.uniform(2, 4, flat), np.full(flat, 7.0)]
        weight, of, side = [*weight, 250.0, 0.25, 20.0], of + [states - 1] * 3, [*side, -1, -1, 1]
        busy[:, :, :2] = 0.25
    most = np.where(random.random((*flat, inputs)) < 0.2, 0.0, 4.0)
    start = np.concatenate([random.uniform(12, 24, (count, states))], axis=1)
    if tank:
        start[:, -1] = random.uniform(0, 8, count)
    return Homes(
        start=start,
        carry=carry,
        gain=gain,
        drift=drift,
        most=most,
        rate=random.uniform(0.2, 1.0, (*flat, inputs)),
        busy=busy,
        kink=np.stack(kink, axis=2),
        weight=np.tile(weight, (steps, 1)),
        of=np.array(of),
        side=np.array(side),
        worth=random.uniform(0.0, 0.5, (count, states)),
        own=random.uniform(0.0, 0.1, flat),
    )


def one(homes: Homes, which: int, price: np.ndarray) -> Home:
    """The twin's arrays of one home."""
    names = ("start", "carry", "gain", "drift", "most", "rate", "busy", "kink", "worth")
    return Home(
        **{name: getattr(homes, name)[which] for name in names},
        weight=homes.weight,
        of=tuple(int(each) for each in homes.of),
        side=tuple(homes.side),
        price=price + homes.own[which],
    )


def optimum(home: Home) -> float:
    """The least value, by HiGHS: heat and excess of hinges as columns, states written out."""
    steps, inputs = home.rate.shape
    idle = home.path(np.zeros((steps, inputs)))
    effect = np.zeros((*idle.shape, steps * inputs))
    for column in range(steps * inputs):
        unit = np.zeros(steps * inputs)
        unit[column] = 1.0
        effect[:, :, column] = home.path(unit.reshape(steps, inputs)) - idle
    side, of = np.array(home.side), list(home.of)
    hinges = effect[:, of, :] * side[:, None]
    rest = side * (home.kink - idle[:, of])
    rows = np.concatenate(
        [
            np.concatenate([-hinges.reshape(-1, steps * inputs), np.eye(rest.size)], axis=1),
            np.concatenate(
                [
                    -np.kron(np.eye(steps), np.ones(inputs)) * home.busy.ravel(),
                    np.zeros((steps, rest.size)),
                ],
                axis=1,
            ),
        ]
    )
    drawn_cost = (home.price[:, None] * home.rate).ravel() - home.worth @ effect[-1]
    programme = HighsLp()
    programme.num_col_, programme.num_row_ = rows.shape[1], rows.shape[0]
    programme.col_cost_ = np.concatenate([drawn_cost, home.weight.ravel()])
    programme.col_lower_ = np.zeros(rows.shape[1])
    programme.col_upper_ = np.concatenate([home.most.ravel(), np.full(rest.size, np.inf)])
    programme.row_lower_ = np.concatenate([-rest.ravel(), np.full(steps, -1.0)])
    programme.row_upper_ = np.full(rows.shape[0], np.inf)
    programme.a_matrix_.format_ = MatrixFormat.kRowwise
    programme.a_matrix_.start_ = np.arange(rows.shape[0] + 1) * rows.shape[1]
    programme.a_matrix_.index_ = np.tile(np.arange(rows.shape[1]), rows.shape[0])
    programme.a_matrix_.value_ = rows.ravel()
    solver = Highs()
    solver.setOptionValue("output_flag", False)
    solver.passModel(programme)
    solver.run()
    return float(solver.getInfo().objective_function_value - home.worth @ idle[-1])


def told(homes: Homes, price: np.ndarray, **more: float) -> Answer:
    return answer(homes, price, np.zeros(homes.most.shape), **more)


@settings(max_examples=20)
@given(
    seed=st.integers(0, 10_000), mass=st.booleans(), tank=st.booleans(), limit=st.integers(0, 10)
)
def test_kernel_and_twin_take_the_same_path(seed, mass, tank, limit):
    """After any number of steps both stand at the same heat; later steps magnify rounding."""
    homes = drawn(seed, 2, 5, mass, tank)
    homes = replace(homes, weight=np.maximum(homes.weight, 0.25))
    price = np.random.default_rng(seed).uniform(-0.1, 0.5, 5)
    found = told(homes, price, near_gbp=1e-4, target_gbp=0.05, limit=limit)
    for which in range(homes.size):
        heat, value, bound, count = answer_one(
            one(homes, which, price), np.zeros(homes.most.shape[1:]), 0.05, MARGIN, 1e-4, limit
        )
        assert found.newtons[which] == count
        assert found.heat_kw[which] == pytest.approx(heat, abs=1e-5)
        assert found.value[which] == pytest.approx(value, rel=1e-6, abs=1e-6)
        assert found.bound[which] == pytest.approx(bound, rel=1e-6, abs=1e-6)


@settings(max_examples=25)
@given(seed=st.integers(0, 10_000), mass=st.booleans(), tank=st.booleans())
def test_the_optimum_lies_between_bound_and_value(seed, mass, tank):
    homes = drawn(seed, 3, 6, mass, tank)
    price = np.random.default_rng(seed).uniform(-0.1, 0.5, 6)
    found = told(homes, price, near_gbp=1e-4)
    for which in range(homes.size):
        best = optimum(one(homes, which, price))
        assert found.bound[which] <= best + 1e-6
        assert best <= found.value[which] + 1e-6
        assert found.value[which] - found.bound[which] <= 1e-3
    # Heat within its limits, one compressor, and what follows from it.
    assert np.all((found.heat_kw >= 0) & (found.heat_kw <= homes.most))
    assert np.all(np.sum(homes.busy * found.heat_kw, axis=2) <= 1 + 1e-12)
    assert found.power_kw == pytest.approx(np.sum(homes.rate * found.heat_kw, axis=2))
    paid = found.cost + np.sum(price * found.power_kw, axis=1)
    assert paid == pytest.approx(found.value)


def test_any_force_proves_a_bound():
    homes = drawn(3)
    price = np.full(6, 0.2)
    home = one(homes, 0, price)
    random = np.random.default_rng(0)
    best = optimum(home)
    for _ in range(50):
        assert home.bound(random.uniform(0.0, home.weight)) <= best + 1e-6


def test_a_home_of_one_store_is_heated_as_the_store_kernel_says():
    homes = drawn(5, 20, 12, mass=False, tank=False)
    homes = replace(
        homes, most=np.maximum(homes.most, 1.0), weight=np.tile([1000, 0.25, 10], (12, 1))
    )
    price = np.random.default_rng(5).uniform(0.05, 0.4, 12)
    exact = store.answer(
        store.Stores(
            start=homes.start[:, 0],
            decay=homes.carry[:, :, 0, 0],
            gain=homes.gain[:, :, 0, 0],
            drift=homes.drift[:, :, 0],
            most=homes.most,
            rate=homes.rate,
            kink=homes.kink,
            slope=np.tile([-1000.25, -0.25, 0.0, 10.0], (12, 1)),
            worth=homes.worth[:, 0],
            own=homes.own,
        ),
        price,
    )
    found = told(homes, price, near_gbp=1e-6)
    assert found.value == pytest.approx(exact.value, abs=1e-5)
    assert np.all(found.bound <= exact.value + 1e-9)


def test_a_cold_room_by_hand():
    # 2 kWh/K without losses, 1 K below its schedule for two hours at 1 £/K·h: heating it in the
    # first hour by 2 kWh at 0.2 £ spares 2 £.
    homes = Homes(
        start=np.array([[19.0]]),
        carry=np.ones((1, 2, 1, 1)),
        gain=np.full((1, 2, 1, 1), 0.5),
        drift=np.zeros((1, 2, 1)),
        most=np.full((1, 2, 1), 3.0),
        rate=np.ones((1, 2, 1)),
        busy=np.zeros((1, 2, 1)),
        kink=np.full((1, 2, 1), 20.0),
        weight=np.ones((2, 1)),
        of=np.array([0]),
        side=np.array([-1.0]),
        worth=np.zeros((1, 1)),
        own=np.zeros((1, 2)),
    )
    found = told(homes, np.array([0.2, 0.2]), near_gbp=1e-7)
    assert found.heat_kw[0, :, 0] == pytest.approx([2.0, 0.0], abs=1e-3)
    assert found.value[0] == pytest.approx(0.4, abs=1e-6)
    assert found.bound[0] == pytest.approx(0.4, abs=1e-6)
    # In the second hour a kWh would only move the room above what is asked for.
    assert found.state[0, :, 0] == pytest.approx([20.0, 20.0], abs=1e-3)
    assert found.spares[0, 0] == pytest.approx(0.2, abs=1e-3)


def test_one_compressor_is_worth_what_a_second_would_earn():
    homes = drawn(8, 6, 6)
    price = np.full(6, 0.05)
    found = told(homes, price, near_gbp=1e-5)
    load = np.sum(homes.busy * found.heat_kw, axis=2)
    assert np.any(load > 0.99)
    # Time that is left over is worth nothing.
    assert np.all(found.squeeze[load < 0.9] < 0.01)


def test_nothing_one_step_and_read_only_arrays_are_planned():
    homes = drawn(1, 3, 1)
    for name in ("start", "carry", "kink", "weight"):
        getattr(homes, name).flags.writeable = False
    price = np.array([0.2])
    price.flags.writeable = False
    assert told(homes, price).value.shape == (3,)
    none = {
        name: getattr(homes, name)[:0]
        for name in (
            "start",
            "carry",
            "gain",
            "drift",
            "most",
            "rate",
            "busy",
            "kink",
            "worth",
            "own",
        )
    }
    assert told(replace(homes, **none), price).value.size == 0


def test_many_threads_answer_as_one_does():
    homes, price = drawn(2, 200, 24), np.full(24, 0.2)
    first = np.zeros(homes.most.shape)
    alone, shared = (answer(homes, price, first, threads=count) for count in (1, 3))
    assert np.array_equal(alone.heat_kw, shared.heat_kw)


@pytest.mark.parametrize(
    ("name", "change"),
    [
        ("start", lambda old: np.full(old.shape, np.nan)),
        ("most", lambda old: old - 5.0),
        ("weight", lambda old: old[:, :2]),
        ("of", lambda old: old + 9),
    ],
)
def test_what_cannot_be_reckoned_with_is_refused_by_name(name, change):
    homes = drawn(4)
    with pytest.raises(InvalidInputError) as caught:
        replace(homes, **{name: change(getattr(homes, name))})
    assert caught.value.field == name


def test_prices_and_rows_are_checked():
    homes = drawn(4)
    with pytest.raises(InvalidInputError, match="price"):
        told(homes, np.array([np.nan] * 6))
    with pytest.raises(InvalidInputError, match="row"):
        answer(homes, np.ones(6), np.zeros(homes.most.shape), row=np.array([0, 1, 0, 0]))
