"""Why each step of a plan is what it is: a cause and one plain sentence.

Nothing is guessed afterwards: heat is compared with what the home's own thermostat would
have given from the same room temperature, prices with the prices of the steps before and
after, and a limit counts as a cause only where its dual says that it cost something.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from datetime import datetime, timedelta
from zoneinfo import ZoneInfo

import numpy as np
from numpy.typing import NDArray

from controllers.evaluation import Decision, Evaluation
from controllers.stacked import Stacked
from ems.domain.forecasts import FloatArray
from ems.domain.setpoints import Cause

NEAR_KW = 0.15
"""Heat closer to the thermostat's than this [kW] counts as the same."""
NEAR_K = 0.1
FLOW_KW = 0.02
"""Battery flow below this [kW] counts as rest."""
STEP_GBP = 0.02
STEP_SHARE = 0.15
"""A price is dearer than another by at least two pence and 15 %."""
LIMIT_GBP = 0.01
"""A limit is a cause where it lifts the marginal price by more than this [£/kWh]."""


@dataclass(frozen=True, slots=True, eq=False)
class Prices:
    """Marginal prices of a plan, from its duals [£/kWh].

    ``shared`` is of electricity at the meter that PV and battery share, shape (steps,);
    ``homes`` of electricity at each home, ``heat`` of heat in each room, shape
    (homes, steps). Limits are included. ``events`` is what a kWh less (or, of an event that
    asks for more, a kWh more) of its participants would save, shape (events, steps).
    ``peak`` and ``carbon`` are the parts that come from the charge on the highest import and
    from the price of carbon, shape (steps,).
    """

    shared: FloatArray
    homes: FloatArray
    heat: FloatArray
    events: FloatArray
    peak: FloatArray
    carbon: FloatArray


class _Times:
    """Steps as local times of day."""

    def __init__(self, model: Stacked, zone: ZoneInfo) -> None:
        problem = model.problem
        edges = np.concatenate([[0.0], np.cumsum(model.dt_h * 3600.0)])
        self._edges: list[datetime] = [
            (problem.start + timedelta(seconds=float(edge))).astimezone(zone) for edge in edges
        ]

    def text(self, step: int, seen_from: int) -> str:
        """Return the start of ``step`` as said during the step ``seen_from``."""
        at = self._edges[step]
        days = (at.date() - self._edges[seen_from].date()).days
        suffix = "" if days == 0 else " tomorrow" if days == 1 else f" on {at:%A}"
        return f"{at:%H:%M}{suffix}"


def _margin(price: float) -> float:
    return max(STEP_GBP, STEP_SHARE * abs(price))


def first_step(condition: NDArray[np.bool_], after: int) -> int | None:
    """Return the first step after ``after`` where ``condition`` is true."""
    rest = np.flatnonzero(condition[after + 1 :])
    return None if rest.size == 0 else int(rest[0]) + after + 1


def next_dearer(price: FloatArray, step: int) -> int | None:
    """Return the first later step that is clearly dearer."""
    return first_step(price >= price[step] + _margin(float(price[step])), step)


def next_cheaper(price: FloatArray, step: int) -> int | None:
    """Return the first later step that is clearly cheaper."""
    return first_step(price <= price[step] - _margin(float(price[step])), step)


def pence(price_gbp: float) -> str:
    """Return a price per kWh as people say it: ``12p``."""
    rounded = round(price_gbp * 100)
    return f"{'minus ' if rounded < 0 else ''}{abs(rounded)}p"


def degrees(temperature_c: float) -> str:
    """Return a temperature without a needless decimal: ``19 °C``, ``20.5 °C``."""
    return f"{round(temperature_c, 1):g} °C"


def home_reasons(
    model: Stacked, decision: Decision, found: Evaluation, prices: Prices, zone: ZoneInfo
) -> list[tuple[tuple[Cause, ...], tuple[str, ...]]]:
    """Return causes and sentences of each home, one of each per step."""
    times = _Times(model, zone)
    result = []
    for row in range(model.homes):
        story = _Home(model, decision, found, prices, times, row)
        told = [story.tell(step) for step in range(model.steps)]
        result.append((tuple(cause for cause, _ in told), tuple(text for _, text in told)))
    return result


class _Home:
    """One home's plan beside what its thermostat would have done."""

    def __init__(
        self,
        model: Stacked,
        decision: Decision,
        found: Evaluation,
        prices: Prices,
        times: _Times,
        row: int,
    ) -> None:
        problem = model.problem
        self.times = times
        self.heat = decision.heat_kw[row]
        self.heat_max = model.heat_max_kw[row]
        self.room = found.rooms_c[row]
        self.floor = model.floor_c[row]
        self.comfort = model.comfort_c[row]
        self.price = problem.import_gbp_per_kwh if problem.pooled else model.home_price[row]
        # Where the landlord buys for all, a tenant's own price is another one.
        self.electricity = "the building's electricity" if problem.pooled else "electricity"
        beyond = prices.homes[row] - self.price - prices.carbon
        self.limited = beyond - prices.peak > LIMIT_GBP
        self.peak = (prices.peak > LIMIT_GBP) & ~self.limited
        self.carbon = prices.carbon
        self.down = _pressing(model, prices, 1.0, row)
        self.up = _pressing(model, prices, -1.0, row)
        self.solar = (found.feeder_kw <= FLOW_KW) & (problem.pv_w > 0) & problem.pooled
        before = np.concatenate([model.room_c[row : row + 1], self.room[:-1]])
        coasting = model.decay[row] * before + model.drift_k[row] + found.pull_k[row]
        wanted = (self.comfort - coasting) / model.gain_k_per_kw[row]
        self.needed = np.clip(wanted, 0.0, self.heat_max)

    def tell(self, step: int) -> tuple[Cause, str]:
        """Return cause and sentence of one step."""
        difference = self.heat[step] - self.needed[step]
        if difference > NEAR_KW:
            return self._for_event(step) or self._ahead(step)
        if difference < -NEAR_KW:
            return self._behind(step)
        return self._as_asked(step)

    def _for_event(self, step: int) -> tuple[Cause, str] | None:
        """Return why a home heats ahead, where that is an event."""
        if self.up[step]:
            until = self.times.text(_end(self.up, step), step)
            return (
                Cause.EVENT,
                f"Heating more until {until}: your building takes up what the grid has to spare.",
            )
        resting = first_step(self.down, step)
        if resting is None or self.down[step] or self.solar[step]:
            return None
        at = self.times.text(resting, step)
        return Cause.EVENT, f"Heating ahead: your building helps the grid from {at}."

    def _ahead(self, step: int) -> tuple[Cause, str]:
        price = pence(self.price[step])
        if self.solar[step]:
            return Cause.SOLAR, "Heating now with the building's own solar power."
        dearer = next_dearer(self.price, step)
        if dearer is not None:
            later = pence(self.price[dearer])
            at = self.times.text(dearer, step)
            return (
                Cause.CHEAP_NOW,
                f"Heating now because {self.electricity} is {price} now and {later} from {at}.",
            )
        full = first_step(self.limited, step)
        if full is not None:
            return (
                Cause.IMPORT_LIMIT,
                "Heating early because the building's supply is full from "
                f"{self.times.text(full, step)}.",
            )
        return self._ahead_of_others(step) or self._a_little_ahead(step)

    def _ahead_of_others(self, step: int) -> tuple[Cause, str] | None:
        """Return why a home heats ahead, where that is the peak or carbon."""
        highest = first_step(self.peak, step)
        if highest is not None and not self.peak[step]:
            at = self.times.text(highest, step)
            return Cause.IMPORT_LIMIT, f"Heating early because the building uses most at {at}."
        cleaner = next_dearer(self.price + self.carbon, step)
        if cleaner is not None:
            at = self.times.text(cleaner, step)
            return Cause.CHEAP_NOW, f"Heating now: electricity is cleaner than it is from {at}."
        return None

    def _a_little_ahead(self, step: int) -> tuple[Cause, str]:
        price = pence(self.price[step])
        rise = first_step(self.comfort > self.comfort[step] + NEAR_K, step)
        if rise is not None:
            asked, at = degrees(self.comfort[rise]), self.times.text(rise, step)
            return Cause.SCHEDULE, f"Heating ahead so that your room is {asked} from {at}."
        return Cause.CHEAP_NOW, f"Heating a little ahead while {self.electricity} is {price}."

    def _behind(self, step: int) -> tuple[Cause, str]:
        if self.room[step] <= self.floor[step] + NEAR_K and self.heat[step] > NEAR_KW:
            return (
                Cause.COMFORT_FLOOR,
                f"Heating just enough to keep your room at {degrees(self.floor[step])}.",
            )
        if self.down[step]:
            end = _end(self.down, step)
            return (
                Cause.EVENT,
                f"Resting until {self.times.text(end, step)}: your building helps the grid; "
                f"{self._stays(step, end)}.",
            )
        if self.limited[step]:
            free = first_step(~self.limited, step)
            until = "" if free is None else f" until {self.times.text(free, step)}"
            return (
                Cause.IMPORT_LIMIT,
                f"Waiting: the building's supply is full{until}; {self._stays(step, free)}.",
            )
        if self.peak[step]:
            free = first_step(~self.peak, step)
            until = "" if free is None else f" until {self.times.text(free, step)}"
            return (
                Cause.IMPORT_LIMIT,
                f"Waiting{until}, while the building uses most; {self._stays(step, free)}.",
            )
        return self._coasting(step)

    def _coasting(self, step: int) -> tuple[Cause, str]:
        cheaper = next_cheaper(self.price, step)
        price = pence(self.price[step])
        if cheaper is None:
            return (
                Cause.DEAR_NOW,
                f"Letting the room coast: {self.electricity} is {price}; "
                f"{self._stays(step, None)}.",
            )
        until = self.times.text(cheaper, step)
        return (
            Cause.DEAR_NOW,
            f"Letting the room coast: {self.electricity} is {price} until {until}; "
            f"{self._stays(step, cheaper)}.",
        )

    def _as_asked(self, step: int) -> tuple[Cause, str]:
        asked = degrees(self.comfort[step])
        if self.heat[step] > NEAR_KW:
            if self.heat[step] >= self.heat_max[step] - NEAR_KW / 2 and (
                self.room[step] < self.comfort[step] - NEAR_K
            ):
                return Cause.SCHEDULE, f"Heating at full power to reach the {asked} you asked for."
            return Cause.SCHEDULE, f"Heating to the {asked} you asked for."
        if self.room[step] > self.comfort[step] + NEAR_K:
            if next_cheaper(self.price, step) is not None:
                return self._coasting(step)
            return Cause.HOLD, f"Your room is above the {asked} you asked for; the heating rests."
        return Cause.SCHEDULE, f"Your room holds the {asked} you asked for with little heating."

    def _stays(self, step: int, until: int | None) -> str:
        end = step + 1 if until is None else until
        lowest = float(np.min(self.room[step:end]))
        return f"your room stays at {degrees(math.floor((lowest + 0.05) * 2) / 2)} or above"


def _pressing(model: Stacked, prices: Prices, sign: float, home: int | None) -> NDArray[np.bool_]:
    """Return in which steps an event steers a home, or the battery with ``home=None``."""
    result = np.zeros(model.steps, dtype=np.bool_)
    for event, price in zip(model.events, prices.events, strict=True):
        takes_part = event.battery if home is None else bool(np.any(event.homes == home))
        if takes_part and event.sign == sign:
            result |= price > LIMIT_GBP
    return result


def _end(condition: NDArray[np.bool_], step: int) -> int:
    """Return the step in which a condition that holds at ``step`` holds no longer."""
    end = first_step(~condition, step)
    return condition.size if end is None else end


def battery_reasons(
    model: Stacked, decision: Decision, found: Evaluation, prices: Prices, zone: ZoneInfo
) -> tuple[tuple[Cause, ...], tuple[str, ...]]:
    """Return causes and sentences of the battery, one of each per step."""
    if model.problem.battery is None:
        return (), ()
    times = _Times(model, zone)
    told = [_battery(model, decision, found, prices, times, step) for step in range(model.steps)]
    return tuple(cause for cause, _ in told), tuple(text for _, text in told)


def _battery(
    model: Stacked,
    decision: Decision,
    found: Evaluation,
    prices: Prices,
    times: _Times,
    step: int,
) -> tuple[Cause, str]:
    flow = float(decision.battery_kw[step])
    price = model.problem.import_gbp_per_kwh
    limited = prices.shared - price - prices.carbon - prices.peak > LIMIT_GBP
    peak = (prices.peak > LIMIT_GBP) & ~limited
    told = _battery_in_event(model, prices, times, step, flow)
    if told is not None:
        return told
    if flow > FLOW_KW:
        if flow - found.shared_kw[step] >= 0.8 * flow:
            return Cause.SOLAR, "Charging from the building's own solar power."
        return _charging(price, limited, times, step)
    if flow < -FLOW_KW:
        if limited[step]:
            return Cause.IMPORT_LIMIT, "Discharging to keep the building within its supply."
        high = peak[step] and next_cheaper(price, step) is None
        said = "Discharging while the building uses most."
        if not high:
            said = f"Discharging because electricity is {pence(price[step])} now."
        return Cause.DEAR_NOW, said
    return Cause.HOLD, _resting(model, found, step)


def _battery_in_event(
    model: Stacked, prices: Prices, times: _Times, step: int, flow: float
) -> tuple[Cause, str] | None:
    """Return why the battery does what it does, where that is an event."""
    price = model.problem.import_gbp_per_kwh
    down = _pressing(model, prices, 1.0, None)
    up = _pressing(model, prices, -1.0, None)
    if flow < -FLOW_KW and down[step]:
        until = times.text(_end(down, step), step)
        return Cause.EVENT, f"Discharging until {until}: the building helps the grid."
    if flow > FLOW_KW and up[step]:
        until = times.text(_end(up, step), step)
        return Cause.EVENT, f"Charging until {until} with what the grid has to spare."
    helps = first_step(down, step)
    if flow > FLOW_KW and helps is not None and not _first_dearer_before(price, step, helps):
        return (
            Cause.EVENT,
            f"Charging because the building helps the grid from {times.text(helps, step)}.",
        )
    return None


def _first_dearer_before(price: FloatArray, step: int, other: int) -> bool:
    dearer = next_dearer(price, step)
    return dearer is not None and dearer < other


def _charging(
    price: FloatArray, limited: NDArray[np.bool_], times: _Times, step: int
) -> tuple[Cause, str]:
    now = pence(price[step])
    dearer = next_dearer(price, step)
    full = first_step(limited, step)
    if dearer is not None:
        later, at = pence(price[dearer]), times.text(dearer, step)
        return Cause.CHEAP_NOW, f"Charging because electricity is {now} now and {later} from {at}."
    if full is not None:
        at = times.text(full, step)
        return Cause.IMPORT_LIMIT, f"Charging because the building's supply is full from {at}."
    return Cause.CHEAP_NOW, f"Charging while electricity is {now}."


def _resting(model: Stacked, found: Evaluation, step: int) -> str:
    battery = model.problem.battery
    if battery is not None:
        energy_wh = found.energy_kwh[step] * 1000.0
        if energy_wh >= battery.max_wh * 0.99:
            return "Resting: the battery is full."
        if energy_wh <= battery.min_wh + 0.01 * battery.max_wh:
            return "Resting: the battery is down to its reserve."
    return "Resting: nothing to gain by charging or discharging now."
