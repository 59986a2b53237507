"""What seems wrong: a sensor that stands still, a home that does not answer its heat."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime

import numpy as np
import pandas as pd

from ems.loop.history import Readings
from forecasting.home_model import HomeModel

FROZEN_S = 5100.0
"""A room reading that has not moved for so long stands still [s] ..."""
USUAL_TIMES = 1.5
"""... unless it has often stood so long before, as coarse sensors do: then so many times that."""
STALE_S = 2700.0
"""A newest room reading older than this, or than two rows, is none [s]."""
LEAST_HOURS = 72.0
"""A model learnt from less does not steer."""
ERROR_MAX_K = 0.9
ERROR_SHARE = 0.75
ERROR_END_K = 1.8
"""Nor one whose held-out error a day ahead is larger [K], unless it is less than this share of
what "as it is now" errs, as where the sun comes and goes; never one beyond the end."""
WRONG_K = 0.8
"""Nor one whose forecasts of two hours ahead are off by this in the mean [K]."""
LOST_SHARE = 0.4
LOST_W = 250.0
"""Heat that comes or goes beside the model: more than this share of the loss, and these watts."""


def stands_still_s(readings: Readings, now: datetime) -> float | None:
    """Return for how long the room reading has stood still [s], where that is a fault."""
    room = readings.raw["room_c"].dropna()
    if len(room) < 3:
        return None
    values = room.to_numpy(dtype=float)
    at = np.asarray(pd.DatetimeIndex(room.index).as_unit("ns").asi8 / 1e9)
    change = np.flatnonzero(np.abs(np.diff(values)) > 1e-9) + 1
    begins = np.concatenate([[0], change])
    if len(values) - begins[-1] < 3:
        return None
    since_s = now.timestamp() - float(at[begins[-1]])
    spans = at[begins[1:]] - at[begins[:-1]]
    spans = spans[spans < 6 * 3600.0]
    usual_s = float(np.quantile(spans, 0.995)) if spans.size >= 20 else 0.0
    return since_s if since_s >= max(FROZEN_S, USUAL_TIMES * usual_s) else None


def fresh_room_c(readings: Readings, now: datetime) -> float | None:
    """Return the room where its newest reading is fresh."""
    if readings.room_at is None:
        return None
    age_s = (now - readings.room_at).total_seconds()
    return readings.room_c if age_s <= max(STALE_S, 2.0 * readings.step_s) else None


def not_good_enough(model: HomeModel) -> str | None:
    """Return why a model does not steer yet; ``None`` where it does."""
    if model.source == "prior" or model.hours < LEAST_HOURS:
        return f"{model.hours:.0f} of {LEAST_HOURS:.0f} hours of readings are known"
    limit_k = max(ERROR_MAX_K, min(ERROR_SHARE * model.persistence_k, ERROR_END_K))
    if not model.error_k <= limit_k:
        return f"forecasts of the room are off by {model.error_k:.1f} K a day ahead"
    return None


@dataclass(frozen=True, slots=True)
class Answer:
    """How the home answered: mean error and mean square of forecasts two hours ahead."""

    mean_k: float = 0.0
    square_k2: float = 0.0

    def after(self, error_k: float) -> Answer:
        """Return with one more error, actual less foreseen."""
        return Answer(
            0.8 * self.mean_k + 0.2 * error_k, 0.8 * self.square_k2 + 0.2 * min(error_k**2, 2.25)
        )

    @property
    def wrong(self) -> bool:
        """Whether the model does not foresee this home."""
        return self.square_k2 > WRONG_K**2


def mismatch(model: HomeModel, room_c: float, outdoor_c: float, unexplained_w: float) -> str | None:
    """Return what a lasting mismatch of heat and temperature likely is."""
    loss_w = model.loss_w_per_k * max(room_c - outdoor_c, 3.0)
    if unexplained_w < -max(LOST_SHARE * loss_w, LOST_W):
        return (
            "the home loses more heat than it used to, or gets less than its heat pump reports: "
            "a window may be open, or the heat pump gives less than its power says"
        )
    if unexplained_w > max(LOST_SHARE * loss_w, LOST_W):
        return (
            "the room is warmer than its heat explains: the sensor may read high or stand near "
            "a heater, or there is another heat source"
        )
    return None
