"""A whole estate: the demonstration's configuration, its history made once a session."""

from __future__ import annotations

import asyncio
import shutil
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest

from ems.demo.history import HistoryMaker, HistorySpan
from ems.demo.inprocess import SimulationBus
from ems.domain.estate import Estate
from ems.domain.ports import Store
from ems.field.parameters import FieldParameters, load_parameters
from ems.field.simulation import EstateSimulation
from ems.service.control import Control, open_weather
from ems.service.guard import Guard
from ems.settings import load_estate
from ems.store import open_store

ROOT = Path(__file__).parents[2]
DEMO = ROOT / "config/demo/estate.yaml"
SPAN = HistorySpan(thermostat_days=5, planned_days=1, raw_h=6)


@pytest.fixture(scope="session")
def estate() -> Estate:
    return load_estate(DEMO)


@pytest.fixture(scope="session")
def parameters() -> FieldParameters:
    return load_parameters(DEMO.parent / "field.yaml")


@dataclass
class Running:
    """One estate in one process: physics, store, control and guard."""

    estate: Estate
    simulation: EstateSimulation
    store: Store
    bus: SimulationBus
    control: Control
    guard: Guard


@pytest.fixture(scope="session")
def past(
    estate: Estate, parameters: FieldParameters, tmp_path_factory: pytest.TempPathFactory
) -> tuple[Path, dict[str, object]]:
    """A store with some days of history, and the physics at its end."""
    path = tmp_path_factory.mktemp("past") / "store.sqlite"
    store = open_store(path)
    assert estate.starts_at is not None
    maker = HistoryMaker(estate, parameters, store, estate.starts_at, SPAN)
    asyncio.run(maker.make())
    store.close()
    return path, maker.simulation.state_dict()


@pytest.fixture
def start(
    estate: Estate,
    parameters: FieldParameters,
    past: tuple[Path, dict[str, object]],
    tmp_path: Path,
) -> Iterator[Callable[[], Running]]:
    """Start estates that go on from the same history."""
    stores: list[Store] = []

    def begin() -> Running:
        path, state = past
        own = tmp_path / f"store-{len(stores)}.sqlite"
        shutil.copy(path, own)
        store = open_store(own)
        stores.append(store)
        assert estate.starts_at is not None
        simulation = EstateSimulation(estate, parameters, estate.starts_at, step_s=60)
        simulation.load_state(state)
        bus = SimulationBus(estate, simulation)
        control = Control(estate, store, bus, open_weather(estate))
        return Running(estate, simulation, store, bus, control, Guard(estate.control, bus, store))

    yield begin
    for store in stores:
        store.close()
