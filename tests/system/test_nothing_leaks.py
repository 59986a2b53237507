"""Control knows a home by its configuration and its readings, and by nothing else.

The same readings are played to two control processes. Beside the configuration of the
second lies a field file whose every hidden parameter is another one, and the field that
answers it has other homes: what control decides is the same to the last digit.
"""

from __future__ import annotations

import asyncio
import shutil
from collections.abc import Collection
from datetime import datetime, timedelta
from pathlib import Path

from ems.demo.inprocess import SimulationBus
from ems.domain.estate import Estate
from ems.domain.points import PointId
from ems.domain.profiles import Cadence
from ems.domain.readings import Reading
from ems.domain.setpoints import Applied, Outcome, Setpoint
from ems.field.parameters import FieldParameters
from ems.field.simulation import EstateSimulation
from ems.service.control import Control, open_weather
from ems.settings import load_estate
from ems.store import open_store

from .conftest import DEMO, Past

ROUNDS = 90
"""Minutes of control that are compared; the first plan and its successors are in them."""


class Tape:
    """A field bus that notes what was read and asked, or plays a note back."""

    def __init__(self, bus: SimulationBus | None, played: list[list[Reading]] | None) -> None:
        self._bus = bus
        self._played = iter(played or [])
        self.read: list[list[Reading]] = []
        self.asked: list[Setpoint] = []

    async def poll(self, cadences: Collection[Cadence], now: datetime) -> list[Reading]:
        del cadences
        readings = self._bus.read_all(now) if self._bus else next(self._played)
        self.read.append(readings)
        return readings

    async def look(self, point_ids: Collection[PointId], now: datetime) -> list[Reading]:
        readings = await self._bus.look(point_ids, now) if self._bus else next(self._played)
        assert [reading.point_id for reading in readings] == list(point_ids)
        self.read.append(readings)
        return readings

    async def apply(
        self,
        setpoint: Setpoint,
        now: datetime,
        *,
        urgent: bool = False,
        seen: float | None = None,
    ) -> Outcome:
        del now, urgent, seen
        self.asked.append(setpoint)
        if self._bus:
            self._bus.write(setpoint)
        return Applied(setpoint.value, written=True)

    async def release(self, setpoint: Setpoint, now: datetime) -> Outcome:
        return await self.apply(setpoint, now)

    async def close(self) -> None:
        """Nothing to close."""


async def run(
    estate: Estate,
    past: Path,
    begins: datetime,
    folder: Path,
    tape: Tape,
    simulation: EstateSimulation | None,
) -> list[Setpoint]:
    folder.mkdir(exist_ok=True)
    shutil.copy(past, folder / "store.sqlite")
    with open_store(folder / "store.sqlite") as store:
        control = Control(estate, store, tape, open_weather(estate))
        await control.first_round(begins)
        for minute in range(1, ROUNDS):
            now = begins + timedelta(minutes=minute)
            if simulation is not None:
                simulation.step_to(now)
            await control.poll(now)
            if minute % 30 == 2:
                await control.roll_up(now)
                await control.plan(now)
            await control.dispatch(now)
    return tape.asked


def test_hidden_parameters_reach_control_only_through_readings(
    estate: Estate,
    parameters: FieldParameters,
    past: Past,
    begins: datetime,
    tmp_path: Path,
) -> None:
    path, state = past
    field = EstateSimulation(estate, parameters, begins, step_s=60)
    field.load_state(state)
    first = Tape(SimulationBus(estate, field), None)
    asyncio.run(run(estate, path, begins, tmp_path / "one", first, field))
    assert len({setpoint.value for setpoint in first.asked}) > 3

    # The same configuration beside a field file that says something else altogether.
    shutil.copytree(DEMO.parents[1], tmp_path / "config")
    hidden = tmp_path / "config" / "demo" / "field.yaml"
    hidden.write_text(hidden.read_text().replace("seed: 1", "seed: 99").replace("0.29", "0.9"))
    elsewhere = load_estate(tmp_path / "config" / "demo" / "estate.yaml")
    second = Tape(None, first.read)
    asyncio.run(run(elsewhere, path, begins, tmp_path / "two", second, None))

    assert second.asked == first.asked


def test_other_homes_are_steered_otherwise(
    estate: Estate,
    parameters: FieldParameters,
    past: Past,
    begins: datetime,
    tmp_path: Path,
) -> None:
    """The counterpart: other readings do change decisions, so the test above can fail."""
    path, state = past
    asked = []
    for name, warmer_k in (("as-is", 0.0), ("warmer", 1.5)):
        field = EstateSimulation(estate, parameters, begins, step_s=60)
        field.load_state(state)
        field.homes.air_c += warmer_k
        field.homes.fabric_c += warmer_k
        tape = Tape(SimulationBus(estate, field), None)
        asyncio.run(run(estate, path, begins, tmp_path / name, tape, field))
        asked.append([setpoint.value for setpoint in tape.asked])
    assert asked[0] != asked[1]
