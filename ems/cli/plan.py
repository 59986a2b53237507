"""``ems plan``: the plans in force, and planning from files."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import click

from ems.cli.estate import estate_clock, open_estate, open_existing_store
from ems.cli.options import config_option, emit_json, examples, json_option, state_option, table
from ems.cli.plan_explain import explain
from ems.cli.plan_files import generate, schema, solve
from ems.domain.errors import InvalidInputError
from ems.domain.plans import Schedule
from ems.domain.time import steps


@click.group()
def plan() -> None:
    """Plans: what each home and battery is to do, and why."""


plan.add_command(explain)
plan.add_command(solve)
plan.add_command(generate)
plan.add_command(schema)


def _starts(schedule: Schedule) -> list[Any]:
    return list(steps(schedule.start, len(schedule.step_s), int(schedule.step_s[0])))


def _as_dict(schedule: Schedule) -> dict[str, Any]:
    battery = schedule.battery
    return {
        "id": schedule.id,
        "block": schedule.block_id,
        "issued_at": schedule.issued_at,
        "status": schedule.status,
        "objective_gbp": schedule.objective_gbp,
        "bound_gbp": schedule.bound_gbp,
        "gap": schedule.gap,
        "solve_s": schedule.solve_s,
        "gave_way": [
            {"limit": g.limit, "subject": g.subject, "worst": g.worst, "unit": g.unit}
            for g in schedule.gave_way
        ],
        "starts": _starts(schedule),
        "import_w": schedule.import_w.tolist(),
        "price_gbp_per_kwh": schedule.price_gbp_per_kwh.tolist(),
        "battery": None
        if battery is None
        else {
            "power_w": battery.power_w.tolist(),
            "energy_wh": battery.energy_wh.tolist(),
            "cause": [str(cause) for cause in battery.cause],
        },
        "homes": [
            {
                "dwelling": home.dwelling_id,
                "heat_w": home.heat_w.tolist(),
                "power_w": home.power_w.tolist(),
                "room_c": home.room_c.tolist(),
                "cause": [str(cause) for cause in home.cause],
                "sentence": list(home.sentence),
            }
            for home in schedule.homes
        ],
    }


@plan.command(
    epilog=examples(
        "ems plan show --block A             power, price and battery by half-hour\n"
        "ems plan show --home A-07           one home: heat, room, why\n"
        "ems plan show --block A --json      everything"
    )
)
@config_option
@state_option
@click.option("--block", "block_id", help="Only this block.")
@click.option("--home", "dwelling_id", help="One home's part of the plan, e.g. A-07.")
@json_option
def show(
    config: Path, state: Path, block_id: str | None, dwelling_id: str | None, as_json: bool
) -> None:
    """Show the plans in force."""
    estate = open_estate(config)
    store = open_existing_store(state)
    now = estate_clock(estate, state).now()
    try:
        if dwelling_id is not None:
            block_id = estate.dwelling(dwelling_id).block_id
        blocks = [estate.block(block_id)] if block_id else list(estate.blocks)
    except KeyError as error:
        raise InvalidInputError(
            "the estate has no such home or block",
            field="--home" if dwelling_id else "--block",
            value=error.args[0],
            remedy=f"Blocks are {', '.join(block.id for block in estate.blocks)}; homes are "
            f"named like {next(estate.dwellings()).id}.",
        ) from None
    schedules = [found for block in blocks if (found := store.latest_schedule(block.id))]
    if as_json:
        emit_json([_as_dict(schedule) for schedule in schedules])
        return
    if not schedules:
        click.echo("No plan yet.")
        return
    for schedule in schedules:
        age_min = (now - schedule.issued_at).total_seconds() / 60
        click.echo(
            f"Block {schedule.block_id}: plan {schedule.id}, {age_min:.0f} min old, "
            f"{schedule.status}, £{schedule.objective_gbp:.2f}, gap {schedule.gap:.2%}, "
            f"solved in {schedule.solve_s * 1000:.0f} ms"
        )
        for gave in schedule.gave_way:
            click.echo(
                f"  gave way: {gave.limit} of {gave.subject} by {gave.worst:.3g} {gave.unit}"
            )
        local = [f"{start.astimezone(estate.zone):%a %H:%M}" for start in _starts(schedule)]
        if dwelling_id is not None:
            home = schedule.home(dwelling_id)
            if home is None:
                click.echo(f"  {dwelling_id} is not in this plan")
                continue
            rows = [
                [at, f"{heat / 1000:.2f}", f"{room:.1f}", why]
                for at, heat, room, why in zip(
                    local, home.heat_w, home.room_c, home.sentence, strict=True
                )
            ]
            click.echo(table(["from", "heat kW", "room °C", "why"], rows))
        else:
            rows = [
                [
                    at,
                    f"{power / 1000:.1f}",
                    f"{100 * price:.1f}",
                    "–"
                    if schedule.battery is None
                    else f"{schedule.battery.power_w[index] / 1000:.1f}",
                    f"{sum(home.power_w[index] for home in schedule.homes) / 1000:.1f}",
                ]
                for index, (at, power, price) in enumerate(
                    zip(local, schedule.import_w, schedule.price_gbp_per_kwh, strict=True)
                )
            ]
            click.echo(
                table(["from", "feeder kW", "price p/kWh", "battery kW", "heat pumps kW"], rows)
            )
