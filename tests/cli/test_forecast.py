"""``ems forecast`` on a meter file, without configuration or service."""

import json
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from click.testing import CliRunner

from ems.cli import main

DATA = Path(__file__).parents[2] / "config" / "demo" / "data"


@pytest.fixture(scope="module")
def meters(tmp_path_factory) -> Path:
    """Nine real homes of the demonstration over twelve weeks, one with gaps, as a long CSV."""
    wide = pd.read_parquet(DATA / "consumption.parquet").set_index("start_utc").iloc[:, :9] / 1000
    wide = wide.iloc[: 48 * 84]
    wide.iloc[:480, 8] = np.nan
    wide.index = wide.index.tz_localize(None)
    wide.columns = [f"home {n}" for n in range(9)]
    long = wide.melt(ignore_index=False, var_name="home", value_name="kwh").reset_index(names="at")
    path = tmp_path_factory.mktemp("meters") / "meters.csv"
    long.dropna().sample(frac=1.0, random_state=0).to_csv(path, index=False)
    return path


def span(meters: Path, first: int, days: int) -> str:
    """Return ``--origins`` from a day of the file."""
    begin = pd.to_datetime(pd.read_csv(meters)["at"]).min() + pd.Timedelta(days=first)
    return f"{begin:%Y-%m-%d}..{begin + pd.Timedelta(days=days - 1):%Y-%m-%d}"


def run(*arguments: object):
    """Run ``ems forecast``."""
    return CliRunner().invoke(main, ["forecast", *map(str, arguments)], prog_name="ems")


NAMES = ("--id-column", "home", "--time-column", "at", "--energy-column", "kwh")


def test_a_backtest_of_ones_own_meters_writes_figures_and_a_page(meters, tmp_path):
    result = run(
        "backtest",
        meters,
        *NAMES,
        "--origins",
        span(meters, 70, 6),
        "--group-size",
        4,
        "--models",
        "weighted empirical",
        "--weather-observed",
        DATA / "weather.csv.gz",
        "--holidays",
        DATA / "holidays.yaml",
        "--out",
        tmp_path / "report",
    )
    assert result.exit_code == 0, result.output
    found = json.loads((tmp_path / "report" / "metrics.json").read_text())
    assert found["homes"] == 8 and found["homes_left_out"] == 1
    for scale in ("home", "group", "total"):
        assert 0.3 < found[scale]["mae_ratio"] < 1.2
        assert 0.2 < found[scale]["pinball_ratio"] < 1.0
        assert 0.5 < found[scale]["coverage_80"] < 1.0
        assert set(found[scale]["by_lead"]) == {"1", "4", "48"}
    assert found["home"]["coverage_80_min"] <= found["home"]["coverage_80_max"]
    assert found["group"]["subjects"] == 2
    assert found["seconds"] > 0 and found["peak_mb"] > 50
    assert "perfect weather" in found["weather"]
    page = (tmp_path / "report" / "report.html").read_text()
    assert page.count("<svg") == 12 and "perfect weather" in page and "home 7" in page
    assert "8 with at most 3% missing" in result.output


def test_a_forecast_never_depends_on_what_came_after_its_origin(meters, tmp_path):
    figures = []
    cut = pd.read_csv(meters)
    begin = pd.to_datetime(cut["at"]).min() + pd.Timedelta(days=70)
    late = pd.to_datetime(cut["at"]) >= begin + pd.Timedelta(days=1)
    scrambled = cut.copy()
    scrambled.loc[late, "kwh"] = 99.0
    for name, table in (("as it was", cut), ("scrambled", scrambled)):
        path = tmp_path / f"{name}.csv"
        table.to_csv(path, index=False)
        out = tmp_path / name
        result = run(
            "backtest", path, *NAMES, "--origins", f"{begin:%Y-%m-%d}", "--group-size", 4,
            "--models", "weighted empirical", "--out", out,
        )  # fmt: skip
        assert result.exit_code == 0, result.output
        found = json.loads((out / "metrics.json").read_text())
        figures.append({scale: found[scale] for scale in ("home", "group", "total")})
    assert figures[0] == figures[1]


@pytest.mark.parametrize(
    ("arguments", "says"),
    [
        (["--origins", "tomorrow"], "Write first and last day"),
        (["--origins", "2013-10-15.."], "Write first and last day"),
        (["--origins", "2013-10-15T00:10..2013-10-16"], "origins lie on half-hours"),
        (["--origins", "2001-01-01..2001-01-02"], "they run from"),
        (["--origins", "2013-10-15", "--every", "20min"], "not a whole number of half-hours"),
        (["--origins", "2013-10-15", "--zone", "Mars"], "no such time zone"),
        (["--origins", "2013-10-15", "--horizon", "0"], "too small"),
        (["--origins", "2013-10-15", "--models", "crystal ball"], "no such model"),
        (["--origins", "2013-10-15", "--energy-column", "kw"], "lacks columns: kw"),
        (["--origins", "2013-10-15", "--weather", "absent.csv"], "weather cannot be read"),
        (["--origins", "2013-10-15", "--holidays", "absent.csv"], "holidays cannot be read"),
        (["--origins", "2013-10-15", "--max-missing", "0.0"], "no home has so few gaps"),
    ],
)
def test_wrong_input_is_refused_with_its_remedy(meters, tmp_path, arguments, says):
    source = meters
    if "--max-missing" in arguments:
        source = tmp_path / "gaps.csv"
        pd.read_csv(meters).groupby("home").head(20).to_csv(source, index=False)
    result = run("backtest", source, *NAMES, *arguments, "--out", tmp_path / "out")
    assert result.exit_code == 2
    assert says in result.output
    assert not (tmp_path / "out").exists()
