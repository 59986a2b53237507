"""What every long-lived process needs: one of a kind, clean ends, signs of life."""

from __future__ import annotations

import asyncio
import fcntl
import os
import signal
import time
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import datetime
from pathlib import Path

from ems.domain.errors import RetryableError
from ems.domain.ports import Heartbeat


@contextmanager
def only_one(state_dir: Path, process: str) -> Iterator[None]:
    """Hold the right to be the only ``process`` on a state directory.

    Raises
    ------
    RetryableError
        Where another one holds it. The right ends with the process, however it ends.
    """
    path = state_dir / f"{process}.lock"
    with path.open("a+", encoding="utf-8") as handle:
        try:
            fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            handle.seek(0)
            holder = handle.read().strip() or "unknown"
            raise RetryableError(
                f"another {process} process is running on this state directory",
                field=str(state_dir),
                value=f"pid {holder}",
                remedy="Stop it first, or name another directory with --state.",
            ) from None
        handle.truncate(0)
        handle.write(str(os.getpid()))
        handle.flush()
        yield


def stop_on_signals() -> asyncio.Event:
    """Return an event that SIGINT and SIGTERM set, in the running loop."""
    stop = asyncio.Event()
    loop = asyncio.get_running_loop()
    for signum in (signal.SIGINT, signal.SIGTERM):
        loop.add_signal_handler(signum, stop.set)
    return stop


def heartbeat(process: str, now: datetime) -> Heartbeat:
    """Return this process's sign of life at estate time ``now``."""
    return Heartbeat(process, now, time.time(), os.getpid())
