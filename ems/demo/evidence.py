"""The same days, run three times from the same state: what planning is worth, measured.

Own thermostats; own thermostats with the battery planned; everything planned. All go in
lock-step in one process, so that the same seed gives the same figures however fast the
machine is. Thermostats with their schedules shifted up and down give the frontier that a
planned run is held against at equal warmth.
"""

from __future__ import annotations

import asyncio
import copy
import shutil
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from enum import StrEnum
from pathlib import Path
from typing import Any

import numpy as np

from ems.demo.controlled import ControlledRun, half_hourly
from ems.demo.history import HistoryMaker, HistorySpan
from ems.demo.metering import Asked, Measured, Metering, Window
from ems.demo.stepping import TICK_S, step_through
from ems.domain.errors import InvalidInputError
from ems.domain.estate import Estate
from ems.domain.forecasts import FloatArray
from ems.domain.time import HALF_HOUR, floor_to
from ems.field.parameters import FieldParameters
from ems.field.simulation import EstateSimulation
from ems.field.storage import SELF_USE
from ems.service.fits import InlineFits
from ems.store import open_store

SHIFTS_K = (-1.5, -1.0, -0.5, 0.5, 1.0, 1.5)
"""The thermostat frontier: schedules shifted by so much [K]; 0 is the thermostat run."""
USEFUL_AFTER_S = 6 * 3600.0
"""Heat left in a room is taken to be used so long afterwards."""

Progress = Callable[[str, float], None]
"""Told what is going on and the share of all work that is done."""
State = Mapping[str, Any]


class Controller(StrEnum):
    """Who decides in a run."""

    THERMOSTAT = "thermostat"
    BATTERY_ONLY = "battery_only"
    TIME_OF_USE = "time_of_use"
    PLANNED = "planned"
    PERFECT_FORESIGHT = "perfect_foresight"


@dataclass(frozen=True, slots=True)
class Evidence:
    """All runs of one window.

    Attributes
    ----------
    seed, window, history_days
        What was run.
    runs
        By controller.
    frontier
        Thermostat runs by the shift of their schedules [K], 0 included.
    kept
        Share of heat in a room that is still there six hours later, shape (homes,) [-].
    credits_gbp
        What homes were credited for heating ahead in the planned run, by home [£].
    tariff, houses
        Which prices, and which house model the field played.
    weather
        What forecasts of weather were: ``issued with error``, ``real pair`` or
        ``perfect weather``.
    seconds
        What each run took, with its part of what runs share [s of processor time].
    """

    seed: int
    window: Window
    history_days: int
    runs: Mapping[Controller, Measured]
    frontier: Mapping[float, Measured]
    kept: FloatArray
    credits_gbp: Mapping[str, float] = field(default_factory=dict)
    tariff: str = "trial"
    houses: str = "two-node"
    weather: str = "issued with error"
    seconds: Mapping[Controller, float] = field(default_factory=dict)


def window_of(estate: Estate, start: datetime | None, length: timedelta) -> Window:
    """Return the window that begins at ``start``, or with the demonstration.

    Raises
    ------
    InvalidInputError
        Where the length is no whole number of half-hours, or nothing says when to begin.
    """
    begins = start or estate.starts_at
    if begins is None:
        raise InvalidInputError(
            "nothing says when the window begins",
            field="--from",
            remedy="Give a date, or set estate.starts_at in the configuration.",
        )
    if length <= timedelta(0) or length % HALF_HOUR:
        raise InvalidInputError(
            "a window is a whole number of half-hours",
            field="--for",
            value=str(length),
            remedy="Write e.g. 48h or 90min.",
        )
    begins = floor_to(begins)
    return Window(begins, begins + length)


def gather(
    estate: Estate,
    parameters: FieldParameters,
    window: Window,
    folder: Path,
    *,
    span: HistorySpan | None = None,
    progress: Progress = lambda _what, _share: None,
) -> Evidence:
    """Make the days before the window, then run it under each controller.

    Parameters
    ----------
    estate, parameters
        The configuration, and what only the field knows; its seed is the report's.
    window
        Which time.
    folder
        Where stores may lie meanwhile; about 100 MB.
    span
        How much history.

    Raises
    ------
    InvalidInputError
        Where weather, consumption or prices do not reach.
    """
    span = span or HistorySpan()
    bar = _Bar(progress, span, window)
    past = folder / "past.sqlite"
    with open_store(past) as store:
        maker = HistoryMaker(estate, parameters, store, window.start, span)
        asyncio.run(maker.make(bar.part("history", bar.history)))
    state = released(maker.simulation.state_dict())
    frontier: dict[float, Measured] = {}
    for shift_k in (0.0, *SHIFTS_K):
        tell = bar.part(f"thermostats {shift_k:+g} K", bar.thermostat)
        frontier[shift_k] = asyncio.run(
            run_thermostats(estate, parameters, state, window, shift_k=shift_k, progress=tell)
        )
    runs = {Controller.THERMOSTAT: frontier[0.0]}
    fits = InlineFits()
    credits_gbp: dict[str, float] = {}
    for controller in (Controller.BATTERY_ONLY, Controller.PLANNED):
        own = folder / f"{controller}.sqlite"
        shutil.copy(past, own)
        with open_store(own) as store:
            simulation = resumed(estate, parameters, state, window)
            run = ControlledRun(
                estate, simulation, store, heating=controller is Controller.PLANNED, fits=fits
            )
            tell = bar.part(controller.value, bar.controlled)
            runs[controller] = asyncio.run(run.run(window, tell))
            if controller is Controller.PLANNED:
                credits_gbp = run.credits_gbp()
    return Evidence(
        seed=parameters.seed,
        window=window,
        history_days=span.days,
        runs=runs,
        frontier=dict(sorted(frontier.items())),
        kept=kept_share(maker.simulation),
        credits_gbp=credits_gbp,
    )


def kept_share(simulation: EstateSimulation) -> FloatArray:
    """Return ``exp(-6 h * U / C)`` of every home's true loss and capacity, shape (homes,)."""
    capacity = simulation.physics.rooms.capacity_j_per_k
    return np.asarray(np.exp(-USEFUL_AFTER_S * simulation.traits.loss_w_per_k / capacity))


class _Bar:
    """Shares progress out by what parts cost, in units of an hour under control."""

    def __init__(self, progress: Progress, span: HistorySpan, window: Window) -> None:
        self._progress = progress
        self.history = 0.6 * span.days
        self.thermostat = 0.03 * window.hours
        self.controlled = window.hours
        self._all = self.history + (1 + len(SHIFTS_K)) * self.thermostat + 2 * self.controlled
        self._done = 0.0

    def part(self, name: str, size: float) -> Callable[[float], None]:
        """Return what a part tells its own share to; parts come in order."""
        before = self._done
        self._done += size

        def tell(share: float) -> None:
            self._progress(name, min((before + share * size) / self._all, 1.0))

        tell(0.0)
        return tell


def released(state: State) -> dict[str, Any]:
    """Return a state with every device in its own control, and nothing else changed."""
    own = copy.deepcopy(dict(state))
    count = len(own["homes"]["air_c"])
    own["homes"]["room_setpoint_c"] = [None] * count
    own["homes"]["sg_mode"] = [2.0] * count
    own["control_mode"] = [0.0] * count
    for battery in own["batteries"]:
        if battery is not None:
            battery.update(mode=SELF_USE, previous_mode=SELF_USE, setpoint_w=0.0)
    return own


def resumed(
    estate: Estate, parameters: FieldParameters, state: State, window: Window
) -> EstateSimulation:
    """Return the estate's physics at the start of the window."""
    simulation = EstateSimulation(estate, parameters, window.start, step_s=TICK_S)
    simulation.load_state(state)
    return simulation


async def run_thermostats(
    estate: Estate,
    parameters: FieldParameters,
    state: State,
    window: Window,
    *,
    shift_k: float = 0.0,
    progress: Callable[[float], None] = lambda _: None,
) -> Measured:
    """Run the window on the homes' own thermostats, schedules shifted by ``shift_k`` [K]."""
    simulation = resumed(estate, parameters, state, window)
    asked = Asked(estate, simulation)
    metering = Metering(estate, simulation)
    homes = simulation.homes

    def shift(now: datetime) -> None:
        if shift_k:
            homes.room_setpoint_c = asked.at(now) + shift_k

    def observe(now: datetime) -> None:
        metering.observe(now)
        shift(now)
        half_hourly(progress, now, window)

    shift(window.start)
    await step_through(simulation, lambda: [], window.end, observe=observe)
    return metering.measured()
