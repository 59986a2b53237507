"""The weeks before a demonstration starts, made by the field's own physics.

First some days under the homes' own thermostats, so that homes can be learnt from
them; then four weeks under planned control with the service's own jobs: forecasts and
plans every few hours, dispatch every half-hour. No sockets, no events. The store is
marked as a demonstration's.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Collection
from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta

import numpy as np
import structlog

from ems.demo.inprocess import SimulationBus
from ems.demo.recorder import DerivedColumns, HalfHourRecorder
from ems.demo.start import HISTORY_META
from ems.domain.errors import InvalidInputError
from ems.domain.estate import Estate
from ems.domain.forecasts import FloatArray
from ems.domain.points import DeviceClass, PointId
from ems.domain.ports import LogEntry, Store
from ems.domain.readings import Quality, Reading, Rollup
from ems.domain.setpoints import Setpoint
from ems.domain.time import HALF_HOUR, floor_to
from ems.field.parameters import FieldParameters
from ems.field.simulation import EstateSimulation
from ems.service.control import open_weather
from ems.service.dispatching import Dispatcher
from ems.service.forecasting_job import ForecastJob
from ems.service.image import ProcessImage
from ems.service.outages import put_out_of_service
from ems.service.people import PeopleDesk
from ems.service.planning import PlanJob

log = structlog.get_logger()

SAMPLE_S = 300
SETTLE_DAYS = 2
"""Days before the first recorded one, so that rooms and tanks forget how they began."""
METER_DAYS = 90
"""Days of household meters before a demonstration's history."""
SILENT_REASON = "Sensor silent; a visit to replace it is booked."
"""Why the planted silent sensor is out of service."""


@dataclass(frozen=True, slots=True)
class HistorySpan:
    """How much history to make.

    Attributes
    ----------
    thermostat_days
        Days under the homes' own thermostats.
    planned_days
        Days under planned control after them.
    plan_every_h
        Hours between plans.
    raw_h
        Hours before the start for which samples are kept as raw readings too.
    meter_days
        Days before all that for which the homes' meters alone were read, as a landlord has
        them from before: something to learn household load from.
    """

    thermostat_days: int = 8
    planned_days: int = 28
    plan_every_h: int = 12
    raw_h: int = 24
    meter_days: int = 0

    @property
    def days(self) -> int:
        """All recorded days."""
        return self.thermostat_days + self.planned_days

    @classmethod
    def of_days(cls, days: int) -> HistorySpan:
        """Return a span of so many days; the first eight are under thermostats.

        Three months of meters alone lie before them, but for a short span: whoever asks for
        no more than a week wants to see something soon, and needs no learnt forecasts.
        """
        own = min(days, cls().thermostat_days)
        meters = METER_DAYS if days > own else 0
        return cls(thermostat_days=own, planned_days=days - own, meter_days=meters)


class HistoryMaker:
    """Makes the history of one estate.

    Parameters
    ----------
    estate, parameters
        The configuration, and what only the field knows.
    store
        Where the history goes.
    until
        Where it ends: the start of the demonstration.
    span
        How much.
    points
        Points whose half-hours are kept; all of them where ``None``.
    """

    def __init__(
        self,
        estate: Estate,
        parameters: FieldParameters,
        store: Store,
        until: datetime,
        span: HistorySpan | None = None,
        points: Collection[PointId] | None = None,
    ) -> None:
        self._span = span or HistorySpan()
        self._store = store
        self._estate = estate
        self._parameters = parameters
        self._until = floor_to(until)
        self._begin = self._until - timedelta(days=self._span.days)
        settle = self._begin - timedelta(days=SETTLE_DAYS)
        self.simulation = EstateSimulation(estate, parameters, settle, step_s=60)
        self._bus = SimulationBus(estate, self.simulation)
        self._image = ProcessImage()
        weather = open_weather(estate)
        self._forecasts = ForecastJob(estate, store, weather)
        self._plans = PlanJob(estate, store, self._image)
        # Plans are made seldom here, so an older one counts as fresh.
        patient = replace(estate.control, plan_max_age_s=3600.0 * (self._span.plan_every_h + 1))
        self._dispatcher = Dispatcher(
            replace(estate, control=patient), store, self._bus, self._image
        )
        self._derived = DerivedColumns(estate, self.simulation.point_ids)
        self._points: list[PointId] = [*self.simulation.point_ids, *self._derived.point_ids]
        self._recorder = HalfHourRecorder(self._points, points)
        self._batteries: list[Setpoint] = []

    async def make(self, progress: Callable[[float], None] = lambda _: None) -> None:
        """Make the history; ``progress`` is told the share that is done."""
        self._store.set_meta("demonstration", "true")
        self.simulation.step_to(self._begin)
        planned_from = self._begin + timedelta(days=self._span.thermostat_days)
        slots = self._span.days * 48
        pending: list[Rollup] = []
        for number in range(slots):
            start = self._begin + number * HALF_HOUR
            if start >= planned_from:
                since = number - self._span.thermostat_days * 48
                if since % (2 * self._span.plan_every_h) == 0:
                    self._store.add_rollups(pending)
                    pending = []
                    self._plan(start, fit=since % 336 == 0)
                await self._dispatch(start)
            pending += self._half_hour(start)
            if number % 48 == 47:
                self._store.add_rollups(pending)
                pending = []
                progress((number + 1) / slots)
        self._store.add_rollups(pending)
        self._read_meters_before()
        self._forecasts.fit(self._until)
        self._look_after_people()
        detail = {"days": self._span.days, "planned_days": self._span.planned_days}
        self._store.log([LogEntry(self._until, "history_made", "estate", detail)])
        self._store.set_meta(HISTORY_META, self._until.isoformat())

    def _read_meters_before(self) -> None:
        """Keep the household load of the months before, as far as the consumption reaches."""
        points = [
            PointId(home.meter.device_id, "household_power_w") for home in self._estate.dwellings()
        ]
        for back in range(self._span.meter_days + 1):
            day = self._begin.date() - timedelta(days=back)
            try:
                means = self.simulation.household_means_w(day)
            except InvalidInputError:
                return
            first = datetime(day.year, day.month, day.day, tzinfo=UTC)
            self._store.add_rollups(
                [
                    Rollup(point, first + slot * HALF_HOUR, value, value, value, 1.0)
                    for slot, row in enumerate(means.tolist())
                    for point, value in zip(points, row, strict=True)
                    if first + slot * HALF_HOUR < self._begin
                ]
            )

    def _look_after_people(self) -> None:
        """Put planted silent sensors out of service, as an operator would; raise flags."""
        for dwelling_id in self._parameters.planted.silent_days:
            room = self._estate.dwelling(dwelling_id).room_sensor_id
            if self.simulation.is_silent(room):
                put_out_of_service(
                    self._estate, self._store, room, SILENT_REASON, "demonstration", self._until
                )
        PeopleDesk(self._estate, self._store).run(self._until)

    def _plan(self, now: datetime, *, fit: bool) -> None:
        if fit:
            self._forecasts.fit(now)
        self._image.update(self._readings(now))
        self._forecasts.run(now)
        self._plans.run(now)

    async def _dispatch(self, now: datetime) -> None:
        """Tell devices what to do; what came of it is kept for the last day only."""
        self._image.update(self._readings(now))
        if self._is_recent(now):
            records = await self._dispatcher.run(now)
            setpoints = [record.setpoint for record in records]
        else:
            setpoints = await self._dispatcher.decide(now)
            for setpoint in setpoints:
                self._bus.write(setpoint)
        self._batteries = [
            setpoint
            for setpoint in setpoints
            if self._estate.devices[setpoint.point_id.device_id].device_class is DeviceClass.BATTERY
        ]

    def _renew_batteries(self) -> None:
        """Repeat the batteries' orders: remote control lapses within minutes."""
        for setpoint in self._batteries:
            self._bus.write(setpoint)

    def _is_recent(self, instant: datetime) -> bool:
        return instant >= self._until - timedelta(hours=self._span.raw_h)

    def _values(self) -> FloatArray:
        values = self.simulation.values()
        return np.concatenate([values, self._derived.of(values)])

    def _readings(self, now: datetime) -> list[Reading]:
        return [
            Reading(point, now, value, Quality.NO_ANSWER if math.isnan(value) else Quality.GOOD)
            for point, value in zip(self._points, self._values().tolist(), strict=True)
        ]

    def _half_hour(self, start: datetime) -> list[Rollup]:
        self._recorder.start(self._values())
        raw = self._is_recent(start)
        for sample in range(1, 1800 // SAMPLE_S + 1):
            instant = start + timedelta(seconds=sample * SAMPLE_S)
            self._renew_batteries()
            self.simulation.step_to(instant - timedelta(seconds=SAMPLE_S / 2))
            self._renew_batteries()
            self.simulation.step_to(instant)
            self._recorder.sample(self._values())
            if raw and instant < self._until:
                self._store.add_readings(self._readings(instant))
        return self._recorder.close(start)
