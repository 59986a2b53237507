"""What is learnt at night: one lesson in, models out. Pure, so that any process may do it."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import datetime

import numpy as np
import pandas as pd

from ems.domain.forecasts import Forecast
from forecasting.calendar import SLOTS, Calendar
from forecasting.ensemble import learnt_models
from forecasting.faults import usable
from forecasting.interface import Horizon, SeriesModel, known_before
from forecasting.learning import HELD_DAYS, LEAST_DAYS

LEARN_DAYS = 182
"""Days that a lesson looks back at most: it bounds the fit's time and memory."""
LEAST_LESSON_DAYS = LEAST_DAYS + HELD_DAYS
"""With fewer days there is nothing to learn from and to check against."""


@dataclass(frozen=True, slots=True, eq=False)
class Lesson:
    """Everything that a nightly fit of household load is told.

    Attributes
    ----------
    calendar
        Local time and holidays.
    blocks
        Block → its homes.
    steps
        Half-hours ahead that will be asked for.
    until
        Only what was known then is learnt from, UTC.
    homes
        Household load of every home by half-hours (UTC) [W].
    observed
        Weather seen, by half-hours; ``None`` without.
    """

    calendar: Calendar
    blocks: Mapping[str, Sequence[str]]
    steps: int
    until: datetime
    homes: pd.DataFrame = field(repr=False)
    observed: pd.DataFrame | None = field(repr=False)

    @property
    def days(self) -> float:
        """Days from the first value of any home to the end."""
        known = self.homes.dropna(how="all")
        if not len(known):
            return 0.0
        first = pd.DatetimeIndex(known.index)[0].to_pydatetime()
        return max((self.until - first).total_seconds() / 86_400.0, 0.0)


@dataclass(slots=True, eq=False)
class LearntLoads:
    """Fitted models of household load, of homes and of blocks.

    Attributes
    ----------
    fitted_at
        End of what they learnt from, UTC.
    """

    fitted_at: datetime
    _models: Sequence[SeriesModel] = field(repr=False)

    def forecasts(
        self,
        recent: pd.DataFrame,
        horizon: Horizon,
        weather: Mapping[str, Forecast],
        observed: pd.DataFrame | None,
    ) -> list[Forecast]:
        """Take in the newest half-hours and forecast; only what was truly learnt comes back.

        A series with too little history of its own has no learnt forecast. Stuck meters and
        outages are taken out first, and named.
        """
        clean = usable(known_before(recent, horizon.issued_at))
        out = []
        for model in self._models:
            model.update(clean.power_w, horizon.issued_at, observed)
            made = model.predict(horizon, weather)
            out += [
                replace(one, lacked=(*clean.why.get(one.subject, ()), *one.lacked))
                for one in made
                if one.model == model.name and _is_finite(one)
            ]
        return out


def learn(lesson: Lesson) -> LearntLoads:
    """Fit homes and blocks to a lesson."""
    homes = {str(name): [str(name)] for name in lesson.homes.columns}
    scales = {"home": homes, "block": lesson.blocks}
    models = learnt_models(lesson.calendar, scales, steps=lesson.steps, every_half_hour=True)
    known = usable(known_before(lesson.homes, lesson.until).iloc[-LEARN_DAYS * SLOTS :]).power_w
    for model in models.values():
        model.fit(known, lesson.until, lesson.observed)
    return LearntLoads(lesson.until, list(models.values()))


def _is_finite(one: Forecast) -> bool:
    return bool(
        np.isfinite(one.mean).all() and all(np.isfinite(q).all() for q in one.quantiles.values())
    )
