"""Learnt models of household load in the service: fitted nightly, brought up to date, replaced."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime, timedelta

import pandas as pd
import structlog
from threadpoolctl import threadpool_limits

from ems.domain.estate import Estate
from ems.domain.forecasts import Forecast
from ems.domain.ports import LogEntry, Store
from ems.domain.time import floor_to
from ems.service.fits import FitFailed, Fits
from forecasting.calendar import Calendar
from forecasting.nightly import LEARN_DAYS, LEAST_LESSON_DAYS, LearntLoads, Lesson
from forecasting.run import Setting, columns_of, home_points
from forecasting.weather import WeatherProvider

log = structlog.get_logger()

MOST_AGE = timedelta(days=7)
"""Models that learnt from nothing newer are not used: their calibration has gone."""
LEARNT, NOT_LEARNT = "loads_learnt", "loads_not_learnt"
"""Kinds of log entries."""


class Learner:
    """Holds the models that forecast household load, and has new ones made.

    Parameters
    ----------
    estate, store
        Whose homes, and where their history lies.
    fits
        Where models are made.
    steps
        Half-hours ahead that are asked for.
    """

    def __init__(self, estate: Estate, store: Store, fits: Fits, steps: int) -> None:
        self._estate = estate
        self._store = store
        self._fits = fits
        self._steps = steps
        self._models: LearntLoads | None = None
        self._why = "learnt model: not fitted yet"

    def begin(self, now: datetime, weather: WeatherProvider) -> None:
        """Have models fitted to what is known at ``now``; with too little history, say so."""
        start = floor_to(now) - timedelta(days=LEARN_DAYS)
        homes = list(self._estate.dwellings())
        points = [home_points(home)[0] for home in homes]
        rollups = self._store.rollups(points, start, floor_to(now))
        lesson = Lesson(
            calendar=Calendar.of(self._estate.zone, self._estate.holidays),
            blocks={
                block.id: [home.id for home in block.dwellings] for block in self._estate.blocks
            },
            steps=self._steps,
            until=floor_to(now),
            homes=columns_of(rollups, points, [home.id for home in homes]),
            observed=weather.observed(start, now),
        )
        if lesson.days < LEAST_LESSON_DAYS:
            self._why = (
                f"learnt model: {int(lesson.days)} of {LEAST_LESSON_DAYS} days to learn from"
            )
            return
        self._fits.begin(lesson)

    def forecasts(
        self,
        rollups: Mapping[str, pd.DataFrame],
        setting: Setting,
        weather: Mapping[str, Forecast],
        observed: pd.DataFrame,
    ) -> tuple[list[Forecast], str]:
        """Return what the models say of homes and blocks; where there are none, why.

        Parameters
        ----------
        rollups
            Block → half-hours of its homes' household load, at least since the last fit.
        setting, weather, observed
            Where and when; the sky to come and as it was.
        """
        self._take(setting.issued_at)
        if self._models is None:
            return [], self._why
        if setting.issued_at - self._models.fitted_at > MOST_AGE:
            return [], f"learnt model: last fitted {self._models.fitted_at:%Y-%m-%d}, too old"
        parts = [
            columns_of(
                rollups[block.id],
                [home_points(home)[0] for home in block.dwellings],
                [home.id for home in block.dwellings],
            )
            for block in self._estate.blocks
        ]
        try:
            with threadpool_limits(1):
                made = self._models.forecasts(
                    pd.concat(parts, axis=1), setting.horizon, weather, observed
                )
        except Exception:
            # Whatever a model does, plans need a forecast: habits stand in.
            log.exception("learnt_model_failed")
            self._models, self._why = None, "learnt model: it failed"
            return [], self._why
        return made, "history: too short for the learnt model"

    def close(self) -> None:
        """End a fit that is under way."""
        self._fits.close()

    def _take(self, now: datetime) -> None:
        """Put newly fitted models in place of the old ones."""
        outcome = self._fits.taken()
        if isinstance(outcome, FitFailed):
            log.warning(NOT_LEARNT, why=outcome.why, trace=outcome.trace)
            self._store.log([LogEntry(now, NOT_LEARNT, "estate", {"why": outcome.why})])
            self._why = f"learnt model: the fit failed ({outcome.why})"
        elif outcome is not None:
            self._models = outcome
            detail = {"until": outcome.fitted_at.isoformat()}
            self._store.log([LogEntry(now, LEARNT, "estate", detail)])
            log.info(LEARNT, until=outcome.fitted_at.isoformat())
