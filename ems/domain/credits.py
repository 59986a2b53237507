"""What a tenant is owed for heating ahead that saves somebody else money.

Where the landlord buys for all and resells at a rate of its own, a plan that heats a home
while the building's electricity is cheap saves the landlord; the tenant pays for what leaks
away until the room needs it. So the electricity of such half-hours is credited a share of
the tenant's rate. A home whose own rate is lower now than later gains by itself.
"""

from __future__ import annotations

import math
from collections.abc import Collection, Iterable, Sequence
from dataclasses import dataclass
from datetime import date, datetime

from ems.domain.reasons import Course
from ems.domain.setpoints import Cause

CHEAPER_SHARE = 0.02
"""A rate is lower than another from this share on."""


@dataclass(frozen=True, slots=True)
class TenantCredit:
    """A home's credit of one local day.

    Attributes
    ----------
    dwelling_id, day
        Which home, and which local day, as ISO date.
    ahead_kwh
        Heat-pump electricity of half-hours in which it heated ahead for others.
    credit_gbp
        What it is owed for them.
    until
        End of the last half-hour that is counted (UTC): none counts twice.
    cost_gbp
        What that electricity cost at the home's own rate.
    """

    dwelling_id: str
    day: str
    ahead_kwh: float
    credit_gbp: float
    until: datetime
    cost_gbp: float = 0.0


@dataclass(frozen=True, slots=True)
class CreditSum:
    """Credits of several days or homes: electricity [kWh], its cost and what is owed [£]."""

    ahead_kwh: float
    cost_gbp: float
    credit_gbp: float

    @classmethod
    def of(cls, parts: Iterable[CreditSum | TenantCredit]) -> CreditSum:
        """Return several sums or days together."""
        known = list(parts)
        return cls(
            math.fsum(each.ahead_kwh for each in known),
            math.fsum(each.cost_gbp for each in known),
            math.fsum(each.credit_gbp for each in known),
        )


def credits_between(kept: Iterable[TenantCredit], first: date, last: date) -> CreditSum:
    """Return the sum of credits of local days ``first`` to ``last``, both included.

    Examples
    --------
    >>> one = TenantCredit("A-01", "2023-12-01", 2.0, 0.08, datetime(2023, 12, 2), 0.32)
    >>> credits_between([one, one], date(2023, 12, 1), date(2023, 12, 31))
    CreditSum(ahead_kwh=4.0, cost_gbp=0.64, credit_gbp=0.16)
    """
    days = first.isoformat(), last.isoformat()
    return CreditSum.of(each for each in kept if days[0] <= each.day <= days[1])


def credit_rate_gbp_per_kwh(
    course: Course, causes: Collection[Cause], rates: Sequence[float], share: float
) -> float:
    """Return what a kWh of a heat pump is credited in a half-hour [£/kWh].

    Parameters
    ----------
    course, causes
        What the plan has the home do in this step, and why: heating ahead is for the building's
        sake, unless it is for an event, which pays by rules of its own.
    rates
        The home's own rates from this half-hour on [£/kWh], the first being its own.
    share
        Share of the rate that is credited [-].

    Examples
    --------
    >>> credit_rate_gbp_per_kwh(Course.AHEAD, [Cause.CHEAP_NOW], [0.16, 0.16], 0.25)
    0.04
    >>> credit_rate_gbp_per_kwh(Course.AHEAD, [Cause.CHEAP_NOW], [0.16, 0.40], 0.25)
    0.0
    """
    if course is not Course.AHEAD or Cause.EVENT in causes or not rates:
        return 0.0
    gains_itself = max(rates) > rates[0] * (1.0 + CHEAPER_SHARE)
    return 0.0 if gains_itself else max(rates[0], 0.0) * share
