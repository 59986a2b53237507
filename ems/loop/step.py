"""One closed-loop step of one home: learn, plan, translate, and never let it get cold."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from typing import Any

import numpy as np
import pandas as pd

from ems.domain.forecasts import FloatArray
from ems.domain.heatpump import flow_temperature_c
from ems.domain.setpoints import Cause
from ems.loop.actuators import Told, all_heat, follow, own_thermostat
from ems.loop.heating import capacity_w, heating_of, prior_of, pump_of
from ems.loop.history import Readings, read
from ems.loop.learning import cautious, checked, inputs_of, learnt_again, taught, with_heat
from ems.loop.memory import Memory
from ems.loop.optimum import Heating, Optimum, solve
from ems.loop.outlook import Outlook, look_ahead
from ems.loop.reasons import Case, causes_of, told_again, told_why
from ems.loop.types import Actuator, Comfort, Device, LoopPlan, Reason, StepResult
from ems.loop.watch import fresh_room_c, mismatch, not_good_enough, stands_still_s
from forecasting.home_model import HomeModel, where_it_stands

HORIZON_H = 36.0
FILTER_STEPS = 120
"""Half-hours of readings that tell where the home stands."""
FADE_H = 12.0
LOSS_FADE_H = 48.0
"""Heat that comes beside the model is taken to fade so fast, heat that is lost so slowly [h]."""
MARGIN_K = 0.1
MARGIN_MAX_K = 0.4
NEAR_FLOOR_K = 0.15
"""Heat at once when the room is this near its floor [K], plus what it loses in half an hour."""
CLEAR_K = 0.35
"""The plan has its way again so far above that [K]."""
FLOOR_MARGIN_K = 0.4
LOST_MAX_K = 0.3
SOC_MAX_AGE_S = 3 * 3600.0
LASTING_S = 4 * 3600.0
STEADY_SPARE_K = 1.0
"""Without a room reading, heat is given for a room so much warmer than its schedule [K]."""


@dataclass(frozen=True, slots=True)
class _Now:
    """What one step works on."""

    now: datetime
    device: Device
    comfort: Comfort
    readings: Readings
    outlook: Outlook
    memory: Memory
    model: HomeModel
    room_c: float | None

    @property
    def most_w(self) -> float:
        """Greatest heat now [W]."""
        most = capacity_w(self.device, self.outlook.outdoor_c[:1], self.memory.scale)
        return float(most[0])

    @property
    def wanted_c(self) -> float:
        """What the schedule asks for now [°C]."""
        return self.comfort.bounds_at(self.now)[0]

    def steady_w(self, room_c: float) -> float:
        """Return the heat that holds the room there [W]."""
        loss_w = self.model.loss_w_per_k * (room_c - float(self.outlook.outdoor_c[0]))
        return max(loss_w - self.model.free_w, 0.0)


def step(
    history: pd.DataFrame,
    now: datetime,
    weather_forecast: pd.DataFrame | None,
    prices: pd.Series | pd.DataFrame | None,
    comfort: Comfort,
    device: Device,
    state: Mapping[str, Any] | None = None,
    *,
    explain: bool = True,
) -> StepResult:
    """Return what one home is to do until the next step.

    Pure: no clock, no file, nothing remembered but ``state``. With no history the home is left
    to its own thermostat at the schedule, and stays there until a model learnt from its own
    readings foresees it well enough.

    Parameters
    ----------
    history
        Rows of 1 to 60 min, index in UTC: ``room_c``, ``outdoor_c`` [°C] as of the row's time;
        ``power_w`` of the heat pump [W], mean since the row before. Optional: ``heat_w`` [W],
        ``sun_w_m2`` [W/m²], ``occupancy`` (not used), ``pv_w``, ``base_w`` (household) [W],
        ``soc`` of the battery (0 to 1). May be empty, with gaps, unsorted.
    now
        UTC.
    weather_forecast
        ``outdoor_c``, optionally ``sun_w_m2``, ``pv_w``, ``base_w``; persistence stands in for
        what is missing.
    prices
        £/kWh by start of half-hour or hour: a series, or columns ``import_gbp_per_kwh`` and
        ``export_gbp_per_kwh``. Beyond them the day before stands in.
    comfort, device
        What is wanted, and what can be written.
    state
        Of the last result; ``None`` the first time.
    explain
        Whether causes are found by planning again without each, which takes about twice as long;
        else the plan's first step is told by its prices alone. The setpoint is the same.

    Raises
    ------
    InvalidInputError
        Where an input is not what it should be: which, and what to give instead.
    """
    memory = Memory.of_state(state)
    readings = read(history, now)
    outlook = look_ahead(now, HORIZON_H, readings, weather_forecast, prices, comfort)
    prior, spread = prior_of(device)
    grid = with_heat(readings.grid, device)
    memory = learnt_again(memory, grid, prior, spread, now)
    model = memory.model or replace(
        prior, hours=float(grid["room_c"].notna().sum()) / 2.0 if len(grid) else 0.0
    )
    room_c = fresh_room_c(readings, now)
    memory = taught(memory, readings, now, device, outlook, room_c)
    here = _Now(now, device, comfort, readings, outlook, memory, model, room_c)
    still_s = stands_still_s(readings, now)
    notes = (*readings.notes, *outlook.notes)
    if room_c is None or still_s is not None:
        return _released(here, _no_room(here, still_s), notes, blind=True)
    why_not = not_good_enough(model)
    if why_not is not None:
        return _released(here, (f"Still learning this home: {why_not}.", ()), notes)
    return _controlled(here, grid, room_c, notes, explain=explain)


def _no_room(here: _Now, still_s: float | None) -> tuple[str, tuple[str, ...]]:
    if here.room_c is None:
        return "There is no fresh room reading.", ("no fresh room reading",)
    since = here.now - timedelta(seconds=still_s or 0.0)
    fault = f"the room sensor stands still: {here.room_c:g} °C since {since:%d %b %H:%M} UTC"
    return "The room sensor stands still.", (fault,)


def _released(
    here: _Now, why: tuple[str, tuple[str, ...]], notes: tuple[str, ...], *, blind: bool = False
) -> StepResult:
    """Return the step of a home that is with its own thermostat."""
    memory = here.memory.forgetting()
    room_c = None if blind else here.room_c
    # Who cannot see the room heats for the warmest wish of the day, and a little more.
    steady_c = here.comfort.highest_c + STEADY_SPARE_K if blind else here.wanted_c
    wanted_c = here.wanted_c
    if here.device.actuator is not Actuator.ROOM_SETPOINT:
        # Nobody but us holds this room: not at its floor by the lower edge of a band.
        wanted_c = max(wanted_c, here.comfort.lowest_c + FLOOR_MARGIN_K)
    told = own_thermostat(
        here.device,
        memory,
        here.now,
        room_c,
        wanted_c,
        here.steady_w(steady_c),
        here.most_w,
        float(flow_temperature_c(pump_of(here.device), here.outlook.outdoor_c[:1])[0]),
    )
    reason = Reason(
        cause=Cause.NO_PLAN,
        sentence=f"{why[0]} The heating keeps to the schedule, {here.wanted_c:g} °C now.",
        released=True,
        faults=why[1],
        notes=notes,
    )
    result = _result(here, told, reason, None, released=True, near_floor=False)
    soc = here.readings.newest("soc", here.now, SOC_MAX_AGE_S)
    if here.device.battery is None or soc is None:
        return result
    outlook = replace(here.outlook, base_w=here.outlook.base_w + here.outlook.heating_w)
    nothing = np.zeros((1, len(outlook.start)))
    # The room takes no part: no heat to give, and no bound that could move a flow.
    alone = solve(
        here.model,
        np.array([here.wanted_c, here.wanted_c, 0.0]),
        nothing[0],
        outlook,
        Heating(nothing, nothing + 3.0),
        lower_c=here.outlook.lower_c,
        floor_c=here.comfort.lowest_c,
        battery=here.device.battery,
        soc=soc,
    )
    if alone is None or alone.battery_w is None:
        return result
    return replace(result, battery_w=float(alone.battery_w[0]))


def _controlled(
    here: _Now, grid: pd.DataFrame, room_c: float, notes: tuple[str, ...], *, explain: bool
) -> StepResult:
    model, outlook, device, memory = here.model, here.outlook, here.device, here.memory
    recent = grid.iloc[-FILTER_STEPS:]
    edges = np.append(recent["room_c"].to_numpy(), room_c)
    inputs = inputs_of(recent, model)
    noise_k = here.readings.noise_k
    memory = checked(memory, model, edges, inputs, here.now, noise_k)
    stands, unexplained_w = where_it_stands(model, edges, inputs, 0.5, noise_k)
    outdoor_c = float(outlook.outdoor_c[0])
    odd = mismatch(model, room_c, outdoor_c, unexplained_w)
    since = (memory.mismatch_since or here.now) if odd is not None else None
    memory = replace(memory, mismatch_since=since)
    here = replace(here, memory=memory)
    lasting = since is not None and (here.now - since).total_seconds() >= LASTING_S
    faults = (odd,) if odd is not None and lasting else ()
    if memory.answer.wrong:
        why = "The home does not answer its heating as foreseen."
        if not faults:
            side = "colder" if memory.answer.mean_k < 0 else "warmer"
            faults = (f"the room is {side} than its heat explains: {_LIKELY[side]}",)
        return _released(here, (why, faults), notes)
    hours_ahead = np.cumsum(outlook.step_h)
    heating = heating_of(device, outlook.outdoor_c, room_c, memory.scale, memory.emitter_gain)
    margin = min(MARGIN_K + 0.2 * model.error_k, MARGIN_MAX_K)
    lower = np.maximum(outlook.lower_c + margin, here.comfort.lowest_c + FLOOR_MARGIN_K)
    lower = np.minimum(lower, np.maximum(outlook.upper_c, here.comfort.lowest_c + FLOOR_MARGIN_K))
    if device.actuator is Actuator.SG_READY:
        lower = np.maximum(lower, outlook.lower_c)
    soc = here.readings.newest("soc", here.now, SOC_MAX_AGE_S) if device.battery else None
    unexplained = unexplained_w * np.exp(
        -hours_ahead / (FADE_H if unexplained_w > 0.0 else LOSS_FADE_H)
    )

    def planned(case: Case) -> Optimum | None:
        return solve(
            cautious(model),
            stands,
            unexplained,
            case.outlook,
            case.heating,
            lower_c=case.lower_c,
            floor_c=case.floor_c,
            battery=device.battery if soc is not None else None,
            soc=0.0 if soc is None else soc,
        )

    case = Case(outlook, heating, lower, here.comfort.lowest_c + FLOOR_MARGIN_K)
    plan = planned(case)
    if device.battery is not None and soc is None:
        notes = (*notes, "battery: no fresh soc in the history; it is left alone")
    if plan is None:
        return _released(here, ("No plan could be made.", ()), notes)
    again = planned if explain else None
    return _dispatched(here, plan, case, room_c, faults, notes, again)


def _dispatched(
    here: _Now,
    plan: Optimum,
    case: Case,
    room_c: float,
    faults: tuple[str, ...],
    notes: tuple[str, ...],
    again: Callable[[Case], Optimum | None] | None,
) -> StepResult:
    lowest_c, most_w = here.comfort.lowest_c, case.heating.most_w
    lost_w = here.steady_w(room_c)
    lost_k = min(0.5 * lost_w / max(here.model.air_wh_per_k, 200.0), LOST_MAX_K)
    near_c = lowest_c + NEAR_FLOOR_K + (CLEAR_K if here.memory.near_floor else lost_k)
    near = room_c < near_c
    also: tuple[Cause, ...] = ()
    if near:
        told = all_heat(here.device, here.memory, here.now, room_c, here.wanted_c, float(most_w[0]))
        cause = Cause.COMFORT_FLOOR
        why = f"Heating keeps the room clear of {lowest_c:g} °C, the least it may be."
    else:
        told = _followed(here, plan, case, room_c)
        cause, why = told_why(plan, here.outlook, most_w, case.lower_c, room_c, here.comfort)
        if again is not None:
            causes = causes_of(
                case,
                here.device,
                told.value,
                lambda other: _value(here, again(other), other, room_c),
            )
            cause, also, why = told_again(cause, why, causes, plan, case, room_c, here.comfort)
    reason = Reason(cause, why, faults=faults, notes=notes, proposal=_proposal(here), also=also)
    return _result(here, told, reason, plan, released=False, near_floor=near, most_w=most_w)


def _followed(here: _Now, plan: Optimum, case: Case, room_c: float) -> Told:
    """Return the value that follows a plan."""
    return follow(
        here.device,
        here.memory,
        here.now,
        plan,
        case.heating.most_w,
        room_c,
        case.lower_c,
        min(case.floor_c - FLOOR_MARGIN_K, here.comfort.lowest_c),
    )


def _value(here: _Now, plan: Optimum | None, case: Case, room_c: float) -> float | None:
    return None if plan is None else _followed(here, plan, case, room_c).value


_LIKELY = {
    "colder": "a window may be open, or the heat pump gives less than its power says",
    "warmer": "the sensor may read high, or there is another heat source",
}


def _proposal(here: _Now) -> str:
    if "capacity rests" not in here.model.note:
        return ""
    return (
        "Once, between 23:00 and 05:00, the heating may rest until the room is 1 K lower (never "
        f"under {here.comfort.lowest_c:g} °C). It would show how long this home keeps its warmth. "
        "The resident may refuse."
    )


def _result(
    here: _Now,
    told: Told,
    reason: Reason,
    plan: Optimum | None,
    *,
    released: bool,
    near_floor: bool,
    most_w: FloatArray | None = None,
) -> StepResult:
    outlook, memory = here.outlook, told.memory
    memory = replace(
        memory,
        value=told.value,
        at=here.now,
        asked_w=told.heat_w,
        full=most_w is not None and told.heat_w >= 0.95 * float(most_w[0]),
        near_floor=near_floor,
        released=released,
    )
    battery_w = None
    if here.device.battery is not None:
        battery_w = 0.0
        if plan is not None and plan.battery_w is not None:
            battery_w = float(plan.battery_w[0])
    return StepResult(
        setpoint=told.value,
        state=memory.to_state(),
        plan=None if plan is None else _told_plan(outlook, plan),
        model=here.model,
        reason=reason,
        battery_w=battery_w,
    )


def _told_plan(outlook: Outlook, plan: Optimum) -> LoopPlan:
    return LoopPlan(
        start=tuple(outlook.start),
        step_s=outlook.step_s,
        heat_w=plan.heat_w,
        power_w=plan.power_w,
        room_c=plan.room_c,
        lower_c=outlook.lower_c,
        upper_c=outlook.upper_c,
        outdoor_c=outlook.outdoor_c,
        price_gbp_per_kwh=outlook.import_gbp,
        battery_w=plan.battery_w,
        cost_gbp=plan.cost_gbp,
    )
