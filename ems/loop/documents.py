"""The closed-loop step as JSON: request and result, and their schemas."""

from __future__ import annotations

import math
from datetime import UTC, datetime, time
from typing import Annotated, Any, TypeVar
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError

import pandas as pd
from pydantic import (
    AwareDatetime,
    BaseModel,
    ConfigDict,
    Field,
    StringConstraints,
    ValidationError,
)

from ems.domain.errors import ConfigurationError, Fault
from ems.loop.step import step
from ems.loop.types import Actuator, Comfort, Device, HomeBattery, LoopPlan, Period, StepResult


class _Strict(BaseModel):
    model_config = ConfigDict(extra="forbid", allow_inf_nan=False)


_Row = TypeVar("_Row", bound="_At")


class _At(_Strict):
    at: AwareDatetime = Field(description="Instant with a time zone, ISO 8601.")


class HistoryRow(_At):
    """One row of readings; null where a value is unknown."""

    room_c: float | None = Field(None, description="Room at this time [°C].")
    outdoor_c: float | None = Field(None, description="Outdoors at this time [°C].")
    power_w: float | None = Field(
        None, description="Electricity of the heat pump, mean since the row before [W]."
    )
    heat_w: float | None = Field(None, description="Heat of the heat pump, mean [W].")
    sun_w_m2: float | None = Field(None, description="Irradiance on the horizontal [W/m²].")
    occupancy: float | None = Field(None, description="People at home; not used yet.")
    pv_w: float | None = Field(None, description="Solar power, positive [W].")
    base_w: float | None = Field(None, description="Household without the heat pump [W].")
    soc: float | None = Field(None, description="The battery's state of charge, 0 to 1.")


class WeatherRow(_At):
    """One row of the forecast."""

    outdoor_c: float | None = Field(None, description="[°C]")
    sun_w_m2: float | None = Field(None, description="Irradiance on the horizontal [W/m²].")
    pv_w: float | None = Field(None, description="Solar power, positive [W].")
    base_w: float | None = Field(None, description="Household without the heat pump [W].")


class PriceRow(_At):
    """One price, from ``at`` until the next, for an hour at most."""

    import_gbp_per_kwh: float
    export_gbp_per_kwh: float | None = None


class PeriodDocument(_Strict):
    """From ``start``, local time of day, until the next period."""

    start: Annotated[str, StringConstraints(pattern=r"^([01]\d|2[0-3]):[0-5]\d$")]
    lower_c: float = Field(description="The room is to be at least this warm [°C].")
    upper_c: float = Field(description="And at most this warm [°C].")


class ComfortDocument(_Strict):
    """What the room is to be kept at."""

    weekday: list[PeriodDocument] = Field(min_length=1, description="The first from 00:00.")
    weekend: list[PeriodDocument] = Field(default=[], description="Empty: like the week.")
    zone: str = Field("Europe/London", description="Time zone of the periods.")
    floor_c: float = Field(18.0, description="Never planned below [°C].")


class BatteryDocument(_Strict):
    """A battery behind the home's meter."""

    capacity_wh: float = Field(gt=0)
    max_charge_w: float = Field(ge=0)
    max_discharge_w: float = Field(ge=0)
    min_soc: float = Field(0.1, ge=0, le=1)
    max_soc: float = Field(1.0, ge=0, le=1)
    one_way_efficiency: float = Field(0.95, gt=0, le=1)
    wear_gbp_per_kwh: float = Field(0.02, ge=0)


class DeviceDocument(_Strict):
    """The heat pump and what may be written to it."""

    actuator: Actuator
    rated_heat_w: float = Field(description="At 7 °C outdoors and 35 °C flow [W].")
    rated_cop: float = 3.5
    minimum: float | None = Field(None, description="Least value written; null: the usual one.")
    maximum: float | None = None
    step: float | None = None
    min_modulation: float = Field(0.3, description="Least output as a share [-].")
    min_on_s: float = Field(600.0, ge=0)
    min_off_s: float = Field(600.0, ge=0)
    design_flow_c: float = Field(45.0, description="Flow at -2 °C outdoors [°C].")
    emitter_w: float | None = Field(
        None, gt=0, description="Heat of the emitters at that flow [W]; null: the rated heat."
    )
    epc_band: Annotated[str, StringConstraints(pattern="^[A-G]$")] | None = None
    floor_area_m2: float | None = Field(None, gt=0)
    battery: BatteryDocument | None = None


class StepRequest(_Strict):
    """What ``ems control step`` reads."""

    now: AwareDatetime
    history: list[HistoryRow] = Field(default=[], description="May be empty at first.")
    weather_forecast: list[WeatherRow] = Field(default=[], description="May be empty.")
    prices: list[PriceRow] = Field(default=[], description="As far as they are known.")
    comfort: ComfortDocument
    device: DeviceDocument
    state: dict[str, Any] | None = Field(
        None, description="That of the last result, unchanged; null the first time."
    )


class PlanStep(_Strict):
    """One step of the plan; the room is as of its end."""

    start: datetime
    step_s: float
    heat_w: float
    power_w: float
    room_c: float
    lower_c: float
    upper_c: float
    outdoor_c: float
    price_gbp_per_kwh: float
    battery_w: float | None = None


class ReasonDocument(_Strict):
    """Why the setpoint is what it is."""

    cause: str
    also: list[str] = Field(description="Further causes that were needed.")
    sentence: str
    released: bool = Field(description="The home is with its own thermostat.")
    faults: list[str]
    notes: list[str] = Field(description="Inputs that were mended or stood in for.")
    proposal: str = Field(description="A gentle test that would teach more; empty where none.")


class ModelDocument(_Strict):
    """What is known of the home."""

    source: str
    hours: float
    loss_w_per_k: float
    loss_sd: float
    capacity_wh_per_k: float
    capacity_sd: float
    time_constant_h: float
    aperture_m2: float
    free_w: float
    error_k: float | None = Field(description="Held-out error a day ahead, rms [K].")
    persistence_k: float | None = Field(description="The same of the room as it was [K].")
    note: str


class StepAnswer(_Strict):
    """What ``ems control step`` writes."""

    setpoint: float = Field(description="Value for the actuator, in its unit.")
    battery_w: float | None = Field(description="Charging positive [W]; null without a battery.")
    reason: ReasonDocument
    model: ModelDocument
    plan: list[PlanStep] | None
    state: dict[str, Any] = Field(description="To hand back with the next request.")


def parse(text: str, source: str) -> StepRequest:
    """Return the request in a JSON text.

    Raises
    ------
    ConfigurationError
        With every fault found: where, what was given and what to give.
    """
    try:
        request = StepRequest.model_validate_json(text)
    except ValidationError as error:
        faults = tuple(
            Fault(
                path=".".join(str(part) for part in each["loc"]) or "the document",
                problem=each["msg"],
                value=None if isinstance(each["input"], dict | list) else each["input"],
                remedy="See the schema: ems control schema request.",
            )
            for each in error.errors()[:20]
        )
        raise ConfigurationError(source, faults) from error
    try:
        ZoneInfo(request.comfort.zone)
    except (ZoneInfoNotFoundError, ValueError) as error:
        fault = Fault(
            "comfort.zone", "no such time zone", request.comfort.zone, "Write Europe/London."
        )
        raise ConfigurationError(source, (fault,)) from error
    return request


def answer(request: StepRequest) -> StepAnswer:
    """Return the result of a request."""
    result = step(
        _frame(request.history),
        request.now.astimezone(UTC),
        _frame(request.weather_forecast),
        _frame(request.prices),
        _comfort(request.comfort),
        _device(request.device),
        request.state,
    )
    return document(result)


def document(result: StepResult) -> StepAnswer:
    """Return a result as a document."""
    model, reason = result.model, result.reason
    return StepAnswer(
        setpoint=result.setpoint,
        battery_w=result.battery_w,
        reason=ReasonDocument(
            cause=str(reason.cause),
            also=[str(cause) for cause in reason.also],
            sentence=reason.sentence,
            released=reason.released,
            faults=list(reason.faults),
            notes=list(reason.notes),
            proposal=reason.proposal,
        ),
        model=ModelDocument(
            source=model.source,
            hours=model.hours,
            loss_w_per_k=model.loss_w_per_k,
            loss_sd=model.loss_sd,
            capacity_wh_per_k=model.capacity_wh_per_k,
            capacity_sd=model.capacity_sd,
            time_constant_h=model.capacity_wh_per_k / model.loss_w_per_k,
            aperture_m2=model.aperture_m2,
            free_w=model.free_w,
            error_k=_known(model.error_k),
            persistence_k=_known(model.persistence_k),
            note=model.note,
        ),
        plan=None if result.plan is None else _steps(result.plan),
        state=dict(result.state),
    )


def schema(which: str) -> dict[str, Any]:
    """Return the JSON Schema of ``request`` or ``result``."""
    model: type[BaseModel] = StepRequest if which == "request" else StepAnswer
    return model.model_json_schema()


def _known(value: float) -> float | None:
    return value if math.isfinite(value) else None


def _frame(rows: list[_Row]) -> pd.DataFrame:
    if not rows:
        return pd.DataFrame()
    index = pd.DatetimeIndex([row.at.astimezone(UTC) for row in rows])
    frame = pd.DataFrame([row.model_dump(exclude={"at"}) for row in rows], index=index)
    kept = {"room_c", "outdoor_c", "power_w"} if isinstance(rows[0], HistoryRow) else set()
    named = [name for name in frame.columns if name in kept or frame[name].notna().any()]
    return frame[named].astype(float)


def _comfort(given: ComfortDocument) -> Comfort:
    def periods(rows: list[PeriodDocument]) -> tuple[Period, ...]:
        return tuple(Period(time.fromisoformat(r.start), r.lower_c, r.upper_c) for r in rows)

    return Comfort(periods(given.weekday), periods(given.weekend), given.zone, given.floor_c)


def _device(given: DeviceDocument) -> Device:
    values = given.model_dump(exclude={"battery"})
    battery = None if given.battery is None else HomeBattery(**given.battery.model_dump())
    return Device(**values, battery=battery)


def _steps(plan: LoopPlan) -> list[PlanStep]:
    return [
        PlanStep(
            start=start,
            step_s=float(plan.step_s[k]),
            heat_w=float(plan.heat_w[k]),
            power_w=float(plan.power_w[k]),
            room_c=float(plan.room_c[k]),
            lower_c=float(plan.lower_c[k]),
            upper_c=float(plan.upper_c[k]),
            outdoor_c=float(plan.outdoor_c[k]),
            price_gbp_per_kwh=float(plan.price_gbp_per_kwh[k]),
            battery_w=None if plan.battery_w is None else float(plan.battery_w[k]),
        )
        for k, start in enumerate(plan.start)
    ]
