"""Many homes for the benches: real ones laid over again, or made up where there are none.

The folder of the Low Carbon London files is told by ``HEARTH_DATA`` (or found beside the
project as ``data``): it holds ``lcl/halfhourly_2013.parquet``. A home that is laid over again is
moved by whole weeks and some half-hours, scaled, and mixed with a little of another home, so
that no two are alike; weekdays and gaps stay those of real homes.
"""

from __future__ import annotations

import os
from pathlib import Path

import numpy as np
import pandas as pd

from forecasting.meters import Columns, read_table, regular

PROJECT = Path(__file__).resolve().parents[2]
METERS = "lcl/halfhourly_2013.parquet"
WEATHER = "lcl/weather_hourly_darksky.csv.gz"
END = pd.Timestamp("2013-12-01", tz="UTC")
"""Readings stop here."""


def data_folder() -> Path | None:
    """Return the folder with real meters, or ``None``."""
    named = os.environ.get("HEARTH_DATA")
    places = [Path(named)] if named else [PROJECT / "data", PROJECT.parent / "shared" / "data"]
    return next((place for place in places if (place / METERS).is_file()), None)


def many_homes(count: int, days: int) -> tuple[pd.DataFrame, str]:
    """Return seeded half-hours of so many homes (UTC) [W], and where they come from."""
    folder = data_folder()
    random = np.random.default_rng(20)
    index = pd.date_range(END - pd.Timedelta(days=days), END, freq="30min", inclusive="left")
    names = [f"home {number:04d}" for number in range(count)]
    if folder is None:
        values = np.stack([_made_up(random, index) for _ in names], axis=1)
        return pd.DataFrame(values, index=index, columns=names), "made-up homes"
    real = regular(read_table(folder / METERS, ["LCLid", "tstp", "energy_kwh_hh"]), Columns())
    power = real.power_w.loc[:, real.power_w.isna().mean() <= 0.1]
    pool = power.to_numpy(dtype=np.float64)
    last = int(power.index.get_indexer([END])[0])
    values = np.empty((len(index), count))
    for at in range(count):
        one, other = random.choice(pool.shape[1], 2, replace=False)
        spare = (last - len(index)) // 336
        end = last - 336 * int(random.integers(0, max(spare, 1))) + int(random.integers(-3, 4))
        rows = slice(end - len(index), end)
        share = random.uniform(0.0, 0.25)
        values[:, at] = random.lognormal(0.0, 0.3) * (
            (1.0 - share) * pool[rows, one] + share * np.nan_to_num(pool[rows, other])
        )
    return pd.DataFrame(values, index=index, columns=names), "real homes laid over again"


def _made_up(random: np.random.Generator, index: pd.DatetimeIndex) -> np.ndarray:
    """Return a household with mornings and evenings of its own, and chance peaks [W]."""
    hour = np.asarray(index.hour + index.minute / 60.0)
    weekend = np.asarray(index.dayofweek >= 5)
    morning = random.uniform(6.0, 9.0) + 1.5 * weekend
    evening = random.uniform(16.5, 21.0)
    shape = (
        0.35
        + np.exp(-(((hour - morning) / 1.2) ** 2))
        + 1.8 * np.exp(-(((hour - evening) / 2.0) ** 2))
    )
    peaks = random.exponential(1.0, len(index)) * (random.random(len(index)) < 0.3)
    level = np.exp(0.25 * np.repeat(random.normal(0, 1, len(index) // 48 + 1), 48)[: len(index)])
    return random.lognormal(5.3, 0.5) * level * shape * (0.6 + peaks)
