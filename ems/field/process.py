"""The field as a process: physics on the shared clock, gateways on their sockets.

It resumes where it was killed: last checkpoint, noted writes, then at full speed to
the present, and only then it answers.
"""

from __future__ import annotations

import asyncio
import time
from datetime import timedelta
from pathlib import Path

import structlog

from ems.domain.errors import InvalidInputError, RetryableError
from ems.domain.estate import Estate
from ems.domain.time import Clock
from ems.field.checkpoint import Checkpoints
from ems.field.control import FaultWatch, take_touches
from ems.field.faces import Face, build_faces
from ems.field.faults import FaultKind
from ems.field.modbus import GatewayServer
from ems.field.parameters import FieldParameters
from ems.field.simulation import EstateSimulation

SETTLING = timedelta(days=2)
"""Without a checkpoint the physics starts this long before the present."""
CHECKPOINT_ESTATE_S = 60.0
CHECKPOINT_WALL_S = 1.0
TICK_S = (0.02, 1.0)
"""Shortest and longest pause between two looks at the clock, wall time."""
STEPS_A_TURN = 50
"""Steps between two chances for the sockets while it catches up."""


class Field:
    """A running field: physics, gateways, faults, checkpoints.

    Parameters
    ----------
    estate
        The configuration.
    parameters
        The field's hidden parameters.
    state_dir
        Where checkpoints and faults are kept; it exists.
    clock
        Estate time.
    """

    def __init__(
        self, estate: Estate, parameters: FieldParameters, state_dir: Path, clock: Clock
    ) -> None:
        self._log = structlog.get_logger("field")
        self._clock = clock
        start = clock.now() - SETTLING
        self.simulation = EstateSimulation(estate, parameters, start)
        self._state_dir = state_dir
        self._checkpoints = Checkpoints(state_dir, self.simulation)
        self.resumed = self._checkpoints.resume()
        self._faults = FaultWatch(state_dir)
        faces = build_faces(estate, self.simulation, self._checkpoints.note)
        self.servers = {
            gateway.id: GatewayServer(gateway, faces[gateway.id], self._delay_of)
            for gateway in estate.gateways.values()
        }
        self._saved_s = -1e18
        self._saved_wall_s = 0.0

    async def run(self, stop: asyncio.Event) -> None:
        """Step and serve until ``stop`` is set, then save and close.

        Raises
        ------
        InvalidInputError
            Where weather or consumption end.
        RetryableError
            Where a gateway's address is taken.
        """
        self._watch_faults()
        began = time.perf_counter()
        steps = await self._catch_up(stop)
        self._log.info(
            "field caught up",
            resumed=self.resumed,
            steps=steps,
            seconds=round(time.perf_counter() - began, 1),
        )
        try:
            await self._toggle_gateways(first=True)
            low, high = TICK_S
            pause_s = min(max(self.simulation.step_s / self._clock.speed / 2.0, low), high)
            while not stop.is_set():
                if self._watch_faults():
                    await self._toggle_gateways()
                await self._catch_up(stop)
                self._touch()
                self._save_if_due()
                await _sleep(stop, pause_s)
        finally:
            for server in self.servers.values():
                await server.close()
            self._checkpoints.save()

    async def _catch_up(self, stop: asyncio.Event) -> int:
        count = 0
        while not stop.is_set():
            target = self._clock.now()
            turn = self.simulation.now() + timedelta(seconds=self.simulation.step_s * STEPS_A_TURN)
            count += self.simulation.step_to(min(target, turn))
            if turn >= target:
                break
            self._save_if_due()
            await asyncio.sleep(0)
        return count

    def _save_if_due(self) -> None:
        wall_s = time.monotonic()
        if (
            self.simulation.now_s - self._saved_s >= CHECKPOINT_ESTATE_S
            and wall_s - self._saved_wall_s >= CHECKPOINT_WALL_S
        ):
            self._checkpoints.save()
            self._saved_s, self._saved_wall_s = self.simulation.now_s, wall_s

    def _watch_faults(self) -> bool:
        try:
            faults = self._faults.changed()
            if faults is None:
                return False
            self.simulation.replace_faults(faults)
        except InvalidInputError as error:
            self._log.warning("faults ignored", problem=str(error))
            return False
        self._log.info("faults", on=[f"{fault.target} {fault.kind}" for fault in faults])
        return True

    def _touch(self) -> None:
        """Do what hands at heat pumps have done."""
        for device_id, value in take_touches(self._state_dir):
            self._checkpoints.note(device_id, "room_setpoint_c", value)
            self.simulation.write(device_id, "room_setpoint_c", value)
            self._log.info("touched", device=device_id, room_setpoint_c=value)

    async def _toggle_gateways(self, *, first: bool = False) -> None:
        for name, server in self.servers.items():
            gone = (name, FaultKind.GATEWAY_GONE) in self.simulation.faults
            if gone and server.is_open:
                await server.close()
                self._log.info("gateway gone", gateway=name)
            elif not gone and not server.is_open:
                try:
                    await server.open()
                except RetryableError:
                    if first:
                        raise
                    self._log.warning("gateway cannot come back", gateway=name)
                    continue
                self._log.info("gateway serves", gateway=name, port=server.port)

    def _delay_of(self, face: Face) -> float | None:
        device = face.device
        if device is None:
            return 0.0
        if self.simulation.is_silent(device.id):
            return None
        slow = self.simulation.faults.get((device.id, FaultKind.SLOW))
        return slow.value if slow else 0.0


async def run(
    estate: Estate,
    parameters: FieldParameters,
    state_dir: Path,
    clock: Clock,
    stop: asyncio.Event,
) -> None:
    """Run the simulated estate until ``stop`` is set; see `Field.run`."""
    await Field(estate, parameters, state_dir, clock).run(stop)


async def _sleep(stop: asyncio.Event, seconds: float) -> None:
    try:
        await asyncio.wait_for(stop.wait(), seconds)
    except TimeoutError:
        return
