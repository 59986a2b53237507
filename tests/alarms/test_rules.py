"""What is an alarm and what is not: no alarm without a cause, and one for each."""

from __future__ import annotations

from datetime import timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ems.alarms.rules import judge_field
from ems.alarms.service_rules import GuardAction, judge_disk, judge_guard, judge_process
from ems.domain.alarms import AlarmKind, AlarmRules

from .conftest import imports, rooms


def keys(judged) -> list[str]:
    return sorted(cause.key for cause in judged.causes)


def test_where_all_is_well_nothing_is_wrong_and_everything_was_judged(estate, well):
    judged = judge_field(estate, well)
    assert judged.causes == ()
    assert {f"home_cold:{home.id}" for home in estate.dwellings()} <= judged.judged
    assert {f"device_lost:{device}" for device in estate.devices} <= judged.judged
    assert {"gateway_lost:gw-A", "no_plan:B", "limit_exceeded:A"} <= judged.judged


@given(
    st.lists(st.floats(16.0, 30.0), min_size=1, max_size=60),
    st.one_of(st.none(), st.floats(10.0, 16.2)),
)
def test_a_home_at_sixteen_or_more_that_does_not_call_is_no_alarm(estate, but, values, asked):
    facts = but(rooms={"A-07": rooms(*values, asked_c=asked)})
    assert keys(judge_field(estate, facts)) == []


@given(st.lists(st.floats(5.0, 15.99), min_size=7, max_size=40))
def test_a_home_under_sixteen_that_asked_for_more_is_one_alarm(estate, but, values):
    judged = judge_field(estate, but(rooms={"A-10": rooms(*values, asked_c=20.5)}))
    assert keys(judged) == ["home_cold:A-10"]
    (cause,) = judged.causes
    assert cause.homes == ("A-10",)
    assert f"{values[-1]:.1f} °C" in cause.what
    assert cause.remedy


def test_a_short_dip_is_no_alarm(estate, but):
    airing = rooms(19.0, 19.0, 19.0, 15.0, 14.0, 15.5, 17.0)
    assert keys(judge_field(estate, but(rooms={"A-07": airing}))) == []


def test_a_home_that_nobody_measured_is_neither_well_nor_cold(estate, but):
    judged = judge_field(estate, but(rooms={"A-07": []}))
    assert judged.causes == ()
    assert "home_cold:A-07" not in judged.judged


@pytest.mark.parametrize(
    ("room_c", "asked_c", "alarms"),
    [(15.4, 15.5, 0), (14.6, 15.5, 0), (14.3, 15.5, 1), (15.4, 18.0, 1), (7.5, 8.0, 1)],
)
def test_cold_that_was_chosen_is_no_alarm_while_the_room_has_it(
    estate, but, room_c, asked_c, alarms
):
    facts = but(rooms={"A-11": rooms(*[room_c] * 40, asked_c=asked_c)})
    assert len(judge_field(estate, facts).causes) == alarms


def test_a_home_that_falls_while_it_calls_for_heat_is_an_alarm(estate, but):
    falls = [19.0 - 0.05 * index for index in range(37)]
    judged = judge_field(estate, but(rooms={"A-07": rooms(*falls, asked_c=20.5)}))
    assert keys(judged) == ["home_cold:A-07"]
    assert "although it calls for heat" in judged.causes[0].what


@pytest.mark.parametrize("asked_c", [17.0, 18.5])
def test_a_home_that_falls_because_its_schedule_says_so_is_none(estate, but, asked_c):
    falls = [20.5 - 0.05 * index for index in range(37)]
    assert keys(judge_field(estate, but(rooms={"A-07": rooms(*falls, asked_c=asked_c)}))) == []


def test_a_cold_home_stays_one_until_half_a_kelvin_more(estate, but):
    warmer = {"A-10": rooms(*[16.3] * 10)}
    assert keys(judge_field(estate, but(rooms=warmer))) == []
    still = but(rooms=warmer, open_keys={"home_cold:A-10"})
    assert keys(judge_field(estate, still)) == ["home_cold:A-10"]


@given(st.data())
def test_each_lost_device_is_named_once_or_its_gateway_is(estate, but, data):
    lost = data.draw(st.sets(st.sampled_from(sorted(estate.devices)), max_size=12))
    judged = judge_field(estate, but(ages_s=dict.fromkeys(lost, 900.0)))
    assert keys(judged) == sorted(f"device_lost:{device}" for device in lost)


def test_a_dead_gateway_is_one_alarm_with_its_homes(estate, but):
    behind = [d.id for d in estate.devices.values() if d.gateway_id == "gw-B"]
    ages = {device: 601.0 if index == 0 else 400.0 for index, device in enumerate(behind)}
    judged = judge_field(estate, but(ages_s=ages))
    assert keys(judged) == ["gateway_lost:gw-B"]
    (cause,) = judged.causes
    assert len(cause.homes) == 20
    assert set(cause.devices) == set(behind)


def test_devices_that_come_back_late_are_no_alarms_of_their_own(estate, but):
    behind = [d.id for d in estate.devices.values() if d.gateway_id == "gw-B"]
    ages = dict.fromkeys(behind, 3000.0) | {behind[0]: 5.0}
    back = but(ages_s=ages, open_keys={"gateway_lost:gw-B"})
    assert keys(judge_field(estate, back)) == []
    assert len(judge_field(estate, but(ages_s=ages)).causes) == len(behind) - 1


def test_what_is_out_of_service_is_not_missed(estate, but):
    facts = but(ages_s={"A-07-room": 1e6}, out_of_service=frozenset({"A-07-room"}))
    assert keys(judge_field(estate, facts)) == []


@pytest.mark.parametrize(("age_s", "wrong"), [(7200.0, False), (7201.0, True), (None, True)])
def test_a_block_without_a_fresh_plan_is_an_alarm(estate, but, age_s, wrong):
    judged = judge_field(estate, but(plan_ages_s={"A": age_s}))
    assert keys(judged) == (["no_plan:A"] if wrong else [])


def test_a_limit_must_be_exceeded_for_a_minute_and_clears_below_it(estate, but):
    rated = estate.block("A").limits.physical_import_w

    def of(*shares: float, open_: bool = False) -> list[str]:
        seen = imports(*[share * rated for share in shares])
        known = {"limit_exceeded:A"} if open_ else set()
        return keys(judge_field(estate, but(imports={"A": seen}, open_keys=known)))

    assert of(0.9, 1.2) == []
    assert of(0.9, 1.1, 1.2) == ["limit_exceeded:A"]
    assert of(1.2, 0.99, 0.99) == []
    assert of(1.2, 0.99, 0.99, open_=True) == ["limit_exceeded:A"]
    assert of(0.96, 0.96, open_=True) == []


def test_old_meter_readings_tell_nothing(estate, but):
    rated = estate.block("A").limits.physical_import_w
    old = [
        sample.__class__(sample.at - timedelta(minutes=20), 2 * rated)
        for sample in imports(0.0, 0.0)
    ]
    judged = judge_field(estate, but(imports={"A": old}))
    assert judged.causes == ()
    assert "limit_exceeded:A" not in judged.judged


def test_hearth_itself_is_judged_too():
    rules = AlarmRules(disk_free_mb=100.0)
    assert keys(judge_process("control", 100.0, 180.0)) == []
    assert keys(judge_process("control", 181.0, 180.0)) == ["process_silent:control"]
    assert keys(judge_process("guard", None, 180.0)) == ["process_silent:guard"]
    assert keys(judge_guard(None)) == []
    acted = judge_guard(GuardAction(("A-07-hp",), ("A-07",), 1))
    assert keys(acted) == ["guard_acted:estate"]
    assert acted.causes[0].kind is AlarmKind.GUARD_ACTED
    assert keys(judge_disk(99.0, rules, set())) == ["store_trouble:store"]
    assert keys(judge_disk(110.0, rules, {"store_trouble:store"})) == ["store_trouble:store"]
    assert keys(judge_disk(130.0, rules, {"store_trouble:store"})) == []
    assert judge_disk(None, rules, set()).judged == frozenset()
