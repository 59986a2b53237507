"""Which models ``ems forecast backtest`` tries."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from ems.domain.errors import InvalidInputError
from forecasting.backtest import Contest, Plan
from forecasting.calendar import Calendar
from forecasting.references import empirical_models

EMPIRICAL = "weighted empirical"


def contests_of(
    calendar: Calendar,
    members: Mapping[str, Mapping[str, Sequence[str]]],
    plan: Plan,
    wanted: str = "",
) -> list[Contest]:
    """Return the contests, the one whose figures stand first in ``metrics.json`` first."""
    del plan
    every = {EMPIRICAL: lambda: Contest(EMPIRICAL, empirical_models(calendar, members))}
    names = [name.strip() for name in wanted.split(",") if name.strip()] or list(every)
    for name in names:
        if name not in every:
            raise InvalidInputError(
                "there is no such model",
                field="--models",
                value=name,
                remedy=f"Choose from: {', '.join(every)}.",
            )
    return [every[name]() for name in names]
