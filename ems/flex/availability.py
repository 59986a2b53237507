"""What a block can promise: kW down and up per half-hour, and for how long.

Maths. For home *i* in half-hour *t* the plan draws ``p`` [W] at a coefficient of
performance ``cop`` in a room of ``T`` [°C]. It can give up ``p`` while its room stays at or
above the lowest temperature that an event may bring it to, so over an event it gives up at
most ``C (T - T_low) / (3600 cop)`` [Wh] of electricity; and it can take more until its room
is at the highest. ``C`` is the heat capacity [J/K]. This leaves out that a cooler room loses
less, so it promises rather less than there is.

The tenth percentile: heat pumps draw less on a warmer day, so ``p`` is taken at the outdoor
forecast's 90 % value for a turn-down, and room for more at its 10 % value for a turn-up.

The battery fills what the homes leave, within its power, its reserve and what it can charge
before the event starts. What the block's own use may differ by from its plan is taken off
(`BlockFlex.margin_w`), in power and in energy, so that what is offered holds at the stated
confidence. ``home_share`` says how much of what the homes could give is offered: none beside
a battery, for homes that would have rested anyway, or come back in mid-event, give nothing.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import datetime

import numpy as np
import numpy.typing as npt

from ems.domain.events import Direction
from ems.domain.forecasts import FloatArray

STEP_H = 0.5
_SEARCH = 40


@dataclass(frozen=True, slots=True, eq=False)
class HomeFlex:
    """One home's plan over the coming half-hours, and its bounds; arrays of shape (slots,).

    Attributes
    ----------
    dwelling_id
        Which home.
    base_w
        Everything but heating the rooms: household and hot water, mean forecast [W].
    power_w
        Planned electric power of heating [W].
    low_power_w, high_power_w
        The same on a warmer and on a colder day: 10 % and 90 % [W].
    max_power_w
        Greatest electric power of heating [W].
    spare_wh, room_wh
        Electricity it could give up, and take more, from then on without leaving its range
        of room temperatures [Wh].
    can_turn_down
        Whether Hearth may make it draw less than its own thermostat would.
    """

    dwelling_id: str
    base_w: FloatArray = field(repr=False)
    power_w: FloatArray = field(repr=False)
    low_power_w: FloatArray = field(repr=False)
    high_power_w: FloatArray = field(repr=False)
    max_power_w: FloatArray = field(repr=False)
    spare_wh: FloatArray = field(repr=False)
    room_wh: FloatArray = field(repr=False)
    can_turn_down: bool = True


@dataclass(frozen=True, slots=True, eq=False)
class BatteryFlex:
    """The battery's plan: power [W, charging positive] and energy at each slot's end [Wh]."""

    power_w: FloatArray = field(repr=False)
    energy_wh: FloatArray = field(repr=False)
    min_wh: float
    max_wh: float
    max_charge_w: float
    max_discharge_w: float
    one_way_efficiency: float


@dataclass(frozen=True, slots=True, eq=False)
class BlockFlex:
    """A block's plan over half-hours from ``start`` (UTC), without what cannot take part.

    ``import_w`` is at the feeder; ``import_limit_w`` and ``export_limit_w`` bound it [W].
    ``current`` is the place of the running half-hour: what lies before it has passed.
    ``margin_down_w`` and ``margin_up_w`` are kept back in each half-hour [W], scalars or of
    shape (slots,); ``load_doubt_w`` is what homes may draw beyond the plan [W], likewise.
    Where ``busy`` other events run or homes come back, nothing can be charged for this one.
    """

    block_id: str
    start: datetime
    homes: tuple[HomeFlex, ...]
    battery: BatteryFlex | None
    import_w: FloatArray = field(repr=False)
    import_limit_w: float
    export_limit_w: float
    current: int = 0
    margin_down_w: FloatArray | float = 0.0
    margin_up_w: FloatArray | float = 0.0
    load_doubt_w: FloatArray | float = 0.0
    home_share: float = 1.0
    busy: npt.NDArray[np.bool_] | bool = False

    def margin_w(self, direction: Direction, first: int, count: int) -> FloatArray:
        """Return what is kept back in ``count`` half-hours from ``first`` [W]."""
        kept = self.margin_down_w if direction is Direction.DOWN else self.margin_up_w
        return np.broadcast_to(np.asarray(kept, dtype=float), (self.slots,))[first : first + count]

    @property
    def slots(self) -> int:
        """How many half-hours."""
        return len(self.import_w)

    def reference_w(self, first: int, count: int) -> FloatArray:
        """Return the participants' planned import in ``count`` half-hours from ``first`` [W]."""
        total = np.zeros(count)
        for home in self.homes:
            total += (home.base_w + home.power_w)[first : first + count]
        if self.battery is not None:
            total += self.battery.power_w[first : first + count]
        return total


def sustained_w(flex: BlockFlex, direction: Direction, first: int, count: int) -> float:
    """Return the greatest change that can be kept over ``count`` half-hours from ``first`` [W].

    0 where the plan does not reach so far.
    """
    if count < 1 or first < 0 or first + count > flex.slots:
        return 0.0
    span = slice(first, first + count)
    homes = _homes_w(flex.homes, direction, span) * flex.home_share
    homes = homes - flex.margin_w(direction, first, count)
    feeder = _feeder_w(flex, direction, span)
    if flex.battery is None:
        return float(max(0.0, np.minimum(homes, feeder).min()))
    power, energy = _battery_bounds(flex, flex.battery, direction, first, count)
    low, high = 0.0, float(max(0.0, np.minimum(homes + power, feeder).min()))
    if _battery_can(np.maximum(high - homes, 0.0), power, energy):
        return high
    for _ in range(_SEARCH):
        middle = (low + high) / 2
        if _battery_can(np.maximum(middle - homes, 0.0), power, energy):
            low = middle
        else:
            high = middle
    return low


def longest_slots(flex: BlockFlex, direction: Direction, first: int, power_w: float) -> int:
    """Return for how many half-hours from ``first`` a change of ``power_w`` [W] can be kept."""
    count = 0
    while (
        first + count < flex.slots
        and sustained_w(flex, direction, first, count + 1) >= power_w - 1e-6
    ):
        count += 1
    return count


def each_slot_w(flex: BlockFlex, direction: Direction) -> tuple[float, ...]:
    """Return the greatest change in each half-hour by itself [W]."""
    return tuple(sustained_w(flex, direction, slot, 1) for slot in range(flex.slots))


def _homes_w(homes: Sequence[HomeFlex], direction: Direction, span: slice) -> FloatArray:
    """Return what the homes can give together in each half-hour of a span [W]."""
    total = np.zeros(span.stop - span.start)
    for home in homes:
        if direction is Direction.DOWN:
            if not home.can_turn_down:
                continue
            offered = home.low_power_w[span]
            budget = float(home.spare_wh[span].min())
        else:
            offered = np.maximum(home.max_power_w[span] - home.high_power_w[span], 0.0)
            budget = float(home.room_wh[span].min())
        wanted = float(offered.sum()) * STEP_H
        if wanted > 0 and budget > 0:
            total += offered * min(1.0, budget / wanted)
    return total


def _feeder_w(flex: BlockFlex, direction: Direction, span: slice) -> FloatArray:
    if direction is Direction.DOWN:
        return np.maximum(flex.import_w[span] + flex.export_limit_w, 0.0)
    return np.maximum(flex.import_limit_w - _heaviest_w(flex)[span], 0.0)


def _heaviest_w(flex: BlockFlex) -> FloatArray:
    """Return the import at the feeder where homes draw the most that is foreseen [W]."""
    return np.asarray(flex.import_w + flex.load_doubt_w)


def _battery_bounds(
    flex: BlockFlex, battery: BatteryFlex, direction: Direction, first: int, count: int
) -> tuple[FloatArray, FloatArray]:
    """Return the battery's change of power [W] and its cumulative energy at the grid [Wh]."""
    span, before = slice(first, first + count), slice(min(flex.current, first), first)
    efficiency = battery.one_way_efficiency
    if direction is Direction.DOWN:
        power = np.maximum(battery.power_w[span] + battery.max_discharge_w, 0.0)
        stored = battery.energy_wh[span] - battery.min_wh
        spare = np.minimum(
            battery.max_charge_w - battery.power_w[before],
            flex.import_limit_w - _heaviest_w(flex)[before],
        )
        free = ~np.broadcast_to(np.asarray(flex.busy, dtype=bool), (flex.slots,))[before]
        top_up = float(np.maximum(spare * free, 0.0).sum()) * STEP_H * efficiency
        fullest = float(battery.energy_wh[before].max(initial=battery.min_wh))
        headroom = max(battery.max_wh - max(fullest, float(battery.energy_wh[span].max())), 0.0)
        stored = stored + min(top_up, headroom)
        return power, np.maximum(stored, 0.0) * efficiency
    power = np.maximum(battery.max_charge_w - battery.power_w[span], 0.0)
    return power, np.maximum(battery.max_wh - battery.energy_wh[span], 0.0) / efficiency


def _battery_can(wanted: FloatArray, power: FloatArray, energy: FloatArray) -> bool:
    return bool(
        np.all(wanted <= power + 1e-9) and np.all(np.cumsum(wanted) * STEP_H <= energy + 1e-6)
    )
