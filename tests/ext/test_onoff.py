"""The on/off kernel against its readable twin, and against trying every pattern."""

from __future__ import annotations

import itertools
from dataclasses import fields, replace

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from ems.domain.errors import InvalidInputError
from ext.onoff import Pumps, Switching
from ext.onoff_reference import Pump, best_one
from ext.store_reference import stage_cost


def some_pumps(seed, *, homes=2, steps=8, levels=1):
    random = np.random.default_rng(seed)
    shape = (homes, steps)
    decay = random.choice([0.99, 0.95, 0.8], (homes, 1)) * np.ones(shape)
    kink = np.sort(random.uniform(18, 22, (*shape, 3)), axis=2)
    on = random.random(homes) < 0.5
    held = random.integers(0, 3, homes)[:, None] > np.arange(steps)
    pumps = Pumps(
        start=random.uniform(17, 23, homes),
        decay=decay,
        gain=random.uniform(0.1, 0.3, (homes, 1)) * np.ones(shape),
        drift=(1 - decay) * random.uniform(0, 10, (homes, 1)),
        heat=np.sort(random.uniform(2, 8, (*shape, levels)), axis=2),
        kink=kink,
        slope=np.array([-1000.0, -0.3, 0.0, 10.0]) * random.choice([0.5, 1.0], (steps, 1)),
        worth=random.choice([0.0, 0.2], homes),
        start_cost=random.choice([0.0, 0.05, 0.5], homes),
        on=on,
        must_on=held & on[:, None],
        must_off=held & ~on[:, None],
        lasts_on=np.minimum(random.integers(1, 4, (homes, 1)), steps - np.arange(steps)),
        lasts_off=np.minimum(random.integers(1, 3, (homes, 1)), steps - np.arange(steps)),
    )
    price = random.choice([-0.1, 0.05, 0.2, 0.6], steps)
    return pumps, price[None, :, None] * pumps.heat * 0.3


def twin_of(pumps, charge, index, points):
    low, width = pumps.grid(points)
    grid = low[index][:, None] + np.arange(points) * width[index][:, None]
    given = {each.name: getattr(pumps, each.name) for each in fields(pumps)}
    rows = {name: values[index].tolist() for name, values in given.items() if name != "slope"}
    slope = pumps.slope.tolist()
    return Pump(**rows, charge=charge[index].tolist(), slope=slope, grid=grid.tolist())


def follow(pumps, index, charge, pattern):
    """What a pattern (heat level or None a step) costs in all, and where it leads; step by step."""
    now, total, on = pumps.start[index], 0.0, bool(pumps.on[index])
    for t, level in enumerate(pattern):
        now = pumps.decay[index, t] * now + pumps.drift[index, t]
        if level is not None:
            now += pumps.gain[index, t] * pumps.heat[index, t, level]
            total += charge[index, t, level] + (0.0 if on else pumps.start_cost[index])
        on = level is not None
        total += stage_cost(now, pumps.kink[index, t].tolist(), pumps.slope[t].tolist())
    return total - pumps.worth[index] * now


def keeps_times(pumps, index, runs):
    on, wait = bool(pumps.on[index]), 0
    for t, now in enumerate(runs):
        if (pumps.must_on[index, t] and not now) or (pumps.must_off[index, t] and now):
            return False
        if now != on:
            if wait > 0:
                return False
            on, wait = now, int((pumps.lasts_on if now else pumps.lasts_off)[index, t]) - 1
        else:
            wait = max(wait - 1, 0)
    return True


@settings(max_examples=40)
@given(seed=st.integers(0, 100_000), steps=st.integers(1, 10), levels=st.integers(1, 2))
def test_it_does_what_its_readable_twin_does(seed, steps, levels):
    pumps, charge = some_pumps(seed, steps=steps, levels=levels)
    found = Switching(pumps, points=9).best(charge)
    for index in range(pumps.size):
        heat, on, temperature, cost, value = best_one(twin_of(pumps, charge, index, 9))
        assert found.value[index] == pytest.approx(value, rel=1e-9, abs=1e-9)
        if found.heat_kw[index].tolist() == heat:
            assert found.on[index].astype(bool).tolist() == on
            assert found.temperature_c[index] == pytest.approx(temperature, abs=1e-9)
            assert found.cost[index] == pytest.approx(cost, abs=1e-9)


@settings(max_examples=40)
@given(seed=st.integers(0, 100_000), steps=st.integers(1, 8))
def test_no_pattern_that_keeps_its_times_is_much_cheaper(seed, steps):
    pumps, charge = some_pumps(seed, homes=1, steps=steps)
    found = Switching(pumps, points=400).best(charge)
    runs = found.on[0].astype(bool)
    assert keeps_times(pumps, 0, runs.tolist())
    total = found.cost[0] + float(charge[0, :, 0] @ found.on[0])
    told = follow(pumps, 0, charge, [0 if run else None for run in runs])
    assert total == pytest.approx(told, abs=1e-9)
    best = min(
        follow(pumps, 0, charge, pattern)
        for pattern in itertools.product((None, 0), repeat=steps)
        if keeps_times(pumps, 0, [level is not None for level in pattern])
    )
    # What a grid of some hundredths of a kelvin blurs, at the price of the floor.
    assert best - 1e-9 <= total <= best + 0.02 * max(1.0, abs(best))


def test_heat_pumps_are_found_the_same_one_by_one_and_on_many_threads():
    pumps, charge = some_pumps(3, homes=40, steps=30)
    switching = Switching(pumps, threads=3)
    together = switching.best(charge)
    for index in (0, 17, 39):
        alone = switching.best(charge[index : index + 1], first=index, last=index + 1)
        np.testing.assert_array_equal(alone.heat_kw[0], together.heat_kw[index])
        assert alone.cost[0] == together.cost[index]


def test_arrays_that_may_not_be_written_and_no_heat_pumps_at_all():
    pumps, charge = some_pumps(1)
    charge.flags.writeable = False
    for each in fields(pumps):
        getattr(pumps, each.name).flags.writeable = False
    assert np.all(np.isfinite(Switching(pumps).best(charge).value))
    nothing, charge = some_pumps(1, homes=0)
    assert Switching(nothing).best(charge).heat_kw.shape == (0, 8)


@pytest.mark.parametrize(
    ("change", "field"),
    [
        ({"start": np.array([1.0, np.nan])}, "start"),
        ({"heat": np.full((2, 8, 1), -1.0)}, "heat"),
        ({"lasts_on": np.zeros((2, 8))}, "lasts_on"),
        ({"lasts_off": np.full((2, 8), 9)}, "lasts_off"),
        ({"start_cost": np.array([0.0, -1.0])}, "start_cost"),
        ({"must_on": np.ones((2, 8)), "must_off": np.ones((2, 8))}, "must_on"),
    ],
)
def test_what_cannot_be_switched_is_refused_by_name(change, field):
    pumps, _ = some_pumps(2)
    with pytest.raises(InvalidInputError) as caught:
        replace(pumps, **change)
    assert caught.value.field == field
    assert caught.value.remedy


def test_charges_and_grids_that_make_no_sense_are_refused():
    pumps, charge = some_pumps(2)
    with pytest.raises(InvalidInputError, match="charge"):
        Switching(pumps).best(charge * np.nan)
    with pytest.raises(InvalidInputError, match="charge"):
        Switching(pumps).best(charge[:1])
    with pytest.raises(InvalidInputError, match="points"):
        Switching(pumps, points=1)
