"""Meter files of any home: long tables become a regular frame, and every weakness a note.

Only `read_table` does input. Nothing is filled: what cannot be used becomes ``nan`` and
is counted in a note.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from ems.domain.errors import InvalidInputError
from ems.domain.time import HALF_HOUR_S
from forecasting.interface import epoch_s

LONGEST_YEARS = 20
"""A file that spans more has a wrong stamp in it."""
MOST_CELLS = 500_000_000
"""Half-hours of all homes that one file may hold [-]: 4 GB."""
_FEW_DAYS = 14
_STUCK_SHARE = 0.6
"""A home whose commonest value takes up more of its readings than this is noted."""


@dataclass(frozen=True, slots=True)
class Columns:
    """Names of the columns of a long table: one row a home and half-hour."""

    home: str = "LCLid"
    start: str = "tstp"
    energy_kwh: str = "energy_kwh_hh"


@dataclass(frozen=True, slots=True, eq=False)
class Meters:
    """Readings on one grid.

    Attributes
    ----------
    power_w
        Mean power of each half-hour [W], index UTC starts, one column a home, ``nan`` gaps.
    notes
        What was wrong in the file as a whole, in words.
    weak
        Home → what is weak about its readings.
    """

    power_w: pd.DataFrame = field(repr=False)
    notes: tuple[str, ...] = ()
    weak: dict[str, tuple[str, ...]] = field(default_factory=dict)


def read_table(path: Path, columns: Sequence[str], option: str = "DATA") -> pd.DataFrame:
    """Read these columns of a Parquet or CSV file, plain or compressed.

    Raises
    ------
    InvalidInputError
        Where it cannot be read or a column is not there; the message lists those there are.
    """
    remedy = "Give a Parquet or CSV file; name its columns by the options."
    try:
        if path.suffix in {".parquet", ".pq"}:
            table = pd.read_parquet(path)
            table = table.reset_index() if table.index.name is not None else table
        else:
            table = pd.read_csv(path, low_memory=False)
    except (OSError, ValueError, UnicodeError) as error:
        raise InvalidInputError(
            f"the file cannot be read: {error}", field=option, value=str(path), remedy=remedy
        ) from error
    missing = [name for name in columns if name not in table.columns]
    if missing:
        there = ", ".join(str(name) for name in table.columns[:20])
        raise InvalidInputError(
            f"the file lacks columns: {', '.join(missing)}; it has: {there}",
            field=option,
            value=path.name,
            remedy=remedy,
        )
    return table[list(columns)]


def instants(stamps: pd.Series[str], zone: str, option: str) -> tuple[pd.DatetimeIndex, list[str]]:
    """Return stamps as UTC instants, ``NaT`` where unreadable, and notes.

    Stamps without a zone are read in ``zone``; those with offsets, of any mix, as they say.

    Raises
    ------
    InvalidInputError
        Where some have a zone and some have none, or none is readable.
    """
    notes: list[str] = []
    if isinstance(stamps.dtype, pd.DatetimeTZDtype):
        return pd.DatetimeIndex(stamps).tz_convert("UTC"), notes
    # Homes share their stamps: each different one is read once.
    which, different = pd.factorize(stamps, use_na_sentinel=False)
    rows = np.bincount(which, minlength=len(different))
    if pd.api.types.is_datetime64_dtype(stamps.dtype):
        naive = pd.DatetimeIndex(different)
    else:
        text = pd.Series(different).astype("str").str.strip()
        aware = text.str.contains(r"(?:Z|UTC|[+-]\d\d:?\d\d)$", regex=True).to_numpy(dtype=bool)
        if aware.any() and not aware.all():
            raise InvalidInputError(
                f"{rows[aware].sum()} stamps have a time zone and {rows[~aware].sum()} have none",
                field=f"{option} times",
                value=str(text[~aware].iloc[0]),
                remedy="Write all with an offset, or all without and name their zone.",
            )
        parsed = pd.to_datetime(text, errors="coerce", utc=True, format="mixed")
        if aware.all() and len(text):
            index = pd.DatetimeIndex(parsed).take(which)
            return _readable(index, option, notes), notes
        naive = pd.DatetimeIndex(parsed).tz_localize(None)
    index = naive.tz_localize(zone, ambiguous="NaT", nonexistent="NaT").tz_convert("UTC")
    lost = int(rows[np.asarray(index.isna()) & ~np.asarray(naive.isna())].sum())
    if lost:
        notes.append(f"{lost} rows at clock changes whose local time is not one instant, left out")
    return _readable(index.take(which), option, notes), notes


def _readable(index: pd.DatetimeIndex, option: str, notes: list[str]) -> pd.DatetimeIndex:
    unread = int(np.sum(np.asarray(index.isna())))
    if unread == len(index):
        raise InvalidInputError(
            "no time in the file can be read",
            field=f"{option} times",
            value=f"{len(index)} rows",
            remedy="Write times as 2013-10-15 00:30:00, or with an offset.",
        )
    if unread and not notes:
        notes.append(f"{unread} rows whose time cannot be read, left out")
    return index


def regular(table: pd.DataFrame, columns: Columns, zone: str = "UTC") -> Meters:
    """Return readings of a long table on one grid of half-hours, with notes.

    Parameters
    ----------
    table
        Rows in any order; energy of the half-hour that starts at the stamp [kWh].
    columns
        Its columns.
    zone
        Of stamps that name none.

    Notes
    -----
    Left out and counted: unreadable, negative or infinite energy, stamps off the
    half-hour, rows without a home. Of rows for the same half-hour the last one stands.

    Raises
    ------
    InvalidInputError
        Where nothing is left, stamps are mixed, or the file spans more than twenty years.
    """
    if not len(table):
        _refuse_empty("the file has no rows")
    index, notes = instants(table[columns.start], zone, "DATA")
    raw = table[columns.energy_kwh]
    energy = pd.to_numeric(raw, errors="coerce").to_numpy(dtype=np.float64, copy=True)
    absent = table[columns.home].isna().to_numpy()
    which, names = _named(table[columns.home])
    usable = ~np.asarray(index.isna())
    seconds = np.zeros(len(index), dtype=np.int64)
    seconds[usable] = epoch_s(index[usable])
    off = usable & (seconds % HALF_HOUR_S != 0)
    negative, infinite = energy < 0, np.isinf(energy)
    energy[negative | infinite] = np.nan
    for count, what in (
        (int(absent.sum()), "rows without a home, left out"),
        (int(off.sum()), "rows off the half-hour, left out"),
        (int(np.isnan(energy).sum() - (negative | infinite).sum()), "rows without a value: gaps"),
        (int(negative.sum()), "negative values, taken as missing"),
        (int(infinite.sum()), "infinite values, taken as missing"),
    ):
        if count:
            notes.append(f"{count} {what}")
    keep = usable & ~off & ~absent
    seconds, energy = seconds[keep], energy[keep]
    there = np.unique(which[keep])
    gone = sorted({names[at] for at in np.unique(which[~absent])} - {names[at] for at in there})
    if gone:
        few = ", ".join(gone[:5]) + (", ..." if len(gone) > 5 else "")
        notes.append(f"{len(gone)} homes without a row that can be used, left out: {few}")
    column = np.searchsorted(there, which[keep])
    if not np.isfinite(energy).any():
        _refuse_empty("no row has a home, a time on the half-hour and a value of zero or more")
    first, last = int(seconds.min()), int(seconds.max())
    steps = (last - first) // HALF_HOUR_S + 1
    if last - first > LONGEST_YEARS * 366 * 86_400 or steps * len(there) > MOST_CELLS:
        longest = f"more than {LONGEST_YEARS} years, or {MOST_CELLS:,} half-hours of all homes"
        raise InvalidInputError(
            f"the readings span {longest}, so a stamp must be wrong, or the file too large",
            field="DATA times",
            value=f"{pd.Timestamp(first, unit='s')} to {pd.Timestamp(last, unit='s')}, "
            f"{len(there)} homes",
            remedy="Correct the stamps, or give a shorter file or fewer homes at once.",
        )
    row = (seconds - first) // HALF_HOUR_S
    seen = np.zeros((steps, len(there)), dtype=bool)
    seen[row, column] = True
    wide = np.full(seen.shape, np.nan)
    wide[row, column] = energy * 2000.0  # of equal places the last one stands
    again = len(row) - int(seen.sum())
    if again:
        notes.append(f"{again} rows for a half-hour that comes again, the last stands")
    index = pd.date_range(pd.Timestamp(first, unit="s", tz="UTC"), periods=steps, freq="30min")
    power_w = pd.DataFrame(wide, index=index, columns=[names[at] for at in there])
    return Meters(power_w, tuple(notes), weaknesses(power_w))


def _named(homes: pd.Series[str]) -> tuple[NDArray[np.int64], list[str]]:
    """Return for each row which home it is of, and the homes' names in order."""
    which, different = pd.factorize(homes, use_na_sentinel=False)
    text = pd.Series(different).astype("str").str.strip().to_numpy(dtype=object)
    order, merged = np.unique(text.astype(str), return_inverse=True)
    return merged[which].astype(np.int64), [str(name) for name in order]


def _refuse_empty(problem: str) -> None:
    raise InvalidInputError(
        problem,
        field="DATA",
        value="nothing to forecast",
        remedy="Give half-hourly energy in kWh, one row a home and half-hour.",
    )


def weaknesses(power_w: pd.DataFrame, *, inside: bool = False) -> dict[str, tuple[str, ...]]:
    """Return home → what makes its forecasts weak: few values, one value, gaps.

    ``inside`` looks only between a home's first and last value, not at how few there are.
    """
    found: dict[str, tuple[str, ...]] = {}
    for name in power_w.columns:
        values = power_w[name].to_numpy(dtype=np.float64)
        known = np.flatnonzero(np.isfinite(values))
        held = values[known]
        if inside and known.size:
            values = values[known[0] : known[-1] + 1]
        said = []
        if not held.size:
            said += [] if inside else ["no value at all"]
        else:
            if not inside and held.size < 48 * _FEW_DAYS:
                said.append(f"{held.size / 48:.1f} days of values")
            _, counts = np.unique(held, return_counts=True)
            if counts.max() == held.size and held.size > 1:
                said.append("one constant value: a stuck meter or an empty home")
            elif counts.max() > _STUCK_SHARE * held.size and held.size > 48:
                said.append(f"one value in {counts.max() / held.size:.0%} of its half-hours")
            gap = 1.0 - held.size / values.size
            if gap > 0.03:
                said.append(f"{gap:.0%} missing")
        if said:
            found[str(name)] = tuple(said)
    return found
