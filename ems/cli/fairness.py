"""``ems fairness``: who bears demand-response events, and what they get for it."""

from __future__ import annotations

import math
import tempfile
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import click

from ems.cli.estate import estate_clock, open_estate, open_existing_store
from ems.cli.options import config_option, emit_json, examples, json_option, state_option, table
from ems.demo.metering import Window
from ems.domain.errors import InvalidInputError
from ems.domain.estate import Estate
from ems.domain.fairness import MonthLedger


@click.group(
    epilog=examples(
        "ems fairness show                     who bore the events of the last 30 days\n"
        "ems fairness measure --days 28        what the weighing does over a month, and its cost"
    )
)
def fairness() -> None:
    """Show and measure how evenly homes bear demand-response events."""


@fairness.command(
    epilog=examples(
        "ems fairness show                          the last 30 days, every home that took part\n"
        "ems fairness show --month 2023-12 --block A\n"
        "ems fairness show --json | jq '.gini'"
    )
)
@config_option
@state_option
@click.option("--block", "block_id", help="Only this block, e.g. A.")
@click.option("--month", help="This calendar month, e.g. 2023-12.  [default: the last 30 days]")
@json_option
def show(config: Path, state: Path, block_id: str | None, month: str | None, as_json: bool) -> None:
    """Show each home's burden, its fair share, and what it got.

    Burden is extra kelvin-hours below a home's own schedule that events caused; a fair share is
    equal among the homes that took part, lower where a vulnerability marker stands.
    """
    from ems.service.fairness import FairnessBook

    estate = open_estate(config)
    store = open_existing_store(state)
    if block_id is not None and block_id not in {block.id for block in estate.blocks}:
        raise InvalidInputError(
            "the estate has no such block",
            field="--block",
            value=block_id,
            remedy="Use one of: " + ", ".join(block.id for block in estate.blocks) + ".",
        )
    now = estate_clock(estate, state).now()
    since, until = (None, now) if month is None else _month(month, estate)
    found = FairnessBook(estate, store).month(until, block_id, since)
    if as_json:
        emit_json(as_figures(found))
        return
    if not found.homes:
        click.echo("No event has been entered for that time: nobody bore anything.")
        return
    click.echo("\n".join(_lines(found, estate)))


@fairness.command(
    epilog=examples(
        "ems fairness measure                       28 days, 12 events a block, in seconds\n"
        "ems fairness measure --days 7 --events 4 --json\n"
        "ems fairness measure --from 2022-12-03     a frosty month\n"
        "ems fairness measure --run --days 7        in the simulated estate; takes many minutes"
    )
)
@config_option
@click.option("--days", default=28, show_default=True, type=click.IntRange(1, 120))
@click.option(
    "--events",
    default=12,
    show_default=True,
    type=click.IntRange(1, 120),
    help="How many are asked of each block.",
)
@click.option(
    "--from",
    "begins",
    type=click.DateTime(["%Y-%m-%d"]),
    help="First day; where the demonstration starts if not given.",
)
@click.option(
    "--run",
    "running",
    is_flag=True,
    help="Run the days in the simulated estate, three times, in place of planning alone.",
)
@json_option
def measure(
    config: Path, days: int, events: int, begins: datetime | None, running: bool, as_json: bool
) -> None:
    """Compare a month of events without and with the weighing.

    Events are planned only: each at half an hour's notice on the configuration's weather and
    prices, for homes as their certificates tell and blocks without their batteries. With --run
    the service's own jobs run the days minute by minute, batteries included, without events,
    unweighed and weighed; the true burden is what rooms then missed more than without events.
    """
    from ems.demo.fairness_plans import planned_month

    estate = open_estate(config)
    start = begins.replace(tzinfo=UTC) if begins else estate.starts_at
    if start is None:
        raise InvalidInputError(
            "nothing says when the month begins",
            field="--from",
            remedy="Give a date, or set estate.starts_at in the configuration.",
        )
    if running:
        figures = _run(estate, config, Window(start, start + timedelta(days=days)), events)
        emit_json(figures)
        return
    strength = estate.control.fairness_strength
    runs = {
        "unweighed": planned_month(estate, start, days=days, events=events, strength=0.0),
        "weighed": planned_month(estate, start, days=days, events=events, strength=strength),
    }
    cost = runs["weighed"].paid_gbp - runs["unweighed"].paid_gbp
    if as_json:
        planned: dict[str, Any] = {
            name: {
                **as_figures(run.ledger),
                "paid_gbp": round(run.paid_gbp, 3),
                "promised_kwh": round(run.promised_kwh, 2),
                "missed_kwh": round(run.missed_kwh, 2),
            }
            for name, run in runs.items()
        }
        emit_json({"strength": strength, "cost_gbp": round(cost, 3), **planned})
        return
    rows = []
    for name, run in runs.items():
        figure = as_figures(run.ledger)
        rows.append(
            [
                name,
                str(figure["events"]),
                f"{figure['burden_kh']:.1f}",
                f"{figure['gini']:.3f}",
                f"{100 * figure['largest_share']:.1f} %",
                f"{figure['largest_ratio'] or math.nan:.2f}",
                f"{run.promised_kwh - run.missed_kwh:.1f} of {run.promised_kwh:.1f}",
            ]
        )
    head = ["", "events", "burden K·h", "Gini", "largest share", "× fair share", "kept kWh"]
    click.echo(f"{days} days from {start:%Y-%m-%d}, strength {strength:g}, as planned")
    click.echo(table(head, rows))
    click.echo(f"The weighing costs £{cost:.2f} of electricity, peaks and wear.")


def _run(estate: Estate, config: Path, window: Window, events: int) -> dict[str, Any]:
    """Run a window in the simulated estate and return its figures by case."""
    from ems.cli.field import field_parameters
    from ems.demo.controlled import Pace
    from ems.demo.fairness_month import fair_kh, gather_month, true_burden_kh
    from ems.flex.fairness import gini
    from ems.service.logs import configure

    configure("demo", level="WARNING")
    with tempfile.TemporaryDirectory(prefix="hearth-fairness-") as work:
        month = gather_month(
            estate,
            field_parameters(config),
            window,
            Path(work),
            events=events,
            pace=Pace(dispatch_s=300.0),
        )
    figures: dict[str, Any] = {}
    for name, run in (("unweighed", month.unweighed), ("weighed", month.weighed)):
        true = true_burden_kh(estate, window, run, month.calm)
        fair = fair_kh(estate, true)
        known = [home for home in true if fair[home] > 0]
        total = sum(true.values())
        figures[name] = {
            "ledger": as_figures(run.ledger),
            "true_burden_kh": {home: round(value, 3) for home, value in true.items()},
            "true_gini": round(
                gini([true[home] / fair[home] for home in known], [fair[home] for home in known]), 4
            ),
            "true_largest_share": round(max(true.values()) / total, 4) if total > 0 else 0.0,
            "accepted": len(run.events),
            "refused": run.refused,
            "block_import_kwh": round(float(run.measured.kwh["block_import"].sum()), 2),
        }
    return figures


def as_figures(month: MonthLedger) -> dict[str, Any]:
    """Return a ledger as plain figures."""
    from ems.flex.fairness import evenness, largest_share

    most = month.most_burdened
    return {
        "from": month.since.isoformat(),
        "to": month.until.isoformat(),
        "events": month.events,
        "burden_kh": round(month.burden_kh, 3),
        "gini": round(evenness(month), 4),
        "largest_share": round(largest_share(month), 4),
        "largest_ratio": None if most is None or most.ratio is None else round(most.ratio, 3),
        "largest_ratio_home": None if most is None else most.dwelling_id,
        "homes": [
            {
                "home": home.dwelling_id,
                "events": home.events,
                "burden_kh": round(home.burden_kh, 3),
                "fair_kh": round(home.fair_kh, 3),
                "cold_hours": round(home.cold_hours, 2),
                "bill_gbp": round(home.bill_gbp, 3),
                "payment_gbp": round(home.payment_gbp, 3),
                "unknown_events": home.unknown,
            }
            for home in month.homes
        ],
    }


def _lines(month: MonthLedger, estate: Estate) -> list[str]:
    from ems.flex.fairness import evenness, largest_share

    since, until = (at.astimezone(estate.zone) for at in (month.since, month.until))
    events = f"{month.events} event{'' if month.events == 1 else 's'}"
    rows = [
        [
            home.dwelling_id,
            str(home.events),
            f"{home.burden_kh:.2f}",
            f"{home.fair_kh:.2f}",
            "–" if home.ratio is None or home.fair_kh <= 0 else f"{home.ratio:.2f}",
            f"{home.cold_hours:.1f}",
            f"{home.bill_gbp:+.2f}",
            f"{home.payment_gbp:.2f}",
            f"{home.unknown} unknown" if home.unknown else "",
        ]
        for home in month.homes
    ]
    head = ["home", "events", "burden K·h", "fair K·h", "ratio", "cold h", "bill £", "paid £", ""]
    most = month.most_burdened
    said = [f"{since:%Y-%m-%d} to {until:%Y-%m-%d}: {events}, {month.burden_kh:.1f} K·h in all"]
    said.append(table(head, rows))
    said.append(
        f"Gini {evenness(month):.2f} (0 is even); the largest part one home bore is "
        f"{100 * largest_share(month):.0f} %"
        + (f"; {most.dwelling_id} stands highest above its share." if most else ".")
    )
    return said


def _month(text: str, estate: Estate) -> tuple[datetime, datetime]:
    """Return the first instants of a local month and of the next."""
    try:
        first = datetime.strptime(text, "%Y-%m").replace(tzinfo=estate.zone)
    except ValueError as error:
        raise InvalidInputError(
            "this is no month", field="--month", value=text, remedy="Write it as 2023-12."
        ) from error
    following = (first + timedelta(days=32)).replace(day=1)
    return first.astimezone(UTC), following.astimezone(UTC)
