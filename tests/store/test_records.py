"""Forecasts, plans, setpoints and notes come back as they were kept, field by field."""

import math
import sqlite3
from dataclasses import fields, is_dataclass, replace
from datetime import UTC, datetime, timedelta

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays

from ems.domain.errors import InvalidInputError
from ems.domain.forecasts import Forecast
from ems.domain.plans import BatteryPlan, GaveWay, HomePlan, Schedule
from ems.domain.points import PointId
from ems.domain.ports import Heartbeat, LogEntry
from ems.domain.setpoints import (
    Applied,
    Cause,
    Deferred,
    NotWritten,
    Outcome,
    OutOfBounds,
    Overtaken,
    Rejected,
    Setpoint,
    SetpointRecord,
    Unconfirmed,
    Unreachable,
)
from ems.domain.thermal import ThermalEstimate
from ems.store import open_store

START = datetime(2023, 1, 5, tzinfo=UTC)
HOUR = timedelta(hours=1)
PUMP = PointId("A-01-hp", "room_setpoint_c")

instants = st.integers(-(10**15), 4 * 10**15).map(
    lambda microseconds: START + timedelta(microseconds=microseconds)
)
texts = st.text(st.characters(exclude_categories=["Cs"]), max_size=20)
names = st.sampled_from(["A", "B", "A-01", "x"])
numbers = st.floats()
finite = st.floats(allow_nan=False, allow_infinity=False)
series = arrays(np.float64, st.integers(0, 50), elements=st.floats())
causes = st.lists(st.sampled_from(Cause), max_size=5).map(tuple)
sentences = st.lists(texts, max_size=5).map(tuple)

forecasts = st.builds(
    Forecast,
    target=names,
    subject=names,
    issued_at=instants,
    start=instants,
    step_s=st.integers(1, 86400),
    mean=series,
    quantiles=st.dictionaries(st.floats(0, 1), series, max_size=4),
    lacked=sentences,
    model=texts,
)
homes = st.builds(
    HomePlan,
    dwelling_id=names,
    heat_w=series,
    power_w=series,
    room_c=series,
    cause=causes,
    sentence=sentences,
    heat_value_gbp_per_kwh=st.none() | series,
)
batteries = st.builds(
    BatteryPlan, power_w=series, energy_wh=series, cause=causes, sentence=sentences
)
schedules = st.builds(
    Schedule,
    id=texts,
    block_id=names,
    issued_at=instants,
    start=instants,
    step_s=series,
    homes=st.lists(homes, max_size=3).map(tuple),
    battery=st.none() | batteries,
    import_w=series,
    price_gbp_per_kwh=series,
    objective_gbp=numbers,
    bound_gbp=numbers,
    status=texts,
    gave_way=st.lists(st.builds(GaveWay, texts, texts, numbers, texts), max_size=2).map(tuple),
    solve_s=numbers,
    lacked=sentences,
)
setpoints = st.builds(
    Setpoint,
    id=texts,
    point_id=st.builds(PointId, names, texts),
    value=finite,
    issued_at=instants,
    expires_at=instants,
    cause=st.sampled_from(Cause),
    sentence=texts,
    release_value=finite,
    plan_id=texts,
)
outcomes = st.one_of(
    st.builds(Applied, numbers, st.booleans()),
    st.builds(OutOfBounds, numbers, numbers),
    st.builds(Rejected, st.integers(0, 255), texts),
    st.builds(Unreachable, texts),
    st.builds(Unconfirmed, numbers),
    st.builds(Deferred, numbers, instants),
    st.builds(Overtaken, numbers),
    st.builds(NotWritten, texts),
)
records = st.builds(SetpointRecord, setpoints, outcomes, instants)
several = settings(
    max_examples=settings().max_examples // 2,
    suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow],
)


def same(kept, back) -> bool:
    """Whether two values are equal in every field and bit, nan and arrays included."""
    if type(kept) is not type(back):
        return False
    if is_dataclass(kept):
        return all(same(getattr(kept, f.name), getattr(back, f.name)) for f in fields(kept))
    if isinstance(kept, np.ndarray):
        return kept.dtype == back.dtype and np.array_equal(kept, back, equal_nan=True)
    if isinstance(kept, tuple):
        return len(kept) == len(back) and all(map(same, kept, back))
    if isinstance(kept, dict):
        return same(tuple(kept.items()), tuple(back.items()))
    return kept == back or (isinstance(kept, float) and math.isnan(kept) and math.isnan(back))


@several
@given(forecasts)
def test_forecasts_come_back_exactly(store, forecast):
    store.add_forecasts([forecast])
    back = store.latest_forecast(forecast.target, forecast.subject, forecast.issued_at)
    assert same(forecast, back)


@several
@given(schedules)
def test_plans_come_back_exactly(store, schedule):
    store.add_schedule(schedule)
    assert same(schedule, store.schedule(schedule.id))
    end = schedule.issued_at + timedelta(microseconds=1)
    found = store.schedules(schedule.block_id, schedule.issued_at, end)
    assert any(same(schedule, back) for back in found)


@several
@given(st.lists(records, max_size=5))
def test_setpoints_come_back_exactly_with_whatever_came_of_them(tmp_path_factory, kept):
    with open_store(tmp_path_factory.mktemp("records") / "store.sqlite") as store:
        store.add_setpoint_records(kept)
        back = store.setpoints(
            None, datetime(1900, 1, 1, tzinfo=UTC), datetime(2200, 1, 1, tzinfo=UTC)
        )
        for record in back:
            assert any(same(record, original) for original in kept)
        points = {record.setpoint.point_id for record in kept}
        assert {record.setpoint.point_id for record in back} == points


@several
@given(
    st.builds(
        ThermalEstimate,
        dwelling_id=names,
        loss_w_per_k=numbers,
        loss_sd=numbers,
        capacity_j_per_k=numbers,
        capacity_sd=numbers,
        solar_aperture_m2=numbers,
        free_heat_w=numbers,
        fitted_at=st.none() | instants,
        hours=numbers,
        source=texts,
        note=texts,
    )
)
def test_estimates_come_back_exactly_and_replace_the_earlier(store, estimate):
    store.save_estimates([estimate])
    assert same(estimate, store.estimates()[estimate.dwelling_id])


def plan(number: int, **changes) -> Schedule:
    steps = np.full(48, 1800.0)
    home = HomePlan("A-01", steps, steps, steps, (Cause.HOLD,) * 48, ("Nothing to gain.",) * 48)
    made = Schedule(
        id=f"plan-{number}",
        block_id="A",
        issued_at=START + number * HOUR,
        start=START + number * HOUR,
        step_s=steps,
        homes=(home,),
        battery=None,
        import_w=steps,
        price_gbp_per_kwh=steps,
        objective_gbp=1.0,
        bound_gbp=1.0,
        status="optimal",
    )
    return replace(made, **changes)


def test_the_last_plan_of_each_block_and_a_span_of_plans_oldest_first(store):
    for number in (2, 0, 1):
        store.add_schedule(plan(number))
    store.add_schedule(plan(9, block_id="B"))
    assert store.latest_schedule("A").id == "plan-2"
    assert store.latest_schedule("C") is None
    assert store.schedule("unheard of") is None
    found = store.schedules("A", START, START + 2 * HOUR)
    assert [schedule.id for schedule in found] == ["plan-0", "plan-1"]


def test_a_forecast_is_found_as_it_was_known_at_an_instant(store):
    values = np.ones(48)
    made = [
        Forecast("load_w", "A-01", START + n * HOUR, START, 1800, values * n, {0.5: values})
        for n in range(3)
    ]
    store.add_forecasts(made)
    assert store.latest_forecast("load_w", "A-01").mean[0] == 2
    assert store.latest_forecast("load_w", "A-01", START + HOUR).mean[0] == 1
    assert store.latest_forecast("load_w", "A-01", START - HOUR) is None
    assert store.latest_forecast("pv_w", "A-01") is None


def test_old_forecasts_and_plans_can_be_pruned_but_never_a_blocks_last_plan(store):
    for number in range(4):
        store.add_schedule(plan(number, issued_at=START + number * HOUR))
        issued_at, values = START + number * HOUR, np.ones(4)
        store.add_forecasts([Forecast("load_w", "A-01", issued_at, START, 1800, values, {})])
    assert store.prune_issued(START + 2 * HOUR) == 4
    assert len(store.schedules("A", START, START + 9 * HOUR)) == 2
    assert store.prune_issued(START + 9 * HOUR) == 3
    last = store.latest_schedule("A")
    assert last is not None and last.issued_at == START + 3 * HOUR
    assert store.latest_forecast("load_w", "A-01") is None


def test_a_plan_that_replaces_one_of_the_same_id_is_the_one_found(store):
    store.add_schedule(plan(1, objective_gbp=1.0))
    assert store.latest_schedule("A").objective_gbp == 1.0
    store.add_schedule(plan(1, objective_gbp=2.0))
    assert store.latest_schedule("A").objective_gbp == 2.0


def setpoint(number: int, value: float = 20.0, **changes) -> Setpoint:
    issued = START + number * timedelta(minutes=1)
    made = Setpoint(
        id=f"sp-{number}",
        point_id=PUMP,
        value=value,
        issued_at=issued,
        expires_at=issued + timedelta(minutes=10),
        cause=Cause.CHEAP_NOW,
        sentence="Electricity is cheaper now than this evening.",
        release_value=21.0,
    )
    return replace(made, **changes)


def record(of: Setpoint, outcome: Outcome | None = None) -> SetpointRecord:
    return SetpointRecord(of, outcome or Applied(of.value, written=True), of.issued_at)


def test_a_command_is_written_ahead_then_confirmed_renewed_and_closed(store):
    first = setpoint(0)
    store.open_commands([first])
    (command,) = store.active_commands()
    assert (command.value, command.release_value, command.confirmed) == (20.0, 21.0, False)
    store.add_setpoint_records([record(first)])
    assert store.active_commands()[0].confirmed

    # The same again: the command lasts longer, stays confirmed, and no row is added.
    second = setpoint(5)
    store.open_commands([second])
    assert store.active_commands()[0].confirmed
    store.add_setpoint_records([record(second)])
    (command,) = store.active_commands()
    assert (command.expires_at, command.setpoint_id) == (second.expires_at, "sp-5")
    assert len(store.setpoints(None, START, START + HOUR)) == 1

    # Another value is not confirmed until it was read back.
    third = setpoint(6, 18.5)
    store.open_commands([third])
    store.add_setpoint_records([record(third, Unreachable("timed out"))])
    (command,) = store.active_commands()
    assert (command.value, command.confirmed) == (18.5, False)
    assert [kept.setpoint.id for kept in store.setpoints(None, START, START + HOUR)] == [
        "sp-6",
        "sp-0",
    ]

    store.close_commands([replace(command, setpoint_id="sp-5")])
    assert store.active_commands(), "it was replaced meanwhile"
    store.close_commands(store.active_commands())
    assert store.active_commands() == []
    store.add_setpoint_records([record(third)])
    assert store.active_commands() == [], "an outcome that comes late opens nothing"


def test_a_release_is_kept_with_the_command_that_it_ends_also_where_it_repeats_the_last(store):
    def released(number: int) -> SetpointRecord:
        return record(setpoint(number, 21.0, cause=Cause.RELEASE))

    def kept() -> list[str]:
        return [one.setpoint.id for one in store.setpoints(None, START, START + HOUR)]

    store.open_commands([setpoint(0)])
    store.close_commands(store.active_commands(), [released(1)])
    assert kept() == ["sp-1"]
    # Who told the device something else died before recording it.
    store.open_commands([setpoint(2)])
    standing = store.active_commands()
    store.close_commands(standing, [released(3)])
    assert store.active_commands() == []
    assert kept() == ["sp-3", "sp-1"]
    # A second hand that releases what is released adds nothing.
    store.close_commands(standing, [released(4)])
    assert kept() == ["sp-3", "sp-1"]
    # What would not go stands, and is told once.
    store.open_commands([setpoint(5)])
    for number in (6, 7):
        store.close_commands([], [record(released(number).setpoint, Unreachable("timed out"))])
    assert len(store.active_commands()) == 1
    assert kept() == ["sp-6", "sp-3", "sp-1"]


def test_a_release_that_cannot_be_recorded_ends_no_command(store, path):
    store.open_commands([setpoint(0)])
    with sqlite3.connect(path) as other:
        other.execute(
            "CREATE TRIGGER full BEFORE INSERT ON setpoints"
            " BEGIN SELECT raise(ABORT, 'no room'); END"
        )
    released = record(setpoint(1, 21.0, cause=Cause.RELEASE))
    with pytest.raises(sqlite3.IntegrityError, match="no room"):
        store.close_commands(store.active_commands(), [released])
    assert len(store.active_commands()) == 1


def test_a_change_of_cause_or_of_outcome_is_a_row_of_its_own(store):
    kept = [
        record(setpoint(0)),
        record(setpoint(1, cause=Cause.COMFORT_FLOOR)),
        record(setpoint(2, cause=Cause.COMFORT_FLOOR), Unreachable("timed out")),
        record(setpoint(3, cause=Cause.COMFORT_FLOOR), Unreachable("still")),
        record(setpoint(4, cause=Cause.COMFORT_FLOOR)),
    ]
    store.add_setpoint_records(kept)
    ids = [found.setpoint.id for found in store.setpoints(["A-01-hp"], START, START + HOUR)]
    assert ids == ["sp-4", "sp-2", "sp-1", "sp-0"]
    assert store.setpoints(["B-01-hp"], START, START + HOUR) == []
    assert store.setpoints([], START, START + HOUR) == []
    assert len(store.setpoints(None, START, START + HOUR, limit=2)) == 2


def test_what_was_done_last_comes_first_whenever_it_was_decided(store):
    """A slow round, decided before a release, wrote after it: the device is under the round's."""
    store.add_setpoint_records([record(setpoint(3, 21.0, cause=Cause.RELEASE))])
    store.add_setpoint_records([record(setpoint(1))])
    newest = store.setpoints(None, START, START + HOUR, limit=1)
    assert [found.setpoint.id for found in newest] == ["sp-1"]


def test_a_setpoint_without_a_value_is_refused_and_nothing_of_its_batch_is_kept(store):
    with pytest.raises(InvalidInputError, match=r"A-01-hp\.room_setpoint_c"):
        store.open_commands([setpoint(0), setpoint(1, math.nan)])
    assert store.active_commands() == []


def test_heartbeats_log_and_facts(store):
    for second in (0, 30):
        beat = Heartbeat("control", START + timedelta(seconds=second), 1.7e9 + second, 4711)
        store.beat(beat)
    assert store.heartbeats() == {"control": beat}

    entries = [
        LogEntry(START, "device_lost", "A-01-hp", {"after_s": 30.5, "codes": [1, None]}),
        LogEntry(START + HOUR, "device_found", "A-01-hp"),
        LogEntry(START + HOUR, "guard_acted", "A-01-hp", {"wrote": 21.0}),
    ]
    store.log(entries)
    assert store.log_entries(START, START + 2 * HOUR) == entries[::-1]
    assert store.log_entries(START, START + 2 * HOUR, kind="device_lost") == entries[:1]
    assert store.log_entries(START, START + HOUR) == entries[:1]
    assert len(store.log_entries(START, START + 2 * HOUR, limit=1)) == 1
    with pytest.raises(InvalidInputError, match="device_lost"):
        store.log([LogEntry(START, "device_lost", "A-01-hp", {"when": START})])

    assert store.meta("history") is None
    store.set_meta("history", "demonstration")
    store.set_meta("history", "none")
    assert store.meta("history") == "none"
