"""A battery's power and energy as the sum of its DC ports or modules. Pure.

Model 714 says of each port what is connected to it; model 160 is read where its labels name a
module for charging and one for discharging. Both are repeating blocks, whose number follows
from the length that the device states.
"""

from __future__ import annotations

from drivers.sunspec_models import DATA_TYPES, SENTINELS, ModelDefinition, definition
from drivers.sunspec_walk import Layout, PlacedModel, text_at
from ems.domain.points import DeviceClass
from ems.domain.profiles import Confidence, PointMap, Space

MODULES, PORTS = 160, 714
STORAGE_PORT = 1
"""Type of a port with storage behind it."""
CHARGING, DISCHARGING = "stcha", "stdischa"
"""How the labels of a battery's modules begin, without capitals and spaces."""
KILO = 0.001

Part = tuple[int, str, float, float]
"""Which repetition, which point, scale and sign."""
Terms = list[tuple[str, PointMap, float]]
"""Name, where it is, and sign of each term."""


def terms_of(
    name: str, wanted: PointMap, device_class: DeviceClass, layout: Layout
) -> tuple[Terms, PlacedModel] | None:
    """Return what a battery's point is the sum of; ``None`` where it is no sum."""
    if device_class is not DeviceClass.BATTERY:
        return None
    for model in layout.models:
        known = definition(model.id)
        if known is None:
            continue
        parts: list[Part] = []
        if model.id == PORTS:
            parts = _of_ports(name, model, known, layout)
        elif model.id == MODULES:
            parts = _of_modules(name, model, known, layout)
        if parts:
            return [_term(wanted, model, known, part) for part in parts], model
    return None


def _of_ports(name: str, model: PlacedModel, known: ModelDefinition, layout: Layout) -> list[Part]:
    points = {
        "power_w": ("DCW", 1.0, -1.0),
        "energy_charged_kwh": ("DCWhAbs", KILO, 1.0),
        "energy_discharged_kwh": ("DCWhInj", KILO, 1.0),
    }
    if name not in points:
        return []
    kind = known.block["PrtTyp"].offset
    return [
        (index, *points[name])
        for index in range(known.repetitions(model.length))
        if layout.registers.get(_start(model, known, index) + kind) == STORAGE_PORT
    ]


def _of_modules(
    name: str, model: PlacedModel, known: ModelDefinition, layout: Layout
) -> list[Part]:
    charging = discharging = None
    place = known.block["IDStr"]
    for index in range(known.repetitions(model.length)):
        start = _start(model, known, index) + place.offset
        label = text_at(layout.registers, start, place.size).lower().replace(" ", "")
        if label.startswith(DISCHARGING):
            discharging = index
        elif label.startswith(CHARGING):
            charging = index
    if charging is None or discharging is None:
        return []
    return {
        "power_w": [(charging, "DCW", 1.0, 1.0), (discharging, "DCW", 1.0, -1.0)],
        "energy_charged_kwh": [(charging, "DCWH", KILO, 1.0)],
        "energy_discharged_kwh": [(discharging, "DCWH", KILO, 1.0)],
    }.get(name, [])


def _term(
    wanted: PointMap, model: PlacedModel, known: ModelDefinition, part: Part
) -> tuple[str, PointMap, float]:
    index, point, scale, sign = part
    place = known.block[point]
    name = f"model {model.id}, repetition {index + 1}, {point}"
    found = PointMap(
        point=name,
        space=Space.HOLDING,
        address=_start(model, known, index) + place.offset,
        data_type=DATA_TYPES[place.kind],
        scale=scale,
        scale_factor_address=model.address + known.points[str(place.factor)].offset,
        sentinels=SENTINELS[place.kind],
        cadence=wanted.cadence,
        confidence=Confidence.B,
    )
    return name, found, sign


def _start(model: PlacedModel, known: ModelDefinition, index: int) -> int:
    """Return the address at which a repetition begins."""
    return model.address + known.size + index * known.block_size
