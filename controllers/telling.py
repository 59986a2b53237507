"""The causes of a plan's steps in plain words, a sentence each.

What is said of hours, prices and temperatures is read off the problem and the plan: which hour is
dearer, when an event begins, when the supply is full. Which of it is said follows from the causes
that :mod:`controllers.causes` found.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import replace
from datetime import datetime, timedelta
from zoneinfo import ZoneInfo

import numpy as np
from numpy.typing import NDArray

from controllers.causes import NEAR_W, Again, Found, Grid, Setpoints, find
from controllers.following import IDLE_SHARE, SG_NORMAL
from controllers.reasons import degrees, first_step, next_cheaper, next_dearer, pence
from ems.domain.events import Direction
from ems.domain.forecasts import FloatArray
from ems.domain.plans import BatteryPlan, HomePlan, HomeProblem, Schedule, SchedulingProblem
from ems.domain.reasons import Course
from ems.domain.setpoints import Cause

PART_OF_IT = {
    Cause.COMFORT_FLOOR: "the least your room may be",
    Cause.EVENT: "helping the grid",
    Cause.PEAK: "the building's highest use",
    Cause.IMPORT_LIMIT: "what the building's supply carries",
    Cause.SCHEDULE: "what you asked for",
    Cause.CHEAP_NOW: "what electricity costs",
    Cause.DEAR_NOW: "what electricity costs",
    Cause.CARBON: "how clean electricity is",
    Cause.SOLAR: "the building's own solar power",
    Cause.MILD_NOW: "how mild it is outside",
    Cause.HOT_WATER: "hot water",
    Cause.BATTERY_FULL: "how much the battery holds",
    Cause.BATTERY_LOW: "what is left in the battery",
}
"""Further causes of a setpoint, as a sentence goes on to name them."""
MOST_NAMED = 2
"""So many of them; all are kept for machines."""


def explained(
    problem: SchedulingProblem,
    plan: Schedule,
    grid: Mapping[str, Grid],
    again: Again,
    zone: ZoneInfo,
) -> Schedule:
    """Return a plan whose steps say their causes, each found by planning again without it.

    Parameters
    ----------
    problem, plan
        What was asked, and the plan that was found.
    grid
        How finely each home's heat pump is told, by home.
    again
        Plans a problem; nothing where time is up: then the plan stays as it is.
    zone
        Of the times of day in sentences.
    """
    if plan.status == "fallback":
        return plan
    found = find(problem, plan, grid, again)
    if found is None:
        return plan
    facts = _Facts(problem, plan, zone)
    homes = []
    for row, home in enumerate(problem.homes):
        own = plan.home(home.dwelling_id)
        if own is not None:
            homes.append(_Home(facts, found, home, own, row).told())
    battery = plan.battery
    if battery is not None and problem.battery is not None:
        battery = _Battery(facts, found, battery).told()
    return replace(plan, homes=tuple(homes), battery=battery)


class _Facts:
    """Hours of a block at which something begins, holds or ends."""

    def __init__(self, problem: SchedulingProblem, plan: Schedule, zone: ZoneInfo) -> None:
        self.problem, self.plan = problem, plan
        edges = np.concatenate([[0.0], np.cumsum(problem.step_s)])
        self._edges: list[datetime] = [
            (problem.start + timedelta(seconds=float(edge))).astimezone(zone) for edge in edges
        ]
        nothing = np.zeros(len(problem.step_s), dtype=np.bool_)
        self.full = nothing.copy()
        if plan.limits is not None:
            self.full |= plan.import_w >= plan.limits.kept_w - NEAR_W
        self.highest = nothing.copy()
        for peak in problem.peaks:
            inside = np.asarray(peak.steps, dtype=np.bool_)
            top_w = float(np.max(plan.import_w[inside], initial=0.0))
            self.highest |= inside & (plan.import_w >= top_w - NEAR_W)
        recovery = problem.recovery_import_w
        self.recovering = nothing if recovery is None else np.isfinite(recovery)
        carbon = problem.carbon_gbp_per_kwh
        self.carbon = nothing.astype(np.float64) if carbon is None else carbon
        self.sun = problem.pv_w > NEAR_W
        self.surplus = self.sun & (plan.import_w <= NEAR_W)

    def when(self, step: int, seen_from: int) -> str:
        """Return the start of ``step`` as said during the step ``seen_from``."""
        at = self._edges[step]
        days = (at.date() - self._edges[seen_from].date()).days
        suffix = "" if days == 0 else " tomorrow" if days == 1 else f" on {at:%A}"
        return f"{at:%H:%M}{suffix}"

    def asked(self, direction: Direction, home: str | None) -> NDArray[np.bool_]:
        """Return the steps in which events ask something of a home, or of the battery."""
        result = np.zeros(len(self.problem.step_s), dtype=np.bool_)
        for event in self.problem.events:
            takes_part = event.battery if home is None else home in event.participants
            if takes_part and event.direction is direction:
                result |= np.isfinite(event.limit_w)
        return result


class _Story:
    """One device's steps: finds the sentence of each cause by its name."""

    def __init__(self, facts: _Facts, price: FloatArray, name: str | None) -> None:
        self.facts = facts
        self.price = price
        self.down = facts.asked(Direction.DOWN, name)
        self.up = facts.asked(Direction.UP, name)

    def ends(self, holds: NDArray[np.bool_], step: int) -> int:
        """Return the step in which what holds at ``step`` holds no longer."""
        end = first_step(~holds, step)
        return holds.size if end is None else end

    def at(self, step: int | None, now: int, word: str) -> str:
        """Return e.g. ``from 17:00`` for a step, nothing for none."""
        return "" if step is None else f" {word} {self.facts.when(step, now)}"

    @staticmethod
    def with_all(sentence: str, causes: tuple[Cause, ...]) -> str:
        """Return a sentence that also names the causes beside the chief one."""
        parts = list(dict.fromkeys(PART_OF_IT[cause] for cause in causes[1:]))[:MOST_NAMED]
        if not parts:
            return sentence
        named = " and ".join(parts)
        plays = "plays" if len(parts) == 1 else "play"
        return f"{sentence[:-1]}; {named} {plays} a part too."


def otherwise(found: Found, causes: tuple[Cause, ...]) -> Setpoints | None:
    """Return the setpoints without a chief cause, alone or with the one it was found with."""
    if causes[:1] in found.otherwise:
        return found.otherwise[causes[:1]]
    for together, setpoints in found.otherwise.items():
        if set(together) == set(causes):
            return setpoints
    return None


def _floor(floor_c: float) -> str:
    """Return a floor without the margin that plans keep over it."""
    return degrees(math.floor(floor_c * 2.0 + 0.01) / 2.0)


class _Home(_Story):
    """One home's steps beside what they would be without their causes."""

    def __init__(
        self, facts: _Facts, found: Found, home: HomeProblem, own: HomePlan, row: int
    ) -> None:
        pooled = facts.problem.pooled
        price = facts.problem.import_gbp_per_kwh if pooled else home.price_gbp_per_kwh
        super().__init__(facts, price, home.dwelling_id)
        # Where the landlord buys for all, a tenant's own price is another one.
        self.power = "the building's electricity" if pooled else "electricity"
        self.home, self.own, self.row, self.found = home, own, row, found
        self.heating = own.heat_w > IDLE_SHARE * np.maximum(home.heat_max_w, 1.0)
        self.comfort = np.maximum(home.comfort_c, home.floor_c)

    def told(self) -> HomePlan:
        """Return the home's plan with all causes and sentences."""
        told = [self._step(step) for step in range(len(self.own.heat_w))]
        return replace(
            self.own,
            cause=tuple(causes[0] for causes, _ in told),
            also=tuple(causes[1:] for causes, _ in told),
            sentence=tuple(sentence for _, sentence in told),
        )

    def _step(self, step: int) -> tuple[tuple[Cause, ...], str]:
        causes = self.found.homes[self.row][step]
        if not causes:
            return (Cause.HOLD,), self._as_asked(step)
        there = otherwise(self.found, causes)
        less = (
            there is not None and there.homes[self.row, step] > self.found.now.homes[self.row, step]
        )
        if less:
            causes = tuple(Cause.DEAR_NOW if c is Cause.CHEAP_NOW else c for c in causes)
        say = self._less if less else self._more
        return causes, self.with_all(say(causes[0], step), causes)

    def _more(self, cause: Cause, step: int) -> str:  # noqa: PLR0911 - one return a sentence
        """Return why a home is told to be warmer than it would be."""
        facts = self.facts
        verb = "Heating" if self.heating[step] else "Keeping the room warmer"
        if cause is Cause.CHEAP_NOW:
            price, later = pence(self.price[step]), next_dearer(self.price, step)
            if later is None:
                return f"{verb} while {self.power} is {price}."
            then = f"{pence(self.price[later])} from {facts.when(later, step)}"
            return f"{verb} now because {self.power} is {price} now and {then}."
        if cause is Cause.EVENT:
            if self.up[step]:
                until = facts.when(self.ends(self.up, step), step)
                return f"{verb} more until {until}: your building takes up what the grid spares."
            starts = self.at(first_step(self.down, step), step, "from")
            return f"{verb} ahead: your building helps the grid{starts}."
        if cause is Cause.IMPORT_LIMIT:
            starts = self.at(first_step(facts.full, step), step, "from")
            return f"{verb} early because the building's supply is full{starts}."
        if cause is Cause.PEAK:
            at = self.at(first_step(facts.highest, step), step, "at")
            return f"{verb} early because the building uses most{at}."
        if cause is Cause.CARBON:
            starts = self.at(next_dearer(facts.carbon, step), step, "from")
            return f"{verb} now: electricity is cleaner than it is later{starts}."
        return self._more_at_home(cause, step, verb)

    def _more_at_home(self, cause: Cause, step: int, verb: str) -> str:
        floor = _floor(float(self.home.floor_c[step]))
        if cause is Cause.SOLAR:
            own = "with" if self.facts.surplus[step] else "to make the best of"
            return f"{verb} now {own} the building's own solar power."
        if cause is Cause.MILD_NOW:
            return f"{verb} now while it is milder outside and heat takes less electricity."
        if cause is Cause.HOT_WATER:
            return f"{verb} ahead because the heat pump is needed for hot water."
        if cause is Cause.COMFORT_FLOOR:
            if self.heating[step] and self.comfort[step] > self.home.floor_c[step] + 0.1:
                return f"{verb} so that your room stays at {floor} or above."
            return self._at_floor(step, floor)
        return self._as_asked(step)

    def _less(self, cause: Cause, step: int) -> str:  # noqa: PLR0911 - one return a sentence
        """Return why a home is told to be less warm than it would be."""
        facts = self.facts
        verb = "Heating less" if self.heating[step] else "Letting the room coast"
        if cause is Cause.DEAR_NOW:
            price, later = pence(self.price[step]), next_cheaper(self.price, step)
            until = self.at(later, step, "until")
            return f"{verb}: {self.power} is {price}{until}; {self._stays(step, later)}."
        if cause is Cause.EVENT:
            return self._less_for_event(step)
        if cause in (Cause.IMPORT_LIMIT, Cause.PEAK):
            held = facts.full if cause is Cause.IMPORT_LIMIT else facts.highest
            why = "supply is full" if cause is Cause.IMPORT_LIMIT else "use is highest"
            if held[step]:
                free = first_step(~held, step)
                until = self.at(free, step, "until")
                return f"Waiting: the building's {why}{until}; {self._stays(step, free)}."
            return (
                f"{verb}, for the building's {why}{self.at(first_step(held, step), step, 'from')}."
            )
        later = None
        why = "of the resident's schedule"
        if cause is Cause.CARBON:
            later = next_cheaper(facts.carbon, step)
            why = f"electricity is cleaner later{self.at(later, step, 'from')}"
        elif cause is Cause.SOLAR:
            later = first_step(facts.sun, step)
            why = f"the building's own solar power comes{self.at(later, step, 'from')}"
        elif cause is Cause.MILD_NOW:
            why = "it is milder outside later and heat takes less electricity then"
        elif cause is Cause.HOT_WATER:
            why = "the heat pump is needed for hot water"
        elif cause is Cause.COMFORT_FLOOR:
            return self._at_floor(step, _floor(float(self.home.floor_c[step])))
        else:
            return self._as_asked(step)
        return f"{verb}: {why}; {self._stays(step, later)}."

    def _less_for_event(self, step: int) -> str:
        facts = self.facts
        if self.down[step]:
            end = self.ends(self.down, step)
            until = facts.when(end, step)
            why = f"your building helps the grid; {self._stays(step, end)}"
            return f"Resting until {until}: {why}."
        if facts.recovering[step]:
            until = facts.when(self.ends(facts.recovering, step), step)
            return f"Coming back gently until {until} after your building helped the grid."
        starts = self.at(first_step(self.up, step), step, "from")
        if starts:
            return f"Waiting: your building takes up what the grid spares{starts}."
        return f"Heating less because your building helps the grid; {self._stays(step, None)}."

    def _as_asked(self, step: int) -> str:  # noqa: PLR0911 - one return a sentence
        asked = degrees(float(self.comfort[step]))
        room_c, heat_w = float(self.own.room_c[step]), float(self.own.heat_w[step])
        course = self.own.course[step] if self.own.course else Course.AS_ASKED
        if self.found.now.homes[self.row, step] == SG_NORMAL:
            return f"Your heating keeps to the {asked} you asked for by its own thermostat."
        if course is Course.BEHIND or (
            room_c > self.comfort[step] + 0.1 and not self.heating[step]
        ):
            if room_c > self.comfort[step]:
                return f"Your room is above the {asked} you asked for; the heating rests."
            return f"The heating rests a while; {self._stays(step, None)}."
        if not self.heating[step]:
            return f"Your room holds the {asked} you asked for with little heating."
        short = room_c < self.comfort[step] - 0.1
        if short and heat_w >= 0.95 * float(self.home.heat_max_w[step]):
            return f"Heating at full power to reach the {asked} you asked for."
        rise = first_step(self.comfort > self.comfort[step] + 0.1, step)
        if rise is not None and room_c > self.comfort[step] + 0.1:
            warmer, at = degrees(float(self.comfort[rise])), self.facts.when(rise, step)
            return f"Heating ahead so that your room is {warmer} from {at}."
        return f"Heating to the {asked} you asked for."

    def _at_floor(self, step: int, floor: str) -> str:
        warm = float(self.own.room_c[step]) > self.home.floor_c[step] + 0.3
        if warm and not self.heating[step]:
            return f"The heating rests: {self._stays(step, None)}; {floor} is the least it may be."
        kept = "kept clear of" if warm else "kept at"
        return f"Your room is {kept} {floor}, the least it may be."

    def _stays(self, step: int, until: int | None) -> str:
        end = step + 1 if until is None else until
        lowest = float(np.min(self.own.room_c[step:end]))
        return f"your room stays at {degrees(math.floor((lowest + 0.05) * 2) / 2)} or above"


class _Battery(_Story):
    """The battery's steps beside what they would be without their causes."""

    def __init__(self, facts: _Facts, found: Found, battery: BatteryPlan) -> None:
        super().__init__(facts, facts.problem.import_gbp_per_kwh, None)
        self.found, self.battery = found, battery

    def told(self) -> BatteryPlan:
        """Return the battery's plan with all causes and sentences."""
        told = [self._step(step) for step in range(len(self.battery.power_w))]
        return replace(
            self.battery,
            cause=tuple(causes[0] for causes, _ in told),
            also=tuple(causes[1:] for causes, _ in told),
            sentence=tuple(sentence for _, sentence in told),
        )

    def _step(self, step: int) -> tuple[tuple[Cause, ...], str]:
        causes = self.found.battery[step]
        if not causes:
            return (Cause.HOLD,), "Resting: nothing to gain by charging or discharging now."
        flow, there = float(self.battery.power_w[step]), otherwise(self.found, causes)
        less = there is not None and there.battery_w is not None and there.battery_w[step] > flow
        if less:
            causes = tuple(Cause.DEAR_NOW if c is Cause.CHEAP_NOW else c for c in causes)
        doing = "Charging" if flow > NEAR_W else "Discharging" if flow < -NEAR_W else "Resting"
        return causes, self.with_all(f"{doing}{self._why(causes[0], step, doing)}.", causes)

    def _why(self, cause: Cause, step: int, doing: str) -> str:  # noqa: PLR0911, PLR0912 - one a cause
        facts, price = self.facts, pence(self.price[step])
        if cause is Cause.CHEAP_NOW:
            later = next_dearer(self.price, step)
            if later is None:
                return f" while electricity is {price}" if doing != "Resting" else ""
            then = f"{pence(self.price[later])} from {facts.when(later, step)}"
            if doing == "Charging":
                return f" because electricity is {price} now and {then}"
            return f"{' no more' if doing == 'Discharging' else ''}: electricity is {then}"
        if cause is Cause.DEAR_NOW:
            if doing == "Discharging":
                return f" because electricity is {price} now"
            later = next_cheaper(self.price, step)
            less = " no more" if doing == "Charging" else ""
            until = self.at(later, step, "until")
            return f"{less}: electricity is {price}{until}"
        if cause is Cause.EVENT:
            return self._for_event(step, doing)
        if cause is Cause.IMPORT_LIMIT:
            if facts.full[step]:
                return " to keep the building within its supply"
            starts = self.at(first_step(facts.full, step), step, "from")
            return f": the building's supply is full{starts}"
        if cause is Cause.PEAK:
            if facts.highest[step]:
                return " while the building uses most"
            return f": the building uses most{self.at(first_step(facts.highest, step), step, 'at')}"
        if cause is Cause.CARBON:
            return " because of how clean electricity is now and later"
        if cause is Cause.SOLAR:
            if doing == "Charging" and facts.sun[step]:
                return " from the building's own solar power"
            return f": solar power comes{self.at(first_step(facts.sun, step), step, 'from')}"
        return self._held(cause, step, doing)

    def _for_event(self, step: int, doing: str) -> str:
        facts = self.facts
        for asked, word in ((self.down, "helps the grid"), (self.up, "takes what the grid spares")):
            if asked[step]:
                return f" until {facts.when(self.ends(asked, step), step)}: the building {word}"
        if facts.recovering[step]:
            return " while homes come back after the building helped the grid"
        for asked, word in ((self.down, "helps the grid"), (self.up, "takes what the grid spares")):
            starts = first_step(asked, step)
            if starts is not None:
                because = " because" if doing == "Charging" else ":"
                return f"{because} the building {word} from {facts.when(starts, step)}"
        return " for an event"

    def _held(self, cause: Cause, step: int, doing: str) -> str:
        battery, energy_wh = self.facts.problem.battery, self.battery.energy_wh
        if battery is None:
            return ""
        if cause is Cause.BATTERY_FULL:
            full = energy_wh >= battery.max_wh * 0.99
            if full[step] and doing == "Resting":
                return ": the battery is full"
            return f": the battery will be full{self.at(first_step(full, step), step, 'by')}"
        low = energy_wh <= battery.min_wh + 0.01 * battery.max_wh
        if low[step] and doing == "Resting":
            return ": the battery is down to its reserve"
        return f": its charge has to last{self.at(first_step(low, step), step, 'until')}"
