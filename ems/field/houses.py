"""House models: how heat goes from the heating circuit through a home and out of it.

None of them is the controller's own model of a home.

=============  ==================================================================================
two-node       air and fabric, radiators; ventilation in proportion to wind
heated-floor   a floor with pipes in it, walls of two layers, furniture; draughts by wind and
               warmth; windows that people open when it is warm and close when it is cool
two-zone       radiators whose output bends upwards; bedrooms behind doors, which the thermostat
               does not see; walls of two layers
mixed          one home after the other
=============  ==================================================================================

The maths of each stands in its class; symbols: ``C`` heat capacities [J/K], ``H`` conductances
[W/K], indices a air, b bedrooms, i inner and o outer layer of walls, s floor, m furniture,
w water; ``To`` outdoors, ``P`` heat from neighbours [W].
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, fields, replace
from typing import Any

import numpy as np

from ems.domain.errors import InvalidInputError
from ems.domain.forecasts import FloatArray
from ems.field.rooms import (
    AIRING_ABOVE_C,
    AIRING_W_PER_K_K,
    STANDING_EMISSION,
    ZERO_C,
    Around,
    BoolArray,
    IndexArray,
    Inside,
    Rooms,
    TwoNode,
)
from ems.field.traits import DESIGN_OUTDOOR_C, DESIGN_ROOM_C, STOREY_M, Traits


class _Layers:
    """Walls of two layers: from a room through an inner and an outer one to outdoors.

    The three conductances in series are those that the traits give the whole wall.
    """

    INNER = 0.55
    """Part of the fabric's capacity in the inner layer [-]."""
    BETWEEN, OUT = 0.35, 0.65
    """Parts of the resistance beyond the surface: between layers, and to outdoors [-]."""

    def __init__(self, traits: Traits, share: float) -> None:
        capacity = share * traits.fabric_j_per_k
        beyond = 1.0 / traits.fabric_w_per_k
        self.surface_w_per_k = traits.coupling_w_per_k
        self.between_w_per_k = 1.0 / (self.BETWEEN * beyond)
        self.out_w_per_k = 1.0 / (self.OUT * beyond)
        self.inner_j_per_k = self.INNER * capacity
        self.outer_j_per_k = (1.0 - self.INNER) * capacity
        self.outer_c = np.full(len(traits.ids), ZERO_C)

    def rest(self, room_c: FloatArray, outdoor_c: float) -> FloatArray:
        """Let the walls have stood for long; return the inner layer's temperature [°C]."""
        resistances = [1.0 / self.surface_w_per_k, 1.0 / self.between_w_per_k]
        flow = (room_c - outdoor_c) / (sum(resistances) + 1.0 / self.out_w_per_k)
        inner = room_c - flow * resistances[0]
        self.outer_c = inner - flow * resistances[1]
        return np.asarray(inner)

    def step(
        self, inner_c: FloatArray, into_w: FloatArray, around: Around, dt_s: float
    ) -> tuple[FloatArray, FloatArray]:
        """Return the inner layer after ``into_w`` from rooms and sun, and what got lost [W]."""
        outer = self.outer_c
        through = self.between_w_per_k * (inner_c - outer)
        lost = around.loss_factor * self.out_w_per_k * (outer - around.outdoor_c)
        party = around.neighbours_w - around.neighbours_w_per_k * inner_c
        self.outer_c = outer + dt_s * (through - lost) / self.outer_j_per_k
        return inner_c + dt_s * (into_w + party - through) / self.inner_j_per_k, lost

    def stored_j(self, inner_c: FloatArray) -> FloatArray:
        """Return heat in both layers [J]."""
        return self.inner_j_per_k * (inner_c - ZERO_C) + self.outer_j_per_k * (
            self.outer_c - ZERO_C
        )


class HeatedFloor(Rooms):
    """A floor with pipes, walls of two layers, furniture.

    ::

        Ca dTa/dt = Hs (Ts - Ta) + Hi (Ti - Ta) + Hm (Tm - Ta) - (Hv + Hp + Hn)(Ta - To)
                    + 0.6 gains + 0.1 sun
        Cs dTs/dt = Hw (Tw - Ts) - Hs (Ts - Ta) + 0.5 sun
        Ci dTi/dt = Hi (Ta - Ti) - Hio (Ti - To') + P + 0.1 sun        and the outer layer
        Cm dTm/dt = Hm (Ta - Tm) + 0.4 gains + 0.3 sun
        Cw dTw/dt = heat - Hw (Tw - Ts)

    Draughts ``Hv`` grow with the root of wind squared and of the difference of temperatures;
    ``Hn`` is a window that stands open from 23.8 °C on until the room is below 22 °C.
    """

    DESIGN_FLOW_C = 36.0
    FLOOR_W_PER_K_M2 = 8.5
    FLOOR_J_PER_K_M2 = 110e3
    FURNITURE = 0.4
    """Part of the air's capacity that is furniture [-]."""
    WALLS = 0.6
    """Part of the fabric's capacity in walls; the rest is in the floor, which is added [-]."""
    OPEN_C, SHUT_C, OPEN_SHARE = 23.8, 22.0, 0.6

    def __init__(self, traits: Traits) -> None:
        self.traits = traits
        count = len(traits.ids)
        area = traits.volume_m3 / STOREY_M
        self._floor_w_per_k = self.FLOOR_W_PER_K_M2 * area
        self._floor_j_per_k = self.FLOOR_J_PER_K_M2 * area
        design_w = traits.loss_w_per_k * (DESIGN_ROOM_C - DESIGN_OUTDOOR_C)
        above_k = design_w / self._floor_w_per_k
        left_k = np.maximum(self.DESIGN_FLOW_C - 2.5 - DESIGN_ROOM_C - above_k, 2.0)
        self._pipes_w_per_k = 1.2 * design_w / left_k
        self._furniture_w_per_k = 5.0 * area
        self._furniture_j_per_k = self.FURNITURE * traits.air_j_per_k
        self._air_j_per_k = (1.0 - self.FURNITURE) * traits.air_j_per_k
        self._layers = _Layers(traits, self.WALLS)
        self._flow_c = np.full(count, self.DESIGN_FLOW_C)
        self.floor_c, self.furniture_c = np.full(count, ZERO_C), np.full(count, ZERO_C)
        self.open = np.zeros(count, dtype=bool)

    @property
    def sends_w_per_k(self) -> FloatArray:
        """From the water into the floor [W/K]."""
        return self._pipes_w_per_k

    @property
    def design_flow_c(self) -> FloatArray:
        """A floor's flow temperature [°C]."""
        return self._flow_c

    def sink_c(self, state: Inside) -> FloatArray:
        """Return the floor's temperature."""
        del state
        return self.floor_c

    def rest(self, state: Inside, outdoor_c: float) -> None:
        """Let homes have stood at their ``state.air_c`` for long."""
        air = state.air_c
        state.fabric_c = self._layers.rest(air, outdoor_c)
        self.furniture_c = air.copy()
        self.floor_c = air + 2.0
        self.open = np.zeros(len(air), dtype=bool)

    def step(self, state: Inside, around: Around, dt_s: float) -> FloatArray:
        """Advance by one step."""
        traits, outdoor, sun = self.traits, around.outdoor_c, around.solar_w
        air, circuit, floor = state.air_c, state.circuit_c, self.floor_c
        sent = self._pipes_w_per_k * (circuit - floor)
        sent *= np.where(state.pump_on, 1.0, STANDING_EMISSION)
        self.open = (self.open | (air > self.OPEN_C)) & (air > self.SHUT_C)
        stack = np.abs(air - outdoor) / 15.0
        wind = (around.wind_m_s / 4.0) ** 2
        draught = traits.vent_w_per_k * np.sqrt(0.5 * stack + 0.5 * wind)
        vent = draught + around.airing_w_per_k
        vent += self.OPEN_SHARE * traits.airing_w_per_k * self.open
        lost = around.loss_factor * (vent + traits.window_w_per_k) + around.open_w_per_k
        out = lost * (air - outdoor)
        up = self._floor_w_per_k * (floor - air)
        aside = self._layers.surface_w_per_k * (air - state.fabric_c)
        into = self._furniture_w_per_k * (air - self.furniture_c)
        gains = around.gains_w
        to_air = up - aside - into - out + 0.6 * gains + 0.1 * sun + around.tank_w
        state.fabric_c, through = self._layers.step(state.fabric_c, aside + 0.1 * sun, around, dt_s)
        self.floor_c = floor + dt_s * (sent - up + 0.5 * sun) / self._floor_j_per_k
        self.furniture_c = (
            self.furniture_c + dt_s * (into + 0.4 * gains + 0.3 * sun) / self._furniture_j_per_k
        )
        state.air_c = air + dt_s * to_air / self._air_j_per_k
        state.circuit_c = circuit + dt_s * (state.heat_w - sent) / traits.circuit_j_per_k
        return np.asarray(out + through)

    def stored_j(self, state: Inside) -> FloatArray:
        """Return heat in all parts [J]."""
        return np.asarray(
            self._air_j_per_k * (state.air_c - ZERO_C)
            + self._floor_j_per_k * (self.floor_c - ZERO_C)
            + self._furniture_j_per_k * (self.furniture_c - ZERO_C)
            + self._layers.stored_j(state.fabric_c)
            + self.traits.circuit_j_per_k * (state.circuit_c - ZERO_C)
        )

    @property
    def capacity_j_per_k(self) -> FloatArray:
        """All parts [J/K]."""
        traits = self.traits
        walls = self.WALLS * traits.fabric_j_per_k
        return traits.air_j_per_k + self._floor_j_per_k + walls + traits.circuit_j_per_k

    def dump(self) -> dict[str, Any]:
        """Return floor, furniture, outer layers and windows."""
        return {
            "floor_c": self.floor_c.tolist(),
            "furniture_c": self.furniture_c.tolist(),
            "outer_c": self._layers.outer_c.tolist(),
            "open": self.open.astype(np.float64).tolist(),
        }

    def restore(self, dumped: Mapping[str, Any]) -> None:
        """Take over what `dump` returned."""
        self.floor_c = np.array(dumped["floor_c"])
        self.furniture_c = np.array(dumped["furniture_c"])
        self._layers.outer_c = np.array(dumped["outer_c"])
        self.open = np.array(dumped["open"]) > 0.5


class TwoZone(Rooms):
    """A living room with the thermostat, bedrooms behind doors, walls of two layers.

    ::

        Ca dTa/dt = 0.6 R(Tw - Ta) + Hd (Tb - Ta) + 0.6 Hi (Ti - Ta) - 0.6 (Hv + Hp)(Ta - To)
                    + 0.7 gains + 0.5 sun
        Cb dTb/dt = 0.4 R(Tw - Tb) + Hd (Ta - Tb) + 0.4 Hi (Ti - Tb) - 0.4 (Hv + Hp)(Tb - To)
                    + 0.3 gains + 0.3 sun
        Ci dTi/dt = 0.6 Hi (Ta - Ti) + 0.4 Hi (Tb - Ti) - Hio (Ti - To') + P + 0.2 sun
        Cw dTw/dt = heat - 0.6 R(Tw - Ta) - 0.4 R(Tw - Tb)

    with radiators ``R(d) = Hr d (|d| / d0)^0.3`` that give their nominal output at ``d0`` kelvin.
    What people open in the morning and open windows are in the bedrooms.
    """

    LIVING = 0.6
    """Part of air, panes, walls and radiators in the living room [-]."""
    DOORS_W_PER_K_M2 = 1.4
    BEND = 0.3
    BEDROOM_VALVE = 0.85
    """Thermostatic valves in bedrooms let so much of their radiators' output through [-]."""

    def __init__(self, traits: Traits) -> None:
        self.traits = traits
        self._doors_w_per_k = self.DOORS_W_PER_K_M2 * traits.volume_m3 / STOREY_M
        self._layers = _Layers(traits, 1.0)
        self._nominal_k = np.maximum(traits.design_flow_c - 23.0, 5.0)
        self.bedroom_c = np.full(len(traits.ids), ZERO_C)

    def rest(self, state: Inside, outdoor_c: float) -> None:
        """Let homes have stood at their ``state.air_c`` for long."""
        self.bedroom_c = state.air_c - 0.8
        middle = self.LIVING * state.air_c + (1.0 - self.LIVING) * self.bedroom_c
        state.fabric_c = self._layers.rest(middle, outdoor_c)

    def _radiated(self, above_k: FloatArray, standing: FloatArray) -> FloatArray:
        bent = (np.abs(above_k) / self._nominal_k) ** self.BEND
        return np.asarray(self.traits.emitter_w_per_k * above_k * bent * standing)

    def step(self, state: Inside, around: Around, dt_s: float) -> FloatArray:
        """Advance by one step."""
        traits, outdoor, sun, gains = self.traits, around.outdoor_c, around.solar_w, around.gains_w
        air, circuit, inner = state.air_c, state.circuit_c, state.fabric_c
        bedroom = self.bedroom_c
        here, there = self.LIVING, 1.0 - self.LIVING
        standing = np.where(state.pump_on, 1.0, STANDING_EMISSION)
        living_w = here * self._radiated(circuit - air, standing)
        beds_w = there * self.BEDROOM_VALVE * self._radiated(circuit - bedroom, standing)
        doors = self._doors_w_per_k * (air - bedroom)
        wall = self._layers.surface_w_per_k
        to_wall, beds_to_wall = here * wall * (air - inner), there * wall * (bedroom - inner)
        draught = around.vent_w_per_k - around.airing_w_per_k
        both = around.loss_factor * (draught + traits.window_w_per_k)
        warm = AIRING_W_PER_K_K * np.maximum(air - AIRING_ABOVE_C, 0.0)
        out = (here * both + warm) * (air - outdoor)
        opened = around.loss_factor * around.airing_w_per_k + around.open_w_per_k
        beds_out = (there * both + opened) * (bedroom - outdoor)
        to_air = living_w - doors - to_wall - out + 0.7 * gains + 0.5 * sun + around.tank_w
        to_beds = beds_w + doors - beds_to_wall - beds_out + 0.3 * gains + 0.3 * sun
        state.fabric_c, through = self._layers.step(
            inner, to_wall + beds_to_wall + 0.2 * sun, around, dt_s
        )
        state.air_c = air + dt_s * to_air / (here * traits.air_j_per_k)
        self.bedroom_c = bedroom + dt_s * to_beds / (there * traits.air_j_per_k)
        used = living_w + beds_w
        state.circuit_c = circuit + dt_s * (state.heat_w - used) / traits.circuit_j_per_k
        return np.asarray(out + beds_out + through)

    def stored_j(self, state: Inside) -> FloatArray:
        """Return heat in both zones, walls and circuit [J]."""
        air = self.traits.air_j_per_k
        return np.asarray(
            self.LIVING * air * (state.air_c - ZERO_C)
            + (1.0 - self.LIVING) * air * (self.bedroom_c - ZERO_C)
            + self._layers.stored_j(state.fabric_c)
            + self.traits.circuit_j_per_k * (state.circuit_c - ZERO_C)
        )

    @property
    def capacity_j_per_k(self) -> FloatArray:
        """Air, walls and circuit [J/K]."""
        traits = self.traits
        return traits.air_j_per_k + traits.fabric_j_per_k + traits.circuit_j_per_k

    def dump(self) -> dict[str, Any]:
        """Return bedrooms and outer layers."""
        return {
            "bedroom_c": self.bedroom_c.tolist(),
            "outer_c": self._layers.outer_c.tolist(),
        }

    def restore(self, dumped: Mapping[str, Any]) -> None:
        """Take over what `dump` returned."""
        self.bedroom_c = np.array(dumped["bedroom_c"])
        self._layers.outer_c = np.array(dumped["outer_c"])


@dataclass(slots=True, eq=False)
class _Some:
    """Some of the homes of a state."""

    air_c: FloatArray
    fabric_c: FloatArray
    circuit_c: FloatArray
    heat_w: FloatArray
    pump_on: BoolArray

    @classmethod
    def of(cls, state: Inside, rows: IndexArray) -> _Some:
        return cls(*(getattr(state, item.name)[rows] for item in fields(cls)))


class Mixed(Rooms):
    """Homes of several models, side by side.

    Parameters
    ----------
    traits
        Of all homes.
    makers
        Models; the homes get them in turn.
    """

    def __init__(self, traits: Traits, makers: Sequence[Callable[[Traits], Rooms]]) -> None:
        self.traits = traits
        count = len(traits.ids)
        self._parts: list[tuple[IndexArray, Rooms]] = []
        for number, maker in enumerate(makers):
            rows = np.arange(number, count, len(makers), dtype=np.intp)
            if rows.size:
                self._parts.append((rows, maker(_traits_of(traits, rows))))

    def _gathered(self, of: Callable[[IndexArray, Rooms], FloatArray]) -> FloatArray:
        out = np.empty(len(self.traits.ids))
        for rows, model in self._parts:
            out[rows] = of(rows, model)
        return out

    @property
    def sends_w_per_k(self) -> FloatArray:
        """What the circuit gives per kelvin above `sink_c` [W/K]."""
        return self._gathered(lambda _, model: model.sends_w_per_k)

    @property
    def design_flow_c(self) -> FloatArray:
        """Flow temperature at the design temperature outdoors [°C]."""
        return self._gathered(lambda _, model: model.design_flow_c)

    def sink_c(self, state: Inside) -> FloatArray:
        """Return the temperature that the circuit works against [°C]."""
        return self._gathered(lambda rows, model: model.sink_c(_Some.of(state, rows)))

    def rest(self, state: Inside, outdoor_c: float) -> None:
        """Let homes have stood at their ``state.air_c`` for long."""
        fabric = np.empty(len(self.traits.ids))
        for rows, model in self._parts:
            some = _Some.of(state, rows)
            model.rest(some, outdoor_c)
            fabric[rows] = some.fabric_c
        state.fabric_c = fabric

    def step(self, state: Inside, around: Around, dt_s: float) -> FloatArray:
        """Advance all homes by one step."""
        air, fabric, circuit, lost = (np.empty(len(self.traits.ids)) for _ in range(4))
        for rows, model in self._parts:
            some = _Some.of(state, rows)
            lost[rows] = model.step(some, around.of(rows), dt_s)
            air[rows], fabric[rows], circuit[rows] = some.air_c, some.fabric_c, some.circuit_c
        state.air_c, state.fabric_c, state.circuit_c = air, fabric, circuit
        return lost

    def stored_j(self, state: Inside) -> FloatArray:
        """Return heat in all parts [J]."""
        return self._gathered(lambda rows, model: model.stored_j(_Some.of(state, rows)))

    @property
    def capacity_j_per_k(self) -> FloatArray:
        """All heat capacity [J/K]."""
        return self._gathered(lambda _, model: model.capacity_j_per_k)

    def dump(self) -> dict[str, Any]:
        """Return what each model carries."""
        return {str(number): model.dump() for number, (_, model) in enumerate(self._parts)}

    def restore(self, dumped: Mapping[str, Any]) -> None:
        """Take over what `dump` returned."""
        for number, (_, model) in enumerate(self._parts):
            model.restore(dumped[str(number)])


def _traits_of(traits: Traits, rows: IndexArray) -> Traits:
    """Return the traits of some homes; party walls are handled outside the models."""
    changed: dict[str, Any] = {
        item.name: getattr(traits, item.name)[rows]
        for item in fields(traits)
        if item.name not in {"ids", "party_w_per_k"}
    }
    changed["ids"] = tuple(traits.ids[row] for row in rows)
    changed["party_w_per_k"] = traits.party_w_per_k[np.ix_(rows, rows)]
    return replace(traits, **changed)


MODELS: Mapping[str, Callable[[Traits], Rooms]] = {
    "two-node": TwoNode,
    "heated-floor": HeatedFloor,
    "two-zone": TwoZone,
    "mixed": lambda traits: Mixed(traits, (TwoNode, HeatedFloor, TwoZone)),
}
"""House models by name."""


def rooms_model(houses: str) -> Callable[[Traits], Rooms]:
    """Return what makes a house model of homes' traits, by its name.

    Raises
    ------
    InvalidInputError
        Where there is no such model.
    """
    maker = MODELS.get(houses)
    if maker is None:
        raise InvalidInputError(
            "no such house model",
            field="houses",
            value=houses,
            remedy=f"Name one of: {', '.join(MODELS)}.",
        )
    return maker
