"""Errors that carry what is wrong, where, and what to do about it.

Expected failures (a device that does not answer, a setpoint out of bounds) are
values, not exceptions: see :mod:`ems.domain.setpoints`. What is raised is
either a fault in what a person gave us or a bug.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any


class HearthError(Exception):
    """Base of all errors raised by Hearth.

    Parameters
    ----------
    problem
        What is wrong, in one sentence without a full stop.
    field
        Where: a path in a file, an option, a field of a request.
    value
        The offending value, as given.
    remedy
        What the reader can do about it.
    """

    def __init__(
        self, problem: str, *, field: str = "", value: Any = None, remedy: str = ""
    ) -> None:
        self.problem = problem
        self.field = field
        self.value = value
        self.remedy = remedy
        super().__init__(self._message())

    def _message(self) -> str:
        where = f"{self.field}: " if self.field else ""
        given = f" (given: {self.value!r})" if self.value is not None else ""
        remedy = f". {self.remedy}" if self.remedy else ""
        return f"{where}{self.problem}{given}{remedy}"


class RetryableError(HearthError):
    """The same call may succeed later: a busy store, a peer that is starting."""


class PermanentError(HearthError):
    """The same call will fail again until a person changes something."""


class InvalidInputError(PermanentError):
    """An argument, a file or a request breaks a stated rule."""


@dataclass(frozen=True, slots=True)
class Fault:
    """One fault found in a configuration file.

    Attributes
    ----------
    path
        Where in the file, e.g. ``blocks[0].dwellings[3].heat_pump.unit_id``.
    problem
        What is wrong.
    value
        The offending value as written, or ``None`` where something is missing.
    remedy
        What to write instead.
    line
        Line of the file, from 1; ``None`` where the fault has no one line.
    """

    path: str
    problem: str
    value: Any
    remedy: str
    line: int | None = None

    def __str__(self) -> str:
        given = "" if self.value is None else f" (given: {self.value!r})"
        line = "" if self.line is None else f" (line {self.line})"
        return f"{self.path}{line}: {self.problem}{given}. {self.remedy}"


class ConfigurationError(PermanentError):
    """A configuration file has faults; all of them are listed in ``faults``."""

    def __init__(self, source: str, faults: tuple[Fault, ...]) -> None:
        self.source = source
        self.faults = faults
        count = f"{len(faults)} fault{'' if len(faults) == 1 else 's'}"
        super().__init__(
            f"{count} in the configuration:\n" + "\n".join(f"  {fault}" for fault in faults),
            field=source,
        )
