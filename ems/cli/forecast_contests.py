"""Which models ``ems forecast backtest`` tries."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence

from ems.domain.errors import InvalidInputError
from forecasting.backtest import Contest, Plan
from forecasting.calendar import Calendar
from forecasting.ensemble import learnt_models
from forecasting.references import empirical_models

LEARNT = "learnt"
EMPIRICAL = "weighted empirical"
REFIT_DAYS = 10
"""A backtest fits the learnt models anew after so many days."""


def contests_of(
    calendar: Calendar,
    members: Mapping[str, Mapping[str, Sequence[str]]],
    plan: Plan,
    wanted: str = "",
) -> list[Contest]:
    """Return the contests, the one whose figures stand first in ``metrics.json`` first."""
    times = {at.time() for at in plan.origins}

    def learnt() -> Contest:
        models = learnt_models(calendar, members, steps=plan.steps, every_half_hour=len(times) > 1)
        return Contest(LEARNT, models, refit_every=REFIT_DAYS * len(times))

    every: dict[str, Callable[[], Contest]] = {
        LEARNT: learnt,
        EMPIRICAL: lambda: Contest(EMPIRICAL, empirical_models(calendar, members)),
    }
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
