"""The demonstration's configuration, an empty store, facts in which all is well."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from ems.alarms.rules import FieldFacts, PowerSample, RoomSample
from ems.domain.estate import Estate
from ems.domain.ports import Store
from ems.settings import load_estate
from ems.store import open_store

DEMO = Path(__file__).parents[2] / "config" / "demo" / "estate.yaml"
NOW = datetime(2023, 12, 5, 12, 0, tzinfo=UTC)


@pytest.fixture(scope="session")
def estate() -> Estate:
    return load_estate(DEMO)


@pytest.fixture
def store(tmp_path: Path) -> Iterator[Store]:
    with open_store(tmp_path / "store.sqlite") as opened:
        yield opened


def rooms(*values: float, asked_c: float | None = 20.0, step_s: float = 300.0) -> list[RoomSample]:
    """Samples up to now, the last one at now."""
    count = len(values)
    return [
        RoomSample(NOW - timedelta(seconds=step_s * (count - 1 - index)), value, asked_c)
        for index, value in enumerate(values)
    ]


def imports(*values: float) -> list[PowerSample]:
    """A block's import minute by minute, the last one now [W]."""
    count = len(values)
    return [
        PowerSample(NOW - timedelta(seconds=60 * (count - 1 - index)), value)
        for index, value in enumerate(values)
    ]


@pytest.fixture(scope="session")
def well(estate: Estate) -> FieldFacts:
    """Every device answers, every home is warm, every plan is fresh."""
    return FieldFacts(
        now=NOW,
        ages_s=dict.fromkeys(estate.devices, 20.0),
        rooms={home.id: rooms(*[20.0] * 40) for home in estate.dwellings()},
        imports={block.id: imports(30e3, 30e3, 30e3) for block in estate.blocks},
        plan_ages_s={block.id: 600.0 for block in estate.blocks},
    )


Change = Callable[..., FieldFacts]


@pytest.fixture(scope="session")
def but(well: FieldFacts) -> Change:
    """All is well, but for what is named."""

    def change(**changed: object) -> FieldFacts:
        merged = {
            name: {**getattr(well, name), **value} if isinstance(value, dict) else value
            for name, value in changed.items()
        }
        return replace(well, **merged)

    return change
