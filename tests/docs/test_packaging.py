"""What is installed is what the tree holds: no package and no page is forgotten."""

from __future__ import annotations

import subprocess
import tomllib
from pathlib import Path

ROOT = Path(__file__).parents[2]
TOP = ("controllers", "drivers", "ems", "ext", "forecasting", "web")
SETTINGS = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["tool"]


def tracked() -> list[Path]:
    listed = subprocess.run(
        ["git", "ls-files", "-z", *TOP], cwd=ROOT, capture_output=True, check=True, text=True
    ).stdout
    return [Path(name) for name in listed.split("\0") if name and (ROOT / name).exists()]


def test_every_package_is_listed() -> None:
    packages = {".".join(path.parent.parts) for path in tracked() if path.suffix == ".py"}
    assert sorted(packages) == SETTINGS["setuptools"]["packages"]


def test_every_data_file_is_shipped() -> None:
    shipped = {
        path.relative_to(ROOT)
        for package, patterns in SETTINGS["setuptools"]["package-data"].items()
        for pattern in patterns
        for path in ROOT.joinpath(*package.split(".")).glob(pattern)
    }
    data = {path for path in tracked() if path.suffix != ".py"}
    assert data
    assert data - shipped == set()


def test_every_import_root_is_checked() -> None:
    assert set(SETTINGS["importlinter"]["root_packages"]) == set(TOP)
    assert set(SETTINGS["mypy"]["packages"]) == set(TOP)
