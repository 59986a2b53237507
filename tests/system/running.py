"""The demonstration as a user runs it, on ports and a state directory of its own."""

from __future__ import annotations

import asyncio
import json
import os
import re
import shutil
import signal
import socket
import subprocess
import sys
import time
import urllib.error
import urllib.request
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from selenium import webdriver
from selenium.webdriver.chrome.service import Service
from selenium.webdriver.common.by import By

from drivers import open_bus
from ems.domain.points import PointId
from ems.settings import load_estate

ROOT = Path(__file__).parents[2]
PATIENCE_S = 120.0
"""Before a wait is given up: a busy machine may need it, a healthy estate never does."""


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


def own_config(folder: Path, starts_at: str = "") -> Path:
    """The demonstration's configuration with gateways on free ports, at another time if given."""
    demo = ROOT / "config/demo"
    text = (demo / "estate.yaml").read_text(encoding="utf-8")
    for port in re.findall(r"port: (\d+)", text):
        text = text.replace(f"port: {port}", f"port: {free_port()}")
    if starts_at:
        text, count = re.subn(r"starts_at: \S+", f"starts_at: {starts_at}", text)
        assert count == 1
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

    @property
    def config(self) -> Path:
        return self.state.parent / "estate.yaml"

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

    def until_well(self, wall_s: float = PATIENCE_S) -> dict[str, Any]:
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


def until(
    condition: Callable[[], bool], wall_s: float = PATIENCE_S, *, pause_s: float = 0.2
) -> None:
    end = time.monotonic() + wall_s
    while time.monotonic() < end:
        if condition():
            return
        time.sleep(pause_s)
    raise AssertionError(f"the awaited state did not come within {wall_s:g} s")


@contextmanager
def demonstration(folder: Path, speed: float, starts_at: str = "") -> Iterator[Demo]:
    """Run field, control, guard and web as ``ems demo`` does; end them and look how they ended."""
    config, state, port = own_config(folder, starts_at), folder / "state", free_port()
    command = [sys.executable, "-m", "ems.cli", "demo", "--config", str(config)]
    command += ["--state", str(state), "--port", str(port), "--speed", str(speed)]
    process = subprocess.Popen(
        [*command, "--history-days", "3"], stdout=subprocess.PIPE, text=True, cwd=folder
    )
    running = Demo(process, state, f"http://127.0.0.1:{port}")
    try:
        until(lambda: running.healthz()[0] != 0)
        yield running
    finally:
        process.send_signal(signal.SIGCONT)
        process.send_signal(signal.SIGINT)
        output, _ = process.communicate(timeout=60)
        (folder / "output.txt").write_text(output)
    assert process.returncode == 0, output
    assert "operator" in output
    assert not (state / "pids").exists() or list((state / "pids").iterdir()) == []


def ems(demo: Demo, *arguments: str, password: str = "") -> str:
    """Run a command on the running demonstration."""
    where = ["--config", str(demo.config), "--state", str(demo.state)]
    done = subprocess.run(
        [sys.executable, "-m", "ems.cli", *arguments, *where],
        capture_output=True,
        text=True,
        timeout=PATIENCE_S,
        check=True,
        env={**os.environ, "HEARTH_PASSWORD": password},
    )
    return done.stdout


def register(demo: Demo, device_id: str) -> float:
    """What a heat pump's register holds, read over Modbus by a reader of its own."""

    async def read() -> float:
        estate = load_estate(demo.config)
        bus = open_bus(estate)
        try:
            point = PointId(device_id, "room_setpoint_c")
            (reading,) = await bus.look([point], datetime.now(UTC))
            return reading.value
        finally:
            await bus.close()

    return asyncio.run(read())


@contextmanager
def headless(folder: Path) -> Iterator[webdriver.Chrome]:
    """A fresh headless Chromium that keeps its profile in ``folder``."""
    options = webdriver.ChromeOptions()
    options.binary_location = shutil.which("chromium") or "/usr/bin/chromium"
    for flag in ("--headless", "--no-sandbox", "--disable-gpu", f"--user-data-dir={folder}"):
        options.add_argument(flag)
    driver = shutil.which("chromedriver") or "/usr/bin/chromedriver"
    browser = webdriver.Chrome(options=options, service=Service(driver))
    try:
        yield browser
    finally:
        browser.quit()


def sign_in(browser: webdriver.Chrome, demo: Demo, name: str, password: str) -> None:
    """Sign in by the form, and wait until the first page is there."""
    browser.get(f"{demo.address}/sign-in")
    browser.find_element(By.ID, "name").send_keys(name)
    browser.find_element(By.ID, "password").send_keys(password)
    browser.find_element(By.CSS_SELECTOR, "main button").click()
    until(lambda: "/sign-in" not in browser.current_url)
