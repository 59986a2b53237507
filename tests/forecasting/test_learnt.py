"""Learnt forecasts: what they are told, what they must not know, and what they do without."""

from datetime import timedelta
from types import SimpleNamespace

import numpy as np
import pandas as pd
import pytest
from threadpoolctl import threadpool_limits

from ems.domain.errors import InvalidInputError
from forecasting import ensemble
from forecasting.backtest import Contest, Plan, members_of, metrics, run_backtest
from forecasting.calendar import Calendar
from forecasting.ensemble import Learning, LearntModel, PartOf
from forecasting.features import COLUMN, NAMES, features, lay_out
from forecasting.home_hours import LEADS
from forecasting.interface import LEVELS, Horizon, make_forecast
from forecasting.load import load_model
from forecasting.references import empirical_models, group_sums
from forecasting.ridge import RidgeMedians
from forecasting.shared import Boosting

SMALL = Boosting(trees=15, leaves=15, rate=0.25, least_rows=40, rows=10_000)
ORIGIN = pd.Timestamp("2023-04-12 06:30", tz="UTC")


@pytest.fixture(scope="module", autouse=True)
def one_thread():
    """Keep small trees from waiting for one another on a busy machine."""
    with threadpool_limits(1):
        yield


@pytest.fixture(scope="module")
def homes(consumption) -> pd.DataFrame:
    """Six real homes over about three and a half months."""
    end = ORIGIN + pd.Timedelta(days=3)
    return consumption.loc[end - pd.Timedelta(days=105) : end].iloc[:, :6]


@pytest.fixture(scope="module")
def weather(homes) -> pd.DataFrame:
    """Made-up temperatures over the same time."""
    days = np.arange(len(homes)) / 48
    outdoor = 8 + 4 * np.sin(2 * np.pi * days) + 3 * np.sin(days / 5)
    return pd.DataFrame({"outdoor_c": outdoor, "humidity": 0.7}, index=homes.index)


@pytest.fixture(scope="module")
def calendar(london, holidays) -> Calendar:
    """The estate's."""
    return Calendar.of(london, holidays)


def told(frame, calendar, at=ORIGIN, steps=48, weather=None):
    """Features at one origin by name."""
    known = lay_out(frame, calendar, weather)
    index = pd.date_range(at, periods=steps, freq="30min")
    rows, scale = features(known, index, calendar)
    return {name: rows[:, :, at] for name, at in COLUMN.items()}, scale


def test_features_are_what_their_names_say(homes, calendar):
    found, scale = told(homes, calendar)
    home = homes.iloc[:, 0]
    before = home.loc[: ORIGIN - pd.Timedelta(minutes=30)]
    assert scale[0] == pytest.approx(before.iloc[2 - 28 * 48 :].mean())  # one hour never was
    step = ORIGIN + pd.Timedelta(hours=5)
    for name, back in (("last", 1), ("last_2", 2), ("last_3", 3), ("week", 7), ("fortnight", 14)):
        value = home.loc[step - pd.Timedelta(days=back)] / scale[0]
        assert found[name][0, 10] == pytest.approx(value, rel=1e-5)
    assert found["now_last"][0, 0] == pytest.approx(before.iloc[-1] / scale[0], rel=1e-5)
    assert found["day"][0, 3] == pytest.approx(before.iloc[-48:].mean() / scale[0], rel=1e-5)
    assert found["slot"][0, 0] == 15  # 7:30 on the wall
    assert found["lead"][0].tolist() == list(range(1, 49))
    assert set(found["gap"][0].tolist()) == {1.0}
    assert (found["q10"] <= found["q50"]).all() and (found["q50"] <= found["q90"]).all()
    assert set(found) == set(NAMES)


def test_lags_follow_the_clock_on_the_wall_over_a_change(homes, calendar):
    # Clocks went forward on 26 March 2023: seven in the morning moved by an hour of UTC.
    at = pd.Timestamp("2023-03-26 23:00", tz="UTC")
    found, scale = told(homes, calendar, at)
    step = 14  # 06:00 UTC on the 27th, seven o'clock
    home = homes.iloc[:, 1]
    assert found["slot"][1, step] == 14
    assert found["last_2"][1, step] * scale[1] == pytest.approx(
        home.loc[pd.Timestamp("2023-03-25 07:00", tz="UTC")], rel=1e-4
    )


def test_on_the_second_day_the_last_known_day_is_two_back(homes, calendar):
    found, scale = told(homes, calendar, steps=96)
    assert found["gap"][0, [0, 47, 48, 95]].tolist() == [1, 1, 2, 2]
    step = ORIGIN + pd.Timedelta(hours=30)
    value = homes.iloc[:, 0].loc[step - pd.Timedelta(days=2)] / scale[0]
    assert found["last"][0, 60] == pytest.approx(value, rel=1e-5)


def test_features_do_not_know_what_comes_after_and_leave_gaps_open(homes, weather, calendar):
    scrambled = homes.copy()
    scrambled.loc[ORIGIN:] = 1e5
    first, _ = told(homes, calendar, weather=weather)
    second, _ = told(scrambled, calendar, weather=weather)
    for name in NAMES:
        np.testing.assert_array_equal(first[name], second[name])
    without, _ = told(homes, calendar)
    assert np.isnan(without["outdoor_c"]).all()
    empty = homes.copy()
    empty.iloc[:, 0] = np.nan
    found, scale = told(empty, calendar)
    assert np.isnan(found["last"][0]).all() and np.isnan(scale[0])
    assert np.isfinite(found["q50"][1]).all()


def test_a_ridge_median_finds_a_line_among_outliers(homes, calendar):
    rows = np.concatenate(
        [
            np.stack(list(told(homes, calendar, ORIGIN - pd.Timedelta(days=n))[0].values()), -1)
            for n in range(20)
        ],
        axis=1,
    )[:1]
    truth = 0.3 + 0.5 * rows[0, :, COLUMN["week"]] + 0.2 * rows[0, :, COLUMN["ew_10"]]
    share = truth.astype(float).copy()
    share[::7] += 8.0  # one in seven is far off; the median does not mind
    share[3] = np.nan
    model = RidgeMedians().fit(rows, share[None], np.zeros(share.size))
    found = model.predict(rows)[0]
    clean = np.isfinite(share) & np.isfinite(truth) & (np.arange(share.size) % 7 != 0)
    assert np.median(np.abs(found - truth)[clean]) < 0.05


def forecasts(homes, weather, calendar, members=None, *, after=0.0):
    """Fit at ORIGIN, perhaps with a changed future, and forecast."""
    homes, weather = homes.copy(), weather.copy()
    if after:
        homes.loc[ORIGIN:] = after
        coming = weather.loc[ORIGIN:, "outdoor_c"].to_numpy()[:48].copy()
        weather.loc[ORIGIN:] = 40.0
    else:
        coming = weather.loc[ORIGIN:, "outdoor_c"].to_numpy()[:48]
    at = ORIGIN.to_pydatetime()
    horizon = Horizon.following(at, 48)
    given = make_forecast(
        "outdoor_c", "weather", horizon, coming, dict.fromkeys(LEVELS, coming), model="given"
    )
    learning = Learning(
        48,
        boosting=SMALL,
        extra_groups=3 if members else 0,
        ridge=bool(members),
        habits=0.0 if members else 0.45,
        habit_bands=0.4,
    )
    model = LearntModel(calendar, learning, members)
    model.fit(homes, at, weather)
    return model, model.predict(horizon, {"outdoor_c": given})


GROUPS = {"first": ["A-01", "A-02", "A-03"], "second": ["A-04", "A-05", "A-06"]}


@pytest.mark.parametrize("grouped", [False, True])
def test_a_scrambled_future_changes_nothing(homes, weather, calendar, grouped):
    names = list(homes.columns)
    members = {"first": names[:3], "second": names[3:]} if grouped else None
    _, first = forecasts(homes, weather, calendar, members)
    _, second = forecasts(homes, weather, calendar, members, after=9e4)
    assert [one.subject for one in first] == (list(members) if members else names)
    for a, b in zip(first, second, strict=True):
        np.testing.assert_array_equal(a.mean, b.mean)
        for level in LEVELS:
            np.testing.assert_array_equal(a.quantile(level), b.quantile(level))
        assert a.model == ("gradient and ridge" if grouped else "gradient")
        assert a.lacked == ()


def test_the_first_hours_of_a_group_have_medians_and_bands_of_their_own(
    homes, weather, calendar, monkeypatch
):
    """As far as their part goes: whole, they are what is forecast; without it, nothing of them."""
    model, mixed = forecasts(homes, weather, calendar, GROUPS)
    laid = lay_out(homes.loc[: ORIGIN - pd.Timedelta(minutes=30)], calendar)
    sums = lay_out(group_sums(homes.loc[: ORIGIN - pd.Timedelta(minutes=30)], GROUPS), calendar)
    own = model._fitted.first.predict(sums.local, laid.local, sums.first)
    assert np.isfinite(own).all()

    def again(part):
        monkeypatch.setattr(ensemble, "FIRST_SHARES", np.full(LEADS, part))
        return forecasts(homes, weather, calendar, GROUPS)[1]

    for row, (whole, some, none) in enumerate(zip(again(1.0), mixed, again(0.0), strict=True)):
        for level, told in zip(LEVELS, own[:, row], strict=True):
            np.testing.assert_allclose(whole.quantile(level)[:LEADS], told, rtol=1e-6)
            np.testing.assert_allclose(whole.quantile(level)[LEADS:], none.quantile(level)[LEADS:])
            expected = 0.1 * none.quantile(level)[:4] + 0.9 * told[:4]
            np.testing.assert_allclose(some.quantile(level)[:4], expected, rtol=1e-6)


def test_a_whole_part_of_habits_is_habits_alone(homes, calendar):
    at = ORIGIN.to_pydatetime()
    horizon = Horizon.following(at, 48)
    learning = Learning(48, boosting=SMALL, habits=1.0, habit_bands=1.0)
    mixed = LearntModel(calendar, learning).fit(homes, at).predict(horizon)
    habits = load_model(calendar).fit(homes, at).predict(horizon)
    for a, b in zip(mixed, habits, strict=True):
        assert a.model != b.model
        np.testing.assert_allclose(a.mean, b.mean)
        for level in LEVELS:
            np.testing.assert_allclose(a.quantile(level), b.quantile(level), atol=1e-9)


def test_a_home_lived_in_otherwise_is_forecast_from_days_of_its_present_level(homes, calendar):
    at = ORIGIN.to_pydatetime()
    name = homes.columns[0]
    since = homes.index >= ORIGIN - pd.Timedelta(days=35)
    usual = homes[name]
    moved = homes.assign(**{name: usual.where(~since, usual + 1500.0)})
    away = (homes.index >= ORIGIN - pd.Timedelta(days=18)) & since
    away &= homes.index < ORIGIN - pd.Timedelta(days=5)
    gone = moved.assign(**{name: moved[name].where(~away, 60.0)})
    model = LearntModel(calendar, Learning(48, boosting=SMALL))
    plain, back = (
        model.fit(frame, at).predict(Horizon.following(at, 48))[0] for frame in (moved, gone)
    )
    assert plain.model == "gradient" == back.model
    assert back.mean.mean() > 0.85 * plain.mean.mean()  # a fortnight of its four weeks was away


def test_updates_bring_the_present_in_and_an_older_issue_is_refused(homes, weather, calendar):
    model, before = forecasts(homes, weather, calendar)
    later = (ORIGIN + pd.Timedelta(days=2)).to_pydatetime()
    model.update(homes.loc[ORIGIN - pd.Timedelta(days=1) :], later, weather)
    after = model.predict(Horizon.following(later, 48))
    assert any(not np.array_equal(a.mean, b.mean) for a, b in zip(before, after, strict=True))
    with pytest.raises(InvalidInputError, match="Call fit with until"):
        model.predict(Horizon.following(ORIGIN.to_pydatetime(), 48))


def test_what_is_lacking_is_said_and_habits_stand_in(homes, weather, calendar):
    weak = homes.copy()
    names = list(weak.columns)
    weak.loc[: ORIGIN - pd.Timedelta(days=3), names[0]] = np.nan
    weak[names[1]] = np.nan
    weak[names[2]] = 150.0
    weak.loc[ORIGIN - pd.Timedelta(hours=30) :, names[3]] = np.nan
    at = ORIGIN.to_pydatetime()
    model = LearntModel(calendar, Learning(48, boosting=SMALL)).fit(weak, at)
    found = model.predict(Horizon.following(at, 48))
    assert "short history" in found[0].model and found[0].lacked[0].startswith("history: ")
    assert found[1].lacked == ("history: none, a typical profile stands in",)
    assert found[2].quantile(0.5) == pytest.approx(np.full(48, 150.0), abs=15)
    assert any("readings since" in reason for reason in found[3].lacked)
    assert "weather: none" in found[4].lacked
    for one in found:
        assert np.isfinite(one.mean).all() and (one.quantile(0.1) >= 0).all()
    young = LearntModel(calendar, Learning(48, boosting=SMALL))
    young.fit(homes.loc[ORIGIN - pd.Timedelta(days=20) :], at)
    assert "habits alone" in young.predict(Horizon.following(at, 48))[0].lacked[-1]


def test_scales_share_one_fit_of_their_groups():
    fits = []
    whole = SimpleNamespace(
        name="w",
        fit=lambda *given: fits.append(given),
        predict=lambda *_: [SimpleNamespace(subject="a"), SimpleNamespace(subject="b")],
    )
    part = PartOf(whole, ["b"])
    part.fit(pd.DataFrame(), ORIGIN.to_pydatetime())
    assert [one.subject for one in part.predict(None)] == ["b"]
    assert len(fits) == 1


def test_learnt_forecasts_are_no_worse_than_habits_and_their_bands_hold(consumption, calendar):
    homes = consumption.loc[: ORIGIN + pd.Timedelta(days=15)].iloc[:, :12]
    homes = homes.loc[ORIGIN - pd.Timedelta(days=130) :]
    origins = tuple((ORIGIN + timedelta(days=n)).to_pydatetime() for n in range(14))
    plan = Plan(origins, 48, 6)
    members = members_of([str(name) for name in homes.columns], 6)
    learnt = {"home": LearntModel(calendar, Learning(48, boosting=SMALL))}
    groups = members["group"]
    learnt["group"] = LearntModel(
        calendar, Learning(48, boosting=SMALL, extra_groups=4, ridge=True), groups
    )
    found = run_backtest(
        homes,
        plan,
        [Contest("learnt", learnt), Contest("habits", empirical_models(calendar, members))],
    )
    for scale in ("home", "group"):
        own = metrics(found["learnt"][scale], spread=True)
        habits = metrics(found["habits"][scale])
        print(scale, own["mae_ratio"], habits["mae_ratio"], own["coverage_80"])
        assert own["mae_ratio"] < 1.05 * habits["mae_ratio"]
        assert 0.70 < own["coverage_80"] < 0.90
