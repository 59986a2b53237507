"""The examples of ``docs/library.md`` run as they stand, and its names are those exported."""

from __future__ import annotations

import os
import re
import subprocess
import sys
from pathlib import Path

import forecasting

ROOT = Path(__file__).parents[2]
LIBRARY = (ROOT / "docs" / "library.md").read_text(encoding="utf-8")
EXAMPLE = re.compile(r"```python\n(.*?)```", re.S)


def test_all_examples_run_one_after_the_other_in_a_program_of_their_own() -> None:
    program = "\n".join(EXAMPLE.findall(LIBRARY))
    assert "forecast_meters(" in program
    done = subprocess.run(
        [sys.executable, "-c", program],
        cwd=ROOT,
        env={**os.environ, "PYTHONPATH": str(ROOT)},
        capture_output=True,
        text=True,
        timeout=240,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    assert "p90_w" in done.stdout


def test_every_exported_name_exists_is_described_and_is_imported_only_when_asked_for() -> None:
    part = LIBRARY.split("## Forecasting")[1].split("\n## ")[0]
    for name in forecasting.__all__:
        assert getattr(forecasting, name) is not None
        assert f"`{name}`" in part, f"docs/library.md does not describe forecasting.{name}"
    program = "import sys, forecasting; assert 'sklearn' not in sys.modules"
    subprocess.run([sys.executable, "-c", program], cwd=ROOT, check=True)
