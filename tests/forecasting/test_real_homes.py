"""Scores on the demonstration's real homes, against the naive of a week before.

The protocol is that of the estate's definitions: pooled, weekly naive 336 half-hours
earlier else 672, missing actuals left out. Origins fall on every hour of the day.
"""

import numpy as np
import pandas as pd
import pytest

from forecasting.block import sum_forecasts, summed_history
from forecasting.calendar import Calendar
from forecasting.interface import LEVELS, Horizon
from forecasting.load import load_model

ORIGINS = [pd.Timestamp("2023-02-01", tz="UTC") + pd.Timedelta(hours=43 * k) for k in range(40)]
STEPS = 48


@pytest.fixture(scope="module")
def scored(consumption, london, holidays):
    """Actuals, naives and forecasts at all origins: dict of (origins, homes, steps)."""
    naive = consumption.shift(336).fillna(consumption.shift(672))
    model = load_model(Calendar.of(london, holidays))
    of_block = load_model(Calendar.of(london, holidays))
    summed = summed_history(consumption.iloc[:, :20], "A")
    out: dict[str, list] = {key: [] for key in ("actual", "naive", "q", "mean", "total")}
    for origin in ORIGINS:
        span = pd.date_range(origin, periods=STEPS, freq="30min")
        at = origin.to_pydatetime()
        horizon = Horizon(at, at, STEPS)
        made = model.fit(consumption.loc[: span[-1]], at).predict(horizon)
        whole = of_block.fit(summed.loc[: span[-1]], at).predict(horizon)[0]
        out["actual"].append(consumption.loc[span].to_numpy().T)
        out["naive"].append(naive.loc[span].to_numpy().T)
        out["q"].append([[f.quantile(level) for level in LEVELS] for f in made])
        out["mean"].append([f.mean for f in made])
        total = sum_forecasts(made[:20], "A", whole=whole)
        out["total"].append([total.quantile(level) for level in LEVELS])
    return {key: np.array(value) for key, value in out.items()}


def test_medians_beat_the_weekly_naive_and_the_first_steps_beat_it_by_more(scored):
    middle = scored["q"][:, :, 1]
    good = np.isfinite(scored["actual"]) & np.isfinite(scored["naive"])

    def ratio(steps: slice) -> float:
        counted = good[:, :, steps]
        own = np.abs(middle - scored["actual"])[:, :, steps][counted].sum()
        return float(own / np.abs(scored["naive"] - scored["actual"])[:, :, steps][counted].sum())

    print(f"mae_ratio homes {ratio(slice(None)):.3f}, first step {ratio(slice(1)):.3f}")
    assert ratio(slice(None)) < 0.80
    assert ratio(slice(1)) < ratio(slice(None))


def test_the_bands_of_homes_and_of_a_block_hold_what_they_promise(scored):
    actual = scored["actual"]
    good = np.isfinite(actual)
    within = (actual >= scored["q"][:, :, 0]) & (actual <= scored["q"][:, :, 2])
    by_home = [within[:, home][good[:, home]].mean() for home in range(actual.shape[1])]
    total = actual[:, :20].sum(axis=1)
    whole = np.isfinite(total)
    of_block = (total >= scored["total"][:, 0]) & (total <= scored["total"][:, 2])
    print(
        f"coverage_80 homes {within[good].mean():.3f} ({min(by_home):.2f} to {max(by_home):.2f}), "
        f"block of 20 {of_block[whole].mean():.3f}"
    )
    assert 0.70 < within[good].mean() < 0.90
    assert min(by_home) > 0.60 and max(by_home) < 0.95
    assert 0.70 < of_block[whole].mean() < 0.90


def test_a_block_beats_its_own_naive_and_means_keep_the_energy(scored):
    actual, naive = scored["actual"][:, :20].sum(axis=1), scored["naive"][:, :20].sum(axis=1)
    good = np.isfinite(actual) & np.isfinite(naive)
    own = np.abs(scored["total"][:, 1] - actual)[good].sum()
    ratio = own / np.abs(naive - actual)[good].sum()
    known = np.isfinite(scored["actual"])
    bias = (scored["mean"] - scored["actual"])[known].sum() / scored["actual"][known].sum()
    print(f"mae_ratio block of 20 {ratio:.3f}, energy of the means {100 * bias:+.1f} %")
    assert ratio < 0.95
    assert abs(bias) < 0.06
