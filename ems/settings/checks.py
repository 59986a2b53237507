"""What several values of an estate file must agree on, run on whatever could be read."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from datetime import datetime, timedelta
from pathlib import Path
from typing import TypeVar
from zoneinfo import ZoneInfo

from ems.domain.errors import ConfigurationError, InvalidInputError
from ems.domain.holidays import bank_holidays
from ems.domain.rules import ControlRules
from ems.domain.time import floor_to
from ems.settings.aggregators import check_aggregators
from ems.settings.alarms import check_alarms
from ems.settings.checks_blocks import check_blocks
from ems.settings.gateways import check_gateways
from ems.settings.nodes import Node
from ems.settings.profiles import load_profiles
from ems.settings.quantities import parse_instant, parse_time_of_day
from ems.settings.sources import (
    CARBON_COLUMNS,
    WEATHER_COLUMNS,
    SourceError,
    Sources,
    check_table,
    read_holidays,
    read_people,
    read_priors,
    read_rates,
)

_T = TypeVar("_T")

MAX_COMMAND_S = 900.0
"""Setpoints expire within 15 minutes, spread included [s]."""

_RULES = ControlRules()


def run_checks(root: Node, folder: Path) -> Sources:
    """Check what sections must agree on; return what the named files hold."""
    sources = Sources()
    _estate(root["estate"])
    _control(root["control"])
    check_gateways(root, folder)
    check_alarms(root["alarms"])
    _products(root["products"])
    _schedules(root["comfort_schedules"])
    _tariff_bands(root["tariffs"])
    _files(root, folder, sources)
    check_blocks(root, sources.profiles)
    check_aggregators(root)
    return sources


def _estate(estate: Node) -> None:
    zone = estate["time_zone"].text()
    if zone is not None:
        try:
            ZoneInfo(zone)
        except (KeyError, ValueError, OSError):
            remedy = "Use a name of the IANA list, e.g. Europe/London."
            estate["time_zone"].refuse("this time zone is not known", remedy)
    starts_at = estate["starts_at"]
    if estate["demonstration"].truth() is True and not starts_at.exists:
        remedy = "Give the instant at which it starts, e.g. 2023-12-01T12:00:00Z."
        starts_at.refuse("a demonstration has no start", remedy)
    if estate["demonstration"].truth() is False and starts_at.exists:
        remedy = "Take starts_at out; a real estate runs on the present time."
        starts_at.refuse("only a demonstration has a start of its own", remedy)


def _control(control: Node) -> None:
    def seconds(key: str) -> float | None:
        return control[key].number(default=float(getattr(_RULES, key)))

    def at_least(key: str, other: str, remedy: str) -> None:
        value, least = seconds(key), seconds(other)
        if value is not None and least is not None and value < least:
            control[key].refuse(f"this is shorter than {other} ({least:g} s)", remedy)

    life, spread = seconds("command_life_s"), seconds("command_spread_s")
    if life is not None and spread is not None and life + spread > MAX_COMMAND_S:
        problem = f"setpoints would last up to {life + spread:g} s"
        remedy = f"Keep command_life_s + command_spread_s within {MAX_COMMAND_S:g} s."
        where = "command_life_s" if control["command_life_s"].exists else "command_spread_s"
        control[where].refuse(problem, remedy)
    at_least("command_life_s", "dispatch_s", "A setpoint must last until it is renewed.")
    at_least("plan_max_age_s", "plan_s", "A plan must last until the next one.")
    at_least("plan_horizon_s", "plan_max_age_s", "A plan must reach as far as it is followed.")
    at_least("guard_after_s", "dispatch_s", "Give the control process one round of dispatch.")
    at_least("poll_normal_s", "poll_fast_s", "Ordinary points are read no oftener than fast ones.")
    at_least("poll_slow_s", "poll_normal_s", "Slow points are read no oftener than ordinary ones.")


def _products(products: Node) -> None:
    for _, product in products.entries():
        shortest, longest = product["min_duration_min"], product["max_duration_min"]
        low, high = shortest.number(), longest.number()
        if low is not None and high is not None and low > high:
            problem = f"the shortest event is longer than the longest ({high:g} min)"
            shortest.refuse(problem, "Let min_duration_min be at most max_duration_min.")
        if high == 0:
            longest.refuse("events would have no length", "Give the longest event in minutes.")
        full, none = product["full_payment_pct"].number(), product["no_payment_pct"].number()
        if full is not None and none is not None and none >= full:
            problem = f"nothing is paid up to {none:g} %, but all from {full:g} %"
            remedy = "Let no_payment_pct be below full_payment_pct."
            product["no_payment_pct"].refuse(problem, remedy)


def _schedules(schedules: Node) -> None:
    for _, schedule in schedules.entries():
        for day in ("weekday", "weekend"):
            _whole_day(schedule[day], "the temperature")


def _tariff_bands(tariffs: Node) -> None:
    for _, tariff in tariffs.entries():
        if tariff["kind"].text() == "time_of_use":
            for day in ("weekday", "weekend"):
                _whole_day(tariff[day], "the rate")


def _whole_day(periods: Node, what: str) -> None:
    """Refuse periods that leave a part of the day open or do not rise."""
    if periods.value == []:
        problem, remedy = f"{what} is not given for any time", 'Begin with from: "00:00".'
        periods.refuse(problem, remedy, show=False)
    previous = None
    for index, period in enumerate(periods.items()):
        start = period["from"].parsed(parse_time_of_day)
        if start is None:
            previous = None
            continue
        if index == 0 and (start.hour or start.minute):
            problem = f"{what} is not given from 00:00 to {start:%H:%M}"
            period["from"].refuse(problem, 'Let the first period begin at "00:00".')
        if previous is not None and start <= previous:
            problem = f"this does not come after the one before ({previous:%H:%M})"
            period["from"].refuse(problem, "List periods by rising time of day, each once.")
        previous = start


def _files(root: Node, folder: Path, sources: Sources) -> None:
    data = root["data"]
    sources.profiles = _use(root["profiles"], folder, load_profiles)
    sources.priors = _use(root["thermal_priors"], folder, read_priors)
    sources.holidays = _use(data["holidays"], folder, read_holidays) or frozenset()
    if data["holidays_of"].exists:
        _holidays_of(data, sources)
    sources.people = _use(root["people_rules"], folder, read_people)
    _use(data["weather"], folder, lambda path: check_table(path, WEATHER_COLUMNS))
    _use(data["carbon"], folder, lambda path: check_table(path, CARBON_COLUMNS))
    if data["weather_is_observed"].truth() is True and not data["weather"].exists:
        problem = "there is no weather file that could hold observations"
        data["weather_is_observed"].refuse(problem, "Name the file in weather, or say false.")
    if data["weather_url"].exists:
        if data["weather"].exists:
            data["weather_url"].refuse("weather comes from a file already", "Name one of the two.")
        if root["estate"]["demonstration"].truth() is True:
            problem = "a demonstration lives in another time than a weather service"
            data["weather_url"].refuse(problem, "Name a file in weather instead.")
    for name, tariff in root["tariffs"].entries():
        if tariff["kind"].text() == "dynamic":
            rates = _use(tariff["file"], folder, read_rates)
            if rates:
                sources.rates[name] = rates
                _covers_start(root, tariff["file"], rates)


def _holidays_of(data: Node, sources: Sources) -> None:
    """Look up the bank holidays of a place, or refuse it."""
    place = data["holidays_of"].text()
    if data["holidays"].exists:
        data["holidays_of"].refuse("holidays come from a file already", "Name one of the two.")
    elif place is not None:
        try:
            sources.holidays = bank_holidays(place)
        except InvalidInputError as error:
            data["holidays_of"].refuse(error.problem, error.remedy)


def _use(node: Node, folder: Path, read: Callable[[Path], _T]) -> _T | None:
    """Return what ``read`` makes of the file named here, or keep its faults at this place."""
    name = node.text()
    if name is None or not name.strip() or not name.isprintable():
        return None
    try:
        return read(folder / name)
    except ConfigurationError as error:
        for fault in error.faults:
            where = fault.path if fault.line is None else f"{fault.path} (line {fault.line})"
            given = "" if fault.value is None else f" (given: {fault.value!r})"
            node.refuse(f"in {name}, {where}: {fault.problem}{given}", fault.remedy, show=False)
    except SourceError as error:
        node.refuse(error.problem, error.remedy)
    except (OSError, ValueError) as error:
        reason = getattr(error, "strerror", None) or error
        node.refuse(f"this cannot be read: {reason}", "Check the path.")
    return None


def _covers_start(root: Node, file: Node, rates: Mapping[datetime, float]) -> None:
    """Refuse prices that do not reach over a demonstration's first plan."""
    start = root["estate"]["starts_at"].parsed(parse_instant)
    horizon = root["control"]["plan_horizon_s"].number(default=_RULES.plan_horizon_s)
    if start is None or horizon is None:
        return
    last = floor_to(start) + timedelta(seconds=horizon)
    if floor_to(start) not in rates or last not in rates:
        problem = f"there are no prices from {start:%Y-%m-%dT%H:%MZ} on for one plan"
        remedy = "Give prices for the demonstration's days, or move starts_at."
        file.refuse(problem, remedy)
