"""Bank holidays: the public ones of a country, and dates of a file set right.

The rules of each country, with its extra days, are those of the library ``holidays``.
"""

from __future__ import annotations

from collections.abc import Iterable
from datetime import date

from ems.domain.errors import InvalidInputError

YEARS = range(2000, 2051)
"""Years whose holidays are known unless others are asked for."""


def bank_holidays(place: str, years: Iterable[int] = YEARS) -> frozenset[date]:
    """Return the public holidays of a country or of a part of it.

    Parameters
    ----------
    place
        ISO 3166 codes: ``GB-ENG`` for England, ``GB-SCT`` for Scotland, ``IE`` for Ireland.
    years
        Years wanted.

    Raises
    ------
    InvalidInputError
        Where the place is not known.
    """
    import holidays

    country, _, part = place.partition("-")
    try:
        found = holidays.country_holidays(country, subdiv=part or None, years=years)
    except NotImplementedError as error:
        raise InvalidInputError(
            "the public holidays of this place are not known",
            field="holidays",
            value=place,
            remedy="Write a country and perhaps a part of it, such as GB-ENG, GB-SCT or IE.",
        ) from error
    return frozenset(found)


def set_right(
    days: Iterable[date], plausible: frozenset[date]
) -> tuple[frozenset[date], tuple[str, ...]]:
    """Return dates in which day and month stand in their places, and notes.

    A date that is no plausible holiday, but would be with day and month swapped, is taken as
    swapped; one that is neither stays as it is, for an extra day may be right. A note names each.

    Parameters
    ----------
    days
        As read.
    plausible
        Holidays as a country's rules give them, for the years in question.
    """
    kept, notes = set(), []
    known_years = {day.year for day in plausible}
    for day in sorted(set(days)):
        right = day
        if day not in plausible and day.year in known_years:
            swapped = date(day.year, day.day, day.month) if day.day <= 12 else day
            if swapped in plausible:
                right = swapped
                notes.append(f"holiday {day} read as {right}: day and month are swapped")
            else:
                notes.append(f"holiday {day} is not among the usual ones; kept")
        kept.add(right)
    return frozenset(kept), tuple(notes)
