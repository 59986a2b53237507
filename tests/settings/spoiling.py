"""Ways to spoil a copied configuration."""

from __future__ import annotations

import gzip
from collections.abc import Callable
from pathlib import Path

from .conftest import Site

Case = tuple[Callable[[Site], None], str, str, str]
"""What was done to the file; where the fault is; words of the problem; of the remedy."""


def swap(old: str, new: str) -> Callable[[Site], None]:
    return lambda site: site.replace(old, new)


def edit_prices(site: Site, edit: Callable[[list[str]], list[str]]) -> None:
    path = site.own_copy("tariff_dynamic.csv.gz")
    header, *rows = gzip.decompress(path.read_bytes()).decode().splitlines()
    path.write_bytes(gzip.compress("\n".join([header, *edit(rows), ""]).encode(), 1))


def truncate(path: Path) -> None:
    content = path.read_bytes()
    path.write_bytes(content[: len(content) // 2])


def drop_point(path: Path, point: str) -> None:
    lines = path.read_text(encoding="utf-8").splitlines()
    start = next(i for i, line in enumerate(lines) if line.strip().startswith(f"{point}:"))
    indent = len(lines[start]) - len(lines[start].lstrip())
    end = start + 1
    while end < len(lines) and len(lines[end]) - len(lines[end].lstrip()) > indent:
        end += 1
    path.write_text("\n".join([*lines[:start], *lines[end:], ""]), encoding="utf-8")


def drop_band(path: Path, band: str) -> None:
    lines = path.read_text(encoding="utf-8").splitlines()
    kept = [line for line in lines if not line.startswith(f"  {band}:")]
    assert len(kept) == len(lines) - 1
    path.write_text("\n".join([*kept, ""]), encoding="utf-8")


def cut_homes(site: Site, instead: str) -> None:
    before, found, _ = site.file.read_text(encoding="utf-8").rpartition("  dwellings:\n")
    assert found
    site.file.write_text(before + instead, encoding="utf-8")
