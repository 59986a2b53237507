"""``ems serve`` and ``ems guard``: the control process and its guard."""

from __future__ import annotations

import asyncio
from dataclasses import replace
from pathlib import Path

import click

from ems.cli.estate import STORE_FILE, estate_clock, open_estate
from ems.cli.options import config_option, examples, state_option
from ems.store import open_store


@click.command(
    epilog=examples(
        "ems serve --config config/demo/estate.yaml --state var/demo\n"
        "ems serve --dry-run                what it would do, without touching a device"
    )
)
@config_option
@state_option
@click.option(
    "--dry-run", is_flag=True, help="Compute and record every setpoint; write nothing at all."
)
def serve(config: Path, state: Path, dry_run: bool) -> None:
    """Run the control process: poll, roll up, forecast, plan, dispatch.

    Only one may run on a state directory. SIGTERM or Ctrl-C hands every device back
    to its own control before the process ends.
    """
    from ems.service.control import run_control
    from ems.service.logs import configure

    configure("control")
    estate = open_estate(config)
    if dry_run:
        estate = replace(estate, control=replace(estate.control, dry_run=True))
    state.mkdir(parents=True, exist_ok=True)
    clock = estate_clock(estate, state)
    store = open_store(state / STORE_FILE)
    asyncio.run(run_control(estate, store, clock, state))


@click.command(epilog=examples("ems guard --config config/demo/estate.yaml --state var/demo"))
@config_option
@state_option
def guard(config: Path, state: Path) -> None:
    """Run the guard: hand devices back when the control process has gone silent.

    It needs only the store and the field, so that it survives what stops control.
    """
    from ems.service.guard_process import run_guard
    from ems.service.logs import configure

    configure("guard")
    estate = open_estate(config)
    state.mkdir(parents=True, exist_ok=True)
    clock = estate_clock(estate, state)
    store = open_store(state / STORE_FILE)
    asyncio.run(run_guard(estate, store, clock, state))
