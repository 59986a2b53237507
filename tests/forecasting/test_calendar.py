"""Local days: habits follow the clock on the wall, through changes of the clock."""

from datetime import date
from zoneinfo import ZoneInfo

import numpy as np
import pandas as pd
from hypothesis import given
from hypothesis import strategies as st

from forecasting.calendar import SLOTS, Calendar, DayKind, by_local_day, weekdays


def days_since_1970(day: date) -> int:
    return (day - date(1970, 1, 1)).days


def test_day_kinds_of_a_christmas_week(london):
    calendar = Calendar.of(london, [date(2022, 12, 26), date(2022, 12, 27)])
    week = np.arange(days_since_1970(date(2022, 12, 23)), days_since_1970(date(2022, 12, 29)))
    assert [DayKind(kind).name for kind in calendar.kinds(week)] == [
        "WEEKDAY",
        "SATURDAY",
        "SUNDAY",
        "HOLIDAY",
        "HOLIDAY",
        "WEEKDAY",
    ]


@given(st.dates(date(1990, 1, 1), date(2060, 1, 1)))
def test_weekdays_agree_with_the_standard_library(day):
    assert weekdays(np.array([days_since_1970(day)]))[0] == day.weekday()


def test_in_summer_the_local_half_hour_is_two_slots_later_than_in_winter(london):
    calendar = Calendar.of(london)
    index = pd.to_datetime(["2023-01-09T07:00Z", "2023-07-09T07:00Z"])
    assert calendar.locate(index).slot.tolist() == [14, 16]


def test_the_short_day_lacks_two_slots_and_the_long_day_keeps_the_later_of_each(london):
    calendar = Calendar.of(london)
    for first, gaps in (("2023-03-26", 2), ("2023-10-29", 0)):
        start = pd.Timestamp(first, tz=london).tz_convert("UTC")
        end = (pd.Timestamp(first, tz=london) + pd.DateOffset(days=1)).tz_convert("UTC")
        index = pd.date_range(start, end, freq="30min", inclusive="left")
        values = np.arange(float(len(index)))[:, None]
        times = calendar.locate(index)
        sheet = by_local_day(values, times, np.unique(times.day))
        assert np.isnan(sheet).sum() == gaps
        assert len(index) == {2: 46, 0: 50}[gaps]
    # local 01:00 came at the third and, an hour later, at the fifth half-hour: the later stands
    assert sheet[0, 0, 2] == 4.0


@given(st.integers(0, 40 * 365 * 48), st.integers(1, 200))
def test_every_instant_has_a_slot_and_days_never_run_backwards(half_hours, count):
    start = pd.Timestamp("2000-01-01", tz="UTC") + half_hours * pd.Timedelta("30min")
    index = pd.date_range(start, periods=count, freq="30min")
    times = Calendar.of(ZoneInfo("Europe/London")).locate(index)
    assert ((times.slot >= 0) & (times.slot < SLOTS)).all()
    assert (np.diff(times.day) >= 0).all()
