"""The same days under three controllers: what is measured, and that it can be repeated."""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path

import numpy as np
import pytest
from click.testing import CliRunner
from hypothesis import given
from hypothesis import strategies as st

from ems.cli import main
from ems.demo.drawing import nice_ticks
from ems.demo.evidence import Controller, Evidence, gather, window_of
from ems.demo.figures import at_warmth, figures
from ems.demo.history import HistorySpan
from ems.demo.report import write_report
from ems.domain.errors import InvalidInputError
from ems.domain.estate import Estate
from ems.field.parameters import FieldParameters, load_parameters
from ems.settings import load_estate

DEMO = Path(__file__).parents[2] / "config/demo/estate.yaml"
SPAN = HistorySpan(thermostat_days=2, planned_days=0)
EVENING = datetime(2023, 12, 1, 16, 0, tzinfo=UTC)


@pytest.fixture(scope="module")
def estate() -> Estate:
    return load_estate(DEMO)


@pytest.fixture(scope="module")
def parameters() -> FieldParameters:
    return load_parameters(DEMO.parent / "field.yaml")


@pytest.fixture(scope="module")
def run(
    estate: Estate, parameters: FieldParameters, tmp_path_factory: pytest.TempPathFactory
) -> Callable[[int], Evidence]:
    """Gather the evidence of an hour and a half into the dear evening."""

    def gathered(seed: int) -> Evidence:
        window = window_of(estate, EVENING, timedelta(minutes=90))
        folder = tmp_path_factory.mktemp("work")
        return gather(estate, replace(parameters, seed=seed), window, folder, span=SPAN)

    return gathered


@pytest.fixture(scope="module")
def evidence(run: Callable[[int], Evidence]) -> Evidence:
    return run(7)


def test_the_same_seed_gives_the_same_report_and_another_seed_another(
    estate: Estate, run: Callable[[int], Evidence], evidence: Evidence, tmp_path: Path
) -> None:
    def texts(found: Evidence, name: str) -> list[str]:
        paths = write_report(tmp_path / name, estate, figures(estate, found))
        return [path.read_text(encoding="utf-8") for path in paths]

    first = texts(evidence, "first")
    assert texts(run(7), "again") == first
    assert json.loads(texts(run(8), "other")[0])["runs"] != json.loads(first[0])["runs"]


def test_all_runs_start_from_the_same_rooms_tanks_and_batteries(evidence: Evidence) -> None:
    begins = [run.begin for run in [*evidence.runs.values(), *evidence.frontier.values()]]
    for begin in begins[1:]:
        np.testing.assert_array_equal(begin.battery_kwh, begins[0].battery_kwh)
        np.testing.assert_array_equal(begin.room_kwh, begins[0].room_kwh)
        np.testing.assert_array_equal(begin.tank_kwh, begins[0].tank_kwh)


def test_a_planned_battery_leaves_homes_to_their_thermostats(evidence: Evidence) -> None:
    own, battery = evidence.runs[Controller.THERMOSTAT], evidence.runs[Controller.BATTERY_ONLY]
    np.testing.assert_array_equal(own.room_c, battery.room_c)
    np.testing.assert_array_equal(own.kwh["home_import"], battery.kwh["home_import"])
    assert not np.array_equal(own.battery_kwh, battery.battery_kwh)
    planned = evidence.runs[Controller.PLANNED]
    assert not np.array_equal(own.room_c, planned.room_c)


def test_warmer_schedules_cost_more_and_leave_less_warmth_missing(evidence: Evidence) -> None:
    ordered = [evidence.frontier[shift] for shift in sorted(evidence.frontier)]
    used = [run.kwh["pump_import"].sum() for run in ordered]
    missing = [run.missing("below_schedule").sum() for run in ordered]
    assert used == sorted(used)
    assert missing == sorted(missing, reverse=True)
    assert used[0] < used[-1]


def test_missing_warmth_and_stores_are_known_by_the_half_hour(evidence: Evidence) -> None:
    for run in evidence.frontier.values():
        assert {series.shape for series in run.missing_kh.values()} == {(3, 40)}
        # Below 18 °C a room is below its floor too, chosen or not.
        cold, floor = (
            run.missing_kh[name] + run.missing_kh[f"chosen_{name}"]
            for name in ("below_cold", "below_floor")
        )
        assert (cold <= floor + 1e-9).all()
        assert (cold[run.room_c < 17.9] > 0.0).all()
        np.testing.assert_array_equal(run.stored(3).room_kwh, run.end.room_kwh)
        assert run.stored(0) is run.begin
    # Schedules shifted up leave more heat in rooms in every half-hour.
    held = [evidence.frontier[shift].room_kwh.sum(axis=1) for shift in (-1.5, 0.0, 1.5)]
    assert (np.diff(held, axis=0) > 0.0).all()


def test_every_meter_of_a_block_agrees_with_the_others(evidence: Evidence) -> None:
    for measured in evidence.runs.values():
        kwh = measured.kwh
        homes = kwh["home_import"].reshape(-1, 2, 20).sum(axis=2)
        landlord = kwh["landlord_import"] - kwh["landlord_export"]
        block = kwh["block_import"] - kwh["block_export"]
        np.testing.assert_allclose(homes + landlord, block, atol=1e-6)


def test_payers_add_up_and_follow_the_meters(estate: Estate, evidence: Evidence) -> None:
    found = figures(estate, evidence)
    rates = np.array(found["series"]["rate_gbp_per_kwh"]["A"])
    for name, one in found["runs"].items():
        run = evidence.runs[Controller(name)]
        for block in one["blocks"]:
            paid = block["tenants_gbp"] + block["landlord_gbp"]
            assert paid == pytest.approx(block["cost_gbp"], abs=2e-4)
        first = one["blocks"][0]
        assert first["supply"] == "boundary"
        bought = run.kwh["block_import"][:, 0] @ rates
        sold = 0.045 * run.kwh["block_export"][:, 0].sum()
        assert first["cost_gbp"] == pytest.approx(bought - sold, abs=2e-4)
        # Homes of a pooled block pay the one resale rate, whatever the hour.
        resold = 0.14228 * run.kwh["home_import"][:, :20].sum()
        assert first["tenants_gbp"] == pytest.approx(resold - first["credit_gbp"], abs=2e-4)
        assert first["credit_gbp"] == 0.0 or name == "planned"
        total = sum(block["cost_gbp"] for block in one["blocks"])
        assert one["cost_gbp"] == pytest.approx(total, abs=3e-4)
        whole = one["cost_gbp"] + one["wear_gbp"] - one["stored_gbp"]
        assert one["whole_cost_gbp"] == pytest.approx(whole, abs=3e-4)


def test_a_run_is_not_better_or_worse_than_itself(estate: Estate, evidence: Evidence) -> None:
    own = evidence.runs[Controller.THERMOSTAT]
    runs = {Controller.THERMOSTAT: own, Controller.PLANNED: own}
    found = figures(estate, replace(evidence, runs=runs))["comparison"]["planned"]
    assert found["saved_at_equal_warmth_gbp"] == pytest.approx(0.0, abs=1e-3)
    assert found["saved_bills_gbp"] == found["saved_carbon_kg"] == 0.0
    assert found["homes_worse"] == found["bills_higher"] == []
    assert set(found["change_kh_per_week"].values()) == {0.0}


def test_a_colder_home_is_named(estate: Estate, evidence: Evidence) -> None:
    colder = evidence.frontier[-1.5]
    runs = {Controller.THERMOSTAT: evidence.runs[Controller.THERMOSTAT], Controller.PLANNED: colder}
    found = figures(estate, replace(evidence, runs=runs))["comparison"]["planned"]
    assert not found["as_warm"]
    worst = found["homes_worse"][0]
    number = [home.id for home in estate.dwellings()].index(worst["id"])
    change = (
        colder.missing("below_schedule")[number]
        - evidence.frontier[0.0].missing("below_schedule")[number]
    )
    assert worst["worse_kh_per_week"] == pytest.approx(change * 168 / 1.5, abs=1e-3)


def test_the_page_stands_alone_and_says_what_the_figures_say(
    estate: Estate, evidence: Evidence, tmp_path: Path
) -> None:
    found = figures(estate, evidence)
    as_json, as_html = write_report(tmp_path, estate, found)
    assert json.loads(as_json.read_text(encoding="utf-8")) == found
    page = as_html.read_text(encoding="utf-8")
    for fetched in ("<script", "<link", "http://", "https://", "url(", "@import", "src="):
        assert fetched not in page
    assert "seed 7" in page
    assert f"{found['runs']['planned']['cost_gbp']:.2f}" in page
    for home in estate.dwellings():
        assert f'<th scope="row">{home.id}</th>' in page


def test_equal_warmth_lies_on_straight_lines_between_points() -> None:
    frontier = [
        {"degree_hours_below_schedule": 10.0, "whole_cost_gbp": 100.0},
        {"degree_hours_below_schedule": 30.0, "whole_cost_gbp": 60.0},
        {"degree_hours_below_schedule": 20.0, "whole_cost_gbp": 90.0},
    ]
    assert at_warmth(frontier, 15.0) == (95.0, True)
    assert at_warmth(frontier, 25.0) == (75.0, True)
    assert at_warmth(frontier, 5.0) == (100.0, False)
    assert at_warmth(frontier, 40.0) == (60.0, False)


@given(
    st.floats(-1e6, 1e6, allow_nan=False), st.floats(1e-3, 1e6, allow_nan=False), st.integers(2, 9)
)
def test_ticks_are_even_and_hold_what_they_are_for(low: float, span: float, most: int) -> None:
    ticks = nice_ticks(low, low + span, most)
    steps = np.diff(ticks)
    slack = 1e-6 * max(abs(low), span, 1.0)
    assert ticks[0] <= low + slack
    assert ticks[-1] >= low + span - slack
    assert len(ticks) <= most + 2
    np.testing.assert_allclose(steps, steps[0], rtol=1e-6, atol=1e-8)


@pytest.mark.parametrize(
    ("options", "field"),
    [
        (["--report", "{out}", "--for", "soon"], "--for"),
        (["--report", "{out}", "--for", "45min"], "--for"),
        (["--speed", "600"], "--speed"),
        (["--seed", "2"], "--seed"),
        (["--from", "2023-11-20"], "--from"),
    ],
)
def test_what_cannot_be_is_refused_by_name(options: list[str], field: str, tmp_path: Path) -> None:
    given = [option.format(out=tmp_path / "out") for option in options]
    result = CliRunner().invoke(
        main, ["demo", "--config", str(DEMO), "--state", str(tmp_path / "state"), *given]
    )
    assert result.exit_code == 2
    assert field in result.output
    assert not (tmp_path / "out").exists()
    assert not (tmp_path / "state").exists()


def test_a_window_without_data_is_refused_with_its_reason(
    estate: Estate, parameters: FieldParameters, tmp_path: Path
) -> None:
    late = window_of(estate, datetime(2025, 1, 1, tzinfo=UTC), timedelta(hours=1))
    with pytest.raises(InvalidInputError, match="does not reach this day"):
        gather(estate, parameters, late, tmp_path, span=SPAN)


def test_the_command_writes_a_report_and_says_what_came_out(tmp_path: Path) -> None:
    given = ["--speed", "600", "--for", "30min", "--seed", "3", "--history-days", "2"]
    result = CliRunner().invoke(
        main, ["demo", "--config", str(DEMO), *given, "--report", str(tmp_path / "out")]
    )
    assert result.exit_code == 0, result.output
    found = json.loads((tmp_path / "out/report.json").read_text(encoding="utf-8"))
    assert (found["seed"], found["homes"], found["hours"]) == (3, 40, 0.5)
    assert found["from"] == "2023-12-01T12:00:00Z"
    assert sorted(found["runs"]) == ["battery_only", "planned", "thermostat"]
    assert "At equal warmth" in result.output
