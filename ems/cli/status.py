"""``ems status``: tell whether the estate is well."""

from __future__ import annotations

import sys
from pathlib import Path

import click

from ems.cli.estate import estate_clock, open_estate, open_existing_store
from ems.cli.options import config_option, emit_json, examples, json_option, state_option, table


@click.command(epilog=examples("ems status\nems status --json | jq .devices_online"))
@config_option
@state_option
@json_option
def status(config: Path, state: Path, as_json: bool) -> None:
    """Tell what is online, how old the plans are and what is wrong.

    Exit status 0 when well, 1 when not.
    """
    from ems.service.health import health
    from ems.service.outages import outages

    estate = open_estate(config)
    store = open_existing_store(state)
    now = estate_clock(estate, state).now()
    report = health(estate, store, now)
    if as_json:
        emit_json(report.as_dict())
    else:
        local = now.astimezone(estate.zone)
        click.echo(f"{estate.name}: {report.status} at {local:%A %d %B %Y %H:%M} estate time")
        facts = report.as_dict()
        rows = [[key.replace("_", " "), str(facts[key])] for key in facts if key != "problems"]
        click.echo(table(["what", "value"], rows))
        for outage in outages(store, now).values():
            click.echo(f"- out of service: {outage.device_id}, by {outage.by}: {outage.reason}")
        for problem in report.problems:
            click.echo(f"- {problem}")
    sys.exit(0 if report.well else 1)
