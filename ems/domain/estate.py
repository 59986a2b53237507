"""The estate: blocks, dwellings, devices, gateways, and who pays for what.

Built once from the configuration (:mod:`ems.settings`) and never changed while a
process runs. It holds what Hearth may know about a home before its first
reading: the certificate's band, the floor area, the nameplates.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from datetime import date, datetime
from enum import StrEnum
from pathlib import Path
from zoneinfo import ZoneInfo

from ems.domain.alarms import AlarmRules
from ems.domain.comfort import FLOOR_C, ComfortSchedule
from ems.domain.gateways import SerialLine, TlsFiles
from ems.domain.people import PeopleRules
from ems.domain.points import DeviceClass
from ems.domain.profiles import DeviceProfile, Transport
from ems.domain.rules import ControlRules
from ems.domain.tariffs import Tariff


class Supply(StrEnum):
    """Who buys a block's electricity."""

    BOUNDARY = "boundary"
    """The landlord buys at the block meter and resells at a tenant tariff."""
    INDIVIDUAL = "individual"
    """Each home has its own supplier; PV and battery are on the landlord's supply."""


class Payer(StrEnum):
    """Who pays for what a meter counts."""

    LANDLORD = "landlord"
    TENANT = "tenant"
    NOBODY = "nobody"
    """The meter only watches (e.g. the feeder of a block with individual supply)."""


@dataclass(frozen=True, slots=True)
class Gateway:
    """One address or serial line behind which devices answer by unit id.

    Attributes
    ----------
    id
        Unique in the estate.
    host, port
        TCP address; empty and 0 on a serial line.
    timeout_s
        How long a reply may take [s, wall time].
    transport
        How requests are framed and carried; never ``VENDOR``.
    serial
        The line, where ``transport`` is ``RTU``.
    tls
        The certificates, where ``transport`` is ``TLS``.
    """

    id: str
    host: str
    port: int
    timeout_s: float = 3.0
    transport: Transport = Transport.TCP
    serial: SerialLine | None = None
    tls: TlsFiles | None = None

    @property
    def address(self) -> str:
        """Where it is, for people: ``host:port``, or the serial line's device file."""
        return self.serial.device if self.serial is not None else f"{self.host}:{self.port}"


@dataclass(frozen=True, slots=True)
class Device:
    """One device on one gateway.

    Attributes
    ----------
    id
        Unique in the estate, e.g. ``a-07-hp``.
    device_class, profile
        What it is and its register map.
    gateway_id, unit_id
        Where it answers.
    dwelling_id
        The home it belongs to; ``None`` for the block's own devices.
    block_id
        The block it belongs to.
    role
        What it is for: ``home_meter``, ``heat_pump_meter``, ``heat_pump``,
        ``room_sensor``, ``heat_meter``, ``block_meter``, ``landlord_meter``, ``pv``,
        ``battery``, ``block_heat_meter``.
    confirmed_writes
        Points with an uncertain address (confidence C) that an operator has confirmed on
        the device; no other such point is written.
    """

    id: str
    device_class: DeviceClass
    profile: DeviceProfile
    gateway_id: str
    unit_id: int
    block_id: str
    dwelling_id: str | None
    role: str
    confirmed_writes: frozenset[str] = frozenset()


@dataclass(frozen=True, slots=True)
class MeterAccount:
    """Whose bill a meter feeds.

    Attributes
    ----------
    device_id
        The meter.
    payer
        Who pays.
    tariff
        Import tariff; ``None`` where the payer is nobody.
    boundary
        What lies behind the meter: ``home``, ``landlord`` or ``block``.
    export_gbp_per_kwh
        Paid for export at this meter [£/kWh].
    """

    device_id: str
    payer: Payer
    tariff: Tariff | None
    boundary: str
    export_gbp_per_kwh: float = 0.0


class Actuator(StrEnum):
    """How a heat pump can be steered."""

    ROOM_SETPOINT = "room_setpoint"
    SG_READY = "sg_ready"


@dataclass(frozen=True, slots=True)
class HeatPump:
    """A heat pump's nameplate: all that is known before it has run.

    Attributes
    ----------
    device_id
        The device.
    actuator
        How it can be steered.
    rated_heat_w
        Heat output at 7 °C outdoor and 35 °C flow [W].
    rated_cop
        Coefficient of performance there [-].
    min_modulation
        Least heat output as a share of the capacity [-].
    design_flow_c
        Flow temperature at -2 °C outdoor [°C].
    meter_id
        Separate electricity meter, where the pump itself reports none.
    """

    device_id: str
    actuator: Actuator
    rated_heat_w: float
    rated_cop: float
    min_modulation: float = 0.3
    design_flow_c: float = 45.0
    meter_id: str | None = None

    @property
    def power_device_id(self) -> str:
        """The device whose ``power_w`` is this heat pump's electricity."""
        return self.meter_id or self.device_id


@dataclass(frozen=True, slots=True)
class Dwelling:
    """One home.

    Attributes
    ----------
    id, name, block_id
        Identity; the name is what people read ("Flat 7").
    epc_band
        Letter of the energy performance certificate, A to G.
    floor_area_m2
        Heated floor area [m²].
    comfort
        The resident's schedule from the configuration.
    floor_c
        Comfort floor [°C]: 18, or higher with a vulnerability marker.
    vulnerable
        The marker; it may only raise the floor and lower the home's share of events.
    meter
        The home's electricity account.
    heat_pump
        Nameplate and device.
    room_sensor_id
        The living-room sensor.
    heat_meter_id
        The heat meter in the pipe to its rooms, where there is one.
    """

    id: str
    name: str
    block_id: str
    epc_band: str
    floor_area_m2: float
    comfort: ComfortSchedule
    meter: MeterAccount
    heat_pump: HeatPump
    room_sensor_id: str
    floor_c: float = FLOOR_C
    vulnerable: bool = False
    heat_meter_id: str | None = None


@dataclass(frozen=True, slots=True)
class Battery:
    """A block's battery.

    ``capacity_wh`` is usable energy; ``min_soc`` and ``max_soc`` are shares of it;
    ``one_way_efficiency`` holds for charging and for discharging each;
    ``wear_gbp_per_kwh`` is charged per kWh discharged.
    """

    device_id: str
    capacity_wh: float
    max_charge_w: float
    max_discharge_w: float
    min_soc: float = 0.1
    max_soc: float = 1.0
    one_way_efficiency: float = 0.95
    wear_gbp_per_kwh: float = 0.02


@dataclass(frozen=True, slots=True)
class PvArray:
    """A block's photovoltaic array: nameplate for the first forecast."""

    device_id: str
    peak_w: float
    tilt_deg: float
    azimuth_deg: float


@dataclass(frozen=True, slots=True)
class BlockLimits:
    """Import and export limits at the block's feeder.

    Attributes
    ----------
    physical_import_w
        Rating of the feeder [W]: hard, enforced on measured power at every dispatch.
    contracted_import_w
        Soft ceiling [W]; ``None`` where there is none.
    export_w
        Permitted export [W].
    """

    physical_import_w: float
    contracted_import_w: float | None = None
    export_w: float = float("inf")


@dataclass(frozen=True, slots=True)
class Block:
    """One block of homes behind one feeder."""

    id: str
    name: str
    supply: Supply
    limits: BlockLimits
    dwellings: tuple[Dwelling, ...]
    block_meter: MeterAccount
    landlord_meter: MeterAccount | None
    pv: PvArray | None
    battery: Battery | None
    heat_meter_id: str | None = None


@dataclass(frozen=True, slots=True)
class DRProduct:
    """A demand-response product's rules, for events and settlement.

    ``full_payment_ratio`` and ``no_payment_ratio`` bound the piecewise-linear payment
    by delivery ratio.
    """

    id: str
    name: str
    direction: str
    min_power_w: float
    min_notice_s: float
    min_duration_s: float
    max_duration_s: float
    utilisation_gbp_per_kwh: float
    availability_gbp_per_kw_h: float = 0.0
    full_payment_ratio: float = 0.95
    no_payment_ratio: float = 0.6


@dataclass(frozen=True, slots=True)
class Aggregator:
    """Who may send events.

    ``token_hash`` is ``sha256:`` and the hash of its token, empty where a demonstration
    issues one; ``blocks`` are the ids of those it may dispatch.
    """

    id: str
    name: str
    token_hash: str
    blocks: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class ThermalPrior:
    """What a certificate's band says of a home before data: mean and spread.

    Attributes
    ----------
    loss_w_per_k_m2
        Heat-loss coefficient per floor area [W/(K·m²)].
    capacity_wh_per_k_m2
        Heat capacity per floor area [Wh/(K·m²)].
    spread
        Relative standard deviation of both [-].
    """

    loss_w_per_k_m2: float
    capacity_wh_per_k_m2: float
    spread: float


@dataclass(frozen=True, slots=True)
class DataSources:
    """Files the estate reads, each absolute, and addresses; ``None`` where absent."""

    weather: Path | None = None
    carbon: Path | None = None
    weather_is_observed: bool = False
    """The weather file holds observations: forecasts are made from it with a stated error."""
    weather_url: str | None = None
    """Address of a weather service, in place of a file."""


@dataclass(frozen=True, slots=True)
class Estate:
    """Everything that the configuration says.

    Attributes
    ----------
    blocks, gateways, devices, tariffs, comfort_schedules, products
        By id or in order of the file.
    holidays
        Days that count as bank holidays.
    people
        Figures of the rules about people.
    alarms
        When alarms open and close, and whom they reach.
    starts_at
        Where estate time starts in a demonstration; ``None`` for a real estate.
    demonstration
        The estate is simulated: every page says so.
    aggregators
        Who may send events, by id.
    """

    id: str
    name: str
    zone: ZoneInfo
    latitude: float
    longitude: float
    blocks: tuple[Block, ...]
    gateways: Mapping[str, Gateway]
    devices: Mapping[str, Device]
    tariffs: Mapping[str, Tariff] = field(repr=False)
    comfort_schedules: Mapping[str, ComfortSchedule]
    products: Mapping[str, DRProduct]
    thermal_priors: Mapping[str, ThermalPrior]
    control: ControlRules
    sources: DataSources
    holidays: frozenset[date] = frozenset()
    people: PeopleRules = field(default_factory=PeopleRules)
    alarms: AlarmRules = field(default_factory=AlarmRules)
    starts_at: datetime | None = None
    demonstration: bool = False
    aggregators: Mapping[str, Aggregator] = field(default_factory=dict)

    def dwellings(self) -> Iterator[Dwelling]:
        """Yield every home, block by block."""
        for block in self.blocks:
            yield from block.dwellings

    def dwelling(self, dwelling_id: str) -> Dwelling:
        """Return the home with this id; `KeyError` where there is none."""
        for dwelling in self.dwellings():
            if dwelling.id == dwelling_id:
                return dwelling
        raise KeyError(dwelling_id)

    def block(self, block_id: str) -> Block:
        """Return the block with this id; `KeyError` where there is none."""
        for block in self.blocks:
            if block.id == block_id:
                return block
        raise KeyError(block_id)
