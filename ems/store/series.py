"""Numbers that stand for points, and how a point's values combine over time."""

from __future__ import annotations

import sqlite3
import threading
from collections.abc import Iterable

from ems.domain.points import POINTS, PointId, PointKind

_KINDS = {name: point.kind for points in POINTS.values() for name, point in points.items()}


def kind_of(point: str) -> PointKind:
    """Return how values of a point combine; a name outside the catalogue is a gauge."""
    return _KINDS.get(point, PointKind.GAUGE)


class SeriesNumbers:
    """The store's number for each point; numbers are given once and never taken back."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._numbers: dict[PointId, int] = {}
        self._points: dict[int, PointId] = {}

    def known(
        self, connection: sqlite3.Connection, points: Iterable[PointId]
    ) -> dict[PointId, int]:
        """Return the numbers of those points that have one."""
        wanted = set(points)
        if not wanted <= self._numbers.keys():
            self._load(connection)
        return {point: self._numbers[point] for point in wanted if point in self._numbers}

    def numbered(
        self, connection: sqlite3.Connection, points: Iterable[PointId]
    ) -> dict[PointId, int]:
        """Return a number for every point, giving new ones.

        Call it first in a write transaction: what is remembered here was read before
        anything was inserted, so that a transaction which fails leaves no false number.
        """
        wanted = set(points)
        numbers = self.known(connection, wanted)
        for point in sorted(wanted - numbers.keys()):
            number = connection.execute(
                "INSERT INTO series (device_id, point) VALUES (?, ?)", tuple(point)
            ).lastrowid
            assert number is not None  # noqa: S101 - an INSERT always has one; for the type checker
            numbers[point] = number
        return numbers

    def all(self, connection: sqlite3.Connection, at_least: Iterable[int]) -> dict[int, PointId]:
        """Return number → point, these numbers included."""
        if not self._points.keys() >= set(at_least):
            self._load(connection)
        return self._points

    def _load(self, connection: sqlite3.Connection) -> None:
        rows = connection.execute("SELECT id, device_id, point FROM series").fetchall()
        with self._lock:
            self._numbers = {PointId(device, point): number for number, device, point in rows}
            self._points = {number: point for point, number in self._numbers.items()}
