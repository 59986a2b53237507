"""Other prices for an estate: published half-hourly rates in place of its dynamic tariffs."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from datetime import datetime
from pathlib import Path

import pandas as pd

from ems.demo.metering import Window
from ems.domain.errors import InvalidInputError
from ems.domain.estate import Block, Estate, MeterAccount
from ems.domain.tariffs import DynamicTariff

START, RATE_P = "interval_start_utc", "price_inc_vat_p_per_kwh"
"""Columns of a file of published prices: start (UTC), and pence per kWh with VAT."""


def read_rates(path: Path) -> dict[datetime, float]:
    """Return published rates by half-hour (UTC) [£/kWh].

    Raises
    ------
    InvalidInputError
        Where the file cannot be read or lacks a column.
    """
    try:
        table = pd.read_csv(path)
        starts = pd.DatetimeIndex(pd.to_datetime(table[START], utc=True)).to_pydatetime()
        rates = pd.to_numeric(table[RATE_P]) / 100.0
    except (OSError, ValueError, KeyError) as error:
        raise InvalidInputError(
            f"the prices cannot be read: {error}",
            field="--tariff",
            value=str(path),
            remedy=f"Give agile:FILE, a CSV file with columns {START} and {RATE_P}.",
        ) from error
    return {
        start: rate
        for start, rate in zip(starts.tolist(), rates.tolist(), strict=True)
        if rate == rate  # noqa: PLR0124 - a missing price is no price
    }


def with_rates(estate: Estate, rates: Mapping[datetime, float]) -> Estate:
    """Return an estate whose dynamic tariffs have these rates; other tariffs stay."""
    named = {
        name: replace(tariff, rates=rates) if isinstance(tariff, DynamicTariff) else tariff
        for name, tariff in estate.tariffs.items()
    }

    def meter(account: MeterAccount) -> MeterAccount:
        tariff = account.tariff
        if not isinstance(tariff, DynamicTariff):
            return account
        return replace(account, tariff=replace(tariff, rates=rates))

    def block(one: Block) -> Block:
        return replace(
            one,
            block_meter=meter(one.block_meter),
            landlord_meter=None if one.landlord_meter is None else meter(one.landlord_meter),
            dwellings=tuple(replace(home, meter=meter(home.meter)) for home in one.dwellings),
        )

    return replace(estate, tariffs=named, blocks=tuple(block(one) for one in estate.blocks))


def estate_at(estate: Estate, tariff: str, path: Path | None) -> Estate:
    """Return the estate at the tariff of a case: ``trial`` as configured, else published rates."""
    if tariff == "trial" or path is None:
        return estate
    return with_rates(estate, read_rates(path))


def require_rates(estate: Estate, window: Window) -> None:
    """Require that every dynamic tariff has a rate for every half-hour of a window.

    Raises
    ------
    InvalidInputError
        Where one is missing: then there would be weeks of plans whose cost nobody can tell.
    """
    for name, tariff in estate.tariffs.items():
        if not isinstance(tariff, DynamicTariff):
            continue
        slots = window.half_hours
        missing = [slot for slot in slots if slot not in tariff.rates]
        if missing:
            first, last = min(tariff.rates, default=None), max(tariff.rates, default=None)
            raise InvalidInputError(
                f"{name} prices have no rate for {len(missing)} of its {len(slots)} half-hours, "
                f"the first at {missing[0]:%Y-%m-%d %H:%M}; they go from {first} to {last}",
                field="--windows",
                value=f"{window.start:%Y-%m-%d}",
                remedy="Choose a window that lies within the prices, or fill in their file.",
            )
