"""The estimate "may need help": low income and a home that is costly to keep warm (LILEE).

It takes what the tenant chose to give, the home's certificate and dated figures, and keeps
what is not known as a range. Nothing missing is replaced by an assumption or by the area.
It never says "fuel poor": it says that help may be due, shows the arithmetic, and a person
decides.

Notation: ``E`` required electricity [kWh/year] = (heat / performance + other) · floor area;
``C`` its cost [£/year] = E · rate + 365 · standing charge; ``f`` equivalence factor; residual
income ``R = (income − housing costs − C) / f``; line ``L`` = share · median. Help may be due
where ``R < L`` and the probability that the band is D or below is large enough.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from datetime import date
from enum import StrEnum

from ems.domain.people import (
    DatedMedian,
    DatedPrice,
    FuelPovertyRules,
    Household,
    RatingSpread,
)

VERSION = "LILEE/1"
DAYS = 365.0
BANDS = {
    "A": (92, 100),
    "B": (81, 91),
    "C": (69, 80),
    "D": (55, 68),
    "E": (39, 54),
    "F": (21, 38),
    "G": (1, 20),
}
"""Ratings of each band of an energy performance certificate."""
BEST_COUNTED = 68.5
"""Between the best rating of band D and the worst of band C."""


class Outcome(StrEnum):
    """What the estimate says."""

    MAY_NEED_HELP = "may_need_help"
    UNCLEAR = "unclear"
    """The range lies on both sides of the line."""
    NO_SIGN = "no_sign"
    NOT_COUNTED = "not_counted"
    """The home is probably in band A to C, which this measure does not count."""
    NOT_ENOUGH = "not_enough"


@dataclass(frozen=True, slots=True)
class Range:
    """A figure between two ends; an end that is not known is ``None``."""

    low: float | None
    high: float | None


@dataclass(frozen=True, slots=True)
class Factor:
    """Equivalence factor [-]; ``high`` is ``None`` where the number of people is not known."""

    low: float
    high: float | None


@dataclass(frozen=True, slots=True)
class Estimate:
    """The estimate with its inputs, its arithmetic and its uncertainty.

    Attributes
    ----------
    outcome, version, day
        What it says, by which rule, for which day.
    missing
        What was not given or not known, by name.
    probability
        That the home's band is D or below, 0 to 1.
    required_kwh, required_gbp
        Required electricity and its cost, a year; the cost is ``None`` where no price covers
        the day.
    factor
        Equivalence factor.
    residual_gbp
        Equivalised income after housing and required energy costs [£/year].
    line_gbp
        What it is compared with [£/year]; ``None`` where no median covers the day.
    indicator
        Older indicator: required cost as a share of income after housing costs.
    price, median
        The dated figures that were used.
    """

    outcome: Outcome
    version: str
    day: date
    missing: tuple[str, ...]
    probability: float
    required_kwh: Range
    required_gbp: Range | None
    factor: Factor
    residual_gbp: Range
    line_gbp: float | None
    indicator: Range
    price: DatedPrice | None
    median: DatedMedian | None


def rating_sd(rating: float, spread: RatingSpread) -> float:
    """Return the standard deviation of a rating, straight between two ratings, flat outside."""
    share = (rating - spread.low_rating) / (spread.high_rating - spread.low_rating)
    return spread.low_sd + min(max(share, 0.0), 1.0) * (spread.high_sd - spread.low_sd)


def probability_d_or_below(band: str, spread: RatingSpread, rating: float | None = None) -> float:
    """Return the probability that a home's true band is D or below, 0 to 1.

    Parameters
    ----------
    band
        Letter of the certificate.
    spread
        How rough ratings are.
    rating
        The certificate's rating; without it every rating of the band counts the same.
    """
    low, high = BANDS[band]
    ratings = [rating] if rating is not None else [float(one) for one in range(low, high + 1)]
    chances = [
        0.5 * (1.0 + math.erf((BEST_COUNTED - one) / (rating_sd(one, spread) * math.sqrt(2.0))))
        for one in ratings
    ]
    return sum(chances) / len(chances)


def factor_of(household: Household, rules: FuelPovertyRules) -> Factor:
    """Return the equivalence factor; somebody always counts as the first adult."""
    adults = max(household.adults or 1, 1)
    children = household.children or 0
    low = rules.first_adult + rules.further_adult * (adults - 1) + rules.child * children
    known = household.adults is not None and household.children is not None
    return Factor(low, low if known else None)


def required_kwh(band: str, floor_area_m2: float, rules: FuelPovertyRules) -> Range:
    """Return the electricity that keeps a home warm, lit and in hot water [kWh/year]."""
    heat_low, heat_high = rules.heat_kwh_per_m2[band]
    worst, best = rules.seasonal_performance
    other_low, other_high = rules.other_kwh_per_m2
    return Range(
        floor_area_m2 * (heat_low / best + other_low),
        floor_area_m2 * (heat_high / worst + other_high),
    )


def estimate(
    band: str,
    floor_area_m2: float,
    household: Household | None,
    day: date,
    rules: FuelPovertyRules,
    rating: float | None = None,
) -> Estimate:
    """Return the estimate for one home on one day.

    Parameters
    ----------
    band, floor_area_m2, rating
        From the certificate.
    household
        What the tenant chose to give; ``None`` for nothing.
    day
        Local day; picks price and line.
    rules
        Dated figures.
    """
    given = household or Household()
    price, median = rules.price_on(day), rules.median_on(day)
    energy = required_kwh(band, floor_area_m2, rules)
    cost = _cost(energy, price)
    factor = factor_of(given, rules)
    residual = _residual(given, cost, factor)
    line = None if median is None else rules.line_share * median.median_gbp_per_year
    chance = probability_d_or_below(band, rules.rating_spread, rating)
    missing = _missing(given, price, median)
    return Estimate(
        outcome=_outcome(chance >= rules.min_probability, not missing, residual, line),
        version=VERSION,
        day=day,
        missing=missing,
        probability=chance,
        required_kwh=energy,
        required_gbp=cost,
        factor=factor,
        residual_gbp=residual,
        line_gbp=line,
        indicator=_indicator(given, cost),
        price=price,
        median=median,
    )


def _cost(energy: Range, price: DatedPrice | None) -> Range | None:
    if price is None or energy.low is None or energy.high is None:
        return None
    standing = DAYS * price.standing_gbp_per_day
    return Range(
        energy.low * price.rate_gbp_per_kwh + standing,
        energy.high * price.rate_gbp_per_kwh + standing,
    )


def _residual(given: Household, cost: Range | None, factor: Factor) -> Range:
    """Return equivalised residual income; what is not given leaves an end open."""
    if given.income_gbp is None or cost is None or cost.low is None or cost.high is None:
        return Range(None, None)
    housing = given.housing_costs_gbp
    most = given.income_gbp - (housing or 0.0) - cost.low
    high = _shared(most, factor, least=False)
    least = None if housing is None else given.income_gbp - housing - cost.high
    return Range(None if least is None else _shared(least, factor, least=True), high)


def _shared(amount: float, factor: Factor, *, least: bool) -> float | None:
    """Return an amount over the factor, the least or the greatest it can be.

    More people share an amount above zero into less, and a shortfall into a smaller one.
    """
    smallest_factor = least is (amount < 0)
    if smallest_factor:
        return amount / factor.low
    if factor.high is not None:
        return amount / factor.high
    return 0.0


def _outcome(counted: bool, complete: bool, residual: Range, line: float | None) -> Outcome:
    if not counted:
        return Outcome.NOT_COUNTED
    if line is None:
        return Outcome.NOT_ENOUGH
    if residual.high is not None and residual.high < line:
        return Outcome.MAY_NEED_HELP
    if residual.low is not None and residual.low >= line:
        return Outcome.NO_SIGN
    return Outcome.UNCLEAR if complete else Outcome.NOT_ENOUGH


def _missing(
    given: Household, price: DatedPrice | None, median: DatedMedian | None
) -> tuple[str, ...]:
    found = {
        "income": given.income_gbp is None,
        "housing costs": given.housing_costs_gbp is None,
        "number of adults": given.adults is None,
        "number of children": given.children is None,
        "a price of electricity for this day": price is None,
        "an income line for this day": median is None,
    }
    return tuple(name for name, absent in found.items() if absent)


def _indicator(given: Household, cost: Range | None) -> Range:
    if given.income_gbp is None or given.housing_costs_gbp is None or cost is None:
        return Range(None, None)
    left = given.income_gbp - given.housing_costs_gbp
    if left <= 0 or cost.low is None or cost.high is None:
        return Range(None, None)
    return Range(cost.low / left, cost.high / left)
