"""docs/configuration.md names every key with its range and default, and nothing else."""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import Any, get_args

import pytest
import yaml
from pydantic import BaseModel
from pydantic.fields import FieldInfo
from pydantic_core import PydanticUndefined

from ems.settings.models import EstateFile, HolidaysFile, PriorsFile
from ems.settings.people import PeopleFile
from ems.settings.quantities import Between, Choice, Whole
from ems.settings.shape import keys_of, sections_in

from .conftest import ROOT, Site

DOCUMENT = ROOT / "docs" / "configuration.md"
TEXT = DOCUMENT.read_text(encoding="utf-8")
ROW = re.compile(r"^\| `([a-z0-9_]+)` \|(.*)\|$", re.M)


def sections(model: type[BaseModel], name: str) -> Iterator[tuple[str, type[BaseModel]]]:
    """Yield every section below ``model`` with the heading it has in the document."""
    yield name, model
    for key, field in keys_of(model).items():
        many = "[]" if _origin(field) is list else ".*" if _origin(field) is dict else ""
        inner = list(sections_in(field.annotation))
        for section in inner:
            kind = keys_of(section).get("kind")
            suffix = f" ({kind.description})" if kind is not None and len(inner) > 1 else ""
            base = "" if name in TOPS else f"{name}."
            yield from sections(section, f"{base}{key}{many}{suffix}")


def _origin(field: FieldInfo) -> Any:
    return getattr(field.annotation, "__origin__", None)


TOPS = {
    "estate file": EstateFile,
    "thermal priors file": PriorsFile,
    "people rules file": PeopleFile,
    "holidays file": HolidaysFile,
}
SECTIONS = [pair for top, model in TOPS.items() for pair in sections(model, top)]


def documented(heading: str) -> dict[str, str]:
    """Return the rows under a heading by key; the same table may serve two headings."""
    match = re.search(
        rf"^###? [^\n]*`{re.escape(heading)}`[^\n]*\n(.*?)(?=^##|\Z)", TEXT, re.M | re.S
    )
    assert match, f"docs/configuration.md has no section `{heading}`"
    return {row[1]: row[2] for row in ROW.finditer(match.group(1))}


def rules(annotation: Any, field: FieldInfo | None = None) -> Iterator[Any]:
    """Yield the rules that values of a field must meet."""
    if field is not None:
        yield from field.metadata
    for part in (*get_args(annotation), *getattr(annotation, "__metadata__", ())):
        if isinstance(part, Between | Choice | Whole):
            yield part
        elif not isinstance(part, type):
            yield from rules(part)


def expected_words(field: FieldInfo) -> Iterator[str]:
    for rule in rules(field.annotation, field):
        if isinstance(rule, Between):
            zero = "0 or " if rule.zero and rule.low > 0 else ""
            yield f"{zero}{rule.low:g} to {rule.high:g} {rule.unit}".strip()
        if isinstance(rule, Whole):
            yield f"{rule.low} to {rule.high}" if rule.low != rule.high else f"{rule.low}"
        if isinstance(rule, Choice) and len(rule.allowed) < 7:
            yield from rule.allowed
    if field.is_required():
        yield "required"
    elif field.default is not PydanticUndefined and isinstance(
        field.default, int | float | bool | str | list
    ):
        yield default_words(field.default)
    else:
        yield "none"


def default_words(plain: Any) -> str:
    if isinstance(plain, list):
        return ", ".join(default_words(item) for item in plain)
    if isinstance(plain, str):
        return plain
    return str(plain).lower() if isinstance(plain, bool) else f"{plain:g}"


@pytest.mark.parametrize(("heading", "section"), SECTIONS, ids=[name for name, _ in SECTIONS])
def test_every_key_is_documented_with_range_and_default(
    heading: str, section: type[BaseModel]
) -> None:
    rows = documented(heading)
    assert set(rows) == set(keys_of(section)), heading
    for key, field in keys_of(section).items():
        for words in expected_words(field):
            assert words in rows[key], f"{heading}.{key}: {words!r} is not in {rows[key]!r}"


def test_the_document_names_no_section_that_does_not_exist() -> None:
    headings = re.findall(r"^###? (.*)$", TEXT, re.M)
    named = {name for heading in headings for name in re.findall(r"`([^`]+)`", heading)}
    assert named <= {name for name, _ in SECTIONS}


def test_every_section_and_key_says_what_it_is() -> None:
    for name, section in SECTIONS:
        assert section.__doc__, name
        for key, field in keys_of(section).items():
            assert field.description, f"{name}.{key}"


def test_the_examples_of_the_document_load(site: Site) -> None:
    """Each YAML example holds whole entries of the estate's sections; the estate is a real one."""
    examples = re.findall(r"```yaml\n(.*?)```", TEXT, re.S)
    assert len(examples) >= 3
    data = yaml.safe_load(site.file.read_text(encoding="utf-8"))
    for example in examples:
        part = yaml.safe_load(example)
        for section, entries in part.items():
            if isinstance(data[section], dict):
                data[section].update(entries)
    data["estate"]["demonstration"] = False
    data["estate"].pop("starts_at")
    for aggregator in data["aggregators"].values():
        aggregator["token_hash"] = "sha256:" + 64 * "0"
    for gateway in data["gateways"].values():
        for name in (gateway[key] for key in gateway if key.startswith("tls_")):
            (site.file.parent / name).parent.mkdir(exist_ok=True)
            (site.file.parent / name).touch()
    site.file.write_text(yaml.safe_dump(data), encoding="utf-8")
    assert site.faults() == ()
