"""``ems devices read``, ``watch`` and ``write``: one device, by hand."""

from __future__ import annotations

import asyncio
import math
import sys
from dataclasses import replace
from datetime import UTC, datetime
from typing import Any

import click

from ems.cli.device_target import Target, bounds, find_target, target_options
from ems.cli.options import emit_json, examples, json_option, table
from ems.domain.errors import InvalidInputError, RetryableError
from ems.domain.points import POINTS


def _spare_connection(target: Target) -> None:
    """Refuse to throw the service off a device that takes one connection only."""
    if target.owned_by_service and target.device.profile.one_connection:
        raise InvalidInputError(
            "the control service is using this device, which takes one connection only",
            field="device",
            value=target.device.id,
            remedy="`ems readings --device` shows what it reads; `ems release` frees the device.",
        )


async def _read(session: Any, names: tuple[str, ...]) -> list[dict[str, Any]]:
    from drivers.images import decode
    from drivers.session import describe
    from ems.domain.readings import Quality

    now = datetime.now(UTC)
    fetched = await session.fetch(names, now)
    if fetched.fault is not None:
        raise RetryableError(
            f"the device does not answer: {describe(fetched.fault)}",
            field="device",
            value=session.device.id,
            remedy="Check unit id, cable and power; `ems devices probe` finds unit ids.",
        )
    values = session.interpret(decode([fetched])[0], now)
    slots = {slot.point: slot.value for slot in fetched.plan.slots}
    rows = []
    for name in names:
        point = session.profile.points.get(name, session.device.profile.points.get(name))
        place = slots.get(name)
        block = None if place is None else fetched.replies[place.block]
        raw = (
            None
            if block is None or place is None
            else block[place.offset : place.offset + place.width]
        )
        value, quality = values.get(name, (math.nan, Quality.NO_ANSWER))
        rows.append(
            {
                "point": name,
                "value": None if math.isnan(value) else value,
                "unit": POINTS[session.profile.device_class][name].unit,
                "quality": quality.name.lower().replace("_", " "),
                "register": ""
                if raw is None or point is None
                else f"{point.space} {point.address}",
                "raw": None if raw is None else [f"{word:04X}" for word in raw],
            }
        )
    return rows


def _names(target: Target, point: str | None) -> tuple[str, ...]:
    profile = target.device.profile
    names = tuple(n for n, p in profile.points.items() if not p.write_only)
    if point is None:
        return names
    if point not in names:
        raise InvalidInputError(
            "the profile has no such point to read",
            field="--point",
            value=point,
            remedy=f"Use one of: {', '.join(names)}.",
        )
    return (point,)


def _shown(value: float | str | None, unit: str) -> str:
    if value is None:
        return "–"
    return value if isinstance(value, str) else f"{value:.6g} {unit}".rstrip()


def _value_table(rows: list[dict[str, Any]]) -> str:
    return table(
        ["point", "value", "quality", "register", "raw"],
        [
            [
                row["point"],
                _shown(row["value"], row["unit"]),
                row["quality"],
                row["register"],
                " ".join(row["raw"] or ()),
            ]
            for row in rows
        ],
    )


def _read_once(target: Target, names: tuple[str, ...]) -> list[dict[str, Any]]:
    async def go() -> list[dict[str, Any]]:
        session = target.session()
        session.line.allow(target.device.profile.after_connect_s)
        try:
            return await _read(session, names)
        finally:
            session.line.close()

    return asyncio.run(go())


async def _read_model(target: Target, model_id: int) -> list[dict[str, Any]]:
    """Return a SunSpec model as the device has it, in SunSpec's own units and directions."""
    from drivers.session import describe
    from drivers.sunspec_values import points_of
    from drivers.sunspec_walk import Layout, walk
    from drivers.transport import Reply
    from ems.domain.profiles import Space

    line = target.session().line
    line.allow(target.device.profile.after_connect_s)

    async def registers(address: int, count: int) -> Reply:
        return await line.read(target.device.unit_id, Space.HOLDING, address, count)

    try:
        found = await walk(registers, {model_id})
    finally:
        line.close()
    if not isinstance(found, Layout):
        raise RetryableError(
            f"its models cannot be read: {describe(found)}",
            field="device",
            value=target.device.id,
            remedy="`ems devices probe` tells which units answer and which have models.",
        )
    here = [placed for placed in found.models if placed.id == model_id]
    if not here:
        raise InvalidInputError(
            "the device has no such model",
            field="--model",
            value=model_id,
            remedy=f"It has models {', '.join(str(placed.id) for placed in found.models)}.",
        )
    rows = []
    for placed in here:
        for one in points_of(placed, found.registers):
            raw = [found.registers.get(one.address + index) for index in range(one.size)]
            rows.append(
                {
                    "point": one.name,
                    "value": one.value,
                    "unit": one.unit,
                    "quality": "sentinel" if one.value is None else "good",
                    "register": f"holding {one.address}",
                    "raw": [f"{word:04X}" for word in raw if word is not None],
                }
            )
    return rows


@click.command(
    epilog=examples(
        "ems devices read A-01-meter\n"
        "ems devices read 192.0.2.10 --unit 3 --profile sofar_hyd_g3 --point soc_pct\n"
        "ems devices read /dev/ttyUSB0 --unit 1 --profile xy_md02 --json\n"
        "ems devices read A-pv --model 705             its volt-var curves"
    )
)
@click.argument("device")
@click.option("--point", help="Only this point.")
@click.option(
    "--model", type=click.IntRange(1, 65534), help="All points of this SunSpec model instead."
)
@target_options
@json_option
def read(device: str, point: str | None, model: int | None, as_json: bool, **where: Any) -> None:
    """Read DEVICE now: decoded values beside the raw registers.

    DEVICE is an id of the estate, or an address with --unit and --profile. Exit status 1
    where no value is good, 75 where the device does not answer.
    """
    target = find_target(device, **where)
    _spare_connection(target)
    if model is not None:
        rows = asyncio.run(_read_model(target, model))
    else:
        rows = _read_once(target, _names(target, point))
    if as_json:
        emit_json(rows)
    else:
        click.echo(_value_table(rows))
    sys.exit(0 if any(row["quality"] == "good" for row in rows) else 1)


@click.command(
    epilog=examples(
        "ems devices watch A-01-meter --every 5\n"
        "ems devices watch 192.0.2.10 --unit 3 --profile sofar_hyd_g3 --times 10"
    )
)
@click.argument("device")
@click.option("--point", help="Only this point.")
@click.option(
    "--every", default=2.0, show_default=True, type=click.FloatRange(0.2, 3600), help="Seconds."
)
@click.option("--times", default=0, help="End after so many reads; 0 goes on until Ctrl-C.")
@target_options
@json_option
def watch(
    device: str, point: str | None, every: float, times: int, as_json: bool, **where: Any
) -> None:
    """Read DEVICE again and again over one connection."""
    target = find_target(device, **where)
    _spare_connection(target)
    names = _names(target, point)

    async def go() -> None:
        session = target.session()
        session.line.allow(target.device.profile.after_connect_s)
        count = 0
        try:
            while True:
                count += 1
                rows = await _read(session, names)
                if as_json:
                    emit_json(rows)
                else:
                    if sys.stdout.isatty():
                        click.clear()
                    click.echo(f"{datetime.now(UTC):%H:%M:%S} UTC, read {count}")
                    click.echo(_value_table(rows))
                if times and count >= times:
                    return
                await asyncio.sleep(every)
        finally:
            session.line.close()

    asyncio.run(go())


@click.command(
    context_settings={"ignore_unknown_options": True},  # -1000 is a value
    epilog=examples(
        "ems devices write A-battery battery_power_setpoint_w -1000\n"
        "ems devices write 192.0.2.10 sg_mode 3 --unit 33 --profile lg_therma_v --yes"
    ),
)
@click.argument("device")
@click.argument("point")
@click.argument("value", type=float)
@click.option("--yes", is_flag=True, help="Do not ask for confirmation.")
@click.option("--confirm-uncertain", is_flag=True, help="Write although the address is uncertain.")
@target_options
@json_option
def write(
    device: str,
    point: str,
    value: float,
    yes: bool,
    confirm_uncertain: bool,
    as_json: bool,
    **where: Any,
) -> None:
    """Write one POINT of DEVICE within its profile's bounds, and read it back.

    Refused where the control service commands the device: `ems release` takes it out first.
    What enters remote control by the profile is written too. Writes to a device of the estate
    are counted with those of the service. Exit status 1 where the device does not hold the
    value afterwards.
    """
    target = find_target(device, **where)
    profile = target.device.profile
    rule = profile.write_rule(point)
    if rule is None:
        names = [n for n, p in profile.points.items() if p.write is not None]
        names += profile.encoded or {}
        raise InvalidInputError(
            "the profile has no such point to write",
            field="point",
            value=point,
            remedy=f"Use one of: {', '.join(names) or 'none: this device is only read'}.",
        )
    if profile.discovery is None and not rule.low <= value <= rule.high:
        raise InvalidInputError(
            "the value is outside the bounds of the profile",
            field=point,
            value=value,
            remedy=f"Write {bounds(rule)}.",
        )
    if target.owned_by_service:
        raise InvalidInputError(
            "the control service commands this device and would write its own value next",
            field="device",
            value=target.device.id,
            remedy='Take it out first: ems release --home HOME --reason "…", or --block, --estate.',
        )
    uncertain = profile.to_confirm(point)
    if uncertain and not confirm_uncertain:
        rated = ", ".join(f"{n}: confidence {profile.points[n].confidence}" for n in uncertain)
        raise InvalidInputError(
            f"nobody has confirmed the address yet ({rated})",
            field=point,
            value=value,
            remedy="Check it in the maker's manual, then add --confirm-uncertain.",
        )
    unit = POINTS[profile.device_class][point].unit
    if not yes:
        lasting = (
            "stays until changed" if rule.persists else f"lapses in {rule.reverts_after_s:g} s"
        )
        click.echo(f"{point} of {target.device.id}: {value:g} {unit} ({lasting})", err=True)
        click.confirm("Write it?", abort=True, err=True)
    outcome = _write_once(target, point, value, confirm_uncertain)
    kind = type(outcome).__name__
    facts = {key: getattr(outcome, key) for key in outcome.__slots__}
    facts = {k: None if isinstance(v, float) and math.isnan(v) else v for k, v in facts.items()}
    if as_json:
        emit_json({"device": target.device.id, "point": point, "outcome": kind, **facts})
    else:
        told = ", ".join(f"{key.replace('_', ' ')} {value}" for key, value in facts.items())
        click.echo(f"{kind}: {told}")
    sys.exit(0 if kind == "Applied" else 1)


def _write_once(target: Target, point: str, value: float, confirmed: bool) -> Any:
    from drivers.modbus_bus import ModbusFieldBus
    from ems.domain.points import PointId
    from ems.domain.setpoints import Cause, Setpoint

    device = replace(target.device, gateway_id=target.gateway.id)
    if confirmed:
        sure = target.device.profile.to_confirm(point)
        device = replace(device, confirmed_writes=device.confirmed_writes | {point, *sure})
    ledger, clock = target.ledger() or (None, None)
    now = datetime.now(UTC) if clock is None else clock.now()
    setpoint = Setpoint(
        id=f"{now:%Y%m%dT%H%M%S}-by-hand",
        point_id=PointId(device.id, point),
        value=value,
        issued_at=now,
        expires_at=now,
        cause=Cause.RESIDENT,
        sentence="Written by hand during commissioning.",
        release_value=value,
    )

    async def go() -> Any:
        gateways = {target.gateway.id: target.gateway}
        bus = ModbusFieldBus([device], gateways, book=ledger)
        try:
            return await bus.apply(setpoint, now, urgent=True)
        finally:
            await bus.close()
            if ledger is not None:
                ledger.keep()

    return asyncio.run(go())
