"""``ems events``: demand-response events, sent, listed, shown and withdrawn by the operator."""

from __future__ import annotations

import re
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any
from zoneinfo import ZoneInfo

import click

from ems.cli.estate import estate_clock, open_estate, open_existing_store
from ems.cli.options import config_option, emit_json, examples, json_option, state_option, table
from ems.domain.errors import InvalidInputError
from ems.domain.events import Direction, EventState, FlexEvent, FlexRequest, Settlement
from ems.domain.time import HALF_HOUR

_POWER = re.compile(r"(\d+(?:\.\d+)?)\s*(kw|w|)", re.I)
_LENGTH = re.compile(r"(?:(\d+(?:\.\d+)?)\s*h)?\s*(?:(\d+)\s*(?:min|m))?", re.I)


def power_w(text: str, option: str) -> float:
    """Return watts from ``20kW``, ``20`` (kilowatts) or ``500W``."""
    match = _POWER.fullmatch(text.strip())
    if match is None:
        raise InvalidInputError(
            "this is not a power", field=option, value=text, remedy="Write e.g. 20kW."
        )
    return float(match[1]) * (1.0 if match[2].lower() == "w" else 1000.0)


def length_of(text: str) -> timedelta:
    """Return a time span from ``2h``, ``90min`` or ``1h30m``."""
    match = _LENGTH.fullmatch(text.strip())
    if match is None or not (match[1] or match[2]):
        raise InvalidInputError(
            "this is not a length of time", field="--for", value=text, remedy="Write e.g. 2h."
        )
    return timedelta(hours=float(match[1] or 0), minutes=int(match[2] or 0))


def start_at(text: str, now: datetime, zone: ZoneInfo) -> datetime:
    """Return an instant (UTC) from a local ``17:00``, the next one, or from a date and time."""
    local = now.astimezone(zone)
    match = re.fullmatch(r"([01]?\d|2[0-3]):([0-5]\d)", text.strip())
    if match:
        wanted = local.replace(hour=int(match[1]), minute=int(match[2]), second=0, microsecond=0)
        if wanted < local:
            # Wall-clock arithmetic: tomorrow at the same local time, clock changes included.
            wanted = wanted + timedelta(days=1)
        return wanted.astimezone(UTC)
    try:
        given = datetime.fromisoformat(text.strip())
    except ValueError:
        raise InvalidInputError(
            "this is not a time",
            field="--from",
            value=text,
            remedy="Write a local time, 17:00, or a date with it, 2023-12-05T17:00.",
        ) from None
    return (given if given.tzinfo else given.replace(tzinfo=zone)).astimezone(UTC)


@click.group(
    epilog=examples(
        "ems events send --block A --turn-down 20kW --from 17:00 --for 2h\n"
        "ems events list\nems events show ID\nems events withdraw ID\nems events token"
    )
)
def events() -> None:
    """Demand-response events: send, follow, withdraw; make aggregators' tokens."""


@events.command(
    epilog=examples(
        "ems events send --block A --turn-down 20kW --from 17:00 --for 2h\n"
        "ems events send --block B --turn-up 8kW --from 2023-12-05T02:00 --for 90min\n"
        "ems events send --block A --turn-down 10kW --from 17:00 --for 1h "
        "--product evening_turn_down"
    )
)
@config_option
@state_option
@click.option("--block", "block_id", required=True, help="Which block.")
@click.option("--turn-down", default=None, help="How much less to draw, e.g. 20kW.")
@click.option("--turn-up", default=None, help="How much more to draw, e.g. 8kW.")
@click.option("--from", "start", required=True, help="Local start, 17:00, or a date with it.")
@click.option("--for", "length", required=True, help="How long, e.g. 2h or 90min.")
@click.option("--product", default="", help="A product of the configuration.")
@click.option("--key", default="", help="Idempotency key: sent twice, it counts once.")
@json_option
def send(
    config: Path,
    state: Path,
    block_id: str,
    turn_down: str | None,
    turn_up: str | None,
    start: str,
    length: str,
    product: str,
    key: str,
    as_json: bool,
) -> None:
    """Send an event; control acts on it at its next dispatch."""
    from ems.service.events import OPERATOR, open_desk

    if (turn_down is None) == (turn_up is None):
        raise InvalidInputError(
            "give one of the two",
            field="--turn-down, --turn-up",
            remedy="Say either how much less or how much more to draw.",
        )
    estate = open_estate(config)
    store = open_existing_store(state)
    now = estate_clock(estate, state).now()
    begins = start_at(start, now, estate.zone)
    down = turn_down is not None
    option = "--turn-down" if down else "--turn-up"
    request = FlexRequest(
        block_id=block_id,
        direction=Direction.DOWN if down else Direction.UP,
        power_w=power_w(turn_down or turn_up or "", option),
        start=begins,
        end=begins + length_of(length),
        source=OPERATOR,
        product_id=product,
        idempotency_key=key,
    )
    answer = open_desk(estate, store).submit(request, now)
    if as_json:
        emit_json(_as_dict(answer.event, None))
        return
    seen = "" if answer.fresh else " (sent before: counted once)"
    click.echo(f"{answer.event.id}{seen}")
    click.echo(f"Accepted: {_in_words(answer.event, estate.zone)}.")
    if answer.event.reason:
        click.echo(f"It was {answer.event.reason}.")


@events.command(
    "list",
    epilog=examples("ems events list\nems events list --block A --json | jq '.[0].state'"),
)
@config_option
@state_option
@click.option("--block", "block_id", default=None, help="Only this block.")
@json_option
def list_events(config: Path, state: Path, block_id: str | None, as_json: bool) -> None:
    """List events, latest start first; refused ones with the reason."""
    from ems.service.events import open_desk

    estate = open_estate(config)
    desk = open_desk(estate, open_existing_store(state))
    now = estate_clock(estate, state).now()
    every = sorted(
        (*desk.all(now), *desk.refusals.all(now)),
        key=lambda event: (event.request.start, event.id),
        reverse=True,
    )
    found = [event for event in every if block_id in (None, event.request.block_id)]
    if as_json:
        emit_json([_as_dict(event, desk.settlement(event.id)) for event in found])
        return
    if not found:
        click.echo("No events.")
        return
    rows = []
    for event in found:
        settlement = desk.settlement(event.id)
        rows.append(
            [
                event.id,
                event.request.block_id,
                f"{event.request.start.astimezone(estate.zone):%a %d %b %H:%M}",
                f"{event.request.end.astimezone(estate.zone):%H:%M}",
                f"{event.request.direction} {event.accepted_w / 1000:g}",
                str(event.state),
                event.request.source,
                "–" if settlement is None else f"{settlement.delivered_kwh:.1f}",
            ]
        )
    heads = ["id", "block", "from", "to", "kW", "state", "by", "delivered kWh"]
    click.echo(table(heads, rows))
    for event in found:
        if event.state is EventState.REFUSED:
            asked = f"{event.request.direction} {event.request.power_w / 1000:g} kW"
            click.echo(f"{event.id}: {asked} was refused: {event.reason}")


@events.command(epilog=examples("ems events show 20231205T154000-A-1\nems events show ID --json"))
@config_option
@state_option
@click.argument("event_id", metavar="ID")
@json_option
def show(config: Path, state: Path, event_id: str, as_json: bool) -> None:
    """Show an event: its states with their causes, and what it delivered."""
    from ems.service.events import open_desk

    estate = open_estate(config)
    desk = open_desk(estate, open_existing_store(state))
    event = desk.event(event_id)
    settlement = desk.settlement(event_id)
    changes = desk.history(event_id)
    if as_json:
        shown = _as_dict(event, settlement)
        shown["transitions"] = [
            {"at": one.at, "before": one.before, "after": one.after, "cause": one.cause}
            for one in changes
        ]
        emit_json(shown)
        return
    click.echo(f"{event.id}: {event.state}")
    click.echo(f"  {_in_words(event, estate.zone)}, asked by {event.request.source}")
    if event.reason:
        click.echo(f"  {event.reason}")
    for change in changes:
        local = change.at.astimezone(estate.zone)
        click.echo(f"  {local:%a %H:%M:%S}  {change.after}: {change.cause}")
    if settlement is None:
        return
    net = "unknown" if settlement.net_kwh is None else f"{settlement.net_kwh:.1f} kWh"
    click.echo(
        f"  delivered {settlement.delivered_kwh:.1f} of {settlement.asked_kwh:.1f} kWh; "
        f"baseline less actual with preheating and recovery {net}"
    )
    click.echo(
        f"  baseline: {settlement.baseline_rule} "
        f"({settlement.baseline_days} of {settlement.baseline_wanted} days)"
    )
    for note in settlement.notes:
        click.echo(f"  note: {note}")
    rows = [
        [
            f"{slot.start.astimezone(estate.zone):%H:%M}",
            _kw(slot.baseline_w),
            _kw(slot.actual_w),
            _kw(slot.delivered_w),
        ]
        for slot in settlement.slots
    ]
    click.echo(table(["from", "baseline kW", "actual kW", "delivered kW"], rows))


@events.command(epilog=examples("ems events withdraw 20231205T154000-A-1"))
@config_option
@state_option
@click.argument("event_id", metavar="ID")
def withdraw(config: Path, state: Path, event_id: str) -> None:
    """Withdraw an event; one that runs ends at once and is settled for the time it ran."""
    from ems.service.events import OPERATOR, open_desk

    estate = open_estate(config)
    desk = open_desk(estate, open_existing_store(state))
    event = desk.withdraw(event_id, estate_clock(estate, state).now(), OPERATOR)
    words = {
        EventState.CANCELLED: "cancelled before it ran",
        EventState.RECOVERING: "ended; homes come back and it will be settled for the time it ran",
    }
    click.echo(f"{event.id}: {words.get(event.state, f'was over already ({event.state})')}.")


@events.command(
    epilog=examples(
        "ems events token                        print a token and its hash\n"
        "ems events token --aggregator example   in a demonstration: put it into force at once"
    )
)
@config_option
@state_option
@click.option(
    "--aggregator", default=None, help="Give a demonstration's aggregator this token, at once."
)
def token(config: Path, state: Path, aggregator: str | None) -> None:
    """Make an aggregator's token: hand it over, and keep its hash in the configuration."""
    from ems.service.tokens import hash_token, issue, new_token

    if aggregator is None:
        made = new_token()
    else:
        estate = open_estate(config)
        store = open_existing_store(state)
        made = issue(estate, store, aggregator, estate_clock(estate, state).now())
    click.echo(f"token       {made}")
    click.echo(f"token_hash  {hash_token(made)}")


def _kw(watts: float | None) -> str:
    return "no data" if watts is None else f"{watts / 1000:.2f}"


def _in_words(event: FlexEvent, zone: ZoneInfo) -> str:
    request = event.request
    less = "less" if request.direction is Direction.DOWN else "more"
    start, end = request.start.astimezone(zone), request.end.astimezone(zone)
    return (
        f"{event.accepted_w / 1000:g} kW {less} in block {request.block_id}, "
        f"{start:%a %d %b %H:%M} to {end:%H:%M}"
    )


def _as_dict(event: FlexEvent, settlement: Settlement | None) -> dict[str, Any]:
    request = event.request
    return {
        "id": event.id,
        "state": str(event.state),
        "block": request.block_id,
        "direction": str(request.direction),
        "power_kw": request.power_w / 1000,
        "accepted_kw": event.accepted_w / 1000,
        "start": request.start,
        "end": request.end,
        "source": request.source,
        "product": request.product_id or None,
        "reason": event.reason or None,
        "ended_at": event.ended_at,
        "participants": list(event.participants),
        "battery": event.battery_takes_part,
        "reference_kw": [
            {"start": request.start + HALF_HOUR * index, "kw": power / 1000}
            for index, power in enumerate(event.reference_w)
        ],
        "settlement": None
        if settlement is None
        else {
            "delivered_kwh": settlement.delivered_kwh,
            "asked_kwh": settlement.asked_kwh,
            "net_kwh": settlement.net_kwh,
            "payment_gbp": settlement.payment_gbp,
            "baseline_days": settlement.baseline_days,
            "baseline_wanted": settlement.baseline_wanted,
            "notes": list(settlement.notes),
            "slots": [
                {
                    "start": slot.start,
                    "baseline_w": slot.baseline_w,
                    "actual_w": slot.actual_w,
                    "delivered_w": slot.delivered_w,
                }
                for slot in settlement.slots
            ],
        },
    }
