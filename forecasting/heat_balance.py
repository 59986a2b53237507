"""Whether a home's heat and temperatures still go together: today beside the fortnight before.

For a day that ends at ``t`` the heat that the model does not explain is, by (8)::

    d(t) = C (T(t) - T(t - 24 h)) / 24 h
           + mean[ U (T - T_out) - Q - F - phi (P - mean P) - A G ]                       (44)

Whole days leave little to the capacity, and a model's own bias is in every day: what counts is
``d`` now less the median of the days before. The bias of a wrong ``U`` grows with the cold and
stays under the bounds at which :mod:`ems.alarms.heat_rules` speaks.
"""

from __future__ import annotations

from datetime import datetime, timedelta

import numpy as np
import pandas as pd

from ems.domain.estate import HeatPump
from ems.domain.forecasts import FloatArray
from ems.domain.heatpump import heat_capacity_w
from ems.domain.thermal import HeatBalance, ThermalEstimate
from forecasting.interface import check_frame, known_before
from forecasting.thermal import INDOOR_SHARE

DAYS = 16
"""Days of half-hours that are looked at."""
_DAY = 48
USUAL_DAYS = range(4, 16)
"""Days back that tell what is usual; the last ones may already be odd."""
LEAST_DAYS = 5
BESIDE_H = 6.0
"""The room sensor is held beside the pump's own over so many hours."""
SHORT_K = 0.5
"""A room this far below what its heating is told is short of heat [K]."""
COLUMNS = ("room_c", "outdoor_c", "heat_w", "household_w", "irradiance_w_m2", "own_c", "told_c")
"""Columns that are read; `forecasting.run.thermal_frame` gives the first five."""


def heat_balance(
    frame: pd.DataFrame,
    estimate: ThermalEstimate,
    pump: HeatPump,
    until: datetime,
    *,
    heat_is_estimated: bool = False,
) -> HeatBalance:
    """Return how the last day of a home went beside the days before.

    Parameters
    ----------
    frame
        Half-hours (UTC), columns `COLUMNS`, the last `DAYS` days: besides those of a thermal
        fit the room as the pump's own thermostat sees it, and what its heating was told [°C].
        ``nan`` where unknown, columns may be missing.
    estimate
        The home's; a prior explains nothing, and only sensors are compared.
    pump
        Its nameplate.
    until
        Later half-hours are not used.
    """
    known = known_before(check_frame(frame, "frame"), until).reindex(columns=list(COLUMNS))
    index = pd.date_range(until - timedelta(days=DAYS), until, freq="30min", inclusive="left")
    table = known.reindex(index)
    short_h, short_share, full_share = _short_of_heat(table, pump)
    unexplained, spread, loss = _unexplained(table, estimate)
    return HeatBalance(
        dwelling_id=estimate.dwelling_id,
        unexplained_w=unexplained,
        spread_w=spread,
        loss_w=loss,
        heat_is_estimated=heat_is_estimated,
        beside_own_k=_beside_own_k(table),
        short_h=short_h,
        short_share=short_share,
        full_share=full_share,
    )


def _unexplained(
    table: pd.DataFrame, estimate: ThermalEstimate
) -> tuple[float | None, float, float]:
    if estimate.source == "prior":
        return None, 0.0, 0.0
    room, outdoor = table["room_c"], table["outdoor_c"]
    lost = estimate.loss_w_per_k * (room - outdoor)
    household = table["household_w"]
    beside = (household - household.mean()).fillna(0.0) * INDOOR_SHARE
    sun = estimate.solar_aperture_m2 * table["irradiance_w_m2"].fillna(0.0)
    # What is the same every day, as people's own heat, goes out with the days before.
    left = (lost - table["heat_w"] - beside - sun).to_numpy(dtype=float)
    capacity = estimate.capacity_j_per_k / 3600.0
    rooms = room.to_numpy(dtype=float)
    days: dict[int, float] = {}
    for back in range(DAYS):
        end = len(left) - back * _DAY
        day, at = left[end - _DAY : end], rooms[end - _DAY : end]
        if np.isfinite(day).mean() < 0.8:
            continue
        known = at[np.isfinite(at)]
        warmed = known[-4:].mean() - known[:4].mean() if len(known) >= 8 else np.nan
        if np.isfinite(warmed):
            days[back] = float(np.nanmean(day) + capacity * warmed / 22.0)
    usual = np.array([days[back] for back in USUAL_DAYS if back in days])
    if 0 not in days or len(usual) < LEAST_DAYS:
        return None, 0.0, 0.0
    middle = float(np.median(usual))
    spread = 1.4826 * float(np.median(np.abs(usual - middle)))
    loss_w = float(np.nanmean(lost.to_numpy(dtype=float)[-_DAY:]))
    return days[0] - middle, spread, loss_w


def _beside_own_k(table: pd.DataFrame) -> float | None:
    beside = (table["room_c"] - table["own_c"]).to_numpy(dtype=float)
    now = beside[-int(2 * BESIDE_H) :]
    before = beside[: -_DAY * USUAL_DAYS.start]
    if np.isfinite(now).mean() < 0.8 or np.isfinite(before).sum() < LEAST_DAYS * _DAY:
        return None
    return float(np.nanmedian(now) - np.nanmedian(before))


def _short_of_heat(table: pd.DataFrame, pump: HeatPump) -> tuple[float, float | None, float | None]:
    """Return hours short of heat, and their heat beside the nameplate and beside the past."""
    outdoor = np.nan_to_num(table["outdoor_c"].to_numpy(dtype=float), nan=7.0)
    share = table["heat_w"].to_numpy(dtype=float) / np.asarray(heat_capacity_w(pump, outdoor))
    short = (table["room_c"] < table["told_c"] - SHORT_K).to_numpy()
    now = short[-_DAY:] & np.isfinite(share[-_DAY:])
    hours = float(now.sum()) / 2.0
    before: FloatArray = share[: -_DAY * USUAL_DAYS.start]
    before = before[np.isfinite(before)]
    if not now.any() or len(before) < LEAST_DAYS * _DAY:
        return hours, None, None
    given = share[-_DAY:][now]
    most = max(float(np.quantile(before, 0.97)), 0.05)
    return hours, float(given.mean()), float(np.quantile(given, 0.8)) / most
