"""Homes and their heat pumps, all stepped at once.

Rooms, building and heating circuit are those of a house model (:mod:`ems.field.houses`); here
are the hot-water tank ``Tt`` by explicit Euler, moisture, thermostats and heat pumps::

    Ct dTt/dt = heat to tank - losses - draws

The heat pump follows its room thermostat, a weather-compensated flow temperature
and its tank, within the compressor's minimum on and off times. Shapes are (homes,)
unless stated; units are SI, temperatures °C.
"""

from __future__ import annotations

from dataclasses import dataclass, fields

import numpy as np
from numpy.typing import NDArray

from ems.domain.forecasts import FloatArray
from ems.field.days import AIR_J_PER_M3_K, Day, saturated_vapour
from ems.field.houses import rooms_model
from ems.field.rooms import AIRING_ABOVE_C, AIRING_W_PER_K_K, Around
from ems.field.traits import Traits

BoolArray = NDArray[np.bool_]

HYSTERESIS_K = 0.5
"""The room thermostat calls for heat below its target and stops this much above it."""
SG_RAISE_K = (0.0, 0.0, 0.0, 1.0, 2.0)
"""What each SG Ready state adds to the room target [K], by its number."""
SG_BLOCKED = 1
ROOM_INFLUENCE_K_PER_K = 2.0
ROOM_INFLUENCE_MAX_K = 8.0
FLOW_MAX_C = 60.0
FLOW_START_K, FLOW_STOP_K = 2.0, 4.0
CIRCUIT_PULL_S = 600.0
TANK_LIFT_K = 6.0
TANK_RESERVE_C = 38.0
"""Below this the tank is heated outside its timer too."""
COLD_WATER_C = 10.0
START_S = 180.0
START_SHARE = 0.45
FROST_S = 4500.0
"""Full-load seconds in damp frost until a defrost."""
DEFROST_S = 360.0
DEFROST_HEAT_SHARE = -0.3
DEFROST_POWER_SHARE = 0.1
CAPACITY_PER_K = 0.02


@dataclass
class HomeState:
    """Everything that a home carries from one step to the next, shape (homes,)."""

    air_c: FloatArray
    fabric_c: FloatArray
    circuit_c: FloatArray
    tank_c: FloatArray
    vapour: FloatArray
    heat_wanted: BoolArray
    tank_wanted: BoolArray
    compressor: BoolArray
    held_s: FloatArray
    """Since the compressor last changed [s]."""
    frost_s: FloatArray
    defrost_s: FloatArray
    starts: FloatArray
    room_setpoint_c: FloatArray
    """Written over the bus; nan while the resident's own timer rules."""
    tank_setpoint_c: FloatArray
    sg_mode: FloatArray
    heating_on: BoolArray
    power_w: FloatArray
    heat_w: FloatArray
    """From the heat pump into the circuit (negative in a defrost)."""
    tank_heat_w: FloatArray
    flow_c: FloatArray
    return_c: FloatArray
    target_c: FloatArray
    pump_on: BoolArray

    @classmethod
    def at_rest(cls, traits: Traits, room_c: FloatArray, outdoor_c: float) -> HomeState:
        """Return homes that have long stood at ``room_c``, heat pumps off."""
        count = len(traits.ids)
        series = traits.fabric_w_per_k / (traits.fabric_w_per_k + traits.coupling_w_per_k)
        zeros, never = np.zeros(count), np.zeros(count, dtype=bool)
        return cls(
            air_c=room_c.copy(),
            fabric_c=room_c - series * (room_c - outdoor_c),
            circuit_c=room_c + 5.0,
            tank_c=np.full(count, 46.0),
            vapour=0.5 * saturated_vapour(room_c),
            heat_wanted=never.copy(),
            tank_wanted=never.copy(),
            compressor=never.copy(),
            held_s=np.full(count, 3600.0),
            frost_s=zeros.copy(),
            defrost_s=zeros.copy(),
            starts=zeros.copy(),
            room_setpoint_c=np.full(count, np.nan),
            tank_setpoint_c=np.full(count, 48.0),
            sg_mode=np.full(count, 2.0),
            heating_on=np.ones(count, dtype=bool),
            power_w=zeros.copy(),
            heat_w=zeros.copy(),
            tank_heat_w=zeros.copy(),
            flow_c=room_c + 5.0,
            return_c=room_c + 5.0,
            target_c=room_c.copy(),
            pump_on=never.copy(),
        )

    def dump(self) -> dict[str, list[float]]:
        """Return plain lists; `restore` takes them back without loss."""
        return {item.name: getattr(self, item.name).tolist() for item in fields(self)}

    def restore(self, dumped: dict[str, list[float]]) -> None:
        """Take over what `dump` returned."""
        for item in fields(self):
            old = getattr(self, item.name)
            values = [np.nan if value is None else value for value in dumped[item.name]]
            setattr(self, item.name, np.array(values, dtype=old.dtype))


class HomePhysics:
    """Steps all homes of an estate.

    Parameters
    ----------
    traits
        Hidden parameters.
    houses
        Name of the house model.

    Attributes
    ----------
    rooms
        The house model, with what it carries.
    capacity_share, loss_factor, open_w_per_k, sense_k
        What is left of heat pumps [-], by how much homes lose more [-], what open windows add
        [W/K], errors of the pumps' own thermostats [K]; shape (homes,), changed by faults.
    """

    def __init__(self, traits: Traits, houses: str = "two-node") -> None:
        self.traits = traits
        self.rooms = rooms_model(houses)(traits)
        self._sends_w_per_k = self.rooms.sends_w_per_k
        self._design_flow_c = self.rooms.design_flow_c
        count = len(traits.ids)
        self.capacity_share = traits.capacity_share.copy()
        self.loss_factor, self.open_w_per_k = np.ones(count), np.zeros(count)
        self.sense_k = traits.room_sense_k.copy()
        self._party = traits.party_w_per_k
        self._party_sum = self._party.sum(axis=1)
        self._flow_w_per_k = traits.flow_lpm / 60.0 * 4186.0
        self._sg_raise = np.array(SG_RAISE_K)
        self._timer = traits.tank_timer_h

    def step(self, state: HomeState, day: Day, minute: int, dt_s: float) -> None:
        """Advance ``state`` by ``dt_s`` [s], with the outside world of ``minute`` of ``day``."""
        outdoor = float(day.outdoor_c[minute])
        self._thermostats(state, day, minute)
        self._heat_pumps(state, outdoor, float(day.humidity_pct[minute]), dt_s)
        self._rooms(state, day, minute, outdoor, dt_s)

    def _thermostats(self, state: HomeState, day: Day, minute: int) -> None:
        traits = self.traits
        written = state.room_setpoint_c
        target = np.where(np.isnan(written), day.wish_c[minute], written)
        target += self._sg_raise[state.sg_mode.astype(np.int64)]
        state.target_c = target
        above = state.air_c + self.sense_k - target
        allowed = (state.sg_mode != SG_BLOCKED) & state.heating_on
        state.heat_wanted = ((above < 0.0) | state.heat_wanted) & (above <= HYSTERESIS_K)
        state.heat_wanted &= allowed
        hour = float(day.local_hour[minute])
        timer = self._timer
        open_now = ((timer[:, :, 0] <= hour) & (hour < timer[:, :, 1])).any(axis=1)
        cold = state.tank_c < state.tank_setpoint_c - traits.tank_band_k
        start = (cold & open_now) | (state.tank_c < TANK_RESERVE_C)
        state.tank_wanted = (start | state.tank_wanted) & (state.tank_c < state.tank_setpoint_c)
        state.tank_wanted &= state.sg_mode != SG_BLOCKED

    def _heat_pumps(self, state: HomeState, outdoor: float, humidity: float, dt_s: float) -> None:
        traits = self.traits
        to_tank = state.tank_wanted
        wanted = state.heat_wanted | to_tank
        curve = min(max((20.0 - outdoor) / 22.0, 0.0), 1.2)
        short = state.target_c + 0.5 * HYSTERESIS_K - state.air_c - self.sense_k
        boost = np.minimum(np.maximum(short, 0.0) * ROOM_INFLUENCE_K_PER_K, ROOM_INFLUENCE_MAX_K)
        aim = 25.0 + curve * (self._design_flow_c - 25.0) + traits.curve_offset_k + boost
        aim = np.minimum(aim, FLOW_MAX_C - 5.0)

        state.held_s += dt_s
        held, was_on = state.held_s, state.compressor
        may_start = wanted & (held >= traits.min_off_s)
        may_start &= to_tank | (state.circuit_c < aim - FLOW_START_K)
        done = ~wanted | (~to_tank & (state.circuit_c > aim + FLOW_STOP_K))
        stop = done & (held >= traits.min_on_s) & (state.defrost_s <= 0.0)
        stop |= state.circuit_c > FLOW_MAX_C
        on = np.where(was_on, ~stop, may_start)
        changed = on != was_on
        state.starts += changed & on
        held[changed] = 0.0
        state.compressor = on

        share = max(min(1.0 + CAPACITY_PER_K * (outdoor - 7.0), 1.2), 0.5)
        most = traits.capacity_w * share * self.capacity_share
        least = traits.min_modulation * most
        pull = (
            self._sends_w_per_k * (aim - self.rooms.sink_c(state))
            + traits.circuit_j_per_k * (aim - state.circuit_c) / CIRCUIT_PULL_S
        )
        heat = np.where(to_tank, 0.9 * most, pull)
        heat = np.minimum(np.maximum(heat, least), most) * on
        flow = np.where(to_tank, state.tank_c + TANK_LIFT_K, state.circuit_c)
        flow = flow + heat / (2.0 * self._flow_w_per_k)
        lift = np.maximum(flow - outdoor + 8.0, 10.0)
        cop = traits.quality * (flow + 277.15) / lift
        cop *= 1.06 - 0.08 * heat / np.maximum(most, 1.0)
        cop = np.minimum(np.maximum(cop, 1.0), 7.0)
        electric = heat / cop
        starting = on & (held < START_S)
        heat = np.where(starting, START_SHARE * heat, heat)

        defrosting = self._defrost(state, heat / np.maximum(most, 1.0), outdoor, humidity, dt_s)
        heat = np.where(defrosting, DEFROST_HEAT_SHARE * most, heat)
        electric = np.where(defrosting, DEFROST_POWER_SHARE * most, electric)

        tank = to_tank & ~defrosting
        state.pump_on = (on | state.heat_wanted) & ~tank
        state.tank_heat_w = heat * tank
        state.heat_w = heat * ~tank
        state.power_w = electric + traits.standby_w + traits.pump_w * (state.pump_on | tank)
        flowing = state.pump_on | tank
        through = heat / (2.0 * self._flow_w_per_k)
        middle = np.where(tank, state.tank_c + TANK_LIFT_K / 2.0, state.circuit_c)
        state.flow_c = np.where(flowing, middle + through, state.circuit_c)
        state.return_c = np.where(flowing, middle - through, state.circuit_c)

    def _defrost(
        self, state: HomeState, load: FloatArray, outdoor: float, humidity: float, dt_s: float
    ) -> BoolArray:
        """Collect frost on running pumps and return which are melting it now."""
        on = state.compressor
        frosty = 1.0 if -7.0 < outdoor < 5.0 and humidity > 75.0 else 0.0
        state.frost_s += on * load * frosty * dt_s
        state.frost_s *= on | (outdoor < 2.0)
        begin = on & (state.frost_s > FROST_S) & (state.defrost_s <= 0.0)
        state.defrost_s = np.where(begin, DEFROST_S, state.defrost_s)
        defrosting = on & (state.defrost_s > 0.0)
        state.defrost_s = np.where(on, np.maximum(state.defrost_s - dt_s, 0.0), 0.0)
        state.frost_s[begin] = 0.0
        return defrosting

    def _rooms(self, state: HomeState, day: Day, minute: int, outdoor: float, dt_s: float) -> None:
        traits = self.traits
        air = state.air_c
        vent = day.vent_w_per_k[minute]
        from_tank = traits.tank_loss_w_per_k * (state.tank_c - air)
        around = Around(
            outdoor_c=outdoor,
            wind_m_s=float(day.wind_m_s[minute]),
            vent_w_per_k=vent,
            airing_w_per_k=day.airing_w_per_k[minute],
            solar_w=day.solar_w[minute],
            gains_w=day.gains_w[minute],
            tank_w=from_tank,
            neighbours_w=self._party @ state.fabric_c,
            neighbours_w_per_k=self._party_sum,
            loss_factor=self.loss_factor,
            open_w_per_k=self.open_w_per_k,
        )
        drawn = day.draw_w[minute] * np.minimum((state.tank_c - COLD_WATER_C) / 30.0, 1.0)
        to_tank = state.tank_heat_w - from_tank - np.maximum(drawn, 0.0)
        vent = vent + AIRING_W_PER_K_K * np.maximum(air - AIRING_ABOVE_C, 0.0)
        change = vent / AIR_J_PER_M3_K
        state.vapour = state.vapour + dt_s / traits.volume_m3 * (
            day.moisture_kg_s[minute] - change * (state.vapour - day.vapour_out[minute])
        )
        self.rooms.step(state, around, dt_s)
        state.tank_c = state.tank_c + dt_s * to_tank / traits.tank_j_per_k

    def humidity_pct(self, state: HomeState) -> FloatArray:
        """Return the relative humidity of the air [%]."""
        return np.minimum(100.0 * state.vapour / saturated_vapour(state.air_c), 99.0)
