"""``ems alarms``: list, acknowledge, close and test alarms."""

from __future__ import annotations

import sys
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from ems.cli.estate import estate_clock, open_estate, open_existing_store
from ems.cli.options import config_option, emit_json, examples, json_option, state_option, table

if TYPE_CHECKING:
    from ems.domain.alarms import Alarm
    from ems.service.alarm_desk import AlarmDesk

BY = click.option(
    "--by",
    default="operator (command line)",
    show_default=True,
    help="Who does it, as recorded.",
)


@click.group()
def alarms() -> None:
    """Tell what is wrong; record who knows of it."""


def _desk(config: Path, state: Path) -> AlarmDesk:
    from ems.service.alarm_desk import AlarmDesk

    return AlarmDesk(open_existing_store(state), open_estate(config).alarms)


def _plain(alarm: Alarm) -> dict[str, Any]:
    plain = asdict(alarm)
    cause = plain.pop("cause")
    return {"id": plain.pop("id"), **cause, **plain}


@alarms.command("list", epilog=examples("ems alarms list\nems alarms list --all --json"))
@config_option
@state_option
@json_option
@click.option("--all", "with_closed", is_flag=True, help="Closed ones too.")
def list_(config: Path, state: Path, as_json: bool, with_closed: bool) -> None:
    """List open alarms.

    Exit status 1 when any is open that nobody has acknowledged, else 0.
    """
    from ems.alarms.words import TITLES
    from ems.service.alarm_desk import unacknowledged

    estate = open_estate(config)
    found = _desk(config, state).all()
    shown = [alarm for alarm in found if alarm.is_open or with_closed]
    if as_json:
        emit_json([_plain(alarm) for alarm in shown])
    elif shown:
        rows = [
            [
                alarm.id,
                alarm.state.value,
                f"{alarm.opened_at.astimezone(estate.zone):%a %d %b %H:%M}",
                str(len(alarm.cause.homes)),
                TITLES[alarm.cause.kind],
            ]
            for alarm in shown
        ]
        click.echo(table(["alarm", "state", "since", "homes", "what"], rows))
        for alarm in shown:
            click.echo(f"\n{alarm.id}: {alarm.cause.what}\n  {alarm.cause.remedy}")
    else:
        click.echo("No alarm is open.")
    sys.exit(1 if unacknowledged(found) else 0)


@alarms.command(
    "ack", epilog=examples('ems alarms ack home_cold:A-10.1 --note "Engineer comes at two"')
)
@click.argument("alarm")
@click.option("--note", default="", help="What you know or do about it.")
@BY
@config_option
@state_option
def ack(alarm: str, note: str, by: str, config: Path, state: Path) -> None:
    """Acknowledge ALARM: its messages stop repeating; it stays open."""
    now = estate_clock(open_estate(config), state).now()
    done = _desk(config, state).acknowledge(alarm, by, note, now)
    click.echo(f"{done.id} is acknowledged.")


@alarms.command(
    "close", epilog=examples('ems alarms close home_cold:A-10.1 --note "Heaters are in place"')
)
@click.argument("alarm")
@click.option("--note", required=True, help="Why it can be closed.")
@BY
@config_option
@state_option
def close(alarm: str, note: str, by: str, config: Path, state: Path) -> None:
    """Close ALARM although its cause may last."""
    now = estate_clock(open_estate(config), state).now()
    done = _desk(config, state).close(alarm, by, note, now)
    click.echo(f"{done.id} is closed.")


@alarms.command("test", epilog=examples("ems alarms test"))
@config_option
@state_option
@json_option
def test(config: Path, state: Path, as_json: bool) -> None:
    """Send a test over every channel and tell what became of it.

    Exit status 1 when a message failed or no channel is configured.
    """
    import os

    from ems.alarms.life import opened
    from ems.domain.alarms import AlarmKind, Cause, NoticeState
    from ems.service.notify import Courier, open_channels

    estate = open_estate(config)
    now = estate_clock(estate, state).now()
    courier = Courier(open_existing_store(state), estate, open_channels(estate, os.environ))
    cause = Cause(
        AlarmKind.STORE_TROUBLE, "test", "This is a test; nothing is wrong.", "Nothing to do."
    )
    results = courier.test(opened(cause, now, None), now)
    if as_json:
        emit_json([asdict(one) for one in results])
    elif results:
        rows = [[r.channel, ", ".join(r.to), r.state.value, r.problem] for r in results]
        click.echo(table(["channel", "to", "outcome", "problem"], rows))
    else:
        click.echo("No channel is configured: add smtp or webhooks to the section alarms.")
    sent = all(one.state is NoticeState.SENT for one in results)
    sys.exit(0 if results and sent else 1)
