"""``ems forecast run``: forecast any half-hourly meters from a file, without a service."""

from __future__ import annotations

import time
from collections.abc import Mapping
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click
import pandas as pd

from ems.cli.forecast_options import meter_options, read_meters, read_weather_of, tell
from ems.cli.options import examples, table
from ems.domain.errors import InvalidInputError

if TYPE_CHECKING:
    from ems.cli.forecast_weather import GivenWeather

MODELS = ("learnt", "weighted empirical")


@click.command(
    epilog=examples(
        "ems forecast run meters.parquet --out tomorrow.csv\n"
        "ems forecast run meters.csv --at 2013-12-01T06:00 --horizon 96 --out from-sunday.json\n"
        "ems forecast run meters.csv --id-column home --time-column start --energy-column kwh "
        "--weather forecast.csv --out tomorrow.parquet"
    )
)
@click.argument("data", type=click.Path(path_type=Path))
@click.option("--at", help="Instant of issue, UTC: 2013-12-01T06:00; default: end of the readings.")
@click.option(
    "--horizon",
    default=48,
    show_default=True,
    type=click.IntRange(1, 336),
    help="Half-hours ahead.",
)
@click.option(
    "--group-size",
    default=20,
    show_default=True,
    type=click.IntRange(2),
    help="Homes of a group.",
)
@click.option(
    "--max-missing",
    default=1.0,
    show_default=True,
    type=click.FloatRange(0, 1),
    help="Leave out homes that miss a larger share.",
)
@click.option(
    "--model", default=MODELS[0], show_default=True, type=click.Choice(MODELS), help="Which one."
)
@click.option(
    "--days",
    default=365,
    show_default=True,
    type=click.IntRange(1),
    help="Learn from so many days at most; fewer take less time.",
)
@click.option(
    "--events",
    type=click.Path(path_type=Path),
    help="CSV of spans not to learn from: columns start, end.",
)
@click.option(
    "--out",
    required=True,
    type=click.Path(path_type=Path, dir_okay=False),
    help="File to write: .csv, .csv.gz, .parquet or .json.",
)
@meter_options
def run(
    data: Path,
    at: str | None,
    horizon: int,
    group_size: int,
    max_missing: float,
    model: str,
    days: int,
    events: Path | None,
    out: Path,
    **of_file: Any,
) -> None:
    """Forecast every home, groups of homes and all together from a meter file.

    DATA is Parquet or CSV, one row a home and half-hour. Only what had ended at the instant of
    issue is used. Writes mean, P10, P50 and P90 of every half-hour, and what was lacking.
    """
    from ems.cli.forecast_files import suffix_of, write_forecasts
    from forecasting.backtest import chosen_homes, members_of
    from forecasting.interface import Horizon, known_before
    from forecasting.meter_forecasts import as_frame, last_known, meter_forecasts

    began = time.monotonic()
    suffix_of(out, "--out")
    meters, calendar = read_meters(data, of_file)
    issued_at = last_known(meters.power_w) if at is None else _instant(at)
    past = known_before(meters.power_w, issued_at)
    if not len(past):
        raise InvalidInputError(
            "no reading had ended by then",
            field="--at",
            value=at,
            remedy=f"The readings begin at {meters.power_w.index[0]:%Y-%m-%d %H:%M} UTC.",
        )
    names = list(chosen_homes(past, max_missing).columns)
    tell(meters, len(names), max_missing)
    scales = members_of(names, group_size)
    larger = {scale: of for scale, of in scales.items() if scale != "home" and len(names) > 1}
    weather = read_weather_of(of_file)
    spans = _spans(events)

    def told(what: str) -> None:
        click.echo(f"{time.monotonic() - began:6.1f} s  {what}", err=True)

    found = meter_forecasts(
        meters.power_w[names],
        issued_at=issued_at,
        steps=horizon,
        calendar=calendar,
        groups={name: of for subjects in larger.values() for name, of in subjects.items()},
        weather=_joined(weather, Horizon.following(issued_at, horizon)),
        events=spans,
        model="learnt" if model == "learnt" else "weighted empirical",
        days=days,
        told=told,
    )
    scale_of = {name: scale for scale, subjects in larger.items() for name in subjects}
    frame = as_frame(found, scale_of)
    facts = {
        "data": data.name,
        "issued_at": issued_at.isoformat(),
        "horizon": horizon,
        "weather": "none" if weather is None else weather.what,
        "notes": list(meters.notes),
    }
    write_forecasts(out, frame, facts)
    _print(frame, larger)
    click.echo(f"\nissued at {issued_at:%Y-%m-%d %H:%M} UTC; weather: {facts['weather']}")
    click.echo(f"forecasts: {out}\nlook at one: ems forecast show {names[0]!r} --file {out}")


def _instant(text: str) -> datetime:
    try:
        at = pd.Timestamp(text)
        if pd.isna(at):
            raise ValueError("no instant")
    except ValueError as error:
        raise InvalidInputError(
            "the instant of issue cannot be read",
            field="--at",
            value=text,
            remedy="Write it as 2013-12-01T06:00 (UTC), or with an offset.",
        ) from error
    at = at.tz_localize(UTC) if at.tz is None else at.tz_convert(UTC)
    found: datetime = at.to_pydatetime()
    return found


def _spans(path: Path | None) -> list[tuple[datetime, datetime]]:
    """Return the spans of an events file; stamps without a zone are UTC."""
    from forecasting.meters import instants, read_table

    if path is None:
        return []
    table_ = read_table(path, ["start", "end"], "--events")
    (start, _), (end, _) = (instants(table_[name], "UTC", "--events") for name in ("start", "end"))
    if start.isna().any() or end.isna().any() or (end <= start).any():
        raise InvalidInputError(
            "an event has no start and a later end",
            field="--events",
            value=path.name,
            remedy="Write start and end of each event, e.g. 2013-12-01T16:00Z.",
        )
    pairs = zip(start, end, strict=True)
    return [(first.to_pydatetime(), last.to_pydatetime()) for first, last in pairs]


def _joined(weather: GivenWeather | None, horizon: Any) -> pd.DataFrame | None:
    """Return weather as it came before the issue, and as it was forecast then."""
    if weather is None:
        return None
    past = weather.observed.loc[weather.observed.index < pd.Timestamp(horizon.start)]
    coming = weather.forecast(horizon)
    ahead = pd.DataFrame({name: one.mean for name, one in coming.items()}, index=horizon.index)
    both = pd.concat([past, ahead.reindex(columns=past.columns)])
    return both.reindex(pd.date_range(both.index[0], both.index[-1], freq="30min"))


def _print(frame: pd.DataFrame, larger: Mapping[str, Mapping[str, Any]]) -> None:
    """Show energy, peak and weakness by home, few of many, then of groups and of all."""
    rows = []
    subjects = frame.groupby("subject", sort=False)
    shown = [str(name) for name in subjects.groups]
    homes = [name for name in shown if name not in {n for of in larger.values() for n in of}]
    few = homes if len(homes) <= 12 else homes[:10]
    for name in [*few, *(one for of in larger.values() for one in of)]:
        part = subjects.get_group(name)
        rows.append(
            [
                name,
                f"{part['mean_w'].sum() / 2000.0:.1f}",
                f"{part['mean_w'].max() / 1000.0:.2f}",
                f"{part['p90_w'].max() / 1000.0:.2f}",
                part["lacked"].iloc[0][:60] or "–",
            ]
        )
    headers = ["subject", "energy kWh", "peak of mean kW", "peak of P90 kW", "lacked"]
    click.echo("\n" + table(headers, rows))
    if len(few) < len(homes):
        click.echo(f"and {len(homes) - len(few)} more homes")
