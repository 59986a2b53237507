"""What the simulated devices hold in their registers.

A *face* is what one unit id of a gateway shows: registers encoded from the physics on
demand with the device's own profile. Holes answer exception 2; messages that a device
would not take answer exception 3.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Container, Iterable, Sequence
from dataclasses import dataclass
from typing import Protocol

from drivers.codec import PointCodec, codecs
from ems.domain.errors import InvalidInputError
from ems.domain.estate import Device, Estate
from ems.domain.points import PointId
from ems.domain.profiles import PointMap, Space
from ems.domain.readings import Quality
from ems.field.simulation import EstateSimulation

ILLEGAL_FUNCTION, ILLEGAL_ADDRESS, ILLEGAL_VALUE = 1, 2, 3
NO_CODE_FOR_MISSING = 0x8000
"""Raw word where a device has no documented code for "not available"."""

Journal = Callable[[str, str, float], None]
"""Told of each write (device, point, value) before it is done."""


class Physics(Protocol):
    """What stands behind faces: the estate's simulation, or one device's rehearsal."""

    @property
    def version(self) -> int:
        """A number that changes when values do."""

    @property
    def known(self) -> Container[PointId]:
        """The points that it computes."""

    def read(self, device_id: str, point: str) -> float:
        """Return a point's value in its unit."""

    def write(self, device_id: str, point: str, value: float) -> None:
        """Take a written value; `InvalidInputError` where the device would refuse it."""


class ModbusRefusal(Exception):  # noqa: N818 - an answer of the protocol, not a failure
    """The device answers with a Modbus exception."""

    def __init__(self, code: int) -> None:
        self.code = code
        super().__init__(f"Modbus exception {code}")


@dataclass(slots=True)
class _Entry:
    """One point in the registers: where its message starts and its last encoding."""

    device: Device
    codec: PointCodec
    start: int
    words: list[int]
    version: int = -1

    @property
    def length(self) -> int:
        return len(self.codec.point.lead) + self.codec.point.repeat * self.registers

    @property
    def registers(self) -> int:
        return self.codec.point.data_type.registers


class Face:
    """One unit id: one device, or parts of several.

    Parameters
    ----------
    simulation
        The physics behind it.
    journal
        Told of each write before it is done.
    """

    def __init__(self, simulation: Physics, journal: Journal) -> None:
        self._simulation = simulation
        self._journal = journal
        self._entries: dict[Space, dict[int, _Entry]] = {space: {} for space in Space}
        self._constants: dict[Space, dict[int, int]] = {space: {} for space in Space}
        self._held: dict[PointId, float] = {}
        self.device: Device | None = None

    def add(self, device: Device, points: Iterable[PointCodec], *, main: bool) -> None:
        """Add points of a device; ``main`` where this is the device's own unit id."""
        for codec in points:
            point = codec.point
            start = point.address - len(point.lead)
            entry = _Entry(device, codec, start, [])
            point_id = PointId(device.id, point.point)
            if point_id not in self._simulation.known:
                # Physics knows nothing of it: it holds what was written last.
                fallback = point.write.fallback if point.write is not None else None
                self._held[point_id] = math.nan if fallback is None else fallback
            for address in range(start, start + entry.length):
                self._entries[point.space][address] = entry
            if point.scale_factor_address is not None:
                factor = point.served_scale_factor & 0xFFFF
                self._constants[point.space][point.scale_factor_address] = factor
        if main:
            self.device = device
            for space, registers in (device.profile.constants or {}).items():
                self._constants[space].update(registers)

    def read(self, space: Space, address: int, count: int) -> list[int]:
        """Return ``count`` registers or bits from ``address``; raise `ModbusRefusal`."""
        profile = self.device.profile if self.device else None
        if profile is not None and count > profile.max_block:
            raise ModbusRefusal(ILLEGAL_VALUE)
        entries, constants = self._entries[space], self._constants[space]
        bridged = profile is not None and profile.bridge_gaps
        low = high = 0
        if bridged:
            known = entries.keys() | constants.keys()
            low, high = min(known, default=1), max(known, default=0)
        answer = []
        for place in range(address, address + count):
            entry = entries.get(place)
            if entry is not None:
                answer.append(self._words(entry)[place - entry.start])
            elif place in constants:
                answer.append(constants[place])
            elif bridged and low <= place <= high:
                answer.append(0)
            else:
                raise ModbusRefusal(ILLEGAL_ADDRESS)
        return answer

    def _words(self, entry: _Entry) -> list[int]:
        if entry.version != self._simulation.version:
            point = entry.codec.point
            value = self._held.get(PointId(entry.device.id, point.point))
            if value is None:
                value = self._simulation.read(entry.device.id, point.point)
            entry.words = [*point.lead, *_encode(entry.codec, value) * point.repeat]
            entry.version = self._simulation.version
        return entry.words

    def write(self, space: Space, address: int, values: Sequence[int], function: int) -> None:
        """Take a write message; raise `ModbusRefusal` where the device would refuse it."""
        touched: list[_Entry] = []
        for place in range(address, address + len(values)):
            entry = self._entries[space].get(place)
            if entry is None or entry.codec.point.write is None:
                raise ModbusRefusal(ILLEGAL_ADDRESS)
            if entry not in touched:
                touched.append(entry)
        first = touched[0]
        if first.device.profile.write_function == "fc16" and function == 6:
            raise ModbusRefusal(ILLEGAL_FUNCTION)
        names = {entry.codec.point.point for entry in touched}
        for group in first.device.profile.write_groups:
            if names & set(group) and not set(group) <= names:
                raise ModbusRefusal(ILLEGAL_VALUE)
        decoded = [(entry, self._decode(entry, address, values)) for entry in touched]
        for entry, value in decoded:
            device, name = entry.device.id, entry.codec.point.point
            if PointId(device, name) in self._held:
                self._held[PointId(device, name)] = value
                entry.version = -1
                continue
            self._journal(device, name, value)
            try:
                self._simulation.write(device, name, value)
            except InvalidInputError:
                raise ModbusRefusal(ILLEGAL_VALUE) from None

    def _decode(self, entry: _Entry, address: int, values: Sequence[int]) -> float:
        point = entry.codec.point
        offset = entry.start - address
        if offset < 0 or offset + entry.length > len(values):
            raise ModbusRefusal(ILLEGAL_VALUE)
        body = values[offset + len(point.lead) : offset + entry.length]
        width = entry.registers
        parts = {tuple(body[at : at + width]) for at in range(0, len(body), width)}
        if len(parts) != 1:
            raise ModbusRefusal(ILLEGAL_VALUE)
        factor = point.served_scale_factor & 0xFFFF
        value, quality = entry.codec.decode(parts.pop(), factor)
        if quality is not Quality.GOOD:
            raise ModbusRefusal(ILLEGAL_VALUE)
        return value


def _encode(codec: PointCodec, value: float) -> list[int]:
    """Encode as a device does: clamped to what its registers hold, never an error."""
    point = codec.point
    try:
        return codec.encode(value)
    except InvalidInputError:
        if math.isnan(value):
            return [NO_CODE_FOR_MISSING, *[0] * (point.data_type.registers - 1)]
        return _saturated(codec, point, value)


def _saturated(codec: PointCodec, point: PointMap, value: float) -> list[int]:
    for share in (0.999, 0.99, 0.9, 0.5, 0.1):
        try:
            return codec.encode(value * share)
        except InvalidInputError:
            continue
    return [0] * point.data_type.registers


def build_faces(
    estate: Estate, simulation: EstateSimulation, journal: Journal
) -> dict[str, dict[int, Face]]:
    """Return the faces of an estate: gateway → unit id → face."""
    faces: dict[str, dict[int, Face]] = {gateway: {} for gateway in estate.gateways}
    for device in estate.devices.values():
        by_unit: dict[int, list[PointCodec]] = {device.unit_id: []}
        for codec in codecs(device.profile).values():
            by_unit.setdefault(codec.point.unit_id or device.unit_id, []).append(codec)
        units = faces[device.gateway_id]
        for unit, points in by_unit.items():
            face = units.setdefault(unit, Face(simulation, journal))
            face.add(device, points, main=unit == device.unit_id)
    return faces
