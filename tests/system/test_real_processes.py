"""The whole demonstration as processes: it comes up well, and survives `kill -9`.

Field, control, guard and web run as they do for a user, on ports and a state directory of
their own, at thirty times real time.
"""

from __future__ import annotations

import json
import os
import re
import signal
import socket
import subprocess
import sys
import time
import urllib.error
import urllib.request
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest

from ems.domain.points import PointId
from ems.store import open_store

ROOT = Path(__file__).parents[2]
SPEED = 30


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


def own_config(folder: Path) -> Path:
    """The demonstration's configuration with gateways on free ports."""
    demo = ROOT / "config/demo"
    text = (demo / "estate.yaml").read_text(encoding="utf-8")
    for port in re.findall(r"port: (\d+)", text):
        text = text.replace(f"port: {port}", f"port: {free_port()}")
    for name in ("data", "../devices", "../rules"):
        (folder / Path(name).name).symlink_to((demo / name).resolve())
    text = text.replace("../devices", "devices").replace("../rules/", "rules/")
    (folder / "field.yaml").write_text((demo / "field.yaml").read_text(encoding="utf-8"))
    config = folder / "estate.yaml"
    config.write_text(text, encoding="utf-8")
    return config


@dataclass
class Demo:
    """A running demonstration."""

    process: subprocess.Popen[str]
    state: Path
    address: str

    def healthz(self) -> tuple[int, dict[str, Any]]:
        try:
            with urllib.request.urlopen(f"{self.address}/healthz", timeout=5) as reply:  # noqa: S310 - our own address
                return reply.status, json.load(reply)
        except urllib.error.HTTPError as error:
            return error.code, json.load(error)
        except OSError:
            return 0, {}

    def pid(self, name: str) -> int:
        try:
            return int((self.state / "pids" / name).read_text() or 0)
        except FileNotFoundError:
            return 0

    def until_well(self, wall_s: float = 60.0) -> dict[str, Any]:
        said: tuple[int, dict[str, Any]] = (0, {})

        def well() -> bool:
            nonlocal said
            said = self.healthz()
            return said[0] == 200

        try:
            until(well, wall_s)
        except AssertionError:
            raise AssertionError(f"not well after {wall_s:g} s: {said}") from None
        return said[1]


def until(condition: Callable[[], bool], wall_s: float) -> None:
    end = time.monotonic() + wall_s
    while time.monotonic() < end:
        if condition():
            return
        time.sleep(0.2)
    raise AssertionError(f"the awaited state did not come within {wall_s:g} s")


@pytest.fixture(scope="module")
def demo(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Demo]:
    folder = tmp_path_factory.mktemp("demo")
    config, state, port = own_config(folder), folder / "state", free_port()
    command = [sys.executable, "-m", "ems.cli", "demo", "--config", str(config)]
    command += ["--state", str(state), "--port", str(port), "--speed", str(SPEED)]
    process = subprocess.Popen(
        [*command, "--history-days", "3"], stdout=subprocess.PIPE, text=True, cwd=folder
    )
    running = Demo(process, state, f"http://127.0.0.1:{port}")
    try:
        until(lambda: running.healthz()[0] != 0, 90.0)
        yield running
    finally:
        process.send_signal(signal.SIGINT)
        output, _ = process.communicate(timeout=60)
        (folder / "output.txt").write_text(output)
    assert process.returncode == 0, output
    assert "operator" in output
    assert not (state / "pids").exists() or list((state / "pids").iterdir()) == []


def test_within_a_minute_of_the_first_page_all_is_well(demo: Demo) -> None:
    health = demo.until_well(60.0)
    assert health["devices_online"] == health["devices_total"] == 154
    assert health["setpoints_confirmed"] == 42
    assert health["plan_age_s"] is not None


@pytest.mark.parametrize("name", ["control", "guard", "field", "web"])
def test_a_killed_process_comes_back_and_the_others_go_on(demo: Demo, name: str) -> None:
    demo.until_well()
    before = {other: demo.pid(other) for other in ("control", "guard", "field", "web")}
    os.kill(before[name], signal.SIGKILL)
    until(lambda: demo.pid(name) not in {before[name], 0}, 20.0)
    for other, pid in before.items():
        if other != name:
            assert demo.pid(other) == pid
    time.sleep(3.0)
    demo.until_well()


def test_no_committed_reading_is_lost_when_control_is_killed(demo: Demo) -> None:
    demo.until_well()
    store = open_store(demo.state / "store.sqlite")
    power = PointId("A-meter", "power_w")
    now = store.heartbeats()["control"].at
    start = now - timedelta(minutes=5)
    before = store.readings(power, start, now)
    assert len(before) > 3
    killed = demo.pid("control")
    os.kill(killed, signal.SIGKILL)
    until(lambda: demo.pid("control") not in {killed, 0}, 20.0)
    demo.until_well()
    after = store.readings(power, start, now)
    assert after.loc[before.index].equals(before)
    later = store.readings(power, now, now + timedelta(hours=2))
    assert len(later) > 0
    store.close()


def test_a_second_control_process_is_refused(demo: Demo) -> None:
    demo.until_well()
    config = demo.state.parent / "estate.yaml"
    second = subprocess.run(
        [sys.executable, "-m", "ems.cli", "serve", "--config", config, "--state", demo.state],
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    assert second.returncode == 75
    assert "another control process" in second.stderr


def test_the_command_line_shows_the_running_estate(demo: Demo) -> None:
    demo.until_well()
    config = demo.state.parent / "estate.yaml"

    def ems(*arguments: str) -> str:
        where = ["--config", str(config), "--state", str(demo.state)]
        done = subprocess.run(
            [sys.executable, "-m", "ems.cli", *arguments, *where],
            capture_output=True,
            text=True,
            timeout=60,
            check=True,
        )
        return done.stdout

    assert json.loads(ems("status", "--json"))["devices_online"] == 154
    plans = json.loads(ems("plan", "show", "--json"))
    assert [plan["block"] for plan in plans] == ["A", "B"]
    assert len(plans[0]["homes"]) == 20
    setpoints = json.loads(ems("setpoints", "--json"))
    assert any(one["outcome"] == "Applied" for one in setpoints)
    readings = json.loads(ems("readings", "--device", "A-07-room", "--json"))
    by_point = {one["point"]: one for one in readings}
    assert 10 < by_point["temperature_c"]["value"] < 30
    age = datetime.now(UTC)
    assert age > datetime.fromisoformat(by_point["temperature_c"]["observed_at"])
    assert "heat kW" in ems("plan", "show", "--home", "A-07")


def test_a_fault_is_seen_and_its_end_too(demo: Demo) -> None:
    demo.until_well()
    config = demo.state.parent / "estate.yaml"
    base = [sys.executable, "-m", "ems.cli", "field", "fault"]
    target = ["A-07-room", "dead"]
    subprocess.run(
        [*base, "set", *target, "--config", config, "--state", demo.state], check=True, timeout=30
    )
    until(lambda: demo.healthz()[1].get("devices_online") == 153, 60.0)
    assert demo.healthz()[0] == 503
    subprocess.run([*base, "clear", *target, "--state", demo.state], check=True, timeout=30)
    demo.until_well()
