"""The scheduling problem and its solution, as arrays.

Pure data: a planner takes a :class:`SchedulingProblem` and returns a
:class:`Schedule`. Symbols are bound to these names in ``docs/notation.md``.
All arrays over time have shape (steps,). Powers are electric [W] unless the name
says heat; positive is consumption.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import Protocol

import numpy as np
from numpy.typing import NDArray

from ems.domain.events import Direction
from ems.domain.forecasts import FloatArray, Tightening
from ems.domain.heating import FabricProblem, PumpProblem, TankProblem
from ems.domain.plan_costs import PlanCosts
from ems.domain.reasons import Course, Told
from ems.domain.setpoints import Cause


@dataclass(frozen=True, slots=True, eq=False)
class HomeProblem:
    """One home's heating.

    The room follows ``C dT/dt = heat + free_heat - loss (T - outdoor)``.

    Attributes
    ----------
    dwelling_id
        Which home.
    room_c
        Room temperature now [°C].
    loss_w_per_k, capacity_j_per_k
        Thermal model.
    free_heat_w
        Sun, people and appliances [W].
    floor_c, comfort_c, ceiling_c
        Floor (hard), schedule (soft), upper bound (soft) [°C].
    heat_max_w
        Greatest heat output [W].
    cop
        Coefficient of performance [-].
    base_w
        Everything else the home uses: household and hot water [W].
    price_gbp_per_kwh
        What a further kWh at this home's meter costs its payer.
    terminal_gbp_per_kwh
        Value of a kWh of heat left in the room at the end.
    hot_water_w
        The part of ``base_w`` that the heat pump draws for hot water [W]; ``None`` where it is
        not told apart.
    pump
        How the heat pump can run; ``None``: at any output up to ``heat_max_w``.
    fabric
        A second thermal state behind the room, whose equation then has one term more.
    tank
        Hot water that is decided and not expected; ``base_w`` then leaves it out.
    pv_w
        Generation on the home's own roof, positive here [W]; ``None`` where there is none.
    export_gbp_per_kwh
        What a kWh exported at the home's own meter earns, where supply is individual;
        ``None``: nothing.
    """

    dwelling_id: str
    room_c: float
    loss_w_per_k: float
    capacity_j_per_k: float
    outdoor_c: FloatArray = field(repr=False)
    free_heat_w: FloatArray = field(repr=False)
    floor_c: FloatArray = field(repr=False)
    comfort_c: FloatArray = field(repr=False)
    ceiling_c: FloatArray = field(repr=False)
    heat_max_w: FloatArray = field(repr=False)
    cop: FloatArray = field(repr=False)
    base_w: FloatArray = field(repr=False)
    price_gbp_per_kwh: FloatArray = field(repr=False)
    terminal_gbp_per_kwh: float = 0.0
    hot_water_w: FloatArray | None = field(default=None, repr=False)
    pump: PumpProblem | None = None
    fabric: FabricProblem | None = None
    tank: TankProblem | None = None
    pv_w: FloatArray | None = field(default=None, repr=False)
    export_gbp_per_kwh: FloatArray | None = field(default=None, repr=False)


@dataclass(frozen=True, slots=True)
class BatteryProblem:
    """A block's battery now. Energies in Wh, powers in W."""

    energy_wh: float
    min_wh: float
    max_wh: float
    max_charge_w: float
    max_discharge_w: float
    one_way_efficiency: float
    wear_gbp_per_kwh: float
    terminal_gbp_per_kwh: float


@dataclass(frozen=True, slots=True, eq=False)
class EventProblem:
    """What an event asks of a plan: a limit on its participants' import.

    Attributes
    ----------
    event_id
        Which event.
    direction
        *Down*: the import is to stay at or under the limit; *up*: at or above it.
    limit_w
        For the participants' heating, base load and battery together [W], shape (steps,);
        infinite (with the sign that asks nothing) where it is not in force.
    participants
        Homes that count.
    battery
        Whether the block's battery counts.
    uncontrolled_w
        Expected load of participants that are not planned [W], shape (steps,).
    start, until
        When it begins and ends, UTC.
    reserve_wh
        What the battery is to hold beyond its own reserve when the event ends [Wh], for loads
        that are higher than expected; soft.
    """

    event_id: str
    direction: Direction
    limit_w: FloatArray = field(repr=False)
    participants: frozenset[str]
    battery: bool
    uncontrolled_w: FloatArray = field(repr=False)
    start: datetime
    until: datetime
    reserve_wh: float = 0.0


@dataclass(frozen=True, slots=True, eq=False)
class PeakProblem:
    """What a further kilowatt of a day's or month's highest import costs.

    Attributes
    ----------
    steps
        Which steps belong to the day or month, shape (steps,), true or false.
    so_far_w
        Its highest half-hour mean so far at the feeder [W]; 0 where it has just begun.
    gbp_per_kw
        Charged for each kilowatt above that.
    """

    steps: NDArray[np.bool_] = field(repr=False)
    so_far_w: float
    gbp_per_kw: float


@dataclass(frozen=True, slots=True, eq=False)
class SchedulingProblem:
    """One block over one horizon.

    Attributes
    ----------
    block_id, issued_at, start
        Which block; when the problem was posed; first step (UTC).
    step_s
        Length of each step [s], shape (steps,).
    homes, battery
        What can be steered; ``battery`` is ``None`` where there is none.
    pooled
        ``True`` for boundary supply: homes, PV and battery net off behind one meter.
        ``False``: PV, battery and landlord's load net off alone; homes pay their own.
    pv_w
        Generation, positive here [W].
    landlord_w
        Communal load [W].
    uncontrolled_w
        Load of homes without readings, not planned [W]; it counts at the feeder and where pooled.
    import_gbp_per_kwh, export_gbp_per_kwh
        At the block (pooled) or landlord (not pooled) meter.
    physical_import_w, contracted_import_w, export_limit_w
        At the feeder. The contracted ceiling is soft; ``inf`` where there is none.
    discomfort_gbp_per_kh
        Price of a kelvin-hour below the schedule.
    lacked
        Inputs that were missing, and what stood in for them, in words.
    events
        Limits that events put on their participants.
    recovery_import_w
        Soft ceiling at the feeder after events [W], ``inf`` where there is none; ``None``
        where no event asks for one.
    peaks
        Charges on the highest import of days and months.
    carbon_gbp_per_kwh
        Price of the carbon of a kWh imported at the feeder; ``None`` where it has none.
    import_margin_w
        What the plan leaves free below the contracted ceiling and the rating, for loads that are
        higher than expected [W]; taken up like the ceiling gives way, and named only beyond it.
        ``None``: nothing.
    """

    block_id: str
    issued_at: datetime
    start: datetime
    step_s: FloatArray = field(repr=False)
    homes: tuple[HomeProblem, ...] = field(repr=False)
    battery: BatteryProblem | None
    pooled: bool
    pv_w: FloatArray = field(repr=False)
    landlord_w: FloatArray = field(repr=False)
    uncontrolled_w: FloatArray = field(repr=False)
    import_gbp_per_kwh: FloatArray = field(repr=False)
    export_gbp_per_kwh: FloatArray = field(repr=False)
    physical_import_w: FloatArray = field(repr=False)
    contracted_import_w: FloatArray = field(repr=False)
    export_limit_w: FloatArray = field(repr=False)
    discomfort_gbp_per_kh: float = 0.5
    lacked: tuple[str, ...] = ()
    events: tuple[EventProblem, ...] = ()
    recovery_import_w: FloatArray | None = field(default=None, repr=False)
    peaks: tuple[PeakProblem, ...] = ()
    carbon_gbp_per_kwh: FloatArray | None = field(default=None, repr=False)
    import_margin_w: FloatArray | None = field(default=None, repr=False)


@dataclass(frozen=True, slots=True, eq=False)
class HomePlan(Told):
    """What one home is to do.

    ``heat_w`` (to the room) and ``power_w`` (heat pump and backup heater) per step; ``room_c``
    at the end of each step;
    ``cause``, the chief one, and ``sentence`` per step, from the plan's own prices and active
    limits; ``also`` are the further causes that each step needed; ``course`` is what each step
    is beside the home's own thermostat;
    ``heat_value_gbp_per_kwh`` is what a further kWh of heat in the room would save from
    then on (a dual of the plan), ``None`` where the plan has no prices. ``on`` is 1 in steps in
    which a heat pump that cannot run at any output runs; ``mass_c`` is the second thermal state
    and ``tank_wh`` the hot water held, both at the end of each step; ``tank_heat_w`` and
    ``backup_w`` are what heat pump and backup heater give to it. ``None`` where the home has no
    such part.
    """

    dwelling_id: str
    heat_w: FloatArray = field(repr=False)
    power_w: FloatArray = field(repr=False)
    room_c: FloatArray = field(repr=False)
    cause: tuple[Cause, ...] = field(repr=False)
    sentence: tuple[str, ...] = field(repr=False)
    heat_value_gbp_per_kwh: FloatArray | None = field(default=None, repr=False)
    on: FloatArray | None = field(default=None, repr=False)
    mass_c: FloatArray | None = field(default=None, repr=False)
    tank_heat_w: FloatArray | None = field(default=None, repr=False)
    backup_w: FloatArray | None = field(default=None, repr=False)
    tank_wh: FloatArray | None = field(default=None, repr=False)
    also: tuple[tuple[Cause, ...], ...] = field(default=(), repr=False)
    course: tuple[Course, ...] = field(default=(), repr=False)


@dataclass(frozen=True, slots=True, eq=False)
class BatteryPlan(Told):
    """Battery power per step (charging positive) [W] and energy at each step's end [Wh].

    Causes and sentences are as in a home's plan; ``surplus``: it charges from generation alone.
    """

    power_w: FloatArray = field(repr=False)
    energy_wh: FloatArray = field(repr=False)
    cause: tuple[Cause, ...] = field(repr=False)
    sentence: tuple[str, ...] = field(repr=False)
    also: tuple[tuple[Cause, ...], ...] = field(default=(), repr=False)
    surplus: tuple[bool, ...] = field(default=(), repr=False)


@dataclass(frozen=True, slots=True)
class GaveWay:
    """A limit the plan could not keep, and by how much at worst, in the unit named."""

    limit: str
    subject: str
    worst: float
    unit: str


@dataclass(frozen=True, slots=True)
class TerminalCase:
    """The plan made again with all values of what is left at the end multiplied by ``scale``.

    Attributes
    ----------
    scale
        Factor on every terminal value.
    objective_gbp
        What the new plan reaches under its own values.
    kept_gbp
        What it costs under the values of the plan in force: above that plan's objective by what
        planning with the wrong values would cost.
    first_change_w
        Mean absolute change of all decisions (heat pumps and battery, electric) over the first
        two hours, in sum over the block [W].
    """

    scale: float
    objective_gbp: float
    kept_gbp: float
    first_change_w: float


@dataclass(frozen=True, slots=True, eq=False)
class EventCeiling:
    """What an event asked of a plan, as in `EventProblem`; the import is that of ``homes`` homes.

    ``limit_w`` is infinite, with the sign that asks nothing, where it is not in force.
    """

    event_id: str
    direction: Direction
    limit_w: FloatArray = field(repr=False)
    homes: int
    battery: bool


@dataclass(frozen=True, slots=True, eq=False)
class PlanLimits:
    """The limits that a plan was made under, as in its problem; each shape (steps,) [W].

    Attributes
    ----------
    physical_import_w, contracted_import_w, export_w
        At the feeder; infinite where there is none.
    margin_w
        What the plan leaves free below the ceiling that binds, for loads that are higher than
        expected.
    recovery_w
        Soft ceiling after events, infinite where there is none; ``None`` where none asks for it.
    events
        What events asked of their participants.
    """

    physical_import_w: FloatArray = field(repr=False)
    contracted_import_w: FloatArray = field(repr=False)
    export_w: FloatArray = field(repr=False)
    margin_w: FloatArray = field(repr=False)
    recovery_w: FloatArray | None = field(default=None, repr=False)
    events: tuple[EventCeiling, ...] = ()

    @property
    def kept_w(self) -> FloatArray:
        """What the plan means to keep below at the feeder [W], shape (steps,)."""
        lowest = np.minimum(self.physical_import_w, self.contracted_import_w) - self.margin_w
        return lowest if self.recovery_w is None else np.minimum(lowest, self.recovery_w)


@dataclass(frozen=True, slots=True, eq=False)
class Schedule:
    """A block's plan.

    Attributes
    ----------
    id
        Unique, sortable by time.
    block_id, issued_at, start, step_s
        As in the problem.
    homes, battery
        What each is to do.
    import_w
        Net power at the feeder [W]; negative is export.
    price_gbp_per_kwh
        Marginal value of a kWh at the feeder: the energy price with the limits' duals.
    objective_gbp, bound_gbp
        Value reached and proven lower bound; their relative difference is the gap.
    status
        ``optimal``, ``feasible`` or ``fallback``.
    gave_way
        Limits that could not be kept.
    solve_s
        Wall seconds spent.
    lacked
        As in the problem: inputs that were missing, and what stood in for them.
    terminal
        How the plan would change with other terminal values; empty where it was not asked.
    solver
        What made it: ``decomposition``, ``linear programme`` or ``thermostats``.
    limits
        What it was made under; ``None`` in plans from before limits were kept.
    tightening
        What its margins had learnt; ``None`` where nothing learns.
    costs
        What the objective is made of; ``None`` in plans from before it was told apart.
    """

    id: str
    block_id: str
    issued_at: datetime
    start: datetime
    step_s: FloatArray = field(repr=False)
    homes: tuple[HomePlan, ...] = field(repr=False)
    battery: BatteryPlan | None = field(repr=False)
    import_w: FloatArray = field(repr=False)
    price_gbp_per_kwh: FloatArray = field(repr=False)
    objective_gbp: float
    bound_gbp: float
    status: str
    gave_way: tuple[GaveWay, ...] = ()
    solve_s: float = 0.0
    lacked: tuple[str, ...] = ()
    terminal: tuple[TerminalCase, ...] = ()
    solver: str = ""
    limits: PlanLimits | None = None
    tightening: Tightening | None = None
    costs: PlanCosts | None = None

    @property
    def gap(self) -> float:
        """Relative distance of the objective from the proven bound [-]."""
        return (self.objective_gbp - self.bound_gbp) / max(abs(self.objective_gbp), 1e-9)

    @property
    def scale_gbp(self) -> float:
        """What a proof is a share of [£], as `PlanCosts.scale_gbp`."""
        return max(abs(self.objective_gbp), 1.0) if self.costs is None else self.costs.scale_gbp

    def index_at(self, instant: datetime) -> int | None:
        """Return the step that holds ``instant``, or ``None`` outside the horizon."""
        if instant < self.start:
            return None
        edge = self.start
        for index, seconds in enumerate(self.step_s):
            edge += timedelta(seconds=float(seconds))
            if instant < edge:
                return index
        return None

    def home(self, dwelling_id: str) -> HomePlan | None:
        """Return one home's plan, or ``None`` where the home was not planned."""
        for home in self.homes:
            if home.dwelling_id == dwelling_id:
                return home
        return None


class Planner(Protocol):
    """Anything that turns a problem into a plan. It never ends without one."""

    def plan(self, problem: SchedulingProblem, deadline_s: float) -> Schedule:
        """Return the best plan found within ``deadline_s`` wall seconds."""
        ...
