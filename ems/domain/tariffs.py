"""Tariffs: what a kilowatt-hour costs whom, and when.

Rates are pounds per kilowatt-hour, standing charges pounds per local day. A
tariff that has no rate for an instant says so; nothing is assumed.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime, time
from typing import Protocol
from zoneinfo import ZoneInfo

from ems.domain.errors import PermanentError
from ems.domain.time import floor_to


class NoRateError(PermanentError):
    """A tariff has no rate for an instant that was asked for."""


class Tariff(Protocol):
    """Anything that prices imported energy."""

    @property
    def name(self) -> str:
        """Key in the configuration."""
        ...

    @property
    def standing_gbp_per_day(self) -> float:
        """Standing charge [£/day]."""
        ...

    def rate_gbp_per_kwh(self, instant: datetime) -> float:
        """Return the rate [£/kWh] at ``instant`` (UTC), or raise `NoRateError`."""
        ...


@dataclass(frozen=True, slots=True)
class FlatTariff:
    """One rate at all times."""

    name: str
    gbp_per_kwh: float
    standing_gbp_per_day: float = 0.0

    def rate_gbp_per_kwh(self, instant: datetime) -> float:  # noqa: ARG002 - the same for every instant
        """Return the rate [£/kWh]; it does not depend on ``instant``."""
        return self.gbp_per_kwh


@dataclass(frozen=True, slots=True)
class TariffBand:
    """From ``start`` (local time of day) until the next band: ``gbp_per_kwh``."""

    start: time
    gbp_per_kwh: float


@dataclass(frozen=True, slots=True)
class TimeOfUseTariff:
    """Bands by local time of day; the first starts at 00:00 and they cover the day."""

    name: str
    zone: ZoneInfo
    weekday: tuple[TariffBand, ...]
    weekend: tuple[TariffBand, ...]
    standing_gbp_per_day: float = 0.0

    def rate_gbp_per_kwh(self, instant: datetime) -> float:
        """Return the rate [£/kWh] of the band that holds ``instant``."""
        local = instant.astimezone(self.zone)
        bands = self.weekend if local.weekday() >= 5 else self.weekday
        rate = bands[0].gbp_per_kwh
        for band in bands:
            if band.start > local.time():
                break
            rate = band.gbp_per_kwh
        return rate


@dataclass(frozen=True, slots=True)
class DynamicTariff:
    """A published rate for each half-hour, keyed by its start (UTC)."""

    name: str
    rates: Mapping[datetime, float] = field(repr=False)
    standing_gbp_per_day: float = 0.0

    def rate_gbp_per_kwh(self, instant: datetime) -> float:
        """Return the rate [£/kWh] of the half-hour that holds ``instant``."""
        slot = floor_to(instant)
        try:
            return self.rates[slot]
        except KeyError:
            raise NoRateError(
                "the tariff has no rate for this half-hour",
                field=f"tariffs.{self.name}",
                value=slot.isoformat(),
                remedy="Add the missing half-hours to the tariff's file.",
            ) from None
