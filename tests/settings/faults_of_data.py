"""Faults of tariffs, prices, weather, holidays, priors."""

from __future__ import annotations

from .spoiling import Case, drop_band, edit_prices, swap, truncate

CASES: dict[str, Case] = {
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
    "holidays of a place that is not known": (
        swap("  holidays: data/holidays.yaml", "  holidays_of: ATLANTIS"),
        "data.holidays_of",
        "public holidays of this place are not known",
        "GB-ENG",
    ),
    "holidays from a file and of a place": (
        swap("  holidays: data", "  holidays_of: GB-ENG\n  holidays: data"),
        "data.holidays_of",
        "from a file already",
        "Name one of the two",
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
}
