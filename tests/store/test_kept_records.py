"""Records: any frozen dataclass under a key, with revisions and a cursor."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

import pytest

from ems.domain.errors import RetryableError
from ems.domain.wishes import Wish, WishKind

START = datetime(2023, 12, 1, tzinfo=UTC)


def wish(home: str = "A-07", kelvin: float = 21.0) -> Wish:
    return Wish(home, WishKind.ROOM, kelvin, START + timedelta(hours=2))


def test_a_record_comes_back_as_it_was_kept(store):
    assert store.keep(wish(), key="w1", subject="A-07", at=START) == 1
    kept = store.kept(Wish, "w1")
    assert kept.record == wish()
    assert (kept.key, kept.subject, kept.at, kept.revision) == ("w1", "A-07", START, 1)
    assert store.kept(Wish, "w2") is None


def test_a_writer_cannot_overwrite_what_it_has_not_seen(store):
    store.keep(wish(), key="w1", subject="A-07", at=START, expected=0)
    with pytest.raises(RetryableError, match="changed meanwhile"):
        store.keep(wish(kelvin=25.0), key="w1", subject="A-07", at=START, expected=0)
    assert store.kept(Wish, "w1").record == wish()
    assert store.keep(wish(kelvin=22.0), key="w1", subject="A-07", at=START, expected=1) == 2


def test_a_cursor_sees_each_change_once_and_in_order(store):
    for number, home in enumerate(("A-01", "A-02", "A-03")):
        store.keep(wish(home), key=home, subject=home, at=START + timedelta(hours=number))
    first = store.all_kept(Wish)
    assert [kept.key for kept in first] == ["A-01", "A-02", "A-03"]
    store.keep(wish("A-01", 23.0), key="A-01", subject="A-01", at=START)
    later = store.all_kept(Wish, after=first[-1].sequence)
    assert [(kept.key, kept.revision) for kept in later] == [("A-01", 2)]
    assert [k.key for k in store.all_kept(Wish, subject="A-02")] == ["A-02"]
    assert [k.key for k in store.all_kept(Wish, since=START + timedelta(hours=2))] == ["A-03"]


def test_a_forgotten_record_is_gone_and_its_sequence_is_never_used_again(store):
    store.keep(wish(), key="w1", subject="A-07", at=START)
    before = store.kept(Wish, "w1").sequence
    assert store.forget(Wish, "w1")
    assert not store.forget(Wish, "w1")
    assert store.keep(wish(), key="w1", subject="A-07", at=START) == 1
    assert store.kept(Wish, "w1").sequence > before
