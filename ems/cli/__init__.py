"""The command line: one module a group of commands, imported only when used."""

from __future__ import annotations

import importlib
from typing import Any

import click

from ems.domain.errors import HearthError, RetryableError

COMMANDS: dict[str, tuple[str, str]] = {
    "demo": ("ems.cli.demo", "demo"),
    "backtest": ("ems.cli.backtest", "backtest"),
    "serve": ("ems.cli.processes", "serve"),
    "guard": ("ems.cli.processes", "guard"),
    "web": ("ems.cli.web", "web"),
    "accounts": ("ems.cli.web", "accounts"),
    "field": ("ems.cli.field", "field"),
    "check-config": ("ems.cli.check_config", "check_config"),
    "devices": ("ems.cli.devices", "devices"),
    "status": ("ems.cli.status", "status"),
    "alarms": ("ems.cli.alarms", "alarms"),
    "readings": ("ems.cli.readings", "readings"),
    "plan": ("ems.cli.plan", "plan"),
    "control": ("ems.cli.control", "control"),
    "forecast": ("ems.cli.forecast", "forecast"),
    "credits": ("ems.cli.credits", "credits"),
    "fairness": ("ems.cli.fairness", "fairness"),
    "flags": ("ems.cli.flags", "flags"),
    "setpoints": ("ems.cli.setpoints", "setpoints"),
    "events": ("ems.cli.events", "events"),
    "comfort": ("ems.cli.comfort", "comfort"),
    "release": ("ems.cli.holds", "release"),
    "hold": ("ems.cli.holds", "hold"),
}
"""Command → module and name of the click command."""


class LazyGroup(click.Group):
    """A group that imports a command's module when the command is asked for."""

    def list_commands(self, ctx: click.Context) -> list[str]:
        """Return the names in the order of use."""
        del ctx
        return list(COMMANDS)

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:
        """Import and return one command."""
        del ctx
        if cmd_name not in COMMANDS:
            return None
        module, name = COMMANDS[cmd_name]
        command: click.Command = getattr(importlib.import_module(module), name)
        return command

    def invoke(self, ctx: click.Context) -> Any:
        """Run a command; an expected error becomes one message with its remedy."""
        try:
            return super().invoke(ctx)
        except RetryableError as error:
            click.echo(f"Error: {error}", err=True)
            ctx.exit(75)  # EX_TEMPFAIL: the same call may succeed later
        except HearthError as error:
            click.echo(f"Error: {error}", err=True)
            ctx.exit(2)


@click.group(
    cls=LazyGroup,
    context_settings={"help_option_names": ["-h", "--help"], "max_content_width": 100},
    epilog="\b\nExamples:\n  ems demo                      start the demonstration estate\n"
    "  ems check-config FILE         list all faults of a configuration\n"
    "  ems status                    what is online, how old the plan is\n"
    "  ems plan show --block A       the plan in force",
)
@click.version_option(package_name="hearth-ems", prog_name="ems")
def main() -> None:
    """Hearth: energy management and demand response for social housing.

    Exit status: 0 done, 1 something is not well, 2 wrong use or wrong input,
    75 try again later.
    """
