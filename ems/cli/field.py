"""``ems field``: the simulated estate, and its faults."""

from __future__ import annotations

import asyncio
from pathlib import Path

import click

from ems.cli.estate import estate_clock, open_estate
from ems.cli.options import config_option, emit_json, examples, json_option, state_option, table
from ems.field.control import clear_faults, read_faults, set_fault
from ems.field.faults import FaultKind, FieldFault
from ems.field.parameters import FieldParameters, load_parameters

FIELD_FILE = "field.yaml"


def field_parameters(config: Path) -> FieldParameters:
    """Load what only the field knows: ``field.yaml`` beside the estate's file."""
    return load_parameters(config.parent / FIELD_FILE)


@click.group()
def field() -> None:
    """Simulate the estate's devices: real Modbus servers with physics behind them."""


@field.command(epilog=examples("ems field run --config config/demo/estate.yaml --state var/demo"))
@config_option
@state_option
def run(config: Path, state: Path) -> None:
    """Serve every gateway of the estate until Ctrl-C or SIGTERM.

    The clock of the state directory says what time it is; `ems demo` starts it. A field
    that was killed goes on from its last checkpoint.
    """
    from ems.field.process import run as run_field
    from ems.service.logs import configure
    from ems.service.runtime import only_one, stop_on_signals

    configure("field")
    estate = open_estate(config)
    parameters = field_parameters(config)
    clock = estate_clock(estate, state)

    async def main() -> None:
        await run_field(estate, parameters, state, clock, stop_on_signals())

    with only_one(state, "field"):
        asyncio.run(main())


@field.group()
def fault() -> None:
    """Switch faults of simulated devices on and off."""


def _show(faults: list[FieldFault], as_json: bool) -> None:
    if as_json:
        emit_json([one.to_json() for one in faults])
    elif not faults:
        click.echo("No faults are switched on.")
    else:
        click.echo(
            table(["target", "kind", "value"], [[f.target, f.kind, f"{f.value:g}"] for f in faults])
        )


@fault.command(
    "set",
    epilog=examples(
        "ems field fault set A-07-hp dead\n"
        "ems field fault set A-07-room frozen\n"
        "ems field fault set A-07-hp slow --value 2       answers two seconds late\n"
        "ems field fault set A-07-hp capacity --value 0.4 a weak heat pump\n"
        "ems field fault set gw-A gateway-gone            everything behind it is silent"
    ),
)
@config_option
@state_option
@click.argument("target")
@click.argument("kind", type=click.Choice([kind.value for kind in FaultKind]))
@click.option(
    "--value", default=0.0, type=float, help="Seconds for slow, share for capacity, else nothing."
)
@json_option
def set_(config: Path, state: Path, target: str, kind: str, value: float, as_json: bool) -> None:
    """Switch a fault on: TARGET is a device (A-07-hp) or a gateway (gw-A)."""
    estate = open_estate(config)
    _show(set_fault(state, estate, FieldFault(target, FaultKind(kind), value)), as_json)


@fault.command(
    epilog=examples(
        "ems field fault clear                 all of them\n"
        "ems field fault clear A-07-hp         those of one device\n"
        "ems field fault clear A-07-hp dead    this one"
    )
)
@state_option
@click.argument("target", required=False)
@click.argument("kind", required=False, type=click.Choice([kind.value for kind in FaultKind]))
@json_option
def clear(state: Path, target: str | None, kind: str | None, as_json: bool) -> None:
    """Switch faults off: all, those of TARGET, or one KIND of TARGET."""
    _show(clear_faults(state, target, FaultKind(kind) if kind else None), as_json)


@fault.command("list", epilog=examples("ems field fault list\nems field fault list --json"))
@state_option
@json_option
def list_(state: Path, as_json: bool) -> None:
    """List the faults that are switched on."""
    _show(read_faults(state), as_json)
