"""Weather: a provider port, and adapters over a file and over what was last seen.

A file of *observations* is truth, and truth is not a forecast. `FileWeather` makes an
*issued forecast* from it: truth plus a seeded error whose standard deviation grows
with lead. See :mod:`forecasting.weather_error`. Only `read_weather` does input; the
adapters themselves are pure.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta
from pathlib import Path
from typing import Protocol

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from ems.domain.errors import InvalidInputError
from ems.domain.forecasts import FloatArray, Forecast
from ems.domain.time import floor_to, require_utc
from forecasting.interface import LEVELS, Z_90, epoch_s
from forecasting.sun import clear_sky_w_m2, sun_position
from forecasting.weather_error import MAX_LEAD_H, PERFECT, IssueError, SdOfLead, issue_error

WEATHER_COLUMNS = ("outdoor_c", "irradiance_w_m2")
_FILE_COLUMNS = ("time_utc", *WEATHER_COLUMNS)
_HOUR_S = 3600
NDArrayBool = NDArray[np.bool_]


class WeatherProvider(Protocol):
    """Forecasts and observes outdoor temperature and horizontal irradiance."""

    def issue(self, now: datetime, steps: int, step_s: int = 1800) -> Mapping[str, Forecast]:
        """Return forecasts ``outdoor_c`` [°C] and ``irradiance_w_m2`` [W/m²] by target.

        They start at the multiple of ``step_s`` [s] at or before ``now``; values are means
        over each step. What could not be had is named in ``lacked``; a target that cannot
        be forecast at all is absent.
        """
        ...

    def observed(self, start: datetime, now: datetime) -> pd.DataFrame:
        """Return what was observed in half-hours of [start, now).

        Columns ``outdoor_c`` and ``irradiance_w_m2``, ``nan`` where nothing is known.
        """
        ...


def read_weather(path: Path) -> pd.DataFrame:
    """Read an hourly weather file.

    Parameters
    ----------
    path
        CSV, plain or gzipped, with columns ``time_utc`` (ISO 8601), ``outdoor_c`` [°C] and
        ``irradiance_w_m2``, the mean of the hour that ends at ``time_utc``. Others are ignored.

    Returns
    -------
    Indexed by UTC hours, regular, columns ``outdoor_c`` (at the hour) and
    ``irradiance_w_m2`` (mean of the preceding hour); hours the file lacks are ``nan``.
    """
    try:
        table = pd.read_csv(path)
    except (OSError, ValueError) as error:
        raise InvalidInputError(
            f"the weather file cannot be read: {error}",
            field="sources.weather",
            value=path.name,
            remedy="Give a CSV file with columns time_utc, outdoor_c and irradiance_w_m2.",
        ) from error
    missing = [name for name in _FILE_COLUMNS if name not in table.columns]
    if missing:
        raise InvalidInputError(
            f"the weather file lacks columns: {', '.join(missing)}",
            field="sources.weather",
            value=path.name,
            remedy="Name its columns time_utc, outdoor_c and irradiance_w_m2.",
        )
    frame = pd.DataFrame(
        {
            "outdoor_c": pd.to_numeric(table["outdoor_c"], errors="coerce"),
            "irradiance_w_m2": pd.to_numeric(table["irradiance_w_m2"], errors="coerce"),
        }
    )
    frame.index = pd.DatetimeIndex(pd.to_datetime(table["time_utc"], utc=True))
    frame = frame[~frame.index.duplicated(keep="last")].sort_index()
    if not len(frame):
        return frame
    return frame.reindex(pd.date_range(frame.index[0], frame.index[-1], freq="h"))


class FileWeather:
    """Forecasts from a table of hourly weather.

    Parameters
    ----------
    hourly
        As `read_weather` returns it.
    latitude, longitude
        Where it holds, degrees north and east.
    subject
        Id that goes into the forecasts, e.g. the estate's.
    observed
        The table holds observations: forecasts get the error. Otherwise it holds a
        forecast, which is handed on as it is.
    seed
        Of the error.
    error
        Its size.
    issued_at
        When a forecast in the table was issued: its band is that of the stated error at the
        lead since then. Without it a forecast has no band.
    """

    def __init__(
        self,
        hourly: pd.DataFrame,
        latitude: float,
        longitude: float,
        *,
        subject: str = "estate",
        observed: bool = True,
        seed: int = 0,
        error: IssueError | None = None,
        issued_at: datetime | None = None,
    ) -> None:
        self._issued_at = issued_at
        self._seconds = epoch_s(pd.DatetimeIndex(hourly.index))
        self._outdoor = hourly["outdoor_c"].to_numpy(dtype=np.float64)
        self._irradiance = hourly["irradiance_w_m2"].to_numpy(dtype=np.float64)
        self._place = (latitude, longitude)
        self._subject = subject
        self._error = (error or IssueError()) if observed else PERFECT
        self._seed = seed
        self._name = "file of observations with a stated error" if observed else "file"
        if observed and self._error == PERFECT:
            self._name = "perfect weather"

    @classmethod
    def from_file(
        cls,
        path: Path,
        latitude: float,
        longitude: float,
        *,
        subject: str = "estate",
        observed: bool = True,
        seed: int = 0,
    ) -> FileWeather:
        """Return the adapter over the file at ``path``, read once."""
        return cls(
            read_weather(path),
            latitude,
            longitude,
            subject=subject,
            observed=observed,
            seed=seed,
        )

    def issue(self, now: datetime, steps: int, step_s: int = 1800) -> Mapping[str, Forecast]:
        """Return the forecasts issued at the hour that holds ``now``."""
        require_utc(now, "now")
        start = floor_to(now, step_s)
        middle = _middles(start, steps, step_s)
        issue_hour = int(now.timestamp() // _HOUR_S)
        lead_h = np.clip(middle / _HOUR_S - issue_hour, 0.0, MAX_LEAD_H)
        outdoor, irradiance, gaps, clear = self._truth(middle)
        lacked: tuple[str, ...] = ()
        if gaps.any():
            first = start + timedelta(seconds=step_s * int(np.argmax(gaps)))
            lacked = (f"weather from {first:%Y-%m-%d %H:%M} UTC: earlier days repeated",)
            outdoor, irradiance = self._repeat(middle, now.timestamp(), gaps, outdoor, irradiance)
        if np.isnan(outdoor).any() or np.isnan(irradiance).any():
            return {}
        band = self._error
        if self._issued_at is not None:
            band = IssueError()
            age_h = (now - self._issued_at).total_seconds() / _HOUR_S
            lead_h = np.clip(lead_h + max(age_h, 0.0), 0.0, MAX_LEAD_H)
        warm = self._noise(issue_hour, lead_h, self._error.outdoor_sd, 0)
        bright = self._noise(issue_hour, lead_h, self._error.irradiance_sd, 1)
        relative = band.irradiance_sd(lead_h)
        outdoor_sd = np.where(gaps, 3.0, band.outdoor_sd(lead_h))
        relative = np.where(gaps, 0.6, relative)
        top = 1.1 * clear
        sunny = np.minimum(irradiance * np.exp(bright - relative**2 / 2), top)
        issue = _Issue(self._subject, now, start, step_s, lacked, self._name)
        return {
            "outdoor_c": issue.outdoor(outdoor + warm, outdoor_sd),
            "irradiance_w_m2": issue.irradiance(sunny, relative, top),
        }

    def observed(self, start: datetime, now: datetime) -> pd.DataFrame:
        """Return half-hours of [start, now) as observed; ``nan`` until their hour has ended."""
        index = pd.date_range(floor_to(start), floor_to(now), freq="30min", inclusive="left")
        outdoor, irradiance, _, _ = self._truth(np.asarray(epoch_s(index) + 900.0))
        # half-hours lean on the hour's end, so they are known when the hour has ended
        known = (epoch_s(index) // _HOUR_S + 1) * _HOUR_S <= now.timestamp()
        return pd.DataFrame(
            {
                "outdoor_c": np.where(known, outdoor, np.nan),
                "irradiance_w_m2": np.where(known, irradiance, np.nan),
            },
            index=index,
        )

    def _noise(self, issue_hour: int, lead_h: FloatArray, sd: SdOfLead, channel: int) -> FloatArray:
        return issue_error(
            self._error,
            sd,
            seed=self._seed,
            issue_hour=issue_hour,
            lead_h=lead_h,
            channel=channel,
        )

    def _clear_sky(self, at_s: FloatArray) -> FloatArray:
        """Return what a clear sky would give [W/m²], shape of ``at_s`` [s since the epoch]."""
        index = pd.DatetimeIndex(pd.to_datetime(np.round(at_s.ravel()), unit="s", utc=True))
        return clear_sky_w_m2(sun_position(index, *self._place)).reshape(at_s.shape)

    def _truth(
        self, middle_s: FloatArray
    ) -> tuple[FloatArray, FloatArray, NDArrayBool, FloatArray]:
        """Return temperature, irradiance, where either is missing, and the clear sky's irradiance.

        All at the middles of steps.
        Temperature runs straight between the hours. Irradiance of an hour is spread over
        its steps as the clear sky would be, so that the hour's mean stays.
        """
        hours = self._seconds
        if not len(hours):
            nothing = np.full(middle_s.shape, np.nan)
            return nothing, nothing, np.ones(middle_s.shape, dtype=bool), nothing
        outdoor = np.interp(middle_s, hours, self._outdoor, left=np.nan, right=np.nan)
        end = (middle_s // _HOUR_S + 1) * _HOUR_S
        row = ((end - hours[0]) // _HOUR_S).astype(np.int64)
        inside = (row >= 0) & (row < len(hours))
        mean = np.where(inside, self._irradiance[np.clip(row, 0, len(hours) - 1)], np.nan)
        within = np.arange(6) * 600.0 + 300.0
        over_hour = (end - _HOUR_S)[:, None] + within
        sky = self._clear_sky(np.concatenate([middle_s[:, None], over_hour], axis=1))
        clear, whole = sky[:, 0], sky[:, 1:].mean(axis=1)
        shape = np.where(whole > 5.0, clear / np.maximum(whole, 5.0), 1.0)
        irradiance = mean * shape
        return outdoor, irradiance, np.isnan(outdoor) | np.isnan(irradiance), clear

    def _repeat(
        self,
        middle_s: FloatArray,
        now_s: float,
        gaps: NDArrayBool,
        outdoor: FloatArray,
        irradiance: FloatArray,
    ) -> tuple[FloatArray, FloatArray]:
        """Fill gaps from the same hours of the nearest of seven days that ended before now."""
        outdoor, irradiance = outdoor.copy(), irradiance.copy()
        for back in range(1, 8):
            todo = np.isnan(outdoor) | np.isnan(irradiance)
            if not todo.any():
                break
            days = np.ceil((middle_s - now_s + _HOUR_S) / 86400.0).clip(1) + back - 1
            warm, sun, _, _ = self._truth(middle_s - 86400.0 * days)
            outdoor = np.where(todo & gaps, warm, outdoor)
            irradiance = np.where(todo & gaps, sun, irradiance)
        return outdoor, irradiance


class PersistenceWeather:
    """Tomorrow is like the last day seen: for when no forecast comes in.

    Parameters
    ----------
    observed
        Half-hours seen, UTC, column ``outdoor_c`` and perhaps ``irradiance_w_m2``.
    subject
        Id that goes into the forecasts.
    """

    def __init__(self, observed: pd.DataFrame, subject: str = "estate") -> None:
        self._observed = observed.reindex(columns=list(WEATHER_COLUMNS))
        self._subject = subject

    def issue(self, now: datetime, steps: int, step_s: int = 1800) -> Mapping[str, Forecast]:
        """Return the last day seen, repeated; a target that was never seen is absent."""
        start = floor_to(now, step_s)
        middle = _middles(start, steps, step_s)
        lead_h = (middle - now.timestamp()).clip(0) / _HOUR_S
        known = self.observed(now - timedelta(days=3), now)
        lacked = ("weather forecast: none, the last day seen is repeated",)
        issue = _Issue(self._subject, now, start, step_s, lacked, "persistence")
        out: dict[str, Forecast] = {}
        outdoor = _last_day(known["outdoor_c"], middle)
        if outdoor is not None:
            spread = np.interp(lead_h, (0.0, 6.0, 36.0), (0.5, 2.0, 3.5))
            out["outdoor_c"] = issue.outdoor(outdoor, spread)
        sun = _last_day(known["irradiance_w_m2"], middle)
        if sun is not None:
            share = np.full(steps, 0.6)
            out["irradiance_w_m2"] = issue.irradiance(sun, share, np.full(steps, 1200.0))
        return out

    def observed(self, start: datetime, now: datetime) -> pd.DataFrame:
        """Return half-hours of [start, now) that have ended, as seen."""
        index = pd.date_range(floor_to(start), floor_to(now), freq="30min", inclusive="left")
        return self._observed.reindex(index)


def _middles(start: datetime, steps: int, step_s: int) -> FloatArray:
    """Return the middles of steps [s since the epoch], shape (steps,)."""
    return np.asarray(start.timestamp() + step_s * (np.arange(steps) + 0.5), dtype=np.float64)


def _last_day(series: pd.Series[float], middle_s: FloatArray) -> FloatArray | None:
    """Return the latest value seen at each time of day, gaps from the mean; ``None`` if none."""
    values = series.to_numpy(dtype=np.float64)
    good = np.flatnonzero(np.isfinite(values))
    if not good.size:
        return None
    slot = epoch_s(pd.DatetimeIndex(series.index)) // 1800 % 48
    by_slot = np.full(48, float(values[good[-48:]].mean()))
    by_slot[slot[good]] = values[good]  # later values overwrite earlier ones
    return np.asarray(by_slot[(middle_s // 1800 % 48).astype(np.int64)])


@dataclass(frozen=True, slots=True)
class _Issue:
    """What the forecasts of one issue share."""

    subject: str
    issued_at: datetime
    start: datetime
    step_s: int
    lacked: tuple[str, ...]
    model: str

    def make(
        self, target: str, mean: FloatArray, quantiles: Mapping[float, FloatArray]
    ) -> Forecast:
        return Forecast(
            target=target,
            subject=self.subject,
            issued_at=self.issued_at,
            start=self.start,
            step_s=self.step_s,
            mean=mean,
            quantiles=quantiles,
            lacked=self.lacked,
            model=self.model,
        )

    def outdoor(self, mean: FloatArray, sd: FloatArray) -> Forecast:
        """Return temperature, normal about its mean [°C]."""
        quantiles = {0.1: mean - Z_90 * sd, 0.5: mean.copy(), 0.9: mean + Z_90 * sd}
        return self.make("outdoor_c", mean, quantiles)

    def irradiance(self, mean: FloatArray, share: FloatArray, top: FloatArray) -> Forecast:
        """Return irradiance, log-normal with relative spread ``share``, below ``top`` [W/m²]."""
        median = mean * np.exp(-(share**2) / 2)
        z = {0.1: -Z_90, 0.5: 0.0, 0.9: Z_90}
        high = np.maximum(top, mean)
        quantiles = {level: np.minimum(median * np.exp(z[level] * share), high) for level in LEVELS}
        return self.make("irradiance_w_m2", mean, quantiles)
