"""Gentle tests of homes whose readings cannot tell what they keep: asked, done, and noted.

A test is a small change of the home's schedule for one night: up to `DROP_K` lower from
midnight to five, never nearer to the floor than `ABOVE_FLOOR_K`. Plan and dispatch follow it
as they follow any schedule, so floor, limits and wishes stand above it. The resident is told
the day before and refuses with one press; a home with a vulnerability marker is asked, and
without its yes nothing happens.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from datetime import UTC, datetime, time, timedelta

import structlog

from controllers.reasons import degrees
from ems.domain.comfort import ComfortPeriod, ComfortSchedule
from ems.domain.errors import InvalidInputError, RetryableError
from ems.domain.estate import Actuator, Block, Dwelling, Estate
from ems.domain.gentle import GentleTest, TestState
from ems.domain.ports import Kept, LogEntry, Store
from ems.domain.readings import Snapshot
from ems.domain.setpoints import Cause, Setpoint
from ems.domain.thermal import ThermalEstimate
from ems.domain.wishes import Wish

log = structlog.get_logger()

DROP_K = 1.0
"""A schedule is lowered by at most so much [K]."""
ABOVE_FLOOR_K = 0.5
"""It stays so far above the home's floor [K]."""
LEAST_DROP_K = 0.5
"""A home whose night leaves less room for it is not tested [K]."""
BEGINS, ENDS = time(0), time(5)
"""Local times of day."""
NOTICE = timedelta(hours=8)
"""The resident is told at least so long before."""
AGAIN = timedelta(days=60)
"""Between two tests of a home ..."""
AGAIN_AFTER_NO = timedelta(days=180)
"""... and after a refusal."""
A_NIGHT = 2
"""Homes of a block that are tested in the same night, at most."""
LEAST_HOURS = 7 * 24.0
"""Hours of readings from which the data could have told."""
HEATING_BELOW_C = 12.0
"""Only nights that are colder than this tell anything [°C]."""
ROOM_MAX_AGE_S = 1800.0
_PLAN_CAUSES = frozenset(
    {
        Cause.SCHEDULE,
        Cause.HOLD,
        Cause.DEAR_NOW,
        Cause.CHEAP_NOW,
        Cause.CARBON,
        Cause.MILD_NOW,
        Cause.PEAK,
        Cause.SOLAR,
        Cause.NO_PLAN,
    }
)


def lowered(schedule: ComfortSchedule, lowest_c: float) -> ComfortSchedule:
    """Return a schedule that is up to `DROP_K` lower from `BEGINS` to `ENDS`.

    Never under ``lowest_c`` [°C] and never higher than it was; without heating ahead.
    """

    def day(periods: Sequence[ComfortPeriod]) -> tuple[ComfortPeriod, ...]:
        changed = []
        last_c = periods[0].temperature_c
        for one in periods:
            if one.start >= ENDS:
                break
            last_c = one.temperature_c
            least_c = max(last_c - DROP_K, min(lowest_c, last_c))
            changed.append(ComfortPeriod(one.start, least_c))
        rest = [one for one in periods if one.start >= ENDS]
        if not rest or rest[0].start != ENDS:
            rest = [ComfortPeriod(ENDS, last_c), *rest]
        return (*changed, *rest)

    return replace(
        schedule,
        name="gentle test",
        weekday=day(schedule.weekday),
        weekend=day(schedule.weekend),
        ceiling_k=0.0,
    )


class GentleTests:
    """The gentle tests of an estate in the store.

    Parameters
    ----------
    estate, store
        The homes, and where records and estimates lie.
    """

    def __init__(self, estate: Estate, store: Store) -> None:
        self._estate = estate
        self._store = store

    def all(self) -> list[GentleTest]:
        """Return all tests, the newest first."""
        found = [kept.record for kept in self._store.all_kept(GentleTest)]
        return sorted(found, key=lambda one: (one.start, one.id), reverse=True)

    def of(self, dwelling_id: str) -> GentleTest | None:
        """Return a home's newest test."""
        kept = self._store.all_kept(GentleTest, subject=dwelling_id)
        return max((one.record for one in kept), key=lambda one: one.start, default=None)

    def running(self, now: datetime) -> dict[str, GentleTest]:
        """Return the tests that homes rest for at ``now``, by home."""
        if not self._estate.control.gentle_tests:
            return {}
        return {one.dwelling_id: one for one in self.all() if one.rests_at(now)}

    def applied(self, block: Block, now: datetime) -> Block:
        """Return a block with the schedules of its resting homes lowered."""
        resting = self.running(now)
        if not resting:
            return block
        homes = tuple(
            replace(home, comfort=lowered(home.comfort, resting[home.id].lowest_c))
            if home.id in resting
            else home
            for home in block.dwellings
        )
        return replace(block, dwellings=homes)

    def named(self, setpoints: list[Setpoint], now: datetime) -> list[Setpoint]:
        """Return setpoints with the test as their cause where it is the test that made them."""
        resting = self.running(now)
        if not resting:
            return setpoints
        return [self._as_test(one, resting) for one in setpoints]

    def _as_test(self, setpoint: Setpoint, resting: Mapping[str, GentleTest]) -> Setpoint:
        home = self._estate.devices[setpoint.point_id.device_id].dwelling_id
        test = resting.get(home or "")
        if test is None or setpoint.cause not in _PLAN_CAUSES:
            return setpoint
        words = self._sentence(test)
        return replace(setpoint, cause=Cause.GENTLE_TEST, also=(), sentence=words)

    def _sentence(self, test: GentleTest) -> str:
        until = test.end.astimezone(self._estate.zone)
        return (
            f"A gentle test until {until:%H:%M}: your heating rests a little, so that we learn how "
            f"your home keeps its warmth. It is kept at about {degrees(test.lowest_c)}, and you "
            "can stop it."
        )

    def refuse(self, home: Dwelling, now: datetime, by: str) -> GentleTest:
        """Take down that a resident does not want a test, before or during it."""
        return self._answered(home, now, by, TestState.REFUSED, "You said no.")

    def agree(self, home: Dwelling, now: datetime, by: str) -> GentleTest:
        """Take down that a resident who was asked agrees."""
        return self._answered(home, now, by, TestState.ANNOUNCED, "")

    def _answered(
        self, home: Dwelling, now: datetime, by: str, state: TestState, result: str
    ) -> GentleTest:
        kept = self._newest(home.id)
        asked = kept is not None and kept.record.state is TestState.ASKED
        if kept is None or not kept.record.is_open or now >= kept.record.end:
            raise InvalidInputError(
                "no gentle test is coming up for this home",
                field="test",
                remedy="Nothing needs doing; one that is over cannot be refused.",
            )
        if state is TestState.ANNOUNCED and not asked:
            return kept.record
        after = replace(kept.record, state=state, answered_at=now, answered_by=by, result=result)
        self._keep(after, kept, now)
        return after

    def run(
        self,
        now: datetime,
        snapshot: Snapshot,
        wishes: Mapping[str, Wish],
        blocks: Sequence[Block],
    ) -> None:
        """Begin, end and announce tests; to be called every quarter of an hour or so.

        Parameters
        ----------
        now, snapshot
            Estate time, UTC; latest readings.
        wishes
            Residents' wishes in force, by home: who asked for something is not tested.
        blocks
            With the schedules that residents chose.
        """
        for kept in self._store.all_kept(GentleTest):
            if kept.record.is_open:
                self._move(kept, now, snapshot, wishes)
        if self._estate.control.gentle_tests:
            for block in blocks:
                self._announce(block, now, wishes)

    def _move(
        self,
        kept: Kept[GentleTest],
        now: datetime,
        snapshot: Snapshot,
        wishes: Mapping[str, Wish],
    ) -> None:
        test = kept.record
        home = self._estate.dwelling(test.dwelling_id)
        room_c = snapshot.good(home.room_sensor_id, "temperature_c", ROOM_MAX_AGE_S)
        after = test
        if not self._estate.control.gentle_tests:
            after = _dropped(test, "Gentle tests were switched off.")
        elif test.state is TestState.ASKED:
            if now >= test.start:
                after = _dropped(test, "You did not answer, so there was none.")
        elif test.state is TestState.ANNOUNCED:
            if now >= test.end:
                after = _dropped(test, "The night passed while we were not running.")
            elif now >= test.start:
                after = self._begun(test, room_c, home.id in wishes)
        elif home.id in wishes:
            after = _dropped(test, "It ended because you asked for something else.")
        elif now >= test.end:
            after = _ended(test, room_c)
        if after is not test:
            self._keep(after, kept, now)

    def _begun(self, test: GentleTest, room_c: float | None, wishing: bool) -> GentleTest:
        if wishing:
            return _dropped(test, "There was none because you had asked for something else.")
        if room_c is None:
            return _dropped(test, "There was none because your room sensor gave no reading.")
        return replace(test, state=TestState.RUNNING, began_c=room_c)

    def _announce(self, block: Block, now: datetime, wishes: Mapping[str, Wish]) -> None:
        start, end = self._next_night(now)
        of_block = {home.id for home in block.dwellings}
        tests = [one for one in self.all() if one.dwelling_id in of_block]
        free = A_NIGHT - sum(one.is_open and one.start == start for one in tests)
        if free <= 0 or not self._is_cold(start):
            return
        estimates = self._store.estimates()
        for home in block.dwellings:
            before = max(
                (one for one in tests if one.dwelling_id == home.id),
                key=lambda one: one.start,
                default=None,
            )
            estimate = estimates.get(home.id)
            if free and estimate is not None and home.id not in wishes:
                lowest_c = self._may_rest(home, start, end, estimate, before)
                if lowest_c is not None:
                    self._tell(home, start, end, lowest_c, now)
                    free -= 1

    def _tell(
        self, home: Dwelling, start: datetime, end: datetime, lowest_c: float, now: datetime
    ) -> None:
        night = start.astimezone(self._estate.zone).date()
        state = TestState.ASKED if home.vulnerable else TestState.ANNOUNCED
        test = GentleTest(f"{home.id}.{night}", home.id, state, start, end, lowest_c, now)
        self._keep(test, None, now)

    def _may_rest(
        self,
        home: Dwelling,
        start: datetime,
        end: datetime,
        estimate: ThermalEstimate,
        before: GentleTest | None,
    ) -> float | None:
        """Return what a home may be lowered to [°C]; ``None`` where it is not to be tested."""
        told = estimate.capacity_is_told or estimate.source != "fit"
        if told or estimate.hours < LEAST_HOURS:
            return None
        if home.heat_pump.actuator is not Actuator.ROOM_SETPOINT:
            return None
        if before is not None:
            wait = AGAIN_AFTER_NO if before.state is TestState.REFUSED else AGAIN
            if before.is_open or start - before.start < wait:
                return None
        hours = range(int((end - start).total_seconds() // 3600))
        asked_c = [
            home.comfort.temperature_at(start + timedelta(hours=hour), self._estate.zone)
            for hour in hours
        ]
        lowest_c = max(min(asked_c) - DROP_K, home.floor_c + ABOVE_FLOOR_K)
        return lowest_c if lowest_c <= min(asked_c) - LEAST_DROP_K else None

    def _next_night(self, now: datetime) -> tuple[datetime, datetime]:
        """Return the first night that begins at least `NOTICE` from now, UTC."""
        zone = self._estate.zone
        day = (now + NOTICE).astimezone(zone).date() + timedelta(days=1)
        return (
            datetime.combine(day, BEGINS, zone).astimezone(UTC),
            datetime.combine(day, ENDS, zone).astimezone(UTC),
        )

    def _is_cold(self, night: datetime) -> bool:
        found = self._store.latest_forecast("outdoor_c", self._estate.id)
        if found is None:
            return False
        step = int((night - found.start).total_seconds() // found.step_s)
        values = found.mean[step : step + int(5 * 3600 // found.step_s)]
        return bool(len(values)) and float(values.mean()) < HEATING_BELOW_C

    def _newest(self, dwelling_id: str) -> Kept[GentleTest] | None:
        kept = self._store.all_kept(GentleTest, subject=dwelling_id)
        return max(kept, key=lambda one: one.record.start, default=None)

    def _keep(self, after: GentleTest, before: Kept[GentleTest] | None, now: datetime) -> None:
        expected = 0 if before is None else before.revision
        try:
            self._store.keep(
                after, key=after.id, subject=after.dwelling_id, at=after.start, expected=expected
            )
        except RetryableError:
            if after.state is TestState.REFUSED:
                raise
            return  # another process was first; what is left to do is done next time
        detail = {"test": after.id, "state": str(after.state), "by": after.answered_by}
        self._store.log([LogEntry(now, "gentle_test", after.dwelling_id, detail)])
        log.info("gentle_test", test=after.id, state=str(after.state))


def _dropped(test: GentleTest, why: str) -> GentleTest:
    return replace(test, state=TestState.DROPPED, result=why)


def _ended(test: GentleTest, room_c: float | None) -> GentleTest:
    if room_c is None or test.began_c is None:
        return _dropped(test, "We learnt nothing: your room sensor gave no reading.")
    hours = (test.end - test.start).total_seconds() / 3600.0
    fell_k = max(test.began_c - room_c, 0.0)
    result = (
        f"We learnt that your home cools by {fell_k:.1f} degrees in {hours:.0f} hours while the "
        "heating rests. From the coming nights on your heating is planned with that."
    )
    return replace(test, state=TestState.DONE, result=result)
