"""``ems forecast show``: one forecast as text, JSON or a picture."""

from __future__ import annotations

from datetime import datetime, timedelta
from html import escape
from pathlib import Path
from typing import Any
from zoneinfo import ZoneInfo

import click
import numpy as np

from ems.cli.estate import estate_clock, open_estate, open_existing_store
from ems.cli.options import config_option, emit_json, examples, json_option, state_option, table
from ems.domain.errors import InvalidInputError
from ems.domain.forecasts import FloatArray, Forecast
from ems.domain.time import steps

TARGETS = {
    "load_w": "household load",
    "hot_water_w": "hot water",
    "heat_pump_w": "heating under its own thermostat",
    "free_heat_w": "free heat",
    "communal_w": "communal load",
    "load_5min_w": "household load by five minutes",
    "pv_w": "generation of the panels",
    "outdoor_c": "outdoor temperature",
    "irradiance_w_m2": "irradiance",
}
"""What a forecast may be of, in the order it is looked for."""
_WIDE, _HIGH, _HEAD = 760.0, 260.0, 54.0
"""Size of a picture, and of what stands above the curves [px]."""
_BLOCKS = "▁▂▃▄▅▆▇█"


@click.command(
    epilog=examples(
        "ems forecast show A-07                     household load of a home in service\n"
        "ems forecast show A --target pv_w          the panels of block A\n"
        "ems forecast show A-07 --svg a-07.svg      as a picture\n"
        "ems forecast show MAC000002 --file tomorrow.csv"
    )
)
@click.argument("subject", metavar="HOME")
@click.option("--target", type=click.Choice(list(TARGETS)), help="What of it; default: its load.")
@click.option(
    "--file",
    "source",
    type=click.Path(path_type=Path),
    help="From a file that `ems forecast run` wrote, not from an estate.",
)
@click.option("--zone", default="Europe/London", show_default=True, help="With --file: local time.")
@click.option(
    "--svg",
    "picture",
    type=click.Path(path_type=Path, dir_okay=False),
    help="Draw it into this file.",
)
@config_option
@state_option
@json_option
def show(
    subject: str,
    target: str | None,
    source: Path | None,
    zone: str,
    picture: Path | None,
    config: Path,
    state: Path,
    as_json: bool,
) -> None:
    """Show the newest forecast of a home, a block or the estate's weather.

    HOME is a home (A-07), a block (A), or the estate's id for its weather. An estate may be
    running or stopped.
    """
    if source is not None:
        from ems.cli.forecast_options import zone_of

        local, now = zone_of(zone, "--zone"), None
        chosen = _of_file(source, subject)
        others: list[str] = []
    else:
        estate = open_estate(config)
        store = open_existing_store(state)
        local, now = estate.zone, estate_clock(estate, state).now()
        known = {home.id for home in estate.dwellings()} | {block.id for block in estate.blocks}
        if subject not in known | {estate.id}:
            raise InvalidInputError(
                "the estate has no such home or block",
                field="HOME",
                value=subject,
                remedy=f"Homes are named like {next(estate.dwellings()).id}, blocks "
                f"{', '.join(block.id for block in estate.blocks)}; the weather is of {estate.id}.",
            )
        held = {name: store.latest_forecast(name, subject) for name in TARGETS}
        there = {name: one for name, one in held.items() if one is not None}
        chosen, others = _chosen(there, target, subject)
    if picture is not None:
        _draw(chosen, picture, local)
    if as_json:
        emit_json(_as_dict(chosen))
        return
    click.echo(_text(chosen, local, now))
    if others:
        click.echo(f"\nalso: {', '.join(f'--target {name}' for name in others)}")
    if picture is not None:
        click.echo(f"picture: {picture}")


def _of_file(source: Path, subject: str) -> Forecast:
    from ems.cli.forecast_files import read_forecasts

    found = read_forecasts(source)
    if subject not in found:
        names = list(found)
        more = "" if len(names) <= 8 else f" and {len(names) - 8} more"
        raise InvalidInputError(
            "the file has no forecast of it",
            field="HOME",
            value=subject,
            remedy=f"It has: {', '.join(names[:8])}{more}.",
        )
    return found[subject]


def _chosen(
    there: dict[str, Forecast], target: str | None, subject: str
) -> tuple[Forecast, list[str]]:
    """Return the forecast wanted and the names of the others that there are."""
    name = target or next(iter(there), None)
    if name is None or name not in there:
        raise InvalidInputError(
            "there is no such forecast yet",
            field="--target" if target else "HOME",
            value=target or subject,
            remedy=f"There are: {', '.join(there)}."
            if there
            else "The control process makes the first ones when it starts (`ems serve`).",
        )
    return there[name], [other for other in there if other != name]


def _unit(target: str) -> tuple[str, float, int]:
    """Return unit, divisor and digits of a target."""
    if target.endswith("_w_m2"):
        return "W/m²", 1.0, 0
    return ("°C", 1.0, 1) if target.endswith("_c") else ("kW", 1000.0, 3)


def sparkline(values: FloatArray) -> str:
    """Return one block character a value, lowest to highest."""
    low, high = float(np.min(values)), float(np.max(values))
    place = (values - low) / ((high - low) or 1.0) * (len(_BLOCKS) - 1)
    return "".join(_BLOCKS[round(float(one))] for one in place)


def _as_dict(one: Forecast) -> dict[str, Any]:
    return {
        "target": one.target,
        "subject": one.subject,
        "issued_at": one.issued_at,
        "start": one.start,
        "step_s": one.step_s,
        "model": one.model,
        "lacked": list(one.lacked),
        "mean": one.mean.tolist(),
        **{f"p{level * 100:.0f}": one.quantile(level).tolist() for level in sorted(one.quantiles)},
    }


def _ago(age: timedelta) -> str:
    minutes = age.total_seconds() / 60.0
    if minutes < 120:
        return f"{minutes:.0f} min ago"
    return (
        f"{minutes / 60:.0f} hours ago" if minutes < 48 * 60 else f"{minutes / 1440:.0f} days ago"
    )


def _text(one: Forecast, local: ZoneInfo, now: datetime | None) -> str:
    unit, per, digits = _unit(one.target)
    age = "" if now is None else f", {_ago(now - one.issued_at)}"
    issued = f"{one.issued_at.astimezone(local):%a %-d %b %Y %H:%M}"
    levels = sorted(one.quantiles)
    rows = []
    for number, start in enumerate(steps(one.start, len(one.mean), one.step_s)):
        values = [*(one.quantile(level)[number] for level in levels), one.mean[number]]
        cells = [f"{value / per:.{digits}f}".replace("-", "−") for value in values]
        rows.append([f"{start.astimezone(local):%a %H:%M}", *cells])
    shown = one.quantile(0.5) if 0.5 in one.quantiles else one.mean
    low, high = (
        f"{value / per:.{digits}f}".replace("-", "−") for value in (min(shown), max(shown))
    )
    lines = [
        f"{one.subject}, {TARGETS.get(one.target, one.target)}: issued {issued}{age}, {one.model}",
        *(f"lacked: {reason}" for reason in one.lacked),
        "",
        f"{sparkline(np.asarray(shown))}  median, {low} to {high} {unit}",
        "",
        table(["from", *(f"P{level * 100:.0f} {unit}" for level in levels), f"mean {unit}"], rows),
    ]
    if unit == "kW" and one.target != "free_heat_w":
        energy = float(one.mean.sum()) * one.step_s / 3.6e6
        lines.append(
            f"\nexpected in all: {energy:.1f} kWh over {len(one.mean) * one.step_s / 3600:g} hours"
        )
    return "\n".join(lines)


def _draw(one: Forecast, path: Path, local: ZoneInfo) -> None:
    """Draw median, mean and band as SVG."""
    from ems.demo.drawing import Chart, Line, draw

    unit, per, _ = _unit(one.target)
    hours = [number * one.step_s / 3600.0 for number in range(len(one.mean))]
    low, high = min(one.quantiles), max(one.quantiles)
    lines = [
        Line("P10", "#28a197", hours, (one.quantile(low) / per).tolist(), "4 3"),
        Line("P90", "#28a197", hours, (one.quantile(high) / per).tolist(), "4 3"),
        Line("median", "#12436d", hours, (one.quantile(0.5) / per).tolist()),
    ]
    every = 6 if hours[-1] <= 48 else 24
    ticks = []
    for hour, start in zip(hours, steps(one.start, len(hours), one.step_s), strict=True):
        at = start.astimezone(local)
        if at.minute == 0 and at.hour % every == 0:
            ticks.append((hour, f"{at:%a %-d %b}" if at.hour == 0 else f"{at:%H:%M}"))
    title = f"{one.subject}: {TARGETS.get(one.target, one.target)}"
    chart = Chart(title, unit, lines, ticks[:: 1 + len(ticks) // 9], zero=one.target != "outdoor_c")
    inner = draw(chart, _WIDE, _HIGH).replace(
        "<svg ", f'<svg y="{_HEAD:g}" width="{_WIDE:g}" height="{_HIGH:g}" ', 1
    )
    issued = f"issued {one.issued_at.astimezone(local):%a %-d %b %Y %H:%M}, {one.model}"
    svg = (
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {_WIDE:g} {_HEAD + _HIGH:g}" '
        'font-family="arial, sans-serif">'
        f'<rect width="100%" height="100%" fill="#fff"/>'
        f'<text x="46" y="24" font-size="17" font-weight="700">{escape(title)} [{unit}]</text>'
        f'<text x="46" y="44" font-size="14" fill="#484949">{escape(issued)}; dashed: P10 and '
        f"P90</text>{inner}</svg>"
    )
    try:
        path.write_text(svg + "\n", encoding="utf-8")
    except OSError as error:
        raise InvalidInputError(
            f"the picture cannot be written: {error.strerror or error}",
            field="--svg",
            value=str(path),
            remedy="Choose a file that may be written.",
        ) from error
