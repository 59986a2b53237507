"""A gentle test from its announcement to what was learnt, and everybody who can stop it."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from datetime import UTC, datetime, time, timedelta
from pathlib import Path
from zoneinfo import ZoneInfo

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from ems.domain.comfort import ComfortPeriod, ComfortSchedule
from ems.domain.errors import InvalidInputError
from ems.domain.estate import Estate
from ems.domain.forecasts import Forecast
from ems.domain.gentle import GentleTest, TestState
from ems.domain.points import PointId
from ems.domain.setpoints import Cause
from ems.domain.thermal import CAPACITY_UNTOLD, ThermalEstimate
from ems.domain.wishes import ChosenPeriod
from ems.field.parameters import load_parameters
from ems.field.simulation import EstateSimulation
from ems.service.gentle import DROP_K, lowered
from ems.store import open_store

from .conftest import DEMO, Bench

HOME, MARKED = "A-01", "A-06"
LONDON = ZoneInfo("Europe/London")
STEADY = [ChosenPeriod(0, 20.0)]


def untold(estate: Estate, home_id: str, note: str = CAPACITY_UNTOLD) -> ThermalEstimate:
    home = estate.dwelling(home_id)
    return ThermalEstimate(
        home.id, 100.0, 10.0, 1.2e7, 4e6, 2.0, 300.0, hours=400.0, source="fit", note=note
    )


def sky(estate: Estate, at: datetime, outdoor_c: float) -> Forecast:
    mean = np.full(72, outdoor_c)
    return Forecast("outdoor_c", estate.id, at, at, 1800, mean, {0.5: mean})


@pytest.fixture
def site(estate: Estate, tmp_path: Path) -> Iterator[Bench]:
    """Flat 1 is at 20 °C day and night, flat 6 at 20 °C and more; the data told neither."""
    assert estate.starts_at is not None
    begins = estate.starts_at.replace(hour=15, minute=0)
    allowed = replace(estate, control=replace(estate.control, gentle_tests=True))
    parameters = load_parameters(DEMO.parent / "field.yaml")
    simulation = EstateSimulation(allowed, parameters, begins, step_s=60)
    with open_store(tmp_path / "store.sqlite") as store:
        made = Bench(allowed, store, simulation, begins)
        made.desk.schedule(
            allowed.dwelling(HOME), begins, by="tess", weekday=STEADY, weekend=STEADY
        )
        store.save_estimates([untold(allowed, HOME), untold(allowed, MARKED)])
        store.add_forecasts([sky(allowed, begins, 3.0)])
        yield made


def run(site: Bench, at: datetime | None = None) -> None:
    """What the job does: first what time and rooms are, then the tests."""
    if at is not None:
        site.now = at
        site.simulation.step_to(at)
        site.image.update(site.bus.read_all(at))
    blocks = [site.charge.residents.block(block, site.now) for block in site.estate.blocks]
    wishes = site.charge.wishes(site.now)
    site.charge.gentle.run(site.now, site.image.snapshot(site.now), wishes, blocks)


def test_a_night_is_announced_carried_out_and_its_result_noted(site: Bench) -> None:
    run(site)
    test = site.charge.gentle.of(HOME)
    assert test is not None and test.state is TestState.ANNOUNCED
    assert test.start == datetime(2023, 12, 2, tzinfo=UTC)  # nine hours ahead
    assert test.end - test.start == timedelta(hours=5)
    assert test.lowest_c == 19.0
    run(site)
    assert len([one for one in site.charge.gentle.all() if one.dwelling_id == HOME]) == 1

    run(site, test.start)
    assert site.charge.gentle.of(HOME).state is TestState.RUNNING
    before, pump = site.simulation.true_rooms()[HOME], "A-01-hp"
    told = site.dispatch()[pump].setpoint
    assert told.cause is Cause.GENTLE_TEST
    assert told.value == 19.0 == site.shows(pump)
    assert told.sentence.startswith("A gentle test until 05:00: your heating rests a little")
    assert site.dispatch()["A-02-hp"].setpoint.cause is not Cause.GENTLE_TEST

    site.now = test.end - timedelta(minutes=1)
    assert site.dispatch()[pump].setpoint.value == 20.0, "the schedule rules again"
    run(site)
    done = site.charge.gentle.of(HOME)
    assert done.state is TestState.DONE
    fell_k = before - site.simulation.true_rooms()[HOME]
    assert 0.1 < fell_k <= 1.5
    assert done.result.startswith("We learnt that your home cools by ")
    assert float(done.result.split("by ")[1].split()[0]) == pytest.approx(fell_k, abs=0.3)
    run(site, test.end + timedelta(hours=2))
    assert site.charge.gentle.of(HOME).id == done.id, "not again for two months"


@pytest.mark.parametrize("silent", ["before", "after"])
def test_a_test_without_both_its_readings_tells_nothing(site: Bench, silent: str) -> None:
    run(site)
    test = site.charge.gentle.of(HOME)
    sensor = PointId(site.estate.dwelling(HOME).room_sensor_id, "temperature_c")

    def go(at: datetime, *, mute: bool) -> None:
        site.now = at
        snapshot = site.image.snapshot(at)
        if mute:
            left = {point: seen for point, seen in snapshot.readings.items() if point != sensor}
            snapshot = replace(snapshot, readings=left)
        blocks = [site.charge.residents.block(block, at) for block in site.estate.blocks]
        site.charge.gentle.run(at, snapshot, site.charge.wishes(at), blocks)

    for at, mute in ((test.start, silent == "before"), (test.end, silent == "after")):
        site.simulation.step_to(at)
        site.image.update(site.bus.read_all(at))
        go(at, mute=mute)
    ended = site.charge.gentle.of(HOME)
    assert ended.state is TestState.DROPPED
    assert "gave no reading" in ended.result


def test_a_no_ends_it_at_once_and_nobody_asks_again_soon(site: Bench) -> None:
    run(site)
    home = site.estate.dwelling(HOME)
    site.charge.gentle.refuse(home, site.now, by="tess")
    said = site.charge.gentle.of(HOME)
    assert (said.state, said.answered_by) == (TestState.REFUSED, "tess")
    run(site, said.start)
    assert site.dispatch()["A-01-hp"].setpoint.cause is not Cause.GENTLE_TEST
    with pytest.raises(InvalidInputError, match="no gentle test is coming up"):
        site.charge.gentle.refuse(home, site.now, by="tess")


def test_a_no_in_the_night_itself_brings_the_warmth_back(site: Bench) -> None:
    run(site)
    run(site, site.charge.gentle.of(HOME).start)
    assert site.dispatch()["A-01-hp"].setpoint.value == 19.0
    site.charge.gentle.refuse(site.estate.dwelling(HOME), site.now, by="tess")
    assert site.dispatch()["A-01-hp"].setpoint.value == 20.0


def test_a_home_with_a_marker_is_asked_and_without_a_yes_nothing_happens(site: Bench) -> None:
    run(site)
    asked = site.charge.gentle.of(MARKED)
    assert asked.state is TestState.ASKED
    assert asked.lowest_c == site.estate.dwelling(MARKED).floor_c + 0.5
    run(site, asked.start)
    assert site.dispatch()["A-06-hp"].setpoint.cause is not Cause.GENTLE_TEST
    assert site.charge.gentle.of(MARKED).state is TestState.DROPPED


def test_a_yes_of_a_home_with_a_marker_is_enough(site: Bench) -> None:
    run(site)
    asked = site.charge.gentle.agree(site.estate.dwelling(MARKED), site.now, by="tess")
    assert asked.state is TestState.ANNOUNCED
    run(site, asked.start)
    told = site.dispatch()["A-06-hp"].setpoint
    assert told.cause is Cause.GENTLE_TEST and told.value >= asked.lowest_c


def test_a_wish_stands_above_a_test(site: Bench) -> None:
    run(site)
    run(site, site.charge.gentle.of(HOME).start)
    home = site.estate.dwelling(HOME)
    site.desk.warmer(home, site.now, by="tess", hours=2.0)
    assert site.dispatch()["A-01-hp"].setpoint.cause is Cause.RESIDENT
    run(site)
    ended = site.charge.gentle.of(HOME)
    assert ended.state is TestState.DROPPED
    assert "asked for something else" in ended.result


@pytest.mark.parametrize("why", ["off", "told", "mild", "night already low"])
def test_nobody_is_tested_who_need_not_be(site: Bench, why: str) -> None:
    if why == "off":
        site.estate = replace(site.estate, control=replace(site.estate.control, gentle_tests=False))
        site.restart()
    elif why == "told":
        site.store.save_estimates([untold(site.estate, name, "") for name in (HOME, MARKED)])
    elif why == "mild":
        site.store.add_forecasts([sky(site.estate, site.now, 14.0)])
    else:
        site.now += timedelta(minutes=1)
        for name in (HOME, MARKED):
            home = site.estate.dwelling(name)
            low = [ChosenPeriod(0, home.floor_c + 0.5), ChosenPeriod(420, 21.0)]
            site.desk.schedule(home, site.now, by="tess", weekday=low, weekend=low)
    run(site)
    assert site.store.all_kept(GentleTest) == []


periods = st.lists(
    st.tuples(st.integers(1, 95), st.floats(18.0, 23.0)), max_size=6, unique_by=lambda one: one[0]
)


@given(st.floats(18.0, 23.0), periods, st.floats(18.5, 22.0))
def test_a_lowered_schedule_is_lower_by_a_kelvin_at_most_and_only_at_night(
    first_c: float, later: list[tuple[int, float]], lowest_c: float
) -> None:
    day = (
        ComfortPeriod(time(0), first_c),
        *(ComfortPeriod(time(q // 4, q % 4 * 15), c) for q, c in sorted(later)),
    )
    was = ComfortSchedule("own", day, day)
    rests = lowered(was, lowest_c)
    for quarter in range(96):
        at = datetime(2023, 12, 5, quarter // 4, quarter % 4 * 15, 1, tzinfo=UTC)
        before, after = was.temperature_at(at, LONDON), rests.temperature_at(at, LONDON)
        if quarter // 4 >= 5:
            assert after == before
        else:
            assert before - DROP_K - 1e-9 <= after <= before
            assert after >= min(lowest_c, before)
