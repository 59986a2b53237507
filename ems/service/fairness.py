"""The ledger of fairness: an entry per home and event, and who is spared in the next.

Entries are made from what plans expected without an event and what meters and rooms showed,
some hours after it. They are records in the store, written once.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from datetime import datetime, timedelta

import numpy as np
import pandas as pd

from ems.domain.estate import Actuator, Block, Dwelling, Estate
from ems.domain.events import EventState, FlexEvent, Settlement
from ems.domain.fairness import (
    EventBurden,
    EventEntered,
    ExpectedHome,
    ExpectedHomes,
    MonthLedger,
    PaymentRule,
)
from ems.domain.forecasts import FloatArray
from ems.domain.points import PointId
from ems.domain.ports import Store
from ems.domain.tariffs import NoRateError
from ems.domain.time import HALF_HOUR, ceil_to, floor_to
from ems.flex.fairness import MONTH, Felt, felt, ledger, payments, shares, spared
from ems.service.followed import Followed
from ems.service.holds import Holds
from ems.service.measuring import PATIENCE
from ems.service.wishes import ALL, Residents
from ems.store.errors import StoreConflictError

PREPARES = timedelta(hours=3)
"""So long before an event its preparation may begin."""
AFTER = timedelta(hours=4)
"""So long after an event its rooms and bills are looked at."""
USUAL_DAYS = 7
"""Days before an event that tell how a room usually swings."""


@dataclass(frozen=True, slots=True, eq=False)
class _Hours:
    """The half-hours that are looked at for one event.

    Attributes
    ----------
    slots
        Their starts.
    mine
        1 where no earlier event of the block counts the half-hour already.
    inside
        Whether it lies within the event itself.
    out
        Homes that took no part in it, by half-hour.
    frame
        Roll-ups of rooms and heat pumps, some days before included.
    usual
        Half-hours of earlier days that no event touched.
    """

    slots: list[datetime]
    mine: FloatArray
    inside: list[bool]
    out: list[Collection[str]]
    frame: pd.DataFrame
    usual: list[list[datetime]]


def span_of(event: FlexEvent) -> tuple[datetime, datetime]:
    """Return the hours [start, end) in which an event may change rooms and bills."""
    ended = event.ended_at or event.request.end
    return floor_to(event.request.start) - PREPARES, ceil_to(ended) + AFTER


class FairnessBook:
    """Enters events once they are over, and says where homes stand.

    Parameters
    ----------
    estate, store
        Whose homes; where events, roll-ups and entries lie.
    """

    def __init__(self, estate: Estate, store: Store) -> None:
        self._estate = estate
        self._store = store
        self._residents = Residents(estate, store)
        self._holds = Holds(estate, store)
        self._events = Followed(store, FlexEvent)
        self._entered = Followed(store, EventEntered)
        self._entries = Followed(store, EventBurden)

    def entries(self, since: datetime, until: datetime) -> list[EventBurden]:
        """Return the entries of events that ended in [since, until)."""
        found = self._entries.all().values()
        return [entry for entry in found if since <= entry.ended_at < until]

    def month(
        self, now: datetime, block_id: str | None = None, since: datetime | None = None
    ) -> MonthLedger:
        """Return the ledger of the month before ``now``, or from ``since`` on.

        ``block_id`` narrows it to one block.
        """
        since = since or now - MONTH
        entries = [e for e in self.entries(since, now) if block_id in (None, e.block_id)]
        return ledger(entries, since, now, [home.id for home in self._estate.dwellings()])

    def spared(self, events: Sequence[FlexEvent]) -> dict[str, dict[str, float]]:
        """Return by event and home how far each is spared, from 0 to 1; others are not.

        It is judged by what was known when the event was accepted, so that what was promised
        and what is asked of homes agree.
        """
        return {event.id: self.spared_at(event.received_at) for event in events}

    def spared_at(self, now: datetime) -> dict[str, float]:
        """Return how far each home would be spared in an event that were accepted at ``now``."""
        strength = self._estate.control.fairness_strength
        if strength <= 0:
            return {}
        month = self.month(now - AFTER)
        shown = {home.dwelling_id: spared(home, strength) for home in month.homes}
        return {home: share for home, share in shown.items() if share > 0}

    def run(self, now: datetime) -> list[str]:
        """Enter every event whose hours are over; return their ids. Each is entered once."""
        entered = self._entered.all()
        done = []
        for event in sorted(self._events.all().values(), key=_place):
            if event.state is not EventState.SETTLED or event.id in entered:
                continue
            if now >= span_of(event)[1] and self._enter(event, now):
                done.append(event.id)
        return done

    # How an event is entered

    def _enter(self, event: FlexEvent, now: datetime) -> bool:
        block = self._estate.block(event.request.block_id)
        homes = [home for home in block.dwellings if home.id in event.participants]
        hours = self._hours(event, block, homes)
        rooms = [str(PointId(home.room_sensor_id, "temperature_c")) for home in homes]
        last = hours.frame.reindex([hours.slots[-1]])[rooms].to_numpy(dtype=float)
        if homes and not np.isfinite(last).any() and now < span_of(event)[1] + PATIENCE:
            return False
        kept = self._store.kept(ExpectedHomes, event.id)
        expected = None if kept is None else kept.record
        for entry in self._of_homes(event, homes, hours, expected):
            with suppress(StoreConflictError):  # written before a restart
                self._store.keep(
                    entry,
                    key=f"{event.id}/{entry.dwelling_id}",
                    subject=entry.dwelling_id,
                    at=entry.ended_at,
                    expected=0,
                )
        why_not = "" if homes else "nobody took part"
        mark = EventEntered(event.id, now, why_not)
        self._store.keep(mark, key=event.id, subject=event.request.block_id, at=now)
        return True

    def _hours(self, event: FlexEvent, block: Block, homes: Sequence[Dwelling]) -> _Hours:
        first, last = span_of(event)
        slots = [first + k * HALF_HOUR for k in range((last - first) // HALF_HOUR)]
        others = [
            other
            for other in self._events.all().values()
            if other.request.block_id == block.id and other.participants and other.id != event.id
        ]
        earlier = [span_of(other) for other in others if _place(other) < _place(event)]
        touched = [span_of(other) for other in [*others, event]]
        points = [PointId(home.room_sensor_id, "temperature_c") for home in homes]
        points += [PointId(home.heat_pump.device_id, "heating_power_w") for home in homes]
        since = first - timedelta(days=USUAL_DAYS)
        frame = self._store.rollups(points, since, slots[-1] + HALF_HOUR)
        ended = event.ended_at or event.request.end
        return _Hours(
            slots=slots,
            mine=np.array([0.0 if _within(slot, earlier) else 1.0 for slot in slots]),
            inside=[event.request.start <= slot < ended for slot in slots],
            out=[self._out(event, slot + HALF_HOUR / 2) for slot in slots],
            frame=frame,
            usual=[
                [
                    before
                    for days in range(1, USUAL_DAYS + 1)
                    if not _within(before := slot - timedelta(days=days), touched)
                ]
                for slot in slots
            ],
        )

    def _out(self, event: FlexEvent, at: datetime) -> Collection[str]:
        """Return the homes that an event did not steer at ``at``: opted out, held, own wish."""
        opted = {
            home
            for home, events in self._residents.opted_out(at).items()
            if events == ALL or event.id in events
        }
        return opted | set(self._residents.wishes(at)) | self._holds.out_of_events(at)

    def _of_homes(
        self,
        event: FlexEvent,
        homes: Sequence[Dwelling],
        hours: _Hours,
        expected: ExpectedHomes | None,
    ) -> list[EventBurden]:
        rules = self._estate.control
        took_part = {home.id: _took_part(home, hours) for home in homes}
        weights = {
            home.id: took_part[home.id]
            * (rules.fairness_vulnerable_share if home.vulnerable else 1.0)
            * (home.heat_pump.actuator is Actuator.ROOM_SETPOINT)
            for home in homes
        }
        share = shares(weights)
        rows = {home.id: self._of_home(home, hours, expected) for home in homes}
        for home in homes:
            if home.heat_pump.actuator is not Actuator.ROOM_SETPOINT:
                # Its own thermostat heats whatever an event asks: what it misses, it misses anyway.
                rows[home.id] = Felt(0.0, 0.0), rows[home.id][1]
        burden = {home: row[0].burden_kh for home, row in rows.items() if row[0] is not None}
        kept = self._store.kept(Settlement, event.id)
        paid = 0.0 if kept is None else kept.record.payment_gbp or 0.0
        rule = PaymentRule(rules.event_payment_rule)
        part = payments(paid * rules.event_tenants_pct / 100.0, rule, took_part, burden)
        entries = []
        for home in homes:
            done, bill = rows[home.id]
            entries.append(
                EventBurden(
                    event_id=event.id,
                    block_id=home.block_id,
                    dwelling_id=home.id,
                    started_at=event.request.start,
                    ended_at=event.ended_at or event.request.end,
                    burden_kh=None if done is None else done.burden_kh,
                    cold_hours=None if done is None else done.cold_hours,
                    share=share[home.id],
                    bill_gbp=bill,
                    payment_gbp=part[home.id],
                )
            )
        return entries

    def _of_home(
        self, home: Dwelling, hours: _Hours, expected: ExpectedHomes | None
    ) -> tuple[Felt | None, float | None]:
        """Return what one home felt, and the change of its bill [£]."""
        counts = hours.mine * np.array([0.0 if home.id in out else 1.0 for out in hours.out])
        plan = None if expected is None else expected.homes.get(home.id)
        if expected is None or plan is None:
            return None, None
        rooms = hours.frame[str(PointId(home.room_sensor_id, "temperature_c"))]
        power = hours.frame[str(PointId(home.heat_pump.device_id, "heating_power_w"))]
        room_c, power_w = rooms.reindex(hours.slots), power.reindex(hours.slots)
        would = _laid(plan, expected.start, hours.slots)
        done = felt(
            would[1],
            room_c.to_numpy(dtype=float),
            would[0],
            self._usual_k(home, rooms, hours),
            np.where(np.isfinite(would[1]), counts, 0.0),
        )
        more_w = (power_w.to_numpy(dtype=float) - would[2]) * counts
        return done, self._bill_gbp(home, hours.slots, more_w)

    def _usual_k(self, home: Dwelling, rooms: pd.Series[float], hours: _Hours) -> FloatArray:
        """Return how far a room was below its schedule at the same times of earlier days [K]."""
        seen = dict(zip(rooms.index, rooms.to_numpy(dtype=float), strict=True))
        found = []
        for days in hours.usual:
            missed = [
                max(home.comfort.temperature_at(at, self._estate.zone) - room, 0.0)
                for at in days
                if np.isfinite(room := seen.get(at, np.nan))
            ]
            found.append(float(np.mean(missed)) if missed else np.nan)
        return np.array(found)

    def _bill_gbp(
        self, home: Dwelling, slots: Sequence[datetime], more_w: FloatArray
    ) -> float | None:
        tariff = home.meter.tariff
        if tariff is None or not np.isfinite(more_w).any():
            return None
        total = 0.0
        for slot, watts in zip(slots, more_w.tolist(), strict=True):
            if not np.isfinite(watts) or watts == 0:
                continue
            try:
                total += watts / 2000.0 * tariff.rate_gbp_per_kwh(slot)
            except NoRateError:
                return None
        return total


def _place(event: FlexEvent) -> tuple[datetime, str]:
    return event.request.start, event.id


def _within(slot: datetime, spans: Sequence[tuple[datetime, datetime]]) -> bool:
    return any(first <= slot < last for first, last in spans)


def _took_part(home: Dwelling, hours: _Hours) -> float:
    """Return the part of the event's own half-hours in which a home took part [-]."""
    inside = [out for out, is_inside in zip(hours.out, hours.inside, strict=True) if is_inside]
    return sum(home.id not in out for out in inside) / len(inside) if inside else 0.0


def _laid(plan: ExpectedHome, start: datetime, slots: Sequence[datetime]) -> list[FloatArray]:
    """Return room, schedule [°C] and power [W] of a plan on ``slots``; ``nan`` outside it."""
    rows = []
    for values in (plan.room_c, plan.asked_c, plan.power_w):
        row = np.full(len(slots), np.nan)
        for number, slot in enumerate(slots):
            place = (slot - start) // HALF_HOUR
            if 0 <= place < len(values):
                row[number] = values[place]
        rows.append(row)
    return rows


def no_sparing(events: Sequence[FlexEvent]) -> Mapping[str, Mapping[str, float]]:
    """Return that nobody is spared: what holds where no ledger is kept."""
    del events
    return {}
