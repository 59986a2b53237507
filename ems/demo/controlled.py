"""The service's own jobs on the simulated estate, minute by minute and without sockets."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Protocol

import numpy as np

from ems.demo.inprocess import SimulationBus
from ems.demo.metering import Measured, Metering, Window
from ems.demo.recorder import DerivedColumns, HalfHourRecorder
from ems.demo.stepping import TICK_S, step_through
from ems.domain.estate import Estate
from ems.domain.forecasts import FloatArray, Forecast
from ems.domain.plans import Planner
from ems.domain.points import POINTS, DeviceClass, PointId, PointKind
from ems.domain.ports import Store
from ems.domain.readings import Quality, Reading
from ems.domain.setpoints import Setpoint
from ems.domain.thermal import ThermalEstimate
from ems.domain.time import HALF_HOUR, HALF_HOUR_S
from ems.field.simulation import EstateSimulation
from ems.service.control import (
    HOUSEKEEPING_OFFSET_S,
    HOUSEKEEPING_PERIOD_S,
    PLAN_OFFSET_S,
    open_weather,
)
from ems.service.crediting import Crediting
from ems.service.dispatching import Dispatcher
from ems.service.fairness import no_sparing
from ems.service.fits import Fits
from ems.service.forecasting_job import ForecastJob
from ems.service.image import ProcessImage
from ems.service.jobs import Job
from ems.service.planning import Apart, Events, PlanJob, Sparing, no_events, none_apart

_KINDS = {point.name: point.kind for points in POINTS.values() for point in points.values()}


def half_hourly(progress: Callable[[float], None], now: datetime, window: Window) -> None:
    """Tell the share of a window that has passed, at its half-hours."""
    if now.timestamp() % HALF_HOUR_S == 0:
        progress((now - window.start) / (window.end - window.start))


class Forecasting(Protocol):
    """What a controlled run asks for forecasts; `ForecastJob` is the service's own."""

    def run(self, now: datetime) -> Sequence[Forecast]:
        """Forecast everything from what is known at ``now`` and keep it in the store."""
        ...

    def learn(self, now: datetime) -> None:
        """Learn household load anew."""
        ...

    def fit(self, now: datetime) -> Sequence[ThermalEstimate]:
        """Fit every home's thermal model, and keep it in the store."""
        ...


@dataclass(frozen=True, slots=True)
class Pace:
    """How often a controlled run works.

    Attributes
    ----------
    dispatch_s, plan_s
        Estate seconds between dispatches and plans; the configuration's where ``None``. Between
        dispatches a battery's last order is renewed every minute, for it lapses by itself.
    points
        Points whose half-hours are kept; all of them where ``None``.
    """

    dispatch_s: float | None = None
    plan_s: float | None = None
    points: frozenset[PointId] | None = None


class ControlledRun:
    """The service's own jobs on the simulated estate, minute by minute.

    Parameters
    ----------
    estate, simulation, store
        The estate, its physics at the start of the window, and a store that holds its past.
    heating
        Whether heat pumps are planned and told too; else the battery alone is, and the
        plan takes each home as its thermostat is expected to heat it.
    fits
        Where household load is learnt; ``None`` forecasts it by habits alone.
    forecasts
        Who forecasts, in place of the service's own job.
    pace
        How often it works.
    planner
        Makes the plans; the service's own where ``None``.
    events, apart
        Events in force, and the homes that each must not touch.
    sparing
        How far events are to spare homes that carried more than their share.
    more
        Further jobs, due after those of the run itself.
    """

    def __init__(
        self,
        estate: Estate,
        simulation: EstateSimulation,
        store: Store,
        *,
        heating: bool,
        fits: Fits | None = None,
        forecasts: Forecasting | None = None,
        pace: Pace | None = None,
        planner: Planner | None = None,
        events: Events = no_events,
        apart: Apart = none_apart,
        sparing: Sparing = no_sparing,
        more: Sequence[Job] = (),
    ) -> None:
        self._estate = estate
        self._simulation = simulation
        self._store = store
        self._heating = heating
        self._pace = pace or Pace()
        self._dispatch_s = self._pace.dispatch_s or estate.control.dispatch_s
        self._more = list(more)
        self._bus = SimulationBus(estate, simulation)
        self._image = ProcessImage()
        self._forecasts = forecasts or ForecastJob(estate, store, open_weather(estate), fits)
        self._plans = PlanJob(
            estate,
            store,
            self._image,
            planner=planner,
            events=events,
            apart=apart,
            sparing=sparing,
        )
        self._dispatcher = Dispatcher(
            estate, store, self._bus, self._image, events=events, apart=apart
        )
        self._credits = Crediting(estate, store)
        self._derived = DerivedColumns(estate, simulation.point_ids)
        self._points: list[PointId] = [*simulation.point_ids, *self._derived.point_ids]
        hidden = set() if heating else {home.room_sensor_id for home in estate.dwellings()}
        self._shown = [
            number
            for number, point in enumerate(self._points)
            if point.device_id not in hidden and _KINDS[point.point] is not PointKind.COUNTER
        ]
        self._recorder = HalfHourRecorder(self._points, self._pace.points)
        self._batteries: list[Setpoint] = []

    async def run(
        self, window: Window, progress: Callable[[float], None] = lambda _: None
    ) -> Measured:
        """Run the window and return what was measured."""
        metering = Metering(self._estate, self._simulation)
        self._recorder.start(self._values())
        self._show(window.start, self._values())
        self._forecasts.learn(window.start)
        await self._plan(window.start)
        await self._dispatch(window.start)

        def observe(now: datetime) -> None:
            metering.observe(now)
            half_hourly(progress, now, window)

        jobs = self.jobs()
        await step_through(self._simulation, lambda: jobs, window.end, observe=observe)
        return metering.measured()

    def credits_gbp(self) -> dict[str, float]:
        """Return what each home was credited for heating ahead [£]."""
        return {home.id: self._credits.total_gbp(home.id) for home in self._estate.dwellings()}

    def jobs(self) -> list[Job]:
        """Return the table of jobs, in the order of the control process."""
        plan_s = self._pace.plan_s or self._estate.control.plan_s
        return [
            Job("read", TICK_S, self._read),
            Job("dispatch", self._dispatch_s, self._dispatch),
            Job("roll_up", HALF_HOUR_S, self._roll_up),
            Job("plan", plan_s, self._plan, PLAN_OFFSET_S),
            Job("fit", HOUSEKEEPING_PERIOD_S, self._fit, HOUSEKEEPING_OFFSET_S),
            *self._more,
        ]

    def _values(self) -> FloatArray:
        values = self._simulation.values()
        return np.concatenate([values, self._derived.of(values)])

    def _show(self, now: datetime, values: FloatArray) -> None:
        shown = values.tolist()
        self._image.update(
            Reading(
                self._points[number],
                now,
                shown[number],
                Quality.NO_ANSWER if math.isnan(shown[number]) else Quality.GOOD,
            )
            for number in self._shown
        )

    async def _read(self, now: datetime) -> None:
        values = self._values()
        self._recorder.sample(values)
        if now.timestamp() % self._dispatch_s == 0:
            self._show(now, values)
        else:
            for setpoint in self._batteries:
                self._bus.write(setpoint)

    async def _dispatch(self, now: datetime) -> None:
        self._batteries = []
        for setpoint in await self._dispatcher.decide(now):
            device = self._estate.devices[setpoint.point_id.device_id]
            is_battery = device.device_class is DeviceClass.BATTERY
            if is_battery:
                self._batteries.append(setpoint)
            if self._heating or is_battery:
                self._bus.write(setpoint)

    async def _roll_up(self, now: datetime) -> None:
        self._store.add_rollups(self._recorder.close(now - HALF_HOUR))
        self._recorder.start(self._values())
        if self._heating:
            self._credits.run(now)

    async def _plan(self, now: datetime) -> None:
        self._forecasts.run(now)
        self._plans.run(now)

    async def _fit(self, now: datetime) -> None:
        self._forecasts.fit(now)
        self._forecasts.learn(now)
