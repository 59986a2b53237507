"""Block plans: never through a value, never beyond the limit, and holes are learnt."""

from __future__ import annotations

from dataclasses import replace

from hypothesis import given
from hypothesis import strategies as st

from drivers.blocks import Knowledge, learn, plan
from drivers.codec import codecs
from ems.domain.points import DeviceClass
from ems.domain.profiles import Cadence, DataType, DeviceProfile, PointMap, Space

NAMES = [
    "power_w", "power_l1_w", "power_l2_w", "power_l3_w", "voltage_v", "frequency_hz",
    "energy_import_kwh", "energy_export_kwh",
]  # fmt: skip


@st.composite
def maps(draw):
    points, address = {}, draw(st.integers(0, 50))
    for name in NAMES:
        address += draw(st.integers(0, 30))
        data_type = draw(st.sampled_from([DataType.INT16, DataType.FLOAT32, DataType.UINT64]))
        factor = draw(st.sampled_from([None, address + data_type.registers]))
        points[name] = PointMap(
            name, Space.HOLDING, address, data_type, scale_factor_address=factor
        )
        address += data_type.registers + (factor is not None)
    limit, bridge = draw(st.integers(4, 125)), draw(st.booleans())
    return DeviceProfile(
        "x", "v", "m", DeviceClass.METER, points, max_block=limit, bridge_gaps=bridge
    )


def _used(profile):
    used = set()
    for point in profile.points.values():
        used |= set(range(point.address, point.address + point.data_type.registers))
        if point.scale_factor_address is not None:
            used.add(point.scale_factor_address)
    return used


@given(maps())
def test_plans_keep_to_the_limit_and_hold_every_value_whole(profile):
    made = plan(profile, codecs(profile), NAMES)
    used = _used(profile)
    for block in made.blocks:
        covered = set(range(block.address, block.address + block.count))
        assert block.count <= profile.max_block
        assert profile.bridge_gaps or covered <= used
    for slot in made.slots:
        block = made.blocks[slot.value.block]
        assert block.address + slot.value.offset == slot.codec.point.address
        assert slot.value.offset + slot.codec.point.data_type.registers <= block.count
        if slot.scale_factor is not None:
            factor = made.blocks[slot.scale_factor.block]
            assert factor.address + slot.scale_factor.offset == (
                slot.codec.point.scale_factor_address
            )
    assert [slot.point for slot in made.slots] == NAMES


@given(maps(), st.data())
def test_holes_cost_only_the_values_they_are_in(profile, data):
    """However a device refuses, reading ends, and all values without a hole are read."""
    used = sorted(_used(profile))
    holes = set(data.draw(st.lists(st.sampled_from(used), max_size=4)))
    everything = range(used[0], used[-1] + 1)
    if data.draw(st.booleans()):
        holes |= set(everything) - set(used)
    knowledge, requests = Knowledge(), 0
    while True:
        made = plan(profile, codecs(profile), NAMES, knowledge)
        refused = None
        for block in made.blocks:
            requests += 1
            if holes & set(range(block.address, block.address + block.count)):
                refused = block
                break
        if refused is None:
            break
        knowledge = learn(knowledge, refused)
        assert requests < 400
    for name, point in profile.points.items():
        own = set(range(point.address, point.address + point.data_type.registers))
        if point.scale_factor_address is not None:
            own.add(point.scale_factor_address)
        assert (name in made.absent) == bool(own & holes)


def test_a_device_that_answers_for_gaps_is_read_at_once(profiles):
    sunspec = profiles["sunspec_inverter"]
    made = plan(sunspec, codecs(sunspec), list(sunspec.points))
    assert [(block.address, block.count) for block in made.blocks] == [(40084, 62)]
    cautious = replace(sunspec, bridge_gaps=False)
    made = plan(cautious, codecs(sunspec), list(sunspec.points))
    assert [(block.address, block.count) for block in made.blocks] == [
        (40084, 4),
        (40094, 3),
        (40108, 1),
        (40127, 1),
        (40129, 1),
        (40131, 1),
        (40145, 1),
    ]


def test_tables_and_unit_ids_are_read_apart(profiles):
    lg = profiles["lg_therma_v"]
    made = plan(lg, codecs(lg), list(lg.points))
    assert {block.space for block in made.blocks} == set(Space)
    moved = dict(lg.points)
    moved["fault"] = replace(moved["fault"], unit_id=9, address=1)
    other = replace(lg, points=moved)
    made = plan(other, codecs(other), ["fault", "return_temperature_c"])
    assert [(block.unit_id, block.address) for block in made.blocks] == [(None, 2), (9, 1)]


def test_power_is_read_alone_where_only_power_is_due(profiles):
    meter = profiles["eastron_sdm120"]
    fast = [name for name, point in meter.points.items() if point.cadence is Cadence.FAST]
    made = plan(meter, codecs(meter), fast)
    assert [(block.address, block.count) for block in made.blocks] == [(12, 2)]
