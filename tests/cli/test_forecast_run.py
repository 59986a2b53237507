"""``ems forecast run`` on a meter file, and ``ems forecast show`` of what came of it."""

import json
from datetime import timedelta
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from click.testing import CliRunner
from threadpoolctl import threadpool_limits

from ems.cli import main
from ems.demo.start import anchor_clock
from ems.domain.forecasts import Forecast
from ems.settings import load_estate
from ems.store import open_store

CONFIG = Path(__file__).parents[2] / "config" / "demo" / "estate.yaml"
DATA = CONFIG.parent / "data"
NAMES = ("--id-column", "home", "--time-column", "at", "--energy-column", "kwh")
HABITS = ("--model", "weighted empirical", "--group-size", 4)


@pytest.fixture(scope="module")
def meters(tmp_path_factory) -> Path:
    """Nine real homes of the demonstration over twelve weeks, in local disorder, as a long CSV."""
    wide = pd.read_parquet(DATA / "consumption.parquet").set_index("start_utc").iloc[:, :9] / 1000
    wide = wide.iloc[: 48 * 84]
    wide.index = wide.index.tz_localize(None)
    wide.columns = [f"home {n}" for n in range(9)]
    long = wide.melt(ignore_index=False, var_name="home", value_name="kwh").reset_index(names="at")
    path = tmp_path_factory.mktemp("meters") / "meters.csv"
    long.dropna().sample(frac=1.0, random_state=0).to_csv(path, index=False)
    return path


def forecast(*arguments: object):
    """Run ``ems forecast``."""
    return CliRunner().invoke(main, ["forecast", *map(str, arguments)], prog_name="ems")


def test_meters_of_ones_own_are_forecast_from_the_end_of_the_file(meters, tmp_path):
    out = tmp_path / "new" / "tomorrow.csv"
    result = forecast("run", meters, *NAMES, *HABITS, "--out", out)
    assert result.exit_code == 0, result.output
    found = pd.read_csv(out)
    assert found.groupby("scale")["subject"].nunique().to_dict() == {
        "group": 2,
        "home": 9,
        "total": 1,
    }
    assert set(found["issued_at"]) == {"2023-03-21T00:00:00Z"}
    assert (found.groupby("subject").size() == 48).all()
    assert (found["p10_w"] <= found["p50_w"]).all() and (found["p50_w"] <= found["p90_w"]).all()
    homes = found[found["scale"] == "home"].groupby("start")["mean_w"].sum()
    whole = found[found["scale"] == "total"].set_index("start")["mean_w"]
    assert whole.sum() == pytest.approx(homes.sum(), rel=0.1)
    assert "learning from homes: 9" in result.output, "it says what it does"
    assert "ems forecast show 'home 0'" in result.output


def test_nothing_after_the_instant_of_issue_counts_and_it_can_be_any(meters, tmp_path):
    cut = pd.read_csv(meters)
    late = pd.to_datetime(cut["at"]) > pd.Timestamp("2023-03-10 05:30")
    scrambled = cut.assign(kwh=cut["kwh"].where(~late, 50.0 + cut.index % 7))
    scrambled.to_csv(tmp_path / "scrambled.csv", index=False)
    texts = []
    for source in (meters, tmp_path / "scrambled.csv"):
        out = tmp_path / f"{source.stem}.forecast.csv"
        at = ("--at", "2023-03-10T06:07+00:00", "--max-missing", 0.5)
        result = forecast("run", source, *NAMES, *HABITS, *at, "--out", out)
        assert result.exit_code == 0, result.output
        texts.append(out.read_text())
    assert texts[0] == texts[1]
    assert "2023-03-10T06:00Z" in texts[0] and "2023-03-10T06:07:00Z" in texts[0]


def test_every_kind_of_file_says_the_same_when_shown_again(meters, tmp_path):
    shown = []
    for name in ("a.csv", "b.csv.gz", "c.parquet", "d.json"):
        out = tmp_path / name
        assert forecast("run", meters, *NAMES, *HABITS, "--out", out).exit_code == 0
        result = forecast("show", "home 3", "--file", out, "--json")
        assert result.exit_code == 0, result.output
        one = json.loads(result.output)
        shown.append([round(value) for value in one["p90"]])
        assert one["subject"] == "home 3" and one["issued_at"].startswith("2023-03-21T00:00")
    assert all(np.allclose(shown[0], other, atol=1) for other in shown)


def test_a_forecast_is_shown_as_a_line_a_table_and_a_picture(meters, tmp_path):
    out, picture = tmp_path / "f.json", tmp_path / "home.svg"
    gone = pd.read_csv(meters)
    last = pd.to_datetime(gone["at"]) >= pd.Timestamp("2023-03-19")
    gone[~(last & (gone["home"] == "home 3"))].to_csv(tmp_path / "gone.csv", index=False)
    run = forecast("run", tmp_path / "gone.csv", *NAMES, *HABITS, "--horizon", 96, "--out", out)
    assert run.exit_code == 0, run.output
    result = forecast("show", "home 3", "--file", out, "--svg", picture)
    assert result.exit_code == 0, result.output
    lines = result.output.splitlines()
    assert "issued Tue 21 Mar 2023 00:00" in lines[0]
    assert lines[1] == "lacked: readings since 2023-03-18 23:30 UTC"
    assert sum(character in "▁▂▃▄▅▆▇█" for character in lines[3]) == 96
    assert "P10 kW" in result.output and "Wed 23:30" in result.output
    assert "expected in all:" in result.output
    svg = picture.read_text()
    assert svg.startswith("<svg xmlns=") and svg.count("<polyline") == 3
    assert "home 3: household load [kW]" in svg and "issued Tue 21 Mar 2023 00:00" in svg


def test_price_events_and_stuck_meters_are_not_learnt_from_and_are_named(meters, tmp_path):
    table = pd.read_csv(meters)
    at = pd.to_datetime(table["at"])
    hot = (at.dt.hour.between(17, 19)) & (at >= pd.Timestamp("2023-03-15"))
    table.loc[hot, "kwh"] = 4.0
    table.loc[(table["home"] == "home 1") & (at >= pd.Timestamp("2023-03-18")), "kwh"] = 0.123
    table.to_csv(tmp_path / "m.csv", index=False)
    days = pd.date_range("2023-03-15", "2023-03-20", tz="UTC")
    spans = {"start": days + pd.Timedelta(hours=17), "end": days + pd.Timedelta(hours=20)}
    pd.DataFrame(spans).to_csv(tmp_path / "events.csv", index=False)
    result = forecast(
        "run", tmp_path / "m.csv", *NAMES, *HABITS, "--events", tmp_path / "events.csv",
        "--out", tmp_path / "f.csv",
    )  # fmt: skip
    assert result.exit_code == 0, result.output
    found = pd.read_csv(tmp_path / "f.csv")
    homes = found[found["scale"] == "home"]
    assert homes["p50_w"].max() < 4000, "8 kW of every evening was an event, not a habit"
    assert homes["lacked"].str.contains("price event").all()
    stuck = homes[homes["subject"] == "home 1"]["lacked"].iloc[0]
    assert "stuck meter, one value: 2023-03-18 00:00 to " in stuck


@pytest.mark.long
def test_learnt_models_serve_too_and_weather_is_used(meters, tmp_path):
    with threadpool_limits(1):
        result = forecast(
            "run", meters, *NAMES, "--group-size", 9, "--weather-observed",
            DATA / "weather.csv.gz", "--holidays", DATA / "holidays.yaml",
            "--out", tmp_path / "f.csv",
        )  # fmt: skip
    assert result.exit_code == 0, result.output
    found = pd.read_csv(tmp_path / "f.csv")
    homes = found[found["scale"] == "home"]
    assert homes["lacked"].isna().all()
    assert set(homes["model"]) != {"weighted empirical, local half-hours"}
    assert "perfect weather" in result.output


@pytest.mark.parametrize(
    ("arguments", "says"),
    [
        (["--out", "f.xlsx"], "--out: the file's ending"),
        (["--out", "f.csv", "--at", "soon"], "--at: the instant of issue cannot be read"),
        (["--out", "f.csv", "--at", "2020-01-01"], "--at: no reading had ended by then"),
        (["--out", "f.csv", "--at", "2024-01-01"], "issued_at: the readings end 286 days earlier"),
        (["--out", "f.csv", "--zone", "Mars"], "--zone: there is no such time zone"),
        (["--out", "f.csv", "--events", "absent.csv"], "--events: the file cannot be read"),
        (["--out", "f.csv", "--weather", "absent.csv"], "--weather: the weather cannot be read"),
        (["--out", "f.csv", "--horizon", "0"], "Invalid value for '--horizon'"),
        (["--out", "f.csv", "--model", "tea leaves"], "Invalid value for '--model'"),
    ],
)
def test_wrong_input_is_refused_with_its_remedy(meters, tmp_path, arguments, says):
    arguments = [str(tmp_path / word) if word.startswith("f.") else word for word in arguments]
    result = forecast("run", meters, *NAMES, *arguments)
    assert result.exit_code == 2
    assert says in result.output
    assert not list(tmp_path.iterdir())


def test_what_is_no_file_of_forecasts_is_refused(meters, tmp_path):
    (tmp_path / "f.json").write_text("{}")
    for source, subject, says in (
        (meters, "home 1", "it lacks subject"),
        (tmp_path / "f.json", "home 1", "cannot be read"),
        (tmp_path / "absent.csv", "home 1", "cannot be read"),
    ):
        result = forecast("show", subject, "--file", source)
        assert result.exit_code == 2 and says in result.output, result.output
    out = tmp_path / "g.csv"
    assert forecast("run", meters, *NAMES, *HABITS, "--out", out).exit_code == 0
    result = forecast("show", "home 77", "--file", out)
    assert result.exit_code == 2
    assert "the file has no forecast of it (given: 'home 77'). It has: home 0" in result.output


@pytest.fixture
def estate(tmp_path: Path):
    """Run ``ems forecast show`` on a stopped estate whose store holds three forecasts."""
    loaded = load_estate(CONFIG)
    begin = loaded.starts_at
    anchor_clock(tmp_path, begin, 1.0)
    store = open_store(tmp_path / "store.sqlite")
    for target, subject, level in (
        ("load_w", "A-07", 400.0), ("pv_w", "A", 3000.0), ("outdoor_c", loaded.id, -2.0),
    ):  # fmt: skip
        mean = level + np.linspace(0.0, 1.0, 48)
        bands = {0.1: mean - 1.0, 0.5: mean, 0.9: mean + 1.0}
        for back in (60, 5):
            at = begin - timedelta(minutes=back)
            made = Forecast(target, subject, at, begin, 1800, mean, bands, ("sleep",), "habits")
            store.add_forecasts([made])
    store.close()

    def show(*words: str, status: int = 0) -> str:
        where = ["--config", str(CONFIG), "--state", str(tmp_path)]
        result = CliRunner().invoke(main, ["forecast", "show", *words, *where])
        assert result.exit_code == status, result.output
        return result.output

    return loaded.id, show


def test_the_newest_forecast_of_an_estate_is_shown_with_its_age(estate):
    name, show = estate
    home = show("A-07")
    assert home.startswith("A-07, household load: issued ") and ", 5 min ago, habits" in home
    assert "lacked: sleep" in home
    assert "A, generation of the panels" in show("A", "--target", "pv_w")
    weather = show(name)
    assert "outdoor temperature" in weather and "−2.0" in weather and "kWh" not in weather
    assert json.loads(show("A-07", "--json"))["target"] == "load_w"


def test_an_unknown_home_and_a_forecast_that_is_not_there_are_refused(estate):
    _, show = estate
    assert "no such home or block (given: 'Z-99')" in show("Z-99", status=2)
    assert "There are: load_w." in show("A-07", "--target", "pv_w", status=2)
    assert "makes the first ones when it starts" in show("A-01", status=2)
