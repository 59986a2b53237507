"""A week's ledger as planned: whoever bore most bears less once burdens are weighed."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path

import pytest

from ems.demo.fairness_plans import PlannedMonth, planned_month
from ems.domain.estate import Estate
from ems.flex.fairness import evenness, largest_share
from ems.settings import load_estate

DEMO = Path(__file__).parents[2] / "config/demo/estate.yaml"
START = datetime(2022, 12, 9, tzinfo=UTC)
"""A frosty week."""


def week(strength: float) -> PlannedMonth:
    """Five events on block A, by its homes alone."""
    estate: Estate = load_estate(DEMO)
    one = replace(estate, blocks=estate.blocks[:1])
    return planned_month(one, START, days=6, events=5, strength=strength)


@pytest.fixture(scope="module")
def unweighed() -> PlannedMonth:
    return week(0.0)


@pytest.fixture(scope="module")
def weighed() -> PlannedMonth:
    return week(1.0)


def test_weighing_spreads_the_burden_and_keeps_the_promises(
    unweighed: PlannedMonth, weighed: PlannedMonth
) -> None:
    assert unweighed.ledger.events == weighed.ledger.events == 5
    assert unweighed.ledger.burden_kh > 5.0
    assert largest_share(weighed.ledger) < 0.9 * largest_share(unweighed.ledger)
    assert evenness(weighed.ledger) < evenness(unweighed.ledger)
    assert weighed.promised_kwh == pytest.approx(unweighed.promised_kwh)
    assert weighed.missed_kwh <= unweighed.missed_kwh + 0.5


def test_the_ledger_of_a_week_adds_up(unweighed: PlannedMonth) -> None:
    month = unweighed.ledger
    assert sum(home.fair_kh for home in month.homes) == pytest.approx(month.burden_kh)
    assert all(home.unknown == 0 for home in month.homes)
    assert all(home.payment_gbp > 0 for home in month.homes)
