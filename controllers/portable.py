"""Problems as files that any language can write: text in, a `SchedulingProblem` out, and back.

The format is :mod:`controllers.problem_file`. All faults of a file are named at once. Pure.
"""

from __future__ import annotations

import json
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

import numpy as np
from pydantic import ValidationError

from controllers.problem_file import PROBLEM_FORMAT, EventPart, HomePart, Part, ProblemFile
from controllers.stacked import stack
from ems.domain.errors import Fault, InvalidInputError, PermanentError
from ems.domain.events import Direction
from ems.domain.forecasts import FloatArray
from ems.domain.heating import FabricProblem, HygieneProblem, PumpProblem, TankProblem
from ems.domain.plans import (
    BatteryProblem,
    EventProblem,
    HomeProblem,
    PeakProblem,
    SchedulingProblem,
)

SHOWN_FAULTS = 20


class InvalidProblemError(PermanentError):
    """A problem file has faults; all that could be found at once are in ``faults``."""

    def __init__(self, source: str, faults: tuple[Fault, ...]) -> None:
        self.source = source
        self.faults = faults
        count = f"{len(faults)} fault{'' if len(faults) == 1 else 's'}"
        shown = "\n".join(f"  {fault}" for fault in faults[:SHOWN_FAULTS])
        more = len(faults) - SHOWN_FAULTS
        super().__init__(
            f"{count} in the problem:\n{shown}" + (f"\n  and {more} more" if more > 0 else ""),
            field=source,
        )


def read_problem(text: str | bytes, source: str = "the problem") -> SchedulingProblem:
    """Return the problem that a file holds.

    Parameters
    ----------
    text
        JSON as :func:`controllers.problem_file.problem_schema` describes it.
    source
        Its name in messages.

    Raises
    ------
    InvalidProblemError
        With every fault that could be found.
    """
    try:
        file = ProblemFile.model_validate_json(text)
    except ValidationError as error:
        raise InvalidProblemError(source, _faults(error)) from None
    found = tuple(_shape_faults(file))
    if found:
        raise InvalidProblemError(source, found)
    problem = to_problem(file)
    try:
        stack(problem)
    except InvalidInputError as error:
        fault = Fault(error.field, error.problem, error.value, error.remedy)
        raise InvalidProblemError(source, (fault,)) from None
    return problem


def _path(location: tuple[int | str, ...]) -> str:
    text = ""
    for part in location:
        text += f"[{part}]" if isinstance(part, int) else f"{'.' if text else ''}{part}"
    return text or "the file"


_REMEDIES = {
    "missing": "Add it; the schema says what it is.",
    "extra_forbidden": "Remove it, or correct its spelling.",
    "finite_number": "Give a finite number; null only where the schema allows it.",
    "greater_than_equal": "Give at least {ge:g}.",
    "greater_than": "Give more than {gt:g}.",
    "less_than_equal": "Give at most {le:g}.",
    "float_type": "Give a number, without quotes.",
    "list_type": "Give an array.",
    "literal_error": "Give {expected}.",
    "json_invalid": "Give JSON, and numbers in place of NaN and Infinity.",
}


def _faults(error: ValidationError) -> tuple[Fault, ...]:
    """Return what pydantic found; of the values of one array the first stands for the others."""
    found: dict[tuple[Any, ...], list[Any]] = {}
    for each in error.errors(include_url=False):
        place = each["loc"]
        series = bool(place) and isinstance(place[-1], int)
        key = (place[:-1] if series else place, each["type"])
        found.setdefault(key, []).append(each)
    result = []
    for same in found.values():
        first = same[0]
        more = f" ({len(same) - 1} more in this array)" if len(same) > 1 else ""
        remedy = _REMEDIES.get(first["type"], "See the schema.").format(**first.get("ctx", {}))
        given = first["input"]
        shown = given if isinstance(given, str | int | float | bool) else None
        if isinstance(shown, str) and len(shown) > 40:
            shown = None
        problem = f"{first['msg'][0].lower()}{first['msg'][1:]}{more}"
        result.append(Fault(_path(first["loc"]), problem, shown, remedy))
    return tuple(result)


def _shape_faults(file: ProblemFile) -> Iterator[Fault]:
    """Yield arrays over time of another length than ``step_s``, and names that clash."""
    steps = len(file.step_s)

    def series(part: Part, place: str) -> Iterator[Fault]:
        for name in type(part).model_fields:
            value, at = getattr(part, name), f"{place}{name}"
            if isinstance(value, Part):
                yield from series(value, f"{at}.")
            elif isinstance(value, list) and name not in _NO_SERIES and len(value) != steps:
                yield Fault(at, "not one value per step", len(value), f"Give {steps} values.")

    yield from series(file, "")
    for name in ("homes", "events", "peaks"):
        for number, part in enumerate(getattr(file, name)):
            yield from series(part, f"{name}[{number}].")
    seen: set[str] = set()
    for number, home in enumerate(file.homes):
        if home.dwelling_id in seen:
            place = f"homes[{number}].dwelling_id"
            yield Fault(place, "used before", home.dwelling_id, "Name each home once.")
        seen.add(home.dwelling_id)
    for place, instant in (("start", file.start), ("issued_at", file.issued_at)):
        if instant is not None and instant.tzinfo is None:
            yield Fault(place, "no offset from UTC", str(instant), "Write 2024-01-15T00:00:00Z.")


_NO_SERIES = {"homes", "events", "peaks", "lacked", "participants", "part_load", "step_s"}


@dataclass(frozen=True, slots=True)
class _Steps:
    count: int

    def values(self, given: list[float] | None, missing: float = 0.0) -> FloatArray:
        if given is None:
            return np.full(self.count, missing)
        return np.array(given, dtype=np.float64)

    def limits(self, given: list[float | None] | None, none: float = np.inf) -> FloatArray:
        if given is None:
            return np.full(self.count, none)
        return np.array([none if each is None else each for each in given], dtype=np.float64)


def _utc(instant: datetime) -> datetime:
    return instant.replace(tzinfo=UTC) if instant.tzinfo is None else instant.astimezone(UTC)


def to_problem(file: ProblemFile) -> SchedulingProblem:
    """Return a checked file as the problem that planners take."""
    steps = _Steps(len(file.step_s))
    battery = None if file.battery is None else BatteryProblem(**file.battery.model_dump())
    start = _utc(file.start)
    recovery, carbon = file.recovery_import_w, file.carbon_gbp_per_kwh
    margin = file.import_margin_w
    return SchedulingProblem(
        block_id=file.block_id,
        issued_at=start if file.issued_at is None else _utc(file.issued_at),
        start=start,
        step_s=steps.values(file.step_s),
        homes=tuple(_home(home) for home in file.homes),
        battery=battery,
        pooled=file.pooled,
        pv_w=steps.values(file.pv_w),
        landlord_w=steps.values(file.landlord_w),
        uncontrolled_w=steps.values(file.uncontrolled_w),
        import_gbp_per_kwh=steps.values(file.import_gbp_per_kwh),
        export_gbp_per_kwh=steps.values(file.export_gbp_per_kwh),
        physical_import_w=steps.limits(file.physical_import_w),
        contracted_import_w=steps.limits(file.contracted_import_w),
        export_limit_w=steps.limits(file.export_limit_w),
        discomfort_gbp_per_kh=file.discomfort_gbp_per_kh,
        lacked=tuple(file.lacked),
        events=tuple(_event(event, steps) for event in file.events),
        recovery_import_w=None if recovery is None else steps.limits(recovery),
        peaks=tuple(
            PeakProblem(np.array(peak.steps, dtype=bool), peak.so_far_w, peak.gbp_per_kw)
            for peak in file.peaks
        ),
        carbon_gbp_per_kwh=None if carbon is None else steps.values(carbon),
        import_margin_w=None if margin is None else steps.values(margin),
    )


def _arrays(part: Part) -> dict[str, Any]:
    """Return the fields of a part, its arrays over time as arrays."""
    names = type(part).model_fields
    values = {name: getattr(part, name) for name in names}
    return {
        name: np.array(value, dtype=np.float64)
        if isinstance(value, list) and name not in _NO_SERIES
        else value
        for name, value in values.items()
    }


def _home(home: HomePart) -> HomeProblem:
    values = _arrays(home)
    if home.pump is not None:
        pump = _arrays(home.pump)
        pump["since_s"] = np.inf if home.pump.since_s is None else home.pump.since_s
        values["pump"] = PumpProblem(**{**pump, "part_load": tuple(home.pump.part_load)})
    if home.fabric is not None:
        values["fabric"] = FabricProblem(**_arrays(home.fabric))
    if home.tank is not None:
        tank = _arrays(home.tank)
        due = home.tank.hygiene
        hygiene = None if due is None else HygieneProblem(**_arrays(due))
        values["tank"] = TankProblem(**{**tank, "hygiene": hygiene})
    return HomeProblem(**values)


def _event(event: EventPart, steps: _Steps) -> EventProblem:
    direction = Direction(event.direction)
    asks_nothing = np.inf if direction is Direction.DOWN else -np.inf
    return EventProblem(
        event_id=event.event_id,
        direction=direction,
        limit_w=steps.limits(event.limit_w, asks_nothing),
        participants=frozenset(event.participants),
        battery=event.battery,
        uncontrolled_w=steps.values(event.uncontrolled_w),
        start=_utc(event.start),
        until=_utc(event.until),
        reserve_wh=event.reserve_wh,
    )


def write_problem(problem: SchedulingProblem) -> str:
    """Return a problem as the text of a file; :func:`read_problem` gives the same back."""
    homes = []
    for home in problem.homes:
        plain = _plain(home)
        plain.pop("hot_water_w")
        homes.append(plain)
    file = {"format": PROBLEM_FORMAT, **_plain(problem), "homes": homes}
    return json.dumps(file, allow_nan=False) + "\n"


def _plain(value: Any) -> Any:
    """Return a part of a problem as JSON has it: infinities are null."""
    if isinstance(value, np.ndarray):
        return _plain(value.tolist())
    if isinstance(value, tuple | list):
        return [_plain(each) for each in value]
    if hasattr(value, "__dataclass_fields__"):
        return {name: _plain(getattr(value, name)) for name in value.__dataclass_fields__}
    if isinstance(value, frozenset):
        return sorted(value)
    if isinstance(value, datetime):
        return value.isoformat()
    return None if isinstance(value, float) and not np.isfinite(value) else value
