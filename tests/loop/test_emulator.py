"""A detailed building emulator that knows nothing of us: how well is its room foreseen?"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from ems.loop import Actuator, Device
from ems.loop.heating import heat_from_power, heat_per_w, prior_of
from ems.loop.watch import not_good_enough
from forecasting.grey_box import AHEAD, STRETCH, ahead, learn, stretches
from forecasting.references import hourly_mean

DATA = Path(__file__).parent / "data"
HOME = Device(
    Actuator.MODULATION,
    15_000.0,
    rated_cop=4.5,
    floor_area_m2=192.0,
    epc_band="C",
    design_flow_c=40.0,
)
LEARNT_D = 5
EVERY = 6
"""Half-hours between forecasts; the model is fitted anew every half day."""


@dataclass(frozen=True)
class Score:
    """Root-mean-square errors of all half-hours up to a day ahead [K]."""

    model: float
    persistence: float
    hourly: float
    inside: float
    """Share of actuals within 1.645 held-out errors."""


def read(name: str) -> pd.DataFrame:
    frame = pd.read_csv(DATA / f"{name}.csv", index_col="start_utc", parse_dates=True)
    return frame.assign(sun_w_m2=np.nan)


def score(name: str, *, metered: bool) -> Score:
    frame = read(name)
    if not metered:
        power, outdoor = frame["power_w"].to_numpy(), frame["outdoor_c"].to_numpy()
        guess, per_w = heat_from_power(HOME, power, outdoor), heat_per_w(HOME, power, outdoor)
        frame = frame.assign(heat_w=guess, per_w=per_w)
    prior, spread = prior_of(HOME)
    errors, naive, usual, inside = [], [], [], []
    model = prior
    for origin in range(LEARNT_D * 48, len(frame) - AHEAD - 1, EVERY):
        if (origin - LEARNT_D * 48) % (4 * EVERY) == 0:
            model = learn(frame.iloc[:origin], prior, spread=spread)
        span = frame.iloc[origin - (STRETCH - AHEAD) : origin + AHEAD + 1]
        actual = span["room_c"].to_numpy()[-AHEAD:]
        error = actual - ahead(model, stretches(span))[0]
        errors.append(error)
        naive.append(actual - float(frame["room_c"].iloc[origin]))
        usual.append(actual - hourly_mean(frame.iloc[:origin], list(span.index.hour[-AHEAD:])))
        inside.append(np.abs(error) <= 1.645 * model.error_k)

    def rms(values: list[np.ndarray]) -> float:
        return float(np.sqrt(np.mean(np.square(values))))

    return Score(rms(errors), rms(naive), rms(usual), float(np.mean(inside)))


@pytest.mark.parametrize(("metered", "most_k"), [(True, 0.5), (False, 0.55)])
def test_a_cold_week_with_setbacks_is_foreseen_to_half_a_kelvin(
    metered: bool, most_k: float
) -> None:
    found = score("emulator_winter", metered=metered)
    print(found)
    assert found.model <= most_k
    assert found.model < found.persistence
    assert found.inside >= 0.75


def test_where_spring_sun_that_nobody_measures_warms_a_home_it_is_left_alone() -> None:
    """The trajectories hold no irradiance; the room floats up to 25 °C on sun alone."""
    prior, spread = prior_of(HOME)
    model = learn(read("emulator_spring").iloc[: 8 * 48], prior, spread=spread)
    why = not_good_enough(model)
    assert why is not None
    assert "off by" in why


@pytest.mark.long
def test_the_error_in_spring_is_reported() -> None:
    found = score("emulator_spring", metered=True)
    print(found)
    assert found.model < 1.3 * found.persistence
