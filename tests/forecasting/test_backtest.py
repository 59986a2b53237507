"""Scores by hand, groups, and origins that see nothing of what comes after them."""

from datetime import UTC, datetime, timedelta

import numpy as np
import pandas as pd
import pytest

from ems.domain.errors import InvalidInputError
from forecasting.backtest import (
    Contest,
    Plan,
    Scored,
    by_subject,
    chosen_homes,
    groups_of,
    members_of,
    metrics,
    naive_of,
    peak_error,
    run_backtest,
    scores,
)
from forecasting.calendar import Calendar
from forecasting.interface import make_forecast
from forecasting.references import empirical_models

BEGIN = pd.Timestamp("2023-01-02", tz="UTC")


def frame(days: int, homes: int, seed: int = 0) -> pd.DataFrame:
    """Homes with an evening peak, by half-hour [W]."""
    index = pd.date_range(BEGIN, periods=48 * days, freq="30min")
    rng = np.random.default_rng(seed)
    shape = 200 + 600 * np.exp(-(((np.arange(48) - 38) / 5) ** 2))
    values = np.tile(shape, days)[:, None] * rng.gamma(4.0, 0.25, (48 * days, homes))
    return pd.DataFrame(values, index=index, columns=[f"H{n:03d}" for n in range(homes)])


class Oracle:
    """Gives back what it was last told, so that a test sees what reached it."""

    name = "oracle"

    def __init__(self) -> None:
        self.told: list[tuple[str, pd.DataFrame, datetime, pd.DataFrame | None]] = []

    def fit(self, history, until, observed=None):
        self.told.append(("fit", history, until, observed))
        return self

    def update(self, recent, until, observed=None):
        self.told.append(("update", recent, until, observed))
        return self

    def predict(self, horizon, weather=None):
        del weather
        frame = self.told[-1][1]
        flat = np.ones(horizon.steps)
        return [
            make_forecast(
                "load_w",
                str(name),
                horizon,
                3.0 * flat,
                {0.1: 1.0 * flat, 0.5: 2.0 * flat, 0.9: 4.0 * flat},
                lacked=["something"] if name == frame.columns[0] else [],
                model="oracle",
            )
            for name in frame.columns
        ]


def one(actual, naive, q10, q50, q90, mean) -> Scored:
    """Forecasts of one subject from one origin."""
    wrap = [np.array(values, dtype=float)[None, None] for values in (actual, naive, mean)]
    quantiles = np.array([q10, q50, q90], dtype=float)[:, None, None]
    return Scored(("x",), wrap[0], wrap[1], quantiles, wrap[2])


def test_scores_follow_their_definition_by_hand():
    nan = np.nan
    # Third point has no naive: it counts for coverage alone. The fourth was never measured.
    scored = one(
        [2, 5, 9, nan], [3, 1, nan, 4], [1, 1, 1, 1], [2, 3, 4, 5], [4, 5, 6, 7], [2, 4, 5, 6]
    )
    found = scores(scored)
    assert found["mae_ratio"] == pytest.approx((0 + 2) / (1 + 4))
    own = (0.1 * 1 + 0.5 * 0 + 0.1 * 2) + (0.1 * 4 + 0.5 * 2 + 0.9 * 0)
    naive = (0.9 + 0.5 + 0.1) * 1 + (0.1 + 0.5 + 0.9) * 4
    assert found["pinball_ratio"] == pytest.approx(own / naive)
    assert found["coverage_80"] == pytest.approx(2 / 3)  # ends included
    assert found["bias"] == pytest.approx((2 + 4 + 5 - 16) / 16)
    assert found["points"] == 2
    assert peak_error(scored) is None  # no horizon without a gap


def test_where_nothing_can_be_scored_the_figures_say_none():
    nothing = one([np.nan], [1], [1], [1], [1], [1])
    found = metrics(nothing, spread=True)
    assert found["mae_ratio"] is None
    assert found["coverage_80_min"] is None


def test_the_naive_is_a_week_back_else_two_else_nothing():
    values = frame(22, 1)
    values.iloc[336 * 2 + 5 - 336, 0] = np.nan
    naive = naive_of(values)
    assert naive.iloc[336 * 2 + 5, 0] == values.iloc[5, 0]
    assert naive.iloc[336 * 2 + 6, 0] == values.iloc[336 + 6, 0]
    assert np.isnan(naive.iloc[335, 0])


def test_groups_are_taken_in_order_of_id_and_a_smaller_last_one_is_left_out():
    assert groups_of(["c", "a", "e", "b", "d"], 2) == {
        "group 1": ("a", "b"),
        "group 2": ("c", "d"),
    }
    assert "group" not in members_of(["a", "b"], 20)
    assert members_of(["b", "a"], 20)["total"] == {"all homes": ("a", "b")}


def test_homes_with_many_gaps_stay_out_and_groups_skip_a_slot_where_one_is_missing():
    homes = frame(30, 4)
    homes.iloc[: 48 * 10, 3] = np.nan
    kept = chosen_homes(homes, 0.03)
    assert list(kept.columns) == ["H000", "H001", "H002"]
    kept.iloc[48 * 28, 0] = np.nan
    origin = (BEGIN + pd.Timedelta(days=28)).to_pydatetime()
    plan = Plan((origin,), 48, 2)
    calendar = Calendar.of(UTC)
    contest = Contest("e", empirical_models(calendar, members_of(list(kept.columns), 2)))
    found = run_backtest(kept, plan, [contest])["e"]
    assert np.isnan(found["group"].actual[0, 0, 0])
    assert np.isnan(found["total"].actual[0, 0, 0])
    assert np.isfinite(found["group"].actual[0, 0, 1:]).all()
    assert np.isfinite(found["group"].quantiles).all()
    with pytest.raises(InvalidInputError, match="the best one misses"):
        chosen_homes(homes.iloc[: 48 * 10, 3:], 0.03)


def test_models_are_shown_only_what_had_ended_and_are_refitted_as_told():
    homes = frame(30, 2)
    origins = tuple(
        (BEGIN + pd.Timedelta(days=20) + n * pd.Timedelta(hours=6)).to_pydatetime()
        for n in range(5)
    )
    weather = pd.DataFrame({"outdoor_c": 5.0}, index=homes.index)
    oracle = Oracle()
    done = []
    found = run_backtest(
        homes,
        Plan(origins, 4, 20),
        [Contest("o", {"home": oracle}, refit_every=3)],
        observed=weather,
        progress=lambda at, of: done.append((at, of)),
    )["o"]["home"]
    assert [what for what, *_ in oracle.told] == ["fit", "update", "update", "fit", "update"]
    for (_, shown, until, seen), origin in zip(oracle.told, origins, strict=True):
        assert until == origin
        assert shown.index[-1] == pd.Timestamp(origin) - pd.Timedelta(minutes=30)
        assert seen is not None and seen.index[-1] == shown.index[-1]
    assert done[-1] == (5, 5)
    assert found.lacked == {"H000": ("something",)}
    first = homes.index.get_loc(pd.Timestamp(origins[2]))
    assert np.array_equal(found.actual[2, 1], homes.iloc[first : first + 4, 1])


def test_each_subject_can_be_looked_at_alone_and_adds_up():
    homes = frame(40, 3)
    origins = tuple((BEGIN + pd.Timedelta(days=n)).to_pydatetime() for n in range(25, 35))
    plan = Plan(origins, 48, 2)
    models = empirical_models(Calendar.of(UTC), members_of(list(homes.columns), 2))
    found = run_backtest(homes, plan, [Contest("e", models)])["e"]
    whole = metrics(found["home"], spread=True)
    each = by_subject(found["home"])
    assert set(each) == set(homes.columns)
    covered = [one["coverage_80"] for one in each.values()]
    assert whole["coverage_80"] == pytest.approx(np.mean(covered))
    assert whole["coverage_80_min"] == min(covered)
    assert set(whole["by_lead"]) == {"1", "4", "48"}
    assert whole["mae_ratio"] < 0.9
    assert metrics(found["total"])["mae_ratio"] < 1.0


def test_origins_outside_the_readings_and_empty_plans_are_refused():
    homes = frame(10, 2)
    late = (homes.index[-1] - pd.Timedelta(hours=1)).to_pydatetime()
    with pytest.raises(InvalidInputError, match="they run from 2023-01-02 00:00"):
        run_backtest(homes, Plan((late,), 48, 2), [])
    odd = late + timedelta(minutes=7)
    with pytest.raises(InvalidInputError, match="whole half-hours"):
        run_backtest(homes, Plan((odd,), 1, 2), [])
    with pytest.raises(InvalidInputError, match="no origin"):
        Plan((), 48, 2)
    with pytest.raises(InvalidInputError, match="horizon"):
        Plan((late,), 0, 2)


def test_models_never_see_what_had_shown_itself_as_a_fault():
    homes = frame(30, 3)
    homes.iloc[20 * 48 + 10 : 23 * 48, 1] = 777.0  # stuck for nearly three days
    oracle = Oracle()
    origins = tuple((BEGIN + pd.Timedelta(days=day)).to_pydatetime() for day in (21, 23, 24))
    found = run_backtest(homes, Plan(origins, 4, 3, 0.03), [Contest("o", {"home": oracle}, 99)])
    seen = [told[1]["H001"] for told in oracle.told]
    assert [bool((one == 777.0).any()) for one in seen] == [True, False, False]  # not yet a fault
    assert seen[1].isna().any() and not oracle.told[1][1]["H000"].isna().any()
    assert (seen[1].index <= homes.index[20 * 48 + 10]).any()  # what was given before is taken back
    assert np.isfinite(found["o"]["home"].actual).all()
