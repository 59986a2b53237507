"""What a tenant is owed for heating ahead that saves somebody else money.

Where the landlord buys for all and resells at a rate of its own, a plan that heats a home
while the building's electricity is cheap saves the landlord; the tenant pays for what leaks
away until the room needs it. So the electricity of such half-hours is credited a share of
the tenant's rate. A home whose own rate is lower now than later gains by itself.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime

from ems.domain.setpoints import Cause

AHEAD = frozenset({Cause.CHEAP_NOW, Cause.SOLAR, Cause.IMPORT_LIMIT})
"""Causes of heating ahead for the building's sake; events pay by rules of their own."""
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
    """

    dwelling_id: str
    day: str
    ahead_kwh: float
    credit_gbp: float
    until: datetime


def credit_rate_gbp_per_kwh(
    cause: Cause, heating: bool, rates: Sequence[float], share: float
) -> float:
    """Return what a kWh of a heat pump is credited in a half-hour [£/kWh].

    Parameters
    ----------
    cause, heating
        Why the plan has this step as it is, and whether it heats in it.
    rates
        The home's own rates from this half-hour on [£/kWh], the first being its own.
    share
        Share of the rate that is credited [-].

    Examples
    --------
    >>> credit_rate_gbp_per_kwh(Cause.CHEAP_NOW, True, [0.16, 0.16], 0.25)
    0.04
    >>> credit_rate_gbp_per_kwh(Cause.CHEAP_NOW, True, [0.16, 0.40], 0.25)
    0.0
    """
    if not heating or cause not in AHEAD or not rates:
        return 0.0
    gains_itself = max(rates) > rates[0] * (1.0 + CHEAPER_SHARE)
    return 0.0 if gains_itself else max(rates[0], 0.0) * share
