"""A whole estate: the demonstration's configuration, its history made once a session."""

from __future__ import annotations

import asyncio
import functools
import json
import shutil
from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from datetime import datetime
from pathlib import Path
from typing import Any

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
FIGURES = ROOT / "build/nobody-left-cold.json"

Past = tuple[Path, dict[str, object]]
"""A store with some days of history, and the physics at its end."""


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
def begins(estate: Estate) -> datetime:
    """Before the evening peak of the demonstration's first day, UTC."""
    assert estate.starts_at is not None
    return estate.starts_at.replace(hour=15, minute=30)


@pytest.fixture(scope="session")
def past_of(
    estate: Estate,
    parameters: FieldParameters,
    begins: datetime,
    tmp_path_factory: pytest.TempPathFactory,
) -> Callable[[int], Past]:
    """The past of an estate by its field's seed, made once."""

    @functools.cache
    def make(seed: int) -> Past:
        path = tmp_path_factory.mktemp("past") / "store.sqlite"
        with open_store(path) as store:
            maker = HistoryMaker(estate, replace(parameters, seed=seed), store, begins, SPAN)
            asyncio.run(maker.make())
        return path, maker.simulation.state_dict()

    return make


@pytest.fixture(scope="session")
def past(past_of: Callable[[int], Past], parameters: FieldParameters) -> Past:
    """The past of the demonstration's own homes."""
    return past_of(parameters.seed)


@pytest.fixture(scope="session")
def start(
    estate: Estate,
    parameters: FieldParameters,
    begins: datetime,
    past_of: Callable[[int], Past],
    tmp_path_factory: pytest.TempPathFactory,
) -> Iterator[Callable[[int], Running]]:
    """Start estates by seed; all of one seed go on from the same history."""
    stores: list[Store] = []

    def begin(seed: int) -> Running:
        path, state = past_of(seed)
        own = tmp_path_factory.mktemp("own") / "store.sqlite"
        shutil.copy(path, own)
        store = open_store(own)
        stores.append(store)
        simulation = EstateSimulation(estate, replace(parameters, seed=seed), begins, step_s=60)
        simulation.load_state(state)
        bus = SimulationBus(estate, simulation)
        control = Control(estate, store, bus, open_weather(estate))
        return Running(estate, simulation, store, bus, control, Guard(estate.control, bus, store))

    yield begin
    for store in stores:
        store.close()


@pytest.fixture(scope="session")
def figures() -> Iterator[dict[str, Any]]:
    """What was measured, by case; kept in ``build/`` with the cases of earlier runs."""
    measured: dict[str, Any] = {}
    yield measured
    earlier = json.loads(FIGURES.read_text()) if FIGURES.exists() else {}
    FIGURES.parent.mkdir(exist_ok=True)
    FIGURES.write_text(json.dumps(dict(sorted((earlier | measured).items())), indent=1) + "\n")
