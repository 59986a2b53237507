"""The estimate "may need help" as rows of inputs, arithmetic and uncertainty; audit rows."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime

from ems.domain.estate import Dwelling, Estate
from ems.domain.people import FuelPovertyRules, Household
from ems.domain.ports import LogEntry, Store
from ems.people.fuel_poverty import Estimate, Outcome, Range
from ems.people.words import percent
from web.audit import VIEWED
from web.format import money, number

OUTCOMES = {
    Outcome.MAY_NEED_HELP: "May need help",
    Outcome.UNCLEAR: "Cannot be told: the range lies on both sides of the line",
    Outcome.NO_SIGN: "No sign by this measure",
    Outcome.NOT_COUNTED: "This measure does not count homes in bands A to C",
    Outcome.NOT_ENOUGH: "Not enough information",
}
PAGES = {
    "operator.home": "Home's page for staff",
    "operator.block": "Block's page, with all its homes",
    "operator.device": "Device's page",
    "tenant.today": "Today",
    "tenant.past": "My past",
    "tenant.warmth": "Warmth",
    "tenant.heating": "My heating",
    "people.worklist": "Worklist of flags",
    "people.case": "Case",
    "mine.flags": "My flags",
    "mine.looked": "Who looked",
    "mine.costs": "Help with energy costs",
}
NO_REASON = "none asked for on this page"


@dataclass(frozen=True, slots=True)
class LookRow:
    """One row of who looked: when, who, at what, why, and whether it was refused."""

    at: datetime
    by: str
    role: str
    subject: str
    page: str
    reason: str
    refused: bool


@dataclass(frozen=True, slots=True)
class EstimateView:
    """An estimate for a page: its answer, what it rests on, and what is rough about it."""

    words: str
    outcome: Outcome
    missing: tuple[str, ...]
    given: tuple[tuple[str, str], ...]
    sums: tuple[tuple[str, str], ...]
    indicator: str
    sources: tuple[str, ...]


def looks(
    store: Store, since: datetime, until: datetime, subjects: frozenset[str] | None = None
) -> list[LookRow]:
    """Return who looked in [since, until), newest first, at these homes and blocks or at all."""
    return [
        _look(entry)
        for entry in store.log_entries(since, until, VIEWED, limit=20_000)
        if subjects is None or entry.subject in subjects
    ]


def _look(entry: LogEntry) -> LookRow:
    detail = entry.detail
    page = str(detail.get("page", ""))
    return LookRow(
        at=entry.at,
        by=str(detail.get("by", "")),
        role=str(detail.get("role", "")),
        subject=entry.subject,
        page=PAGES.get(page, page.rpartition(".")[2].replace("_", " ").capitalize()),
        reason=str(detail.get("reason", "")) or NO_REASON,
        refused=bool(detail.get("refused", False)),
    )


def estimate_view(
    estate: Estate, home: Dwelling, household: Household | None, found: Estimate | None
) -> EstimateView | None:
    """Return an estimate in words; ``None`` where the estate has no figures for it."""
    rules = estate.people.fuel_poverty
    if rules is None or found is None:
        return None
    return EstimateView(
        words=OUTCOMES[found.outcome],
        outcome=found.outcome,
        missing=found.missing,
        given=_given(household),
        sums=tuple(_sums(home, found, rules)),
        indicator=_indicator(found, rules),
        sources=tuple(_sources(found, rules)),
    )


def _given(household: Household | None) -> tuple[tuple[str, str], ...]:
    given = household or Household()
    none = "not given"

    def count(value: int | None) -> str:
        return none if value is None else str(value)

    return (
        ("Income a year, after tax", _pounds(given.income_gbp, none)),
        ("Housing costs a year", _pounds(given.housing_costs_gbp, none)),
        ("People aged 14 or over", count(given.adults)),
        ("Children under 14", count(given.children)),
    )


def _pounds(value: float | None, none: str) -> str:
    return none if value is None else money(value).removesuffix(".00")


def between(ends: Range | None, unit: str = "£") -> str:
    """Return a range as words; an open end is said."""
    if ends is None or (ends.low is None and ends.high is None):
        return "not known"
    low = None if ends.low is None else _figure(ends.low, unit)
    high = None if ends.high is None else _figure(ends.high, unit)
    if low is None:
        return f"at most {high}"
    if high is None:
        return f"at least {low}"
    return low if low == high else f"{low} to {high}"


def _figure(value: float, unit: str) -> str:
    return money(round(value, -1)).removesuffix(".00") if unit == "£" else number(value, 0, unit)


def _sums(home: Dwelling, found: Estimate, rules: FuelPovertyRules) -> list[tuple[str, str]]:
    heat = rules.heat_kwh_per_m2[home.epc_band]
    other, performance = rules.other_kwh_per_m2, rules.seasonal_performance
    factor = f"{found.factor.low:.2f}" + ("" if found.factor.high is not None else " or more")
    return [
        (
            "Band D or below",
            f"{percent(found.probability)} likely: the certificate says {home.epc_band}, and "
            f"ratings are rough. It counts from {percent(rules.min_probability)} on.",
        ),
        (
            "Electricity needed to keep the home warm",
            f"{between(found.required_kwh, 'kWh')} a year: {home.floor_area_m2:g} m² × "
            f"({heat[0]:g} to {heat[1]:g} kWh heat ÷ {performance[1]:g} to {performance[0]:g} "
            f"+ {other[0]:g} to {other[1]:g} kWh for everything else)",
        ),
        (
            "What that costs",
            "no price covers this day"
            if found.price is None
            else f"{between(found.required_gbp)} a year at "
            f"{found.price.rate_gbp_per_kwh * 100:.2f}p per kWh and "
            f"{found.price.standing_gbp_per_day * 100:.2f}p a day",
        ),
        (
            "Size of the household",
            f"factor {factor}: {rules.first_adult:g} for the first adult, "
            f"{rules.further_adult:g} for each other aged 14 or over, {rules.child:g} a child",
        ),
        (
            "Left after housing and needed energy",
            f"{between(found.residual_gbp)} a year: (income − housing − energy) ÷ factor",
        ),
        (
            "Compared with",
            "no line covers this day"
            if found.line_gbp is None or found.median is None
            else f"{_figure(found.line_gbp, '£')} a year: {percent(rules.line_share)} of the "
            f"median of {_figure(found.median.median_gbp_per_year, '£')}",
        ),
    ]


def _indicator(found: Estimate, rules: FuelPovertyRules) -> str:
    limit = percent(rules.indicator_share)
    low, high = found.indicator.low, found.indicator.high
    if low is None or high is None:
        return f"The older {limit} indicator cannot be worked out from what was given."
    if low > rules.indicator_share:
        side = "above"
    elif high <= rules.indicator_share:
        side = "not above"
    else:
        side = "on both sides of"
    return (
        f"By the older indicator, needed energy would take {percent(low)} to {percent(high)} of "
        f"income after housing: {side} {limit}."
    )


def _sources(found: Estimate, rules: FuelPovertyRules) -> list[str]:
    def checked(name: str, source: str, to_verify: bool) -> str:
        return f"{name}: {source.rstrip('.')}{' (not checked yet)' if to_verify else ''}."

    listed = [
        checked(name.replace("_", " ").capitalize(), source, name in rules.to_verify)
        for name, source in rules.sources.items()
    ]
    if found.price is not None:
        listed.append(checked("Price", found.price.source, found.price.to_verify))
    if found.median is not None:
        listed.append(checked("Median", found.median.source, found.median.to_verify))
    return [f"Rule {found.version}, figures of {rules.dated:%-d %B %Y}.", *listed]
