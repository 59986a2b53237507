"""The desk on a real store: nightly runs, choices of residents, consents, outages."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import timedelta

import pandas as pd
import pytest

from ems.domain.errors import InvalidInputError, RetryableError
from ems.domain.people import (
    Consent,
    Flag,
    FlagState,
    Household,
    Source,
    Verdict,
)
from ems.domain.points import PointId
from ems.domain.readings import Rollup
from ems.domain.time import HALF_HOUR
from ems.domain.wishes import Asked, Asking, ChosenPeriod
from ems.people.cold_home import window
from ems.service.health import health
from ems.service.outages import outages, put_back_in_service, put_out_of_service
from ems.service.people import CONSENT_CHANGED, FLAG_STEP, PeopleDesk
from ems.store import open_store

from .conftest import LONDON, NIGHT, RULES

SPAN = window(NIGHT, LONDON, RULES)
DAY = timedelta(days=1)


def half_hours(point: PointId, value: float, days: int = 7) -> list[Rollup]:
    grid = pd.date_range(SPAN[1] - days * DAY, SPAN[1], freq=HALF_HOUR, inclusive="left")
    return [Rollup(point, at.to_pydatetime(), value, value, value, 1.0) for at in grid]


@pytest.fixture
def store(tmp_path) -> Iterator[object]:
    with open_store(tmp_path / "store.sqlite") as opened:
        yield opened


@pytest.fixture
def watch(estate, store):
    """Keep a week of meters and rooms; ``None`` for a sensor that was silent."""

    def keep(default: float, days: int = 7, **rooms: float | None) -> PeopleDesk:
        rows: list[Rollup] = []
        for home in estate.dwellings():
            rows += half_hours(PointId(home.meter.device_id, "power_w"), 250.0, days)
            room = rooms.get(home.id.replace("-", ""), default)
            if room is not None:
                rows += half_hours(PointId(home.room_sensor_id, "temperature_c"), room, days)
        store.add_rollups(rows)
        return PeopleDesk(estate, store)

    return keep


def test_a_night_finds_the_cold_the_silent_and_nobody_else(watch, store) -> None:
    desk = watch(20.0, A03=16.0, B05=None)
    desk.run(NIGHT)
    found = {flag.dwelling_id: flag.verdict for flag in desk.flags()}
    assert found == {"A-03": Verdict.SEVERE, "B-05": Verdict.NOT_ENOUGH_DATA}
    (entry,) = store.log_entries(NIGHT - DAY, NIGHT + DAY, "flags_assessed")
    assert entry.detail["homes"] == {"warm": 38, "severe": 1, "not_enough_data": 1}
    assert "A-03" not in str(entry.detail)


def test_running_twice_changes_nothing(watch, store) -> None:
    desk = watch(20.0, A03=16.0)
    assert desk.is_due(NIGHT)
    desk.run(NIGHT)
    first = desk.flags()
    assert not desk.is_due(NIGHT + timedelta(hours=5))
    desk.run(NIGHT)
    assert desk.flags() == first
    assert desk.is_due(NIGHT + DAY)


def test_an_estate_watched_for_less_than_the_window_sends_nobody_to_look(watch) -> None:
    desk = watch(16.0, days=5)
    assert desk.run(NIGHT) == []
    assert desk.find(next(iter(desk._estate.dwellings())), NIGHT).verdict is (
        Verdict.NOT_ENOUGH_DATA
    )


def asked(asking: Asking, **details) -> Asked:
    since = SPAN[0] - DAY
    return Asked(f"{asking}-1", "A-03", asking, "tess", since, **details)


@pytest.mark.parametrize(
    ("record", "source"),
    [
        (asked(Asking.WARMER, temperature_c=16.0), Source.WISH),
        (asked(Asking.AWAY, temperature_c=15.5), Source.WISH),
        (
            asked(
                Asking.SCHEDULE,
                weekday=(ChosenPeriod(0, 16.0),),
                weekend=(ChosenPeriod(0, 16.5),),
            ),
            Source.SCHEDULE,
        ),
    ],
)
def test_what_a_resident_asked_for_is_told_beside_the_finding(watch, store, record, source) -> None:
    store.keep(record, key=record.id, subject="A-03", at=record.since)
    desk = watch(20.0, A03=16.2)
    desk.run(NIGHT)
    (flag,) = desk.flags("A-03")
    assert flag.verdict is Verdict.SEVERE
    assert flag.evidence.chosen == (source,)


def test_a_wish_that_had_ended_before_the_week_explains_nothing(watch, store) -> None:
    record = asked(Asking.WARMER, temperature_c=16.0, until=SPAN[0])
    store.keep(record, key=record.id, subject="A-03", at=record.since)
    desk = watch(20.0, A03=16.2)
    desk.run(NIGHT)
    (flag,) = desk.flags("A-03")
    assert flag.evidence.chosen == ()


def test_the_dial_of_the_heat_pump_is_read_where_it_can_be(watch, store, estate) -> None:
    pump = estate.dwelling("A-11").heat_pump.device_id
    store.add_rollups(half_hours(PointId(pump, "room_setpoint_c"), 15.5))
    desk = watch(20.0, A11=16.0)
    desk.run(NIGHT)
    (flag,) = desk.flags("A-11")
    assert flag.evidence.chosen == (Source.DIAL,)
    assert flag.inputs["heat pump's dial"] == "A-11-hp.room_setpoint_c"


def test_steps_are_kept_logged_and_refused_when_somebody_else_was_faster(watch, store) -> None:
    desk = watch(20.0, A03=16.0)
    desk.run(NIGHT)
    (flag,) = desk.flags("A-03")
    desk.step(flag.id, FlagState.REVIEWED, "olive", "Rang, nobody answered", NIGHT)
    (entry,) = store.log_entries(NIGHT - DAY, NIGHT + DAY, FLAG_STEP)
    assert (entry.subject, entry.detail["reason"]) == ("A-03", "Rang, nobody answered")
    with pytest.raises(RetryableError):
        store.keep(flag, key=flag.id, subject="A-03", at=NIGHT, expected=1)
    with pytest.raises(InvalidInputError, match="no such flag"):
        desk.step("none", FlagState.REVIEWED, "olive", "Rang them up", NIGHT)


def test_a_flag_comes_back_from_the_store_as_it_was(watch, store) -> None:
    desk = watch(20.0, A03=16.0)
    (flag,) = desk.run(NIGHT)
    kept = store.kept(Flag, flag.id)
    assert kept is not None
    assert kept.record == flag


def test_old_unconfirmed_flags_are_deleted_by_the_nightly_run(watch) -> None:
    desk = watch(20.0, A03=16.0)
    desk.run(NIGHT)
    desk.run(NIGHT + 89 * DAY)
    assert len(desk.flags("A-03")) == 1
    desk.run(NIGHT + 91 * DAY)
    assert desk.flags("A-03") == []


def test_withdrawing_deletes_what_was_given_and_keeps_that_it_ended(watch, store, estate) -> None:
    desk, home = PeopleDesk(estate, store), estate.dwelling("A-10")
    assert desk.withdraw("A-10", NIGHT) is None
    desk.give("A-10", Household(14_000, 5_200, 1, 0), "tess", NIGHT)
    given = desk.estimate(home, NIGHT)
    assert given is not None
    assert given.residual_gbp.high is not None
    desk.withdraw("A-10", NIGHT + DAY)
    ended = store.kept(Consent, "A-10-energy_cost_help")
    assert ended is not None
    assert (ended.record.household, ended.record.withdrawn_at) == (None, NIGHT + DAY)
    empty = desk.estimate(home, NIGHT + DAY)
    assert empty is not None
    assert "income" in empty.missing
    entries = store.log_entries(NIGHT - DAY, NIGHT + 2 * DAY, CONSENT_CHANGED)
    assert [entry.detail["change"] for entry in entries] == ["withdrawn", "given"]
    assert "14000" not in str([entry.detail for entry in entries])


def test_a_device_out_of_service_is_not_counted_until_it_is_back(store, estate) -> None:
    before = health(estate, store, NIGHT)
    put_out_of_service(estate, store, "B-12-room", "Waits for a battery", "olive", NIGHT)
    during = health(estate, store, NIGHT)
    assert during.devices_total == before.devices_total - 1
    assert during.devices_out_of_service == 1
    assert "B-12-room" not in during.offline
    assert outages(store, NIGHT - DAY) == {}
    assert put_back_in_service(store, "B-12-room", "olive", NIGHT + DAY)
    assert not put_back_in_service(store, "B-12-room", "olive", NIGHT + DAY)
    assert health(estate, store, NIGHT + DAY).devices_total == before.devices_total


@pytest.mark.parametrize(("device", "reason"), [("X-1", "Waits for a battery"), ("B-12-room", " ")])
def test_an_outage_needs_a_device_and_a_reason(store, estate, device, reason) -> None:
    with pytest.raises(InvalidInputError):
        put_out_of_service(estate, store, device, reason, "olive", NIGHT)
    assert outages(store, NIGHT) == {}
