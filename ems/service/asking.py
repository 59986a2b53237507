"""Taking down what residents ask for: checked, recorded with who and when, undoable.

Nothing here speaks to a device. Control reads the records at its next dispatch.
"""

from __future__ import annotations

import secrets
from collections.abc import Iterable
from dataclasses import replace
from datetime import datetime, timedelta

from ems.domain.errors import InvalidInputError
from ems.domain.estate import Dwelling, Estate
from ems.domain.events import FlexEvent
from ems.domain.points import PointId
from ems.domain.ports import Kept, Store
from ems.domain.wishes import ALL_EVENTS, ALL_PLANNING, Asked, Asking, ChosenPeriod
from ems.service.wishes import LIVE, TEMPERATURES, Residents, latest

COOLEST_C = 12.0
"""The least that can be asked for on a page or by a command [°C]."""
MORE_K = 1.0
"""What "warmer now" adds where no temperature is named [K]."""
HOURS = (1.0, 4.0)
"""Shortest and longest "warmer now" [h]."""
LONGEST_AWAY = timedelta(days=90)
SHORTEST_AWAY = timedelta(hours=1)
MOST_PERIODS = 8
DAY_MIN = 1440
ROOM_MAX_AGE_S = 900.0
STEP_C = 0.5


class BelowFloorError(InvalidInputError):
    """A schedule goes under the home's floor and that was not confirmed."""


class ComfortDesk:
    """Takes down wishes of residents.

    Parameters
    ----------
    estate, store
        The homes, and where the records go.
    residents
        What was asked for so far; made from the store unless given.
    """

    def __init__(self, estate: Estate, store: Store, residents: Residents | None = None) -> None:
        self._estate = estate
        self._store = store
        self._residents = residents or Residents(estate, store)

    def warmer(
        self,
        dwelling: Dwelling,
        now: datetime,
        *,
        by: str,
        hours: float,
        temperature_c: float | None = None,
    ) -> Asked:
        """Ask for another temperature for some hours; without one, a kelvin more than now.

        It takes the place of an earlier one and of a change made at the heat pump.

        Raises
        ------
        InvalidInputError
            Where hours or temperature are out of range.
        """
        if not HOURS[0] <= hours <= HOURS[1]:
            raise InvalidInputError(
                f"this can be asked for {HOURS[0]:g} to {HOURS[1]:g} hours",
                field="hours",
                value=hours,
                remedy="Choose a time in that range; ask again later if you need longer.",
            )
        warmest_c = self._estate.control.warmest_c
        if temperature_c is None:
            temperature_c = min(self._now_c(dwelling, now) + MORE_K, warmest_c)
        elif not dwelling.floor_c <= temperature_c <= warmest_c:
            raise InvalidInputError(
                f"the temperature must be from {dwelling.floor_c:g} to {warmest_c:g} °C",
                field="temperature",
                value=temperature_c,
                remedy="Choose one in that range. To be cooler, change the schedule.",
            )
        self._end(dwelling.id, {Asking.WARMER, Asking.DEVICE}, now, by)
        until = now + timedelta(hours=hours)
        return self._keep(
            dwelling, Asking.WARMER, now, by, until=until, temperature_c=temperature_c
        )

    def away(self, dwelling: Dwelling, now: datetime, *, by: str, until: datetime) -> Asked:
        """Say that nobody is at home until an instant (UTC).

        Raises
        ------
        InvalidInputError
            Where the return is past, too near or too far off.
        """
        if not SHORTEST_AWAY <= until - now <= LONGEST_AWAY:
            raise InvalidInputError(
                f"the return must be from 1 hour to {LONGEST_AWAY.days} days from now",
                field="until",
                value=until.astimezone(self._estate.zone).isoformat(timespec="minutes"),
                remedy="Choose the day and time at which you are back.",
            )
        self._end(dwelling.id, TEMPERATURES, now, by)
        away_c = self._estate.control.away_c
        return self._keep(dwelling, Asking.AWAY, now, by, until=until, temperature_c=away_c)

    def opt_out(self, dwelling: Dwelling, now: datetime, *, by: str, event: str) -> Asked:
        """Leave one event by its id, all events or all planning.

        Raises
        ------
        InvalidInputError
            Where there is no such event in the home's block, or it is over.
        """
        until = None
        if event not in (ALL_EVENTS, ALL_PLANNING):
            found = self._store.kept(FlexEvent, event)
            ahead = found is not None and found.record.state in LIVE
            if found is None or not ahead or found.record.request.block_id != dwelling.block_id:
                raise InvalidInputError(
                    "there is no such event ahead of this home",
                    field="event",
                    value=event,
                    remedy=f"Name a coming or running event, {ALL_EVENTS} or {ALL_PLANNING}.",
                )
            until = found.record.request.end
        for one in self._residents.in_force(now).get(dwelling.id, []):
            if one.asking is Asking.OPT_OUT and one.event == event:
                return one
        return self._keep(dwelling, Asking.OPT_OUT, now, by, until=until, event=event)

    def schedule(
        self,
        dwelling: Dwelling,
        now: datetime,
        *,
        by: str,
        weekday: Iterable[ChosenPeriod],
        weekend: Iterable[ChosenPeriod],
        below_floor: bool = False,
    ) -> Asked:
        """Choose another comfort schedule; the one before comes back when it is undone.

        Parameters
        ----------
        dwelling, now, by
            Which home, when, who.
        weekday, weekend
            Periods of a day; the first from midnight.
        below_floor
            The resident has read the warning and wants less than the floor.

        Raises
        ------
        BelowFloorError
            Where it goes under the home's floor without ``below_floor``.
        InvalidInputError
            Where a time or a temperature makes no sense.
        """
        days = (tuple(weekday), tuple(weekend))
        for name, periods in zip(("weekday", "weekend"), days, strict=True):
            self._check(name, periods)
        lowest_c = min(one.temperature_c for periods in days for one in periods)
        if lowest_c < dwelling.floor_c and not below_floor:
            raise BelowFloorError(
                f"this goes below {dwelling.floor_c:g} °C, which can harm your health "
                "and make rooms damp",
                field="schedule",
                value=lowest_c,
                remedy="Confirm that you want it, or choose a warmer one.",
            )
        return self._keep(dwelling, Asking.SCHEDULE, now, by, weekday=days[0], weekend=days[1])

    def undo(self, dwelling: Dwelling, now: datetime, *, by: str, asked_id: str) -> Asked:
        """Take back what was asked for.

        Raises
        ------
        InvalidInputError
            Where the home asked for no such thing, or it is over.
        StoreConflictError
            Where it was changed at the same moment.
        """
        kept = self._store.kept(Asked, asked_id)
        if kept is None or kept.record.dwelling_id != dwelling.id or not kept.record.holds_at(now):
            raise InvalidInputError(
                "this is not in force",
                field="id",
                value=asked_id,
                remedy="Look at what is in force now; it may have ended by itself.",
            )
        return self._ended(kept, now, by)

    def _check(self, name: str, periods: tuple[ChosenPeriod, ...]) -> None:
        starts = [one.start_min for one in periods]
        in_order = starts == sorted(set(starts)) and 0 < len(starts) <= MOST_PERIODS
        if not in_order or starts[0] != 0 or starts[-1] >= DAY_MIN:
            raise InvalidInputError(
                "times must start at 00:00 and rise",
                field=name,
                value=[f"{start // 60:02d}:{start % 60:02d}" for start in starts],
                remedy=f"Give up to {MOST_PERIODS} times of day in order, the first 00:00.",
            )
        warmest_c = self._estate.control.warmest_c
        for one in periods:
            if not COOLEST_C <= one.temperature_c <= warmest_c:
                raise InvalidInputError(
                    f"a temperature must be from {COOLEST_C:g} to {warmest_c:g} °C",
                    field=name,
                    value=one.temperature_c,
                    remedy="Choose one in that range.",
                )

    def _now_c(self, dwelling: Dwelling, now: datetime) -> float:
        """Return what the home is kept at or has now, whichever is warmer, on half degrees."""
        held = self._residents.in_force(now).get(dwelling.id, [])
        warmth = latest(held, TEMPERATURES - {Asking.AWAY})
        asked_c = self._residents.home(dwelling, now).comfort.temperature_at(now, self._estate.zone)
        if warmth is not None and warmth.temperature_c is not None:
            asked_c = warmth.temperature_c
        sensor = PointId(dwelling.room_sensor_id, "temperature_c")
        reading = self._store.latest([dwelling.room_sensor_id]).get(sensor)
        fresh = reading is not None and (now - reading.observed_at).total_seconds() < ROOM_MAX_AGE_S
        if reading is not None and fresh and reading.is_good:
            asked_c = max(asked_c, reading.value)
        return round(asked_c / STEP_C) * STEP_C

    def _end(self, dwelling_id: str, kinds: Iterable[Asking], now: datetime, by: str) -> None:
        wanted = frozenset(kinds)
        for one in self._residents.in_force(now).get(dwelling_id, []):
            kept = self._store.kept(Asked, one.id) if one.asking in wanted else None
            if kept is not None:
                self._ended(kept, now, by)

    def _ended(self, kept: Kept[Asked], now: datetime, by: str) -> Asked:
        record = replace(kept.record, ended_at=now, ended_by=by)
        self._store.keep(
            record, key=kept.key, subject=kept.subject, at=kept.at, expected=kept.revision
        )
        return record

    def _keep(
        self,
        dwelling: Dwelling,
        asking: Asking,
        now: datetime,
        by: str,
        *,
        until: datetime | None = None,
        temperature_c: float | None = None,
        event: str = "",
        weekday: tuple[ChosenPeriod, ...] = (),
        weekend: tuple[ChosenPeriod, ...] = (),
    ) -> Asked:
        record = Asked(
            id=f"{now:%Y%m%dT%H%M%S.%f}-{dwelling.id}-{asking}-{secrets.token_hex(2)}",
            dwelling_id=dwelling.id,
            asking=asking,
            by=by,
            since=now,
            until=until,
            temperature_c=temperature_c,
            event=event,
            weekday=weekday,
            weekend=weekend,
        )
        self._store.keep(record, key=record.id, subject=dwelling.id, at=now, expected=0)
        return record
