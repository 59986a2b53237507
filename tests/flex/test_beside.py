"""What other events leave of a block's battery, by hand."""

from __future__ import annotations

from dataclasses import replace
from datetime import timedelta

import numpy as np
import pytest

from ems.domain.events import Direction, FlexEvent, Undisturbed
from ems.domain.time import HALF_HOUR
from ems.flex.availability import BatteryFlex, BlockFlex, sustained_w
from ems.flex.beside import Other, beside
from ems.flex.life import accept

from .conftest import NOW, START, request

SLOTS = 8
NONE_W = np.zeros(SLOTS)


def flat(value: float) -> np.ndarray:
    return np.full(SLOTS, value)


def block(power_w: np.ndarray, energy_wh: np.ndarray) -> BlockFlex:
    """Half-hours from 17:00; a battery of 10 kWh, 2 of them its reserve, without losses."""
    battery = BatteryFlex(power_w, energy_wh, 2000.0, 10_000.0, 5000.0, 5000.0, 1.0)
    return BlockFlex("A", START, (), battery, flat(3000.0), 10_000.0, 1e6)


def event(
    power_kw: float = 4.0, hours: float = 1.0, direction: Direction = Direction.DOWN
) -> FlexEvent:
    """From 17:00, promised as asked."""
    asked = request(power_kw, hours=hours, direction=direction)
    return accept(
        "one",
        asked,
        accepted_w=asked.power_w,
        reference_w=[],
        battery_takes_part=True,
        reason="",
        now=NOW,
    ).event


def before(battery_w: np.ndarray, heating_w: np.ndarray = NONE_W) -> Undisturbed:
    flows = tuple(battery_w.tolist())
    return Undisturbed("one", NOW, START, tuple(heating_w.tolist()), flows, flows)


def test_what_the_plan_does_not_have_yet_is_taken_off() -> None:
    """8 kWh can be given; the first event takes 4 kWh in its hour."""
    plain = block(NONE_W, flat(10_000.0))
    left = beside(plain, [Other(event(), planned=False, before=None)], NONE_W)
    assert sustained_w(plain, Direction.DOWN, 0, 2) == pytest.approx(5000.0)
    assert sustained_w(left, Direction.DOWN, 0, 2) == pytest.approx(1000.0), "5 kW at most"
    assert sustained_w(left, Direction.DOWN, 2, 4) == pytest.approx(2000.0)
    assert sustained_w(plain, Direction.DOWN, 2, 4) == pytest.approx(4000.0)


def test_a_battery_emptied_where_it_would_have_worked_has_nothing_to_give() -> None:
    """The plan has the event: empty by 18:00. Without it the battery would work from then on."""
    power = np.array([-4000.0, -4000.0, *[0.0] * 6])
    energy = np.array([4000.0, 2000.0, *[2000.0] * 6])
    planned = block(power, energy)
    own = before(np.array([0.0, 0.0, -4000.0, -4000.0, *[0.0] * 4]))
    left = beside(planned, [Other(event(), planned=True, before=own)], NONE_W)
    assert left.battery is not None
    assert left.battery.power_w == pytest.approx([-4000.0, -4000.0, -4000.0, -4000.0, 0, 0, 0, 0])
    assert sustained_w(left, Direction.DOWN, 2, 2) == pytest.approx(0.0, abs=1e-3)


def test_an_event_without_a_record_stands_in_the_plan_as_it_is() -> None:
    planned = block(flat(-1000.0), flat(6000.0))
    left = beside(planned, [Other(event(), planned=True, before=None)], NONE_W)
    assert left.battery is not None
    assert left.battery.power_w == pytest.approx(flat(-1000.0))
    assert left.battery.energy_wh == pytest.approx(flat(6000.0))


def test_beyond_the_end_of_a_record_the_plan_stands_as_it_is() -> None:
    """What was kept for the event tells of its first two half-hours only."""
    planned = block(flat(-1000.0), flat(9000.0))
    own = before(np.array([500.0, 500.0]), np.zeros(2))
    left = beside(planned, [Other(event(), planned=True, before=own)], NONE_W)
    assert left.battery is not None
    # Half a kilowatt stands in its record; the event takes 4 kW of it for its hour.
    assert left.battery.power_w == pytest.approx([-3500.0, -3500.0, *[-1000.0] * 6])


def test_homes_that_come_back_are_taken_off_what_follows() -> None:
    heating = np.array([0.0, 0.0, 1500.0, 500.0, *[0.0] * 4])
    planned = block(NONE_W, flat(10_000.0))
    own = before(NONE_W, flat(0.0))
    left = beside(planned, [Other(event(), planned=True, before=own)], heating)
    assert left.margin_w(Direction.DOWN, 0, 4) == pytest.approx([0.0, 0.0, 1500.0, 500.0])
    assert left.margin_w(Direction.UP, 0, 4) == pytest.approx([0.0] * 4)


def test_nothing_is_charged_for_an_event_while_another_one_runs_or_homes_come_back() -> None:
    """The battery holds 3 kWh, 1 kWh above its reserve, and could charge before 19:00."""
    planned = block(NONE_W, flat(3000.0))
    own = before(NONE_W)
    up = replace(event(0.001), request=replace(event(0.001).request, end=START + HALF_HOUR))
    left = beside(planned, [Other(up, planned=True, before=own)], NONE_W)
    assert sustained_w(planned, Direction.DOWN, 4, 2) > 4000.0
    assert sustained_w(left, Direction.DOWN, 4, 2) == pytest.approx(1000.0, abs=2.0)


def test_a_turn_up_fills_what_the_next_one_cannot_fill_again() -> None:
    planned = block(NONE_W, flat(4000.0))
    other = Other(event(4.0, direction=Direction.UP), planned=False, before=None)
    left = beside(planned, [other], NONE_W)
    assert sustained_w(planned, Direction.UP, 2, 4) == pytest.approx(3000.0)
    assert sustained_w(left, Direction.UP, 2, 4) == pytest.approx(1000.0)
    assert left.battery is not None
    hour_later = round(timedelta(hours=1) / HALF_HOUR)
    assert left.battery.energy_wh[hour_later:] == pytest.approx([8000.0] * (SLOTS - hour_later))


def test_without_a_battery_or_another_event_nothing_changes() -> None:
    planned = block(NONE_W, flat(4000.0))
    assert beside(planned, [], NONE_W) is planned
    homes_only = replace(planned, battery=None)
    assert beside(homes_only, [Other(event(), planned=True, before=None)], NONE_W) is homes_only
