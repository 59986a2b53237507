"""Faults and hands by command: files in the state directory, watched by the field.

``faults.json`` is the whole truth: what stands in it is broken, what does not is well. It
survives a killed field process and works while none is running. ``touches.jsonl`` holds
what hands at heat pumps have done and the field has not taken up yet.
"""

from __future__ import annotations

import fcntl
import json
import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from ems.domain.errors import InvalidInputError
from ems.domain.estate import Estate
from ems.field.faults import FaultKind, FieldFault, check_fault

FAULTS_FILE = "faults.json"
TOUCHES_FILE = "touches.jsonl"
TOUCH_RANGE_C = (10.0, 30.0)
"""What can be set at a heat pump by hand [°C]."""
LOCK_FILE = "field-faults.lock"


def read_faults(state_dir: Path) -> list[FieldFault]:
    """Return the faults that are switched on; none where there is no file.

    Raises
    ------
    InvalidInputError
        Where the file cannot be understood.
    """
    path = state_dir / FAULTS_FILE
    try:
        listed = json.loads(path.read_text(encoding="utf-8"))
        return [
            FieldFault(str(item["target"]), FaultKind(item["kind"]), float(item["value"]))
            for item in listed
        ]
    except FileNotFoundError:
        return []
    except (ValueError, KeyError, TypeError) as error:
        raise InvalidInputError(
            f"the file of faults cannot be understood: {error}",
            field=str(path),
            remedy="Delete it, or use `ems field fault`.",
        ) from error


def set_fault(state_dir: Path, estate: Estate, fault: FieldFault) -> list[FieldFault]:
    """Switch a fault on and return all that are on.

    Raises
    ------
    InvalidInputError
        Where the estate has no such target or the value makes no sense.
    """
    check_fault(estate, fault)
    with _alone(state_dir):
        kept = [
            old
            for old in read_faults(state_dir)
            if (old.target, old.kind) != (fault.target, fault.kind)
        ]
        return _write(state_dir, [*kept, fault])


def clear_faults(
    state_dir: Path, target: str | None = None, kind: FaultKind | None = None
) -> list[FieldFault]:
    """Switch off the faults of ``target`` and ``kind`` (``None``: any); return what is left."""
    with _alone(state_dir):
        kept = [
            fault
            for fault in read_faults(state_dir)
            if not (target in (None, fault.target) and kind in (None, fault.kind))
        ]
        return _write(state_dir, kept)


def touch(state_dir: Path, estate: Estate, dwelling_id: str, temperature_c: float) -> str:
    """Set the room temperature at a home's heat pump by hand; return the device's id.

    Raises
    ------
    InvalidInputError
        Where there is no such home or no heat pump goes so far.
    """
    homes = {home.id: home for home in estate.dwellings()}
    if dwelling_id not in homes:
        raise InvalidInputError(
            "no such home",
            field="home",
            value=dwelling_id,
            remedy="Name a home of the estate, e.g. A-07.",
        )
    low, high = TOUCH_RANGE_C
    if not low <= temperature_c <= high:
        raise InvalidInputError(
            f"a heat pump can be set from {low:g} to {high:g} °C",
            field="temperature",
            value=temperature_c,
            remedy="Give a room temperature in that range.",
        )
    device_id = homes[dwelling_id].heat_pump.device_id
    with _alone(state_dir), (state_dir / TOUCHES_FILE).open("a", encoding="utf-8") as handle:
        handle.write(json.dumps([device_id, temperature_c]) + "\n")
    return device_id


def take_touches(state_dir: Path) -> list[tuple[str, float]]:
    """Return what hands have set since the last call, as (device, temperature [°C])."""
    path = state_dir / TOUCHES_FILE
    if not path.exists():
        return []
    with _alone(state_dir):
        lines = path.read_text(encoding="utf-8").splitlines()
        path.unlink()
    return [(str(device), float(value)) for device, value in map(json.loads, lines)]


class FaultWatch:
    """Tells when ``faults.json`` has changed.

    Parameters
    ----------
    state_dir
        The state directory.
    """

    def __init__(self, state_dir: Path) -> None:
        self._state_dir = state_dir
        self._seen: tuple[int, int] | None = (-1, -1)

    def changed(self) -> list[FieldFault] | None:
        """Return the faults where the file is new since the last call, else ``None``.

        Raises
        ------
        InvalidInputError
            Where the new file cannot be understood; once for each version of the file.
        """
        try:
            stat = (self._state_dir / FAULTS_FILE).stat()
            seen = (stat.st_mtime_ns, stat.st_ino)
        except FileNotFoundError:
            seen = None
        if seen == self._seen:
            return None
        self._seen = seen
        return read_faults(self._state_dir)


@contextmanager
def _alone(state_dir: Path) -> Iterator[None]:
    with (state_dir / LOCK_FILE).open("w") as handle:
        fcntl.flock(handle, fcntl.LOCK_EX)
        yield


def _write(state_dir: Path, faults: list[FieldFault]) -> list[FieldFault]:
    path = state_dir / FAULTS_FILE
    fresh = path.with_suffix(f".{os.getpid()}.new")
    fresh.write_text(json.dumps([fault.to_json() for fault in faults], indent=1), encoding="utf-8")
    fresh.replace(path)
    return faults
