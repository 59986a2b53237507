"""How good forecasts are on real meters: ``ems forecast backtest`` as anybody may call it.

The peer of every error is the weekly naive, which is 1 by definition; a ridge of scikit-learn,
one a home, stands beside.
"""

from __future__ import annotations

import json
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from harness import Row
from many_homes import METERS, WEATHER, data_folder
from sklearn.linear_model import Ridge

from forecasting.backtest import chosen_homes, naive_of
from forecasting.meters import Columns, read_table, regular

AREA = "forecasting"
FIRST, LAST = "2013-10-15", "2013-12-13"
NAIVE = "weekly naive"


@dataclass(frozen=True, slots=True)
class Goal:
    """A figure of ``metrics.json`` and what it must be."""

    scale: str
    figure: str
    below: float | None = None
    above: float | None = None


DAY_AHEAD = (
    Goal("home", "mae_ratio", below=0.722),
    Goal("group", "mae_ratio", below=0.725),
    Goal("total", "mae_ratio", below=0.695),
    Goal("home", "pinball_ratio", below=0.485),
    Goal("group", "pinball_ratio", below=0.462),
    Goal("total", "pinball_ratio"),
    Goal("home", "coverage_80", below=0.82, above=0.78),
    Goal("home", "coverage_80_min", above=0.70),
    Goal("home", "coverage_80_max", below=0.90),
    Goal("group", "coverage_80", below=0.82, above=0.78),
    Goal("total", "coverage_80"),
)
SHORT = {"1": 0.60, "4": 0.70}
"""Half-hours ahead → largest error of a block to the naive's."""


def rows() -> Iterator[Row]:
    """Measure with weather, without, and for the first hours."""
    folder = data_folder()
    if folder is None:
        yield Row(AREA, f"accuracy: no {METERS}; name its folder in HEARTH_DATA", None, "")
        return
    weather = ["--weather-observed", str(folder / WEATHER)]
    days = [f"--origins={FIRST}..{LAST}"]
    short = [f"--origins=2013-11-30..{LAST}", "--every=30min", "--horizon=4"]
    soon = _backtest(folder, [*short, *weather])
    for scale in ("home", "group", "total"):
        for lead, most in SHORT.items():
            yield Row(
                AREA,
                f"{scale}: error to naive's, {lead} half-hours ahead, origins every half-hour",
                soon[scale]["by_lead"][lead]["mae_ratio"],
                "",
                below=most if scale == "group" else None,
                peer=NAIVE,
                peer_value=1.0,
            )
    yield from _cost("first hours", soon)
    whole = _backtest(folder, [*days, *weather])
    count = whole["origins"][2]
    for goal in DAY_AHEAD:
        yield _row(goal, whole, f"day ahead, {count} origins, observed weather as forecast")
    yield from _cost("day ahead", whole)
    without = _backtest(folder, days)
    for goal in DAY_AHEAD:
        yield _row(Goal(goal.scale, goal.figure), without, "day ahead, no weather")
    yield from _cost("day ahead, no weather", without)
    yield from _peer(folder)


def _cost(name: str, found: dict[str, Any]) -> Iterator[Row]:
    yield Row(AREA, f"backtest, {name}: time", found["seconds"], "s")
    yield Row(AREA, f"backtest, {name}: peak memory", found["peak_mb"], "MB", below=2048)


def _row(goal: Goal, found: dict[str, Any], when: str) -> Row:
    ratio = goal.figure.endswith("ratio")
    return Row(
        AREA,
        f"{goal.scale}: {goal.figure}, {when}",
        found[goal.scale][goal.figure],
        "",
        below=goal.below,
        above=goal.above,
        peer=NAIVE if ratio else None,
        peer_value=1.0 if ratio else None,
    )


def _backtest(folder: Path, options: list[str]) -> dict[str, Any]:
    """Return ``metrics.json`` of one call."""
    print(f"  backtest {' '.join(options)} ...", file=sys.stderr, flush=True)
    with tempfile.TemporaryDirectory() as out:
        command = [sys.executable, "-m", "ems.cli", "forecast", "backtest", str(folder / METERS)]
        command += [*options, "--models=learnt", f"--out={out}"]
        subprocess.run(command, check=True, capture_output=True, text=True)
        found: dict[str, Any] = json.loads((Path(out) / "metrics.json").read_text())
    return found


def _peer(folder: Path) -> Iterator[Row]:
    """Forecast each home and block a day ahead by scikit-learn's Ridge on lags and calendar."""
    table = read_table(folder / METERS, ["LCLid", "tstp", "energy_kwh_hh"])
    homes = chosen_homes(regular(table, Columns()).power_w, 0.03)
    names = list(homes.columns)
    groups = {
        f"group {at}": homes[names[at : at + 20]].sum(axis=1, skipna=False)
        for at in range(0, len(names) - 19, 20)
    }
    for scale, frame in (("home", homes), ("group", pd.DataFrame(groups))):
        missed, naive_missed = _ridge_error(frame)
        yield Row(
            AREA,
            f"peer: {scale}: mae_ratio of scikit-learn Ridge a series, no weather",
            missed / naive_missed,
            "",
            peer=NAIVE,
            peer_value=1.0,
        )


def _ridge_error(frame: pd.DataFrame) -> tuple[float, float]:
    """Return summed errors of ridges fitted at the first origin, and of the naive."""
    index = pd.DatetimeIndex(frame.index)
    slot = np.asarray(index.hour * 2 + index.minute // 30)
    turn = 2.0 * np.pi * slot / 48.0
    calendar = [np.sin(turn), np.cos(turn), np.sin(2 * turn), np.cos(2 * turn)]
    calendar += [np.asarray(index.dayofweek == day, dtype=float) for day in range(5, 7)]
    first = pd.Timestamp(FIRST, tz="UTC")
    past = np.asarray(index < first)
    ahead = ~past & np.asarray(index < pd.Timestamp(LAST, tz="UTC") + pd.Timedelta(days=1))
    naive = naive_of(frame)
    missed = naive_missed = 0.0
    for name in frame.columns:
        y = frame[name].to_numpy(dtype=np.float64)
        lags = [frame[name].shift(lag).to_numpy() for lag in (48, 96, 144, 192, 240, 288, 336, 672)]
        week = frame[name].shift(48).rolling(336).mean().to_numpy()
        x = np.column_stack([*calendar, *lags, week])
        known = np.isfinite(x).all(axis=1) & np.isfinite(y)
        model = Ridge(alpha=1.0).fit(x[known & past], y[known & past])
        scored = known & ahead & np.isfinite(naive[name].to_numpy())
        missed += float(np.abs(model.predict(x[scored]) - y[scored]).sum())
        naive_missed += float(np.abs(naive[name].to_numpy()[scored] - y[scored]).sum())
    return missed, naive_missed
