"""Several processes and threads at one file; some of them are killed."""

import os
import signal
import subprocess
import sys
import threading
import time
from datetime import UTC, datetime, timedelta

import pytest

from ems.domain.points import PointId
from ems.domain.ports import Heartbeat
from ems.domain.readings import Reading
from ems.store import open_store

START = datetime(2023, 1, 5, tzinfo=UTC)

WRITER = """
import sys
from datetime import UTC, datetime, timedelta
from pathlib import Path
from ems.domain.points import PointId
from ems.domain.readings import Reading
from ems.store import open_store

path, device, batches = Path(sys.argv[1]), sys.argv[2], int(sys.argv[3])
start = datetime(2023, 1, 5, tzinfo=UTC)
store = open_store(path)
for number in range(batches):
    at = start + timedelta(seconds=20 * number)
    store.add_readings(
        [Reading(PointId(device, f"point_{n}"), at, float(number)) for n in range(10)]
    )
    # Told only after the commit: whoever reads this line may rely on the reading.
    print(number, flush=True)
    if number % 50 == 0:
        store.roll_up(at)
"""


def start_writer(path, device, batches):
    return subprocess.Popen(
        [sys.executable, "-c", WRITER, str(path), device, str(batches)],
        stdout=subprocess.PIPE,
        text=True,
    )


def kept_of(store, device):
    end = START + timedelta(days=30)
    return [
        store.readings(PointId(device, f"point_{n}"), START, end)["value"].tolist()
        for n in range(10)
    ]


def test_processes_that_open_a_new_file_at_once_and_write_at_once_lose_nothing(path):
    writers = [start_writer(path, f"device-{n}", 120) for n in range(4)]
    for writer in writers:
        writer.communicate(timeout=100)
        assert writer.returncode == 0
    with open_store(path) as store:
        store.roll_up(START + timedelta(days=1))
        for n in range(4):
            assert kept_of(store, f"device-{n}") == [[float(b) for b in range(120)]] * 10


def test_a_writer_killed_in_mid_flow_loses_no_committed_reading(path):
    for round_number in range(3):
        device = f"device-{round_number}"
        writer = start_writer(path, device, 1_000_000)
        told = [int(writer.stdout.readline()) for _ in range(60 + 25 * round_number)]
        os.kill(writer.pid, signal.SIGKILL)
        # read, not communicate: that would leave out lines which readline has already buffered
        told += [int(line) for line in writer.stdout if line.endswith("\n")]
        writer.wait(timeout=60)
        with open_store(path) as store:
            series = kept_of(store, device)
            assert series[0][: len(told)] == [float(number) for number in told]
            assert len(series[0]) - len(told) in (0, 1), "at most the commit not yet told"
            assert all(one == series[0] for one in series), "a poll is kept whole or not at all"
            assert store.latest([device])[PointId(device, "point_3")].value == series[0][-1]
            store.beat(Heartbeat("guard", START, 0.0, os.getpid()))


def test_a_reader_sees_each_poll_whole_while_another_process_writes(path):
    with open_store(path) as store:
        writer = start_writer(path, "device", 150)
        seen = set()
        while writer.poll() is None:
            values = {reading.value for reading in store.latest().values()}
            assert len(values) <= 1, "readings of two polls in one view"
            seen |= values
        writer.communicate()
        assert len(seen) > 1
        assert max(seen | {reading.value for reading in store.latest().values()}) == 149.0


def test_two_processes_may_roll_up_at_once_and_each_half_hour_is_rolled_up_once(path):
    point = PointId("A-01-meter", "power_w")
    with open_store(path) as store:
        store.add_readings(
            [Reading(point, START + timedelta(minutes=n), 1.0) for n in range(30 * 40)]
        )
    story = (
        "import sys; from pathlib import Path; from datetime import UTC, datetime\n"
        "from ems.store import open_store\n"
        "print(open_store(Path(sys.argv[1])).roll_up(datetime(2023, 1, 6, tzinfo=UTC)))"
    )
    rollers = [
        subprocess.Popen(
            [sys.executable, "-c", story, str(path)], stdout=subprocess.PIPE, text=True
        )
        for _ in range(3)
    ]
    written = [int(roller.communicate(timeout=60)[0]) for roller in rollers]
    assert sum(written) == 41, "forty half-hours, and what holds into the next"


def test_threads_share_one_store(store):
    failures = []

    def work(number):
        try:
            for n in range(30):
                at = START + timedelta(seconds=n)
                store.add_readings([Reading(PointId(f"d-{number}", "power_w"), at, float(n))])
                assert store.latest([f"d-{number}"])
        except Exception as error:  # a thread's failure must reach the test
            failures.append(error)

    threads = [threading.Thread(target=work, args=(number,)) for number in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert not failures
    assert sorted(store.last_good()) == [f"d-{number}" for number in range(8)]
    assert set(store.last_good().values()) == {START + timedelta(seconds=29)}


@pytest.mark.filterwarnings("ignore:This process .* is multi-threaded:DeprecationWarning")
def test_a_forked_child_uses_connections_of_its_own(store):
    point = PointId("A-01-meter", "power_w")
    store.add_readings([Reading(point, START, 1.0)])
    child = os.fork()
    if child == 0:
        # Never return into the test runner from here.
        try:
            store.add_readings([Reading(point, START + timedelta(seconds=1), 2.0)])
            store.close()
            os._exit(0)
        except BaseException:
            os._exit(1)
    deadline = time.monotonic() + 30
    while time.monotonic() < deadline:
        found, status = os.waitpid(child, os.WNOHANG)
        if found:
            break
        time.sleep(0.01)
    assert status == 0
    store.add_readings([Reading(point, START + timedelta(seconds=2), 3.0)])
    frame = store.readings(point, START, START + timedelta(minutes=1))
    assert frame["value"].tolist() == [1.0, 2.0, 3.0]
