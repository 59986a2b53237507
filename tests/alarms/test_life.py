"""An alarm's life in the store: opened once, acknowledged, closed; no spam from flapping."""

from __future__ import annotations

from dataclasses import replace
from datetime import timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ems.alarms.life import acknowledged, closed, due_notices, opened, retry_at, stepped
from ems.alarms.rules import Judged
from ems.domain.alarms import (
    Alarm,
    AlarmKind,
    AlarmRules,
    AlarmState,
    Cause,
    Notice,
    NoticeState,
    Occasion,
)
from ems.domain.errors import InvalidInputError
from ems.service.alarm_desk import AlarmDesk, unacknowledged

from .conftest import NOW

RULES = AlarmRules(close_after_s=900.0, repeat_s=3600.0, reopen_after_s=86400.0)
COLD = Cause(AlarmKind.HOME_COLD, "A-10", "It is cold.", "Warm it.", ("A-10",))
PRESENT = Judged((COLD,), frozenset({COLD.key}))
ABSENT = Judged((), frozenset({COLD.key}))
UNKNOWN = Judged()


def minutes(count: float):
    return NOW + timedelta(minutes=count)


@pytest.fixture
def desk(store) -> AlarmDesk:
    return AlarmDesk(store, RULES)


def test_a_cause_opens_one_alarm_however_often_and_by_whom_it_is_seen(store, desk):
    other = AlarmDesk(store, RULES)
    for minute in range(120):
        (desk if minute % 2 else other).settle(PRESENT, minutes(minute))
    (alarm,) = desk.all()
    assert (alarm.id, alarm.state, alarm.opened_at) == ("home_cold:A-10.1", AlarmState.OPEN, NOW)
    assert len(store.log_entries(NOW, minutes(200), "alarm_opened")) == 1


def test_it_closes_by_itself_when_its_cause_has_been_gone_long_enough(desk):
    desk.settle(PRESENT, NOW)
    desk.settle(ABSENT, minutes(1))
    desk.settle(PRESENT, minutes(10))
    desk.settle(ABSENT, minutes(11))
    desk.settle(ABSENT, minutes(25))
    assert desk.open()
    desk.settle(ABSENT, minutes(26))
    (alarm,) = desk.all()
    assert (alarm.state, alarm.closed_at, alarm.closed_by) == (
        AlarmState.CLOSED,
        minutes(26),
        "",
    )


def test_what_cannot_be_told_neither_opens_nor_closes(desk):
    desk.settle(UNKNOWN, NOW)
    assert desk.all() == []
    desk.settle(PRESENT, NOW)
    for minute in range(600):
        desk.settle(UNKNOWN, minutes(minute))
    assert len(desk.open()) == 1


def test_an_acknowledged_alarm_stays_open_and_says_who_knows(desk):
    desk.settle(PRESENT, NOW)
    desk.acknowledge("home_cold:A-10.1", "olive", "  Engineer at two ", minutes(3))
    (alarm,) = desk.open()
    assert (alarm.acknowledged_by, alarm.note) == ("olive", "Engineer at two")
    assert unacknowledged(desk.all()) == []
    desk.settle(PRESENT, minutes(40))
    assert desk.find(alarm.id).state is AlarmState.ACKNOWLEDGED


def test_an_alarm_that_a_person_closed_opens_again_only_after_a_day(desk):
    desk.settle(PRESENT, NOW)
    with pytest.raises(InvalidInputError, match="needs a reason"):
        desk.close("home_cold:A-10.1", "olive", " ", minutes(1))
    desk.close("home_cold:A-10.1", "olive", "Heaters are in place", minutes(1))
    desk.settle(PRESENT, minutes(60))
    assert desk.open() == []
    desk.settle(PRESENT, minutes(24 * 60 + 1))
    assert [alarm.id for alarm in desk.open()] == ["home_cold:A-10.2"]


def test_a_cause_that_went_and_came_back_after_a_person_closed_it_is_new(desk):
    desk.settle(PRESENT, NOW)
    desk.close("home_cold:A-10.1", "olive", "Heaters are in place", minutes(1))
    for minute in range(2, 40):
        desk.settle(ABSENT, minutes(minute))
    desk.settle(PRESENT, minutes(40))
    assert [alarm.id for alarm in desk.open()] == ["home_cold:A-10.2"]


def test_what_is_closed_cannot_be_acknowledged_and_what_is_not_there_neither(desk):
    desk.settle(PRESENT, NOW)
    desk.close("home_cold:A-10.1", "olive", "done", minutes(1))
    with pytest.raises(InvalidInputError, match="closed already"):
        desk.acknowledge("home_cold:A-10.1", "olive", "", minutes(2))
    with pytest.raises(InvalidInputError, match="no such alarm"):
        desk.acknowledge("home_cold:A-99.1", "olive", "", minutes(2))


@given(st.lists(st.sampled_from([True, False, None]), min_size=1, max_size=300))
def test_at_most_one_alarm_of_a_cause_is_open_and_none_without_it(seen):
    alarms: list[Alarm] = []
    for minute, present in enumerate(seen):
        if present is None:
            continue
        newest = alarms[-1] if alarms else None
        after = stepped(newest, COLD if present else None, minutes(minute), RULES, len(alarms) - 1)
        if after is None:
            continue
        if newest is None or after.id != newest.id:
            assert present, "opened without a cause"
            assert newest is None or not newest.is_open, "opened beside an open one"
            alarms.append(after)
        else:
            assert not (newest.state is AlarmState.CLOSED and after.is_open), "came back to life"
            alarms[-1] = after
    for alarm in alarms:
        if alarm.closed_at is not None:
            assert alarm.gone_since is not None
            assert alarm.closed_at - alarm.gone_since >= timedelta(seconds=RULES.close_after_s)


@pytest.mark.parametrize("period_min", [2, 10, 20, 40])
def test_flapping_for_a_day_opens_few_alarms(desk, period_min):
    for minute in range(24 * 60):
        desk.settle(ABSENT if minute // period_min % 2 else PRESENT, minutes(minute))
    assert len(desk.all()) <= 3


def sent(alarm, due, at, state=NoticeState.SENT, attempts=1, next_try_at=None) -> dict:
    notice = Notice(
        alarm.id, due.occasion, due.number, due.channel, ("duty",), state, attempts, at, next_try_at
    )
    return {notice.key: notice}


def run_minutes(alarm, until_min, acknowledge_at=None, close_at=None, failing_until=0):
    """Live through minutes with one channel; return what was sent: (minute, occasion)."""
    notices: dict[str, Notice] = {}
    done = []
    for minute in range(until_min):
        now = minutes(minute)
        if minute == acknowledge_at:
            alarm = acknowledged(alarm, "olive", "", now)
        if minute == close_at:
            alarm = closed(alarm, "olive", "done", now)
        for due in due_notices(alarm, ["email"], notices, now, RULES):
            if minute < failing_until:
                attempts = due.attempts + 1
                after = retry_at(now, attempts)
                notices |= sent(alarm, due, now, NoticeState.FAILED, attempts, after)
            else:
                notices |= sent(alarm, due, now)
                done.append((minute, due.occasion))
    return done


def test_it_is_sent_when_it_opens_repeated_until_acknowledged_and_sent_when_it_closes():
    alarm = opened(COLD, NOW, None)
    assert run_minutes(alarm, 400, acknowledge_at=150, close_at=300) == [
        (0, Occasion.OPENED),
        (60, Occasion.REPEATED),
        (120, Occasion.REPEATED),
        (300, Occasion.CLOSED),
    ]


def test_a_message_that_fails_is_tried_again_with_growing_pauses():
    alarm = opened(COLD, NOW, None)
    assert run_minutes(alarm, 59, failing_until=10) == [(15, Occasion.OPENED)]
    # Nobody was told that it opened, so nobody is told that it closed.
    assert run_minutes(alarm, 59, failing_until=40, close_at=30) == []


def test_missed_reminders_are_not_made_up_for():
    alarm = replace(opened(COLD, NOW, None))
    late = due_notices(alarm, ["email"], {}, minutes(500), RULES)
    assert [due.occasion for due in late] == [Occasion.OPENED]
    notices = sent(alarm, late[0], minutes(500))
    assert due_notices(alarm, ["email"], notices, minutes(559), RULES) == []
    (due,) = due_notices(alarm, ["email"], notices, minutes(500 + 3 * 60), RULES)
    assert (due.occasion, due.number) == (Occasion.REPEATED, 3)


def test_a_claim_whose_sender_died_is_taken_over_after_a_while():
    alarm = opened(COLD, NOW, None)
    (due,) = due_notices(alarm, ["email"], {}, NOW, RULES)
    claimed = sent(alarm, due, NOW, NoticeState.SENDING)
    assert due_notices(alarm, ["email"], claimed, minutes(2), RULES) == []
    (again,) = due_notices(alarm, ["email"], claimed, minutes(6), RULES)
    assert (again.occasion, again.attempts) == (Occasion.OPENED, 1)


def test_old_alarms_are_forgotten_but_for_the_newest_of_each_cause(store, desk):
    day = 24 * 60
    for start in (0, day, 100 * day):
        desk.settle(PRESENT, minutes(start))
        desk.settle(ABSENT, minutes(start + 1))
        desk.settle(ABSENT, minutes(start + 200))
    old = Notice(
        "home_cold:A-10.1", Occasion.OPENED, 1, "email", ("duty",), NoticeState.SENT, 1, NOW
    )
    store.keep(old, key=old.key, subject=old.alarm_id, at=NOW)
    assert desk.prune(minutes(101 * day)) == 2
    assert [alarm.id for alarm in desk.all()] == ["home_cold:A-10.3"]
    assert desk.notices("home_cold:A-10.1") == []
    assert desk.prune(minutes(400 * day)) == 0
