"""Forecasts of household load from a frame of half-hours: for other programs and for files.

`forecast_meters` is a pure function of what had ended at ``issued_at``: a frame in, a frame of
quantiles out. No service, no configuration, no file.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import replace
from datetime import date, datetime, timedelta
from typing import Literal, get_args
from zoneinfo import ZoneInfo

import numpy as np
import pandas as pd

from ems.domain.errors import InvalidInputError
from ems.domain.forecasts import Forecast
from ems.domain.time import HALF_HOUR, floor_to
from forecasting.calendar import SLOTS, Calendar
from forecasting.ensemble import learnt_models
from forecasting.faults import TOLD_DAYS, Span, usable
from forecasting.interface import (
    LEVELS,
    Horizon,
    SeriesModel,
    check_frame,
    known_before,
    make_forecast,
)
from forecasting.learning import HELD_DAYS, LEAST_DAYS, MOST_DAYS
from forecasting.meters import weaknesses
from forecasting.references import empirical_models

ModelName = Literal["learnt", "weighted empirical"]
COLUMNS = (
    "subject",
    "scale",
    "start",
    "mean_w",
    "p10_w",
    "p50_w",
    "p90_w",
    "issued_at",
    "model",
    "lacked",
)
"""Columns of the frame that `forecast_meters` returns, in order."""
WEATHER = ("outdoor_c", "humidity")
"""Columns of weather that models look at; others are ignored."""
LONGEST_SILENCE_DAYS = 60
"""Nothing is forecast longer after the last half-hour of a frame."""
Told = Callable[[str], None]


def forecast_meters(
    power_w: pd.DataFrame,
    *,
    issued_at: datetime | None = None,
    steps: int = 48,
    zone: str = "Europe/London",
    holidays: Collection[date] = (),
    groups: Mapping[str, Sequence[str]] | None = None,
    weather: pd.DataFrame | None = None,
    events: Sequence[Span] = (),
    model: ModelName = "learnt",
    days: int = MOST_DAYS,
    told: Told | None = None,
) -> pd.DataFrame:
    """Return quantiles and mean of the coming half-hours of every home and group.

    Parameters
    ----------
    power_w
        Mean power of half-hours [W], indexed by their starts (UTC, regular), one column a
        home; ``nan`` where a reading is missing. Energy in kWh times 2000 is such a power.
    issued_at
        Only half-hours that had ended by then are used; ``None``: the end of the last
        half-hour with a reading.
    steps
        Half-hours ahead, from the one that holds ``issued_at``.
    zone, holidays
        Where the homes are: habits follow local time, and bank holidays are days of their own.
    groups
        Group → its homes, forecast as sums beside the homes.
    weather
        Half-hours (UTC) with ``outdoor_c`` [°C] and perhaps ``humidity`` [-]: rows that had
        ended at ``issued_at`` as weather seen, later ones as its forecast.
    events
        Spans (from, until, UTC) in which a price or a call changed what people used; they are
        not learnt from.
    model
        ``"learnt"``: trees and ridges learnt from all homes, habits where history is short;
        ``"weighted empirical"``: each home's habits alone, at once.
    days
        Days before ``issued_at`` that are learnt from at most; fewer take less time.
    told
        Called with what is being done, in words.

    Returns
    -------
    One row a subject and half-hour, columns `COLUMNS`: powers in W, ``start`` and
    ``issued_at`` UTC, ``scale`` ``"home"`` or ``"group"``, ``lacked`` in words, parted by
    ``"; "``, empty where nothing was missing.

    Raises
    ------
    InvalidInputError
        Where an argument breaks a rule above; the message names it and the remedy.
    """
    found = meter_forecasts(
        power_w,
        issued_at=issued_at,
        steps=steps,
        calendar=Calendar.of(ZoneInfo(zone), holidays),
        groups=groups,
        weather=weather,
        events=events,
        model=model,
        days=days,
        told=told,
    )
    named = set(groups or {})
    return as_frame(found, {one.subject: "group" for one in found if one.subject in named})


def meter_forecasts(
    power_w: pd.DataFrame,
    *,
    issued_at: datetime | None = None,
    steps: int = 48,
    calendar: Calendar,
    groups: Mapping[str, Sequence[str]] | None = None,
    weather: pd.DataFrame | None = None,
    events: Sequence[Span] = (),
    model: ModelName = "learnt",
    days: int = MOST_DAYS,
    told: Told | None = None,
) -> list[Forecast]:
    """Return what `forecast_meters` does, as forecasts: homes in order of columns, then groups."""
    say = told or (lambda _: None)
    _check(power_w, groups or {}, model, days)
    at = issued_at or last_known(power_w)
    horizon = Horizon.following(at, steps)
    known = known_before(power_w, at)
    if not len(known):
        raise InvalidInputError(
            "no reading had ended by then",
            field="issued_at",
            value=at.isoformat(),
            remedy=f"Choose an instant after {power_w.index[0]:%Y-%m-%d %H:%M} UTC.",
        )
    silent = at - known.index[-1].to_pydatetime()
    if silent > timedelta(days=LONGEST_SILENCE_DAYS):
        raise InvalidInputError(
            f"the readings end {silent.days} days earlier",
            field="issued_at",
            value=at.isoformat(),
            remedy=f"Choose an instant up to {LONGEST_SILENCE_DAYS} days after the last reading.",
        )
    grid = pd.date_range(known.index[0], floor_to(at), freq=HALF_HOUR, inclusive="left")
    clean = usable(known.reindex(grid), events)
    weak = weaknesses(clean.power_w.iloc[-TOLD_DAYS * SLOTS :], inside=True)
    why_of = {
        name: (*clean.why.get(name, ()), *weak.get(name, ())) for name in clean.why.keys() | weak
    }
    seen, coming, gaps = _weather(weather, horizon)
    members: dict[str, dict[str, tuple[str, ...]]] = {
        "home": {str(name): (str(name),) for name in power_w.columns}
    }
    if groups:
        members["group"] = {name: tuple(of) for name, of in groups.items()}
    models: Mapping[str, SeriesModel] = (
        learnt_models(calendar, members, steps=steps, every_half_hour=False)
        if model == "learnt"
        else empirical_models(calendar, members)
    )
    out = []
    for scale, subjects in members.items():
        say(f"learning from {scale}s: {len(subjects)}")
        fitted = models[scale].fit(clean.power_w.iloc[-days * SLOTS :], at, seen)
        say(f"forecasting {scale}s: {len(subjects)}, {steps} half-hours")
        for one in fitted.predict(horizon, coming):
            why = _of_members(subjects[one.subject], why_of)
            out.append(replace(one, lacked=tuple(dict.fromkeys((*why, *one.lacked, *gaps)))))
    return out


def last_known(power_w: pd.DataFrame) -> datetime:
    """Return the end of the last half-hour in which any home has a reading."""
    held = np.flatnonzero(np.isfinite(power_w.to_numpy(dtype=np.float64)).any(axis=1))
    if not held.size:
        raise InvalidInputError(
            "there is no reading at all",
            field="power_w",
            value="nothing to forecast",
            remedy="Give half-hours of at least one home.",
        )
    last: pd.Timestamp = pd.DatetimeIndex(power_w.index)[held[-1]]
    return last.to_pydatetime() + HALF_HOUR


def as_frame(forecasts: Sequence[Forecast], scale: Mapping[str, str]) -> pd.DataFrame:
    """Return forecasts of load as rows, columns `COLUMNS`; subjects without a scale are homes."""
    parts = [
        pd.DataFrame(
            {
                "subject": one.subject,
                "scale": scale.get(one.subject, "home"),
                "start": pd.date_range(one.start, periods=len(one.mean), freq=HALF_HOUR),
                "mean_w": one.mean,
                **{f"p{level * 100:.0f}_w": one.quantile(level) for level in LEVELS},
                "issued_at": pd.Timestamp(one.issued_at),
                "model": one.model,
                "lacked": "; ".join(one.lacked),
            }
        )
        for one in forecasts
    ]
    return pd.concat(parts, ignore_index=True)[list(COLUMNS)]


def _check(
    power_w: pd.DataFrame, groups: Mapping[str, Sequence[str]], model: str, days: int
) -> None:
    check_frame(power_w, "power_w")
    names = [str(name) for name in power_w.columns]
    if len(set(names)) != len(names) or not names or not len(power_w):
        raise InvalidInputError(
            "a frame needs half-hours, and homes under names of their own",
            field="power_w",
            value=f"{len(power_w)} half-hours, {len(names)} homes",
            remedy="Give one column a home, each name once.",
        )
    if np.nanmin(power_w.to_numpy(dtype=np.float64), initial=0.0) < 0.0:
        raise InvalidInputError(
            "load is not negative",
            field="power_w",
            value="a value below zero",
            remedy="Give consumption alone, without what panels feed in.",
        )
    for group, of in groups.items():
        wrong = [home for home in of if home not in names]
        if wrong or not of or group in names:
            raise InvalidInputError(
                "a group needs a name that no home has, and homes that there are",
                field=f"groups[{group!r}]",
                value=wrong or list(of),
                remedy="Name columns of power_w.",
            )
    if model not in get_args(ModelName):
        raise InvalidInputError(
            "there is no such model",
            field="model",
            value=model,
            remedy=f"Choose from: {', '.join(get_args(ModelName))}.",
        )
    if days < 1:
        raise InvalidInputError(
            "nothing can be learnt from no days",
            field="days",
            value=days,
            remedy=f"Give {LEAST_DAYS + HELD_DAYS} or more, else habits alone are forecast.",
        )


def _weather(
    weather: pd.DataFrame | None, horizon: Horizon
) -> tuple[pd.DataFrame | None, dict[str, Forecast], list[str]]:
    """Return weather seen, weather to come, and what of it is missing."""
    if weather is None:
        return None, {}, []
    check_frame(weather, "weather")
    if "outdoor_c" not in weather:
        raise InvalidInputError(
            "weather needs a temperature",
            field="weather",
            value=", ".join(map(str, weather.columns)),
            remedy="Name the column outdoor_c, in °C.",
        )
    held = weather[[name for name in WEATHER if name in weather]].astype(np.float64)
    seen = known_before(held, horizon.issued_at)
    ahead = held.reindex(horizon.index)
    missing = int(ahead["outdoor_c"].isna().sum())
    coming = {}
    if missing < horizon.steps:
        for target in ahead.columns:
            values = ahead[target].to_numpy()
            levels = dict.fromkeys(LEVELS, values)
            coming[str(target)] = make_forecast(
                str(target), "weather", horizon, values, levels, model="given"
            )
    gaps = [f"weather forecast: {missing} of {horizon.steps} half-hours"] if missing else []
    return (seen if len(seen) else None), coming, gaps


def _of_members(homes: Sequence[str], why: Mapping[str, tuple[str, ...]]) -> list[str]:
    """Return what was taken out of a subject's homes; of a group the homes are named."""
    if len(homes) == 1:
        return list(why.get(homes[0], ()))
    said: dict[str, list[str]] = {}
    for home in homes:
        for reason in why.get(home, ()):
            said.setdefault(reason, []).append(home)
    return [
        reason if len(of) == len(homes) else f"{', '.join(of[:3])}: {reason}"
        for reason, of in list(said.items())[:5]
    ]
