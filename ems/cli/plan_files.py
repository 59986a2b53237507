"""``ems plan solve | generate | schema``: problems and plans as files, without a service."""

from __future__ import annotations

import json
import time
from pathlib import Path
from typing import IO
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError

import click

from controllers import (
    Schedule,
    generate_problem,
    plan,
    plan_schema,
    problem_schema,
    read_problem,
    write_plan,
    write_problem,
)
from controllers.generate import Kind
from ems.cli.options import examples
from ems.domain.errors import InvalidInputError
from ems.service.plan_words import SOLVERS, costs

out_option = click.option(
    "--out",
    type=click.Path(path_type=Path, dir_okay=False),
    help="File to write; left out: standard output.",
)


@click.command(
    epilog=examples(
        "ems plan solve problem.json --deadline 5 --out plan.json\n"
        "ems plan solve problem.json --why Europe/London   with a sentence a step and home\n"
        "ems plan generate --homes 20 --out - | ems plan solve -"
    )
)
@click.argument("problem", type=click.File("rb"))
@click.option(
    "--deadline",
    "deadline_s",
    type=click.FloatRange(min=0),
    default=5.0,
    show_default=True,
    help="Wall seconds for planning; then the best plan so far is written.",
)
@out_option
@click.option("--why", "zone_name", help="Give causes and sentences, with times of this zone.")
@click.option(
    "--sensitivity/--no-sensitivity",
    default=True,
    show_default=True,
    help="Tell how the plan changes with values at the end 25 % lower and higher.",
)
def solve(
    problem: IO[bytes],
    deadline_s: float,
    out: Path | None,
    zone_name: str | None,
    sensitivity: bool,
) -> None:
    """Plan the block in PROBLEM (a file, or - for standard input).

    Both formats are published: ems plan schema.
    """
    zone = None
    if zone_name is not None:
        try:
            zone = ZoneInfo(zone_name)
        except (ZoneInfoNotFoundError, ValueError):
            raise InvalidInputError(
                "there is no such time zone",
                field="--why",
                value=zone_name,
                remedy="Give one like Europe/London.",
            ) from None
    source = problem.name
    posed = read_problem(problem.read(), source)
    begin = time.monotonic()
    schedule = plan(posed, deadline_s, zone=zone, sensitivity=sensitivity)
    taken = time.monotonic() - begin
    _write(write_plan(schedule), out)
    for line in _summary(schedule, taken):
        click.echo(line, err=out is None)


def _summary(schedule: Schedule, taken_s: float) -> list[str]:
    lines = [
        f"{schedule.status}: £{schedule.objective_gbp:.4f}, bound £{schedule.bound_gbp:.4f}, "
        f"gap {schedule.gap:.3%}, {taken_s:.2f} s by {SOLVERS[schedule.solver]}"
    ]
    lines += [f"{name.lower()}: {value}" for name, value in costs(schedule)]
    lines += [
        f"gave way: {each.limit} of {each.subject} by {each.worst:.3g} {each.unit}"
        for each in schedule.gave_way
    ]
    lines += [
        f"values at the end × {case.scale:g}: £{case.kept_gbp - schedule.objective_gbp:.4f} dearer "
        f"if they were wrong; the first two hours change by {case.first_change_w:.0f} W"
        for case in schedule.terminal
    ]
    return lines


@click.command(
    epilog=examples(
        "ems plan generate --homes 100 --steps 48 --seed 1 --class store1 --out problem.json\n"
        "ems plan generate --homes 20 --class onoff"
    )
)
@click.option("--homes", type=int, default=20, show_default=True, help="How many homes.")
@click.option("--steps", type=int, default=48, show_default=True, help="Of one length each.")
@click.option("--seed", type=int, default=0, show_default=True, help="Of all that is drawn.")
@click.option(
    "--class",
    "kind",
    type=click.Choice([str(each) for each in Kind]),
    default=str(Kind.STORE1),
    show_default=True,
    help="What homes have: one store, a hot-water tank besides, two thermal states, or a heat "
    "pump that is on or off.",
)
@click.option("--hours", type=float, default=24.0, show_default=True, help="Length of the horizon.")
@out_option
def generate(homes: int, steps: int, seed: int, kind: str, hours: float, out: Path | None) -> None:
    """Make up a block of flats on a winter's day; the same for the same seed."""
    _write(write_problem(generate_problem(homes, steps, seed, kind, hours=hours)), out)


@click.command(
    epilog=examples(
        "ems plan schema problem                  the JSON Schema of a problem\n"
        "ems plan schema plan --out plan.json     of a plan"
    )
)
@click.argument("which", type=click.Choice(["problem", "plan"]))
@out_option
def schema(which: str, out: Path | None) -> None:
    """Print the JSON Schema of problem or plan files."""
    found = problem_schema() if which == "problem" else plan_schema()
    _write(json.dumps(found, indent=2) + "\n", out)


def _write(text: str, out: Path | None) -> None:
    if out is None or str(out) == "-":
        click.echo(text, nl=False)
        return
    try:
        out.write_text(text, encoding="utf-8")
    except OSError as error:
        raise InvalidInputError(
            f"cannot write there: {error.strerror}",
            field="--out",
            value=str(out),
            remedy="Name a file in a folder that you may write to.",
        ) from None
