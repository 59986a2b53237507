"""Plain data → validated sections, every fault with its path, value and remedy."""

from __future__ import annotations

import difflib
import re
from collections.abc import Iterator, Mapping
from typing import Any, TypeVar, get_args

from pydantic import BaseModel, ValidationError

from ems.settings.document import Findings, Path_
from ems.settings.models import TARIFF_KINDS
from ems.settings.quantities import FAULT
from ems.settings.section import Section

_Model = TypeVar("_Model", bound=Section)

SECRET = re.compile(
    r"(?:^|_)(?:password|passwd|passphrase|pass|pwd|token|secret|credentials?|api_?key|private_?key)"
    r"(?:$|_)",
    re.IGNORECASE,
)
"""Keys whose values never stand in a file."""

_UNIT_SUFFIXES = (
    ("_p_per_kw_h", "_gbp_per_kw_h"),
    ("_p_per_kwh", "_gbp_per_kwh", "_p_per_mwh", "_per_kwh"),
    ("_p_per_day", "_gbp_per_day", "_per_day"),
    ("_kwh", "_wh", "_mwh", "_j"),
    ("_kw", "_w", "_mw", "_kva", "_va", "_amps", "_a"),
    ("_pct", "_share", "_ratio", "_percent"),
    ("_min", "_s", "_h", "_hours", "_minutes", "_seconds", "_days", "_ms"),
    ("_m2", "_ft2", "_sqft", "_sqm"),
    ("_c", "_f", "_k", "_degc", "_celsius"),
    ("_deg", "_rad"),
)

_WRONG_KIND = {
    "model_type": ("this must be a section of keys", "Write keys and values below it."),
    "model_attributes_type": ("this must be a section of keys", "Write keys and values below it."),
    "dict_type": ("this must be a section of named entries", "Write names and their entries."),
    "list_type": ("this must be a list", "Write one entry a line, each begun with a hyphen."),
}


def names_secret(key: str) -> bool:
    """Whether a key holds a secret, and not the name of a variable or a hash."""
    return SECRET.search(key) is not None and not key.lower().endswith(("_env", "_hash"))


def check_shape(model: type[_Model], raw: Any, findings: Findings) -> _Model | None:
    """Return ``raw`` as ``model``, or ``None`` with all faults in ``findings``."""
    find_secrets(raw, (), findings)
    try:
        return model.model_validate(raw)
    except ValidationError as error:
        details = error.errors(include_url=False, include_context=True)
    renamed = {
        (*_path(detail["loc"])[:-1], meant)
        for detail in details
        if detail["type"] == "extra_forbidden"
        for meant in _meant(model, _path(detail["loc"]))
    }
    for detail in details:
        path = _path(detail["loc"])
        if detail["type"] == "missing" and path in renamed:
            continue  # the key stands there under another name; that is said once
        if detail["type"] == "extra_forbidden" and names_secret(str(path[-1])):
            continue  # found by find_secrets
        problem, value, remedy = _describe(model, path, detail)
        findings.add(path, problem, value, remedy)
    return None


def find_secrets(raw: Any, path: Path_, findings: Findings) -> None:
    """Refuse plain values under keys that name secrets; the value is not repeated."""
    if isinstance(raw, dict):
        for key, value in raw.items():
            if names_secret(key):
                remedy = "Take it out, change the secret, and give it in the environment."
                findings.add((*path, key), "a secret stands in the file", None, remedy)
            else:
                find_secrets(value, (*path, key), findings)
    elif isinstance(raw, list):
        for index, value in enumerate(raw):
            find_secrets(value, (*path, index), findings)


def _path(loc: tuple[str | int, ...]) -> Path_:
    """Return the place in the file: without pydantic's marks for kinds and keys."""
    parts = [part for part in loc if part != "[key]"]
    if len(parts) > 2 and parts[0] == "tariffs" and parts[2] in TARIFF_KINDS:
        del parts[2]
    return tuple(parts)


def _describe(
    model: type[BaseModel], path: Path_, detail: Mapping[str, Any]
) -> tuple[str, Any, str]:
    """Return problem, value and remedy of one of pydantic's errors."""
    kind, value, context = detail["type"], detail["input"], detail.get("ctx", {})
    if kind == FAULT:
        return context["problem"], value, context["remedy"]
    if kind == "missing":
        return "this key is missing", None, f"Add it: {_description(model, path)}"
    if kind == "extra_forbidden":
        return _unknown_key(model, path, value)
    if kind in ("union_tag_invalid", "union_tag_not_found"):
        remedy = f"Say kind: {', '.join(TARIFF_KINDS[:-1])} or {TARIFF_KINDS[-1]}."
        return "the tariff is of no known kind", value, remedy
    if value is None:
        return "this key has no value", None, f"Give one: {_description(model, path)}"
    problem, remedy = _WRONG_KIND.get(kind, (detail["msg"], "See docs/configuration.md."))
    return problem, value, remedy


def _unknown_key(model: type[BaseModel], path: Path_, value: Any) -> tuple[str, Any, str]:
    meant = _meant(model, path)
    key = str(path[-1])
    if meant and (stem := _stem(meant[0])) is not None and stem == _stem(key):
        remedy = f"Write {meant[0]} with the value in that unit: {_description(model, path, meant)}"
        return "the unit in this key is not the one expected", value, remedy
    if meant:
        return "this key is not known", value, f"Did you mean {meant[0]}?"
    known = ", ".join(sorted(_keys_at(model, path[:-1])))
    return "this key is not known", value, f"Known here: {known}." if known else "Take it out."


def _stem(key: str) -> tuple[str, int] | None:
    """Return a key without its unit, and which family of units that was."""
    for family, suffixes in enumerate(_UNIT_SUFFIXES):
        for suffix in suffixes:
            if key.endswith(suffix) and len(key) > len(suffix):
                return key.removesuffix(suffix), family
    return None


def _meant(model: type[BaseModel], path: Path_) -> list[str]:
    """Return the known key that an unknown one was probably meant for, as a list of 0 or 1."""
    key = str(path[-1])
    known = sorted(_keys_at(model, path[:-1]))
    stem = _stem(key)
    same = [name for name in known if stem is not None and _stem(name) == stem]
    bare = [name for name in known if (found := _stem(name)) is not None and found[0] == key]
    return (same or bare or difflib.get_close_matches(key, known, n=1, cutoff=0.7))[:1]


def _description(model: type[BaseModel], path: Path_, meant: list[str] | None = None) -> str:
    name = meant[0] if meant else str(path[-1])
    for section in _sections_at(model, path[:-1]):
        for key, field in keys_of(section).items():
            if key == name and field.description:
                return str(field.description)
    return "see docs/configuration.md."


def _keys_at(model: type[BaseModel], path: Path_) -> set[str]:
    return {key for section in _sections_at(model, path) for key in keys_of(section)}


def keys_of(section: type[BaseModel]) -> dict[str, Any]:
    """Return a section's fields by the key they have in a file."""
    return {field.alias or name: field for name, field in section.model_fields.items()}


def _sections_at(model: type[BaseModel], path: Path_) -> list[type[BaseModel]]:
    """Return the sections that may stand at ``path``; several where a tariff's kind decides."""
    found: list[type[BaseModel]] = [model]
    inside_mapping = False
    for part in path:
        if isinstance(part, int) or inside_mapping:
            inside_mapping = False
            continue
        annotations = [
            fields[part].annotation for section in found if part in (fields := keys_of(section))
        ]
        inside_mapping = any(_is_mapping(annotation) for annotation in annotations)
        found = [section for annotation in annotations for section in sections_in(annotation)]
    return found


def _is_mapping(annotation: Any) -> bool:
    return getattr(annotation, "__origin__", None) is dict


def sections_in(annotation: Any) -> Iterator[type[BaseModel]]:
    """Yield the sections that an annotation speaks of, at any depth."""
    if isinstance(annotation, type) and issubclass(annotation, BaseModel):
        yield annotation
    else:
        for part in get_args(annotation):
            yield from sections_in(part)
