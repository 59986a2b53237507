"""Forecasts issued once for a case and handed to all its runs: those that no controller can move.

Household load, hot water on the homes' own timers, the sun on the roofs, what is communal: none of
it depends on who controls. Of load, which is learnt from meters, the seeds of a window even share
one set.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray
from threadpoolctl import threadpool_limits

from ems.demo.metering import Window
from ems.domain.estate import Estate
from ems.domain.forecasts import Forecast
from ems.domain.ports import Store
from ems.domain.time import HALF_HOUR, HALF_HOUR_S
from forecasting.block import sum_forecasts, summed_history
from forecasting.calendar import SLOTS, Calendar
from forecasting.faults import usable
from forecasting.hot_water import hot_water_model
from forecasting.interface import LEVELS, known_before
from forecasting.load import load_model
from forecasting.nightly import LEARN_DAYS, LEAST_LESSON_DAYS, LearntLoads, Lesson, learn
from forecasting.run import (
    HISTORY_DAYS,
    Setting,
    columns_of,
    forecast_block,
    home_points,
    points_of,
)
from forecasting.weather import WeatherProvider

Key = tuple[str, str]
"""Target and subject."""
Told = Callable[[float], None]
"""Told the share that is done."""
LEAST_WHOLE_DAYS = 14
"""With fewer days of a block's load the spread of its sum follows from its homes'."""


@dataclass(slots=True, eq=False)
class Issues:
    """Forecasts of the same series, issued at regular instants.

    Attributes
    ----------
    begin, every_s
        First issue (UTC), and seconds between issues.
    keys
        The series.
    values
        Quantiles in order of their levels, then the mean; shape (issues, series, 4, steps).
    notes
        Number of what each forecast lacked and of its model, shape (issues, series).
    said
        What the numbers stand for.
    """

    begin: datetime
    every_s: int
    keys: list[Key]
    values: NDArray[np.float32] = field(repr=False)
    notes: NDArray[np.int32] = field(repr=False)
    said: list[tuple[tuple[str, ...], str]] = field(repr=False)

    def at(self, now: datetime) -> list[Forecast]:
        """Return the newest forecasts that were issued at or before ``now``."""
        number = int((now - self.begin).total_seconds() // self.every_s)
        number = min(max(number, 0), len(self.values) - 1)
        issued_at = self.begin + timedelta(seconds=number * self.every_s)
        values = self.values[number].astype(np.float64)
        made = []
        for at, (target, subject) in enumerate(self.keys):
            lacked, model = self.said[self.notes[number, at]]
            quantiles = dict(zip(LEVELS, values[at, :-1], strict=True))
            made.append(
                Forecast(
                    target=target,
                    subject=subject,
                    issued_at=issued_at,
                    start=issued_at,
                    step_s=HALF_HOUR_S,
                    mean=values[at, -1],
                    quantiles=quantiles,
                    lacked=lacked,
                    model=model,
                )
            )
        return made

    def save(self, path: Path) -> None:
        """Write them, whole or not at all."""
        path.parent.mkdir(parents=True, exist_ok=True)
        beside = path.with_name(f"{path.name}.part")
        header = {
            "begin": self.begin.isoformat(),
            "every_s": self.every_s,
            "keys": self.keys,
            "said": self.said,
        }
        with beside.open("wb") as file:
            np.savez(
                file, header=np.array(json.dumps(header)), values=self.values, notes=self.notes
            )
        beside.replace(path)

    @classmethod
    def load(cls, path: Path) -> Issues:
        """Return what `save` wrote."""
        with np.load(path, allow_pickle=False) as file:
            header: dict[str, Any] = json.loads(str(file["header"]))
            return cls(
                begin=datetime.fromisoformat(header["begin"]),
                every_s=header["every_s"],
                keys=[(target, subject) for target, subject in header["keys"]],
                values=file["values"],
                notes=file["notes"],
                said=[(tuple(lacked), model) for lacked, model in header["said"]],
            )


def collected(
    instants: Sequence[datetime],
    every_s: int,
    issue: Callable[[datetime], Iterable[Forecast]],
    progress: Told = lambda _: None,
) -> Issues:
    """Return what ``issue`` says at these instants; each time the same series."""
    values: list[NDArray[np.float32]] = []
    notes: list[list[int]] = []
    numbers: dict[tuple[tuple[str, ...], str], int] = {}
    keys: list[Key] = []
    for count, now in enumerate(instants):
        made = {(one.target, one.subject): one for one in issue(now)}
        keys = keys or sorted(made)
        values.append(
            np.array(
                [
                    [*(made[key].quantile(level) for level in LEVELS), made[key].mean]
                    for key in keys
                ],
                dtype=np.float32,
            )
        )
        said = [(made[key].lacked, made[key].model) for key in keys]
        notes.append([numbers.setdefault(one, len(numbers)) for one in said])
        progress((count + 1) / len(instants))
    return Issues(
        instants[0], every_s, keys, np.stack(values), np.array(notes, np.int32), list(numbers)
    )


def instants_of(window: Window, every_s: int) -> list[datetime]:
    """Return when forecasts are issued for a window."""
    count = -(-round(window.hours * 3600) // every_s)
    return [window.start + timedelta(seconds=number * every_s) for number in range(count)]


def exact(one: Forecast) -> Forecast:
    """Return a forecast that is sure of its mean."""
    return replace(one, quantiles=dict.fromkeys(LEVELS, one.mean))


class LoadIssuer:
    """Household load of homes and blocks, learnt every so often and issued every half-hour.

    Parameters
    ----------
    estate, weather
        Whose homes, and the sky.
    household_w
        What homes use beside heat pumps, half-hours (UTC), one column a home [W]; only what has
        ended is looked at.
    learn_every
        How often models are learnt anew.
    steps
        Half-hours ahead.
    """

    def __init__(
        self,
        estate: Estate,
        weather: WeatherProvider,
        household_w: pd.DataFrame,
        learn_every: timedelta,
        steps: int,
    ) -> None:
        self._estate = estate
        self._weather = weather
        self._household = household_w
        self._every = learn_every
        self._steps = steps
        self._calendar = Calendar.of(estate.zone, estate.holidays)
        self._models: LearntLoads | None = None
        self._asked_at: datetime | None = None

    def issue(self, now: datetime) -> list[Forecast]:
        """Return one forecast of every home's and every block's household load."""
        if self._asked_at is None or now - self._asked_at >= self._every:
            self._learn(now)
        setting = Setting.of(self._estate, now, self._steps)
        since = now - timedelta(days=HISTORY_DAYS)
        recent = known_before(self._household.loc[pd.Timestamp(since) :], now)
        found: dict[str, Forecast] = {}
        if self._models is not None:
            sky = self._weather.issue(now, self._steps), self._weather.observed(since, now)
            with threadpool_limits(1):
                made = self._models.forecasts(recent, setting.horizon, *sky)
            found = {one.subject: one for one in made}
        homes = [home.id for home in self._estate.dwellings()]
        if any(name not in found for name in homes):
            habits = load_model(self._calendar).fit(usable(recent).power_w, now)
            found = {one.subject: one for one in habits.predict(setting.horizon)} | found
        for block in self._estate.blocks:
            if block.id not in found:
                ids = [home.id for home in block.dwellings]
                parts = [found[name] for name in ids]
                found[block.id] = sum_forecasts(
                    parts, block.id, whole=self._whole(recent[ids], block.id, setting)
                )
        return [replace(one, target="load_w") for one in found.values()]

    def _whole(self, recent: pd.DataFrame, block_id: str, setting: Setting) -> Forecast | None:
        """Return a block's load forecast by its own habits, for the spread of the sum."""
        past = summed_history(recent, block_id)
        if np.isfinite(past.to_numpy()).sum() < LEAST_WHOLE_DAYS * SLOTS:
            return None
        model = load_model(self._calendar).fit(past, setting.issued_at)
        return model.predict(setting.horizon)[0]

    def _learn(self, now: datetime) -> None:
        self._asked_at = now
        start = now - timedelta(days=LEARN_DAYS)
        lesson = Lesson(
            calendar=self._calendar,
            blocks={
                block.id: [home.id for home in block.dwellings] for block in self._estate.blocks
            },
            steps=self._steps,
            until=now,
            homes=known_before(self._household.loc[pd.Timestamp(start) :], now),
            observed=self._weather.observed(start, now),
        )
        if lesson.days >= LEAST_LESSON_DAYS:
            with threadpool_limits(1):
                self._models = learn(lesson)


class OtherIssuer:
    """Hot water, the sun on the roofs and what is communal, from a thermostat run's meters.

    Parameters
    ----------
    estate, store, weather
        Whose; where the half-hours of the thermostat run lie; the sky.
    steps
        Half-hours ahead.
    """

    def __init__(self, estate: Estate, store: Store, weather: WeatherProvider, steps: int) -> None:
        self._estate = estate
        self._store = store
        self._weather = weather
        self._steps = steps

    def issue(self, now: datetime) -> list[Forecast]:
        """Return ``hot_water_w`` of homes, ``pv_w`` and ``communal_w`` of blocks."""
        setting = Setting.of(self._estate, now, self._steps)
        start = now - timedelta(days=HISTORY_DAYS)
        sky, seen = self._weather.issue(now, self._steps), self._weather.observed(start, now)
        made: list[Forecast] = []
        for block in self._estate.blocks:
            past = self._store.rollups(points_of(block), start, now)
            names = [home.id for home in block.dwellings]
            water = columns_of(past, [home_points(home)[1] for home in block.dwellings], names)
            made += hot_water_model(setting.calendar).fit(water, now).predict(setting.horizon)
            made += forecast_block(block, past, sky, setting, observed_weather=seen)
        return made


def true_issues(series: Mapping[Key, pd.Series[float]], window: Window, steps: int) -> Issues:
    """Return what truly came as forecasts, issued every half-hour and without spread.

    Parameters
    ----------
    series
        What came by half-hours (UTC) of each target and subject; where it is not known, the
        same half-hour a day before stands in.
    window, steps
        When forecasts are issued, and how far they reach.
    """
    keys = sorted(series)
    index = pd.date_range(
        window.start, window.end + steps * HALF_HOUR, freq=HALF_HOUR, inclusive="left"
    )
    back = pd.Timedelta(days=1)
    table = []
    for key in keys:
        came = series[key]
        whole = came.reindex(index)
        for days in range(1, 8):
            if not whole.isna().any():
                break
            whole = whole.fillna(pd.Series(came.reindex(index - days * back).to_numpy(), index))
        table.append(whole.to_numpy(dtype=np.float32))
    count = round(window.hours * 2)
    held = np.lib.stride_tricks.sliding_window_view(np.stack(table), steps, axis=1)
    values = np.ascontiguousarray(held[:, :count].transpose(1, 0, 2))
    return Issues(
        begin=window.start,
        every_s=HALF_HOUR_S,
        keys=keys,
        values=np.repeat(values[:, :, None, :], len(LEVELS) + 1, axis=2),
        notes=np.zeros((count, len(keys)), dtype=np.int32),
        said=[((), "what truly came")],
    )
