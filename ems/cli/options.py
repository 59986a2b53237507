"""Options and output that all commands share."""

from __future__ import annotations

import json
import sys
from collections.abc import Callable, Sequence
from datetime import datetime
from pathlib import Path
from typing import Any, TypeVar

import click

from ems.domain.errors import HearthError

F = TypeVar("F", bound=Callable[..., Any])

DEFAULT_CONFIG = Path("config/demo/estate.yaml")
DEFAULT_STATE = Path("var/demo")


def config_option(function: F) -> F:
    """Add ``--config``: the estate's file."""
    return click.option(
        "--config",
        "config",
        type=click.Path(path_type=Path),
        envvar="HEARTH_CONFIG",
        default=DEFAULT_CONFIG,
        show_default=True,
        help="The estate's configuration file (or HEARTH_CONFIG).",
    )(function)


def state_option(function: F) -> F:
    """Add ``--state``: the directory of the store, the clock and the logs."""
    return click.option(
        "--state",
        "state",
        type=click.Path(path_type=Path, file_okay=False),
        envvar="HEARTH_STATE",
        default=DEFAULT_STATE,
        show_default=True,
        help="Directory of the store, the clock and the logs (or HEARTH_STATE).",
    )(function)


def json_option(function: F) -> F:
    """Add ``--json``: machine-readable output on standard output."""
    return click.option("--json", "as_json", is_flag=True, help="Print JSON instead of text.")(
        function
    )


def emit_json(value: Any) -> None:
    """Print a value as JSON; instants become ISO 8601 strings."""

    def plain(item: Any) -> Any:
        if isinstance(item, datetime):
            return item.isoformat()
        return str(item)

    click.echo(json.dumps(value, default=plain, indent=2, allow_nan=False))


def table(headers: Sequence[str], rows: Sequence[Sequence[str]]) -> str:
    """Return rows as text columns under their headers."""
    widths = [
        max(len(str(row[column])) for row in [headers, *rows]) for column in range(len(headers))
    ]
    lines = [
        "  ".join(str(cell).ljust(width) for cell, width in zip(row, widths, strict=True)).rstrip()
        for row in [headers, *rows]
    ]
    lines.insert(1, "  ".join("-" * width for width in widths))
    return "\n".join(lines)


def fail(error: HearthError, exit_status: int = 2) -> None:
    """Print an error with its remedy on standard error and end."""
    click.echo(f"Error: {error}", err=True)
    sys.exit(exit_status)


def examples(text: str) -> str:
    """Return a click epilogue that shows examples, one a line."""
    return "\b\nExamples:\n" + "\n".join(f"  {line}" for line in text.split("\n"))
