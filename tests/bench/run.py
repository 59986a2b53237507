"""Measure, print a table and write ``build/bench.json``.

``python tests/bench/run.py`` runs every area; ``--area store`` only that one, whose
rows then replace the area's rows in the file. The exit status is 0 even where a
target is missed: the table says so, and the reader decides.
"""

from __future__ import annotations

import argparse
import importlib
import json
import os
import platform
import sys
from pathlib import Path
from typing import Any

HERE = Path(__file__).resolve().parent
REPORT = HERE.parents[1] / "build" / "bench.json"


def main() -> int:
    """Run the benches that the command line names."""
    areas = sorted(path.stem.removeprefix("bench_") for path in HERE.glob("bench_*.py"))
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else None)
    parser.add_argument("--area", action="append", choices=areas, help="only this area")
    wanted = parser.parse_args().area or areas
    sys.path.insert(0, str(HERE))
    measured: list[dict[str, Any]] = []
    print(f"Python {platform.python_version()}, {os.cpu_count()} cores, {platform.machine()}\n")
    print(_line("area", "what", "value", "unit", "target", "holds", "peer"))
    for area in wanted:
        for row in importlib.import_module(f"bench_{area}").rows():
            plain = row.as_json()
            measured.append(plain)
            print(_printed(plain), flush=True)
    others = [row for row in _earlier() if row["area"] in set(areas) - set(wanted)]
    REPORT.parent.mkdir(exist_ok=True)
    REPORT.write_text(json.dumps(others + measured, indent=1) + "\n")
    print(f"\n{len(measured)} rows in {REPORT.relative_to(HERE.parents[1])}")
    return 0


def _earlier() -> list[dict[str, Any]]:
    try:
        rows: list[dict[str, Any]] = json.loads(REPORT.read_text())
    except (FileNotFoundError, json.JSONDecodeError):
        return []
    return rows


def _printed(row: dict[str, Any]) -> str:
    holds = {True: "yes", False: "NO", None: ""}[row["holds"]]
    peer = "" if row["peer"] is None else f"{row['peer']}: {_figure(row['peer_value'])}"
    return _line(
        row["area"],
        row["name"],
        _figure(row["value"]),
        row["unit"],
        row["target"] or "",
        holds,
        peer,
    )


def _figure(value: float | None) -> str:
    return "" if value is None else f"{value:,.0f}" if abs(value) >= 1000 else f"{value:.4g}"


def _line(area: str, name: str, value: str, unit: str, target: str, holds: str, peer: str) -> str:
    return f"{area:<10} {name:<76} {value:>10} {unit:<11} {target:>8} {holds:<5} {peer}".rstrip()


if __name__ == "__main__":
    raise SystemExit(main())
