"""What a plan says of itself, in plain words: how good it is, its limits, and what gave way."""

from __future__ import annotations

import math
from collections.abc import Iterator

import numpy as np

from controllers.margins import FACTOR_MAX, FACTOR_MIN, LEAST_ERRORS
from ems.domain.events import Direction
from ems.domain.forecasts import FloatArray
from ems.domain.plans import EventCeiling, GaveWay, Schedule

SOLVERS = {
    "decomposition": "decomposition: homes answer to common prices",
    "linear programme": "one linear programme, solved with HiGHS",
    "thermostats": "no solver: own thermostats, the battery rests",
}
LIMITS = {
    "physical import": "rating of the feeder",
    "contracted import": "contracted import",
    "export": "export limit",
    "floor": "floor",
    "ceiling": "upper bound of the room",
    "hot water": "least hot water",
    "legionella cycle": "legionella cycle",
}
GAP_CHECKED = 0.001
HALF_A_PENNY_GBP = 0.005
_AS_FORECAST = 0.05


def proof(plan: Schedule) -> str:
    """Return how near a plan is to the best possible one, as far as that is proven."""
    gap_gbp = max(plan.objective_gbp - plan.bound_gbp, 0.0)
    if plan.status == "fallback":
        return "no plan was found in time: homes keep to their own thermostats"
    if plan.status != "optimal":
        return f"good, but not proven best: another may cost up to £{gap_gbp:,.2f} less"
    missed_gbp = 0.0 if plan.costs is None else plan.costs.missed_gbp
    share = gap_gbp / max(abs(plan.objective_gbp - missed_gbp), 1e-9)
    if share > GAP_CHECKED * (1 + 1e-6):
        # of hardly any money, or of a sum that is mostly weights of limits
        near = f"{100.0 * gap_gbp:.1g}p" if gap_gbp < 0.01 else f"£{gap_gbp:,.2f}"
        return f"proven within {near} of the best possible plan"
    percent = max(math.ceil(1000.0 * share - 1e-6) / 10.0, 0.1)
    return f"proven within {percent:g}% of the best possible plan"


def costs(plan: Schedule) -> Iterator[tuple[str, str]]:
    """Return what a plan costs, what it weighs besides, and what it leaves, with their names.

    Nothing for a plan that did not tell them apart.
    """
    found = plan.costs
    if found is None:
        return
    hours = float(np.sum(plan.step_s)) / 3600.0
    paid = (
        ("electricity", found.electricity_gbp),
        ("charge on the highest import", found.peak_gbp),
        ("carbon", found.carbon_gbp),
        ("wear", found.wear_gbp),
    )
    yield "Costs", f"{_gbp(found.paid_gbp)} over {hours:.0f} hours: {_sum(paid)}"
    yield "Worth of what is left at the end", _gbp(found.left_gbp)
    weighed = [f"missing comfort {_gbp(found.discomfort_gbp)}"] * _shown(found.discomfort_gbp)
    # what these weigh is a price to order limits by; how far each gave way is said apart
    weighed += ["the limits that gave way"] * _shown(found.missed_gbp)
    if weighed:
        yield "Weighed besides, paid by nobody", " and ".join(weighed)


def how_good(plan: Schedule) -> str:
    """Return in a sentence by how much the best possible plan could be better."""
    gap_gbp = max(plan.objective_gbp - plan.bound_gbp, 0.0)
    if not _shown(gap_gbp):
        return "No plan for the same forecasts can come out better."
    return f"No plan for the same forecasts can come out more than {_gbp(gap_gbp)} better."


def gave_way(limit: GaveWay) -> str:
    """Return a limit that was not kept and by how much at worst."""
    name = LIMITS.get(limit.limit, limit.limit)
    amount = (
        f"{limit.worst / 1000.0:.1f} k{limit.unit}"
        if limit.unit in ("W", "Wh") and limit.worst >= 1000.0
        else f"{limit.worst:.{2 if limit.unit == 'K' else 0}f} {limit.unit}"
    )
    if limit.limit == "event":
        return f"event {limit.subject} missed by {amount} at worst"
    return f"{name} of {limit.subject} by {amount} at worst"


def limits(plan: Schedule) -> Iterator[tuple[str, str]]:
    """Return the limits of a plan with their names; nothing for a plan that kept none."""
    if plan.limits is None:
        return
    known = plan.limits
    yield "Rating of the feeder", _range_kw(known.physical_import_w)
    if np.isfinite(known.contracted_import_w).any():
        yield "Contracted import", _range_kw(known.contracted_import_w)
    if np.any(known.margin_w > 0):
        yield "Kept free for higher loads", _range_kw(known.margin_w)
    if known.recovery_w is not None and np.isfinite(known.recovery_w).any():
        yield "Import after the event", _range_kw(known.recovery_w)
    for event in known.events:
        if np.isfinite(event.limit_w).any():
            yield f"Event {event.event_id}", f"{event_words(event)} {_range_kw(event.limit_w)}"
    if np.isfinite(known.export_w).any():
        yield "Export", f"at most {_range_kw(known.export_w)}"


def event_words(event: EventCeiling) -> str:
    """Return whose import an event limits, and on which side."""
    whose = f"{event.homes} home{'' if event.homes == 1 else 's'}"
    side = "at most" if event.direction is Direction.DOWN else "at least"
    return f"{whose}{' and the battery' if event.battery else ''}, together {side}"


def learnt(plan: Schedule) -> Iterator[str]:
    """Return what the margins of a plan have learnt, a sentence each; nothing without margins."""
    known = plan.tightening
    if known is None:
        return
    yield _learnt("Loads", "the import limit", known.load, known.load_points)
    yield _learnt("Cold nights", "the floor", known.cold, known.cold_points)


def by_step(plan: Schedule) -> dict[str, FloatArray]:
    """Return what a plan means to do in each step and under which limits and price, by name.

    A limit that is not in force is infinite; the price is what one more kWh at the feeder would
    cost, limits included.
    """
    found = {"feeder kW": plan.import_w / 1000.0}
    if plan.limits is not None:
        found["keeps below kW"] = plan.limits.kept_w / 1000.0
        for event in plan.limits.events:
            found[f"event {event.event_id} kW"] = event.limit_w / 1000.0
    if plan.battery is not None:
        found["battery kW"] = plan.battery.power_w / 1000.0
    heating = sum((home.power_w for home in plan.homes), np.zeros(len(plan.step_s)))
    found["heat pumps kW"] = heating / 1000.0
    found["price p/kWh"] = 100.0 * plan.price_gbp_per_kwh
    return found


def _learnt(what: str, limit: str, factor: float, points: int) -> str:
    if points < LEAST_ERRORS:
        return (
            f"{what}: the margin to {limit} is as forecasts say; "
            f"{points} of {LEAST_ERRORS} half-hours to learn from are known."
        )
    basis = f"learnt from {points} half-hours"
    if abs(factor - 1.0) < _AS_FORECAST:
        return f"{what}: the margin to {limit} is as forecasts say, {basis}."
    did = "widened" if factor > 1.0 else "narrowed"
    most = " (no further)" if factor in (FACTOR_MIN, FACTOR_MAX) else ""
    return (
        f"{what}: the margin to {limit} is {did} to {100 * factor:.0f}% of what forecasts say"
        f"{most}, {basis}."
    )


def _sum(parts: tuple[tuple[str, float], ...]) -> str:
    return ", ".join(f"{name} {_gbp(value)}" for name, value in parts if _shown(value)) or "nothing"


def _shown(value_gbp: float) -> bool:
    return abs(value_gbp) >= HALF_A_PENNY_GBP


def _gbp(value_gbp: float) -> str:
    sign = "\N{MINUS SIGN}" if value_gbp <= -HALF_A_PENNY_GBP else ""
    return f"{sign}£{abs(value_gbp):,.2f}"


def _range_kw(values_w: FloatArray) -> str:
    finite = values_w[np.isfinite(values_w)] / 1000.0
    low, high = f"{finite.min():.1f}", f"{finite.max():.1f}"
    return f"{low} kW" if low == high else f"{low} to {high} kW"
