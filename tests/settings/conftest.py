"""A copy of the demonstration's configuration that a test may spoil."""

from __future__ import annotations

import gzip
import shutil
from collections.abc import Callable
from pathlib import Path

import pytest

from ems.domain.errors import ConfigurationError, Fault
from ems.settings import load_estate

ROOT = Path(__file__).parents[2]
DEMO = ROOT / "config" / "demo" / "estate.yaml"


def first_days() -> bytes:
    """Return the demonstration's prices of its first three days, for speed."""
    packed = (DEMO.parent / "data" / "tariff_dynamic.csv.gz").read_bytes()
    header, *rows = gzip.decompress(packed).decode().splitlines()
    days = [row for row in rows if "2023-12-01" <= row[:10] <= "2023-12-03"]
    assert len(days) == 144
    return gzip.compress("\n".join([header, *days, ""]).encode())


FIRST_DAYS = first_days()


class Site:
    """A folder laid out like ``config/``, with the demonstration's estate file in it."""

    def __init__(self, folder: Path) -> None:
        self.file = folder / "demo" / "estate.yaml"
        self.data = folder / "demo" / "data"
        self.devices = folder / "devices"
        self.rules = folder / "rules"
        self.data.mkdir(parents=True)
        for name in ("weather.csv.gz", "carbon.csv.gz", "holidays.yaml"):
            (self.data / name).symlink_to(DEMO.parent / "data" / name)
        (self.data / "tariff_dynamic.csv.gz").write_bytes(FIRST_DAYS)
        shutil.copytree(ROOT / "config" / "devices", self.devices)
        shutil.copytree(ROOT / "config" / "rules", self.rules)
        shutil.copy(DEMO, self.file)

    def replace(self, old: str, new: str, *, everywhere: bool = False) -> None:
        """Change the estate file's text; the old text must be there."""
        text = self.file.read_text(encoding="utf-8")
        assert old in text, f"the demonstration's file has no {old!r}"
        self.file.write_text(text.replace(old, new, -1 if everywhere else 1), encoding="utf-8")

    def own_copy(self, name: str) -> Path:
        """Turn a linked data file into a copy that may be changed."""
        path = self.data / name
        content = path.read_bytes()
        path.unlink()
        path.write_bytes(content)
        return path

    def faults(self) -> tuple[Fault, ...]:
        """Load the estate and return its faults; none where it is well."""
        try:
            load_estate(self.file)
        except ConfigurationError as error:
            assert error.faults, "an error must name at least one fault"
            return error.faults
        return ()


@pytest.fixture
def site(tmp_path: Path) -> Site:
    return Site(tmp_path)


@pytest.fixture(scope="session")
def make_site(tmp_path_factory: pytest.TempPathFactory) -> Callable[[], Site]:
    return lambda: Site(tmp_path_factory.mktemp("site"))
