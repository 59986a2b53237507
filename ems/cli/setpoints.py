"""``ems setpoints``: what was asked of devices, why, and what came of it."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import timedelta
from pathlib import Path

import click

from ems.cli.estate import estate_clock, open_estate, open_existing_store
from ems.cli.options import config_option, emit_json, examples, json_option, state_option, table
from ems.domain.setpoints import (
    Applied,
    Cause,
    Deferred,
    NotWritten,
    Outcome,
    OutOfBounds,
    Overtaken,
    Rejected,
    Unconfirmed,
    Unreachable,
)


def causes_in_words(causes: Sequence[Cause]) -> str:
    """Return causes as a short phrase, the chief one first."""
    return ", ".join(str(cause).replace("_", " ") for cause in causes)


def outcome_in_words(outcome: Outcome) -> str:
    """Return an outcome as a short phrase."""
    match outcome:
        case Applied(read_back=value, written=written, proven=proven):
            shows = f"reads {value:g}" if proven else "cannot be read back"
            words = f"{'written' if written else 'held'}, {shows}"
        case OutOfBounds(low=low, high=high):
            words = f"out of bounds {low:g} to {high:g}"
        case Rejected(exception_code=code, detail=detail):
            words = f"rejected (exception {code}: {detail})"
        case Unconfirmed(read_back=value):
            words = f"not confirmed, reads {value:g}"
        case Deferred(held=value):
            words = f"later, holds {value:g} (the register wears out)"
        case Unreachable(detail=detail):
            words = f"no answer ({detail})"
        case Overtaken(held=value):
            words = f"not written, somebody has set it to {value:g}"
        case NotWritten(why=why):
            words = f"not written: {why}"
    return words


@click.command(
    epilog=examples(
        "ems setpoints                      the last two hours\n"
        "ems setpoints --device A-07-hp --hours 24\n"
        "ems setpoints --json | jq '.[0]'"
    )
)
@config_option
@state_option
@click.option("--device", "device_id", help="Only this device, e.g. A-07-hp.")
@click.option(
    "--hours",
    default=2.0,
    show_default=True,
    type=click.FloatRange(min=0.01, max=24 * 400),
    help="How far back.",
)
@click.option("--limit", default=100, show_default=True, help="At most this many, newest first.")
@json_option
def setpoints(
    config: Path, state: Path, device_id: str | None, hours: float, limit: int, as_json: bool
) -> None:
    """Show setpoints with cause and outcome, newest first."""
    estate = open_estate(config)
    store = open_existing_store(state)
    now = estate_clock(estate, state).now()
    records = store.setpoints(
        None if device_id is None else [device_id],
        now - timedelta(hours=hours),
        now + timedelta(seconds=1),
        limit,
    )
    if as_json:
        emit_json(
            [
                {
                    "id": record.setpoint.id,
                    "device": record.setpoint.point_id.device_id,
                    "point": record.setpoint.point_id.point,
                    "value": record.setpoint.value,
                    "issued_at": record.setpoint.issued_at,
                    "expires_at": record.setpoint.expires_at,
                    "cause": str(record.setpoint.cause),
                    "causes": [str(cause) for cause in record.setpoint.causes],
                    "sentence": record.setpoint.sentence,
                    "outcome": type(record.outcome).__name__,
                    "detail": outcome_in_words(record.outcome),
                }
                for record in records
            ]
        )
        return
    if not records:
        click.echo(f"No setpoints in the last {hours:g} hours.")
        return
    click.echo(
        table(
            ["at (local)", "device", "point", "value", "why", "outcome"],
            [
                [
                    f"{record.setpoint.issued_at.astimezone(estate.zone):%a %H:%M:%S}",
                    record.setpoint.point_id.device_id,
                    record.setpoint.point_id.point,
                    f"{record.setpoint.value:g}",
                    causes_in_words(record.setpoint.causes),
                    outcome_in_words(record.outcome),
                ]
                for record in records
            ],
        )
    )
