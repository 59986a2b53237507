"""``ems devices``: find, read, command and watch devices; check profiles."""

from __future__ import annotations

import asyncio
import logging
import sys
import time
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import click
import structlog

from ems.cli.device_hands import read, watch, write
from ems.cli.device_target import (
    all_profiles,
    bounds,
    gateway_at,
    line_options,
    profile_of,
    profiles_option,
)
from ems.cli.estate import STORE_FILE, estate_clock, open_estate, open_existing_store
from ems.cli.options import config_option, emit_json, examples, json_option, state_option, table
from ems.domain.errors import InvalidInputError, RetryableError
from ems.domain.points import POINTS
from ems.domain.profiles import DeviceProfile


@click.group(
    epilog=examples(
        "ems devices probe 192.0.2.10              what answers there, and what it is\n"
        "ems devices read 192.0.2.10 --unit 3 --profile sofar_hyd_g3\n"
        "ems devices list                          the estate's devices"
    )
)
@click.pass_context
def devices(ctx: click.Context) -> None:
    """Find, read, command and watch devices; check profiles."""
    before = structlog.get_config()
    quiet = structlog.make_filtering_bound_logger(logging.CRITICAL)
    structlog.configure(wrapper_class=quiet)  # what the drivers log, these commands say
    ctx.call_on_close(lambda: structlog.configure(**before))


for command in (read, watch, write):
    devices.add_command(command)


@devices.command(
    "list", epilog=examples("ems devices list\nems devices list --json | jq '.[] | .id'")
)
@config_option
@state_option
@json_option
def list_(config: Path, state: Path, as_json: bool) -> None:
    """List the estate's devices, where they answer and whether they do."""
    from ems.service.health import ONLINE_PERIODS

    estate = open_estate(config)
    last: dict[str, datetime] = {}
    now = None
    if (state / STORE_FILE).exists():
        last = open_existing_store(state).last_good()
        now = estate_clock(estate, state).now()
    within_s = ONLINE_PERIODS * estate.control.poll_normal_s
    rows = []
    for device in estate.devices.values():
        seen = last.get(device.id)
        age_s = (now - seen).total_seconds() if now is not None and seen is not None else None
        rows.append(
            {
                "id": device.id,
                "role": device.role,
                "profile": device.profile.id,
                "address": estate.gateways[device.gateway_id].address,
                "unit": device.unit_id,
                "state": "online"
                if age_s is not None and age_s <= within_s
                else "never read"
                if age_s is None
                else "offline",
                "last_good": seen,
            }
        )
    if as_json:
        emit_json(rows)
        return
    keys = ["id", "role", "profile", "address", "unit", "state"]
    click.echo(table(keys, [[str(row[key]) for key in keys] for row in rows]))


@devices.command(
    epilog=examples(
        "ems devices show sofar_hyd_g3        a profile: points, confidence, sources\n"
        "ems devices show A-01-meter          a device of the estate, by its profile"
    )
)
@click.argument("name")
@config_option
@profiles_option
@json_option
def show(name: str, config: Path, profiles: Path, as_json: bool) -> None:
    """Show a device of the estate, or a profile: NAME is an id or a profile's file."""
    estate = open_estate(config) if config.exists() else None
    device = estate.devices.get(name) if estate is not None else None
    profile = device.profile if device is not None else profile_of(name, profiles)
    facts = _profile_facts(profile)
    if device is not None and estate is not None:
        facts["device"] = {
            "id": device.id,
            "role": device.role,
            "address": estate.gateways[device.gateway_id].address,
            "unit": device.unit_id,
        }
    if as_json:
        emit_json(facts)
        return
    if "device" in facts:
        where = facts["device"]
        click.echo(f"{where['id']} ({where['role']}) at {where['address']}, unit {where['unit']}")
    click.echo(f"{profile.id}: {profile.vendor} {profile.model}, {profile.device_class}")
    if profile.discovery is not None:
        click.echo("Addresses are found on the device itself; those below are a nominal one's.")
    keys = ["point", "unit", "register", "type", "read", "confidence", "write"]
    click.echo(table(keys, [[str(p[key]) for key in keys] for p in facts["points"]]))
    for number, source in enumerate(profile.sources, 1):
        click.echo(f"source {number}: {source}")
    for sentence in profile.setup:
        click.echo(f"at the device: {sentence}")


def _profile_facts(profile: DeviceProfile) -> dict[str, Any]:
    return {
        "id": profile.id,
        "vendor": profile.vendor,
        "model": profile.model,
        "class": str(profile.device_class),
        "discovery": profile.discovery,
        "sources": list(profile.sources),
        "points": [
            {
                "point": name,
                "unit": POINTS[profile.device_class][name].unit,
                "register": f"{point.space} {point.address}",
                "type": str(point.data_type),
                "read": str(point.cadence),
                "confidence": str(point.confidence),
                "write": bounds(point.write),
            }
            for name, point in profile.points.items()
        ],
    }


def _unit_ids(text: str) -> list[int]:
    found: list[int] = []
    for part in text.split(","):
        low, _, high = part.strip().partition("-")
        if not low.isdigit() or (high and not high.isdigit()):
            raise InvalidInputError(
                "these are no unit ids", field="--units", value=text, remedy="Write 1-20,33,126."
            )
        found.extend(range(int(low), int(high or low) + 1))
    if not found or min(found) < 1 or max(found) > 247:
        raise InvalidInputError(
            "unit ids run from 1 to 247", field="--units", value=text, remedy="Write 1-20,33,126."
        )
    return list(dict.fromkeys(found))


@devices.command(
    epilog=examples(
        "ems devices probe 192.0.2.10                  every unit id behind this gateway\n"
        "ems devices probe 192.0.2.10:1502 --units 1-5\n"
        "ems devices probe /dev/ttyUSB0 --baud 9600 --parity none --units 1-32\n"
        "ems devices probe 192.0.2.10 --units 3 --profile sofar_hyd_g3"
    )
)
@click.argument("address")
@click.option("--units", default="1-247", show_default=True, help="Unit ids to ask.")
@click.option("--profile", help="Compare with this profile only (an id or a file).")
@profiles_option
@line_options
@json_option
def probe(
    address: str, units: str, profile: str | None, profiles: Path, as_json: bool, **line: Any
) -> None:
    """Find the units that answer at ADDRESS and tell what they are.

    Uses one connection and reads only. Exit status 1 where nothing answers.
    """
    import random

    from drivers.line import GatewayLine
    from drivers.probing import FoundUnit, find_units, recognise

    gateway = gateway_at(address, line)
    wanted = _unit_ids(units)
    known = [profile_of(profile, profiles)] if profile else all_profiles(profiles)
    progress = sys.stderr.isatty() and not as_json

    async def search() -> list[FoundUnit]:
        rng = random.Random(0)  # noqa: S311 - jitter, not a secret
        link = GatewayLine(gateway, time.monotonic, rng)
        for each in known:
            link.allow(each.after_connect_s if profile else 0.0)
        found, asked = [], 0
        try:
            async for unit_id, present in find_units(link, wanted):
                asked += 1
                if progress:
                    click.echo(f"\rasked {asked} of {len(wanted)}", nl=False, err=True)
                if present:
                    found.append(await recognise(link, unit_id, known, datetime.now(UTC)))
        finally:
            link.close()
        if progress:
            click.echo("", err=True)
        if asked == 0:
            raise RetryableError(
                "there is no connection",
                field="address",
                value=gateway.address,
                remedy="Check cable, power, address and port; some gateways take one client only.",
            )
        return found

    found = asyncio.run(search())
    if as_json:
        emit_json(
            [
                {
                    "unit": unit.unit_id,
                    "identity": dict(unit.identity),
                    "models": list(unit.models),
                    "matches": [
                        {
                            "profile": m.profile_id,
                            "score": m.score,
                            "by": m.by,
                            "warning": m.warning,
                        }
                        for m in unit.matches
                    ],
                }
                for unit in found
            ]
        )
    else:
        click.echo(f"{len(found)} of {len(wanted)} unit ids answer at {gateway.address}")
        for unit in found:
            _tell(unit)
    sys.exit(0 if found else 1)


def _tell(unit: Any) -> None:
    words = " ".join(text for text in unit.identity.values() if text)
    models = f", models {', '.join(map(str, unit.models))}" if unit.models else ""
    click.echo(f"unit {unit.unit_id}: {words or 'answers'}{models}")
    if not unit.matches:
        click.echo("  no profile fits; `ems devices read` with --profile shows what it says")
    for match in unit.matches[:3]:
        share = "" if match.by == "models" else f", {match.score:.0%} of its points"
        click.echo(f"  {match.profile_id} (by {match.by}{share})")
        if match.warning:
            click.echo(f"  warning: {match.warning}")


@devices.command(
    epilog=examples(
        "ems devices validate config/devices/my_meter.yaml\n"
        "ems devices validate my_meter.yaml --json | jq -r '.faults[].field'"
    )
)
@click.argument("file", type=click.Path(path_type=Path))
@json_option
def validate(file: Path, as_json: bool) -> None:
    """Check a profile's FILE: every fault at once, with field, value and remedy.

    Exit status 0 when well, 2 when there are faults.
    """
    from ems.settings.profiles import read_profile

    profile, faults = read_profile(file)
    if as_json:
        emit_json(
            {
                "file": str(file),
                "well": profile is not None,
                "faults": [
                    {"field": f.path, "problem": f.problem, "value": f.value, "remedy": f.remedy}
                    for f in faults
                ],
            }
        )
    elif profile is not None:
        writable = sum(point.write is not None for point in profile.points.values())
        click.echo(f"{file}: no faults; {len(profile.points)} points, {writable} to write")
    else:
        click.echo(f"{file}: {len(faults)} fault{'' if len(faults) == 1 else 's'}")
        for fault in faults:
            given = "" if fault.value is None else f" (given: {fault.value!r})"
            click.echo(f"\n{fault.path}\n  {fault.problem}{given}\n  → {fault.remedy}")
    sys.exit(0 if profile is not None else 2)
