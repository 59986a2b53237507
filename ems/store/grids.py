"""Time on the store's grids, and frames over them."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from ems.domain.errors import InvalidInputError
from ems.domain.points import PointId
from ems.store.codec import to_us

HALF_HOUR_US = 1_800_000_000
SLOTS_A_DAY = 48


def grid(start: datetime, end: datetime, step_us: int) -> tuple[int, int]:
    """Return the first step [in steps since the epoch] that begins in [start, end), and how many.

    Steps are multiples of ``step_us`` since the epoch, so that two frames of the same
    step always share their index.
    """
    first = -(-to_us(start, "start") // step_us)
    beyond = -(-to_us(end, "end") // step_us)
    if beyond < first:
        raise InvalidInputError(
            "the end lies before the start",
            field="end",
            value=end.isoformat(),
            remedy="Give [start, end) with end at or after start.",
        )
    return first, beyond - first


def instants(times_us: NDArray[np.int64]) -> pd.DatetimeIndex:
    """Return an index of UTC instants from microseconds since the epoch."""
    return pd.DatetimeIndex(times_us.view("datetime64[us]"), tz="UTC")


def frame(
    point_ids: Sequence[PointId], first: int, step_us: int, columns: NDArray[np.float64]
) -> pd.DataFrame:
    """Return a frame on the grid; ``columns`` has shape (points, steps)."""
    times = np.arange(first, first + columns.shape[1], dtype=np.int64) * step_us
    return pd.DataFrame(
        columns.T, index=instants(times), columns=[str(point_id) for point_id in point_ids]
    )
