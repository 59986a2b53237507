"""One closed-loop step for a single home, for other programs.

Composes :mod:`forecasting` (what the home is) and planning on it into a pure function. No
service, store or configuration; :mod:`ems.service` and the command line may import it.
"""

from __future__ import annotations

from ems.loop.step import step
from ems.loop.types import (
    Actuator,
    Comfort,
    Device,
    HomeBattery,
    LoopPlan,
    Period,
    Reason,
    StepResult,
)

__all__ = [
    "Actuator",
    "Comfort",
    "Device",
    "HomeBattery",
    "LoopPlan",
    "Period",
    "Reason",
    "StepResult",
    "step",
]
