"""What other events of a block leave of its battery.

What an event delivers counts against what would have been without any event. So the battery
is taken from there: from the plan without events where one was kept, less (for a turn-up:
plus) what the others were promised. Where it does otherwise than the present plan says, the
difference stays in it or is missing in it from then on:

    ``e'(t) = e(t) + sum of (b'(s) - b(s)) h``   for half-hours ``s <= t``

with ``b`` the planned and ``b'`` that power [W], ``e`` the energy [Wh], what is charged less
and what is discharged more by the loss. A battery that an event has emptied is short where
it would have worked, and has nothing to give there.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from datetime import datetime

import numpy as np

from ems.domain.events import Direction, FlexEvent, Undisturbed
from ems.domain.forecasts import FloatArray
from ems.domain.time import HALF_HOUR
from ems.flex.availability import STEP_H, BatteryFlex, BlockFlex
from ems.flex.life import RECOVERY


@dataclass(frozen=True, slots=True)
class Other:
    """Another event of the block.

    Attributes
    ----------
    event
        As it stands.
    planned
        Whether the present plan has it.
    before
        What a plan without it expected; ``None`` where none was kept.
    """

    event: FlexEvent
    planned: bool
    before: Undisturbed | None


def beside(flex: BlockFlex, others: Sequence[Other], heating_w: FloatArray) -> BlockFlex:
    """Return what is left of a block's flexibility beside other events.

    Parameters
    ----------
    flex
        By the present plan. Blocks without a battery are returned as they are.
    others
        Events in force but the one that is asked for.
    heating_w
        What the plan expects of the participants' heat pumps, hot water included [W], shape
        (slots,): where homes come back after an event they draw more than they would have.
    """
    if flex.battery is None or not others:
        return flex
    power = flex.battery.power_w.copy()
    rebound, busy = np.zeros(flex.slots), np.zeros(flex.slots, dtype=bool)
    for slot in range(flex.current, flex.slots):
        instant = flex.start + slot * HALF_HOUR
        known = [each for each in others if each.planned and _covers(each.before, instant)]
        for each in known[:1]:
            place = _place(each.before, instant)
            assert each.before is not None  # noqa: S101 - it covers; for the type checker
            power[slot] = each.before.battery_w[place]
            rebound[slot] = max(heating_w[slot] - each.before.heating_w[place], 0.0)
        for each in others:
            request = each.event.request
            over = each.event.ended_at or request.end
            busy[slot] |= request.start <= instant < over + RECOVERY
            if not request.start <= instant < over:
                continue
            rebound[slot] = 0.0
            if each.planned and not _covers(each.before, instant):
                continue  # the present plan's own figures stand, and they have it
            down = request.direction is Direction.DOWN
            power[slot] += -each.event.accepted_w if down else each.event.accepted_w
    battery = _otherwise(flex.battery, power)
    return replace(
        flex,
        battery=battery,
        margin_down_w=flex.margin_down_w + rebound,
        busy=busy,
    )


def _covers(before: Undisturbed | None, instant: datetime) -> bool:
    place = _place(before, instant)
    return before is not None and 0 <= place < min(len(before.battery_w), len(before.heating_w))


def _place(before: Undisturbed | None, instant: datetime) -> int:
    return -1 if before is None else int((instant - before.start) // HALF_HOUR)


def _otherwise(battery: BatteryFlex, power_w: FloatArray) -> BatteryFlex:
    """Return a battery that does ``power_w`` instead of what it was planned to do."""
    efficiency = battery.one_way_efficiency

    def stored(flow: FloatArray) -> FloatArray:
        return np.where(flow > 0, flow * efficiency, flow / efficiency) * STEP_H

    power_w = np.clip(power_w, -battery.max_discharge_w, battery.max_charge_w)
    changed = stored(power_w) - stored(battery.power_w)
    energy, kept = np.empty_like(battery.energy_wh), 0.0
    for slot, change in enumerate(changed):
        kept += float(change)
        energy[slot] = battery.energy_wh[slot] + kept
        # What it cannot hold or does not have, it does not carry on.
        lowest, highest = battery.min_wh, battery.max_wh
        kept = min(max(energy[slot], lowest), highest) - float(battery.energy_wh[slot])
    return replace(battery, power_w=power_w, energy_wh=energy)
