"""From heat to the value that is written, one way an actuator, and the home's own thermostat."""

from __future__ import annotations

import math
from dataclasses import dataclass, replace
from datetime import datetime

import numpy as np

from ems.domain.forecasts import FloatArray
from ems.loop.heating import emitted_w, flow_for
from ems.loop.memory import Memory
from ems.loop.optimum import Optimum
from ems.loop.types import Actuator, Device

IDLE_SHARE = 0.05
"""Less heat than this share of the capacity is none."""
HARD_SHARE = 0.65
"""More is heating as hard as may be."""
BAND_K = 0.5
"""A room setpoint this far from the room makes its thermostat heat, or rest [K]."""
SWITCH_K = 0.3
"""Half the band of the thermostat that is played where the device has none [K]."""
GAIN_PER_K = 0.5
"""Share of full output for each kelvin below the setpoint, of a thermostat that modulates."""
FLOW_PER_K = 3.0
URGE_K = 1.5
"""A room setpoint this far above the room makes any thermostat heat [K]."""
SG_NORMAL, SG_ENCOURAGED = 2.0, 3.0


@dataclass(frozen=True, slots=True)
class Told:
    """A value, the heat it stands for [W] and what is remembered of it."""

    value: float
    heat_w: float
    memory: Memory


def rounded(device: Device, value: float, *, up: bool) -> float:
    """Return the value on the device's step and within its bounds."""
    low, high, step = device.bounds
    count = (value - low) / step
    whole = math.ceil(count - 1e-6) if up else math.floor(count + 1e-6)
    return round(min(max(low + whole * step, low), high), 6)


def own_thermostat(
    device: Device,
    memory: Memory,
    now: datetime,
    room_c: float | None,
    wanted_c: float,
    steady_w: float,
    most_w: float,
    curve_c: float,
) -> Told:
    """Return what the home's own thermostat would do at its schedule.

    Where the caller's device is the only thermostat there is (modulation, flow, on/off), the
    usual one is played: with a band, proportional, or on a heating curve. Without a room
    reading it gives the steady heat, by time. ``curve_c`` is the heating curve's flow [°C].
    """
    if device.actuator in (Actuator.ROOM_SETPOINT, Actuator.SG_READY):
        by_room = device.actuator is Actuator.ROOM_SETPOINT
        return Told(rounded(device, wanted_c if by_room else SG_NORMAL, up=True), steady_w, memory)
    if room_c is None:
        return give(device, memory, now, steady_w, most_w, wanted_c)
    error_k = wanted_c - room_c
    if device.actuator is Actuator.ON_OFF:
        on = error_k > (-SWITCH_K if memory.on_since is not None else SWITCH_K)
        return _switch(device, memory, now, on, most_w)
    if error_k < -BAND_K:
        return Told(device.bounds[0], 0.0, replace(memory, on_since=None))
    if device.actuator is Actuator.MODULATION:
        share = steady_w / max(most_w, 1.0) + GAIN_PER_K * error_k
        return give(device, memory, now, share * most_w, most_w, wanted_c)
    flow_c = float(flow_for(device, np.array([steady_w]), wanted_c, memory.emitter_gain)[0])
    flow_c = max(flow_c, curve_c)
    return Told(rounded(device, flow_c + FLOW_PER_K * error_k, up=True), steady_w, memory)


def give(
    device: Device, memory: Memory, now: datetime, heat_w: float, most_w: float, room_c: float
) -> Told:
    """Return the value that gives this heat as nearly as the device can."""
    heat_w = min(max(heat_w, 0.0), most_w)
    share = heat_w / max(most_w, 1.0)
    if device.actuator is Actuator.FLOW_SETPOINT:
        if share < IDLE_SHARE:
            return Told(device.bounds[0], 0.0, memory)
        flow_c = float(flow_for(device, np.array([heat_w]), room_c, memory.emitter_gain)[0])
        return Told(rounded(device, flow_c, up=True), heat_w, memory)
    least = 1.0 if device.actuator is Actuator.ON_OFF else device.min_modulation
    if least < 1.0 and share >= least:
        running = _runs(memory, now)
        return Told(rounded(device, share, up=True), heat_w, replace(running, owed_wh=0.0))
    # Between nothing and the least it can do: by turns, so that the mean is right.
    elapsed_h = 0.0 if memory.at is None else min((now - memory.at).total_seconds() / 3600.0, 1.0)
    given_w = memory.asked_w
    owed = memory.owed_wh + elapsed_h * (heat_w - given_w)
    burst_wh = least * most_w * max(device.min_on_s, 900.0) / 3600.0
    owed = min(max(owed, -burst_wh), burst_wh)
    on = memory.on_since is not None
    if share < 0.02:
        on = False
    elif share > 0.98 * least or owed > 0.5 * burst_wh:
        on = True
    elif owed < -0.5 * burst_wh:
        on = False
    return _switch(device, replace(memory, owed_wh=owed), now, on, most_w, least)


def _runs(memory: Memory, now: datetime) -> Memory:
    return replace(
        memory, on_since=now if memory.on_since is None else memory.on_since, off_since=None
    )


def _switch(
    device: Device, memory: Memory, now: datetime, on: bool, most_w: float, least: float = 1.0
) -> Told:
    """Return on or off, the shortest run and rest kept."""
    if memory.on_since is not None and not on:
        on = (now - memory.on_since).total_seconds() < device.min_on_s
    elif memory.off_since is not None and on:
        on = (now - memory.off_since).total_seconds() >= device.min_off_s
    if on:
        value = rounded(device, least, up=True)
        return Told(value, least * most_w, _runs(memory, now))
    off_since = now if memory.off_since is None else memory.off_since
    return Told(device.bounds[0], 0.0, replace(memory, on_since=None, off_since=off_since))


def all_heat(
    device: Device, memory: Memory, now: datetime, room_c: float, wanted_c: float, most_w: float
) -> Told:
    """Return the value that heats at once, as hard as the device may."""
    if device.actuator is Actuator.ROOM_SETPOINT:
        return Told(rounded(device, max(wanted_c, room_c + URGE_K), up=True), most_w, memory)
    if device.actuator is Actuator.SG_READY:
        return Told(SG_ENCOURAGED, most_w, memory)
    if device.actuator is Actuator.ON_OFF:
        return _switch(device, memory, now, True, most_w)
    told = give(device, memory, now, most_w, most_w, room_c)
    if device.actuator is Actuator.FLOW_SETPOINT:
        return replace(told, value=rounded(device, told.value + FLOW_PER_K, up=True))
    return told


def follow(
    device: Device,
    memory: Memory,
    now: datetime,
    plan: Optimum,
    most_w: FloatArray,
    room_c: float,
    lower_c: FloatArray,
    lowest_c: float,
) -> Told:
    """Return the value that follows a plan's first steps."""
    heat_w = float(plan.heat_w[0])
    if device.actuator is Actuator.SG_READY:
        heating = heat_w > IDLE_SHARE * most_w[0]
        ahead = heating and float(plan.room_c[0]) > float(lower_c[0]) + 0.2
        return Told(SG_ENCOURAGED if ahead else SG_NORMAL, heat_w, memory)
    if device.actuator is not Actuator.ROOM_SETPOINT:
        return give(device, memory, now, heat_w, float(most_w[0]), room_c)
    share = plan.heat_w / np.maximum(most_w, 1.0)
    idle = share < IDLE_SHARE
    if idle[0]:
        until = int(np.argmin(idle)) if not idle.all() else len(idle)
        value = min(float(plan.room_c[:until].min()), room_c) - BAND_K
        value = max(value, lowest_c)
        return Told(rounded(device, value, up=False), 0.0, memory)
    if share[0] > HARD_SHARE:
        until = int(np.argmax(share <= HARD_SHARE)) if (share <= HARD_SHARE).any() else len(share)
        value = float(plan.room_c[:until].max()) + BAND_K
        return Told(rounded(device, max(value, room_c + BAND_K), up=True), heat_w, memory)
    value = float(plan.room_c[min(1, len(idle) - 1)]) + memory.offset_k
    return Told(rounded(device, max(value, lowest_c), up=True), heat_w, memory)


def learnt(
    device: Device,
    memory: Memory,
    room_c: float,
    measured_w: float | None,
    nominal_w: float,
    elapsed_s: float,
) -> Memory:
    """Return the memory with what the last value's answer taught.

    ``measured_w`` is the mean heat since, ``nominal_w`` the nameplate's greatest heat.
    """
    if measured_w is None or memory.value is None or elapsed_s < 240.0:
        return memory
    pace = 1.0 - math.exp(-elapsed_s / 5400.0)
    scale = memory.scale
    ratio = measured_w / max(nominal_w, 1.0)
    if ratio > scale:
        scale = min(scale + 0.5 * (ratio - scale), 1.5)
    elif memory.full and not memory.released and device.actuator is not Actuator.FLOW_SETPOINT:
        scale = max(scale + pace * (max(ratio, 0.25) - scale), 0.25)
    gain, offset = memory.emitter_gain, memory.offset_k
    if device.actuator is Actuator.FLOW_SETPOINT and memory.value > device.bounds[0] + 1.0:
        expected = emitted_w(device, memory.value, room_c)
        if expected > 300.0 and measured_w > 100.0 and measured_w < 0.9 * scale * nominal_w:
            gain = min(max(gain + 0.3 * pace * (measured_w / expected - gain), 0.4), 2.5)
    if device.actuator is Actuator.ROOM_SETPOINT and not memory.released and not memory.full:
        share = measured_w / max(scale * nominal_w, 1.0)
        if 0.1 < share < 0.7:
            offset = min(max(offset + 0.3 * pace * (memory.value - room_c - offset), -0.6), 0.6)
    return replace(memory, scale=scale, emitter_gain=gain, offset_k=offset)
