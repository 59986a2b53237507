"""The estimate "may need help": worked examples, ranges, and what is never assumed."""

from __future__ import annotations

import math
from dataclasses import replace
from datetime import date

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ems.domain.people import (
    DatedMedian,
    DatedPrice,
    FuelPovertyRules,
    Household,
    RatingSpread,
)
from ems.people.fuel_poverty import (
    Outcome,
    estimate,
    factor_of,
    probability_d_or_below,
    rating_sd,
    required_kwh,
)

DAY = date(2023, 12, 1)
SPREAD = RatingSpread(35.0, 8.0, 85.0, 2.4)
ROUND = FuelPovertyRules(
    heat_kwh_per_m2=dict.fromkeys("ABCDEFG", (100.0, 200.0)),
    other_kwh_per_m2=(30.0, 30.0),
    seasonal_performance=(2.0, 2.5),
    prices=(DatedPrice(date(2023, 10, 1), date(2023, 12, 31), 0.25, 0.5, "by hand", False),),
    medians=(DatedMedian(date(2023, 4, 1), date(2024, 3, 31), 30_000.0, "by hand", False),),
    line_share=0.6,
    first_adult=0.58,
    further_adult=0.42,
    child=0.2,
    min_probability=0.5,
    indicator_share=0.1,
    rating_spread=SPREAD,
    dated=date(2023, 10, 1),
)
"""Round figures, so that the examples can be checked with a pencil."""


def test_a_single_adult_in_a_band_e_flat_worked_by_hand() -> None:
    """50 m²: 50·(100/2.5+30) = 3,500 kWh to 50·(200/2+30) = 6,500 kWh; at 25p and 182.50 £/year
    standing 1,057.50 to 1,807.50 £. (14,000 − 5,000 − cost) ÷ 0.58 = 12,400.86 to 13,693.97 £,
    below the line of 18,000 £."""
    found = estimate("E", 50.0, Household(14_000, 5_000, 1, 0), DAY, ROUND)
    assert (found.required_kwh.low, found.required_kwh.high) == (3_500, 6_500)
    assert found.required_gbp is not None
    assert (found.required_gbp.low, found.required_gbp.high) == (1_057.5, 1_807.5)
    assert found.residual_gbp.low == pytest.approx(12_400.86, abs=0.01)
    assert found.residual_gbp.high == pytest.approx(13_693.97, abs=0.01)
    assert found.line_gbp == 18_000
    assert found.outcome is Outcome.MAY_NEED_HELP
    assert found.indicator.low == pytest.approx(1_057.5 / 9_000)
    assert found.missing == ()


def test_two_adults_and_two_children_share_what_is_left() -> None:
    """0.58 + 0.42 + 2·0.20 = 1.40; (35,000 − 8,000 − 1,807.50) ÷ 1.4 = 17,994.64 £ and
    (35,000 − 8,000 − 1,057.50) ÷ 1.4 = 18,530.36 £: on both sides of the line."""
    found = estimate("D", 50.0, Household(35_000, 8_000, 2, 2), DAY, ROUND)
    assert (found.factor.low, found.factor.high) == (pytest.approx(1.4), pytest.approx(1.4))
    assert found.residual_gbp.low == pytest.approx(17_994.64, abs=0.01)
    assert found.residual_gbp.high == pytest.approx(18_530.36, abs=0.01)
    assert found.outcome is Outcome.UNCLEAR


def test_enough_is_left_over() -> None:
    found = estimate("G", 50.0, Household(40_000, 8_000, 1, 0), DAY, ROUND)
    assert found.outcome is Outcome.NO_SIGN


def test_homes_in_bands_a_to_c_are_not_counted_however_little_is_left() -> None:
    for band in "ABC":
        found = estimate(band, 50.0, Household(5_000, 5_000, 1, 0), DAY, ROUND)
        assert found.outcome is Outcome.NOT_COUNTED
        assert found.probability < 0.5


def test_nothing_given_is_not_enough_and_no_income_is_assumed() -> None:
    for given_ in (None, Household(), Household(None, 5_000, 2, 1)):
        found = estimate("G", 80.0, given_, DAY, ROUND)
        assert found.outcome is Outcome.NOT_ENOUGH
        assert found.residual_gbp.low is None
        assert found.residual_gbp.high is None
        assert "income" in found.missing


def test_what_is_missing_leaves_an_end_open() -> None:
    """Without housing costs at most (20,000 − 1,057.50) ÷ 0.58 = 32,659.48 £ are left."""
    found = estimate("E", 50.0, Household(20_000, None, 1, 0), DAY, ROUND)
    assert found.outcome is Outcome.NOT_ENOUGH
    assert found.residual_gbp.low is None
    assert found.residual_gbp.high == pytest.approx(32_659.48, abs=0.01)
    assert found.missing == ("housing costs",)
    assert found.indicator.low is None


def test_a_range_that_lies_below_the_line_in_any_case_is_enough() -> None:
    found = estimate("E", 50.0, Household(10_000, None, None, None), DAY, ROUND)
    assert found.residual_gbp.high == pytest.approx((10_000 - 1_057.5) / 0.58)
    assert found.outcome is Outcome.MAY_NEED_HELP


def test_more_people_than_given_can_only_lower_what_is_left() -> None:
    found = estimate("E", 50.0, Household(40_000, 8_000, 2, None), DAY, ROUND)
    assert (found.factor.low, found.factor.high) == (1.0, None)
    assert found.outcome is Outcome.NOT_ENOUGH
    assert found.residual_gbp.low == 0.0


def test_a_day_without_a_price_or_a_line_has_energy_but_no_pounds() -> None:
    given_ = Household(14_000, 5_000, 1, 0)
    unpriced = estimate("E", 50.0, given_, date(2024, 1, 1), ROUND)
    assert unpriced.required_kwh.low == 3_500
    assert unpriced.required_gbp is None
    assert unpriced.outcome is Outcome.NOT_ENOUGH
    assert "a price of electricity for this day" in unpriced.missing
    unlined = estimate("E", 50.0, given_, DAY, replace(ROUND, medians=()))
    assert unlined.line_gbp is None
    assert unlined.outcome is Outcome.NOT_ENOUGH


def test_the_spread_of_a_rating_is_straight_between_its_two_points() -> None:
    assert rating_sd(35, SPREAD) == 8.0
    assert rating_sd(60, SPREAD) == pytest.approx(5.2)
    assert rating_sd(85, SPREAD) == pytest.approx(2.4)
    assert (rating_sd(1, SPREAD), rating_sd(100, SPREAD)) == (8.0, pytest.approx(2.4))


def test_a_rating_on_the_edge_is_as_likely_on_either_side() -> None:
    """By hand for 68: (68.5 − 68) ÷ (8 − 33/50·5.6) = 0.1161 standard deviations."""
    assert probability_d_or_below("D", SPREAD, 68.5) == 0.5
    by_hand = 0.5 * (1 + math.erf(0.5 / 4.304 / math.sqrt(2)))
    assert probability_d_or_below("D", SPREAD, 68) == pytest.approx(by_hand)
    assert by_hand == pytest.approx(0.546, abs=0.001)


def test_a_worse_band_is_never_less_likely_to_count() -> None:
    chances = [probability_d_or_below(band, SPREAD) for band in "ABCDEFG"]
    assert chances == sorted(chances)
    assert chances[2] < 0.2
    assert 0.8 < chances[3] < chances[4]


def test_the_configured_figures_rise_with_the_band(figures) -> None:
    needs = [required_kwh(band, 60.0, figures) for band in "ABCDEFG"]
    assert [need.low for need in needs] == sorted(need.low for need in needs)
    assert all(need.low < need.high for need in needs)
    assert set(figures.sources) >= set(figures.to_verify)
    assert figures.price_on(DAY) is not None
    assert figures.median_on(DAY) is not None


money = st.one_of(st.none(), st.floats(0, 200_000))
people = st.one_of(st.none(), st.integers(0, 8))


@given(money, money, people, people, st.sampled_from("ABCDEFG"), st.floats(20, 200))
def test_more_knowledge_only_narrows_the_answer(income, housing, adults, children, band, area):
    """Whatever is then given in place of what was missing, the range held it, and a plain answer
    stays."""
    part = Household(income, housing, adults, children)
    full = Household(
        income if income is not None else 21_000.0,
        housing if housing is not None else 6_000.0,
        adults if adults is not None else 3,
        children if children is not None else 2,
    )
    before = estimate(band, area, part, DAY, ROUND)
    after = estimate(band, area, full, DAY, ROUND)
    assert after.residual_gbp.low is not None
    assert after.residual_gbp.high is not None
    assert after.residual_gbp.low <= after.residual_gbp.high
    if before.residual_gbp.high is not None:
        assert after.residual_gbp.high <= before.residual_gbp.high + 1e-6
    if before.residual_gbp.low is not None:
        assert after.residual_gbp.low >= before.residual_gbp.low - 1e-6
    if before.outcome in (Outcome.MAY_NEED_HELP, Outcome.NO_SIGN, Outcome.NOT_COUNTED):
        assert after.outcome is before.outcome
    assert factor_of(full, ROUND).high == factor_of(full, ROUND).low
