"""Runs without a planner: thermostats that are watched, and timers set by a simple rule.

The rule is one that a landlord could set by hand when the next day's prices are out. It shifts
schedules, never below the floor, and says when the battery charges.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Collection, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta

import numpy as np
from numpy.typing import NDArray

from ems.backtest.store import RunStore
from ems.demo.controlled import half_hourly
from ems.demo.evidence import State, resumed
from ems.demo.metering import Asked, Measured, Metering, Window
from ems.demo.recorder import DerivedColumns, HalfHourRecorder
from ems.demo.stepping import step_through
from ems.domain.estate import Block, Dwelling, Estate, Supply
from ems.domain.forecasts import FloatArray
from ems.domain.points import PointId
from ems.domain.tariffs import NoRateError, Tariff
from ems.domain.time import HALF_HOUR, HALF_HOUR_S
from ems.field.parameters import FieldParameters
from ems.field.simulation import EstateSimulation
from ems.field.storage import PASSIVE, SELF_USE

BoolArray = NDArray[np.bool_]
Told = Callable[[float], None]

DEAR, CHEAP = 1.25, 0.8
"""Times the median rate of a local day: above the one an hour is dear, below the other cheap."""
SET_BACK_K = 1.0
"""Schedules are set back by so much while it is dear, and raised before [K]."""
AHEAD = 4
"""Half-hours before dear ones in which homes are heated ahead."""
CHARGE_SHARE = 0.5
"""Part of its greatest power with which a battery charges while it is cheap [-]."""
LOOKS_AHEAD = 48
"""A battery is kept for dear half-hours within so many."""


async def watched_thermostats(
    estate: Estate,
    parameters: FieldParameters,
    state: State,
    window: Window,
    store: RunStore,
    points: Collection[PointId],
    *,
    beyond: timedelta,
    progress: Told = lambda _: None,
) -> Measured:
    """Run the window on the homes' own thermostats; keep half-hours of it and of time beyond.

    Parameters
    ----------
    estate, parameters, state, window
        Of the case.
    store
        Where half-hours go.
    points
        Whose.
    beyond
        How long the run goes on after what is measured, for forecasts that reach over the end.
    """
    simulation = resumed(estate, parameters, state, window)
    metering = Metering(estate, simulation)
    derived = DerivedColumns(estate, simulation.point_ids)
    recorder = HalfHourRecorder([*simulation.point_ids, *derived.point_ids], points)

    def values() -> FloatArray:
        seen = simulation.values()
        return np.concatenate([seen, derived.of(seen)])

    def record(now: datetime) -> None:
        seen = values()
        recorder.sample(seen)
        if now.timestamp() % HALF_HOUR_S == 0:
            store.add_rollups(recorder.close(now - HALF_HOUR))
            recorder.start(seen)

    def observe(now: datetime) -> None:
        metering.observe(now)
        record(now)
        half_hourly(progress, now, window)

    recorder.start(values())
    await step_through(simulation, list, window.end, observe=observe)
    measured = metering.measured()
    await step_through(simulation, list, window.end + beyond, observe=record)
    return measured


@dataclass(frozen=True, slots=True, eq=False)
class Timer:
    """What the rule makes of one tariff, by half-hours of a window.

    Attributes
    ----------
    shift_k
        What is added to schedules [K].
    cheap, dear
        What each half-hour is.
    held
        Whether a battery is kept for dear half-hours to come.
    """

    shift_k: FloatArray
    cheap: BoolArray
    dear: BoolArray
    held: BoolArray

    @classmethod
    def of(cls, tariff: Tariff | None, estate: Estate, window: Window) -> Timer:
        """Return the rule's answer to a tariff; where no rate is known, nothing is shifted."""
        starts = window.half_hours
        starts += [window.end + HALF_HOUR * number for number in range(LOOKS_AHEAD)]
        rates = np.array([_rate(tariff, start) for start in starts])
        days = np.array([start.astimezone(estate.zone).date().toordinal() for start in starts])
        dear, cheap = np.zeros(len(starts), bool), np.zeros(len(starts), bool)
        for day in np.unique(days):
            today = days == day
            if np.isfinite(rates[today]).all():
                middle = float(np.median(rates[today]))
                dear[today] = rates[today] > DEAR * middle
                cheap[today] = rates[today] < CHEAP * middle
        soon, later = _within(dear, AHEAD), _within(dear, LOOKS_AHEAD)
        shift = np.where(dear, -SET_BACK_K, np.where(soon, SET_BACK_K, 0.0))
        count = len(window.half_hours)
        return cls(shift[:count], cheap[:count], dear[:count], later[:count])


def _rate(tariff: Tariff | None, start: datetime) -> float:
    try:
        return math.nan if tariff is None else tariff.rate_gbp_per_kwh(start)
    except NoRateError:
        return math.nan


def _within(dear: BoolArray, ahead: int) -> BoolArray:
    """Return where a dear half-hour begins within the next ``ahead``."""
    later = np.zeros_like(dear)
    for number in range(1, ahead + 1):
        later[:-number] |= dear[number:]
    return later


class TimeOfUse:
    """Timers on thermostats and batteries.

    A home follows the rates of whoever buys its electricity: the landlord where the block is
    bought for as a whole, else its own.

    Parameters
    ----------
    estate, simulation, window
        Of the run; the simulation stands at the start of the window.
    """

    def __init__(self, estate: Estate, simulation: EstateSimulation, window: Window) -> None:
        self._simulation = simulation
        self._start = window.start
        self._asked = Asked(estate, simulation)
        timers: dict[int, Timer] = {}

        def timer(tariff: Tariff | None) -> Timer:
            return timers.setdefault(id(tariff), Timer.of(tariff, estate, window))

        homes = [
            timer(_tariff_of(block, home)) for block in estate.blocks for home in block.dwellings
        ]
        self._shift_k = np.stack([one.shift_k for one in homes], axis=1)
        self._batteries = [
            (block.battery, timer(_landlords(block)))
            for block in estate.blocks
            if block.battery is not None
        ]

    def set(self, now: datetime) -> None:
        """Set thermostats and batteries for the minute that begins at ``now``."""
        slot = int((now - self._start) // HALF_HOUR)
        if slot >= len(self._shift_k):
            return
        asked, floor = self._asked.at(now), self._asked.floor_c
        # Who chose less at the device is left alone, and nobody is set below the floor.
        shifted = np.maximum(asked + self._shift_k[slot], floor)
        self._simulation.homes.room_setpoint_c = np.where(asked < floor, np.nan, shifted)
        for battery, timer in self._batteries:
            wanted: float | None = None
            if timer.held[slot] and not timer.dear[slot]:
                wanted = CHARGE_SHARE * battery.max_charge_w if timer.cheap[slot] else 0.0
            self._order(battery.device_id, wanted)

    def _order(self, device_id: str, power_w: float | None) -> None:
        """Give a battery a power [W], or leave it to its own regulation."""
        write = self._simulation.write
        if power_w is None:
            write(device_id, "battery_mode", SELF_USE)
            return
        write(device_id, "battery_mode", PASSIVE)
        write(device_id, "battery_power_setpoint_w", power_w)


def _tariff_of(block: Block, home: Dwelling) -> Tariff | None:
    return _landlords(block) if block.supply is Supply.BOUNDARY else home.meter.tariff


def _landlords(block: Block) -> Tariff | None:
    """Return the tariff that the landlord buys at: at the block's meter, or at their own."""
    if block.supply is Supply.BOUNDARY or block.landlord_meter is None:
        return block.block_meter.tariff
    return block.landlord_meter.tariff


async def timers(
    estate: Estate,
    parameters: FieldParameters,
    state: State,
    window: Window,
    *,
    progress: Told = lambda _: None,
) -> Measured:
    """Run the window on timers set by the rule."""
    simulation = resumed(estate, parameters, state, window)
    metering = Metering(estate, simulation)
    rule = TimeOfUse(estate, simulation, window)

    def observe(now: datetime) -> None:
        metering.observe(now)
        rule.set(now)
        half_hourly(progress, now, window)

    rule.set(window.start)
    await step_through(simulation, list, window.end, observe=observe)
    return metering.measured()


def kept_points(estate: Estate, points: Sequence[PointId]) -> list[PointId]:
    """Return the points whose half-hours forecasts, fits, credits and plans read."""
    names = {
        "household_power_w",
        "hot_water_power_w",
        "heating_power_w",
        "heat_w",
        "heat_kwh",
        "power_w",
        "outdoor_temperature_c",
    }
    rooms = {home.room_sensor_id for home in estate.dwellings()}
    return [
        point
        for point in points
        if point.point in names or (point.device_id in rooms and point.point == "temperature_c")
    ]
