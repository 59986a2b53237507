"""Which SunSpec models give which canonical points, in order of preference. Data.

Generation and discharge are positive in SunSpec and negative in Hearth, so inverters are read
with the sign flipped. The models of meters count import positive; makers who count the other way
round are named with their points. ``docs/commissioning.md`` shows the same as a table.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from ems.domain.points import DeviceClass
from ems.domain.profiles import Confidence, DataType

A, B, C = Confidence.A, Confidence.B, Confidence.C

Place = tuple[tuple[int, ...], str]
"""Models and a point of theirs."""


@dataclass(frozen=True, slots=True)
class Source:
    """Where a canonical point may come from.

    Attributes
    ----------
    models, point
        SunSpec's ids and name.
    scale, sign
        To the canonical unit and direction, on top of the scale factor.
    confidence
        How sure the meaning is: A two sources, B one, C uncertain.
    codes
        SunSpec's code → canonical code; ``None`` where they agree.
    percent_of
        The value is a percentage of this one.
    data_type
        Where it differs from the point's own: `OPPOSED_INT16` covers the following register.
    lead
        Registers written before the value in the same message.
    write_codes
        Least and greatest code to write, where the point is one.
    flipped_by
        Makers, in small letters, who count the other way round.
    """

    models: tuple[int, ...]
    point: str
    scale: float = 1.0
    sign: int = 1
    confidence: Confidence = A
    codes: Mapping[int, int] | None = None
    percent_of: Place | None = None
    data_type: DataType | None = None
    lead: tuple[int, ...] = ()
    write_codes: tuple[float, float] | None = None
    flipped_by: tuple[str, ...] = ()


INVERTERS = (101, 102, 103, 111, 112, 113)
METERS = (201, 202, 203, 204, 211, 212, 213, 214)
KILO = 0.001
_FLIP = ("solaredge",)
_STATES = {code: code + 1 for code in range(8)}
"""Model 701 counts the operating states of the older models from 0."""

_INVERTER: dict[str, tuple[Source, ...]] = {
    "power_w": (Source(INVERTERS, "W", sign=-1), Source((701,), "W", sign=-1)),
    "frequency_hz": (Source(INVERTERS, "Hz"), Source((701,), "Hz")),
    "energy_generated_kwh": (
        Source(INVERTERS, "WH", KILO),
        Source((701,), "TotWhInj", KILO),
        Source((122,), "ActWh", KILO),
    ),
    "inverter_state": (Source(INVERTERS, "St"), Source((701,), "InvSt", codes=_STATES)),
    "power_limit_pct": (Source((123,), "WMaxLimPct"), Source((704,), "WMaxLimPct")),
    "power_limit_on": (
        Source((123,), "WMaxLim_Ena", write_codes=(0, 1)),
        Source((704,), "WMaxLimPctEna", write_codes=(0, 1)),
    ),
    "power_limit_timeout_s": (
        Source((123,), "WMaxLimPct_RvrtTms"),
        Source((704,), "WMaxLimPctRvrtTms"),
    ),
}

_METER: dict[str, tuple[Source, ...]] = {
    "power_w": (Source(METERS, "W", flipped_by=_FLIP),),
    "power_l1_w": (Source(METERS, "WphA", flipped_by=_FLIP),),
    "power_l2_w": (Source(METERS, "WphB", flipped_by=_FLIP),),
    "power_l3_w": (Source(METERS, "WphC", flipped_by=_FLIP),),
    "voltage_v": (Source(METERS, "PhV"), Source(METERS, "PhVphA")),
    "voltage_l2_v": (Source(METERS, "PhVphB"),),
    "voltage_l3_v": (Source(METERS, "PhVphC"),),
    "current_l1_a": (Source(METERS, "AphA"),),
    "current_l2_a": (Source(METERS, "AphB"),),
    "current_l3_a": (Source(METERS, "AphC"),),
    "frequency_hz": (Source(METERS, "Hz"),),
    "energy_import_kwh": (Source(METERS, "TotWhImp", KILO),),
    "energy_export_kwh": (Source(METERS, "TotWhExp", KILO),),
}

_BATTERY: dict[str, tuple[Source, ...]] = {
    # DC ports (714) and storage modules (160) come before these: see drivers.sunspec.
    "power_w": (
        Source((802,), "W", sign=-1, confidence=C),
        Source((701,), "W", sign=-1, confidence=B),
        Source(INVERTERS, "W", sign=-1, confidence=C),
    ),
    "soc_pct": (Source((802,), "SoC"), Source((713,), "SoC"), Source((124,), "ChaState")),
    "soh_pct": (Source((802,), "SoH"), Source((713,), "SoH")),
    "capacity_kwh": (
        Source((802,), "WHRtg", KILO),
        Source((713,), "WHRtg", KILO),
        Source((120,), "WHRtg", KILO),
    ),
    "charge_power_max_w": (
        Source((802,), "WChaRteMax"),
        Source((702,), "WChaRteMax"),
        Source((124,), "WChaMax"),
        Source((120,), "MaxChaRte"),
    ),
    "discharge_power_max_w": (
        Source((802,), "WDisChaRteMax"),
        Source((702,), "WDisChaRteMax"),
        Source((120,), "MaxDisChaRte"),
    ),
    "energy_charged_kwh": (Source((701,), "TotWhAbs", KILO, confidence=B),),
    "energy_discharged_kwh": (Source((701,), "TotWhInj", KILO, confidence=B),),
    # Both limits in force and opposed pin the power: discharge at most -r, charge at most r.
    "battery_mode": (
        Source((124,), "StorCtl_Mod", write_codes=(0, 3)),
        Source((704,), "WSetEna", write_codes=(0, 1)),
    ),
    "battery_power_setpoint_w": (
        Source(
            (124,),
            "OutWRte",
            confidence=B,
            percent_of=((124,), "WChaMax"),
            data_type=DataType.OPPOSED_INT16,
        ),
        Source((704,), "WSet", sign=-1, lead=(1, 1)),  # enabled, in watts
    ),
    "remote_timeout_s": (
        Source((124,), "InOutWRte_RvrtTms"),
        Source((704,), "WSetRvrtTms"),
    ),
}

SOURCES: Mapping[DeviceClass, Mapping[str, tuple[Source, ...]]] = {
    DeviceClass.INVERTER: _INVERTER,
    DeviceClass.METER: _METER,
    DeviceClass.BATTERY: _BATTERY,
}
"""Device class → canonical point → where it may come from, best first."""

FOLLOWS: Mapping[str, str] = {
    "battery_mode": "battery_power_setpoint_w",
    "remote_timeout_s": "battery_power_setpoint_w",
    "power_limit_on": "power_limit_pct",
    "power_limit_timeout_s": "power_limit_pct",
}
"""Point → the point whose model it is taken from: a command is one model's business."""

LIMITS: Mapping[str, tuple[tuple[Place, ...], tuple[Place, ...]]] = {
    "battery_power_setpoint_w": (
        (
            ((802, 702), "WChaRteMax"),
            ((124,), "WChaMax"),
            ((120,), "MaxChaRte"),
            ((702,), "WChaRteMaxRtg"),
        ),
        (
            ((802, 702), "WDisChaRteMax"),
            ((124,), "WChaMax"),
            ((120,), "MaxDisChaRte"),
            ((702,), "WDisChaRteMaxRtg"),
        ),
    )
}
"""Point → where the greatest positive and the greatest negative value to write stand."""
