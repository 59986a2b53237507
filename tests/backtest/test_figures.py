"""A campaign's figures and its report, on made-up runs of the demonstration's homes."""

from __future__ import annotations

import json
import random
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any
from xml.etree import ElementTree

import numpy as np
import pytest
from click.testing import CliRunner
from hypothesis import given
from hypothesis import strategies as st

from ems.backtest.case import Setting
from ems.backtest.cases import save_evidence
from ems.backtest.drawing import Row, Spot, intervals, plane, strips
from ems.backtest.figures import campaign_figures, case_figures, weeks_of
from ems.backtest.report import write_campaign
from ems.backtest.reporting import report_campaign
from ems.backtest.words import less
from ems.cli import main
from ems.demo.evidence import Controller, Evidence
from ems.demo.figures import figures
from ems.demo.metering import WARMTH, Measured, Stored, Window
from ems.domain.errors import InvalidInputError
from ems.domain.estate import Estate
from ems.settings import load_estate

DEMO = Path(__file__).parents[2] / "config/demo/estate.yaml"
HOMES, BLOCKS = 40, 2
JANUARY, FEBRUARY = datetime(2023, 1, 16, tzinfo=UTC), datetime(2023, 2, 6, tzinfo=UTC)
FORTNIGHT = timedelta(days=14)


def a_run(window: Window, seed: int, *, warmer_k: float = 0.0, less: float = 0.0) -> Measured:
    """Return a run of made-up weather and people, the same for a seed and window."""
    rng = np.random.default_rng([seed, int(window.start.timestamp())])
    slots = len(window.half_hours)
    homes = rng.gamma(2.0, 0.3, (slots, HOMES)) * (1.0 + 0.05 * warmer_k) * (1.0 - less)
    battery = np.full((slots, BLOCKS), 1.0)
    block = homes.reshape(slots, BLOCKS, -1).sum(axis=2)
    short = np.maximum(rng.normal(0.0, 0.05, (slots, HOMES)) - 0.02 * warmer_k, 0.0)
    counters = {
        "home_import": homes,
        "pump_import": 0.6 * homes,
        "block_import": block + 0.5,
        "block_export": np.zeros_like(block),
        "landlord_import": np.full_like(block, 0.5),
        "landlord_export": np.zeros_like(block),
        "generated": np.zeros_like(block),
    }
    return Measured(
        kwh=counters,
        charged_kwh=battery,
        discharged_kwh=0.9 * battery,
        battery_kwh=np.cumsum(0.01 * battery, axis=0),
        room_kwh=rng.normal(5.0, 0.5, (slots, HOMES)),
        tank_kwh=rng.normal(3.0, 0.5, (slots, HOMES)),
        room_c=rng.normal(20.0 + warmer_k, 0.5, (slots, HOMES)),
        missing_kh={name: short * (1.0 if name == "below_schedule" else 0.1) for name in WARMTH},
        starts=rng.integers(9, 90, HOMES).astype(float),
        heat_kwh=3.0 * counters["pump_import"].sum(axis=0),
        begin=Stored(np.zeros(BLOCKS), np.full(HOMES, 5.0), np.full(HOMES, 3.0)),
    )


def a_case(start: datetime, seed: int, length: timedelta = FORTNIGHT) -> Evidence:
    """Return a case: planned a tenth less, perfect foresight an eighth, timers less but colder."""
    window = Window(start, start + length)
    frontier = {shift: a_run(window, seed, warmer_k=shift) for shift in (-1.0, 0.0, 1.0)}
    return Evidence(
        seed=seed,
        window=window,
        history_days=36,
        runs={
            Controller.THERMOSTAT: frontier[0.0],
            Controller.TIME_OF_USE: a_run(window, seed, less=0.12, warmer_k=-1.0),
            Controller.PLANNED: a_run(window, seed, less=0.1),
            Controller.PERFECT_FORESIGHT: a_run(window, seed, less=0.125),
        },
        frontier=frontier,
        kept=np.full(HOMES, 0.7),
    )


@pytest.fixture(scope="module")
def estate() -> Estate:
    return load_estate(DEMO)


@pytest.fixture(scope="module")
def cases() -> list[Evidence]:
    return [a_case(start, seed) for start in (JANUARY, FEBRUARY) for seed in (1, 2)]


@pytest.fixture(scope="module")
def found(estate: Estate, cases: list[Evidence]) -> dict[str, Any]:
    return campaign_figures(lambda _: estate, cases, expected=6)


def test_weeks_add_up_to_what_the_whole_window_cost(estate: Estate, cases: list[Evidence]) -> None:
    one = case_figures(estate, cases[0])
    for name, weeks in one["weeks"]["runs"].items():
        whole = one["runs"][name]
        for key in ("whole_cost_gbp", "carbon_kg", "energy_kwh", "degree_hours_below_schedule"):
            assert sum(weeks[key]) == pytest.approx(whole[key])
        highest = sum(block["peak_import_kw"] for block in whole["blocks"])
        assert max(weeks["peak_kw"]) <= highest + 1e-9
    # What the demonstration's own report says of the same evidence is the same.
    other = figures(estate, cases[0])["comparison"]["planned"]
    mine = one["comparison"]["planned"]
    for key in ("saved_at_equal_warmth_gbp", "saved_at_equal_warmth_share", "saved_gbp"):
        assert mine[key] == pytest.approx(other[key], abs=1e-4)


@pytest.mark.parametrize(
    ("hours", "lengths"), [(2, [4]), (168, [336]), (20 * 24, [336, 624]), (28 * 24, [336] * 4)]
)
def test_a_window_is_cut_into_whole_weeks_and_loses_nothing(hours: int, lengths: list[int]) -> None:
    spans = weeks_of(Window(JANUARY, JANUARY + timedelta(hours=hours)))
    assert [span.stop - span.start for span in spans] == lengths
    assert [spans[0].start, *(span.stop for span in spans)] == [0, *np.cumsum(lengths).tolist()]


def test_a_campaign_says_what_planning_saves_and_how_sure_that_is(found: dict[str, Any]) -> None:
    assert (found["cases_done"], found["cases_expected"]) == (4, 6)
    (group,) = found["groups"]
    assert (group["weeks"], group["seeds"], group["cases"]) == (4, [1, 2], 4)
    energy = group["reductions"]["planned"]["energy"]["raw_share"]
    # A tenth less in homes; the landlord's own use stays.
    assert 0.09 < energy["low"] <= energy["value"] <= energy["high"] < 0.1
    captured = group["captured"]["raw"]
    assert captured["low"] <= captured["value"] <= captured["high"]
    assert captured["value"] == pytest.approx(0.8, abs=0.01)
    assert {one["promise"]: one["verdict"] for one in group["verdicts"]} == {
        "never_colder": "kept",
        "no_home_worse": "kept",
        "foresight": "missed",
    }
    assert set(group["by_window"]) == {"2023-01-16/2023-01-30", "2023-02-06/2023-02-20"}
    assert json.loads(json.dumps(found, allow_nan=False)) == found


def test_the_order_of_cases_does_not_matter(
    estate: Estate, cases: list[Evidence], found: dict[str, Any]
) -> None:
    mixed = cases.copy()
    random.Random(3).shuffle(mixed)
    assert campaign_figures(lambda _: estate, mixed, expected=6) == found


def test_other_prices_and_houses_are_never_pooled(estate: Estate, cases: list[Evidence]) -> None:
    other = replace(cases[0], tariff="agile")
    third = replace(cases[0], houses="heavy")
    groups = campaign_figures(lambda _: estate, [other, third, *cases[:2]])["groups"]
    kinds = [(group["tariff"], group["houses"], group["cases"]) for group in groups]
    assert kinds == [("trial", "two-node", 2), ("agile", "two-node", 1), ("trial", "heavy", 1)]


def test_a_campaign_that_has_only_begun_gives_figures_without_intervals(estate: Estate) -> None:
    early = a_case(JANUARY, 1, timedelta(hours=5))
    early = replace(early, runs={Controller.THERMOSTAT: early.runs[Controller.THERMOSTAT]})
    found = campaign_figures(lambda _: estate, [early], expected=3)
    (group,) = found["groups"]
    assert (group["reductions"], group["captured"], group["verdicts"]) == ({}, None, [])
    planned = a_case(JANUARY, 1, timedelta(hours=5))
    (group,) = campaign_figures(lambda _: estate, [planned])["groups"]
    share = group["reductions"]["planned"]["cost"]["raw_share"]
    assert share["value"] > 0.0
    assert share["low"] is share["high"] is None
    nothing = campaign_figures(lambda _: estate, [], expected=3)
    assert (nothing["cases_done"], nothing["cases_expected"], nothing["groups"]) == (0, 3, [])


def test_carbon_says_which_half_hours_it_leaves_out(found: dict[str, Any]) -> None:
    # The file lacks five half-hours of 26 January.
    missing = [case["half_hours_without_carbon"] for case in found["cases"]]
    assert missing == [5, 5, 0, 0]


def test_the_page_stands_alone_and_says_what_the_figures_say(
    found: dict[str, Any], tmp_path: Path
) -> None:
    as_html, as_json = write_campaign(tmp_path / "out", found)
    assert json.loads(as_json.read_text(encoding="utf-8")) == found
    page = as_html.read_text(encoding="utf-8").replace("\N{NO-BREAK SPACE}", " ")
    for fetched in ("<script", "<link", "http://", "https://", "url(", "@import", "src="):
        assert fetched not in page
    # The first heading is for those who pay; the promise that is missed is said there.
    assert page.index("What it is worth") < page.index("Missed: at least 85 % of perfect foresight")
    assert "4 of 6 cases are in. What follows is provisional." in page
    saved = found["groups"][0]["reductions"]["planned"]["cost"]["share"]
    low, high = (f"{100 * saved[end]:.1f}" for end in ("low", "high"))
    assert (
        f"planning cost {100 * saved['value']:.1f} % less (95 % interval {low} to {high})" in page
    )
    assert "a timer set by the day&#39;s prices costs" in page
    assert "40 of 40 homes are colder by more than 0.5 K·h a week than on own" in page
    for said in ("weather: issued with error", "two-node", "trial", "36 days before each window"):
        assert said in page
    for plot in ("Cost against missing warmth", "by window", "Missing warmth", "mean room"):
        assert f'aria-label="{plot}' in page or plot in page


def test_a_page_can_be_made_of_what_is_there(
    estate: Estate, cases: list[Evidence], tmp_path: Path
) -> None:
    hours = a_case(JANUARY, 1, timedelta(hours=5))
    own = replace(hours, runs={Controller.THERMOSTAT: hours.runs[Controller.THERMOSTAT]})
    blind = {
        name: run for name, run in cases[0].runs.items() if name is not Controller.PERFECT_FORESIGHT
    }
    told = [
        ([], 3, "No case is in yet."),
        ([own], 3, "there is nothing to compare"),
        ([hours], 3, "With so few weeks nothing says how sure that is."),
        ([replace(cases[0], runs=blind)], 1, "Kept: never more degree-hours under 18 °C"),
        ([cases[0], replace(cases[0], tariff="agile")], 2, "Cases of different kinds"),
    ]
    for at, (some, expected, said) in enumerate(told):
        found = campaign_figures(lambda _: estate, some, expected=expected)
        as_html, _ = write_campaign(tmp_path / str(at), found)
        page = as_html.read_text(encoding="utf-8").replace("\N{NO-BREAK SPACE}", " ")
        assert said in page
        assert ("Not complete." in page) == (expected > len(some))


def test_a_home_left_colder_is_named_on_the_page(
    estate: Estate, cases: list[Evidence], tmp_path: Path
) -> None:
    colder = {**cases[0].runs, Controller.PLANNED: cases[0].frontier[-1.0]}
    found = campaign_figures(lambda _: estate, [replace(cases[0], runs=colder), cases[1]])
    told = {one["promise"]: one for one in found["groups"][0]["verdicts"]}
    worst = max(told["no_home_worse"]["misses"], key=lambda miss: miss["kh_per_week"])
    assert {miss["seed"] for miss in told["no_home_worse"]["misses"]} == {cases[0].seed}
    assert [miss["seed"] for miss in told["never_colder"]["misses"]] == [cases[0].seed]
    as_html, _ = write_campaign(tmp_path, found)
    page = as_html.read_text(encoding="utf-8").replace("\N{NO-BREAK SPACE}", " ")
    assert "Missed: no home is worse by more than 0.5 K·h a week." in page
    assert f"{worst['home']} in 16 Jan to 29 Jan 2023, seed 1: {worst['kh_per_week']:.2f}" in page


@pytest.mark.parametrize(
    ("found", "said"),
    [
        ((0.042, 0.031, 0.052), "4.2 % less (95 % interval 3.1 to 5.2)"),
        ((-0.042, -0.052, -0.031), "4.2 % more (95 % interval 3.1 to 5.2)"),
        ((0.01, -0.02, 0.04), "1.0 % less (95 % interval −2.0 to 4.0, which could be chance)"),
        ((-0.01, -0.04, 0.02), "1.0 % more (95 % interval −2.0 to 4.0, which could be chance)"),
        ((0.01, None, None), "1.0 % less"),
    ],
)
def test_more_and_less_are_told_apart_and_chance_is_named(
    found: tuple[float, float | None, float | None], said: str
) -> None:
    assert less(dict(zip(("value", "low", "high"), found, strict=True))) == said


@given(
    st.lists(
        st.tuples(st.floats(-1e3, 1e3), st.floats(0.0, 1e3), st.floats(0.0, 1e3)),
        min_size=1,
        max_size=6,
    ),
    st.sampled_from([340.0, 1080.0]),
)
def test_charts_hold_whatever_numbers_they_are_given(
    numbers: list[tuple[float, float, float]], width: float
) -> None:
    rows = [
        Row(f"<row {at}>", "#000000", value, value - below, value + above, dots=[value])
        for at, (value, below, above) in enumerate(numbers)
    ]
    spots = [Spot(f"<spot {at}>", "#000000", x, y) for at, (x, y, _) in enumerate(numbers)]
    values = [value for value, *_ in numbers]
    drawn = [
        intervals("<intervals>", "%", rows, width),
        strips("<strips>", "K", [("<all>", values)], width, limit=0.5, colours=("#111", "#222")),
        plane("<plane>", ("K·h", "£"), spots, spots, width, 420.0),
    ]
    roots = [ElementTree.fromstring(svg) for svg in drawn]  # noqa: S314 - our own drawings
    for root in roots:
        _, _, right, bottom = (float(part) for part in root.attrib["viewBox"].split())
        for circle in root.iter("circle"):
            assert 0.0 <= float(circle.attrib["cx"]) <= right
            assert 0.0 <= float(circle.attrib["cy"]) <= bottom
    above = sum(circle.attrib["fill"] == "#222" for circle in roots[1].iter("circle"))
    assert above == sum(value > 0.5 for value in values)


def test_a_folder_of_cases_is_reported_by_the_command_whoever_ran_them(
    cases: list[Evidence], tmp_path: Path
) -> None:
    out = tmp_path / "out"
    save_evidence(out / "cases/trial_two-node_error_2023-01-16_1.npz", cases[0])
    save_evidence(out / "cases/trial_two-node_error_2023-02-06_2.npz", cases[3])
    given = ["backtest", "--config", str(DEMO), "--out", str(out), "--report-only"]
    asked = ["--windows", "2023-01-16,2023-02-06", "--days", "14", "--seeds", "1-2"]
    result = CliRunner().invoke(main, [*given, *asked, "--plan-every", "30min"])
    assert result.exit_code == 0, result.output
    assert "2 of 4 cases" in result.output
    assert "planning cost" in result.output
    assert "Missed: at least 85 %" in result.output
    found = json.loads((out / "report.json").read_text(encoding="utf-8"))
    assert (found["cases_done"], found["cases_expected"]) == (2, 4)
    assert found["settings"]["Planned every"] == "30 minutes"


def test_cases_at_other_prices_join_once_somebody_says_where_those_are(
    cases: list[Evidence], tmp_path: Path
) -> None:
    save_evidence(tmp_path / "cases/agile.npz", replace(cases[1], tariff="agile"))
    setting = Setting(DEMO, tmp_path)
    with pytest.raises(InvalidInputError, match="Give --tariff agile:FILE once more"):
        report_campaign([], setting)
    prices = tmp_path / "agile.csv"
    rows = [f"{start:%Y-%m-%dT%H:%MZ},{10 + start.hour}" for start in cases[1].window.half_hours]
    prices.write_text("\n".join(["interval_start_utc,price_inc_vat_p_per_kwh", *rows]))
    named = replace(setting, tariff="agile", prices=prices)
    # From then on it is known.
    for one in (named, setting):
        found, _ = report_campaign([], one)
        assert [group["tariff"] for group in found["groups"]] == ["agile"]
    with pytest.raises(InvalidInputError, match="40 homes instead of 20"):
        report_campaign([], replace(setting, blocks=("A",)))
