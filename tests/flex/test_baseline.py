"""Baselines: worked examples, and what must hold for any history."""

from __future__ import annotations

import math
from datetime import UTC, date, datetime, timedelta
from zoneinfo import ZoneInfo

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ems.domain.time import HALF_HOUR
from ems.flex.baseline import BaselineRule, local_slot, rolling_average

LONDON = ZoneInfo("Europe/London")
EVENT = datetime(2023, 12, 5, 17, 0, tzinfo=UTC)
SLOTS = [EVENT, EVENT + HALF_HOUR]
TEN = BaselineRule()


def constant(watts: float, days: int, *, before: datetime = EVENT) -> dict[datetime, float]:
    """Half-hours of so many days up to the event's own midnight."""
    midnight = before.replace(hour=0, minute=0)
    return {midnight - HALF_HOUR * back: watts for back in range(1, days * 48 + 1)}


def average(series, rule=TEN, event_days=(), slots=SLOTS):
    return rolling_average(
        series,
        slots,
        zone=LONDON,
        holidays=frozenset(),
        event_days=frozenset(event_days),
        rule=rule,
    )


def test_half_of_the_in_day_adjustment_saves_a_quarter_of_a_kilowatt_hour() -> None:
    """Usually 1.0 kW, 0.5 before the event and in it, k one half: baseline 0.75."""
    series = constant(1000.0, 20)
    today = EVENT.replace(hour=0)
    series |= {today + HALF_HOUR * slot: 500.0 for slot in range(48)}
    made = average(series, BaselineRule(adjust=0.5))
    assert made.power_w == pytest.approx((750.0, 750.0))
    saved_kwh = sum(max(base - 500.0, 0.0) * 0.5 for base in made.power_w) / 1000
    assert saved_kwh == pytest.approx(0.25), "over the hour"


def test_without_adjustment_it_is_the_mean_of_ten_working_days() -> None:
    series: dict[datetime, float] = {}
    for back in range(1, 40):
        for slot in SLOTS:
            series[slot - timedelta(days=back)] = 100.0 * back
    made = average(series)
    backs = [(date(2023, 12, 5) - day).days for day in made.days]
    assert backs == [1, 4, 5, 6, 7, 8, 11, 12, 13, 14]
    assert made.power_w[0] == pytest.approx(100.0 * sum(backs) / 10)


def test_weekends_and_bank_holidays_are_one_kind() -> None:
    saturday = datetime(2023, 12, 9, 17, 0, tzinfo=UTC)
    made = rolling_average(
        constant(500.0, 61, before=saturday),
        [saturday],
        zone=LONDON,
        holidays=frozenset({date(2023, 12, 6)}),
        event_days=frozenset(),
        rule=TEN,
    )
    assert date(2023, 12, 6) in made.days
    assert all(day.weekday() >= 5 or day == date(2023, 12, 6) for day in made.days)


def test_event_days_and_days_with_gaps_are_passed_over() -> None:
    series = constant(500.0, 30)
    del series[SLOTS[1] - timedelta(days=1)]
    made = average(series, event_days={date(2023, 12, 1)})
    assert date(2023, 12, 4) not in made.days
    assert date(2023, 12, 1) not in made.days
    assert len(made.days) == 10


def test_fewer_days_are_said_and_none_is_no_zero() -> None:
    assert len(average(constant(500.0, 4)).days) == 2
    none = average({})
    assert none.days == ()
    assert all(math.isnan(value) for value in none.power_w)


def test_nothing_older_than_two_months_counts() -> None:
    old = {slot - timedelta(days=back): 9.0 for back in range(62, 100) for slot in SLOTS}
    assert average(old).days == ()


@given(
    st.dictionaries(st.integers(0, 200), st.floats(-1e4, 1e5), max_size=40),
    st.floats(0.0, 1.0),
)
def test_the_future_never_leaks_into_it(future: dict[int, float], adjust: float) -> None:
    rule = BaselineRule(adjust=adjust)
    series = constant(800.0, 20) | {EVENT - HALF_HOUR * back: 700.0 for back in range(1, 35)}
    with_future = series | {EVENT + HALF_HOUR * slot: watts for slot, watts in future.items()}
    assert average(with_future, rule) == average(series, rule)


@given(st.lists(st.floats(0, 1e5), min_size=1, max_size=30))
def test_it_lies_within_what_was_measured(levels: list[float]) -> None:
    series = {
        slot - timedelta(days=back + 1): watts
        for back, watts in enumerate(levels)
        for slot in SLOTS
    }
    made = average(series)
    for value in made.power_w:
        if not math.isnan(value):
            assert min(levels) - 1e-6 <= value <= max(levels) + 1e-6


def test_local_time_counts_over_a_clock_change() -> None:
    """At the end of October five o'clock is at 16:00 UTC before, 17:00 UTC after."""
    after = datetime(2023, 11, 1, 17, 0, tzinfo=UTC)
    assert local_slot(date(2023, 10, 27), after, LONDON) == datetime(
        2023, 10, 27, 16, 0, tzinfo=UTC
    )


def test_a_time_that_clocks_skip_is_no_half_hour() -> None:
    like = datetime(2023, 3, 27, 0, 30, tzinfo=UTC)  # half past one in summer time
    assert local_slot(date(2023, 3, 26), like, LONDON) is None


def test_a_day_of_fifty_half_hours_has_each_of_them() -> None:
    first = datetime(2023, 10, 28, 23, 0, tzinfo=UTC)
    slots = [first + HALF_HOUR * index for index in range(50)]
    found = [local_slot(date(2023, 10, 29), slot, LONDON) for slot in slots]
    assert found == slots
