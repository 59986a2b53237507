"""The desk over a real store: from request to settlement, through restarts and rivals."""

from __future__ import annotations

import threading
from collections.abc import Mapping
from dataclasses import replace
from datetime import datetime, timedelta
from itertools import pairwise

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from ems.domain.errors import HearthError
from ems.domain.events import TRANSITIONS, Direction, EventState, Settlement, Transition
from ems.domain.holds import HoldKind
from ems.domain.ports import Store
from ems.domain.time import HALF_HOUR
from ems.flex.life import EventOverError
from ems.flex.requests import RefusedError
from ems.service.event_book import BOOK, EventBook, Receipt
from ems.service.events import EventDesk, UnknownEventError, open_desk
from ems.service.flexible import NoPlanError
from ems.service.holds import Holds
from ems.store import open_store

from .conftest import BASE_W, HEAT_W, NOW, START, fill, half_hours, plan, readings, request

HOME_W = HEAT_W + BASE_W


@pytest.fixture
def desk(estate, store) -> EventDesk:
    return EventDesk(estate, store)


def online(store: Store, block, now: datetime) -> None:
    store.add_readings(readings(block, now))


def history(store: Store, block, days: int, actual_w: float = 500.0) -> None:
    """Homes drew 1 kW at all times, and ``actual_w`` in the event."""

    def watts(at: datetime, device: str) -> float:
        if device.endswith("battery"):
            return 0.0
        return actual_w if START <= at < START + timedelta(hours=2) else HOME_W

    first = START - timedelta(days=days)
    store.add_rollups(half_hours(block, first, START + timedelta(hours=5), watts))


def test_a_turn_down_from_request_to_settlement(desk, store, block) -> None:
    history(store, block, 30)
    event = desk.submit(request(), NOW).event
    assert (event.state, event.accepted_w, event.reason) == (EventState.ACCEPTED, 10_000.0, "")
    assert event.reference_w == pytest.approx([20 * HOME_W] * 4)
    assert desk.in_force(NOW) == (event,)

    assert desk.advance(START - timedelta(seconds=1)) == []
    online(store, block, START)
    (began,) = desk.advance(START)
    assert began.cause == "its start came for 20 homes with the battery"
    (running,) = desk.in_force(START)
    assert running.state is EventState.RUNNING
    assert len(running.participants) == 20

    (ended,) = desk.advance(START + timedelta(hours=2))
    assert ended.after is EventState.RECOVERING
    assert desk.settlement(event.id) is None
    (settled,) = desk.advance(START + timedelta(hours=4, minutes=5))
    assert settled.after is EventState.SETTLED
    settlement = desk.settlement(event.id)
    assert settlement is not None
    assert settlement.delivered_kwh == pytest.approx(20.0)
    assert settlement.asked_kwh == pytest.approx(20.0)
    assert settlement.net_kwh == pytest.approx(20.0)
    assert (settlement.baseline_days, settlement.notes) == (10, ())
    assert desk.in_force(START + timedelta(hours=5)) == ()
    assert desk.advance(START + timedelta(hours=9)) == []


def test_measuring_waits_for_the_meters_but_not_for_ever(desk, store, block) -> None:
    desk.submit(request(), NOW)
    online(store, block, START)
    desk.advance(START)
    desk.advance(START + timedelta(hours=2))
    assert desk.advance(START + timedelta(hours=5)) == []
    (late,) = desk.advance(START + timedelta(hours=11))
    assert late.after is EventState.SETTLED
    (kept,) = store.all_kept(Settlement)
    assert "baseline weak: 0 of 10 days" in kept.record.notes


def test_more_than_there_is_is_trimmed_and_says_so(desk) -> None:
    event = desk.submit(request(45.0), NOW).event
    assert event.accepted_w < 30_000
    assert "trimmed from 45" in event.reason


def test_a_refusal_changes_nothing(desk, store) -> None:
    for absurd in (request(-1.0), request(10_000.0), request(block="Z"), request(product="x")):
        with pytest.raises(RefusedError):
            desk.submit(absurd, NOW)
    assert desk.all(NOW) == ()
    assert store.kept(EventBook, BOOK) is None
    assert len(store.log_entries(NOW, NOW + HALF_HOUR, "event_refused")) == 4


def test_without_a_fresh_plan_nothing_is_promised(desk) -> None:
    with pytest.raises(NoPlanError, match="no fresh plan"):
        desk.submit(request(start=START + timedelta(hours=6)), NOW + timedelta(hours=4))


def test_the_second_event_gets_what_the_first_left(desk, store, block) -> None:
    whole = desk.availability("A", START, START + timedelta(hours=2), NOW).sustained_down_w
    first = desk.submit(request(10.0), NOW).event
    second = desk.submit(request(45.0), NOW).event
    assert first.accepted_w + second.accepted_w <= whole
    assert first.accepted_w + second.accepted_w > whole - 200
    with pytest.raises(RefusedError, match="is left for that time") as refusal:
        desk.submit(request(5.0), NOW)
    assert refusal.value.conflict
    with pytest.raises(RefusedError, match="other way"):
        desk.submit(request(5.0, direction=Direction.UP), NOW)


def test_the_same_key_counts_once(desk) -> None:
    first = desk.submit(request(key="k1"), NOW)
    again = desk.submit(request(key="k1"), NOW + timedelta(minutes=5))
    assert (first.fresh, again.fresh) == (True, False)
    assert again.event.id == first.event.id
    assert desk.submit(request(key="k1", source="other"), NOW).fresh
    with pytest.raises(RefusedError, match="another request"):
        desk.submit(request(5.0, key="k1"), NOW)


def test_the_same_key_from_many_threads_counts_once(estate, store) -> None:
    made: list[tuple[str, bool]] = []

    def send() -> None:
        answer = EventDesk(estate, store).submit(request(key="k1"), NOW)
        made.append((answer.event.id, answer.fresh))

    threads = [threading.Thread(target=send) for _ in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(made) == 8
    assert len({event_id for event_id, _ in made}) == 1
    assert sum(fresh for _, fresh in made) == 1
    assert len(store.all_kept(Receipt)) == 1


def test_rivals_cannot_be_promised_the_same_power(estate, store) -> None:
    refused: list[str] = []
    until = START + timedelta(hours=2)
    whole = EventDesk(estate, store).availability("A", START, until, NOW).sustained_down_w

    def send(number: int) -> None:
        try:
            EventDesk(estate, store).submit(request(8.0, source=f"s{number}"), NOW)
        except RefusedError as refusal:
            refused.append(str(refusal))

    threads = [threading.Thread(target=send, args=(number,)) for number in range(6)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    desk = EventDesk(estate, store)
    promised = sum(event.accepted_w for event in desk.all(NOW))
    assert promised <= whole
    left = desk.availability("A", START, until, NOW).sustained_down_w
    assert left == pytest.approx(whole - promised, abs=1.0)
    assert len(desk.all(NOW)) + len(refused) == 6


def test_who_opted_out_or_is_offline_at_the_start_does_not_take_part(estate, store, block) -> None:
    away: dict[str, str] = {}

    def who(now: datetime, event_id: str) -> Mapping[str, str]:
        return away

    desk = EventDesk(estate, store, away=who)
    desk.submit(request(), NOW)
    away["A-03"] = "opted out"
    # From here on flat 5 is silent.
    silent = [one for one in readings(block, START) if "A-05" not in one.point_id.device_id]
    store.add_readings(silent)
    desk.advance(START)
    (event,) = desk.in_force(START)
    assert len(event.participants) == 18
    assert not {"A-03", "A-05"} & set(event.participants)
    assert event.reference_w == pytest.approx([18 * HOME_W] * 4)
    away["A-01"] = "opted out"
    desk.advance(START + timedelta(hours=2))
    assert "A-01" in desk.event(event.id).participants, "opting out later keeps it measured"


def test_a_home_offline_at_acceptance_takes_part_once_it_is_back(estate, store, block) -> None:
    late = NOW + timedelta(minutes=20)
    silent = [one for one in readings(block, late) if "A-05" not in one.point_id.device_id]
    store.add_readings(silent)
    desk = EventDesk(estate, store)
    found = desk.availability("A", START, START + timedelta(hours=2), late)
    assert found.homes == 19, "nothing is promised of it"
    event = desk.submit(request(), late).event
    assert event.reference_w == pytest.approx([20 * HOME_W] * 4)
    online(store, block, START)
    desk.advance(START)
    (event,) = desk.in_force(START)
    assert "A-05" in event.participants
    assert event.reference_w == pytest.approx([20 * HOME_W] * 4)


def test_a_battery_is_not_promised_twice_in_one_evening(desk, store, block) -> None:
    """What the first event takes of the battery is gone for the second, an hour later."""
    later = START + timedelta(hours=1)
    alone = desk.availability("A", later, later + timedelta(hours=1), NOW).sustained_down_w
    first = desk.submit(request(15.0, START - HALF_HOUR, hours=1.5), NOW).event
    assert first.accepted_w == 15_000.0
    second = desk.submit(request(45.0, later, hours=1), NOW).event
    assert second.accepted_w < alone - 5_000.0
    bank = block.battery
    most_wh = (bank.max_soc - bank.min_soc) * bank.capacity_wh * bank.one_way_efficiency
    assert 1.5 * first.accepted_w + second.accepted_w <= most_wh


def test_an_operators_hold_takes_homes_out(estate, store) -> None:
    Holds(estate, store).make(HoldKind.NO_EVENTS, "A-07", NOW, reason="visit", by="olive")
    desk = open_desk(estate, store)
    assert "A-07" not in desk.free_homes(estate.block("A"), NOW)
    assert desk.submit(request(), NOW).event.reference_w[0] == pytest.approx(19 * HOME_W)


def test_withdrawn_in_every_state(desk, store, block) -> None:
    history(store, block, 30)
    early = desk.submit(request(5.0), NOW).event
    assert desk.withdraw(early.id, NOW, "acme").state is EventState.CANCELLED
    assert desk.withdraw(early.id, NOW, "acme").state is EventState.CANCELLED

    event = desk.submit(request(8.0), NOW).event
    online(store, block, START)
    desk.advance(START)
    after = desk.withdraw(event.id, START + timedelta(minutes=30), "acme")
    assert after.state is EventState.RECOVERING
    assert desk.withdraw(event.id, START + timedelta(hours=1), "acme") == after
    desk.advance(START + timedelta(hours=3))
    settlement = desk.settlement(event.id)
    assert settlement is not None
    assert settlement.asked_kwh == pytest.approx(4.0), "half an hour of 8 kW"
    assert len(settlement.slots) == 1
    assert desk.withdraw(event.id, START + timedelta(hours=4), "acme").state is EventState.SETTLED


def test_replaced_in_every_state(desk, store, block) -> None:
    history(store, block, 30)
    event = desk.submit(request(8.0), NOW).event
    other = desk.replace(event.id, request(6.0, START + HALF_HOUR, hours=1), NOW)
    assert (other.id, other.state, other.accepted_w) == (event.id, EventState.ACCEPTED, 6000.0)
    assert len(other.reference_w) == 2
    online(store, block, START + HALF_HOUR)
    store.add_schedule(plan(block, START + timedelta(minutes=20)))
    desk.advance(START + HALF_HOUR)
    now = START + timedelta(minutes=45)
    online(store, block, now)
    longer = desk.replace(event.id, request(4.0, START + HALF_HOUR, hours=2), now)
    assert longer.state is EventState.RUNNING
    assert len(longer.reference_w) == 4
    assert longer.participants
    desk.advance(START + timedelta(hours=5))
    settlement = desk.settlement(event.id)
    assert settlement is not None
    assert settlement.asked_kwh == pytest.approx(6.0 * 0.25 + 4.0 * 1.75)
    with pytest.raises(EventOverError):
        desk.replace(event.id, request(4.0), START + timedelta(hours=6))


def test_a_refused_replacement_leaves_the_event_as_it_was(desk) -> None:
    event = desk.submit(request(8.0), NOW).event
    for other in (request(-1.0), request(8.0, block="B"), request(9_999.0)):
        with pytest.raises(RefusedError):
            desk.replace(event.id, other, NOW)
    assert desk.event(event.id) == event


def test_an_event_can_be_made_as_large_as_when_it_was_new(desk, store, block) -> None:
    """The plan spends on the event already; replacing it may spend that again."""
    event = desk.submit(request(8.0), NOW).event
    later = NOW + timedelta(minutes=1)
    online(store, block, later)
    assert desk.replace(event.id, request(9.0), later).accepted_w == 9000.0


def test_others_events_are_not_there(desk) -> None:
    event = desk.submit(request(), NOW).event
    with pytest.raises(UnknownEventError):
        desk.event(event.id, "mallory")
    with pytest.raises(UnknownEventError):
        desk.withdraw(event.id, NOW, "mallory")
    with pytest.raises(UnknownEventError):
        desk.replace(event.id, request(source="mallory"), NOW)
    assert desk.withdraw(event.id, NOW, "operator").state is EventState.CANCELLED


def test_control_that_was_away_makes_up_what_it_missed(desk, store, block) -> None:
    history(store, block, 30)
    event = desk.submit(request(), NOW).event
    now = START + timedelta(hours=8)
    online(store, block, now)
    changes = desk.advance(now)
    assert [one.after for one in changes] == [
        EventState.RUNNING,
        EventState.RECOVERING,
        EventState.SETTLED,
    ]
    assert "control was away" in changes[0].cause
    assert desk.event(event.id).ended_at == event.request.end


def test_a_change_that_a_killed_process_began_is_finished_by_the_next(estate, store, block) -> None:
    """Killed right after the book was written: before any record of its own."""
    EventDesk(estate, store).submit(request(key="k1"), NOW)
    kept = store.kept(EventBook, BOOK)
    assert kept is not None
    booked = kept.record.booked
    change = replace(
        booked,
        event=replace(booked.event, accepted_w=1.0),
        revision=1,
        transition=replace(booked.transition, before=EventState.ACCEPTED, cause="half done"),
        reference=None,
        receipt=None,
    )
    store.keep(EventBook(2, change), key=BOOK, subject="", at=NOW, expected=kept.revision)
    desk = EventDesk(estate, store)
    assert desk.event(booked.event.id).accepted_w == 10_000.0
    desk.withdraw(booked.event.id, NOW, "acme")
    causes = [one.record.cause for one in desk.transitions()]
    assert causes == ["accepted as asked", "half done", "withdrawn by acme before it ran"]
    assert desk.event(booked.event.id).accepted_w == 1.0


def test_settling_twice_at_once_measures_once(estate, store, block) -> None:
    history(store, block, 30)
    EventDesk(estate, store).submit(request(), NOW)
    online(store, block, START)
    made: list[Transition] = []

    def settle() -> None:
        made.extend(EventDesk(estate, store).advance(START + timedelta(hours=5)))

    threads = [threading.Thread(target=settle) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert sorted(one.after for one in made) == ["recovering", "running", "settled"]
    assert len(store.all_kept(Settlement)) == 1
    assert len(store.all_kept(Transition)) == 4


def test_changes_can_be_read_after_a_cursor(desk, store, block) -> None:
    desk.submit(request(5.0), NOW)
    desk.submit(request(5.0, source="other"), NOW)
    (first,) = desk.transitions(source="acme")
    assert desk.transitions(after=first.sequence, source="acme") == []
    online(store, block, START)
    desk.advance(START)
    (second,) = desk.transitions(after=first.sequence, source="acme")
    assert second.record.after is EventState.RUNNING
    assert len(desk.transitions()) == 4


COMMANDS = st.lists(
    st.tuples(
        st.sampled_from(["submit", "replace", "withdraw", "time", "restart"]),
        st.integers(0, 3),
        st.integers(0, 150),
        st.floats(1, 40),
    ),
    min_size=1,
    max_size=10,
)


@settings(suppress_health_check=[HealthCheck.function_scoped_fixture], max_examples=25)
@given(COMMANDS)
def test_no_sequence_of_commands_time_and_restarts_breaks_the_record(
    estate, block, tmp_path_factory, commands
) -> None:
    path = tmp_path_factory.mktemp("desk") / "store.sqlite"
    store = open_store(path)
    fill(store, estate, block)
    desk, now = EventDesk(estate, store), NOW
    for name, number, minutes, power_kw in commands:
        events = desk.all(now)
        some = events[number % len(events)].id if events else "none"
        asked = request(round(power_kw, 1), START + timedelta(hours=number // 2), hours=1)
        try:
            if name == "submit":
                desk.submit(asked, now)
            elif name == "replace":
                desk.replace(some, asked, now)
            elif name == "withdraw":
                desk.withdraw(some, now, "acme")
            elif name == "restart":
                store.close()
                store = open_store(path)
                desk = EventDesk(estate, store)
            else:
                now += timedelta(minutes=minutes)
                desk.advance(now)
        except HearthError:
            continue
    desk.advance(now + timedelta(days=2))
    by_event: dict[str, list[Transition]] = {}
    for kept in desk.transitions(limit=1000):
        by_event.setdefault(kept.record.event_id, []).append(kept.record)
    for event in desk.all(now):
        steps = by_event.pop(event.id)
        assert steps[0].before is None
        assert steps[-1].after is event.state
        assert event.state in (EventState.SETTLED, EventState.CANCELLED)
        for earlier, later in pairwise(steps):
            assert later.before is earlier.after
            assert later.after is later.before or later.after in TRANSITIONS[earlier.after]
        assert [one.after for one in steps].count(EventState.SETTLED) <= 1
        assert (desk.settlement(event.id) is not None) == (event.state is EventState.SETTLED)
    assert by_event == {}
    store.close()
