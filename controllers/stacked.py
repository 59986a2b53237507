"""A scheduling problem as checked arrays over homes and steps, in kW, kWh, K and hours.

The room's equation is solved exactly over a step in which all inputs are constant:

    T[t+1] = a[t] T[t] + b[t] (heat[t] + free_heat[t]) + (1 - a[t]) outdoor[t]      (1)
    a = exp(-dt U / C),   b = (1 - a) / U,   and b = dt / C where U = 0

with U in kW/K, C in kWh/K, dt in hours; heavy parts as in :mod:`controllers.fabric`. Symbols
are bound to names in ``docs/notation.md``.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from controllers.checked import ANY, checked, scalar
from controllers.fabric import StackedFabric, stack_fabric
from controllers.pumps import StackedPumps, stack_pumps
from controllers.tanks import StackedTanks, stack_tanks
from ems.domain.errors import InvalidInputError
from ems.domain.events import Direction
from ems.domain.forecasts import FloatArray
from ems.domain.plans import EventProblem, SchedulingProblem

J_PER_KWH = 3.6e6


@dataclass(frozen=True, slots=True, eq=False)
class StackedEvent:
    """An event's limit on ``sign * import`` of its participants.

    Attributes
    ----------
    event_id
        Which event.
    sign
        1 for a ceiling, -1 for a floor.
    homes
        Rows of the participants.
    battery
        Whether the battery counts.
    steps
        Steps in which it is in force.
    room_kw
        What participants' heating and battery may add to, in those steps and times
        ``sign``: the limit less what flows whatever is decided.
    held_kwh
        What the battery is to hold at the end of the last of them; 0 where nothing is asked.
    """

    event_id: str
    sign: float
    homes: NDArray[np.int32]
    battery: bool
    steps: NDArray[np.int32]
    room_kw: FloatArray
    held_kwh: float

    def shortfall_kw(self, power_kw: FloatArray, battery_kw: FloatArray) -> FloatArray:
        """Return by how much it is missed in each step [kW], shape of ``battery_kw``."""
        flow = power_kw[self.homes].sum(axis=0) + (battery_kw if self.battery else 0.0)
        result = np.zeros(battery_kw.shape)
        result[self.steps] = np.maximum(self.sign * flow[self.steps] - self.room_kw, 0.0)
        return result


@dataclass(frozen=True, slots=True, eq=False)
class StackedPeak:
    """A charge on the highest import of some steps: their indices, [kW] so far, [£/kW]."""

    steps: NDArray[np.int32]
    so_far_kw: float
    gbp_per_kw: float

    def above_kw(self, feeder_kw: FloatArray) -> float:
        """Return by how much the feeder's import, shape (steps,), exceeds what was before."""
        return max(float(np.max(feeder_kw[self.steps])) - self.so_far_kw, 0.0)


@dataclass(frozen=True, slots=True, eq=False)
class Stacked:
    """A checked problem. Arrays have shape (homes, steps) or (steps,).

    Attributes
    ----------
    problem
        Where it came from.
    dt_h
        Length of each step [h], shape (steps,).
    room_c
        Room temperatures now [°C], shape (homes,).
    decay, gain_k_per_kw, drift_k
        ``T[t+1] = decay T[t] + gain_k_per_kw heat + drift_k``.
    floor_c, comfort_c, ceiling_c
        Made consistent: floor ≤ comfort ≤ ceiling, the lower one leading.
    heat_max_kw, cop
        Capacity and efficiency.
    base_kw
        Load of each home that nothing steers, less the sun on its own roof.
    home_price, home_export
        At the home's meter [£/kWh]; export counts where ``nets_off``.
    nets_off
        Homes whose own meter nets off own sun, shape (homes,); none where supply is pooled.
    terminal_gbp_per_k
        Value of a kelvin left in each room, shape (homes,).
    fixed_kw
        What flows at the feeder whatever is decided: homes' base, uncontrolled and
        communal load less generation, shape (steps,).
    landlord_fixed_kw
        The same at the meter that PV and battery share: the feeder where supply is
        pooled, else the landlord's own, shape (steps,).
    promised_kw, physical_kw, export_kw
        Limits at the feeder; the contracted ceiling ``promised_kw`` is never above the rating,
        and ``contracted_kw`` is it less the margin for higher loads.
    recovery_kw
        Soft ceiling at the feeder after events, ``inf`` where there is none.
    events
        Limits that events put on their participants.
    peaks
        Charges on the highest import of some steps; those that cost nothing are left out.
    carbon_gbp_per_kwh
        Price of the carbon of import at the feeder, shape (steps,).
    pumps, fabric, tanks
        How heat pumps can run, heavy parts and hot water of homes that have them.
    """

    problem: SchedulingProblem
    dt_h: FloatArray
    room_c: FloatArray
    decay: FloatArray
    gain_k_per_kw: FloatArray
    drift_k: FloatArray
    floor_c: FloatArray
    comfort_c: FloatArray
    ceiling_c: FloatArray
    heat_max_kw: FloatArray
    cop: FloatArray
    base_kw: FloatArray
    home_price: FloatArray
    home_export: FloatArray
    nets_off: NDArray[np.bool_]
    terminal_gbp_per_k: FloatArray
    fixed_kw: FloatArray
    landlord_fixed_kw: FloatArray
    promised_kw: FloatArray
    contracted_kw: FloatArray
    physical_kw: FloatArray
    export_kw: FloatArray
    recovery_kw: FloatArray
    events: tuple[StackedEvent, ...]
    peaks: tuple[StackedPeak, ...]
    carbon_gbp_per_kwh: FloatArray
    pumps: StackedPumps
    fabric: StackedFabric
    tanks: StackedTanks

    @property
    def homes(self) -> int:
        """Number of homes planned."""
        return int(self.room_c.shape[0])

    @property
    def steps(self) -> int:
        """Number of steps."""
        return int(self.dt_h.shape[0])

    @property
    def plain(self) -> bool:
        """Whether every home is one store with a heat pump that runs at any output."""
        return not (
            self.fabric.rows.size
            or self.tanks.count
            or np.any(self.pumps.discrete)
            or self.pumps.parts > 1
            or np.any(self.nets_off)
        )

    @property
    def mass_gbp_per_k(self) -> FloatArray:
        """Value of a kelvin left in heavy parts: a kWh there is worth what it is in the room."""
        homes = [self.problem.homes[int(row)] for row in self.fabric.rows]
        value = np.array([home.terminal_gbp_per_kwh for home in homes], dtype=np.float64)
        return np.asarray(value * self.fabric.capacity_kwh_per_k, dtype=np.float64)

    def coast(self, step: int, room_c: FloatArray, mass_c: FloatArray) -> FloatArray:
        """Return where rooms come to without heat at the end of ``step`` [°C], shape (homes,)."""
        result = self.decay[:, step] * room_c + self.drift_k[:, step]
        fabric = self.fabric
        if fabric.rows.size:
            result[fabric.rows] += fabric.from_mass[:, step] * mass_c
        return np.asarray(result, dtype=np.float64)

    def settle(
        self, step: int, room_c: FloatArray, mass_c: FloatArray, heat_kw: FloatArray
    ) -> FloatArray:
        """Return the heavy parts at the end of ``step`` [°C], from both states at its start."""
        fabric = self.fabric
        return np.asarray(
            fabric.decay[:, step] * mass_c
            + fabric.from_room[:, step] * room_c[fabric.rows]
            + fabric.gain_k_per_kw[:, step] * heat_kw[fabric.rows]
            + fabric.drift_k[:, step],
            dtype=np.float64,
        )

    def states(self, heat_kw: FloatArray) -> tuple[FloatArray, FloatArray]:
        """Return rooms (homes, steps) and heavy parts (m, steps) at each step's end [°C]."""
        rooms = np.empty((self.homes, self.steps))
        masses = np.empty((self.fabric.rows.size, self.steps))
        room, mass = self.room_c, self.fabric.mass_c
        for step in range(self.steps):
            heat = heat_kw[:, step]
            after = self.coast(step, room, mass) + self.gain_k_per_kw[:, step] * heat
            if mass.size:
                mass = self.settle(step, room, mass, heat)
            rooms[:, step], masses[:, step] = after, mass
            room = after
        return rooms, masses

    def rooms(self, heat_kw: FloatArray) -> FloatArray:
        """Return room temperatures at each step's end [°C] for ``heat_kw``, both (homes, steps)."""
        return self.states(heat_kw)[0]


def stack(problem: SchedulingProblem) -> Stacked:
    """Check ``problem`` and return it as arrays.

    Raises
    ------
    InvalidInputError
        Where an array has the wrong shape, a value is not finite, or a quantity has no
        physical meaning (a step without length, an efficiency of zero). A start outside
        its band, a capacity of zero or negative prices are no fault.
    """
    steps = int(np.size(problem.step_s))
    if steps == 0:
        raise InvalidInputError(
            "a plan needs at least one step", field="step_s", value=0, remedy="Give step lengths."
        )
    step_s = checked(problem.step_s, "step_s", steps, low=1.0)
    dt_h = step_s / 3600.0
    grids = {name: _grid(problem, name, low, steps) for name, low in _HOME_ARRAYS.items()}
    scalars = {name: _grid(problem, name, low) for name, low in _HOME_SCALARS.items()}
    series = {
        name: checked(getattr(problem, name), name, steps, low=low, inf=inf)
        for name, (low, inf) in _BLOCK_ARRAYS.items()
    }
    scalar(problem.discomfort_gbp_per_kh, "discomfort_gbp_per_kh", 0.0)
    _check_battery(problem)

    loss_kw = scalars["loss_w_per_k"][:, None] / 1000.0
    capacity_kwh = scalars["capacity_j_per_k"][:, None] / J_PER_KWH
    exponent = dt_h[None, :] * loss_kw / capacity_kwh
    decay = np.exp(-exponent)
    # (1 - a) / U = dt / C * (1 - exp(-x)) / x, which tends to dt / C as x goes to 0
    shape = np.where(exponent > 1e-12, -np.expm1(-exponent) / np.maximum(exponent, 1e-12), 1.0)
    gain = dt_h[None, :] / capacity_kwh * shape
    drift = -np.expm1(-exponent) * grids["outdoor_c"] + gain * grids["free_heat_w"] / 1000.0
    fabric = stack_fabric(problem, dt_h, decay, gain, drift)
    comfort = np.maximum(grids["comfort_c"], grids["floor_c"])
    own_pv_w = _own(problem, "pv_w", steps, low=0.0)
    base_w = grids["base_w"] - own_pv_w
    landlord = (series["landlord_w"] - series["pv_w"]) / 1000.0
    fixed = landlord + (base_w.sum(axis=0) + series["uncontrolled_w"]) / 1000.0
    physical = series["physical_import_w"] / 1000.0
    heat_max = grids["heat_max_w"] / 1000.0
    promised = np.minimum(series["contracted_import_w"] / 1000.0, physical)
    nothing = np.zeros(steps)
    margin = nothing if problem.import_margin_w is None else problem.import_margin_w
    margin = checked(margin, "import_margin_w", steps, low=0.0)
    return Stacked(
        problem=problem,
        dt_h=dt_h,
        room_c=scalars["room_c"],
        decay=decay,
        gain_k_per_kw=gain,
        drift_k=drift,
        floor_c=grids["floor_c"],
        comfort_c=comfort,
        ceiling_c=np.maximum(grids["ceiling_c"], comfort),
        heat_max_kw=heat_max,
        cop=grids["cop"],
        base_kw=base_w / 1000.0,
        home_price=grids["price_gbp_per_kwh"],
        home_export=_own(problem, "export_gbp_per_kwh", steps),
        nets_off=np.any(own_pv_w > 0, axis=1) & (not problem.pooled),
        terminal_gbp_per_k=scalars["terminal_gbp_per_kwh"] * capacity_kwh[:, 0],
        fixed_kw=fixed,
        landlord_fixed_kw=fixed if problem.pooled else landlord,
        promised_kw=promised,
        contracted_kw=np.maximum(promised - margin / 1000.0, 0.0),
        physical_kw=physical,
        export_kw=series["export_limit_w"] / 1000.0,
        recovery_kw=_recovery_kw(problem, steps),
        events=tuple(
            event for each in problem.events if (event := _event(each, problem, base_w)).steps.size
        ),
        peaks=_peaks(problem, steps),
        carbon_gbp_per_kwh=nothing
        if problem.carbon_gbp_per_kwh is None
        else checked(problem.carbon_gbp_per_kwh, "carbon_gbp_per_kwh", steps, low=0.0),
        pumps=stack_pumps(problem, dt_h, heat_max),
        fabric=fabric,
        tanks=stack_tanks(problem, dt_h),
    )


def _grid(problem: SchedulingProblem, name: str, low: float, *steps: int) -> FloatArray:
    """Return what all homes have, shape (homes, *steps); a faulty one is refused by name."""
    shape = (len(problem.homes), *steps)
    rows = [getattr(home, name) for home in problem.homes]
    try:
        grid = np.array(rows, dtype=np.float64)
    except ValueError:  # unequal lengths
        grid = np.empty(0)
    if grid.shape == shape and np.all(np.isfinite(grid)) and (low == ANY or np.all(grid >= low)):
        return grid
    for home, row in zip(problem.homes, rows, strict=True):
        field = f"homes[{home.dwelling_id}].{name}"
        if steps:
            checked(row, field, *steps, low=low)
        else:
            scalar(row, field, low)
    return grid.reshape(shape)


def _own(problem: SchedulingProblem, name: str, steps: int, *, low: float = ANY) -> FloatArray:
    """Return an optional array of homes, shape (homes, steps); nothing where it is not given."""
    result = np.zeros((len(problem.homes), steps))
    for row, home in enumerate(problem.homes):
        values = getattr(home, name)
        if values is not None:
            result[row] = checked(values, f"homes[{home.dwelling_id}].{name}", steps, low=low)
    return result


def _peaks(problem: SchedulingProblem, steps: int) -> tuple[StackedPeak, ...]:
    result = []
    for number, peak in enumerate(problem.peaks):
        name = f"peaks[{number}]"
        if np.shape(peak.steps) != (steps,):
            raise InvalidInputError(
                "an array over time must have one value per step",
                field=f"{name}.steps",
                value=np.shape(peak.steps),
                remedy=f"Give shape ({steps},).",
            )
        so_far_kw = scalar(peak.so_far_w, f"{name}.so_far_w", 0.0) / 1000.0
        price = scalar(peak.gbp_per_kw, f"{name}.gbp_per_kw", 0.0)
        chosen = np.flatnonzero(peak.steps).astype(np.int32)
        if chosen.size and price > 0:
            result.append(StackedPeak(chosen, so_far_kw, price))
    return tuple(result)


def _recovery_kw(problem: SchedulingProblem, steps: int) -> FloatArray:
    if problem.recovery_import_w is None:
        return np.full(steps, np.inf)
    return (
        checked(problem.recovery_import_w, "recovery_import_w", steps, low=0.0, inf=True) / 1000.0
    )


def _event(event: EventProblem, problem: SchedulingProblem, base_w: FloatArray) -> StackedEvent:
    name = f"events[{event.event_id}]"
    steps = base_w.shape[1]
    limit = checked(event.limit_w, f"{name}.limit_w", steps, inf=True)
    other = checked(event.uncontrolled_w, f"{name}.uncontrolled_w", steps)
    rows = [k for k, home in enumerate(problem.homes) if home.dwelling_id in event.participants]
    homes = np.array(rows, dtype=np.int32)
    sign = 1.0 if event.direction is Direction.DOWN else -1.0
    active = np.flatnonzero(np.isfinite(limit)).astype(np.int32)
    fixed = other + base_w[homes].sum(axis=0)
    reserve_wh = scalar(event.reserve_wh, f"{name}.reserve_wh", 0.0)
    battery = problem.battery if event.battery else None
    held_wh = 0.0
    if battery is not None and reserve_wh > 0:
        held_wh = min(battery.min_wh + reserve_wh, battery.max_wh)
    return StackedEvent(
        event_id=event.event_id,
        sign=sign,
        homes=homes,
        battery=battery is not None,
        steps=active,
        room_kw=sign * (limit - fixed)[active] / 1000.0,
        held_kwh=held_wh / 1000.0,
    )


_HOME_ARRAYS = {
    "outdoor_c": ANY,
    "free_heat_w": ANY,
    "floor_c": ANY,
    "comfort_c": ANY,
    "ceiling_c": ANY,
    "heat_max_w": 0.0,
    "cop": 0.1,
    "base_w": ANY,
    "price_gbp_per_kwh": ANY,
}
_HOME_SCALARS = {
    "room_c": ANY,
    "loss_w_per_k": 0.0,
    "capacity_j_per_k": 1.0,
    "terminal_gbp_per_kwh": ANY,
}
_BLOCK_ARRAYS = {
    "pv_w": (0.0, False),
    "landlord_w": (ANY, False),
    "uncontrolled_w": (ANY, False),
    "import_gbp_per_kwh": (ANY, False),
    "export_gbp_per_kwh": (ANY, False),
    "physical_import_w": (0.0, True),
    "contracted_import_w": (0.0, True),
    "export_limit_w": (0.0, True),
}


def _check_battery(problem: SchedulingProblem) -> None:
    battery = problem.battery
    if battery is None:
        return
    for name in ("energy_wh", "min_wh", "max_wh", "max_charge_w", "max_discharge_w"):
        scalar(getattr(battery, name), f"battery.{name}", 0.0)
    scalar(battery.wear_gbp_per_kwh, "battery.wear_gbp_per_kwh", 0.0)
    scalar(battery.terminal_gbp_per_kwh, "battery.terminal_gbp_per_kwh", ANY)
    scalar(battery.one_way_efficiency, "battery.one_way_efficiency", 0.05)
    if battery.one_way_efficiency > 1:
        raise InvalidInputError(
            "no battery returns more than it takes",
            field="battery.one_way_efficiency",
            value=battery.one_way_efficiency,
            remedy="Give a share of at most 1.",
        )
    if battery.min_wh > battery.max_wh:
        raise InvalidInputError(
            "the reserve is above what the battery holds",
            field="battery.min_wh",
            value=battery.min_wh,
            remedy=f"Give at most {battery.max_wh:g}.",
        )
