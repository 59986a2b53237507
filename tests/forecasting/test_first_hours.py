"""The first hours of groups, and bands of meters that nearly always read one value."""

import numpy as np
import pytest

from forecasting.calendar import SLOTS, Calendar
from forecasting.calibration import MEDIAN, leave_out_steady
from forecasting.first_hours import FirstHours
from forecasting.home_hours import LEADS
from forecasting.interface import LEVELS

HOMES = tuple(f"H{n}" for n in range(10))
GROUPS = {"first": HOMES[:5], "second": HOMES[5:]}
DAYS = 90


@pytest.fixture(scope="module")
def homes() -> np.ndarray:
    """Homes with a daily shape, and departures from it that last for an hour or two [W]."""
    rng = np.random.default_rng(5)
    steps = np.arange(DAYS * SLOTS)
    shape = 300.0 + 150.0 * np.sin(2 * np.pi * steps / SLOTS)
    rest = np.zeros((len(HOMES), len(steps)))
    for at in steps[1:]:
        rest[:, at] = 0.85 * rest[:, at - 1] + rng.normal(0.0, 60.0, len(HOMES))
    return np.maximum(shape + rest, 0.0)


def sums(homes: np.ndarray) -> np.ndarray:
    return np.stack([homes[:5].sum(axis=0), homes[5:].sum(axis=0)])


@pytest.fixture(scope="module")
def fitted(homes, london) -> FirstHours:
    model = FirstHours(Calendar.of(london), GROUPS, HOMES)
    known = homes[:, : 80 * SLOTS]
    return model.fit(sums(known), known, 15_000 * SLOTS)


def test_the_present_carries_on_and_fades(homes, fitted):
    groups, errors, usual = sums(homes), [], []
    for end in range(80 * SLOTS, 89 * SLOTS, 7):
        found = fitted.predict(groups[:, :end], homes[:, :end], 15_000 * SLOTS)[1]
        came = groups[:, end : end + LEADS]
        errors.append(np.abs(found - came))
        days = groups[:, end - 14 * SLOTS : end].reshape(2, 14, SLOTS).mean(axis=1)
        usual.append(np.abs(days[:, :LEADS] - came))
    ratio = np.mean(errors, axis=(0, 1)) / np.mean(usual, axis=(0, 1))
    assert ratio[0] < 0.75 and ratio[3] < 0.95
    assert ratio[0] < ratio[-1]


def test_four_of_five_lie_within_the_band_and_it_widens_with_what_is_ahead(homes, fitted):
    groups, inside, wide = sums(homes), [], []
    for end in range(80 * SLOTS, 89 * SLOTS, 3):
        low, middle, high = fitted.predict(groups[:, :end], homes[:, :end], 15_000 * SLOTS)
        assert np.all(low <= middle) and np.all(middle <= high)
        came = groups[:, end : end + LEADS]
        inside.append((came >= low) & (came <= high))
        wide.append(high - low)
    assert np.mean(inside) == pytest.approx(0.8, abs=0.1)
    width = np.mean(wide, axis=(0, 1))
    assert width[0] < 0.8 * width[-1]


def test_a_band_grows_with_what_is_expected_at_the_same_hour(london):
    """Busy days and quiet ones in turns of three: four of five lie within on either."""
    rng = np.random.default_rng(7)
    steps = np.arange(DAYS * SLOTS)
    busy = steps // SLOTS % 6 < 3
    level = np.where(busy, 900.0, 150.0)
    homes = level * np.maximum(1.0 + rng.normal(0.0, 0.3, (len(HOMES), len(steps))), 0.0)
    groups, first, end = sums(homes), 15_000 * SLOTS, 80 * SLOTS
    model = FirstHours(Calendar.of(london), GROUPS, HOMES)
    model.fit(groups[:, :end], homes[:, :end], first)
    inside = {True: [], False: []}
    for now in range(end, 89 * SLOTS, 5):
        if now % SLOTS < 6 or now % SLOTS > SLOTS - LEADS:
            continue  # days change here
        low, _, high = model.predict(groups[:, :now], homes[:, :now], first)
        came = groups[:, now : now + LEADS]
        inside[bool(busy[now])].append((came >= low) & (came <= high))
    for found in inside.values():
        assert np.mean(found) == pytest.approx(0.8, abs=0.13)


def test_only_the_last_weeks_are_looked_at_and_a_silent_group_is_not_guessed(homes, fitted):
    end = 80 * SLOTS
    known, first = homes[:, :end], 15_000 * SLOTS
    whole = fitted.predict(sums(known), known, first)
    late = known[:, -64 * SLOTS :]
    short = fitted.predict(sums(late), late, first + end - 64 * SLOTS)
    np.testing.assert_allclose(whole, short)
    assert np.isfinite(whole).all() and (whole > 0).all()
    silent = known.copy()
    silent[:5, -3:] = np.nan
    found = fitted.predict(sums(silent), silent, first)
    assert np.isnan(found[:, 0]).all() and np.isfinite(found[:, 1]).all()
    assert np.isnan(fitted.predict(sums(known)[:, :200], known[:, :200], first)).all()


def test_too_little_to_learn_from_is_no_forecast(homes, london):
    few = homes[:, : 20 * SLOTS]
    model = FirstHours(Calendar.of(london), GROUPS, HOMES).fit(sums(few), few, 15_000 * SLOTS)
    assert np.isnan(model.predict(sums(homes), homes, 15_000 * SLOTS)).all()


def band(low: float, middle: float, high: float, steps: int) -> np.ndarray:
    found = np.empty((len(LEVELS) + 1, 1, steps))
    found[:, 0] = np.array([low, middle, high, middle])[:, None]
    return found


def test_a_meter_that_always_reads_one_value_is_inside_its_band_four_times_in_five():
    half_hours = np.arange(700_000, 700_000 + 60 * SLOTS)
    for value in (0.0, 4.0):
        found = band(value, value, value + 3.0, len(half_hours))
        leave_out_steady(found, np.full((28 * SLOTS, 1), value), half_hours)
        inside = (found[0, 0] <= value) & (found[2, 0] >= value)
        assert np.mean(inside) == pytest.approx(0.8, abs=0.01)
        assert (np.diff(found[: len(LEVELS), 0], axis=0) >= 0).all()
        assert np.abs(found[MEDIAN, 0] - value).max() <= 0.5
        each_day = inside.reshape(60, SLOTS).mean(axis=1)
        assert each_day.min() > 0.7 and each_day.max() < 0.9


def test_bands_of_other_meters_stay_as_they_are():
    half_hours = np.arange(700_000, 700_000 + SLOTS)
    readings = np.where(np.arange(28 * SLOTS) % 3 == 0, 400.0, 0.0)[:, None]
    found = band(0.0, 0.0, 410.0, SLOTS)
    leave_out_steady(found, readings, half_hours)
    np.testing.assert_array_equal(found, band(0.0, 0.0, 410.0, SLOTS))
    silent = np.full((28 * SLOTS, 1), np.nan)
    leave_out_steady(found, silent, half_hours)
    np.testing.assert_array_equal(found, band(0.0, 0.0, 410.0, SLOTS))
