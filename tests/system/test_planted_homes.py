"""The demonstration's planted homes, and no others, are on the worklist from its history on."""

from __future__ import annotations

import asyncio

import pytest

from ems.demo.history import HistoryMaker, HistorySpan
from ems.domain.people import Source, Verdict
from ems.people.words import for_operator
from ems.service.health import health
from ems.service.outages import outages
from ems.service.people import PeopleDesk
from ems.store import open_store

SPAN = HistorySpan(thermostat_days=8, planned_days=1)
"""A whole week and a little more; the demonstration's own history is four times as long."""


@pytest.fixture(scope="module")
def history(estate, parameters, tmp_path_factory):
    path = tmp_path_factory.mktemp("planted") / "store.sqlite"
    with open_store(path) as store:
        maker = HistoryMaker(estate, parameters, store, estate.starts_at, SPAN)
        asyncio.run(maker.make())
        yield store


def test_the_planted_homes_and_no_others_are_found_with_the_right_words(history, estate) -> None:
    flags = {flag.dwelling_id: flag for flag in PeopleDesk(estate, history).flags()}
    assert set(flags) == {"A-10", "A-11", "B-12"}
    said = {home: for_operator(flag, 18.0) for home, flag in flags.items()}

    assert flags["A-10"].verdict in (Verdict.COLD, Verdict.SEVERE)
    assert flags["A-10"].evidence.chosen == ()
    assert "Not chosen" in said["A-10"]
    assert "The heating may not keep up." in said["A-10"]

    assert flags["A-11"].verdict in (Verdict.COLD, Verdict.SEVERE)
    assert flags["A-11"].evidence.chosen == (Source.DIAL,)
    assert "The resident chose this: 15.5 °C set at the heat pump itself." in said["A-11"]

    assert flags["B-12"].verdict is Verdict.NOT_ENOUGH_DATA
    assert "Not enough data" in said["B-12"]


def test_the_silent_sensor_is_out_of_service_and_everything_else_answers(history, estate) -> None:
    now = estate.starts_at
    assert list(outages(history, now)) == ["B-12-room"]
    report = health(estate, history, now)
    assert report.devices_out_of_service == 1
    assert report.devices_total == len(estate.devices) - 1
    assert "B-12-room" not in report.offline
