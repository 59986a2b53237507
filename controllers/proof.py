"""Whether the causes that a plan states are true: planned again without them, and without others.

Independent of how the causes were found: a setpoint is what the caller says a device would be
told, and the stated causes are taken out all together.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Mapping
from dataclasses import dataclass

import numpy as np

from controllers.causes import BATTERY_ONLY, BATTERY_STEP_SHARE, HOMES_ONLY, Again, nearest_w
from controllers.counterfactual import present, without
from ems.domain.forecasts import FloatArray
from ems.domain.plans import Schedule, SchedulingProblem
from ems.domain.setpoints import Cause

Told = Callable[[Schedule, str, int, Collection[Cause]], float]
"""What a home's device is told by a step of a plan that was made without some causes."""
PRICE = (Cause.CHEAP_NOW, Cause.DEAR_NOW)


@dataclass(frozen=True, slots=True)
class Verdict:
    """What came of one setpoint.

    Attributes
    ----------
    subject, step
        Which home, or ``battery``; which step of the plan.
    causes
        As stated.
    told, without_all
        The setpoint, and what it would be without any of its causes; ``nan`` where none is stated.
    device_step
        By what the device can be told something else.
    unstated
        What it would be without each cause that was in the problem and is not stated.
    """

    subject: str
    step: int
    causes: tuple[Cause, ...]
    told: float
    without_all: float
    device_step: float
    unstated: Mapping[Cause, float]

    @property
    def moved(self) -> float:
        """By how many device steps it moves without its causes."""
        return abs(self.without_all - self.told) / self.device_step

    @property
    def left(self) -> int:
        """How many unstated causes leave it: it moves by less than a device step."""
        return sum(
            abs(there - self.told) < self.device_step * (1.0 - 1e-6)
            for there in self.unstated.values()
        )


class Proof:
    """Checks the setpoints of one plan; plans again once for each set of causes.

    Parameters
    ----------
    problem, plan
        What was asked, and the plan with its causes.
    again
        Plans a problem.
    told, steps
        What a home's device is told, and in which steps, by home.
    """

    def __init__(
        self,
        problem: SchedulingProblem,
        plan: Schedule,
        again: Again,
        told: Told,
        steps: Mapping[str, float],
    ) -> None:
        self._problem = problem
        self._plan = plan
        self._again = again
        self._told = told
        self._steps = steps
        self._made: dict[frozenset[Cause], tuple[Schedule, FloatArray | None]] = {}

    def home(self, name: str, step: int) -> Verdict:
        """Return the verdict on one home's setpoint."""
        own = self._plan.home(name)
        if own is None:
            raise KeyError(name)

        def without_(causes: Collection[Cause]) -> float:
            return self._told(self._without(causes)[0], name, step, causes)

        now = self._told(self._plan, name, step, ())
        return self._verdict(
            name, step, own.causes(step), now, self._steps[name], without_, BATTERY_ONLY
        )

    def battery(self, step: int) -> Verdict:
        """Return the verdict on the battery's power."""
        battery, limits = self._plan.battery, self._problem.battery
        if battery is None or limits is None:
            raise KeyError("battery")
        power_w = BATTERY_STEP_SHARE * max(limits.max_charge_w, limits.max_discharge_w)

        def without_(causes: Collection[Cause]) -> float:
            flow = self._without(causes)[1]
            return float("nan") if flow is None else float(flow[step])

        now = float(battery.power_w[step])
        return self._verdict(
            "battery", step, battery.causes(step), now, power_w, without_, HOMES_ONLY
        )

    def _verdict(
        self,
        subject: str,
        step: int,
        causes: tuple[Cause, ...],
        now: float,
        device_step: float,
        without_: Callable[[Collection[Cause]], float],
        apart: Collection[Cause],
    ) -> Verdict:
        stated = tuple(cause for cause in causes if cause is not Cause.HOLD)
        others = [
            cause
            for cause in present(self._problem)
            if cause not in apart
            and cause is not Cause.SCHEDULE
            and cause not in stated
            and not (cause in PRICE and not set(PRICE).isdisjoint(stated))
        ]
        return Verdict(
            subject,
            step,
            causes,
            now,
            without_(stated) if stated else float("nan"),
            device_step,
            {cause: without_((cause,)) for cause in others},
        )

    def _without(self, causes: Collection[Cause]) -> tuple[Schedule, FloatArray | None]:
        key = frozenset(Cause.CHEAP_NOW if cause in PRICE else cause for cause in causes)
        if key not in self._made:
            changed = without(self._problem, sorted(key))
            made = self._again(changed)
            if made is None:
                raise TimeoutError("a problem without some of its causes was not planned")
            flow = None
            if made.battery is not None and self._plan.battery is not None:
                flow = np.asarray(nearest_w(changed, made, self._plan.battery.power_w))
            self._made[key] = made, flow
        return self._made[key]
