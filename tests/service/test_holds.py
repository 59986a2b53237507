"""Operators take homes out of Hearth's hands: at once, with a reason, undoable, without control."""

from __future__ import annotations

import asyncio
from datetime import timedelta

import pytest

from ems.domain.errors import InvalidInputError
from ems.domain.holds import HoldKind
from ems.domain.wishes import WishKind
from ems.service.guard import Guard
from ems.service.holds import Holds
from ems.service.wishes import ALL

PUMP = "A-07-hp"


def hold(bench, scope, **more):
    return bench.charge.holds.make(
        HoldKind.HAND_BACK,
        scope,
        bench.now,
        **({"reason": "engineer on site", "by": "olive"} | more),
    )


@pytest.mark.parametrize(("scope", "freed"), [("A-07", {"A-07-hp"}), ("A", 21), ("estate", 42)])
def test_what_is_handed_back_is_released_at_the_next_dispatch_and_told_nothing(
    bench, scope, freed
) -> None:
    all_told = set(bench.dispatch())
    hold(bench, scope)
    told = set(bench.dispatch())
    gone = all_told - told
    assert gone == freed or len(gone) == freed
    assert not gone & {point.device_id for point in bench.commanded()}
    home = bench.estate.dwelling("A-07")
    assert bench.shows(PUMP) == home.comfort.highest_c
    assert bench.charge.wishes(bench.now)["A-07"].kind is WishKind.OPT_OUT
    bench.touch(PUMP, 17.0)
    bench.dispatch(3)
    assert bench.shows(PUMP) == 17.0


def test_a_lifted_hold_gives_control_back(bench) -> None:
    bench.dispatch()
    made = hold(bench, "A-07")
    bench.dispatch()
    bench.restart()
    assert PUMP not in bench.dispatch(), "a hold survives a restart"
    bench.charge.holds.lift(made.id, bench.now, by="oscar")
    assert PUMP in bench.dispatch()
    (kept,) = bench.charge.holds.all()
    assert (kept.by, kept.lifted_by) == ("olive", "oscar")
    with pytest.raises(InvalidInputError, match="no such hold"):
        bench.charge.holds.lift(made.id, bench.now, by="oscar")


def test_a_hold_ends_by_itself(bench) -> None:
    bench.dispatch()
    hold(bench, "A", until=bench.now + timedelta(minutes=3))
    assert PUMP not in bench.dispatch()
    assert PUMP in bench.dispatch(3)


def test_a_battery_is_handed_back_with_its_block_and_no_longer_planned(bench) -> None:
    bench.dispatch()
    block = bench.estate.block("A")
    assert bench.charge.block(block, bench.now).battery is not None
    hold(bench, "A")
    assert bench.charge.block(block, bench.now).battery is None
    assert "A-battery" not in bench.dispatch()


def test_homes_held_from_events_are_out_of_every_event_but_still_planned(bench) -> None:
    bench.charge.holds.make(
        HoldKind.NO_EVENTS, "B", bench.now, reason="lift is being serviced", by="olive"
    )
    out = bench.charge.opted_out(bench.now)
    assert set(out) == {home.id for home in bench.estate.block("B").dwellings}
    assert set(out.values()) == {ALL}
    assert bench.charge.wishes(bench.now) == {}


def test_the_guard_hands_back_what_is_held_when_control_is_dead(bench) -> None:
    bench.dispatch()
    held_at = bench.now
    hold(bench, "A-07")
    holds = Holds(bench.estate, bench.store)
    guard = Guard(bench.estate.control, bench.bus, bench.store, handed_back=holds.handed_back_since)
    rounds = 0
    while any(point.device_id == PUMP for point in bench.commanded()):
        bench.now += timedelta(seconds=bench.estate.control.guard_period_s)
        asyncio.run(guard.run(bench.now))
        rounds += 1
        assert rounds < 20
    assert bench.now - held_at <= timedelta(seconds=150)
    assert bench.shows(PUMP) == bench.estate.dwelling("A-07").comfort.highest_c
    assert len(bench.commanded()) == 41, "nobody else was touched"


@pytest.mark.parametrize(
    ("changes", "problem"),
    [
        ({"scope": "C"}, "no such home or block"),
        ({"scope": "A", "reason": " "}, "needs a reason"),
        ({"scope": "A", "until": timedelta(minutes=-1)}, "later than now"),
    ],
)
def test_holds_that_make_no_sense_are_refused(bench, changes, problem) -> None:
    if "until" in changes:
        changes = {**changes, "until": bench.now + changes["until"]}
    with pytest.raises(InvalidInputError, match=problem):
        hold(bench, **changes)
    assert bench.charge.holds.all() == []
