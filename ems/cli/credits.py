"""``ems credits``: what tenants were credited for heating ahead, by home."""

from __future__ import annotations

from datetime import date, datetime
from pathlib import Path

import click

from ems.cli.estate import estate_clock, open_estate, open_existing_store
from ems.cli.options import config_option, emit_json, examples, json_option, state_option, table
from ems.domain.credits import CreditSum
from ems.domain.errors import InvalidInputError


@click.command(
    epilog=examples(
        "ems credits                        this month so far, every home that is credited\n"
        "ems credits --block A --from 2023-12-01 --to 2023-12-31\n"
        "ems credits --home A-07 --json | jq '.homes[0].credit_gbp'"
    )
)
@config_option
@state_option
@click.option("--block", "block_id", help="Only this block, e.g. A.")
@click.option("--home", "dwelling_id", help="Only this home, e.g. A-07.")
@click.option("--from", "first", help="First local day, e.g. 2023-12-01.  [default: this month's]")
@click.option("--to", "last", help="Last local day, included.  [default: today]")
@json_option
def credits(
    config: Path,
    state: Path,
    block_id: str | None,
    dwelling_id: str | None,
    first: str | None,
    last: str | None,
    as_json: bool,
) -> None:
    """Show what tenants are owed for heating ahead that saved their landlord money.

    Homes that pay their own supplier are not listed: they are heated ahead only where
    their own price makes it pay.
    """
    from ems.service.crediting import credited, may_be_credited

    estate = open_estate(config)
    store = open_existing_store(state)
    today = estate_clock(estate, state).now().astimezone(estate.zone).date()
    end = _day(last, "--to") if last else today
    start = _day(first, "--from") if first else min(end, today).replace(day=1)
    if start > end:
        raise InvalidInputError(
            "the first day is after the last",
            field="--from",
            value=start.isoformat(),
            remedy=f"Give a day up to {end.isoformat()}.",
        )
    try:
        if block_id is not None:
            estate.block(block_id)
        if dwelling_id is not None:
            estate.dwelling(dwelling_id)
    except KeyError as error:
        raise InvalidInputError(
            "the estate has no such home or block",
            field="--home or --block",
            value=str(error.args[0]),
            remedy="See `ems plan show` for blocks and their homes.",
        ) from error
    homes = [
        home
        for block in estate.blocks
        if may_be_credited(estate, block) and block_id in (None, block.id)
        for home in block.dwellings
        if dwelling_id in (None, home.id)
    ]
    sums = {home.id: credited(store, home.id, start, end) for home in homes}
    if as_json:
        rows = [
            {
                "home": name,
                "ahead_kwh": round(found.ahead_kwh, 3),
                "cost_gbp": round(found.cost_gbp, 4),
                "credit_gbp": round(found.credit_gbp, 4),
            }
            for name, found in sums.items()
        ]
        total = round(CreditSum.of(sums.values()).credit_gbp, 4)
        emit_json({"from": str(start), "to": str(end), "credit_gbp": total, "homes": rows})
        return
    if not homes:
        click.echo("No home here is credited: each pays its own supplier, or credits are off.")
        return
    sums["in sum"] = CreditSum.of(sums.values())
    lines = [
        [name, f"{found.ahead_kwh:.1f}", f"{found.cost_gbp:.2f}", f"{found.credit_gbp:.2f}"]
        for name, found in sums.items()
    ]
    click.echo(f"{start} to {end}")
    click.echo(table(["home", "heated ahead kWh", "at its rate £", "credited £"], lines))


def _day(text: str, option: str) -> date:
    try:
        return datetime.strptime(text, "%Y-%m-%d").date()  # noqa: DTZ007 - a local day, no instant
    except ValueError as error:
        raise InvalidInputError(
            "this is no day", field=option, value=text, remedy="Write it as 2023-12-31."
        ) from error
