"""Faults of ids, profiles, heat pumps, comfort schedules."""

from __future__ import annotations

from .spoiling import Case, drop_point, swap

CASES: dict[str, Case] = {
    "duplicate unit id": (
        swap("units: {meter: 12,", "units: {meter: 11,"),
        "blocks[0].dwellings[1].units.meter",
        "A-01-meter already has this unit id on gw-A",
        "own unit id",
    ),
    "unit id out of range": (
        swap("units: {meter: 12,", "units: {meter: 312,"),
        "blocks[0].dwellings[1].units.meter",
        "1 to 247",
        "whole number",
    ),
    "two homes with one id": (
        swap("{id: A-02,", "{id: A-01,"),
        "blocks[0].dwellings[1].id",
        "blocks[0].dwellings[0] has the same id",
        "own id",
    ),
    "two blocks with one id": (
        swap("- id: B\n", "- id: A\n"),
        "blocks[1].id",
        "blocks[0] has the same id",
        "own id",
    ),
    "a home named like a block": (
        swap("{id: A-02,", "{id: A,"),
        "blocks[0].dwellings[1].id",
        "device id A-meter is already taken",
        "ids of their own",
    ),
    "one home in two blocks": (
        swap("{id: B-05,", "{id: A-05,"),
        "blocks[1].dwellings[4].id",
        "the blocks overlap",
        "whose feeder serves it",
    ),
    "one device in two blocks": (
        swap("gateway: gw-B\n", "gateway: gw-A\n"),
        "blocks[1].meter.unit",
        "A-meter in block A already has this unit id on gw-A",
        "wiring list",
    ),
    "missing profile": (
        swap("{profile: sunspec_inverter,", "{profile: sunspec_invertor,"),
        "blocks[0].pv.profile",
        "no device profile",
        "sunspec_inverter",
    ),
    "profile of another class": (
        swap("room_sensor_profile: xy_md02", "room_sensor_profile: eastron_sdm120"),
        "blocks[0].every_dwelling.room_sensor_profile",
        "this profile is of a meter",
        "a room sensor",
    ),
    "heat pump steered in a way it does not know": (
        swap(
            "{profile: lg_therma_v, actuator: sg_ready,",
            "{profile: lg_therma_v, actuator: room_setpoint,",
        ),
        "heat_pumps.therma_v_5kw.actuator",
        "cannot be steered in this way",
        "sg_ready",
    ),
    "heat pump whose electricity nobody measures": (
        swap("room_sensor: 71, heat_pump_meter: 101}", "room_sensor: 71}"),
        "blocks[0].dwellings[0].units.heat_pump_meter",
        "reports no electric power",
        "Fit a meter",
    ),
    "heat-pump meter without a profile": (
        swap("      heat_pump_meter_profile: eastron_sdm120\n", ""),
        "blocks[0].dwellings[0].units.heat_pump_meter",
        "no profile is named",
        "blocks[0].every_dwelling.heat_pump_meter_profile",
    ),
    "a profile without a needed point": (
        lambda site: drop_point(site.devices / "xy_md02.yaml", "temperature_c"),
        "blocks[0].every_dwelling.room_sensor_profile",
        "has no temperature_c",
        "reports it",
    ),
    "a faulty profile": (
        lambda site: (site.devices / "xy_md02.yaml").write_text("id: xy_md02\n", encoding="utf-8"),
        "profiles",
        "in ../devices, xy_md02.yaml",
        "",
    ),
    "no folder of profiles": (
        swap("profiles: ../devices", "profiles: ../device"),
        "profiles",
        "",
        "",
    ),
    "floor above the ceiling": (
        swap("floor_c: 19, vulnerable: true", "floor_c: 23, vulnerable: true"),
        "blocks[0].dwellings[5].floor_c",
        "above the ceiling of 21.5 °C",
        "warmer schedule",
    ),
    "schedule below the floor": (
        swap("comfort: warm_all_day", "comfort: at_home"),
        "blocks[0].dwellings[5].comfort",
        "at_home asks for 18.5 °C, below the home's floor of 19 °C",
        "at or above the floor",
    ),
    "schedule below the common floor": (
        swap("temperature_c: 18.0", "temperature_c: 16.5"),
        "blocks[0].dwellings[0].comfort",
        "asks for 16.5 °C, below the home's floor of 18 °C",
        "at or above the floor",
    ),
    "floor lower than allowed": (
        swap("floor_c: 19, vulnerable: true", "floor_c: 16"),
        "blocks[0].dwellings[5].floor_c",
        "lower than allowed",
        "18 °C or more",
    ),
    "vulnerable without a floor": (
        swap("floor_c: 19, vulnerable: true", "vulnerable: true"),
        "blocks[0].dwellings[5].floor_c",
        "states no floor",
        "above 18 °C",
    ),
    "marker that raises no floor": (
        swap("floor_c: 19, vulnerable: true", "floor_c: 18, vulnerable: true"),
        "blocks[0].dwellings[5].floor_c",
        "raises no floor",
        "above 18 °C",
    ),
    "schedule that starts late": (
        swap('{from: "00:00", temperature_c', '{from: "05:00", temperature_c'),
        "comfort_schedules.working_couple.weekday[0].from",
        "not given from 00:00 to 05:00",
        "00:00",
    ),
    "periods out of order": (
        swap('{from: "08:30", temperature_c: 18.5}', '{from: "05:30", temperature_c: 18.5}'),
        "comfort_schedules.working_couple.weekday[2].from",
        "does not come after the one before (06:00)",
        "rising time",
    ),
    "not a time of day": (
        swap('{from: "08:30",', '{from: "24:30",'),
        "comfort_schedules.working_couple.weekday[2].from",
        "time of day",
        "23:59",
    ),
    "schedule without periods": (
        lambda site: site.replace(
            'weekend:\n      - {from: "00:00", temperature_c: 18.0}\n'
            '      - {from: "07:30", temperature_c: 20.5}\n'
            '      - {from: "23:00", temperature_c: 18.0}\n',
            "weekend: []\n",
        ),
        "comfort_schedules.working_couple.weekend",
        "not given for any time",
        "00:00",
    ),
}
