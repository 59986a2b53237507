"""Device profiles: YAML → :class:`~ems.domain.profiles.DeviceProfile`, all faults at once.

A file holds one profile and is named after its id. Keys that are not known, units that
are not the canonical point's, and writes that could harm are refused.
"""

from __future__ import annotations

from collections.abc import Hashable, Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

import yaml
from pydantic import ValidationError

from ems.domain.errors import ConfigurationError, Fault
from ems.domain.points import DeviceClass
from ems.domain.profiles import (
    DeviceProfile,
    IdentityCheck,
    PointMap,
    SignedSplit,
    Space,
    WriteRule,
)
from ems.settings.profile_checks import profile_faults
from ems.settings.profile_model import (
    EncodedSection,
    Found,
    PointSection,
    ProfileFile,
    WriteSection,
)


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


SUNSPEC = "sunspec"
"""In a configuration: whichever SunSpec profile fits the place."""


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


def profile_named(
    profiles: Mapping[str, DeviceProfile], name: str, device_class: DeviceClass
) -> DeviceProfile | None:
    """Return the profile that a configuration names, ``None`` where there is none.

    ``sunspec`` alone means the SunSpec profile of the device class that the place asks for.
    """
    return profiles.get(f"{name}_{device_class}" if name == SUNSPEC else name)


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
        raw = ProfileFile.model_validate(document)
    except ValidationError as error:
        faults = [_schema_fault(path.name, detail) for detail in error.errors()]
        return None, faults + _placed(path.name, _further_faults(document, error, path.stem))
    faults = _placed(path.name, profile_faults(raw, path.stem))
    return (None, faults) if faults else (_to_domain(raw), [])


def _placed(name: str, found: list[Found]) -> list[Fault]:
    return [
        Fault(f"{name}: {where}", problem, value, remedy) for where, problem, value, remedy in found
    ]


def _further_faults(document: Any, error: ValidationError, stem: str) -> list[Found]:
    """Return what is wrong beside what has not even the right form.

    Points and keys of a wrong form are left out of the look; what only their absence
    would bring up is no fault.
    """
    if not isinstance(document, dict):
        return []
    kept = {key: value for key, value in document.items() if key in ProfileFile.model_fields}
    left_out: set[str] = set()
    for detail in error.errors():
        key, *rest = detail["loc"]
        if key == "points" and rest:
            left_out.add(str(rest[0]))
        else:
            kept.pop(str(key), None)
    if not isinstance(kept.get("points"), dict):
        return []
    kept["points"] = {n: point for n, point in kept["points"].items() if n not in left_out}
    stand_ins = {"id": stem, "vendor": "-", "model": "-", "max_block": 125, "sources": ["-", "-"]}
    try:
        raw = ProfileFile.model_validate(stand_ins | kept)
    except ValidationError:
        return []
    return [found for found in profile_faults(raw, stem) if str(found[2]) not in left_out]


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


def _to_domain(raw: ProfileFile) -> DeviceProfile:
    encoded = {name: _encoded(raw, section) for name, section in raw.encoded.items()}
    return DeviceProfile(
        id=raw.id,
        vendor=raw.vendor,
        model=raw.model,
        device_class=raw.device_class,
        points={name: _point_to_domain(name, point) for name, point in raw.points.items()},
        high_word_first=raw.word_order == "high_first",
        max_block=raw.max_block,
        bridge_gaps=raw.bridge_gaps,
        constants=_constants(raw) or None,
        identified_by=raw.identified_by or None,
        write_function=raw.write_function,
        enter_control=raw.enter_control,
        release=raw.release,
        write_groups=raw.write_groups,
        composed=raw.composed or None,
        encoded=encoded or None,
        link_lost=raw.link_lost,
        sources=raw.sources,
        transports=raw.transports,
        tcp_port=raw.tcp_port,
        serial=raw.serial,
        unit_id=raw.unit_id,
        one_connection=raw.one_connection,
        after_connect_s=raw.after_connect_s,
        between_frames_s=raw.between_frames_s,
        timeout_s=raw.timeout_s,
        identity=tuple(IdentityCheck(**check.model_dump()) for check in raw.identity),
        setup=raw.setup,
        discovery=raw.discovery,
    )


def _constants(raw: ProfileFile) -> dict[Space, dict[int, int]]:
    """Return the fixed registers; a simulated device passes its own check of identity."""
    fixed = {space: dict(registers) for space, registers in raw.constants.items()}
    for check in raw.identity:
        fixed.setdefault(check.space, {}).setdefault(check.address, check.accepted[0])
    return fixed


def _point_to_domain(name: str, point: PointSection) -> PointMap:
    fields = {key: getattr(point, key) for key in type(point).model_fields}
    del fields["unit"]
    fields["sources"] = tuple(number - 1 for number in point.sources)
    fields["data_type"] = fields.pop("type")
    if point.write is not None:
        fields["write"] = _rule(point.write)
    return PointMap(point=name, **fields)


def _rule(section: WriteSection) -> WriteRule:
    return WriteRule(**{key: getattr(section, key) for key in type(section).model_fields})


def _encoded(raw: ProfileFile, section: EncodedSection) -> SignedSplit:
    """Return an encoder; its value lapses and is repeated as its direction is."""
    fields = {key: getattr(section, key) for key in type(section).model_fields}
    bounds = {key: fields.pop(key) for key in ("low", "high", "step")}
    del fields["encoder"]
    direction = raw.points[section.direction].write
    assert direction is not None  # noqa: S101 - checked before; for the type checker
    powers = [raw.points[name].write for name in (section.charge_power, section.discharge_power)]
    least = max((rule.min_interval_s for rule in powers if rule is not None), default=0.0)
    rule = replace(_rule(direction), **bounds, fallback=None, min_interval_s=least)
    return SignedSplit(**fields, write=rule)
