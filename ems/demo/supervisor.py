"""Starts processes, restarts those that die, and ends all of them together."""

from __future__ import annotations

import os
import signal
import subprocess
import threading
import time
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import structlog

log = structlog.get_logger()

RESTART_WAIT_S = (0.5, 1.0, 2.0, 5.0, 10.0)
"""Wall seconds before the first, second, … restart of a process that keeps dying."""
STEADY_S = 60.0
"""A process that lived this long starts again without waiting."""
STOP_WAIT_S = 20.0
HOPELESS_STATUS = 2
"""Exit status of wrong input: starting again would fail again."""


@dataclass(slots=True)
class Child:
    """One supervised process.

    Attributes
    ----------
    name
        As in logs and in the file of its process id.
    command
        Program and arguments.
    """

    name: str
    command: Sequence[str]
    process: subprocess.Popen[bytes] | None = None
    started_s: float = 0.0
    deaths: int = 0
    restart_at_s: float = 0.0
    hopeless: bool = False


class Supervisor:
    """Keeps children alive until told to stop.

    Parameters
    ----------
    children
        In order of start; they are stopped in the order of ``stop_order``.
    state_dir
        Where logs and process ids go.
    stop_order
        Names, first stopped first: control before the field, so that it can hand
        devices back.
    """

    def __init__(
        self, children: Sequence[Child], state_dir: Path, stop_order: Sequence[str]
    ) -> None:
        self._children = list(children)
        self._logs = state_dir / "logs"
        self._pids = state_dir / "pids"
        self._stop_order = list(stop_order)
        self._stopping = threading.Event()
        self._logs.mkdir(parents=True, exist_ok=True)
        self._pids.mkdir(parents=True, exist_ok=True)

    def end_leftovers(self) -> list[str]:
        """End children that a killed supervisor left behind; return their names."""
        ended = []
        for child in self._children:
            path = self._pids / child.name
            if not path.exists():
                continue
            pid = int(path.read_text(encoding="utf-8").strip() or 0)
            if pid and _is_ours(pid, child.command):
                _end(pid)
                ended.append(child.name)
            path.unlink(missing_ok=True)
        return ended

    def start(self) -> None:
        """Start every child."""
        for child in self._children:
            self._start(child)

    def _start(self, child: Child) -> None:
        with (self._logs / f"{child.name}.log").open("ab") as output:
            child.process = subprocess.Popen(  # noqa: S603 - our own program and arguments
                list(child.command),
                stdin=subprocess.DEVNULL,
                stdout=output,
                stderr=output,
                # Ctrl-C reaches the supervisor alone; it ends the children in order.
                start_new_session=True,
            )
        child.started_s = time.monotonic()
        (self._pids / child.name).write_text(str(child.process.pid), encoding="utf-8")

    def watch(self, period_s: float = 0.25) -> None:
        """Restart what dies until `stop` is called from a signal or another thread."""
        while not self._stopping.wait(period_s):
            for child in self._children:
                self._look_after(child)

    def _look_after(self, child: Child) -> None:
        now = time.monotonic()
        if child.process is None:
            if child.hopeless:
                return
            if now >= child.restart_at_s:
                self._start(child)
            return
        status = child.process.poll()
        if status is None:
            return
        if status == HOPELESS_STATUS:
            child.hopeless, child.process = True, None
            log.error("process_gave_up", name=child.name, said=self.last_lines(child.name, 5))
            return
        child.deaths = 1 if now - child.started_s > STEADY_S else child.deaths + 1
        wait_s = RESTART_WAIT_S[min(child.deaths, len(RESTART_WAIT_S)) - 1]
        log.warning("process_died", name=child.name, status=status, restart_in_s=wait_s)
        child.process = None
        child.restart_at_s = now + wait_s

    def request_stop(self) -> None:
        """Make `watch` return."""
        self._stopping.set()

    def stop(self) -> None:
        """End all children in order; one that does not end in time is killed."""
        by_name = {child.name: child for child in self._children}
        for name in self._stop_order:
            child = by_name[name]
            if child.process is None or child.process.poll() is not None:
                continue
            child.process.terminate()
            try:
                child.process.wait(STOP_WAIT_S)
            except subprocess.TimeoutExpired:
                log.error("process_killed", name=name, waited_s=STOP_WAIT_S)
                child.process.kill()
                child.process.wait()
        for child in self._children:
            (self._pids / child.name).unlink(missing_ok=True)

    def last_lines(self, name: str, count: int = 15) -> str:
        """Return the end of a child's log, for an error message."""
        path = self._logs / f"{name}.log"
        if not path.exists():
            return ""
        return "\n".join(path.read_text(encoding="utf-8", errors="replace").splitlines()[-count:])


def _is_ours(pid: int, command: Sequence[str]) -> bool:
    """Tell whether a process id still belongs to this command."""
    try:
        raw = Path(f"/proc/{pid}/cmdline").read_bytes()
    except OSError:
        return False
    running = [part.decode(errors="replace") for part in raw.split(b"\0") if part]
    return running[1:] == list(command)[1:]


def _end(pid: int) -> None:
    """End a process that is not our child: ask, wait, insist."""
    try:
        os.kill(pid, signal.SIGTERM)
        for _ in range(int(STOP_WAIT_S * 10)):
            time.sleep(0.1)
            os.kill(pid, 0)
        os.kill(pid, signal.SIGKILL)
    except ProcessLookupError:
        return
