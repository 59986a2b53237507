"""The sums of fairness: what was felt, whose share it was, and how evenly a month's lies."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from ems.domain.fairness import EventBurden, PaymentRule, Standing
from ems.flex.fairness import (
    evenness,
    felt,
    gini,
    largest_share,
    ledger,
    payments,
    shares,
    spared,
)

END = datetime(2023, 12, 5, 19, tzinfo=UTC)
SINCE, UNTIL = END - timedelta(days=30), END + timedelta(days=1)
NAN = float("nan")

amounts = st.lists(
    st.floats(0, 1e6, allow_subnormal=False).map(lambda x: 0.0 if x < 1e-6 else x),
    min_size=1,
    max_size=40,
)
weights = st.dictionaries(st.sampled_from([f"A-{n:02}" for n in range(1, 21)]), st.floats(0, 10))


def entry(home: str, burden: float | None, share: float, event: str = "e1") -> EventBurden:
    start = END - timedelta(hours=2)
    return EventBurden(event, "A", home, start, END, burden, 0.0, share, -0.1, 0.2)


def standing(burden: float, fair: float) -> Standing:
    return Standing("A-01", 3, burden, fair, 0.0, 0.0, 0.0)


def felt_of(room: list[float], expected: list[float], usual: float, counts: list[float]):
    asked = np.full(len(room), 20.0)
    usually = np.full(len(room), usual)
    return felt(asked, np.array(room), np.array(expected), usually, np.array(counts))


def test_a_burden_is_what_a_room_missed_beyond_what_it_would_have_missed_anyway() -> None:
    ones = [1.0] * 4
    # Two hours a kelvin short, of which the plan without the event had half a kelvin.
    assert felt_of([19] * 4, [19.5] * 4, 0.0, ones).burden_kh == pytest.approx(1.0)
    # What a thermostat lets the room swing on any day is no burden.
    assert felt_of([19.8] * 4, [20] * 4, 0.2, ones).burden_kh == 0.0
    # A warmer room than expected takes nothing from anybody.
    assert felt_of([21] * 4, [19] * 4, 0.0, ones).burden_kh == 0.0


def test_time_that_a_resident_had_opted_out_of_is_left_out() -> None:
    half = felt_of([19] * 4, [20] * 4, 0.0, [1, 1, 0, 0])
    assert (half.burden_kh, half.cold_hours) == (1.0, 1.0)
    assert felt_of([15] * 4, [20] * 4, 0.0, [0] * 4).burden_kh == 0.0


def test_a_burden_that_readings_cannot_tell_is_unknown_and_not_nought() -> None:
    assert felt_of([19, NAN, NAN, NAN], [20] * 4, 0.0, [1.0] * 4) is None
    assert felt_of([19] * 4, [NAN] * 4, 0.0, [1.0] * 4) is None
    assert felt_of([19] * 4, [20] * 4, NAN, [1.0] * 4).burden_kh == 2.0


@given(amounts)
def test_a_gini_coefficient_lies_between_even_and_one_home_bearing_all(values) -> None:
    found = gini(values)
    assert -1e-9 <= found <= 1 - 1 / len(values) + 1e-9


@given(amounts, st.randoms(), st.floats(1e-3, 1e3))
def test_neither_order_nor_unit_changes_a_gini_coefficient(values, random, scale) -> None:
    shuffled = values.copy()
    random.shuffle(shuffled)
    assert gini(shuffled) == pytest.approx(gini(values), abs=1e-9)
    assert gini([scale * value for value in values]) == pytest.approx(gini(values), abs=1e-9)


@given(amounts)
def test_a_home_that_counts_twice_counts_as_two(values) -> None:
    twice = gini([*values, *values])
    assert gini(values, [2.0] * len(values)) == pytest.approx(twice, abs=1e-9)


@given(st.floats(0.1, 100), st.integers(1, 40))
def test_equal_burdens_are_even_and_one_alone_is_as_uneven_as_it_gets(burden, homes) -> None:
    assert gini([burden] * homes) == pytest.approx(0.0, abs=1e-9)
    alone = [burden] + [0.0] * (homes - 1)
    assert gini(alone) == pytest.approx(1 - 1 / homes, abs=1e-9)


@given(weights)
def test_shares_sum_to_one_or_there_are_none(weight) -> None:
    found = shares(weight)
    assert found.keys() == weight.keys()
    assert sum(found.values()) == pytest.approx(1.0 if sum(weight.values()) > 0 else 0.0)


@given(weights, st.floats(0, 1000), st.sampled_from(PaymentRule))
def test_a_payment_is_divided_whole(weight, paid, rule) -> None:
    burden = {home: value / 2 for home, value in weight.items()}
    found = payments(paid, rule, weight, burden)
    whole = paid if sum(weight.values()) > 0 else 0.0
    assert sum(found.values()) == pytest.approx(whole)


def test_payments_follow_time_or_burden_as_the_landlord_chose() -> None:
    time, burden = {"A": 1.0, "B": 1.0}, {"A": 3.0, "B": 1.0}
    assert payments(8.0, PaymentRule.EQUAL, time, burden) == {"A": 4.0, "B": 4.0}
    assert payments(8.0, PaymentRule.BURDEN, time, burden) == {"A": 6.0, "B": 2.0}
    # Where nobody bore anything they are equal again.
    assert payments(8.0, PaymentRule.BURDEN, time, {}) == {"A": 4.0, "B": 4.0}


@given(st.lists(st.tuples(st.floats(0, 50), st.floats(0.1, 1)), min_size=1, max_size=20))
def test_fair_burdens_sum_to_the_burdens(rows) -> None:
    part = shares({f"A-{n:02}": weight for n, (_, weight) in enumerate(rows)})
    entries = [entry(f"A-{n:02}", rows[n][0], part[f"A-{n:02}"]) for n in range(len(rows))]
    month = ledger(entries, SINCE, UNTIL)
    assert sum(home.fair_kh for home in month.homes) == pytest.approx(month.burden_kh)
    assert 0.0 <= evenness(month) < 1.0
    assert largest_share(month) <= 1.0 + 1e-9


def test_a_month_of_three_homes() -> None:
    entries = [
        entry("A-01", 3.0, 0.4),
        entry("A-02", 1.0, 0.4),
        entry("A-03", 1.0, 0.2),
        entry("A-01", 0.0, 0.5, "e2"),
        entry("A-02", 2.0, 0.5, "e2"),
        entry("A-03", 0.0, 0.0, "e2"),
    ]
    month = ledger(entries, SINCE, UNTIL, ["A-02", "A-01"])
    assert [home.dwelling_id for home in month.homes] == ["A-02", "A-01", "A-03"]
    first = month.of("A-01")
    assert first is not None
    assert (first.events, first.burden_kh, first.fair_kh) == (2, 3.0, pytest.approx(3.0))
    last = month.of("A-03")
    assert last is not None
    assert (last.events, last.fair_kh) == (1, pytest.approx(1.0))
    assert month.events == 2
    assert largest_share(month) == pytest.approx(3 / 7)
    assert evenness(month) == pytest.approx(0.0, abs=1e-9)
    assert first.benefit_gbp == pytest.approx(0.6)
    assert ledger(entries, UNTIL, UNTIL + timedelta(days=1)).most_burdened is None


def test_a_home_whose_burden_is_unknown_leaves_its_share_to_the_others() -> None:
    entries = [entry("A-01", 2.0, 0.25), entry("A-02", 0.0, 0.25), entry("A-03", None, 0.5)]
    month = ledger(entries, SINCE, UNTIL)
    assert [home.fair_kh for home in month.homes] == [1.0, 1.0, 0.0]
    assert [home.unknown for home in month.homes] == [0, 0, 1]
    most = month.most_burdened
    assert most is not None
    assert (most.dwelling_id, most.ratio) == ("A-01", 2.0)


def test_only_a_home_above_its_share_is_spared_and_one_at_twice_its_share_is_left_alone() -> None:
    assert spared(None, 1.0) == 0.0
    assert spared(standing(2.0, 2.0), 1.0) == 0.0
    assert spared(standing(1.0, 2.0), 1.0) == 0.0
    assert spared(standing(3.0, 2.0), 1.0) == pytest.approx(0.5)
    assert spared(standing(9.0, 2.0), 1.0) == 1.0
    assert spared(standing(9.0, 2.0), 0.0) == 0.0
    # Ten times a trifle is still a trifle.
    assert spared(standing(0.2, 0.02), 1.0) == pytest.approx(0.18)


@given(st.floats(0, 100), st.floats(0, 100), st.floats(0, 10), st.floats(0, 10))
def test_who_bore_more_is_never_spared_less(burden, fair, more, strength) -> None:
    less, greater = standing(burden, fair), standing(burden + more, fair)
    assert 0.0 <= spared(less, strength) <= spared(greater, strength) <= 1.0
