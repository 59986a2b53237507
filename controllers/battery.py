"""What the battery is to be told: the plan, corrected by what the meters say now.

A plan is made for expected loads. Measured ones differ each minute, and a battery that
follows the plan blindly would export what the next flat is buying. So its power is held
within what the measured net power of its meter allows, unless the plan means to export.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np

from controllers.intent import Intent, toward_zero, write_rule
from controllers.safety import BATTERY_SHARE, battery_within
from ems.domain.estate import Battery, Block, Device, Supply
from ems.domain.plans import Schedule
from ems.domain.points import PointId
from ems.domain.readings import Snapshot
from ems.domain.setpoints import Cause, Setpoint

POWER_MAX_AGE_S = 180.0
SOC_MAX_AGE_S = 1800.0
POINT = "battery_power_setpoint_w"
EXPORT_W = 100.0
"""A plan that exports less than this [W] does not mean to."""
CHANGED_W = 50.0
"""A correction smaller than this [W] does not change the reason."""

HELPS = frozenset({Cause.IMPORT_LIMIT, Cause.EVENT})
"""For the sake of these a battery may give more than its own meter takes."""


@dataclass(frozen=True, slots=True)
class Ask:
    """What the events of one direction ask of the battery now.

    Attributes
    ----------
    down
        Whether less import is asked for.
    without_w
        What the battery would do without them [W].
    change_w
        By how much the participants' import is to change: what is promised, with as much of
        the margin as the battery can keep up to the end [W].
    homes_w
        As much of it as homes give for certain by what their meters say [W].
    """

    down: bool
    without_w: float
    change_w: float
    homes_w: float

    @property
    def battery_w(self) -> float:
        """What the battery is to do [W]."""
        rest = max(self.change_w - max(self.homes_w, 0.0), 0.0)
        return self.without_w - rest if self.down else self.without_w + rest


@dataclass(frozen=True, slots=True)
class EventNow:
    """What events ask of a block at this dispatch.

    Attributes
    ----------
    asks
        Of the events that run and that the battery takes part in; at most one a direction.
    recovery_cap_w
        What the import is to stay under after an event [W]; ``None`` where nothing is over.
    """

    asks: tuple[Ask, ...] = ()
    recovery_cap_w: float | None = None

    def battery_w(self, planned_w: float) -> float:
        """Return what the battery is to do so that every event gets what it was promised [W].

        First floors, then ceilings, so that the more restrictive has the last word.
        """
        result: float | None = None
        for ask in sorted(self.asks, key=lambda each: each.down):
            wanted = ask.battery_w
            if result is None:
                result = wanted
            else:
                result = min(result, wanted) if ask.down else max(result, wanted)
        return planned_w if result is None else result


@dataclass(frozen=True, slots=True)
class _Wish:
    power_w: float
    cause: Cause
    sentence: str
    plan_id: str
    may_export: bool
    also: tuple[Cause, ...] = ()
    surplus: bool = False


def battery_now_w(
    battery: Battery, snapshot: Snapshot, previous: Mapping[PointId, Setpoint]
) -> float:
    """Return the battery's present power [W]: measured, else as last told, else none."""
    measured = snapshot.good(battery.device_id, "power_w", POWER_MAX_AGE_S)
    if measured is not None:
        return measured
    last = previous.get(PointId(battery.device_id, POINT))
    return 0.0 if last is None else last.value


def battery_intent(
    block: Block,
    schedule: Schedule | None,
    step: int | None,
    snapshot: Snapshot,
    devices: Mapping[str, Device],
    *,
    measured_w: float | None,
    now_w: float,
    event: EventNow | None = None,
) -> Intent | None:
    """Return what the block's battery is to be told, ``None`` where it has none.

    Parameters
    ----------
    block
        The block with its limits.
    schedule, step
        A fresh plan and its present step, or ``None``.
    snapshot, devices
        Latest readings; devices by id.
    measured_w
        Import of the block now [W]; ``None`` where unknown.
    now_w
        The battery's present power [W], as by `battery_now_w`.
    event
        What an event asks of the block now.
    """
    battery = block.battery
    if battery is None:
        return None
    rule = write_rule(devices[battery.device_id], POINT)
    soc_pct = snapshot.good(battery.device_id, "soc_pct", SOC_MAX_AGE_S)
    if soc_pct is None:
        sentence = "Resting: the battery's state of charge is not known."
        return Intent(PointId(battery.device_id, POINT), rule, 0.0, Cause.NO_PLAN, sentence, 0.0)
    most_charge_w = battery.max_charge_w if soc_pct < battery.max_soc * 100.0 else 0.0
    most_discharge_w = battery.max_discharge_w if soc_pct > battery.min_soc * 100.0 else 0.0
    shared_w = _shared_w(block, snapshot, measured_w)
    without_w = None if shared_w is None else shared_w - now_w
    wish = _wish(block, schedule, step, without_w)
    power_w = max(min(wish.power_w, most_charge_w), -most_discharge_w)
    if without_w is not None:
        if power_w < 0 and not wish.may_export:
            power_w = max(power_w, -max(without_w, 0.0))
        if power_w > 0 and wish.surplus:
            power_w = min(power_w, max(-without_w, 0.0))
    if power_w > 0 and measured_w is not None and schedule is not None and wish.plan_id:
        # What homes take beyond the forecast must not come on top of planned charging.
        kept_w = battery_within(
            power_w,
            measured_w=measured_w,
            battery_now_w=now_w,
            limit_w=float(np.max(schedule.import_w)),
            max_discharge_w=0.0,
        )
        power_w = max(min(power_w, kept_w), 0.0)
    cause, also, sentence, plan_id = wish.cause, wish.also, wish.sentence, wish.plan_id
    if event is not None:
        asked_w = max(min(event.battery_w(power_w), most_charge_w), -most_discharge_w)
        if abs(asked_w - power_w) > CHANGED_W:
            cause, also, plan_id = Cause.EVENT, (), ""
            sentence = "Making up for what homes use more or less than expected in an event."
        power_w = asked_w
    for limit_w in (
        block.limits.contracted_import_w,
        block.limits.physical_import_w * BATTERY_SHARE,
        None if event is None else event.recovery_cap_w,
    ):
        if limit_w is None:
            continue
        kept_w = battery_within(
            power_w,
            measured_w=measured_w,
            battery_now_w=now_w,
            limit_w=limit_w,
            max_discharge_w=most_discharge_w,
        )
        if kept_w < power_w - CHANGED_W:
            cause, also, plan_id = Cause.IMPORT_LIMIT, (), ""
            sentence = _held_back(kept_w, measured_w)
        power_w = kept_w
    return Intent(
        PointId(battery.device_id, POINT),
        rule,
        toward_zero(power_w, rule),
        cause,
        sentence,
        0.0,
        plan_id=plan_id,
        also=also,
    )


def _held_back(kept_w: float, measured_w: float | None) -> str:
    if measured_w is None:
        return "Not charging: the building's meter cannot be read."
    if kept_w < 0:
        return "Discharging because the building's supply is nearly full."
    return "Charging less than planned because the building's supply is nearly full."


def _shared_w(block: Block, snapshot: Snapshot, measured_w: float | None) -> float | None:
    """Return net power at the meter that PV and battery share [W]."""
    if block.supply is Supply.BOUNDARY or block.landlord_meter is None:
        return measured_w
    return snapshot.good(block.landlord_meter.device_id, "power_w", POWER_MAX_AGE_S)


def _wish(
    block: Block, schedule: Schedule | None, step: int | None, without_w: float | None
) -> _Wish:
    """Return what the battery would do but for limits: the plan, else the building's own use."""
    plan = None if schedule is None else schedule.battery
    if plan is None or schedule is None or step is None:
        return _Wish(
            power_w=0.0 if without_w is None else -without_w,
            cause=Cause.NO_PLAN,
            sentence="There is no fresh plan: the battery follows the building's own use.",
            plan_id="",
            may_export=False,
        )
    cause, *also = plan.causes(step)
    # Only behind a pooled meter does the plan's net power say whether it means to export.
    exports = block.supply is Supply.BOUNDARY and float(schedule.import_w[step]) < -EXPORT_W
    return _Wish(
        power_w=float(plan.power_w[step]),
        cause=cause,
        sentence=plan.sentence[step],
        plan_id=schedule.id,
        may_export=exports or not HELPS.isdisjoint(plan.causes(step)),
        also=tuple(also),
        surplus=bool(plan.surplus) and plan.surplus[step],
    )
