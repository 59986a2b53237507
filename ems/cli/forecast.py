"""``ems forecast``: try the forecasts on any half-hourly meters, without a service."""

from __future__ import annotations

import resource
import time
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import click
import pandas as pd

from ems.cli.forecast_options import meter_options, read_meters, read_weather_of, tell
from ems.cli.forecast_run import run
from ems.cli.forecast_show import show
from ems.cli.options import examples, table
from ems.domain.errors import InvalidInputError
from ems.domain.time import HALF_HOUR, floor_to


@click.group()
def forecast() -> None:
    """Forecasts: of any half-hourly meters from a file, and those of an estate in service."""


forecast.add_command(run)
forecast.add_command(show)


@forecast.command(
    epilog=examples(
        "ems forecast backtest meters.parquet --origins 2013-10-15..2013-12-13 --out report/\n"
        "ems forecast backtest meters.csv --origins 2013-11-30..2013-12-13 --every 30min "
        "--horizon 4 --out report/\n"
        "ems forecast backtest meters.csv --id-column home --time-column start "
        "--energy-column kwh --origins 2024-01-08..2024-01-21 --out report/"
    )
)
@click.argument("data", type=click.Path(path_type=Path))
@click.option("--origins", required=True, help="First and last day (UTC): 2013-10-15..2013-12-13.")
@click.option("--every", default="24h", show_default=True, help="Between origins: 30min, 6h, 1d.")
@click.option("--horizon", default=48, show_default=True, help="Half-hours ahead.")
@click.option("--group-size", default=20, show_default=True, help="Homes of a group.")
@click.option(
    "--max-missing",
    default=0.03,
    show_default=True,
    type=click.FloatRange(0, 1),
    help="Leave out homes that miss a larger share.",
)
@click.option("--models", default="", help="Only these, separated by commas; default: all.")
@click.option(
    "--out", required=True, type=click.Path(path_type=Path, file_okay=False), help="Made if absent."
)
@meter_options
def backtest(
    data: Path,
    origins: str,
    every: str,
    horizon: int,
    group_size: int,
    max_missing: float,
    models: str,
    out: Path,
    **of_file: Any,
) -> None:
    """Forecast as it would have been done at earlier instants, and write how good it was.

    DATA is Parquet or CSV, one row a home and half-hour. Writes metrics.json and report.html.
    """
    from ems.cli.forecast_contests import contests_of
    from ems.cli.forecast_report import write_report
    from forecasting.backtest import Plan, chosen_homes, members_of, run_backtest

    began = time.monotonic()
    meters, calendar = read_meters(data, of_file)
    plan = Plan(parse_origins(origins, every), horizon, group_size, max_missing)
    homes = chosen_homes(meters.power_w, max_missing)
    weather = read_weather_of(of_file)
    tell(meters, homes.shape[1], max_missing)
    contests = contests_of(calendar, members_of(list(homes.columns), group_size), plan, models)
    with click.progressbar(length=len(plan.origins), label="Origins", show_pos=True) as bar:

        def progress(done: int, of: int) -> None:
            del of
            bar.update(done - bar.pos)

        found = run_backtest(
            homes,
            plan,
            contests,
            weather=None if weather is None else weather.forecast,
            observed=None if weather is None else weather.observed,
            progress=progress,
        )
    facts = {
        "data": data.name,
        "homes": homes.shape[1],
        "homes_left_out": meters.power_w.shape[1] - homes.shape[1],
        "origins": [plan.origins[0].isoformat(), plan.origins[-1].isoformat(), len(plan.origins)],
        "every": every,
        "horizon": horizon,
        "group_size": group_size,
        "max_missing": max_missing,
        "weather": "none" if weather is None else weather.what,
        "notes": list(meters.notes),
        "weak": {name: list(why) for name, why in meters.weak.items() if name in homes.columns},
        "seconds": round(time.monotonic() - began, 1),
        "peak_mb": round(resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024.0, 1),
    }
    report = write_report(out, found, facts, calendar)
    _print(report)
    click.echo(f"\nreport: {out / 'report.html'}\nfigures: {out / 'metrics.json'}")


def parse_origins(span: str, every: str) -> tuple[datetime, ...]:
    """Return instants from the first to the end of the last day (UTC), so far apart.

    ``span`` is ``START..END``; a day means its midnight, an END with a time is the last
    origin itself.
    """
    first, dots, last = span.partition("..")
    step = parse_span(every)
    try:
        begin, end = (pd.Timestamp(text.strip()) for text in (first, last or first))
        if pd.isna(begin) or pd.isna(end) or (dots and not last.strip()):
            raise ValueError("no instant")
    except ValueError as error:
        raise InvalidInputError(
            "origins cannot be read",
            field="--origins",
            value=span,
            remedy="Write first and last day: 2013-10-15..2013-12-13.",
        ) from error
    begin, end = (
        at.tz_localize(UTC) if at.tz is None else at.tz_convert(UTC) for at in (begin, end)
    )
    if len(last.strip()) == len("2013-12-13"):
        end += pd.Timedelta(days=1) - pd.Timedelta(seconds=1)
    begin_at = begin.to_pydatetime()
    if floor_to(begin_at) != begin_at:
        raise InvalidInputError(
            "origins lie on half-hours",
            field="--origins",
            value=span,
            remedy="Begin at a whole half-hour, e.g. 2013-10-15T00:30.",
        )
    return tuple(at.to_pydatetime() for at in pd.date_range(begin, end, freq=step))


def parse_span(text: str) -> timedelta:
    """Return a whole number of half-hours from 30min, 6h or 1d."""
    try:
        step = pd.Timedelta(text).to_pytimedelta()
    except ValueError:
        step = timedelta(0)
    if not isinstance(step, timedelta) or step <= timedelta(0) or step % HALF_HOUR:
        raise InvalidInputError(
            "not a whole number of half-hours",
            field="--every",
            value=text,
            remedy="Write 30min, 6h or 24h.",
        )
    return step


def _print(report: dict[str, Any]) -> None:
    rows = []
    for scale in ("home", "group", "total"):
        if scale not in report:
            continue
        for name, one in report["models"].items():
            if scale in one:
                rows.append([scale, name, *_cells(one[scale])])
    headers = ["scale", "model", "mae_ratio", "pinball_ratio", "coverage_80", "bias", "1 ahead"]
    click.echo("\n" + table(headers, rows))
    click.echo(
        f"\nweather: {report['weather']}; {report['seconds']} s, {report['peak_mb']} MB at most"
    )


def _cells(one: dict[str, Any]) -> list[str]:
    lead = one["by_lead"].get("1", {}).get("mae_ratio")
    values = [one["mae_ratio"], one["pinball_ratio"], one["coverage_80"], one["bias"], lead]
    return ["–" if value is None else f"{value:.3f}".replace("-", "−") for value in values]
