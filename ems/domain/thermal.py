"""What is known of a home's heat: the estimate that planning uses, and whether it still fits."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime

CAPACITY_UNTOLD = "the capacity rests on the certificate"
"""Part of an estimate's note where the data could not tell the capacity."""


@dataclass(frozen=True, slots=True)
class ThermalEstimate:
    """A one-state thermal model with its uncertainty.

    ``C dT/dt = heat + free_heat + solar_aperture * irradiance - loss (T - outdoor)``.

    Attributes
    ----------
    dwelling_id
        Which home.
    loss_w_per_k, loss_sd
        Heat-loss coefficient and its standard deviation [W/K].
    capacity_j_per_k, capacity_sd
        Heat capacity and its standard deviation [J/K].
    solar_aperture_m2
        Effective solar aperture [m²].
    free_heat_w
        Mean heat from people and appliances [W].
    fitted_at
        When; ``None`` for a prior before data.
    hours
        Hours of good data used.
    source
        ``prior`` or ``fit``.
    note
        Why the data could not tell, where it could not.
    power_scale
        Electricity measured over what estimate and nameplate expect of the same days [-].
    """

    dwelling_id: str
    loss_w_per_k: float
    loss_sd: float
    capacity_j_per_k: float
    capacity_sd: float
    solar_aperture_m2: float
    free_heat_w: float
    fitted_at: datetime | None = None
    hours: float = 0.0
    source: str = "prior"
    note: str = ""
    power_scale: float = 1.0

    @property
    def capacity_is_told(self) -> bool:
        """Whether the data told the capacity."""
        return self.source == "fit" and CAPACITY_UNTOLD not in self.note


@dataclass(frozen=True, slots=True)
class HeatBalance:
    """How a home's heat and temperatures of the last day go together, beside what is usual for it.

    What cannot be told is ``None``.

    Attributes
    ----------
    dwelling_id
        Which home.
    unexplained_w
        Heat that came beside the model, negative where it went [W]: the mean of the last day
        less the median of the fortnight before.
    spread_w
        How far single days of that fortnight were from their median [W].
    loss_w
        What the home lost in the mean of the last day by its model [W].
    heat_is_estimated
        Heat is electricity times an expected efficiency: a weak pump shows as a loss.
    beside_own_k
        Room sensor less the heat pump's own thermostat over the last hours, beyond what is
        usual [K].
    short_h
        Hours of the last day in which the room was well below what its heating is told.
    short_share
        Mean heat in those hours beside what the nameplate says the heat pump can give [-].
    full_share
        Most heat in those hours beside the most that it gave before [-].
    """

    dwelling_id: str
    unexplained_w: float | None = None
    spread_w: float = 0.0
    loss_w: float = 0.0
    heat_is_estimated: bool = False
    beside_own_k: float | None = None
    short_h: float = 0.0
    short_share: float | None = None
    full_share: float | None = None
