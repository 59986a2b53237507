"""Pages show what the store holds, in plain words, and say where nothing is held."""

from __future__ import annotations

import html
import math
import re
from datetime import timedelta

import pytest

from ems.domain.credits import TenantCredit
from ems.domain.points import PointId
from ems.domain.readings import Quality, Reading
from ems.service.starting import note_start

OPERATOR_PAGES = [
    "/estate",
    "/estate/blocks/A",
    "/estate/homes/A-07",
    "/estate/devices",
    "/estate/devices/A-07-hp",
]
TENANT_PAGES = ["/homes/A-07", "/homes/A-07/past", "/homes/A-07/warmth", "/homes/A-07/heating"]


PASSWORDS = {"bob": "x" * 12}


def text_of(page: str) -> str:
    """The words of a page, without its charts' drawings."""
    page = re.sub(r"<svg.*?</svg>", " ", page, flags=re.S)
    words = html.unescape(re.sub(r"<[^>]+>", " ", page)).replace("\N{NO-BREAK SPACE}", " ")
    return re.sub(r"\s+", " ", words)


def words(world, who: str, path: str) -> str:
    answer = world.client(who).get(path)
    assert answer.status_code == 200
    return text_of(answer.text)


def tile(page: str, key: str) -> str:
    found = re.search(rf'<p class="app-tile__value" data-live="{key}">([^<]*)</p>', page)
    assert found, f"there is no tile {key}"
    return html.unescape(found.group(1)).replace("\N{NO-BREAK SPACE}", " ")


def latest(world, device: str, point: str) -> float:
    return world.store.latest([device])[PointId(device, point)].value


def test_the_overview_adds_up_both_feeders(world) -> None:
    page = world.client("olive").get("/estate").text
    total_kw = (latest(world, "A-meter", "power_w") + latest(world, "B-meter", "power_w")) / 1000
    assert tile(page, "power") == f"{total_kw:.1f} kW"
    sun_kw = -(latest(world, "A-pv", "power_w") + latest(world, "B-pv", "power_w")) / 1000
    assert tile(page, "solar") == f"{sun_kw:.1f} kW"
    assert tile(page, "battery") == "61%"
    assert tile(page, "devices") == f"{len(world.estate.devices)} of {len(world.estate.devices)}"
    assert "All is well." in text_of(page)


def test_the_overview_names_what_gave_way_and_the_next_price(world) -> None:
    shown = words(world, "olive", "/estate")
    assert "Gave way: contracted import of B by 1.2 kW at worst" in shown
    tariff = world.estate.tariffs["dynamic"]
    now = world.clock.now()
    assert f"{tariff.rate_gbp_per_kwh(now) * 100:.1f}p" in shown
    assert "from 17:00" in shown


def test_the_demonstration_says_that_its_dates_are_simulated(world) -> None:
    for who, path in (("olive", "/estate"), ("tess", "/homes/A-07")):
        assert "so are its dates. Here it is Tuesday 5 December 2023, 15:42" in words(
            world, who, path
        )


def test_a_dry_run_says_on_every_page_that_nothing_is_written(make_world) -> None:
    """What counts is how control was started last, on the command line or by configuration."""
    trial = make_world(filled=False)
    olive, tess = trial.client("olive"), trial.client("tess")
    assert "Dry run" not in olive.get("/estate").text
    note_start(trial.store, "control", trial.clock.now(), dry_run=True)
    for path in ("/estate", "/estate/devices", "/estate/homes/A-07", "/estate/alarms"):
        page = olive.get(path).text
        assert "Dry run" in page and "Nothing is written to devices" in page, path
    page = tess.get("/homes/A-07").text
    assert "Hearth only watches for now" in page and "devices" not in banner(page)
    assert "Dry run" not in trial.client().get("/sign-in").text
    note_start(trial.store, "control", trial.clock.now())
    assert "Dry run" not in olive.get("/estate").text


def banner(page: str) -> str:
    return page.split('class="app-dry"')[1].split("</div>", maxsplit=1)[0]


def test_a_home_below_its_floor_is_never_all_is_well(make_world) -> None:
    world = make_world()
    cold = PointId("A-10-room", "temperature_c")
    world.store.add_readings([Reading(cold, world.clock.now(), 13.1)])
    page = world.client("olive").get("/estate").text
    shown = text_of(page)
    assert "All is well." not in shown
    assert "1 of 20 homes of Ash House are below their floor: A-10" in shown
    assert tile(page, "coldest") == "13.1 °C"
    assert "Below floor" in words(world, "olive", "/estate/blocks/A")


def test_a_room_that_its_resident_set_colder_at_the_heat_pump_is_told_apart(make_world) -> None:
    """Below the floor by choice is no fault; who chose it and how much is said."""
    world = make_world()
    now = world.clock.now()
    values = {"A-11-room": ("temperature_c", 16.2), "A-11-hp": ("room_setpoint_c", 15.5)}
    world.store.add_readings(
        [Reading(PointId(device, point), now, value) for device, (point, value) in values.items()]
    )
    olive = world.client("olive")
    assert "All is well." in text_of(olive.get("/estate").text)
    row = re.search(r'/estate/homes/A-11".*?</tr>', olive.get("/estate/blocks/A").text, flags=re.S)
    assert row is not None
    assert "16.2 °C Chosen" in text_of(row.group(0)) and "15.5 °C" in text_of(row.group(0))
    assert "chosen at the heat pump: 15.5 °C, floor 18.0 °C" in words(
        world, "olive", "/estate/homes/A-11"
    )
    dial = Reading(PointId("A-11-hp", "room_setpoint_c"), now, 20.0)
    world.store.add_readings([dial])
    assert "are below their floor: A-11" in words(world, "olive", "/estate")


def test_a_setpoint_that_is_told_for_days_still_says_why(make_world) -> None:
    """What repeats itself is kept once, when it began."""
    world = make_world()
    world.clock.set(world.clock.now() + timedelta(days=3))
    row = re.search(
        r'/estate/homes/A-07".*?</tr>', world.client("olive").get("/estate/blocks/A").text, re.S
    )
    assert row is not None
    assert "because electricity is cheaper than later" in text_of(row.group(0))


def test_a_blocks_page_lists_every_home_with_room_floor_and_reason(world) -> None:
    page = world.client("olive").get("/estate/blocks/A").text
    shown = text_of(page)
    for home in world.estate.block("A").dwellings:
        room = latest(world, home.room_sensor_id, "temperature_c")
        row = re.search(rf'/estate/homes/{home.id}".*?</tr>', page, flags=re.S)
        assert row is not None
        assert f"{room:.1f} °C" in text_of(row.group(0))
        assert f"{home.floor_c:.1f} °C" in text_of(row.group(0))
    assert "Heating now, because electricity is cheaper than later." in shown
    assert "One supply: the landlord buys at the block meter" in shown


def test_a_home_page_shows_readings_setpoints_and_what_is_known(world) -> None:
    page = world.client("olive").get("/estate/homes/A-07").text
    assert tile(page, "room") == f"{latest(world, 'A-07-room', 'temperature_c'):.1f} °C"
    assert tile(page, "pump") == f"{latest(world, 'A-07-hpm', 'power_w'):.0f} W"
    shown = text_of(page)
    assert "Written and confirmed by read-back" in shown
    assert "148 W/K ± 14 (fitted to 500 hours of readings)" in shown
    assert "Your view of this home has been recorded" in shown


def test_a_device_page_shows_points_with_quality_and_age(make_world) -> None:
    world = make_world()
    now = world.clock.now()
    world.store.add_readings(
        [
            Reading(PointId("A-07-meter", "power_w"), now, 432.1),
            Reading(PointId("A-07-meter", "voltage_v"), now, math.nan, Quality.NO_ANSWER),
            Reading(
                PointId("A-07-meter", "frequency_hz"), now - timedelta(minutes=5), 49.98,
                Quality.STALE,
            ),
        ]
    )  # fmt: skip
    shown = words(world, "olive", "/estate/devices/A-07-meter")
    assert "432 W good 0 seconds" in shown
    assert "no data no answer 0 seconds" in shown
    assert "49.98 Hz unchanged too long 5 minutes" in shown
    assert "Eastron" in shown
    assert "gateway gw-A, unit 17" in shown
    assert "evcc templates/definition" in shown  # where its addresses come from
    assert "Confidence A: two sources agree" in shown


def test_devices_can_be_narrowed_down(world) -> None:
    client = world.client("olive")
    page = client.get("/estate/devices?block=B&kind=battery").text
    assert "1 device" in text_of(page)
    assert "/estate/devices/B-battery" in page
    assert "/estate/devices/A-battery" not in page
    assert "No device fits." in text_of(client.get("/estate/devices?state=offline").text)


def test_lost_devices_are_named_with_the_time_they_were_last_heard(make_world) -> None:
    lost = frozenset({"A-07-room", "B-battery"})
    world = make_world(without=lost)
    now = world.clock.now()
    heard = now - timedelta(hours=3, minutes=12)
    world.store.add_readings([Reading(PointId("A-07-room", "temperature_c"), heard, 20.0)])
    shown = words(world, "olive", "/estate")
    assert "2 of 155 devices silent: A-07-room, B-battery" in shown
    assert "A-07-room Tue 5 Dec, 12:30 (3 hours ago)" in shown
    assert "B-battery never" in shown
    assert "All is well." not in shown
    page = world.client("tess").get("/homes/A-07").text
    assert tile(page, "room") == "no data"
    battery = world.client("olive").get("/estate/blocks/B").text
    assert tile(battery, "battery") == "no data"


def test_today_in_kwh_and_pounds_follows_from_the_roll_ups_and_the_tariff(world) -> None:
    page = world.client("tess").get("/homes/A-07").text
    midnight = world.clock.now().replace(hour=0, minute=0)
    closed = world.store.rollups(
        [PointId("A-07-meter", "energy_import_kwh")], midnight, midnight + timedelta(hours=15.5)
    )
    assert not closed.isna().to_numpy().any()
    running = world.store.resampled(
        [PointId("A-07-meter", "power_w")],
        midnight + timedelta(hours=15.5),
        midnight + timedelta(hours=16),
        1800,
    )
    kwh = float(closed.to_numpy().sum()) + float(running.to_numpy()[0, 0]) / 1000 * 12 / 60
    assert tile(page, "kwh") == f"{kwh:.1f} kWh"
    tariff = world.estate.dwelling("A-07").meter.tariff
    assert tariff is not None
    rate = tariff.rate_gbp_per_kwh(world.clock.now())
    assert tile(page, "gbp") == f"£{kwh * rate + tariff.standing_gbp_per_day:.2f}"


def test_without_a_rate_there_is_no_pound(make_world) -> None:
    world = make_world(filled=False)
    home = next(
        one
        for one in world.estate.dwellings()
        if one.meter.tariff is not None and one.meter.tariff.name == "dynamic"
    )
    world.accounts.upsert_user("bob", PASSWORDS["bob"], "tenant", home.id)
    after_the_last_rate = world.clock.now().replace(year=2024, month=6)
    world.clock.set(after_the_last_rate)
    point = PointId(home.meter.device_id, "power_w")
    world.store.add_readings(
        [
            Reading(point, after_the_last_rate - timedelta(minutes=back), 500.0)
            for back in (10, 5, 0)
        ]
    )
    shown = words(world, "bob", f"/homes/{home.id}")
    assert "Electricity so far today 0.1 kWh" in shown
    assert "£" not in shown
    assert "We cannot show a cost: we have no price for all of today." in shown


def test_a_tenant_is_compared_with_the_own_past_only(world) -> None:
    shown = words(world, "tess", "/homes/A-07")
    assert "about the same as you usually use by this time on a Tuesday" in shown
    assert "over the last 4 Tuesdays" in shown
    past = words(world, "tess", "/homes/A-07/past")
    assert "We compare your home only with itself" in past
    assert past.count("Heating and hot water") >= 1


def test_a_tenant_reads_what_comes_next_and_why(world) -> None:
    shown = words(world, "tess", "/homes/A-07/heating")
    assert "16:00 to 19:00 Resting, because electricity is dear until 19:00" in shown
    assert "Now until 16:00 Heating now, because electricity is cheaper than later." in shown
    assert "We never plan for your living room to be below 18.0 °C." in shown


def test_missing_half_hours_are_told_and_never_counted_as_zero(make_world) -> None:
    gone = frozenset({"B-07-meter"})
    world = make_world(without=gone)
    client = world.client("bob")
    shown = text_of(client.get("/homes/B-07").text)
    assert "Your meter did not answer for" in shown
    assert "You may have used more than is shown." in shown


@pytest.mark.parametrize("path", OPERATOR_PAGES)
def test_an_empty_store_reads_as_no_data_and_never_as_zero(empty_world, path) -> None:
    shown = words(empty_world, "olive", path)
    assert not re.search(r"\b0\.0 (kWh|kW|°C)", shown)
    assert "nan" not in shown.lower().replace("tenant", "")
    assert "None" not in shown.replace("None: all", "")


@pytest.mark.parametrize("path", TENANT_PAGES)
def test_a_tenant_of_a_new_estate_reads_plain_words(empty_world, path) -> None:
    shown = words(empty_world, "tess", path)
    assert "£0" not in shown
    assert not re.search(r"\b(nan|None)\b", shown)


def test_a_new_estate_says_what_is_not_there_yet(empty_world) -> None:
    overview = words(empty_world, "olive", "/estate")
    assert "block A has no plan yet" in overview
    assert "not every device has answered yet" in overview
    assert "There is no plan yet." in words(empty_world, "tess", "/homes/A-07")
    assert "There is not enough past yet" in words(empty_world, "tess", "/homes/A-07")
    assert "has given no readings" in words(empty_world, "tess", "/homes/A-07/warmth")
    assert "This device has not answered yet." in words(
        empty_world, "olive", "/estate/devices/A-07-hp"
    )


def test_what_heating_ahead_cost_and_gives_back_is_shown_where_the_landlord_buys(
    make_world,
) -> None:
    """A-07 was credited today and yesterday, A-01 today; B-07 pays its own supplier."""
    world = make_world()
    now = world.clock.now()
    nothing = "Nothing has been credited to you this month"
    assert nothing in words(world, "tess", "/homes/A-07")
    for home, day, kwh in (("A-07", 5, 2.0), ("A-07", 4, 3.0), ("A-01", 5, 10.0)):
        record = TenantCredit(home, f"2023-12-{day:02d}", kwh, kwh * 0.04, now, kwh * 0.16)
        world.store.keep(record, key=f"{home}/{record.day}", subject=home, at=now)
    shown = words(world, "tess", "/homes/A-07")
    assert "Today heating ahead took 2.0 kWh, which cost you £0.32: you get £0.08 back" in shown
    assert "This month so far it cost you £0.80, and you get £0.20 back" in shown
    assert "get back for heating ahead" not in words(world, "bob", "/homes/B-07")
    block = words(world, "olive", "/estate/blocks/A")
    assert "£0.48 today, £0.60 this month so far (25% of what 15.0 kWh cost them)" in block
    assert "Owed to these tenants" not in words(world, "olive", "/estate/blocks/B")
