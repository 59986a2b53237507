"""The format of problem files: names, units and bounds, and the JSON Schema of it.

Names and units are those of :mod:`ems.domain.plans`, with two differences that JSON asks for: no
limit is ``null`` and not infinity, and what may be left out may be left out.
"""

from __future__ import annotations

from datetime import datetime
from typing import Annotated, Any, Literal

from pydantic import BaseModel, ConfigDict, Field
from pydantic.json_schema import GenerateJsonSchema

PROBLEM_FORMAT = "hearth-problem/1"
SERIES = "one value per step"

Positive = Annotated[float, Field(ge=0)]
Series = list[float]
PositiveSeries = list[Positive]
Limits = list[Positive | None]


def about(text: str, **more: Any) -> Any:
    """Return a field of a format with its description."""
    return Field(description=text, **more)


class Part(BaseModel):
    """Base of all parts of a file: no unknown names, no ``NaN``, no numbers in quotes."""

    model_config = ConfigDict(extra="forbid", frozen=True, strict=True, allow_inf_nan=False)


class PumpPart(Part):
    """How a heat pump can run; without it, at any output up to heat_max_w."""

    heat_min_w: PositiveSeries | None = about(
        f"Least heat while it runs [W], {SERIES}.", default=None
    )
    min_on_s: Positive = about("Once started it runs at least so long [s].", default=0.0)
    min_off_s: Positive = about("Once stopped it rests at least so long [s].", default=0.0)
    start_gbp: Positive = about("Cost of a start [GBP].", default=0.0)
    on: bool = about("Whether it runs now.", default=False)
    since_s: Positive | None = about("For how long it has [s]; null: long enough.", default=None)
    part_load: list[tuple[Positive, Annotated[float, Field(gt=0)]]] = about(
        "Share of heat_max_w and its marginal COP as a multiple of cop, most efficient first; "
        "shares add up to 1.",
        default=[],
    )


class FabricPart(Part):
    """Heavy parts of the home as a second thermal state behind the room."""

    mass_c: float = about("Their temperature now [degC].")
    capacity_j_per_k: float = about("Their heat capacity [J/K].", gt=0)
    coupling_w_per_k: Positive = about("Between room and heavy parts [W/K].")


class HygienePart(Part):
    """A legionella cycle that is due."""

    energy_wh: Positive = about("What the tank is to hold throughout [Wh].")
    by_s: Positive = about("It is over so long after the start of the first step [s].")
    hold_s: Positive = about("It lasts so long [s].")


class TankPart(Part):
    """A hot-water tank that the home's heat pump charges too; energy counts from cold water."""

    energy_wh: Positive = about("Held now [Wh].")
    min_wh: Positive = about("Below it nobody has hot water [Wh].")
    comfort_wh: PositiveSeries = about(f"Wanted at each step's end [Wh], {SERIES}.")
    pump_max_wh: Positive = about("As far as the heat pump heats it [Wh].")
    max_wh: Positive = about("As far as the backup heater does [Wh].")
    standing_loss_per_h: Positive = about("Share of what it holds that is lost in an hour [1/h].")
    draw_w: PositiveSeries = about(f"Heat drawn [W], {SERIES}.")
    heat_max_w: PositiveSeries = about(f"Greatest heat of the heat pump for it [W], {SERIES}.")
    cop: list[Annotated[float, Field(ge=0.1)]] = about(f"At its flow temperature [-], {SERIES}.")
    backup_max_w: Positive = about("Power of the backup heater [W].", default=0.0)
    terminal_gbp_per_kwh: Positive = about("Value of a kWh left in it [GBP/kWh].", default=0.0)
    hygiene: HygienePart | None = None


class HomePart(Part):
    """One home."""

    dwelling_id: str = about("Its name; once in a problem.", min_length=1)
    room_c: float = about("Room temperature now [degC].")
    loss_w_per_k: Positive = about("Heat loss [W/K].")
    capacity_j_per_k: float = about("Heat capacity [J/K]; of air alone with fabric.", ge=1.0)
    outdoor_c: Series = about(f"Outdoor temperature [degC], {SERIES}.")
    free_heat_w: Series = about(f"Heat from sun, people and appliances [W], {SERIES}.")
    floor_c: Series = about(f"Floor, hard [degC], {SERIES}.")
    comfort_c: Series = about(f"Wanted, soft [degC], {SERIES}.")
    ceiling_c: Series = about(f"Upper bound, soft [degC], {SERIES}.")
    heat_max_w: PositiveSeries = about(f"Greatest heat [W], {SERIES}.")
    cop: list[Annotated[float, Field(ge=0.1)]] = about(f"Heat per electricity [-], {SERIES}.")
    base_w: Series = about(f"Everything else the home uses [W], {SERIES}.")
    price_gbp_per_kwh: Series = about(f"At the home's own meter [GBP/kWh], {SERIES}.")
    terminal_gbp_per_kwh: float = about("Value of a kWh left in the room [GBP/kWh].", default=0.0)
    pump: PumpPart | None = None
    fabric: FabricPart | None = None
    tank: TankPart | None = None
    pv_w: PositiveSeries | None = about(f"Own generation, positive [W], {SERIES}.", default=None)
    export_gbp_per_kwh: Series | None = about(
        f"Paid for export at its own meter [GBP/kWh], {SERIES}.", default=None
    )


class BatteryPart(Part):
    """The block's battery."""

    energy_wh: Positive = about("Held now [Wh].")
    min_wh: Positive = about("Reserve [Wh].")
    max_wh: Positive = about("Full [Wh].")
    max_charge_w: Positive = about("Greatest charging power [W].")
    max_discharge_w: Positive = about("Greatest discharging power [W].")
    one_way_efficiency: float = about("Each way [-].", ge=0.05, le=1.0)
    wear_gbp_per_kwh: Positive = about("Per kWh discharged [GBP/kWh].", default=0.0)
    terminal_gbp_per_kwh: float = about("Value of a kWh left in it [GBP/kWh].", default=0.0)


class EventPart(Part):
    """A limit on the import of an event's participants."""

    event_id: str = about("Its name.", min_length=1)
    direction: Literal["down", "up"] = about("down: at or under the limit; up: at or above it.")
    limit_w: list[float | None] = about(f"[W], {SERIES}; null where it asks nothing.")
    participants: list[str] = about("Homes that count.")
    battery: bool = about("Whether the battery counts.")
    uncontrolled_w: Series | None = about(
        f"Load of participants not planned [W], {SERIES}.", default=None
    )
    start: datetime = about("When it begins, with its offset from UTC.")
    until: datetime = about("When it ends.")
    reserve_wh: Positive = about(
        "What the battery holds beyond its reserve at its end [Wh].", default=0.0
    )


class PeakPart(Part):
    """A charge on the highest import of a day or month."""

    steps: list[bool] = about(f"Which steps belong to it, {SERIES}.")
    so_far_w: Positive = about("Its highest half-hour so far [W].")
    gbp_per_kw: Positive = about("For each kilowatt above that [GBP/kW].")


class ProblemFile(Part):
    """What is to be planned: one block over one horizon. Positive power is consumption."""

    format: Literal["hearth-problem/1"] = about("Name and version of this format.")
    block_id: str = about("Its name.", min_length=1)
    issued_at: datetime | None = about("When the problem was posed; null: at start.", default=None)
    start: datetime = about("Start of the first step, with its offset from UTC.")
    step_s: list[Annotated[float, Field(ge=1.0)]] = about(
        "Length of each step [s]; lengths may differ.", min_length=1
    )
    homes: list[HomePart] = about("Homes that can be steered.")
    battery: BatteryPart | None = None
    pooled: bool = about(
        "true: homes, sun and battery net off behind one meter; false: each home pays its own."
    )
    import_gbp_per_kwh: Series = about(f"At the shared meter [GBP/kWh], {SERIES}.")
    export_gbp_per_kwh: Series = about(f"At the shared meter [GBP/kWh], {SERIES}.")
    pv_w: PositiveSeries | None = about(f"Generation, positive [W], {SERIES}.", default=None)
    landlord_w: Series | None = about(f"Communal load [W], {SERIES}.", default=None)
    uncontrolled_w: Series | None = about(f"Load of homes not planned [W], {SERIES}.", default=None)
    physical_import_w: Limits | None = about(f"Rating of the feeder [W], {SERIES}.", default=None)
    contracted_import_w: Limits | None = about(f"Soft ceiling [W], {SERIES}.", default=None)
    export_limit_w: Limits | None = about(f"[W], {SERIES}; null: none.", default=None)
    discomfort_gbp_per_kh: Positive = about(
        "Of a kelvin-hour below comfort [GBP/(K h)].", default=0.5
    )
    events: list[EventPart] = []
    recovery_import_w: Limits | None = about(
        f"Soft ceiling after events [W], {SERIES}.", default=None
    )
    peaks: list[PeakPart] = []
    carbon_gbp_per_kwh: PositiveSeries | None = about(
        f"Price of the carbon of import [GBP/kWh], {SERIES}.", default=None
    )
    import_margin_w: PositiveSeries | None = about(
        f"Left free below ceiling and rating for higher loads [W], {SERIES}.", default=None
    )
    lacked: list[str] = about("Inputs that were missing, in words.", default=[])


def problem_schema() -> dict[str, Any]:
    """Return the JSON Schema of a problem file."""
    return ProblemFile.model_json_schema(schema_generator=Draft)


class Draft(GenerateJsonSchema):
    """Names the draft of JSON Schema that it is written in."""

    def generate(self, schema: Any, mode: Any = "validation") -> dict[str, Any]:
        """Return the schema with its draft."""
        return {"$schema": self.schema_dialect, **super().generate(schema, mode=mode)}
