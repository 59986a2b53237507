"""A night and the half-hours after it for 1,000 homes in blocks of 20, in a process of its own.

The lesson is what the service would give: half-hours of the last six months, to be forecast two
days ahead, by one thread. Refreshes take in one new half-hour of all homes and forecast one or
two days for every home and block.
"""

from __future__ import annotations

import json
import resource
import subprocess
import sys
import time
from collections.abc import Iterator
from datetime import timedelta
from pathlib import Path
from zoneinfo import ZoneInfo

from harness import Row
from many_homes import many_homes
from threadpoolctl import threadpool_limits

from ems.domain.holidays import bank_holidays
from forecasting.calendar import Calendar
from forecasting.interface import Horizon, known_before
from forecasting.nightly import LEARN_DAYS, Lesson, learn

AREA = "forecasting"
HOMES = 1000
OF_A_BLOCK = 20
STEPS = 96
REFRESHES = 4


def rows() -> Iterator[Row]:
    """Measure in a child, so that its peak memory is its own."""
    command = [sys.executable, __file__]
    print("  a night and its refreshes ...", file=sys.stderr, flush=True)
    done = subprocess.run(command, check=True, capture_output=True, text=True, cwd=Path.cwd())
    found = json.loads(done.stdout.splitlines()[-1])
    what = f"{HOMES:,} homes, {HOMES // OF_A_BLOCK} blocks ({found['homes']})"
    yield Row(AREA, f"nightly fit: {what}", found["fit_s"], "s", below=180)
    yield Row(AREA, "nightly fit: processor time, one thread", found["fit_cpu_s"], "s")
    for steps in (STEPS // 2, STEPS):
        name = f"refresh: {HOMES:,} homes and blocks, {steps} half-hours, slowest"
        yield Row(AREA, name, found[f"refresh_{steps}_s"], "s", below=3)
    yield Row(AREA, "nightly fit and refresh: peak memory", found["peak_mb"], "MB", below=2048)
    yield Row(AREA, "  of it before the fit: readings and libraries", found["before_mb"], "MB")


def measured() -> dict[str, object]:
    """Fit once, then refresh by half-hours."""
    homes, what = many_homes(HOMES, LEARN_DAYS)
    before = _peak_mb()
    until = (homes.index[-1] - timedelta(days=1)).to_pydatetime()
    names = list(homes.columns)
    blocks = {
        f"block {at // OF_A_BLOCK}": names[at : at + OF_A_BLOCK]
        for at in range(0, HOMES, OF_A_BLOCK)
    }
    calendar = Calendar.of(ZoneInfo("Europe/London"), bank_holidays("GB-ENG"))
    lesson = Lesson(calendar, blocks, STEPS, until, known_before(homes, until), None)
    began, cpu = time.perf_counter(), time.process_time()
    loads = learn(lesson)
    fitted, cpu = time.perf_counter() - began, time.process_time() - cpu
    taken: dict[int, list[float]] = {STEPS // 2: [], STEPS: []}
    for number in range(1, 2 * REFRESHES + 1):
        at = until + number * timedelta(minutes=30)
        steps = STEPS // (1 + number % 2)
        recent = known_before(homes, at).iloc[-STEPS:]
        began = time.perf_counter()
        made = loads.forecasts(recent, Horizon.following(at, steps), {}, None)
        taken[steps].append(time.perf_counter() - began)
        if len(made) < HOMES:
            raise SystemExit(f"only {len(made)} of {HOMES + len(blocks)} forecasts were made")
    return {
        "homes": what,
        "fit_s": fitted,
        "fit_cpu_s": cpu,
        **{f"refresh_{steps}_s": max(times) for steps, times in taken.items()},
        "before_mb": before,
        "peak_mb": _peak_mb(),
    }


def _peak_mb() -> float:
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024.0


if __name__ == "__main__":
    with threadpool_limits(1):  # as the service does, so that control never waits for a fit
        print(json.dumps(measured()))
