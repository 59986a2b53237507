"""What a closed-loop step is given and what it returns."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime, time, timedelta
from enum import StrEnum
from typing import Any
from zoneinfo import ZoneInfo

from ems.domain.errors import InvalidInputError
from ems.domain.forecasts import FloatArray
from ems.domain.setpoints import Cause
from forecasting.home_model import HomeModel


class Actuator(StrEnum):
    """What a simulator or device lets be written."""

    ROOM_SETPOINT = "room_setpoint"
    """Room temperature for the home's own thermostat [°C]."""
    FLOW_SETPOINT = "flow_setpoint"
    """Flow temperature [°C]; the least value lets the heat pump rest."""
    MODULATION = "modulation"
    """Share of full output, 0 to 1."""
    ON_OFF = "on_off"
    """0 or 1."""
    SG_READY = "sg_ready"
    """SG Ready mode: 2 normal, 3 encouraged; 1 (blocked) is never written."""


_BOUNDS = {
    Actuator.ROOM_SETPOINT: (10.0, 28.0, 0.1),
    Actuator.FLOW_SETPOINT: (20.0, 55.0, 0.5),
    Actuator.MODULATION: (0.0, 1.0, 0.01),
    Actuator.ON_OFF: (0.0, 1.0, 1.0),
    Actuator.SG_READY: (2.0, 3.0, 1.0),
}


@dataclass(frozen=True, slots=True)
class Period:
    """From ``start`` (local time of day) until the next: room between two bounds [°C]."""

    start: time
    lower_c: float
    upper_c: float


@dataclass(frozen=True, slots=True)
class Comfort:
    """What the room is to be kept at.

    Attributes
    ----------
    weekday, weekend
        Periods, the first from 00:00; an empty weekend is like the week.
    zone
        Name of the time zone of the periods.
    floor_c
        The room is never planned below this [°C].
    """

    weekday: tuple[Period, ...]
    weekend: tuple[Period, ...] = ()
    zone: str = "Europe/London"
    floor_c: float = 18.0

    def __post_init__(self) -> None:
        for label, periods in (("weekday", self.weekday), ("weekend", self.weekend)):
            starts = [period.start for period in periods]
            if label == "weekend" and not starts:
                continue
            if not starts or starts[0] != time(0) or starts != sorted(set(starts)):
                raise InvalidInputError(
                    "periods must start at 00:00 and rise",
                    field=f"comfort.{label}",
                    value=[start.strftime("%H:%M") for start in starts],
                    remedy="Begin with a period from 00:00 and list the rest in order.",
                )
            for period in periods:
                if not 5.0 <= period.lower_c <= period.upper_c <= 35.0:
                    raise InvalidInputError(
                        "bounds must rise and lie between 5 and 35 °C",
                        field=f"comfort.{label}",
                        value=(period.lower_c, period.upper_c),
                        remedy="Give lower_c <= upper_c, for instance 19 and 22.",
                    )

    @classmethod
    def steady(cls, lower_c: float, upper_c: float, **other: Any) -> Comfort:
        """Return the same bounds at all times."""
        return cls((Period(time(0), lower_c, upper_c),), **other)

    def bounds_at(self, instant: datetime) -> tuple[float, float]:
        """Return lower and upper bound [°C] at ``instant`` (UTC); at or above the floor."""
        local = instant.astimezone(ZoneInfo(self.zone))
        weekend = self.weekend or self.weekday
        periods = weekend if local.weekday() >= 5 else self.weekday
        current = periods[0]
        for period in periods:
            if period.start > local.time():
                break
            current = period
        lower = max(current.lower_c, self.lowest_c)
        return lower, max(current.upper_c, lower)

    @property
    def lowest_c(self) -> float:
        """The floor [°C], or the highest wish where all wishes are lower."""
        return min(self.floor_c, self.highest_c)

    @property
    def highest_c(self) -> float:
        """The highest lower bound of any day [°C]."""
        return max(period.lower_c for period in (*self.weekday, *self.weekend))


@dataclass(frozen=True, slots=True)
class HomeBattery:
    """A battery behind the home's meter; shares of usable capacity, one-way efficiency."""

    capacity_wh: float
    max_charge_w: float
    max_discharge_w: float
    min_soc: float = 0.1
    max_soc: float = 1.0
    one_way_efficiency: float = 0.95
    wear_gbp_per_kwh: float = 0.02


@dataclass(frozen=True, slots=True)
class Device:
    """The heat pump, what may be written to it, and what is known of the home before data.

    Attributes
    ----------
    actuator
        What is written.
    rated_heat_w, rated_cop
        At 7 °C outdoor and 35 °C flow [W], [-].
    minimum, maximum, step
        Of the value written; ``None``: the actuator's usual ones.
    min_modulation
        Least output as a share of the capacity [-].
    min_on_s, min_off_s
        Shortest run and rest [s].
    design_flow_c
        Flow temperature at -2 °C outdoor [°C].
    emitter_w
        Heat of the emitters at ``design_flow_c`` and a room of 20 °C [W]; ``None``: the rated
        heat.
    epc_band, floor_area_m2
        Of the certificate, where known.
    battery
        At the same meter, where there is one.
    """

    actuator: Actuator
    rated_heat_w: float
    rated_cop: float = 3.5
    minimum: float | None = None
    maximum: float | None = None
    step: float | None = None
    min_modulation: float = 0.3
    min_on_s: float = 600.0
    min_off_s: float = 600.0
    design_flow_c: float = 45.0
    emitter_w: float | None = None
    epc_band: str | None = None
    floor_area_m2: float | None = None
    battery: HomeBattery | None = None

    def __post_init__(self) -> None:
        for name, value, low, high in (
            ("rated_heat_w", self.rated_heat_w, 500.0, 100_000.0),
            ("rated_cop", self.rated_cop, 1.0, 8.0),
            ("min_modulation", self.min_modulation, 0.0, 1.0),
            ("design_flow_c", self.design_flow_c, 25.0, 80.0),
        ):
            if not low <= value <= high:
                raise InvalidInputError(
                    f"must lie between {low:g} and {high:g}",
                    field=f"device.{name}",
                    value=value,
                    remedy="Take it from the nameplate, in watts, kelvin and shares.",
                )
        if self.bounds[0] >= self.bounds[1] or self.bounds[2] <= 0:
            raise InvalidInputError(
                "the minimum must be below the maximum and the step above zero",
                field="device.minimum, maximum, step",
                value=self.bounds,
                remedy="Leave them out for the actuator's usual ones.",
            )

    @property
    def bounds(self) -> tuple[float, float, float]:
        """Least, greatest value and step of what is written."""
        low, high, step = _BOUNDS[self.actuator]
        return (
            low if self.minimum is None else self.minimum,
            high if self.maximum is None else self.maximum,
            step if self.step is None else self.step,
        )


@dataclass(frozen=True, slots=True, eq=False)
class LoopPlan:
    """What was planned: one value a step; ``room_c`` at the step's end."""

    start: tuple[datetime, ...]
    step_s: FloatArray = field(repr=False)
    heat_w: FloatArray = field(repr=False)
    power_w: FloatArray = field(repr=False)
    room_c: FloatArray = field(repr=False)
    lower_c: FloatArray = field(repr=False)
    upper_c: FloatArray = field(repr=False)
    outdoor_c: FloatArray = field(repr=False)
    price_gbp_per_kwh: FloatArray = field(repr=False)
    battery_w: FloatArray | None = field(default=None, repr=False)
    cost_gbp: float = 0.0

    @property
    def ends(self) -> list[datetime]:
        """End of each step, UTC."""
        return [
            at + timedelta(seconds=float(s)) for at, s in zip(self.start, self.step_s, strict=True)
        ]


@dataclass(frozen=True, slots=True)
class Reason:
    """Why the setpoint is what it is.

    Attributes
    ----------
    cause, also, sentence
        For machines, the chief cause and those that were needed besides, and for people.
    released
        The home is with its own thermostat.
    faults
        What seems wrong with sensor, heat pump or home, in words.
    notes
        Inputs that were mended or stood in for.
    proposal
        A gentle test that would teach more, for the resident to allow or refuse; empty where
        there is none.
    """

    cause: Cause
    sentence: str
    released: bool = False
    faults: tuple[str, ...] = ()
    notes: tuple[str, ...] = ()
    proposal: str = ""
    also: tuple[Cause, ...] = ()

    @property
    def causes(self) -> tuple[Cause, ...]:
        """All causes, the chief one first."""
        return (self.cause, *self.also)


@dataclass(frozen=True, slots=True)
class StepResult:
    """What to do until the next step.

    Attributes
    ----------
    setpoint
        Value for the actuator, in its unit, within its bounds and on its step.
    state
        To hand to the next step; JSON-serialisable.
    plan
        ``None`` while the home is with its own thermostat and nothing was planned.
    model
        What is known of the home.
    reason
        Why.
    battery_w
        Battery power, charging positive [W]; ``None`` where there is no battery.
    """

    setpoint: float
    state: Mapping[str, Any]
    plan: LoopPlan | None
    model: HomeModel
    reason: Reason
    battery_w: float | None = None
