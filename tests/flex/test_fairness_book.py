"""The ledger over a real store: entered once, through restarts, without what residents chose."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from datetime import datetime, timedelta

import pytest

from ems.domain.estate import Actuator, Block, Estate
from ems.domain.events import FlexEvent, Settlement
from ems.domain.fairness import EventBurden, EventEntered, ExpectedHome, ExpectedHomes
from ems.domain.points import PointId
from ems.domain.ports import Store
from ems.domain.readings import Rollup
from ems.domain.time import HALF_HOUR
from ems.domain.wishes import ALL_EVENTS, Asked, Asking
from ems.service.events import EventDesk
from ems.service.fairness import AFTER, PREPARES, FairnessBook
from ems.store import open_store

from .conftest import NOW, START, readings, request

HOURS = timedelta(hours=1)
END = START + 2 * HOURS
DUE = END + AFTER + timedelta(minutes=5)
ASKED_C, POWER_W = 21.0, 600.0
COLD = {"A-01": 3.0, "A-03": 1.0}
"""How many kelvin short two homes are while the event lasts."""


def run_event(estate: Estate, store: Store, block: Block, start: datetime = START) -> FlexEvent:
    """Accept, run and settle a turn-down from five to seven."""
    desk = EventDesk(estate, store)
    event = desk.submit(request(start=start), NOW).event
    store.add_readings(readings(block, start))
    for at in (start, start + 2 * HOURS, start + 11 * HOURS):
        desk.advance(at)
    return desk.event(event.id)


def expect(store: Store, event: FlexEvent, homes: list[str]) -> None:
    """Keep what a plan would have: warm rooms, the same power at all times."""
    slots = int((PREPARES + 2 * HOURS + AFTER) / HALF_HOUR)
    one = ExpectedHome((ASKED_C,) * slots, (ASKED_C,) * slots, (POWER_W,) * slots)
    would = ExpectedHomes(event.id, event.request.start - PREPARES, dict.fromkeys(homes, one))
    store.keep(would, key=event.id, subject="A", at=NOW)


def meter(
    store: Store, block: Block, short_k: Mapping[str, float], start: datetime = START
) -> None:
    """Rooms are so far below what was asked in the event; their heating is off meanwhile."""
    rows = []
    for number in range(int((PREPARES + 2 * HOURS + AFTER) / HALF_HOUR)):
        at = start - PREPARES + number * HALF_HOUR
        inside = start <= at < start + 2 * HOURS
        for home in block.dwellings:
            room = ASKED_C - (short_k.get(home.id, 0.0) if inside else 0.0)
            watts = 0.0 if inside and home.id in short_k else POWER_W
            sensor = PointId(home.room_sensor_id, "temperature_c")
            pump = PointId(home.heat_pump.device_id, "heating_power_w")
            rows += [
                Rollup(sensor, at, room, room, room, 1.0),
                Rollup(pump, at, watts, watts, watts, 1.0),
            ]
    store.add_rollups(rows)


@pytest.fixture
def event(estate: Estate, store: Store, block: Block) -> FlexEvent:
    """Settled, with two cold homes of twenty."""
    found = run_event(estate, store, block)
    expect(store, found, [home.id for home in block.dwellings])
    meter(store, block, COLD)
    return found


def by_home(store: Store) -> dict[str, EventBurden]:
    return {kept.record.dwelling_id: kept.record for kept in store.all_kept(EventBurden)}


def test_an_event_is_entered_once_its_hours_are_over_and_only_once(
    estate, store, path, event
) -> None:
    book = FairnessBook(estate, store)
    assert book.run(END + AFTER - timedelta(minutes=1)) == []
    assert book.run(DUE) == [event.id]
    assert book.run(DUE) == []
    # A process that was started anew finds it entered.
    with open_store(path) as again:
        assert FairnessBook(estate, again).run(DUE + HOURS) == []
        assert len(by_home(again)) == 20


def test_who_was_cold_bears_the_burden_and_saves_what_it_did_not_use(estate, store, event) -> None:
    FairnessBook(estate, store).run(DUE)
    found = by_home(store)
    assert found["A-01"].burden_kh == pytest.approx(6.0)
    assert found["A-03"].burden_kh == pytest.approx(2.0)
    assert found["A-01"].cold_hours == 2.0
    assert {found[home].burden_kh for home in found.keys() - COLD.keys()} == {0.0}
    rate = estate.dwelling("A-01").meter.tariff.rate_gbp_per_kwh(START)
    assert found["A-01"].bill_gbp == pytest.approx(-2.0 * POWER_W / 1000 * rate)
    assert found["A-05"].bill_gbp == pytest.approx(0.0)


def test_shares_are_equal_but_for_vulnerable_homes_and_those_that_cannot_rest(
    estate, store, block, event
) -> None:
    FairnessBook(estate, store).run(DUE)
    found = by_home(store)
    assert sum(entry.share for entry in found.values()) == pytest.approx(1.0)
    rests = [h for h in block.dwellings if h.heat_pump.actuator is Actuator.ROOM_SETPOINT]
    ordinary = found["A-01"].share
    assert not estate.dwelling("A-01").vulnerable
    assert any(home.vulnerable for home in rests)
    for home in block.dwellings:
        expected = 0.0 if home not in rests else ordinary * (0.5 if home.vulnerable else 1.0)
        assert found[home.id].share == pytest.approx(expected)


def test_what_a_resident_opted_out_of_is_no_burden_and_lowers_the_share(
    estate, store, event
) -> None:
    out = Asked(
        "a1", "A-01", Asking.OPT_OUT, "resident", START + HOURS, event=ALL_EVENTS, until=None
    )
    store.keep(out, key=out.id, subject="A-01", at=out.since)
    FairnessBook(estate, store).run(DUE)
    found = by_home(store)
    assert found["A-01"].burden_kh == pytest.approx(3.0)
    assert found["A-01"].share == pytest.approx(found["A-03"].share / 2)


def test_a_part_of_the_payment_goes_to_the_homes(estate, store, event) -> None:
    kept = store.kept(Settlement, event.id)
    paid = replace(kept.record, payment_gbp=40.0)
    store.keep(paid, key=event.id, subject=kept.subject, at=kept.at)
    rules = replace(estate.control, event_tenants_pct=25.0, event_payment_rule="burden")
    FairnessBook(replace(estate, control=rules), store).run(DUE)
    found = by_home(store)
    assert sum(entry.payment_gbp for entry in found.values()) == pytest.approx(10.0)
    assert found["A-01"].payment_gbp == pytest.approx(7.5)


def test_without_what_was_expected_a_burden_is_unknown(estate, store, block) -> None:
    run_event(estate, store, block)
    meter(store, block, COLD)
    FairnessBook(estate, store).run(DUE)
    assert {entry.burden_kh for entry in by_home(store).values() if entry.share} == {None}
    month = FairnessBook(estate, store).month(DUE)
    assert month.burden_kh == 0.0
    assert month.of("A-01").unknown == 1


def test_rooms_that_are_not_in_are_waited_for_but_not_for_ever(estate, store, block) -> None:
    found = run_event(estate, store, block)
    expect(store, found, [home.id for home in block.dwellings])
    book = FairnessBook(estate, store)
    assert book.run(DUE) == []
    assert book.run(DUE + timedelta(hours=6)) == [found.id]
    assert {entry.burden_kh for entry in by_home(store).values() if entry.share} == {None}


def test_how_a_room_swings_on_any_day_is_nobodys_burden(estate, store, block) -> None:
    found = run_event(estate, store, block)
    expect(store, found, [home.id for home in block.dwellings])
    sensor = PointId(block.dwellings[0].room_sensor_id, "temperature_c")
    # On every day before, A-01 was as far below its schedule at these hours.
    rows = []
    for days in range(1, 8):
        for number in range(4):
            at = START - timedelta(days=days) + number * HALF_HOUR
            asked = block.dwellings[0].comfort.temperature_at(at, estate.zone)
            rows.append(Rollup(sensor, at, asked - 3.0, asked - 3.0, asked - 3.0, 1.0))
    store.add_rollups(rows)
    meter(store, block, COLD)
    FairnessBook(estate, store).run(DUE)
    found_by = by_home(store)
    assert found_by["A-01"].burden_kh == pytest.approx(0.0)
    assert found_by["A-03"].burden_kh == pytest.approx(2.0)


def test_an_hour_that_two_events_reach_counts_once_and_for_the_earlier(
    estate, store, block
) -> None:
    """The second begins five hours later: its first hour is still the first event's to answer."""
    homes = [home.id for home in block.dwellings]
    second = START + 5 * HOURS
    events = [run_event(estate, store, block, start) for start in (START, second)]
    for event in events:
        expect(store, event, homes)
    meter(store, block, {})
    meter(store, block, {"A-01": 3.0}, second)
    FairnessBook(estate, store).run(second + 2 * HOURS + AFTER + timedelta(minutes=5))
    found = {
        kept.record.event_id: kept.record
        for kept in store.all_kept(EventBurden)
        if kept.record.dwelling_id == "A-01"
    }
    assert found[events[0].id].burden_kh == pytest.approx(3.0)
    assert found[events[1].id].burden_kh == pytest.approx(3.0)


def test_who_bore_more_than_its_share_is_spared_in_events_accepted_later(
    estate, store, event
) -> None:
    book = FairnessBook(estate, store)
    book.run(DUE)
    later = replace(event, id="later", received_at=END + AFTER + HOURS)
    shown = book.spared([event, later])
    assert shown[event.id] == {}, "what was promised before stays as it was"
    assert set(shown["later"]) == {"A-01", "A-03"}
    assert shown["later"]["A-01"] == 1.0
    none = replace(estate, control=replace(estate.control, fairness_strength=0.0))
    assert FairnessBook(none, store).spared([later]) == {"later": {}}
    # A month on it is forgotten.
    assert book.spared_at(DUE + timedelta(days=31)) == {}


def test_the_month_of_one_block_and_its_most_burdened_home(estate, store, event) -> None:
    book = FairnessBook(estate, store)
    book.run(DUE)
    month = book.month(DUE, "A")
    assert (month.events, month.burden_kh) == (1, pytest.approx(8.0))
    assert month.most_burdened.dwelling_id == "A-01"
    assert book.month(DUE, "B").homes == ()
    (mark,) = store.all_kept(EventEntered)
    assert mark.record.event_id == event.id
