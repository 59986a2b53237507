"""Files of forecasts that ``ems forecast run`` writes and ``ems forecast show`` reads."""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from ems.domain.errors import InvalidInputError
from ems.domain.forecasts import Forecast
from ems.domain.time import HALF_HOUR_S
from forecasting.meter_forecasts import COLUMNS

SUFFIXES = (".csv", ".csv.gz", ".parquet", ".json")
LEVELS = {"p10_w": 0.1, "p50_w": 0.5, "p90_w": 0.9}
"""Columns of quantiles and their levels."""
VALUES = ("mean_w", *LEVELS)
_REMEDY = f"Name a file that ends in {', '.join(SUFFIXES[:-1])} or {SUFFIXES[-1]}."


def suffix_of(path: Path, option: str) -> str:
    """Return which of `SUFFIXES` a file ends in, else raise `InvalidInputError`."""
    for suffix in SUFFIXES:
        if path.name.endswith(suffix):
            return suffix
    raise InvalidInputError(
        "the file's ending does not say what kind it is",
        field=option,
        value=str(path),
        remedy=_REMEDY,
    )


def write_forecasts(path: Path, frame: pd.DataFrame, facts: Mapping[str, Any]) -> None:
    """Write rows of `COLUMNS` as the file's ending says; JSON holds ``facts`` beside them."""
    suffix = suffix_of(path, "--out")
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        if suffix == ".parquet":
            frame.to_parquet(path, index=False)
        elif suffix == ".json":
            text = json.dumps(_as_json(frame, facts), indent=1, ensure_ascii=False, allow_nan=False)
            path.write_text(text + "\n", encoding="utf-8")
        else:
            text_of = frame.assign(
                start=frame["start"].dt.strftime("%Y-%m-%dT%H:%MZ"),
                issued_at=frame["issued_at"].dt.strftime("%Y-%m-%dT%H:%M:%SZ"),
            )
            text_of.to_csv(path, index=False, float_format="%.1f")
    except OSError as error:
        raise InvalidInputError(
            f"the file cannot be written: {error.strerror or error}",
            field="--out",
            value=str(path),
            remedy="Choose a file that may be written.",
        ) from error


def _as_json(frame: pd.DataFrame, facts: Mapping[str, Any]) -> dict[str, Any]:
    series = []
    for _, part in frame.groupby("subject", sort=False):
        first = part.iloc[0]
        series.append(
            {
                "subject": first["subject"],
                "scale": first["scale"],
                "model": first["model"],
                "lacked": [reason for reason in first["lacked"].split("; ") if reason],
                "start": first["start"].isoformat(),
                **{name: part[name].round(1).tolist() for name in VALUES},
            }
        )
    return {**facts, "step_s": HALF_HOUR_S, "series": series}


def read_forecasts(path: Path, option: str = "--file") -> dict[str, Forecast]:
    """Return subject → forecast from a file that `write_forecasts` wrote.

    Raises
    ------
    InvalidInputError
        Where it cannot be read or is not such a file.
    """
    suffix = suffix_of(path, option)
    try:
        if suffix == ".json":
            frame = _from_json(json.loads(path.read_text(encoding="utf-8")))
        elif suffix == ".parquet":
            frame = pd.read_parquet(path)
        else:
            frame = pd.read_csv(path, dtype={"subject": str, "lacked": str})
        missing = [name for name in COLUMNS if name not in frame]
        if missing:
            raise ValueError(f"it lacks {', '.join(missing)}")
        for name in ("start", "issued_at"):
            frame[name] = pd.to_datetime(frame[name], utc=True)
        lacked = frame["lacked"].fillna("")
        found = frame.assign(subject=frame["subject"].astype(str), lacked=lacked)
        return {
            str(subject): _forecast(part.sort_values("start"))
            for subject, part in found.groupby("subject", sort=False)
        }
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise InvalidInputError(
            f"the forecasts cannot be read: {error}",
            field=option,
            value=str(path),
            remedy="Give a file that `ems forecast run` has written.",
        ) from error


def _from_json(found: Mapping[str, Any]) -> pd.DataFrame:
    parts = []
    for one in found["series"]:
        start = pd.date_range(one["start"], periods=len(one["mean_w"]), freq="30min")
        values = {name: np.asarray(one[name], dtype=np.float64) for name in VALUES}
        said = {name: one[name] for name in ("subject", "scale", "model")}
        lacked = "; ".join(one["lacked"])
        issued = {"issued_at": found["issued_at"], "lacked": lacked}
        parts.append(pd.DataFrame({"start": start, **values, **said, **issued}))
    return pd.concat(parts, ignore_index=True)


def _forecast(part: pd.DataFrame) -> Forecast:
    first = part.iloc[0]
    return Forecast(
        target="load_w",
        subject=str(first["subject"]),
        issued_at=first["issued_at"].to_pydatetime(),
        start=first["start"].to_pydatetime(),
        step_s=HALF_HOUR_S,
        mean=part["mean_w"].to_numpy(dtype=np.float64),
        quantiles={level: part[name].to_numpy(dtype=np.float64) for name, level in LEVELS.items()},
        lacked=tuple(reason for reason in first["lacked"].split("; ") if reason),
        model=str(first["model"]),
    )
