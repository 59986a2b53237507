"""Keeping a promise minute by minute: what the battery does, and what homes must give."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from controllers.events import Target
from controllers.keeping import keeping
from ems.domain.events import Direction, EventState, FlexEvent, FlexRequest, Undisturbed
from ems.domain.points import PointId
from ems.domain.readings import Reading, Snapshot
from ems.settings import load_estate

START = datetime(2023, 12, 5, 17, tzinfo=UTC)
NOW = START + timedelta(minutes=40)
END = START + timedelta(hours=2)
SLOTS = 8
BLOCK = load_estate(Path(__file__).parents[2] / "config/demo/estate.yaml").block("B")
HOMES = frozenset(home.id for home in BLOCK.dwellings)
LOW_W, HIGH_W = 6e3, 14e3
"""What the heat pumps draw at least and at most where no event is."""


def an_event(promised_w=8e3, direction=Direction.DOWN, *, battery=True):
    return FlexEvent(
        id="event",
        request=FlexRequest("B", direction, promised_w, START, END, "operator"),
        state=EventState.RUNNING,
        accepted_w=promised_w,
        reason="",
        received_at=START,
        reference_w=(30e3,) * 4,
        participants=tuple(sorted(HOMES)),
        battery_takes_part=battery,
    )


def before(battery_w=-2e3):
    def row(value):
        return (value,) * SLOTS

    return Undisturbed(
        "event",
        START,
        START,
        row(10e3),
        row(battery_w),
        row(3e4),
        row(LOW_W),
        row(HIGH_W),
        len(HOMES),
    )


def target(event, margin_w=2e3, *, known=None, homes=HOMES, limit_w=None):
    known = before() if known is None else known
    return Target(event, homes, homes, event.accepted_w, margin_w, limit_w, known)


def seen(pumps_w=10e3, soc_pct=80.0, *, silent=0):
    """What the meters say, every home drawing the same; so many cannot be read."""
    values = {}
    for home in BLOCK.dwellings[silent:]:
        values[home.heat_pump.power_device_id, "power_w"] = pumps_w / len(HOMES)
        if home.meter.device_id != home.heat_pump.power_device_id:
            values[home.meter.device_id, "power_w"] = pumps_w / len(HOMES) + 300.0
    if soc_pct is not None:
        values[BLOCK.battery.device_id, "soc_pct"] = soc_pct
    readings = {PointId(*at): Reading(PointId(*at), NOW, value) for at, value in values.items()}
    return Snapshot(NOW, readings)


def battery_w(*targets, snapshot=None):
    (kept,) = keeping(BLOCK, targets, snapshot or seen(), NOW)
    return kept.ask.battery_w


def test_the_battery_gives_promise_and_margin_beyond_what_it_would_have_done() -> None:
    assert battery_w(target(an_event())) == pytest.approx(-2e3 - 8e3 - 2e3)


def test_what_homes_give_for_certain_spares_the_battery() -> None:
    resting = seen(pumps_w=LOW_W - 3e3)
    assert battery_w(target(an_event()), snapshot=resting) == pytest.approx(-12e3 + 3e3)
    # Within what they may draw anyway nothing is told apart.
    assert battery_w(target(an_event()), snapshot=seen(LOW_W + 1)) == pytest.approx(-12e3)


def test_homes_that_give_more_than_is_asked_do_not_turn_the_battery_round() -> None:
    event = an_event(promised_w=2e3)
    assert battery_w(target(event), snapshot=seen(pumps_w=0.0)) == pytest.approx(-2e3)


def test_a_turn_up_is_the_batterys_whatever_homes_draw() -> None:
    up = target(an_event(direction=Direction.UP))
    for pumps_w in (0.0, HIGH_W, HIGH_W + 9e3):
        assert battery_w(up, snapshot=seen(pumps_w, 30.0)) == pytest.approx(-2e3 + 10e3)


def test_homes_that_cannot_be_read_count_like_the_others_unless_they_are_many() -> None:
    event = target(an_event())
    few, many = seen(3e3, silent=3), seen(3e3, silent=8)
    assert battery_w(event, snapshot=few) == pytest.approx(-12e3 + 3e3)
    assert battery_w(event, snapshot=many) == pytest.approx(-12e3)


def test_homes_that_dropped_out_since_the_plan_are_not_taken_for_resting() -> None:
    fewer = frozenset(sorted(HOMES)[:10])
    half = seen(pumps_w=LOW_W)  # ten of twenty draw half of the least
    assert battery_w(target(an_event(), homes=fewer), snapshot=half) == pytest.approx(-12e3)


def test_the_margin_gives_way_before_the_promise() -> None:
    """80 minutes of 10 kW and 2 kW of margin want 16 kWh; there are 14.7."""
    left_kwh = 14.7
    soc_pct = 10 + left_kwh / 0.95 / 40 * 100
    (kept,) = keeping(BLOCK, [target(an_event())], seen(soc_pct=soc_pct), NOW)
    assert kept.ask.battery_w == pytest.approx(-left_kwh * 1e3 / (80 / 60), rel=1e-3)
    assert kept.missing_w == 0.0


def test_homes_must_give_what_the_battery_cannot() -> None:
    left_kwh = 8.0
    soc_pct = 10 + left_kwh / 0.95 / 40 * 100
    (kept,) = keeping(BLOCK, [target(an_event())], seen(soc_pct=soc_pct), NOW)
    assert kept.missing_w == pytest.approx(10e3 - left_kwh * 1e3 / (80 / 60), rel=1e-3)


def test_promises_that_overlap_add_up_with_one_margin() -> None:
    assert battery_w(
        target(an_event(5e3)), target(replace(an_event(3e3), id="another"), margin_w=1e3)
    ) == pytest.approx(-2e3 - 8e3 - 2e3)


def test_without_a_battery_homes_must_give_all_that_they_do_not_give_yet() -> None:
    alone = target(an_event(battery=False))
    (kept,) = keeping(BLOCK, [alone], seen(pumps_w=LOW_W - 3e3), NOW)
    assert kept.ask is None
    assert kept.missing_w == pytest.approx(5e3)


def test_without_a_plan_from_before_the_reference_is_kept() -> None:
    blind = replace(target(an_event(), limit_w=20e3), before=None)
    imported_w = 10e3 + 300.0 * len(HOMES)
    assert battery_w(blind) == pytest.approx(20e3 - imported_w)
    raised = replace(target(an_event(direction=Direction.UP), limit_w=40e3), before=None)
    assert battery_w(raised) == pytest.approx(40e3 - imported_w)
    for one, sign in ((blind, -1.0), (raised, 1.0)):
        (kept,) = keeping(BLOCK, [one], seen(), NOW)
        change_w = kept.ask.battery_w - kept.ask.without_w
        assert change_w == pytest.approx(sign * 10e3), "the promise and the margin, no more"


@given(
    promised=st.floats(2e3, 20e3),
    margin=st.floats(0, 5e3),
    without=st.floats(-10e3, 10e3),
    pumps=st.floats(0, 30e3),
    soc=st.floats(0, 100),
    direction=st.sampled_from(list(Direction)),
)
def test_homes_and_battery_never_aim_beyond_promise_and_margin(
    promised, margin, without, pumps, soc, direction
) -> None:
    known = before(battery_w=without)
    event = an_event(promised, direction)
    (kept,) = keeping(BLOCK, [target(event, margin, known=known)], seen(pumps, soc), NOW)
    change = kept.ask.battery_w - without
    toward = -change if direction is Direction.DOWN else change
    assert -1e-6 <= toward <= promised + margin + 1e-6
    certain = max(LOW_W - pumps, 0.0) if direction is Direction.DOWN else 0.0
    assert toward + certain >= promised - 1e-6
