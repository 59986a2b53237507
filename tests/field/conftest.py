from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path

import pytest

from ems.domain.estate import Estate
from ems.field.parameters import FieldParameters, load_parameters
from ems.field.simulation import EstateSimulation
from ems.field.sources import Consumption, Weather
from ems.settings.estates import load_estate

DEMO = Path(__file__).parents[2] / "config" / "demo"
COLD_NOON = datetime(2023, 11, 30, 12, tzinfo=UTC)

MakeSimulation = Callable[..., EstateSimulation]


@pytest.fixture(scope="session")
def estate() -> Estate:
    return load_estate(DEMO / "estate.yaml")


@pytest.fixture(scope="session")
def parameters() -> FieldParameters:
    """The demonstration's, with one room sensor that fell silent ten days before the start."""
    own = load_parameters(DEMO / "field.yaml")
    return replace(own, planted=replace(own.planted, silent_days={"B-12": 10}))


@pytest.fixture(scope="session")
def weather(parameters: FieldParameters) -> Weather:
    return Weather.read(parameters.weather)


@pytest.fixture(scope="session")
def consumption(parameters: FieldParameters) -> Consumption:
    return Consumption.read(parameters.consumption)


@pytest.fixture
def simulate(
    estate: Estate, parameters: FieldParameters, weather: Weather, consumption: Consumption
) -> MakeSimulation:
    def make(
        start: datetime = COLD_NOON,
        step_s: int = 60,
        hidden: FieldParameters = parameters,
        of: Estate = estate,
    ) -> EstateSimulation:
        return EstateSimulation(
            of, hidden, start, step_s=step_s, weather=weather, consumption=consumption
        )

    return make
