"""A hand at the dial of a heat pump that is steered by SG Ready is respected and shown."""

from __future__ import annotations

from datetime import timedelta

import pytest

from ems.domain.points import PointId
from ems.domain.setpoints import Cause
from ems.domain.wishes import FROST_LIMIT_C, Asked, Asking, DeviceChange, Finding
from ems.field.faults import FaultKind, FieldFault
from ems.service.device_changes import changes_now

HOME, PUMP = "A-02", "A-02-hp"


def asked(bench):
    return [kept.record for kept in bench.store.all_kept(Asked)]


def test_a_dial_turned_up_is_kept_as_the_residents_and_is_not_encouraged_beyond(bench) -> None:
    bench.dispatch(3)
    bench.touch(PUMP, 23.0)
    first = bench.dispatch()
    assert PUMP not in first, "told nothing until it is known whose change it is"
    told = bench.dispatch()[PUMP].setpoint
    assert (told.cause, told.value) == (Cause.RESIDENT, 2.0)
    assert "23 °C at the heat pump itself" in told.sentence
    (one,) = asked(bench)
    assert (one.asking, one.by, one.temperature_c) == (Asking.DEVICE, "heat pump", 23.0)
    home = bench.estate.dwelling(HOME)
    limit = bench.now + timedelta(seconds=bench.estate.control.touch_hold_s)
    assert one.until == min(home.comfort.next_change(bench.now, bench.estate.zone), limit)
    bench.dispatch(5)
    assert len(asked(bench)) == 1
    (command,) = [c for c in bench.store.active_commands() if c.point_id.device_id == PUMP]
    assert command.expires_at > bench.now


def test_a_dial_turned_back_to_the_schedule_ends_it(bench) -> None:
    bench.dispatch(3)
    bench.touch(PUMP, 23.0)
    bench.dispatch(3)
    own = bench.estate.dwelling(HOME).comfort.temperature_at(bench.now, bench.estate.zone)
    bench.touch(PUMP, own)
    bench.dispatch()
    assert [one.ended_by for one in asked(bench)] == ["heat pump"]
    assert bench.charge.wishes(bench.now) == {}


def test_heating_switched_off_at_the_panel_is_the_residents_word_too(bench) -> None:
    bench.dispatch(3)
    bench.simulation.write(PUMP, "heating_on", 0.0)
    bench.dispatch()
    told = bench.dispatch()[PUMP].setpoint
    assert (told.cause, told.value) == (Cause.RESIDENT, 2.0)
    assert told.sentence == "The heating was switched off at the heat pump itself."
    (one,) = asked(bench)
    assert one.temperature_c == FROST_LIMIT_C


def test_the_dial_s_own_timer_is_nobody_s_hand(bench) -> None:
    bench.dispatch()
    home = bench.estate.dwelling(HOME)
    before = bench.shows(PUMP)
    change = home.comfort.next_change(bench.now, bench.estate.zone)
    bench.dispatch(2)
    bench.now = change - timedelta(minutes=2)
    bench.dispatch(6)
    assert bench.shows(PUMP) != before
    assert asked(bench) == []
    assert not any(
        one.record.finding is Finding.RESIDENT for one in bench.store.all_kept(DeviceChange)
    )


@pytest.mark.parametrize("reason", ["restart", "outage"])
def test_what_something_else_explains_is_unknown_left_alone_shown_and_then_taken(
    bench, reason
) -> None:
    bench.dispatch(3)
    if reason == "outage":
        bench.simulation.set_fault(FieldFault(PUMP, FaultKind.DEAD))
        bench.dispatch(2)
        bench.simulation.clear_fault(PUMP)
    else:
        bench.store.add_readings(bench.bus.read_all(bench.now))
        bench.restart()
    bench.touch(PUMP, 24.0)
    for _ in range(4):
        assert PUMP not in bench.dispatch()
    change = changes_now(bench.store, bench.now)[HOME]
    assert change.why
    assert change.value_c == 24.0
    (command,) = [
        one for one in bench.store.active_commands() if one.point_id == PointId(PUMP, "sg_mode")
    ]
    assert command.expires_at > bench.now, "the guard must know how to hand it back"
    bench.dispatch(32)
    assert PUMP in bench.dispatch()
    assert changes_now(bench.store, bench.now) == {}
    assert asked(bench) == []


def test_a_dial_that_always_stood_low_is_followed_and_is_no_change(bench) -> None:
    told = bench.dispatch(4)["A-11-hp"].setpoint
    assert bench.shows("A-11-hp") == 15.5
    assert (told.cause, told.value) == (Cause.RESIDENT, 2.0)
    assert "15.5 °C at the heat pump itself" in told.sentence
    assert asked(bench) == []
