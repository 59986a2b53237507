"""What the service's forecast job calls: roll-ups in, forecasts out, nothing kept.

Frames of roll-ups have one column per point, named ``str(PointId)``; `home_points`,
`thermal_points` and `block_points` say which points to ask the store for. A column
that is not there counts as one without a reading.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import date, datetime
from zoneinfo import ZoneInfo

import numpy as np
import pandas as pd

from ems.domain.estate import Block, Dwelling, Estate, ThermalPrior
from ems.domain.forecasts import FloatArray, Forecast
from ems.domain.heatpump import cop, flow_temperature_c
from ems.domain.points import PointId
from ems.domain.thermal import ThermalEstimate
from forecasting.block import sum_forecasts, summed_history
from forecasting.calendar import Calendar
from forecasting.faults import usable
from forecasting.hot_water import hot_water_model
from forecasting.interface import LEVELS, Horizon, SeriesModel, known_before, make_forecast
from forecasting.load import communal_model, load_model
from forecasting.pv import Place, PvModel, on_steps
from forecasting.thermal import INDOOR_SHARE, fit_thermal, prior_estimate

W_PER_KWH_A_HALF_HOUR = 2000.0

STILL_HALF_HOURS = 6
"""Means of so many half-hours that are all the same are those of a sensor that stands still."""

HISTORY_DAYS = 56
"""Days of roll-ups that forecasts look at; give at least so many where they exist."""


@dataclass(frozen=True, slots=True)
class Setting:
    """Where and when forecasts are made.

    Attributes
    ----------
    zone, holidays
        The estate's local time and bank holidays.
    latitude, longitude
        Degrees north and east.
    issued_at
        Only what was known then is used, UTC.
    steps
        Half-hours forecast, from the one that holds ``issued_at``.
    """

    zone: ZoneInfo
    holidays: frozenset[date]
    latitude: float
    longitude: float
    issued_at: datetime
    steps: int = 48

    @classmethod
    def of(cls, estate: Estate, issued_at: datetime, steps: int = 48) -> Setting:
        """Return the setting of an estate."""
        return cls(
            zone=estate.zone,
            holidays=estate.holidays,
            latitude=estate.latitude,
            longitude=estate.longitude,
            issued_at=issued_at,
            steps=steps,
        )

    @property
    def horizon(self) -> Horizon:
        """The half-hours to forecast."""
        return Horizon.following(self.issued_at, self.steps)

    @property
    def calendar(self) -> Calendar:
        """Local days."""
        return Calendar.of(self.zone, self.holidays)


def home_points(dwelling: Dwelling) -> tuple[PointId, PointId]:
    """Return the points of household load and hot-water power."""
    return (
        PointId(dwelling.meter.device_id, "household_power_w"),
        PointId(dwelling.heat_pump.device_id, "hot_water_power_w"),
    )


def thermal_points(dwelling: Dwelling) -> list[PointId]:
    """Return the points that `estimate_thermal` reads: room first, then heat.

    Heat is that of the heat meter where the home has one, power and then counter.
    """
    pump, meter = dwelling.heat_pump.device_id, dwelling.heat_meter_id
    heat = [PointId(pump, "heat_w")]
    if meter is not None:
        heat = [PointId(meter, "heat_w"), PointId(meter, "heat_kwh")]
    return [
        PointId(dwelling.room_sensor_id, "temperature_c"),
        *heat,
        PointId(pump, "heating_power_w"),
        PointId(pump, "outdoor_temperature_c"),
        PointId(dwelling.meter.device_id, "household_power_w"),
    ]


def block_points(block: Block) -> list[PointId]:
    """Return the points that `forecast_block` reads."""
    meters = [block.landlord_meter.device_id] if block.landlord_meter else _feeder_meters(block)
    devices = [device.device_id for device in (block.pv, block.battery) if device is not None]
    return [PointId(device, "power_w") for device in meters + devices]


def points_of(block: Block) -> list[PointId]:
    """Return the points that forecasts of a block and its homes read, each once."""
    homes = [point for home in block.dwellings for point in home_points(home)]
    return list(dict.fromkeys([*homes, *block_points(block)]))


def forecast_homes(
    dwellings: Sequence[Dwelling],
    rollups: pd.DataFrame,
    weather: Mapping[str, Forecast],
    setting: Setting,
    estimates: Mapping[str, ThermalEstimate] | None = None,
) -> list[Forecast]:
    """Return ``load_w`` and ``hot_water_w`` of every home, ``free_heat_w`` of those estimated.

    Stuck meters and outages are taken out of household load first, and named.

    Parameters
    ----------
    dwellings
        The homes.
    rollups
        Half-hours (UTC) of their `home_points`, at least `HISTORY_DAYS` where they exist.
    weather
        Forecasts by target (``irradiance_w_m2``), from a weather provider.
    setting
        Where and when.
    estimates
        Thermal estimates by dwelling id.
    """
    points = [home_points(dwelling) for dwelling in dwellings]
    names = [dwelling.id for dwelling in dwellings]
    household = columns_of(rollups, [load for load, _ in points], names)
    water = columns_of(rollups, [tank for _, tank in points], names)
    horizon = setting.horizon
    clean = usable(known_before(household, setting.issued_at))
    loads = [
        replace(one, lacked=(*clean.why.get(one.subject, ()), *one.lacked))
        for one in _predict(load_model(setting.calendar), clean.power_w, horizon)
    ]
    out = [*loads, *_predict(hot_water_model(setting.calendar), water, horizon)]
    return out + free_heat(dwellings, rollups, weather, setting, estimates or {}, loads)


def free_heat(
    dwellings: Sequence[Dwelling],
    rollups: pd.DataFrame,
    weather: Mapping[str, Forecast],
    setting: Setting,
    estimates: Mapping[str, ThermalEstimate],
    loads: Sequence[Forecast],
) -> list[Forecast]:
    """Return ``free_heat_w`` of every home that has an estimate and a forecast of its load.

    Parameters are those of `forecast_homes`; ``loads`` are the homes' forecasts ``load_w``.
    """
    ids = [dwelling.id for dwelling in dwellings]
    past = columns_of(rollups, [home_points(dwelling)[0] for dwelling in dwellings], ids)
    known = known_before(past, setting.issued_at).to_numpy()
    row = {name: number for number, name in enumerate(ids)}
    sun = _Sun.of(weather, setting.horizon)
    out = []
    for load in loads:
        estimate = estimates.get(load.subject)
        if estimate is not None and load.subject in row:
            used = known[:, row[load.subject]]
            out.append(_free_heat(estimate, load, used, sun, setting.horizon))
    return out


def forecast_home(
    dwelling: Dwelling,
    rollups: pd.DataFrame,
    weather: Mapping[str, Forecast],
    setting: Setting,
    estimate: ThermalEstimate | None = None,
) -> list[Forecast]:
    """Return one home's forecasts; see `forecast_homes`."""
    estimates = {dwelling.id: estimate} if estimate else None
    return forecast_homes([dwelling], rollups, weather, setting, estimates)


def forecast_block(
    block: Block,
    rollups: pd.DataFrame,
    weather: Mapping[str, Forecast],
    setting: Setting,
    *,
    observed_weather: pd.DataFrame | None = None,
    homes: Sequence[Forecast] = (),
) -> list[Forecast]:
    """Return a block's ``pv_w`` (positive), ``communal_w``, and sums over its homes.

    Parameters
    ----------
    block
        The block; without panels there is no ``pv_w``.
    rollups
        Half-hours (UTC) of its `block_points`; with the `home_points` of its homes beside
        them, the spread of sums is learnt from the block's own past.
    weather
        Forecasts by target, from a weather provider.
    setting
        Where and when.
    observed_weather
        Past half-hours with column ``irradiance_w_m2``, to learn the panels' gains from;
        without it the nameplate stands.
    homes
        Forecasts of its homes, of which ``load_w`` and ``hot_water_w`` are summed where
        every home has one.
    """
    horizon = setting.horizon
    out = []
    if block.pv is not None:
        made = columns_of(rollups, [PointId(block.pv.device_id, "power_w")], ["power_w"])
        seen = observed_weather if observed_weather is not None else pd.DataFrame(index=made.index)
        made["irradiance_w_m2"] = seen.reindex(
            index=made.index, columns=["irradiance_w_m2"]
        ).to_numpy()[:, 0]
        panels = PvModel(block.id, block.pv, Place(setting.latitude, setting.longitude))
        out.extend(panels.fit(made, setting.issued_at).predict(horizon, weather))
    communal = communal_model(setting.calendar, len(block.dwellings))
    out.extend(_predict(communal, communal_power(block, rollups), horizon))
    models = (load_model(setting.calendar), hot_water_model(setting.calendar))
    ids = [dwelling.id for dwelling in block.dwellings]
    for number, model in enumerate(models):
        parts = [part for part in homes if part.target == model.target and part.subject in ids]
        if not parts or len(parts) != len(ids):
            continue
        points = [home_points(dwelling)[number] for dwelling in block.dwellings]
        past = summed_history(columns_of(rollups, points, ids), block.id)
        known = known_before(past, setting.issued_at)
        whole = None
        if np.isfinite(known.to_numpy()).sum() >= 14 * 48:
            whole = _predict(model, past, horizon)[0]
        out.append(sum_forecasts(parts, block.id, whole=whole))
    return out


def communal_power(block: Block, rollups: pd.DataFrame) -> pd.DataFrame:
    """Return the block's communal load [W], one column named by the block's id.

    The landlord's meter less panels and battery; without a landlord's meter the feeder
    less homes, panels and battery. ``nan`` where any of them is missing.
    """
    points = block_points(block)
    table = columns_of(rollups, points, [str(point) for point in points])
    power = table.to_numpy(dtype=np.float64)
    return pd.DataFrame({block.id: power[:, 0] - power[:, 1:].sum(axis=1)}, index=table.index)


def thermal_frame(
    dwelling: Dwelling, rollups: pd.DataFrame, observed_weather: pd.DataFrame | None = None
) -> tuple[pd.DataFrame, bool]:
    """Return the frame that `fit_thermal` reads, and whether its heat is estimated.

    Heat is what the home's heat meter measured; without one the pump's own where it reports
    any, else its electricity while heating times the nameplate's efficiency. Outdoor
    temperature is the pump's sensor, gaps from ``observed_weather`` (columns ``outdoor_c``,
    ``irradiance_w_m2``). Hours in which the room sensor stood still are left out.
    """
    metered = dwelling.heat_meter_id is not None
    heat = ["heat_w", "heat_kwh"] if metered else ["heat_w"]
    names = ["room_c", *heat, "heating_power_w", "outdoor_c", "household_w"]
    table = columns_of(rollups, thermal_points(dwelling), names)
    if metered:
        table["heat_w"] = table["heat_w"].fillna(table.pop("heat_kwh") * W_PER_KWH_A_HALF_HOUR)
    table["room_c"] = _moving(table["room_c"])
    seen = observed_weather if observed_weather is not None else pd.DataFrame(index=table.index)
    seen = seen.reindex(index=table.index, columns=["outdoor_c", "irradiance_w_m2"])
    table["outdoor_c"] = table["outdoor_c"].fillna(seen["outdoor_c"])
    table["irradiance_w_m2"] = seen["irradiance_w_m2"]
    lacks_heat = table["heat_w"].isna().mean() > table["heating_power_w"].isna().mean() + 0.1
    estimated = bool(lacks_heat)
    if estimated:
        outdoor = table["outdoor_c"].to_numpy(dtype=np.float64)
        pump = dwelling.heat_pump
        efficiency = cop(pump, outdoor, flow_temperature_c(pump, outdoor))
        table["heat_w"] = table["heating_power_w"].to_numpy(dtype=np.float64) * efficiency
    return table.drop(columns="heating_power_w"), estimated


def _moving(room_c: pd.Series[float]) -> pd.Series[float]:
    """Return a room without the hours in which its sensor stood still."""
    stretch = (room_c.diff() != 0.0).cumsum()
    return room_c.where(room_c.groupby(stretch).transform("size") < STILL_HALF_HOURS)


def estimate_thermal(
    dwelling: Dwelling,
    prior: ThermalPrior,
    rollups: pd.DataFrame,
    until: datetime,
    observed_weather: pd.DataFrame | None = None,
) -> ThermalEstimate:
    """Return a home's thermal estimate from the roll-ups of its `thermal_points`."""
    frame, estimated = thermal_frame(dwelling, rollups, observed_weather)
    before = prior_estimate(dwelling, prior)
    fitted = fit_thermal(frame, before, until, heat_is_estimated=estimated)
    drawn = columns_of(rollups, [PointId(dwelling.heat_pump.device_id, "heating_power_w")], ["w"])
    return replace(fitted, power_scale=power_scale(dwelling, fitted, frame, drawn["w"], until))


def power_scale(
    dwelling: Dwelling,
    estimate: ThermalEstimate,
    frame: pd.DataFrame,
    drawn_w: pd.Series[float],
    until: datetime,
) -> float:
    """Return heating electricity measured over what the estimate expects of the same days [-].

    A nameplate promises more than a pump gives at part load and while it defrosts, and free heat
    is known badly; over whole days both show at the meter. Three days of 100 W as expected
    count beside the data.

    Parameters
    ----------
    dwelling, estimate
        The home, and its loss and free heat.
    frame
        From `thermal_frame`.
    drawn_w
        Electricity of the heat pump for heating on the same half-hours.
    until
        Only what was known then is looked at.
    """
    table = frame[["room_c", "outdoor_c", "irradiance_w_m2"]].assign(drawn_w=drawn_w)
    days = known_before(table, until).dropna().resample("1D").mean().dropna()
    if not len(days):
        return 1.0
    room, outdoor, sun, drawn = days.to_numpy(dtype=np.float64).T
    gains = estimate.free_heat_w + estimate.solar_aperture_m2 * sun
    heat = np.maximum(estimate.loss_w_per_k * (room - outdoor) - gains, 0.0)
    pump = dwelling.heat_pump
    nominal = heat / cop(pump, outdoor, flow_temperature_c(pump, outdoor))
    prior = 3 * 100.0
    ratio = (float(drawn.sum()) + prior) / (float(nominal.sum()) + prior)
    return float(np.clip(ratio, 0.5, 2.0))


def _feeder_meters(block: Block) -> list[str]:
    return [block.block_meter.device_id, *(home.meter.device_id for home in block.dwellings)]


def columns_of(
    rollups: pd.DataFrame, points: Sequence[PointId], names: Sequence[str]
) -> pd.DataFrame:
    """Return the columns of ``points`` under ``names``; absent ones are ``nan``."""
    table = rollups.reindex(columns=[str(point) for point in points]).astype(np.float64)
    table.columns = pd.Index(names)
    return table


def _predict(model: SeriesModel, history: pd.DataFrame, horizon: Horizon) -> list[Forecast]:
    return model.fit(history, horizon.issued_at).predict(horizon)


@dataclass(frozen=True, slots=True)
class _Sun:
    """Irradiance on a horizon's steps: its mean and its quantiles [W/m²], and what it lacked."""

    mean: FloatArray
    at: Mapping[float, FloatArray]
    lacked: tuple[str, ...]

    @classmethod
    def of(cls, weather: Mapping[str, Forecast], horizon: Horizon) -> _Sun:
        sun = weather.get("irradiance_w_m2")
        if sun is None:
            none = np.zeros(horizon.steps)
            return cls(
                none,
                dict.fromkeys(LEVELS, none),
                ("irradiance forecast: none, no solar heat counted",),
            )
        at = {level: on_steps(sun, horizon, level) for level in LEVELS}
        return cls(on_steps(sun, horizon, "mean"), at, sun.lacked)


def _free_heat(
    estimate: ThermalEstimate,
    load: Forecast,
    past_load_w: FloatArray,
    sun: _Sun,
    horizon: Horizon,
) -> Forecast:
    """Return free heat: its mean, moved by the household's load and by the sun."""
    usual = float(np.nanmean(past_load_w)) if np.isfinite(past_load_w).any() else None
    usual = float(load.mean.mean()) if usual is None else usual
    base = estimate.free_heat_w + INDOOR_SHARE * (load.mean - usual)
    mean_sun = estimate.solar_aperture_m2 * sun.mean
    mean = base + mean_sun
    quantiles = {}
    for level in LEVELS:
        moved = np.hypot(
            INDOOR_SHARE * (load.quantile(level) - load.mean),
            estimate.solar_aperture_m2 * sun.at[level] - mean_sun,
        )
        own = 0.3 * estimate.free_heat_w
        away = np.sign(level - 0.5) * np.hypot(moved, own)
        quantiles[level] = np.maximum(mean + away, 0.0)
    return make_forecast(
        "free_heat_w",
        estimate.dwelling_id,
        horizon,
        np.maximum(mean, 0.0),
        quantiles,
        lacked=(*load.lacked, *sun.lacked),
        model=f"thermal {estimate.source} with household load and sun",
    )
