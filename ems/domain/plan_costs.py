"""What a plan's objective is made of: money, and weights of what is wanted but not paid for."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class PlanCosts:
    """The parts of an objective [£].

    Attributes
    ----------
    electricity_gbp
        What flows at the shared meter, and what homes with their own supplier pay.
    peak_gbp
        Charges on the highest import of days and months.
    carbon_gbp
        Price of the carbon of what the feeder imports.
    wear_gbp
        Of the battery, and of heat pumps by their starts.
    discomfort_gbp
        Weight of rooms below their schedule and hot water below its comfort; nobody pays it.
    missed_gbp
        Weight of limits that gave way; nobody pays it.
    left_gbp
        Worth of heat, hot water and charge that are left at the end; it is taken off.
    """

    electricity_gbp: float
    peak_gbp: float
    carbon_gbp: float
    wear_gbp: float
    discomfort_gbp: float
    missed_gbp: float
    left_gbp: float

    @property
    def paid_gbp(self) -> float:
        """What the plan really costs [£]."""
        return self.electricity_gbp + self.peak_gbp + self.carbon_gbp + self.wear_gbp

    @property
    def objective_gbp(self) -> float:
        """What planning makes small [£]: all parts together."""
        return self.paid_gbp + self.discomfort_gbp + self.missed_gbp - self.left_gbp

    @property
    def scale_gbp(self) -> float:
        """What a gap is a share of [£]: the objective without limits that gave way, at least 1.

        What cannot be kept weighs so much that a thousandth of it would hide all that can be.
        """
        return max(abs(self.objective_gbp - self.missed_gbp), 1.0)
