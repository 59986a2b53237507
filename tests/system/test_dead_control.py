"""Control is killed with `kill -9`: the guard, a process of its own, tells people."""

from __future__ import annotations

import json
import os
import re
import signal
import subprocess
import sys
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import pytest

from ems.store import open_store

from .running import own_config, until

SPEED = 30


@contextmanager
def webhook() -> Iterator[tuple[str, list[dict[str, Any]]]]:
    """A real server on this machine; yields its address and what it got."""
    got: list[dict[str, Any]] = []

    class Handler(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            got.append(json.loads(self.rfile.read(int(self.headers["Content-Length"]))))
            self.send_response(204)
            self.end_headers()

        def log_message(self, *args: object) -> None:
            """Say nothing."""

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    try:
        yield f"http://127.0.0.1:{server.server_port}/alarms", got
    finally:
        server.shutdown()
        server.server_close()


Start = Callable[..., subprocess.Popen[bytes]]


@pytest.fixture
def start(tmp_path: Path) -> Iterator[Start]:
    """Start a process of the estate; all are ended afterwards."""
    running: list[subprocess.Popen[bytes]] = []

    def begin(name: str, config: Path, state: Path, *options: str) -> subprocess.Popen[bytes]:
        command = [sys.executable, "-m", "ems.cli", name, "--config", str(config)]
        with (tmp_path / f"{name}.log").open("ab") as log:
            process = subprocess.Popen(
                [*command, "--state", str(state), *options], stdout=log, stderr=log
            )
        running.append(process)
        return process

    yield begin
    for process in running:
        if process.poll() is None:
            process.terminate()
            process.wait(30)


def test_the_guard_tells_people_that_control_was_killed(tmp_path: Path, start: Start) -> None:
    state = tmp_path / "state"
    state.mkdir()
    config = own_config(tmp_path)
    with webhook() as (url, got):
        text = config.read_text(encoding="utf-8")
        text, count = re.subn(
            r"^alarms:$", f"alarms:\n  webhooks: {{control_room: {url}}}", text, flags=re.M
        )
        assert count == 1
        config.write_text(text, encoding="utf-8")
        start("field", config, state, "--speed", str(SPEED))
        until((state / "clock.json").exists, 30.0)
        control = start("serve", config, state)
        with open_store(state / "store.sqlite") as store:
            until(lambda: "control" in store.heartbeats(), 60.0)
        start("guard", config, state)

        def told() -> list[dict[str, Any]]:
            return [one for one in got if one["alarm"]["subject"] == "control"]

        os.kill(control.pid, signal.SIGKILL)
        control.wait()
        until(lambda: bool(told()), 60.0)
        document = told()[0]
        assert (document["occasion"], document["alarm"]["id"]) == (
            "opened",
            "process_silent:control.1",
        )
        assert len(document["alarm"]["homes"]) == 40
        assert "ems serve" in document["alarm"]["remedy"]
    where = ["--config", str(config), "--state", str(state)]
    listed = subprocess.run(
        [sys.executable, "-m", "ems.cli", "alarms", "list", "--json", *where],
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    assert listed.returncode == 1, listed.stderr
    assert "process_silent:control.1" in {one["id"] for one in json.loads(listed.stdout)}
