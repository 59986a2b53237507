"""Compiled kernels beside their readable twins and beside what one would use instead."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
import pandas as pd
from harness import Row, median_ms

from ems.domain.points import PointKind
from ext.rollup import roll_up
from ext.rollup_reference import roll_up_one

AREA = "kernels"
SERIES = 40
SECONDS = 60
HOURS = 24


def rows() -> Iterator[Row]:
    """Measure the roll-up of a day of 40 points, read every minute, to 5 minutes."""
    random = np.random.default_rng(2)
    count = HOURS * 3600 // SECONDS
    times = np.arange(count, dtype=np.int64) * (SECONDS * 1_000_000)
    values = random.normal(500, 100, (SERIES, count))
    quality = np.where(random.random((SERIES, count)) < 0.02, 4, 0).astype(np.int8)
    values[quality != 0] = np.nan
    options = {
        "start_us": 0,
        "slots": HOURS * 12,
        "step_us": 300_000_000,
        "max_hold_us": 600_000_000,
    }
    all_times = np.tile(times, SERIES)
    offsets = np.arange(SERIES + 1) * count
    for kind in (PointKind.GAUGE, PointKind.COUNTER):
        numbers = values if kind is PointKind.GAUGE else np.cumsum(np.abs(values), axis=1)

        def compiled(numbers: np.ndarray = numbers, kind: PointKind = kind) -> object:
            return roll_up(
                all_times,
                numbers.ravel(),
                quality.ravel(),
                [kind] * SERIES,
                offsets=offsets,
                **options,
            )

        def readable(numbers: np.ndarray = numbers, kind: PointKind = kind) -> object:
            return roll_up_one(
                times.tolist(), numbers[0].tolist(), quality[0].tolist(), kind, **options
            )

        value = median_ms(compiled)
        twin = median_ms(readable, repeats=1, warm_up=0) * SERIES
        yield Row(
            AREA,
            f"roll-up of {SERIES} {kind}s, a day by the minute, to 5 minutes",
            value,
            "ms",
            peer="readable twin",
            peer_value=twin,
        )
        if kind is PointKind.GAUGE:
            frame = pd.DataFrame(values.T, index=pd.to_datetime(times, unit="us", utc=True))
            yield Row(
                AREA,
                f"roll-up of {SERIES} gauges, beside mean, min, max of pandas",
                value,
                "ms",
                peer="pandas resample",
                peer_value=median_ms(
                    lambda frame=frame: frame.resample("5min").agg(["mean", "min", "max"])
                ),
            )
