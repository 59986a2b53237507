"""What is known of a home's heat: the estimate that planning uses."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime


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
