"""What one run of the evidence measured: energy counters, and true rooms.

Nothing here knows a plan. Energy is the rise of the simulated meters' counters over each
half-hour; warmth is that of the true living rooms, minute by minute. The formulas are
those of ``docs/metrics.md``.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta

import numpy as np

from ems.domain.estate import Estate
from ems.domain.forecasts import FloatArray
from ems.domain.time import HALF_HOUR
from ems.field.simulation import EstateSimulation

SCHEDULE_SLACK_K = 0.5
"""Warmth counts as missing below the resident's schedule less this [K]."""
COLD_C = 18.0
"""Rooms below this count as cold whatever a home's own floor is [°C]."""
WARMTH = ("below_schedule", "below_floor", "chosen_below_floor", "below_cold", "chosen_below_cold")
"""Which missing warmth is counted; what a resident chose stands apart."""
HISTORY_COUNTERS = (
    "home_import",
    "pump_import",
    "block_import",
    "block_export",
    "landlord_import",
    "landlord_export",
    "generated",
)


@dataclass(frozen=True, slots=True)
class Window:
    """Which time a report looks at: [start, end), both on half-hours, UTC."""

    start: datetime
    end: datetime

    @property
    def hours(self) -> float:
        """Length [h]."""
        return (self.end - self.start) / timedelta(hours=1)

    @property
    def half_hours(self) -> list[datetime]:
        """Starts of its half-hours."""
        return [self.start + HALF_HOUR * number for number in range(round(self.hours * 2))]


@dataclass(frozen=True, slots=True, eq=False)
class Stored:
    """Energy held at an instant, above where the window began.

    Attributes
    ----------
    battery_kwh
        Usable energy above empty, shape (blocks,).
    room_kwh, tank_kwh
        Heat in rooms, building and circuit, and in the tank, above 20 °C and 40 °C,
        shape (homes,); only differences between instants mean anything.
    """

    battery_kwh: FloatArray
    room_kwh: FloatArray
    tank_kwh: FloatArray

    @classmethod
    def of(cls, simulation: EstateSimulation) -> Stored:
        """Return what is stored now."""
        homes, traits = simulation.homes, simulation.traits
        room_j = simulation.physics.rooms.stored_j(homes)
        return cls(
            battery_kwh=np.array(
                [
                    battery.state.energy_wh / 1e3 if battery else 0.0
                    for battery in simulation.batteries
                ]
            ),
            room_kwh=np.asarray(room_j / 3.6e6),
            tank_kwh=np.asarray(traits.tank_j_per_k * (homes.tank_c - 40.0) / 3.6e6),
        )


@dataclass(frozen=True, slots=True, eq=False)
class Measured:
    """One run as its meters and rooms saw it; n half-hours.

    Attributes
    ----------
    kwh
        Rise of each counter, shape (n, homes) or (n, blocks) [kWh].
    charged_kwh, discharged_kwh
        Batteries: rise of their counters, shape (n, blocks).
    battery_kwh, room_kwh, tank_kwh
        What is stored at the end of each half-hour, as `Stored` counts it, shape
        (n, blocks) and (n, homes).
    room_c
        Mean true living-room temperature of each half-hour, shape (n, homes) [°C].
    missing_kh
        Kelvin-hours of each half-hour by the names of `WARMTH`, shape (n, homes) [K·h].
        Below the floor and below 18 °C, what a resident chose at the device counts under
        "chosen" only.
    starts
        Compressor starts, shape (homes,).
    heat_kwh
        Heat that heat pumps made for rooms and tanks, shape (homes,).
    begin
        What was stored before the first half-hour.
    """

    kwh: Mapping[str, FloatArray]
    charged_kwh: FloatArray
    discharged_kwh: FloatArray
    battery_kwh: FloatArray
    room_kwh: FloatArray
    tank_kwh: FloatArray
    room_c: FloatArray
    missing_kh: Mapping[str, FloatArray]
    starts: FloatArray
    heat_kwh: FloatArray
    begin: Stored

    def stored(self, after: int) -> Stored:
        """Return what was stored after so many half-hours, 0 to n."""
        if after == 0:
            return self.begin
        last = after - 1
        return Stored(self.battery_kwh[last], self.room_kwh[last], self.tank_kwh[last])

    @property
    def end(self) -> Stored:
        """What is stored at the end."""
        return self.stored(len(self.battery_kwh))

    def missing(self, name: str) -> FloatArray:
        """Return the kelvin-hours of the whole run by a name of `WARMTH`, shape (homes,)."""
        return np.asarray(self.missing_kh[name].sum(axis=0))

    @property
    def cop(self) -> FloatArray:
        """Heat made by electricity used over the run, shape (homes,) [-]."""
        used = self.kwh["pump_import"].sum(axis=0)
        return np.asarray(np.maximum(self.heat_kwh, 0.0) / np.maximum(used, 1e-9))


class Asked:
    """What residents ask for, minute by minute.

    Parameters
    ----------
    estate, simulation
        Schedules come from the configuration; what a resident set at the device instead is
        known to the simulated field alone.
    """

    def __init__(self, estate: Estate, simulation: EstateSimulation) -> None:
        self._zone = estate.zone
        homes = list(estate.dwellings())
        self._schedules = list({home.comfort.name: home.comfort for home in homes}.values())
        names = [schedule.name for schedule in self._schedules]
        self._which = np.array([names.index(home.comfort.name) for home in homes])
        self._chosen = simulation.traits.chosen_c
        self.floor_c = np.array([home.floor_c for home in homes])

    def at(self, instant: datetime) -> FloatArray:
        """Return the temperature asked for in each home [°C]."""
        now = np.array([each.temperature_at(instant, self._zone) for each in self._schedules])
        return np.where(np.isnan(self._chosen), now[self._which], self._chosen)


class Metering:
    """Watches one run and says at its end what was measured.

    Parameters
    ----------
    estate, simulation
        The estate; the simulation stands where the window starts.
    """

    def __init__(self, estate: Estate, simulation: EstateSimulation) -> None:
        self._simulation = simulation
        self._asked = Asked(estate, simulation)
        homes = len(simulation.traits.ids)
        self._begin = Stored.of(simulation)
        self._starts = simulation.homes.starts.copy()
        self._marks = [self._counters()]
        self._heat = np.zeros(homes)
        self._missing = np.zeros((len(WARMTH), homes))
        self._missed: list[FloatArray] = []
        self._room, self._minutes = np.zeros(homes), 0
        self._rooms: list[FloatArray] = []
        self._stored: list[Stored] = []
        self._last = simulation.now()

    def _counters(self) -> dict[str, FloatArray]:
        batteries = self._simulation.batteries
        marks = {name: self._simulation.counters[name].copy() for name in HISTORY_COUNTERS}
        for name in ("charged_kwh", "discharged_kwh"):
            marks[name] = np.array([getattr(b.state, name) if b else 0.0 for b in batteries])
        return marks

    def observe(self, now: datetime) -> None:
        """Take in the state at ``now``; to be called at every minute."""
        simulation = self._simulation
        hours = (now - self._last) / timedelta(hours=1)
        self._last = now
        room, asked = simulation.homes.air_c, self._asked.at(now)
        self._missing[0] += np.maximum(asked - SCHEDULE_SLACK_K - room, 0.0) * hours
        for row, limit in ((1, self._asked.floor_c), (3, COLD_C)):
            short = np.maximum(limit - room, 0.0) * hours
            chosen = asked < limit
            self._missing[row] += np.where(chosen, 0.0, short)
            self._missing[row + 1] += np.where(chosen, short, 0.0)
        self._heat += (simulation.homes.heat_w + simulation.homes.tank_heat_w) * hours / 1e3
        self._room = self._room + room
        self._minutes += 1
        if now.timestamp() % HALF_HOUR.total_seconds() == 0:
            self._marks.append(self._counters())
            self._stored.append(Stored.of(simulation))
            self._rooms.append(self._room / self._minutes)
            self._missed.append(self._missing)
            self._room, self._minutes = np.zeros(room.size), 0
            self._missing = np.zeros_like(self._missing)

    def measured(self) -> Measured:
        """Return the whole run."""
        rise = {
            name: np.diff(np.stack([mark[name] for mark in self._marks]), axis=0)
            for name in self._marks[0]
        }
        return Measured(
            charged_kwh=rise.pop("charged_kwh"),
            discharged_kwh=rise.pop("discharged_kwh"),
            kwh=rise,
            battery_kwh=np.stack([stored.battery_kwh for stored in self._stored]),
            room_kwh=np.stack([stored.room_kwh for stored in self._stored]),
            tank_kwh=np.stack([stored.tank_kwh for stored in self._stored]),
            room_c=np.stack(self._rooms),
            missing_kh=dict(zip(WARMTH, np.stack(self._missed, axis=1), strict=True)),
            starts=self._simulation.homes.starts - self._starts,
            heat_kwh=self._heat,
            begin=self._begin,
        )
