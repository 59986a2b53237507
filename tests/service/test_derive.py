"""Derived points follow from good and fresh readings only."""

from __future__ import annotations

import dataclasses
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from ems.domain.estate import Estate
from ems.domain.points import DeviceClass, PointId
from ems.domain.readings import Quality, Reading
from ems.service.derive import derived_readings, heat_from_flow_w
from ems.service.image import ProcessImage
from ems.service.polling import DeviceWatch
from ems.settings import load_estate
from ems.settings.profiles import load_profiles

NOW = datetime(2023, 12, 1, 18, 0, tzinfo=UTC)
DEMO = Path(__file__).parents[2] / "config/demo/estate.yaml"


@pytest.fixture(scope="module")
def estate() -> Estate:
    return load_estate(DEMO)


def image_of(values: dict[str, float], at: datetime = NOW) -> ProcessImage:
    image = ProcessImage()
    image.update(
        Reading(PointId(*name.rsplit(".", 1)), at, value) for name, value in values.items()
    )
    return image


def derived(estate: Estate, image: ProcessImage) -> dict[str, float]:
    readings = derived_readings(estate, image.snapshot(NOW), 120.0)
    return {str(reading.point_id): reading.value for reading in readings}


def test_heat_is_flow_times_cooling() -> None:
    # 12 l/min cooled by 5 K: 0.2 kg/s * 4.18 kJ/(kg K) * 5 K = 4.18 kW
    assert heat_from_flow_w(12.0, 40.0, 35.0) == pytest.approx(4180.0)


def test_a_heat_meter_that_reports_no_heat_gives_it_by_flow_and_cooling(estate: Estate) -> None:
    profile = load_profiles(DEMO.parents[1] / "devices")["kamstrup_multical_x03"]
    points = dict(profile.points) | {
        "flow_rate_lpm": dataclasses.replace(
            profile.points["flow_temperature_c"], point="flow_rate_lpm", address=0
        )
    }
    flowing = dataclasses.replace(profile, points=points)
    meter = dataclasses.replace(
        estate.devices["A-07-hp"],
        id="A-07-heat",
        device_class=DeviceClass.HEAT_METER,
        profile=flowing,
        role="heat_meter",
    )
    fitted = dataclasses.replace(estate, devices={**estate.devices, meter.id: meter})
    values = {
        "A-07-heat.flow_rate_lpm": 12.0,
        "A-07-heat.flow_temperature_c": 40.0,
        "A-07-heat.return_temperature_c": 35.0,
    }
    found = derived(fitted, image_of(values))
    assert found == {"A-07-heat.heat_w": pytest.approx(4180.0)}
    assert derived(fitted, image_of(values, NOW - timedelta(minutes=5))) == {}
    itself = dataclasses.replace(
        flowing, points={**points, "heat_w": profile.points["flow_temperature_c"]}
    )
    own = dataclasses.replace(meter, profile=itself)
    reporting = dataclasses.replace(estate, devices={**estate.devices, meter.id: own})
    assert derived(reporting, image_of(values)) == {}, "what it reports itself is not computed"


def test_household_power_is_the_meter_less_the_heat_pump(estate: Estate) -> None:
    pump = next(h for h in estate.dwellings() if h.heat_pump.meter_id is None)
    meter = pump.meter.device_id
    values = {f"{meter}.power_w": 2100.0, f"{pump.heat_pump.device_id}.power_w": 1500.0}
    assert derived(estate, image_of(values)) == {f"{meter}.household_power_w": 600.0}


def test_power_is_split_by_what_the_pump_was_doing(estate: Estate) -> None:
    home = next(h for h in estate.dwellings() if h.heat_pump.meter_id is not None)
    pump, meter = home.heat_pump.device_id, home.heat_pump.power_device_id
    for state, water, rooms in ((1, 900.0, 0.0), (2, 0.0, 900.0), (3, 0.0, 900.0)):
        values = {f"{meter}.power_w": 900.0, f"{pump}.operating_state": float(state)}
        assert derived(estate, image_of(values)) == {
            f"{pump}.hot_water_power_w": water,
            f"{pump}.heating_power_w": rooms,
        }


def test_nothing_follows_from_an_old_or_a_doubtful_value(estate: Estate) -> None:
    home = next(h for h in estate.dwellings() if h.heat_pump.meter_id is None)
    values = {f"{home.meter.device_id}.power_w": 2100.0}
    pump_power = Reading(PointId(home.heat_pump.device_id, "power_w"), NOW, 1500.0)
    for bad in (
        dataclasses.replace(pump_power, observed_at=NOW - timedelta(seconds=121)),
        dataclasses.replace(pump_power, quality=Quality.OUT_OF_RANGE),
        dataclasses.replace(pump_power, quality=Quality.SENTINEL, value=float("nan")),
    ):
        image = image_of(values)
        image.update([bad])
        assert derived(estate, image) == {}


def test_silence_does_not_erase_the_last_value() -> None:
    point = PointId("A-01-room", "temperature_c")
    image = ProcessImage({point: Reading(point, NOW, 19.5)})
    image.update([Reading(point, NOW, float("nan"), Quality.NO_ANSWER)])
    assert image.snapshot(NOW).good(*point, max_age_s=60.0) == 19.5
    late = image.snapshot(NOW + timedelta(seconds=61))
    assert late.good(*point, max_age_s=60.0) is None


def test_a_snapshot_does_not_change_under_a_cycle() -> None:
    point = PointId("A-01-room", "temperature_c")
    image = ProcessImage({point: Reading(point, NOW, 19.5)})
    frozen = image.snapshot(NOW)
    image.update([Reading(point, NOW, 25.0)])
    assert frozen.good(*point, max_age_s=60.0) == 19.5


def test_a_lost_device_is_told_once_and_its_return_once() -> None:
    watch = DeviceWatch()
    point = PointId("A-01-room", "temperature_c")
    well = Reading(point, NOW, 19.5)
    mute = Reading(point, NOW, float("nan"), Quality.NO_ANSWER)
    told = [
        [entry.kind for entry in watch.observe([reading], NOW)]
        for reading in (well, mute, mute, mute, well, well)
    ]
    assert told == [[], ["device_lost"], [], [], ["device_found"], []]
