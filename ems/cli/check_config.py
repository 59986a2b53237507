"""``ems check-config``: say whether an estate file is well, or all that is wrong with it."""

from __future__ import annotations

import math
import sys
from collections import Counter
from pathlib import Path
from typing import Any

import click

from ems.cli.options import emit_json, examples, json_option, table
from ems.domain.errors import ConfigurationError, Fault
from ems.domain.estate import Estate


@click.command(
    name="check-config",
    epilog=examples(
        "ems check-config config/demo/estate.yaml\n"
        "ems check-config estate.yaml --json | jq -r '.faults[].path'"
    ),
)
@click.argument("file", type=click.Path(path_type=Path))
@json_option
def check_config(file: Path, as_json: bool) -> None:
    """Check an estate FILE and every file that it names; nothing is started or changed.

    Prints what the estate holds, or every fault with its path in the file, its line, the
    value and the remedy. Secrets do not belong in the file and are refused.

    Exit status 0 when well, 2 when there are faults.
    """
    from ems.settings import load_estate

    try:
        estate = load_estate(file)
    except ConfigurationError as error:
        if as_json:
            faults = [_plain(fault) for fault in error.faults]
            emit_json({"file": str(file), "well": False, "faults": faults})
        else:
            click.echo(_report(file, error.faults))
        sys.exit(2)
    summary = _summary(estate)
    if as_json:
        emit_json({"file": str(file), "well": True, "faults": [], "estate": summary})
    else:
        click.echo(_text(file, estate, summary))


def _plain(fault: Fault) -> dict[str, Any]:
    value = fault.value
    if isinstance(value, float) and not math.isfinite(value):
        value = str(value)
    return {
        "path": fault.path,
        "line": fault.line,
        "problem": fault.problem,
        "value": value,
        "remedy": fault.remedy,
    }


def _report(file: Path, faults: tuple[Fault, ...]) -> str:
    count = len(faults)
    lines = [f"{file}: {count} fault{'' if count == 1 else 's'}"]
    for fault in faults:
        where = fault.path if fault.line is None else f"{fault.path}, line {fault.line}"
        given = "" if fault.value is None else f" (given: {fault.value!r})"
        lines += ["", where, f"  {fault.problem}{given}", f"  → {fault.remedy}"]
    return "\n".join(lines)


def _summary(estate: Estate) -> dict[str, Any]:
    devices = Counter(device.block_id for device in estate.devices.values())
    return {
        "id": estate.id,
        "name": estate.name,
        "demonstration": estate.demonstration,
        "time_zone": estate.zone.key,
        "starts_at": estate.starts_at,
        "homes": sum(1 for _ in estate.dwellings()),
        "devices": len(estate.devices),
        "gateways": {gateway.id: gateway.address for gateway in estate.gateways.values()},
        "tariffs": sorted(estate.tariffs),
        "comfort_schedules": sorted(estate.comfort_schedules),
        "products": sorted(estate.products),
        "blocks": [
            {
                "id": block.id,
                "name": block.name,
                "supply": block.supply.value,
                "homes": len(block.dwellings),
                "devices": devices[block.id],
                "physical_import_kw": block.limits.physical_import_w / 1000,
                "pv_kw": None if block.pv is None else block.pv.peak_w / 1000,
                "battery_kwh": None if block.battery is None else block.battery.capacity_wh / 1000,
            }
            for block in estate.blocks
        ],
    }


def _text(file: Path, estate: Estate, summary: dict[str, Any]) -> str:
    headers = ["block", "name", "supply", "homes", "devices", "feeder kW", "PV kW", "battery kWh"]
    keys = ["id", "name", "supply", "homes", "devices"]
    kilo = ["physical_import_kw", "pv_kw", "battery_kwh"]
    rows = [
        [str(block[key]) for key in keys]
        + ["none" if block[key] is None else f"{block[key]:g}" for key in kilo]
        for block in summary["blocks"]
    ]
    kind = "demonstration" if estate.demonstration else "estate"
    start = "" if estate.starts_at is None else f", starts at {estate.starts_at:%Y-%m-%dT%H:%MZ}"
    return "\n".join(
        [
            f"{file}: no faults",
            f"{estate.name} ({kind}, {estate.zone.key}{start})",
            "",
            table(headers, rows),
            "",
            f"{summary['homes']} homes and {summary['devices']} devices on "
            f"{len(estate.gateways)} gateways",
            f"tariffs: {', '.join(summary['tariffs'])}",
            f"comfort schedules: {', '.join(summary['comfort_schedules'])}",
            f"products: {', '.join(summary['products']) or 'none'}",
        ]
    )
