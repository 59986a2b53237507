"""Build the demonstration's data files from the public sources.

Run ``python build_data.py SOURCE_DIR``: ``SOURCE_DIR`` holds the source files under
the names below; the results are written beside this script. Running it twice gives
the same files. What is changed on the way is listed in ``ATTRIBUTION.md``.
"""

from __future__ import annotations

import argparse
import gzip
import io
from pathlib import Path

import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq
import yaml

HERE = Path(__file__).resolve().parent
SHIFT = pd.Timedelta(days=3647)
"""521 whole weeks: 2013 falls on 2022-12-27 to 2023-12-26 with weekdays aligned."""

HOMES_PER_BLOCK = 20
ANNUAL_KWH = (900.0, 5500.0)
"""Below: hardly lived in. Above: homes that heat with electricity already."""

HOLIDAY_MONTHS = {
    "New Year": {1},
    "Good Friday": {3, 4},
    "Easter Monday": {3, 4},
    "Early May": {5},
    "Spring": {5, 6},
    "Queens": {6},
    "Summer": {8},
    "Christmas": {12},
    "Boxing": {12},
}


def consumption(source: Path) -> pd.DataFrame:
    """Return half-hourly energy [Wh] by home: index ``start_utc``, nulls where missing."""
    raw = pd.read_parquet(source / "lcl" / "halfhourly_2013.parquet")
    wide = raw.pivot_table(index="tstp", columns="LCLid", values="energy_kwh_hh")
    wide = wide.reindex(pd.date_range("2013-01-01", "2013-12-31 23:30", freq="30min"))
    annual = wide.sum()
    lived_in = wide.loc[:, annual.between(*ANNUAL_KWH)]
    gaps = lived_in.isna().sum()
    chosen = sorted(sorted(gaps.index, key=lambda home: (gaps[home], home))[: 2 * HOMES_PER_BLOCK])
    names = [f"{block}-{n:02d}" for n in range(1, HOMES_PER_BLOCK + 1) for block in "AB"]
    frame = (lived_in[chosen] * 1000.0).round().astype("Int32")
    frame.columns = pd.Index(names)
    frame = frame[sorted(names)]
    frame.index = (frame.index + SHIFT).tz_localize("UTC")
    frame.index.name = "start_utc"
    return frame


def tariff(source: Path) -> pd.DataFrame:
    """Return the trial's dynamic rates [£/kWh], shifted like the consumption."""
    raw = pd.read_csv(source / "lcl" / "tariff_dtou_2013.csv.gz", parse_dates=["tstp"])
    return pd.DataFrame(
        {
            "start_utc": (raw["tstp"] + SHIFT).dt.tz_localize("UTC").dt.strftime("%Y-%m-%dT%H:%MZ"),
            "gbp_per_kwh": (raw["price_p_per_kwh"] / 100.0).round(4),
        }
    )


def weather(source: Path) -> pd.DataFrame:
    """Return hourly weather; irradiance is the mean of the hour that ends at ``time_utc``."""
    name = "openmeteo_histforecast_2022-11_2024-03.csv.gz"
    raw = pd.read_csv(source / "weather_london" / name, parse_dates=["time"])
    return pd.DataFrame(
        {
            "time_utc": raw["time"].dt.strftime("%Y-%m-%dT%H:%MZ"),
            "outdoor_c": raw["temperature_2m"],
            "humidity_pct": raw["relative_humidity_2m"],
            "wind_m_s": (raw["wind_speed_10m"] / 3.6).round(2),
            "irradiance_w_m2": raw["shortwave_radiation"],
            "cloud_pct": raw["cloud_cover"],
        }
    )


def carbon(source: Path) -> pd.DataFrame:
    """Return half-hourly carbon intensity [g/kWh]; zeros in the source mean missing."""
    name = "carbon_gb_2022-11_2024-04.csv.gz"
    raw = pd.read_csv(source / "prices_carbon" / name, parse_dates=["interval_start_utc"])
    frame = pd.DataFrame(
        {
            "start_utc": raw["interval_start_utc"].dt.strftime("%Y-%m-%dT%H:%MZ"),
            "actual_g_per_kwh": raw["actual_gco2_kwh"],
            "forecast_g_per_kwh": raw["forecast_gco2_kwh"],
        }
    )
    for column in ("actual_g_per_kwh", "forecast_g_per_kwh"):
        frame[column] = frame[column].where(frame[column] > 0).round().astype("Int32")
    return frame


def holidays(source: Path) -> list[dict[str, str]]:
    """Return bank holidays near the trial year, mended and shifted."""
    raw = pd.read_csv(source / "lcl" / "uk_bank_holidays.csv")
    days = []
    for text, name in raw.itertuples(index=False):
        kind = name.strip()
        day = pd.Timestamp(text)
        months = next(months for key, months in HOLIDAY_MONTHS.items() if kind.startswith(key))
        if day.month not in months:
            day = pd.Timestamp(year=day.year, month=day.day, day=day.month)
        if day.month not in months:
            raise SystemExit(f"uk_bank_holidays.csv: {text} cannot be {kind!r}; mend the row.")
        if pd.Timestamp("2012-12-24") <= day <= pd.Timestamp("2014-01-02"):
            days.append((day, kind))
    return [
        {"date": (day + SHIFT).strftime("%Y-%m-%d"), "was": f"{kind} {day:%Y-%m-%d}"}
        for day, kind in sorted(days)
    ]


def write_csv(frame: pd.DataFrame, name: str) -> None:
    """Write a gzipped CSV whose bytes depend on the data alone."""
    text = io.BytesIO()
    with gzip.GzipFile(fileobj=text, mode="wb", mtime=0, compresslevel=9) as packed:
        packed.write(frame.to_csv(index=False, lineterminator="\n").encode())
    (HERE / name).write_bytes(text.getvalue())


def main() -> None:
    """Read the sources, write the five files, print their sizes."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("source", type=Path, help="folder of the source data")
    source = parser.parse_args().source
    homes = consumption(source)
    table = pa.Table.from_pandas(homes.reset_index(), preserve_index=False)
    pq.write_table(table, HERE / "consumption.parquet", compression="zstd", compression_level=19)
    write_csv(weather(source), "weather.csv.gz")
    write_csv(carbon(source), "carbon.csv.gz")
    write_csv(tariff(source), "tariff_dynamic.csv.gz")
    header = (
        "# Bank holidays of the consumption's own year, moved with it by 3,647 days,\n"
        "# so that a day with holiday behaviour counts as a holiday.\n"
    )
    days = yaml.safe_dump({"holidays": holidays(source)}, sort_keys=False, width=100)
    (HERE / "holidays.yaml").write_text(header + days, encoding="utf-8")
    for path in sorted(HERE.iterdir()):
        print(f"{path.name:28} {path.stat().st_size:>9,} bytes")


if __name__ == "__main__":
    main()
