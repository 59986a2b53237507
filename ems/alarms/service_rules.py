"""What is wrong with Hearth itself: silent processes, a guard that had to act, the disk. Pure."""

from __future__ import annotations

from collections.abc import Set as AbstractSet
from dataclasses import dataclass

from ems.alarms.rules import CLEAR_DISK, Judged
from ems.domain.alarms import AlarmKind, AlarmRules, Cause, cause_key

GUARD_SUBJECT = "estate"
STORE_SUBJECT = "store"

_CONSEQUENCES = {
    "control": (
        "Nothing is read, planned or steered. Each home's command is handed back by the guard as "
        "it expires, and homes go on by their own thermostats.",
        "Start it again with `ems serve`; its log says why it stopped.",
    ),
    "guard": (
        "If control stopped too, nobody would hand devices back.",
        "Start it again with `ems guard`; its log says why it stopped.",
    ),
    "web": (
        "Homes go on being steered, but nobody sees the pages: residents cannot ask for warmth or "
        "leave an event there, and aggregators cannot send one. `ems` still works.",
        "Start it again with `ems web`; its log says why it stopped.",
    ),
}


@dataclass(frozen=True, slots=True)
class GuardAction:
    """What the guard did lately although control was alive.

    Attributes
    ----------
    devices, homes
        Ids of what it handed back, or tried to.
    standing
        How many did not take their release.
    """

    devices: tuple[str, ...]
    homes: tuple[str, ...]
    standing: int


def judge_process(
    process: str, age_s: float | None, after_s: float, homes: tuple[str, ...] = ()
) -> Judged:
    """Tell whether a process is silent.

    Parameters
    ----------
    process
        ``control``, ``guard`` or ``web``.
    age_s
        Since its last sign of life [s]; ``None`` where it never gave one.
    after_s
        It is silent when older than this [s].
    homes
        Homes that it should look after.
    """
    known = frozenset({cause_key(AlarmKind.PROCESS_SILENT, process)})
    if age_s is not None and age_s <= after_s:
        return Judged(judged=known)
    means, remedy = _CONSEQUENCES[process]
    cause = Cause(
        AlarmKind.PROCESS_SILENT,
        process,
        f"The {process} process has given no sign of life for {after_s / 60:g} "
        f"minutes or more. {means}",
        remedy,
        homes=homes,
    )
    return Judged((cause,), known)


def judge_guard(action: GuardAction | None) -> Judged:
    """Tell whether the guard had to act although control was alive.

    What it does because control is silent belongs to the alarm about control.
    """
    known = frozenset({cause_key(AlarmKind.GUARD_ACTED, GUARD_SUBJECT)})
    if action is None:
        return Judged(judged=known)
    count = len(action.devices)
    devices = f"{count} device{'' if count == 1 else 's'}"
    tail = f" {action.standing} did not take it and will be tried again." if action.standing else ""
    cause = Cause(
        AlarmKind.GUARD_ACTED,
        GUARD_SUBJECT,
        f"The guard had to hand {devices} back to their own control.{tail}",
        "Look at the devices' pages: control did not renew or release their commands in time. "
        "Check its log for errors of dispatch.",
        homes=action.homes,
        devices=action.devices,
    )
    return Judged((cause,), known)


def judge_disk(free_mb: float | None, rules: AlarmRules, open_keys: AbstractSet[str]) -> Judged:
    """Tell whether the disk under the store is nearly full; ``None`` where nobody can tell."""
    if free_mb is None:
        return Judged()
    key = cause_key(AlarmKind.STORE_TROUBLE, STORE_SUBJECT)
    least_mb = rules.disk_free_mb * (CLEAR_DISK if key in open_keys else 1.0)
    if free_mb >= least_mb:
        return Judged(judged=frozenset({key}))
    return Judged((store_cause(f"only {free_mb:.0f} MB are free"),), frozenset({key}))


def store_cause(problem: str) -> Cause:
    """Return the cause that says what is wrong with the store."""
    return Cause(
        AlarmKind.STORE_TROUBLE,
        STORE_SUBJECT,
        f"Hearth's store is in trouble: {problem}. Readings and plans may soon be lost.",
        "Free space on the disk of the state directory and check its permissions.",
    )
