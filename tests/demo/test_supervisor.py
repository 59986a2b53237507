"""The supervisor restarts what dies and leaves nothing behind."""

from __future__ import annotations

import os
import signal
import sys
import threading
import time
from collections.abc import Callable
from pathlib import Path

from ems.demo.supervisor import Child, Supervisor

SLEEPER = "import time\nwhile True: time.sleep(0.1)"
# Writes a line when asked to end, so that the order of ending can be read.
POLITE = """
import pathlib, signal, sys, time
def end(*_):
    with open(sys.argv[1], "a") as log: log.write(sys.argv[2] + "\\n")
    sys.exit(0)
signal.signal(signal.SIGTERM, end)
pathlib.Path(sys.argv[3]).touch()
while True: time.sleep(0.05)
"""


def pid_of(state: Path, name: str) -> int:
    try:
        return int((state / "pids" / name).read_text() or 0)
    except FileNotFoundError:
        return 0


def alive(pid: int) -> bool:
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    return Path(f"/proc/{pid}/stat").read_text().split(")")[1].split()[0] != "Z"


def until(condition: Callable[[], bool], wall_s: float = 60.0) -> None:
    end = time.monotonic() + wall_s
    while time.monotonic() < end:
        if condition():
            return
        time.sleep(0.02)
    raise AssertionError("the awaited state did not come")


def test_a_killed_child_comes_back_and_its_neighbour_never_noticed(tmp_path: Path) -> None:
    children = [Child(name, [sys.executable, "-c", SLEEPER, name]) for name in ("one", "two")]
    supervisor = Supervisor(children, tmp_path, ["one", "two"])
    supervisor.start()
    watcher = threading.Thread(target=supervisor.watch, args=(0.02,))
    watcher.start()
    try:
        first, neighbour = pid_of(tmp_path, "one"), pid_of(tmp_path, "two")
        os.kill(first, signal.SIGKILL)
        until(lambda: pid_of(tmp_path, "one") not in {first, 0})
        assert alive(pid_of(tmp_path, "one"))
        assert pid_of(tmp_path, "two") == neighbour
        assert alive(neighbour)
    finally:
        supervisor.request_stop()
        watcher.join()
        supervisor.stop()
    assert not alive(neighbour)
    assert list((tmp_path / "pids").iterdir()) == []


def test_children_end_in_the_stated_order(tmp_path: Path) -> None:
    log = tmp_path / "ended"
    names = ["field", "control", "web"]
    ready = {name: tmp_path / f"{name}.ready" for name in names}
    children = [
        Child(name, [sys.executable, "-c", POLITE, str(log), name, str(ready[name])])
        for name in names
    ]
    supervisor = Supervisor(children, tmp_path, ["web", "control", "field"])
    supervisor.start()
    until(lambda: all(path.exists() for path in ready.values()))
    supervisor.stop()
    assert log.read_text().split() == ["web", "control", "field"]


def test_a_new_supervisor_ends_what_a_killed_one_left(tmp_path: Path) -> None:
    child = Child("one", [sys.executable, "-c", SLEEPER])
    first = Supervisor([child], tmp_path, ["one"])
    first.start()
    left_behind = child.process
    assert left_behind is not None
    # A process that has just begun shows no command line for a moment.
    pid = left_behind.pid
    until(lambda: b"sleep" in Path(f"/proc/{pid}/cmdline").read_bytes())

    again = Supervisor([Child("one", child.command)], tmp_path, ["one"])
    reaper = threading.Thread(target=left_behind.wait)
    reaper.start()
    assert again.end_leftovers() == ["one"]
    reaper.join(10)
    assert not alive(left_behind.pid)


def test_a_reused_process_id_is_left_alone(tmp_path: Path) -> None:
    supervisor = Supervisor([Child("one", [sys.executable, "-c", SLEEPER])], tmp_path, ["one"])
    (tmp_path / "pids" / "one").write_text(str(os.getpid()))
    assert supervisor.end_leftovers() == []
