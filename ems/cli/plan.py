"""``ems plan``: the plans in force, and planning from files."""

from __future__ import annotations

from dataclasses import asdict
from pathlib import Path
from typing import Any

import click
import numpy as np

from ems.cli.estate import estate_clock, open_estate, open_existing_store
from ems.cli.options import config_option, emit_json, examples, json_option, state_option, table
from ems.cli.plan_explain import explain
from ems.cli.plan_files import generate, schema, solve
from ems.domain.errors import InvalidInputError
from ems.domain.forecasts import FloatArray
from ems.domain.plans import BatteryPlan, HomePlan, PlanLimits, Schedule
from ems.domain.time import steps
from ems.service.plan_words import (
    SOLVERS,
    by_step,
    costs,
    gave_way,
    how_good,
    learnt,
    limits,
    proof,
)


@click.group()
def plan() -> None:
    """Plans: what each home and battery is to do, and why."""


plan.add_command(explain)
plan.add_command(solve)
plan.add_command(generate)
plan.add_command(schema)


def _causes(part: HomePlan | BatteryPlan) -> list[list[str]]:
    return [[str(cause) for cause in part.causes(step)] for step in range(len(part.cause))]


def _starts(schedule: Schedule) -> list[Any]:
    return list(steps(schedule.start, len(schedule.step_s), int(schedule.step_s[0])))


def _or_none(values: FloatArray) -> list[float | None]:
    """Return values as JSON can say them: infinite ones, where there is no limit, are none."""
    return [float(value) if np.isfinite(value) else None for value in values]


def _limits_as_dict(found: PlanLimits) -> dict[str, Any]:
    return {
        "physical_import_w": _or_none(found.physical_import_w),
        "contracted_import_w": _or_none(found.contracted_import_w),
        "export_w": _or_none(found.export_w),
        "margin_w": _or_none(found.margin_w),
        "recovery_w": None if found.recovery_w is None else _or_none(found.recovery_w),
        "kept_w": _or_none(found.kept_w),
        "events": [
            {
                "event": event.event_id,
                "direction": str(event.direction),
                "homes": event.homes,
                "battery": event.battery,
                "limit_w": _or_none(event.limit_w),
            }
            for event in found.events
        ],
    }


def _as_dict(schedule: Schedule) -> dict[str, Any]:
    battery, learnt_now = schedule.battery, schedule.tightening
    return {
        "id": schedule.id,
        "block": schedule.block_id,
        "issued_at": schedule.issued_at,
        "status": schedule.status,
        "objective_gbp": schedule.objective_gbp,
        "costs": None if schedule.costs is None else asdict(schedule.costs),
        "bound_gbp": schedule.bound_gbp,
        "gap": schedule.gap,
        "solve_s": schedule.solve_s,
        "solver": schedule.solver,
        "lacked": list(schedule.lacked),
        "limits": None if schedule.limits is None else _limits_as_dict(schedule.limits),
        "margins_learnt": None
        if learnt_now is None
        else {
            "load": learnt_now.load,
            "load_half_hours": learnt_now.load_points,
            "cold": learnt_now.cold,
            "cold_half_hours": learnt_now.cold_points,
        },
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
            "causes": _causes(battery),
        },
        "homes": [
            {
                "dwelling": home.dwelling_id,
                "heat_w": home.heat_w.tolist(),
                "power_w": home.power_w.tolist(),
                "room_c": home.room_c.tolist(),
                "cause": [str(cause) for cause in home.cause],
                "causes": _causes(home),
                "sentence": list(home.sentence),
            }
            for home in schedule.homes
        ],
    }


@plan.command(
    epilog=examples(
        "ems plan show --block A             how good, limits, power and price by half-hour\n"
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
        for line in _told(schedule, (now - schedule.issued_at).total_seconds() / 60):
            click.echo(line)
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
            click.echo(table(*_by_step(schedule, local)))


def _told(schedule: Schedule, age_min: float) -> list[str]:
    """Return what is to be said of a plan before its steps."""
    solver = SOLVERS.get(schedule.solver)
    lines = [
        f"Block {schedule.block_id}: plan {schedule.id}, {age_min:.0f} min old, {proof(schedule)}",
        f"  {how_good(schedule)} Gap {schedule.gap:.2%}, in {schedule.solve_s * 1000:.0f} ms"
        + (f" by {solver}" if solver else ""),
    ]
    lines += [f"  {name}: {value}" for name, value in (*costs(schedule), *limits(schedule))]
    lines += [f"  {sentence}" for sentence in learnt(schedule)]
    lines += [f"  Gave way: {gave_way(each)}" for each in schedule.gave_way]
    if not schedule.gave_way:
        lines.append("  Nothing gave way.")
    return lines + [f"  It lacked: {each}" for each in schedule.lacked]


def _by_step(schedule: Schedule, local: list[str]) -> tuple[list[str], list[list[str]]]:
    """Return the plan of a block as a table: headers and a row a step."""
    shown = by_step(schedule)
    rows = [
        [at, *(f"{v[step]:.1f}" if np.isfinite(v[step]) else "–" for v in shown.values())]
        for step, at in enumerate(local)
    ]
    return ["from", *shown], rows
