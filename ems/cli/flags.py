"""``ems flags``: help flags by home, and the nightly rules by hand."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import click

from ems.cli.estate import estate_clock, open_estate, open_existing_store
from ems.cli.options import config_option, emit_json, examples, json_option, state_option, table
from ems.domain.errors import InvalidInputError
from ems.domain.people import Flag


@click.group()
def flags() -> None:
    """Show help flags, or run the nightly rules now."""


def _plain(flag: Flag, sentence: str) -> dict[str, Any]:
    evidence = flag.evidence
    return {
        "id": flag.id,
        "home": flag.dwelling_id,
        "kind": str(flag.kind),
        "found": str(flag.verdict),
        "chosen": [str(source) for source in evidence.chosen],
        "state": str(flag.state),
        "sentence": sentence,
        "rule": flag.rule_version,
        "raised_at": flag.raised_at,
        "last_found_at": flag.last_found_at,
        "window": [evidence.start, evidence.end],
        "expected_h": evidence.expected_h,
        "measured_h": evidence.measured_h,
        "below_h": evidence.below_h,
        "lowest_c": evidence.lowest_c,
        "highest_c": evidence.highest_c,
        "mean_c": evidence.mean_c,
    }


@flags.command("list", epilog=examples("ems flags list\nems flags list --all --json"))
@config_option
@state_option
@click.option("--all", "everything", is_flag=True, help="Dismissed and closed ones too.")
@json_option
def list_(config: Path, state: Path, everything: bool, as_json: bool) -> None:
    """List open flags, the most pressing first."""
    from ems.people.words import for_operator
    from ems.service.people import PeopleDesk

    estate = open_estate(config)
    desk = PeopleDesk(estate, open_existing_store(state))
    threshold_c = estate.people.cold_home.threshold_c
    found = [flag for flag in desk.flags() if everything or flag.is_open]
    if as_json:
        emit_json([_plain(flag, for_operator(flag, threshold_c)) for flag in found])
        return
    if not found:
        click.echo("No flags." if everything else "No open flags.")
        return
    rows = [
        [flag.dwelling_id, str(flag.kind), str(flag.state), for_operator(flag, threshold_c)]
        for flag in found
    ]
    click.echo(table(["home", "kind", "state", "in words"], rows))


@flags.command(
    epilog=examples("ems flags show A-10\nems flags show 20231201T120000-A-10-COLD_HOME --json")
)
@config_option
@state_option
@click.argument("which")
@click.option("--reason", required=True, help="Why you look; the tenant can read it.")
@click.option("--by", default="operator (command line)", show_default=True, help="Who looks.")
@json_option
def show(config: Path, state: Path, which: str, reason: str, by: str, as_json: bool) -> None:
    """Show a home's newest flag, or a flag by its id, with evidence and life.

    Like a case on the pages it needs a reason, which is recorded for the tenant.
    """
    from ems.domain.ports import LogEntry
    from ems.people.lifecycle import checked_reason
    from ems.people.words import for_operator
    from ems.service.people import PeopleDesk

    estate = open_estate(config)
    store = open_existing_store(state)
    desk = PeopleDesk(estate, store)
    of_home = sorted(desk.flags(which), key=lambda flag: flag.raised_at)
    flag = of_home[-1] if of_home else desk.flag(which)
    if flag is None:
        raise InvalidInputError(
            "there is no such flag, and no flag on such a home",
            field="which",
            value=which,
            remedy="List them with `ems flags list --all`.",
        )
    detail = {
        "by": by,
        "role": "operator",
        "page": "people.case",
        "refused": False,
        "reason": checked_reason(reason),
    }
    now = estate_clock(estate, state).now()
    store.log([LogEntry(now, "viewed", flag.dwelling_id, detail)])
    sentence = for_operator(flag, estate.people.cold_home.threshold_c)
    if as_json:
        steps = [
            {"at": step.at, "state": str(step.state), "by": step.by, "reason": step.reason}
            for step in flag.steps
        ]
        emit_json(_plain(flag, sentence) | {"inputs": dict(flag.inputs), "steps": steps})
        return
    click.echo(f"{flag.id}\n{sentence}\n")
    facts = _plain(flag, sentence)
    names = ("state", "rule", "expected_h", "measured_h", "below_h", "lowest_c", "highest_c")
    rows = [[name.replace("_", " "), str(facts[name])] for name in names]
    click.echo(table(["what", "value"], rows + [[*pair] for pair in flag.inputs.items()]) + "\n")
    life = [
        [f"{step.at.astimezone(estate.zone):%d %b %H:%M}", str(step.state), step.by, step.reason]
        for step in flag.steps
    ]
    click.echo(table(["at (local)", "step", "by", "reason"], life))


@flags.command(epilog=examples("ems flags run"))
@config_option
@state_option
@json_option
def run(config: Path, state: Path, as_json: bool) -> None:
    """Run the nightly rules now, for the last whole days.

    The control process does so by itself; running twice in a day changes nothing.
    """
    from ems.service.people import PeopleDesk

    estate = open_estate(config)
    desk = PeopleDesk(estate, open_existing_store(state))
    kept = desk.run(estate_clock(estate, state).now())
    if as_json:
        emit_json([{"id": flag.id, "found": str(flag.verdict)} for flag in kept])
        return
    click.echo(f"{len(kept)} open flag{'' if len(kept) == 1 else 's'} found.")
