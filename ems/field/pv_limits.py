"""What inverters are told: a greatest power that lapses by itself, as SunSpec has it."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

FloatArray = NDArray[np.float64]
POINTS = ("power_limit_pct", "power_limit_on", "power_limit_timeout_s")


class PvLimits:
    """The limits of all blocks' inverters, one row each.

    Parameters
    ----------
    rated_w
        Rated power of each [W], shape (blocks,); 0 where there is none.

    Attributes
    ----------
    shown
        Limit [%], whether it is in force, and its lapse [s]: shape (3, blocks).
    """

    def __init__(self, rated_w: FloatArray) -> None:
        self._rated_w = rated_w
        count = len(rated_w)
        self.shown = np.array([[100.0] * count, [0.0] * count, [300.0] * count])
        self._heard_s = np.zeros(count)

    def write(self, row: int, point: str, value: float, now_s: float) -> bool:
        """Take a written point; return whether an inverter knows it."""
        if point not in POINTS:
            return False
        self.shown[POINTS.index(point), row] = value
        self._heard_s[row] = now_s
        return True

    def limited(self, pv_w: FloatArray, now_s: float) -> FloatArray:
        """Return what is left of the power [W], shape (blocks,); limits not renewed lapse."""
        percent, is_on, timeout_s = self.shown
        if not is_on.any():
            return pv_w
        is_on[(timeout_s > 0) & (now_s - self._heard_s >= timeout_s)] = 0.0
        return np.where(is_on > 0, np.minimum(pv_w, self._rated_w * percent / 100.0), pv_w)

    def dump(self) -> dict[str, Any]:
        """Return plain values; `restore` takes them back."""
        return {"shown": self.shown.tolist(), "heard_s": self._heard_s.tolist()}

    def restore(self, dumped: dict[str, Any] | None) -> None:
        """Take over what `dump` returned; ``None`` leaves all as it is."""
        if dumped is not None:
            self.shown = np.array(dumped["shown"])
            self._heard_s = np.array(dumped["heard_s"])
