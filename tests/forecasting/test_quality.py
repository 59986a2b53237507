"""Whose forecast is issued: scores, hysteresis, drift and coverage, from sums alone."""

from dataclasses import replace
from datetime import UTC, datetime, timedelta

import numpy as np
import pandas as pd
import pytest
from hypothesis import given
from hypothesis import strategies as st

from ems.domain.forecasts import Forecast, Standing
from forecasting.candidates import DAYS, WEEKS, earlier, issued
from forecasting.interface import Horizon
from forecasting.quality import (
    FALL_BACK,
    LEAST_POINTS,
    Quality,
    choose,
    judged,
    missed,
    score,
    summed,
)

NOW = datetime(2023, 2, 20, 6, tzinfo=UTC)
ORDER = ("learnt", "habits", "earlier weeks")
STANDING = Standing("load_w", "A-01", "learnt", NOW - timedelta(days=30))


def forecast(mean, *, width=50.0, issued_at=NOW, model="m", target="load_w") -> Forecast:
    mean = np.asarray(mean, dtype=float)
    bands = {0.1: mean - width, 0.5: mean, 0.9: mean + width}
    return Forecast(target, "A-01", issued_at, issued_at, 1800, mean, bands, model=model)


def series(values, start) -> pd.Series:
    return pd.Series(values, pd.date_range(start, periods=len(values), freq="30min"), dtype=float)


def quality(loss, *, points=LEAST_POINTS, ratio=0.8, coverage=0.8) -> Quality:
    return Quality(points, ratio, coverage, 0.0, loss)


def test_a_score_counts_what_came_and_leaves_out_what_did_not():
    values = np.full(14 * 48 + 48, 100.0)
    values[7 * 48 : 8 * 48] = 200.0  # a week before the day that is scored
    values[7 * 48] = np.nan  # its first half-hour: the week before that stands in
    values[-48:] = 130.0
    values[-1] = np.nan
    actual = series(values, NOW - timedelta(days=14))
    made = score(forecast(np.full(49, 120.0)), "learnt", actual)
    assert made is not None
    assert made.points == 47  # the 49th step is beyond the day, one actual is missing
    assert made.error == pytest.approx(47 * 10.0)
    assert made.naive_error == pytest.approx(46 * 70.0 + 30.0)
    assert made.inside == 47
    assert score(forecast(np.full(48, 120.0), width=5.0), "learnt", actual).inside == 0
    assert score(forecast(np.full(48, 1.0)), "x", series([], NOW)) is None


def test_sums_compare_candidates_over_the_same_half_hours():
    actual = series(np.full(60 * 48, 100.0), NOW - timedelta(days=40))
    rows = []
    for days in range(16):
        at = NOW - timedelta(days=days)
        rows.append(score(forecast(np.full(48, 110.0), issued_at=at), "habits", actual))
        if days < 3:  # learnt models came later
            rows.append(score(forecast(np.full(48, 105.0), issued_at=at), "learnt", actual))
    found = summed(rows, NOW)["load_w", "A-01"]
    assert found["habits"].points == found["learnt"].points == 3 * 48
    assert found["learnt"].loss < found["habits"].loss
    assert found["habits"].bias == pytest.approx(0.1)
    only = summed([one for one in rows if one.candidate == "habits"], NOW)["load_w", "A-01"]
    assert only["habits"].points == 15 * 48  # a fortnight, ends included


def test_it_falls_back_only_where_another_is_clearly_better_and_returns_when_level():
    level = {"learnt": quality(10.0), "habits": quality(9.9), "earlier weeks": quality(12.0)}
    assert choose(STANDING, ORDER, level, NOW) == STANDING
    worse = {**level, "learnt": quality(11.0)}
    back = choose(STANDING, ORDER, worse, NOW)
    assert (back.candidate, back.fell_back, back.since) == ("habits", True, NOW)
    still = {**level, "learnt": quality(10.0)}
    assert choose(back, ORDER, still, NOW) == back
    again = choose(back, ORDER, {**level, "learnt": quality(9.9)}, NOW)
    assert (again.candidate, again.fell_back) == ("learnt", False)


def test_little_evidence_and_a_missing_candidate_change_nothing():
    few = {"learnt": quality(20.0, points=LEAST_POINTS - 1), "habits": quality(1.0)}
    assert choose(STANDING, ORDER, few, NOW) == STANDING
    assert choose(STANDING, ORDER, {"habits": quality(1.0)}, NOW) == STANDING
    # A home too young for the learnt model: habits are the preferred one of what there is.
    young = {"habits": quality(5.0), "earlier weeks": quality(9.0)}
    assert choose(STANDING, ORDER, young, NOW) == STANDING
    fallen = choose(STANDING, ORDER, {**young, "earlier weeks": quality(3.0)}, NOW)
    assert (fallen.candidate, fallen.fell_back) == ("earlier weeks", True)


losses = st.floats(0.1, 100.0)


@given(st.lists(st.tuples(losses, losses, losses), min_size=1, max_size=12))
def test_whoever_is_issued_was_never_clearly_beaten(history):
    standing = STANDING
    for triple in history:
        found = {name: quality(loss) for name, loss in zip(ORDER, triple, strict=True)}
        before, standing = standing, choose(standing, ORDER, found, NOW)
        issued_loss = found[standing.candidate].loss
        assert min(triple) * (1.0 + FALL_BACK) >= issued_loss - 1e-12
        assert standing.fell_back == (standing.candidate != "learnt")
        assert choose(standing, ORDER, found, NOW).candidate == standing.candidate  # settled
        if found[before.candidate].loss == min(triple) and before.candidate == "learnt":
            assert standing == before


@given(st.floats(0.0, 3.0), st.floats(0.0, 1.0), st.booleans(), st.booleans())
def test_drift_and_lost_coverage_begin_later_than_they_end(ratio, coverage, drifted, lost):
    before = Standing("pv_w", "A", "panels", NOW, drifted=drifted, coverage_lost=lost)
    after = judged(before, quality(1.0, ratio=ratio, coverage=coverage))
    assert after.drifted == (ratio > 1.15 or (drifted and ratio > 1.05))
    assert after.coverage_lost == (coverage < 0.62 or (lost and coverage < 0.68))
    assert judged(after, None) == after


def test_earlier_weeks_and_days_say_what_was_there_then():
    index = pd.date_range(NOW - timedelta(days=40), NOW + timedelta(days=2), freq="30min")
    weekly = (np.arange(len(index)) % 336).astype(float)
    frame = pd.DataFrame({"A-01": weekly}, index=index)
    frame["young"] = np.nan
    frame.loc[NOW - timedelta(days=6) :, "young"] = 1.0
    horizon = Horizon.following(NOW, 49)
    (made,) = earlier(frame, "load_w", horizon)
    assert (made.subject, made.model) == ("A-01", WEEKS)
    came = frame["A-01"].reindex(horizon.index).to_numpy()
    middle = (came > 0) & (came < 335)
    np.testing.assert_allclose(made.quantile(0.5)[middle], came[middle])
    sun = earlier(frame[["young"]], "pv_w", horizon)
    assert [one.model for one in sun] == [DAYS]
    scrambled = frame.copy()
    scrambled.loc[NOW:] = 1e6
    np.testing.assert_array_equal(earlier(scrambled, "load_w", horizon)[0].mean, made.mean)


def test_what_is_issued_says_who_stood_back_or_was_missing():
    both = {"learnt": forecast([1.0], model="gradient"), "habits": forecast([2.0], model="habit")}
    assert issued(both, None).model == "gradient"
    back = Standing("load_w", "A-01", "habits", NOW, fell_back=True)
    made = issued(both, back)
    assert (made.model, made.lacked) == ("habit", ("learnt stood back, habits did better",))
    only = {"habits": both["habits"]}
    assert issued(only, None, "learnt model: not fitted yet").lacked == (
        "learnt model: not fitted yet",
    )
    told = replace(both["habits"], lacked=("learnt model: not fitted yet (all 20)",))
    assert issued({"habits": told}, None, "learnt model: not fitted yet").lacked == told.lacked
    gone = Standing("load_w", "A-01", "earlier weeks", NOW, fell_back=True)
    assert issued(only, gone).model == "habit"


@given(
    st.lists(st.one_of(st.floats(-500.0, 500.0), st.just(float("nan"))), min_size=1, max_size=20),
    st.sampled_from([0.1, 0.9]),
    st.one_of(st.just(0.0), st.floats(1.0, 100.0)),
)
def test_what_was_missed_is_signed_by_the_side_that_is_guarded_and_never_made_up(
    came, level, width
):
    made = forecast(np.full(48, 100.0), width=width)
    found = missed(made, level, series(came, NOW))
    nearest = [value for value in came[:12] if np.isfinite(value)] if width > 0 else []
    side = 1.0 if level > 0.5 else -1.0
    assert found.beyond == pytest.approx([side * (value - 100.0) for value in nearest])
    assert found.spread == pytest.approx([width] * len(nearest))
    assert missed(replace(made, quantiles={}), level, series(came, NOW)).beyond == ()
