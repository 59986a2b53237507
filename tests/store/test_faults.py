"""A file that is damaged, newer, foreign, out of reach or full is named, with the remedy."""

import sqlite3
import stat
from datetime import UTC, datetime, timedelta

import pytest

from ems.domain.errors import HearthError, InvalidInputError, PermanentError, RetryableError
from ems.domain.points import PointId
from ems.domain.readings import Reading
from ems.store import (
    StoreBusyError,
    StoreClosedError,
    StoreCorruptError,
    StoreFullError,
    StoreUnreadableError,
    StoreVersionError,
    open_store,
)

START = datetime(2023, 1, 5, tzinfo=UTC)
POINT = PointId("A-01-meter", "power_w")


def readings(count, first=0):
    return [
        Reading(POINT, START + timedelta(seconds=number), float(number))
        for number in range(first, first + count)
    ]


def assert_helpful(error: HearthError, path) -> None:
    assert error.remedy
    assert error.value == str(path)
    assert str(path) in str(error)


def test_the_file_is_for_its_owner_alone_and_opens_again(path):
    with open_store(path) as store:
        store.add_readings(readings(3))
    assert stat.S_IMODE(path.stat().st_mode) == 0o600
    with open_store(path) as store:
        assert len(store.readings(POINT, START, START + timedelta(hours=1))) == 3
        assert store.path == path


def test_text_instead_of_a_database(path):
    path.write_text("This is not a database, whatever its name says. " * 100)
    with pytest.raises(StoreCorruptError, match="not a database") as caught:
        open_store(path)
    assert_helpful(caught.value, path)
    assert path.read_text().startswith("This is not")


def test_a_page_that_was_overwritten(path):
    with open_store(path) as store:
        store.add_readings(readings(20_000))
    with sqlite3.connect(path) as raw:
        raw.execute("PRAGMA wal_checkpoint(TRUNCATE)")
    raw.close()
    size = path.stat().st_size
    with path.open("r+b") as file:
        file.seek(size // 2)
        file.write(b"\xff" * (size // 4))
    with open_store(path) as store, pytest.raises(StoreCorruptError) as caught:
        store.roll_up(START + timedelta(days=1))
    assert_helpful(caught.value, path)
    assert isinstance(caught.value, PermanentError)


def test_a_file_cut_short(path):
    with open_store(path) as store:
        store.add_readings(readings(20_000))
    with path.open("r+b") as file:
        file.truncate(path.stat().st_size // 2)
    with pytest.raises(StoreCorruptError), open_store(path) as store:
        store.readings(POINT, START, START + timedelta(days=1))


def test_a_newer_version_is_left_alone(path):
    open_store(path).close()
    with sqlite3.connect(path) as raw:
        raw.execute("PRAGMA user_version = 99")
    raw.close()
    with pytest.raises(StoreVersionError, match="version 99") as caught:
        open_store(path)
    assert_helpful(caught.value, path)


def test_another_programs_database_is_left_alone(path):
    with sqlite3.connect(path) as raw:
        raw.execute("CREATE TABLE photos (name TEXT)")
    raw.close()
    with pytest.raises(StoreUnreadableError, match="not Hearth's store") as caught:
        open_store(path)
    assert_helpful(caught.value, path)
    with sqlite3.connect(path) as raw:
        assert raw.execute("SELECT name FROM sqlite_schema").fetchall() == [("photos",)]
    raw.close()


@pytest.mark.parametrize("name", ["no/such/folder/store.sqlite", "."])
def test_a_place_that_cannot_hold_it(tmp_path, name):
    path = tmp_path / name
    with pytest.raises(StoreUnreadableError) as caught:
        open_store(path)
    assert_helpful(caught.value, path)


def test_a_full_store_refuses_whole_batches_and_keeps_what_it_has(path):
    with open_store(path, max_bytes=400_000) as store:
        kept = 0
        with pytest.raises(StoreFullError) as caught:
            while True:
                store.add_readings(readings(500, kept))
                kept += 500
        assert_helpful(caught.value, path)
        assert kept > 0
        assert len(store.readings(POINT, START, START + timedelta(days=1))) == kept
    with open_store(path) as store:
        store.add_readings(readings(500, kept))
        assert len(store.readings(POINT, START, START + timedelta(days=1))) == kept + 500


def test_a_store_that_another_holds_is_busy_for_now(path):
    with open_store(path, busy_s=0.05) as store:
        other = sqlite3.connect(path, isolation_level=None)
        other.execute("BEGIN IMMEDIATE")
        with pytest.raises(StoreBusyError) as caught:
            store.add_readings(readings(1))
        assert isinstance(caught.value, RetryableError)
        assert_helpful(caught.value, path)
        assert store.latest() == {}, "reading goes on meanwhile"
        other.execute("ROLLBACK")
        other.close()
        store.add_readings(readings(1))
        assert len(store.latest()) == 1


def test_a_failed_batch_leaves_no_trace_not_even_a_number_for_its_point(store):
    with pytest.raises(OverflowError):
        store.add_readings([Reading(POINT, START, 1.0), Reading(POINT, START, 1.0, 2**70)])
    assert store.latest() == {}
    other = PointId("B-01-meter", "power_w")
    store.add_readings([Reading(other, START, 5.0)])
    assert list(store.latest()) == [other]
    assert store.readings(POINT, START, START + timedelta(hours=1)).empty


def test_a_closed_store_says_so(path):
    store = open_store(path)
    store.close()
    store.close()
    with pytest.raises(StoreClosedError, match="closed") as caught:
        store.latest()
    assert_helpful(caught.value, path)


def test_values_that_hold_longer_than_a_half_hour_are_refused(path):
    with pytest.raises(InvalidInputError, match="max_hold_s"):
        open_store(path, max_hold_s=3600)
    assert not path.exists()
