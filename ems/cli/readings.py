"""``ems readings``: what devices say."""

from __future__ import annotations

import math
from datetime import timedelta
from pathlib import Path

import click
import pandas as pd

from ems.cli.estate import estate_clock, open_estate, open_existing_store
from ems.cli.options import config_option, emit_json, examples, json_option, state_option, table
from ems.domain.errors import InvalidInputError
from ems.domain.points import POINTS, PointId
from ems.domain.readings import Reading


def _value(reading: Reading, unit: str) -> str:
    return "–" if math.isnan(reading.value) else f"{reading.value:.6g} {unit}".rstrip()


@click.command(
    epilog=examples(
        "ems readings                        the latest value of every point\n"
        "ems readings --device A-07-room     one device\n"
        "ems readings --device A-07-room --point temperature_c --hours 24 --json"
    )
)
@config_option
@state_option
@click.option("--device", "device_id", help="Only this device, e.g. A-07-room.")
@click.option("--point", "point", help="With --device: only this point, as half-hours.")
@click.option(
    "--hours",
    default=24.0,
    show_default=True,
    type=click.FloatRange(min=0.5, max=24 * 400),
    help="With --point: how far back.",
)
@json_option
def readings(
    config: Path, state: Path, device_id: str | None, point: str | None, hours: float, as_json: bool
) -> None:
    """Show the latest readings, or one point's half-hours."""
    estate = open_estate(config)
    store = open_existing_store(state)
    now = estate_clock(estate, state).now()
    if device_id is not None and device_id not in estate.devices:
        raise InvalidInputError(
            "the estate has no such device",
            field="--device",
            value=device_id,
            remedy="`ems readings` without --device lists all of them.",
        )
    if point is not None:
        if device_id is None:
            raise InvalidInputError(
                "a point needs its device", field="--point", value=point, remedy="Add --device."
            )
        point_id = PointId(device_id, point)
        frame = store.rollups([point_id], now - timedelta(hours=hours), now)
        series = frame[str(point_id)]
        rows = [
            (pd.Timestamp(str(index)).to_pydatetime(), None if math.isnan(value) else float(value))
            for index, value in series.items()
        ]
        if as_json:
            emit_json([{"start": start, "value": value} for start, value in rows])
            return
        click.echo(
            table(
                ["half-hour (local)", point],
                [
                    [
                        f"{start.astimezone(estate.zone):%Y-%m-%d %H:%M}",
                        "–" if value is None else f"{value:.6g}",
                    ]
                    for start, value in rows
                ],
            )
        )
        return
    latest = store.latest(None if device_id is None else [device_id])
    ordered = sorted(latest.values(), key=lambda reading: reading.point_id)
    if as_json:
        emit_json(
            [
                {
                    "device": reading.point_id.device_id,
                    "point": reading.point_id.point,
                    "value": None if math.isnan(reading.value) else reading.value,
                    "quality": reading.quality.name.lower(),
                    "observed_at": reading.observed_at,
                }
                for reading in ordered
            ]
        )
        return
    if not ordered:
        click.echo("No readings yet.")
        return
    units = {name: spec.unit for points in POINTS.values() for name, spec in points.items()}
    click.echo(
        table(
            ["device", "point", "value", "quality", "age"],
            [
                [
                    reading.point_id.device_id,
                    reading.point_id.point,
                    _value(reading, units.get(reading.point_id.point, "")),
                    reading.quality.name.lower().replace("_", " "),
                    f"{(now - reading.observed_at).total_seconds():.0f} s",
                ]
                for reading in ordered
            ],
        )
    )
