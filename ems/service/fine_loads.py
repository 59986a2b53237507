"""Five-minute forecasts of blocks: what came so finely lately, and what was issued."""

from __future__ import annotations

from collections import deque
from collections.abc import Sequence
from datetime import datetime, timedelta

import numpy as np
import pandas as pd

from ems.domain.estate import Block
from ems.domain.forecasts import Forecast
from ems.domain.points import PointId
from ems.domain.ports import Store
from ems.domain.time import floor_to
from forecasting.fine import STEP_S, fine_forecast

REMEMBERS = timedelta(days=7)
MOST_ISSUES = 336
LATE = timedelta(hours=1)
"""Readings that come late by up to this still count."""


class FineLoads:
    """Keeps a week of five-minute means of each block in memory, so that each is read once.

    Parameters
    ----------
    store
        Where readings and forecasts lie.
    """

    def __init__(self, store: Store) -> None:
        self._store = store
        self._recent: dict[str, pd.Series[float]] = {}
        self._issued: dict[str, deque[Forecast]] = {}

    def forecasts(
        self, blocks: Sequence[Block], made: Sequence[Forecast], now: datetime
    ) -> list[Forecast]:
        """Return the next four hours of every block of whose load a forecast was made."""
        loads = {one.subject: one for one in made if one.target == "load_w"}
        out = []
        for block in blocks:
            coming = loads.get(block.id)
            if coming is None:
                continue
            earlier = self._earlier(block.id, coming.issued_at)
            out.append(fine_forecast(coming, self._came(block, now), earlier))
            earlier.append(coming)
        return out

    def _came(self, block: Block, now: datetime) -> pd.Series[float]:
        """Return the homes' household load in sum by five minutes; ``nan`` where one is missing."""
        held = self._recent.get(block.id)
        oldest = floor_to(now - REMEMBERS, STEP_S)
        start = oldest
        if held is not None and len(held):
            last = pd.DatetimeIndex(held.index)[-1].to_pydatetime()
            start = max(oldest, floor_to(last - LATE, STEP_S))
        points = [PointId(home.meter.device_id, "household_power_w") for home in block.dwellings]
        fresh = self._store.resampled(points, start, floor_to(now, STEP_S), STEP_S)
        total = pd.Series(fresh.to_numpy(dtype=np.float64).sum(axis=1), index=fresh.index)
        if held is not None:
            before = held.loc[oldest : pd.Timestamp(start) - pd.Timedelta(seconds=1)]
            total = pd.concat([before, total]) if len(before) else total
        self._recent[block.id] = total
        return total

    def _earlier(self, block_id: str, before: datetime) -> deque[Forecast]:
        """Return earlier issues, the newest last; after a start they come from the store."""
        held = self._issued.get(block_id)
        if held is None:
            held = self._issued[block_id] = deque(maxlen=MOST_ISSUES)
            at = before - timedelta(microseconds=1)
            while len(held) < MOST_ISSUES:
                one = self._store.latest_forecast("load_w", block_id, at)
                if one is None or before - one.issued_at > REMEMBERS:
                    break
                held.appendleft(one)
                at = one.issued_at - timedelta(microseconds=1)
        return held
