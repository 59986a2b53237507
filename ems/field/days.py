"""What happens to homes from outside, one UTC day at a time, by the minute.

Everything follows from the seed and the day alone: a process that resumes, or a
second run of the same window, meets the same weather, people and appliances.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import UTC, date, datetime, timedelta

import numpy as np

from ems.domain.comfort import ComfortPeriod
from ems.domain.estate import Estate
from ems.domain.forecasts import FloatArray
from ems.field import sun
from ems.field.parameters import FieldParameters
from ems.field.sources import Consumption, Weather
from ems.field.traits import Traits, generator

MINUTES = 1440
PERSON_AWAKE_W = 85.0
PERSON_ASLEEP_W = 55.0
APPLIANCE_HEAT_SHARE = 0.85
"""The rest leaves with waste water and cooker hoods."""
PV_SYSTEM_EFFICIENCY = 0.86
MEAN_COMMUNAL_W = 420.0
AIR_J_PER_M3_K = 1200.0


@dataclass(frozen=True)
class Day:
    """One day's series; rows are minutes, (1440,) or (1440, homes) or (1440, blocks).

    Units: [W], [°C], [W/K], [kg/s]. ``local_hour`` is the local time of day [h];
    ``vapour_out`` is the outdoor vapour content [kg/m³].
    """

    start_s: int
    local_hour: FloatArray
    outdoor_c: FloatArray
    humidity_pct: FloatArray
    vapour_out: FloatArray
    wind_m_s: FloatArray
    vent_w_per_k: FloatArray
    airing_w_per_k: FloatArray
    """Part of the former that people let in when they air in the morning."""
    solar_w: FloatArray
    gains_w: FloatArray
    moisture_kg_s: FloatArray
    household_w: FloatArray
    draw_w: FloatArray
    wish_c: FloatArray
    communal_w: FloatArray
    pv_w: FloatArray
    sensor_noise_k: FloatArray
    mains: FloatArray
    """Standard normal, (1440, 2): for voltage and frequency."""


class DayMaker:
    """Makes days and keeps the last few.

    Parameters
    ----------
    estate, traits, parameters
        The estate, the homes' hidden parameters and the field's file.
    weather, consumption
        The sources.
    """

    KEPT = 3

    def __init__(
        self,
        estate: Estate,
        traits: Traits,
        parameters: FieldParameters,
        weather: Weather,
        consumption: Consumption,
    ) -> None:
        self._estate = estate
        self._traits = traits
        self._parameters = parameters
        self._weather = weather
        self._consumption = consumption
        names = [
            (parameters.quirks[home].consumption if home in parameters.quirks else None) or home
            for home in traits.ids
        ]
        self._columns = consumption.columns(names)
        self._days: dict[int, Day] = {}

    def day(self, number: int) -> Day:
        """Return the day ``number`` days after 1970-01-01 UTC."""
        found = self._days.get(number)
        if found is None:
            found = self._make(number)
            self._days[number] = found
            for old in sorted(self._days)[: -self.KEPT]:
                del self._days[old]
        return found

    def _make(self, number: int) -> Day:
        traits, weather = self._traits, self._weather
        day = date(1970, 1, 1) + timedelta(days=number)
        minute_s = number * 86400.0 + 60.0 * np.arange(MINUTES, dtype=np.float64)
        rng = generator(self._parameters.seed, "day", number)
        local_hour, weekend = self._local(day)
        hour_at = np.arange(MINUTES) / 60.0
        outdoor = np.interp(hour_at, np.arange(25), weather.day(day, "outdoor_c"))
        humidity = np.interp(hour_at, np.arange(25), weather.day(day, "humidity_pct"))
        wind = np.interp(hour_at, np.arange(25), weather.day(day, "wind_m_s"))
        horizontal, above, cosine, azimuth = self._light(day, minute_s, rng)
        faces, which = np.unique(traits.facing_deg, return_inverse=True)
        on_faces = np.column_stack(
            [
                sun.on_plane(horizontal, above, cosine, azimuth, tilt_deg=90.0, facing_deg=face)
                for face in faces
            ]
        )
        household = self._household(day, rng)
        people_w, moisture, draw, open_window = self._people(number, local_hour, weekend, outdoor)
        airing = open_window * traits.airing_w_per_k
        vent = traits.vent_w_per_k * (0.55 + 0.1125 * wind)[:, None]
        vent += airing
        return Day(
            start_s=number * 86400,
            local_hour=local_hour,
            outdoor_c=outdoor,
            humidity_pct=humidity,
            vapour_out=humidity / 100.0 * saturated_vapour(outdoor),
            wind_m_s=wind,
            vent_w_per_k=vent,
            airing_w_per_k=airing,
            solar_w=on_faces[:, which] * traits.aperture_m2,
            gains_w=people_w + APPLIANCE_HEAT_SHARE * household,
            moisture_kg_s=moisture,
            household_w=household,
            draw_w=draw,
            wish_c=self._wishes(local_hour, weekend),
            communal_w=self._communal(cosine, rng),
            pv_w=self._pv(horizontal, above, cosine, azimuth, outdoor),
            sensor_noise_k=rng.normal(0.0, 0.05, (MINUTES, len(traits.ids))),
            mains=rng.normal(0.0, 1.0, (MINUTES, 2)),
        )

    def _local(self, day: date) -> tuple[FloatArray, np.ndarray[tuple[int], np.dtype[np.bool_]]]:
        start = datetime(day.year, day.month, day.day, tzinfo=UTC)
        hours, weekend = np.empty(MINUTES), np.empty(MINUTES, dtype=bool)
        for hour in range(24):  # clocks change on whole hours of UTC
            local = (start + timedelta(hours=hour)).astimezone(self._estate.zone)
            rows = slice(60 * hour, 60 * hour + 60)
            minutes = local.hour * 60 + local.minute + np.arange(60)
            hours[rows] = np.mod(minutes, MINUTES) / 60.0
            following = (local.weekday() + 1) % 7 >= 5
            weekend[rows] = np.where(minutes < MINUTES, local.weekday() >= 5, following)
        return hours, weekend

    def _light(
        self, day: date, minute_s: FloatArray, rng: np.random.Generator
    ) -> tuple[FloatArray, FloatArray, FloatArray, FloatArray]:
        """Spread each hour's mean irradiance over its minutes, with passing clouds."""
        middle_s = minute_s + 30.0
        cosine, azimuth = sun.position(middle_s, self._estate.latitude, self._estate.longitude)
        above = sun.extraterrestrial_w_m2(middle_s, cosine)
        mean = self._weather.day(day, "irradiance_w_m2")[1:]
        clear = np.clip(mean / np.maximum(above.reshape(24, 60).mean(axis=1), 1.0), 0.0, 1.0)
        drift = np.cumsum(rng.normal(0.0, 1.0, MINUTES) * 0.25)
        drift -= np.convolve(np.pad(drift, 15, mode="edge"), np.full(31, 1 / 31), mode="valid")
        passing = np.exp(np.repeat(2.4 * clear * (1.0 - clear), 60) * drift)
        shape = (above * passing).reshape(24, 60)
        total = shape.mean(axis=1)
        even = total < 1.0
        shape[even] = 1.0
        total[even] = 1.0
        return (shape * (mean / total)[:, None]).ravel(), above, cosine, azimuth

    def household_means_w(self, day: date) -> FloatArray:
        """Return the homes' real household power by half-hours of ``day`` (UTC), (48, homes) [W].

        Raises
        ------
        InvalidInputError
            Where the consumption does not reach this day.
        """
        return self._consumption.day(day, self._columns) * 2.0

    def _household(self, day: date, rng: np.random.Generator) -> FloatArray:
        """Spread each half-hour's real energy over its minutes; its sum is kept."""
        mean_w = self.household_means_w(day)
        floor = np.minimum(mean_w, 0.8 * np.percentile(mean_w, 10, axis=0))
        shape = rng.gamma(1.4, 1.0, (48, 30, mean_w.shape[1]))
        shape /= shape.mean(axis=1, keepdims=True)
        minutes = floor[:, None, :] + (mean_w - floor)[:, None, :] * shape
        return minutes.reshape(MINUTES, -1)

    def _people(
        self, number: int, local_hour: FloatArray, weekend: np.ndarray, outdoor: FloatArray
    ) -> tuple[FloatArray, FloatArray, FloatArray, FloatArray]:
        """Return heat [W] and moisture [kg/s] of people, hot water [W], open windows [-]."""
        count = len(self._traits.ids)
        heat, moisture, draw, window = (np.zeros((MINUTES, count)) for _ in range(4))
        order = np.argsort(local_hour, kind="stable")
        for index, home in enumerate(self._traits.ids):
            rng = generator(self._parameters.seed, "people", home, number)
            persons = self._traits.occupants[index]
            wake, sleep = rng.normal(7.0, 0.6), rng.normal(22.8, 0.6)
            asleep = (local_hour < wake) | (local_hour >= sleep)
            away = self._away(rng, index, local_hour, weekend)
            present = np.where(away, rng.choice([0.0, 1.0 / max(persons, 1.0)], p=[0.7, 0.3]), 1.0)
            heat[:, index] = persons * present * np.where(asleep, PERSON_ASLEEP_W, PERSON_AWAKE_W)
            moisture[:, index] = persons * present * np.where(asleep, 35e-3, 60e-3) / 3600.0
            self._draws(rng, index, local_hour, wake, draw[:, index])
            if rng.random() < self._traits.airing_chance[index]:
                start = int(np.interp(wake + rng.uniform(0.2, 1.5), local_hour[order], order))
                window[start : start + int(rng.integers(6, 16)), index] = 1.0
            window[(outdoor > 21.0) & ~asleep, index] = 1.0
        moisture += draw / (4186.0 * 30.0) * 0.004
        return heat, moisture, draw, window

    def _away(
        self, rng: np.random.Generator, index: int, local_hour: FloatArray, weekend: np.ndarray
    ) -> np.ndarray:
        leave, back = rng.normal(8.3, 0.4), rng.normal(17.2, 0.8)
        errand, long = rng.uniform(9.5, 15.0), rng.uniform(0.5, 3.5)
        working = (local_hour >= leave) & (local_hour < back) & ~weekend
        out = (local_hour >= errand) & (local_hour < errand + long)
        return np.asarray(working if self._traits.works[index] else out)

    def _draws(
        self,
        rng: np.random.Generator,
        index: int,
        local_hour: FloatArray,
        wake: float,
        row: FloatArray,
    ) -> None:
        """Add the day's hot-water draws [W of 40 °C water above 10 °C mains] to ``row``."""
        persons = max(self._traits.occupants[index], 0.0)
        if persons == 0:
            return
        litres = self._traits.litres_a_day[index] * rng.lognormal(0.0, 0.2)
        count = int(5 + 3 * persons)
        times = np.concatenate(
            [
                rng.normal(wake + 0.6, 0.4, count // 3),
                rng.normal(19.0, 1.6, count // 3),
                rng.uniform(8.0, 22.5, count - 2 * (count // 3)),
            ]
        )
        parts = rng.dirichlet(np.full(count, 0.7)) * litres
        for time_h, part in zip(times, parts, strict=True):
            minutes = max(1, round(part / 7.0))
            gap = np.mod(local_hour - time_h, 24.0)
            start = int(np.argmin(gap))
            rows = np.arange(start, start + minutes) % MINUTES
            row[rows] += part / minutes * 4186.0 * 30.0 / 60.0

    def _wishes(self, local_hour: FloatArray, weekend: np.ndarray) -> FloatArray:
        """Return what each home's own timer asks for [°C]."""
        minute = np.round(local_hour * 60.0)
        wishes = np.empty((MINUTES, len(self._traits.ids)))
        made: dict[str, FloatArray] = {}
        for index, home in enumerate(self._estate.dwellings()):
            comfort = home.comfort
            if comfort.name not in made:
                made[comfort.name] = np.where(
                    weekend, _periods(comfort.weekend, minute), _periods(comfort.weekday, minute)
                )
            wishes[:, index] = made[comfort.name]
        chosen = self._traits.chosen_c
        return np.where(np.isnan(chosen), wishes, chosen)

    def _communal(self, cosine: FloatArray, rng: np.random.Generator) -> FloatArray:
        """Return lights, lift and plant of each block [W]."""
        load = np.empty((MINUTES, len(self._estate.blocks)))
        for index, block in enumerate(self._estate.blocks):
            mean = self._parameters.communal_w.get(block.id, MEAN_COMMUNAL_W)
            lights = np.where(cosine < 0.02, 0.55, 0.15) * mean
            lift = (rng.random(MINUTES) < 0.06) * rng.uniform(900.0, 2600.0, MINUTES)
            load[:, index] = 0.45 * mean + lights + lift
        return load

    def _pv(
        self,
        horizontal: FloatArray,
        above: FloatArray,
        cosine: FloatArray,
        azimuth: FloatArray,
        outdoor: FloatArray,
    ) -> FloatArray:
        """Return each block's generation [W], positive."""
        made = np.zeros((MINUTES, len(self._estate.blocks)))
        for index, block in enumerate(self._estate.blocks):
            array = block.pv
            if array is None:
                continue
            plane = sun.on_plane(
                horizontal,
                above,
                cosine,
                azimuth,
                tilt_deg=array.tilt_deg,
                facing_deg=array.azimuth_deg,
            )
            cell_c = outdoor + plane / 1000.0 * 28.0
            share = plane / 1000.0 * (1.0 - 0.004 * (cell_c - 25.0)) * PV_SYSTEM_EFFICIENCY
            made[:, index] = np.clip(share, 0.0, 0.95) * array.peak_w
        return made


def saturated_vapour(temperature_c: FloatArray) -> FloatArray:
    """Return the vapour content of saturated air [kg/m³] (Magnus)."""
    pressure_pa = 610.94 * np.exp(17.625 * temperature_c / (temperature_c + 243.04))
    return np.asarray(pressure_pa / (461.5 * (temperature_c + 273.15)))


def _periods(periods: tuple[ComfortPeriod, ...], minute: FloatArray) -> FloatArray:
    starts = [period.start.hour * 60 + period.start.minute for period in periods]
    temperatures = np.array([period.temperature_c for period in periods])
    return np.asarray(temperatures[np.searchsorted(starts, minute, side="right") - 1])
