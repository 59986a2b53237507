"""The health probe: 200 when well, 503 with the reason when not, and no home is named."""

from __future__ import annotations

from datetime import timedelta

import pytest

from ems.domain.points import PointId
from ems.domain.ports import Heartbeat


def test_a_well_estate_answers_200_with_all_its_figures(world) -> None:
    answer = world.client().get("/healthz")
    assert answer.status_code == 200
    found = answer.json
    total = len(world.estate.devices)
    assert found["status"] == "ok"
    assert found["devices_total"] == found["devices_online"] == total
    assert found["oldest_reading_s"] == 0.0
    assert found["plan_age_s"] == 600.0
    assert found["setpoints_confirmed"] == 40
    assert found["problems"] == []


def test_a_new_estate_is_not_well_and_says_why(empty_world) -> None:
    answer = empty_world.client().get("/healthz")
    assert answer.status_code == 503
    found = answer.json
    assert found["status"] == "degraded"
    assert found["devices_online"] == 0
    assert found["oldest_reading_s"] is None
    assert found["plan_age_s"] is None
    assert found["setpoints_confirmed"] == 0
    assert "block A has no plan yet" in found["problems"]


def test_a_lost_device_is_counted_but_its_home_is_not_named(make_world) -> None:
    world = make_world(without=frozenset({"A-07-room"}))
    answer = world.client().get("/healthz")
    assert answer.status_code == 503
    assert answer.json["devices_online"] == len(world.estate.devices) - 1
    assert "A-07" not in answer.text
    assert answer.json["problems"] == ["1 of 155 devices silent"]


@pytest.mark.parametrize("process", ["control", "guard"])
def test_a_silent_process_is_named(make_world, process) -> None:
    world = make_world()
    old = world.clock.now() - timedelta(minutes=10)
    world.store.beat(Heartbeat(process, old, 1.7e9, 7))
    answer = world.client().get("/healthz")
    assert answer.status_code == 503
    assert any(process in problem for problem in answer.json["problems"])


def test_plans_and_readings_grow_old(make_world) -> None:
    world = make_world()
    world.clock.set(world.clock.now() + timedelta(hours=3))
    found = world.client().get("/healthz").json
    assert found["plan_age_s"] == 3 * 3600 + 600
    assert found["devices_online"] == 0
    assert any("plan of block A" in problem for problem in found["problems"])


def test_a_store_that_cannot_be_read_is_an_answer_too(make_world) -> None:
    world = make_world()
    world.store.close()
    answer = world.client().get("/healthz")
    assert answer.status_code == 503
    assert answer.json["problems"] == ["the store cannot be read"]


def test_released_commands_do_not_count_as_confirmed(make_world) -> None:
    world = make_world()
    home = world.estate.dwelling("A-03")
    point_id = PointId(home.heat_pump.device_id, "room_setpoint_c")
    world.store.close_commands([c for c in world.store.active_commands() if c.point_id == point_id])
    assert world.client().get("/healthz").json["setpoints_confirmed"] == 39
