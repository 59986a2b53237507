"""Household load is learnt at night, forecast, watched, and fallen back from."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from ems.alarms.forecast_rules import judge_forecasts
from ems.domain.alarms import AlarmState
from ems.domain.estate import Estate
from ems.domain.forecasts import Forecast, Standing
from ems.domain.points import PointId
from ems.domain.ports import Store
from ems.domain.readings import Rollup
from ems.service.alarms import ControlWatch
from ems.service.control import open_weather
from ems.service.fits import BackgroundFits, InlineFits
from ems.service.forecasting_job import ForecastJob
from ems.service.image import ProcessImage
from ems.service.learning import LEARNT, NOT_LEARNT
from ems.store import open_store
from forecasting.ensemble import Learning, LearntModel
from forecasting.nightly import LearntLoads, Lesson
from forecasting.shared import Boosting

CONSUMPTION = Path(__file__).parents[2] / "config/demo/data/consumption.parquet"
NOW = datetime(2023, 11, 1, 2, 10, tzinfo=UTC)
YOUNG = "A-04"
PATIENCE_S = 120.0


def small(lesson: Lesson) -> LearntLoads:
    """A quick model of homes alone."""
    boosting = Boosting(trees=12, leaves=12, rate=0.25, least_rows=40, rows=6_000)
    model = LearntModel(lesson.calendar, Learning(lesson.steps, True, boosting))
    return LearntLoads(lesson.until, [model.fit(lesson.homes, lesson.until, lesson.observed)])


@pytest.fixture(scope="module")
def few(estate: Estate) -> Estate:
    """The first block with four homes."""
    block = estate.blocks[0]
    return replace(estate, blocks=(replace(block, dwellings=block.dwellings[:4]),))


@pytest.fixture(scope="module")
def metered(few: Estate) -> pd.DataFrame:
    """Real consumption of these homes over nine weeks and one more; the fourth is new."""
    table = pd.read_parquet(CONSUMPTION).set_index("start_utc").astype(float) * 2.0
    table.index = pd.DatetimeIndex(table.index).tz_convert("UTC")
    start, end = NOW - timedelta(days=64), NOW + timedelta(days=8)
    table = table.loc[start:end, [home.id for home in few.dwellings()]].copy()
    table.loc[: NOW - timedelta(days=10), YOUNG] = np.nan
    return table


@pytest.fixture
def store(tmp_path: Path) -> Iterator[Store]:
    with open_store(tmp_path / "store.sqlite") as opened:
        yield opened


def keep(store: Store, estate: Estate, table: pd.DataFrame) -> None:
    points = {
        home.id: PointId(home.meter.device_id, "household_power_w") for home in estate.dwellings()
    }
    store.add_rollups(
        [
            Rollup(points[name], at.to_pydatetime(), value, value, value, 1.0)
            for name in table
            for at, value in table[name].dropna().items()
        ]
    )


def loads(made: list[Forecast]) -> dict[str, Forecast]:
    return {one.subject: one for one in made if one.target == "load_w"}


def test_a_night_is_learnt_from_and_a_home_that_changes_is_fallen_back_for(few, metered, store):
    table = metered.copy()
    # For eight days the first home has been on a timer: by the half-hour of the week, at random.
    timer = np.repeat(np.random.default_rng(4).choice([60.0, 2500.0], 112), 3)
    since = table.index >= NOW - timedelta(days=8)
    noise = np.random.default_rng(5).normal(0.0, 10.0, since.sum())
    table.loc[since, "A-01"] = np.resize(timer, since.sum()) + noise
    keep(store, few, table)
    job = ForecastJob(few, store, open_weather(few), InlineFits(small))
    before = loads(job.run(NOW))
    assert {one.model for one in before.values()} != {"gradient"}
    assert before["A-02"].lacked == ("learnt model: not fitted yet",)

    job.learn(NOW)
    made = loads(job.run(NOW + timedelta(minutes=1)))
    assert [entry.kind for entry in store.log_entries(NOW, NOW + timedelta(hours=1))] == [LEARNT]
    assert made["A-01"].model == made["A-02"].model == "gradient"
    assert "history: too short for the learnt model" in made[YOUNG].lacked
    assert made[YOUNG].model == before[YOUNG].model
    np.testing.assert_array_equal(store.latest_forecast("load_w", "A-02").mean, made["A-02"].mean)
    fine = store.latest_forecast("load_5min_w", "A")
    assert fine.step_s == 300 and fine.mean[:6].mean() == pytest.approx(made["A"].mean[1], rel=0.5)
    assert "readings of the last quarter of an hour" in fine.lacked

    # What the timer does is what it did a week before, to the half-hour; no model was told.
    now = NOW
    while now < NOW + timedelta(days=6, hours=18):
        now += timedelta(hours=6)
        made = loads(job.run(now))
    standings = {
        one.record.subject: one.record
        for one in store.all_kept(Standing)
        if one.record.target == "load_w"
    }
    assert standings["A-01"].drifted and standings["A-01"].ratio > 1.15
    assert (standings["A-01"].candidate, standings["A-01"].fell_back) == ("habits", True)
    assert "learnt stood back, habits did better" in made["A-01"].lacked
    assert made["A-01"].model != "gradient"
    assert not standings["A-02"].drifted
    fallen = {entry.subject for entry in store.log_entries(NOW, now, "forecast_fell_back")}
    assert "A-01" in fallen

    watch = ControlWatch(few, store, ProcessImage())
    watch.run(now)
    (alarm,) = [one for one in watch.desk.open() if one.cause.key == "forecast_drift:load_w"]
    assert alarm.state is AlarmState.OPEN and alarm.cause.homes == ("A-01",)
    assert "last week" in alarm.cause.what and alarm.cause.remedy

    # A new control process knows all of it, and learns anew before it trusts a model.
    again = loads(ForecastJob(few, store, open_weather(few), InlineFits()).run(now))
    assert again["A-02"].lacked[-1] == "learnt model: not fitted yet"


def test_too_little_history_is_said_in_days(few, metered, store):
    keep(store, few, metered.loc[NOW - timedelta(days=30) :])
    job = ForecastJob(few, store, open_weather(few), InlineFits())
    job.learn(NOW)
    assert loads(job.run(NOW))["A-01"].lacked == ("learnt model: 29 of 49 days to learn from",)


def test_a_fit_that_dies_in_the_background_leaves_habits_in_place(few, metered, store):
    keep(store, few, metered)
    fits = BackgroundFits()
    job = ForecastJob(few, store, open_weather(few), fits)
    job.learn(NOW)
    assert fits.pid is not None and fits.pid != os.getpid()
    os.kill(fits.pid, signal.SIGKILL)
    end = time.monotonic() + PATIENCE_S
    while not store.log_entries(NOW, NOW + timedelta(hours=1), NOT_LEARNT):
        made = loads(job.run(NOW))
        assert time.monotonic() < end
    assert "the fit's process ended with status -9" in made["A-01"].lacked[-1]
    assert fits.pid is None  # and the next night tries again
    job.close()


@pytest.mark.long
def test_a_fit_in_the_background_is_the_same_as_one_in_lock_step(few, metered, store):
    keep(store, few, metered)
    made = []
    for fits in (InlineFits(), BackgroundFits()):
        job = ForecastJob(few, store, open_weather(few), fits)
        job.learn(NOW)
        end = time.monotonic() + PATIENCE_S
        while (found := loads(job.run(NOW)))["A-01"].model != "gradient":
            assert time.monotonic() < end
            time.sleep(0.2)
        made.append(found)
        job.close()
    for subject, one in made[0].items():
        np.testing.assert_array_equal(one.mean, made[1][subject].mean)


ORPHANED = """
import os, signal
from datetime import UTC, datetime
from zoneinfo import ZoneInfo
import numpy as np, pandas as pd
from ems.service.fits import BackgroundFits
from forecasting.calendar import Calendar
from forecasting.nightly import Lesson
index = pd.date_range("2023-01-01", periods=180 * 48, freq="30min", tz="UTC")
homes = pd.DataFrame(np.random.default_rng(1).gamma(1.0, 300.0, (len(index), 150)), index=index)
homes.columns = [f"h{n}" for n in range(150)]
fits = BackgroundFits()
fits.begin(Lesson(Calendar(ZoneInfo("Europe/London")), {"A": list(homes)}, 48,
                  index[-1].to_pydatetime(), homes, None))
print(fits.pid, flush=True)
os.kill(os.getpid(), signal.SIGKILL)
"""


@pytest.mark.long
def test_a_fit_does_not_outlive_a_control_process_that_was_killed():
    done = subprocess.run(
        [sys.executable, "-c", ORPHANED],
        check=False,
        capture_output=True,
        text=True,
        timeout=PATIENCE_S,
    )
    assert done.returncode == -signal.SIGKILL, done.stderr
    child = Path("/proc", done.stdout.strip(), "cmdline")
    end = time.monotonic() + 60.0
    while child.exists() and b"spawn_main" in child.read_bytes():
        assert time.monotonic() < end, "it goes on learning for nobody"
        time.sleep(0.2)


def test_alarms_name_a_quantity_once_with_all_it_touches():
    drifted = [
        Standing(
            "load_w",
            name,
            "learnt",
            NOW,
            points=2000,
            ratio=1.2 + n / 10,
            coverage=0.8,
            drifted=True,
        )
        for n, name in enumerate(("A-02", "A", "A-01"))
    ]
    unjudged = Standing("pv_w", "A", "panels and sky", NOW)
    found = judge_forecasts([*drifted, unjudged], {"A-01": "A", "A-02": "A"})
    (cause,) = found.causes
    assert cause.key == "forecast_drift:load_w" and cause.homes == ("A-01", "A-02")
    assert "worst A-01, 1.40 times" in cause.what
    assert found.judged == {"forecast_drift:load_w", "forecast_coverage:load_w"}
    lost = replace(drifted[0], drifted=False, coverage_lost=True, coverage=0.5)
    (cause,) = judge_forecasts([lost], {}).causes
    assert cause.key == "forecast_coverage:load_w" and "inside 50%" in cause.what
