"""EMHASS's own optimiser on a problem file with one home: run by its own interpreter.

Reads a problem (``ems plan generate``) on standard input and prints one line of JSON. What it
cannot express is left out in its favour: COP by step (its mean stands in), minimum times shorter
than its steps, wear, comfort beyond the floor. It has one room, on or off, and a battery.
"""

import json
import logging
import pathlib
import sys
import time

import emhass
import numpy as np
import pandas as pd
from emhass.optimization import Optimization

LIMIT_S = 45


def main() -> int:
    """Solve and report."""
    problem = json.load(sys.stdin)
    home, battery = problem["homes"][0], problem["battery"]
    steps, step_h = len(problem["step_s"]), problem["step_s"][0] / 3600.0
    root = pathlib.Path(emhass.__file__).parent
    conf = json.loads((root / "data" / "config_defaults.json").read_text())
    cop = float(np.mean(home["cop"]))
    nominal_w = home["heat_max_w"][0] / cop
    capacity_wh = home["capacity_j_per_k"] / 3600.0
    # free heat counts as warmer air outside, as far as it makes up for losses
    outside = np.array(home["outdoor_c"]) + np.array(home["free_heat_w"]) / home["loss_w_per_k"]
    conf |= {
        "optimization_time_step": pd.Timedelta(hours=step_h),
        "time_zone": "UTC",
        "delta_forecast_daily": pd.Timedelta(days=1),
        "lp_solver": "HiGHS",
        "lp_solver_timeout": LIMIT_S,
        "num_threads": 1,
        "number_of_deferrable_loads": 1,
        "nominal_power_of_deferrable_loads": [nominal_w],
        "minimum_power_of_deferrable_loads": [0.0],
        "cost_forecast_per_deferrable_load": [None],
        "is_electric_load": [True],
        "operating_hours_of_each_deferrable_load": [0],
        "start_timesteps_of_each_deferrable_load": [0],
        "end_timesteps_of_each_deferrable_load": [0],
        "treat_deferrable_load_as_semi_cont": [True],
        "set_deferrable_load_single_constant": [False],
        "set_deferrable_startup_penalty": [0.0],
        "deferrable_load_max_cost": [0.0],
        "set_deferrable_max_startups": [0],
        "def_minimum_on_time": [0],
        "def_minimum_off_time": [0],
        "def_current_state": [home["pump"]["on"]],
        "def_load_config": [
            {
                "thermal_config": {
                    "heating_rate": home["heat_max_w"][0] / capacity_wh,
                    "cooling_constant": home["loss_w_per_k"] / capacity_wh,
                    "start_temperature": home["room_c"],
                    "min_temperatures": home["floor_c"],
                    "max_temperatures": home["ceiling_c"],
                    "sense": "heat",
                }
            }
        ],
        "maximum_power_from_grid": problem["contracted_import_w"][0],
        "maximum_power_to_grid": problem["export_limit_w"][0],
        "set_use_pv": True,
        "set_use_battery": True,
        "set_nodischarge_to_grid": False,
        "battery_discharge_power_max": battery["max_discharge_w"],
        "battery_charge_power_max": battery["max_charge_w"],
        "battery_nominal_energy_capacity": battery["max_wh"],
        "battery_minimum_state_of_charge": battery["min_wh"] / battery["max_wh"],
        "battery_maximum_state_of_charge": 1.0,
        "battery_target_state_of_charge": battery["energy_wh"] / battery["max_wh"],
    }
    index = pd.date_range(problem["start"], periods=steps, freq=f"{round(60 * step_h)}min")
    load = np.array(problem["landlord_w"]) + np.array(home["base_w"])
    sun = np.array(problem["pv_w"])
    buy, sell = np.array(problem["import_gbp_per_kwh"]), np.array(problem["export_gbp_per_kwh"])
    data = pd.DataFrame(
        {
            conf["sensor_power_photovoltaics"]: sun,
            conf["sensor_power_load_no_var_loads"]: load,
            "unit_load_cost": buy,
            "unit_prod_price": sell,
            "outdoor_temperature_forecast": outside,
        },
        index=index,
    )
    paths = {"data_path": root / "data", "root_path": root}
    log = logging.getLogger("emhass")
    log.setLevel(logging.ERROR)
    begin = time.perf_counter()
    planner = Optimization(
        conf, conf, conf, "unit_load_cost", "unit_prod_price", "profit", paths, log
    )
    share = battery["energy_wh"] / battery["max_wh"]
    found = planner.perform_optimization(
        data, sun, load, buy, sell, soc_init=share, soc_final=share
    )
    taken = time.perf_counter() - begin
    status = str(found["optim_status"].iloc[0]) if "optim_status" in found else "unknown"
    print(json.dumps({"seconds": taken, "note": f"its status: {status}"}))
    return 0


if __name__ == "__main__":
    raise SystemExit(main())
