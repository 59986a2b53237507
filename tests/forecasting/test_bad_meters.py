"""Meters as bad as they come: a forecast that says what is weak, or a refusal that helps.

Every fault is laid into seeded homes and goes the way of ``ems forecast run``: a long table, the
grid of half-hours, a forecast. What is not a grid must be refused by the models themselves.
"""

import json
import time
from collections import Counter
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from ems.domain.errors import InvalidInputError
from forecasting.calendar import Calendar
from forecasting.ensemble import learnt_models
from forecasting.interface import LEVELS, Horizon
from forecasting.load import load_model
from forecasting.meter_forecasts import forecast_meters
from forecasting.meters import Columns, regular

FIGURES = Path(__file__).parents[2] / "build" / "bad-meters.json"
NAN = float("nan")
HISTORY, GAPS, FLAT = "history:", "% missing", "one "
FAULTS = {
    "clean": None,
    "unsorted": None,
    "a tenth missing": GAPS,
    "a third absent": GAPS,
    "a week of silence": GAPS,
    "silent lately": "readings since",
    "negative": GAPS,
    "all negative": HISTORY,
    "duplicated": None,
    "constant": "stuck meter",
    "mostly one value": FLAT,
    "all zero": "one constant value",
    "one value": HISTORY,
    "three days": HISTORY,
    "infinite": GAPS,
    "text": GAPS,
    "all gaps": HISTORY,
    "off the half-hour": GAPS,
    "a spike": None,
}
"""Fault → what the forecast must say; ``None``: nothing is weak, or a note says it."""
NOTED = {
    "negative": "negative values, taken as missing",
    "all negative": "negative values, taken as missing",
    "duplicated": "rows for a half-hour that comes again",
    "infinite": "infinite values, taken as missing",
    "text": "rows without a value",
    "all gaps": "rows without a value",
    "off the half-hour": "rows off the half-hour",
}
"""Fault → what the notes on the file must say."""


def spoilt(  # noqa: PLR0912 - one branch a fault
    fault: str, random: np.random.Generator, starts: pd.DatetimeIndex
) -> pd.DataFrame:
    """Return the rows of one home with one fault: start (UTC) and kWh."""
    count = len(starts)
    hour = np.asarray(starts.hour)
    energy = random.gamma(2.0, 0.1, count) * (1.0 + np.sin(hour / 24.0 * 6.28 - 2.0) * 0.7)
    rows = pd.DataFrame({"start": starts, "kwh": energy.astype(object)})
    some = random.random(count) < 0.1
    match fault:
        case "unsorted":
            rows = rows.sample(frac=1.0, random_state=int(random.integers(1 << 30)))
        case "a tenth missing":
            rows.loc[some, "kwh"] = NAN
        case "a third absent":
            rows = rows[random.random(count) < 0.67]
        case "a week of silence":
            rows = rows[(np.arange(count) < count - 720) | (np.arange(count) >= count - 384)]
        case "silent lately":
            rows = rows.iloc[:-96]
        case "negative":
            rows.loc[some, "kwh"] = -1.5
        case "all negative":
            rows["kwh"] = -0.2
        case "duplicated":
            again = rows[some].assign(kwh=0.3)
            rows = pd.concat([rows, again, again])
        case "constant":
            rows["kwh"] = 0.25
        case "mostly one value":
            rows.loc[random.random(count) < 0.7, "kwh"] = 0.05
        case "all zero":
            rows["kwh"] = 0.0
        case "one value":
            rows = rows.iloc[[count // 2]]
        case "three days":
            rows = rows.iloc[-144:]
        case "infinite":
            rows.loc[some, "kwh"] = random.choice([np.inf, -np.inf])
        case "text":
            rows.loc[some, "kwh"] = random.choice(["Null", "n/a", "", "0,25", "1.2.3"])
        case "all gaps":
            rows["kwh"] = NAN
        case "off the half-hour":
            rows.loc[some, "start"] += pd.Timedelta(minutes=7)
        case "a spike":
            rows.loc[rows.index[count // 3], "kwh"] = 1e6
    return rows


def table_of(
    random: np.random.Generator, homes: int, days: int, first: str, stamps: str
) -> tuple[pd.DataFrame, dict[str, str]]:
    """Return a long table of homes with all faults in turn, and home → fault.

    ``stamps``: ``"naive"`` UTC; ``"offsets"`` of many zones; ``"local"`` London time without a
    zone; ``"both"``: some with and some without.
    """
    starts = pd.date_range(first, periods=48 * days, freq="30min", tz="UTC")
    faults = {f"home {at:04d}": list(FAULTS)[at % len(FAULTS)] for at in range(homes)}
    written = {}
    for zone in ("UTC", "Europe/London", "Asia/Kolkata", "America/St_Johns"):
        every = pd.DatetimeIndex(starts.union(starts + pd.Timedelta(minutes=7)))
        text = every.tz_convert(zone).strftime("%Y-%m-%d %H:%M:%S%z")
        written[zone] = pd.Series(text, index=every)
    parts = []
    for at, (home, fault) in enumerate(faults.items()):
        rows = spoilt(fault, random, starts)
        zone = {"offsets": list(written)[at % len(written)], "local": "Europe/London"}.get(
            stamps, "UTC"
        )
        text = written[zone].loc[rows["start"]].to_numpy()
        bare = stamps in {"naive", "local"} or (stamps == "both" and at % 2 == 0)
        if bare:
            text = np.array([one[:19] for one in text], dtype=object)
        parts.append(
            pd.DataFrame({"LCLid": home, "tstp": text, "energy_kwh_hh": rows["kwh"].to_numpy()})
        )
    return pd.concat(parts, ignore_index=True), faults


def check_file(random, homes, days, first, stamps, model, seen: Counter) -> None:
    """Forecast a file and hold each home to what its fault must say."""
    table, faults = table_of(random, homes, days, first, stamps)
    if stamps == "both":
        with pytest.raises(InvalidInputError) as caught:
            regular(table, Columns())
        assert caught.value.field == "DATA times"
        assert caught.value.value
        assert "offset" in caught.value.remedy
        seen["refused"] += homes
        return
    local = "Europe/London" if stamps == "local" else "UTC"
    meters = regular(table, Columns(), local)
    for fault, note in NOTED.items():
        if fault in faults.values():
            assert any(note in said for said in meters.notes), (fault, meters.notes)
    if stamps == "local":
        assert any("clock changes" in said for said in meters.notes) == ("-10-" in first)
    made = forecast_meters(meters.power_w, steps=48, model=model)
    assert set(made["subject"]) == set(faults)
    values = made[["mean_w", "p10_w", "p50_w", "p90_w"]].to_numpy()
    assert np.isfinite(values).all()
    assert (values >= 0.0).all()
    assert (np.diff(values[:, 1:], axis=1) >= 0.0).all()
    most = made.groupby("subject")["p50_w"].max()
    lacked = made.groupby("subject")["lacked"].first()
    for home, fault in faults.items():
        wanted = FAULTS[fault]
        said = lacked[home]
        if wanted is not None:
            assert wanted in said, (home, fault, said)
        elif stamps != "local" and fault not in {"duplicated"}:
            assert not said or model == "learnt", (home, fault, said)
        assert most[home] < 20_000.0, (home, fault)
        seen["weakness stated" if said else "noted on the file" if fault in NOTED else "sound"] += 1


@pytest.mark.parametrize(
    ("stamps", "first"),
    [
        ("naive", "2013-06-01"),
        ("offsets", "2013-06-01"),
        ("local", "2013-10-10"),
        ("local", "2013-03-10"),
        ("both", "2013-06-01"),
    ],
)
def test_every_fault_is_forecast_with_its_weakness_or_refused(stamps, first):
    random = np.random.default_rng(1)
    check_file(random, 2 * len(FAULTS), 28, first, stamps, "weighted empirical", Counter())


def test_faults_among_long_series_do_not_spoil_what_is_learnt():
    random = np.random.default_rng(2)
    check_file(random, len(FAULTS), 52, "2013-06-01", "naive", "learnt", Counter())


@pytest.mark.long
def test_ten_thousand_series_of_four_weeks_and_two_hundred_of_two_years():
    seen: Counter = Counter()
    files = [("naive", "2013-06-01")] * 4 + [("offsets", "2013-01-10")] * 3
    files += [("local", "2013-10-10"), ("local", "2013-03-10"), ("both", "2013-06-01")]
    began = time.perf_counter()
    for number, (stamps, first) in enumerate(files):
        random = np.random.default_rng(100 + number)
        check_file(random, 1000, 28, first, stamps, "weighted empirical", seen)
    short = time.perf_counter() - began
    assert sum(seen.values()) == 10_000
    of_years: Counter = Counter()
    began = time.perf_counter()
    check_file(np.random.default_rng(7), 200, 730, "2012-01-01", "naive", "learnt", of_years)
    assert sum(of_years.values()) == 200
    FIGURES.parent.mkdir(exist_ok=True)
    figures = {
        "10,000 series of 28 days": {**seen, "seconds": round(short, 1)},
        "200 series of 2 years": {**of_years, "seconds": round(time.perf_counter() - began, 1)},
    }
    FIGURES.write_text(json.dumps(figures, indent=1) + "\n")
    print(figures)


START = pd.date_range("2013-06-01", periods=48 * 28, freq="30min", tz="UTC")
UNTIL = (START[-1] + pd.Timedelta(minutes=30)).to_pydatetime()


def frame(**columns) -> pd.DataFrame:
    return pd.DataFrame(columns, index=START)


def models(calendar: Calendar):
    learnt = learnt_models(calendar, {"home": {"a": ["a"]}}, steps=48, every_half_hour=False)
    return {"habits": load_model(calendar), "learnt": learnt["home"]}


@pytest.mark.parametrize("which", ["habits", "learnt"])
@pytest.mark.parametrize(
    ("spoil", "field"),
    [
        (lambda good: good.iloc[::-1], "history.index"),
        (lambda good: pd.concat([good, good.iloc[-1:]]), "history.index"),
        (lambda good: good.drop(good.index[100]), "history.index"),
        (lambda good: good.tz_localize(None), "history.index"),
        (lambda good: good.tz_convert("Europe/London"), "history.index"),
        (lambda good: good.reset_index(drop=True), "history.index"),
        (lambda good: good.replace(300.0, np.inf), "history"),
        (lambda good: good.astype(object).replace(300.0, "much"), "history"),
    ],
)
def test_models_refuse_what_is_no_grid_of_numbers(which, spoil, field, london):
    good = frame(a=np.where(np.arange(len(START)) == 700, 300.0, 200.0))
    model = models(Calendar.of(london))[which]
    with pytest.raises(InvalidInputError) as caught:
        model.fit(spoil(good), UNTIL)
    assert caught.value.field == field
    assert caught.value.remedy


@pytest.mark.parametrize("which", ["habits", "learnt"])
@pytest.mark.parametrize(
    ("values", "wanted"),
    [
        (lambda _: np.full(len(START), NAN), "history: none"),
        (lambda _: np.where(np.arange(len(START)) == 900, 250.0, NAN), "history:"),
        (lambda _: np.where(np.arange(len(START)) < 1000, 250.0, NAN), "readings since"),
        (lambda _: np.full(len(START), 250.0), None),
        (lambda _: np.zeros(len(START)), None),
        (lambda random: random.gamma(2.0, 100.0, len(START)), None),
        (lambda _: np.where(np.arange(len(START)) % 20 == 3, -5.0, 250.0), "negative half-hours"),
    ],
)
def test_models_forecast_any_grid_and_say_what_they_lacked(which, values, wanted, london):
    model = models(Calendar.of(london))[which]
    history = frame(a=values(np.random.default_rng(3)))
    (made,) = model.fit(history, UNTIL).predict(Horizon.following(UNTIL, 48))
    levels = np.stack([made.quantile(level) for level in LEVELS])
    assert np.isfinite(levels).all()
    assert np.isfinite(made.mean).all()
    assert (levels >= 0.0).all()
    assert (np.diff(levels, axis=0) >= 0.0).all()
    if wanted is not None:
        assert any(wanted in said for said in made.lacked), made.lacked
