"""A week of a living room, made by hand."""

from __future__ import annotations

from collections.abc import Callable
from datetime import UTC, datetime
from pathlib import Path
from zoneinfo import ZoneInfo

import pandas as pd
import pytest

from ems.domain.estate import Estate
from ems.domain.people import ColdHomeRules, FuelPovertyRules
from ems.domain.time import HALF_HOUR
from ems.people import cold_home
from ems.settings import load_estate

DEMO = Path(__file__).parents[2] / "config/demo/estate.yaml"
LONDON = ZoneInfo("Europe/London")
NIGHT = datetime(2023, 12, 1, 3, 0, tzinfo=UTC)
RULES = ColdHomeRules()

Temperature = Callable[[datetime], float]


@pytest.fixture(scope="session")
def estate() -> Estate:
    return load_estate(DEMO)


@pytest.fixture(scope="session")
def figures(estate: Estate) -> FuelPovertyRules:
    assert estate.people.fuel_poverty is not None
    return estate.people.fuel_poverty


@pytest.fixture
def week() -> Callable[..., pd.Series]:
    """Make a series over the week before a night: by a function of the local instant."""

    def make(value: float | Temperature, now: datetime = NIGHT) -> pd.Series:
        start, end = cold_home.window(now, LONDON, RULES)
        grid = pd.date_range(start, end, freq=HALF_HOUR, inclusive="left")
        values = [
            value(at.to_pydatetime().astimezone(LONDON)) if callable(value) else value
            for at in grid
        ]
        return pd.Series(values, index=grid, dtype=float)

    return make
