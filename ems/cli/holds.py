"""``ems release`` and ``ems hold``: take homes out of Hearth's hands, or out of events."""

from __future__ import annotations

from collections.abc import Callable
from datetime import datetime
from pathlib import Path
from typing import Any, TypeVar

import click

from ems.cli.comfort import by_option, local_instant
from ems.cli.estate import estate_clock, open_estate, open_existing_store
from ems.cli.options import config_option, emit_json, examples, json_option, state_option, table
from ems.domain.errors import InvalidInputError
from ems.domain.estate import Estate
from ems.domain.holds import Hold, HoldKind
from ems.service.holds import ESTATE, Holds

F = TypeVar("F", bound=Callable[..., Any])
KINDS = {HoldKind.HAND_BACK: "handed back", HoldKind.NO_EVENTS: "no events"}


def hold_options(function: F) -> F:
    """Add what both commands take."""
    for decorate in (
        json_option,
        by_option,
        click.option("--lift", help="Undo the hold with this id."),
        click.option("--list", "listing", is_flag=True, help="List the holds in force."),
        click.option("--until", help="Ends by itself then, local date and time."),
        click.option("--reason", default="", help="Why; required for a new one."),
        click.option("--estate", "whole", is_flag=True, help="The whole estate."),
        click.option("--block", help="A block, e.g. A."),
        click.option("--home", help="A home, e.g. A-07."),
        state_option,
        config_option,
    ):
        function = decorate(function)
    return function


@click.command(
    epilog=examples(
        'ems release --home A-07 --reason "engineer on site"\n'
        'ems release --estate --reason "storm warning" --until 2023-01-05T18:00\n'
        "ems release --list\n"
        "ems release --lift ID                      control takes over again"
    )
)
@hold_options
def release(**options: Any) -> None:
    """Hand devices back to their own control and tell them nothing.

    In force at the next dispatch; where control is dead, the guard does it. It survives
    restarts and lasts until it is lifted.
    """
    _run(HoldKind.HAND_BACK, **options)


@click.command(
    epilog=examples(
        'ems hold --block A --reason "lift is being serviced"\nems hold --list\nems hold --lift ID'
    )
)
@hold_options
def hold(**options: Any) -> None:
    """Keep events away from homes; planning by price goes on."""
    _run(HoldKind.NO_EVENTS, **options)


def _run(
    kind: HoldKind,
    *,
    config: Path,
    state: Path,
    home: str | None,
    block: str | None,
    whole: bool,
    reason: str,
    until: str | None,
    listing: bool,
    lift: str | None,
    by: str,
    as_json: bool,
) -> None:
    estate = open_estate(config)
    now = estate_clock(estate, state).now()
    holds = Holds(estate, open_existing_store(state))
    if listing:
        _show(holds.in_force(now), estate, as_json)
        return
    if lift:
        _show([holds.lift(lift, now, by=by)], estate, as_json)
        return
    scopes = [scope for scope in (home, block, ESTATE if whole else None) if scope]
    if len(scopes) != 1:
        raise InvalidInputError(
            "a hold needs one scope",
            field="--home, --block, --estate",
            value=scopes,
            remedy="Name exactly one of them, or use --list or --lift.",
        )
    end = local_instant(until, estate, "--until") if until else None
    made = holds.make(kind, scopes[0], now, reason=reason, by=by, until=end)
    _show([made], estate, as_json)


def _show(found: list[Hold], estate: Estate, as_json: bool) -> None:
    def local(instant: datetime | None) -> str:
        return "–" if instant is None else f"{instant.astimezone(estate.zone):%a %d %b %H:%M}"

    if as_json:
        emit_json(
            [
                {
                    "id": one.id,
                    "kind": str(one.kind),
                    "scope": one.scope,
                    "reason": one.reason,
                    "by": one.by,
                    "since": one.since,
                    "until": one.until,
                    "lifted_at": one.lifted_at,
                    "lifted_by": one.lifted_by or None,
                }
                for one in found
            ]
        )
    elif not found:
        click.echo("No holds are in force.")
    else:
        headers = ["what", "scope", "why", "by", "since", "until", "lifted", "id"]
        rows = [
            [
                KINDS[one.kind],
                one.scope,
                one.reason,
                one.by,
                local(one.since),
                local(one.until),
                local(one.lifted_at),
                one.id,
            ]
            for one in found
        ]
        click.echo(table(headers, rows))
