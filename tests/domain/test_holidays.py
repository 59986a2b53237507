"""Bank holidays: a country's rules, and files whose days and months are swapped."""

from datetime import date

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ems.domain.errors import InvalidInputError
from ems.domain.holidays import bank_holidays, set_right

ENGLAND = bank_holidays("GB-ENG")


def test_england_with_a_jubilee_and_scotland_with_a_second_of_january():
    of_2012 = {day for day in ENGLAND if day.year == 2012}
    assert date(2012, 6, 5) in of_2012  # the Diamond Jubilee
    assert date(2012, 4, 9) in of_2012  # Easter Monday
    assert date(2013, 1, 2) not in ENGLAND
    assert date(2013, 1, 2) in bank_holidays("GB-SCT", [2013])


def test_a_place_that_is_not_known_is_refused_by_name():
    with pytest.raises(InvalidInputError) as caught:
        bank_holidays("XX-NOWHERE")
    assert caught.value.value == "XX-NOWHERE"
    assert "GB-ENG" in caught.value.remedy


def test_days_and_months_that_are_swapped_are_put_in_their_places():
    # 2012: May Day was 7 May, Easter Monday 9 April, the substitute for New Year 2 January.
    read = [date(2012, 7, 5), date(2012, 9, 4), date(2012, 2, 1), date(2012, 12, 25)]
    found, notes = set_right(read, ENGLAND)
    assert found == {date(2012, 5, 7), date(2012, 4, 9), date(2012, 1, 2), date(2012, 12, 25)}
    assert len(notes) == 3
    assert "holiday 2012-07-05 read as 2012-05-07: day and month are swapped" in notes


def test_two_that_stand_in_each_others_places_are_both_holidays():
    # 6 April 2012 was Good Friday, 4 June the spring bank holiday: swapped, the set is the same.
    found, notes = set_right([date(2012, 4, 6), date(2012, 6, 4)], ENGLAND)
    assert found == {date(2012, 4, 6), date(2012, 6, 4)}
    assert not notes


def test_an_extra_day_stays_and_is_named():
    found, notes = set_right([date(2013, 7, 16), date(1913, 3, 3)], ENGLAND)
    assert found == {date(2013, 7, 16), date(1913, 3, 3)}
    assert notes == ("holiday 2013-07-16 is not among the usual ones; kept",)


@given(st.sets(st.sampled_from(sorted(ENGLAND)), max_size=30), st.randoms())
def test_what_is_right_stays_and_what_is_swapped_comes_back(days, random):
    swapped = {
        date(day.year, day.day, day.month)
        if day.day <= 12
        and random.random() < 0.5
        and date(day.year, day.day, day.month) not in ENGLAND
        else day
        for day in days
    }
    assert set_right(swapped, ENGLAND)[0] == days
