"""The embedded store on an estate of 40 homes with 35 days behind it.

Homes are read every minute, block devices every 10 s, counters every 5 min; the last
29 minutes are not rolled up yet, the worst case of a reader. The peer is the usual
way: one SQLite row a reading and a half-hour, keyed (series, time), read into pandas.
"""

from __future__ import annotations

import sqlite3
import tempfile
import time
from collections.abc import Iterator
from contextlib import closing
from datetime import UTC, datetime, timedelta
from pathlib import Path

import numpy as np
import pandas as pd
from harness import Row, median_ms

from ems.domain.points import PointId
from ems.domain.readings import Reading, Rollup
from ems.store import SqliteStore, open_store

AREA = "store"
NOW = datetime(2023, 2, 10, 12, 30, 50, tzinfo=UTC)
DAY = timedelta(days=1)
HOMES = [f"{block}-{number:02d}" for block in "AB" for number in range(1, 21)]
BY_MINUTE = [
    PointId(f"{home}-{device}", point)
    for home in HOMES
    for device, point in (
        ("meter", "power_w"),
        ("meter", "household_power_w"),
        ("hp", "power_w"),
        ("hp", "heat_w"),
        ("room", "temperature_c"),
    )
]
BY_5_MINUTES = [PointId(f"{home}-meter", "energy_import_kwh") for home in HOMES]
BY_10_S = [
    PointId(f"{block}-{device}", point)
    for block in "AB"
    for device, point in (
        ("meter", "power_w"),
        ("pv", "power_w"),
        ("battery", "power_w"),
        ("battery", "soc_pct"),
    )
]
BLOCK = [point for point in BY_10_S if point.device_id.startswith("A-")]
HOME = [point for point in BY_MINUTE + BY_5_MINUTES if point.device_id.startswith("A-07-")]
BLOCK_HOMES = [point for point in BY_MINUTE if point.device_id.startswith("A-")]


def rows() -> Iterator[Row]:
    """Measure the store."""
    with tempfile.TemporaryDirectory() as folder:
        store = open_store(Path(folder) / "store.sqlite")
        peer = Path(folder) / "peer.sqlite"
        with store, closing(_plain_tables(peer)) as plain:
            yield from _filling(store, plain)
            yield from _reading(store, plain)
            size = sum(file.stat().st_size for file in Path(folder).glob("store.sqlite*"))
            plain_size = sum(file.stat().st_size for file in Path(folder).glob("peer.sqlite*"))
            yield Row(
                AREA,
                "file after 35 days of roll-ups, 24 h raw",
                size / 1e6,
                "MB",
                peer="one row each",
                peer_value=plain_size / 1e6,
            )


def _filling(store: SqliteStore, plain: sqlite3.Connection) -> Iterator[Row]:
    random = np.random.default_rng(1)
    every = BY_MINUTE + BY_5_MINUTES + BY_10_S
    first = datetime(2023, 1, 6, tzinfo=UTC)
    # Up to where the raw readings begin to be rolled up.
    count = int((NOW - DAY - first) / timedelta(minutes=30))
    for number, point in enumerate(every):
        values = random.normal(500, 100, count)
        store.add_rollups(
            [
                Rollup(point, first + slot * timedelta(minutes=30), value, value, value, 1.0)
                for slot, value in enumerate(values.tolist())
            ]
        )
        slots = range(int(first.timestamp()) // 1800, int(first.timestamp()) // 1800 + count)
        plain.executemany(
            "INSERT INTO rollups VALUES (?, ?, ?, ?, ?, 1.0)",
            [(number, slot, *[value] * 3) for slot, value in zip(slots, values, strict=True)],
        )
    numbers = {point: number for number, point in enumerate(every)}
    kept, spent, plain_spent, rolled = 0, 0.0, 0.0, 0.0
    at = NOW - DAY - timedelta(minutes=30)
    tick = 0
    while at < NOW:
        points = list(BY_10_S)
        if tick % 6 == 0:
            points += BY_MINUTE
        if tick % 30 == 0:
            points += BY_5_MINUTES
        values = (500 + 0.001 * tick + random.random(len(points))).tolist()
        poll = [Reading(point, at, value) for point, value in zip(points, values, strict=True)]
        begin = time.perf_counter()
        store.add_readings(poll)
        spent += time.perf_counter() - begin
        kept += len(poll)
        at_us = int(at.timestamp()) * 1_000_000
        begin = time.perf_counter()
        with plain:
            plain.executemany(
                "INSERT INTO readings VALUES (?, ?, ?, ?)",
                [
                    (numbers[reading.point_id], at_us, reading.value, int(reading.quality))
                    for reading in poll
                ],
            )
        plain_spent += time.perf_counter() - begin
        if tick % 180 == 5:
            begin = time.perf_counter()
            store.roll_up(at)
            rolled += time.perf_counter() - begin
        tick += 1
        at += timedelta(seconds=10)
    yield Row(
        AREA,
        "readings kept per second, one commit a poll, forced to disk",
        kept / spent,
        "readings/s",
        above=1000 / 60,
        peer="one row each",
        peer_value=kept / plain_spent,
    )
    halves = (tick + 174) // 180
    yield Row(
        AREA,
        f"rolling up and packing a half-hour of {len(every)} points",
        rolled / halves * 1e3,
        "ms",
    )


def _reading(store: SqliteStore, plain: sqlite3.Connection) -> Iterator[Row]:
    numbers = {point: number for number, point in enumerate(BY_MINUTE + BY_5_MINUTES + BY_10_S)}
    month, day = NOW - 30 * DAY, NOW - DAY
    meter = [HOME[0]]
    yield Row(
        AREA,
        "one home's last 30 days by half-hour",
        median_ms(lambda: store.rollups(meter, month, NOW), repeats=101),
        "ms",
        below=2,
        peer="one row each",
        peer_value=median_ms(lambda: _plain_month(plain, [numbers[meter[0]]], month)),
    )
    yield Row(
        AREA,
        f"one home's last 30 days by half-hour, all its {len(HOME)} points",
        median_ms(lambda: store.rollups(HOME, month, NOW), repeats=101),
        "ms",
        below=2,
        peer="one row each",
        peer_value=median_ms(lambda: _plain_month(plain, [numbers[p] for p in HOME], month)),
    )
    yield Row(
        AREA,
        f"30 days by half-hour of {len(BY_MINUTE)} points of 40 homes",
        median_ms(lambda: store.rollups(BY_MINUTE, month, NOW)),
        "ms",
    )
    yield Row(
        AREA,
        "one block's last 24 h by 5 minutes: grid, PV, battery, charge",
        median_ms(lambda: store.resampled(BLOCK, day, NOW, 300)),
        "ms",
        below=20,
        peer="rows, pandas",
        peer_value=median_ms(
            lambda: _plain_day(plain, [numbers[p] for p in BLOCK], day), repeats=5
        ),
    )
    yield Row(
        AREA,
        f"one block's homes, last 24 h by 5 minutes: {len(BLOCK_HOMES)} points",
        median_ms(lambda: store.resampled(BLOCK_HOMES, day, NOW, 300), repeats=7),
        "ms",
        peer="rows, pandas",
        peer_value=median_ms(
            lambda: _plain_day(plain, [numbers[p] for p in BLOCK_HOMES], day), repeats=3
        ),
    )
    yield Row(AREA, "latest reading of every point", median_ms(store.latest), "ms")
    yield Row(AREA, "last good reading of every device", median_ms(store.last_good), "ms")


def _plain_tables(path: Path) -> sqlite3.Connection:
    connection = sqlite3.connect(path)
    connection.execute("PRAGMA journal_mode = WAL")
    connection.execute("PRAGMA synchronous = FULL")
    connection.execute(
        "CREATE TABLE readings (series INTEGER, at INTEGER, value REAL, quality INTEGER,"
        " PRIMARY KEY (series, at)) WITHOUT ROWID"
    )
    connection.execute(
        "CREATE TABLE rollups (series INTEGER, slot INTEGER, mean REAL, low REAL, high REAL,"
        " coverage REAL, PRIMARY KEY (series, slot)) WITHOUT ROWID"
    )
    return connection


def _plain_month(plain: sqlite3.Connection, series: list[int], start: datetime) -> pd.DataFrame:
    columns = {}
    for number in series:
        found = plain.execute(
            "SELECT slot, mean FROM rollups WHERE series = ? AND slot >= ? AND coverage >= 0.5",
            (number, int(start.timestamp()) // 1800),
        ).fetchall()
        slots = pd.to_datetime([slot * 1800 for slot, _ in found], unit="s", utc=True)
        columns[number] = pd.Series([mean for _, mean in found], index=slots)
    return pd.DataFrame(columns)


def _plain_day(plain: sqlite3.Connection, series: list[int], start: datetime) -> pd.DataFrame:
    columns = {}
    for number in series:
        found = plain.execute(
            "SELECT at, value FROM readings WHERE series = ? AND at >= ? AND quality = 0",
            (number, int(start.timestamp()) * 1_000_000),
        ).fetchall()
        times = pd.to_datetime([at for at, _ in found], unit="us", utc=True)
        columns[number] = (
            pd.Series([value for _, value in found], index=times).resample("5min").mean()
        )
    return pd.DataFrame(columns)
