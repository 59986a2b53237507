"""The resident is in charge: what was asked for reaches the device at the next dispatch."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime, timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ems.domain.errors import InvalidInputError
from ems.domain.estate import Estate
from ems.domain.events import Direction, EventState, FlexEvent, FlexRequest
from ems.domain.setpoints import Cause
from ems.domain.thermal import ThermalEstimate
from ems.domain.wishes import (
    ALL_EVENTS,
    ALL_PLANNING,
    Asked,
    Asking,
    ChosenPeriod,
    WishKind,
)
from ems.service.asking import BelowFloorError
from ems.service.wishes import ALL, warm_up_s, wish_of

HOME = "A-07"
PUMP = "A-07-hp"
NOW = datetime(2022, 12, 27, 15, 0, tzinfo=UTC)
DAY = (ChosenPeriod(0, 18.0), ChosenPeriod(7 * 60, 20.0), ChosenPeriod(22 * 60, 18.0))


def event(home_block: str, start: datetime, hours: float, **changes: object) -> FlexEvent:
    request = FlexRequest(
        home_block, Direction.DOWN, 20e3, start, start + timedelta(hours=hours), "operator"
    )
    fields: dict[str, object] = {
        "id": "e1",
        "request": request,
        "state": EventState.RUNNING,
        "accepted_w": 20e3,
        "reason": "",
        "received_at": start - timedelta(hours=3),
    }
    return FlexEvent(**(fields | changes))  # type: ignore[arg-type]  # fields by name


def test_warmer_now_reaches_the_heat_pump_at_the_next_dispatch_and_ends_by_itself(bench) -> None:
    home = bench.estate.dwelling(HOME)
    before = bench.dispatch()[PUMP].setpoint
    asked = bench.desk.warmer(home, bench.now, by="tess", hours=1, temperature_c=22.5)
    told = bench.dispatch()[PUMP]
    assert told.setpoint.cause is Cause.RESIDENT
    assert bench.shows(PUMP) == 22.5
    assert asked.until == asked.since + timedelta(hours=1)
    after = bench.dispatch(61)[PUMP].setpoint
    assert after.cause is before.cause
    assert bench.shows(PUMP) == before.value


def test_what_was_asked_can_be_taken_back_and_is_kept_with_who_and_when(bench) -> None:
    home = bench.estate.dwelling(HOME)
    before = bench.dispatch()[PUMP].setpoint
    asked = bench.desk.warmer(home, bench.now, by="tess", hours=4)
    bench.dispatch()
    assert bench.shows(PUMP) > before.value
    bench.desk.undo(home, bench.now, by="olive", asked_id=asked.id)
    bench.dispatch()
    assert bench.shows(PUMP) == before.value
    kept = bench.store.kept(Asked, asked.id).record
    assert (kept.by, kept.ended_by, kept.ended_at) == (
        "tess",
        "olive",
        bench.now - timedelta(minutes=1),
    )
    with pytest.raises(InvalidInputError, match="not in force"):
        bench.desk.undo(home, bench.now, by="tess", asked_id=asked.id)


def test_a_neighbour_cannot_take_it_back(bench) -> None:
    asked = bench.desk.warmer(bench.estate.dwelling(HOME), bench.now, by="tess", hours=2)
    with pytest.raises(InvalidInputError, match="not in force"):
        bench.desk.undo(bench.estate.dwelling("A-08"), bench.now, by="bob", asked_id=asked.id)


def test_an_empty_home_is_kept_cool_and_warms_up_in_time(bench) -> None:
    home = bench.estate.dwelling(HOME)
    bench.dispatch()
    until = bench.now + timedelta(days=3)
    bench.desk.away(home, bench.now, by="tess", until=until)
    bench.dispatch()
    assert bench.shows(PUMP) == 14.0
    near = bench.charge.wishes(until - timedelta(minutes=30))[HOME]
    assert near.kind is WishKind.ROOM
    assert near.temperature_c == home.comfort.temperature_at(until, bench.estate.zone)
    assert HOME not in bench.charge.wishes(until)


def test_a_chosen_schedule_is_kept_even_under_the_floor_once_confirmed(bench) -> None:
    home = bench.estate.dwelling(HOME)
    cool = (ChosenPeriod(0, 16.0), ChosenPeriod(7 * 60, 17.0), ChosenPeriod(18 * 60, 21.0))
    with pytest.raises(BelowFloorError, match="harm your health"):
        bench.desk.schedule(home, bench.now, by="tess", weekday=cool, weekend=cool)
    bench.desk.schedule(home, bench.now, by="tess", weekday=cool, weekend=cool, below_floor=True)
    record = bench.dispatch()[PUMP]
    assert (record.setpoint.cause, bench.shows(PUMP)) == (Cause.RESIDENT, 17.0)
    assert record.setpoint.release_value == 21.0
    bench.dispatch((18 - 15) * 60)
    assert bench.shows(PUMP) >= 21.0
    chosen = bench.charge.residents.home(home, bench.now)
    assert chosen.comfort.highest_c == 21.0


def test_opting_out_ends_control_at_once(bench) -> None:
    home = bench.estate.dwelling(HOME)
    bench.desk.opt_out(home, bench.now, by="tess", event=ALL_PLANNING)
    record = bench.dispatch()[PUMP]
    assert record.setpoint.cause is Cause.RESIDENT
    assert bench.charge.opted_out(bench.now) == {HOME: ALL}


@pytest.mark.parametrize("named", ["e1", ALL_EVENTS])
def test_opting_out_of_an_event_counts_before_and_while_it_runs(bench, named) -> None:
    home = bench.estate.dwelling(HOME)
    start = bench.now + timedelta(hours=2)
    ahead = event("A", start, 2, state=EventState.ACCEPTED)
    bench.store.keep(ahead, key="e1", subject="A", at=bench.now)
    bench.desk.opt_out(home, bench.now, by="tess", event=named)
    assert bench.charge.opted_out(bench.now)[HOME] in (ALL, frozenset({"e1"}))
    assert HOME not in bench.charge.wishes(bench.now)
    during = bench.charge.wishes(start + timedelta(minutes=1))
    assert during[HOME].kind is WishKind.OPT_OUT
    assert HOME not in bench.charge.wishes(start + timedelta(hours=2))


def test_nobody_opts_out_of_an_event_that_is_not_theirs(bench) -> None:
    other = event("B", bench.now, 2)
    bench.store.keep(other, key="e1", subject="B", at=bench.now)
    for named in ("e1", "no-such"):
        with pytest.raises(InvalidInputError, match="no such event"):
            bench.desk.opt_out(bench.estate.dwelling(HOME), bench.now, by="tess", event=named)


@pytest.mark.parametrize(
    ("asking", "problem"),
    [
        (lambda desk, home, now: desk.warmer(home, now, by="t", hours=9), "1 to 4 hours"),
        (lambda desk, home, now: desk.warmer(home, now, by="t", hours=float("nan")), "1 to 4"),
        (
            lambda desk, home, now: desk.warmer(home, now, by="t", hours=1, temperature_c=40),
            "18 to 25",
        ),
        (lambda desk, home, now: desk.away(home, now, by="t", until=now), "1 hour to 90 days"),
        (
            lambda desk, home, now: desk.schedule(
                home, now, by="t", weekday=DAY, weekend=(ChosenPeriod(60, 20.0),)
            ),
            "start at 00:00",
        ),
        (
            lambda desk, home, now: desk.schedule(
                home, now, by="t", weekday=DAY, weekend=(ChosenPeriod(0, 5.0),), below_floor=True
            ),
            "12 to 25",
        ),
    ],
)
def test_what_makes_no_sense_is_refused_with_a_remedy(bench, asking, problem) -> None:
    with pytest.raises(InvalidInputError, match=problem) as caught:
        asking(bench.desk, bench.estate.dwelling(HOME), bench.now)
    assert caught.value.remedy
    assert bench.store.all_kept(Asked) == []


def test_a_wish_survives_a_restart(bench) -> None:
    bench.dispatch()
    bench.desk.warmer(bench.estate.dwelling(HOME), bench.now, by="tess", hours=2, temperature_c=23)
    bench.restart()
    bench.dispatch()
    assert bench.shows(PUMP) == 23.0


asked_for = st.builds(
    Asked,
    id=st.uuids().map(str),
    dwelling_id=st.just(HOME),
    asking=st.sampled_from([Asking.WARMER, Asking.AWAY, Asking.DEVICE, Asking.OPT_OUT]),
    by=st.just("tess"),
    since=st.integers(-600, 600).map(lambda minutes: NOW + timedelta(minutes=minutes)),
    until=st.none() | st.integers(-600, 6000).map(lambda minutes: NOW + timedelta(minutes=minutes)),
    temperature_c=st.floats(12, 25),
    event=st.sampled_from([ALL_EVENTS, ALL_PLANNING, "e1"]),
)


@given(st.lists(asked_for, max_size=8), st.booleans())
def test_the_latest_word_on_warmth_counts_before_any_opt_out(
    estate: Estate, asked: list[Asked], running: bool
) -> None:
    home = estate.dwelling(HOME)
    events = [event("A", NOW - timedelta(hours=1), 2)] if running else []
    wish = wish_of(home, asked, NOW, estate.zone, events=events)
    held = [one for one in asked if one.holds_at(NOW)]
    warmth = [one for one in held if one.asking is not Asking.OPT_OUT]
    if warmth:
        last = max(warmth, key=lambda one: (one.since, one.id))
        assert wish is not None
        assert wish.holds_at(NOW)
        if last.asking is not Asking.AWAY:
            assert (wish.kind, wish.temperature_c) == (WishKind.ROOM, last.temperature_c)
    elif any(one.event == ALL_PLANNING or running for one in held):
        assert wish is not None
        assert wish.kind is WishKind.OPT_OUT
    else:
        assert wish is None


@given(
    loss=st.floats(50, 300),
    capacity=st.floats(5e6, 5e7),
    rated_w=st.floats(4000, 12000),
    away_h=st.floats(1, 500),
    back_c=st.floats(17, 22),
)
def test_a_home_that_starts_in_time_is_warm_at_the_return(
    loss: float, capacity: float, rated_w: float, away_h: float, back_c: float
) -> None:
    estimate = ThermalEstimate(HOME, loss, 10.0, capacity, 1e6, 2.0, 0.0)
    lead_s = warm_up_s(
        estimate, rated_w, away_c=14.0, left_at_c=20.0, back_c=back_c, away_s=away_h * 3600
    )
    assert 3600 <= lead_s <= 86400
    # The coldest the room can be at the start of heating, then an hour's steps to the return.
    outdoor_c, room_c = -2.0, 20.0
    for _ in range(int(max(away_h * 3600 - lead_s, 0) // 60)):
        heat_w = loss * (14.0 - outdoor_c) if room_c <= 14.0 else 0.0
        room_c += 60 * (heat_w - loss * (room_c - outdoor_c)) / capacity
    for _ in range(int(min(lead_s, away_h * 3600) // 60)):
        heat_w = 0.8 * rated_w if room_c < back_c else loss * (room_c - outdoor_c)
        room_c += 60 * (heat_w - loss * (room_c - outdoor_c)) / capacity
    strong = outdoor_c + 0.8 * rated_w / loss > back_c
    if strong and lead_s < min(86400, away_h * 3600):
        assert room_c > back_c - 0.3


def test_without_a_model_a_home_starts_a_day_ahead() -> None:
    lead_s = warm_up_s(None, 6000, away_c=14, left_at_c=20, back_c=20, away_s=1e6)
    assert lead_s == 86400


def test_the_schedule_tells_when_it_changes_next(estate: Estate) -> None:
    comfort = estate.dwelling(HOME).comfort
    change = comfort.next_change(NOW, estate.zone)
    assert change is not None
    before, after = change - timedelta(seconds=1), change
    asked = [comfort.temperature_at(at, estate.zone) for at in (NOW, before, after)]
    assert asked[0] == asked[1] != asked[2]
    flat = replace(comfort, weekday=comfort.weekday[:1], weekend=comfort.weekday[:1])
    assert flat.next_change(NOW, estate.zone) is None
