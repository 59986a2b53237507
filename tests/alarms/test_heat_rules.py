"""Which fault is named where a home's heat and temperature do not go together."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime

import pytest

from ems.alarms.heat_rules import balances_judged
from ems.domain.estate import Estate
from ems.domain.thermal import HeatBalance

SINCE = datetime(2023, 12, 5, 9, 30, tzinfo=UTC)
WEAK = {"short_h": 6.0, "short_share": 0.38, "full_share": 0.8}
WELL = HeatBalance("A-07", unexplained_w=40.0, spread_w=60.0, loss_w=2000.0, beside_own_k=0.1)


def judged(estate: Estate, balance: HeatBalance | None, *, still: bool = False, opened=()):
    homes = {"A-07": estate.dwelling("A-07")}
    return balances_judged(
        homes,
        {} if balance is None else {"A-07": balance},
        {"A-07-room": SINCE} if still else {},
        frozenset(opened),
    )


@pytest.mark.parametrize(
    ("change", "key", "says"),
    [
        ({}, None, ""),
        ({"beside_own_k": 2.0}, "room_sensor:A-07", "reads high: 2.0 K more"),
        ({"beside_own_k": -1.5}, "room_sensor:A-07", "reads low: 1.5 K less"),
        ({"unexplained_w": -1200.0}, "heat_lost:A-07", "1,200 W more"),
        ({"unexplained_w": -850.0}, None, ""),
        ({"unexplained_w": -1200.0, "spread_w": 900.0}, None, ""),
        ({"unexplained_w": -600.0, "loss_w": 900.0}, None, ""),
        ({**WEAK}, "heat_pump_weak:A-07", "gave 38% of its rated heat"),
        ({**WEAK, "unexplained_w": -1200.0}, "heat_lost:A-07", "windows"),
        ({**WEAK, "full_share": 1.1}, None, ""),
        ({**WEAK, "short_share": 0.6}, None, ""),
        ({**WEAK, "short_h": 2.0}, None, ""),
        (
            {"unexplained_w": 1200.0, "beside_own_k": None},
            "room_sensor:A-07",
            "warmer than its heat explains",
        ),
        ({"unexplained_w": 1200.0}, None, ""),
    ],
)
def test_the_likeliest_fault_is_named(estate, change, key, says) -> None:
    found = judged(estate, replace(WELL, **change))
    assert [cause.key for cause in found.causes] == ([] if key is None else [key])
    assert {"room_sensor:A-07", "heat_pump_weak:A-07", "heat_lost:A-07"} <= found.judged
    for cause in found.causes:
        assert says in cause.what
        assert cause.homes == ("A-07",) and cause.remedy.endswith(".")


def test_heat_that_is_only_guessed_leaves_the_heat_pump_under_suspicion(estate) -> None:
    lost = replace(WELL, unexplained_w=-1200.0, heat_is_estimated=True)
    (cause,) = judged(estate, lost).causes
    assert "windows may stand open" in cause.what
    assert "gives less than its power says" in cause.what


def test_a_sensor_that_stands_still_explains_everything_else(estate) -> None:
    found = judged(estate, replace(WELL, unexplained_w=-1200.0), still=True)
    (cause,) = found.causes
    assert cause.key == "room_sensor:A-07"
    assert "since 05 Dec 09:30 UTC" in cause.what
    assert "heat_lost:A-07" not in found.judged
    assert judged(estate, None, still=True).causes[0].key == "room_sensor:A-07"


def test_what_is_open_closes_only_well_below_its_bound(estate) -> None:
    fading = replace(WELL, unexplained_w=-700.0)
    assert judged(estate, fading).causes == ()
    assert judged(estate, fading, opened=["heat_lost:A-07"]).causes[0].key == "heat_lost:A-07"
    assert (
        judged(estate, replace(WELL, unexplained_w=-600.0), opened=["heat_lost:A-07"]).causes == ()
    )


def test_a_cold_home_has_one_alarm_and_not_a_second_for_its_weak_heat_pump(estate) -> None:
    weak = replace(WELL, **WEAK)
    assert judged(estate, weak).causes != ()
    assert judged(estate, weak, opened=["home_cold:A-07"]).causes == ()


def test_what_cannot_be_told_is_neither_there_nor_gone(estate) -> None:
    found = judged(estate, HeatBalance("A-07"))
    assert found.causes == ()
    assert found.judged == {"room_sensor:A-07"}  # the sensor moves: that much is known
