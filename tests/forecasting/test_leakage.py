"""Nothing that comes after the issue gets into a forecast, by any model or on the whole way.

What had ended by ``issued_at`` stays, everything later is replaced by nonsense: values, gaps,
stuck meters, outages, weather seen. Each forecast must be the same to the last bit.
"""

import inspect
from datetime import UTC, date, datetime, timedelta
from importlib import import_module
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from threadpoolctl import threadpool_limits

import forecasting
from ems.domain.estate import PvArray
from forecasting import forecast_meters
from forecasting.calendar import Calendar
from forecasting.ensemble import Learning, LearntModel, PartOf
from forecasting.hot_water import hot_water_model
from forecasting.interface import LEVELS, Horizon, known_before
from forecasting.load import communal_model, load_model
from forecasting.meters import Columns, regular
from forecasting.pv import Place, PvModel
from forecasting.references import SummedModel
from forecasting.shared import Boosting

NOW = datetime(2023, 3, 25, 6, 7, tzinfo=UTC)
"""The clocks go forward in the night that follows."""
SMALL = Boosting(trees=8, leaves=7, rate=0.3, least_rows=40, rows=5_000)
GROUPS = {"first": ("A-01", "A-02"), "second": ("A-03", "A-04")}


@pytest.fixture(scope="module", autouse=True)
def one_thread():
    """Keep small trees from waiting for one another on a busy machine."""
    with threadpool_limits(1):
        yield


@pytest.fixture(scope="module")
def homes(consumption) -> pd.DataFrame:
    """Four real homes to three days beyond the present."""
    return consumption.loc[NOW - timedelta(days=88) : NOW + timedelta(days=3)].iloc[:, :4]


@pytest.fixture(scope="module")
def sky(homes) -> pd.DataFrame:
    """Made-up weather over the same time."""
    hours = np.arange(len(homes)) / 2
    outdoor = 8.0 + 4.0 * np.sin(hours / 3.8) + np.sin(hours / 70.0)
    return pd.DataFrame({"outdoor_c": outdoor, "humidity": 0.7}, index=homes.index)


def nonsense(frame: pd.DataFrame, seed: int) -> pd.DataFrame:
    """Replace what had not ended: seeds differ in what comes instead."""
    rng = np.random.default_rng(seed)
    late = frame.index > pd.Timestamp(NOW) - pd.Timedelta(minutes=30)
    assert 100 < late.sum() < len(frame)
    wrong = frame.copy()
    if seed == 1:
        wrong.loc[late] = rng.gamma(1.0, 5e4, (int(late.sum()), frame.shape[1]))
    elif seed == 2:
        wrong.loc[late] = 0.0
    else:
        wrong.loc[late] = np.nan
    return wrong


def same(first, second) -> None:
    assert [one.subject for one in first] == [one.subject for one in second]
    for a, b in zip(first, second, strict=True):
        np.testing.assert_array_equal(a.mean, b.mean)
        for level in LEVELS:
            np.testing.assert_array_equal(a.quantile(level), b.quantile(level))
        assert (a.lacked, a.model) == (b.lacked, b.model)


def models(london, holidays):
    """Every class behind the interface, made small."""
    calendar = Calendar.of(london, holidays)
    groups = LearntModel(calendar, Learning(48, boosting=SMALL, extra_groups=2, ridge=True), GROUPS)
    return {
        "household load": load_model(calendar),
        "hot water": hot_water_model(calendar),
        "communal load": communal_model(calendar, 4),
        "sums": SummedModel(load_model(calendar), GROUPS),
        "learnt homes": LearntModel(calendar, Learning(48, boosting=SMALL)),
        "learnt groups": groups,
        "one of the groups": PartOf(groups, ["second"]),
    }


NAMES = (
    "household load",
    "hot water",
    "communal load",
    "sums",
    "learnt homes",
    "learnt groups",
    "one of the groups",
)


def test_no_model_is_left_out_of_this_guard(london, holidays):
    """A class that fits and predicts but is not tried here makes this test fail."""
    made = models(london, holidays)
    assert tuple(made) == NAMES
    tried = {type(model).__name__ for model in made.values()} | {"PvModel"}
    folder = Path(forecasting.__file__).parent
    found = set()
    for path in folder.glob("*.py"):
        module = import_module(f"forecasting.{path.stem}")
        for name, kind in inspect.getmembers(module, inspect.isclass):
            has = all(hasattr(kind, part) for part in ("fit", "update", "predict"))
            if has and kind.__module__ == module.__name__ and "Protocol" not in str(kind.__mro__):
                found.add(name)
    assert found - tried == set()


LEARNT = ("learnt homes", "learnt groups", "one of the groups")
"""Slow; ``test_learnt.py`` scrambles the future of the first two on every run."""


@pytest.mark.parametrize(
    "name",
    [pytest.param(name, marks=pytest.mark.long if name in LEARNT else ()) for name in NAMES],
)
def test_a_scrambled_future_changes_no_model(name, homes, sky, london, holidays):
    horizon = Horizon.following(NOW, 48)

    def made(seed: int | None):
        history = homes if seed is None else nonsense(homes, seed)
        seen = sky if seed is None else nonsense(sky, 1)
        model = models(london, holidays)[name]
        earlier = NOW - timedelta(days=1)
        first = model.fit(history, earlier, seen).predict(Horizon.following(earlier, 48))
        recent = history.iloc[-6 * 48 :]
        return [*first, *model.update(recent, NOW, seen).predict(horizon)]

    honest = made(None)
    for seed in (1, 2, 3):
        same(honest, made(seed))
    # and the guard is not deaf: what had ended does count
    heard = homes.copy()
    heard.iloc[:, :] *= 1.5
    other = models(london, holidays)[name].fit(heard, NOW, sky).predict(horizon)
    assert any(
        not np.array_equal(a.mean, b.mean)
        for a, b in zip(honest[-len(other) :], other, strict=True)
    )


def test_a_scrambled_future_changes_no_panel(homes, sky):
    index = homes.index
    sun = np.maximum(np.sin((index.hour - 6) * np.pi / 12), 0.0) * 500.0
    frame = pd.DataFrame({"power_w": -18.0 * sun, "irradiance_w_m2": sun}, index=index)

    def made(history: pd.DataFrame):
        model = PvModel("A", PvArray("A-pv", 20e3, 30.0, 180.0), Place(51.5, -0.1))
        return model.fit(history, NOW).predict(Horizon.following(NOW, 48))

    for seed in (1, 2, 3):
        same(made(frame), made(nonsense(frame, seed)))


@pytest.mark.parametrize(
    "model", ["weighted empirical", pytest.param("learnt", marks=pytest.mark.long)]
)
def test_a_scrambled_future_changes_nothing_on_the_whole_way_from_a_file(homes, sky, model):
    """From a long table to the frame that is written: faults, levels, weather, events."""
    coming = sky.loc[sky.index > NOW - timedelta(minutes=30)]
    past_and_forecast = pd.concat([known_before(sky, NOW), coming])
    event = [(NOW - timedelta(days=3), NOW - timedelta(days=3, hours=-2))]

    def made(power: pd.DataFrame) -> pd.DataFrame:
        rows = (power / 2000.0).melt(ignore_index=False, var_name="LCLid", value_name="kwh")
        rows = rows.rename_axis("tstp").reset_index()
        meters = regular(rows, Columns(energy_kwh="kwh"))
        return forecast_meters(
            meters.power_w,
            issued_at=NOW,
            holidays=[date(2023, 4, 7)],
            groups=GROUPS,
            weather=past_and_forecast,
            events=event,
            model=model,
        )

    homes = homes.copy()
    homes.loc[NOW - timedelta(days=9) : NOW - timedelta(days=6), "A-02"] = 321.0
    homes.loc[NOW - timedelta(days=2) : NOW - timedelta(days=1, hours=18)] = 0.0
    honest = made(homes)
    assert honest["lacked"].str.contains("stuck meter").any()
    assert honest["lacked"].str.contains("outage").any()
    for seed in (1, 2, 3):
        pd.testing.assert_frame_equal(honest, made(nonsense(homes, seed)))
