"""A tenant is credited for heating ahead that saves the landlord, once, and nobody else is."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path

import numpy as np
import pytest

from ems.domain.credits import TenantCredit, credit_rate_gbp_per_kwh
from ems.domain.estate import Dwelling
from ems.domain.plans import HomePlan, Schedule
from ems.domain.points import PointId
from ems.domain.ports import Store
from ems.domain.readings import Rollup
from ems.domain.reasons import Course
from ems.domain.setpoints import Cause
from ems.service.crediting import Crediting
from ems.settings import load_estate
from ems.store import open_store

ESTATE = load_estate(Path(__file__).resolve().parents[2] / "config" / "demo" / "estate.yaml")
NOON = datetime(2023, 12, 1, 12, tzinfo=UTC)
HALF = timedelta(minutes=30)


@pytest.fixture
def store(tmp_path: Path) -> Iterator[Store]:
    with open_store(tmp_path / "store.sqlite") as opened:
        yield opened


def planned(dwelling_id: str, cause: Cause, heat_w: float) -> HomePlan:
    steps = np.full(4, heat_w)
    ahead = heat_w > 0 and cause is Cause.CHEAP_NOW
    course = Course.AHEAD if ahead else Course.AS_ASKED
    return HomePlan(
        dwelling_id,
        steps,
        steps / 3,
        steps * 0 + 20,
        (cause,) * 4,
        ("So it is.",) * 4,
        course=(course,) * 4,
    )


def keep_plan(store: Store, block_id: str, *homes: HomePlan) -> None:
    flat = np.zeros(4)
    store.add_schedule(
        Schedule(
            id=f"20231201T120000-{block_id}",
            block_id=block_id,
            issued_at=NOON,
            start=NOON,
            step_s=np.full(4, 1800.0),
            homes=homes,
            battery=None,
            import_w=flat,
            price_gbp_per_kwh=flat,
            objective_gbp=0.0,
            bound_gbp=0.0,
            status="optimal",
        )
    )


def point(home: Dwelling) -> PointId:
    return PointId(home.heat_pump.device_id, "heating_power_w")


def keep_power(store: Store, watts: float) -> None:
    store.add_rollups(
        [
            Rollup(
                PointId(home.heat_pump.device_id, "heating_power_w"),
                start,
                watts,
                watts,
                watts,
                1.0,
            )
            for home in ESTATE.dwellings()
            for start in (NOON, NOON + HALF)
        ]
    )


def test_the_credit_is_a_share_of_a_rate_that_has_nothing_to_gain() -> None:
    solar = credit_rate_gbp_per_kwh(Course.AHEAD, [Cause.SOLAR], [0.16] * 4, 0.25)
    assert solar == pytest.approx(0.04)
    assert credit_rate_gbp_per_kwh(Course.AS_ASKED, [Cause.SCHEDULE], [0.16] * 4, 0.25) == 0.0
    assert credit_rate_gbp_per_kwh(Course.AHEAD, [Cause.EVENT], [0.16] * 4, 0.25) == 0.0
    # A home that saves for itself, or whose rates nobody knows, is owed nothing.
    assert credit_rate_gbp_per_kwh(Course.AHEAD, [Cause.CHEAP_NOW], [0.16, 0.40], 0.25) == 0.0
    assert credit_rate_gbp_per_kwh(Course.AHEAD, [Cause.CHEAP_NOW], [], 0.25) == 0.0


def test_heating_ahead_is_credited_from_the_meter_and_counts_once(store: Store) -> None:
    keep_plan(
        store,
        "A",
        planned("A-01", Cause.CHEAP_NOW, 3000.0),
        planned("A-03", Cause.SCHEDULE, 3000.0),
        planned("A-04", Cause.CHEAP_NOW, 0.0),
    )
    keep_plan(store, "B", planned("B-01", Cause.CHEAP_NOW, 3000.0))
    keep_power(store, 1200.0)
    credits = Crediting(ESTATE, store)
    credits.run(NOON + HALF + timedelta(seconds=20))
    credits.run(NOON + HALF + timedelta(seconds=40))
    assert credits.total_gbp("A-01") == pytest.approx(0.6 * 0.14228 * 0.25)
    # As asked, at rest, and on a tariff of its own that is dear this evening.
    assert [credits.total_gbp(name) for name in ("A-03", "A-04", "B-01")] == [0.0, 0.0, 0.0]
    Crediting(ESTATE, store).run(NOON + 2 * HALF)
    (kept,) = store.all_kept(TenantCredit)
    assert kept.record.ahead_kwh == pytest.approx(1.2)
    assert kept.record.until == NOON + 2 * HALF


def test_without_plan_or_share_nothing_is_credited(store: Store) -> None:
    keep_power(store, 1200.0)
    Crediting(ESTATE, store).run(NOON + HALF)
    keep_plan(store, "A", planned("A-01", Cause.CHEAP_NOW, 3000.0))
    none = replace(ESTATE, control=replace(ESTATE.control, ahead_credit_pct=0.0))
    Crediting(none, store).run(NOON + HALF)
    assert store.all_kept(TenantCredit) == []
