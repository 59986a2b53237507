"""``ems web`` and ``ems accounts``: the pages, and who may sign in to them."""

from __future__ import annotations

import os
import signal
import sys
import threading
import time
from pathlib import Path
from types import FrameType

import click

from ems.cli.estate import STORE_FILE, estate_clock, open_estate
from ems.cli.options import config_option, emit_json, examples, json_option, state_option, table
from ems.domain.errors import InvalidInputError
from ems.domain.estate import Estate
from ems.domain.ports import Heartbeat, Store
from ems.domain.time import Clock
from ems.store import open_store
from ems.store.accounts import Accounts, Role, open_accounts

COOKIE_KEY_VARIABLE = "HEARTH_WEB_KEY"
"""Where set, it signs the cookies instead of the key in the accounts file."""
BEAT_WALL_S = 10.0
THREADS = 8


@click.command(epilog=examples("ems web\nems web --config estate.yaml --state /var/lib/hearth"))
@config_option
@state_option
@click.option("--host", default="127.0.0.1", show_default=True, help="Address to listen on.")
@click.option("--port", default=8080, show_default=True, envvar="PORT", help="Port (or PORT).")
@click.option(
    "--trusted-proxy",
    default=None,
    help="Address of a proxy in front that ends https; its X-Forwarded headers are believed.",
)
def web(config: Path, state: Path, host: str, port: int, trusted_proxy: str | None) -> None:
    """Run the web process: pages for operators and tenants, and /healthz.

    It reads the store and writes no setpoint. Ctrl-C or SIGTERM ends it.
    """
    from ems.service.logs import configure

    configure("web")
    run_web(config, state, host=host, port=port, trusted_proxy=trusted_proxy)


def run_web(
    config: Path,
    state: Path,
    *,
    host: str = "127.0.0.1",
    port: int = 8080,
    trusted_proxy: str | None = None,
) -> None:
    """Serve the pages of an estate until SIGTERM or Ctrl-C.

    Parameters
    ----------
    config, state
        The estate's file and the processes' common directory.
    host, port
        Where to listen.
    trusted_proxy
        Address of a proxy whose ``X-Forwarded-For`` and ``-Proto`` are believed.

    Raises
    ------
    InvalidInputError
        Where the port is taken or the configuration has faults.
    """
    from waitress.server import create_server

    from ems.service.starting import note_start
    from web import create_app

    estate = open_estate(config)
    state.mkdir(parents=True, exist_ok=True)
    clock = estate_clock(estate, state)
    store = open_store(state / STORE_FILE)
    accounts_file = open_accounts(state)
    note_start(store, "web", clock.now())
    key = os.environ.get(COOKIE_KEY_VARIABLE) or accounts_file.cookie_key()
    app = create_app(estate, state, clock, store, accounts_file, secret_key=key)
    proxy = (
        {
            "trusted_proxy": trusted_proxy,
            "trusted_proxy_headers": {"x-forwarded-for", "x-forwarded-proto"},
        }
        if trusted_proxy
        else {}
    )
    try:
        server = create_server(
            app,
            host=host,
            port=port,
            threads=THREADS,
            ident="hearth",
            clear_untrusted_proxy_headers=True,
            **proxy,
        )
    except OSError as error:
        raise InvalidInputError(
            f"the address cannot be used: {error.strerror or error}",
            field="--port",
            value=f"{host}:{port}",
            remedy="End the program that uses it, or choose another port with --port or PORT.",
        ) from error
    signal.signal(signal.SIGTERM, _end)
    threading.Thread(target=_beat_for_ever, args=(store, clock), daemon=True).start()
    server.run()
    server.close()


def _end(_signal: int, _frame: FrameType | None) -> None:
    sys.exit(0)


def _beat_for_ever(store: Store, clock: Clock) -> None:
    import structlog

    log, well = structlog.get_logger(), True
    while True:
        try:
            store.beat(Heartbeat("web", clock.now(), time.time(), os.getpid()))
            well = True
        except Exception as error:  # a busy store must not end the pages
            if well:
                log.warning("web_beat_failed", error=repr(error))
            well = False
        time.sleep(BEAT_WALL_S / min(max(clock.speed, 1.0), 10.0))


@click.group(
    epilog=examples(
        "ems accounts add olive --role operator\n"
        "ems accounts add tess --role tenant --home A-07\n"
        "ems accounts list\nems accounts remove tess"
    )
)
def accounts() -> None:
    """Say who may sign in to the pages. There are no default passwords."""


@accounts.command(
    "add",
    epilog=examples(
        "ems accounts add olive --role operator\nems accounts add tess --role tenant --home A-07"
    ),
)
@config_option
@state_option
@click.argument("name")
@click.option("--role", type=click.Choice([str(role) for role in Role]), required=True)
@click.option("--home", default=None, help="The tenant's home, e.g. A-07.")
@click.option(
    "--password",
    envvar="HEARTH_PASSWORD",
    prompt=True,
    hide_input=True,
    confirmation_prompt=True,
    help="Asked for unless HEARTH_PASSWORD is set.",
)
def add(config: Path, state: Path, name: str, role: str, home: str | None, password: str) -> None:
    """Add a person, or give them a new password, role or home."""
    _check_home(open_estate(config), home)
    user = _accounts(state).upsert_user(name, password, role, home)
    click.echo(f"{user.name} may sign in as {user.role}{f' of {home}' if home else ''}.")


@accounts.command("list", epilog=examples("ems accounts list\nems accounts list --json"))
@state_option
@json_option
def list_accounts(state: Path, as_json: bool) -> None:
    """List who may sign in."""
    users = _accounts(state).users()
    if as_json:
        emit_json([{"name": u.name, "role": u.role, "home": u.dwelling_id} for u in users])
    else:
        click.echo(
            table(["name", "role", "home"], [[u.name, u.role, u.dwelling_id or ""] for u in users])
        )


@accounts.command("remove", epilog=examples("ems accounts remove tess"))
@state_option
@click.argument("name")
def remove(state: Path, name: str) -> None:
    """Remove a person and end their sessions."""
    if not _accounts(state).remove_user(name):
        raise InvalidInputError(
            "nobody has this name",
            field="name",
            value=name,
            remedy="See the names with `ems accounts list`.",
        )
    click.echo(f"{name} may no longer sign in.")


def _accounts(state: Path) -> Accounts:
    state.mkdir(parents=True, exist_ok=True)
    return open_accounts(state)


def _check_home(estate: Estate, home: str | None) -> None:
    if home is not None and home not in {one.id for one in estate.dwellings()}:
        raise InvalidInputError(
            "there is no such home",
            field="--home",
            value=home,
            remedy="Give the id of a dwelling of the configuration.",
        )
