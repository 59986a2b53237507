"""A store in a fresh folder, and small helpers to fill it."""

from datetime import UTC, datetime

import pytest

from ems.store import open_store

START = datetime(2023, 1, 5, tzinfo=UTC)


@pytest.fixture
def path(tmp_path):
    return tmp_path / "store.sqlite"


@pytest.fixture
def store(path):
    with open_store(path) as opened:
        yield opened
