"""What is wrong, judged from facts. Pure.

Each judgement is one of three: a cause is there, it is not, or nobody can tell. What
cannot be told leaves an alarm as it is. One cause has one alarm: a dead gateway is not
also forty dead devices, and a dead control process explains devices that nobody reads.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from collections.abc import Set as AbstractSet
from dataclasses import dataclass, field
from datetime import datetime

from ems.domain.alarms import AlarmKind, AlarmRules, Cause, cause_key
from ems.domain.estate import Block, Device, Dwelling, Estate
from ems.domain.wishes import FROST_LIMIT_C

CLEAR_K = 0.5
"""A cold home is warm again this far above the alarm temperature [K]."""
CLEAR_SHARE = 0.97
"""An exceeded limit is kept again below this share of it."""
CHOSEN_MARGIN_K = 1.0
"""A room this near to what its resident asked for is as cold as they chose [K]."""
CALL_MARGIN_K = 0.3
"""A room this far below what is asked for calls for heat [K]."""
CLEAR_DISK = 1.25
"""A disk is free again with this share more than the least free space."""
SPAN_SHARE = 0.8
"""Samples must span this share of a time that is judged."""
LIMIT_FOR_S = 60.0
"""A limit must be exceeded for as long [s]."""


@dataclass(frozen=True, slots=True)
class RoomSample:
    """A living room at one instant, and what was asked of its heating there [°C]."""

    at: datetime
    room_c: float
    asked_c: float | None


@dataclass(frozen=True, slots=True)
class PowerSample:
    """A block's import at one instant [W]."""

    at: datetime
    power_w: float


@dataclass(frozen=True, slots=True)
class Judged:
    """What is wrong now.

    Attributes
    ----------
    causes
        One entry a cause, keys unique.
    judged
        Keys of all causes that could be told, present or not.
    """

    causes: tuple[Cause, ...] = ()
    judged: frozenset[str] = frozenset()

    def __or__(self, other: Judged) -> Judged:
        """Return what both say together."""
        return Judged(self.causes + other.causes, self.judged | other.judged)


@dataclass(frozen=True, slots=True)
class FieldFacts:
    """What the control process knows of the field.

    Attributes
    ----------
    now
        Estate time, UTC.
    ages_s
        Seconds since each device's last good reading; a device that never gave one is absent.
    out_of_service
        Devices that an operator has put out of service.
    rooms
        Samples of each home's room, in order of time.
    imports
        Samples of each block's import, in order of time.
    plan_ages_s
        Age of each block's newest plan [s]; ``None`` without a plan.
    open_keys
        Keys of causes whose alarm is open: these clear later than they opened.
    """

    now: datetime
    ages_s: Mapping[str, float] = field(default_factory=dict)
    out_of_service: AbstractSet[str] = frozenset()
    rooms: Mapping[str, Sequence[RoomSample]] = field(default_factory=dict)
    imports: Mapping[str, Sequence[PowerSample]] = field(default_factory=dict)
    plan_ages_s: Mapping[str, float | None] = field(default_factory=dict)
    open_keys: AbstractSet[str] = frozenset()


def judge_field(estate: Estate, facts: FieldFacts) -> Judged:
    """Return what is wrong in the field: homes, devices, gateways, plans, limits."""
    judged = judge_devices(estate, facts)
    for home in estate.dwellings():
        judged |= judge_home(home, estate.alarms, facts)
    for block in estate.blocks:
        judged |= _judge_plan(block, estate, facts) | _judge_limit(block, facts)
    return judged


# --- homes ---------------------------------------------------------------------------------


def judge_home(home: Dwelling, rules: AlarmRules, facts: FieldFacts) -> Judged:
    """Tell whether a home is too cold, or cools although it calls for heat."""
    key = cause_key(AlarmKind.HOME_COLD, home.id)
    samples = facts.rooms.get(home.id, ())
    recent = _last(samples, facts.now, rules.cold_for_s)
    if not _spans(recent, rules.cold_for_s):
        return Judged()
    known = frozenset({key})
    newest = recent[-1]
    if _is_chosen(newest, home):
        return Judged(judged=known)
    limit_c = rules.cold_c + (CLEAR_K if key in facts.open_keys else 0.0)
    if all(sample.room_c < limit_c for sample in recent):
        return Judged((_cold(home, newest, rules, cause="low"),), known)
    longer = _last(samples, facts.now, rules.fall_over_s)
    if _spans(longer, rules.fall_over_s) and _cools_in_vain(longer, rules.fall_k):
        return Judged((_cold(home, newest, rules, cause="falls"),), known)
    return Judged(judged=known)


def _is_chosen(sample: RoomSample, home: Dwelling) -> bool:
    """Whether the resident asked for less than the floor and has about what they asked for."""
    asked = sample.asked_c
    if asked is None or asked >= home.floor_c or sample.room_c < FROST_LIMIT_C:
        return False
    return sample.room_c >= asked - CHOSEN_MARGIN_K


def _cools_in_vain(samples: Sequence[RoomSample], fall_k: float) -> bool:
    calls = all(s.asked_c is not None and s.room_c <= s.asked_c - CALL_MARGIN_K for s in samples)
    return calls and samples[0].room_c - samples[-1].room_c >= fall_k


def _cold(home: Dwelling, sample: RoomSample, rules: AlarmRules, *, cause: str) -> Cause:
    asked = "" if sample.asked_c is None else f"; its heating is asked for {sample.asked_c:.1f} °C"
    if cause == "low":
        seen = f"is at {sample.room_c:.1f} °C, under {rules.cold_c:g} °C"
    else:
        seen = (
            f"has fallen by {rules.fall_k:g} K or more in {rules.fall_over_s / 3600:g} h "
            f"to {sample.room_c:.1f} °C although it calls for heat"
        )
    return Cause(
        AlarmKind.HOME_COLD,
        home.id,
        f"The living room of {home.id} {seen}{asked}.",
        "Call the home today and see that they are warm. Look at its page for faults of the heat "
        "pump, and send an engineer; offer heaters until it is mended.",
        homes=(home.id,),
        devices=(home.heat_pump.device_id,),
    )


def _last(samples: Sequence[RoomSample], now: datetime, span_s: float) -> Sequence[RoomSample]:
    return [sample for sample in samples if 0 <= (now - sample.at).total_seconds() <= span_s]


def _spans(samples: Sequence[RoomSample], span_s: float) -> bool:
    if len(samples) < 2:
        return False
    return (samples[-1].at - samples[0].at).total_seconds() >= SPAN_SHARE * span_s


# --- devices and gateways ------------------------------------------------------------------


def judge_devices(estate: Estate, facts: FieldFacts) -> Judged:
    """Tell which gateways and which single devices are lost."""
    judged = Judged()
    for gateway_id in estate.gateways:
        devices = [
            device
            for device in estate.devices.values()
            if device.gateway_id == gateway_id and device.id not in facts.out_of_service
        ]
        judged |= _judge_gateway(gateway_id, devices, estate, facts)
    return judged


def _judge_gateway(
    gateway_id: str, devices: Sequence[Device], estate: Estate, facts: FieldFacts
) -> Judged:
    limit_s = estate.alarms.lost_after_s
    ages = {device.id: facts.ages_s.get(device.id, float("inf")) for device in devices}
    key = cause_key(AlarmKind.GATEWAY_LOST, gateway_id)
    known = frozenset({key})
    # Devices are read at different times: where one is lost and the others are well on the way,
    # it is the gateway.
    if len(ages) > 1 and max(ages.values()) > limit_s and min(ages.values()) > limit_s / 2:
        return Judged((_gateway_cause(gateway_id, devices, estate),), known)
    if key in facts.open_keys:
        # It is coming back: until its alarm has closed, stragglers are no alarm of their own.
        return Judged(judged=known)
    lost = [device for device in devices if ages[device.id] > limit_s]
    keys = {cause_key(AlarmKind.DEVICE_LOST, device.id) for device in devices}
    return Judged(tuple(_device_cause(device, limit_s) for device in lost), known | keys)


def _gateway_cause(gateway_id: str, devices: Sequence[Device], estate: Estate) -> Cause:
    gateway = estate.gateways[gateway_id]
    homes = tuple(sorted({d.dwelling_id for d in devices if d.dwelling_id is not None}))
    return Cause(
        AlarmKind.GATEWAY_LOST,
        gateway_id,
        f"Nothing behind gateway {gateway_id} answers: {len(devices)} devices, "
        f"{len(homes)} homes. Heat pumps go on with what they were last told, which is safe.",
        f"Check power and network of the gateway at {gateway.address}; restart it "
        "if both are well.",
        homes=homes,
        devices=tuple(device.id for device in devices),
    )


def _device_cause(device: Device, limit_s: float) -> Cause:
    where = f"home {device.dwelling_id}" if device.dwelling_id else f"block {device.block_id}"
    return Cause(
        AlarmKind.DEVICE_LOST,
        device.id,
        f"Device {device.id} ({device.role.replace('_', ' ')} of {where}) gave no good reading "
        f"for {limit_s / 60:g} minutes or more.",
        f"Check its power and its wiring to gateway {device.gateway_id} (unit {device.unit_id}). "
        "If it is to stay away, put it out of service.",
        homes=(device.dwelling_id,) if device.dwelling_id else (),
        devices=(device.id,),
    )


# --- plans and limits ----------------------------------------------------------------------


def _judge_plan(block: Block, estate: Estate, facts: FieldFacts) -> Judged:
    if block.id not in facts.plan_ages_s:
        return Judged()
    age_s, most_s = facts.plan_ages_s[block.id], estate.control.plan_max_age_s
    known = frozenset({cause_key(AlarmKind.NO_PLAN, block.id)})
    if age_s is not None and age_s <= most_s:
        return Judged(judged=known)
    seen = "has no plan" if age_s is None else f"has no plan younger than {most_s / 60:g} minutes"
    cause = Cause(
        AlarmKind.NO_PLAN,
        block.id,
        f"Block {block.id} {seen}. Its homes follow their residents' schedules meanwhile.",
        "Look into the log of the control process for the reason; restart `ems serve` if it "
        "gives none.",
        homes=tuple(home.id for home in block.dwellings),
    )
    return Judged((cause,), known)


def _judge_limit(block: Block, facts: FieldFacts) -> Judged:
    samples = [
        sample
        for sample in facts.imports.get(block.id, ())
        if 0 <= (facts.now - sample.at).total_seconds() <= 3 * LIMIT_FOR_S
    ]
    if not samples:
        return Judged()
    key = cause_key(AlarmKind.LIMIT_EXCEEDED, block.id)
    rated_w = block.limits.physical_import_w
    limit_w = rated_w * (CLEAR_SHARE if key in facts.open_keys else 1.0)
    newest = samples[-1]
    over = [
        sample for sample in samples if (newest.at - sample.at).total_seconds() <= 1.5 * LIMIT_FOR_S
    ]
    lasts = (over[-1].at - over[0].at).total_seconds() >= SPAN_SHARE * LIMIT_FOR_S
    if not lasts or any(sample.power_w <= limit_w for sample in over):
        return Judged(judged=frozenset({key}))
    cause = Cause(
        AlarmKind.LIMIT_EXCEEDED,
        block.id,
        f"Block {block.id} draws {newest.power_w / 1000:.1f} kW; its feeder is rated for "
        f"{rated_w / 1000:g} kW.",
        "Hearth has already turned down battery and heat pumps. Switch off large communal loads "
        "and charge points; call the network operator if it lasts.",
        homes=tuple(home.id for home in block.dwellings),
        devices=(block.block_meter.device_id,),
    )
    return Judged((cause,), frozenset({key}))
