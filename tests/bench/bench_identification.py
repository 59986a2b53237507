"""A building emulator that knows nothing of us: how well is its room foreseen a day ahead?

Nine days each of BOPTEST's *bestest_hydronic_heat_pump* (``tests/loop/data``): learnt from all
days before each forecast, the first after five days, one every three hours, with the heat and
weather that came. Half-hours are told apart by what the heating did: at a *constant setpoint*
it runs and the room stays; else it *floats*, sets back or warms up.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pandas as pd
from harness import Row
from pvlib.location import Location

from ems.domain.forecasts import FloatArray
from ems.loop import Actuator, Device
from ems.loop.heating import heat_from_power, heat_per_w, prior_of
from forecasting.grey_box import AHEAD, STRETCH, ahead, learn, stretches
from forecasting.references import hourly_mean

DATA = Path(__file__).parents[1] / "loop" / "data"
HOME = Device(
    Actuator.MODULATION,
    15_000.0,
    rated_cop=4.5,
    floor_area_m2=192.0,
    epc_band="C",
    design_flow_c=40.0,
)
PLACE = Location(50.85, 4.35)
"""The emulator's weather is Brussels'."""
LEARNT_D = 5
EVERY = 6
STILL_K_PER_H = 0.1
"""A room that is heated and moves less than this is held at a constant setpoint [K/h]."""
HEATS_W = 500.0
KINDS = ("all", "constant setpoint", "floating, set back, warming up")


@dataclass(frozen=True)
class Errors:
    """Errors of every forecast by who made it, and which half-hours they are of."""

    by: Mapping[str, FloatArray]
    constant: FloatArray
    inside_80: FloatArray
    inside_95: FloatArray

    def rms(self, who: str, kind: str) -> float:
        """Return the root-mean-square error of one kind of half-hours [K]."""
        return float(np.sqrt(np.mean(self.by[who][self.which(kind)] ** 2)))

    def which(self, kind: str) -> FloatArray:
        """Return which errors are of a kind."""
        if kind == KINDS[0]:
            return np.ones_like(self.constant, dtype=bool)
        return self.constant if kind == KINDS[1] else ~self.constant


def trajectory(name: str, *, metered: bool, clear_sky: bool) -> pd.DataFrame:
    """Return a trajectory as `learn` reads it; its own sun is not known."""
    frame = pd.read_csv(DATA / f"emulator_{name}.csv", index_col="start_utc", parse_dates=True)
    frame["sun_w_m2"] = np.nan
    if clear_sky:
        times = frame.index + pd.Timedelta(minutes=15)
        frame["sun_w_m2"] = PLACE.get_clearsky(times, model="haurwitz")["ghi"].to_numpy()
    if not metered:
        power, outdoor = frame["power_w"].to_numpy(), frame["outdoor_c"].to_numpy()
        guess, per_w = heat_from_power(HOME, power, outdoor), heat_per_w(HOME, power, outdoor)
        frame = frame.assign(heat_w=guess, per_w=per_w)
    return frame


def foreseen(frame: pd.DataFrame) -> Errors:
    """Return the errors of all forecasts on a trajectory."""
    prior, spread = prior_of(HOME)
    errors: dict[str, list[FloatArray]] = {"model": [], "persistence": [], "hourly mean": []}
    constant, inside_80, inside_95 = [], [], []
    model = prior
    moves = np.abs(np.gradient(frame["room_c"].to_numpy())) * 2.0
    held = (frame["heat_w"].to_numpy() > HEATS_W) & (moves < STILL_K_PER_H)
    for origin in range(LEARNT_D * 48, len(frame) - AHEAD - 1, EVERY):
        if (origin - LEARNT_D * 48) % (4 * EVERY) == 0:
            model = learn(frame.iloc[:origin], prior, spread=spread)
        span = frame.iloc[origin - (STRETCH - AHEAD) : origin + AHEAD + 1]
        actual = span["room_c"].to_numpy()[-AHEAD:]
        own = actual - ahead(model, stretches(span))[0]
        errors["model"].append(own)
        errors["persistence"].append(actual - float(frame["room_c"].iloc[origin]))
        usual = hourly_mean(frame.iloc[:origin], list(pd.DatetimeIndex(span.index).hour[-AHEAD:]))
        errors["hourly mean"].append(actual - usual)
        constant.append(held[origin + 1 : origin + AHEAD + 1])
        inside_80.append(np.abs(own) <= 1.282 * model.error_k)
        inside_95.append(np.abs(own) <= 1.96 * model.error_k)
    return Errors(
        {who: np.concatenate(parts) for who, parts in errors.items()},
        np.concatenate(constant),
        np.concatenate(inside_80),
        np.concatenate(inside_95),
    )


def rows() -> Iterable[Row]:
    """Measure every trajectory, with the heat metered and from electricity alone."""
    for name, metered, clear_sky, aim in (
        ("winter", True, False, 0.5),
        ("winter", False, False, 0.5),
        ("winter", True, True, 0.5),
        ("spring", True, False, None),
        ("spring", True, True, None),
    ):
        found = foreseen(trajectory(name, metered=metered, clear_sky=clear_sky))
        heat = "heat metered" if metered else "electricity only"
        sky = ", clear sky for its sun" if clear_sky else ""
        what = f"{name}, {heat}{sky}"
        for kind in KINDS:
            share = float(np.mean(found.which(kind)))
            for beside in ("persistence", "hourly mean"):
                yield Row(
                    "identification",
                    f"{what}: {kind} ({share:.0%})",
                    found.rms("model", kind),
                    "K",
                    below=aim,
                    peer=beside,
                    peer_value=found.rms(beside, kind),
                )
        for share, inside in ((80, found.inside_80), (95, found.inside_95)):
            name_of = f"{what}: actuals within the {share} % interval"
            yield Row("identification", name_of, 100.0 * float(np.mean(inside)), "%")
