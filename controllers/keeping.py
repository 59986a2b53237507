"""Keeping a promise, minute by minute: what the battery does, and what homes must give.

A promise is a change against what would have happened. Base load happens either way, so only
heat pumps and battery count. The battery goes from what it would have done without the event,
by a plan kept from before, to so much less (or more) as is promised, with a margin:

    ``battery = without - (promised + margin - homes)``            for a turn-down

``homes`` is what the meters show that homes give for certain: their heat pumps draw so much
less than the least they would have drawn. It is never negative: to make a home rest does not
make it draw more, but for its coming and going, which the margin covers. For a turn-up homes
count for nothing beside a battery: that they draw much may be the morning's doing. The margin
gives way first where the battery could not keep it to the end; where it cannot keep the
promise either, homes rest more.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta

from controllers.battery import POWER_MAX_AGE_S, SOC_MAX_AGE_S, Ask
from controllers.events import Target, ends_at, promised_w, slot_at
from ems.domain.estate import Block
from ems.domain.readings import Snapshot
from ems.domain.time import HALF_HOUR, floor_to

METERED_SHARE = 0.8
"""Less than this share of the homes measured, and nothing is corrected by measurements."""
HALVINGS = 20


@dataclass(frozen=True, slots=True)
class Keeping:
    """How the promises of one direction are kept now.

    Attributes
    ----------
    targets
        Of the events.
    ask
        Of the battery; ``None`` where it takes no part or too little is known.
    missing_w
        What homes must give beyond the plan [W]; negative where they need not.
    """

    targets: tuple[Target, ...]
    ask: Ask | None
    missing_w: float

    @property
    def down(self) -> bool:
        """Whether less import is asked for."""
        return self.targets[0].down


def keeping(
    block: Block, targets: Sequence[Target], snapshot: Snapshot, now: datetime
) -> tuple[Keeping, ...]:
    """Return how the promises of either direction are kept now.

    Parameters
    ----------
    block, targets
        The block, and what its running events ask.
    snapshot, now
        Latest readings; UTC.
    """
    groups = [[target for target in targets if target.down is down] for down in (True, False)]
    return tuple(_keeping(block, group, snapshot, now) for group in groups if group)


def _keeping(block: Block, targets: Sequence[Target], snapshot: Snapshot, now: datetime) -> Keeping:
    promised = sum(target.promised_w for target in targets)
    margin = max(target.margin_w for target in targets)
    # Events that overlap have the same homes but for those that came or went in between.
    most = max(targets, key=lambda target: len(target.homes))
    homes_w, pumps_w = _measured(block, most, snapshot)
    down = most.down
    known = most.before
    slot = None if known is None else slot_at(known, now)
    with_battery = [target for target in targets if target.event.battery_takes_part]
    if known is None or slot is None:
        return _by_reference(block, most, bool(with_battery), homes_w, promised, margin)
    # Homes that were not planned then, or dropped out since, count like the mean of the others.
    share = len(most.homes) / known.homes if known.homes else 1.0
    if down:
        least = known.heating_low_w[slot] if known.heating_low_w else known.heating_w[slot]
        given = 0.0 if pumps_w is None else share * least - pumps_w
    else:
        most_w = known.heating_high_w[slot] if known.heating_high_w else known.heating_w[slot]
        given = 0.0 if pumps_w is None else pumps_w - share * most_w
    if not with_battery or block.battery is None:
        return Keeping(tuple(targets), None, promised - given)
    kept, short = _affordable_w(block, with_battery, snapshot, now, margin)
    sure = max(given, 0.0) if down else 0.0
    ask = Ask(down, known.battery_w[slot], promised + kept, sure)
    return Keeping(tuple(targets), ask, short - sure)


def _by_reference(
    block: Block,
    target: Target,
    with_battery: bool,
    homes_w: float | None,
    promised_w: float,
    margin_w: float,
) -> Keeping:
    """Go by the reference frozen at acceptance where no plan without the event is at hand."""
    if target.limit_w is None or homes_w is None:
        return Keeping((target,), None, 0.0)
    wanted = target.limit_w - homes_w
    if not with_battery or block.battery is None:
        return Keeping((target,), None, -wanted if target.down else wanted)
    change = promised_w + margin_w
    without = wanted + change if target.down else wanted - change
    missing = -wanted - block.battery.max_discharge_w
    return Keeping((target,), Ask(target.down, without, change, 0.0), missing)


def _affordable_w(
    block: Block, targets: Sequence[Target], snapshot: Snapshot, now: datetime, margin_w: float
) -> tuple[float, float]:
    """Return the margin that the battery can keep to the end, and what is short of the promise.

    Both [W], evenly over what is left. Where its charge is not known, all of the margin.
    """
    battery = block.battery
    soc_pct = (
        None if battery is None else snapshot.good(battery.device_id, "soc_pct", SOC_MAX_AGE_S)
    )
    if battery is None or soc_pct is None:
        return margin_w, 0.0
    down, efficiency = targets[0].down, battery.one_way_efficiency
    if down:
        most_w = battery.max_discharge_w
        left_wh = battery.capacity_wh * (soc_pct / 100.0 - battery.min_soc) * efficiency
    else:
        most_w = battery.max_charge_w
        left_wh = battery.capacity_wh * (battery.max_soc - soc_pct / 100.0) / efficiency
    left_wh = max(left_wh, 0.0)
    ahead = list(_ahead(targets, now))

    def needed_wh(margin: float) -> float:
        sign = -1.0 if down else 1.0
        return sum(
            hours * min(max(sign * without + promised + margin, 0.0), most_w)
            for hours, without, promised in ahead
        )

    if needed_wh(margin_w) <= left_wh:
        return margin_w, 0.0
    bare_wh = needed_wh(0.0)
    if bare_wh > left_wh:
        hours = sum(each[0] for each in ahead)
        return 0.0, (bare_wh - left_wh) / max(hours, 1.0 / 60.0)
    low, high = 0.0, margin_w
    for _ in range(HALVINGS):
        middle = (low + high) / 2.0
        if needed_wh(middle) <= left_wh:
            low = middle
        else:
            high = middle
    return low, 0.0


def _ahead(targets: Sequence[Target], now: datetime) -> list[tuple[float, float, float]]:
    """Return hours, the battery's power without events [W] and the promise [W] of what is left."""
    last = max(ends_at(target.event) for target in targets)
    found = []
    begin = now
    while begin < last:
        end = min(floor_to(begin) + HALF_HOUR, last)
        without = 0.0
        for target in targets:
            slot = None if target.before is None else slot_at(target.before, begin)
            if target.before is not None and slot is not None:
                without = target.before.battery_w[slot]
                break
        promised = sum(promised_w(target.event, begin) for target in targets)
        found.append(((end - begin) / timedelta(hours=1), without, promised))
        begin = end
    return found


def _measured(
    block: Block, target: Target, snapshot: Snapshot
) -> tuple[float | None, float | None]:
    """Return the import of an event's homes and of their heat pumps [W].

    A home that cannot be read counts like the mean of the others.
    """
    meters: list[float | None] = []
    pumps: list[float | None] = []
    for home in block.dwellings:
        if home.id in target.homes:
            meters.append(snapshot.good(home.meter.device_id, "power_w", POWER_MAX_AGE_S))
            pump = home.heat_pump.power_device_id
            pumps.append(snapshot.good(pump, "power_w", POWER_MAX_AGE_S))
    return _sum_w(meters, len(target.homes)), _sum_w(pumps, len(target.homes))


def _sum_w(values: Sequence[float | None], homes: int) -> float | None:
    seen = [value for value in values if value is not None]
    if not seen or len(seen) < METERED_SHARE * homes:
        return None
    return sum(seen) * homes / len(seen)
