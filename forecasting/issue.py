"""All candidates of homes and blocks, what is issued of them, and what came of it. Pure."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import pandas as pd

from ems.domain.estate import Block, Dwelling
from ems.domain.forecasts import Forecast, Standing
from ems.domain.points import PointId
from forecasting.candidates import (
    ADDED,
    DAYS,
    HABITS,
    LEARNT,
    PANELS,
    WEEKS,
    Candidates,
    earlier,
    issued,
    put,
)
from forecasting.quality import Key
from forecasting.run import (
    Setting,
    columns_of,
    communal_power,
    forecast_block,
    forecast_homes,
    home_points,
)


def home_candidates(
    dwellings: Sequence[Dwelling],
    rollups: pd.DataFrame,
    setting: Setting,
    learnt: Sequence[Forecast] = (),
) -> Candidates:
    """Return all forecasts of household load and hot water of homes.

    Parameters
    ----------
    dwellings, rollups, setting
        As for `forecasting.run.forecast_homes`.
    learnt
        What learnt models say; those of other subjects are let go.
    """
    out: Candidates = {}
    ids = [dwelling.id for dwelling in dwellings]
    put(out, LEARNT, [one for one in learnt if one.subject in ids])
    put(out, HABITS, forecast_homes(dwellings, rollups, {}, setting))
    for number, target in enumerate(("load_w", "hot_water_w")):
        points = [home_points(dwelling)[number] for dwelling in dwellings]
        past = columns_of(rollups, points, ids)
        put(out, WEEKS, earlier(past, target, setting.horizon))
    return out


def block_candidates(
    block: Block,
    rollups: pd.DataFrame,
    weather: Mapping[str, Forecast],
    setting: Setting,
    *,
    observed_weather: pd.DataFrame | None,
    homes: Sequence[Forecast],
    learnt: Sequence[Forecast] = (),
) -> Candidates:
    """Return all forecasts of a block's sun, communal load and sums over its homes.

    Parameters are those of `forecasting.run.forecast_block` and `home_candidates`.
    """
    out: Candidates = {}
    put(out, LEARNT, [one for one in learnt if one.subject == block.id])
    made = forecast_block(
        block, rollups, weather, setting, observed_weather=observed_weather, homes=homes
    )
    names = {"pv_w": PANELS, "communal_w": HABITS}
    for one in made:
        put(out, names.get(one.target, ADDED), [one])
    for (target, subject), came in actuals(block, rollups).items():
        if subject == block.id:
            known = came.to_frame(subject)
            name = DAYS if target == "pv_w" else WEEKS
            put(out, name, earlier(known, target, setting.horizon))
    return out


def issue(
    candidates: Candidates, standings: Mapping[Key, Standing], missing: str = ""
) -> list[Forecast]:
    """Return one forecast of each quantity; ``missing`` says why loads were not learnt."""
    return [
        issued(of, standings.get(key), missing if key[0] == "load_w" and LEARNT not in of else "")
        for key, of in candidates.items()
    ]


def actuals(block: Block, rollups: pd.DataFrame) -> dict[Key, pd.Series[float]]:
    """Return what came of a block and its homes by half-hours, ``nan`` where it is not known.

    A sum over homes is known where every home is. Generation is positive.
    """
    ids = [home.id for home in block.dwellings]
    found: dict[Key, pd.Series[float]] = {}
    for number, target in enumerate(("load_w", "hot_water_w")):
        points = [home_points(home)[number] for home in block.dwellings]
        homes = columns_of(rollups, points, ids)
        found.update({(target, str(name)): homes[name] for name in ids})
        found[target, block.id] = homes.sum(axis=1, skipna=False)
    found["communal_w", block.id] = communal_power(block, rollups)[block.id]
    if block.pv is not None:
        point = PointId(block.pv.device_id, "power_w")
        found["pv_w", block.id] = -columns_of(rollups, [point], ["made"])["made"]
    return found
