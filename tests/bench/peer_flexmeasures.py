"""FlexMeasures' own device scheduler on a problem file: run by its own interpreter.

Reads a problem (``ems plan generate``) on standard input and prints one line of JSON. What it
cannot express is left out in its favour: comfort beyond the floor, wear, values at the end. Each
room is a stock above its floor, the battery another, the block's ceiling a hard limit. It solves by
its default back end.
"""

import json
import sys
import time
from datetime import timedelta

import numpy as np
import pandas as pd
from flask import Flask
from flexmeasures.data.models.planning.linear_optimization import device_scheduler

COLUMNS = (
    "min",
    "max",
    "equals",
    "efficiency",
    "derivative min",
    "derivative max",
    "derivative equals",
    "derivative up efficiency",
    "derivative down efficiency",
    "stock delta",
)


def main() -> int:
    """Solve and report."""
    problem = json.load(sys.stdin)
    if any(home.get("pump") for home in problem["homes"]):
        raise SystemExit("heat pumps that are on or off are not posed to it")
    steps, step_s = len(problem["step_s"]), problem["step_s"][0]
    step_h = step_s / 3600.0
    index = pd.date_range(problem["start"], periods=steps, freq=timedelta(seconds=step_s))
    devices, stocks = [], []
    for home in problem["homes"]:
        devices.append(_room(home, index, step_h))
        stocks.append((home["room_c"] - home["floor_c"][0]) * home["capacity_j_per_k"] / 3.6e6)
    devices.append(_battery(problem["battery"], index))
    stocks.append(problem["battery"]["energy_wh"] / 1000.0)
    base = np.sum([home["base_w"] for home in problem["homes"]], axis=0)
    fixed = (base + np.array(problem["landlord_w"]) - np.array(problem["pv_w"])) / 1000.0
    whole = pd.DataFrame(index=index, columns=["derivative min", "derivative max"], dtype=float)
    whole["derivative max"] = np.array(problem["contracted_import_w"]) / 1000.0 - fixed
    whole["derivative min"] = -np.array(problem["export_limit_w"]) / 1000.0 - fixed
    app = Flask("bench")
    app.config |= {"FLEXMEASURES_LP_SOLVER": "highspy", "LOGGING_LEVEL": "WARNING"}
    begin = time.perf_counter()
    with app.app_context():
        _, costs, results, _ = device_scheduler(
            devices,
            whole,
            commitment_quantities=[pd.Series(-fixed, index=index)],
            commitment_downwards_deviation_price=[
                pd.Series(step_h * np.array(problem["export_gbp_per_kwh"]), index=index)
            ],
            commitment_upwards_deviation_price=[
                pd.Series(step_h * np.array(problem["import_gbp_per_kwh"]), index=index)
            ],
            initial_stock=stocks,
        )
    taken = time.perf_counter() - begin
    ended = str(results.solver.termination_condition)
    note = f"it ended {ended} at £{float(costs):.2f} of energy"
    print(json.dumps({"seconds": taken, "note": note}))
    return 0


def _empty(index):
    return pd.DataFrame(np.nan, index=index, columns=list(COLUMNS))


def _room(home, index, step_h):
    """Return a room as a stock of kWh above its floor."""
    capacity, loss = home["capacity_j_per_k"] / 3.6e6, home["loss_w_per_k"] / 1000.0
    kept = np.exp(-step_h * loss / capacity)
    rise = (1.0 - kept) / loss * capacity / step_h
    floor = np.array(home["floor_c"])
    free = np.array(home["outdoor_c"]) + np.array(home["free_heat_w"]) / 1000.0 / loss
    frame = _empty(index)
    frame["min"] = 0.0
    frame["max"] = capacity * (np.array(home["ceiling_c"]) - floor)
    frame["efficiency"] = kept
    frame["derivative min"] = 0.0
    frame["derivative max"] = np.array(home["heat_max_w"]) / np.array(home["cop"]) / 1000.0
    frame["derivative up efficiency"] = rise * np.array(home["cop"])
    # what a room at its floor loses in a step, as power
    frame["stock delta"] = capacity * (1.0 - kept) * (free - floor)
    return frame


def _battery(battery, index):
    frame = _empty(index)
    frame["min"], frame["max"] = battery["min_wh"] / 1000.0, battery["max_wh"] / 1000.0
    frame["derivative min"] = -battery["max_discharge_w"] / 1000.0
    frame["derivative max"] = battery["max_charge_w"] / 1000.0
    frame["derivative up efficiency"] = battery["one_way_efficiency"]
    frame["derivative down efficiency"] = battery["one_way_efficiency"]
    return frame


if __name__ == "__main__":
    raise SystemExit(main())
