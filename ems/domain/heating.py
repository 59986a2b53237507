"""What a home's heating is beyond one store and a heat pump that runs at any output.

Parts of a :class:`ems.domain.plans.HomeProblem`, each optional: how the heat pump can run, a
second thermal state, a hot-water tank. Pure data; symbols are bound to these names in
``docs/notation.md``. Arrays over time have shape (steps,); powers are heat [W] unless the name
says otherwise.
"""

from __future__ import annotations

from dataclasses import dataclass, field

from ems.domain.forecasts import FloatArray


@dataclass(frozen=True, slots=True, eq=False)
class PumpProblem:
    """How a heat pump can run. All defaults together mean: at any output, at once.

    Attributes
    ----------
    heat_min_w
        Least heat while it runs [W]; equal to ``heat_max_w`` of the home where it is on or off
        and nothing between. It means nothing beyond ``heat_max_w``. ``None``: any output.
    min_on_s, min_off_s
        Once started it runs at least so long, once stopped it rests at least so long [s]. It
        starts and stops at the edges of steps; a run that reaches the horizon's end is cut there.
    start_gbp
        What a start costs in wear [£].
    on
        Whether it runs now.
    since_s
        For how long it has been so [s]; infinite: long enough.
    part_load
        Electricity of heat as a convex piecewise-linear function: (share of ``heat_max_w``,
        marginal COP as a multiple of the home's ``cop``), the most efficient part first; shares
        add up to 1. Empty: the home's COP at every output.
    """

    heat_min_w: FloatArray | None = field(default=None, repr=False)
    min_on_s: float = 0.0
    min_off_s: float = 0.0
    start_gbp: float = 0.0
    on: bool = False
    since_s: float = float("inf")
    part_load: tuple[tuple[float, float], ...] = ()


@dataclass(frozen=True, slots=True)
class FabricProblem:
    """The home's heavy parts as a second store behind its room.

    With it, the home's ``capacity_j_per_k`` is that of air and furniture, and

        C dT/dt = heat + free_heat - loss (T - outdoor) - coupling (T - mass)
        C_m d(mass)/dt = coupling (T - mass)

    Attributes
    ----------
    mass_c
        Temperature of the heavy parts now [°C].
    capacity_j_per_k
        Their heat capacity C_m.
    coupling_w_per_k
        Between room and heavy parts.
    """

    mass_c: float
    capacity_j_per_k: float
    coupling_w_per_k: float


@dataclass(frozen=True, slots=True, eq=False)
class HygieneProblem:
    """A legionella cycle that is due within the horizon.

    Attributes
    ----------
    energy_wh
        What the tank is to hold throughout.
    by_s
        It is to be over so long after the first step's start [s].
    hold_s
        It lasts so long [s].
    """

    energy_wh: float
    by_s: float
    hold_s: float


@dataclass(frozen=True, slots=True, eq=False)
class TankProblem:
    """A hot-water tank that the home's heat pump charges too.

    Energy is counted from cold water and follows ``dE/dt = heat + backup - draw - k E``. The one
    compressor divides its time: ``heat / heat_max_w`` for rooms and for the tank add up to at
    most 1 in a step.

    Attributes
    ----------
    energy_wh
        Held now.
    min_wh
        Below it nobody has hot water (as hard as physics allows).
    comfort_wh
        Wanted at each step's end; soft.
    pump_max_wh
        As far as the heat pump can heat it.
    max_wh
        As far as the backup heater can.
    standing_loss_per_h
        k, the share of what it holds that is lost in an hour.
    draw_w
        Heat drawn by the household.
    heat_max_w, cop
        Of the heat pump at the tank's higher flow temperature.
    backup_max_w
        Power of the backup heater (heat and electricity are the same); 0 where there is none.
    terminal_gbp_per_kwh
        Value of a kWh left in it at the end.
    hygiene
        A legionella cycle that is due; ``None`` where none is due within the horizon.
    """

    energy_wh: float
    min_wh: float
    comfort_wh: FloatArray = field(repr=False)
    pump_max_wh: float
    max_wh: float
    standing_loss_per_h: float
    draw_w: FloatArray = field(repr=False)
    heat_max_w: FloatArray = field(repr=False)
    cop: FloatArray = field(repr=False)
    backup_max_w: float = 0.0
    terminal_gbp_per_kwh: float = 0.0
    hygiene: HygieneProblem | None = None
