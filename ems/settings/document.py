"""YAML text → plain data, with the line of every value and every fault of form.

Stricter than YAML 1.1: only ``true`` and ``false`` are truth values, times of day and
instants stay text (``16:30`` is not a number), and keys are plain words that occur once.
Aliases and tags are refused, so that what a reader sees is what is loaded.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import yaml

from ems.domain.errors import ConfigurationError, Fault

Path_ = tuple[str | int, ...]
"""Keys and list positions from the top of the file."""

MAX_BYTES = 5_000_000
"""Greatest size of a configuration file [bytes]."""

_CORE = "tag:yaml.org,2002:"


def path_text(path: Path_) -> str:
    """Return a path as people write it: ``blocks[0].dwellings[3].units.meter``."""
    text = ""
    for part in path:
        if isinstance(part, int):
            text += f"[{part}]"
        else:
            name = part if part.isprintable() and len(part) <= 60 else ascii(part[:60])
            text += f".{name}" if text else name
    return text or "(file)"


@dataclass(slots=True)
class Findings:
    """Faults found so far, each once.

    Attributes
    ----------
    lines
        Line of each path of the file, from 1.
    faults
        By path and problem, in order of finding.
    """

    lines: dict[Path_, int] = field(default_factory=dict)
    faults: dict[tuple[Path_, str], Fault] = field(default_factory=dict)
    _paths: set[Path_] = field(default_factory=set)

    def add(self, path: Path_, problem: str, value: Any = None, remedy: str = "") -> None:
        """Keep a fault at ``path``; its line is that of the nearest part that exists."""
        line = next(
            (
                self.lines[path[:length]]
                for length in range(len(path), -1, -1)
                if path[:length] in self.lines
            ),
            None,
        )
        fault = Fault(path_text(path), problem, _short(value), remedy, line)
        self.faults.setdefault((path, problem), fault)
        self._paths.add(path)

    def faulty(self, path: Path_) -> bool:
        """Whether a fault stands at exactly this path."""
        return path in self._paths

    def listed(self) -> tuple[Fault, ...]:
        """Return all faults in order of the file, those without a line first."""
        return tuple(sorted(self.faults.values(), key=lambda fault: fault.line or 0))


def _short(value: Any) -> Any:
    """Return ``value`` fit for one line: long text and containers are cut."""
    if isinstance(value, str | list | dict):
        text = value if isinstance(value, str) else repr(value)
        if len(text) > 80:
            return text[:77] + "..."
    if isinstance(value, int) and not isinstance(value, bool) and abs(value) > 10**18:
        return "a whole number of more than 18 digits"
    return value


class _Loader(yaml.SafeLoader):
    """Safe loader that knows only the core scalars."""


_Loader.yaml_implicit_resolvers = {}
for _tag, _pattern, _first in (
    ("bool", r"^(?:true|True|false|False)$", "tTfF"),
    ("int", r"^[-+]?[0-9]{1,18}$", "-+0123456789"),
    ("float", r"^[-+]?(?:\.[0-9]+|[0-9]+\.[0-9]*)(?:[eE][-+]?[0-9]{1,3})?$", "-+.0123456789"),
    ("float", r"^[-+]?[0-9]+[eE][-+]?[0-9]{1,3}$", "-+0123456789"),
    ("float", r"^[-+]?(?:\.inf|\.Inf|\.nan|\.NaN)$", "-+."),
    ("null", r"^(?:~|null|Null|)$", "~nN"),
):
    _firsts = [*_first, ""] if _tag == "null" else list(_first)
    _Loader.add_implicit_resolver(f"{_CORE}{_tag}", re.compile(_pattern), _firsts)


def read_text(path: Path) -> str:
    """Return a configuration file's text, or raise `ConfigurationError`."""
    try:
        content = path.read_bytes()
    except FileNotFoundError:
        raise _unreadable(path, "the file does not exist", "Give the path of a file.") from None
    except IsADirectoryError:
        remedy = "Name the file itself, e.g. estate.yaml in it."
        raise _unreadable(path, "this is a folder, not a file", remedy) from None
    except (OSError, ValueError) as error:
        reason = error.strerror if isinstance(error, OSError) else str(error)
        remedy = "Check that the account that runs Hearth may read it."
        raise _unreadable(path, f"the file cannot be read: {reason}", remedy) from None
    if len(content) > MAX_BYTES:
        remedy = f"A configuration file holds at most {MAX_BYTES // 1_000_000} MB."
        raise _unreadable(path, f"the file holds {len(content)} bytes", remedy)
    try:
        return content.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        line = content[: error.start].count(b"\n") + 1
        problem = f"the file is not UTF-8 text: byte {error.start + 1}, line {line}"
        raise _unreadable(path, problem, "Save it as UTF-8.", line) from None


def _unreadable(path: Path, problem: str, remedy: str, line: int | None = None) -> Exception:
    return ConfigurationError(str(path), (Fault("(file)", problem, str(path), remedy, line),))


def parse(text: str, findings: Findings) -> Any:
    """Return the plain data of one YAML document; ``None`` where it has none.

    Faults of form go to ``findings``; what can be read beside them is returned.
    """
    try:
        node = yaml.compose(text, _Loader)
        data = None if node is None else _plain(node, (), findings, set())
    except yaml.MarkedYAMLError as error:
        mark = error.problem_mark or error.context_mark
        at = "" if mark is None else f" at line {mark.line + 1}, column {mark.column + 1}"
        if mark is not None:
            findings.lines[()] = mark.line + 1
        problem = f"this is not YAML{at}: {error.problem or error.context or 'it cannot be read'}"
        remedy = "Look there for a missing colon, quote, bracket or space of indentation."
        findings.add((), problem, None, remedy)
        return None
    except yaml.YAMLError as error:
        position = getattr(error, "position", 0)
        line = text.count("\n", 0, position) + 1
        findings.lines[()] = line
        problem = f"this is not YAML at line {line}: {getattr(error, 'reason', 'unreadable')}"
        findings.add((), problem, None, "Remove characters that are not text.")
        return None
    except RecursionError:
        findings.add((), "sections are nested too deeply", None, "Keep to the documented keys.")
        return None
    if data is None and not findings.faults:  # nothing, or a lone ~
        remedy = "Begin with version: 1 and follow config/demo/estate.yaml."
        findings.add((), "the file is empty", None, remedy)
    return data


def _plain(node: yaml.Node, path: Path_, findings: Findings, seen: set[int]) -> Any:
    findings.lines.setdefault(path, node.start_mark.line + 1)
    if id(node) in seen:
        findings.add(path, "aliases (*name) are not supported", None, "Write the value out.")
        return None
    seen.add(id(node))
    if isinstance(node, yaml.MappingNode):
        return _mapping(node, path, findings, seen)
    if isinstance(node, yaml.SequenceNode):
        return [
            _plain(item, (*path, index), findings, seen) for index, item in enumerate(node.value)
        ]
    return _scalar(node, path, findings)


def _mapping(
    node: yaml.MappingNode, path: Path_, findings: Findings, seen: set[int]
) -> dict[str, Any]:
    data: dict[str, Any] = {}
    for key_node, value_node in node.value:
        line = key_node.start_mark.line + 1
        if not isinstance(key_node, yaml.ScalarNode) or not key_node.value:
            findings.lines.setdefault((*path, "?"), line)
            remedy = "Write keys as plain words, e.g. name: value."
            findings.add((*path, "?"), "a key must be one plain word", None, remedy)
            continue
        key = str(key_node.value)
        if key in data:
            problem = f"the key {key!r} stands twice, first in line {findings.lines[(*path, key)]}"
            remedy = f"Keep one of them; the second is in line {line}."
            findings.add((*path, key), problem, None, remedy)
            continue
        findings.lines[(*path, key)] = line
        data[key] = _plain(value_node, (*path, key), findings, seen)
    return data


def _whole(text: str) -> int:
    if len(text) > 19:
        raise ValueError(text)
    return int(text)


_READERS: dict[str, Callable[[str], Any]] = {
    "str": str,
    "null": lambda _: None,
    "bool": {"true": True, "false": False}.__getitem__,
    "int": _whole,
    "float": lambda text: float(text.replace(".inf", "inf").replace(".nan", "nan")),
}


def _scalar(node: yaml.Node, path: Path_, findings: Findings) -> Any:
    text = str(node.value)
    kind = node.tag.removeprefix(_CORE)
    reader = _READERS.get(kind)
    try:
        if reader is not None:
            return reader(text if kind == "str" else text.lower())
    except (KeyError, ValueError):
        pass  # an explicit tag on text that it does not fit; reported below
    findings.add(path, f"the tag {node.tag!r} is not supported here", text, "Leave the tag out.")
    return None
