"""Where ``ems forecast`` takes bank holidays from: a country, a file, or nowhere."""

from datetime import date
from zoneinfo import ZoneInfo

import pytest

from ems.cli.forecast_options import holidays_of
from ems.domain.errors import InvalidInputError

LONDON = ZoneInfo("Europe/London")
SWAPPED = '"Bank holidays",Type\n2013-12-25,"Christmas Day"\n2013-01-04,"Easter Monday"\n'


def test_homes_on_london_time_have_englands_holidays_unless_told_otherwise():
    assert date(2013, 5, 27) in holidays_of(None, LONDON)[0]
    assert holidays_of("none", LONDON) == (frozenset(), ())
    assert holidays_of(None, ZoneInfo("Europe/Vienna")) == (frozenset(), ())


def test_a_place_is_taken_by_its_code():
    assert date(2013, 1, 2) in holidays_of("GB-SCT", LONDON)[0]
    with pytest.raises(InvalidInputError, match="GB-ENG"):
        holidays_of("Atlantis", LONDON)


def test_a_file_with_day_and_month_swapped_is_read_right_and_said_so(tmp_path):
    path = tmp_path / "days.csv"
    path.write_text(SWAPPED)
    found, notes = holidays_of(str(path), LONDON)
    assert found == {date(2013, 12, 25), date(2013, 4, 1)}
    assert notes == ("holiday 2013-01-04 read as 2013-04-01: day and month are swapped",)


def test_an_estates_own_list_is_understood(tmp_path):
    path = tmp_path / "days.yaml"
    path.write_text("holidays:\n- date: 2013-12-25\n")
    assert holidays_of(str(path), LONDON)[0] == {date(2013, 12, 25)}


def test_a_file_that_is_not_there_is_refused(tmp_path):
    with pytest.raises(InvalidInputError) as caught:
        holidays_of(str(tmp_path / "nowhere.csv"), LONDON)
    assert caught.value.field == "--holidays"
