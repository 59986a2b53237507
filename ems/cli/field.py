"""``ems field``: the simulated estate, and its faults."""

from __future__ import annotations

import asyncio
from pathlib import Path

import click

from ems.cli.estate import estate_clock, open_estate
from ems.cli.options import config_option, emit_json, examples, json_option, state_option, table
from ems.field.control import clear_faults, read_faults, set_fault, touch
from ems.field.faults import FaultKind, FieldFault
from ems.field.parameters import FieldParameters, load_parameters
from ems.settings.clock import CLOCK_FILE

FIELD_FILE = "field.yaml"


def field_parameters(config: Path) -> FieldParameters:
    """Load what only the field knows: ``field.yaml`` beside the estate's file."""
    return load_parameters(config.parent / FIELD_FILE)


@click.group(
    invoke_without_command=True,
    epilog=examples(
        "ems field                          serve the demonstration's devices\n"
        "ems field --speed 60               a minute a second, where no clock runs yet\n"
        "ems field --device eastron_sdm120  one device of a profile, to rehearse with\n"
        "ems field fault set A-07-hp dead   break one of them"
    ),
)
@config_option
@state_option
@click.option(
    "--speed",
    default=1.0,
    show_default=True,
    type=click.FloatRange(0.1, 60.0),
    help="Estate seconds in a second; only where this state directory has no clock yet.",
)
@click.option("--device", "profile", help="Serve one device of this profile (an id or a file).")
@click.option("--host", default="127.0.0.1", show_default=True, help="With --device: address.")
@click.option(
    "--port", default=15502, show_default=True, type=click.IntRange(0, 65535), help="With --device."
)
@click.option(
    "--unit", default=1, show_default=True, type=click.IntRange(1, 247), help="With --device."
)
@click.option(
    "--profiles",
    default=Path("config/devices"),
    show_default=True,
    type=click.Path(path_type=Path, file_okay=False),
    help="With --device: where the profiles are.",
)
@click.pass_context
def field(
    ctx: click.Context,
    config: Path,
    state: Path,
    speed: float,
    profile: str | None,
    host: str,
    port: int,
    unit: int,
    profiles: Path,
) -> None:
    """Simulate the estate's devices: real Modbus servers with physics behind them.

    Serves every gateway of the estate until Ctrl-C or SIGTERM. The clock of the state
    directory says what time it is; where there is none, it is started. A field that was
    killed goes on from its last checkpoint.

    With --device it serves one device of any profile instead, with values that move slowly
    and points that can be written within their bounds: to rehearse `ems devices`.
    """
    if profile is not None:
        if ctx.invoked_subcommand is not None:
            raise click.UsageError("--device serves a device; it goes with no other command.")
        _rehearse(profile, profiles, host, port, unit)
    elif ctx.invoked_subcommand is None:
        _serve(config, state, speed)


def _rehearse(name: str, profiles: Path, host: str, port: int, unit: int) -> None:
    from ems.cli.device_target import profile_of
    from ems.domain.estate import Gateway
    from ems.field.rehearsal import rehearse
    from ems.service.runtime import stop_on_signals

    profile = profile_of(name, profiles)

    async def main() -> None:
        server = rehearse(profile, Gateway("rehearsal", host, port), unit)
        await server.open()
        click.echo(
            f"{profile.vendor} {profile.model} (simulated) answers on {host}:{server.port}, "
            f"unit {unit}. Ctrl-C ends it."
        )
        try:
            await stop_on_signals().wait()
        finally:
            await server.close()

    asyncio.run(main())


def _serve(config: Path, state: Path, speed: float) -> None:
    from ems.demo.start import anchor_clock, require_demonstration
    from ems.field.process import run as run_field
    from ems.service.logs import configure
    from ems.service.runtime import only_one, stop_on_signals

    configure("field")
    estate = open_estate(config)
    parameters = field_parameters(config)
    state.mkdir(parents=True, exist_ok=True)
    if not (state / CLOCK_FILE).exists():
        anchor_clock(state, require_demonstration(estate), speed)
    clock = estate_clock(estate, state)

    async def main() -> None:
        await run_field(estate, parameters, state, clock, stop_on_signals())

    with only_one(state, "field"):
        asyncio.run(main())


@field.command(
    "touch",
    epilog=examples("ems field touch A-07 --temperature 22   someone at home turns the heating up"),
)
@config_option
@state_option
@click.argument("home")
@click.option(
    "--temperature", required=True, type=float, help="Room temperature set at the heat pump [°C]."
)
@json_option
def touch_(config: Path, state: Path, home: str, temperature: float, as_json: bool) -> None:
    """Put a resident's hand to the heat pump of HOME (A-07)."""
    device_id = touch(state, open_estate(config), home, temperature)
    if as_json:
        emit_json({"device": device_id, "room_setpoint_c": temperature})
    else:
        click.echo(f"{device_id} is set to {temperature:g} °C by hand.")


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
        "ems field fault set A-07-room offset --value 2   reads two kelvin too high\n"
        "ems field fault set A-07 window --value 100      windows stand open\n"
        "ems field fault set gw-A gateway-gone            everything behind it is silent"
    ),
)
@config_option
@state_option
@click.argument("target")
@click.argument("kind", type=click.Choice([kind.value for kind in FaultKind]))
@click.option(
    "--value",
    default=0.0,
    type=float,
    help="slow: seconds; capacity: share left; offset: K; loss: times as much; window: W/K.",
)
@json_option
def set_(config: Path, state: Path, target: str, kind: str, value: float, as_json: bool) -> None:
    """Switch a fault on: TARGET is a device (A-07-hp), a home (A-07) or a gateway (gw-A)."""
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
