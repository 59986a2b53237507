"""The same problem without one of its causes: what a plan would be, were it not for them.

A cause of a step is something without which the step would be planned otherwise. Each that can
be taken out of a problem has a pure function here; :mod:`controllers.reasons` plans again without
it and names it where the setpoint moves. docs/explanations.md has the definitions.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Mapping
from dataclasses import replace
from types import MappingProxyType

import numpy as np

from ems.domain.events import Direction
from ems.domain.forecasts import FloatArray
from ems.domain.plans import BatteryProblem, HomeProblem, SchedulingProblem
from ems.domain.setpoints import Cause

LOWER_K = 4.0
"""A floor that is taken away is so much lower [K]: further than a room cools in a plan."""
ROOMIER = 2.0
"""A battery that is not full, or not empty, has room or charge for so many times its capacity."""
TRACE_GBP_PER_KWH = 5e-4
"""With nothing to gain a battery rests: of plans that cost the same, one that moves nothing."""
TINY = 1e-9


def without(problem: SchedulingProblem, causes: Collection[Cause]) -> SchedulingProblem:
    """Return ``problem`` with all of ``causes`` taken out.

    Raises
    ------
    KeyError
        For a cause that no problem holds, such as the resident's own choice.
    """
    for remove in dict.fromkeys(REMOVE[cause] for cause in causes):
        problem = remove(problem)
    return problem


def present(problem: SchedulingProblem) -> tuple[Cause, ...]:
    """Return the causes that can be taken out of ``problem`` and are in it at all.

    ``CHEAP_NOW`` stands for all differences of prices, ``DEAR_NOW`` for none besides.
    """
    homes = problem.homes
    rates = [problem.import_gbp_per_kwh, *(home.price_gbp_per_kwh for home in homes)]
    carbon = problem.carbon_gbp_per_kwh
    held = {
        Cause.EVENT: bool(problem.events) or problem.recovery_import_w is not None,
        Cause.IMPORT_LIMIT: bool(
            np.isfinite(problem.physical_import_w).any()
            or np.isfinite(problem.contracted_import_w).any()
            or np.isfinite(problem.export_limit_w).any()
        ),
        Cause.PEAK: any(peak.gbp_per_kw > 0 for peak in problem.peaks),
        Cause.COMFORT_FLOOR: bool(homes),
        Cause.CHEAP_NOW: any(float(np.ptp(rate)) > TINY for rate in rates),
        Cause.CARBON: carbon is not None and bool(np.any(carbon > 0)),
        Cause.SOLAR: bool(np.any(problem.pv_w > 0))
        or any(home.pv_w is not None and bool(np.any(home.pv_w > 0)) for home in homes),
        Cause.MILD_NOW: any(float(np.ptp(home.cop)) > TINY for home in homes),
        Cause.HOT_WATER: any(_draws_hot_water(home) for home in homes),
        Cause.BATTERY_FULL: problem.battery is not None,
        Cause.BATTERY_LOW: problem.battery is not None,
        Cause.SCHEDULE: any(bool(np.any(home.comfort_c > home.floor_c)) for home in homes),
    }
    return tuple(cause for cause, there in held.items() if there)


def flat_prices(problem: SchedulingProblem) -> SchedulingProblem:
    """Return a problem in which no hour is dearer than another; what is left is valued alike.

    Each price is its own mean; what a kWh left at the end is worth follows by the same rules as
    before (:mod:`controllers.problem`), from that mean.
    """
    bought = _mean(problem.import_gbp_per_kwh)
    battery = problem.battery
    if battery is not None:
        value = battery.one_way_efficiency * (float(bought[0]) - battery.wear_gbp_per_kwh)
        battery = replace(battery, terminal_gbp_per_kwh=max(value, 0.0))
    return replace(
        problem,
        homes=tuple(_at_one_price(home) for home in problem.homes),
        battery=_at_rest(battery),
        import_gbp_per_kwh=bought,
        export_gbp_per_kwh=_mean(problem.export_gbp_per_kwh),
    )


def no_events(problem: SchedulingProblem) -> SchedulingProblem:
    """Return a problem without events, their recovery, and the margin over floors they ask for."""
    asked = np.zeros(len(problem.step_s), dtype=np.bool_)
    for event in problem.events:
        if event.direction is Direction.DOWN:
            asked |= np.isfinite(event.limit_w)
    homes = problem.homes
    if np.any(asked) and not np.all(asked):
        steps, free = np.arange(asked.size), np.flatnonzero(~asked)

        def lowered(floor_c: FloatArray) -> FloatArray:
            around = np.interp(steps, free, floor_c[free])
            return np.where(asked, np.minimum(floor_c, around), floor_c)

        homes = tuple(replace(home, floor_c=lowered(home.floor_c)) for home in homes)
    return replace(problem, homes=homes, events=(), recovery_import_w=None)


def no_limits(problem: SchedulingProblem) -> SchedulingProblem:
    """Return a problem whose feeder carries any power, either way."""
    free = np.full(len(problem.step_s), np.inf)
    return replace(
        problem,
        physical_import_w=free,
        contracted_import_w=free,
        export_limit_w=free,
        import_margin_w=None,
    )


def no_peaks(problem: SchedulingProblem) -> SchedulingProblem:
    """Return a problem in which the highest import is not charged for."""
    return replace(problem, peaks=())


def no_carbon(problem: SchedulingProblem) -> SchedulingProblem:
    """Return a problem in which carbon has no price."""
    return replace(problem, carbon_gbp_per_kwh=None)


def no_floor(problem: SchedulingProblem) -> SchedulingProblem:
    """Return a problem whose rooms may be far colder; what residents ask for stays."""
    return _each(problem, lambda home: replace(home, floor_c=home.floor_c - LOWER_K))


def no_schedule(problem: SchedulingProblem) -> SchedulingProblem:
    """Return a problem in which nobody asks for more than the floor."""
    return _each(
        problem, lambda home: replace(home, comfort_c=np.minimum(home.comfort_c, home.floor_c))
    )


def no_sun(problem: SchedulingProblem) -> SchedulingProblem:
    """Return a problem without generation."""
    dark = _each(problem, lambda home: replace(home, pv_w=None))
    return replace(dark, pv_w=np.zeros(len(problem.step_s)))


def one_efficiency(problem: SchedulingProblem) -> SchedulingProblem:
    """Return a problem in which heat takes the same electricity however mild it is outside."""
    return _each(problem, lambda home: replace(home, cop=_mean(home.cop)))


def no_hot_water(problem: SchedulingProblem) -> SchedulingProblem:
    """Return a problem in which nobody draws hot water: heat pumps are free for rooms."""
    return _each(problem, _dry)


def roomier_battery(problem: SchedulingProblem) -> SchedulingProblem:
    """Return a problem whose battery has room for far more."""
    battery = problem.battery
    if battery is None:
        return problem
    more = replace(battery, max_wh=battery.max_wh * (1.0 + ROOMIER))
    return replace(problem, battery=more)


def fuller_battery(problem: SchedulingProblem) -> SchedulingProblem:
    """Return a problem whose battery holds far more, with as much room as before."""
    battery = problem.battery
    if battery is None:
        return problem
    added = ROOMIER * battery.max_wh
    more = replace(battery, energy_wh=battery.energy_wh + added, max_wh=battery.max_wh + added)
    return replace(problem, battery=more)


Removal = Callable[[SchedulingProblem], SchedulingProblem]
REMOVE: Mapping[Cause, Removal] = MappingProxyType(
    {
        Cause.EVENT: no_events,
        Cause.IMPORT_LIMIT: no_limits,
        Cause.PEAK: no_peaks,
        Cause.COMFORT_FLOOR: no_floor,
        Cause.CHEAP_NOW: flat_prices,
        Cause.DEAR_NOW: flat_prices,
        Cause.CARBON: no_carbon,
        Cause.SOLAR: no_sun,
        Cause.MILD_NOW: one_efficiency,
        Cause.HOT_WATER: no_hot_water,
        Cause.BATTERY_FULL: roomier_battery,
        Cause.BATTERY_LOW: fuller_battery,
        Cause.SCHEDULE: no_schedule,
    }
)
"""What takes each cause out of a problem."""


def _mean(values: FloatArray) -> FloatArray:
    return np.full(np.shape(values), float(np.mean(values)))


def _each(
    problem: SchedulingProblem, change: Callable[[HomeProblem], HomeProblem]
) -> SchedulingProblem:
    return replace(problem, homes=tuple(change(home) for home in problem.homes))


def _at_one_price(home: HomeProblem) -> HomeProblem:
    price = _mean(home.price_gbp_per_kwh)
    before = float(np.median(home.price_gbp_per_kwh / home.cop))
    after = float(np.median(price / home.cop))
    value = home.terminal_gbp_per_kwh * (after / before if before > TINY else 1.0)
    sold = home.export_gbp_per_kwh
    return replace(
        home,
        price_gbp_per_kwh=price,
        terminal_gbp_per_kwh=value,
        export_gbp_per_kwh=None if sold is None else _mean(sold),
    )


def _at_rest(battery: BatteryProblem | None) -> BatteryProblem | None:
    if battery is None:
        return None
    return replace(battery, wear_gbp_per_kwh=battery.wear_gbp_per_kwh + TRACE_GBP_PER_KWH)


def _draws_hot_water(home: HomeProblem) -> bool:
    return home.tank is not None or (
        home.hot_water_w is not None and bool(np.any(home.hot_water_w > 0))
    )


def _dry(home: HomeProblem) -> HomeProblem:
    dry = replace(home, tank=None)
    water_w = home.hot_water_w
    if water_w is None:
        return dry
    return replace(
        dry,
        base_w=home.base_w - water_w,
        heat_max_w=home.heat_max_w + water_w * home.cop,
        hot_water_w=np.zeros_like(water_w),
    )
