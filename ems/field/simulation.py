"""The simulated estate behind devices and points, without sockets.

Time goes in whole steps on a grid from the epoch, so that a run does not depend on
when `EstateSimulation.step_to` is called. What happens from outside follows from the
seed and the date alone; what is carried along is in `EstateSimulation.state_dict`.
"""

from __future__ import annotations

import math
from collections.abc import Container, Iterable, Mapping
from datetime import UTC, date, datetime
from typing import Any

import numpy as np

from ems.domain.errors import InvalidInputError
from ems.domain.estate import Estate, Supply
from ems.domain.forecasts import FloatArray
from ems.domain.points import PointId
from ems.field.days import DayMaker
from ems.field.faults import FaultKind, FieldFault, check_fault
from ems.field.layout import PointLayout
from ems.field.parameters import FieldParameters
from ems.field.physics import HomePhysics, HomeState
from ems.field.pump_orders import write_pump
from ems.field.pv_limits import PvLimits
from ems.field.series import shown_series
from ems.field.sources import Consumption, Weather
from ems.field.storage import BatteryPhysics, BatteryState
from ems.field.traits import draw_traits, generator


class EstateSimulation:
    """All homes and block devices of an estate, in one process and without sockets.

    Parameters
    ----------
    estate
        The configuration.
    parameters
        The field's hidden parameters.
    start
        Where it starts, UTC; floored to the step.
    step_s
        Step of the physics [s]; the parameters' own where ``None``.
    weather, consumption
        Sources; read from the parameters' files where ``None``.

    Attributes
    ----------
    point_ids
        Every point that a device of the estate offers, in the order of `values`.
    """

    def __init__(
        self,
        estate: Estate,
        parameters: FieldParameters,
        start: datetime,
        *,
        step_s: int | None = None,
        weather: Weather | None = None,
        consumption: Consumption | None = None,
    ) -> None:
        self.estate = estate
        self.parameters = parameters
        self.step_s = step_s or parameters.step_s
        self._now_s = int(start.timestamp()) // self.step_s * self.step_s
        self.traits = draw_traits(estate, parameters)
        self._days = DayMaker(
            estate,
            self.traits,
            parameters,
            weather or Weather.read(parameters.weather),
            consumption or Consumption.read(parameters.consumption),
        )
        day = self._days.day(self._now_s // 86400)
        minute = self._now_s % 86400 // 60
        self.physics = HomePhysics(self.traits, parameters.houses)
        self.sensor_offset_k = self.traits.sensor_offset_k.copy()
        outdoor = float(day.outdoor_c.mean())
        self.homes = HomeState.at_rest(self.traits, day.wish_c[minute].copy(), outdoor)
        self.physics.rooms.rest(self.homes, outdoor)
        self.layout = PointLayout(estate)
        self.point_ids = self.layout.offered
        self._build_blocks()
        self._start_counters()
        self.faults: dict[tuple[str, FaultKind], FieldFault] = {}
        self._frozen: dict[str, FloatArray] = {}
        self._plant()
        self._power(day.household_w[minute], day.communal_w[minute], day.pv_w[minute])
        self.version = 0
        self._image: FloatArray | None = None

    def _build_blocks(self) -> None:
        homes = list(self.estate.dwellings())
        blocks = self.estate.blocks
        count = len(homes)
        self.block_of = np.zeros((len(blocks), count))
        self._phase_of = np.zeros((3, len(blocks), count))
        self.batteries: list[BatteryPhysics | None] = []
        self._watches_block = [block.supply is Supply.BOUNDARY for block in blocks]
        index = 0
        for row, block in enumerate(blocks):
            for number, _ in enumerate(block.dwellings):
                self.block_of[row, index] = 1.0
                self._phase_of[number % 3, row, index] = 1.0
                index += 1
            battery = block.battery
            self.batteries.append(
                None
                if battery is None
                else BatteryPhysics(battery, BatteryState(energy_wh=0.5 * battery.capacity_wh))
            )
        self._home_index = {home.id: number for number, home in enumerate(homes)}
        self._block_index = {block.id: number for number, block in enumerate(blocks)}

        peaks = [0.0 if block.pv is None else block.pv.peak_w for block in blocks]
        self.pv_limits = PvLimits(np.array(peaks))

    def _start_counters(self) -> None:
        rng = generator(self.parameters.seed, "counters")
        homes, blocks = len(self.traits.ids), len(self.estate.blocks)
        self.counters: dict[str, FloatArray] = {
            "home_import": rng.uniform(900.0, 7000.0, homes),
            "pump_import": rng.uniform(400.0, 3000.0, homes),
            "block_import": rng.uniform(40e3, 90e3, blocks),
            "block_export": rng.uniform(200.0, 900.0, blocks),
            "landlord_import": rng.uniform(4e3, 9e3, blocks),
            "landlord_export": rng.uniform(2e3, 8e3, blocks),
            "generated": rng.uniform(10e3, 40e3, blocks),
        }
        for battery in self.batteries:
            if battery is not None:
                battery.state.charged_kwh = float(rng.uniform(3e3, 9e3))
                battery.state.discharged_kwh = 0.9 * battery.state.charged_kwh
        self.control_mode = np.zeros(homes)

    def _plant(self) -> None:
        """Find from when the planted silent sensors are silent."""
        start = self.estate.starts_at
        self._silent_from_s: dict[str, float] = {}
        for home, days in self.parameters.planted.silent_days.items():
            device = self.layout.device_of("room_sensor", home)
            if device is not None and start is not None:
                self._silent_from_s[device] = start.timestamp() - days * 86400.0

    def now(self) -> datetime:
        """Return the instant that the physics has reached, UTC."""
        return datetime.fromtimestamp(self._now_s, UTC)

    @property
    def now_s(self) -> int:
        """The same in seconds since the epoch."""
        return self._now_s

    def step_to(self, instant: datetime) -> int:
        """Advance in whole steps to the last one at or before ``instant``; return how many."""
        return self.step_to_s(instant.timestamp())

    def step_to_s(self, epoch_s: float) -> int:
        """Do the same for an instant in seconds since the epoch."""
        target = int(epoch_s // self.step_s) * self.step_s
        count = 0
        while self._now_s < target:
            self.step()
            count += 1
        return count

    def step(self) -> None:
        """Advance by one step."""
        day = self._days.day(self._now_s // 86400)
        minute = self._now_s % 86400 // 60
        dt_s = float(self.step_s)
        self.physics.step(self.homes, day, minute, dt_s)
        self._now_s += self.step_s
        self._power(day.household_w[minute], day.communal_w[minute], day.pv_w[minute], dt_s)
        self.version += 1
        self._image = None

    def _power(
        self, household_w: FloatArray, communal_w: FloatArray, pv_w: FloatArray, dt_s: float = 0.0
    ) -> None:
        pump_w = self.homes.power_w
        self.home_w = household_w + pump_w
        self.pv_w = pv_w = self.pv_limits.limited(pv_w, self._now_s)
        homes_w = self.block_of @ self.home_w
        landlord = communal_w - pv_w
        for row, battery in enumerate(self.batteries):
            if battery is None:
                continue
            if dt_s:
                net = landlord[row] + (homes_w[row] if self._watches_block[row] else 0.0)
                battery.step(self._now_s, float(net), dt_s)
            landlord[row] += battery.state.power_w
        self.landlord_w = landlord
        self.block_w = homes_w + landlord
        self.phase_w = self._phase_of @ self.home_w + landlord / 3.0
        if dt_s:
            kwh = dt_s / 3.6e6
            counters = self.counters
            counters["home_import"] += self.home_w * kwh
            counters["pump_import"] += pump_w * kwh
            counters["block_import"] += np.maximum(self.block_w, 0.0) * kwh
            counters["block_export"] += np.maximum(-self.block_w, 0.0) * kwh
            counters["landlord_import"] += np.maximum(landlord, 0.0) * kwh
            counters["landlord_export"] += np.maximum(-landlord, 0.0) * kwh
            counters["generated"] += pv_w * kwh

    def household_means_w(self, day: date) -> FloatArray:
        """Return what homes used beside heat pumps by half-hours of ``day``, (48, homes) [W]."""
        return self._days.household_means_w(day)

    def household_w(self, day: int) -> FloatArray:
        """Return the same by minutes, ``day`` days after 1970-01-01, (1440, homes) [W]."""
        return self._days.day(day).household_w

    def values(self) -> FloatArray:
        """Return the value of every point in `point_ids` now, shape (points,); a copy.

        ``nan`` where the device would not answer or says "not available".
        """
        image = self._true_values()[self.layout.select]
        for device_id, frozen in self._frozen.items():
            image[self.layout.rows[device_id]] = frozen
        for target, kind in self.faults:
            if kind is FaultKind.NAN:
                image[self.layout.rows[target]] = np.nan
        for device_id in self._silent():
            image[self.layout.rows[device_id]] = np.nan
        return image

    def read(self, device_id: str, point: str) -> float:
        """Return what a device shows for a point, in the point's unit.

        Flags that only a composed state uses may be read too. ``nan`` where the device
        would not answer or says "not available".

        Raises
        ------
        InvalidInputError
            Where there is no such point.
        """
        where = self.layout.where.get(PointId(device_id, point))
        if where is None:
            raise InvalidInputError(
                "the simulated estate has no such point",
                field="point",
                value=f"{device_id}.{point}",
                remedy="Use a device of the estate and a point of its profile.",
            )
        if (device_id, FaultKind.NAN) in self.faults or self.is_silent(device_id):
            return float("nan")
        frozen = self._frozen.get(device_id)
        row = self.layout.place.get(PointId(device_id, point))
        if frozen is not None and row is not None:
            return float(frozen[self.layout.rows[device_id].index(row)])
        return float(self._true_values()[where])

    def true_rooms(self) -> dict[str, float]:
        """Return the true living-room temperature of every home [°C]."""
        return dict(zip(self.traits.ids, self.homes.air_c.tolist(), strict=True))

    def outdoor_c(self) -> float:
        """Return the outdoor temperature [°C]."""
        return float(self._days.day(self._now_s // 86400).outdoor_c[self._now_s % 86400 // 60])

    @property
    def known(self) -> Container[PointId]:
        """Every point that the physics computes."""
        return self.layout.where

    def is_silent(self, device_id: str) -> bool:
        """Return whether the device does not answer at all."""
        return device_id in self._silent()

    def _silent(self) -> list[str]:
        silent = [device for device, since in self._silent_from_s.items() if self._now_s >= since]
        if self.faults:
            gone = {target for target, kind in self.faults if kind is FaultKind.GATEWAY_GONE}
            for target, kind in self.faults:
                if kind is FaultKind.DEAD:
                    silent.append(target)
            if gone:
                devices = self.estate.devices.values()
                silent.extend(device.id for device in devices if device.gateway_id in gone)
        return silent

    def _true_values(self) -> FloatArray:
        if self._image is None:
            self._image = np.concatenate(self._series())
        return self._image

    def _series(self) -> list[FloatArray]:
        return shown_series(
            self,
            self._days.day(self._now_s // 86400),
            self._now_s % 86400 // 60,
        )

    def write(self, device_id: str, point: str, value: float) -> None:
        """Write a point of a device; it rules from the next step on.

        Raises
        ------
        InvalidInputError
            Where the device has no such settable point or the value has no meaning.
        """
        device = self.estate.devices.get(device_id)
        known = False
        if device is not None and device.role == "battery":
            battery = self.batteries[self._block_index[device.block_id]]
            known = battery is not None and battery.write(point, value, self._now_s)
        elif device is not None and device.role == "pv":
            row = self._block_index[device.block_id]
            known = self.pv_limits.write(row, point, value, self._now_s)
        elif device is not None and device.role == "heat_pump" and device.dwelling_id is not None:
            home = self._home_index[device.dwelling_id]
            known = write_pump(self.homes, self.control_mode, home, point, value)
        if not known:
            raise InvalidInputError(
                "no settable point",
                field="point",
                value=f"{device_id}.{point}",
                remedy="Write a setpoint of a heat pump or of a battery, or an inverter's limit.",
            )
        self.version += 1
        self._image = None

    def set_fault(self, fault: FieldFault) -> None:
        """Switch a fault on; `InvalidInputError` where it cannot exist."""
        check_fault(self.estate, fault)
        self.faults[fault.target, fault.kind] = fault
        if fault.kind is FaultKind.FROZEN:
            shown = self._true_values()[self.layout.select]
            self._frozen.setdefault(fault.target, shown[self.layout.rows[fault.target]])
        self._apply_faults()
        self.version += 1

    def clear_fault(self, target: str, kind: FaultKind | None = None) -> None:
        """Switch off one fault of ``target``, or all of them."""
        for key in [key for key in self.faults if key[0] == target and kind in (None, key[1])]:
            del self.faults[key]
            if key[1] is FaultKind.FROZEN:
                self._frozen.pop(target, None)
        self._apply_faults()
        self.version += 1

    def replace_faults(self, faults: Iterable[FieldFault]) -> None:
        """Make exactly these faults the ones that are on."""
        wanted = {(fault.target, fault.kind): fault for fault in faults}
        for key in [key for key in self.faults if key not in wanted]:
            self.clear_fault(*key)
        for key, fault in wanted.items():
            if self.faults.get(key) != fault:
                self.set_fault(fault)

    def _apply_faults(self) -> None:
        """Bring physics and sensors in line with the faults that are on."""
        traits, physics = self.traits, self.physics
        physics.capacity_share = traits.capacity_share.copy()
        physics.sense_k = traits.room_sense_k.copy()
        physics.loss_factor = np.ones(len(traits.ids))
        physics.open_w_per_k = np.zeros(len(traits.ids))
        self.sensor_offset_k = traits.sensor_offset_k.copy()
        for (target, kind), fault in self.faults.items():
            device = self.estate.devices.get(target)
            name = target if device is None else device.dwelling_id
            home = None if name is None else self._home_index.get(name)
            if home is None:
                continue
            if kind is FaultKind.CAPACITY:
                physics.capacity_share[home] *= fault.value
            elif kind is FaultKind.LOSS:
                physics.loss_factor[home] = fault.value
            elif kind is FaultKind.WINDOW:
                physics.open_w_per_k[home] = fault.value
            elif kind is FaultKind.OFFSET and device is not None:
                own = device.role == "heat_pump"
                (physics.sense_k if own else self.sensor_offset_k)[home] += fault.value

    def state_dict(self) -> dict[str, Any]:
        """Return everything carried along, as plain JSON values (``null`` for nan)."""
        return {
            "estate": self.estate.id,
            "seed": self.parameters.seed,
            "now_s": self._now_s,
            "homes": {
                name: [None if math.isnan(value) else value for value in values]
                for name, values in self.homes.dump().items()
            },
            "houses": self.parameters.houses,
            "rooms": self.physics.rooms.dump(),
            "control_mode": self.control_mode.tolist(),
            "batteries": [battery.dump() if battery else None for battery in self.batteries],
            "pv_limits": self.pv_limits.dump(),
            "counters": {name: values.tolist() for name, values in self.counters.items()},
            "faults": [fault.to_json() for fault in self.faults.values()],
            "frozen": {device: values.tolist() for device, values in self._frozen.items()},
        }

    def load_state(self, state: Mapping[str, Any]) -> None:
        """Go on from what `state_dict` returned, of the same estate and seed.

        Raises
        ------
        InvalidInputError
            Where it belongs to another estate, seed, house model or set of homes.
        """
        own = {
            "estate": self.estate.id,
            "seed": self.parameters.seed,
            "houses": self.parameters.houses,
        }
        for name, mine in own.items():
            if state.get(name, "two-node" if name == "houses" else None) != mine:
                raise InvalidInputError(
                    f"the checkpoint belongs to another {name}",
                    field=f"checkpoint.{name}",
                    value=state.get(name),
                    remedy=f"Delete the checkpoint, or run with {name} {state.get(name)!r}.",
                )
        if len(state["homes"]["air_c"]) != len(self.traits.ids):
            raise InvalidInputError(
                "the checkpoint has another number of homes",
                field="checkpoint.homes",
                value=len(state["homes"]["air_c"]),
                remedy="Delete the checkpoint: the estate's configuration has changed.",
            )
        self._now_s = int(state["now_s"])
        self.homes.restore(state["homes"])
        self.physics.rooms.restore(state.get("rooms", {}))
        self.control_mode = np.array(state["control_mode"], dtype=np.float64)
        for battery, dumped in zip(self.batteries, state["batteries"], strict=True):
            if battery is not None and dumped is not None:
                battery.restore(dumped)
        self.pv_limits.restore(state.get("pv_limits"))
        self.counters = {name: np.array(values) for name, values in state["counters"].items()}
        self._frozen = {name: np.array(values) for name, values in state["frozen"].items()}
        self.faults = {}
        for item in state["faults"]:
            fault = FieldFault(item["target"], FaultKind(item["kind"]), item["value"])
            self.faults[fault.target, fault.kind] = fault
        self._apply_faults()
        before = max(self._now_s - self.step_s, 0)
        day, minute = self._days.day(before // 86400), before % 86400 // 60
        self._power(day.household_w[minute], day.communal_w[minute], day.pv_w[minute])
        self.version += 1
        self._image = None
