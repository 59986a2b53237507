"""Alarms of the whole demonstration: one home and no other; a dead gateway; a dead control."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from datetime import datetime, timedelta

import pytest

from ems.demo.stepping import step_through
from ems.field.faults import FaultKind, FieldFault
from ems.field.parameters import FieldParameters
from ems.service.alarm_desk import AlarmDesk
from ems.service.alarm_job import alarm_job
from ems.service.alarms import ControlWatch, GuardWatch
from ems.service.guard import GUARD
from ems.service.jobs import Job
from ems.service.notify import Courier
from ems.service.runtime import heartbeat

from .conftest import Running


class Watched:
    """A running estate with both watches, stepped on; nobody is written to."""

    def __init__(self, running: Running) -> None:
        self.running = running
        self.desk = AlarmDesk(running.store, running.estate.alarms)
        nobody = Courier(running.store, running.estate, ())
        watch = ControlWatch(
            running.estate,
            running.store,
            running.control.image,
            wishes=running.control.charge.wishes,
        )
        self._control = [*running.control.jobs(), alarm_job(watch, nobody, 25.0)]
        self._guard = [
            Job(GUARD, running.estate.control.guard_period_s, self._round),
            alarm_job(GuardWatch(running.estate, running.store), nobody, 40.0),
        ]

    async def _round(self, now: datetime) -> None:
        await self.running.guard.run(now)
        self.running.store.beat(heartbeat(GUARD, now))

    def live(self, duration: timedelta, *, control: bool = True) -> list[str]:
        """Live on; return the ids of the alarms that are open then."""
        jobs = [*(self._control if control else []), *self._guard]
        until = self.running.simulation.now() + duration
        asyncio.run(step_through(self.running.simulation, lambda: jobs, until))
        return sorted(alarm.id for alarm in self.desk.open())


@pytest.fixture(scope="module")
def watched(start: Callable[[int], Running], parameters: FieldParameters) -> Watched:
    return Watched(start(parameters.seed))


def test_one_home_of_the_demonstration_is_an_alarm_from_the_start_and_no_other(watched):
    assert watched.live(timedelta(minutes=3)) == ["home_cold:A-10.1"]
    assert watched.live(timedelta(hours=2)) == ["home_cold:A-10.1"]
    assert len(watched.desk.all()) == 1
    now = watched.running.simulation.now()
    watched.desk.acknowledge("home_cold:A-10.1", "olive", "Engineer at two", now)
    watched.live(timedelta(minutes=30))
    (alarm,) = watched.desk.all()
    assert alarm.acknowledged_by == "olive"
    assert alarm.is_open


def test_a_gateway_that_dies_is_one_alarm_and_closes_when_it_is_back(watched):
    simulation = watched.running.simulation
    simulation.set_fault(FieldFault("gw-B", FaultKind.GATEWAY_GONE))
    watched.live(timedelta(minutes=20))
    opened = {alarm.id: alarm for alarm in watched.desk.all()}
    assert sorted(opened) == ["gateway_lost:gw-B.1", "home_cold:A-10.1"]
    assert len(opened["gateway_lost:gw-B.1"].cause.homes) == 20
    simulation.clear_fault("gw-B")
    assert watched.live(timedelta(minutes=20)) == ["home_cold:A-10.1"]
    assert len(watched.desk.all()) == 2


def test_a_dead_control_process_is_one_alarm_of_the_guards(watched):
    """Nobody reads the devices: that is told once, with all homes, and not device by device."""
    watched.live(timedelta(minutes=25), control=False)
    opened = {alarm.id: alarm for alarm in watched.desk.open()}
    assert sorted(opened) == ["home_cold:A-10.1", "process_silent:control.1"]
    assert len(opened["process_silent:control.1"].cause.homes) == 40
    assert watched.live(timedelta(minutes=25)) == ["home_cold:A-10.1"]
    assert len(watched.desk.all()) == 3


def test_a_single_device_that_falls_silent_is_named(watched):
    silent = FieldFault("A-04-meter", FaultKind.DEAD)
    watched.running.simulation.set_fault(silent)
    assert watched.live(timedelta(minutes=15)) == ["device_lost:A-04-meter.1", "home_cold:A-10.1"]
    watched.running.simulation.clear_fault("A-04-meter")


@pytest.mark.long
def test_a_day_of_the_demonstration_raises_no_other_alarm(
    start: Callable[[int], Running], parameters: FieldParameters
) -> None:
    day = Watched(start(parameters.seed))
    day.live(timedelta(hours=24))
    assert [alarm.id for alarm in day.desk.all()] == ["home_cold:A-10.1"]
