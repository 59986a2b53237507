"""Delivery and payment, from hand-made meters."""

from __future__ import annotations

from dataclasses import replace
from datetime import date, datetime, timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ems.domain.events import Direction
from ems.domain.time import HALF_HOUR
from ems.flex.baseline import BaselineRule
from ems.flex.life import accept, begin, end
from ems.flex.settlement import (
    BATTERY,
    Calendar,
    days_of,
    measure,
    payment_gbp,
    payment_share,
)

from .conftest import NOW, START, request


def ended(direction: Direction = Direction.DOWN, power_w: float = 1000.0, **more):
    event = accept(
        "e1",
        request(power_w / 1000, direction=direction, **more),
        accepted_w=power_w,
        reference_w=[0.0] * 4,
        battery_takes_part=True,
        reason="",
        now=NOW,
    ).event
    event = begin(
        event, participants=["A-01"], battery_takes_part=True, reference_w=[0.0] * 4, now=START
    ).event
    return end(event, event.request.end).event


def usual(watts: float) -> dict[datetime, float]:
    first = START - timedelta(days=40)
    return {first + HALF_HOUR * slot: watts for slot in range(48 * 42)}


def settled(event, series, zone, product=None, earlier=1.0, event_days=frozenset()):
    return measure(
        event,
        series,
        calendar=Calendar(zone, frozenset(), event_days),
        rule=BaselineRule(),
        product=product,
        earlier_ratio=earlier,
        now=START + timedelta(hours=5),
    )


def changed(series: dict[datetime, float], watts: dict[int, float]) -> dict[datetime, float]:
    """The series with other values in half-hours counted from the event's start."""
    return series | {START + HALF_HOUR * slot: value for slot, value in watts.items()}


def test_a_turn_down_of_home_and_battery(estate) -> None:
    home = changed(usual(900.0), {0: 400.0, 1: 400.0, 2: 400.0, 3: 400.0, 4: 1400.0})
    battery = changed(usual(0.0), dict.fromkeys(range(4), -300.0))
    made = settled(ended(), {"A-01": home, BATTERY: battery}, estate.zone)
    assert [slot.delivered_w for slot in made.slots] == pytest.approx([800.0] * 4)
    assert made.delivered_kwh == pytest.approx(1.6)
    assert made.asked_kwh == pytest.approx(2.0)
    assert made.net_kwh == pytest.approx(1.6 - 0.25), "half a kilowatt came back afterwards"
    assert (made.baseline_days, made.baseline_wanted) == (10, 10)
    assert made.notes == ()
    assert made.payment_gbp is None


def test_delivery_is_signed_in_each_half_hour_and_clipped_in_the_sum(estate) -> None:
    home = changed(usual(900.0), {0: 1500.0, 1: -5000.0, 2: 900.0, 3: 900.0})
    made = settled(ended(), {"A-01": home}, estate.zone)
    assert [slot.delivered_w for slot in made.slots] == pytest.approx([-600.0, 5900.0, 0.0, 0.0])
    assert made.delivered_kwh == pytest.approx(0.5), "one half-hour, up to what was instructed"


def test_a_turn_up_is_positive_when_more_is_drawn(estate) -> None:
    home = changed(usual(900.0), dict.fromkeys(range(4), 1500.0))
    made = settled(ended(Direction.UP), {"A-01": home}, estate.zone)
    assert made.slots[0].delivered_w == pytest.approx(600.0)
    assert made.net_kwh == pytest.approx(-1.2)


def test_a_participant_without_reading_counts_in_neither_and_is_named(estate) -> None:
    silent = usual(700.0)
    del silent[START + HALF_HOUR]
    home = changed(usual(900.0), dict.fromkeys(range(4), 400.0))
    made = settled(ended(), {"A-01": home, "A-02": silent}, estate.zone)
    assert made.slots[1].baseline_w == pytest.approx(900.0)
    assert made.slots[1].actual_w == pytest.approx(400.0)
    assert made.slots[0].baseline_w == pytest.approx(1600.0)
    assert any("1 participant left out from 17:30 to 18:00" in note for note in made.notes)


def test_nothing_measured_is_said_and_is_no_zero(estate) -> None:
    made = settled(ended(), {"A-01": {}}, estate.zone)
    assert all(slot.delivered_w is None for slot in made.slots)
    assert made.net_kwh is None
    assert made.delivered_kwh == 0.0
    assert "baseline weak: 0 of 10 days" in made.notes


def test_a_weak_baseline_says_how_weak(estate) -> None:
    skip = {date(2023, 12, 4) - timedelta(days=back) for back in range(45)} - {
        date(2023, 12, 4),
        date(2023, 11, 30),
        date(2023, 11, 28),
    }
    made = settled(ended(), {"A-01": usual(500.0)}, estate.zone, event_days=skip)
    assert made.baseline_days == 3
    assert "baseline weak: 3 of 10 days" in made.notes


@given(st.floats(-2.0, 3.0))
def test_payment_rises_in_a_straight_line_between_its_bounds(ratio: float) -> None:
    product = PRODUCT
    share = payment_share(ratio, product)
    if ratio <= 0.6:
        assert share == 0.0
    elif ratio >= 0.95:
        assert share == 1.0
    else:
        assert share == pytest.approx((ratio - 0.6) / 0.35)


def test_worked_payment(estate) -> None:
    product = estate.products["evening_turn_down"]
    paid = payment_gbp(product, asked_kwh=20.0, delivered_kwh=16.0, earlier_ratio=0.5)
    utilisation = 20.0 * 0.35 * (0.8 - 0.6) / 0.35
    assert paid == pytest.approx(utilisation + 20.0 * 0.005 * 0.5)
    full = payment_gbp(product, asked_kwh=20.0, delivered_kwh=90.0, earlier_ratio=1.0)
    assert full == pytest.approx(20.0 * 0.35 + 20.0 * 0.005), "never above what was instructed"


def test_an_event_touches_the_days_of_its_preheating_and_recovery(estate) -> None:
    late = replace(ended(), ended_at=datetime(2023, 12, 5, 23, 0, tzinfo=START.tzinfo))
    assert days_of(late, estate.zone) == {date(2023, 12, 5), date(2023, 12, 6)}


def _product():
    from ems.domain.estate import DRProduct

    return DRProduct("p", "P", "down", 1000.0, 0.0, 0.0, 1e5, 0.3)


PRODUCT = _product()
