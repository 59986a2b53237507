"""Who may sign in: names, password hashes, roles and sessions.

A file of its own (``accounts.sqlite``), so that the readings never lie beside
passwords. Sessions live here and not in the cookie: signing out, a new password
or a removed account ends them at once. All times here are *wall time*.
"""

from __future__ import annotations

import hashlib
import re
import secrets
import sqlite3
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from enum import StrEnum
from pathlib import Path

from argon2 import PasswordHasher
from argon2.exceptions import InvalidHashError, VerificationError

from ems.domain.errors import InvalidInputError

ACCOUNTS_FILE = "accounts.sqlite"

MIN_PASSWORD_LENGTH = 12
MAX_PASSWORD_LENGTH = 256
IDLE_S = 30 * 60.0
"""A session ends after this long without a page being asked for [wall s]."""
LONGEST_S = 12 * 3600.0
"""A session ends this long after sign-in, whatever happens [wall s]."""
FAILURES_ALLOWED = 8
FAILURE_WINDOW_S = 15 * 60.0
TOUCH_EVERY_S = 20.0

_NAME = re.compile(r"[a-z0-9][a-z0-9._@+-]{0,63}")

_SCHEMA = """
CREATE TABLE IF NOT EXISTS users (
    name TEXT PRIMARY KEY,
    password_hash TEXT NOT NULL,
    role TEXT NOT NULL CHECK (role IN ('operator', 'tenant')),
    dwelling_id TEXT,
    CHECK ((role = 'tenant') = (dwelling_id IS NOT NULL))
) STRICT;
CREATE TABLE IF NOT EXISTS sessions (
    token_hash TEXT PRIMARY KEY,
    user_name TEXT NOT NULL REFERENCES users (name) ON DELETE CASCADE,
    opened_wall_s REAL NOT NULL,
    seen_wall_s REAL NOT NULL
) STRICT;
CREATE TABLE IF NOT EXISTS sign_in_failures (
    name TEXT NOT NULL,
    wall_s REAL NOT NULL
) STRICT;
CREATE TABLE IF NOT EXISTS cookie_key (
    id INTEGER PRIMARY KEY CHECK (id = 1),
    value TEXT NOT NULL
) STRICT;
CREATE INDEX IF NOT EXISTS sign_in_failures_by_name ON sign_in_failures (name, wall_s);
"""


class Role(StrEnum):
    """What a person may see."""

    OPERATOR = "operator"
    """The whole estate."""
    TENANT = "tenant"
    """One home: their own."""


@dataclass(frozen=True, slots=True)
class User:
    """A person who may sign in; ``dwelling_id`` is a tenant's home, ``None`` for operators."""

    name: str
    role: Role
    dwelling_id: str | None = None

    def may_see_home(self, dwelling_id: str) -> bool:
        """Tell whether this person may open pages of this home."""
        return self.role is Role.OPERATOR or self.dwelling_id == dwelling_id


class Refusal(StrEnum):
    """Why a sign-in failed."""

    WRONG = "wrong"
    """Unknown name or wrong password: never told apart."""
    TOO_MANY = "too_many"
    """Too many failures for this name lately; even the right password must wait."""


def _fold(name: str) -> str:
    return name.strip().lower()


def _digest(token: str) -> str:
    return hashlib.sha256(token.encode("utf-8")).hexdigest()


class Accounts:
    """Accounts and sessions in one SQLite file; safe for several threads and processes.

    Parameters
    ----------
    path
        The file; made where it does not exist, readable by its owner alone.
    wall
        Source of wall time [s since the epoch].
    hasher
        Argon2id with the library's current parameters unless given.
    """

    def __init__(
        self,
        path: Path,
        wall: Callable[[], float] = time.time,
        hasher: PasswordHasher | None = None,
    ) -> None:
        self._path = path
        self._wall = wall
        self._hasher = hasher or PasswordHasher()
        self._local = threading.local()
        self._nobody = self._hasher.hash(secrets.token_urlsafe(16))
        path.touch(mode=0o600)
        with self._connection() as connection:
            connection.executescript(_SCHEMA)

    @contextmanager
    def _connection(self) -> Iterator[sqlite3.Connection]:
        connection: sqlite3.Connection | None = getattr(self._local, "connection", None)
        if connection is None:
            connection = sqlite3.connect(self._path, timeout=10.0)
            connection.execute("PRAGMA journal_mode = WAL")
            connection.execute("PRAGMA foreign_keys = ON")
            self._local.connection = connection
        with connection:
            yield connection

    def upsert_user(
        self, name: str, password: str, role: Role | str, dwelling_id: str | None = None
    ) -> User:
        """Add a person or replace their password, role and home; their sessions end.

        Raises
        ------
        InvalidInputError
            Where the name, the password's length, the role or the home does not fit.
        """
        user = User(_checked_name(name), _checked_role(role), dwelling_id)
        if (user.role is Role.TENANT) != (dwelling_id is not None):
            raise InvalidInputError(
                "a tenant has one home and an operator has none",
                field="dwelling_id",
                value=dwelling_id,
                remedy="Give --home for a tenant and leave it out for an operator.",
            )
        _check_password(password)
        digest = self._hasher.hash(password)
        with self._connection() as connection:
            connection.execute(
                "INSERT INTO users VALUES (?, ?, ?, ?) ON CONFLICT (name) DO UPDATE SET "
                "password_hash = excluded.password_hash, role = excluded.role, "
                "dwelling_id = excluded.dwelling_id",
                (user.name, digest, user.role.value, user.dwelling_id),
            )
            connection.execute("DELETE FROM sessions WHERE user_name = ?", (user.name,))
            connection.execute("DELETE FROM sign_in_failures WHERE name = ?", (user.name,))
        return user

    def remove_user(self, name: str) -> bool:
        """Remove a person and end their sessions; ``False`` where there was none."""
        with self._connection() as connection:
            gone = connection.execute("DELETE FROM users WHERE name = ?", (_fold(name),))
            return gone.rowcount > 0

    def users(self) -> list[User]:
        """Return everyone who may sign in, by name."""
        with self._connection() as connection:
            rows = connection.execute("SELECT name, role, dwelling_id FROM users ORDER BY name")
            return [User(name, Role(role), home) for name, role, home in rows]

    def verify(self, name: str, password: str) -> User | Refusal:
        """Check a name and a password; each failure is kept for `FAILURE_WINDOW_S`.

        Takes as long for an unknown name as for a known one.
        """
        folded, now = _fold(name)[:64], self._wall()
        with self._connection() as connection:
            connection.execute(
                "DELETE FROM sign_in_failures WHERE wall_s < ?", (now - FAILURE_WINDOW_S,)
            )
            (failures,) = connection.execute(
                "SELECT count(*) FROM sign_in_failures WHERE name = ?", (folded,)
            ).fetchone()
            row = connection.execute(
                "SELECT password_hash, role, dwelling_id FROM users WHERE name = ?", (folded,)
            ).fetchone()
        if failures >= FAILURES_ALLOWED:
            return Refusal.TOO_MANY
        digest = row[0] if row else self._nobody
        if not self._matches(digest, password) or row is None:
            with self._connection() as connection:
                connection.execute("INSERT INTO sign_in_failures VALUES (?, ?)", (folded, now))
            return Refusal.WRONG
        with self._connection() as connection:
            connection.execute("DELETE FROM sign_in_failures WHERE name = ?", (folded,))
            if self._hasher.check_needs_rehash(digest):
                connection.execute(
                    "UPDATE users SET password_hash = ? WHERE name = ? AND password_hash = ?",
                    (self._hasher.hash(password), folded, digest),
                )
        return User(folded, Role(row[1]), row[2])

    def _matches(self, digest: str, password: str) -> bool:
        if len(password) > MAX_PASSWORD_LENGTH:
            return False
        try:
            return self._hasher.verify(digest, password)
        except (VerificationError, InvalidHashError):
            return False

    def open_session(self, name: str) -> str:
        """Begin a session of a person and return its secret token."""
        token, now = secrets.token_urlsafe(32), self._wall()
        with self._connection() as connection:
            connection.execute(
                "DELETE FROM sessions WHERE seen_wall_s < ? OR opened_wall_s < ?",
                (now - IDLE_S, now - LONGEST_S),
            )
            connection.execute(
                "INSERT INTO sessions VALUES (?, ?, ?, ?)", (_digest(token), _fold(name), now, now)
            )
        return token

    def session_user(self, token: str, *, touch: bool = True) -> User | None:
        """Return whose session this is, or ``None`` where it has ended or never was.

        ``touch`` counts as activity; a page that refreshes by itself is none.
        """
        now = self._wall()
        with self._connection() as connection:
            row = connection.execute(
                "SELECT u.name, u.role, u.dwelling_id, s.opened_wall_s, s.seen_wall_s "
                "FROM sessions s JOIN users u ON u.name = s.user_name WHERE s.token_hash = ?",
                (_digest(token),),
            ).fetchone()
            if row is None:
                return None
            name, role, home, opened, seen = row
            if now - seen > IDLE_S or now - opened > LONGEST_S:
                connection.execute("DELETE FROM sessions WHERE token_hash = ?", (_digest(token),))
                return None
            if touch and now - seen > TOUCH_EVERY_S:
                connection.execute(
                    "UPDATE sessions SET seen_wall_s = ? WHERE token_hash = ?",
                    (now, _digest(token)),
                )
        return User(name, Role(role), home)

    def close_session(self, token: str) -> None:
        """End a session."""
        with self._connection() as connection:
            connection.execute("DELETE FROM sessions WHERE token_hash = ?", (_digest(token),))

    def cookie_key(self) -> str:
        """Return the key that signs cookies; made once and the same ever after."""
        with self._connection() as connection:
            connection.execute(
                "INSERT OR IGNORE INTO cookie_key VALUES (1, ?)", (secrets.token_urlsafe(48),)
            )
            (key,) = connection.execute("SELECT value FROM cookie_key").fetchone()
        return str(key)

    def close(self) -> None:
        """Close this thread's connection."""
        connection: sqlite3.Connection | None = getattr(self._local, "connection", None)
        if connection is not None:
            connection.close()
            self._local.connection = None


def open_accounts(state_dir: Path) -> Accounts:
    """Open the accounts of a state directory."""
    return Accounts(state_dir / ACCOUNTS_FILE)


def _checked_name(name: str) -> str:
    folded = _fold(name)
    if not _NAME.fullmatch(folded):
        raise InvalidInputError(
            "a name for sign-in has up to 64 letters, digits or . _ @ + -",
            field="name",
            value=name,
            remedy="Choose another name, for example the person's e-mail address.",
        )
    return folded


def _checked_role(role: Role | str) -> Role:
    try:
        return Role(role)
    except ValueError:
        raise InvalidInputError(
            "there is no such role",
            field="role",
            value=role,
            remedy=f"Choose one of: {', '.join(Role)}.",
        ) from None


def _check_password(password: str) -> None:
    if not MIN_PASSWORD_LENGTH <= len(password) <= MAX_PASSWORD_LENGTH:
        raise InvalidInputError(
            f"a password has {MIN_PASSWORD_LENGTH} to {MAX_PASSWORD_LENGTH} characters",
            field="password",
            remedy="Choose a longer one, for example four words.",
        )
