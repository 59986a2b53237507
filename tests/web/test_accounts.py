"""Who may sign in: passwords are kept as hashes, failures slow guessing, sessions end."""

from __future__ import annotations

import sqlite3
from pathlib import Path

import pytest
from argon2 import PasswordHasher

from ems.domain.errors import InvalidInputError
from ems.store.accounts import (
    FAILURE_WINDOW_S,
    FAILURES_ALLOWED,
    IDLE_S,
    LONGEST_S,
    Accounts,
    Refusal,
    Role,
    User,
)

PASSWORD = "four plain words here"


class Wall:
    """Wall time that a test moves."""

    def __init__(self) -> None:
        self.now = 1_700_000_000.0

    def __call__(self) -> float:
        return self.now


@pytest.fixture
def wall() -> Wall:
    return Wall()


@pytest.fixture
def accounts(tmp_path: Path, wall: Wall) -> Accounts:
    quick = PasswordHasher(time_cost=1, memory_cost=64, parallelism=1)
    made = Accounts(tmp_path / "accounts.sqlite", wall, quick)
    made.upsert_user("Olive", PASSWORD, Role.OPERATOR)
    made.upsert_user("tess", PASSWORD, Role.TENANT, "A-07")
    return made


def test_the_right_password_finds_the_person_whatever_the_case_of_the_name(accounts) -> None:
    assert accounts.verify("OLIVE ", PASSWORD) == User("olive", Role.OPERATOR)
    assert accounts.verify("tess", PASSWORD) == User("tess", Role.TENANT, "A-07")


def test_a_wrong_password_and_an_unknown_name_read_the_same(accounts) -> None:
    assert accounts.verify("olive", PASSWORD.upper()) is Refusal.WRONG
    assert accounts.verify("nobody", PASSWORD) is Refusal.WRONG


def test_the_file_holds_argon2_hashes_and_no_password_or_token(accounts, tmp_path) -> None:
    token = accounts.open_session("olive")
    with sqlite3.connect(tmp_path / "accounts.sqlite") as connection:
        hashes = [row[0] for row in connection.execute("SELECT password_hash FROM users")]
        dump = "\n".join(connection.iterdump())
    assert all(one.startswith("$argon2id$") for one in hashes)
    assert PASSWORD not in dump
    assert token not in dump
    assert (tmp_path / "accounts.sqlite").stat().st_mode & 0o077 == 0


def test_many_failures_close_a_name_for_a_while_even_to_the_right_password(accounts, wall) -> None:
    for _ in range(FAILURES_ALLOWED):
        assert accounts.verify("tess", "a wrong password") is Refusal.WRONG
    assert accounts.verify("tess", PASSWORD) is Refusal.TOO_MANY
    assert isinstance(accounts.verify("olive", PASSWORD), User)
    wall.now += FAILURE_WINDOW_S + 1
    assert isinstance(accounts.verify("tess", PASSWORD), User)


def test_a_success_forgives_earlier_failures(accounts) -> None:
    for _ in range(FAILURES_ALLOWED - 1):
        accounts.verify("tess", "a wrong password")
    assert isinstance(accounts.verify("tess", PASSWORD), User)
    assert accounts.verify("tess", "a wrong password") is Refusal.WRONG
    assert isinstance(accounts.verify("tess", PASSWORD), User)


def test_a_session_ends_when_nothing_is_asked_for(accounts, wall) -> None:
    token = accounts.open_session("tess")
    wall.now += IDLE_S - 1
    assert accounts.session_user(token) == User("tess", Role.TENANT, "A-07")
    wall.now += IDLE_S - 1
    assert accounts.session_user(token) is not None
    wall.now += IDLE_S + 1
    assert accounts.session_user(token) is None
    wall.now -= IDLE_S
    assert accounts.session_user(token) is None


def test_a_refresh_is_no_activity(accounts, wall) -> None:
    token = accounts.open_session("tess")
    for _ in range(3):
        wall.now += IDLE_S / 3 - 1
        assert accounts.session_user(token, touch=False) is not None
    wall.now += 10
    assert accounts.session_user(token, touch=False) is None


def test_a_session_ends_after_its_longest_time_however_busy(accounts, wall) -> None:
    token = accounts.open_session("olive")
    for _ in range(int(LONGEST_S // 1200)):
        wall.now += 1200
        assert accounts.session_user(token) is not None
    wall.now += 1
    assert accounts.session_user(token) is None


def test_signing_out_a_new_password_and_removal_end_sessions(accounts) -> None:
    first, second, third = (accounts.open_session("tess") for _ in range(3))
    accounts.close_session(first)
    assert accounts.session_user(first) is None
    assert accounts.session_user(second) is not None
    accounts.upsert_user("tess", "another four plain words", Role.TENANT, "A-07")
    assert accounts.session_user(second) is None
    assert accounts.session_user(third) is None
    fourth = accounts.open_session("tess")
    assert accounts.remove_user("tess")
    assert accounts.session_user(fourth) is None
    assert not accounts.remove_user("tess")


@pytest.mark.parametrize(
    ("name", "password", "role", "home", "field"),
    [
        ("with space", PASSWORD, "operator", None, "name"),
        ("", PASSWORD, "operator", None, "name"),
        ("ann", "short", "operator", None, "password"),
        ("ann", "x" * 300, "operator", None, "password"),
        ("ann", PASSWORD, "janitor", None, "role"),
        ("ann", PASSWORD, "tenant", None, "dwelling_id"),
        ("ann", PASSWORD, "operator", "A-07", "dwelling_id"),
    ],
)
def test_what_does_not_fit_is_refused_with_its_field(
    accounts, name, password, role, home, field
) -> None:
    with pytest.raises(InvalidInputError) as refused:
        accounts.upsert_user(name, password, role, home)
    assert refused.value.field == field
    assert refused.value.remedy
    assert [user.name for user in accounts.users()] == ["olive", "tess"]


def test_the_cookie_key_is_made_once(accounts, tmp_path) -> None:
    again = Accounts(tmp_path / "accounts.sqlite")
    assert len(accounts.cookie_key()) > 40
    assert again.cookie_key() == accounts.cookie_key()
