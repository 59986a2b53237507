"""What a point that is written as several others must agree on with them: pure."""

from __future__ import annotations

from collections.abc import Iterator

from ems.domain.points import DeviceClass
from ems.settings.profile_model import EncodedSection, Found, ProfileFile, WriteSection

SPLIT_POINT = "battery_power_setpoint_w"
"""The only point whose sign may be split off."""


def encoded_faults(raw: ProfileFile) -> Iterator[Found]:
    """Return the faults of a profile's ``encoded`` points."""
    for name, section in raw.encoded.items():
        where = f"encoded.{name}"
        if raw.device_class is not DeviceClass.BATTERY or name != SPLIT_POINT:
            remedy = f"Encode {SPLIT_POINT} of a battery only."
            yield where, "is no signed power that is commanded", name, remedy
        if name in raw.points:
            yield where, "has a register too", name, "Keep one of the two."
        yield from _signed_split(raw, where, section)


def _signed_split(raw: ProfileFile, where: str, section: EncodedSection) -> Iterator[Found]:
    writes: dict[str, WriteSection] = {}
    for key in ("direction", "charge_power", "discharge_power"):
        name = getattr(section, key)
        point = raw.points.get(name)
        if point is None or point.write is None:
            yield f"{where}.{key}", "names no writable point of this profile", name, "Name one."
        else:
            writes[key] = point.write
    direction = writes.get("direction")
    if direction is not None:
        if direction.persists:
            remedy = "Use a register that the device forgets, or do not command it."
            yield f"{where}.direction", "lasts: nobody would end it", section.direction, remedy
        for key in ("idle", "charge", "discharge"):
            code = getattr(section, key)
            if not direction.low <= code <= direction.high:
                remedy = f"Use a code from {direction.low:g} to {direction.high:g}."
                yield f"{where}.{key}", "is no code that may be written", code, remedy
    yield from _bounds(where, section, writes)


def _bounds(
    where: str, section: EncodedSection, writes: dict[str, WriteSection]
) -> Iterator[Found]:
    if len({section.idle, section.charge, section.discharge}) < 3:
        yield where, "has one code for two directions", section.charge, "Give each its own."
    if not section.low <= 0 <= section.high:
        yield f"{where}.low", "leaves out 0 W", section.low, "Let the bounds hold 0."
    for key, most in (("charge_power", section.high), ("discharge_power", -section.low)):
        power = writes.get(key)
        if power is None:
            continue
        if power.low > 0 or most > power.high:
            remedy = f"Stay within what {getattr(section, key)} takes, from 0."
            yield f"{where}.{key}", "does not take that much", most, remedy
        steps = section.step / power.step
        if abs(steps - round(steps)) > 1e-6 or round(steps) == 0:
            remedy = f"Use a multiple of {power.step:g}."
            yield f"{where}.step", f"is no step of {getattr(section, key)}", section.step, remedy
