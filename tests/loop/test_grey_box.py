"""What is learnt of a home: right, honest about what it does not know, and soon."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest

from ems.domain.errors import InvalidInputError
from forecasting.grey_box import COLUMNS, held_out, learn, stretches
from forecasting.home_model import HomeModel, matrices, run, where_it_stands

PRIOR = HomeModel(220.0, 5500.0, aperture_m2=2.0, free_w=300.0, lag_h=0.4)
TRUTH = HomeModel(
    160.0, 400.0, 4000.0, 700.0, air_share=0.5, lag_h=0.5, aperture_m2=3.0, free_w=350.0
)


def lived(
    truth: HomeModel, days: int, seed: int, *, setback_c: float = 2.5, wind_w: float = 100.0
) -> pd.DataFrame:
    """Half-hours of a home under its thermostat, with wind and visitors that nobody records."""
    noise = np.random.default_rng(seed)
    count = days * 48
    index = pd.date_range("2023-01-05", periods=count, freq="30min", tz="UTC")
    hour = np.asarray(index.hour + index.minute / 60.0)
    outdoor = 5.0 + 4.0 * np.sin(2 * np.pi * (hour - 9) / 24)
    outdoor += 3.0 * np.sin(2 * np.pi * np.arange(count) / 240 + seed)
    sun = np.maximum(np.sin(np.pi * (hour - 8) / 8), 0.0) * ((hour > 8) & (hour < 16))
    sun = 220.0 * sun * np.repeat(noise.uniform(0.1, 1.0, days), 48)
    drift = np.zeros(count)
    for step in range(1, count):
        drift[step] = 0.95 * drift[step - 1] + noise.normal(0.0, wind_w * 0.3)
    transition, drive = matrices(truth, 0.5)
    state, rows = np.array([20.0, 20.5, 2500.0]), []
    for step in range(count):
        wanted = 20.0 if 7 <= hour[step] < 22 else 20.0 - setback_c
        heat = float(np.clip(2500.0 + 3000.0 * (wanted - state[0]), 0.0, 7000.0))
        room = state[0] + noise.normal(0.0, 0.03)
        rows.append((room, outdoor[step], heat, sun[step]))
        gain = truth.aperture_m2 * sun[step]
        free = truth.free_w + drift[step] + (0.3 if truth.massive else 1.0) * gain
        given = np.array([heat, outdoor[step], free, 0.7 * gain if truth.massive else 0.0])
        state = transition @ state + drive @ given
    return pd.DataFrame(rows, columns=list(COLUMNS), index=index)


def test_a_week_is_enough_to_know_a_home_of_two_states() -> None:
    model = learn(lived(TRUTH, 7, 1), PRIOR)
    assert model.source == "two states"
    assert model.loss_w_per_k == pytest.approx(160.0, rel=0.12)
    assert model.capacity_wh_per_k == pytest.approx(4400.0, rel=0.25)
    assert model.error_k < 0.5 < model.persistence_k


def test_a_home_of_one_state_is_not_made_more_complicated_than_it_is() -> None:
    plain = HomeModel(150.0, 4500.0, lag_h=0.3, aperture_m2=2.0, free_w=300.0)
    model = learn(lived(plain, 9, 2), PRIOR)
    assert model.loss_w_per_k == pytest.approx(150.0, rel=0.12)
    assert model.capacity_wh_per_k == pytest.approx(4500.0, rel=0.2)


def test_a_week_at_one_temperature_leaves_the_capacity_to_the_prior_and_says_so() -> None:
    model = learn(lived(TRUTH, 7, 3, setback_c=0.0), PRIOR)
    assert "capacity rests on the prior" in model.note
    moved = learn(lived(TRUTH, 7, 3), PRIOR)
    assert "capacity" not in moved.note
    relative = model.capacity_sd / model.capacity_wh_per_k
    assert relative > 1.3 * moved.capacity_sd / moved.capacity_wh_per_k


def test_too_few_hours_and_missing_columns_are_refused_with_a_reason() -> None:
    young = learn(lived(TRUTH, 2, 4), PRIOR)
    assert young.source == "prior"
    assert young.loss_w_per_k == PRIOR.loss_w_per_k
    assert "48 of 60 hours" in young.note
    with pytest.raises(InvalidInputError, match="heat_w"):
        learn(lived(TRUTH, 7, 4).drop(columns="heat_w"), PRIOR)


def test_what_was_long_ago_counts_less_than_what_is_now() -> None:
    airtight = HomeModel(**{**_fields(TRUTH), "loss_w_per_k": 120.0})
    before, after = lived(TRUTH, 28, 5), lived(airtight, 14, 6)
    after.index = after.index + pd.Timedelta(days=28)
    model = learn(pd.concat([before, after]), PRIOR)
    assert abs(model.loss_w_per_k - 120.0) < abs(model.loss_w_per_k - 160.0)


def _fields(model: HomeModel) -> dict[str, float]:
    names = ("air_wh_per_k", "mass_wh_per_k", "exchange_w_per_k", "air_share", "lag_h")
    return {name: getattr(model, name) for name in (*names, "aperture_m2", "free_w")}


def test_the_filter_finds_a_draught_that_is_in_no_model() -> None:
    frame = lived(TRUTH, 4, 7, wind_w=0.0)
    given = np.zeros((192, 4))
    given[:, 0], given[:, 1] = frame["heat_w"], frame["outdoor_c"]
    sun = TRUTH.aperture_m2 * frame["sun_w_m2"].to_numpy()
    given[:, 2], given[:, 3] = TRUTH.free_w + 0.3 * sun, 0.7 * sun
    draughty = given.copy()
    draughty[150:, 2] -= 600.0
    states = run(TRUTH, np.array([20.0, 20.5, 2500.0]), draughty, 0.5)
    room = np.concatenate([[20.0], states[:, 0]])
    stands, unexplained_w = where_it_stands(TRUTH, room, given, 0.5)
    assert unexplained_w == pytest.approx(-600.0, abs=150.0)
    assert stands[:2] == pytest.approx(states[-1, :2], abs=0.6)


@pytest.mark.long
def test_intervals_hold_what_they_promise_over_many_homes() -> None:
    """Two standard deviations of the loss hold about 95 % of homes drawn from the prior."""
    noise = np.random.default_rng(8)
    inside, errors, naive = [], [], []
    for seed in range(60):
        loss = 220.0 * np.exp(0.4 * noise.normal())
        capacity = 5500.0 * np.exp(0.4 * noise.normal())
        truth = HomeModel(
            loss,
            capacity * noise.uniform(0.08, 0.2),
            capacity * 0.85,
            loss * noise.uniform(3.0, 7.0),
            air_share=noise.uniform(0.3, 0.8),
            lag_h=noise.uniform(0.2, 1.0),
            aperture_m2=noise.uniform(0.5, 4.0),
            free_w=noise.uniform(100.0, 500.0),
        )
        frame = lived(truth, 10, seed + 100)
        model = learn(frame.iloc[: 7 * 48], PRIOR)
        inside.append(abs(model.loss_w_per_k - loss) < 2.0 * model.loss_sd)
        error, persistence = held_out(model, stretches(frame.iloc[6 * 48 :]))
        errors.append(error)
        naive.append(persistence)
    print(f"loss within two sd: {np.mean(inside):.0%}; median error {np.median(errors):.2f} K,")
    print(f"mean {np.mean(errors):.2f} K, of persistence {np.mean(naive):.2f} K")
    assert 0.85 <= np.mean(inside) <= 1.0
    assert np.median(errors) < 0.5
    assert np.mean(errors) < 0.5 * np.mean(naive)
