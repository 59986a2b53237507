"""The other files that an estate file names: prices, weather, carbon, priors, holidays.

Each reader returns what it found and says in words what is wrong; nothing is filled in.
"""

from __future__ import annotations

import csv
import gzip
import math
import zlib
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from datetime import UTC, date, datetime
from pathlib import Path
from typing import TypeVar

from ems.domain.errors import ConfigurationError, Fault, InvalidInputError
from ems.domain.estate import ThermalPrior
from ems.domain.people import PeopleRules
from ems.domain.profiles import DeviceProfile
from ems.domain.time import HALF_HOUR, floor_to
from ems.settings.document import Findings, parse, read_text
from ems.settings.models import HolidaysFile, PriorsFile
from ems.settings.people import PeopleFile, people_rules
from ems.settings.section import Section
from ems.settings.shape import check_shape

_Model = TypeVar("_Model", bound=Section)

PRICE_COLUMNS = ("start_utc", "gbp_per_kwh")
"""Columns of a dynamic tariff's file."""

WEATHER_COLUMNS = ("time_utc", "outdoor_c", "irradiance_w_m2")
"""Columns that a weather file must have; it may have more."""

CARBON_COLUMNS = ("start_utc", "actual_g_per_kwh", "forecast_g_per_kwh")
"""Columns of a carbon file."""


class SourceError(InvalidInputError):
    """A named file cannot be used; ``problem`` and ``remedy`` say why."""


@dataclass(slots=True)
class Sources:
    """What the named files hold; ``None`` or absent where they could not be used.

    Attributes
    ----------
    profiles
        Device profiles by id.
    rates
        Rates by half-hour [£/kWh] of each dynamic tariff, by the tariff's name.
    priors
        Thermal priors by EPC band.
    holidays
        Bank holidays.
    people
        Figures of the rules about people.
    """

    profiles: Mapping[str, DeviceProfile] | None = None
    rates: dict[str, Mapping[datetime, float]] = field(default_factory=dict)
    priors: Mapping[str, ThermalPrior] | None = None
    holidays: frozenset[date] = frozenset()
    people: PeopleRules | None = None


def read_rates(path: Path) -> Mapping[datetime, float]:
    """Return rates [£/kWh] by start of half-hour (UTC) from a CSV file, gzipped or not.

    Raises
    ------
    SourceError
        Naming the row where an instant or a rate is missing, repeated or unbelievable, or
        the first half-hour that is missing between the first and the last.
    """
    rates: dict[datetime, float] = {}
    for number, row in _rows(path, PRICE_COLUMNS):
        start = _instant(row["start_utc"], number)
        if start != floor_to(start):
            problem = f"row {number} does not start on a half-hour: {row['start_utc']}"
            raise SourceError(problem, remedy="Give the start of each half-hour, UTC.")
        rate = _number(row["gbp_per_kwh"], number, "gbp_per_kwh")
        if not -2 <= rate <= 5:
            problem = f"row {number} has a rate of {rate:g} £/kWh"
            raise SourceError(problem, remedy="Give pounds per kWh, not pence.")
        if start in rates:
            problem = f"row {number} repeats the half-hour {row['start_utc']}"
            raise SourceError(problem, remedy="Keep one row for each half-hour.")
        rates[start] = rate
    _no_gap(rates)
    return rates


def _no_gap(rates: Mapping[datetime, float]) -> None:
    first, last = min(rates), max(rates)
    count = int((last - first) / HALF_HOUR) + 1
    if count == len(rates):
        return
    gap = first
    while gap in rates:
        gap += HALF_HOUR
    problem = f"{count - len(rates)} half-hours are missing, the first at {gap:%Y-%m-%dT%H:%MZ}"
    raise SourceError(problem, remedy="Add the missing half-hours; none is made up.")


def check_table(path: Path, columns: tuple[str, ...]) -> None:
    """Raise `SourceError` unless ``path`` is a CSV file with these columns and a row."""
    next(_rows(path, columns))


def _rows(path: Path, columns: tuple[str, ...]) -> Iterator[tuple[int, dict[str, str]]]:
    """Yield row numbers, from 2, and rows by column."""
    count = 0
    try:
        opener = gzip.open if path.suffix == ".gz" else open
        with opener(path, "rt", encoding="utf-8", newline="") as file:
            reader = csv.DictReader(file)
            missing = [name for name in columns if name not in (reader.fieldnames or ())]
            if missing:
                problem = f"the file has no column {', '.join(missing)}"
                raise SourceError(problem, remedy=f"Its first row must name {', '.join(columns)}.")
            for count, row in enumerate(reader, start=1):
                yield count + 1, row
    except FileNotFoundError:
        raise SourceError("the file does not exist", remedy="Check the path.") from None
    except (OSError, EOFError, UnicodeDecodeError, csv.Error, zlib.error) as error:
        problem = f"the file cannot be read: {getattr(error, 'strerror', None) or error}"
        remedy = "Give a CSV file, gzipped where its name ends in .gz."
        raise SourceError(problem, remedy=remedy) from None
    if not count:
        raise SourceError("the file has no rows", remedy="Give a file with data.")


def _instant(text: str | None, row: int) -> datetime:
    try:
        instant = datetime.fromisoformat(text or "")
        if instant.tzinfo is not None:
            return instant.astimezone(UTC)
    except (ValueError, OverflowError):
        pass  # reported below, as an instant without a zone is
    remedy = "Write instants as 2023-12-01T12:00Z."
    raise SourceError(f"row {row} has no instant in UTC: {text!r}", remedy=remedy)


def _number(text: str | None, row: int, column: str) -> float:
    try:
        number = float(text or "nan")
    except ValueError:
        number = math.nan
    if not math.isfinite(number):
        remedy = "Give a number in each row."
        raise SourceError(f"row {row} has no number in {column}: {text!r}", remedy=remedy)
    return number


def _read_yaml(model: type[_Model], path: Path) -> _Model:
    findings = Findings()
    raw = parse(read_text(path), findings)
    section = None if findings.faults else check_shape(model, raw, findings)
    if section is None:
        raise ConfigurationError(str(path), findings.listed())
    return section


def read_priors(path: Path) -> Mapping[str, ThermalPrior]:
    """Return thermal priors by EPC band; `ConfigurationError` lists all faults of the file."""
    bands = _read_yaml(PriorsFile, path).bands
    missing = [band for band in "ABCDEFG" if band not in bands]
    if missing:
        problem = f"bands without figures: {', '.join(missing)}"
        remedy = "Give loss, capacity and spread for each band from A to G."
        raise ConfigurationError(str(path), (Fault("bands", problem, None, remedy),))
    return {
        band: ThermalPrior(
            loss_w_per_k_m2=prior.loss_w_per_k_m2,
            capacity_wh_per_k_m2=prior.capacity_wh_per_k_m2,
            spread=prior.spread,
        )
        for band, prior in sorted(bands.items())
    }


def read_people(path: Path) -> PeopleRules:
    """Return the rules about people; `ConfigurationError` lists all faults of the file."""
    return people_rules(_read_yaml(PeopleFile, path), path)


def read_holidays(path: Path) -> frozenset[date]:
    """Return bank holidays; `ConfigurationError` lists all faults of the file."""
    return frozenset(holiday.date for holiday in _read_yaml(HolidaysFile, path).holidays)
