"""``ems plan explain``: why one home's heating was told what it was told."""

from __future__ import annotations

from datetime import datetime, timedelta
from itertools import groupby
from pathlib import Path
from typing import Any

import click

from ems.cli.comfort import local_instant
from ems.cli.estate import estate_clock, open_estate, open_existing_store
from ems.cli.options import config_option, emit_json, examples, json_option, state_option, table
from ems.cli.setpoints import causes_in_words, outcome_in_words
from ems.domain.errors import InvalidInputError
from ems.domain.plans import HomePlan, Schedule
from ems.domain.setpoints import SetpointRecord

RECORDS_BACK = timedelta(days=14)
"""A setpoint that repeats itself is kept once: the one in force may be this old."""
PLANS_BACK = timedelta(days=2)
COMING = timedelta(hours=12)


@click.command(
    epilog=examples(
        "ems plan explain A-07                       now\n"
        "ems plan explain A-07 2023-01-05T17:30      at a local date and time\n"
        "ems plan explain A-07 --json | jq .setpoint.causes"
    )
)
@config_option
@state_option
@click.argument("home")
@click.argument("time", required=False)
@json_option
def explain(config: Path, state: Path, home: str, time: str | None, as_json: bool) -> None:
    """Say why HOME's heating was told what it was told, now or at TIME.

    First the setpoint in force with the causes it was sent with, the chief one first, then what
    the plan of that time foresaw for the half-hour, and what it intended for the hours after it.
    A plan's causes were found by planning again without each of them.
    """
    estate = open_estate(config)
    try:
        dwelling = estate.dwelling(home)
    except KeyError:
        raise InvalidInputError(
            "the estate has no such home",
            field="HOME",
            value=home,
            remedy=f"Homes are named like {next(estate.dwellings()).id}.",
        ) from None
    store = open_existing_store(state)
    at = estate_clock(estate, state).now() if time is None else local_instant(time, estate, "TIME")
    found = store.setpoints(
        [dwelling.heat_pump.device_id], at - RECORDS_BACK, at + timedelta(seconds=1), 1
    )
    told = found[0] if found else None
    plans = store.schedules(dwelling.block_id, at - PLANS_BACK, at + timedelta(seconds=1))
    plan = plans[-1] if plans else None
    if as_json:
        emit_json(_document(home, at, told, plan))
        return
    click.echo(f"{home} at {at.astimezone(estate.zone):%a %d %b %Y %H:%M}")
    if told is None:
        click.echo("Nothing was told to its heat pump in the two weeks before.")
    else:
        sent = told.setpoint
        click.echo(
            f"Told: {sent.point_id.point} {sent.value:g} since "
            f"{sent.issued_at.astimezone(estate.zone):%a %H:%M} "
            f"({causes_in_words(sent.causes)}; {outcome_in_words(told.outcome)})"
        )
        click.echo(f"Because: {sent.sentence}")
    part = None if plan is None else plan.home(home)
    step = None if plan is None else plan.index_at(at)
    if plan is None or part is None or step is None:
        click.echo("No plan of that time holds this home and half-hour.")
        return
    click.echo(
        f"Planned at {plan.issued_at.astimezone(estate.zone):%H:%M}: "
        f"{part.heat_w[step] / 1000:.2f} kW of heat, {part.room_c[step]:.1f} °C at the end of the "
        f"half-hour, electricity worth {100 * plan.price_gbp_per_kwh[step]:.1f} p/kWh at the feeder"
        + _heat_value(part, step)
    )
    for gave in plan.gave_way:
        if gave.subject == home:
            click.echo(f"Gave way: {gave.limit} by {gave.worst:.3g} {gave.unit}")
    rows = [
        [
            f"{run['from'].astimezone(estate.zone):%a %H:%M}",
            causes_in_words(run["causes"]),
            run["sentence"],
        ]
        for run in _runs(plan, part, step)
    ]
    click.echo("\n" + table(["from", "causes", "why"], rows))


def _heat_value(part: HomePlan, step: int) -> str:
    if part.heat_value_gbp_per_kwh is None:
        return ""
    return f", a further kWh of heat would save {100 * part.heat_value_gbp_per_kwh[step]:.1f}p"


def _starts(plan: Schedule) -> list[datetime]:
    starts = [plan.start]
    for seconds in plan.step_s[:-1]:
        starts.append(starts[-1] + timedelta(seconds=float(seconds)))
    return starts


def _runs(plan: Schedule, part: HomePlan, step: int) -> list[dict[str, Any]]:
    """Return the steps of the coming hours, those with one cause and sentence as one."""
    starts = _starts(plan)
    coming = [k for k in range(step, len(starts)) if starts[k] < starts[step] + COMING]
    return [
        {"from": starts[next(iter(same))], "causes": causes, "sentence": sentence}
        for (causes, sentence), same in groupby(
            coming, key=lambda k: (part.causes(k), part.sentence[k])
        )
    ]


def _document(
    home: str, at: datetime, told: SetpointRecord | None, plan: Schedule | None
) -> dict[str, Any]:
    part = None if plan is None else plan.home(home)
    step = None if plan is None else plan.index_at(at)
    planned: dict[str, Any] | None = None
    if plan is not None and part is not None and step is not None:
        value = part.heat_value_gbp_per_kwh
        planned = {
            "id": plan.id,
            "issued_at": plan.issued_at,
            "heat_w": float(part.heat_w[step]),
            "room_c": float(part.room_c[step]),
            "causes": [str(cause) for cause in part.causes(step)],
            "sentence": part.sentence[step],
            "price_gbp_per_kwh": float(plan.price_gbp_per_kwh[step]),
            "heat_value_gbp_per_kwh": None if value is None else float(value[step]),
            "coming": [
                {**run, "causes": [str(cause) for cause in run["causes"]]}
                for run in _runs(plan, part, step)
            ],
        }
    setpoint = None
    if told is not None:
        sent = told.setpoint
        setpoint = {
            "point": sent.point_id.point,
            "value": sent.value,
            "issued_at": sent.issued_at,
            "causes": [str(cause) for cause in sent.causes],
            "sentence": sent.sentence,
            "plan": sent.plan_id or None,
            "outcome": outcome_in_words(told.outcome),
        }
    return {"home": home, "at": at, "setpoint": setpoint, "plan": planned}
