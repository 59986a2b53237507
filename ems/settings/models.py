"""The shape of an estate file: sections, keys, units and ranges.

What one value can be refused for stands here; what two values must agree on stands in
:mod:`ems.settings.checks`. Every description is also what a fault says of a missing key.
"""

from __future__ import annotations

from typing import Annotated, Any

from pydantic import Discriminator, Field, Tag

from ems.domain.fairness import PaymentRule
from ems.domain.rules import ControlRules
from ems.settings.aggregators import AggregatorSection
from ems.settings.alarms import AlarmsSection
from ems.settings.block_models import BlockSection, HeatPumpSection
from ems.settings.gateways import GatewaySection
from ems.settings.quantities import (
    Between,
    Choice,
    Day,
    EpcBand,
    FilePath,
    Identifier,
    Instant,
    Label,
    Minutes,
    Percent,
    PollS,
    PowerKw,
    PriceP,
    RoomC,
    ServiceAddress,
    StandingP,
    Text,
    TimeOfDay,
    Truth,
)
from ems.settings.section import Section, Version

_RULES = ControlRules()


class EstateSection(Section):
    """Who and where."""

    id: Identifier = Field(description="Short id of the estate.")
    name: Label = Field(description="What people call it.")
    time_zone: Text = Field(description="IANA time zone, e.g. Europe/London.")
    latitude: Annotated[float, Between("degrees", -90, 90)] = Field(
        description="Degrees north; negative in the south."
    )
    longitude: Annotated[float, Between("degrees", -180, 180)] = Field(
        description="Degrees east; negative in the west."
    )
    demonstration: Truth = Field(
        description="Whether the estate is simulated; every page then says so."
    )
    starts_at: Instant | None = Field(
        None,
        description="Instant, with its offset, at which a demonstration's time starts; "
        "only for a demonstration.",
    )


class DataSection(Section):
    """Files with weather, carbon intensity and holidays, or where weather comes from."""

    weather: FilePath | None = Field(None, description="CSV of weather; may be gzipped.")
    weather_url: ServiceAddress | None = Field(
        None,
        description="Address of a weather service that answers like Open-Meteo, in place of a "
        "file; not for a demonstration.",
    )
    weather_is_observed: Truth = Field(
        False, description="Whether the weather file holds observations instead of forecasts."
    )
    carbon: FilePath | None = Field(None, description="CSV of grid carbon intensity.")
    holidays: FilePath | None = Field(None, description="YAML list of bank holidays.")
    holidays_of: Text | None = Field(
        None,
        description="Whose bank holidays count, in place of a file: a country or a part of it, "
        "such as `GB-ENG`.",
    )


class ControlSection(Section):
    """Periods and margins of the control process."""

    poll_fast_s: PollS = Field(
        _RULES.poll_fast_s, description="Between two readings of fast points."
    )
    poll_normal_s: PollS = Field(
        _RULES.poll_normal_s, description="Between two readings of ordinary points."
    )
    poll_slow_s: PollS = Field(
        _RULES.poll_slow_s, description="Between two readings of slow points."
    )
    dispatch_s: Annotated[float, Between("s", 5, 300)] = Field(
        _RULES.dispatch_s, description="Between two rounds of setpoints."
    )
    plan_s: Annotated[float, Between("s", 300, 7200)] = Field(
        _RULES.plan_s, description="Between two plans."
    )
    plan_horizon_s: Annotated[float, Between("s", 86400, 172800)] = Field(
        _RULES.plan_horizon_s, description="How far a plan looks."
    )
    plan_max_age_s: Annotated[float, Between("s", 600, 86400)] = Field(
        _RULES.plan_max_age_s,
        description="A plan older than this is no longer followed.",
    )
    command_life_s: Annotated[float, Between("s", 60, 900)] = Field(
        _RULES.command_life_s, description="How long a setpoint holds unless it is renewed."
    )
    command_spread_s: Annotated[float, Between("s", 0, 3600)] = Field(
        _RULES.command_spread_s,
        description="Expiries are spread over the homes by up to this much.",
    )
    guard_after_s: Annotated[float, Between("s", 60, 900)] = Field(
        _RULES.guard_after_s,
        description="The guard acts when the control process was silent for this long.",
    )
    guard_period_s: Annotated[float, Between("s", 5, 300)] = Field(
        _RULES.guard_period_s, description="Between two looks of the guard."
    )
    preheat_max_k: Annotated[float, Between("K", 0, 5)] = Field(
        _RULES.preheat_max_k, description="Greatest preheating above a schedule."
    )
    event_return_s: Annotated[float, Between("s", 0, 1800)] = Field(
        _RULES.event_return_s,
        description="After an event homes come back spread over this much time.",
    )
    recovery_ratio: Annotated[float, Between("times", 1, 2)] = Field(
        _RULES.recovery_ratio,
        description="After an event import stays under so many times its peak without one.",
    )
    peak_p_per_kw_day: Annotated[float, Between("p/kW", 0, 1000)] = Field(
        _RULES.peak_p_per_kw_day,
        description="What a plan counts for each kW of a block's highest half-hour of the day.",
    )
    peak_gbp_per_kw_month: Annotated[float, Between("£/kW", 0, 100)] = Field(
        _RULES.peak_gbp_per_kw_month,
        description="The same for each kW of the month's highest half-hour.",
    )
    discomfort_gbp_per_kh: Annotated[float, Between("£/(K h)", 0.05, 10)] = Field(
        _RULES.discomfort_gbp_per_kh,
        description="What a plan counts for each kelvin-hour that a room is below its schedule.",
    )
    carbon_gbp_per_t: Annotated[float, Between("£/t", 0, 2000)] = Field(
        _RULES.carbon_gbp_per_t,
        description="What a plan counts for each tonne of CO2 of imported electricity.",
    )
    ahead_credit_pct: Percent = Field(
        _RULES.ahead_credit_pct,
        description="Share of a tenant's rate credited for heating ahead that saves others money.",
    )
    fairness_strength: Annotated[float, Between("times", 0, 10)] = Field(
        _RULES.fairness_strength,
        description="How far turn-downs spare a home that bore twice its share; 0 spares nobody.",
    )
    fairness_vulnerable_share: Annotated[float, Between("share", 0, 1)] = Field(
        _RULES.fairness_vulnerable_share,
        description="Share of events of a home with a vulnerability marker; others have 1.",
    )
    event_tenants_pct: Percent = Field(
        _RULES.event_tenants_pct,
        description="Part of what events are paid that goes to the homes that took part.",
    )
    event_payment_rule: Annotated[str, Choice(tuple(PaymentRule))] = Field(
        _RULES.event_payment_rule,
        description="How homes divide it: equally by time, or by the burden each bore.",
    )
    event_least_kw: Annotated[float, Between("kW", 0.1, 100)] = Field(
        _RULES.event_least_kw,
        description="No event is accepted below this, where its product names no other least.",
    )
    event_least_share: Annotated[float, Between("times", 0, 5)] = Field(
        _RULES.event_least_share,
        description="Nor below so many times what the block's use may differ from its plan by.",
    )
    event_confidence: Annotated[float, Between("share", 0.6, 0.99)] = Field(
        _RULES.event_confidence,
        description="Share of half-hours whose own use lies within what a promise allows for.",
    )
    raw_retention_days: Annotated[float, Between("days", 1, 400)] = Field(
        _RULES.raw_retention_days,
        description="How long single readings, forecasts and plans are kept.",
    )
    dry_run: Truth = Field(
        _RULES.dry_run, description="Compute and record every setpoint and write none."
    )
    away_c: RoomC = Field(_RULES.away_c, description="What an empty home is kept at.")
    warmest_c: RoomC = Field(_RULES.warmest_c, description="The most a resident can ask for.")
    gentle_tests: Truth = Field(
        _RULES.gentle_tests,
        description="Whether a home whose readings cannot tell how it keeps its warmth may be "
        "tested for one night, 1 K lower at most; its resident can refuse.",
    )
    touch_hold_s: Annotated[float, Between("s", 600, 86400)] = Field(
        _RULES.touch_hold_s,
        description="How long a change made at a heat pump is kept, at most.",
    )


class PeriodSection(Section):
    """From a time of day until the next period."""

    start: TimeOfDay = Field(alias="from", description="Local time at which the period starts.")
    temperature_c: RoomC = Field(description="Living-room temperature asked for.")


class ComfortSection(Section):
    """One comfort schedule."""

    ceiling_k: Annotated[float, Between("K", 0, 5)] = Field(
        description="How far above the schedule preheating may go."
    )
    weekday: list[PeriodSection] = Field(description="Periods from Monday to Friday.")
    weekend: list[PeriodSection] = Field(description="Periods on Saturday and Sunday.")


class BandSection(Section):
    """From a time of day until the next band."""

    start: TimeOfDay = Field(alias="from", description="Local time at which the band starts.")
    rate_p_per_kwh: PriceP = Field(description="Rate of imported energy.")


class FlatSection(Section):
    """One rate at all times."""

    kind: Annotated[str, Choice(("flat",))] = Field(description="flat")
    rate_p_per_kwh: PriceP = Field(description="Rate of imported energy.")
    standing_p_per_day: StandingP = Field(description="Standing charge.")


class TimeOfUseSection(Section):
    """Rates by time of day."""

    kind: Annotated[str, Choice(("time_of_use",))] = Field(description="time_of_use")
    standing_p_per_day: StandingP = Field(description="Standing charge.")
    weekday: list[BandSection] = Field(description="Bands from Monday to Friday.")
    weekend: list[BandSection] = Field(description="Bands on Saturday and Sunday.")


class DynamicSection(Section):
    """A published rate for each half-hour."""

    kind: Annotated[str, Choice(("dynamic",))] = Field(description="dynamic")
    file: FilePath = Field(
        description="CSV with the columns start_utc and gbp_per_kwh; may be gzipped."
    )
    standing_p_per_day: StandingP = Field(description="Standing charge.")


TARIFF_KINDS = ("flat", "time_of_use", "dynamic")


def tariff_kind(raw: Any) -> str | None:
    """Return the kind that a tariff as written says it is; ``None`` where it says none."""
    kind = raw.get("kind") if isinstance(raw, dict) else getattr(raw, "kind", None)
    return kind if isinstance(kind, str) and kind in TARIFF_KINDS else None


TariffSection = Annotated[
    Annotated[FlatSection, Tag("flat")]
    | Annotated[TimeOfUseSection, Tag("time_of_use")]
    | Annotated[DynamicSection, Tag("dynamic")],
    Discriminator(tariff_kind),
]


class ProductSection(Section):
    """A demand-response product."""

    name: Label = Field(description="What people call it.")
    direction: Annotated[str, Choice(("down", "up"))] = Field(
        description="down (use less) or up (use more)."
    )
    min_power_kw: PowerKw = Field(description="Least power of an event.")
    min_notice_min: Minutes = Field(description="Least time between notice and start.")
    min_duration_min: Minutes = Field(description="Shortest event.")
    max_duration_min: Minutes = Field(description="Longest event.")
    utilisation_p_per_kwh: PriceP = Field(description="Paid for energy delivered.")
    availability_p_per_kw_h: Annotated[float, Between("p/(kW·h)", 0, 300)] = Field(
        description="Paid for power held ready."
    )
    full_payment_pct: Percent = Field(description="Delivery from which all is paid.")
    no_payment_pct: Percent = Field(description="Delivery up to which nothing is paid.")


class EstateFile(Section):
    """A whole estate file."""

    version: Version = Field(description="Format of this file: 1.")
    estate: EstateSection = Field(description="Who and where.")
    profiles: FilePath = Field(description="Folder of device profiles.")
    thermal_priors: FilePath = Field(description="File of thermal priors by EPC band.")
    people_rules: FilePath | None = Field(
        None, description="File with figures of the rules about people."
    )
    data: DataSection = Field(
        default_factory=lambda: DataSection.model_validate({}),
        description="Files with weather, carbon and holidays.",
    )
    control: ControlSection = Field(
        default_factory=lambda: ControlSection.model_validate({}),
        description="Periods and margins of control.",
    )
    alarms: AlarmsSection = Field(
        default_factory=lambda: AlarmsSection.model_validate({}),
        description="When alarms open and close, and whom they reach.",
    )
    comfort_schedules: dict[Identifier, ComfortSection] = Field(description="Schedules by name.")
    tariffs: dict[Identifier, TariffSection] = Field(description="Tariffs by name.")
    products: dict[Identifier, ProductSection] = Field(
        default_factory=dict, description="Demand-response products by name."
    )
    aggregators: dict[Identifier, AggregatorSection] = Field(
        default_factory=dict, description="Who may send events, by id."
    )
    gateways: dict[Identifier, GatewaySection] = Field(description="Gateways by id.")
    confirmed_writes: list[Text] = Field(
        default_factory=list,
        description="Points with an uncertain address that may be written, as `profile.point`.",
    )
    heat_pumps: dict[Identifier, HeatPumpSection] = Field(description="Nameplates by name.")
    blocks: list[BlockSection] = Field(description="The blocks.")


class PriorSection(Section):
    """What one EPC band says."""

    loss_w_per_k_m2: Annotated[float, Between("W/(K·m²)", 0.2, 8)] = Field(
        description="Heat loss for each m² of floor."
    )
    capacity_wh_per_k_m2: Annotated[float, Between("Wh/(K·m²)", 5, 200)] = Field(
        description="Heat capacity for each m² of floor."
    )
    spread: Annotated[float, Between("", 0.01, 1)] = Field(
        description="Relative standard deviation of both."
    )


class PriorsFile(Section):
    """Thermal priors by EPC band."""

    version: Version = Field(description="Format of this file: 1.")
    source: Text = Field(description="Where the figures come from.")
    dated: Day = Field(description="When they were set.")
    default_assumption: Truth = Field(
        description="Whether they are assumptions instead of this estate's own surveys."
    )
    bands: dict[EpcBand, PriorSection] = Field(description="Figures of each band, A to G.")


class HolidaySection(Section):
    """One bank holiday."""

    date: Day = Field(description="The day.")
    was: Label | None = Field(None, description="Note for people; not used.")


class HolidaysFile(Section):
    """Days that count as bank holidays."""

    holidays: list[HolidaySection] = Field(description="The days.")
