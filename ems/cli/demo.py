"""``ems demo``: the demonstration estate, all processes together."""

from __future__ import annotations

import asyncio
import re
import signal
import sys
import tempfile
import threading
import time
import urllib.error
import urllib.request
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import click

from ems.cli.estate import STORE_FILE, open_estate
from ems.cli.options import config_option, examples, state_option
from ems.demo.start import (
    HISTORY_META,
    anchor_clock,
    forget,
    make_sign_ins,
    make_tokens,
    require_demonstration,
    require_free_ports,
    resume_or_start,
)
from ems.demo.supervisor import Child, Supervisor
from ems.domain.errors import HearthError, InvalidInputError
from ems.domain.estate import Estate
from ems.domain.ports import Store
from ems.store import open_store

FIRST_PAGE_WAIT_S = 60.0
FASTEST = 60.0
"""Speed up to which processes of their own keep step."""
STOP_ORDER = ("web", "control", "guard", "field")


@click.command(
    epilog=examples(
        "ems demo                           on http://127.0.0.1:8080, real time\n"
        "ems demo --port 8090 --speed 30    half a minute passes in a second\n"
        "ems demo --fresh                   forget what happened and start anew\n"
        "ems demo --speed 600 --for 48h --seed 1 --report out/    two days, measured thrice"
    )
)
@config_option
@state_option
@click.option(
    "--port",
    default=8080,
    show_default=True,
    envvar="PORT",
    type=click.IntRange(1, 65535),
    help="Where the pages are served (or PORT).",
)
@click.option(
    "--speed",
    default=1.0,
    show_default=True,
    type=click.FloatRange(0.1, 86400.0),
    help="Estate seconds that pass in a second, at most 60; more with --report.",
)
@click.option("--fresh", is_flag=True, help="Delete this demonstration's state first.")
@click.option(
    "--history-days",
    default=36,
    show_default=True,
    type=click.IntRange(2, 300),
    help="Days of history to make at the first start.",
)
@click.option(
    "--report",
    type=click.Path(path_type=Path, file_okay=False),
    help="Serve nothing: run the days under three controllers, write a report here and end.",
)
@click.option(
    "--for",
    "length",
    default="48h",
    show_default=True,
    help="With --report: how long, e.g. 48h, 2d or 90min.",
)
@click.option(
    "--from",
    "begins",
    type=click.DateTime(["%Y-%m-%d", "%Y-%m-%dT%H:%M"]),
    help="With --report: when to begin, UTC; where the demonstration starts if not given.",
)
@click.option(
    "--seed", type=int, help="With --report: replaces the simulated field's seed: other homes."
)
def demo(
    config: Path,
    state: Path,
    port: int,
    speed: float,
    fresh: bool,
    history_days: int,
    report: Path | None,
    length: str,
    begins: datetime | None,
    seed: int | None,
) -> None:
    """Start the demonstration: simulated field, control, guard and pages.

    The first start makes five weeks of history (a minute or two). Ctrl-C ends all
    processes; the next start goes on where this one stopped. A process that dies is
    started again.

    With --report there are no processes and no pages: the same days are run on the homes'
    own thermostats, with the battery planned and with everything planned, in lock-step and
    as fast as the machine can; what the meters measured is written as a report.
    """
    estate = open_estate(config)
    if report is not None:
        _report(estate, config, report, length, begins, seed, history_days)
        return
    _refuse_without_report(speed, begins, seed)
    starts_at = require_demonstration(estate)
    children = _children(config, state, port)
    supervisor = Supervisor(children, state, STOP_ORDER)
    ended = supervisor.end_leftovers()
    if ended:
        click.echo(f"Ended what an earlier demonstration had left running: {', '.join(ended)}")
    if fresh:
        forget(state)
        supervisor = Supervisor(children, state, STOP_ORDER)
    require_free_ports(
        [("--port", "127.0.0.1", port)]
        + [
            (f"gateways.{gateway.id}", gateway.host, gateway.port)
            for gateway in estate.gateways.values()
        ]
    )
    store = open_store(state / STORE_FILE)
    if store.meta(HISTORY_META) is None:
        _make_history(estate, config, state, store, history_days)
    now = resume_or_start(store, starts_at)
    anchor_clock(state, now, speed)
    tokens = make_tokens(estate, store, now)
    store.close()
    from ems.store.accounts import ACCOUNTS_FILE, Accounts

    sign_ins = [*make_sign_ins(Accounts(state / ACCOUNTS_FILE), estate), *tokens]
    _run(supervisor, estate, port, speed, sign_ins)


def _refuse_without_report(speed: float, begins: datetime | None, seed: int | None) -> None:
    """Refuse what only a report can do."""
    remedy = "Add --report DIRECTORY, or leave the option out."
    if speed > FASTEST:
        raise InvalidInputError(
            f"processes of their own keep up to ×{FASTEST:g}; faster goes only in lock-step",
            field="--speed",
            value=speed,
            remedy=remedy,
        )
    for name, value in (("--from", begins), ("--seed", seed)):
        if value is not None:
            raise InvalidInputError(
                "only a report can choose it", field=name, value=str(value), remedy=remedy
            )


def _report(
    estate: Estate,
    config: Path,
    folder: Path,
    length: str,
    begins: datetime | None,
    seed: int | None,
    history_days: int,
) -> None:
    """Run the evidence and write its report."""
    from ems.cli.field import field_parameters
    from ems.demo.evidence import gather, window_of
    from ems.demo.figures import figures
    from ems.demo.history import HistorySpan
    from ems.demo.report import verdicts, write_report
    from ems.service.logs import configure

    configure("demo", level="WARNING")
    require_demonstration(estate)
    start = None if begins is None else begins.replace(tzinfo=UTC)
    window = window_of(estate, start, _length(length))
    parameters = field_parameters(config)
    if seed is not None:
        parameters = replace(parameters, seed=seed)
    with (
        tempfile.TemporaryDirectory(prefix="hearth-report-") as work,
        click.progressbar(length=1000, label="Running", file=sys.stdout) as bar,
    ):
        shown = 0

        def tell(what: str, share: float) -> None:
            nonlocal shown
            bar.label = what
            bar.update(int(share * 1000) - shown)
            shown = int(share * 1000)

        span = HistorySpan.of_days(history_days)
        evidence = gather(estate, parameters, window, Path(work), span=span, progress=tell)
    found = figures(estate, evidence)
    paths = write_report(folder, estate, found)
    for verdict in verdicts(found):
        click.echo(f"{verdict['heading']} {verdict['text']}")
    click.echo(f"Written: {', '.join(str(path) for path in paths)}")


def _length(text: str) -> timedelta:
    """Return a length of time written as 48h, 2d or 90min."""
    match = re.fullmatch(r"(\d+(?:\.\d+)?)\s*(d|h|min)", text.strip())
    if match is None:
        raise InvalidInputError(
            "not a length of time", field="--for", value=text, remedy="Write e.g. 48h, 2d or 90min."
        )
    minutes = {"d": 1440.0, "h": 60.0, "min": 1.0}[match[2]]
    return timedelta(minutes=float(match[1]) * minutes)


def _children(config: Path, state: Path, port: int) -> list[Child]:
    common = ["--config", str(config), "--state", str(state)]
    base = [sys.executable, "-m", "ems.cli"]
    return [
        Child("field", [*base, "field", *common]),
        Child("control", [*base, "serve", *common]),
        Child("guard", [*base, "guard", *common]),
        Child("web", [*base, "web", *common, "--port", str(port)]),
    ]


def _make_history(estate: Estate, config: Path, state: Path, store: Store, days: int) -> None:
    from ems.cli.field import field_parameters
    from ems.demo.history import HistoryMaker, HistorySpan
    from ems.field.checkpoint import Checkpoints
    from ems.service.logs import configure

    configure("demo", level="WARNING")
    until = require_demonstration(estate)
    maker = HistoryMaker(estate, field_parameters(config), store, until, HistorySpan.of_days(days))
    with click.progressbar(
        length=1000, label=f"Making {days} days of history", file=sys.stdout
    ) as progress:
        shown = 0

        def show(share: float) -> None:
            nonlocal shown
            progress.update(int(share * 1000) - shown)
            shown = int(share * 1000)

        asyncio.run(maker.make(show))
    # The field goes on where history ends: same rooms, same counters.
    Checkpoints(state, maker.simulation).save()


def _run(
    supervisor: Supervisor,
    estate: Estate,
    port: int,
    speed: float,
    sign_ins: list[tuple[str, str, str]],
) -> None:
    from ems.service.logs import configure

    configure("demo")

    def end(*_: Any) -> None:
        supervisor.request_stop()

    signal.signal(signal.SIGINT, end)
    signal.signal(signal.SIGTERM, end)
    supervisor.start()
    watcher = threading.Thread(target=supervisor.watch, daemon=True)
    watcher.start()
    address = f"http://127.0.0.1:{port}"
    failed = False
    if _first_page(address, watcher):
        click.echo(f"\n{estate.name} is on {address}  (estate time runs at ×{speed:g})\n")
        for who, name, password in sign_ins:
            click.echo(f"  {who:<34} {name:<10} {password}")
        click.echo("\nThese sign-ins exist only for this run. Ctrl-C ends everything.\n")
    elif watcher.is_alive():
        failed = True
        click.echo(f"Error: the pages did not come up on {address}. The last lines of each log:")
        for name in STOP_ORDER:
            click.echo(f"--- {name}\n{supervisor.last_lines(name)}")
        supervisor.request_stop()
    watcher.join()
    click.echo("Ending: devices are handed back …")
    supervisor.stop()
    click.echo("Ended. `make run` goes on from here.")
    if failed:
        raise HearthError(
            "the demonstration did not start", remedy="Mend what the logs above name, try again."
        )


def _first_page(address: str, watcher: threading.Thread) -> bool:
    """Wait until the pages answer at all; whether all is well is for `/healthz` to say."""
    end = time.monotonic() + FIRST_PAGE_WAIT_S
    while time.monotonic() < end and watcher.is_alive():
        try:
            with urllib.request.urlopen(f"{address}/healthz", timeout=2.0):  # noqa: S310 - our own address
                return True
        except urllib.error.HTTPError:
            return True
        except OSError:
            watcher.join(0.25)
    return False
