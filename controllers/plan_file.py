"""The format of plan files, and a plan as the text of one."""

from __future__ import annotations

from dataclasses import asdict
from datetime import datetime
from typing import Any, Literal

from controllers.problem_file import SERIES, Draft, Part, Series, about
from ems.domain.forecasts import FloatArray
from ems.domain.plans import HomePlan, Schedule


class HomePlanPart(Part):
    """What one home is to do. Parts that the home does not have are left out."""

    dwelling_id: str = about("As in the problem.")
    heat_w: Series = about(f"Heat to the room [W], {SERIES}.")
    power_w: Series = about(f"Electricity of heat pump and backup heater [W], {SERIES}.")
    room_c: Series = about("Room at each step's end [degC].")
    heat_value_gbp_per_kwh: Series | None = about(
        f"What a further kWh of heat in the room would save from then on, {SERIES}.", default=None
    )
    on: list[int] | None = about(f"1 where an on/off heat pump runs, {SERIES}.", default=None)
    mass_c: Series | None = about("Heavy parts at each step's end [degC].", default=None)
    tank_heat_w: Series | None = about(f"Heat pump to the tank [W], {SERIES}.", default=None)
    backup_w: Series | None = about(f"Backup heater to the tank [W], {SERIES}.", default=None)
    tank_wh: Series | None = about("Held at each step's end [Wh].", default=None)
    cause: list[str] | None = about(f"Why, {SERIES}; where it was asked for.", default=None)
    also: list[list[str]] | None = about(
        f"Further causes, {SERIES}; where they were looked for.", default=None
    )
    sentence: list[str] | None = about(f"Why, in words, {SERIES}.", default=None)


class BatteryPlanPart(Part):
    """What the battery is to do."""

    power_w: Series = about(f"Charging positive [W], {SERIES}.")
    energy_wh: Series = about("Held at each step's end [Wh].")


class GaveWayPart(Part):
    """A limit that was not kept."""

    limit: str = about("Which.")
    subject: str = about("Whose: a home or the block.")
    worst: float = about("By how much at worst.")
    unit: str = about("Of worst.")


class CostsPart(Part):
    """What the objective is made of: what is paid, weights that nobody pays, worth of what is left.

    objective = electricity + peak + carbon + wear + discomfort + missed - left
    """

    electricity_gbp: float = about("Import less export at all meters [GBP].")
    peak_gbp: float = about("Charges on the highest import [GBP].")
    carbon_gbp: float = about("Price of the carbon of the import [GBP].")
    wear_gbp: float = about("Of the battery, and of heat pumps by their starts [GBP].")
    discomfort_gbp: float = about(
        "Weight of rooms below their schedule and hot water below its comfort [GBP]."
    )
    missed_gbp: float = about("Weight of limits that gave way [GBP].")
    left_gbp: float = about("Worth of heat, hot water and charge left at the end [GBP].")


class TerminalPart(Part):
    """The plan made again with other values of what is left at the end."""

    scale: float = about("Factor on all of them.")
    objective_gbp: float = about("What that plan reaches under its own values [GBP].")
    kept_gbp: float = about("What that plan costs under the values of this one [GBP].")
    first_change_w: float = about(
        "Mean absolute change of heat pumps and battery over the first two hours [W]."
    )


class PlanFile(Part):
    """A plan of one block. Positive power is consumption."""

    format: Literal["hearth-plan/1"] = about("Name and version of this format.")
    block_id: str = about("As in the problem.")
    issued_at: datetime = about("As in the problem.")
    start: datetime = about("Start of the first step.")
    step_s: Series = about("Length of each step [s].")
    status: Literal["optimal", "feasible", "fallback"] = about(
        "optimal: within 0.1 % of the bound; feasible: not proven so; fallback: own thermostats "
        "and an idle battery, because time ran out before any plan."
    )
    objective_gbp: float = about("What the plan costs, penalties and values at the end included.")
    bound_gbp: float = about("No plan can cost less.")
    gap: float = about("(objective - bound) / |objective| [-].")
    costs: CostsPart | None = about("What the objective is made of.", default=None)
    solver: Literal["decomposition", "linear programme", "thermostats"] = about(
        "What made the plan. decomposition: each home answers to common prices, by compiled "
        "kernels, and a small programme in HiGHS mixes the answers; linear programme: the whole "
        "block in HiGHS; thermostats: nothing, own thermostats and an idle battery."
    )
    seconds: float = about("Spent on planning [s].")
    gave_way: list[GaveWayPart] = about("Limits that were not kept; empty where all were.")
    lacked: list[str] = about("Inputs that were missing, in words, as in the problem.")
    import_w: Series = about(f"At the feeder, negative is export [W], {SERIES}.")
    price_gbp_per_kwh: Series = about(
        f"What one more kWh at the shared meter would cost, limits included [GBP/kWh], {SERIES}."
    )
    battery: BatteryPlanPart | None = None
    homes: list[HomePlanPart]
    terminal: list[TerminalPart] = about(
        "How sensitive the plan is to the values of what is left at the end; empty where time "
        "did not suffice or it was not asked for."
    )


def plan_schema() -> dict[str, Any]:
    """Return the JSON Schema of a plan file."""
    return PlanFile.model_json_schema(mode="serialization", schema_generator=Draft)


def write_plan(schedule: Schedule) -> str:
    """Return a plan as the text of a file."""
    battery = schedule.battery
    file = PlanFile(
        format="hearth-plan/1",
        block_id=schedule.block_id,
        issued_at=schedule.issued_at,
        start=schedule.start,
        step_s=_numbers(schedule.step_s),
        status=schedule.status,  # type: ignore[arg-type] # one of the three, checked on creation
        objective_gbp=schedule.objective_gbp,
        bound_gbp=schedule.bound_gbp,
        gap=schedule.gap,
        costs=None if schedule.costs is None else CostsPart(**asdict(schedule.costs)),
        solver=schedule.solver,  # type: ignore[arg-type] # one of the three, checked on creation
        seconds=schedule.solve_s,
        gave_way=[
            GaveWayPart(limit=each.limit, subject=each.subject, worst=each.worst, unit=each.unit)
            for each in schedule.gave_way
        ],
        lacked=list(schedule.lacked),
        import_w=_numbers(schedule.import_w),
        price_gbp_per_kwh=_numbers(schedule.price_gbp_per_kwh),
        battery=None
        if battery is None
        else BatteryPlanPart(
            power_w=_numbers(battery.power_w), energy_wh=_numbers(battery.energy_wh)
        ),
        homes=[_home(home) for home in schedule.homes],
        terminal=[
            TerminalPart(
                scale=case.scale,
                objective_gbp=case.objective_gbp,
                kept_gbp=case.kept_gbp,
                first_change_w=case.first_change_w,
            )
            for case in schedule.terminal
        ],
    )
    return file.model_dump_json(exclude_none=True) + "\n"


def _home(home: HomePlan) -> HomePlanPart:
    return HomePlanPart(
        dwelling_id=home.dwelling_id,
        heat_w=_numbers(home.heat_w),
        power_w=_numbers(home.power_w),
        room_c=_numbers(home.room_c),
        heat_value_gbp_per_kwh=_maybe(home.heat_value_gbp_per_kwh),
        on=None if home.on is None else [round(each) for each in home.on],
        mass_c=_maybe(home.mass_c),
        tank_heat_w=_maybe(home.tank_heat_w),
        backup_w=_maybe(home.backup_w),
        tank_wh=_maybe(home.tank_wh),
        cause=[str(each) for each in home.cause] or None,
        also=[[str(each) for each in step] for step in home.also] or None,
        sentence=list(home.sentence) or None,
    )


def _numbers(values: FloatArray) -> list[float]:
    plain: list[float] = values.tolist()
    return plain


def _maybe(values: FloatArray | None) -> list[float] | None:
    return None if values is None else _numbers(values)
