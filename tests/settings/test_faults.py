"""Each kind of fault is found, named where it stands, and told how to mend."""

from __future__ import annotations

import gzip
from collections.abc import Callable
from pathlib import Path

import pytest

from ems.domain.errors import ConfigurationError
from ems.settings import load_estate

from .conftest import DEMO, Site


def swap(old: str, new: str) -> Callable[[Site], None]:
    return lambda site: site.replace(old, new)


# What was done to the file; what it did; where the fault is; words of the problem; of the remedy.
CASES: dict[str, tuple[Callable[[Site], None], str, str, str]] = {
    "unknown key, misspelt": (
        swap("timeout_s: 3}", "time_out_s: 3}"),
        "gateways.gw-A.time_out_s",
        "not known",
        "Did you mean timeout_s?",
    ),
    "unknown key, like no other": (
        swap("  demonstration: true", "  demonstration: true\n  colour: blue"),
        "estate.colour",
        "not known",
        "Known here: demonstration, id, latitude",
    ),
    "weather from a file and from a service": (
        swap("  carbon: data", "  weather_url: https://weather.example.org/v1\n  carbon: data"),
        "data.weather_url",
        "from a file already",
        "Name one of the two",
    ),
    "a weather service for a demonstration": (
        swap(
            "  weather: data/weather.csv.gz\n  weather_is_observed: true",
            "  weather_url: https://weather.example.org/v1",
        ),
        "data.weather_url",
        "lives in another time",
        "Name a file",
    ),
    "a weather service without https": (
        swap("  carbon: data", "  weather_url: http://weather.example.org/v1\n  carbon: data"),
        "data.weather_url",
        "a weather service on another machine must use https",
        "plain http only reaches this machine",
    ),
    "a key in the address of a weather service": (
        swap(
            "  carbon: data", "  weather_url: https://me:key@weather.example.org/\n  carbon: data"
        ),
        "data.weather_url",
        "holds no password",
        "HEARTH_WEATHER_KEY",
    ),
    "unknown section": (
        swap("\nproducts:", "\nproduce:"),
        "produce",
        "not known",
        "Did you mean products?",
    ),
    "wrong unit in the key": (
        swap("physical_import_kw: 55", "physical_import_w: 80000"),
        "blocks[0].limits.physical_import_w",
        "the unit in this key",
        "Write physical_import_kw",
    ),
    "no unit in the key": (
        swap("floor_area_m2: 58", "floor_area: 58"),
        "blocks[0].dwellings[0].floor_area",
        "not known",
        "Did you mean floor_area_m2?",
    ),
    "watts instead of kilowatts": (
        swap("physical_import_kw: 55", "physical_import_kw: 80000"),
        "blocks[0].limits.physical_import_kw",
        "outside 0.1 to 5000 kW",
        "It looks like watts: that would be 80 kW.",
    ),
    "kelvin instead of degrees": (
        swap("temperature_c: 20.5", "temperature_c: 293.65"),
        "comfort_schedules.working_couple.weekday[3].temperature_c",
        "outside 10 to 28 °C",
        "It looks like kelvin: that would be 20.5 °C.",
    ),
    "pounds instead of pence": (
        swap("rate_p_per_kwh: 14.228", "rate_p_per_kwh: 0.14228"),
        "tariffs.tenant_resale.rate_p_per_kwh",
        "outside 0 or 1 to 300",
        "It looks like pounds per kWh: that would be 14.23 p/kWh.",
    ),
    "share instead of percent": (
        swap("min_soc_pct: 10", "min_soc_pct: 0.1"),
        "blocks[0].battery.min_soc_pct",
        "outside",
        "that would be 10 %",
    ),
    "text where a number belongs": (
        swap("latitude: 51.53", "latitude: north"),
        "estate.latitude",
        "must be a number",
        "without quotes",
    ),
    "a number with its unit": (
        swap("peak_kw: 24,", "peak_kw: 24 kW,"),
        "blocks[0].pv.peak_kw",
        "must be a number",
        "without quotes or unit",
    ),
    "not a number at all": (
        swap("longitude: 0.05", "longitude: .nan"),
        "estate.longitude",
        "finite",
        "ordinary number",
    ),
    "yes is not true": (
        swap("demonstration: true", "demonstration: yes"),
        "estate.demonstration",
        "true or false",
        "without quotes",
    ),
    "a list where a section belongs": (
        swap(
            "limits: {physical_import_kw: 55, contracted_import_kw: 40, export_kw: 50}",
            "limits: [80, 60]",
        ),
        "blocks[0].limits",
        "section of keys",
        "keys and values",
    ),
    "a section where a list belongs": (
        lambda site: site.file.write_text(
            site.file.read_text(encoding="utf-8").split("\nblocks:")[0] + "\nblocks: {A: 1}\n",
            encoding="utf-8",
        ),
        "blocks",
        "must be a list",
        "hyphen",
    ),
    "missing key": (
        swap(", export_kw: 50}", "}"),
        "blocks[0].limits.export_kw",
        "missing",
        "Add it: Permitted export.",
    ),
    "key without a value": (
        swap("  name: Demonstration estate", "  name:"),
        "estate.name",
        "short text",
        "1 to 80",
    ),
    "missing section": (
        swap("thermal_priors: ../rules/thermal_priors.yaml\n", ""),
        "thermal_priors",
        "missing",
        "File of thermal priors",
    ),
    "another version of the format": (
        swap("version: 1", "version: 2"),
        "version",
        "from 1 to 1",
        "Give a whole number",
    ),
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
    "tariff bands that leave the night open": (
        swap('{from: "00:00", rate_p_per_kwh: 9.2}', '{from: "00:30", rate_p_per_kwh: 9.2}'),
        "tariffs.evening_peak.weekday[0].from",
        "the rate is not given from 00:00 to 00:30",
        "00:00",
    ),
    "tariff of no known kind": (
        swap("kind: flat", "kind: flatrate"),
        "tariffs.tenant_resale",
        "no known kind",
        "flat, time_of_use or dynamic",
    ),
    "half-hours missing from the prices": (
        lambda site: edit_prices(site, lambda rows: rows[:100] + rows[103:]),
        "tariffs.dynamic.file",
        "3 half-hours are missing, the first at 2023-12-03T02:00Z",
        "none is made up",
    ),
    "half-hour twice in the prices": (
        lambda site: edit_prices(site, lambda rows: [*rows, rows[-1]]),
        "tariffs.dynamic.file",
        "repeats the half-hour",
        "one row",
    ),
    "prices in pence": (
        lambda site: edit_prices(site, lambda rows: [row.replace(",0.", ",") for row in rows]),
        "tariffs.dynamic.file",
        "£/kWh",
        "not pence",
    ),
    "prices with an empty cell": (
        lambda site: edit_prices(site, lambda rows: [rows[0].split(",")[0] + ",", *rows[1:]]),
        "tariffs.dynamic.file",
        "row 2 has no number in gbp_per_kwh",
        "in each row",
    ),
    "prices without a zone": (
        lambda site: edit_prices(site, lambda rows: [row.replace("Z", "") for row in rows]),
        "tariffs.dynamic.file",
        "row 2 has no instant in UTC",
        "2023-12-01T12:00Z",
    ),
    "prices off the half-hour": (
        lambda site: edit_prices(site, lambda rows: [row.replace(":30Z", ":31Z") for row in rows]),
        "tariffs.dynamic.file",
        "does not start on a half-hour",
        "each half-hour",
    ),
    "prices without rows": (
        lambda site: edit_prices(site, lambda _: []),
        "tariffs.dynamic.file",
        "no rows",
        "data",
    ),
    "prices that end before the start": (
        swap("starts_at: 2023-12-01", "starts_at: 2024-12-01"),
        "tariffs.dynamic.file",
        "no prices from 2024-12-01T12:00Z on",
        "move starts_at",
    ),
    "price file missing": (
        swap("file: data/tariff_dynamic.csv.gz", "file: data/tariff.csv.gz"),
        "tariffs.dynamic.file",
        "does not exist",
        "Check the path",
    ),
    "price file not gzipped": (
        lambda site: site.own_copy("tariff_dynamic.csv.gz").write_text("start_utc,gbp_per_kwh\n"),
        "tariffs.dynamic.file",
        "cannot be read",
        "gzipped",
    ),
    "price file cut short": (
        lambda site: truncate(site.own_copy("tariff_dynamic.csv.gz")),
        "tariffs.dynamic.file",
        "cannot be read",
        "gzipped",
    ),
    "weather file is a folder": (
        swap("weather: data/weather.csv.gz", "weather: data"),
        "data.weather",
        "cannot be read",
        "CSV",
    ),
    "weather file of something else": (
        swap("weather: data/weather.csv.gz", "weather: data/carbon.csv.gz"),
        "data.weather",
        "no column time_utc",
        "first row",
    ),
    "observed weather without weather": (
        swap("  weather: data/weather.csv.gz\n", ""),
        "data.weather_is_observed",
        "no weather file",
        "weather",
    ),
    "holidays that are no dates": (
        lambda site: site.own_copy("holidays.yaml").write_text("holidays:\n- date: soon\n"),
        "data.holidays",
        "in data/holidays.yaml, holidays[0].date (line 2): this must be a date (given: 'soon')",
        "YYYY-MM-DD",
    ),
    "priors without a band": (
        lambda site: drop_band(site.rules / "thermal_priors.yaml", "F"),
        "thermal_priors",
        "bands without figures: F",
        "A to G",
    ),
    "priors of a whole home": (
        lambda site: (site.rules / "thermal_priors.yaml").write_text(
            (site.rules / "thermal_priors.yaml")
            .read_text(encoding="utf-8")
            .replace("loss_w_per_k_m2: 1.6", "loss_w_per_k_m2: 130"),
            encoding="utf-8",
        ),
        "thermal_priors",
        "bands.C.loss_w_per_k_m2 (line ",
        "watts per kelvin of the whole home",
    ),
    "unknown tariff": (
        swap("tariff: evening_peak", "tariff: evening_peek"),
        "blocks[1].dwellings[6].tariff",
        "tariffs has no entry",
        "Did you mean evening_peak?",
    ),
    "unknown schedule": (
        swap("comfort: frugal", "comfort: thrifty"),
        "blocks[0].dwellings[7].comfort",
        "comfort_schedules has no entry",
        "Use one of: at_home, frugal",
    ),
    "unknown gateway": (
        swap("gateway: gw-B", "gateway: gw-C"),
        "blocks[1].gateway",
        "gateways has no entry",
        "gw-A, gw-B",
    ),
    "unknown heat pump": (
        swap("heat_pump: ecodan_5kw,", "heat_pump: ecodan_9kw,"),
        "blocks[0].dwellings[0].heat_pump",
        "heat_pumps has no entry",
        "Did you mean ecodan_",
    ),
    "contracted above physical": (
        swap("contracted_import_kw: 40", "contracted_import_kw: 90"),
        "blocks[0].limits.contracted_import_kw",
        "above the physical one (55 kW)",
        "at most physical_import_kw",
    ),
    "battery reserve above its top": (
        swap("min_soc_pct: 10, max_soc_pct: 100", "min_soc_pct: 60, max_soc_pct: 40"),
        "blocks[0].battery.min_soc_pct",
        "not below the fullest charge (40 %)",
        "below max_soc_pct",
    ),
    "latitude out of range": (
        swap("latitude: 51.53", "latitude: 151.53"),
        "estate.latitude",
        "outside -90 to 90",
        "-90 to 90",
    ),
    "unknown time zone": (
        swap("time_zone: Europe/London", "time_zone: Europe/Londres"),
        "estate.time_zone",
        "not known",
        "IANA",
    ),
    "a folder of time zones": (
        swap("time_zone: Europe/London", "time_zone: Europe"),
        "estate.time_zone",
        "not known",
        "IANA",
    ),
    "naive start": (
        swap("starts_at: 2023-12-01T12:00:00Z", "starts_at: 2023-12-01T12:00:00"),
        "estate.starts_at",
        "no time zone",
        "with its offset",
    ),
    "no start for a demonstration": (
        swap("  starts_at: 2023-12-01T12:00:00Z\n", ""),
        "estate.starts_at",
        "has no start",
        "2023-12-01T12:00:00Z",
    ),
    "a start for a real estate": (
        swap("demonstration: true", "demonstration: false"),
        "estate.starts_at",
        "only a demonstration",
        "present time",
    ),
    "a secret in the file": (
        swap("timeout_s: 3}", "timeout_s: 3, password: hunter2}"),
        "gateways.gw-A.password",
        "a secret stands in the file",
        "in the environment",
    ),
    "a host with a password in it": (
        swap("host: 127.0.0.1", "host: admin:hunter2@10.0.0.1"),
        "gateways.gw-A.host",
        "not a host",
        "IP address alone",
    ),
    "a host that is an address too long": (
        swap("host: 127.0.0.1", "host: 127.0.0.256"),
        "gateways.gw-A.host",
        "not a host",
        "IP address",
    ),
    "a port out of range": (
        swap("port: 15021", "port: 150210"),
        "gateways.gw-A.port",
        "1 to 65535",
        "whole number",
    ),
    "two gateways at one address": (
        swap("{host: 127.0.0.1, port: 15022", "{host: localhost, port: 15021"),
        "gateways.gw-B.host",
        "gw-A already has the address",
        "blocks may share it",
    ),
    "unknown certificate band": (
        swap("epc_band: C", "epc_band: H"),
        "blocks[0].dwellings[0].epc_band",
        "not one of those allowed",
        "A, B, C, D, E, F, G",
    ),
    "product with contradictory lengths": (
        swap("min_duration_min: 30", "min_duration_min: 300"),
        "products.evening_turn_down.min_duration_min",
        "longer than the longest (240 min)",
        "at most max_duration_min",
    ),
    "product that pays before it pays": (
        swap("no_payment_pct: 60", "no_payment_pct: 97"),
        "products.evening_turn_down.no_payment_pct",
        "nothing is paid up to 97 %",
        "below full_payment_pct",
    ),
    "setpoints that last too long": (
        swap("  plan_s: 1800\n", "  plan_s: 1800\n  command_life_s: 600\n"),
        "control.command_life_s",
        "up to 1200 s",
        "within 900 s",
    ),
    "plans that are too old before the next": (
        swap("  plan_s: 1800\n", "  plan_s: 1800\n  plan_max_age_s: 900\n"),
        "control.plan_max_age_s",
        "shorter than plan_s (1800 s)",
        "until the next one",
    ),
    "nobody pays at a boundary": (
        swap("payer: landlord, tariff: dynamic, export", "payer: nobody, export"),
        "blocks[0].meter.payer",
        "nobody pays",
        "payer: landlord",
    ),
    "landlord pays for homes with their own suppliers": (
        swap(
            "boundary: block, payer: nobody}", "boundary: block, payer: landlord, tariff: dynamic}"
        ),
        "blocks[1].meter.payer",
        "their own suppliers",
        "payer: nobody",
    ),
    "a payer without a tariff": (
        swap("payer: landlord, tariff: dynamic, export", "payer: landlord, export"),
        "blocks[0].meter.tariff",
        "no tariff",
        "Name the tariff",
    ),
    "a tariff without a payer": (
        swap("boundary: block, payer: nobody}", "boundary: block, payer: nobody, tariff: dynamic}"),
        "blocks[1].meter.tariff",
        "nobody pays here",
        "who pays",
    ),
    "individual supply without the landlord's meter": (
        swap("supply: boundary", "supply: individual"),
        "blocks[0].landlord_meter",
        "landlord's own meter is missing",
        "Add landlord_meter",
    ),
    "boundary supply with a second landlord's meter": (
        swap("supply: individual", "supply: boundary"),
        "blocks[1].landlord_meter",
        "already counts the landlord's share",
        "Take landlord_meter out",
    ),
    "an id that cannot stand in an address": (
        swap("{id: A-02,", "{id: A/02,"),
        "blocks[0].dwellings[1].id",
        "not a usable id",
        "letters, digits",
    ),
    "a name of a tariff with spaces": (
        swap("  supplier_flat:", "  supplier flat:"),
        "tariffs.supplier flat",
        "not a usable id",
        "letters, digits",
    ),
    "the same key twice": (
        swap("  latitude: 51.53", "  latitude: 51.53\n  latitude: 52.00"),
        "estate.latitude",
        "stands twice, first in line",
        "the second is in line",
    ),
    "an alias": (
        swap("  name: Demonstration estate", "  name: *estate_name"),
        "(file)",
        "not YAML at line",
        "Look there",
    ),
    "a tag": (
        swap("  name: Demonstration estate", "  name: !!python/name:os.system Estate"),
        "estate.name",
        "the tag",
        "Leave the tag out",
    ),
    "bad YAML": (
        swap("gateways:\n  gw-A: {host", "gateways:\n  gw-A: host"),
        "(file)",
        "not YAML at line",
        "Look there for a missing colon",
    ),
    "a character that is no text": (
        swap("Demonstration estate", "Demonstration\x07estate"),
        "(file)",
        "not YAML at line",
        "not text",
    ),
    "an empty file": (
        lambda site: site.file.write_text("# nothing yet\n"),
        "(file)",
        "empty",
        "Begin with version: 1",
    ),
    "a file that is not text": (
        lambda site: site.file.write_bytes(b"version: 1\nname: \xff\xfe\n"),
        "(file)",
        "not UTF-8 text: byte 18, line 2",
        "UTF-8",
    ),
    "a file that is not there": (
        lambda site: site.file.unlink(),
        "(file)",
        "does not exist",
        "path of a file",
    ),
    "a folder instead of a file": (
        lambda site: (site.file.unlink(), site.file.mkdir()),
        "(file)",
        "a folder",
        "file itself",
    ),
    "a list instead of sections": (
        lambda site: site.file.write_text("- version: 1\n"),
        "(file)",
        "section of keys",
        "keys and values",
    ),
    "no homes": (
        lambda site: cut_homes(site, "  dwellings: []\n"),
        "blocks[1].dwellings",
        "no dwellings",
        "at least one home",
    ),
    "no blocks": (
        lambda site: site.file.write_text(
            site.file.read_text(encoding="utf-8").split("\nblocks:")[0] + "\nblocks: []\n",
            encoding="utf-8",
        ),
        "blocks",
        "no block",
        "at least one",
    ),
}


def edit_prices(site: Site, edit: Callable[[list[str]], list[str]]) -> None:
    path = site.own_copy("tariff_dynamic.csv.gz")
    header, *rows = gzip.decompress(path.read_bytes()).decode().splitlines()
    path.write_bytes(gzip.compress("\n".join([header, *edit(rows), ""]).encode(), 1))


def truncate(path: Path) -> None:
    content = path.read_bytes()
    path.write_bytes(content[: len(content) // 2])


def drop_point(path: Path, point: str) -> None:
    lines = path.read_text(encoding="utf-8").splitlines()
    start = next(i for i, line in enumerate(lines) if line.strip().startswith(f"{point}:"))
    indent = len(lines[start]) - len(lines[start].lstrip())
    end = start + 1
    while end < len(lines) and len(lines[end]) - len(lines[end].lstrip()) > indent:
        end += 1
    path.write_text("\n".join([*lines[:start], *lines[end:], ""]), encoding="utf-8")


def drop_band(path: Path, band: str) -> None:
    lines = path.read_text(encoding="utf-8").splitlines()
    kept = [line for line in lines if not line.startswith(f"  {band}:")]
    assert len(kept) == len(lines) - 1
    path.write_text("\n".join([*kept, ""]), encoding="utf-8")


def cut_homes(site: Site, instead: str) -> None:
    before, found, _ = site.file.read_text(encoding="utf-8").rpartition("  dwellings:\n")
    assert found
    site.file.write_text(before + instead, encoding="utf-8")


def test_the_copied_site_is_well(site: Site) -> None:
    assert site.faults() == ()
    assert load_estate(site.file).id == load_estate(DEMO).id


@pytest.mark.parametrize("kind", CASES)
def test_each_kind_of_fault_is_named_with_its_remedy(site: Site, kind: str) -> None:
    spoil, path, problem, remedy = CASES[kind]
    spoil(site)
    faults = site.faults()
    matching = [fault for fault in faults if fault.path == path and problem in fault.problem]
    assert matching, f"{kind}: found only\n" + "\n".join(map(str, faults))
    assert remedy in matching[0].remedy
    for fault in faults:
        assert fault.problem
        assert fault.remedy.endswith((".", "?"))
        assert str(fault).startswith(fault.path)


def test_there_are_more_kinds_than_anyone_wants_to_meet() -> None:
    assert len(CASES) >= 90


LONE = [
    "unknown key, misspelt",
    "wrong unit in the key",
    "watts instead of kilowatts",
    "duplicate unit id",
    "missing profile",
    "unknown heat pump",
    "naive start",
    "a secret in the file",
    "half-hours missing from the prices",
    "one home in two blocks",
    "floor above the ceiling",
    "unknown certificate band",
    "tariff of no known kind",
    "the same key twice",
    "missing key",
    "individual supply without the landlord's meter",
]


@pytest.mark.parametrize("kind", LONE)
def test_one_mistake_makes_one_fault_or_its_plain_consequences(site: Site, kind: str) -> None:
    CASES[kind][0](site)
    assert len(site.faults()) <= 2, "\n".join(map(str, site.faults()))


def test_many_mistakes_in_many_sections_are_all_listed(site: Site) -> None:
    together = [
        "unknown key, like no other",
        "latitude out of range",
        "unknown time zone",
        "pounds instead of pence",
        "half-hours missing from the prices",
        "tariff bands that leave the night open",
        "periods out of order",
        "product with contradictory lengths",
        "two gateways at one address",
        "missing profile",
        "heat pump steered in a way it does not know",
        "wrong unit in the key",
        "battery reserve above its top",
        "duplicate unit id",
        "unknown certificate band",
        "unknown schedule",
        "floor above the ceiling",
        "one home in two blocks",
        "priors without a band",
        "holidays that are no dates",
        "setpoints that last too long",
    ]
    for kind in together:
        CASES[kind][0](site)
    faults = site.faults()
    for kind in together:
        _, path, problem, _ = CASES[kind]
        assert any(f.path == path and problem in f.problem for f in faults), kind
    lines = [fault.line for fault in faults if fault.line is not None]
    assert lines == sorted(lines), "faults come in order of the file"


def test_the_line_of_a_fault_is_where_the_reader_finds_it(site: Site) -> None:
    site.replace("units: {meter: 12,", "units: {meter: 11,")
    (fault,) = site.faults()
    assert fault.line is not None
    line = site.file.read_text(encoding="utf-8").splitlines()[fault.line - 1]
    assert "units: {meter: 11," in line


def test_bad_yaml_is_shown_by_line_and_column(site: Site) -> None:
    site.replace("  gw-A: {host: 127.0.0.1", "  gw-A: host: 127.0.0.1")
    lines = site.file.read_text(encoding="utf-8").splitlines()
    number = next(i for i, line in enumerate(lines, start=1) if "gw-A: host:" in line)
    (fault,) = site.faults()
    assert fault.line == number
    assert f"at line {number}, column {lines[number - 1].index('host:') + 5}" in fault.problem


@pytest.mark.parametrize("kind", ["a secret in the file", "a host with a password in it"])
def test_a_secret_is_never_repeated(site: Site, kind: str) -> None:
    CASES[kind][0](site)
    with pytest.raises(ConfigurationError) as caught:
        load_estate(site.file)
    assert "hunter2" not in str(caught.value)
    assert "hunter2" not in repr(caught.value.faults)


def test_an_environment_variable_may_be_named(site: Site) -> None:
    site.replace("timeout_s: 3}", "timeout_s: 3, password_env: GATEWAY_PASSWORD}")
    (fault,) = site.faults()
    assert fault.problem == "this key is not known"  # no such key, but nothing is given away
