"""What may be promised: availability by hand, overlaps, and refusals of the absurd."""

from __future__ import annotations

from dataclasses import replace
from datetime import timedelta

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from ems.domain.events import Direction, EventState
from ems.flex.availability import (
    BatteryFlex,
    BlockFlex,
    HomeFlex,
    each_slot_w,
    longest_slots,
    sustained_w,
)
from ems.flex.life import accept
from ems.flex.requests import RefusedError, check, decide, promised_w

from .conftest import NOW, START, request

SLOTS = 12


def flat(value: float) -> np.ndarray:
    return np.full(SLOTS, value)


def home(power_w: float = 500.0, spare_wh: float = 1e6, **more) -> HomeFlex:
    return HomeFlex(
        "A-01",
        base_w=flat(300.0),
        power_w=flat(power_w),
        low_power_w=flat(power_w * 0.8),
        high_power_w=flat(power_w * 1.2),
        max_power_w=flat(1500.0),
        spare_wh=flat(spare_wh),
        room_wh=flat(1e6),
        **more,
    )


def battery(energy_wh: float = 10_000.0, power_w: float = 0.0) -> BatteryFlex:
    return BatteryFlex(
        power_w=flat(power_w),
        energy_wh=flat(energy_wh),
        min_wh=2000.0,
        max_wh=10_000.0,
        max_charge_w=5000.0,
        max_discharge_w=5000.0,
        one_way_efficiency=1.0,
    )


def of(*homes: HomeFlex, bank: BatteryFlex | None = None, export_w: float = 1e6) -> BlockFlex:
    return BlockFlex("A", START, homes, bank, flat(3000.0), 10_000.0, export_w)


def test_homes_give_what_a_warm_day_leaves_them() -> None:
    assert sustained_w(of(home(), home()), Direction.DOWN, 0, 4) == pytest.approx(800.0)


def test_a_room_near_its_floor_gives_its_heat_and_no_more() -> None:
    flex = of(home(spare_wh=200.0))
    assert sustained_w(flex, Direction.DOWN, 0, 1) == pytest.approx(400.0)
    assert sustained_w(flex, Direction.DOWN, 0, 4) == pytest.approx(100.0)


def test_a_heat_pump_that_cannot_be_held_back_gives_nothing() -> None:
    assert sustained_w(of(home(can_turn_down=False)), Direction.DOWN, 0, 1) == 0.0


def test_the_battery_fills_what_homes_leave_until_its_reserve() -> None:
    flex = of(home(), bank=battery())
    assert sustained_w(flex, Direction.DOWN, 0, 1) == pytest.approx(5400.0)
    assert sustained_w(flex, Direction.DOWN, 0, 8) == pytest.approx(400.0 + 8000.0 / 4.0)


def test_an_empty_battery_can_be_charged_before_but_not_at_once() -> None:
    flex = of(bank=battery(energy_wh=2000.0))
    assert sustained_w(flex, Direction.DOWN, 0, 2) == pytest.approx(0.0, abs=1e-3)
    assert sustained_w(flex, Direction.DOWN, 2, 2) == pytest.approx(5000.0)


def test_half_hours_that_have_passed_charge_nothing() -> None:
    flex = replace(of(bank=battery(energy_wh=2000.0)), current=2)
    assert sustained_w(flex, Direction.DOWN, 2, 2) == pytest.approx(0.0, abs=1e-3)


def test_more_can_be_taken_until_the_battery_is_full() -> None:
    flex = of(home(), bank=battery(energy_wh=9000.0))
    homes = 1500.0 - 600.0
    assert sustained_w(flex, Direction.UP, 0, 1) == pytest.approx(homes + 2000.0)


def test_the_feeder_bounds_both_ways() -> None:
    flex = of(bank=battery(), export_w=1000.0)
    assert sustained_w(flex, Direction.DOWN, 0, 1) == pytest.approx(4000.0)
    narrow = replace(of(bank=battery(2000.0)), import_limit_w=3500.0)
    assert sustained_w(narrow, Direction.UP, 0, 1) == pytest.approx(500.0)


def test_what_is_in_doubt_is_kept_back_in_power_and_in_energy() -> None:
    sure = of(bank=battery())
    doubtful = replace(sure, margin_down_w=1000.0, margin_up_w=3000.0)
    assert sustained_w(sure, Direction.DOWN, 0, 1) == pytest.approx(5000.0)
    assert sustained_w(doubtful, Direction.DOWN, 0, 1) == pytest.approx(4000.0)
    energy_w = (10_000.0 - 2000.0) / 4.0
    assert sustained_w(doubtful, Direction.DOWN, 0, 8) == pytest.approx(energy_w - 1000.0)
    roomy = replace(doubtful, battery=battery(energy_wh=2000.0))
    assert sustained_w(roomy, Direction.UP, 0, 1) == pytest.approx(2000.0)
    assert sustained_w(replace(sure, margin_down_w=6000.0), Direction.DOWN, 0, 1) == 0.0


def test_beside_a_battery_homes_are_not_counted_on() -> None:
    flex = replace(of(home(), bank=battery()), home_share=0.0)
    assert sustained_w(flex, Direction.DOWN, 0, 1) == pytest.approx(5000.0)


def test_homes_that_may_draw_more_leave_the_feeder_less() -> None:
    flex = replace(of(bank=battery(2000.0)), import_limit_w=6000.0)
    assert sustained_w(flex, Direction.UP, 0, 1) == pytest.approx(3000.0)
    heavy = replace(flex, load_doubt_w=1000.0)
    assert sustained_w(heavy, Direction.UP, 0, 1) == pytest.approx(2000.0)


def test_nothing_is_promised_beyond_the_plan() -> None:
    assert sustained_w(of(home()), Direction.DOWN, SLOTS - 1, 2) == 0.0


@given(
    st.floats(0, 3000), st.floats(0, 5000), st.floats(2000, 10_000), st.floats(-5000, 5000),
    st.sampled_from(list(Direction)), st.integers(0, 6), st.integers(1, 5),
)  # fmt: skip
def test_longer_never_means_more_and_longest_agrees(
    power_w, spare_wh, energy_wh, planned_w, direction, first, count
) -> None:
    flex = of(home(power_w, spare_wh), bank=battery(energy_wh, planned_w))
    short = sustained_w(flex, direction, first, count)
    longer = sustained_w(flex, direction, first, count + 1)
    assert 0.0 <= longer <= short + 1e-6
    assert short <= min(each_slot_w(flex, direction)[first : first + count]) + 1e-6
    assert longest_slots(flex, direction, first, short) >= count


ABSURD = [
    (request(-5.0), "power_kw", "above zero"),
    (request(0.0), "power_kw", "above zero"),
    (request(float("nan")), "power_kw", "above zero"),
    (request(10_000.0), "power_kw", "feeder"),
    (request(0.2), "power_kw", "least power"),
    (request(start=NOW.replace(minute=30) - timedelta(hours=2)), "start", "passed"),
    (request(start=START - timedelta(days=2000)), "start", "passed"),
    (request(start=START + timedelta(days=30)), "start", "ahead"),
    (request(start=START + timedelta(minutes=7)), "start", "half-hours"),
    (request(hours=-1), "end", "before it starts"),
    (request(hours=0), "end", "before it starts"),
    (request(hours=9), "end", "last from"),
]


@pytest.mark.parametrize(("asked", "field", "words"), ABSURD)
def test_the_absurd_is_refused_with_field_value_and_remedy(estate, asked, field, words) -> None:
    with pytest.raises(RefusedError, match=words) as refusal:
        check(asked, estate.block("A"), None, NOW)
    assert refusal.value.field == field
    assert refusal.value.value is not None
    assert refusal.value.remedy


def test_a_product_asks_for_notice_power_length_and_direction(estate) -> None:
    product = estate.products["evening_turn_down"]
    block = estate.block("A")
    check(request(), block, product, NOW)
    soon = NOW.replace(hour=16, minute=0)
    for asked, words in [
        (request(start=soon), "notice"),
        (request(4.0), "least power"),
        (request(hours=5), "last from"),
        (request(direction=Direction.UP), "is for down"),
    ]:
        with pytest.raises(RefusedError, match=words):
            check(asked, block, product, NOW)


def event(power_w: float = 3000.0, **more):
    return accept(
        "other",
        request(power_w / 1000, **more),
        accepted_w=power_w,
        reference_w=[0.0] * 4,
        battery_takes_part=False,
        reason="",
        now=NOW,
    ).event


def test_overlapping_events_share_what_there_is() -> None:
    asked = request(start=START + timedelta(hours=1))
    before = NOW - timedelta(minutes=10)
    assert promised_w([event()], asked, before) == 3000.0
    assert promised_w([event()], asked, NOW) == 0.0, "the plan has it already"
    assert promised_w([event()], asked, before, except_id="other") == 0.0
    later = request(start=START + timedelta(hours=2))
    assert promised_w([event()], later, before) == 0.0, "one ends as the other starts"
    over = replace(event(), state=EventState.RECOVERING, ended_at=START)
    assert promised_w([over], asked, before) == 0.0
    with pytest.raises(RefusedError, match="other way"):
        promised_w([event()], request(direction=Direction.UP), NOW)


@given(st.floats(1, 50), st.floats(-10, 60), st.floats(0, 8))
def test_a_promise_is_never_above_the_request_nor_what_there_is_nor_lost_in_noise(
    asked_kw, available_kw, noise_kw
) -> None:
    least_kw = max(2.0, noise_kw)
    try:
        offer = decide(
            request(asked_kw), available_kw * 1000, None, least_w=2000.0, noise_w=noise_kw * 1000
        )
    except RefusedError as refusal:
        assert refusal.conflict
        assert asked_kw < least_kw or available_kw < max(asked_kw, least_kw + 0.1)
        return
    assert least_kw * 1000 - 1e-6 <= offer.accepted_w <= min(asked_kw, available_kw) * 1000 + 1e-6
    assert bool(offer.reason) == (offer.accepted_w < asked_kw * 1000)
