"""Weather as a source on the network issued it."""

from __future__ import annotations

from dataclasses import dataclass, field
from datetime import datetime


@dataclass(frozen=True, slots=True)
class WeatherIssue:
    """One answer of a weather service: hours that had passed then, and hours to come.

    Attributes
    ----------
    source
        Host that answered.
    fetched_at
        When it answered, estate time, UTC: nothing in it was known later.
    first_hour
        The first hour, UTC; the others follow hour by hour.
    outdoor_c
        Temperature at each hour [°C]; ``None`` where it was not given.
    irradiance_w_m2
        Horizontal irradiance, mean of the hour that ends then [W/m²]; ``None`` likewise.
    """

    source: str
    fetched_at: datetime
    first_hour: datetime
    outdoor_c: tuple[float | None, ...] = field(repr=False)
    irradiance_w_m2: tuple[float | None, ...] = field(repr=False)
