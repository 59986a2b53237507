"""``ems accounts`` and ``ems web``: people are added by command; the server starts and ends."""

from __future__ import annotations

import json
import os
import signal
import socket
import subprocess
import sys
import time
import urllib.error
import urllib.request
from pathlib import Path

import pytest
from click.testing import CliRunner

from ems.cli.web import accounts
from ems.domain.errors import InvalidInputError
from ems.domain.time import AnchoredClock
from ems.settings.clock import write_anchor
from ems.store.accounts import Role, User, open_accounts

ROOT = Path(__file__).parents[2]
CONFIG = ROOT / "config" / "demo" / "estate.yaml"
WORDS = "four plain words here"
ESTATE = ["--config", str(CONFIG)]


def run(state: Path, *args: str, secret: str = WORDS):
    return CliRunner(env={"HEARTH_PASSWORD": secret}).invoke(
        accounts, [args[0], "--state", str(state), *args[1:]]
    )


def test_people_are_added_listed_and_removed(tmp_path) -> None:
    assert run(tmp_path, "add", *ESTATE, "olive", "--role", "operator").exit_code == 0
    added = run(tmp_path, "add", *ESTATE, "tess", "--role", "tenant", "--home", "A-07")
    assert "tess may sign in as tenant of A-07." in added.output
    listed = json.loads(run(tmp_path, "list", "--json").output)
    assert listed == [
        {"name": "olive", "role": "operator", "home": None},
        {"name": "tess", "role": "tenant", "home": "A-07"},
    ]
    found = open_accounts(tmp_path).verify("tess", WORDS)
    assert found == User("tess", Role.TENANT, "A-07")
    assert run(tmp_path, "remove", "tess").exit_code == 0
    assert [user.name for user in open_accounts(tmp_path).users()] == ["olive"]


@pytest.mark.parametrize(
    ("args", "password", "field"),
    [
        (
            ["add", *ESTATE, "ann", "--role", "tenant", "--home", "Z-1"],
            "four plain words",
            "--home",
        ),
        (["add", *ESTATE, "ann", "--role", "tenant"], "four plain words", "dwelling_id"),
        (["add", *ESTATE, "ann", "--role", "operator"], "short", "password"),
        (["remove", "nobody"], "four plain words", "name"),
    ],
)
def test_what_does_not_fit_is_refused_with_a_remedy(tmp_path, args, password, field) -> None:
    refused = run(tmp_path, *args, secret=password).exception
    assert isinstance(refused, InvalidInputError)
    assert refused.field == field
    assert refused.remedy


def _free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


def _get(url: str) -> tuple[int, str]:
    try:
        with urllib.request.urlopen(url, timeout=5) as answer:  # noqa: S310 - our own server
            return answer.status, answer.read().decode()
    except urllib.error.HTTPError as error:
        return error.code, error.read().decode()


def test_the_server_answers_until_it_is_told_to_end(tmp_path, estate) -> None:
    write_anchor(tmp_path, AnchoredClock(estate.starts_at, time.time(), 1.0))
    port = _free_port()
    command = [sys.executable, "-m", "ems.cli", "web", *ESTATE]
    process = subprocess.Popen(
        [*command, "--state", str(tmp_path), "--port", str(port)],
        cwd=ROOT,
        env={**os.environ, "PYTHONUNBUFFERED": "1"},
        stderr=subprocess.PIPE,
    )
    try:
        status = 0
        while status == 0 and process.poll() is None:
            try:
                status, body = _get(f"http://127.0.0.1:{port}/healthz")
            except OSError:
                time.sleep(0.1)
        assert status == 503
        assert json.loads(body)["devices_total"] == len(estate.devices)
        assert _get(f"http://127.0.0.1:{port}/estate")[0] == 200
        second = subprocess.run(
            [*command, "--state", str(tmp_path), "--port", str(port)],
            cwd=ROOT,
            capture_output=True,
            text=True,
            check=False,
        )
        assert second.returncode == 2
        assert "choose another port" in second.stderr
        process.send_signal(signal.SIGTERM)
        assert process.wait(timeout=20) == 0
    finally:
        process.kill()
        process.communicate()
