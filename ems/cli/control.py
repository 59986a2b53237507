"""``ems control``: the closed-loop step of one home, as JSON for other programs."""

from __future__ import annotations

import sys
from pathlib import Path

import click

from ems.cli.options import emit_json, examples
from ems.domain.errors import InvalidInputError


@click.group()
def control() -> None:
    """One closed-loop step of a home that another program plays or owns."""


@control.command(
    epilog=examples(
        "ems control step request.json --out result.json\n"
        "ems control step - < request.json          read standard input, write standard output"
    )
)
@click.argument("request_path", metavar="REQUEST", type=click.Path(path_type=Path, allow_dash=True))
@click.option(
    "--out", type=click.Path(path_type=Path, dir_okay=False), help="Write here, not to the screen."
)
def step(request_path: Path, out: Path | None) -> None:
    """Say what one home is to do until the next step, and why.

    REQUEST is a JSON file with now, history, weather_forecast, prices, comfort, device and the
    state of the last result; - reads standard input.
    """
    from ems.loop.documents import answer, parse

    name = "standard input" if str(request_path) == "-" else str(request_path)
    try:
        text = sys.stdin.read() if str(request_path) == "-" else request_path.read_text("utf-8")
    except (OSError, UnicodeDecodeError) as error:
        raise InvalidInputError(
            "the request cannot be read",
            field="REQUEST",
            value=name,
            remedy=f"{error}. Give a JSON file, or - for standard input.",
        ) from error
    result = answer(parse(text, name)).model_dump_json(indent=2)
    if out is None:
        click.echo(result)
        return
    try:
        out.write_text(result + "\n", encoding="utf-8")
    except OSError as error:
        raise InvalidInputError(
            "the result cannot be written",
            field="--out",
            value=str(out),
            remedy=f"{error.strerror}. Name a file in a folder that exists.",
        ) from error


@control.command(
    epilog=examples(
        "ems control schema request      what ems control step reads\n"
        "ems control schema result       what it writes"
    )
)
@click.argument("which", type=click.Choice(["request", "result"]))
def schema(which: str) -> None:
    """Print the JSON Schema of a step's request or result."""
    from ems.loop.documents import schema as schema_of

    emit_json(schema_of(which))
