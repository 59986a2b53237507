"""What all house models have in common, and the first of them: air and fabric.

A model takes homes from one step to the next by explicit Euler. All know the living room's air,
the part that touches the neighbours and the water of the circuit; what else they have is their
own. The others stand in :mod:`ems.field.houses`.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Mapping
from dataclasses import dataclass, fields
from typing import Any, Protocol

import numpy as np
from numpy.typing import NDArray

from ems.domain.forecasts import FloatArray
from ems.field.traits import Traits

BoolArray = NDArray[np.bool_]
IndexArray = NDArray[np.intp]

AIRING_ABOVE_C = 24.0
AIRING_W_PER_K_K = 25.0
"""People who are too warm open a window: ventilation per kelvin above [W/K²]."""
STANDING_EMISSION = 0.25
"""Share of the emitters' output while their pump stands still."""
ZERO_C = 20.0
"""Stored heat is counted from here; only differences mean anything."""


class Inside(Protocol):
    """What a model reads and moves of homes, shape (homes,).

    Attributes
    ----------
    air_c, fabric_c, circuit_c
        Living room, what touches the neighbours, water of the circuit [°C]; moved.
    heat_w, pump_on
        From the heat pump into the circuit [W], and whether the water goes round.
    """

    air_c: FloatArray
    fabric_c: FloatArray
    circuit_c: FloatArray
    heat_w: FloatArray
    pump_on: BoolArray


@dataclass(frozen=True, slots=True, eq=False)
class Around:
    """What acts on homes in one step; shape (homes,) but for the first two.

    Attributes
    ----------
    outdoor_c, wind_m_s
        Outside.
    vent_w_per_k, airing_w_per_k
        Draughts at the day's wind with what people open in the morning, and the latter
        alone [W/K].
    solar_w, gains_w
        Sun through panes; people and appliances [W].
    tank_w
        From the hot-water tank into the air [W].
    neighbours_w, neighbours_w_per_k
        Party walls: the sum of conductance times the neighbour's temperature [W], and of
        conductances [W/K].
    loss_factor, open_w_per_k
        Faults: by how much the home loses more [-], what open windows add [W/K].
    """

    outdoor_c: float
    wind_m_s: float
    vent_w_per_k: FloatArray
    airing_w_per_k: FloatArray
    solar_w: FloatArray
    gains_w: FloatArray
    tank_w: FloatArray
    neighbours_w: FloatArray
    neighbours_w_per_k: FloatArray
    loss_factor: FloatArray
    open_w_per_k: FloatArray

    def of(self, rows: IndexArray) -> Around:
        """Return what acts on some of the homes."""
        return Around(
            self.outdoor_c,
            self.wind_m_s,
            *(getattr(self, item.name)[rows] for item in fields(self)[2:]),
        )


class Rooms(ABC):
    """One house model, for homes of the given traits."""

    traits: Traits

    @property
    def sends_w_per_k(self) -> FloatArray:
        """What the circuit gives per kelvin above `sink_c` [W/K]."""
        return self.traits.emitter_w_per_k

    @property
    def design_flow_c(self) -> FloatArray:
        """Flow temperature at the design temperature outdoors [°C]."""
        return self.traits.design_flow_c

    def sink_c(self, state: Inside) -> FloatArray:
        """Return the temperature that the circuit works against [°C]."""
        return state.air_c

    @abstractmethod
    def rest(self, state: Inside, outdoor_c: float) -> None:
        """Let homes have stood at their ``state.air_c`` for long."""

    @abstractmethod
    def step(self, state: Inside, around: Around, dt_s: float) -> FloatArray:
        """Advance air, fabric, circuit and its own parts; return what got lost outdoors [W]."""

    @abstractmethod
    def stored_j(self, state: Inside) -> FloatArray:
        """Return heat in rooms, building and circuit above `ZERO_C` [J], shape (homes,)."""

    @property
    @abstractmethod
    def capacity_j_per_k(self) -> FloatArray:
        """All of its heat capacity [J/K], shape (homes,)."""

    def dump(self) -> dict[str, Any]:
        """Return its own parts as plain lists."""
        return {}

    def restore(self, dumped: Mapping[str, Any]) -> None:  # noqa: B027 - a model may carry nothing
        """Take over what `dump` returned."""


class TwoNode(Rooms):
    """Air with furnishings, and fabric.

    ::

        Ca dTa/dt = Hw (Tw - Ta) + H (Tf - Ta) - (Hv + Hp)(Ta - To) + gains + 0.6 sun
        Cf dTf/dt = H (Ta - Tf) - Hf (Tf - To) + P + 0.4 sun
        Cw dTw/dt = heat - Hw (Tw - Ta)
    """

    def __init__(self, traits: Traits) -> None:
        self.traits = traits

    def rest(self, state: Inside, outdoor_c: float) -> None:
        """Let homes have stood at their ``state.air_c`` for long."""
        traits, air = self.traits, state.air_c
        series = traits.fabric_w_per_k / (traits.fabric_w_per_k + traits.coupling_w_per_k)
        state.fabric_c = air - series * (air - outdoor_c)

    def step(self, state: Inside, around: Around, dt_s: float) -> FloatArray:
        """Advance by one step."""
        traits, outdoor = self.traits, around.outdoor_c
        air, fabric, circuit = state.air_c, state.fabric_c, state.circuit_c
        vent = around.vent_w_per_k + AIRING_W_PER_K_K * np.maximum(air - AIRING_ABOVE_C, 0.0)
        emitted = traits.emitter_w_per_k * (circuit - air)
        emitted *= np.where(state.pump_on, 1.0, STANDING_EMISSION)
        lost = around.loss_factor * (vent + traits.window_w_per_k) + around.open_w_per_k
        walls = around.loss_factor * traits.fabric_w_per_k
        losses = lost * (outdoor - air)
        between = traits.coupling_w_per_k * (fabric - air)
        to_air = emitted + between + losses + around.gains_w + 0.6 * around.solar_w
        to_air += around.tank_w
        to_fabric = (
            traits.coupling_w_per_k * air
            + walls * (outdoor - fabric)
            + around.neighbours_w
            - (traits.coupling_w_per_k + around.neighbours_w_per_k) * fabric
            + 0.4 * around.solar_w
        )
        state.air_c = air + dt_s * to_air / traits.air_j_per_k
        state.fabric_c = fabric + dt_s * to_fabric / traits.fabric_j_per_k
        state.circuit_c = circuit + dt_s * (state.heat_w - emitted) / traits.circuit_j_per_k
        return np.asarray(-losses - walls * (outdoor - fabric))

    def stored_j(self, state: Inside) -> FloatArray:
        """Return heat in air, fabric and circuit [J]."""
        traits = self.traits
        return np.asarray(
            traits.air_j_per_k * (state.air_c - ZERO_C)
            + traits.fabric_j_per_k * (state.fabric_c - ZERO_C)
            + traits.circuit_j_per_k * (state.circuit_c - ZERO_C)
        )

    @property
    def capacity_j_per_k(self) -> FloatArray:
        """Air, fabric and circuit [J/K]."""
        traits = self.traits
        return traits.air_j_per_k + traits.fabric_j_per_k + traits.circuit_j_per_k
