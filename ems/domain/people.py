"""People: flags and their life, what tenants chose to give, and the rules' figures.

A flag says that a person should look; it never says what is so about a household, and
nothing about a flag may change how a home is heated against its tenant.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import date, datetime
from enum import StrEnum

from ems.domain.errors import InvalidInputError


class FlagKind(StrEnum):
    """Which rule raised a flag."""

    COLD_HOME = "COLD_HOME"


class Verdict(StrEnum):
    """What a rule says of one home and one window."""

    SEVERE = "severe"
    COLD = "cold"
    NOT_ENOUGH_DATA = "not_enough_data"
    WARM = "warm"
    OUT_OF_SEASON = "out_of_season"

    @property
    def is_found(self) -> bool:
        """Whether a person should look."""
        return self in (Verdict.SEVERE, Verdict.COLD, Verdict.NOT_ENOUGH_DATA)


class Source(StrEnum):
    """Where a resident's choice can be read."""

    WISH = "wish"
    """Asked for on the home's page."""
    SCHEDULE = "schedule"
    """The resident's own schedule."""
    DIAL = "dial"
    """Set at the heat pump itself."""


@dataclass(frozen=True, slots=True)
class ChoiceEvidence:
    """How far one of the resident's choices explains the cold hours.

    Attributes
    ----------
    source
        Where it was read.
    asked_c
        Median of what it asked for in the cold hours [°C]; ``None`` where it is not known.
    explained_h
        Cold hours in which it asked for less than the threshold and the room was about there.
    """

    source: Source
    asked_c: float | None
    explained_h: float


@dataclass(frozen=True, slots=True)
class ColdHomeEvidence:
    """What `COLD_HOME` looked at and what it found in one window.

    Attributes
    ----------
    start, end
        The window, UTC: whole local days.
    expected_h, measured_h
        Hours of the day-time in the window, and those with a reading [h].
    below_h
        Measured day-time hours below the threshold [h].
    lowest_c, highest_c, mean_c
        Half-hour means of the living room [°C]: extremes over the whole window, mean over
        the day-time; ``None`` where nothing was measured.
    choices
        One entry for each source that could be read.
    chosen
        Sources that explain most of the cold hours; empty where none does.
    """

    start: datetime
    end: datetime
    expected_h: float
    measured_h: float
    below_h: float
    lowest_c: float | None
    highest_c: float | None
    mean_c: float | None
    choices: tuple[ChoiceEvidence, ...] = ()
    chosen: tuple[Source, ...] = ()

    @property
    def coverage(self) -> float:
        """Share of the day-time that was measured, 0 to 1."""
        return self.measured_h / self.expected_h if self.expected_h else 0.0


@dataclass(frozen=True, slots=True)
class ColdHomeRules:
    """Figures of `COLD_HOME`.

    Attributes
    ----------
    threshold_c
        Below this a living room counts as cold [°C].
    day_from_h, day_to_h
        Day-time, local hours.
    window_days
        Days looked at.
    cold_share
        Share of the measured day-time below the threshold that counts as found.
    min_coverage
        Share of the day-time that must be measured.
    months
        Months in which the rule speaks.
    chosen_share
        Share of the cold hours that a choice must explain.
    chosen_margin_k
        A choice explains an hour in which the room was at most this far below it [K].
    dismissed_days
        A dismissed flag is not raised again for as long, unless it gets worse.
    keep_days
        Flags nobody confirmed are deleted when nothing was found for as long.
    """

    threshold_c: float = 18.0
    day_from_h: int = 7
    day_to_h: int = 23
    window_days: int = 7
    cold_share: float = 0.5
    min_coverage: float = 0.8
    months: tuple[int, ...] = (10, 11, 12, 1, 2, 3)
    chosen_share: float = 0.5
    chosen_margin_k: float = 1.0
    dismissed_days: int = 28
    keep_days: int = 90


class FlagState(StrEnum):
    """Where a flag stands in its life."""

    RAISED = "raised"
    REVIEWED = "reviewed"
    CONFIRMED = "confirmed"
    DISMISSED = "dismissed"
    CLOSED = "closed"


FLAG_TRANSITIONS: Mapping[FlagState, frozenset[FlagState]] = {
    FlagState.RAISED: frozenset({FlagState.REVIEWED}),
    FlagState.REVIEWED: frozenset({FlagState.CONFIRMED, FlagState.DISMISSED}),
    FlagState.CONFIRMED: frozenset({FlagState.CLOSED}),
    FlagState.DISMISSED: frozenset({FlagState.CLOSED}),
    FlagState.CLOSED: frozenset(),
}
"""Permitted steps of a flag; each needs a person and a reason."""


class FlagStepError(InvalidInputError):
    """A step that a flag's life does not permit."""


@dataclass(frozen=True, slots=True)
class FlagStep:
    """One step of a flag's life: who, when, why; never rewritten."""

    at: datetime
    state: FlagState
    by: str
    reason: str


@dataclass(frozen=True, slots=True)
class Flag:
    """A flag on a home.

    Attributes
    ----------
    id
        Unique, sortable by time.
    dwelling_id, kind
        Which home, which rule.
    rule_version
        Version of the rule that raised it.
    verdict, evidence
        What was found when it was raised, or lastly by the nightly rule.
    raised_evidence
        What was found when it was raised; stays as it was.
    inputs
        The points and records the rule read, and its figures, by name.
    steps
        Its life so far, oldest first; the first is the rule's own.
    last_found_at
        When the nightly rule last found it, UTC.
    objections
        What the tenant said against it: when and in which words, oldest first.
    """

    id: str
    dwelling_id: str
    kind: FlagKind
    rule_version: str
    verdict: Verdict
    evidence: ColdHomeEvidence
    raised_evidence: ColdHomeEvidence
    inputs: Mapping[str, str]
    steps: tuple[FlagStep, ...]
    last_found_at: datetime
    objections: tuple[FlagStep, ...] = ()

    @property
    def state(self) -> FlagState:
        """Where it stands."""
        return self.steps[-1].state

    @property
    def raised_at(self) -> datetime:
        """When it was raised, UTC."""
        return self.steps[0].at

    @property
    def is_open(self) -> bool:
        """Whether somebody still has something to do."""
        return self.state in (FlagState.RAISED, FlagState.REVIEWED, FlagState.CONFIRMED)


class Purpose(StrEnum):
    """What a tenant's own details are given for."""

    ENERGY_COST_HELP = "energy_cost_help"
    """To see whether help with energy costs may be due."""


@dataclass(frozen=True, slots=True)
class Household:
    """What a tenant chose to give; ``None`` where they did not.

    Attributes
    ----------
    income_gbp
        Yearly income of all in the home after tax, with benefits [£/year].
    housing_costs_gbp
        Yearly rent, service charges, mortgage interest [£/year].
    adults, children
        People aged 14 and over, and under 14.
    """

    income_gbp: float | None = None
    housing_costs_gbp: float | None = None
    adults: int | None = None
    children: int | None = None


@dataclass(frozen=True, slots=True)
class Consent:
    """A tenant's permission to use what they gave, for one purpose.

    Withdrawing deletes the details; what stays is that there was a consent and when it ended.

    Attributes
    ----------
    dwelling_id, purpose
        Whose, and for what.
    given_at, given_by
        When and by which account.
    wording
        The words that were agreed to.
    household
        What was given; ``None`` after a withdrawal.
    withdrawn_at
        When it ended, UTC; ``None`` while it holds.
    """

    dwelling_id: str
    purpose: Purpose
    given_at: datetime
    given_by: str
    wording: str
    household: Household | None
    withdrawn_at: datetime | None = None

    @property
    def holds(self) -> bool:
        """Whether what was given may be used."""
        return self.withdrawn_at is None and self.household is not None


@dataclass(frozen=True, slots=True)
class RatingSpread:
    """Standard deviation of a certificate's rating at two ratings, straight between them.

    Attributes
    ----------
    low_rating, low_sd, high_rating, high_sd
        Points of the SAP scale.
    """

    low_rating: float
    low_sd: float
    high_rating: float
    high_sd: float


@dataclass(frozen=True, slots=True)
class DatedPrice:
    """Price of electricity on the days from ``start`` to ``end``, both included.

    ``rate_gbp_per_kwh`` [£/kWh], ``standing_gbp_per_day`` [£/day]; ``source`` says whose,
    ``to_verify`` that nobody has checked it against the primary source yet.
    """

    start: date
    end: date
    rate_gbp_per_kwh: float
    standing_gbp_per_day: float
    source: str
    to_verify: bool


@dataclass(frozen=True, slots=True)
class DatedMedian:
    """Median equivalised income after housing costs [£/year] used from ``start`` to ``end``."""

    start: date
    end: date
    median_gbp_per_year: float
    source: str
    to_verify: bool


@dataclass(frozen=True, slots=True)
class FuelPovertyRules:
    """Figures of the estimate "may need help".

    Attributes
    ----------
    heat_kwh_per_m2
        Heat that keeps a home of a band warm and in hot water: low and high end
        [kWh/(m²·year)].
    other_kwh_per_m2
        Electricity for everything else, low and high end [kWh/(m²·year)].
    seasonal_performance
        Heat per electricity of a heat pump over a year, low and high end [-].
    prices, medians
        Dated; a day that none covers has no price or no line.
    line_share
        Share of the median that is the line [-].
    first_adult, further_adult, child
        Equivalence factors after housing costs [-].
    min_probability
        The band counts as D or below from this probability on [-].
    indicator_share
        Share of the income after housing costs in the older indicator [-].
    rating_spread
        How rough a certificate's rating is.
    dated
        Day to which the undated figures belong.
    sources
        Where each undated figure comes from, by its name.
    to_verify
        Names of undated figures that nobody has checked against the primary source yet.
    """

    heat_kwh_per_m2: Mapping[str, tuple[float, float]]
    other_kwh_per_m2: tuple[float, float]
    seasonal_performance: tuple[float, float]
    prices: tuple[DatedPrice, ...]
    medians: tuple[DatedMedian, ...]
    line_share: float
    first_adult: float
    further_adult: float
    child: float
    min_probability: float
    indicator_share: float
    rating_spread: RatingSpread
    dated: date
    sources: Mapping[str, str] = field(default_factory=dict)
    to_verify: tuple[str, ...] = ()

    def price_on(self, day: date) -> DatedPrice | None:
        """Return the price that covers ``day``; ``None`` where none does."""
        return next((price for price in self.prices if price.start <= day <= price.end), None)

    def median_on(self, day: date) -> DatedMedian | None:
        """Return the median that is used on ``day``; ``None`` where there is none."""
        return next((one for one in self.medians if one.start <= day <= one.end), None)


@dataclass(frozen=True, slots=True)
class PeopleRules:
    """Figures of all rules about people; without ``fuel_poverty`` no estimate is made."""

    cold_home: ColdHomeRules = field(default_factory=ColdHomeRules)
    fuel_poverty: FuelPovertyRules | None = None
