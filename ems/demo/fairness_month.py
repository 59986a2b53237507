"""A month of events on the simulated estate: who bears them, with and without the weighing.

The same days are run three times from one past with one seed: without events, with events
whose burden nobody weighs, and with events that spare homes above their share. What rooms
missed more than without events, by the simulation's own rooms, is the true burden; what the
service's ledger entered stands beside it.
"""

from __future__ import annotations

import asyncio
import shutil
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from pathlib import Path

import numpy as np

from ems.demo.controlled import ControlledRun, Pace
from ems.demo.evidence import State, released, resumed
from ems.demo.history import HistoryMaker, HistorySpan
from ems.demo.metering import Measured, Window
from ems.demo.programme import Kind, spread
from ems.domain.estate import Estate
from ems.domain.events import Direction, FlexEvent, FlexRequest
from ems.domain.fairness import MonthLedger
from ems.domain.forecasts import FloatArray
from ems.domain.points import PointId
from ems.domain.ports import Store
from ems.domain.readings import Quality, Reading
from ems.domain.time import HALF_HOUR_S
from ems.field.parameters import FieldParameters, Planted
from ems.field.simulation import EstateSimulation
from ems.flex.fairness import shares
from ems.flex.requests import RefusedError
from ems.service.events import open_desk
from ems.service.fairness import AFTER, FairnessBook, span_of
from ems.service.fits import Fits
from ems.service.flexible import NoPlanError
from ems.service.jobs import Job
from ems.store import open_store

NOTICE = timedelta(hours=2)
"""Events are asked for so long before they start."""
ASKED_W = 20_000.0
"""More than a block can mostly promise: the desk trims it."""
PRODUCT = "evening_turn_down"
EVENT_S = 60.0
"""Between two looks of the event desk [s]."""

PROGRAMME = (
    Kind(Direction.DOWN, 17.0, 2.0),
    Kind(Direction.DOWN, 7.0, 1.5),
    Kind(Direction.DOWN, 18.0, 2.0),
    Kind(Direction.UP, 13.0, 1.0),
)
"""Kinds of events, in turn."""


@dataclass(frozen=True, slots=True)
class MonthRun:
    """One run of the month.

    Attributes
    ----------
    measured
        By the simulated meters and rooms.
    events
        As they stood at the end, by start.
    refused
        How many requests were refused.
    ledger
        What the service entered.
    """

    measured: Measured
    events: tuple[FlexEvent, ...]
    refused: int
    ledger: MonthLedger


@dataclass(frozen=True, slots=True)
class FairnessMonth:
    """All runs of a month; ``calm`` has no events."""

    window: Window
    calm: MonthRun
    unweighed: MonthRun
    weighed: MonthRun


def programme(window: Window, events: int) -> list[tuple[datetime, Kind]]:
    """Return the starts of so many events spread evenly over a window's days, in order."""
    days = -(-(window.end - window.start) // timedelta(days=1))
    return [
        (start, kind)
        for start, kind in spread(window.start, days, events, PROGRAMME)
        if window.start + NOTICE < start
        and start + timedelta(hours=kind.length_h) + AFTER <= window.end
    ]


class EventfulRun(ControlledRun):
    """The service's own jobs with its event desk, asked for a programme of events.

    Parameters
    ----------
    estate, simulation, store, fits, pace
        As for `ControlledRun`.
    asked
        Starts and kinds of events; each block is asked for each.
    """

    def __init__(
        self,
        estate: Estate,
        simulation: EstateSimulation,
        store: Store,
        *,
        asked: Sequence[tuple[datetime, Kind]],
        fits: Fits | None = None,
        pace: Pace | None = None,
    ) -> None:
        self._asked = list(asked)
        self.desk = open_desk(estate, store)
        self.book = FairnessBook(estate, store)
        super().__init__(
            estate,
            simulation,
            store,
            heating=True,
            fits=fits,
            pace=pace,
            events=self.desk.in_force,
            apart=self.desk.away,
            sparing=self.book.spared,
            more=[Job("fairness", HALF_HOUR_S, self._enter)],
        )

    def jobs(self) -> list[Job]:
        """Return the table of jobs, the desk's before dispatch, as in the control process."""
        found = super().jobs()
        place = next(number for number, job in enumerate(found) if job.name == "dispatch")
        found.insert(place, Job("events", EVENT_S, self._move_events))
        return found

    async def _move_events(self, now: datetime) -> None:
        due = [one for one in self._asked if now >= one[0] - NOTICE]
        running = self.desk.in_force(now)
        if not due and not running:
            return
        self._seem_online(now)
        for one in due:
            self._asked.remove(one)
            self._ask(*one, now)
        self.desk.advance(now)
        self._plans.catch_up(now)

    def _seem_online(self, now: datetime) -> None:
        """Tell the store who answers: a desk promises nothing of homes that are silent."""
        readings = []
        for block in self._estate.blocks:
            devices = [home.meter.device_id for home in block.dwellings]
            readings += [Reading(PointId(device, "power_w"), now, 0.0) for device in devices]
            readings += [
                Reading(PointId(home.heat_pump.device_id, "operating_state"), now, 0.0)
                for home in block.dwellings
            ]
            if block.battery is not None:
                unit = PointId(block.battery.device_id, "soc_pct")
                value = self._simulation.read(*unit)
                readings.append(Reading(unit, now, value, Quality.GOOD))
        self._store.add_readings(readings)

    def _ask(self, start: datetime, kind: Kind, now: datetime) -> None:
        down = kind.direction is Direction.DOWN
        for block in self._estate.blocks:
            request = FlexRequest(
                block.id,
                kind.direction,
                ASKED_W,
                start,
                start + timedelta(hours=kind.length_h),
                "operator",
                PRODUCT if down and PRODUCT in self._estate.products else "",
            )
            with suppress(RefusedError, NoPlanError):
                self.desk.submit(request, now)

    async def _enter(self, now: datetime) -> None:
        self.book.run(now)


def gather_month(
    estate: Estate,
    parameters: FieldParameters,
    window: Window,
    folder: Path,
    *,
    events: int = 12,
    span: HistorySpan | None = None,
    fits: Fits | None = None,
    pace: Pace | None = None,
    progress: Callable[[str, float], None] = lambda _what, _share: None,
) -> FairnessMonth:
    """Make the days before the window, then run it without events, unweighed and weighed.

    Parameters
    ----------
    estate, parameters
        The configuration, and what only the field knows.
    window, span
        Which time, and how much history before it.
    folder
        Where stores may lie meanwhile.
    events
        How many are asked of each block.
    fits, pace
        As for `ControlledRun`.
    """
    # What it hides for help flags to find, faults and residents' own dials, is left out.
    parameters = replace(parameters, planted=Planted())
    past = folder / "past.sqlite"
    with open_store(past) as store:
        maker = HistoryMaker(estate, parameters, store, window.start, span or HistorySpan())
        asyncio.run(maker.make(lambda share: progress("history", share)))
    state = released(maker.simulation.state_dict())
    runs = {}
    cases: Mapping[str, tuple[float, bool]] = {
        "calm": (0.0, False),
        "unweighed": (0.0, True),
        "weighed": (estate.control.fairness_strength, True),
    }
    for name, (strength, eventful) in cases.items():
        own = folder / f"{name}.sqlite"
        shutil.copy(past, own)
        with open_store(own) as store:
            runs[name] = one_run(
                replace(estate, control=replace(estate.control, fairness_strength=strength)),
                parameters,
                state,
                store,
                window,
                asked=programme(window, events) if eventful else (),
                fits=fits,
                pace=pace,
                progress=lambda share, name=name: progress(name, share),  # type: ignore[misc]  # mypy cannot infer a lambda with a default
            )
    return FairnessMonth(window, **runs)


def one_run(
    estate: Estate,
    parameters: FieldParameters,
    state: State,
    store: Store,
    window: Window,
    *,
    asked: Sequence[tuple[datetime, Kind]],
    fits: Fits | None = None,
    pace: Pace | None = None,
    progress: Callable[[float], None] = lambda _: None,
) -> MonthRun:
    """Run the window once and return what was measured and entered."""
    run = EventfulRun(
        estate,
        resumed(estate, parameters, state, window),
        store,
        asked=asked,
        fits=fits,
        pace=pace,
    )
    measured = asyncio.run(run.run(window, progress))
    return MonthRun(
        measured,
        run.desk.all(window.end),
        len(run.desk.refusals.all(window.end)),
        run.book.month(window.end, since=window.start),
    )


def true_burden_kh(
    estate: Estate, window: Window, run: MonthRun, calm: MonthRun
) -> dict[str, float]:
    """Return by home what it missed more than without events, by the simulation's rooms [K·h].

    Half-hours from three hours before each event until four hours after count, once each,
    below the schedule itself; per event never negative.
    """
    found = {home.id: 0.0 for home in estate.dwellings()}
    slots = window.half_hours
    for block in estate.blocks:
        taken: set[datetime] = set()
        for event in run.events:
            if event.request.block_id != block.id or not event.participants:
                continue
            first, last = span_of(event)
            rows = [k for k, s in enumerate(slots) if first <= s < last and s not in taken]
            taken |= {slots[row] for row in rows}
            for column, home in enumerate(estate.dwellings()):
                if home.block_id == block.id:
                    asked = np.array(
                        [home.comfort.temperature_at(slots[row], estate.zone) for row in rows]
                    )
                    missed = _below(asked, run, rows, column) - _below(asked, calm, rows, column)
                    found[home.id] += max(missed, 0.0)
    return found


def _below(asked: FloatArray, run: MonthRun, rows: list[int], column: int) -> float:
    room = run.measured.room_c[rows, column]
    return float(np.maximum(asked - room, 0.0).sum()) / 2.0


def fair_kh(estate: Estate, burden: Mapping[str, float]) -> dict[str, float]:
    """Return what each home's fair share of its block's burden would be [K·h]."""
    weight = estate.control.fairness_vulnerable_share
    found: dict[str, float] = {}
    for block in estate.blocks:
        part = shares({home.id: weight if home.vulnerable else 1.0 for home in block.dwellings})
        total = sum(burden[home.id] for home in block.dwellings)
        found |= {home: share * total for home, share in part.items()}
    return found
