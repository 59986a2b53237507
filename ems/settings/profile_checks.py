"""What the keys of a device profile must agree on: pure, all faults at once.

Each fault is (where in the file, problem, value, remedy).
"""

from __future__ import annotations

import math
from collections.abc import Iterator
from itertools import combinations

from ems.domain.points import POINTS, DeviceClass, PointKind
from ems.domain.profiles import Confidence, DataType, Space
from ems.settings.profile_encoding import encoded_faults
from ems.settings.profile_model import Found, PointSection, ProfileFile, WriteSection

BIT_SPACES = (Space.COIL, Space.DISCRETE)
BIT_TYPES = (DataType.BOOL, DataType.SG_READY_CONTACTS)
WRITABLE_SPACES = (Space.COIL, Space.HOLDING)

WARM_FOR_EVER = {"sg_mode": 2.0, "heating_on": 1.0, "hot_water_allowed": 1.0}
"""Least value of a heat pump's point that may be written where it does not lapse."""

NEVER_LASTING = ("power_limit_w", "flow_setpoint_c")
"""Points of a heat pump that may be written only where they lapse by themselves."""

SWITCHES = ("sg_mode", "heating_on")
SWITCHED_EVERY_S = 300.0
"""Points that start and stop a compressor, and how far apart orders for a price must be [s]."""

SG_NORMAL, SG_ENCOURAGED = 2, 3
"""SG Ready modes that are written (:data:`ems.domain.points.SG_READY_MODES`)."""

_SIGNED = (DataType.INT16, DataType.INT32, DataType.INT64)


def profile_faults(raw: ProfileFile, stem: str) -> list[Found]:
    """Return every fault of a profile whose file is called ``stem``."""
    found: list[Found] = []
    if raw.id != stem:
        found.append(("id", "differs from the file's name", raw.id, f"Write {stem}."))
    for name, point in raw.points.items():
        found.extend(_point_faults(raw, name, point))
    found.extend(_overlaps(raw))
    for key, writes in (("enter_control", raw.enter_control), ("release", raw.release)):
        for index, (name, value) in enumerate(writes):
            found.extend(_control_write_faults(raw, f"{key}[{index}]", name, value))
    found.extend(_all_groups(raw))
    for name, flags in raw.composed.items():
        found.extend(_composed_faults(raw, name, flags))
    found.extend(encoded_faults(raw))
    found.extend(_link_faults(raw))
    found.extend(_identity_faults(raw))
    return found


def _identity_faults(raw: ProfileFile) -> Iterator[Found]:
    for space in raw.constants:
        if space in BIT_SPACES:
            yield (
                f"constants.{space}",
                "only registers can hold constants",
                str(space),
                ("Use holding."),
            )
    for space, addresses in raw.identified_by.items():
        for address in addresses:
            if address not in raw.constants.get(space, {}):
                yield (
                    f"identified_by.{space}",
                    "is no constant of this profile",
                    address,
                    ("Add it there."),
                )
    for index, check in enumerate(raw.identity):
        for value in check.accepted:
            if value & check.mask != value:
                yield (
                    f"identity[{index}].accepted",
                    "has bits outside the mask",
                    value,
                    ("Give values as they are under the mask."),
                )


def _link_faults(raw: ProfileFile) -> Iterator[Found]:
    if raw.link_lost is None:
        return
    point = raw.points.get(raw.link_lost[0])
    if point is None:
        yield "link_lost", "names no point of this profile", raw.link_lost[0], "Name a point."
    elif point.write_only:
        yield "link_lost", "names a point that cannot be read", raw.link_lost[0], "Name another."


def _composed_faults(
    raw: ProfileFile, name: str, flags: tuple[tuple[str, int], ...]
) -> Iterator[Found]:
    where = f"composed.{name}"
    yield from _canonical_faults(raw.device_class, where, name, kind=PointKind.STATE)
    if name in raw.points:
        yield where, "has a register too", name, "Keep one of the two."
    cadences = {raw.points[flag].cadence for flag, _ in flags if flag in raw.points}
    if len(cadences) > 1:
        yield where, "uses flags of different cadences", sorted(cadences), "Read them together."
    for flag, _ in flags:
        if flag not in raw.points:
            yield where, "uses a flag that is no point of this profile", flag, "Name a point."


def _canonical_faults(
    device_class: DeviceClass, where: str, name: str, kind: PointKind | None = None
) -> list[Found]:
    canonical = POINTS[device_class].get(name)
    if canonical is None:
        known = ", ".join(
            known
            for known, point in POINTS[device_class].items()
            if not point.description.startswith("derived")
        )
        return [(where, f"is no point of a {device_class}", name, f"Use one of: {known}.")]
    if canonical.description.startswith("derived"):
        return [(where, "is computed by Hearth, not read", name, "Remove it.")]
    if kind is not None and canonical.kind is not kind:
        return [(where, f"is not a {kind}", name, "Compose states only.")]
    return []


def _point_faults(raw: ProfileFile, name: str, point: PointSection) -> list[Found]:
    where = f"points.{name}"
    found = _canonical_faults(raw.device_class, where, name)
    if found:
        return found
    found.extend(_register_faults(raw, where, point))
    found.extend(_meaning_faults(raw, where, name, point))
    found.extend(_source_faults(raw, where, point))
    if point.write is not None:
        found.extend(_write_faults(raw, f"{where}.write", name, point, point.write))
    elif point.lead or point.repeat > 1:
        found.append((where, "has lead or repeat but no write", name, "Remove them."))
    elif point.write_only:
        found.append((f"{where}.write_only", "has no write", True, "Say how it is written."))
    return found


def _register_faults(raw: ProfileFile, where: str, point: PointSection) -> Iterator[Found]:
    width = point.type.registers
    if (point.type in BIT_TYPES) != (point.space in BIT_SPACES):
        remedy = "Use bool or sg_ready_contacts for coils and discrete inputs, and only there."
        yield f"{where}.type", f"does not fit {point.space}", point.type, remedy
    if width > raw.max_block:
        yield "max_block", f"is less than {where} needs", raw.max_block, f"Allow {width}."
    if point.address + width * point.repeat > 0x10000 or point.address < len(point.lead):
        yield f"{where}.address", "leaves the address range", point.address, "Mend it."
    if point.scale_factor_address is not None and point.space in BIT_SPACES:
        yield f"{where}.scale_factor_address", "needs registers", point.space, "Remove it."
    for sentinel in point.sentinels:
        if sentinel >= 1 << (16 * width):
            yield f"{where}.sentinels", f"does not fit {width} register(s)", sentinel, "Mend it."


def _meaning_faults(
    raw: ProfileFile, where: str, name: str, point: PointSection
) -> Iterator[Found]:
    canonical = POINTS[raw.device_class][name]
    if point.unit != canonical.unit:
        remedy = f"Scale the value to {canonical.unit or 'a bare code'} and say so."
        yield f"{where}.unit", "is not the canonical unit", point.unit, remedy
    if point.scale == 0:
        yield f"{where}.scale", "must not be 0", point.scale, "Use 1 for no scaling."
    if point.codes is not None and canonical.kind is not PointKind.STATE:
        yield f"{where}.codes", "are for states only", name, "Use scale and offset."
    for code, meaning in (point.codes or {}).items():
        if canonical.kind is PointKind.STATE and not canonical.low <= meaning <= canonical.high:
            remedy = f"Use {canonical.low:g} to {canonical.high:g}: {canonical.description}."
            yield f"{where}.codes.{code}", "is no canonical code", meaning, remedy
    if point.type is DataType.SG_READY_CONTACTS:
        yield from _contact_faults(where, name, point)
    is_counter = canonical.kind is PointKind.COUNTER
    if is_counter != (point.max_rise_per_h is not None):
        problem = "is missing" if is_counter else "is for counters only"
        remedy = "Give the greatest physical rise an hour." if is_counter else "Remove it."
        yield f"{where}.max_rise_per_h", problem, point.max_rise_per_h, remedy
    if point.moves_within_s is not None and canonical.kind is not PointKind.GAUGE:
        yield f"{where}.moves_within_s", "is for measurements only", name, "Remove it."


def _contact_faults(where: str, name: str, point: PointSection) -> Iterator[Found]:
    """Two relays stand for an SG Ready mode, are normal without power, and never order."""
    if name != "sg_mode":
        yield f"{where}.type", "stands for SG Ready modes only", name, "Name it sg_mode."
    if point.codes is not None:
        yield f"{where}.codes", "are those of SG Ready's contacts", point.codes, "Remove them."
    write = point.write
    if write is None:
        return
    if write.fallback != SG_NORMAL:
        problem = "must be normal: what relays without power have to mean"
        remedy = f"Write fallback: {SG_NORMAL} and use contacts that open without power."
        yield f"{where}.write.fallback", problem, write.fallback, remedy
    if write.high > SG_ENCOURAGED:
        remedy = f"Write at most {SG_ENCOURAGED}."
        yield f"{where}.write.high", "is ordered running, never written", write.high, remedy


def _source_faults(raw: ProfileFile, where: str, point: PointSection) -> Iterator[Found]:
    for number in point.sources:
        if number > len(raw.sources):
            remedy = f"Count the profile's sources from 1 to {len(raw.sources)}."
            yield f"{where}.sources", "is no source of this profile", number, remedy
    if point.confidence is Confidence.A and len(point.sources or raw.sources) < 2:
        remedy = "Name a second source that agrees, or say B."
        yield f"{where}.confidence", "is A on the word of one source", "A", remedy


def _overlaps(raw: ProfileFile) -> Iterator[Found]:
    """Refuse values that cut into one another; two readings of one whole value are no fault."""

    def registers(point: PointSection) -> tuple[int, int]:
        return point.address, point.address + point.type.registers

    for (first, one), (second, other) in combinations(raw.points.items(), 2):
        if (one.space, one.unit_id) != (other.space, other.unit_id):
            continue
        (low, high), (start, end) = registers(one), registers(other)
        if low < end and start < high and (low, high) != (start, end):
            problem = f"cuts into the registers of {first} ({low} to {high - 1})"
            yield f"points.{second}.address", problem, start, "Check address and type of both."


def _write_faults(
    raw: ProfileFile, where: str, name: str, point: PointSection, write: WriteSection
) -> Iterator[Found]:
    canonical = POINTS[raw.device_class][name]
    if point.space not in WRITABLE_SPACES:
        yield where, f"{point.space} cannot be written", point.space, "Remove it."
    if write.low > write.high:
        yield f"{where}.low", "is above high", write.low, f"Use at most {write.high}."
    if write.low < canonical.low:
        remedy = f"Use at least {canonical.low}."
        yield f"{where}.low", "is below the point's plausible range", write.low, remedy
    if write.high > canonical.high:
        remedy = f"Use at most {canonical.high}."
        yield f"{where}.high", "is above the point's plausible range", write.high, remedy
    if write.persists == (write.reverts_after_s is not None):
        problem = "must be absent where the value persists, and given where it does not"
        remedy = "Say what the maker documents: it persists, or after how long it lapses."
        yield f"{where}.reverts_after_s", problem, write.reverts_after_s, remedy
    lapse, refresh = write.reverts_after_s, write.refresh_s
    if lapse is not None and (refresh is None or refresh >= lapse):
        yield f"{where}.refresh_s", "must be shorter than the lapse", refresh, "Shorten it."
    yield from _lasting_faults(raw, where, name, write)
    yield from _encoding_faults(where, point, write)


def _lasting_faults(
    raw: ProfileFile, where: str, name: str, write: WriteSection
) -> Iterator[Found]:
    """Refuse what only Hearth could undo, and what would leave a home cold."""
    if raw.device_class is not DeviceClass.HEAT_PUMP or not write.persists:
        return
    least = WARM_FOR_EVER.get(name)
    if least is not None and write.low < least:
        problem = "would leave a home cold for ever, should Hearth be gone"
        yield f"{where}.low", problem, write.low, f"Write {least:g} or more, or nothing."
    if name in SWITCHES and write.min_interval_s < SWITCHED_EVERY_S:
        problem = "would let prices start and stop a compressor too often"
        remedy = f"Write {SWITCHED_EVERY_S:g} or more."
        yield f"{where}.min_interval_s", problem, write.min_interval_s, remedy
    if name in NEVER_LASTING:
        problem = "a lasting limit that only Hearth would undo"
        yield f"{where}.persists", problem, True, "Leave the point read-only."


def _encoding_faults(where: str, point: PointSection, write: WriteSection) -> Iterator[Found]:
    """Refuse steps and bounds that the registers cannot hold."""
    if point.codes is not None:
        meanings = set(point.codes.values())
        steps = math.floor((write.high - write.low) / write.step + 1e-9)
        for index in range(min(steps, 100) + 1):
            value = write.low + index * write.step
            if value not in meanings and not point.keep_other_codes:
                remedy = f"Give it a code, or write only {sorted(meanings)}."
                yield where, "may write a state that has no code", value, remedy
        return
    if point.type is DataType.FLOAT32 or point.scale_factor_address or point.scale == 0:
        return
    resolution = abs(point.scale)
    steps_of_raw = write.step / resolution
    if abs(steps_of_raw - round(steps_of_raw)) > 1e-6 or round(steps_of_raw) == 0:
        remedy = f"Use a multiple of the scale, {resolution:g}."
        yield f"{where}.step", "is finer than the register or off its steps", write.step, remedy
    least, most = _raw_range(point.type)
    for key, value in (("low", write.low), ("high", write.high)):
        raw = (value / point.sign - point.offset) / point.scale
        if not least <= round(raw) <= most:
            remedy = f"Stay within what {point.type} holds at this scale."
            yield f"{where}.{key}", "does not fit the register", value, remedy


def _raw_range(data_type: DataType) -> tuple[int, int]:
    if data_type is DataType.BOOL:
        return 0, 1
    if data_type is DataType.SIGN_MAGNITUDE_10000:
        return 10000 - 0xFFFF, 9999
    if data_type is DataType.OPPOSED_INT16:
        return -0x7FFF, 0x7FFF
    if data_type is DataType.SG_READY_CONTACTS:
        return 1, 4
    bits = 16 * data_type.registers
    return (-(1 << bits - 1), (1 << bits - 1) - 1) if data_type in _SIGNED else (0, (1 << bits) - 1)


def _control_write_faults(raw: ProfileFile, where: str, name: str, value: float) -> list[Found]:
    point = raw.points.get(name)
    if point is None or point.write is None:
        return [(where, "names no writable point of this profile", name, "Name one.")]
    if not point.write.low <= value <= point.write.high:
        remedy = f"Stay within {point.write.low} and {point.write.high}."
        return [(where, f"is outside the limits of {name}", value, remedy)]
    return []


def _all_groups(raw: ProfileFile) -> Iterator[Found]:
    grouped: set[str] = set()
    for index, group in enumerate(raw.write_groups):
        where = f"write_groups[{index}]"
        for name in group:
            if name in grouped:
                yield where, "holds a point of another group", name, "Keep it in one group."
            grouped.add(name)
        yield from _group_faults(raw, where, group)


def _group_faults(raw: ProfileFile, where: str, group: tuple[str, ...]) -> list[Found]:
    members = [raw.points.get(name) for name in group]
    following: int | None = None
    unit = members[0].unit_id if members[0] is not None else None
    for name, point in zip(group, members, strict=True):
        if point is None or point.write is None or point.space is not Space.HOLDING:
            return [(where, "holds what is no writable holding point", name, "Remove it.")]
        if point.lead or point.repeat > 1:
            return [(where, "holds a point with lead or repeat", name, "Remove it.")]
        if point.unit_id != unit:
            return [(where, "spans several unit ids", name, "Write them apart.")]
        if following is not None and point.address != following:
            remedy = f"Its address must be {following}."
            return [(where, f"{name} does not follow its predecessor", point.address, remedy)]
        following = point.address + point.type.registers
    return []
