"""A bus that reads and never writes: what a new site runs on before anybody trusts it."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from datetime import datetime

from drivers.orders import quantise
from ems.domain.errors import InvalidInputError
from ems.domain.estate import Device
from ems.domain.points import PointId
from ems.domain.ports import FieldBus
from ems.domain.profiles import Cadence
from ems.domain.readings import Reading
from ems.domain.setpoints import DRY_RUN, NotWritten, Outcome, OutOfBounds, Setpoint


class DryRunBus:
    """Fills :class:`ems.domain.ports.FieldBus`: reads go to ``bus``, writes go nowhere.

    Parameters
    ----------
    bus
        What reads.
    devices
        By id: a value out of bounds is told from one that would be written.
    """

    def __init__(self, bus: FieldBus, devices: Mapping[str, Device]) -> None:
        self._bus = bus
        self._devices = devices

    async def poll(self, cadences: Collection[Cadence], now: datetime) -> list[Reading]:
        """Read all points of these cadences."""
        return await self._bus.poll(cadences, now)

    async def look(self, point_ids: Collection[PointId], now: datetime) -> list[Reading]:
        """Read these points now."""
        return await self._bus.look(point_ids, now)

    async def apply(
        self,
        setpoint: Setpoint,
        now: datetime,
        *,
        urgent: bool = False,
        seen: float | None = None,
    ) -> Outcome:
        """Return what keeps a setpoint from being written: its bounds, or the dry run.

        Raises
        ------
        InvalidInputError
            Where the device is unknown or the point cannot be written.
        """
        del now, urgent, seen
        device = self._devices.get(setpoint.point_id.device_id)
        rule = None if device is None else device.profile.write_rule(setpoint.point_id.point)
        if rule is None:
            raise InvalidInputError(
                "there is no such point to write",
                field="point_id",
                value=str(setpoint.point_id),
                remedy="Command a device of the estate, and a point with a write rule.",
            )
        if quantise(setpoint.value, rule) is None:
            return OutOfBounds(rule.low, rule.high)
        return NotWritten(DRY_RUN)

    async def release(self, setpoint: Setpoint, now: datetime) -> Outcome:
        """Hand nothing back: nothing was taken."""
        return await self.apply(setpoint, now)

    async def close(self) -> None:
        """Close all connections."""
        await self._bus.close()
