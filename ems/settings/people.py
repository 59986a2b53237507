"""The file of rules about people: shape, ranges, and the way into the domain."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Annotated

from pydantic import Field

from ems.domain.errors import ConfigurationError, Fault
from ems.domain.people import (
    ColdHomeRules,
    DatedMedian,
    DatedPrice,
    FuelPovertyRules,
    PeopleRules,
    RatingSpread,
)
from ems.settings.quantities import (
    Between,
    Choice,
    Day,
    EpcBand,
    Percent,
    PriceP,
    StandingP,
    Text,
    Truth,
    Whole,
)
from ems.settings.section import Section, Version

_COLD = ColdHomeRules()
_WEEKS = 365.25 / 7.0
UNDATED = (
    "heat_kwh_per_m2",
    "other_kwh_per_m2",
    "seasonal_performance",
    "line_share",
    "equivalence",
    "rating_spread",
    "indicator_share",
)
"""Figures that state their source by name."""

Hour = Annotated[int, Whole("an hour of the day", 0, 24)]
Month = Annotated[int, Whole("a month", 1, 12)]
Days = Annotated[int, Whole("a number of days", 1, 400)]
DemandPerM2 = Annotated[float, Between("kWh/m²", 1, 800)]
Performance = Annotated[float, Between("", 0.8, 8)]
Factor = Annotated[float, Between("", 0.05, 2)]
Rating = Annotated[float, Between("points", 1, 100)]
FigureName = Annotated[str, Choice(UNDATED)]


class ColdHomeSection(Section):
    """Figures of `COLD_HOME`."""

    threshold_c: Annotated[float, Between("°C", 14, 24)] = Field(
        _COLD.threshold_c, description="Below this a living room counts as cold."
    )
    day_from_h: Hour = Field(_COLD.day_from_h, description="Local hour at which day-time begins.")
    day_to_h: Hour = Field(_COLD.day_to_h, description="Local hour at which day-time ends.")
    window_days: Annotated[int, Whole("a number of days", 1, 28)] = Field(
        _COLD.window_days, description="Whole local days looked at."
    )
    cold_share_pct: Percent = Field(
        100 * _COLD.cold_share, description="Share of the measured day-time that must be cold."
    )
    min_coverage_pct: Annotated[float, Between("%", 50, 100)] = Field(
        100 * _COLD.min_coverage, description="Share of the day-time that must be measured."
    )
    months: list[Month] = Field(list(_COLD.months), description="Months in which the rule speaks.")
    chosen_share_pct: Percent = Field(
        100 * _COLD.chosen_share,
        description="Share of the cold hours that a resident's choice must explain.",
    )
    chosen_margin_k: Annotated[float, Between("K", 0, 5)] = Field(
        _COLD.chosen_margin_k,
        description="A choice explains hours in which the room was at most this far below it.",
    )
    dismissed_days: Days = Field(
        _COLD.dismissed_days,
        description="How long a dismissed flag is not raised again unless it gets worse.",
    )
    keep_days: Days = Field(
        _COLD.keep_days,
        description="After how long without a finding an unconfirmed flag is deleted.",
    )


class DemandRangeSection(Section):
    """Low and high end of an energy for each m² and year."""

    low: DemandPerM2 = Field(description="Low end.")
    high: DemandPerM2 = Field(description="High end.")


class PerformanceRangeSection(Section):
    """Low and high end of a heat pump's seasonal performance."""

    low: Performance = Field(description="Low end.")
    high: Performance = Field(description="High end.")


class EquivalenceSection(Section):
    """Equivalence factors after housing costs."""

    first_adult: Factor = Field(description="First adult.")
    further_adult: Factor = Field(description="Each further person aged 14 or over.")
    child: Factor = Field(description="Each child under 14.")


class RatingSpreadSection(Section):
    """Standard deviation of a certificate's rating at two ratings."""

    low_rating: Rating = Field(description="The lower rating.")
    low_sd: Rating = Field(description="Standard deviation there.")
    high_rating: Rating = Field(description="The higher rating.")
    high_sd: Rating = Field(description="Standard deviation there.")


class PriceSection(Section):
    """Price of electricity in one stretch of days."""

    start: Day = Field(alias="from", description="First day.")
    end: Day = Field(alias="to", description="Last day.")
    rate_p_per_kwh: PriceP = Field(description="Price of a kilowatt-hour.")
    standing_p_per_day: StandingP = Field(description="Standing charge.")
    source: Text = Field(description="Whose figure it is.")
    to_verify: Truth = Field(description="Whether somebody has yet to check it at its source.")


class MedianSection(Section):
    """Median income used in one stretch of days."""

    start: Day = Field(alias="from", description="First day.")
    end: Day = Field(alias="to", description="Last day.")
    median_gbp_per_week: Annotated[float, Between("£/week", 100, 3000)] = Field(
        description="Median equivalised income after housing costs."
    )
    source: Text = Field(description="Whose figure it is.")
    to_verify: Truth = Field(description="Whether somebody has yet to check it at its source.")


class FuelPovertySection(Section):
    """Figures of the estimate "may need help"."""

    dated: Day = Field(description="Day to which the figures without days of their own belong.")
    sources: dict[FigureName, Text] = Field(description="Where each of them comes from, by name.")
    to_verify: list[FigureName] = Field(
        description="Those that somebody has yet to check at their source."
    )
    heat_kwh_per_m2: dict[EpcBand, DemandRangeSection] = Field(
        description="Heat for rooms and hot water in a year, by band."
    )
    other_kwh_per_m2: DemandRangeSection = Field(
        description="Electricity for everything else in a year."
    )
    seasonal_performance: PerformanceRangeSection = Field(
        description="Heat for each unit of electricity over a year."
    )
    line_share_pct: Percent = Field(description="Share of the median that is the line.")
    equivalence: EquivalenceSection = Field(description="Equivalence factors.")
    min_probability_pct: Percent = Field(
        description="The band counts as D or below from this probability on."
    )
    indicator_share_pct: Percent = Field(
        description="Share of income after housing costs in the older indicator."
    )
    rating_spread: RatingSpreadSection = Field(description="How rough a rating is.")
    prices: list[PriceSection] = Field(description="Prices by day.")
    medians: list[MedianSection] = Field(description="Median incomes by day.")


class PeopleFile(Section):
    """Figures of the rules about people."""

    version: Version = Field(description="Format of this file: 1.")
    cold_home: ColdHomeSection = Field(
        default_factory=lambda: ColdHomeSection.model_validate({}),
        description="Figures of COLD_HOME.",
    )
    fuel_poverty: FuelPovertySection | None = Field(
        None, description="Figures of the estimate; without them none is made."
    )


def people_rules(file: PeopleFile, path: Path) -> PeopleRules:
    """Return the rules that a checked file holds.

    Raises
    ------
    ConfigurationError
        Listing what its figures do not agree on.
    """
    faults = [*_cold_faults(file.cold_home)]
    if file.fuel_poverty is not None:
        faults += _poverty_faults(file.fuel_poverty)
    if faults:
        raise ConfigurationError(str(path), tuple(faults))
    cold = file.cold_home
    return PeopleRules(
        cold_home=ColdHomeRules(
            threshold_c=cold.threshold_c,
            day_from_h=cold.day_from_h,
            day_to_h=cold.day_to_h,
            window_days=cold.window_days,
            cold_share=cold.cold_share_pct / 100.0,
            min_coverage=cold.min_coverage_pct / 100.0,
            months=tuple(cold.months),
            chosen_share=cold.chosen_share_pct / 100.0,
            chosen_margin_k=cold.chosen_margin_k,
            dismissed_days=cold.dismissed_days,
            keep_days=cold.keep_days,
        ),
        fuel_poverty=None if file.fuel_poverty is None else _poverty(file.fuel_poverty),
    )


def _cold_faults(section: ColdHomeSection) -> list[Fault]:
    faults = []
    if section.day_from_h >= section.day_to_h:
        problem = f"the day-time ends at {section.day_to_h}:00, before it begins"
        remedy = "Let day_from_h be less than day_to_h."
        faults.append(Fault("cold_home.day_from_h", problem, section.day_from_h, remedy))
    if not section.months:
        problem, remedy = "the rule would never speak", "Name at least one month."
        faults.append(Fault("cold_home.months", problem, None, remedy))
    return faults


def _poverty_faults(section: FuelPovertySection) -> list[Fault]:
    faults = []
    missing = [band for band in "ABCDEFG" if band not in section.heat_kwh_per_m2]
    if missing:
        problem = f"bands without figures: {', '.join(missing)}"
        remedy = "Give low and high for each band from A to G."
        faults.append(Fault("fuel_poverty.heat_kwh_per_m2", problem, None, remedy))
    ranges: dict[str, DemandRangeSection | PerformanceRangeSection] = {
        f"heat_kwh_per_m2.{band}": figures for band, figures in section.heat_kwh_per_m2.items()
    }
    ranges["other_kwh_per_m2"] = section.other_kwh_per_m2
    ranges["seasonal_performance"] = section.seasonal_performance
    for name, figures in ranges.items():
        if figures.low > figures.high:
            problem, remedy = "the low end is above the high end", "Exchange low and high."
            faults.append(Fault(f"fuel_poverty.{name}.low", problem, figures.low, remedy))
    if section.rating_spread.low_rating >= section.rating_spread.high_rating:
        problem, remedy = "the lower rating is not the lower one", "Exchange the two ratings."
        where = "fuel_poverty.rating_spread.low_rating"
        faults.append(Fault(where, problem, section.rating_spread.low_rating, remedy))
    unsourced = [name for name in UNDATED if name not in section.sources]
    if unsourced:
        problem = f"figures without a source: {', '.join(unsourced)}"
        remedy = "Say where each figure comes from."
        faults.append(Fault("fuel_poverty.sources", problem, None, remedy))
    return [
        *faults,
        *_span_faults("prices", section.prices),
        *_span_faults("medians", section.medians),
    ]


def _span_faults(key: str, listed: Sequence[PriceSection | MedianSection]) -> list[Fault]:
    faults = []
    for index, one in enumerate(listed):
        where = f"fuel_poverty.{key}[{index}].from"
        if one.start > one.end:
            faults.append(
                Fault(where, "it begins after it ends", str(one.start), "Exchange from and to.")
            )
        if any(one.start <= other.end and other.start <= one.end for other in listed[:index]):
            remedy = "Let each day have one figure."
            faults.append(Fault(where, "these days have a figure already", str(one.start), remedy))
    return faults


def _poverty(section: FuelPovertySection) -> FuelPovertyRules:
    spread = section.rating_spread
    return FuelPovertyRules(
        heat_kwh_per_m2={
            band: (figures.low, figures.high) for band, figures in section.heat_kwh_per_m2.items()
        },
        other_kwh_per_m2=(section.other_kwh_per_m2.low, section.other_kwh_per_m2.high),
        seasonal_performance=(
            section.seasonal_performance.low,
            section.seasonal_performance.high,
        ),
        prices=tuple(
            DatedPrice(
                price.start,
                price.end,
                price.rate_p_per_kwh / 100.0,
                price.standing_p_per_day / 100.0,
                price.source,
                price.to_verify,
            )
            for price in section.prices
        ),
        medians=tuple(
            DatedMedian(
                one.start,
                one.end,
                one.median_gbp_per_week * _WEEKS,
                one.source,
                one.to_verify,
            )
            for one in section.medians
        ),
        line_share=section.line_share_pct / 100.0,
        first_adult=section.equivalence.first_adult,
        further_adult=section.equivalence.further_adult,
        child=section.equivalence.child,
        min_probability=section.min_probability_pct / 100.0,
        indicator_share=section.indicator_share_pct / 100.0,
        rating_spread=RatingSpread(
            spread.low_rating, spread.low_sd, spread.high_rating, spread.high_sd
        ),
        dated=section.dated,
        sources=dict(section.sources),
        to_verify=tuple(section.to_verify),
    )
