"""Random faults for a while: nothing wrong is believed, everybody is found again, nothing grows.

The field of ``soak.py`` knows the truth. Twenty seconds here, an hour in long runs.
"""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import pytest

HERE = Path(__file__).parent


def _lived_through(seconds: int, seed: int) -> dict[str, object]:
    ran = subprocess.run(
        [sys.executable, HERE / "soak.py", "--seconds", str(seconds), "--seed", str(seed)],
        capture_output=True,
        text=True,
        check=False,
    )
    assert ran.returncode == 0, ran.stderr
    report = json.loads(ran.stdout)
    build = HERE.parents[1] / "build"
    build.mkdir(exist_ok=True)
    (build / f"soak-{seconds}-s.json").write_text(json.dumps(report, indent=1) + "\n")
    return report


def _holds(report: dict[str, object]) -> None:
    assert report["wrong"] == []
    assert report["stale_late"] == []
    assert report["outside"] == []
    assert report["missed"] == []
    assert report["missing_at_end"] == []
    assert report["rounds"] > 0
    assert sum(report["faults"].values()) > 0
    assert report["readings"]["GOOD"] > report["rounds"]


def test_random_faults_do_no_harm():
    _holds(_lived_through(20, seed=1))


@pytest.mark.long
@pytest.mark.timeout(5400)
def test_random_faults_do_no_harm_for_an_hour_and_memory_stays_flat():
    report = _lived_through(3600, seed=2)
    _holds(report)
    assert set(report["outcomes"]) >= {"Applied", "OutOfBounds", "Unreachable"}
    assert set(report["readings"]) == {"GOOD", "STALE", "SENTINEL", "OUT_OF_RANGE", "NO_ANSWER"}
    assert report["growth_pct"] < 5.0
