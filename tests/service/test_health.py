"""When the estate is well: setpoints on their way are no trouble, failed ones are."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from ems.domain.estate import Estate
from ems.domain.points import PointId
from ems.domain.setpoints import (
    Applied,
    Cause,
    Deferred,
    Outcome,
    Overtaken,
    Setpoint,
    SetpointRecord,
    Unconfirmed,
    Unreachable,
)
from ems.service.health import health
from ems.settings import load_estate
from ems.store import open_store

NOW = datetime(2023, 12, 1, 18, 0, tzinfo=UTC)
DEMO = Path(__file__).parents[2] / "config/demo/estate.yaml"
SETPOINT = Setpoint(
    id="s1",
    point_id=PointId("A-03-hp", "room_setpoint_c"),
    value=20.0,
    issued_at=NOW,
    expires_at=NOW + timedelta(minutes=10),
    cause=Cause.SCHEDULE,
    sentence="Heating to the 20 °C you asked for.",
    release_value=20.5,
)


@pytest.fixture(scope="module")
def estate() -> Estate:
    return load_estate(DEMO)


def complaints(estate: Estate, path: Path, outcomes: list[Outcome], *, on_its_way: bool) -> bool:
    """Whether `/healthz` complains of setpoints after these outcomes, one a minute."""
    with open_store(path / "store.sqlite") as store:
        for minute, outcome in enumerate(outcomes):
            at = NOW + timedelta(minutes=minute)
            told = replace(SETPOINT, id=f"s{minute}", value=19.0 + minute % 3, issued_at=at)
            store.open_commands([told])
            store.add_setpoint_records([SetpointRecord(told, outcome, at)])
        now = NOW + timedelta(minutes=len(outcomes))
        if on_its_way:
            store.open_commands([replace(SETPOINT, id="next", value=22.5, issued_at=now)])
        problems = health(estate, store, now).problems
    return any("not confirmed" in problem for problem in problems)


@pytest.mark.parametrize("on_its_way", [False, True])
def test_an_applied_deferred_or_overtaken_setpoint_is_well(
    estate: Estate, tmp_path: Path, on_its_way: bool
) -> None:
    held = Deferred(19.0, NOW + timedelta(minutes=5))
    for number, outcomes in enumerate(([Applied(19.0, written=True)], [held], [Overtaken(23.5)])):
        folder = tmp_path / str(number)
        folder.mkdir()
        assert not complaints(estate, folder, list(outcomes), on_its_way=on_its_way)


@pytest.mark.parametrize("outcome", [Unconfirmed(17.0), Unreachable("no answer")])
def test_a_setpoint_that_failed_is_named(estate: Estate, tmp_path: Path, outcome: Outcome) -> None:
    assert complaints(estate, tmp_path, [Applied(19.0, written=True), outcome], on_its_way=False)
