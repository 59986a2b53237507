"""The next half-hours of single homes: what followed when it looked alike."""

import numpy as np
import pytest

from forecasting.calendar import SLOTS, Calendar
from forecasting.home_hours import KINDS, LEADS, HomeHours

FIRST = 15_000 * SLOTS
DAYS = 75
LEARNT = 70 * SLOTS
NOW, TODAY, RIDGE = range(KINDS)


@pytest.fixture(scope="module")
def homes() -> np.ndarray:
    """A home whose heater runs three half-hours of an evening, and one that heats by night [W]."""
    rng = np.random.default_rng(8)
    steps = DAYS * SLOTS
    values = rng.uniform(80.0, 160.0, (2, steps))
    for day in range(DAYS):
        at = day * SLOTS + int(rng.integers(34, 38))
        values[0, at : at + 3] += 2000.0
        until = int(rng.integers(6, 14))
        values[1, day * SLOTS : day * SLOTS + until] += 3000.0
    return values


@pytest.fixture(scope="module")
def fitted(homes, london) -> tuple[HomeHours, np.ndarray]:
    hours = HomeHours(Calendar.of(london))
    return hours, hours.fit(homes[:, :LEARNT], FIRST)


def test_what_runs_is_expected_to_end_as_it_did_before(homes, fitted):
    hours, _ = fitted
    for day in range(70, DAYS):
        evening = homes[0, day * SLOTS + 34 : day * SLOTS + 40] > 1000.0
        third = day * SLOTS + 34 + int(np.flatnonzero(evening)[-1])
        running = hours.predict(homes[:, : third - 1], FIRST)[:, 0, 0]
        over = hours.predict(homes[:, : third + 1], FIRST)[:, 0, 0]
        assert (running > 1400.0).all() and (over < 0.6 * running).all()


def test_a_night_of_heating_is_nearer_than_the_present(homes, fitted):
    hours, _ = fitted
    errors, present = [], []
    for end in range(LEARNT, DAYS * SLOTS - LEADS, 3):
        came = homes[1, end : end + LEADS]
        errors.append(np.abs(hours.predict(homes[:, :end], FIRST)[:, 1] - came))
        present.append(np.abs(homes[1, end - 1] - came))
    ratio = np.mean(errors, axis=0) / np.mean(present, axis=0)
    assert (ratio[:, 3] < 0.7).all()


def test_what_followed_is_weighted_by_how_alike_the_present_is(homes, london, fitted):
    hours, _ = fitted
    told = hours.predict(homes[:, :LEARNT], FIRST)
    calendar = Calendar.of(london)
    home, now = homes[0], LEARNT - 1
    x = np.log(home + 60.0)

    def off(column: int) -> bool:
        return bool(calendar.kinds(np.array([(FIRST + column) // SLOTS]))[0])

    total, weights = np.zeros(LEADS), 0.0
    for day in range(1, 29):
        for move in (-1, 0, 1):
            then = now - SLOTS * day + move
            gap = sum(c * abs(x[now - k] - x[then - k]) for k, c in enumerate((1.0, 0.5, 0.25)))
            weight = 2.0 ** (-day / 10.0) * 0.6 ** abs(move) * np.exp(-4.0 * gap)
            weight *= 1.3 if off(now) == off(then) else 1.0
            total += weight * home[then + 1 : then + 1 + LEADS]
            weights += weight
    np.testing.assert_allclose(told[NOW, 0], total / weights, rtol=1e-3)


def test_it_says_of_the_past_what_it_would_have_said_then(homes, fitted):
    hours, told = fitted
    for end in (60 * SLOTS + 5, 65 * SLOTS + 31, LEARNT - LEADS):
        then = hours.predict(homes[:, :end], FIRST)
        for lead in range(LEADS):
            np.testing.assert_allclose(told[:, :, lead, end + lead], then[..., lead], rtol=2e-3)


def test_a_home_without_readings_is_not_guessed(homes, fitted):
    hours, _ = fitted
    silent = homes[:, :LEARNT].copy()
    silent[0, -3:] = np.nan
    told = hours.predict(silent, FIRST)
    assert np.isnan(told[:, 0]).all() and np.isfinite(told[:, 1]).all()
    assert np.isnan(hours.predict(homes[:, : 20 * SLOTS], FIRST)).all()
