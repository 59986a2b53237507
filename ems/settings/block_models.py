"""The shape of a block in an estate file: limits, meters, panels, batteries, homes, heat pumps."""

from __future__ import annotations

from typing import Annotated

from pydantic import Field

from ems.domain.comfort import FLOOR_C
from ems.settings.quantities import (
    Between,
    Choice,
    EnergyKwh,
    EpcBand,
    Identifier,
    Label,
    Percent,
    PowerKw,
    PriceP,
    RoomC,
    Truth,
    UnitId,
)
from ems.settings.section import Section


class HeatPumpSection(Section):
    """A heat pump's nameplate."""

    profile: Identifier = Field(description="Its register map.")
    actuator: Annotated[str, Choice(("room_setpoint", "sg_ready"))] = Field(
        description="How Hearth steers it: room_setpoint or sg_ready."
    )
    rated_heat_kw: Annotated[float, Between("kW", 1, 50)] = Field(
        description="Heat output at 7 °C outdoor and 35 °C flow."
    )
    rated_cop: Annotated[float, Between("", 1.5, 8)] = Field(
        description="Coefficient of performance at that point."
    )
    min_modulation_pct: Percent = Field(description="Least output, of the capacity.")


class LimitsSection(Section):
    """Limits at the block's feeder."""

    physical_import_kw: PowerKw = Field(description="Rating of the feeder; never exceeded.")
    contracted_import_kw: PowerKw | None = Field(
        None, description="Agreed ceiling, if there is one; gives way before warmth does."
    )
    export_kw: Annotated[float, Between("kW", 0, 5000)] = Field(description="Permitted export.")


class BlockDeviceSection(Section):
    """A device of the block itself."""

    profile: Identifier = Field(description="Its register map.")
    unit: UnitId = Field(description="Its Modbus unit id.")
    gateway: Identifier | None = Field(None, description="Its gateway, if not the block's.")


class BlockMeterSection(BlockDeviceSection):
    """The meter that sees the whole block."""

    boundary: Annotated[str, Choice(("block",))] = Field(description="block")
    payer: Annotated[str, Choice(("landlord", "nobody"))] = Field(
        description="Who pays what it counts: landlord, or nobody where it only watches."
    )
    tariff: Identifier | None = Field(None, description="Import tariff, where somebody pays.")
    export_p_per_kwh: PriceP = Field(0.0, description="Paid for export at this meter.")


class LandlordMeterSection(BlockMeterSection):
    """The meter of the landlord's own supply."""

    boundary: Annotated[str, Choice(("landlord",))] = Field(description="landlord")


class HeatMeterSection(BlockDeviceSection):
    """The meter of the heat that a block's common plant gives; it is kept and shown."""


class PvSection(BlockDeviceSection):
    """The block's photovoltaic array, by its inverter."""

    peak_kw: PowerKw = Field(description="Peak power of the array.")
    tilt_deg: Annotated[float, Between("degrees", 0, 90)] = Field(
        description="0 lies flat, 90 stands upright."
    )
    azimuth_deg: Annotated[float, Between("degrees", 0, 360)] = Field(
        description="Where it faces: 90 east, 180 south, 270 west."
    )


class BatterySection(BlockDeviceSection):
    """The block's battery."""

    capacity_kwh: EnergyKwh = Field(description="Usable energy.")
    max_charge_kw: PowerKw = Field(description="Greatest charging power.")
    max_discharge_kw: PowerKw = Field(description="Greatest discharging power.")
    min_soc_pct: Percent = Field(description="Reserve that Hearth leaves in it.")
    max_soc_pct: Percent = Field(description="Fullest that Hearth charges it.")
    one_way_efficiency_pct: Annotated[float, Between("%", 50, 100)] = Field(
        description="Efficiency of charging and of discharging, each."
    )
    wear_p_per_kwh: Annotated[float, Between("p/kWh", 0, 100)] = Field(
        description="Cost of wear for each kWh discharged."
    )


class EveryDwellingSection(Section):
    """What holds for every home of a block unless its own line says otherwise."""

    meter_profile: Identifier = Field(description="Register map of home meters.")
    room_sensor_profile: Identifier = Field(description="Register map of room sensors.")
    heat_pump_meter_profile: Identifier | None = Field(
        None, description="Register map of heat-pump meters, where homes have them."
    )
    heat_meter_profile: Identifier | None = Field(
        None, description="Register map of heat meters, where homes have them."
    )
    boundary: Annotated[str, Choice(("home",))] = Field(description="home")
    payer: Annotated[str, Choice(("tenant", "landlord"))] = Field(
        description="Who pays a home's electricity: tenant or landlord."
    )
    tariff: Identifier = Field(description="Import tariff of the homes.")
    export_p_per_kwh: PriceP = Field(0.0, description="Paid for export at a home's meter.")


class UnitsSection(Section):
    """Modbus unit ids of a home's devices."""

    meter: UnitId = Field(description="Home meter.")
    heat_pump: UnitId = Field(description="Heat pump.")
    room_sensor: UnitId = Field(description="Living-room sensor.")
    heat_pump_meter: UnitId | None = Field(
        None, description="Heat pump's own meter; needed where the pump reports no power."
    )
    heat_meter: UnitId | None = Field(
        None, description="Heat meter in the pipe to the rooms, not to the tank."
    )


class DwellingSection(Section):
    """One home."""

    id: Identifier = Field(description="Unique in the estate, e.g. A-07.")
    name: Label = Field(description="What people call it, e.g. Flat 7.")
    epc_band: EpcBand = Field(description="Band of the energy performance certificate, A to G.")
    floor_area_m2: Annotated[float, Between("m²", 12, 500)] = Field(
        description="Heated floor area."
    )
    comfort: Identifier = Field(description="Comfort schedule of the resident.")
    heat_pump: Identifier = Field(description="Which of heat_pumps it has.")
    design_flow_c: Annotated[float, Between("°C", 25, 70)] = Field(
        description="Flow temperature its radiators need at -2 °C outdoor."
    )
    units: UnitsSection = Field(description="Modbus unit ids of its devices.")
    floor_c: RoomC = Field(FLOOR_C, description="Comfort floor: 18, or higher.")
    vulnerable: Truth = Field(False, description="Someone here needs more warmth: states floor_c.")
    tariff: Identifier | None = Field(None, description="Its tariff, if not the block's.")
    gateway: Identifier | None = Field(None, description="Its gateway, if not the block's.")


class BlockSection(Section):
    """One block of homes behind one feeder."""

    id: Identifier = Field(description="Unique in the estate; its devices are named after it.")
    name: Label = Field(description="What people call it.")
    supply: Annotated[str, Choice(("boundary", "individual"))] = Field(
        description="boundary (the landlord buys and resells) or individual (each home buys)."
    )
    gateway: Identifier = Field(description="Gateway of its devices.")
    limits: LimitsSection = Field(description="Limits at the feeder.")
    meter: BlockMeterSection = Field(description="The meter that sees the whole block.")
    landlord_meter: LandlordMeterSection | None = Field(
        None, description="Meter of the landlord's supply; only with individual supply."
    )
    pv: PvSection | None = Field(None, description="Photovoltaic array, if there is one.")
    battery: BatterySection | None = Field(None, description="Battery, if there is one.")
    heat_meter: HeatMeterSection | None = Field(
        None, description="Heat meter of a common plant, if there is one."
    )
    every_dwelling: EveryDwellingSection = Field(description="What holds for every home.")
    dwellings: list[DwellingSection] = Field(description="The homes, one entry each.")
