"""Faults of keys, units, types, and the file itself."""

from __future__ import annotations

from .spoiling import Case, cut_homes, swap

CASES: dict[str, Case] = {
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
