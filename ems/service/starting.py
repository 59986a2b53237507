"""A process says that it is starting, so that nobody takes its first minutes for silence.

Getting ready takes computing time, which in an accelerated demonstration may be many
minutes of estate time. The note counts only while its process lives, so that one that
dies again and again while starting is not excused.
"""

from __future__ import annotations

import os
import time
from dataclasses import dataclass
from datetime import datetime

from ems.domain.estate import Estate
from ems.domain.ports import Heartbeat, Store

READY_WITHIN_S = 120.0
"""A process is excused for as long after its start [wall s]."""


@dataclass(frozen=True, slots=True)
class Started:
    """That a process began to start, in estate and in wall time; ``dry_run``: to write nothing."""

    process: str
    at: datetime
    wall_s: float
    pid: int
    dry_run: bool = False


def note_start(store: Store, process: str, now: datetime, *, dry_run: bool = False) -> None:
    """Record that this process begins to start as ``process``."""
    note = Started(process, now, time.time(), os.getpid(), dry_run)
    store.keep(note, key=process, subject=process, at=now)


def runs_dry(store: Store, estate: Estate, process: str) -> bool:
    """Tell whether ``process`` writes nothing: by its last start, else by the configuration."""
    kept = store.kept(Started, process)
    return estate.control.dry_run if kept is None else kept.record.dry_run


def is_starting(store: Store, process: str, beat: Heartbeat | None) -> bool:
    """Tell whether ``process`` lives and has not got ready since it started."""
    kept = store.kept(Started, process)
    if kept is None:
        return False
    note = kept.record
    if beat is not None and beat.wall_s >= note.wall_s:
        return False
    return time.time() - note.wall_s < READY_WITHIN_S and _lives(note.pid)


def _lives(pid: int) -> bool:
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    except PermissionError:
        return True
    return True
