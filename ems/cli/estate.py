"""Opening what a command works on: the estate, its store, its clock."""

from __future__ import annotations

from pathlib import Path

from ems.domain.errors import InvalidInputError
from ems.domain.estate import Estate
from ems.domain.ports import Store
from ems.domain.time import Clock
from ems.settings import load_estate
from ems.settings.clock import open_clock
from ems.store import open_store

STORE_FILE = "store.sqlite"


def open_estate(config: Path) -> Estate:
    """Load the estate; a configuration with faults raises `ConfigurationError`."""
    return load_estate(config)


def open_existing_store(state: Path) -> Store:
    """Open the store of a state directory that a process has made.

    Raises
    ------
    InvalidInputError
        Where there is none.
    """
    path = state / STORE_FILE
    if not path.exists():
        raise InvalidInputError(
            "there is no store here",
            field="--state",
            value=str(state),
            remedy="Start the estate first (`ems demo` or `ems serve`), or name its directory "
            "with --state.",
        )
    return open_store(path)


def estate_clock(estate: Estate, state: Path) -> Clock:
    """Return the estate's clock."""
    return open_clock(state, demonstration=estate.demonstration)
