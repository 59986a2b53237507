"""What is wrong where a home's heat and temperature do not go together. Pure.

A sensor that stands still is seen within hours. The rest shows over a day: the room sensor
beside the heat pump's own, heat beside what the home's model explains, and the most heat of
hours in which the room was short of it. One home has one such alarm at a time: the likeliest.
"""

from __future__ import annotations

from collections.abc import Mapping
from collections.abc import Set as AbstractSet
from datetime import datetime

from ems.alarms.rules import Judged
from ems.domain.alarms import AlarmKind, Cause, cause_key
from ems.domain.estate import Dwelling
from ems.domain.thermal import HeatBalance

BESIDE_K = 1.2
"""The room sensor reads this much more or less than it usually does beside the pump's own [K]."""
SHARE = 0.45
LEAST_W = 650.0
TIMES = 1.5
"""Heat beside the model: more than this share of the loss, these watts, and so many times what
single days differ by."""
SHORT_H = 2.5
WEAK_SHARE = 0.45
WEAKER_SHARE = 0.9
"""A pump is weak that in so many hours short of heat gave less than this share of what its
nameplate says, and never more than that of the most it gave before."""
CLEAR = 0.7
"""What is open ends below this share of a bound."""
KINDS = (AlarmKind.ROOM_SENSOR, AlarmKind.HEAT_PUMP_WEAK, AlarmKind.HEAT_LOST)


def judge_still(home: Dwelling, since: datetime | None) -> Judged:
    """Tell whether a home's room sensor stands still; ``since`` when, ``None`` where it moves."""
    key = cause_key(AlarmKind.ROOM_SENSOR, home.id)
    if since is None:
        return Judged(judged=frozenset({key}))
    what = (
        f"The room sensor of {home.id} has shown the same temperature since "
        f"{since:%d %b %H:%M} UTC: it stands still. The home is back with its own thermostat."
    )
    return Judged((_sensor(home, what),), frozenset({key}))


def judge_heat(home: Dwelling, balance: HeatBalance, open_keys: AbstractSet[str]) -> Judged:
    """Tell what is likely wrong with a home whose heat and temperature do not go together.

    A home that is too cold already has an alarm that sends an engineer to its heat pump.
    """
    keys = {kind: cause_key(kind, home.id) for kind in KINDS}
    known = frozenset(keys.values())

    def bound(kind: AlarmKind) -> float:
        return CLEAR if keys[kind] in open_keys else 1.0

    beside_k = balance.beside_own_k
    if beside_k is not None and abs(beside_k) > BESIDE_K * bound(AlarmKind.ROOM_SENSOR):
        side = "high" if beside_k > 0 else "low"
        what = (
            f"The room sensor of {home.id} reads {side}: {abs(beside_k):.1f} K "
            f"{'more' if beside_k > 0 else 'less'} than it used to beside the heat pump's own "
            "thermostat."
        )
        return Judged((_sensor(home, what),), known)
    odd_w = balance.unexplained_w
    if odd_w is None:
        return Judged(judged=frozenset() if beside_k is None else known)
    limit_w = max(SHARE * balance.loss_w, LEAST_W, TIMES * balance.spread_w)
    if odd_w < -limit_w * bound(AlarmKind.HEAT_LOST):
        return Judged((_lost(home, balance, -odd_w),), known)
    weak = _is_weak(balance, bound(AlarmKind.HEAT_PUMP_WEAK))
    if weak is not None and cause_key(AlarmKind.HOME_COLD, home.id) not in open_keys:
        return Judged((_weak(home, balance.short_h, weak),), known)
    if beside_k is None and odd_w > limit_w * bound(AlarmKind.ROOM_SENSOR):
        what = (
            f"The room of {home.id} reads warmer than its heat explains, by {odd_w:,.0f} W over a "
            "day: its sensor may read high, or there is another heater."
        )
        return Judged((_sensor(home, what),), known)
    return Judged(judged=known)


def _is_weak(balance: HeatBalance, bound: float) -> float | None:
    """Return what share of its rated heat a weak pump gave; ``None`` where it is not weak."""
    given, beside = balance.short_share, balance.full_share
    if given is None or beside is None or balance.short_h < SHORT_H * bound:
        return None
    return given if given < WEAK_SHARE and beside < WEAKER_SHARE else None


def likeliest(still: Judged, heat: Judged) -> Judged:
    """Return both; a sensor that stands still explains all else."""
    return still if still.causes else Judged(heat.causes, heat.judged | still.judged)


def _sensor(home: Dwelling, what: str) -> Cause:
    return Cause(
        AlarmKind.ROOM_SENSOR,
        home.id,
        what,
        f"Have the sensor {home.room_sensor_id} looked at: where it hangs (sun, a radiator, a "
        "curtain), its battery, its wiring. The heat pump's own thermostat keeps the home warm "
        "meanwhile. If it is to stay away, put it out of service.",
        homes=(home.id,),
        devices=(home.room_sensor_id,),
    )


def _weak(home: Dwelling, hours: float, share: float) -> Cause:
    return Cause(
        AlarmKind.HEAT_PUMP_WEAK,
        home.id,
        f"The heat pump of {home.id} is weak: its room was short of heat for {hours:.1f} of the "
        f"last 24 h, and in them it gave {share:.0%} of its rated heat.",
        "Have the heat pump looked at: refrigerant, filter, an iced or covered outdoor unit, the "
        "circulation pump. Ask the resident whether they are warm.",
        homes=(home.id,),
        devices=(home.heat_pump.device_id,),
    )


def _lost(home: Dwelling, balance: HeatBalance, watts: float) -> Cause:
    share = watts / max(balance.loss_w, 1.0)
    guessed = (
        ", or its heat pump gives less than its power says" if balance.heat_is_estimated else ""
    )
    return Cause(
        AlarmKind.HEAT_LOST,
        home.id,
        f"Home {home.id} lost {watts:,.0f} W more over the last day than it used to, {share:.0%} "
        f"more: windows may stand open, or something lets the cold in{guessed}.",
        "Ask the resident whether a window cannot be closed or a room is damp; look for broken "
        "panes, fans that run on, a door that does not shut. Where the change is real, it is "
        "learnt within two weeks.",
        homes=(home.id,),
        devices=(home.heat_pump.device_id,),
    )


def balances_judged(
    homes: Mapping[str, Dwelling],
    balances: Mapping[str, HeatBalance],
    still: Mapping[str, datetime],
    open_keys: AbstractSet[str],
) -> Judged:
    """Judge every home by its sensor, and where a balance is known by that.

    Parameters
    ----------
    homes
        By id.
    balances
        By home; those that cannot be told are absent.
    still
        Since when room sensors stand still, by device.
    open_keys
        Keys of causes whose alarm is open.
    """
    found = Judged()
    for home in homes.values():
        stands = judge_still(home, still.get(home.room_sensor_id))
        balance = balances.get(home.id)
        heat = Judged() if balance is None else judge_heat(home, balance, open_keys)
        found |= likeliest(stands, heat)
    return found
