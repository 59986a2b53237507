"""A cursor over plain data that knows its path.

Checks across sections work on whatever could be read: a cursor gives ``None`` for what is
missing, of the wrong kind, or already found faulty, so that one fault never hides another
and never counts twice.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any, TypeVar

from pydantic_core import PydanticCustomError

from ems.settings.document import Findings, Path_

_T = TypeVar("_T")


@dataclass(frozen=True, slots=True)
class Node:
    """One place in a file: ``path``, the plain ``value`` there, and the faults so far."""

    path: Path_
    value: Any
    findings: Findings

    def __getitem__(self, key: str) -> Node:
        """Return the place below this one; its value is ``None`` where nothing stands."""
        value = self.value.get(key) if isinstance(self.value, dict) else None
        return Node((*self.path, key), value, self.findings)

    @property
    def exists(self) -> bool:
        """Whether a value stands here."""
        return self.value is not None

    def entries(self) -> Iterator[tuple[str, Node]]:
        """Yield the named entries of a mapping; none where this is something else."""
        if isinstance(self.value, dict):
            for key in self.value:
                yield key, self[key]

    def items(self) -> Iterator[Node]:
        """Yield the entries of a list; none where this is something else."""
        if isinstance(self.value, list):
            for index, value in enumerate(self.value):
                yield Node((*self.path, index), value, self.findings)

    def text(self) -> str | None:
        """Return the text here, if it is one and no fault was found in it."""
        value = None if self.findings.faulty(self.path) else self.value
        return value if isinstance(value, str) else None

    def number(self, default: float | None = None) -> float | None:
        """Return the number here, ``default`` where nothing stands, else ``None``."""
        if self.findings.faulty(self.path):
            return None
        if self.value is None:
            return default
        if isinstance(self.value, bool) or not isinstance(self.value, int | float):
            return None
        return float(self.value)

    def truth(self) -> bool | None:
        """Return the truth value here, if it is one."""
        return self.value if isinstance(self.value, bool) else None

    def parsed(self, parse: Callable[[Any], _T]) -> _T | None:
        """Return what ``parse`` makes of the value, ``None`` where it refuses."""
        if self.value is None or self.findings.faulty(self.path):
            return None
        try:
            return parse(self.value)
        except PydanticCustomError:
            return None

    def refuse(self, problem: str, remedy: str, *, show: bool = True) -> None:
        """Keep a fault at this place; ``show`` repeats the value beside it."""
        self.findings.add(self.path, problem, self.value if show else None, remedy)


def section_names(node: Node) -> set[str] | None:
    """Return the names of a mapping's entries; ``None`` where it is no mapping."""
    return set(node.value) if isinstance(node.value, dict) else None
