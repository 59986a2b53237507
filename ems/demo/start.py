"""What must hold before a demonstration starts, and where its clock stands."""

from __future__ import annotations

import secrets
import shutil
import socket
import time
from collections.abc import Sequence
from datetime import datetime
from pathlib import Path

from ems.domain.errors import InvalidInputError, RetryableError
from ems.domain.estate import Estate
from ems.domain.ports import Store
from ems.domain.time import AnchoredClock
from ems.service.tokens import issue
from ems.settings.clock import write_anchor
from ems.store.accounts import Accounts, Role

HISTORY_META = "demonstration_history_until"
"""Store fact: history was made up to this instant; it marks the store as a demonstration's."""


def require_demonstration(estate: Estate) -> datetime:
    """Return the instant a demonstration starts at, or refuse a real estate.

    Raises
    ------
    InvalidInputError
        Where the estate is not a demonstration or has no start.
    """
    if not estate.demonstration or estate.starts_at is None:
        raise InvalidInputError(
            "this estate is not a demonstration",
            field="estate.demonstration",
            value=estate.demonstration,
            remedy="Run a real estate with `ems serve`, `ems guard` and `ems web`; for a "
            "demonstration set estate.demonstration and estate.starts_at.",
        )
    return estate.starts_at


def require_free_ports(addresses: Sequence[tuple[str, str, int]]) -> None:
    """Raise where an address cannot be listened on.

    Parameters
    ----------
    addresses
        What it is for (an option or a place in the configuration), host, port.
    """
    for what, host, port in addresses:
        with socket.socket(socket.AF_INET, socket.SOCK_STREAM) as probe:
            probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            try:
                probe.bind((host, port))
            except OSError as error:
                raise RetryableError(
                    f"cannot listen on {host}:{port}: {error.strerror}",
                    field=what,
                    value=port,
                    remedy="Stop the program that uses it, or choose another port.",
                ) from error


def forget(state_dir: Path) -> None:
    """Delete a demonstration's state directory, and nothing that is not one.

    Raises
    ------
    InvalidInputError
        Where the directory holds files that a demonstration does not make.
    """
    if not state_dir.exists():
        return
    known = {
        "clock.json", "field.json", "faults.json", "logs", "pids", "control.lock", "guard.lock",
        "field.lock",
    }  # fmt: skip
    strangers = [
        path.name
        for path in state_dir.iterdir()
        if path.name not in known
        and not path.name.startswith(("store.sqlite", "accounts.sqlite", "field"))
    ]
    if strangers:
        raise InvalidInputError(
            "this directory holds files that a demonstration does not make",
            field="--state",
            value=", ".join(sorted(strangers)[:5]),
            remedy="Name the directory of a demonstration, or delete it yourself.",
        )
    shutil.rmtree(state_dir)


def resume_or_start(store: Store, starts_at: datetime) -> datetime:
    """Return the instant at which estate time goes on: where it stopped, else the start."""
    beats = [beat.at for beat in store.heartbeats().values()]
    return max([starts_at, *beats])


def anchor_clock(state_dir: Path, at: datetime, speed: float) -> None:
    """Let estate time run from ``at``, now, at ``speed``."""
    write_anchor(state_dir, AnchoredClock(at, time.time(), speed))


def make_tokens(estate: Estate, store: Store, now: datetime) -> list[tuple[str, str, str]]:
    """Give every aggregator without a token of its own a fresh one.

    Returns
    -------
    list of (who, id, token)
        To be printed once; the store keeps only hashes.
    """
    return [
        (f"token of {one.name}", one.id, issue(estate, store, one.id, now))
        for one in estate.aggregators.values()
        if not one.token_hash
    ]


def make_sign_ins(accounts: Accounts, estate: Estate) -> list[tuple[str, str, str]]:
    """Give an operator and a tenant of each block a fresh random password.

    Returns
    -------
    list of (who, name, password)
        To be printed once; they are kept only as hashes.
    """
    wanted: list[tuple[str, str, Role, str | None]] = [
        ("operator of the estate", "operator", Role.OPERATOR, None)
    ]
    for block in estate.blocks:
        home = block.dwellings[min(6, len(block.dwellings) - 1)]
        wanted.append(
            (f"tenant of {home.name}, {block.name}", home.id.lower(), Role.TENANT, home.id)
        )
    made = []
    for who, name, role, dwelling_id in wanted:
        password = "-".join(secrets.token_hex(2) for _ in range(4))
        accounts.upsert_user(name, password, role, dwelling_id)
        made.append((who, name, password))
    return made
