from __future__ import annotations

import json
import math
from dataclasses import replace
from datetime import UTC, datetime, timedelta

import numpy as np
import pytest

from ems.domain.errors import InvalidInputError
from ems.domain.points import POINTS, DeviceClass, PointKind
from ems.field.faults import FaultKind, FieldFault
from ems.service.derive import heat_from_flow_w

DAY = timedelta(days=1)


def test_every_point_of_every_profile_has_a_value(simulate, estate) -> None:
    field = simulate()
    wanted = {
        (device.id, point)
        for device in estate.devices.values()
        for point in (*device.profile.points, *(device.profile.composed or ()))
    }
    assert {tuple(point) for point in field.point_ids} == wanted
    for point, value in zip(field.point_ids, field.values(), strict=True):
        if point.device_id == "B-12-room":
            continue
        assert value == field.read(point.device_id, point.point)
        canonical = POINTS[estate.devices[point.device_id].device_class][point.point]
        assert canonical.low <= value <= canonical.high, point


def test_the_block_meter_is_the_sum_of_what_stands_behind_it(simulate, estate) -> None:
    field = simulate()
    for _ in range(200):
        field.step()
        for block in estate.blocks:
            meters = sum(field.read(home.meter.device_id, "power_w") for home in block.dwellings)
            phases = sum(field.read(f"{block.id}-meter", f"power_l{n}_w") for n in (1, 2, 3))
            total = field.read(f"{block.id}-meter", "power_w")
            assert phases == pytest.approx(total)
            if block.landlord_meter is not None:
                assert meters + field.read("B-landlord", "power_w") == pytest.approx(total)
            known = meters + field.read(f"{block.id}-pv", "power_w")
            known += field.read(f"{block.id}-battery", "power_w")
            assert 0.0 < total - known < 5000.0  # lights, lift, plant


def test_a_heat_meter_shows_the_heat_that_flow_carries_to_the_rooms(simulate, estate) -> None:
    """What it shows follows from its own flow and temperatures, and none goes to the tank."""
    names = ("heat_w", "flow_rate_lpm", "flow_temperature_c", "return_temperature_c")
    pump = estate.devices["A-07-hp"]
    like = pump.profile.points["flow_temperature_c"]
    profile = replace(
        pump.profile,
        device_class=DeviceClass.HEAT_METER,
        points={name: replace(like, point=name) for name in names},
        composed=None,
    )
    meter = replace(
        pump, id="A-07-heat", device_class=DeviceClass.HEAT_METER, profile=profile,
        role="heat_meter",
    )  # fmt: skip
    field = simulate(of=replace(estate, devices={**estate.devices, meter.id: meter}))
    heated = to_tank = 0
    for _ in range(24 * 60):
        field.step()
        heat, flow, warm, cool = (field.read("A-07-heat", name) for name in names)
        assert heat == pytest.approx(heat_from_flow_w(flow, warm, cool))
        tank = field.read("A-07-hp", "operating_state") == 1.0
        assert not (tank and heat)
        heated, to_tank = heated + (heat > 500.0), to_tank + tank
    assert heated > 60 and to_tank > 0


def test_counters_only_rise_and_agree_with_power(simulate, estate) -> None:
    field = simulate()
    counters = [
        number
        for number, point in enumerate(field.point_ids)
        if POINTS[estate.devices[point.device_id].device_class][point.point].kind
        is PointKind.COUNTER
    ]
    before = field.values()[counters]
    first, energy = field.read("A-07-meter", "energy_import_kwh"), 0.0
    for _ in range(24 * 60):
        field.step()
        now = field.values()[counters]
        assert (now >= before).all()
        before = now
        energy += field.read("A-07-meter", "power_w") / 60e3
    risen = field.read("A-07-meter", "energy_import_kwh") - first
    assert risen == pytest.approx(energy, rel=1e-9) and risen > 3.0


def test_the_same_seed_gives_the_same_estate_however_it_is_stepped(simulate, parameters) -> None:
    one, two = simulate(step_s=30), simulate(step_s=30)
    start = one.now()
    one.step_to(start + DAY)
    for hours in (0.01, 3, 3.5, 20, 23.99, 24):
        two.step_to(start + timedelta(hours=hours))
    np.testing.assert_array_equal(one.values(), two.values())
    other = simulate(step_s=30, hidden=replace(parameters, seed=2))
    other.step_to(start + DAY)
    assert not np.allclose(one.homes.air_c, other.homes.air_c)


def test_a_resumed_estate_equals_one_that_was_never_stopped(simulate) -> None:
    whole = simulate()
    start = whole.now()
    for field in (whole,):
        field.write("A-03-hp", "room_setpoint_c", 21.0)
        field.write("A-battery", "battery_mode", 3)
        field.write("A-battery", "battery_power_setpoint_w", 5000.0)
        field.set_fault(FieldFault("A-01-room", FaultKind.FROZEN))
    whole.step_to(start + timedelta(minutes=3))
    saved = json.loads(json.dumps(whole.state_dict()))
    resumed = simulate(start=start + 2 * DAY)
    resumed.load_state(saved)
    np.testing.assert_array_equal(whole.values(), resumed.values())
    for field in (whole, resumed):
        field.step_to(start + timedelta(hours=30))
    np.testing.assert_array_equal(whole.values(), resumed.values())


def test_homes_and_sensors_break_on_command_and_are_well_again(simulate) -> None:
    """Twice the loss and open windows cool a room; a sensor that reads high fools its reader."""
    broken, well = simulate(step_s=60), simulate(step_s=60)
    start = broken.now()
    faults = [
        FieldFault("A-01", FaultKind.LOSS, 2.0),
        FieldFault("A-02", FaultKind.WINDOW, 150.0),
        FieldFault("A-03-room", FaultKind.OFFSET, 2.0),
        FieldFault("A-04-hp", FaultKind.OFFSET, 2.0),
    ]
    for fault in faults:
        broken.set_fault(fault)
    resumed = simulate(step_s=60, start=start + DAY)
    resumed.load_state(json.loads(json.dumps(broken.state_dict())))
    for field in (broken, well, resumed):
        field.step_to(start + DAY)
    np.testing.assert_array_equal(resumed.values(), broken.values())
    used = broken.counters["pump_import"] - well.counters["pump_import"]
    assert used[0] > 3.0 and used[1] > 3.0  # kWh a day: own thermostats make up for it
    assert broken.read("A-03-room", "temperature_c") == pytest.approx(
        well.read("A-03-room", "temperature_c") + 2.0, abs=0.2
    )
    assert broken.homes.air_c[3] < well.homes.air_c[3] - 1.0
    broken.replace_faults([])
    np.testing.assert_array_equal(broken.physics.loss_factor, 1.0)
    np.testing.assert_array_equal(broken.physics.sense_k, well.physics.sense_k)


@pytest.mark.parametrize(
    ("target", "kind", "value", "problem"),
    [
        ("A-01-hp", FaultKind.LOSS, 2.0, "no such home"),
        ("A-01", FaultKind.DEAD, 0.0, "no such device"),
        ("A-01-meter", FaultKind.OFFSET, 2.0, "only a room sensor or heat pump"),
        ("A-01-room", FaultKind.CAPACITY, 0.5, "only a heat pump"),
        ("A-01", FaultKind.WINDOW, 0.0, "W/K that open windows add"),
        ("A-01-hp", FaultKind.CAPACITY, 0.0, "share of capacity"),
    ],
)
def test_a_fault_that_cannot_be_is_refused_with_its_reason(
    simulate, target: str, kind: FaultKind, value: float, problem: str
) -> None:
    with pytest.raises(InvalidInputError, match=problem):
        simulate().set_fault(FieldFault(target, kind, value))


def test_a_checkpoint_of_another_seed_is_refused(simulate, parameters) -> None:
    state = simulate().state_dict()
    other = simulate(hidden=replace(parameters, seed=7))
    with pytest.raises(InvalidInputError, match="another seed"):
        other.load_state(state)


def test_a_winter_day_looks_like_one(simulate, estate, parameters) -> None:
    """Rooms follow their residents, efficiency and block peak are those of real estates."""
    field = simulate(start=datetime(2023, 11, 27, tzinfo=UTC))
    field.step_to(datetime(2023, 11, 29, tzinfo=UTC))
    rooms, heat, electric, block = [], 0.0, 0.0, []
    for _ in range(3 * 1440):
        field.step()
        rooms.append(field.homes.air_c)
        heat += float((field.homes.heat_w + field.homes.tank_heat_w).sum())
        electric += float(field.homes.power_w.sum())
        block.append(field.block_w)
    planted = {"A-10", "A-11"}
    well = [number for number, home in enumerate(field.traits.ids) if home not in planted]
    warm = np.array(rooms)[:, well]
    assert 18.8 < warm.mean() < 20.8
    assert np.quantile(warm, 0.02) > 17.7
    assert 2.2 < heat / electric < 4.0
    peak_kw = np.array(block).reshape(-1, 30, 2).mean(axis=1).max(axis=0) / 1000.0
    assert (peak_kw > 20.0).all() and (peak_kw < 70.0).all()
    assert np.diff(np.array(block)[:, 0]).std() > 50.0


def test_the_planted_homes_and_no_others_are_in_trouble(simulate) -> None:
    field = simulate(start=datetime(2023, 11, 22, tzinfo=UTC))
    field.step_to(datetime(2023, 11, 24, tzinfo=UTC))
    cold = np.zeros(len(field.traits.ids))
    counted = 0
    while field.now() < datetime(2023, 12, 1, tzinfo=UTC):
        field.step()
        if 7 <= field.now().hour < 23:
            cold += field.homes.air_c < 18.0
            counted += 1
    share = dict(zip(field.traits.ids, cold / counted, strict=True))
    assert share["A-10"] > 0.5  # a pump that has lost its capacity
    assert share["A-11"] > 0.5  # a resident who chose so
    assert all(value < 0.35 for home, value in share.items() if home not in ("A-10", "A-11"))
    assert math.isnan(field.read("B-12-room", "temperature_c"))
    assert field.is_silent("B-12-room")
    assert not field.is_silent("A-12-room")
    assert field.read("A-11-hp", "room_setpoint_c") == 15.5


def test_a_silent_sensor_spoke_until_its_day_came(simulate) -> None:
    field = simulate(start=datetime(2023, 11, 21, 11, 58, tzinfo=UTC))
    assert 15.0 < field.read("B-12-room", "temperature_c") < 25.0
    field.step_to(datetime(2023, 11, 21, 12, 0, tzinfo=UTC))
    assert math.isnan(field.read("B-12-room", "temperature_c"))


def test_faults_can_be_switched_on_and_off(simulate) -> None:
    field = simulate()
    field.step_to(field.now() + timedelta(hours=1))
    field.set_fault(FieldFault("A-01-room", FaultKind.NAN))
    field.set_fault(FieldFault("A-02-meter", FaultKind.FROZEN))
    field.set_fault(FieldFault("A-04-hp", FaultKind.DEAD))
    field.set_fault(FieldFault("gw-B", FaultKind.GATEWAY_GONE))
    frozen = field.read("A-02-meter", "power_w")
    field.step_to(field.now() + timedelta(minutes=30))
    assert math.isnan(field.read("A-01-room", "temperature_c"))
    assert field.read("A-02-meter", "power_w") == frozen
    assert field.is_silent("A-04-hp") and field.is_silent("B-09-meter")
    shown = dict(zip(field.point_ids, field.values(), strict=True))
    assert {p.device_id[0] for p, v in shown.items() if not math.isnan(v)} == {"A"}
    assert shown[next(p for p in shown if p == ("A-02-meter", "power_w"))] == frozen
    for target in ("A-01-room", "A-02-meter", "A-04-hp", "gw-B"):
        field.clear_fault(target)
    assert field.read("A-01-room", "temperature_c") > 10.0
    assert field.read("A-02-meter", "power_w") != frozen
    assert not field.is_silent("A-04-hp")


def test_a_pump_at_a_fraction_of_its_capacity_leaves_its_home_colder(simulate) -> None:
    well, ill = simulate(), simulate()
    ill.set_fault(FieldFault("A-19-hp", FaultKind.CAPACITY, 0.2))
    for field in (well, ill):
        field.step_to(field.now() + DAY)
    assert ill.true_rooms()["A-19"] < well.true_rooms()["A-19"] - 1.0
    assert ill.true_rooms()["B-01"] == pytest.approx(well.true_rooms()["B-01"])
    ill.clear_fault("A-19-hp", FaultKind.CAPACITY)
    for field in (well, ill):
        field.step_to(field.now() + 2 * DAY)
    assert ill.true_rooms()["A-19"] > well.true_rooms()["A-19"] - 0.7


@pytest.mark.parametrize(
    ("fault", "problem"),
    [
        (FieldFault("A-99-hp", FaultKind.DEAD), "no such device"),
        (FieldFault("gw-C", FaultKind.GATEWAY_GONE), "no such gateway"),
        (FieldFault("A-01-room", FaultKind.CAPACITY, 0.5), "only a heat pump"),
        (FieldFault("A-01-hp", FaultKind.CAPACITY, 1.5), "share of capacity"),
        (FieldFault("A-01-hp", FaultKind.SLOW, 0.0), "delay"),
    ],
)
def test_absurd_faults_are_refused(simulate, fault: FieldFault, problem: str) -> None:
    field = simulate()
    with pytest.raises(InvalidInputError, match=problem):
        field.set_fault(fault)
    assert not field.faults


@pytest.mark.parametrize(
    ("device", "point", "value"),
    [
        ("A-01-meter", "power_w", 0.0),
        ("A-01-hp", "power_w", 0.0),
        ("A-01-hp", "sg_mode", 7.0),
        ("nowhere", "sg_mode", 2.0),
        ("A-pv", "power_w", 0.0),
    ],
)
def test_what_cannot_be_set_is_refused(simulate, device: str, point: str, value: float) -> None:
    with pytest.raises(InvalidInputError):
        simulate().write(device, point, value)
