"""Validated sections and sources → the domain's estate. Pure; units change here once."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from zoneinfo import ZoneInfo

from ems.domain.comfort import ComfortPeriod, ComfortSchedule
from ems.domain.estate import (
    Actuator,
    Battery,
    Block,
    BlockLimits,
    DataSources,
    Device,
    DRProduct,
    Dwelling,
    Estate,
    HeatPump,
    MeterAccount,
    Payer,
    PvArray,
    Supply,
    ThermalPrior,
)
from ems.domain.people import PeopleRules
from ems.domain.points import DeviceClass
from ems.domain.profiles import DeviceProfile
from ems.domain.rules import ControlRules
from ems.domain.tariffs import DynamicTariff, FlatTariff, Tariff, TariffBand, TimeOfUseTariff
from ems.settings.aggregators import aggregators_of
from ems.settings.alarms import alarm_rules
from ems.settings.block_models import (
    BatterySection,
    BlockMeterSection,
    BlockSection,
    DwellingSection,
    HeatMeterSection,
    HeatPumpSection,
    PvSection,
)
from ems.settings.gateways import gateway_of
from ems.settings.models import (
    ComfortSection,
    DataSection,
    DynamicSection,
    EstateFile,
    FlatSection,
    PeriodSection,
    ProductSection,
    TimeOfUseSection,
)
from ems.settings.profiles import profile_named
from ems.settings.sources import Sources

_W_PER_KW = 1000.0
_PENCE_PER_POUND = 100.0
_S_PER_MIN = 60.0
_PCT = 100.0


@dataclass(slots=True)
class _Parts:
    """What blocks are made of."""

    profiles: Mapping[str, DeviceProfile]
    tariffs: Mapping[str, Tariff]
    schedules: Mapping[str, ComfortSchedule]
    heat_pumps: Mapping[str, HeatPumpSection]
    devices: dict[str, Device]
    confirmed: frozenset[str] = frozenset()


def build_estate(file: EstateFile, sources: Sources, folder: Path) -> Estate:
    """Return the estate that ``file`` describes.

    Parameters
    ----------
    file, sources
        Checked: no fault was found in them or between them.
    folder
        Absolute folder that paths in the file start from.
    """
    zone = ZoneInfo(file.estate.time_zone)
    parts = _Parts(
        profiles=sources.profiles or {},
        tariffs={
            name: _tariff(name, section, zone, sources) for name, section in file.tariffs.items()
        },
        schedules={name: _schedule(name, part) for name, part in file.comfort_schedules.items()},
        heat_pumps=file.heat_pumps,
        devices={},
        confirmed=frozenset(file.confirmed_writes),
    )
    blocks = tuple(_block(section, parts) for section in file.blocks)
    gateways = {name: gateway_of(name, part, folder) for name, part in file.gateways.items()}
    priors: Mapping[str, ThermalPrior] = sources.priors or {}
    return Estate(
        id=file.estate.id,
        name=file.estate.name,
        zone=zone,
        latitude=file.estate.latitude,
        longitude=file.estate.longitude,
        blocks=blocks,
        gateways=gateways,
        devices=parts.devices,
        tariffs=dict(parts.tariffs),
        comfort_schedules=dict(parts.schedules),
        products={name: _product(name, part) for name, part in file.products.items()},
        thermal_priors=priors,
        control=ControlRules(**file.control.model_dump()),
        sources=_data(file.data, folder),
        holidays=sources.holidays,
        people=sources.people or PeopleRules(),
        alarms=alarm_rules(file.alarms),
        starts_at=file.estate.starts_at,
        demonstration=file.estate.demonstration,
        aggregators=aggregators_of(file.aggregators),
    )


def _data(section: DataSection, folder: Path) -> DataSources:
    return DataSources(
        weather=None if section.weather is None else (folder / section.weather).resolve(),
        carbon=None if section.carbon is None else (folder / section.carbon).resolve(),
        weather_is_observed=section.weather_is_observed,
        weather_url=section.weather_url,
    )


def _schedule(name: str, section: ComfortSection) -> ComfortSchedule:
    def periods(listed: list[PeriodSection]) -> tuple[ComfortPeriod, ...]:
        return tuple(ComfortPeriod(period.start, period.temperature_c) for period in listed)

    return ComfortSchedule(
        name=name,
        weekday=periods(section.weekday),
        weekend=periods(section.weekend),
        ceiling_k=section.ceiling_k,
    )


def _tariff(
    name: str,
    section: FlatSection | TimeOfUseSection | DynamicSection,
    zone: ZoneInfo,
    sources: Sources,
) -> Tariff:
    standing = section.standing_p_per_day / _PENCE_PER_POUND
    if isinstance(section, FlatSection):
        return FlatTariff(name, section.rate_p_per_kwh / _PENCE_PER_POUND, standing)
    if isinstance(section, DynamicSection):
        return DynamicTariff(name, sources.rates[name], standing)
    weekday, weekend = (
        tuple(TariffBand(band.start, band.rate_p_per_kwh / _PENCE_PER_POUND) for band in bands)
        for bands in (section.weekday, section.weekend)
    )
    return TimeOfUseTariff(name, zone, weekday, weekend, standing)


def _product(name: str, section: ProductSection) -> DRProduct:
    return DRProduct(
        id=name,
        name=section.name,
        direction=section.direction,
        min_power_w=section.min_power_kw * _W_PER_KW,
        min_notice_s=section.min_notice_min * _S_PER_MIN,
        min_duration_s=section.min_duration_min * _S_PER_MIN,
        max_duration_s=section.max_duration_min * _S_PER_MIN,
        utilisation_gbp_per_kwh=section.utilisation_p_per_kwh / _PENCE_PER_POUND,
        availability_gbp_per_kw_h=section.availability_p_per_kw_h / _PENCE_PER_POUND,
        full_payment_ratio=section.full_payment_pct / _PCT,
        no_payment_ratio=section.no_payment_pct / _PCT,
    )


def _block(section: BlockSection, parts: _Parts) -> Block:
    limits = section.limits
    contracted = limits.contracted_import_kw
    landlord = section.landlord_meter
    return Block(
        id=section.id,
        name=section.name,
        supply=Supply(section.supply),
        limits=BlockLimits(
            physical_import_w=limits.physical_import_kw * _W_PER_KW,
            contracted_import_w=None if contracted is None else contracted * _W_PER_KW,
            export_w=limits.export_kw * _W_PER_KW,
        ),
        block_meter=_block_account(section, section.meter, "meter", "block_meter", parts),
        landlord_meter=None
        if landlord is None
        else _block_account(section, landlord, "landlord", "landlord_meter", parts),
        pv=None if section.pv is None else _pv(section, section.pv, parts),
        battery=None if section.battery is None else _battery(section, section.battery, parts),
        heat_meter_id=None
        if section.heat_meter is None
        else _block_device(section, section.heat_meter, "heat", "block_heat_meter", parts),
        dwellings=tuple(_dwelling(section, home, parts) for home in section.dwellings),
    )


_CLASS_OF_ROLE = {
    "pv": DeviceClass.INVERTER,
    "battery": DeviceClass.BATTERY,
    "heat_meter": DeviceClass.HEAT_METER,
    "block_heat_meter": DeviceClass.HEAT_METER,
}
"""What stands at a place that is no meter; decides which SunSpec profile is meant."""


def _block_device(
    block: BlockSection,
    section: BlockMeterSection | PvSection | BatterySection | HeatMeterSection,
    suffix: str,
    role: str,
    parts: _Parts,
) -> str:
    return _device(
        parts,
        id_=f"{block.id}-{suffix}",
        profile=section.profile,
        gateway=section.gateway or block.gateway,
        unit=section.unit,
        block=block.id,
        dwelling=None,
        role=role,
    )


def _device(
    parts: _Parts,
    *,
    id_: str,
    profile: str,
    gateway: str,
    unit: int,
    block: str,
    dwelling: str | None,
    role: str,
) -> str:
    device_class = _CLASS_OF_ROLE.get(role, DeviceClass.METER)
    found = profile_named(parts.profiles, profile, device_class) or parts.profiles[profile]
    parts.devices[id_] = Device(
        id=id_,
        device_class=found.device_class,
        profile=found,
        gateway_id=gateway,
        unit_id=unit,
        block_id=block,
        dwelling_id=dwelling,
        role=role,
        confirmed_writes=frozenset(
            point
            for made_by, _, point in (entry.partition(".") for entry in parts.confirmed)
            if made_by == parts.profiles[profile].id
        ),
    )
    return id_


def _block_account(
    block: BlockSection, section: BlockMeterSection, suffix: str, role: str, parts: _Parts
) -> MeterAccount:
    return MeterAccount(
        device_id=_block_device(block, section, suffix, role, parts),
        payer=Payer(section.payer),
        tariff=None if section.tariff is None else parts.tariffs[section.tariff],
        boundary=section.boundary,
        export_gbp_per_kwh=section.export_p_per_kwh / _PENCE_PER_POUND,
    )


def _pv(block: BlockSection, section: PvSection, parts: _Parts) -> PvArray:
    return PvArray(
        device_id=_block_device(block, section, "pv", "pv", parts),
        peak_w=section.peak_kw * _W_PER_KW,
        tilt_deg=section.tilt_deg,
        azimuth_deg=section.azimuth_deg,
    )


def _battery(block: BlockSection, section: BatterySection, parts: _Parts) -> Battery:
    return Battery(
        device_id=_block_device(block, section, "battery", "battery", parts),
        capacity_wh=section.capacity_kwh * _W_PER_KW,
        max_charge_w=section.max_charge_kw * _W_PER_KW,
        max_discharge_w=section.max_discharge_kw * _W_PER_KW,
        min_soc=section.min_soc_pct / _PCT,
        max_soc=section.max_soc_pct / _PCT,
        one_way_efficiency=section.one_way_efficiency_pct / _PCT,
        wear_gbp_per_kwh=section.wear_p_per_kwh / _PENCE_PER_POUND,
    )


def _dwelling(block: BlockSection, home: DwellingSection, parts: _Parts) -> Dwelling:
    every, units = block.every_dwelling, home.units
    pump = parts.heat_pumps[home.heat_pump]

    def device(suffix: str, profile: str, unit: int, role: str) -> str:
        return _device(
            parts,
            id_=f"{home.id}-{suffix}",
            profile=profile,
            gateway=home.gateway or block.gateway,
            unit=unit,
            block=block.id,
            dwelling=home.id,
            role=role,
        )

    meter_id = device("meter", every.meter_profile, units.meter, "home_meter")
    pump_id = device("hp", pump.profile, units.heat_pump, "heat_pump")
    pump_meter_id = None
    if units.heat_pump_meter is not None and every.heat_pump_meter_profile is not None:
        pump_meter_id = device(
            "hpm", every.heat_pump_meter_profile, units.heat_pump_meter, "heat_pump_meter"
        )
    heat_meter_id = None
    if units.heat_meter is not None and every.heat_meter_profile is not None:
        heat_meter_id = device("heat", every.heat_meter_profile, units.heat_meter, "heat_meter")
    room_id = device("room", every.room_sensor_profile, units.room_sensor, "room_sensor")
    return Dwelling(
        id=home.id,
        name=home.name,
        block_id=block.id,
        epc_band=home.epc_band,
        floor_area_m2=home.floor_area_m2,
        comfort=parts.schedules[home.comfort],
        meter=MeterAccount(
            device_id=meter_id,
            payer=Payer(every.payer),
            tariff=parts.tariffs[home.tariff or every.tariff],
            boundary=every.boundary,
            export_gbp_per_kwh=every.export_p_per_kwh / _PENCE_PER_POUND,
        ),
        heat_pump=HeatPump(
            device_id=pump_id,
            actuator=Actuator(pump.actuator),
            rated_heat_w=pump.rated_heat_kw * _W_PER_KW,
            rated_cop=pump.rated_cop,
            min_modulation=pump.min_modulation_pct / _PCT,
            design_flow_c=home.design_flow_c,
            meter_id=pump_meter_id,
        ),
        room_sensor_id=room_id,
        floor_c=home.floor_c,
        vulnerable=home.vulnerable,
        heat_meter_id=heat_meter_id,
    )
