"""Fits against what only the simulated field knows: how far off, and do the intervals cover."""

import asyncio
from datetime import timedelta
from pathlib import Path

import numpy as np
import pytest

from ems.cli.field import field_parameters
from ems.demo.history import HistoryMaker, HistorySpan
from ems.service.control import open_weather
from ems.settings import load_estate
from ems.store import open_store
from forecasting.run import estimate_thermal, thermal_points

DEMO = Path(__file__).resolve().parents[2] / "config" / "demo" / "estate.yaml"


@pytest.mark.long
@pytest.mark.timeout(1800)
def test_losses_of_forty_homes_are_near_the_truth_and_their_intervals_cover_it(tmp_path):
    estate, parameters = load_estate(DEMO), field_parameters(DEMO)
    start = estate.starts_at
    with open_store(tmp_path / "past.sqlite") as store:
        maker = HistoryMaker(estate, parameters, store, start, HistorySpan())
        asyncio.run(maker.make(lambda _share: None))
        truth = maker.simulation.traits.loss_w_per_k
        since = start - timedelta(days=28)
        sky = open_weather(estate).observed(since, start)
        found = []
        for home, loss in zip(estate.dwellings(), truth, strict=True):
            rollups = store.rollups(thermal_points(home), since, start)
            prior = estate.thermal_priors[home.epc_band]
            estimate = estimate_thermal(home, prior, rollups, start, sky)
            if estimate.source == "fit":
                found.append((estimate.loss_w_per_k / loss, estimate.loss_sd / loss))
    ratio, spread = np.array(found).T
    off = np.sqrt(np.mean((ratio - 1.0) ** 2))
    covered = float(np.mean(np.abs(ratio - 1.0) <= 2.0 * spread))
    print(
        f"{len(ratio)} fits, median {np.median(ratio):.2f}, off by {off:.2f}, covered {covered:.2f}"
    )
    assert len(ratio) >= 30
    assert 0.82 < np.median(ratio) < 1.1
    assert off < 0.18
    assert covered >= 0.9
