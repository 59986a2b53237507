"""One state fitted to homes that have two, from readings alone."""

from datetime import timedelta

import numpy as np
import pandas as pd
import pytest

from ems.domain.errors import InvalidInputError
from ems.domain.estate import ThermalPrior
from ems.domain.thermal import ThermalEstimate
from forecasting.thermal import INDOOR_SHARE, fit_thermal, prior_estimate, simulate

PRIOR = ThermalPrior(loss_w_per_k_m2=3.0, capacity_wh_per_k_m2=70.0, spread=0.35)
TRAIN = 28 * 48


@pytest.fixture(scope="module")
def lived(half_hourly_weather):
    """Readings of one home by its parameters, made once."""
    made: dict[object, pd.DataFrame] = {}

    def live(home, wanted_c=None):
        key = (home, wanted_c)
        if key not in made:
            made[key] = home.live(half_hourly_weather, seed=3, wanted_c=wanted_c)
        return made[key]

    return live


def fit(frame: pd.DataFrame, prior: ThermalEstimate, **options) -> ThermalEstimate:
    return fit_thermal(frame, prior, frame.index[TRAIN].to_pydatetime(), **options)


def error_a_day_ahead(estimate: ThermalEstimate, frame: pd.DataFrame) -> float:
    """RMSE [K] 24 h ahead over origins of the days after training, heat and weather known."""
    household = frame["household_w"] - frame["household_w"].iloc[:TRAIN].mean()
    gain = estimate.free_heat_w + estimate.solar_aperture_m2 * frame["irradiance_w_m2"]
    heat = (frame["heat_w"] + INDOOR_SHARE * household + gain).to_numpy()
    outdoor, room = frame["outdoor_c"].to_numpy(), frame["room_c"].to_numpy()
    errors = []
    for first in range(TRAIN, len(frame) - 49, 7):
        span = slice(first, first + 49)
        middle = [(values[span][1:] + values[span][:-1]) / 2 for values in (outdoor, heat)]
        errors.append(simulate(estimate, room[first], *middle, 1800.0)[-1] - room[first + 48])
    return float(np.sqrt(np.mean(np.square(errors))))


def test_the_certificate_gives_the_estimate_before_data(dwelling):
    before = prior_estimate(dwelling("A-01", 60.0), PRIOR)
    assert before.loss_w_per_k == pytest.approx(180.0)
    assert before.capacity_j_per_k == pytest.approx(60 * 70 * 3600)
    assert before.loss_sd == pytest.approx(63.0)
    assert before.source == "prior" and before.fitted_at is None


@pytest.mark.parametrize(
    "traits",
    [
        {},
        {"structure_capacity": 3000.0, "coupling": 300.0},
        {"air_loss": 150.0, "structure_loss": 120.0, "window_w_per_k": 80.0},
        {"structure_capacity": 12000.0, "coupling": 800.0},
    ],
    ids=["middling", "light", "leaky", "heavy"],
)
def test_loss_is_found_and_a_day_ahead_is_predicted(dwelling, two_state_home, lived, traits):
    home = two_state_home(**traits)
    frame = lived(home)
    before = prior_estimate(dwelling("A-01"), PRIOR)
    estimate = fit(frame, before)
    assert estimate.source == "fit"
    assert abs(estimate.loss_w_per_k - home.loss) < 0.2 * home.loss
    assert abs(estimate.loss_w_per_k - home.loss) < 2 * estimate.loss_sd
    assert estimate.loss_sd < 0.6 * before.loss_sd
    error = error_a_day_ahead(estimate, frame)
    print(
        f"loss {estimate.loss_w_per_k:.0f}±{estimate.loss_sd:.0f} of {home.loss:.0f} W/K, "
        f"24 h ahead {error:.2f} K, prior {error_a_day_ahead(before, frame):.2f} K"
    )
    assert error < 1.1
    assert error < 0.5 * error_a_day_ahead(before, frame)


def test_a_home_held_at_one_temperature_tells_its_loss_but_not_its_capacity(
    dwelling, two_state_home, lived
):
    home = two_state_home()
    before = prior_estimate(dwelling("A-01"), PRIOR)
    estimate = fit(lived(home, 20.0), before)
    assert abs(estimate.loss_w_per_k - home.loss) < 0.1 * home.loss
    assert "capacity rests on the certificate, at its cautious end" in estimate.note
    truth = home.capacity * 3600.0
    assert estimate.capacity_j_per_k < truth
    assert abs(estimate.capacity_j_per_k - truth) < 2 * estimate.capacity_sd
    moved = fit(lived(home), before)
    assert "capacity" not in moved.note


def test_guessed_heat_widens_the_errors(dwelling, two_state_home, lived):
    frame, before = lived(two_state_home()), prior_estimate(dwelling("A-01"), PRIOR)
    measured, guessed = fit(frame, before), fit(frame, before, heat_is_estimated=True)
    assert guessed.loss_sd > measured.loss_sd
    assert guessed.loss_w_per_k == measured.loss_w_per_k
    assert "nameplate" in guessed.note


def test_too_few_hours_leave_the_prior_and_say_how_few(dwelling, two_state_home, lived):
    frame, before = lived(two_state_home()).copy(), prior_estimate(dwelling("A-01"), PRIOR)
    estimate = fit_thermal(frame, before, frame.index[100].to_pydatetime())
    assert estimate.source == "prior"
    assert estimate.note == "50 of 72 hours of complete data: the prior stands"
    assert estimate.loss_w_per_k == before.loss_w_per_k
    # the same hours in scraps too short for any window tell nothing either
    frame.loc[np.arange(len(frame)) % 24 >= 16, "heat_w"] = np.nan
    scraps = fit(frame, before)
    assert scraps.source == "prior"
    assert scraps.note == "too few days without gaps: the prior stands"


def test_a_dead_room_sensor_and_a_switched_off_pump_leave_the_prior(
    dwelling, two_state_home, lived
):
    frame, before = lived(two_state_home()), prior_estimate(dwelling("A-01"), PRIOR)
    assert fit(frame.assign(room_c=np.nan), before).source == "prior"
    nonsense = fit(frame.assign(heat_w=-frame["heat_w"]), before)
    assert nonsense.source == "prior"
    assert "do not fit together" in nonsense.note


def test_gaps_cost_certainty_and_not_truth(dwelling, two_state_home, lived):
    frame, before = lived(two_state_home()), prior_estimate(dwelling("A-01"), PRIOR)
    whole = fit(frame, before)
    holes = frame.copy()
    rng = np.random.default_rng(8)
    for start in rng.integers(0, len(frame), 12):
        holes.iloc[start : start + 9, 0] = np.nan
    part = fit(holes, before)
    assert part.hours < whole.hours
    assert part.loss_sd / part.loss_w_per_k > whole.loss_sd / whole.loss_w_per_k
    assert abs(part.loss_w_per_k - whole.loss_w_per_k) < 2 * part.loss_sd


def test_without_sun_and_household_it_still_fits_and_says_what_it_lacked(
    dwelling, two_state_home, lived
):
    frame, before = lived(two_state_home()), prior_estimate(dwelling("A-01"), PRIOR)
    estimate = fit(frame[["room_c", "outdoor_c", "heat_w"]], before)
    assert estimate.source == "fit"
    assert "no irradiance" in estimate.note and "no household load" in estimate.note
    with pytest.raises(InvalidInputError, match="lacks columns"):
        fit(frame.drop(columns="heat_w"), before)


def test_what_comes_after_until_changes_nothing(dwelling, two_state_home, lived):
    frame, before = lived(two_state_home()), prior_estimate(dwelling("A-01"), PRIOR)
    scrambled = frame.copy()
    scrambled.iloc[TRAIN:] = np.random.default_rng(1).normal(0, 1e4, scrambled.iloc[TRAIN:].shape)
    until = frame.index[TRAIN].to_pydatetime() + timedelta(minutes=29)
    assert fit_thermal(scrambled, before, until) == fit_thermal(frame, before, until)


def test_simulation_settles_where_heat_and_loss_balance(dwelling):
    estimate = prior_estimate(dwelling("A-01"), PRIOR)
    room = simulate(estimate, 10.0, np.full(2000, 5.0), np.full(2000, 1800.0), 1800.0)
    assert room[-1] == pytest.approx(5.0 + 1800.0 / 180.0)
    assert np.all(np.diff(room) >= 0)
