"""How far a block may be from its plan: learnt from pairs, with stand-ins for too few."""

from __future__ import annotations

from datetime import timedelta

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from ems.domain.events import Foreseen
from ems.domain.points import PointId
from ems.domain.readings import Rollup
from ems.domain.rules import ControlRules
from ems.domain.time import HALF_HOUR
from ems.flex.doubt import LEAST_PAIRS, UNKNOWN_PER_HOME_W, doing, learn
from ems.service.events import EventDesk
from ems.service.foresight import doubt_of

from .conftest import HEAT_W, NOW, START, request


def learnt(pairs, battery=(), confidence=0.95):
    return learn(pairs, battery, homes=20, battery_max_w=20e3, confidence=confidence)


def test_with_nothing_to_learn_from_stand_ins_hold() -> None:
    doubt = learnt([(1000.0, 2000.0)] * (LEAST_PAIRS - 1))
    assert doubt.pairs == 0
    low, middle, high = doubt.heating_w(np.array([5000.0, 0.0]))
    assert middle.tolist() == [5000.0, 0.0]
    assert high[0] == 5000.0 + 20 * UNKNOWN_PER_HOME_W
    assert low.tolist() == [5000.0 - 20 * UNKNOWN_PER_HOME_W, 0.0]
    assert doubt.charging.high_w > 0
    assert doubt.resting.high_w == 0


def test_plans_that_foresee_too_little_are_put_right() -> None:
    """Planned 1 to 6 kW, drawn 4 kW and half of it: 95 of 100 lie within half a kilowatt."""
    rng = np.random.default_rng(1)
    planned = rng.uniform(1000, 6000, 400)
    drawn = 4000 + 0.5 * planned + rng.uniform(-500, 500, 400)
    doubt = learnt(list(zip(planned, drawn, strict=True)))
    low, middle, high = doubt.heating_w(np.array([2000.0]))
    assert middle[0] == pytest.approx(5000, abs=60)
    assert (low[0], high[0]) == pytest.approx((4550, 5450), abs=80)
    assert doubt.between_runs_w(20) == 1000.0, "never less than so much a home"
    _, half, _ = doubt.heating_w(np.array([1000.0]), 0.5)
    assert half[0] == pytest.approx(2500, abs=60), "half the homes, half the offset"


def test_a_battery_is_judged_by_what_it_is_to_do() -> None:
    planned = np.zeros(16)
    planned[2], planned[9:12] = 5000.0, -8000.0
    found = doing(planned)
    assert found[2] == 1
    assert found[0] == 1, "soon before it charges"
    assert set(found[9:12]) == {-1}
    assert found[13] == -1
    assert found[15] == 0
    battery = [(0.0, 100.0, 0)] * 50 + [(-8000.0, -8000.0 - 40.0 * k, -1) for k in range(50)]
    doubt = learnt([], battery)
    low, high = doubt.battery_w(planned)
    assert high[15] == 100.0
    assert low[15] == 0.0
    assert low[10] == pytest.approx(-40.0 * 46.55)
    assert high[2] == 3000.0, "it never charged: a stand-in"


@given(
    st.lists(st.tuples(st.floats(0, 3e4), st.floats(0, 3e4)), max_size=60),
    st.floats(0.6, 0.99),
    st.floats(0, 3e4),
)
def test_the_least_is_never_above_the_most(pairs, confidence, planned_w) -> None:
    doubt = learnt(pairs, confidence=confidence)
    low, middle, high = doubt.heating_w(np.array([planned_w]))
    assert 0.0 <= low[0] <= middle[0] <= high[0]
    assert doubt.between_runs_w(20) >= 1000.0


def test_plans_are_held_against_the_meters_but_not_in_an_events_hours(estate, store, block) -> None:
    rules = ControlRules()
    assert doubt_of(store, block, rules, NOW).pairs == 0
    first = NOW.replace(hour=0, minute=0)
    homes = tuple(home.id for home in block.dwellings)
    for day in range(4):
        start = first - timedelta(days=day)
        record = Foreseen("A", start, homes, (20 * HEAT_W,) * 12, (0.0,) * 12)
        store.keep(record, key=f"A/{start.isoformat()}", subject="A", at=start)
    assert doubt_of(store, block, rules, NOW).pairs == 0, "no heat pump was measured"
    pumps = [PointId(home.heat_pump.power_device_id, "power_w") for home in block.dwellings]
    halves = [first - timedelta(days=4) + HALF_HOUR * k for k in range(5 * 48)]
    store.add_rollups(
        [Rollup(pump, at, 900.0, 900.0, 900.0, 1.0) for pump in pumps for at in halves if at < NOW]
    )
    doubt = doubt_of(store, block, rules, NOW)
    assert doubt.pairs == 48
    _, middle, _ = doubt.heating_w(np.array([20 * HEAT_W]))
    assert middle[0] == pytest.approx(20 * 900.0)
    EventDesk(estate, store).submit(request(start=START), NOW)
    assert doubt_of(store, block, rules, NOW).pairs == 48
