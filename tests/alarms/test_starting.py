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
