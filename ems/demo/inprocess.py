"""A field bus without sockets: the service's own jobs on the simulated estate in one process.

Used where weeks must pass in seconds. What a device would do with a write is the
simulation's business; what a profile forbids is refused here as on the real bus.
"""

from __future__ import annotations

import math
from collections.abc import Collection
from datetime import datetime

from drivers.orders import quantise
from ems.domain.estate import Estate
from ems.domain.points import PointId
from ems.domain.profiles import Cadence
from ems.domain.readings import Quality, Reading
from ems.domain.setpoints import (
    Applied,
    Outcome,
    OutOfBounds,
    Overtaken,
    Setpoint,
    Unconfirmed,
    Unreachable,
)
from ems.field.simulation import EstateSimulation


class SimulationBus:
    """Fills `ems.domain.ports.FieldBus` over an `EstateSimulation`.

    Parameters
    ----------
    estate, simulation
        The same estate on both sides.
    """

    def __init__(self, estate: Estate, simulation: EstateSimulation) -> None:
        self._estate = estate
        self._simulation = simulation

    def read_all(self, now: datetime) -> list[Reading]:
        """Return a reading of every point; without a value where the device shows none."""
        return [
            Reading(point_id, now, value, Quality.NO_ANSWER if math.isnan(value) else Quality.GOOD)
            for point_id, value in zip(
                self._simulation.point_ids, self._simulation.values().tolist(), strict=True
            )
        ]

    async def poll(self, cadences: Collection[Cadence], now: datetime) -> list[Reading]:
        """Read everything; in one process there is no reason to read less."""
        del cadences
        return self.read_all(now)

    def write(self, setpoint: Setpoint) -> float | OutOfBounds | Unreachable:
        """Write as the real bus would: bounds, step, entering control; return what was written."""
        device = self._estate.devices[setpoint.point_id.device_id]
        if self._simulation.is_silent(device.id):
            return Unreachable("the device does not answer")
        rule = device.profile.write_rule(setpoint.point_id.point)
        if rule is None:
            return OutOfBounds(math.nan, math.nan)
        wanted = quantise(setpoint.value, rule)
        if wanted is None:
            return OutOfBounds(rule.low, rule.high)
        for point, value in device.profile.enter_control:
            # Every time: a device that has lapsed must be taken under control again.
            self._simulation.write(device.id, point, value)
        self._simulation.write(device.id, setpoint.point_id.point, wanted)
        return wanted

    def apply_now(self, setpoint: Setpoint) -> Outcome:
        """Write a setpoint and read it back."""
        wanted = self.write(setpoint)
        if not isinstance(wanted, float):
            return wanted
        device = self._estate.devices[setpoint.point_id.device_id]
        rule = device.profile.write_rule(setpoint.point_id.point)
        shown = self._simulation.read(device.id, setpoint.point_id.point)
        if rule is None or math.isnan(shown) or abs(shown - wanted) > rule.tolerance + 1e-9:
            return Unconfirmed(shown)
        return Applied(shown, written=True)

    async def apply(
        self,
        setpoint: Setpoint,
        now: datetime,
        *,
        urgent: bool = False,
        seen: float | None = None,
    ) -> Outcome:
        """Write one setpoint unless somebody came first; a simulation's flash lasts for ever."""
        del now, urgent
        shown = self._simulation.read(*setpoint.point_id)
        if seen is not None and shown not in (seen, setpoint.value):
            return Overtaken(shown)
        return self.apply_now(setpoint)

    async def release(self, setpoint: Setpoint, now: datetime) -> Outcome:
        """Hand a device back: its release value, then its profile's release."""
        del now
        device_id = setpoint.point_id.device_id
        if self._simulation.is_silent(device_id):
            return Unreachable("the device does not answer")
        profile = self._estate.devices[device_id].profile
        self._simulation.write(device_id, setpoint.point_id.point, setpoint.value)
        for point, value in profile.release:
            self._simulation.write(device_id, point, value)
        return Applied(setpoint.value, written=True)

    async def look(self, point_ids: Collection[PointId], now: datetime) -> list[Reading]:
        """Read points as they are now."""
        found = []
        for point_id in point_ids:
            silent = self._simulation.is_silent(point_id.device_id)
            value = math.nan if silent else self._simulation.read(*point_id)
            quality = Quality.NO_ANSWER if math.isnan(value) else Quality.GOOD
            found.append(Reading(point_id, now, value, quality))
        return found

    async def close(self) -> None:
        """Nothing to close."""
