"""Forecasting: how good on real meters, how fast many series are fitted, what a night takes."""

from __future__ import annotations

from collections.abc import Iterator

import forecast_accuracy
import forecast_night
import ridge_speed
from harness import Row


def rows() -> Iterator[Row]:
    """Measure the parts in turn."""
    yield from ridge_speed.rows()
    yield from forecast_night.rows()
    yield from forecast_accuracy.rows()
