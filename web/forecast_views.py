"""What was forecast against what came, and who forecast it, for operators' pages."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import date, datetime, timedelta

import numpy as np
import pandas as pd

from ems.domain.estate import Block, Dwelling, Estate
from ems.domain.forecasts import Forecast, Standing
from ems.domain.points import PointId
from ems.domain.ports import Store
from ems.domain.time import floor_to, local_day_bounds, steps
from ems.service.forecast_quality import standing_key
from forecasting.candidates import ORDER
from forecasting.fine import STEP_S, TARGET
from forecasting.issue import actuals
from forecasting.run import points_of
from web.charts import BLUE, ORANGE, Band, Line, TimeChart
from web.planned import PlannedImports
from web.series import half_hours, kw_steps, times_of

TITLES = {
    "load_w": "Household use",
    "hot_water_w": "Hot water",
    "communal_w": "Communal load",
    "pv_w": "Solar generation",
}
"""What each target is called on a page."""
MODELS = {
    "gradient": "what was learnt from many homes",
    "sum of": "the forecasts of the homes, added up",
    "weighted empirical": "habits of the past weeks",
    "nameplate": "panels and weather",
    "earlier weeks": "the same half-hours of earlier weeks",
    "earlier days": "the same half-hours of earlier days",
}
"""What models are called on a page, by how their names begin."""
MADE_BY = timedelta(minutes=15)
"""The forecast of a day is the last one issued until so long after its midnight."""


@dataclass(frozen=True, slots=True)
class ForecastView:
    """One quantity: its picture, whose forecast is issued, how it went and what it lacked.

    Attributes
    ----------
    title, chart
        What it is; yesterday and today.
    newest
        The forecast issued last; ``None`` where there is none.
    standing
        Whose forecast is issued; ``None`` before anything was judged.
    shown
        Who made the forecasts in the picture, a name a day, oldest first.
    """

    title: str
    chart: TimeChart
    newest: Forecast | None
    standing: Standing | None
    shown: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class HomeStanding:
    """A home's household use in a table of a block."""

    home: Dwelling
    newest: Forecast | None
    standing: Standing | None


def model_words(model: str) -> str:
    """Return a model's name in plain words, its own name behind."""
    for begins, words in MODELS.items():
        if model.startswith(begins):
            return words if words.endswith(model) else f"{words} ({model})"
    return model


def block_forecasts(
    estate: Estate, store: Store, block: Block, now: datetime
) -> list[ForecastView]:
    """Return the forecasts of a block: sums over its homes, communal load and sun."""
    return _views(estate, store, block, block.id, now)


def home_forecasts(
    estate: Estate, store: Store, block: Block, home: Dwelling, now: datetime
) -> list[ForecastView]:
    """Return the forecasts of a home: household use and hot water."""
    return _views(estate, store, block, home.id, now)


def home_standings(store: Store, block: Block, now: datetime) -> list[HomeStanding]:
    """Return how the forecasts of the homes' household use stand, in order of the homes."""
    return [
        HomeStanding(
            home,
            store.latest_forecast("load_w", home.id, now),
            _standing(store, "load_w", home.id),
        )
        for home in block.dwellings
    ]


def heating_chart(
    estate: Estate,
    store: Store,
    planned: PlannedImports,
    block: Block,
    homes: Sequence[Dwelling],
    now: datetime,
) -> TimeChart:
    """Return the measured heating power of homes in sum, with what was planned before."""
    start, end = _span(estate, now)
    points = [PointId(home.heat_pump.device_id, "heating_power_w") for home in homes]
    frame = half_hours(store, points, start, now)
    total = frame.sum(axis=1, skipna=False).to_frame("total")
    ids = [home.id for home in homes]
    return TimeChart(
        key="heating",
        title=f"Heat pump{'s' if len(homes) > 1 else ''}, planned and measured",
        summary="Electricity for heating, without hot water, by half-hours. Planned is what the "
        "last plan before each half-hour said.",
        unit="kW",
        start=start,
        end=end,
        zone=estate.zone,
        lines=(
            kw_steps(total, "total", "Measured", BLUE),
            planned.heating(store, block.id, ids, start, end, now),
        ),
        now=now,
        decimals=2 if len(homes) == 1 else 1,
    )


def fine_forecasts(estate: Estate, store: Store, block: Block, now: datetime) -> ForecastView:
    """Return the homes' household use by five minutes: four hours back, and four to come."""
    start, end = now - timedelta(hours=4), now + timedelta(hours=4)
    points = [PointId(home.meter.device_id, "household_power_w") for home in block.dwellings]
    fine = store.resampled(points, floor_to(start, STEP_S), floor_to(now, STEP_S), STEP_S)
    came = fine.sum(axis=1, skipna=False).to_numpy(dtype=float) / 1000.0
    made = store.latest_forecast(TARGET, block.id, now)
    rows = {} if made is None else _steps_kw(made)
    times = list(rows)
    low, middle, high = ([rows[at][which] for at in times] for which in range(3))
    chart = TimeChart(
        key="fine",
        title="Household use by five minutes",
        summary="What came in the last four hours, and what is forecast for the next four. "
        "Five minutes in which a home is missing are left out.",
        unit="kW",
        start=start,
        end=end,
        zone=estate.zone,
        lines=(
            Line("Measured", times_of(fine), came.tolist(), BLUE, step_s=float(STEP_S)),
            Line("Forecast, middle", times, middle, ORANGE, step_s=float(STEP_S), dashed=True),
        ),
        bands=(Band("Forecast (10% to 90%)", times, low, high, float(STEP_S), ORANGE),),
        now=now,
    )
    return ForecastView("The next four hours", chart, made, None)


def _views(
    estate: Estate, store: Store, block: Block, subject: str, now: datetime
) -> list[ForecastView]:
    start, _ = _span(estate, now)
    wanted = points_of(block)
    came = actuals(block, half_hours(store, wanted, start, now))
    out = []
    for target in ORDER:
        series = came.get((target, subject))
        if series is None:
            continue
        newest = store.latest_forecast(target, subject, now)
        if newest is None and not np.isfinite(series.to_numpy()).any():
            continue
        chart, shown = _chart(estate, store, (target, subject), series, now, block)
        standing = _standing(store, target, subject)
        out.append(ForecastView(TITLES[target], chart, newest, standing, shown))
    return out


def _chart(
    estate: Estate,
    store: Store,
    key: tuple[str, str],
    came: pd.Series[float],
    now: datetime,
    block: Block,
) -> tuple[TimeChart, tuple[str, ...]]:
    target, subject = key
    start, end = _span(estate, now)
    shown: list[str] = []
    times: list[datetime] = []
    low: list[float] = []
    middle: list[float] = []
    high: list[float] = []
    for day in _days(estate, now):
        begins, ends = local_day_bounds(day, estate.zone)
        made = store.latest_forecast(target, subject, begins + MADE_BY)
        if made is None:
            continue
        shown.append(made.model)
        for at, values in _steps_kw(made).items():
            if begins <= at < ends:
                times.append(at)
                low.append(values[0])
                middle.append(values[1])
                high.append(values[2])
    frame = came.to_frame("came")
    of_homes = target in ("load_w", "hot_water_w") and subject == block.id
    gap = " A half-hour in which a home is missing is left out." if of_homes else ""
    chart = TimeChart(
        key=target.replace("_", "-"),
        title=f"{TITLES[target]}, forecast and measured",
        summary=f"What came, and what was forecast at the midnight before each day.{gap}",
        unit="kW",
        start=start,
        end=end,
        zone=estate.zone,
        lines=(
            kw_steps(frame, "came", "Measured", BLUE, filled=False),
            Line("Forecast, middle", times, middle, ORANGE, step_s=1800.0, dashed=True),
        ),
        bands=(Band("Forecast (10% to 90%)", times, low, high, 1800.0, ORANGE),),
        now=now,
        decimals=2,
    )
    return chart, tuple(shown)


def _steps_kw(made: Forecast) -> Mapping[datetime, tuple[float, float, float]]:
    rows = [np.asarray(made.quantile(level), dtype=float) / 1000.0 for level in (0.1, 0.5, 0.9)]
    times = steps(made.start, len(made.mean), made.step_s)
    return {
        at: (low, middle, high)
        for at, low, middle, high in zip(times, *(row.tolist() for row in rows), strict=True)
    }


def _days(estate: Estate, now: datetime) -> tuple[date, date]:
    today = now.astimezone(estate.zone).date()
    return today - timedelta(days=1), today


def _span(estate: Estate, now: datetime) -> tuple[datetime, datetime]:
    yesterday, today = _days(estate, now)
    return floor_to(local_day_bounds(yesterday, estate.zone)[0]), local_day_bounds(
        today, estate.zone
    )[1]


def _standing(store: Store, target: str, subject: str) -> Standing | None:
    kept = store.kept(Standing, standing_key(target, subject))
    return None if kept is None else kept.record
