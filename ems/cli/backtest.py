"""``ems backtest``: weeks of the closed loop under several controllers, and their report."""

from __future__ import annotations

import re
from datetime import date
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from ems.cli.options import config_option, examples
from ems.domain.errors import InvalidInputError

if TYPE_CHECKING:
    from ems.backtest.campaign import Standing

WINDOWS = "2023-01-23,2023-02-20,2023-11-27"
CONTROLLERS = "thermostat,battery_only,time_of_use,planned,perfect_foresight"


@click.command(
    epilog=examples(
        "ems backtest --out out/                      three windows of 28 days, five seeds\n"
        "ems backtest --jobs 2 --seeds 1-5 --out out/ two cases beside each other\n"
        "ems backtest --windows 2023-02-20 --days 7 --seeds 1 --out out/\n"
        "ems backtest --tariff agile:prices.csv.gz --windows 2023-01-23 --out out/\n"
        "ems backtest --houses heated-floor --controllers thermostat,planned --out out/\n"
        "ems backtest --out out/ --report-only        while a campaign is under way"
    )
)
@config_option
@click.option(
    "--windows",
    default=WINDOWS,
    show_default=True,
    help="Days on which windows begin (UTC), with commas.",
)
@click.option(
    "--days", default=28, show_default=True, type=click.IntRange(1, 366), help="Length of a window."
)
@click.option(
    "--seeds", default="1-5", show_default=True, help="Seeds of the simulated field: 1-5 or 1,4,7."
)
@click.option(
    "--tariff",
    default="trial",
    show_default=True,
    help="trial: as configured; NAME:FILE: published half-hourly prices in place of dynamic ones.",
)
@click.option(
    "--weather",
    default="error",
    show_default=True,
    help="error: forecasts are truth with a stated error; pair:OBSERVED,ISSUED: two files.",
)
@click.option(
    "--houses",
    default="two-node",
    show_default=True,
    help="Model of the simulated homes: two-node, heated-floor, two-zone or mixed.",
)
@click.option(
    "--controllers",
    default=CONTROLLERS,
    show_default=True,
    help="Whose runs are made; the thermostats' and their frontier always are.",
)
@click.option(
    "--jobs", default=1, show_default=True, type=click.IntRange(1, 64), help="Cases run at once."
)
@click.option(
    "--history-days",
    default=21,
    show_default=True,
    type=click.IntRange(2, 300),
    help="Days under thermostats before a window.",
)
@click.option(
    "--learn-every",
    default="7d",
    show_default=True,
    help="How often household load is learnt anew, e.g. 1d or 7d.",
)
@click.option(
    "--plan-every",
    default="60min",
    show_default=True,
    help="How often is planned: 30min, as in a running estate, or 60min.",
)
@click.option("--blocks", default="", help="Blocks that take part, with commas; all if not given.")
@click.option("--report-only", is_flag=True, help="Run nothing: report the cases that are there.")
@click.option(
    "--out",
    required=True,
    type=click.Path(path_type=Path, file_okay=False),
    help="Where cases and the report go; what is there already is not run again.",
)
def backtest(config: Path, out: Path, jobs: int, days: int, seeds: str, **given: Any) -> None:
    """Run weeks of the closed loop on the simulated estate, and report.

    A case is one window and one seed: the homes' own thermostats with their schedules shifted
    up and down, the battery alone planned, timers set by a simple rule, everything planned with
    forecasts as they are issued, and with perfect foresight. All start from the same weeks under
    thermostats. Finished cases are kept, so the same command goes on where it was cut short. The
    report is of all cases in the folder, those of other prices and houses apart.
    """
    from ems.backtest.campaign import cases_of, run_campaign
    from ems.backtest.case import Setting
    from ems.backtest.reporting import report_campaign
    from ems.backtest.words import promises, summary
    from ems.cli.estate import open_estate
    from ems.field.houses import rooms_model
    from ems.service.logs import configure

    configure("backtest", level="ERROR")
    open_estate(config)
    rooms_model(given["houses"])
    tariff, prices = _tariff(given["tariff"])
    setting = Setting(
        config=config.resolve(),
        folder=out.resolve(),
        tariff=tariff,
        prices=prices,
        weather=_weather(given["weather"]),
        houses=given["houses"],
        controllers=_controllers(given["controllers"]),
        history_days=given["history_days"],
        learn_days=_whole(given["learn_every"], "--learn-every", {"d": 1}, (1, 365), "1d or 7d"),
        plan_s=_whole(
            given["plan_every"], "--plan-every", {"min": 60, "h": 3600}, (1800, 7200), "30min or 1h"
        ),
        blocks=tuple(name for name in given["blocks"].split(",") if name),
    )
    cases = cases_of(_windows(given["windows"]), days * 24, _seeds(seeds))
    failed = [] if given["report_only"] else run_campaign(cases, setting, jobs=jobs, tell=_show)
    for one in failed:
        click.echo(f"Failed: {one.case.start} seed {one.case.seed}: {one.why}", err=True)
        if one.trace:
            click.echo(one.trace, err=True)
    figures, paths = report_campaign(cases, setting)
    for group in figures["groups"][:1]:
        click.echo(summary(figures)[0])
        for promise in promises(group):
            click.echo(f"{promise['heading']} {promise['text']}")
    click.echo(f"{figures['cases_done']} of {figures['cases_expected']} cases: {paths[0]}")
    if failed:
        raise click.exceptions.Exit(1)


def _show(at: Standing) -> None:
    left = "" if at.left_s is None else f", about {_duration(at.left_s)} left"
    click.echo(
        f"[{at.finished}/{at.cases}] {at.case.start} seed {at.case.seed}: {at.part}"
        f" ({100 * at.share:.0f} % of the work{left})"
    )


def _duration(seconds: float) -> str:
    minutes = max(round(seconds / 60.0), 1)
    return f"{minutes} min" if minutes < 90 else f"{minutes // 60} h {minutes % 60:02d} min"


def _refuse(option: str, value: str, problem: str, remedy: str) -> InvalidInputError:
    return InvalidInputError(problem, field=option, value=value, remedy=remedy)


def _windows(text: str) -> list[date]:
    try:
        found = [date.fromisoformat(part.strip()) for part in text.split(",")]
    except ValueError:
        raise _refuse(
            "--windows", text, "not a list of days", f"Write days with commas, e.g. {WINDOWS}."
        ) from None
    return list(dict.fromkeys(found))


def _seeds(text: str) -> list[int]:
    found: list[int] = []
    for part in text.split(","):
        match = re.fullmatch(r"\s*(\d+)(?:\s*-\s*(\d+))?\s*", part)
        if match is None or (match[2] and int(match[2]) < int(match[1])):
            raise _refuse("--seeds", text, "not a list of seeds", "Write e.g. 1-5 or 1,4,7.")
        found += range(int(match[1]), int(match[2] or match[1]) + 1)
    return list(dict.fromkeys(found))


def _tariff(text: str) -> tuple[str, Path | None]:
    from ems.backtest.tariffs import read_rates

    if text == "trial":
        return text, None
    name, _, path = text.partition(":")
    if not path or not re.fullmatch(r"[a-z0-9-]+", name) or name == "trial":
        raise _refuse(
            "--tariff",
            text,
            "neither the configured tariff nor a name with a file of prices",
            "Write trial, or e.g. agile:FILE.",
        )
    read_rates(Path(path))
    return name, Path(path).resolve()


def _weather(text: str) -> tuple[Path, Path] | None:
    if text == "error":
        return None
    kind, _, files = text.partition(":")
    paths = [Path(part).resolve() for part in files.split(",")]
    if kind != "pair" or len(paths) != 2:
        raise _refuse(
            "--weather", text, "not a kind of weather", "Write error, or pair:OBSERVED,ISSUED."
        )
    return paths[0], paths[1]


def _controllers(text: str) -> tuple[Any, ...]:
    from ems.demo.evidence import Controller

    try:
        return tuple(dict.fromkeys(Controller(part.strip()) for part in text.split(",")))
    except ValueError:
        raise _refuse(
            "--controllers", text, "no such controller", f"Name some of: {CONTROLLERS}."
        ) from None


def _whole(
    text: str, option: str, units: dict[str, int], bounds: tuple[int, int], like: str
) -> int:
    match = re.fullmatch(r"\s*(\d+)\s*([a-z]+)\s*", text)
    if match is None or match[2] not in units:
        raise _refuse(option, text, "not a length of time", f"Write e.g. {like}.")
    value = int(match[1]) * units[match[2]]
    if not bounds[0] <= value <= bounds[1] or (option == "--plan-every" and value % 1800):
        raise _refuse(option, text, "out of bounds", f"Write e.g. {like}.")
    return value
