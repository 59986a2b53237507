"""Faults of what one part says of another: names, limits, gateways, products, payers."""

from __future__ import annotations

from .spoiling import Case, swap

CASES: dict[str, Case] = {
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
}
