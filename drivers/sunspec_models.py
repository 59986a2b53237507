"""SunSpec's model definitions, as pysunspec2 bundles them: offsets, types, repeating blocks.

Only the JSON files of that package are used. Offsets count registers from a model's id, so
that the id is at 0, the length at 1 and the first point at 2.
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from functools import cache
from importlib import resources
from typing import Any

from ems.domain.profiles import DataType

HEADER = 2
"""Registers of id and length before a model's body."""

DATA_TYPES = {
    "int16": DataType.INT16,
    "sunssf": DataType.INT16,
    "pad": DataType.INT16,
    "uint16": DataType.UINT16,
    "acc16": DataType.UINT16,
    "count": DataType.UINT16,
    "enum16": DataType.UINT16,
    "bitfield16": DataType.UINT16,
    "raw16": DataType.UINT16,
    "int32": DataType.INT32,
    "uint32": DataType.UINT32,
    "acc32": DataType.UINT32,
    "enum32": DataType.UINT32,
    "bitfield32": DataType.UINT32,
    "ipaddr": DataType.UINT32,
    "int64": DataType.INT64,
    "uint64": DataType.UINT64,
    "acc64": DataType.UINT64,
    "float32": DataType.FLOAT32,
}
"""SunSpec's types → our decoders; strings and long addresses have none."""

SENTINELS: Mapping[str, tuple[int, ...]] = {
    "int16": (0x8000,),
    "sunssf": (0x8000,),
    "pad": (0x8000,),
    "uint16": (0xFFFF,),
    "count": (0xFFFF,),
    "enum16": (0xFFFF,),
    "bitfield16": (0xFFFF,),
    "raw16": (),
    "acc16": (0,),
    "int32": (0x80000000,),
    "uint32": (0xFFFFFFFF,),
    "enum32": (0xFFFFFFFF,),
    "bitfield32": (0xFFFFFFFF,),
    "ipaddr": (0,),
    "acc32": (0,),
    "int64": (0x8000000000000000,),
    "uint64": (0xFFFFFFFFFFFFFFFF,),
    "acc64": (0,),
    "float32": (0x7FC00000, 0xFFC00000),
}
"""Raw values that mean "not implemented"; an accumulator that is not kept reads 0."""


@dataclass(frozen=True, slots=True)
class PointDefinition:
    """One point of a model.

    Attributes
    ----------
    name, kind, unit
        As SunSpec calls them; ``kind`` is the type, e.g. ``acc32``.
    offset
        From the model's id, or from the start of its repeating block.
    size
        Registers.
    factor
        Name of its scale-factor point, a whole number that is its constant exponent, or
        ``None``.
    writable
        Whether SunSpec lets it be written.
    """

    name: str
    kind: str
    offset: int
    size: int
    factor: str | int | None
    unit: str
    writable: bool


@dataclass(frozen=True, slots=True)
class ModelDefinition:
    """A model: its fixed points and, where it has one, its repeating block.

    Attributes
    ----------
    id, label
        E.g. 103, "Inverter (Three Phase)".
    points
        Of the fixed part, by name.
    size
        Registers of the fixed part, id and length included.
    block
        Points of one repetition, by name; empty where nothing repeats.
    block_size
        Registers of one repetition.
    """

    id: int
    label: str
    points: Mapping[str, PointDefinition]
    size: int
    block: Mapping[str, PointDefinition]
    block_size: int

    def repetitions(self, length: int) -> int:
        """Return how many whole repetitions a body of ``length`` registers holds."""
        if not self.block_size:
            return 0
        return max((length + HEADER - self.size) // self.block_size, 0)


@cache
def group_of(model_id: int) -> Mapping[str, Any] | None:
    """Return a model's groups and points as published, ``None`` where there is no such model."""
    path = resources.files("sunspec2") / "models" / "json" / f"model_{model_id}.json"
    if not path.is_file():
        return None
    group: Mapping[str, Any] = json.loads(path.read_text(encoding="utf-8"))["group"]
    return group


@cache
def definition(model_id: int) -> ModelDefinition | None:
    """Return a model's definition, ``None`` where SunSpec defines none of this id."""
    group = group_of(model_id)
    if group is None:
        return None
    points = {point.name: point for point in _points(group, 0)}
    size = sum(point.size for point in points.values())
    block: dict[str, PointDefinition] = {}
    for inner in group.get("groups", []):
        if inner.get("count") is None:  # a group that stands once is part of the fixed body
            for point in _points(inner, size):
                points[f"{inner['name']}.{point.name}"] = point
            size = max(point.offset + point.size for point in points.values())
        elif not block:
            block = {point.name: point for point in _points(inner, 0)}
    label = str(group.get("label") or group.get("desc") or f"model {model_id}")
    block_size = sum(point.size for point in block.values())
    return ModelDefinition(model_id, label.strip(), points, size, block, block_size)


def _points(group: Mapping[str, Any], offset: int) -> Iterator[PointDefinition]:
    for point in group["points"]:
        size = int(point["size"])
        yield PointDefinition(
            name=point["name"],
            kind=point["type"],
            offset=offset,
            size=size,
            factor=point.get("sf"),
            unit=str(point.get("units", "")),
            writable=point.get("access") == "RW",
        )
        offset += size
