"""What every command over a meter file takes, and how its files are read."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from datetime import date
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError

import click
import pandas as pd

from ems.domain.errors import InvalidInputError
from ems.domain.holidays import bank_holidays, set_right
from forecasting.calendar import Calendar
from forecasting.meters import Columns, Meters, read_table, regular

if TYPE_CHECKING:
    from ems.cli.forecast_weather import GivenWeather

DEFAULTS = Columns()
PLACES = {"Europe/London": "GB-ENG"}
"""Zone → whose bank holidays stand where none are named."""
F = TypeVar("F", bound=Callable[..., Any])


def meter_options(function: F) -> F:
    """Add what every command over a meter file takes."""
    for option in (
        click.option("--id-column", default=DEFAULTS.home, show_default=True, help="Home."),
        click.option("--time-column", default=DEFAULTS.start, show_default=True, help="Start."),
        click.option(
            "--energy-column",
            default=DEFAULTS.energy_kwh,
            show_default=True,
            help="Energy of the half-hour [kWh].",
        ),
        click.option(
            "--times-in", default="UTC", show_default=True, help="Zone of stamps that name none."
        ),
        click.option(
            "--zone", default="Europe/London", show_default=True, help="Where the homes are."
        ),
        click.option(
            "--holidays",
            help="Bank holidays: of a country or a part of it, such as GB-ENG; or a file: YAML as "
            "for an estate, or CSV with dates in its first column; or none.  [default: GB-ENG "
            "for homes in Europe/London, else none]",
        ),
        click.option(
            "--weather",
            type=click.Path(path_type=Path),
            help="Weather that was forecast, hourly CSV.",
        ),
        click.option(
            "--weather-observed",
            type=click.Path(path_type=Path),
            help='Weather as it came, taken as the forecast ("perfect weather").',
        ),
    ):
        function = option(function)
    return function


def read_meters(data: Path, of_file: dict[str, Any]) -> tuple[Meters, Calendar]:
    """Return the readings of a file and where the homes are, as `meter_options` say."""
    columns = Columns(of_file["id_column"], of_file["time_column"], of_file["energy_column"])
    names = [columns.home, columns.start, columns.energy_kwh]
    zone = zone_of(of_file["zone"], "--zone")
    zone_of(of_file["times_in"], "--times-in")
    meters = regular(read_table(data, names), columns, of_file["times_in"])
    days, notes = holidays_of(of_file["holidays"], zone)
    return replace(meters, notes=(*meters.notes, *notes)), Calendar.of(zone, days)


def zone_of(name: str, option: str) -> ZoneInfo:
    """Return a time zone by name, else raise `InvalidInputError`."""
    try:
        return ZoneInfo(name)
    except (ZoneInfoNotFoundError, ValueError, OSError) as error:
        raise InvalidInputError(
            "there is no such time zone",
            field=option,
            value=name,
            remedy="Use a name such as Europe/London or UTC.",
        ) from error


def holidays_of(given: str | None, zone: ZoneInfo) -> tuple[frozenset[date], tuple[str, ...]]:
    """Return bank holidays of a place or a file, and notes about dates set right.

    Where nothing is given, those of England stand for homes on London time.
    """
    place = PLACES.get(zone.key)
    if given is None:
        return (bank_holidays(place) if place else frozenset()), ()
    path = Path(given)
    if given.lower() == "none":
        return frozenset(), ()
    if path.suffix in {".yaml", ".yml"}:
        from ems.settings.sources import read_holidays

        days = read_holidays(path)
    elif path.suffix or path.exists():
        days = _dates_of(path)
    else:
        return bank_holidays(given), ()
    if place is None or not days:
        return days, ()
    return set_right(days, bank_holidays(place, range(min(days).year, max(days).year + 1)))


def _dates_of(path: Path) -> frozenset[date]:
    """Return the dates in a CSV file's first column."""
    try:
        column = pd.read_csv(path).iloc[:, 0]
        days = pd.to_datetime(column, format="%Y-%m-%d")
    except (OSError, ValueError, IndexError) as error:
        raise InvalidInputError(
            f"the holidays cannot be read: {error}",
            field="--holidays",
            value=str(path),
            remedy="Give a place such as GB-ENG, or a CSV file whose first column holds dates as "
            "2013-12-25.",
        ) from error
    return frozenset(day.date() for day in days.dropna())


def read_weather_of(of_file: dict[str, Any]) -> GivenWeather | None:
    """Return the weather that `meter_options` name, if any."""
    from ems.cli.forecast_weather import read_given

    issued, seen = of_file["weather"], of_file["weather_observed"]
    if issued is not None and seen is not None:
        raise InvalidInputError(
            "two kinds of weather are given",
            field="--weather",
            value=str(issued),
            remedy="Give either --weather or --weather-observed.",
        )
    path = issued or seen
    return None if path is None else read_given(path, observed=issued is None)


def tell(meters: Meters, kept: int, max_missing: float) -> None:
    """Say what was found in the file."""
    held = meters.power_w
    click.echo(
        f"{held.shape[1]} homes, {held.index[0]:%Y-%m-%d %H:%M} to {held.index[-1]:%Y-%m-%d %H:%M} "
        "UTC" + (f"; {kept} with at most {max_missing:.0%} missing" if max_missing < 1.0 else "")
    )
    for note in meters.notes:
        click.echo(f"  {note}")
