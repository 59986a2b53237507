"""Every point of a SunSpec model with its value, curves and other repetitions included. Pure.

For commissioning: what a device says of itself, also where Hearth has no use for it. What is
polled is mapped once instead, see :mod:`drivers.sunspec`.
"""

from __future__ import annotations

import math
import struct
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from drivers.sunspec_models import HEADER, SENTINELS, group_of
from drivers.sunspec_walk import PlacedModel, text_at

Value = float | str | None
"""A number, a text, or nothing where the device does not implement the point."""

SIGNED = frozenset({"int16", "int32", "int64", "sunssf", "pad"})


@dataclass(frozen=True, slots=True)
class ModelPoint:
    """One point as a device has it.

    Attributes
    ----------
    name
        SunSpec's, with the groups it stands in, e.g. ``Crv[1].Pt[2].V``.
    address, size
        0-based, and how many registers.
    value, unit
        Scaled, in SunSpec's unit and direction.
    """

    name: str
    address: int
    size: int
    value: Value
    unit: str


@dataclass(frozen=True, slots=True)
class _Placed:
    """A point and where its names are looked up."""

    name: str
    point: Mapping[str, Any]
    address: int
    scope: Mapping[str, int]


def points_of(model: PlacedModel, registers: Mapping[int, int]) -> tuple[ModelPoint, ...]:
    """Return the points of a model's body in their order; empty where the model is unknown.

    Parameters
    ----------
    model
        Where it is on the device.
    registers
        Address → register, its body among them. A point whose registers are missing has no
        value.
    """
    group = group_of(model.id)
    if group is None:
        return ()
    end = model.address + HEADER + model.length
    placed, _ = _place(group, model.address, end, "", {}, registers)
    return tuple(
        ModelPoint(
            one.name,
            one.address,
            int(one.point["size"]),
            _value(one, registers),
            str(one.point.get("units") or ""),
        )
        for one in placed
        if one.address >= model.address + HEADER and one.point["type"] != "pad"
    )


def _place(
    group: Mapping[str, Any],
    address: int,
    end: int,
    path: str,
    outer: Mapping[str, int],
    registers: Mapping[int, int],
) -> tuple[list[_Placed], int]:
    """Lay out a group from an address; return its points and where it ends."""
    scope = dict(outer)
    placed: list[_Placed] = []
    for point in group["points"]:
        if address + int(point["size"]) > end:
            return placed, end  # an older edition of the model is shorter
        scope[point["name"]] = address
        placed.append(_Placed(path + point["name"], point, address, scope))
        address += int(point["size"])
    for inner in group.get("groups", []):
        for number in _repetitions(inner, scope, registers):
            if address >= end:
                break
            index = "" if number is None else f"[{number}]"
            name = f"{path}{inner['name']}{index}."
            found, address = _place(inner, address, end, name, scope, registers)
            placed += found
    return placed, address


def _repetitions(
    group: Mapping[str, Any], scope: Mapping[str, int], registers: Mapping[int, int]
) -> Iterator[int | None]:
    """Yield the numbers of a group's repetitions, one without a number where it stands once."""
    count = group.get("count")
    if count is None or count == 1:
        yield None
        return
    if isinstance(count, str):
        count = registers.get(scope.get(count, -1), 0)
        if count == SENTINELS["uint16"][0]:
            return
    # 0 stands for as many as the model's length holds.
    yield from range(1, (int(count) or 0xFFFF) + 1)


def _value(placed: _Placed, registers: Mapping[int, int]) -> Value:
    kind, size = str(placed.point["type"]), int(placed.point["size"])
    words = [registers.get(placed.address + index) for index in range(size)]
    if any(word is None for word in words):
        return None
    if kind == "string":
        return text_at(registers, placed.address, size) or None
    raw = 0
    for word in words:
        raw = raw << 16 | (word or 0)
    if raw in SENTINELS.get(kind, ()):
        return None
    if kind == "float32":
        number: float = struct.unpack(">f", raw.to_bytes(4))[0]
        return number if math.isfinite(number) else None
    if kind in SIGNED and raw >> (16 * size - 1):
        raw -= 1 << 16 * size
    exponent = _exponent(placed, registers)
    if exponent is None:
        return None
    return float(raw) if exponent == 0 else round(raw * 10.0**exponent, max(-exponent, 0))


def _exponent(placed: _Placed, registers: Mapping[int, int]) -> int | None:
    """Return a point's power of ten; ``None`` where the device does not give the one it needs."""
    factor = placed.point.get("sf")
    if not isinstance(factor, str):
        return int(factor or 0)
    raw = registers.get(placed.scope.get(factor, -1), SENTINELS["sunssf"][0])
    exponent = raw - 0x10000 if raw > 0x7FFF else raw
    return exponent if -10 <= exponent <= 10 else None
