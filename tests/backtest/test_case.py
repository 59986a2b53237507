"""A short case from end to end, and the parts that it is made of."""

from __future__ import annotations

import subprocess
import sys
import time
from dataclasses import replace
from datetime import UTC, date, datetime, timedelta
from datetime import time as daytime
from pathlib import Path
from zoneinfo import ZoneInfo

import numpy as np
import pandas as pd
import pytest
from click.testing import CliRunner

from ems.backtest.campaign import cases_of, run_campaign
from ems.backtest.case import Case, Setting
from ems.backtest.cases import load_evidence, save_evidence
from ems.backtest.controllers import Timer
from ems.backtest.issues import Issues, true_issues
from ems.backtest.store import RunStore
from ems.backtest.tariffs import read_rates, with_rates
from ems.backtest.weather import REAL_PAIR, sky_of
from ems.cli import main
from ems.demo.evidence import Controller, Evidence
from ems.demo.metering import Window
from ems.domain.errors import InvalidInputError
from ems.domain.points import PointId
from ems.domain.readings import Rollup
from ems.domain.tariffs import DynamicTariff, FlatTariff, TariffBand, TimeOfUseTariff
from ems.domain.time import HALF_HOUR
from ems.field.parameters import load_parameters
from ems.settings import load_estate
from ems.store import open_store

DEMO = Path(__file__).parents[2] / "config/demo/estate.yaml"
DAY = date(2023, 1, 6)
"""Too early for household load to be learnt, which takes a while."""
MIDNIGHT = datetime(2023, 12, 1, tzinfo=UTC)


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("campaign")


@pytest.fixture(scope="module")
def setting(folder: Path) -> Setting:
    return Setting(DEMO, folder, history_days=2, plan_s=1800, blocks=("A",))


@pytest.fixture(scope="module")
def told() -> list[str]:
    return []


@pytest.fixture(scope="module")
def evidence(setting: Setting, told: list[str]) -> Evidence:
    """Run one block for an hour and a half after midnight, under every controller."""
    case = Case(DAY, 1, 3)
    failed = run_campaign([case], setting, tell=lambda at: told.append(at.part))
    assert failed == []
    return load_evidence(case.path(setting))


def test_all_controllers_start_from_one_state_and_are_measured(
    evidence: Evidence, told: list[str]
) -> None:
    assert list(evidence.runs) == list(Controller)
    assert sorted(evidence.frontier) == [-1.5, -1.0, -0.5, 0.0, 0.5, 1.0, 1.5]
    assert set(evidence.seconds) == set(Controller)
    begin = evidence.runs[Controller.THERMOSTAT].begin
    for run in evidence.runs.values():
        np.testing.assert_array_equal(run.begin.room_kwh, begin.room_kwh)
        assert run.room_c.shape == (2, 20)
        assert np.isfinite(run.room_c).all()
    assert told[0] == "history"
    assert told[-1] == "done"
    assert "planned" in told


def test_a_planned_battery_leaves_rooms_to_thermostats_and_plans_do_not(
    evidence: Evidence,
) -> None:
    runs = evidence.runs
    own = runs[Controller.THERMOSTAT].room_c
    np.testing.assert_array_equal(runs[Controller.BATTERY_ONLY].room_c, own)
    assert not np.array_equal(runs[Controller.PLANNED].room_c, own)
    assert not np.array_equal(runs[Controller.PERFECT_FORESIGHT].room_c, own)


def test_a_finished_case_is_not_run_again(evidence: Evidence, setting: Setting) -> None:
    parts: list[str] = []
    assert evidence.seed == 3
    assert run_campaign([Case(DAY, 1, 3)], setting, tell=lambda at: parts.append(at.part)) == []
    assert parts == []
    with pytest.raises(InvalidInputError, match="--days"):
        run_campaign([Case(DAY, 2, 3)], setting)
    with pytest.raises(InvalidInputError, match="--history-days"):
        run_campaign([Case(DAY, 1, 3)], replace(setting, history_days=9))


def test_a_case_that_lacks_a_controller_is_refused_and_not_mixed_in(
    evidence: Evidence, setting: Setting, tmp_path: Path
) -> None:
    elsewhere, case = replace(setting, folder=tmp_path), Case(DAY, 1, 3)
    fewer = {one: evidence.runs[one] for one in (Controller.THERMOSTAT, Controller.PLANNED)}
    save_evidence(case.path(elsewhere), replace(evidence, runs=fewer))
    assert run_campaign([case], replace(elsewhere, controllers=tuple(fewer))) == []
    with pytest.raises(InvalidInputError, match="--controllers"):
        run_campaign([case], elsewhere)


def test_workers_end_with_a_campaign_that_is_killed(tmp_path: Path) -> None:
    def children(of: int) -> set[int]:
        listed = (Path(f"/proc/{of}/task") / str(of) / "children").read_text()
        return {int(pid) for pid in listed.split()}

    def works(pid: int) -> bool:
        try:
            return "spawn_main" in Path(f"/proc/{pid}/cmdline").read_text()
        except OSError:
            return False

    command = [sys.executable, "-m", "ems.cli", "backtest", "--config", str(DEMO), "--jobs", "2"]
    command += ["--windows", "2023-01-23", "--seeds", "1-2", "--out", str(tmp_path)]
    campaign = subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    try:
        while len(workers := {pid for pid in children(campaign.pid) if works(pid)}) < 2:
            assert campaign.poll() is None
            time.sleep(0.1)
    finally:
        campaign.kill()
        campaign.wait()
    while any(works(pid) for pid in workers):
        time.sleep(0.1)


def test_a_case_that_cannot_be_run_is_named_with_its_remedy(setting: Setting) -> None:
    early = Case(date(2022, 12, 28), 1, 1)
    (failed,) = run_campaign([early], setting)
    assert failed.case == early
    assert "--history-days" in failed.why
    assert failed.trace == ""


def test_a_window_beyond_the_prices_is_refused_before_anything_is_run(
    setting: Setting, tmp_path: Path
) -> None:
    prices = tmp_path / "agile.csv"
    rows = pd.date_range("2023-01-05", "2023-01-08", freq="30min", tz=UTC)
    table = pd.DataFrame({"interval_start_utc": rows, "price_inc_vat_p_per_kwh": 20.0})
    table.drop(index=48 + 3).to_csv(prices, index=False)
    asked = replace(setting, folder=tmp_path, tariff="agile", prices=prices)
    parts: list[str] = []
    for case, said in (
        (Case(date(2023, 1, 7), 48, 1), "47 of its 96 half-hours, the first at 2023-01-08 00:30"),
        (Case(DAY, 24, 1), "1 of its 48 half-hours, the first at 2023-01-06 01:30"),
    ):
        (failed,) = run_campaign([case], asked, tell=lambda at: parts.append(at.part))
        assert said in failed.why and "--windows" in failed.why
        assert failed.trace == ""
    assert parts == []


def test_cases_go_by_seed_first() -> None:
    days = [date(2023, 1, 23), date(2023, 2, 20)]
    order = [(case.seed, case.start) for case in cases_of(days, 672, [1, 2])]
    assert order == [(1, days[0]), (1, days[1]), (2, days[0]), (2, days[1])]


def test_timers_heat_ahead_of_dear_hours_and_keep_the_battery_for_them() -> None:
    estate = load_estate(DEMO)
    zone = ZoneInfo("Europe/London")
    bands = (
        TariffBand(daytime(0), 0.09),
        TariffBand(daytime(6), 0.15),
        TariffBand(daytime(16), 0.30),
        TariffBand(daytime(19), 0.15),
    )
    tariff = TimeOfUseTariff("evening", zone, bands, bands)
    timer = Timer.of(tariff, estate, Window(MIDNIGHT, MIDNIGHT + timedelta(days=1)))
    assert timer.shift_k[32:38].tolist() == [-1.0] * 6  # 16:00 to 19:00
    assert timer.shift_k[28:32].tolist() == [1.0] * 4
    assert np.count_nonzero(timer.shift_k) == 10
    assert timer.cheap.tolist() == [True] * 12 + [False] * 36
    assert timer.held.all()
    flat = Timer.of(FlatTariff("flat", 0.2), estate, Window(MIDNIGHT, MIDNIGHT + timedelta(days=1)))
    assert not flat.shift_k.any()
    assert not flat.held.any()


def test_published_prices_replace_dynamic_tariffs_alone(tmp_path: Path) -> None:
    path = tmp_path / "agile.csv"
    path.write_text(
        "interval_start_utc,price_inc_vat_p_per_kwh,product\n"
        "2023-01-23 00:00:00+00:00,27.5,AGILE\n"
        "2023-01-23 00:30:00+00:00,-1.25,AGILE\n"
    )
    estate = with_rates(load_estate(DEMO), read_rates(path))
    block = estate.block("A").block_meter.tariff
    assert isinstance(block, DynamicTariff)
    assert block.rates == {
        datetime(2023, 1, 23, tzinfo=UTC): 0.275,
        datetime(2023, 1, 23, 0, 30, tzinfo=UTC): -0.0125,
    }
    home = estate.dwelling("B-18").meter.tariff
    assert home == load_estate(DEMO).dwelling("B-18").meter.tariff
    path.write_text("a,b\n1,2\n")
    with pytest.raises(InvalidInputError, match="price_inc_vat_p_per_kwh"):
        read_rates(path)


def test_a_real_pair_plays_what_was_observed_and_forecasts_what_was_issued(tmp_path: Path) -> None:
    hours = pd.date_range("2023-12-12", periods=96, freq="h", tz="UTC")
    issued = pd.DataFrame(
        {
            "time": hours,
            "temperature_2m": 5.0,
            "relative_humidity_2m": 80,
            "wind_speed_10m": 7.2,
            "shortwave_radiation": 0.0,
            "cloud_cover": 50,
        }
    )
    seen = pd.DataFrame({"time": hours, "temperature_2m": 3.0, "wind_speed_10m": 3.6})
    seen.loc[:9, "temperature_2m"] = np.nan
    paths = tmp_path / "observed.csv", tmp_path / "issued.csv"
    for frame, path in zip((seen, issued), paths, strict=True):
        frame.to_csv(path, index=False)
    estate = load_estate(DEMO)
    parameters = load_parameters(DEMO.parent / "field.yaml")
    sky = sky_of(estate, parameters, paths, 1, tmp_path)
    now = datetime(2023, 12, 13, 6, tzinfo=UTC)
    assert sky.label == REAL_PAIR
    forecast = sky.issued.issue(now, 48)["outdoor_c"]
    assert forecast.mean == pytest.approx(np.full(48, 5.0))
    assert (forecast.quantile(0.9) > forecast.mean + 0.3).all()
    truth = sky.true.issue(now, 48)["outdoor_c"]
    assert truth.mean == pytest.approx(np.full(48, 3.0))
    observed = sky.issued.observed(now - timedelta(hours=4), now)
    assert observed["outdoor_c"].to_numpy() == pytest.approx(np.full(8, 3.0))
    played = pd.read_csv(sky.parameters.weather)
    assert played["outdoor_c"].tolist() == [5.0] * 10 + [3.0] * 86
    assert played["wind_m_s"].tolist() == [1.0] * 96


def test_what_truly_came_is_told_without_spread_and_ends_with_the_day_before() -> None:
    window = Window(MIDNIGHT, MIDNIGHT + timedelta(days=1))
    index = pd.date_range(MIDNIGHT, periods=48 + 10, freq=HALF_HOUR)
    came = pd.Series(np.arange(58.0), index=index)
    issues = true_issues({("load_w", "A-01"): came}, window, 48)
    (last,) = issues.at(MIDNIGHT + timedelta(hours=23, minutes=40))
    assert last.start == MIDNIGHT + timedelta(hours=23, minutes=30)
    expected = [47.0, *range(48, 58), *range(10, 47)]
    assert last.mean.tolist() == expected
    assert all(last.quantile(level).tolist() == expected for level in (0.1, 0.5, 0.9))


def test_issued_forecasts_come_back_from_their_file(tmp_path: Path) -> None:
    rng = np.random.default_rng(1)
    made = Issues(
        MIDNIGHT,
        3600,
        [("load_w", "A"), ("pv_w", "A")],
        rng.random((3, 2, 4, 5)).astype(np.float32),
        np.array([[0, 1], [0, 0], [1, 1]], dtype=np.int32),
        [((), "habits"), (("history: 5 of 14 days",), "habits")],
    )
    made.save(tmp_path / "some.npz")
    found = Issues.load(tmp_path / "some.npz")
    for minutes in (0, 59, 61, 500):
        now = MIDNIGHT + timedelta(minutes=minutes)
        for mine, its in zip(made.at(now), found.at(now), strict=True):
            assert replace(mine, mean=its.mean, quantiles=its.quantiles) == its or (
                mine.mean.tolist() == its.mean.tolist()
                and mine.lacked == its.lacked
                and mine.issued_at == its.issued_at
            )
    assert found.at(MIDNIGHT)[1].lacked == ("history: 5 of 14 days",)


def test_half_hours_of_a_run_are_those_of_the_service_s_store(tmp_path: Path) -> None:
    points = [PointId("A-01-meter", "power_w"), PointId("A-01-hp", "heat_w")]
    rng = np.random.default_rng(2)
    rollups = [
        Rollup(point, MIDNIGHT + number * HALF_HOUR, float(rng.random()), 0.0, 1.0, coverage)
        for number, coverage in enumerate([1.0, 0.2, 0.8, 1.0])
        for point in points
    ]
    end = MIDNIGHT + timedelta(hours=6)
    with (
        open_store(tmp_path / "service.sqlite") as theirs,
        RunStore(tmp_path / "run.sqlite", points, MIDNIGHT, end) as mine,
        RunStore(tmp_path / "other.sqlite", points, MIDNIGHT, end) as copy,
    ):
        theirs.add_rollups(rollups)
        mine.add_rollups(rollups)
        copy.take_over(mine)
        asked = [points[1], PointId("nobody", "power_w"), points[0]]
        for start, until in (
            (MIDNIGHT - 2 * HALF_HOUR, end),
            (MIDNIGHT + timedelta(minutes=40), end),
        ):
            expected = theirs.rollups(asked, start, until)
            for store in (mine, copy):
                found = store.rollups(asked, start, until)
                assert list(found.columns) == list(expected.columns)
                assert (found.index == expected.index).all()
                np.testing.assert_array_equal(found.to_numpy(), expected.to_numpy())


@pytest.mark.parametrize(
    ("option", "value", "remedy"),
    [
        ("--windows", "2023-13-01", "Write days with commas"),
        ("--seeds", "5-1", "1-5 or 1,4,7"),
        ("--tariff", "agile", "agile:FILE"),
        ("--weather", "pair:one.csv", "pair:OBSERVED,ISSUED"),
        ("--houses", "igloo", "heated-floor"),
        ("--controllers", "magic", "perfect_foresight"),
        ("--plan-every", "20min", "30min or 1h"),
        ("--learn-every", "often", "1d or 7d"),
    ],
)
def test_wrong_options_are_named_with_a_remedy(
    tmp_path: Path, option: str, value: str, remedy: str
) -> None:
    found = CliRunner().invoke(
        main, ["backtest", "--config", str(DEMO), "--out", str(tmp_path), option, value]
    )
    assert found.exit_code == 2
    assert option.strip("-") in found.output
    assert value in found.output
    assert remedy in found.output
