"""A block of many makes: the delivered profiles, put together in an estate file."""

from __future__ import annotations

import pytest

from ems.domain.estate import Actuator
from ems.domain.points import DeviceClass
from ems.settings import load_estate

from .conftest import Site

MIX = (
    ("{profile: eastron_sdm630, unit: 1, boundary: block,", "carlo_gavazzi_em330_em340"),
    ("{profile: eastron_sdm630, unit: 4, boundary: landlord,", "carlo_gavazzi_em24_rtu"),
    ("meter_profile: eastron_sdm120", "eastron_sdm230"),
    ("room_sensor_profile: xy_md02", "kincony_sht30"),
)
PUMPS = {
    "altherma_4kw:\n    {profile: daikin_homehub_altherma3": "daikin_altherma4",
    "altherma_6kw:\n    {profile: daikin_homehub_altherma3": "nibe_s_series",
    "therma_v_7kw:\n    {profile: lg_therma_v": "nibe_s_series",
    "therma_v_5kw:\n    {profile: lg_therma_v": "daikin_altherma4",
}


def mix(site: Site) -> None:
    """Give block A, and what it shares with B, devices of other makes."""
    for old, profile in MIX:
        site.replace(old, _with_profile(old, profile))
    for old, profile in PUMPS.items():
        site.replace(old, _with_profile(old, profile))


def _with_profile(old: str, profile: str) -> str:
    head, _, rest = old.partition("rofile: ")
    _, comma, tail = rest.partition(",")
    return f"{head}rofile: {profile}{comma}{tail}"


@pytest.mark.parametrize("battery", ["sofar_hyd_g3", "victron_gx", "sma_sunny_island"])
def test_one_block_may_hold_many_makes(site: Site, battery: str) -> None:
    mix(site)
    site.replace("{profile: sofar_hyd_g3, unit: 3", f"{{profile: {battery}, unit: 3")
    estate = load_estate(site.file)
    block = estate.blocks[0]
    makes = {device.profile.id for device in estate.devices.values() if device.block_id == block.id}
    assert makes >= {
        *("carlo_gavazzi_em330_em340", "eastron_sdm230", "kincony_sht30", "daikin_altherma4"),
        *("nibe_s_series", "mitsubishi_ecodan_a1m", battery),
    }
    assert estate.devices["B-landlord"].profile.id == "carlo_gavazzi_em24_rtu"
    steered = {
        (device.profile.id, point)
        for device in estate.devices.values()
        if device.device_class is DeviceClass.HEAT_PUMP
        for point in ("room_setpoint_c", "sg_mode")
        if (mapped := device.profile.points.get(point)) is not None and mapped.write is not None
    }
    assert ("nibe_s_series", "sg_mode") in steered


@pytest.mark.parametrize(
    ("old", "new", "place", "says"),
    [
        # A register that no second source confirms is not written on a price's behalf.
        (
            "ecodan_5kw:\n    {profile: mitsubishi_ecodan_a1m",
            "grant_aerona3_chofu",
            "heat_pumps.ecodan_5kw.actuator",
            "confidence C",
        ),
        (
            "ecodan_5kw:\n    {profile: mitsubishi_ecodan_a1m",
            "samsung_ehs_mim_b19n",
            "heat_pumps.ecodan_5kw.actuator",
            "cannot be steered",
        ),
        (
            "{profile: sofar_hyd_g3, unit: 3",
            "huawei_sun2000_luna",
            "blocks[0].battery.profile",
            "nobody has confirmed the address of huawei_sun2000_luna.discharge_power_limit_w",
        ),
        (
            "{profile: sofar_hyd_g3, unit: 3",
            "givenergy_hybrid",
            "blocks[0].battery.profile",
            "battery_power_setpoint_w",
        ),
        (
            "{profile: eastron_sdm630, unit: 1",
            "kamstrup_multical_x03",
            "blocks[0].meter.profile",
            "heat meter",
        ),
    ],
)
def test_what_a_make_cannot_do_is_said_before_it_is_tried(
    site: Site, old: str, new: str, place: str, says: str
) -> None:
    site.replace(old, _with_profile(old, new))
    faults = site.faults()
    assert any(fault.path == place and says in fault.problem for fault in faults), faults
    assert all(fault.remedy for fault in faults)


@pytest.mark.parametrize(
    ("make", "point"),
    [
        ("huawei_sun2000_luna", "discharge_power_limit_w"),
        ("solaredge_storedge", "charge_power_limit_w"),
    ],
)
def test_a_battery_whose_parts_an_operator_has_confirmed_is_planned(
    site: Site, make: str, point: str
) -> None:
    site.replace("{profile: sofar_hyd_g3, unit: 3", f"{{profile: {make}, unit: 3")
    (fault,) = site.faults()
    assert f"{make}.{point}" in fault.remedy
    site.replace("\nheat_pumps:\n", f"\nconfirmed_writes: [{make}.{point}]\nheat_pumps:\n")
    estate = load_estate(site.file)
    battery = estate.devices["A-battery"]
    assert battery.profile.write_rule("battery_power_setpoint_w") is not None
    assert battery.confirmed_writes == {point}


def test_a_heat_pump_without_a_bus_is_steered_by_relays_once_their_wiring_is_confirmed(
    site: Site,
) -> None:
    old = "therma_v_5kw:\n    {profile: lg_therma_v"
    site.replace(old, _with_profile(old, "sg_ready_relay_board"))
    (fault,) = site.faults()
    assert fault.path == "heat_pumps.therma_v_5kw.actuator"
    assert "confidence C" in fault.problem
    site.replace(
        "\nheat_pumps:\n", "\nconfirmed_writes: [sg_ready_relay_board.sg_mode]\nheat_pumps:\n"
    )
    estate = load_estate(site.file)
    boards = [
        home.heat_pump
        for home in estate.dwellings()
        if estate.devices[home.heat_pump.device_id].profile.id == "sg_ready_relay_board"
    ]
    assert boards
    for pump in boards:
        assert pump.actuator is Actuator.SG_READY
        assert "sg_mode" in estate.devices[pump.device_id].confirmed_writes
        assert estate.devices[pump.power_device_id].device_class is DeviceClass.METER


def test_a_relay_board_measures_no_power_so_its_heat_pump_needs_a_meter(site: Site) -> None:
    old = "altherma_4kw:\n    {profile: daikin_homehub_altherma3, actuator: room_setpoint"
    site.replace(old, "altherma_4kw:\n    {profile: sg_ready_relay_board, actuator: sg_ready")
    site.replace(
        "\nheat_pumps:\n", "\nconfirmed_writes: [sg_ready_relay_board.sg_mode]\nheat_pumps:\n"
    )
    faults = site.faults()
    assert faults
    assert all("reports no electric power" in fault.problem for fault in faults)


HEAT_METER = """id: heat_meter_at_hand
vendor: Example Works
model: HM1
device_class: heat_meter
transports: [rtu]
serial: 9600 8N1
max_block: 20
sources: [the data sheet]
points:
  heat_w: {space: holding, address: 4, type: float32, unit: W, cadence: normal, confidence: B}
"""


def test_heat_meters_have_their_place_in_homes_and_blocks(site: Site) -> None:
    (site.devices / "heat_meter_at_hand.yaml").write_text(HEAT_METER, encoding="utf-8")
    site.replace(
        "      heat_pump_meter_profile: eastron_sdm120\n",
        "      heat_pump_meter_profile: eastron_sdm120\n"
        "      heat_meter_profile: heat_meter_at_hand\n",
    )
    site.replace(
        "room_sensor: 71, heat_pump_meter: 101}",
        "room_sensor: 71, heat_pump_meter: 101, heat_meter: 131}",
    )
    site.replace(
        "    every_dwelling:\n",
        "    heat_meter: {profile: heat_meter_at_hand, unit: 141}\n    every_dwelling:\n",
    )
    estate = load_estate(site.file)
    block = estate.blocks[0]
    with_meter = [home for home in block.dwellings if home.heat_meter_id]
    assert [home.heat_meter_id for home in with_meter] == [f"{block.dwellings[0].id}-heat"]
    assert block.heat_meter_id == f"{block.id}-heat"
    for device_id, role in ((with_meter[0].heat_meter_id, "heat_meter"),
                            (block.heat_meter_id, "block_heat_meter")):  # fmt: skip
        device = estate.devices[device_id or ""]
        assert (device.device_class, device.role) == (DeviceClass.HEAT_METER, role)


@pytest.mark.parametrize(
    ("profile", "says"),
    [("kamstrup_multical_x03", "neither heat nor both"), ("eastron_sdm120", "of a meter")],
)
def test_what_cannot_tell_heat_is_no_heat_meter(site: Site, profile: str, says: str) -> None:
    site.replace(
        "    every_dwelling:\n",
        f"    heat_meter: {{profile: {profile}, unit: 141}}\n    every_dwelling:\n",
    )
    (fault,) = site.faults()
    assert fault.path == "blocks[0].heat_meter.profile"
    assert says in fault.problem


def test_a_heat_meter_without_a_profile_is_named(site: Site) -> None:
    site.replace("heat_pump_meter: 101}", "heat_pump_meter: 101, heat_meter: 131}")
    (fault,) = site.faults()
    assert fault.path == "blocks[0].dwellings[0].units.heat_meter"
    assert fault.problem == "the home has a heat meter of which no profile is named"
    assert "heat_meter_profile" in fault.remedy
