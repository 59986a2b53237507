"""The store kernel against a case worked by hand, its readable twin and HiGHS."""

from __future__ import annotations

from dataclasses import fields, replace

import highspy
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from ems.domain.errors import InvalidInputError
from ext.store import Stores, answer
from ext.store_reference import answer_one


def some_stores(seed, *, stores=3, steps=12, parts=1, negative=False):
    """Homes of all kinds: cold and hot starts, no capacity, no loss, bands of no width."""
    random = np.random.default_rng(seed)
    shape = (stores, steps)
    decay = random.choice([1.0, 0.97, 0.8, 0.3], stores)[:, None] * np.ones(shape)
    kink = np.sort(random.uniform(16, 24, (*shape, 3)), axis=2)
    kink[random.random(shape) < 0.2] = 19.0
    dear = np.array([-1000.0, -0.25, 0.0, 10.0]) * random.choice([0.1, 0.5, 1.0], (steps, 1))
    price = random.choice([0.02, 0.06, 0.06, 0.15, 0.3, 5.0], steps) * 0.5
    if negative:
        price -= 0.1
    given = Stores(
        start=random.uniform(10, 28, stores),
        decay=decay,
        gain=random.uniform(0.05, 0.3, (stores, 1)) * np.ones(shape),
        drift=(1 - decay) * random.uniform(-5, 15, (stores, 1)) + random.normal(0, 0.1, shape),
        most=random.choice([0.0, 1.0, 3.0, 6.0], (*shape, parts)),
        rate=np.sort(random.uniform(0.2, 0.6, (*shape, parts)), axis=2),
        kink=kink,
        slope=dear,
        worth=random.choice([0.0, 0.1, 0.5], stores),
        own=random.choice([0.0, 0.1], shape),
    )
    return given, price


def told_by_twin(given, price, index):
    names = ("decay", "gain", "drift", "most", "rate", "kink")
    rows = [getattr(given, name)[index].tolist() for name in names]
    return answer_one(
        float(given.start[index]),
        *rows,
        given.slope.tolist(),
        float(given.worth[index]),
        price.tolist(),
        given.own[index].tolist(),
    )


def told_by_highs(given, price, index):
    """The least cost of one store, as a linear programme with a column for each quantity."""
    solver = highspy.Highs()
    solver.setOptionValue("output_flag", False)
    steps, parts = given.most.shape[1:]
    kinks = given.kink.shape[2]
    free = highspy.kHighsInf
    before = None
    for t in range(steps):
        worth = given.worth[index] if t == steps - 1 else 0.0
        now = solver.addVariable(lb=-free, ub=free, obj=-worth)
        change = now - given.gain[index, t] * sum(
            solver.addVariable(
                lb=0.0,
                ub=given.most[index, t, j],
                obj=(price[t] + given.own[index, t]) * given.rate[index, t, j],
            )
            for j in range(parts)
        )
        if before is None:
            rest = given.drift[index, t] + given.decay[index, t] * given.start[index]
        else:
            change = change - given.decay[index, t] * before
            rest = given.drift[index, t]
        solver.addConstr(change == float(rest))
        for k in range(kinks):
            low, high = given.slope[t, k : k + 2]
            for sign, rise in ((-1, min(high, 0) - min(low, 0)), (1, max(high, 0) - max(low, 0))):
                away = solver.addVariable(lb=0.0, ub=free, obj=float(rise))
                solver.addConstr(away - sign * now >= float(-sign * given.kink[index, t, k]))
        before = now
    solver.run()
    return solver.getInfo().objective_function_value


def test_a_store_that_leaks_nothing_buys_the_cheap_hour_up_to_its_ceiling():
    # 2 kWh/K and COP 2; 1 kW drains away; kept at 20, at most 21 without a cost.
    store = Stores(
        start=[20.0],
        decay=np.ones((1, 4)),
        gain=np.full((1, 4), 0.5),
        drift=np.full((1, 4), -0.5),
        most=np.full((1, 4), 3.0),
        rate=np.full((1, 4), 0.5),
        kink=np.broadcast_to([19.0, 20.0, 21.0], (1, 4, 3)),
        slope=np.broadcast_to([-2000.5, -0.5, 0.0, 20.0], (4, 4)),
        worth=[0.0],
    )
    found = answer(store, [0.10, 0.50, 0.50, 0.10])
    assert found.heat_kw[0] == pytest.approx([3, 0, 0, 1])
    assert found.power_kw[0] == pytest.approx([1.5, 0, 0, 0.5])
    assert found.temperature_c[0] == pytest.approx([21, 20.5, 20, 20])
    assert found.value == pytest.approx([0.20])
    assert found.cost == pytest.approx([0.0])


@settings(max_examples=40)
@given(
    seed=st.integers(0, 100_000),
    steps=st.integers(1, 20),
    parts=st.integers(1, 3),
    negative=st.booleans(),
)
def test_it_does_what_its_readable_twin_does(seed, steps, parts, negative):
    stores, price = some_stores(seed, steps=steps, parts=parts, negative=negative)
    found = answer(stores, price)
    for index in range(stores.size):
        heat, power, temperature, cost, value = told_by_twin(stores, price, index)
        scale = 1e-8 * max(1.0, abs(value))
        assert found.value[index] == pytest.approx(value, abs=scale)
        # Where two plans cost the same the two may choose differently; what is told adds up.
        drawn = float(price @ found.power_kw[index])
        assert found.cost[index] + drawn == pytest.approx(value, abs=scale)
        assert value == pytest.approx(cost + float(price @ np.array(power)), abs=scale)
        assert len(heat) == len(temperature) == steps


@settings(max_examples=50)
@given(
    seed=st.integers(0, 100_000),
    steps=st.integers(1, 12),
    parts=st.integers(1, 2),
    negative=st.booleans(),
)
def test_no_linear_programme_finds_a_cheaper_way(seed, steps, parts, negative):
    stores, price = some_stores(seed, stores=1, steps=steps, parts=parts, negative=negative)
    best = told_by_highs(stores, price, 0)
    found = answer(stores, price)
    assert found.value[0] == pytest.approx(best, rel=1e-6, abs=1e-6)
    assert np.all(found.heat_kw >= 0)
    assert np.all(found.heat_kw <= stores.most.sum(axis=2) * (1 + 1e-12))
    # The path is the store's own equation.
    now = stores.start
    for t in range(steps):
        now = stores.decay[:, t] * now + stores.gain[:, t] * found.heat_kw[:, t]
        now = now + stores.drift[:, t]
        assert found.temperature_c[:, t] == pytest.approx(now, abs=1e-9)


def test_each_store_pays_its_own_row_of_prices_whatever_the_threads():
    stores, cheap = some_stores(4, stores=600, steps=20)
    prices = np.stack([cheap, cheap[::-1], 3 * cheap])
    row = np.arange(600) % 3
    found = answer(stores, prices, row=row, threads=3)
    for k in range(3):
        alone = answer(stores, prices[k], threads=1)
        np.testing.assert_array_equal(found.heat_kw[row == k], alone.heat_kw[row == k])
        np.testing.assert_array_equal(found.value[row == k], alone.value[row == k])


def test_a_pump_that_works_harder_for_less_uses_its_dear_part_last():
    stores, price = some_stores(9, stores=40, steps=24, parts=2)
    found = answer(stores, price)
    easy = np.minimum(found.heat_kw, stores.most[:, :, 0])
    hard = found.heat_kw - easy
    drawn = easy * stores.rate[:, :, 0] + hard * stores.rate[:, :, 1]
    np.testing.assert_allclose(found.power_kw, drawn, atol=1e-12)
    assert np.any(hard > 0)


def test_a_whole_year_by_the_hour_loses_no_digits():
    steps = 8760
    hours = np.arange(steps)
    shape = (1, steps)
    store = Stores(
        start=[20.0],
        decay=np.full(shape, 0.93),
        gain=np.full(shape, 0.2),
        drift=(0.07 * (5 + 5 * np.sin(hours / 700)))[None],
        most=np.full(shape, 8.0),
        rate=np.full(shape, 0.3),
        kink=np.broadcast_to([18.0, 20.0, 22.0], (*shape, 3)),
        slope=np.broadcast_to([-2000.5, -0.5, 0.0, 20.0], (steps, 4)),
        worth=[0.1],
    )
    price = 0.2 + 0.1 * np.sin(hours / 24 * 2 * np.pi)
    found = answer(store, price)
    # Day by day from the state that it left, with the next week in view, it does the same.
    day = slice(2400, 2568)
    week = replace(
        store,
        start=found.temperature_c[:, day.start - 1],
        slope=store.slope[day],
        **{name: getattr(store, name)[:, day] for name in ("decay", "gain", "drift", "most")},
        **{name: getattr(store, name)[:, day] for name in ("rate", "kink", "own")},
    )
    again = answer(week, price[day])
    np.testing.assert_allclose(again.heat_kw[0, :96], found.heat_kw[0, day][:96], atol=1e-6)


def test_arrays_that_may_not_be_written_and_no_stores_at_all():
    stores, price = some_stores(1)
    for each in fields(stores):
        getattr(stores, each.name).flags.writeable = False
    price.flags.writeable = False
    assert np.all(np.isfinite(answer(stores, price).value))
    nothing, price = some_stores(1, stores=0)
    assert answer(nothing, price).heat_kw.shape == (0, 12)


def test_a_store_that_forgets_everything_is_reckoned_step_by_step():
    stores, price = some_stores(5, steps=6)
    forgetful = replace(stores, decay=np.zeros((3, 6)))
    found = answer(forgetful, price)
    for index in range(3):
        assert found.value[index] == pytest.approx(told_by_highs(forgetful, price, index), abs=1e-6)


@pytest.mark.parametrize(
    ("change", "field"),
    [
        ({"start": np.array([1.0, np.nan, 2.0])}, "start"),
        ({"decay": np.full((3, 12), 1.1)}, "decay"),
        ({"decay": np.zeros((3, 0))}, "decay"),
        ({"gain": np.zeros((3, 12))}, "gain"),
        ({"drift": np.zeros((3, 11))}, "drift"),
        ({"most": np.full((3, 12), -1.0)}, "most"),
        ({"rate": np.full((3, 12), np.inf)}, "rate"),
        ({"kink": np.broadcast_to([20.0, 19.0], (3, 12, 2))}, "kink"),
        ({"slope": np.full((12, 4), 1.0)}, "slope"),
        ({"worth": np.array([0.0])}, "worth"),
    ],
)
def test_what_cannot_be_reckoned_with_is_refused_by_name(change, field):
    stores, _ = some_stores(2)
    with pytest.raises(InvalidInputError) as caught:
        replace(stores, **change)
    assert caught.value.field == field
    assert caught.value.remedy


@pytest.mark.parametrize(
    ("price", "row", "field"),
    [
        (np.full(12, np.nan), None, "price"),
        (np.zeros(11), None, "price"),
        (np.zeros((2, 12)), np.array([0, 1, 2]), "row"),
        (np.zeros((2, 12)), np.array([0, 1]), "row"),
    ],
)
def test_prices_that_cannot_be_paid_are_refused(price, row, field):
    stores, _ = some_stores(2)
    with pytest.raises(InvalidInputError) as caught:
        answer(stores, price, row=row)
    assert caught.value.field == field
