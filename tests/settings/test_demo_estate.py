"""The demonstration's file says what the demonstration is."""

from __future__ import annotations

import pickle
from collections import Counter
from datetime import UTC, date, datetime, time
from zoneinfo import ZoneInfo

import pytest

from ems.domain.estate import Actuator, Estate, Payer, Supply
from ems.domain.points import DeviceClass
from ems.domain.tariffs import DynamicTariff, FlatTariff, TimeOfUseTariff
from ems.settings import load_estate

from .conftest import DEMO, Site

MAKES = {0: "daikin_homehub_altherma3", 1: "mitsubishi_ecodan_a1m", 2: "lg_therma_v"}


@pytest.fixture(scope="module")
def estate() -> Estate:
    return load_estate(DEMO)


def test_two_blocks_of_twenty_homes_one_of_each_supply(estate: Estate) -> None:
    assert [(block.id, block.supply) for block in estate.blocks] == [
        ("A", Supply.BOUNDARY),
        ("B", Supply.INDIVIDUAL),
    ]
    expected = [f"{block}-{number:02d}" for block in "AB" for number in range(1, 21)]
    assert [home.id for home in estate.dwellings()] == expected
    assert estate.demonstration
    assert estate.starts_at == datetime(2023, 12, 1, 12, tzinfo=UTC)


def test_devices_answer_where_the_wiring_list_says(estate: Estate) -> None:
    for block in estate.blocks:
        gateway = f"gw-{block.id}"
        for number, home in enumerate(block.dwellings, start=1):
            expected = {
                f"{home.id}-meter": (10 + number, "eastron_sdm120"),
                f"{home.id}-hp": (40 + number, MAKES[number % 3]),
                f"{home.id}-room": (70 + number, "xy_md02"),
            }
            if number % 3:
                expected[f"{home.id}-hpm"] = (100 + number, "eastron_sdm120")
            own = {
                device.id: (device.unit_id, device.profile.id)
                for device in estate.devices.values()
                if device.dwelling_id == home.id
            }
            assert own == expected
            assert home.heat_pump.power_device_id == (
                f"{home.id}-hpm" if number % 3 else f"{home.id}-hp"
            )
        plant = {
            device.id: device.unit_id
            for device in estate.devices.values()
            if device.block_id == block.id and device.dwelling_id is None
        }
        landlord = {"B-landlord": 4} if block.id == "B" else {}
        shared = {"meter": 1, "pv": 2, "battery": 3}
        assert plant == {f"{block.id}-{key}": unit for key, unit in shared.items()} | landlord
        gateways = {d.gateway_id for d in estate.devices.values() if d.block_id == block.id}
        assert gateways == {gateway}
    addresses = Counter((d.gateway_id, d.unit_id) for d in estate.devices.values())
    assert max(addresses.values()) == 1
    assert {d.id: d.id for d in estate.devices.values()} == {key: key for key in estate.devices}


def test_every_heat_pump_can_be_steered_and_its_electricity_is_measured(estate: Estate) -> None:
    for home in estate.dwellings():
        profile = estate.devices[home.heat_pump.device_id].profile
        sg = home.heat_pump.actuator is Actuator.SG_READY
        point = profile.points["sg_mode" if sg else "room_setpoint_c"]
        assert point.write is not None
        assert "power_w" in estate.devices[home.heat_pump.power_device_id].profile.points
    makes = Counter(
        device.profile.id
        for device in estate.devices.values()
        if device.device_class is DeviceClass.HEAT_PUMP
    )
    assert makes == {MAKES[0]: 12, MAKES[1]: 14, MAKES[2]: 14}


def test_who_pays_what(estate: Estate) -> None:
    boundary, individual = estate.blocks
    assert boundary.block_meter.payer is Payer.LANDLORD
    assert isinstance(boundary.block_meter.tariff, DynamicTariff)
    assert boundary.landlord_meter is None
    assert {home.meter.tariff for home in boundary.dwellings} == {estate.tariffs["tenant_resale"]}
    assert individual.block_meter.payer is Payer.NOBODY
    assert individual.block_meter.tariff is None
    assert individual.landlord_meter is not None
    assert individual.landlord_meter.payer is Payer.LANDLORD
    kinds = Counter(
        type(home.meter.tariff).__name__ for home in individual.dwellings if home.meter.tariff
    )
    assert kinds == {"DynamicTariff": 14, "FlatTariff": 4, "TimeOfUseTariff": 2}
    assert all(home.meter.payer is Payer.TENANT for home in estate.dwellings())


def test_units_of_the_file_become_units_of_the_domain(estate: Estate) -> None:
    resale = estate.tariffs["tenant_resale"]
    assert isinstance(resale, FlatTariff)
    assert resale.gbp_per_kwh == pytest.approx(0.14228)
    peak = estate.tariffs["evening_peak"]
    assert isinstance(peak, TimeOfUseTariff)
    winter_friday = datetime(2023, 12, 1, 17, tzinfo=UTC)
    assert peak.rate_gbp_per_kwh(winter_friday) == pytest.approx(0.254)
    dynamic = estate.tariffs["dynamic"]
    assert len(getattr(dynamic, "rates")) == 17520  # noqa: B009 - the protocol has no such field
    assert dynamic.rate_gbp_per_kwh(winter_friday) in (0.6720, 0.1176, 0.0399)
    block = estate.block("A")
    assert block.battery is not None
    assert block.pv is not None
    assert (block.battery.capacity_wh, block.battery.max_charge_w) == (40_000, 20_000)
    assert (block.battery.min_soc, block.battery.max_soc) == (0.1, 1.0)
    assert block.battery.one_way_efficiency == pytest.approx(0.95)
    assert block.battery.wear_gbp_per_kwh == pytest.approx(0.02)
    assert (block.limits.physical_import_w, block.limits.contracted_import_w) == (55_000, 40_000)
    assert block.pv.peak_w == 24_000
    product = estate.products["evening_turn_down"]
    assert (product.min_notice_s, product.max_duration_s) == (1800, 14_400)
    assert (product.full_payment_ratio, product.no_payment_ratio) == (0.95, 0.6)


def test_homes_differ_and_none_is_asked_to_be_cold(estate: Estate) -> None:
    homes = list(estate.dwellings())
    bands = Counter(home.epc_band for home in homes)
    assert set(bands) == {"B", "C", "D", "E"}
    assert bands["C"] + bands["D"] >= 25
    assert len({home.comfort.name for home in homes}) == 6
    assert {home.id: home.floor_c for home in homes if home.vulnerable} == {
        "A-06": 19.0,
        "B-13": 20.0,
    }
    for home in homes:
        periods = home.comfort.weekday + home.comfort.weekend
        assert min(period.temperature_c for period in periods) >= home.floor_c >= 18
        assert periods[0].start == time(0)


def test_priors_holidays_and_places(estate: Estate) -> None:
    losses = [estate.thermal_priors[band].loss_w_per_k_m2 for band in "ABCDEFG"]
    assert losses == sorted(losses)
    assert datetime(2023, 12, 20, tzinfo=UTC).date() in estate.holidays
    assert estate.zone == ZoneInfo("Europe/London")
    assert estate.sources.weather is not None
    assert estate.sources.weather.is_absolute()
    assert estate.sources.weather.exists()
    assert estate.sources.weather_is_observed


def test_holidays_may_be_those_of_a_country(site: Site) -> None:
    site.replace("  holidays: data/holidays.yaml", "  holidays_of: GB-SCT")
    days = load_estate(site.file).holidays
    assert date(2024, 1, 2) in days and date(2023, 12, 20) not in days


def test_an_estate_can_be_handed_to_another_process(estate: Estate) -> None:
    assert pickle.loads(pickle.dumps(estate)) == estate  # noqa: S301 - pickled one line above
