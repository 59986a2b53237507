"""A process that starts is not silent; one that died while starting is."""

from __future__ import annotations

import subprocess
import time
from datetime import timedelta

from ems.domain.ports import Heartbeat
from ems.service.alarms import GuardWatch
from ems.service.starting import READY_WITHIN_S, Started, note_start

from .conftest import NOW


def looked(estate, store) -> list[str]:
    """What a guard's watch has open after ten minutes of estate time."""
    watch = GuardWatch(estate, store)
    for minute in range(11):
        watch.run(NOW + timedelta(minutes=minute))
    return [alarm.id for alarm in watch.desk.open()]


def test_a_process_that_never_started_is_silent(estate, store):
    assert looked(estate, store) == ["process_silent:control.1"]


def test_a_process_that_is_starting_is_not(estate, store):
    note_start(store, "control", NOW)
    assert looked(estate, store) == []


def test_one_that_beat_since_its_start_and_stopped_is(estate, store):
    note_start(store, "control", NOW)
    store.beat(Heartbeat("control", NOW, time.time() + 1.0, 1))
    assert looked(estate, store) == ["process_silent:control.1"]


def test_one_that_died_while_starting_is(estate, store):
    dead = subprocess.Popen(["true"])
    dead.wait()
    store.keep(
        Started("control", NOW, time.time(), dead.pid), key="control", subject="control", at=NOW
    )
    assert looked(estate, store) == ["process_silent:control.1"]


def test_one_that_never_gets_ready_is(estate, store):
    started = time.time() - READY_WITHIN_S - 1.0
    store.keep(Started("control", NOW, started, 1), key="control", subject="control", at=NOW)
    assert looked(estate, store) == ["process_silent:control.1"]


def web_looked(estate, store, *, since_s: float | None) -> list[str]:
    """What is open where the pages gave their last sign of life so long ago [wall s]."""
    watch = GuardWatch(estate, store)
    for minute in range(11):
        now = NOW + timedelta(minutes=minute)
        store.beat(Heartbeat("control", now, time.time(), 1))
        if since_s is not None:
            store.beat(Heartbeat("web", NOW, time.time() - since_s, 1))
        watch.run(now)
    return [alarm.id for alarm in watch.desk.open()]


def test_pages_that_fell_silent_are_told_of_once_and_close_when_they_are_back(estate, store):
    assert web_looked(estate, store, since_s=3600.0) == ["process_silent:web.1"]
    watch = GuardWatch(estate, store)
    for minute in range(11, 60):
        now = NOW + timedelta(minutes=minute)
        for process in ("control", "web"):
            store.beat(Heartbeat(process, now, time.time(), 1))
        watch.run(now)
    assert watch.desk.open() == []


def test_a_site_without_pages_misses_none_and_fast_estate_time_makes_none_silent(estate, store):
    assert web_looked(estate, store, since_s=None) == []
    assert web_looked(estate, store, since_s=0.0) == []
