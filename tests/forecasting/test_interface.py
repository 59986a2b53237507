"""What is refused, and where the line between past and future runs."""

from datetime import UTC, datetime

import numpy as np
import pandas as pd
import pytest

from ems.domain.errors import InvalidInputError
from forecasting.interface import Horizon, check_frame, known_before, make_forecast

NOON = datetime(2023, 1, 10, 12, tzinfo=UTC)


def grid(count: int = 4) -> pd.DatetimeIndex:
    return pd.date_range("2023-01-10 10:00", periods=count, freq="30min", tz="UTC")


def test_a_half_hour_is_known_once_it_has_ended():
    frame = pd.DataFrame({"a": [1.0, 2.0, 3.0, 4.0]}, index=grid())
    at = datetime(2023, 1, 10, 11, 29, 59, tzinfo=UTC)
    assert known_before(frame, at)["a"].tolist() == [1.0, 2.0]
    assert known_before(frame, at.replace(minute=30, second=0))["a"].tolist() == [1.0, 2.0, 3.0]


@pytest.mark.parametrize(
    ("index", "problem"),
    [
        (grid().tz_localize(None), "UTC"),
        (grid().tz_convert("Europe/London"), "UTC"),
        (grid()[[0, 2, 3]], "regular"),
        (grid()[[0, 0, 1]], "regular"),
        (grid()[::-1], "regular"),
        (grid() + pd.Timedelta("1min"), "regular"),
        (pd.RangeIndex(4), "UTC"),
    ],
)
def test_frames_off_the_grid_are_refused_with_a_remedy(index, problem):
    frame = pd.DataFrame({"a": np.ones(len(index))}, index=index)
    with pytest.raises(InvalidInputError, match=problem) as caught:
        check_frame(frame, "history")
    assert caught.value.field == "history.index"
    assert caught.value.remedy


def test_infinite_values_are_refused_and_gaps_are_not():
    frame = pd.DataFrame({"a": [1.0, np.nan, 3.0, np.inf]}, index=grid())
    with pytest.raises(InvalidInputError, match="finite"):
        check_frame(frame, "history")
    assert check_frame(frame.iloc[:3], "history").isna().sum().sum() == 1


@pytest.mark.parametrize(
    ("start", "steps"),
    [
        (NOON.replace(minute=10), 48),
        (NOON, 0),
        (NOON.replace(hour=11), 48),
        (NOON.replace(tzinfo=None), 48),
    ],
)
def test_a_horizon_lies_on_the_grid_and_ahead(start, steps):
    with pytest.raises(InvalidInputError):
        Horizon(NOON, start, steps)


def test_the_first_step_is_the_half_hour_that_is_running():
    horizon = Horizon.following(NOON.replace(minute=44), 2)
    assert [str(stamp.time()) for stamp in horizon.index] == ["12:30:00", "13:00:00"]


def test_quantiles_that_cross_are_put_in_order():
    horizon = Horizon.following(NOON, 2)
    crossed = {0.9: np.array([1.0, 9.0]), 0.1: np.array([2.0, 1.0]), 0.5: np.array([3.0, 5.0])}
    forecast = make_forecast("load_w", "a", horizon, np.ones(2), crossed, model="m")
    assert forecast.quantile(0.9).tolist() == [3.0, 9.0]
    assert list(forecast.quantiles) == [0.1, 0.5, 0.9]
