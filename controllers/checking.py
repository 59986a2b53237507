"""What no decision may do: bounds, one compressor, minimum times. What may give way is not here.

Limits that have a price at which they give way are judged by :mod:`controllers.evaluation`.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator

import numpy as np

from controllers.evaluation import Decision, battery_energy, running, tank_heat
from controllers.stacked import Stacked
from ems.domain.errors import InvalidInputError
from ems.domain.forecasts import FloatArray
from ems.domain.plans import Schedule

NEAR_KW = 1e-4
NEAR_KWH = 1e-3
NEAR_SHARE = 1e-4


def decided(model: Stacked, schedule: Schedule) -> Decision:
    """Return what a plan decides.

    Raises
    ------
    InvalidInputError
        Where its homes are not those of the problem.
    """
    problem = model.problem
    if [home.dwelling_id for home in schedule.homes] != [
        home.dwelling_id for home in problem.homes
    ]:
        raise InvalidInputError(
            "the plan is of other homes than the problem",
            field="homes",
            value=len(schedule.homes),
            remedy="Give the plan that was made for this problem.",
        )
    idle = np.zeros(model.steps)

    def gathered(name: str, rows: Iterable[int]) -> FloatArray:
        values = [getattr(schedule.homes[int(row)], name) for row in rows]
        kept = [idle if each is None else each for each in values]
        return np.array(kept, dtype=np.float64).reshape(len(kept), model.steps)

    everyone, tanks = range(model.homes), model.tanks
    return Decision(
        heat_kw=gathered("heat_w", everyone) / 1000.0,
        battery_kw=idle if schedule.battery is None else schedule.battery.power_w / 1000.0,
        on=gathered("on", everyone) if np.any(model.pumps.discrete) else None,
        pump_kw=gathered("tank_heat_w", tanks.rows) / 1000.0 if tanks.count else None,
        backup_kw=gathered("backup_w", tanks.rows) / 1000.0 if tanks.count else None,
    )


def faults(model: Stacked, decision: Decision) -> tuple[str, ...]:
    """Return in words what in ``decision`` is physically or by rule impossible; none if valid."""
    return (
        *_battery_faults(model, decision.battery_kw),
        *_heat_faults(model, decision),
        *_tank_faults(model, decision),
        *_run_faults(model, decision),
    )


def _battery_faults(model: Stacked, battery_kw: FloatArray) -> Iterator[str]:
    battery = model.problem.battery
    if battery is None:
        if np.any(battery_kw != 0):
            yield "battery: there is none"
        return
    if np.max(battery_kw) > battery.max_charge_w / 1000.0 + NEAR_KW:
        yield f"battery: charges at {np.max(battery_kw):.3f} kW"
    if np.max(-battery_kw) > battery.max_discharge_w / 1000.0 + NEAR_KW:
        yield f"battery: discharges at {np.max(-battery_kw):.3f} kW"
    energy = battery_energy(model, battery_kw)
    if np.max(energy) > max(battery.max_wh, battery.energy_wh) / 1000.0 + NEAR_KWH:
        yield f"battery: holds {np.max(energy):.3f} kWh"
    if np.min(energy) < min(battery.min_wh, battery.energy_wh) / 1000.0 - NEAR_KWH:
        yield f"battery: falls to {np.min(energy):.3f} kWh"


def _heat_faults(model: Stacked, decision: Decision) -> Iterator[str]:
    heat = decision.heat_kw
    for row in np.flatnonzero(
        np.any((heat < -NEAR_KW) | (heat > model.heat_max_kw + NEAR_KW), axis=1)
    ):
        yield f"{_name(model, int(row))}: heat beyond what its heat pump gives"


def _tank_faults(model: Stacked, decision: Decision) -> Iterator[str]:
    tanks = model.tanks
    if not tanks.count:
        return
    pump, backup = tank_heat(model, decision)
    energy = tanks.energies(pump, backup)
    for tank, row in enumerate(tanks.rows):
        name = _name(model, int(row))
        if np.any((pump[tank] < -NEAR_KW) | (pump[tank] > tanks.heat_max_kw[tank] + NEAR_KW)):
            yield f"{name}: hot water beyond what its heat pump gives"
        if np.any((backup[tank] < -NEAR_KW) | (backup[tank] > tanks.backup_max_kw[tank] + NEAR_KW)):
            yield f"{name}: backup heater beyond its power"
        if np.any(energy[tank] > tanks.top_kwh[tank] + NEAR_KWH):
            yield f"{name}: tank beyond what it may hold"
        above = energy[tank] > tanks.pump_max_kwh[tank] + NEAR_KWH
        if np.any(above & (pump[tank] > NEAR_KW)):
            yield f"{name}: heat pump heats the tank beyond its reach"


def _run_faults(model: Stacked, decision: Decision) -> Iterator[str]:
    pumps, tanks = model.pumps, model.tanks
    load = decision.heat_kw / np.maximum(model.heat_max_kw, 1e-12)
    if tanks.count:
        pump, _ = tank_heat(model, decision)
        load[tanks.rows] += pump / np.maximum(tanks.heat_max_kw, 1e-12)
    for row in np.flatnonzero(np.any(load > 1.0 + NEAR_SHARE, axis=1)):
        yield f"{_name(model, int(row))}: one compressor does two things at once"
    if not np.any(pumps.discrete):
        return
    on = running(model, decision) > 0.5
    for row in np.flatnonzero(pumps.discrete):
        name, runs = _name(model, int(row)), on[row]
        if np.any(load[row][~runs] > NEAR_SHARE):
            yield f"{name}: heat while its heat pump is off"
        if np.any(load[row][runs] < pumps.least[row][runs] - NEAR_SHARE):
            yield f"{name}: less heat than its heat pump can give while on"
        if np.any(pumps.must_on[row] & ~runs) or np.any(pumps.must_off[row] & runs):
            yield f"{name}: changes before the time in its state is over"
        before = np.concatenate([pumps.on[row : row + 1], runs[:-1]])
        for step in np.flatnonzero(runs != before):
            lasts = pumps.lasts_on if runs[step] else pumps.lasts_off
            until = int(step) + int(lasts[row, step])
            if np.any(runs[step:until] != runs[step]):
                state = "run" if runs[step] else "rest"
                yield f"{name}: its {state} from step {step} is shorter than it must be"


def _name(model: Stacked, row: int) -> str:
    return model.problem.homes[row].dwelling_id
