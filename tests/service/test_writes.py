"""Registers wear out: writes are counted for good, and a dry run makes none."""

from __future__ import annotations

import asyncio
import threading
from dataclasses import replace
from datetime import UTC, datetime, timedelta

from drivers.dry_run import DryRunBus
from ems.domain.points import PointId
from ems.domain.setpoints import NotWritten, WriteCount
from ems.service.commanding import release_all
from ems.service.dispatching import Dispatcher
from ems.service.writes import WriteLedger, write_counts
from ems.store import open_store

NOON = datetime(2022, 12, 27, 12, tzinfo=UTC)
ROOM, MODE = PointId("A-07-hp", "room_setpoint_c"), PointId("A-02-hp", "sg_mode")


def test_counts_go_on_after_a_restart_and_know_when_a_point_was_written_last(tmp_path) -> None:
    with open_store(tmp_path / "store.sqlite") as store:
        ledger = WriteLedger(store)
        assert ledger.last_write(ROOM) is None
        ledger.wrote([ROOM], NOON, urgent=False)
        ledger.wrote([ROOM, MODE], NOON + timedelta(minutes=5), urgent=True)
        assert ledger.last_write(MODE) == NOON + timedelta(minutes=5), "known before it is kept"
        assert ledger.keep() == 3
    with open_store(tmp_path / "store.sqlite") as store:
        ledger = WriteLedger(store)
        assert ledger.last_write(ROOM) == NOON + timedelta(minutes=5)
        ledger.wrote([ROOM], NOON + timedelta(hours=1), urgent=False)
        ledger.keep()
        assert ledger.keep() == 0
        assert write_counts(store) == {
            ROOM: WriteCount(ROOM, 3, 1, NOON, NOON + timedelta(hours=1)),
            MODE: WriteCount(MODE, 1, 1, *(NOON + timedelta(minutes=5),) * 2),
        }
        assert set(write_counts(store, "A-02-hp")) == {MODE}


def test_control_and_guard_add_to_the_same_counts_and_lose_none(tmp_path) -> None:
    path = tmp_path / "store.sqlite"
    open_store(path).close()

    def wear(minutes: range) -> None:
        with open_store(path) as store:
            ledger = WriteLedger(store)
            for minute in minutes:
                ledger.wrote([ROOM], NOON + timedelta(minutes=minute), urgent=False)
                ledger.keep()
            for _ in range(50):
                ledger.keep()

    threads = [threading.Thread(target=wear, args=(range(n, 40, 2),)) for n in (0, 1)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    with open_store(path) as store:
        count = write_counts(store)[ROOM]
    assert (count.total, count.since) == (40, NOON)
    assert count.last_at == NOON + timedelta(minutes=39)


def test_a_dry_run_computes_and_records_everything_and_writes_and_releases_nothing(bench) -> None:
    # A command that an earlier, real run has left behind: not this process's to touch.
    bench.dispatch(2)
    (left,) = [one for one in bench.store.active_commands() if one.point_id == ROOM]
    dry = replace(bench.estate, control=replace(bench.estate.control, dry_run=True))
    bus = DryRunBus(bench.bus, dry.devices)
    bench.dispatcher = Dispatcher(dry, bench.store, bus, bench.image, charge=bench.charge)
    bench.simulation.write(ROOM.device_id, ROOM.point, 12.0)
    before = str(bench.simulation.homes.dump()["room_setpoint_c"])
    records = bench.dispatch(4)
    assert len(records) == 42
    assert {record.outcome for record in records.values()} == {NotWritten("dry run")}
    assert str(bench.simulation.homes.dump()["room_setpoint_c"]) == before
    kept = bench.store.setpoints([ROOM.device_id], NOON - timedelta(days=1000), bench.now, 1)
    assert kept[0].outcome == NotWritten("dry run")
    after = [one for one in bench.store.active_commands() if one.point_id == ROOM]
    assert after == [left], "neither renewed nor taken for written"
    _, standing = asyncio.run(release_all([left], bus, bench.store, bench.now, "Stopped."))
    assert standing == [left]
    assert bench.shows(ROOM.device_id) == 12.0
