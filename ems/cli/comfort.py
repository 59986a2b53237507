"""``ems comfort``: what a home's resident asks for, as on the tenant's page."""

from __future__ import annotations

import getpass
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, TypeVar

import click

from ems.cli.estate import estate_clock, open_estate, open_existing_store
from ems.cli.options import config_option, emit_json, examples, json_option, state_option, table
from ems.domain.comfort import ComfortPeriod
from ems.domain.errors import InvalidInputError
from ems.domain.estate import Dwelling, Estate
from ems.domain.ports import Store
from ems.domain.wishes import ALL_EVENTS, ALL_PLANNING, Asked, Asking, ChosenPeriod
from ems.service.asking import ComfortDesk
from ems.service.wishes import Residents

F = TypeVar("F", bound=Callable[..., Any])


@dataclass(frozen=True, slots=True)
class Desk:
    """What every command here works on."""

    estate: Estate
    store: Store
    now: datetime
    dwelling: Dwelling
    desk: ComfortDesk


def find_home(estate: Estate, dwelling_id: str) -> Dwelling:
    """Return a home; one that is not there is wrong input."""
    try:
        return estate.dwelling(dwelling_id)
    except KeyError:
        raise InvalidInputError(
            "there is no such home",
            field="home",
            value=dwelling_id,
            remedy="Use a home's id, e.g. A-07.",
        ) from None


def local_instant(text: str, estate: Estate, field: str) -> datetime:
    """Return ``2023-01-05T18:00`` (local unless it has an offset) as an instant in UTC."""
    try:
        given = datetime.fromisoformat(text)
    except ValueError:
        raise InvalidInputError(
            "this is no date and time",
            field=field,
            value=text,
            remedy="Write it like 2023-01-05T18:00, in local time.",
        ) from None
    return (given if given.tzinfo else given.replace(tzinfo=estate.zone)).astimezone(UTC)


def by_option(function: F) -> F:
    """Add ``--by``: who asks; recorded."""
    return click.option(
        "--by", default=getpass.getuser, show_default="your login", help="Who asks; recorded."
    )(function)


def home_command(function: F) -> F:
    """Add what every command about one home takes."""
    for decorate in (json_option, click.argument("home"), state_option, config_option):
        function = decorate(function)
    return function


def _open(config: Path, state: Path, home: str) -> Desk:
    estate = open_estate(config)
    store = open_existing_store(state)
    now = estate_clock(estate, state).now()
    return Desk(estate, store, now, find_home(estate, home), ComfortDesk(estate, store))


def words(asked: Asked, estate: Estate) -> str:
    """Return what was asked for in a few words."""
    end = "until taken back" if asked.until is None else _local(asked.until, estate)
    if asked.asking is Asking.AWAY:
        return f"away, kept at {asked.temperature_c:g} °C, back {end}"
    if asked.asking is Asking.OPT_OUT:
        what = {ALL_EVENTS: "all events", ALL_PLANNING: "planning and events"}
        return f"out of {what.get(asked.event, 'event ' + asked.event)}, {end}"
    if asked.asking is Asking.SCHEDULE:
        return f"own schedule, {end}"
    where = " (set at the heat pump)" if asked.asking is Asking.DEVICE else ""
    return f"{asked.temperature_c:g} °C{where}, {end}"


def _local(instant: datetime, estate: Estate) -> str:
    return f"{instant.astimezone(estate.zone):%a %d %b %H:%M}"


def _plain(asked: Asked, estate: Estate) -> dict[str, Any]:
    return {
        "id": asked.id,
        "home": asked.dwelling_id,
        "asking": str(asked.asking),
        "words": words(asked, estate),
        "by": asked.by,
        "since": asked.since,
        "until": asked.until,
        "temperature_c": asked.temperature_c,
        "event": asked.event or None,
        "ended_at": asked.ended_at,
        "ended_by": asked.ended_by or None,
    }


def _done(asked: Asked, estate: Estate, as_json: bool) -> None:
    if as_json:
        emit_json(_plain(asked, estate))
    else:
        click.echo(
            f"{words(asked, estate)}.\nUndo: ems comfort undo {asked.dwelling_id} {asked.id}"
        )


@click.group(
    epilog=examples("ems comfort show A-07\nems comfort warmer A-07 --hours 2"),
)
def comfort() -> None:
    """Show and take down what a resident asks for: it stands above every plan and event."""


@comfort.command(
    epilog=examples("ems comfort show A-07\nems comfort show A-07 --json | jq '.in_force'")
)
@home_command
def show(config: Path, state: Path, home: str, as_json: bool) -> None:
    """Show the schedule of HOME and what is in force."""
    at = _open(config, state, home)
    residents = Residents(at.estate, at.store)
    held = residents.in_force(at.now).get(at.dwelling.id, [])
    chosen = residents.home(at.dwelling, at.now).comfort
    days = {"weekday": chosen.weekday, "weekend": chosen.weekend}
    if as_json:
        emit_json(
            {
                "home": at.dwelling.id,
                "schedule": {name: _periods(periods) for name, periods in days.items()},
                "floor_c": at.dwelling.floor_c,
                "in_force": [_plain(one, at.estate) for one in held],
            }
        )
        return
    for name, periods in days.items():
        click.echo(f"{name}: " + ", ".join(f"{k} {v:g} °C" for k, v in _periods(periods).items()))
    if not held:
        click.echo("Nothing else is asked for.")
        return
    rows = [[words(one, at.estate), one.by, _local(one.since, at.estate), one.id] for one in held]
    click.echo(table(["in force", "by", "since", "id"], rows))


def _periods(periods: Sequence[ComfortPeriod]) -> dict[str, float]:
    return {f"{one.start:%H:%M}": one.temperature_c for one in periods}


@comfort.command(
    epilog=examples(
        "ems comfort warmer A-07                         a kelvin more, for two hours\n"
        "ems comfort warmer A-07 --hours 4 --temperature 22"
    )
)
@home_command
@click.option("--hours", default=2.0, show_default=True, help="For how long, 1 to 4.")
@click.option("--temperature", type=float, help="Room temperature [°C]; a kelvin more without.")
@by_option
def warmer(
    config: Path,
    state: Path,
    home: str,
    hours: float,
    temperature: float | None,
    by: str,
    as_json: bool,
) -> None:
    """Keep HOME warmer for some hours."""
    at = _open(config, state, home)
    asked = at.desk.warmer(at.dwelling, at.now, by=by, hours=hours, temperature_c=temperature)
    _done(asked, at.estate, as_json)


@comfort.command(epilog=examples("ems comfort away A-07 --until 2023-01-05T18:00"))
@home_command
@click.option("--until", required=True, help="The return, local date and time.")
@by_option
def away(config: Path, state: Path, home: str, until: str, by: str, as_json: bool) -> None:
    """Nobody is at HOME until a return: kept cool, and warm again by then."""
    at = _open(config, state, home)
    back = local_instant(until, at.estate, "--until")
    _done(at.desk.away(at.dwelling, at.now, by=by, until=back), at.estate, as_json)


@comfort.command(
    "opt-out",
    epilog=examples(
        "ems comfort opt-out A-07                      out of every event\n"
        "ems comfort opt-out A-07 --event 20221227-1   out of this one\n"
        "ems comfort opt-out A-07 --all-planning       the schedule and nothing else"
    ),
)
@home_command
@click.option("--event", default="", help="Only this event, by its id.")
@click.option("--all-planning", is_flag=True, help="Out of planning by price as well.")
@by_option
def opt_out(
    config: Path,
    state: Path,
    home: str,
    event: str,
    all_planning: bool,
    by: str,
    as_json: bool,
) -> None:
    """Take HOME out of events, at once."""
    at = _open(config, state, home)
    named = ALL_PLANNING if all_planning else event or ALL_EVENTS
    _done(at.desk.opt_out(at.dwelling, at.now, by=by, event=named), at.estate, as_json)


@comfort.command(
    "set",
    epilog=examples(
        "ems comfort set A-07 --weekday 00:00=18,06:30=20,22:00=18 --weekend 00:00=18,08:00=20.5\n"
        "ems comfort set A-07 --weekday 00:00=16,07:00=20 --below-floor"
    ),
)
@home_command
@click.option("--weekday", required=True, help="Times and temperatures, the first from 00:00.")
@click.option("--weekend", help="The same for weekends; as on weekdays without.")
@click.option("--below-floor", is_flag=True, help="The resident wants less than the floor.")
@by_option
def set_(
    config: Path,
    state: Path,
    home: str,
    weekday: str,
    weekend: str | None,
    below_floor: bool,
    by: str,
    as_json: bool,
) -> None:
    """Give HOME another comfort schedule."""
    at = _open(config, state, home)
    asked = at.desk.schedule(
        at.dwelling,
        at.now,
        by=by,
        weekday=_parsed(weekday, "--weekday"),
        weekend=_parsed(weekend or weekday, "--weekend"),
        below_floor=below_floor,
    )
    _done(asked, at.estate, as_json)


def _parsed(text: str, field: str) -> list[ChosenPeriod]:
    found = []
    for part in text.split(","):
        try:
            clock, temperature = part.split("=")
            hours, minutes = clock.split(":")
            found.append(ChosenPeriod(int(hours) * 60 + int(minutes), float(temperature)))
        except ValueError:
            raise InvalidInputError(
                "this is no list of times and temperatures",
                field=field,
                value=text,
                remedy="Write it like 00:00=18,06:30=20,22:00=18.",
            ) from None
    return found


@comfort.command(
    epilog=examples(
        "ems comfort undo A-07              everything that is in force\n"
        "ems comfort undo A-07 ID           this, by the id that show names"
    )
)
@home_command
@click.argument("asked_id", required=False)
@by_option
def undo(
    config: Path, state: Path, home: str, asked_id: str | None, by: str, as_json: bool
) -> None:
    """Take back what HOME asked for: one thing by its id, or all."""
    at = _open(config, state, home)
    held = Residents(at.estate, at.store).in_force(at.now).get(at.dwelling.id, [])
    ids = [asked_id] if asked_id else [one.id for one in held]
    ended = [at.desk.undo(at.dwelling, at.now, by=by, asked_id=one) for one in ids]
    if as_json:
        emit_json([_plain(one, at.estate) for one in ended])
        return
    for one in ended:
        click.echo(f"Taken back: {words(one, at.estate)}.")
    if not ended:
        click.echo("Nothing was in force.")
