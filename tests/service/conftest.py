"""The demonstration's homes in one process: physics, a store, and the dispatch job alone."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import datetime, timedelta
from pathlib import Path

import pytest

from ems.demo.inprocess import SimulationBus
from ems.domain.estate import Estate
from ems.domain.points import PointId
from ems.domain.ports import Store
from ems.domain.setpoints import SetpointRecord
from ems.field.parameters import load_parameters
from ems.field.simulation import EstateSimulation
from ems.service.asking import ComfortDesk
from ems.service.dispatching import Dispatcher
from ems.service.image import ProcessImage
from ems.service.in_charge import InCharge
from ems.settings import load_estate
from ems.store import open_store

ROOT = Path(__file__).parents[2]
DEMO = ROOT / "config/demo/estate.yaml"
DISPATCH = timedelta(seconds=60)


@pytest.fixture(scope="session")
def estate() -> Estate:
    return load_estate(DEMO)


@dataclass
class Bench:
    """A store, the physics and a dispatcher without plans, stepped by hand."""

    estate: Estate
    store: Store
    simulation: EstateSimulation
    now: datetime

    def __post_init__(self) -> None:
        self.bus = SimulationBus(self.estate, self.simulation)
        self.image = ProcessImage()
        self.restart()

    def restart(self) -> None:
        """A new control process on the same store."""
        self.charge = InCharge(self.estate, self.store)
        self.desk = ComfortDesk(self.estate, self.store)
        self.dispatcher = Dispatcher(
            self.estate, self.store, self.bus, self.image, charge=self.charge
        )

    def dispatch(self, times: int = 1) -> dict[str, SetpointRecord]:
        """Let time pass and dispatch, so often; return what the last one did, by device."""
        records: list[SetpointRecord] = []
        for _ in range(times):
            self.now += DISPATCH
            self.simulation.step_to(self.now)
            self.image.update(self.bus.read_all(self.now))
            records = asyncio.run(self.dispatcher.run(self.now))
        return {record.setpoint.point_id.device_id: record for record in records}

    def shows(self, device_id: str, point: str = "room_setpoint_c") -> float:
        """What a device holds."""
        return self.simulation.read(device_id, point)

    def touch(self, device_id: str, value: float) -> None:
        """Someone sets the room temperature at the heat pump."""
        self.simulation.write(device_id, "room_setpoint_c", value)

    def commanded(self) -> set[PointId]:
        """Points that are under a command."""
        return {command.point_id for command in self.store.active_commands()}


@pytest.fixture
def bench(estate: Estate, tmp_path: Path) -> Iterator[Bench]:
    assert estate.starts_at is not None
    begins = estate.starts_at.replace(hour=15, minute=0)
    simulation = EstateSimulation(
        estate, load_parameters(DEMO.parent / "field.yaml"), begins, step_s=60
    )
    with open_store(tmp_path / "store.sqlite") as store:
        yield Bench(estate, store, simulation, begins)
