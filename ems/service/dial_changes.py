"""Changes at the dial of heat pumps that are steered by SG Ready: their setpoint is not ours.

The dial is the resident's alone, and their heat pump keeps it by itself. So what counts is not
what the device was told but what it showed before, and what its own timer would show now.
The rules by which a change counts as the resident's are those of
:mod:`ems.service.device_changes`.
"""

from __future__ import annotations

import asyncio
import math
from collections.abc import Collection, Iterable, Mapping
from dataclasses import replace
from datetime import datetime

from controllers.comfort import DIAL_SAME_K
from ems.domain.estate import Actuator, Dwelling
from ems.domain.points import PointId
from ems.domain.profiles import WriteRule
from ems.domain.readings import Reading
from ems.domain.setpoints import SetpointRecord
from ems.domain.wishes import FROST_LIMIT_C, Asking, Finding
from ems.service.device_changes import BY_DEVICE, DeviceWatch, Sighting

COMMANDED = "sg_mode"
SETPOINT, ON = "room_setpoint_c", "heating_on"
DIAL = WriteRule(FROST_LIMIT_C, 35.0, 0.1, tolerance=DIAL_SAME_K)
"""How far a dial may differ and still show the same; it can be read only."""


class DialWatch(DeviceWatch):
    """Looks at dials before each dispatch; heating that is switched off counts as the frost limit.

    Parameters are those of `DeviceWatch`.
    """

    def _watched(self) -> dict[PointId, Dwelling]:
        found: dict[PointId, Dwelling] = {}
        for home in self._estate.dwellings():
            pump = home.heat_pump
            points = self._estate.devices[pump.device_id].profile.points
            if pump.actuator is Actuator.SG_READY and SETPOINT in points:
                found[PointId(pump.device_id, COMMANDED)] = home
        return found

    def told(self, records: Iterable[SetpointRecord]) -> None:
        """Nothing of what a dial shows was told to it."""

    async def look(self, now: datetime, *, without: Collection[str] = ()) -> frozenset[str]:
        """Look at every dial; return the homes that are to be left alone.

        Parameters are those of `DeviceWatch.look`.
        """
        listed = await asyncio.to_thread(self._store.active_commands)
        commands = {
            command.point_id: command
            for command in listed
            if command.point_id in self._homes and command.point_id.device_id not in without
        }
        if self._looked is None:
            await asyncio.to_thread(self._remember)
        shown = await self._shown(now)
        gap = self._gap(now)
        seen_before, self._looked = self._looked, now
        sightings: list[Sighting] = []
        for point_id, home in self._homes.items():
            value_c = shown.get(point_id)
            if value_c is None:
                self._silent.add(point_id)
                continue
            excuse = gap or ("the heat pump was out of reach" if point_id in self._silent else "")
            self._silent.discard(point_id)
            told_c = self._told.setdefault(point_id, value_c)
            if point_id not in commands or self._is_own_timer(home, value_c, now):
                await asyncio.to_thread(self._settle, point_id, value_c, told_c, now)
                continue
            sightings.append(Sighting(home.id, now, value_c, told_c, DIAL, math.nan, excuse))
        await asyncio.to_thread(self._judge_all, sightings, seen_before, now)
        await asyncio.to_thread(self._follow, sightings, now)
        left = self.left_alone(now)
        renewed = [
            self._renewed(command, now)
            for point_id, command in commands.items()
            if self._homes[point_id].id in left
        ]
        await asyncio.to_thread(self._store.open_commands, renewed)
        return left

    def _remember(self) -> None:
        """Take what the dials showed before this process started."""
        before = self._store.latest([point_id.device_id for point_id in self._homes])
        for point_id in self._homes:
            value_c = _effective_c(point_id.device_id, before)
            if value_c is not None:
                self._told[point_id] = value_c

    async def _shown(self, now: datetime) -> dict[PointId, float]:
        asked = [
            PointId(point_id.device_id, point)
            for point_id in self._homes
            for point in (SETPOINT, ON)
            if point in self._estate.devices[point_id.device_id].profile.points
        ]
        found = {reading.point_id: reading for reading in await self._bus.look(asked, now)}
        values = {point_id: _effective_c(point_id.device_id, found) for point_id in self._homes}
        return {point_id: value for point_id, value in values.items() if value is not None}

    def _is_own_timer(self, home: Dwelling, value_c: float, now: datetime) -> bool:
        """Tell whether the dial shows what the home's schedule asks for."""
        chosen = self._residents.home(home, now).comfort
        wanted = {
            comfort.temperature_at(now, self._estate.zone) for comfort in (home.comfort, chosen)
        }
        return any(abs(value_c - each) <= DIAL_SAME_K for each in wanted)

    def _settle(self, point_id: PointId, value_c: float, told_c: float, now: datetime) -> None:
        """Take what a dial shows as ordinary; what its resident set there before is over."""
        home = self._homes[point_id].id
        change = self._found.get(home)
        if change is not None and change.finding is not Finding.RESIDENT:
            self._over(change, now)
        self._told[point_id] = value_c
        if abs(value_c - told_c) <= DIAL_SAME_K:
            return
        for asked in self._residents.in_force(now).get(home, []):
            if asked.asking is Asking.DEVICE:
                ended = replace(asked, ended_at=now, ended_by=BY_DEVICE)
                self._store.keep(ended, key=asked.id, subject=home, at=now)

    def _follow(self, sightings: Iterable[Sighting], now: datetime) -> None:
        """Go on from what was found: a dial cannot be put right, and need not be."""
        by_home = {home.id: point_id for point_id, home in self._homes.items()}
        for seen in sightings:
            change = self._found.get(seen.dwelling_id)
            if change is None:
                continue
            spent = change.until is not None and now >= change.until
            if change.finding is Finding.RESIDENT or spent:
                self._told[by_home[seen.dwelling_id]] = seen.value_c
            if spent:
                self._over(change, now)


def _effective_c(device_id: str, readings: Mapping[PointId, Reading]) -> float | None:
    """Return what a dial asks for [°C]; ``None`` where it cannot be told."""
    switch, dial = readings.get(PointId(device_id, ON)), readings.get(PointId(device_id, SETPOINT))
    if switch is not None and switch.is_good and switch.value == 0.0:
        return FROST_LIMIT_C
    return dial.value if dial is not None and dial.is_good else None
