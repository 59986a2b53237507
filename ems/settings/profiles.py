"""Device profiles: YAML → :class:`~ems.domain.profiles.DeviceProfile`, all faults at once.

A file holds one profile and is named after its id. Keys that are not known, units that
are not the canonical point's and writes whose address is uncertain are refused.
"""

from __future__ import annotations

from collections.abc import Hashable, Mapping
from pathlib import Path
from typing import Annotated, Any, Literal

import yaml
from pydantic import BaseModel, ConfigDict, Field, ValidationError

from ems.domain.errors import ConfigurationError, Fault
from ems.domain.points import POINTS, DeviceClass, PointKind
from ems.domain.profiles import (
    Cadence,
    Confidence,
    DataType,
    DeviceProfile,
    PointMap,
    Rounding,
    Space,
    WriteRule,
)

_Register = Annotated[int, Field(ge=0, le=0xFFFF)]
_UnitId = Annotated[int, Field(ge=1, le=247)]
_Finite = Annotated[float, Field(allow_inf_nan=False)]
_Seconds = Annotated[float, Field(ge=0, allow_inf_nan=False)]
_Positive = Annotated[float, Field(gt=0, allow_inf_nan=False)]

_BIT_SPACES = (Space.COIL, Space.DISCRETE)
_WRITABLE_SPACES = (Space.COIL, Space.HOLDING)


class _Strict(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True)


class _Write(_Strict):
    low: _Finite
    high: _Finite
    step: _Positive
    persists: bool
    reverts_after_s: _Positive | None = None
    refresh_s: _Positive | None = None
    min_interval_s: _Seconds = 0.0
    tolerance: _Seconds = 0.0
    settle_s: _Seconds = 0.0
    fallback: _Finite | None = None
    rounding: Rounding = Rounding.NEAREST


class _Point(_Strict):
    space: Space
    address: _Register
    type: DataType
    unit: str = ""
    scale: _Finite = 1.0
    offset: _Finite = 0.0
    sign: Literal[-1, 1] = 1
    scale_factor_address: _Register | None = None
    served_scale_factor: Annotated[int, Field(ge=-10, le=10)] = 0
    sentinels: tuple[Annotated[int, Field(ge=0)], ...] = ()
    codes: dict[int, int] | None = None
    keep_other_codes: bool = False
    cadence: Cadence
    confidence: Confidence
    write: _Write | None = None
    unit_id: _UnitId | None = None
    repeat: Annotated[int, Field(ge=1, le=16)] = 1
    lead: tuple[_Register, ...] = ()
    max_rise_per_h: _Positive | None = None


class _Profile(_Strict):
    id: Annotated[str, Field(pattern=r"^[a-z][a-z0-9_]*$")]
    vendor: Annotated[str, Field(min_length=1)]
    model: Annotated[str, Field(min_length=1)]
    device_class: DeviceClass
    word_order: Literal["high_first", "low_first"] = "high_first"
    max_block: Annotated[int, Field(ge=1, le=125)]
    bridge_gaps: bool = False
    write_function: Literal["auto", "fc16"] = "auto"
    sources: Annotated[tuple[str, ...], Field(min_length=1)]
    constants: dict[Space, dict[_Register, _Register]] = {}
    identified_by: dict[Space, tuple[_Register, ...]] = {}
    points: Annotated[dict[str, _Point], Field(min_length=1)]
    enter_control: tuple[tuple[str, _Finite], ...] = ()
    release: tuple[tuple[str, _Finite], ...] = ()
    write_groups: tuple[Annotated[tuple[str, ...], Field(min_length=2)], ...] = ()
    composed: dict[str, Annotated[tuple[tuple[str, int], ...], Field(min_length=1)]] = {}
    link_lost: tuple[str, _Finite] | None = None


class _UniqueKeyLoader(yaml.SafeLoader):
    """YAML in which a key that stands twice is an error instead of a silent loss."""


def _unique_mapping(loader: _UniqueKeyLoader, node: yaml.MappingNode) -> dict[Any, Any]:
    seen: dict[Any, Any] = {}
    for key_node, value_node in node.value:
        key = loader.construct_object(key_node, deep=True)
        if not isinstance(key, Hashable):
            raise yaml.constructor.ConstructorError(
                None, None, "a key must be a plain word or number", key_node.start_mark
            )
        if key in seen:
            raise yaml.constructor.ConstructorError(
                None, None, f"the key {key!r} stands twice", key_node.start_mark
            )
        seen[key] = loader.construct_object(value_node, deep=True)
    return seen


_UniqueKeyLoader.add_constructor(yaml.resolver.BaseResolver.DEFAULT_MAPPING_TAG, _unique_mapping)


def load_profiles(directory: Path) -> dict[str, DeviceProfile]:
    """Read every ``*.yaml`` of a directory.

    Parameters
    ----------
    directory
        Where the profiles are, usually ``config/devices``.

    Returns
    -------
    dict[str, DeviceProfile]
        By id, in order of the file names.

    Raises
    ------
    ConfigurationError
        With every fault of every file: unreadable file, bad YAML, unknown key, wrong
        unit, unsafe write and so on.
    """
    faults: list[Fault] = []
    profiles: dict[str, DeviceProfile] = {}
    paths = sorted(directory.glob("*.yaml")) if directory.is_dir() else []
    if not paths:
        faults.append(
            Fault(
                str(directory),
                "holds no device profile",
                None,
                "Point to a directory with one .yaml file for each profile.",
            )
        )
    for path in paths:
        profile, found = read_profile(path)
        faults.extend(found)
        if profile is not None:
            profiles[profile.id] = profile
    if faults:
        raise ConfigurationError(str(directory), tuple(faults))
    return profiles


def read_profile(path: Path) -> tuple[DeviceProfile | None, list[Fault]]:
    """Read one profile; return it, or ``None`` and all its faults."""
    try:
        document = yaml.load(path.read_text(encoding="utf-8"), Loader=_UniqueKeyLoader)  # noqa: S506 - a SafeLoader that also refuses double keys
    except (OSError, UnicodeDecodeError) as error:
        return None, [
            Fault(path.name, "cannot be read", str(error), "Make it a readable UTF-8 text file.")
        ]
    except yaml.YAMLError as error:
        return None, [
            Fault(path.name, "is not valid YAML", " ".join(str(error).split()), "Mend the syntax.")
        ]
    try:
        raw = _Profile.model_validate(document)
    except ValidationError as error:
        return None, [_schema_fault(path.name, detail) for detail in error.errors()]
    faults = [
        Fault(f"{path.name}: {where}", problem, value, remedy)
        for where, problem, value, remedy in _profile_faults(raw, path.stem)
    ]
    return (None, faults) if faults else (_to_domain(raw), [])


def _schema_fault(name: str, detail: Mapping[str, Any]) -> Fault:
    where = ""
    for part in detail["loc"]:
        where += f"[{part}]" if isinstance(part, int) else f".{part}" if where else str(part)
    kind = detail["type"]
    if kind == "extra_forbidden":
        problem, remedy = "is not a key of a device profile", "Remove it or mend its spelling."
    elif kind == "missing":
        return Fault(f"{name}: {where}", "is missing", None, "Add it.")
    else:
        problem, remedy = detail["msg"][:1].lower() + detail["msg"][1:], "Mend the value."
    return Fault(f"{name}: {where}" if where else name, problem, detail["input"], remedy)


_Found = tuple[str, str, Any, str]


def _profile_faults(raw: _Profile, stem: str) -> list[_Found]:
    found: list[_Found] = []
    if raw.id != stem:
        found.append(("id", "differs from the file's name", raw.id, f"Write {stem}."))
    for name, point in raw.points.items():
        found.extend(_point_faults(raw, name, point))
    for key, writes in (("enter_control", raw.enter_control), ("release", raw.release)):
        for index, (name, value) in enumerate(writes):
            found.extend(_control_write_faults(raw, f"{key}[{index}]", name, value))
    for index, group in enumerate(raw.write_groups):
        found.extend(_group_faults(raw, f"write_groups[{index}]", group))
    for name, flags in raw.composed.items():
        where = f"composed.{name}"
        found.extend(_canonical_faults(raw.device_class, where, name, kind=PointKind.STATE))
        if name in raw.points:
            found.append((where, "has a register too", name, "Keep one of the two."))
        cadences = {raw.points[flag].cadence for flag, _ in flags if flag in raw.points}
        if len(cadences) > 1:
            problem = "uses flags of different cadences"
            found.append((where, problem, sorted(cadences), "Read them together."))
        found.extend(
            (where, "uses a flag that is no point of this profile", flag, "Name a point.")
            for flag, _ in flags
            if flag not in raw.points
        )
    if raw.link_lost is not None and raw.link_lost[0] not in raw.points:
        found.append(
            ("link_lost", "names no point of this profile", raw.link_lost[0], "Name a point.")
        )
    found.extend(
        (f"constants.{space}", "only registers can hold constants", str(space), "Use holding.")
        for space in raw.constants
        if space in _BIT_SPACES
    )
    found.extend(
        (f"identified_by.{space}", "is no constant of this profile", address, "Add it there.")
        for space, addresses in raw.identified_by.items()
        for address in addresses
        if address not in raw.constants.get(space, {})
    )
    return found


def _canonical_faults(
    device_class: DeviceClass, where: str, name: str, kind: PointKind | None = None
) -> list[_Found]:
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


def _point_faults(raw: _Profile, name: str, point: _Point) -> list[_Found]:
    where = f"points.{name}"
    found = _canonical_faults(raw.device_class, where, name)
    if found:
        return found
    canonical = POINTS[raw.device_class][name]
    width = point.type.registers
    if point.unit != canonical.unit:
        found.append(
            (
                f"{where}.unit",
                "is not the canonical unit",
                point.unit,
                f"Scale the value to {canonical.unit or 'a bare code'} and say so.",
            )
        )
    if point.scale == 0:
        found.append((f"{where}.scale", "must not be 0", point.scale, "Use 1 for no scaling."))
    if (point.type is DataType.BOOL) != (point.space in _BIT_SPACES):
        remedy = "Use bool for coils and discrete inputs, and only there."
        found.append((f"{where}.type", f"does not fit {point.space}", point.type, remedy))
    if width > raw.max_block:
        found.append(("max_block", f"is less than {where} needs", raw.max_block, f"Allow {width}."))
    if point.address + width * point.repeat > 0x10000 or point.address < len(point.lead):
        found.append((f"{where}.address", "leaves the address range", point.address, "Mend it."))
    if point.scale_factor_address is not None and point.space in _BIT_SPACES:
        remedy = "Remove it."
        found.append((f"{where}.scale_factor_address", "needs registers", point.space, remedy))
    found.extend(
        (f"{where}.sentinels", f"does not fit {width} register(s)", sentinel, "Mend it.")
        for sentinel in point.sentinels
        if sentinel >= 1 << (16 * width)
    )
    if point.codes is not None and canonical.kind is not PointKind.STATE:
        found.append((f"{where}.codes", "are for states only", name, "Use scale and offset."))
    is_counter = canonical.kind is PointKind.COUNTER
    if is_counter != (point.max_rise_per_h is not None):
        problem = "is missing" if is_counter else "is for counters only"
        remedy = "Give the greatest physical rise an hour." if is_counter else "Remove it."
        found.append((f"{where}.max_rise_per_h", problem, point.max_rise_per_h, remedy))
    if point.write is not None:
        found.extend(_write_faults(f"{where}.write", point, point.write, canonical.low))
    elif point.lead or point.repeat > 1:
        found.append((where, "has lead or repeat but no write", name, "Remove them."))
    return found


def _write_faults(where: str, point: _Point, write: _Write, low: float) -> list[_Found]:
    found: list[_Found] = []
    if point.space not in _WRITABLE_SPACES:
        found.append((where, f"{point.space} cannot be written", point.space, "Remove it."))
    if point.confidence is Confidence.C:
        remedy = "Remove it until a second source confirms the address."
        found.append((where, "the address is uncertain (confidence C)", "C", remedy))
    if write.low > write.high:
        found.append((f"{where}.low", "is above high", write.low, f"Use at most {write.high}."))
    if write.low < low:
        remedy = f"Use at least {low}."
        found.append((f"{where}.low", "is below the point's plausible range", write.low, remedy))
    if write.persists == (write.reverts_after_s is not None):
        problem = "must be absent where the value persists, and given where it does not"
        remedy = "Say what the maker documents: it persists, or after how long it lapses."
        found.append((f"{where}.reverts_after_s", problem, write.reverts_after_s, remedy))
    lapse, refresh = write.reverts_after_s, write.refresh_s
    if lapse is not None and (refresh is None or refresh >= lapse):
        found.append(
            (f"{where}.refresh_s", "must be shorter than the lapse", refresh, "Shorten it.")
        )
    return found


def _control_write_faults(raw: _Profile, where: str, name: str, value: float) -> list[_Found]:
    point = raw.points.get(name)
    if point is None or point.write is None:
        return [(where, "names no writable point of this profile", name, "Name one.")]
    if not point.write.low <= value <= point.write.high:
        remedy = f"Stay within {point.write.low} and {point.write.high}."
        return [(where, f"is outside the limits of {name}", value, remedy)]
    return []


def _group_faults(raw: _Profile, where: str, group: tuple[str, ...]) -> list[_Found]:
    members = [raw.points.get(name) for name in group]
    following: int | None = None
    for name, point in zip(group, members, strict=True):
        if point is None or point.write is None or point.space is not Space.HOLDING:
            return [(where, "holds what is no writable holding point", name, "Remove it.")]
        if point.lead or point.repeat > 1:
            return [(where, "holds a point with lead or repeat", name, "Remove it.")]
        if following is not None and point.address != following:
            remedy = f"Its address must be {following}."
            return [(where, f"{name} does not follow its predecessor", point.address, remedy)]
        following = point.address + point.type.registers
    return []


def _to_domain(raw: _Profile) -> DeviceProfile:
    return DeviceProfile(
        id=raw.id,
        vendor=raw.vendor,
        model=raw.model,
        device_class=raw.device_class,
        points={name: _point_to_domain(name, point) for name, point in raw.points.items()},
        high_word_first=raw.word_order == "high_first",
        max_block=raw.max_block,
        bridge_gaps=raw.bridge_gaps,
        constants=raw.constants or None,
        identified_by=raw.identified_by or None,
        write_function=raw.write_function,
        enter_control=raw.enter_control,
        release=raw.release,
        write_groups=raw.write_groups,
        composed=raw.composed or None,
        link_lost=raw.link_lost,
        sources=raw.sources,
    )


def _point_to_domain(name: str, point: _Point) -> PointMap:
    fields = {key: getattr(point, key) for key in type(point).model_fields}
    del fields["unit"]
    fields["data_type"] = fields.pop("type")
    if point.write is not None:
        fields["write"] = WriteRule(
            **{key: getattr(point.write, key) for key in type(point.write).model_fields}
        )
    return PointMap(point=name, **fields)
